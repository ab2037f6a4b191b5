//! `quaymaster plan --from`: a plan from what `docker inspect` printed, with no engine at all.
#![expect(clippy::disallowed_methods, reason = "tests start the program")]
#![expect(
    clippy::unwrap_used,
    reason = "a test ends where something is wrong, in its helpers, too"
)]

use std::{
    fs,
    io::Write,
    path::Path,
    process::{Command, Output, Stdio},
};

use crate::support::program::binary;

/// Printed by Docker Engine 20.10 for a container `q` with two volumes, an nginx, an app, and one that exposes nothing.
const RECORDED: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/recorded/plan/inspect-20.10.json"
);

/// Runs it on an engine that is not there and a state folder that is not there, and looks that it made none.
fn plan(words: &[&str], input: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let mut child = Command::new(binary())
        .args(["plan", "--engine", "nonsense", "--state"])
        .arg(&state)
        .args(words)
        .env_clear()
        // A public CA would not be asked for names under `.example`.
        .env("QUAYMASTER_CA", "https://ca.internal/directory")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(!state.exists(), "a plan touches nothing");
    output
}

fn texts(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

/// The gate, what goes through it, and what is written for names that nobody has are tried only where it can be seen whether the proxy takes it.
fn expected(edge: &str, is_seen: bool) -> String {
    let tried = |file: &str| {
        format!("write quaymaster-{file}.conf --into {edge}\nsignal proxy HUP\nprove proxy\n")
    };
    let [tries, gated] = match is_seen {
        true => [
            tried("-gate")
                + "open-gate proxy\n"
                + &tried("-unknown-http")
                + &tried("-unknown-https"),
            tried("shop.example"),
        ],
        false => [String::new(), String::new()],
    };
    format!(
        "# proxy: configuration changed\n\
         write quaymaster--base.conf --into {edge}\n\
         signal proxy HUP\n\
         prove proxy\n\
         {tries}\n\
         # shop.example: configuration changed, then missing, then certificate changed\n\
         write quaymaster-shop.example.conf --into {edge}\n\
         signal proxy HUP\n\
         prove proxy\n\
         obtain shop.example --challenge http-01 --webroot {edge}/challenge\n\
         deliver shop.example --into {edge}/certificates\n\
         write quaymaster-shop.example.conf --into {edge}\n\
         signal proxy HUP\n\
         prove proxy\n\
         {gated}"
    )
}

#[test]
fn a_file_tells_what_a_fresh_install_would_do() {
    let (code, out, told) = texts(&plan(&["--from", RECORDED, "--self", "q"], ""));
    assert_eq!((code, out), (Some(3), expected("/edge", false)));
    assert!(
        told.contains("container lost, label quaymaster.port: it exposes no TCP port"),
        "{told}"
    );
}

#[test]
fn what_is_wrong_with_a_template_is_told_once() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("notes.txt"), "mine").unwrap();
    let templates = folder.path().to_str().unwrap();
    let (code, _, told) = texts(&plan(
        &["--from", RECORDED, "--self", "q", "--templates", templates],
        "",
    ));
    assert_eq!(
        (
            code,
            told.matches("template notes.txt does nothing").count()
        ),
        (Some(3), 1),
        "{told}"
    );
}

#[test]
fn a_public_ca_is_not_asked_for_a_name_that_it_refuses() {
    let (code, out, told) = texts(&plan(
        &["--from", RECORDED, "--self", "q", "--ca", "letsencrypt"],
        "",
    ));
    assert!(code == Some(3) && !out.contains("obtain"), "{out}");
    assert!(
        told.contains("no public CA issues a certificate for shop.example"),
        "{told}"
    );
}

#[test]
fn without_self_it_is_the_host_that_was_recorded() {
    let (code, out, _) = texts(&plan(&["--from", RECORDED], ""));
    assert_eq!(
        (code, out),
        (
            Some(3),
            expected("/var/lib/docker/volumes/edge/_data", true)
        )
    );
}

#[test]
fn a_recorded_proxy_tells_what_a_signal_would_cost_it_where_quaymaster_is_to_run() {
    let recorded = fs::read_to_string(Path::new(RECORDED)).unwrap();
    let policy = "\"RestartPolicy\": {\n    \"Name\": \"no\"";
    let input = recorded.replace(policy, &policy.replace("no\"", "unless-stopped\""));
    assert_ne!(input, recorded);
    let lost = "container proxy, label quaymaster.kind=\"nginx\": after the signal HUP Docker does not start this container again";
    let (_, out, told) = texts(&plan(&["--from", "-", "--self", "q"], &input));
    assert!(
        told.contains(lost) && told.contains("`restart: always`"),
        "{told}"
    );
    assert_eq!(out, expected("/edge", false));
    // On the host itself the signal goes straight to the process.
    let (_, _, told) = texts(&plan(&["--from", "-"], &input));
    assert!(!told.contains("restart: always"), "{told}");
}

#[test]
fn standard_input_is_a_file_too_and_one_bad_container_is_left_out() {
    let recorded = fs::read_to_string(Path::new(RECORDED)).unwrap();
    let input = recorded.replacen(
        '[',
        r#"[{"Id": "1", "Name": "/odd", "Config": {"Labels": ["secret"]}}, "#,
        1,
    );
    let (code, out, told) = texts(&plan(
        &["--from", "-", "--self", "q", "--format", "json"],
        &input,
    ));
    let document: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (code, document["command_plans"].as_array().unwrap().len()),
        (Some(3), 2)
    );
    assert!(
        told.contains("left out") && told.contains("/odd") && !told.contains("secret"),
        "{told}"
    );
}

#[test]
fn what_can_not_be_used_is_told() {
    for (words, input, problem) in [
        (
            &["--from", "-"][..],
            "<html>",
            "standard input can't be understood",
        ),
        (&["--from", "/no/such/file"], "", "can't read /no/such/file"),
        (
            &["--from", "-", "--self", "nobody"],
            "[]",
            r#"has no container "nobody", as `self` says"#,
        ),
    ] {
        let (code, _, told) = texts(&plan(words, input));
        assert_eq!(code, Some(2));
        assert!(told.contains(problem), "{told}");
    }
}
