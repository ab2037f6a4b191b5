//! docker-pygen's command lines as Compose files have them, on the real engine.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Output, Stdio, id},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::real::{Made, Program, docker, make_image, started_at, wait};
use crate::support::program::binary;

/// A label that only containers of one test bear.
fn label(of: &str) -> String {
    format!("drop-in-{of}-{}", id())
}

/// A template on the command line itself that lists them.
fn listing(of: &str) -> String {
    let label = label(of);
    format!(
        "#{{% for c in containers if c.labels['{label}'] %}}{{{{ c.labels['{label}'] }}}} {{% endfor %}}"
    )
}

fn container(what: &str, options: &[&str]) -> Made {
    const UNTIL_TOLD: &str = "trap 'echo told' HUP; while :; do sleep 0.1; done";
    Made::new(what, options, UNTIL_TOLD)
}

fn told(reader: &Made) -> usize {
    let logs = docker(&["logs", &reader.0]);
    logs.lines().filter(|line| *line == "told").count()
}

/// The engine's address as docker-pygen's users write it, where it is the usual one.
fn address() -> String {
    std::env::var("DOCKER_HOST").unwrap_or_else(|_| "unix://var/run/docker.sock".to_owned())
}

fn start(folder: &Path, words: &[&str]) -> Child {
    let file = |name: &str| Stdio::from(fs::File::create(folder.join(name)).unwrap());
    Command::new(binary())
        .current_dir(folder)
        .args(words)
        .stdout(file("printed"))
        .stderr(file("log"))
        .spawn()
        .unwrap()
}

#[test]
fn a_command_line_of_docker_pygen_is_taken_whole_and_nothing_is_added_to_what_is_printed() {
    make_image();
    let own = label("once");
    let reader = container("once", &["--label", &format!("{own}=one")]);
    let words = [
        "--template",
        &listing("once"),
        "--one-shot",
        "--docker-address",
        &address(),
        "--signal",
        &reader.0,
        "HUP",
        "--interval",
        "1",
        "3",
        "--repeat",
        "5",
        "--events",
        "start",
        "stop",
        "--debug",
        "--no-ssl-check",
        "--metrics",
        "9413",
        "--workers",
        "tasks.pygen-worker",
        "--retries",
        "2",
    ];
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new(binary()).args(words).output().unwrap();
    let log = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(0), "{log}");
    assert_eq!(String::from_utf8(stdout).unwrap(), "one ");
    for line in [
        "INFO --events is not needed",
        "WARN --workers: containers of other nodes are not signalled yet",
        "INFO --retries is not needed",
    ] {
        assert!(log.contains(line), "{line}: {log}");
    }
    wait("what is printed counts as new", || told(&reader) == 1);
}

#[test]
fn without_one_shot_it_watches_and_without_a_target_it_prints_each_new_text() {
    make_image();
    let own = label("printed");
    let folder = tempfile::tempdir().unwrap();
    let printed = || fs::read_to_string(folder.path().join("printed")).unwrap();
    let first = container("printed", &["--label", &format!("{own}=one")]);
    let words = [
        "--signal",
        &first.0,
        "HUP",
        "--interval",
        "0",
        "--template",
        &listing("printed"),
    ];
    let mut program = Program(start(folder.path(), &words));
    wait("it is printed", || printed() == "one ");
    wait("who is meant is told", || told(&first) == 1);
    let second = container("printed-2", &["--label", &format!("{own}=two")]);
    wait("what is new is printed", || printed() == "one two one ");
    wait("who is meant is told again", || told(&first) == 2);
    drop(second);
    wait("what is new is printed", || printed() == "one two one one ");
    let pid = Pid::from_raw(i32::try_from(program.0.id()).unwrap());
    kill(pid, Signal::SIGTERM).unwrap();
    assert_eq!(program.0.wait().unwrap().code(), Some(0));
    assert_eq!(printed(), "one two one one ");
}

/// By what it says of itself in a label or a variable, by its Compose service, by a label of any kind, and by the beginning
/// of its id; what only begins as its name does is another one.
#[test]
fn targets_are_matched_as_docker_pygen_matched_them_but_for_short_beginnings_of_ids() {
    make_image();
    let own = label("target");
    let folder = tempfile::tempdir().unwrap();
    let readers = [
        (
            "pygen.target",
            container(
                "t-label",
                &["--label", &format!("pygen.target={own}-label")],
            ),
        ),
        (
            "PYGEN_TARGET",
            container("t-env", &["--env", &format!("PYGEN_TARGET={own}-env")]),
        ),
        (
            "the service",
            container(
                "t-service",
                &[
                    "--label",
                    &format!("com.docker.compose.service={own}-service"),
                ],
            ),
        ),
        (
            "a label",
            container("t-any", &["--label", &format!("{own}=yes")]),
        ),
        ("the id", container("t-id", &[])),
        ("nobody", container("t-none", &[])),
    ];
    let id = docker(&["inspect", "--format", "{{.Id}}", &readers[4].1.0]);
    let stranger = docker(&["inspect", "--format", "{{.Id}}", &readers[5].1.0]);
    let targets = [
        &format!("{own}-label"),
        &format!("{own}-env"),
        &format!("{own}-service"),
        &format!("label={own}=yes"),
        &id[..12],
        // docker-pygen would have told it.
        &stranger[..4],
    ];
    let mut words = vec!["--template", "#text", "--target", "out", "--one-shot"];
    for target in targets {
        words.extend(["--signal", target, "HUP"]);
    }
    let mut program = start(folder.path(), &words);
    assert_eq!(program.wait().unwrap().code(), Some(0));
    for (by, reader) in &readers[..5] {
        wait(by, || told(reader) == 1);
    }
    assert_eq!(
        told(&readers[5].1),
        0,
        "an id is meant by 12 characters of it"
    );
}

#[test]
fn a_file_is_kept_up_to_date_and_its_readers_are_told_and_restarted() {
    make_image();
    let own = label("file");
    let folder = tempfile::tempdir().unwrap();
    let out = || fs::read_to_string(folder.path().join("out")).unwrap_or_default();
    let reader = container("file", &["--label", &format!("{own}=one")]);
    let other = container("file-other", &[]);
    let first_start = started_at(&other);
    fs::write(folder.path().join("t.tmpl"), &listing("file")[1..]).unwrap();
    let words = [
        "--template",
        "t.tmpl",
        "--target",
        "out",
        "--signal",
        &reader.0,
        "HUP",
        "--restart",
        &other.0,
        "--interval",
        "0.1",
        "1",
        "--repeat",
        "1",
    ];
    let _program = Program(start(folder.path(), &words));
    wait("it is rendered at the start", || out() == "one ");
    wait("the reader is told", || told(&reader) == 1);
    wait("the other is restarted", || {
        started_at(&other) != first_start
    });
    let second = container("file-2", &["--label", &format!("{own}=two")]);
    wait("it follows", || out() == "two one ");
    wait("the reader is told again", || told(&reader) == 2);
    drop(second);
    wait("it follows", || out() == "one ");
}
