//! The first minutes of a newcomer.

use std::{collections::BTreeSet, thread, time::Duration};

use super::{
    client,
    docker::{docker, field, is_so, run, try_docker, wait},
    log,
    stack::{SOON, STATIC, Setup, Stack},
};

#[test]
fn one_label_becomes_a_served_certificate() {
    let stack = Stack::new(&Setup {
        default_prefix: true,
        ..Setup::default()
    });
    let (shop, page) = (stack.host("shop"), stack.host("page"));
    stack.bare_proxy();
    stack.app("shop", &[("host", &shop)]);
    let label = stack.label("host", &page);
    stack.run("page", &["--label", &label], STATIC, &[]);

    let plain = watch_port_80(&stack, &shop);
    stack.quaymaster(&[]);
    let served = stack.wait_for_site(&shop);
    stack.wait_for_site(&page);
    let plain = plain.join().unwrap();
    // Refused while nobody listens, then 503 until there is a certificate, then the way to https. Never the app.
    assert!(plain.contains("503") && plain.contains("301"), "{plain:?}");
    assert!(
        plain
            .iter()
            .all(|seen| ["503", "301", "404"].contains(&seen.as_str()) || seen.contains(':')),
        "{plain:?}"
    );

    assert_eq!(served.names, BTreeSet::from([shop.clone()]));
    assert!(
        served.issuer.contains("Pebble Intermediate CA"),
        "{}",
        served.issuer
    );
    assert!(
        served.answer.body.starts_with("shop in container"),
        "{}",
        served.answer.body
    );
    assert!(
        served.answer.body.contains("X-Forwarded-Proto: https"),
        "{}",
        served.answer.body
    );
    assert_eq!(
        stack.https(&page).unwrap().names,
        BTreeSet::from([page.clone()])
    );
    let redirect = stack.http(&shop, "/a?b=c").unwrap();
    assert_eq!(
        (redirect.status, redirect.header("location")),
        (301, Some(format!("https://{shop}/a?b=c").as_str()))
    );
    who_asks_for_nobody_sees_nobody(&stack);
    who_returns_is_known(&stack, &shop);
    stack.wait_for_rest();
    assert_eq!(stack.orders(), 2);
    each_signal_was_proven(&stack);
    // One for port 80, at most one for each certificate, one for the gate and one for what goes through it, and two for
    // names that nobody has.
    assert!((6..=7).contains(&stack.hangups()), "{}", stack.hangups());

    a_third_by_hand(&stack);
    the_site_of_a_stopped_one_is_kept(&stack, &shop);
    nothing_private_shows(&stack);
    wait(SOON, "quaymaster is healthy", || {
        let health = field(&stack.named("quaymaster"), "{{.State.Health.Status}}");
        is_so(health == "healthy", || health)
    });
    assert_eq!(
        field(
            &stack.named("quaymaster"),
            "{{.RestartCount}} {{.State.Status}}"
        ),
        "0 running"
    );
}

/// Asks port 80 again and again until it leads to https; returns every status seen, or the start of an app's answer.
fn watch_port_80(stack: &Stack, host: &str) -> thread::JoinHandle<BTreeSet<String>> {
    let (at, host) = (stack.at(80).unwrap(), host.to_owned());
    thread::spawn(move || {
        let mut seen = BTreeSet::new();
        for _ in 0..30_000 {
            let word = match client::http(at, &host, "/") {
                Ok(answer) if answer.body.contains("shop in container") => "the app".to_owned(),
                Ok(answer) => answer.status.to_string(),
                Err(problem) => format!("nobody: {problem}"),
            };
            let is_over = word == "301";
            seen.insert(word);
            if is_over {
                break;
            }
            thread::sleep(Duration::from_millis(10));
        }
        seen
    })
}

fn who_asks_for_nobody_sees_nobody(stack: &Stack) {
    assert_eq!(stack.http("nobody.example", "/").unwrap().status, 404);
    // Not even to those who don't look at certificates does another name's app show.
    let careless = [
        "curl",
        "-sk",
        "--connect-to",
        "::proxy:443",
        "https://nobody.example/",
    ];
    let shown = try_docker(&[&["exec", stack.named("pebble").as_str()], &careless[..]].concat());
    assert!(shown.is_err(), "{shown:?}");
}

/// nginx keeps TLS sessions for all sites of a port as its first server says.
fn who_returns_is_known(stack: &Stack, host: &str) {
    let visit = |session: &str| {
        let words = format!(
            "openssl s_client -connect proxy:443 -servername {host} -tls1_2 {session} </dev/null 2>&1"
        );
        docker(&["exec", &stack.named("pebble"), "sh", "-c", &words])
    };
    visit("-sess_out /tmp/session");
    let seen = visit("-sess_in /tmp/session");
    assert!(seen.contains("Reused, TLSv1.2"), "{seen}");
}

/// Checks that the engine's count of signals, quaymaster's own and the number of proofs are the same.
fn each_signal_was_proven(stack: &Stack) {
    let lines = stack.log();
    let order: Vec<_> = lines
        .iter()
        .map(|line| line.event.as_str())
        .filter(|name| ["signalled", "proven"].contains(name))
        .collect();
    assert!(
        order.chunks(2).all(|pair| pair == ["signalled", "proven"]),
        "{order:?}"
    );
    assert_eq!(stack.hangups(), log::count(&lines, "signalled"));
    assert_eq!(
        log::count(&lines, "failed") + log::count(&lines, "unproven"),
        0
    );
}

fn a_third_by_hand(stack: &Stack) {
    let (mine, before) = (stack.host("mine"), stack.hangups());
    stack.app("mine", &[("host", &mine)]);
    let (visitor, at) = (stack.visitor(), stack.at(443).unwrap());
    let served = wait(SOON, "what was started by hand is served", || {
        let served = visitor.https(at, &mine, "/")?;
        // Its certificate may be there before the app listens: on a busy machine that takes it seconds.
        is_so(served.answer.status != 502, || {
            format!("{:?}", served.answer)
        })
        .map(|()| served)
    });
    assert!(
        served.answer.body.starts_with("mine in container"),
        "{}",
        served.answer.body
    );
    stack.wait_for_rest();
    // Port 80, then the certificate.
    assert_eq!(stack.hangups() - before, 2);
    each_signal_was_proven(stack);
}

/// Stopped or removed, its site is kept for a successor; when its name is released, it is gone.
fn the_site_of_a_stopped_one_is_kept(stack: &Stack, host: &str) {
    let (before, orders) = (stack.hangups(), stack.orders());
    let serial = stack.https(host).unwrap().serial;
    let is_kept = || {
        let served = stack.https(host)?;
        is_so(
            (served.answer.status, &served.serial) == (503, &serial),
            || format!("{served:?}"),
        )
    };
    let quaymaster = stack.named("quaymaster");
    let status = || docker(&["exec", &quaymaster, "/quaymaster", "status"]);
    docker(&["stop", &stack.named("shop")]);
    wait(SOON, "it answers 503 with its certificate", is_kept);
    stack.wait_for_event("site-kept", host);
    stack.wait_for_rest();
    assert!(status().contains("does not run; until"), "{}", status());
    assert_eq!(stack.http(host, "/").unwrap().status, 301);

    docker(&["rm", &stack.named("shop")]);
    stack.wait_for_event("site-kept", "was removed; until");
    stack.wait_for_rest();
    is_kept().unwrap();
    assert_eq!(stack.http(host, "/").unwrap().status, 301);
    assert!(status().contains("was removed; until"), "{}", status());
    let explained = run(&["exec", &quaymaster, "/quaymaster", "explain", host]);
    let told = String::from_utf8_lossy(&explained.stdout).into_owned();
    let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(told.contains("was removed; until"), "{told}");
    // Also for who was started since.
    docker(&["restart", &quaymaster]);
    stack.wait_for_rest();
    is_kept().unwrap();
    assert_eq!(
        (stack.hangups() - before, stack.orders()),
        (1, orders),
        "nothing is obtained meanwhile, and nginx is told once"
    );

    docker(&["exec", &quaymaster, "/quaymaster", "release", host]);
    let file = format!("quaymaster-{host}.conf");
    wait(SOON, "its file goes", || {
        is_so(!stack.files("edge").contains_key(&file), || file.clone())
    });
    stack.wait_for_rest();
    if let Ok(served) = stack.https(host) {
        panic!("still served: {served:?}");
    }
    assert_eq!(stack.http(host, "/").unwrap().status, 404);
    // It may come back, and a CA counts what it issues.
    assert!(
        stack
            .files("state")
            .contains_key(&format!("certificates/live/{host}")),
        "the certificate stays"
    );
}

fn nothing_private_shows(stack: &Stack) {
    let (state, edge) = (stack.files("state"), stack.files("edge"));
    let accounts: Vec<_> = state
        .iter()
        .filter(|(path, _)| path.ends_with("account.json"))
        .collect();
    assert!(
        matches!(accounts[..], [(_, mode)] if mode == "f600"),
        "{accounts:?}"
    );
    let keys = |files: &std::collections::BTreeMap<String, String>| -> BTreeSet<String> {
        files
            .iter()
            .filter(|(path, _)| path.ends_with("privkey.pem"))
            .map(|(_, mode)| mode.clone())
            .collect()
    };
    assert_eq!(
        (keys(&state), keys(&edge)),
        (
            BTreeSet::from(["f600".to_owned()]),
            BTreeSet::from(["f600".to_owned()])
        )
    );
    let left: Vec<_> = edge
        .iter()
        .filter(|(path, mode)| path.starts_with("challenge/") && mode.starts_with('f'))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    let left: Vec<_> = state
        .keys()
        .filter(|path| path.starts_with("orders/") || path.starts_with("attempts/"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}
