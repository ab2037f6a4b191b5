//! The stack `chat`, as `compose/up` starts it from the very Compose file that people copy.

use super::{
    docker::{docker, field, is_so, try_docker, wait},
    quickstart::{Copy, free_ports},
    stack::{SOON, place},
};

const NAME: &str = "chat.example";

/// The serial number that openssl is shown after STARTTLS.
fn serial(copy: &Copy) -> Result<String, String> {
    let script = "openssl s_client -connect prosody:5222 -starttls xmpp -xmpphost \"$1\" </dev/null 2>/dev/null \
                  | openssl x509 -noout -serial";
    let pebble = copy.container("pebble")?;
    try_docker(&["exec", &pebble, "sh", "-c", script, "sh", NAME])
}

#[test]
fn the_chat_stack_shows_a_renewed_certificate_without_a_restart() {
    let _place = place();
    let [http, https] = free_ports().map(|port| port.to_string());
    // `compose/up` ends well when both ports show the certificate.
    let copy = Copy::up(
        "chat",
        &[
            ("QUAYMASTER_EXAMPLE_HTTP_PORT", &http),
            ("QUAYMASTER_EXAMPLE_HTTPS_PORT", &https),
        ],
    );
    copy.wait_until_all_is_well();
    let [quaymaster, prosody] =
        ["quaymaster", "prosody"].map(|service| copy.container(service).unwrap());
    let started = field(&prosody, "{{.State.StartedAt}}");
    let old = serial(&copy).unwrap();

    docker(&["exec", &quaymaster, "/quaymaster", "renew", NAME, "--force"]);
    wait(2 * SOON, "another certificate is shown", || {
        let seen = serial(&copy)?;
        is_so(seen != old, || seen.clone())
    });
    copy.wait_until_all_is_well();
    let told = docker(&["exec", &quaymaster, "/quaymaster", "status"]);
    let chat = told.lines().find(|line| line.contains(" prosody "));
    let chat = chat.unwrap_or(&told);
    assert!(chat.contains(" proven at "), "{chat}");
    assert_eq!(
        field(&prosody, "{{.State.StartedAt}}"),
        started,
        "it goes on"
    );

    let (is_well, said) = copy.script(&["chat/try"], &[]);
    assert!(is_well, "{said}");
}
