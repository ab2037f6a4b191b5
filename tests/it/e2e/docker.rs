//! The docker command, and waiting for what it shows.

use std::{
    process::{Command, Output},
    thread,
    time::{Duration, Instant},
};

/// Between two looks: often enough to be quick, seldom enough to leave two cores to what is tested.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Runs it whatever comes of it.
pub fn run(words: &[&str]) -> Output {
    Command::new("docker")
        .args(words)
        .output()
        .expect("the docker command is there")
}

/// Its output, or its complaint.
pub fn try_docker(words: &[&str]) -> Result<String, String> {
    let Output {
        status,
        stdout,
        stderr,
    } = run(words);
    match status.success() {
        true => Ok(String::from_utf8_lossy(&stdout).trim().to_owned()),
        false => Err(format!(
            "docker {}: {}",
            words.join(" "),
            String::from_utf8_lossy(&stderr).trim()
        )),
    }
}

/// Its output; it must succeed.
pub fn docker(words: &[&str]) -> String {
    try_docker(words).unwrap_or_else(|problem| panic!("{problem}"))
}

/// Halts all processes of a container. Where they fork just then, the freezer of a busy machine may give up: it is asked
/// again.
pub fn pause(container: &str) {
    let asked_for = Duration::from_secs(120);
    wait(asked_for, "a container is paused", || {
        let paused = try_docker(&["pause", container]);
        match &paused {
            Err(problem) if !problem.contains("unable to freeze") => panic!("{problem}"),
            _ => paused,
        }
    });
}

/// Everything that a container has written.
pub fn logs(container: &str) -> String {
    let Output { stdout, stderr, .. } = run(&["logs", container]);
    String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned()
}

/// One field of an inspect.
pub fn field(container: &str, format: &str) -> String {
    docker(&["inspect", "--format", format, container])
}

/// Looks until `look` is content; after `within` the test fails with what was seen last.
#[track_caller]
pub fn wait<T>(within: Duration, what: &str, mut look: impl FnMut() -> Result<T, String>) -> T {
    let begun = Instant::now();
    loop {
        match look() {
            Ok(found) => return found,
            Err(seen) if begun.elapsed() > within => {
                panic!("{what}: not within {within:?}; last seen: {seen}")
            }
            Err(_) => thread::sleep(LOOK_EVERY),
        }
    }
}

/// Shorthand for [`wait`] on something that is so or not.
pub fn is_so(so: bool, seen: impl FnOnce() -> String) -> Result<(), String> {
    if so { Ok(()) } else { Err(seen()) }
}
