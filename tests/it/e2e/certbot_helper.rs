//! The stack `certbot-helper`, as `compose/up` starts it from the very Compose file that people copy; and the same without
//! the helper.

use std::process::id;

use super::{
    docker::{docker, logs},
    quickstart::{Copy, free_ports},
    stack::{MARK, place},
};

const HOST: &str = "site.example";
const OTHER: &str = "api.site.example";

#[test]
fn the_certbot_helper_stack_serves_what_certbot_obtains_and_without_the_helper_what_quaymaster_obtains()
 {
    let _place = place();
    let [http, https] = free_ports().map(|port| port.to_string());
    let settings = [
        ("QUAYMASTER_EXAMPLE_HTTP_PORT", http.as_str()),
        ("QUAYMASTER_EXAMPLE_HTTPS_PORT", https.as_str()),
    ];
    // What it promises is tried by its own `try`, a renewal by certbot among it.
    let copy = Copy::up("certbot-helper", &settings);
    copy.wait_until_all_is_well();
    let helper = copy.container("certbot-helper").unwrap();
    let said = logs(&helper);
    let orders = |host: &str| {
        let line = format!("--cert-name {host} -d {host}");
        said.lines()
            .filter(|it| it.starts_with("certbot-helper: certbot ") && it.ends_with(&line))
            .count()
    };
    assert_eq!(orders(HOST), 2, "one, and one renewal:\n{said}");
    assert_eq!(orders(OTHER), 1, "{said}");

    // A restart asks the helper for nothing: what it has obtained is there.
    let quaymaster = copy.container("quaymaster").unwrap();
    docker(&["restart", &quaymaster]);
    copy.wait_until_all_is_well();
    assert_eq!(logs(&helper).lines().count(), said.lines().count());
    docker(&["exec", &quaymaster, "/quaymaster", "check"]);
    drop(copy);

    // One step further: the same labels, and no helper.
    let copy = Copy(format!("{MARK}-{}-without-helper", id()));
    copy.again("certbot-helper/without-helper", &settings);
    copy.wait_until_all_is_well();
    assert!(copy.container("certbot-helper").unwrap().is_empty());
    for host in [HOST, OTHER] {
        assert_eq!(copy.orders(host), 1, "{host}");
    }
}
