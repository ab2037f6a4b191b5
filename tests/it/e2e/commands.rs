//! The commands that people type when something is wrong: `explain`, `check`, `renew`, on the real stack.

use std::process::Output;

use serde_json::Value;

use super::{
    docker::{docker, field, is_so, run, wait},
    stack::{SOON, Setup, Stack},
};

/// A stack whose one site is served.
fn served() -> (Stack, String) {
    let stack = Stack::new(&Setup::default());
    let shop = stack.host("shop");
    stack.proxy();
    stack.app("shop", &[("host", &shop)]);
    stack.quaymaster(&[]);
    stack.wait_for_site(&shop);
    stack.wait_for_rest();
    (stack, shop)
}

/// A command in the daemon's container: its exit code and what it printed.
fn exec(stack: &Stack, words: &[&str]) -> (Option<i32>, String) {
    let name = stack.named("quaymaster");
    texts(&run(&[&["exec", &name, "/quaymaster"], words].concat()))
}

fn texts(Output { status, stdout, .. }: &Output) -> (Option<i32>, String) {
    (status.code(), String::from_utf8_lossy(stdout).into_owned())
}

fn serial(stack: &Stack, host: &str) -> String {
    stack.status()["certificates"][host]["held"]["serial"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

#[test]
fn a_name_is_explained_well_served_broken_and_unknown() {
    let (stack, shop) = served();
    let explain = |name: &str| {
        let (code, text) = exec(&stack, &["explain", name, "--format", "json"]);
        (code, serde_json::from_str::<Value>(&text).unwrap())
    };
    let (code, told) = explain(&shop);
    assert_eq!(
        (code, &told["well"], told["next"].as_array().map(Vec::len)),
        (Some(0), &Value::Bool(true), Some(0)),
        "{told}"
    );
    let says = |told: &Value, piece: &str| told["findings"].to_string().contains(piece);
    assert!(
        says(&told, &serial(&stack, &shop)) && says(&told, "listens at"),
        "{told}"
    );

    docker(&["stop", "-t", "1", &stack.named("proxy")]);
    let (code, told) = explain(&shop);
    assert_eq!(code, Some(3), "{told}");
    let first = told["next"][0].as_str().unwrap();
    assert!(
        first.contains(&format!("docker start {}", stack.named("proxy"))),
        "{told}"
    );

    let (code, told) = explain(&format!("x{shop}"));
    assert_eq!(code, Some(3), "{told}");
    assert!(
        told["next"][0]
            .as_str()
            .unwrap()
            .starts_with(&format!("did you mean {shop}?")),
        "{told}"
    );
    assert_eq!(exec(&stack, &["explain", "no name!"]).0, Some(2));
}

#[test]
fn the_set_up_is_checked_and_a_certificate_shown_and_nothing_changes() {
    let (stack, shop) = served();
    let (files, hangups, edge) = (stack.files("state"), stack.hangups(), stack.files("edge"));
    let (code, told) = exec(&stack, &["check"]);
    assert_eq!(code, Some(0), "{told}");
    for piece in [
        "POST /containers/{id}/kill`: allowed",
        "speaks ACME",
        "answers at",
        "everything that is needed is there",
        "those that listen: 1",
    ] {
        assert!(told.contains(piece), "{piece} is not in {told}");
    }
    let (code, told) = exec(&stack, &["info", &shop]);
    assert_eq!(code, Some(0), "{told}");
    for piece in [
        format!("given to    {}\n", stack.named("proxy")),
        format!("covers      {shop}\n"),
    ] {
        assert!(told.contains(&piece), "{piece} is not in {told}");
    }
    assert_eq!(
        (stack.files("state"), stack.hangups(), stack.files("edge")),
        (files, hangups, edge)
    );

    let told = stack.command("state", &["QUAYMASTER_CA=https://pebble:1/dir"], &["check"]);
    assert_eq!(texts(&told).0, Some(5), "{told:?}");
    let told = stack.command("state", &["DOCKER_HOST=tcp://127.0.0.1:1"], &["check"]);
    assert_eq!(texts(&told).0, Some(4), "{told:?}");

    let deaf = stack.host("deaf");
    stack.app("deaf", &[("host", &deaf), ("tls", "off"), ("port", "9999")]);
    stack.wait_for_event("site-seen", &deaf);
    let (code, told) = exec(&stack, &["check"]);
    let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(code == Some(3) && told.contains(":9999, so"), "{told}");
}

#[test]
fn a_renewal_is_done_by_the_daemon_or_without_one() {
    let (stack, shop) = served();
    let first = serial(&stack, &shop);
    let (code, told) = exec(&stack, &["renew"]);
    assert_eq!(
        (code, told.contains("not due before")),
        (Some(0), true),
        "{told}"
    );
    assert_eq!(stack.orders(), 1);

    let (code, told) = exec(&stack, &["renew", "--force", &shop]);
    assert_eq!(
        (code, told.contains("renewed, valid until")),
        (Some(0), true),
        "{told}"
    );
    wait(SOON, "the daemon tells of the new one", || {
        is_so(serial(&stack, &shop) != first, || first.clone())
    });
    stack.wait_for_rest();
    assert_eq!(
        (stack.orders(), exec(&stack, &["explain", &shop]).0),
        (2, Some(0))
    );
    assert!(
        stack
            .files("state")
            .keys()
            .all(|path| !path.starts_with("wishes/")),
        "a wish that was answered is gone"
    );

    // A rehearsal beside the daemon is an order that nothing comes of.
    let staging = [
        "QUAYMASTER_CA__TEST__DIRECTORY=https://pebble:14000/dir",
        "QUAYMASTER_CA__TEST__STAGING=test",
    ];
    let picture = || (serial(&stack, &shop), stack.hangups(), stack.files("edge"));
    let certificates = || {
        let files = stack.files("state").into_keys();
        let is_of_those = |path: &String| path.starts_with("certificates/");
        files.filter(is_of_those).collect::<Vec<_>>()
    };
    let before = (picture(), certificates());
    let told = stack.command("state", &staging, &["renew", "--dry-run", &shop]);
    let (code, told) = texts(&told);
    assert_eq!(
        (code, told.contains("it would be obtained")),
        (Some(0), true),
        "{told}"
    );
    assert_eq!(stack.orders(), 3, "it was asked for");
    assert_eq!((picture(), certificates()), before);
    let left = stack.files("state").into_keys();
    let left: Vec<_> = left.filter(|path| path.contains("rehearsal")).collect();
    assert_eq!(left, [""; 0]);
    let told = exec(&stack, &["renew", "--dry-run", &shop]);
    assert_eq!((told.0, stack.orders()), (Some(3), 3), "{told:?}");
    assert!(told.1.contains("name one by `staging`"), "{told:?}");

    // From elsewhere the daemon can't be told by a signal: it finds the wish by itself.
    let told = stack.command("state", &[], &["renew", "--force", &shop]);
    assert_eq!((texts(&told).0, stack.orders()), (Some(0), 4), "{told:?}");
    stack.wait_for_rest();

    // Nobody is there to ask: the command does it, and nothing else.
    docker(&["rm", "-f", &stack.named("quaymaster")]);
    let late = stack.host("late");
    stack.app("late", &[("host", &late)]);
    let told = stack.command("state", &[], &["renew", "--force", &shop]);
    assert_eq!(texts(&told).0, Some(0), "{told:?}");
    assert_eq!(stack.orders(), 5, "nobody has asked for {late}");
    assert_eq!(
        texts(&stack.command("state", &[], &["explain", &shop])).0,
        Some(0)
    );
}

#[test]
fn a_renewal_that_fails_tells_who_is_to_blame() {
    let (stack, shop) = served();
    let renew =
        |environment: &[&str], words: &[&str]| texts(&stack.command("state", environment, words));
    let (code, told) = exec(&stack, &["renew", "nobody.example"]);
    assert_eq!((code, told.as_str()), (Some(2), ""));
    assert_eq!(exec(&stack, &["renew", "--force"]).0, Some(2));
    docker(&["rm", "-f", &stack.named("quaymaster")]);
    assert_eq!(
        renew(
            &["QUAYMASTER_CA=https://pebble:1/dir"],
            &["renew", "--force", &shop]
        )
        .0,
        Some(5)
    );

    // Names lead to a place where nobody answers.
    let pebble = stack.named("pebble");
    let elsewhere = [
        "curl",
        "-s",
        "-d",
        r#"{"ip":"127.0.0.1"}"#,
        "http://127.0.0.1:8055/set-default-ipv4",
    ];
    docker(&[&["exec", &pebble], &elsewhere[..]].concat());
    let late = stack.host("late");
    stack.app("late", &[("host", &late)]);
    let (code, told) = renew(&[], &["renew", &late]);
    assert_eq!(
        (code, told.contains("could not validate")),
        (Some(6), true),
        "{told}"
    );
    assert_eq!(field(&stack.named("proxy"), "{{.State.Status}}"), "running");
}
