//! On the real engine: containers come and go, a file follows, and who reads it is told once.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Output, Stdio, id},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::support::program::binary;

/// As in `tests/engine`: a shell and `sleep` of this machine with what they are linked to.
pub const IMAGE: &str = "quaymaster-test-engine:1";
const SOON: Duration = Duration::from_secs(90);

pub fn docker(words: &[&str]) -> String {
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new("docker").args(words).output().unwrap();
    assert!(
        status.success(),
        "docker {words:?}: {}",
        String::from_utf8_lossy(&stderr)
    );
    String::from_utf8(stdout).unwrap().trim().to_owned()
}

pub fn make_image() {
    if docker(&["images", "-q", IMAGE]).is_empty() {
        let script = format!(
            "set -e; set -- /bin/sh /bin/sleep; libs=$(ldd \"$@\" | grep -o '/[^ ]*' | grep -v : | sort -u); \
             tar -chf - \"$@\" $libs | docker import - {IMAGE}"
        );
        assert!(
            Command::new("sh")
                .args(["-c", &script])
                .status()
                .unwrap()
                .success()
        );
    }
}

/// A container that goes when the test ends, however it ends.
pub struct Made(pub String);

impl Made {
    pub fn new(what: &str, options: &[&str], script: &str) -> Self {
        Self::of(what, options, &[IMAGE, "/bin/sh", "-c", script])
    }

    /// Of an image, with the words to run in it.
    pub fn of(what: &str, options: &[&str], image: &[&str]) -> Self {
        let name = format!("quaymaster-test-render-{}-{what}", id());
        let words = [
            "run",
            "--detach",
            "--name",
            &name,
            "--stop-timeout",
            "0",
            "--network",
            "none",
        ];
        docker(&[&words, options, image].concat());
        Self(name)
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        let _ = Command::new("docker")
            .args(["rm", "--force", &self.0])
            .output();
    }
}

/// The program, which ends with the test.
pub struct Program(pub Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[track_caller]
pub fn wait(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < SOON, "{what}: not within {SOON:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

pub fn started_at(container: &Made) -> String {
    docker(&["inspect", "--format", "{{.State.StartedAt}}", &container.0])
}

/// A template that lists the containers of this test by a label, with a variable of each.
fn template(head: &str) -> String {
    let label = format!("'render-test-{}'", id());
    format!(
        "{head}\n{{{{ c }}}}{{% for c in containers %}}\n{{% if c.labels[{label}] %}}\n{{{{ c.labels[{label}] }}}} {{{{ c.env.PORT }}}}\n\
         {{% endif %}}\n{{% endfor %}}\n"
    )
}

fn start(folder: &Path, reader: &Made, other: &Made) -> Program {
    let child = Command::new(binary())
        .current_dir(folder)
        .args([
            "render",
            "--template",
            "t.tmpl",
            "--target",
            "out",
            "--watch",
            "--interval",
            "0",
            "0.5",
        ])
        .args(["--signal", &reader.0, "HUP", "--restart", &other.0])
        .stderr(Stdio::from(fs::File::create(folder.join("log")).unwrap()))
        .spawn();
    Program(child.unwrap())
}

#[test]
fn a_file_follows_the_containers_and_who_reads_it_is_told() {
    make_image();
    let folder = tempfile::tempdir().unwrap();
    let label = |word: &str| format!("render-test-{}={word}", id());
    fs::write(folder.path().join("t.tmpl"), template("# one")).unwrap();
    let loop_until_told = "trap 'echo told' HUP; while :; do sleep 0.1; done";
    let reader = Made::new(
        "reader",
        &["--label", &label("reader"), "--env", "PORT=80"],
        loop_until_told,
    );
    let other = Made::new("other", &[], "while :; do sleep 0.1; done");
    let (out, told) = (
        || fs::read_to_string(folder.path().join("out")).unwrap_or_default(),
        || {
            docker(&["logs", &reader.0])
                .lines()
                .filter(|line| *line == "told")
                .count()
        },
    );
    let first_start = started_at(&other);
    let mut program = start(folder.path(), &reader, &other);

    wait("it is rendered at the start", || {
        out() == "# one\nreader 80\n"
    });
    wait("the reader is told", || told() == 1);
    wait("the other is restarted", || {
        started_at(&other) != first_start
    });

    let app = Made::new(
        "app",
        &["--label", &label("app"), "--env", "PORT=8080"],
        "while :; do sleep 0.1; done",
    );
    wait("a new container is in it", || {
        out() == "# one\napp 8080\nreader 80\n"
    });
    wait("the reader is told", || told() == 2);

    // Something that changes no bytes: nobody is told. A broken template keeps what is there.
    drop(Made::new("stranger", &[], "exit 0"));
    fs::write(folder.path().join("t.tmpl"), "{{ nosuch() }}").unwrap();
    let log = || fs::read_to_string(folder.path().join("log")).unwrap();
    wait("it is told", || {
        log().contains("template t.tmpl, line 1: unknown function")
    });
    assert_eq!(
        (out().as_str(), told()),
        ("# one\napp 8080\nreader 80\n", 2)
    );

    fs::write(folder.path().join("t.tmpl"), template("# two")).unwrap();
    wait("the template is read again", || {
        out() == "# two\napp 8080\nreader 80\n"
    });
    drop(app);
    wait("a container that is gone is not in it", || {
        out() == "# two\nreader 80\n"
    });

    fs::remove_file(folder.path().join("out")).unwrap();
    let pid = Pid::from_raw(i32::try_from(program.0.id()).unwrap());
    kill(pid, Signal::SIGHUP).unwrap();
    wait("SIGHUP renders again", || out() == "# two\nreader 80\n");
    assert_eq!(
        log().matches("there is no c,").count(),
        1,
        "a name that is not there is told once: {}",
        log()
    );
    kill(pid, Signal::SIGTERM).unwrap();
    assert_eq!(program.0.wait().unwrap().code(), Some(0));
}
