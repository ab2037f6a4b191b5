//! The stack `gateway`, as `compose/up` starts it from the very Compose file that people copy.

use super::{
    docker::{docker, field},
    quickstart::{Copy, free_ports},
    stack::place,
};

const AT: &str = "gateway:9443";
const CERTIFICATE: &str = "aiotes";

#[test]
fn the_gateway_stack_serves_each_certificate_after_a_restart_from_paths_that_stay() {
    let _place = place();
    let [http, https] = free_ports().map(|port| port.to_string());
    let mut settings = vec![
        ("QUAYMASTER_EXAMPLE_HTTP_PORT", http.as_str()),
        ("QUAYMASTER_EXAMPLE_HTTPS_PORT", https.as_str()),
    ];
    let copy = Copy::up("gateway", &settings);
    let (gateway, quaymaster) = (
        copy.container("gateway").unwrap(),
        copy.container("quaymaster").unwrap(),
    );
    copy.wait_until_all_is_well();
    assert_eq!(copy.orders(CERTIFICATE), 1);

    // It reads its files only when it starts, so that a renewal restarts it.
    let host = "api.example";
    let first = copy.serial_at(AT, host).unwrap();
    let started = field(&gateway, "{{.State.StartedAt}}");
    docker(&[
        "exec",
        &quaymaster,
        "/quaymaster",
        "renew",
        CERTIFICATE,
        "--force",
    ]);
    let second = copy.wait_for_another_than(&first, AT, host);
    assert_ne!(field(&gateway, "{{.State.StartedAt}}"), started);
    copy.wait_until_all_is_well();
    assert_eq!(copy.orders(CERTIFICATE), 2);

    // Another host is one more order for the same files; `compose/up` ends well when the gateway serves it.
    settings.push(("AIOTES_HOSTNAME", "devices.example"));
    copy.again("gateway", &settings);
    copy.wait_until_all_is_well();
    assert_ne!(copy.serial_at(AT, "devices.example").unwrap(), second);
    assert_eq!(copy.orders(CERTIFICATE), 3);
    let gateway = copy.container("gateway").unwrap();
    let files = docker(&["exec", &gateway, "ls", "/var/lib/certs/live"]);
    assert_eq!(files, CERTIFICATE);
}
