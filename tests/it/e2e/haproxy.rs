//! The stack `haproxy`, as `compose/up` starts it from the very Compose file that people copy.

use std::net::Ipv4Addr;

use super::{
    client::Visitor,
    docker::{docker, is_so, try_docker, wait},
    quickstart::{Copy, free_ports},
    stack::{SOON, in_volume, place},
    visits::{Visits, all_were_served},
};

const HELLO: &str = "hello.example";
const STATIC: &str = "static.example";

/// Where a client in the stack finds haproxy.
const AT: &str = "proxy:443";

#[test]
fn the_haproxy_stack_serves_each_renewed_certificate_and_no_request_fails_meanwhile() {
    let _place = place();
    let [http, https] = free_ports();
    let copy = Copy::up(
        "haproxy",
        &[
            ("QUAYMASTER_EXAMPLE_HTTP_PORT", &http.to_string()),
            ("QUAYMASTER_EXAMPLE_HTTPS_PORT", &https.to_string()),
        ],
    );
    copy.wait_until_all_is_well();
    let [quaymaster, pebble] = ["quaymaster", "pebble"].map(|it| copy.container(it).unwrap());
    let renew = |name: &str| {
        docker(&["exec", &quaymaster, "/quaymaster", "renew", name, "--force"]);
    };
    let at = (Ipv4Addr::LOCALHOST, https).into();
    let visitor = Visitor::trusting(&docker(&["exec", &pebble, "pebble-root"]));
    let visits = Visits::begin(visitor.clone(), at, &[HELLO, STATIC]);
    let [hello, other] = [HELLO, STATIC].map(|host| copy.serial_at(AT, host).unwrap());

    renew(HELLO);
    copy.wait_for_another_than(&hello, AT, HELLO);
    copy.wait_until_all_is_well();
    assert_eq!(copy.serial_at(AT, STATIC).as_ref(), Ok(&other));

    // A file that haproxy can't read is in the way of every reload: its own words are told, and it goes on.
    let folder = format!("{}_front-certs", copy.0);
    in_volume(&folder, "echo none > /at/notes.txt", "");
    renew(STATIC);
    let words = ["exec", &quaymaster, "/quaymaster", "status"];
    wait(2 * SOON, "haproxy's words are told", || {
        let told = try_docker(&words)?;
        let is_told =
            told.contains("unable to load certificate from file '/etc/haproxy/certs/notes.txt'");
        is_so(is_told, || told)
    });
    assert_eq!(copy.serial_at(AT, STATIC).as_ref(), Ok(&other));
    in_volume(&folder, "rm /at/notes.txt", "");
    renew(STATIC);
    copy.wait_for_another_than(&other, AT, STATIC);
    copy.wait_until_all_is_well();

    let now = [HELLO, STATIC].map(|host| visitor.https(at, host, "/").unwrap().serial);
    let visits = visits.end();
    all_were_served(&visits);
    for (site, serial) in [HELLO, STATIC].iter().zip(now) {
        let mut seen = visits.iter().filter(|visit| visit.site == *site).rev();
        let last = seen.next().and_then(|visit| visit.outcome.as_ref().ok());
        assert_eq!(last.map(|(serial, _)| serial), Some(&serial), "{site}");
    }
    let (is_well, said) = copy.script(&["haproxy/try"], &[]);
    assert!(is_well, "{said}");
}
