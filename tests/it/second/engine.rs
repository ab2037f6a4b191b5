//! A dockerd with network, mounts and processes of its own, gone with everything in it when dropped, and also when this
//! process is killed: its first process ends with its input, and the kernel ends the others with that one.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::unistd::Uid;
use tempfile::TempDir;

/// The image in it.
pub const NGINX: &str = "quaymaster-example-nginx";

/// A dockerd is there after less than a second on an idle machine.
const STARTS_WITHIN: Duration = Duration::from_secs(60);

/// The first process: starts and signals the engine as it is told, line by line, and says when that is done. A kill is
/// done when the engine is gone.
const KEEPER: &str = r#"
while read -r word; do
    case $word in
    start) dockerd "$@" >>"$LOG" 2>&1 & engine=$! ;;
    KILL | TERM) kill -s "$word" "$engine"; wait "$engine" ;;
    *) kill -s "$word" "$engine" ;;
    esac
    echo "$word"
done"#;

/// A running, killed or frozen engine.
pub struct Engine {
    folder: TempDir,
    keeper: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Engine {
    /// Starts one with the image of nginx in it, and nothing else.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same, with further words for its dockerd.
    pub fn start_with(options: &[&str]) -> Self {
        assert!(
            Uid::effective().is_root(),
            "a second dockerd needs root: run tests/run as root"
        );
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        // What this machine's engine is configured with is not for this one.
        fs::write(folder.path().join("daemon.json"), "{}").unwrap();
        let mut keeper = Command::new("unshare")
            .args([
                "--net",
                "--mount",
                "--pid",
                "--fork",
                "--kill-child",
                "--mount-proc",
                "bash",
                "-c",
                KEEPER,
                "keeper",
            ])
            .args([
                "--config-file",
                &at("daemon.json"),
                "--data-root",
                &at("data"),
                "--exec-root",
                &at("exec"),
            ])
            .args([
                "--pidfile",
                &at("pid"),
                "--host",
                &format!("unix://{}", at("docker.sock")),
            ])
            // Not the addresses of this machine's engine, whose containers could be taken for these.
            .args([
                "--iptables=false",
                "--ip6tables=false",
                "--bip",
                "10.213.7.1/24",
            ])
            .args(options)
            .env("LOG", at("dockerd.log"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(folder.path().join("keeper.log")).unwrap())
            .spawn()
            .unwrap();
        let input = keeper.stdin.take();
        let output = BufReader::new(keeper.stdout.take().unwrap());
        let mut engine = Self {
            folder,
            keeper,
            input,
            output,
        };
        engine.begin();
        engine.load();
        engine
    }

    /// Starts the dockerd that was ended, and waits until it answers.
    pub fn begin(&mut self) {
        self.tell("start");
        let began = Instant::now();
        while !self.run(&["version"]).status.success() {
            assert!(
                began.elapsed() < STARTS_WITHIN,
                "no second dockerd: {}",
                self.log()
            );
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends it at once; its containers run on until the next one takes them over.
    pub fn kill(&mut self) {
        self.tell("KILL");
    }

    /// Ends it as a restart does; it ends its containers first.
    pub fn end(&mut self) {
        self.tell("TERM");
    }

    pub fn freeze(&mut self) {
        self.tell("STOP");
    }

    pub fn thaw(&mut self) {
        self.tell("CONT");
    }

    fn tell(&mut self, word: &str) {
        let mut said = String::new();
        writeln!(self.input.as_mut().unwrap(), "{word}").unwrap();
        self.output.read_line(&mut said).unwrap();
        assert_eq!(said.trim_end(), word, "{}", self.log());
    }

    fn load(&self) {
        let mut save = Command::new("docker")
            .args(["save", NGINX])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let loaded = self
            .command()
            .arg("load")
            .stdin(save.stdout.take().unwrap())
            .output()
            .unwrap();
        assert!(
            save.wait().unwrap().success(),
            "is the image {NGINX} there? tests/run, or compose/images/build, makes it"
        );
        assert!(
            loaded.status.success(),
            "{}",
            String::from_utf8_lossy(&loaded.stderr)
        );
    }

    /// Its socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("docker.sock")
    }

    /// A folder that is gone with it.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The docker command for this engine.
    pub fn command(&self) -> Command {
        let mut command = Command::new("docker");
        command
            .env("DOCKER_HOST", format!("unix://{}", self.socket().display()))
            .stdin(Stdio::null());
        command
    }

    fn run(&self, words: &[&str]) -> Output {
        self.command().args(words).output().unwrap()
    }

    /// The output of the docker command; it must succeed.
    pub fn docker(&self, words: &[&str]) -> String {
        let Output {
            status,
            stdout,
            stderr,
        } = self.run(words);
        assert!(
            status.success(),
            "docker {words:?}: {}{}",
            String::from_utf8_lossy(&stderr),
            self.log()
        );
        String::from_utf8(stdout).unwrap().trim().to_owned()
    }

    /// The process whose network it has.
    pub fn id(&self) -> u32 {
        self.keeper.id()
    }

    /// A command on this engine's network, where its containers can be reached.
    pub fn beside(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args([
            "--target",
            &self.keeper.id().to_string(),
            "--net",
            "--",
            program,
        ]);
        command
    }

    /// The end of what the engine says about itself.
    fn log(&self) -> String {
        let log = fs::read_to_string(self.folder.path().join("dockerd.log")).unwrap_or_default();
        let keeper = fs::read_to_string(self.folder.path().join("keeper.log")).unwrap_or_default();
        let lines: Vec<_> = log.lines().chain(keeper.lines()).collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // Without input the keeper ends; `unshare` ends with it, when everything is gone.
        drop(self.input.take());
        let _ = self.keeper.wait();
    }
}
