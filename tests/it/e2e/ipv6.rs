//! A network with IPv6.

use std::net::{IpAddr, SocketAddr};

use super::{
    docker::{docker, field, is_so, wait},
    stack::{SOON, Setup, Stack},
};

/// Where the proxy is on its network, of this family.
fn proxy_at(stack: &Stack, member: &str, port: u16) -> SocketAddr {
    let format = format!("{{{{range .NetworkSettings.Networks}}}}{{{{.{member}}}}}{{{{end}}}}");
    let address = field(&stack.named("proxy"), &format);
    SocketAddr::new(address.trim().parse::<IpAddr>().unwrap(), port)
}

#[test]
fn a_proxy_on_a_network_with_ipv6_serves_its_sites_over_both_families() {
    let stack = Stack::new(&Setup {
        ipv6: true,
        ..Setup::default()
    });
    let host = stack.host("shop");
    stack.bare_proxy();
    stack.app("shop", &[("host", host.as_str())]);
    stack.quaymaster(&[]);
    stack.wait_for_site(&host);
    stack.wait_for_rest();
    for member in ["IPAddress", "GlobalIPv6Address"] {
        let served = stack
            .visitor()
            .https(proxy_at(&stack, member, 443), &host, "/")
            .unwrap();
        assert_eq!(served.answer.status, 200, "{member}: {served:?}");
    }
    assert_eq!(stack.status()["complaints"], serde_json::json!([]));

    // Stopped, it has no address: what it has stays, and is read when it starts.
    let before = stack.files("edge");
    docker(&["stop", "--time", "5", &stack.named("proxy")]);
    stack.wait_for_rest();
    assert_eq!(stack.files("edge"), before);
    docker(&["start", &stack.named("proxy")]);
    wait(SOON, "it is served over IPv6 again", || {
        let at = proxy_at(&stack, "GlobalIPv6Address", 443);
        let served = stack.visitor().https(at, &host, "/")?;
        is_so(served.answer.status == 200, || format!("{served:?}"))
    });
}
