//! Certificates for servers that are no containers, on a machine without a web server.

use super::{
    docker::{docker, is_so, try_docker, wait},
    stack::{SOON, Setup, Stack},
};

#[test]
fn names_of_the_settings_are_obtained_by_a_listener_of_its_own_and_their_keys_given_to_who_reads_them()
 {
    let stack = Stack::new(&Setup::default());
    let pebble = stack.named("pebble");
    let [mail, other] = ["mail", "db"].map(|word| stack.host(word));
    let names = format!("QUAYMASTER_NAMES={mail}, {other}");
    // The CA finds every name at whoever is called the proxy.
    stack.quaymaster_with(
        &[
            "--network-alias",
            "proxy",
            "--cap-add=NET_BIND_SERVICE",
            "--stop-signal",
            "SIGTERM",
        ],
        &[
            "QUAYMASTER_LISTEN_HTTP=0.0.0.0:80",
            &names,
            "QUAYMASTER_OWNER=100:101",
            "QUAYMASTER_MODE=0640",
        ],
    );
    for name in [&mail, &other] {
        let key = format!("/seen/state/certificates/live/{name}/privkey.pem");
        let script = ["exec", pebble.as_str(), "stat", "-L", "-c"];
        wait(SOON, "the key is there for who reads it", || {
            let words = [&script[..], &["%u:%g %a", &key]].concat();
            let found = try_docker(&words)?;
            is_so(found.trim() == "100:101 640", || found.clone())
        });
        let chain = stack
            .text(&format!("state/certificates/live/{name}/fullchain.pem"))
            .unwrap();
        assert!(chain.starts_with("-----BEGIN CERTIFICATE-----"), "{chain}");
    }
    stack.wait_for_rest();
    let status = stack.status();
    assert_eq!(status["complaints"], serde_json::json!([]), "{status}");
    assert_eq!(stack.orders(), 2, "each was asked for once");

    // Of responses, nothing is left; of other pages, there was never any.
    let ask = |path: &str| {
        let url = format!("http://{mail}{path}");
        let at = format!("{mail}:80:proxy:80");
        let script = ["exec", pebble.as_str(), "curl", "-s", "-o", "/dev/null"];
        let words = ["-w", "%{http_code}", "--connect-to", &at, &url];
        docker(&[&script[..], &words].concat())
    };
    for path in [
        "/",
        "/.well-known/acme-challenge/",
        "/.well-known/acme-challenge/x",
    ] {
        assert_eq!(ask(path).trim(), "404", "{path}");
    }
}

#[test]
fn an_address_that_nobody_may_listen_at_is_told_with_what_to_do() {
    let stack = Stack::new(&Setup::default());
    // An address of nobody's here.
    let once = stack.command("state", &["QUAYMASTER_LISTEN_HTTP=192.0.2.1:80"], &["once"]);
    let said = String::from_utf8_lossy(&once.stderr);
    assert_eq!(once.status.code(), Some(2), "{said}");
    assert!(
        said.contains("listen-http: nobody can listen at 192.0.2.1:80 from here"),
        "{said}"
    );
}
