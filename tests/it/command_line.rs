//! What the command line says about itself: completions that shells take, pages of the manual, tables.
#![expect(
    clippy::disallowed_methods,
    reason = "the program and the shells are started as users start them"
)]
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::{
    fs,
    io::Write,
    process::{Command, Output, Stdio},
};

use serde_json::json;

use crate::support::program::{Program, binary};

fn quaymaster(words: &[&str]) -> Output {
    Command::new(binary())
        .env_clear()
        .args(words)
        .output()
        .unwrap()
}

fn printed(words: &[&str]) -> String {
    let Output {
        status,
        stdout,
        stderr,
    } = quaymaster(words);
    assert!(
        status.success(),
        "{words:?}: {}",
        String::from_utf8_lossy(&stderr)
    );
    String::from_utf8(stdout).unwrap()
}

/// What bash makes of a command line whose last word was begun.
fn completed(words: &[&str]) -> String {
    let (line, last, count) = (words.join(" "), words.last().unwrap(), words.len());
    let script = printed(&["completions", "bash"])
        + &format!(
            "COMP_WORDS=(quaymaster {line}); COMP_CWORD={count}; _quaymaster quaymaster {last} x; \
             echo \"${{COMPREPLY[@]}}\""
        );
    let mut bash = Command::new("bash")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    bash.stdin
        .take()
        .unwrap()
        .write_all(script.as_bytes())
        .unwrap();
    String::from_utf8(bash.wait_with_output().unwrap().stdout)
        .unwrap()
        .trim()
        .to_owned()
}

#[test]
fn bash_takes_the_completions_and_completes() {
    assert_eq!(completed(&["expl"]), "explain");
    for (shell, word) in [
        ("zsh", "#compdef quaymaster"),
        ("fish", "complete -c quaymaster"),
    ] {
        assert!(printed(&["completions", shell]).contains(word), "{shell}");
    }
    assert_eq!(quaymaster(&["completions", "csh"]).status.code(), Some(2));
}

#[test]
fn a_built_in_template_is_printed_byte_by_byte_and_completed() {
    let table: serde_json::Value =
        serde_json::from_str(&printed(&["reference", "templates", "--format", "json"])).unwrap();
    let names: Vec<_> = table["templates"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["template"].as_str().unwrap())
        .collect();
    assert!(
        names.contains(&"nginx/site.conf") && names.contains(&"command-plan.txt"),
        "{names:?}"
    );
    for name in names {
        let path = format!("{}/templates/{name}", env!("CARGO_MANIFEST_DIR"));
        assert_eq!(
            printed(&["reference", name]),
            fs::read_to_string(path).unwrap(),
            "{name}"
        );
    }
    assert_eq!(completed(&["reference", "nginx/si"]), "nginx/site.conf");
    assert!(printed(&["man", "reference"]).contains("nginx/site.conf"));
    let refused = quaymaster(&["reference", "nginx/site.conf", "--format", "json"]);
    assert_eq!((refused.status.code(), refused.stdout.len()), (Some(2), 0));
}

#[test]
fn the_manual_has_a_page_for_all_and_one_for_each_command() {
    let page = printed(&["man"]);
    assert!(
        page.contains(".TH quaymaster") && page.contains("explain"),
        "{page}"
    );
    let page = printed(&["man", "renew"]);
    assert!(
        page.contains(".TH quaymaster\\-renew") || page.contains(".TH quaymaster-renew"),
        "{page}"
    );
    assert!(page.contains("Examples:"), "{page}");
    assert_eq!(quaymaster(&["man", "nothing"]).status.code(), Some(2));
}

#[test]
fn every_command_shows_its_examples() {
    for name in [
        "watch",
        "once",
        "plan",
        "render",
        "status",
        "explain",
        "health",
        "check",
        "renew",
        "release",
        "forget",
        "reference",
        "completions",
        "man",
    ] {
        assert!(printed(&[name, "--help"]).contains("Examples:"), "{name}");
    }
}

#[test]
fn tables_are_printed_one_or_all_in_each_format() {
    let json: serde_json::Value =
        serde_json::from_str(&printed(&["reference", "--format", "json"])).unwrap();
    let names: Vec<_> = json.as_object().unwrap().keys().cloned().collect();
    assert_eq!(
        names,
        [
            "ca-settings",
            "cas",
            "commands",
            "exits",
            "filters",
            "kinds",
            "labels",
            "settings",
            "templates",
            "view"
        ]
    );
    assert!(
        json["exits"]
            .as_array()
            .unwrap()
            .iter()
            .any(|row| row["exit"] == "6")
    );
    assert!(
        printed(&["reference", "labels", "--format", "markdown"])
            .starts_with("## Labels\n\n| label |")
    );
    assert!(printed(&["reference", "exits"]).starts_with("EXIT CODES\n"));
    assert_eq!(quaymaster(&["reference", "nothing"]).status.code(), Some(2));
}

#[tokio::test(flavor = "current_thread")]
async fn a_line_of_the_log_as_json_has_the_fields_of_its_event() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let mut command = Command::new(binary());
    command
        .env_clear()
        .args(["watch", "--log-format=json"])
        .arg("--engine=unix:///nonexistent/docker.sock")
        .arg(format!("--state={}", folder.path().display()));
    let program = Program::start(command, log.clone());
    program
        .until("it is told", || program.count("engine-lost") > 0)
        .await;
    let text = fs::read_to_string(log).unwrap();
    let line: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!(line["level"], "ERROR");
    assert!(line["timestamp"].is_string(), "{line}");
    let problem = line["fields"]["problem"].as_str().unwrap();
    assert_eq!(
        line["fields"],
        json!({"problem": problem, "again_in": 0.8}),
        "{line}"
    );
    assert_eq!(
        line["message"],
        format!("{problem}; everything stays as it is, trying again in 800.0ms")
    );
}
