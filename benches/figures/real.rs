//! On the engine of this machine, with containers whose names begin with `quaymaster-bench-`. The engine says when an app
//! started, and the log of the proxy when it got the signal, of which the engine may not know: a program on the host signals
//! the process itself.

use std::{
    fs::{self, File},
    process::{Child, Command, Stdio, id},
    thread,
    time::Duration,
};

use tempfile::TempDir;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{floor::Floor, median, resident, table::Table};

/// One takes between 12 and 26 ms, so that the median of few would say little.
const ROUNDS: usize = 21;
const SOCKET: &str = "/var/run/docker.sock";
const NGINX: &str = "quaymaster-example-nginx";
/// An nginx that tells of each signal: by default it writes of errors alone.
const TELLING: &[&str] = &["nginx", "-g", "daemon off; error_log /dev/stderr notice;"];
/// An app that is never asked for anything.
const SLEEP: &[&str] = &["--init", "--entrypoint", "sleep"];

/// Measures at each number of containers.
pub fn measure(table: &mut Table) {
    for (number, allowance) in [(2, 6.0), (100, 10.0)] {
        let stage = Stage::new(number);
        let (ours, floor) = stage.rounds();
        table.beside(
            format!("start to HUP, {number} containers, real engine"),
            "ms",
            ours,
            floor,
            allowance,
        );
        if number == 100 {
            table.figure(
                "resident memory, 100 real containers",
                "MiB",
                resident(stage.program.id()),
                12.0,
            );
        }
    }
}

/// Containers and the program, gone when this is dropped.
struct Stage {
    name: String,
    program: Child,
    _floor: Floor,
    _containers: Containers,
    _folder: TempDir,
}

impl Stage {
    /// A proxy and `number - 1` containers that are served; and for the floor, one of each.
    fn new(number: usize) -> Self {
        let name = format!("quaymaster-bench-{}-{number}", id());
        let containers = Containers(name.clone());
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("conf.d");
        fs::create_dir(&config).unwrap();
        let mount = format!("{}:/etc/nginx/conf.d:ro", config.display());
        run(
            &name,
            "proxy",
            &["-v", &mount, "--label", &format!("{name}.kind=nginx")],
            NGINX,
            TELLING,
        );
        run(&name, "floor-proxy", &[], NGINX, TELLING);
        run(&name, "floor-app", SLEEP, NGINX, &["infinity"]);
        for app in 1..number {
            let labels = [
                ("host", format!("app{app}.example")),
                ("port", "80".into()),
                ("ca", "self-signed".into()),
            ];
            let mut options: Vec<_> = SLEEP.iter().map(|word| (*word).to_owned()).collect();
            for (key, value) in labels {
                options.extend(["--label".to_owned(), format!("{name}.{key}={value}")]);
            }
            let options: Vec<_> = options.iter().map(String::as_str).collect();
            run(&name, &format!("app{app}"), &options, NGINX, &["infinity"]);
        }
        let program = program(&name, &folder);
        let mut floor = Floor::start(
            SOCKET.as_ref(),
            &format!("{name}-floor-app"),
            &format!("{name}-floor-proxy"),
        );
        floor.subscribed();
        let stage = Self {
            name,
            program,
            _floor: floor,
            _containers: containers,
            _folder: folder,
        };
        stage.rest();
        stage
    }

    /// The medians of ours and of the floor, in milliseconds.
    fn rounds(&self) -> (f64, f64) {
        let rounds: Vec<_> = (0..ROUNDS)
            .map(|_| {
                (
                    self.start("app1", "proxy"),
                    self.start("floor-app", "floor-proxy"),
                )
            })
            .collect();
        let (ours, floor) = rounds.into_iter().unzip();
        (median(ours), median(floor))
    }

    /// The milliseconds from a start of this app to the signal that this proxy got of it.
    fn start(&self, app: &str, proxy: &str) -> f64 {
        let (app, proxy) = (
            format!("{}-{app}", self.name),
            format!("{}-{proxy}", self.name),
        );
        docker(&["kill", &app]);
        self.rest();
        docker(&["start", &app]);
        self.rest();
        let started = started_at(&app);
        let signal = signals(&proxy).into_iter().find(|at| *at > started);
        let signal = signal.unwrap_or_else(|| panic!("{proxy} got no signal of {app}'s start"));
        (signal - started) as f64 / 1e6
    }

    /// Waits until some time has passed in which the program told nothing.
    fn rest(&self) {
        let log = self._folder.path().join("log");
        let length = || fs::metadata(&log).unwrap().len();
        let mut before = 0;
        while length() != before {
            before = length();
            thread::sleep(Duration::from_millis(700));
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

/// Removes the containers whose names begin like this.
struct Containers(String);

impl Drop for Containers {
    fn drop(&mut self) {
        let filter = format!("name={}-", self.0);
        let listed = Command::new("docker")
            .args(["ps", "-aq", "--filter", &filter])
            .output()
            .unwrap();
        let ids = String::from_utf8(listed.stdout).unwrap();
        let removed = Command::new("docker")
            .args(["rm", "-fv"])
            .args(ids.split_whitespace())
            .output();
        if !removed.is_ok_and(|output| output.status.success()) {
            println!("containers {}-… could not be removed", self.0);
        }
    }
}

/// The program, on the host itself, with its log in the folder.
fn program(name: &str, folder: &TempDir) -> Child {
    let log = File::create(folder.path().join("log")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_quaymaster"));
    command
        .env_clear()
        // As in the image.
        .env("MIMALLOC_PURGE_DELAY", "0")
        .args(["watch", "--agree-tos", "--label-prefix", name, "--state"])
        .arg(folder.path().join("state"));
    command.stdout(Stdio::null()).stderr(log).spawn().unwrap()
}

fn run(name: &str, what: &str, options: &[&str], image: &str, command: &[&str]) {
    let whole = format!("{name}-{what}");
    docker(&[&["run", "-d", "--name", &whole], options, &[image], command].concat());
}

fn docker(words: &[&str]) -> String {
    let output = Command::new("docker").args(words).output().unwrap();
    assert!(
        output.status.success(),
        "docker {words:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// The times at which this proxy says it got the signal to reload, in nanoseconds since 1970.
fn signals(proxy: &str) -> Vec<i128> {
    let output = Command::new("docker")
        .args(["logs", "--timestamps", proxy])
        .output()
        .unwrap();
    let log = String::from_utf8(output.stderr).unwrap();
    let lines = log
        .lines()
        .filter(|line| line.contains("signal 1 (SIGHUP) received"));
    lines
        .map(|line| nanoseconds(line.split(' ').next().unwrap()))
        .collect()
}

/// The time of the last start of this container, in nanoseconds since 1970.
fn started_at(app: &str) -> i128 {
    let format = "--format={{.State.StartedAt}}";
    nanoseconds(docker(&["inspect", format, app]).trim())
}

fn nanoseconds(time: &str) -> i128 {
    let time = OffsetDateTime::parse(time, &Rfc3339).unwrap();
    time.unix_timestamp_nanos()
}
