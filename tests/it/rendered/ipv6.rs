//! The real nginx on a network with IPv6.

use std::{
    net::{IpAddr, SocketAddr},
    process::id,
    sync::atomic::Ordering,
};

use quaymaster::{adapters::probe::TcpProbe, ports::Probe};

use super::{IMAGE, NUMBER, Nginx, cases, docker};

/// A network with addresses of both families, gone when the test ends.
struct Network(String);

impl Network {
    fn new() -> Self {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("quaymaster-test-ipv6-{}-{number}", id());
        let subnet = format!("fd71:{:x}:{:x}:{number:x}::/64", id() >> 16, id() & 0xffff);
        docker(&["network", "create", "--ipv6", "--subnet", &subnet, &name]);
        Self(name)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        docker(&["network", "rm", &self.0]);
    }
}

/// nginx with one case on that network, found at its IPv6 address, once this script has run in it.
fn serving(case: &str, network: &Network, before: &str) -> Nginx {
    let case = cases().into_iter().find(|other| other.name() == case);
    let folder = tempfile::tempdir().unwrap();
    let serials = case.unwrap().write(&folder.path().join("case"));
    let name = format!("{}-nginx", network.0);
    let volume = format!("{}:/case:ro", folder.path().display());
    let script = format!(
        "rm /etc/nginx/sites-enabled/default; cp -r /case/case/. /etc/nginx/conf.d/; {before}; exec nginx -g 'daemon off; error_log /tmp/error.log;'"
    );
    let ours = ["run", "--detach", "--rm", "--name", &name];
    let there = ["--network", &network.0, "--volume", &volume];
    docker(&[&ours[..], &there, &[IMAGE, "sh", "-ec", &script]].concat());
    let at = SocketAddr::new(address(&name, "GlobalIPv6Address"), 443);
    Nginx {
        name,
        at,
        serials,
        probe: TcpProbe::new().unwrap(),
        folder,
    }
}

fn address(container: &str, member: &str) -> IpAddr {
    let format = format!("{{{{range .NetworkSettings.Networks}}}}{{{{.{member}}}}}{{{{end}}}}");
    let told = docker(&["inspect", "--format", &format, container]);
    told.trim().parse().unwrap()
}

/// Waits until something answers there as it should.
async fn wait_for<T, E: std::fmt::Debug>(mut look: impl AsyncFnMut() -> Result<T, E>) -> T {
    for _ in 0..500 {
        match look().await {
            Ok(found) => return found,
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
        }
    }
    panic!("{:?}", look().await.err())
}

#[tokio::test]
async fn sites_and_names_that_no_site_has_are_answered_over_both_families() {
    let network = Network::new();
    let mut nginx = serving("25-ipv6", &network, "true");
    for member in ["GlobalIPv6Address", "IPAddress"] {
        nginx.at = SocketAddr::new(address(&nginx.name, member), 443);
        let shown = wait_for(async || nginx.shows("shop.example").await.map(str::to_owned)).await;
        assert_eq!(shown, "shop.example", "{member}");
        assert!(nginx.shows("unknown.example").await.is_err(), "{member}");
        let http = SocketAddr::new(nginx.at.ip(), 80);
        for (host, expected) in [("shop.example", 301), ("unknown.example", 404)] {
            let page = nginx.probe.page(http, host, "/").await.unwrap();
            assert_eq!(page.status, expected, "{member}: {host}");
        }
    }
}

/// The reason why the first servers to listen on IPv6 come alone.
#[tokio::test]
async fn nginx_goes_on_where_something_else_has_its_port_over_ipv6() {
    let network = Network::new();
    let other = "printf 'pid /tmp/pid; events {} http { server { listen [::]:80; return 418; } }' >/tmp/other.conf; \
                 nginx -c /tmp/other.conf";
    let mut nginx = serving("01-site", &network, other);
    nginx.at = SocketAddr::new(address(&nginx.name, "IPAddress"), 443);
    wait_for(async || nginx.shows("shop.example").await.map(drop)).await;
    let case = cases().into_iter().find(|case| case.name() == "25-ipv6");
    let (files, _) = super::rendered(&case.unwrap().labels);
    let text = &files["quaymaster--ipv6.conf"];
    // Its own tool sees nothing wrong; only the reload shows it.
    nginx.run(&format!(
        "cat >/etc/nginx/conf.d/quaymaster--ipv6.conf <<'END'\n{text}\nEND\nnginx -q -t && kill -s HUP 1"
    ));
    let refusal = "bind() to [::]:80 failed (98: Address already in use)";
    let tells = |log: String| log.contains(refusal).then_some(()).ok_or(log);
    wait_for(async || tells(docker(&["exec", &nginx.name, "cat", "/tmp/error.log"]))).await;
    assert_eq!(nginx.shows("shop.example").await, Ok("shop.example"));
    let http = SocketAddr::new(nginx.at.ip(), 80);
    let page = nginx.probe.page(http, "shop.example", "/").await.unwrap();
    assert_eq!(page.status, 301);
}
