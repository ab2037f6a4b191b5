//! Things that quaymaster needs and does not have: agreement, an engine, a CA.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Command, Output, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{
    docker::{docker, is_so, wait},
    log,
    stack::{KNOBS, SOON, Setup, Stack},
};

use crate::support::program::binary;

#[test]
fn without_agreement_it_ends_with_exit_2_naming_the_terms() {
    let stack = Stack::new(&Setup::default());
    for command in ["watch", "once"] {
        let Output { status, stderr, .. } =
            stack.command("state", &["QUAYMASTER_AGREE_TOS=false"], &[command]);
        let told = String::from_utf8_lossy(&stderr);
        assert_eq!(status.code(), Some(2), "{told}");
        // Pebble's terms.
        assert!(
            told.contains("data:text/plain,Do%20what%20thou%20wilt"),
            "{told}"
        );
        assert!(
            told.contains("agree-tos") && told.trim().lines().count() == 1,
            "{told}"
        );
    }
    assert_eq!(stack.orders(), 0);
}

/// The binary on this host, with an engine that is not there.
fn without_engine(state: &std::path::Path, command: &str) -> Command {
    let mut words = Command::new(binary());
    words.args([
        command,
        "--engine",
        "unix:///nonexistent/docker.sock",
        "--agree-tos",
        "--log-format",
        "json",
    ]);
    words.arg("--state").arg(state);
    // What the caller of the tests sets is none of its business.
    std::env::vars_os()
        .filter(|(name, _)| name.to_string_lossy().starts_with("QUAYMASTER_"))
        .for_each(|(name, _)| {
            words.env_remove(name);
        });
    words
}

#[test]
fn an_engine_that_is_gone_ends_what_asks_once() {
    let state = tempfile::tempdir().unwrap();
    for command in ["plan", "once"] {
        let Output {
            status,
            stdout,
            stderr,
        } = without_engine(state.path(), command).output().unwrap();
        let told = String::from_utf8_lossy(&stderr);
        assert_eq!(status.code(), Some(4), "{told}");
        assert!(
            told.contains("/nonexistent/docker.sock") && told.trim().lines().count() == 1,
            "{told}"
        );
        assert!(stdout.is_empty());
    }
}

#[test]
fn an_engine_that_is_gone_is_waited_for_until_sigterm() {
    let state = tempfile::tempdir().unwrap();
    let mut daemon = without_engine(state.path(), "watch")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut told = String::new();
    let mut lines = BufReader::new(daemon.stderr.take().unwrap());
    while log::count(&log::lines(&told), "engine-lost") < 2 {
        let read = lines.read_line(&mut told).unwrap();
        assert_ne!(read, 0, "it ended, and told {told}");
    }
    kill(
        Pid::from_raw(i32::try_from(daemon.id()).unwrap()),
        Signal::SIGTERM,
    )
    .unwrap();
    lines.read_to_string(&mut told).unwrap();
    assert_eq!(daemon.wait().unwrap().code(), Some(0), "{told}");
}

#[test]
fn a_ca_that_can_not_be_reached() {
    let stack = Stack::new(&Setup::default());
    outlive_a_broken_ca(&stack, "https://pebble:1/dir", "pebble:1");
}

#[test]
fn a_ca_that_answers_html() {
    let stack = Stack::new(&Setup::default());
    // This server answers each request with a page of its own about itself.
    let server = "openssl s_server -accept 14443 -www -cert /var/lib/pebble/server.pem -key /var/lib/pebble/server.key";
    docker(&["exec", "-d", &stack.named("pebble"), "sh", "-c", server]);
    outlive_a_broken_ca(&stack, "https://pebble:14443/dir", "pebble:14443");
}

/// No certificate comes, everything else goes on, and nobody is asked more often than the record on disk lets.
fn outlive_a_broken_ca(stack: &Stack, ca: &str, named: &str) {
    let (shop, late) = (stack.host("shop"), stack.host("late"));
    stack.proxy();
    stack.app("shop", &[("host", &shop)]);
    stack.quaymaster(&[&format!("QUAYMASTER_CA={ca}")]);
    let failed = stack.wait_for_event("failed", &shop);
    assert!(failed.words.contains(named), "{}", failed.words);
    assert_eq!(stack.http(&shop, "/").unwrap().status, 503);

    stack.app("late", &[("host", &late)]);
    stack.wait_for_event("failed", &late);
    assert_eq!(stack.http(&late, "/").unwrap().status, 503);
    stack.wait_for_rest();
    // Without a certificate no site passes requests on, so that nothing goes through the gate.
    let told = 2 + KNOBS - 1;
    assert_eq!(stack.hangups(), told);
    let status = stack.status();
    let failures = status["failures"].as_array().unwrap();
    assert_eq!(failures.len(), 2, "{status}");
    assert!(
        failures
            .iter()
            .all(|failure| failure["problem"].as_str().unwrap().contains(named)),
        "{status}"
    );
    assert_eq!(
        status["complaints"].as_array().map(Vec::len),
        Some(0),
        "{status}"
    );

    let attempt = || -> serde_json::Value {
        serde_json::from_str(&stack.text(&format!("state/attempts/{shop}.json")).unwrap()).unwrap()
    };
    let before = attempt();
    assert_eq!(before["count"], 1, "{before}");
    let looks = || log::count(&stack.log(), "engine-seen");
    let before_it = looks();
    docker(&["restart", &stack.named("quaymaster")]);
    wait(SOON, "it works again", || {
        is_so(looks() > before_it, || format!("{} looks", looks()))
    });
    stack.wait_for_rest();
    assert_eq!(attempt(), before, "a restart is no reason to ask again");
    assert_eq!(
        (log::count(&stack.log(), "failed"), stack.hangups()),
        (2, told)
    );

    // Another CA is another question.
    docker(&["rm", "-f", &stack.named("quaymaster")]);
    stack.quaymaster(&[]);
    stack.wait_for_site(&shop);
    stack.wait_for_site(&late);
    stack.wait_for_rest();
    assert_eq!(stack.status()["failures"].as_array().map(Vec::len), Some(0));
}
