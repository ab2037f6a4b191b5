//! The stack `mail`, as `compose/up` starts it from the very Compose file that people copy.

use super::{
    docker::{docker, field, is_so, logs, try_docker, wait},
    quickstart::{Copy, free_ports},
    stack::{SOON, place},
};

const NAME: &str = "mail.example";

/// Where a certificate is shown, and what a client says there before TLS.
const PORTS: &[(&str, &str)] = &[
    ("postfix:25", "smtp"),
    ("postfix:587", "smtp"),
    ("postfix:465", ""),
    ("dovecot:143", "imap"),
    ("dovecot:993", ""),
    ("dovecot:110", "pop3"),
    ("dovecot:995", ""),
];

/// The serial number that openssl is shown.
fn serial_at(copy: &Copy, (at, protocol): (&str, &str)) -> Result<String, String> {
    let script = "openssl s_client -connect \"$1\" ${2:+-starttls \"$2\"} -servername \"$3\" </dev/null 2>/dev/null \
                  | openssl x509 -noout -serial";
    let pebble = copy.container("pebble")?;
    try_docker(&[
        "exec", &pebble, "sh", "-c", script, "sh", at, protocol, NAME,
    ])
}

#[test]
fn the_mail_stack_shows_each_renewed_certificate_on_every_port_and_takes_leave() {
    let _place = place();
    let [http, https] = free_ports().map(|port| port.to_string());
    // `compose/up` ends well when a mail was sent and read, and every port shows the certificate.
    let copy = Copy::up(
        "mail",
        &[
            ("QUAYMASTER_EXAMPLE_HTTP_PORT", &http),
            ("QUAYMASTER_EXAMPLE_HTTPS_PORT", &https),
        ],
    );
    copy.wait_until_all_is_well();
    assert_eq!(copy.orders(NAME), 1, "two servers are one order");
    let [quaymaster, postfix, dovecot] =
        ["quaymaster", "postfix", "dovecot"].map(|service| copy.container(service).unwrap());
    let started = || [&postfix, &dovecot].map(|server| field(server, "{{.State.StartedAt}}"));
    let (before, old) = (started(), serial_at(&copy, PORTS[0]).unwrap());
    let written = logs(&postfix).lines().count();

    docker(&["exec", &quaymaster, "/quaymaster", "renew", NAME, "--force"]);
    let renewed = wait(2 * SOON, "the first port shows another certificate", || {
        let seen = serial_at(&copy, PORTS[0])?;
        is_so(seen != old, || seen.clone()).map(|()| seen)
    });
    for port in PORTS {
        wait(2 * SOON, &format!("{port:?} shows {renewed}"), || {
            let seen = serial_at(&copy, *port)?;
            is_so(seen == renewed, || seen)
        });
    }
    copy.wait_until_all_is_well();
    assert_eq!(copy.orders(NAME), 2);
    assert_eq!(started(), before, "nothing was restarted");

    // openssl hangs up as it likes; quaymaster does not.
    let address = field(
        &quaymaster,
        "[{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}]",
    );
    let log = logs(&postfix);
    let by_quaymaster = log.lines().skip(written);
    let by_quaymaster: Vec<_> = by_quaymaster
        .filter(|line| line.contains(&address))
        .collect();
    let about = |piece: &str| by_quaymaster.iter().filter(|it| it.contains(piece)).count();
    let (lost, left) = (about("lost connection"), about("quit=1"));
    assert!(
        lost == 0 && about("SSL_accept error") == 0 && left >= 3,
        "{by_quaymaster:#?}"
    );

    let (is_well, said) = copy.script(&["mail/try"], &[]);
    assert!(is_well, "{said}");
}
