//! Addresses that change hands: no request reaches a container that it was not meant for.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
};

use super::{
    docker::{docker, field, is_so, wait},
    log,
    stack::{SOON, Setup, Stack},
};

/// The containers whose addresses change hands.
const ALL: [&str; 3] = ["proxy", "bb", "cc"];

fn address(stack: &Stack, what: &str) -> Ipv4Addr {
    let format = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
    field(&stack.named(what), format).trim().parse().unwrap()
}

/// Which app answers for a host; the status where none does.
fn answered_by(stack: &Stack, host: &str) -> Result<String, String> {
    let answer = stack.http(host, "/")?;
    let app = answer.body.split_once(" in container ");
    Ok(app.map_or_else(|| answer.status.to_string(), |(app, _)| app.to_owned()))
}

/// Starts all anew, so that each gets the address that `wanted` says: the engine gives out the lowest that is free.
fn start_at(stack: &Stack, wanted: &BTreeMap<&str, Ipv4Addr>) {
    for what in ALL {
        docker(&["stop", "--time", "0", &stack.named(what)]);
    }
    let mut order: Vec<_> = ALL.into_iter().collect();
    order.sort_by_key(|what| wanted[what]);
    for what in order {
        docker(&["start", &stack.named(what)]);
        assert_eq!(address(stack, what), wanted[what], "{what}");
    }
}

#[test]
fn no_request_reaches_another_s_container_after_everything_was_started_in_another_order() {
    let stack = Stack::new(&Setup::default());
    let hosts = ["bb", "cc"].map(|word| (word, stack.host(word)));
    stack.proxy();
    for (what, host) in &hosts {
        stack.app(what, &[("host", host), ("tls", "off")]);
    }
    stack.quaymaster(&[]);
    let each_is_its_own = |what: &str| {
        for (app, host) in &hosts {
            wait(SOON, &format!("{what}: {host} is answered"), || {
                let seen = answered_by(&stack, host)?;
                let others = ALL.iter().filter(|other| *other != app);
                assert!(
                    others.into_iter().all(|other| seen != *other),
                    "{what}: {host} by {seen}"
                );
                is_so(seen == *app, || seen.clone())
            });
        }
    };
    each_is_its_own("first");
    stack.wait_for_rest();
    let site = format!("edge/quaymaster-{}.conf", hosts[0].1);
    assert!(
        stack
            .text(&site)
            .unwrap()
            .contains("/dev/shm/quaymaster-open-")
    );
    assert_eq!(log::count(&stack.log(), "gate-opened"), 1);

    // A reboot, by which two apps have each other's addresses, and nobody is there who could write other files.
    docker(&["stop", "--time", "60", &stack.named("quaymaster")]);
    let files = || stack.text(&site).unwrap();
    let (before, now) = (files(), ALL.map(|what| (what, address(&stack, what))));
    let now = BTreeMap::from(now);
    let crossed = BTreeMap::from([
        ("proxy", now["proxy"]),
        ("bb", now["cc"]),
        ("cc", now["bb"]),
    ]);
    start_at(&stack, &crossed);
    each_is_its_own("without quaymaster");
    assert_eq!(
        files(),
        before,
        "the file names the address that is another's now"
    );
    assert!(before.contains(&now["bb"].to_string()));

    // It mends the files, and then requests go by address again.
    docker(&["start", &stack.named("quaymaster")]);
    wait(SOON, "the gate is open again", || {
        let opened = log::count(&stack.log(), "gate-opened");
        is_so(opened == 2, || format!("{opened} times"))
    });
    each_is_its_own("with quaymaster");
    stack.wait_for_rest();
    assert_ne!(files(), before);

    // The proxy alone is started again: what its files say was right, and it takes no reload to say so.
    let hangups = stack.hangups();
    docker(&["restart", "--time", "0", &stack.named("proxy")]);
    each_is_its_own("after a start of the proxy");
    stack.wait_for_rest();
    assert_eq!(
        (stack.hangups(), log::count(&stack.log(), "gate-opened")),
        (hangups, 3)
    );
}

#[test]
fn a_site_whose_address_is_another_s_is_shut_while_the_user_s_own_configuration_is_broken() {
    let stack = Stack::new(&Setup::default());
    let [aa, bb] = ["aa", "bb"].map(|word| stack.host(word));
    stack.proxy();
    stack.app("bb", &[("host", &bb), ("tls", "off")]);
    stack.app("aa", &[("host", &aa), ("tls", "off")]);
    stack.quaymaster(&[]);
    let is_answered = |host: &str, by: &str| {
        wait(SOON, &format!("{host} is answered by {by}"), || {
            let seen = answered_by(&stack, host)?;
            is_so(seen == by, || seen.clone())
        });
    };
    is_answered(&aa, "aa");
    is_answered(&bb, "bb");
    stack.wait_for_rest();

    let own = "/etc/nginx/sites-enabled/own";
    let script = format!("echo 'broken on;' > {own}");
    docker(&["exec", &stack.named("proxy"), "sh", "-c", &script]);
    let theirs = address(&stack, "aa");
    docker(&["rm", "-f", &stack.named("aa")]);
    is_answered(&aa, "503");
    // Without a label, so that quaymaster knows nothing of it.
    stack.run("other", &["-e", "APP_NAME=other"], super::stack::ECHO, &[]);
    assert_eq!(address(&stack, "other"), theirs, "the lowest that is free");
    let complaint = stack.wait_for_event("complaint", "get 503");
    assert!(complaint.words.contains(&aa), "{}", complaint.words);
    stack.wait_for_rest();
    assert_eq!(answered_by(&stack, &aa), Ok("503".to_owned()));
    assert_eq!(answered_by(&stack, &bb), Ok("bb".to_owned()));
    let shut: BTreeSet<_> = stack.files("edge").into_keys().collect();
    assert!(shut.contains(&format!("closed/{aa}")), "{shut:?}");
    let explained = stack.command("state", &[], &["explain", &aa]);
    let words = String::from_utf8_lossy(&explained.stdout).into_owned();
    assert!(words.contains("get 503"), "{words}");

    // Mended, and back: it is open again.
    docker(&["exec", &stack.named("proxy"), "rm", own]);
    stack.app("aa", &[("host", &aa), ("tls", "off")]);
    is_answered(&aa, "aa");
    stack.wait_for_rest();
    let shut: BTreeSet<_> = stack.files("edge").into_keys().collect();
    assert!(
        !shut.iter().any(|path| path.starts_with("closed/")),
        "{shut:?}"
    );
    assert_eq!(answered_by(&stack, &aa), Ok("aa".to_owned()));
}
