//! The program under test as a process: its log is read as a machine reads it, and it ends when dropped.
#![expect(
    clippy::disallowed_methods,
    reason = "tests wait no longer than they say, in true time"
)]

use std::{
    fs::{self, File},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::OnceLock,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

/// For anything that is done at once, on a machine that is busy.
pub const SOON: Duration = Duration::from_secs(90);

/// The program under test: what `QUAYMASTER_TEST_BINARY` names, else what cargo built with the tests. `tests/run` names the
/// one of the images, which needs a fifth of the other's processor time.
pub fn binary() -> &'static str {
    static BINARY: OnceLock<String> = OnceLock::new();
    BINARY.get_or_init(|| {
        std::env::var("QUAYMASTER_TEST_BINARY")
            .unwrap_or_else(|_| env!("CARGO_BIN_EXE_quaymaster").to_owned())
    })
}

/// The program, running.
pub struct Program {
    child: Child,
    log: PathBuf,
}

impl Program {
    /// Starts it with its log, which must be JSON, in a file.
    pub fn start(mut command: Command, log: PathBuf) -> Self {
        let child = command
            .stderr(File::create(&log).unwrap())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, log }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) {
        kill(
            Pid::from_raw(i32::try_from(self.child.id()).unwrap()),
            signal,
        )
        .unwrap();
    }

    /// The log, each line as its event's name and its words. What is no JSON, such as a panic, is words without a name.
    pub fn told(&self) -> Vec<(String, String)> {
        let text = fs::read_to_string(&self.log).unwrap();
        let word = |line: &Value, key: &str| line[key].as_str().unwrap_or_default().to_owned();
        text.lines()
            .map(|line| match serde_json::from_str::<Value>(line) {
                Ok(line) => (word(&line, "event"), word(&line, "message")),
                Err(_) => (String::new(), line.to_owned()),
            })
            .collect()
    }

    /// Number of times that an event was reported.
    pub fn count(&self, event: &str) -> usize {
        self.told().iter().filter(|(name, _)| name == event).count()
    }

    /// Waits, while fakes on this thread go on.
    pub async fn until(&self, what: &str, is_so: impl FnMut() -> bool) {
        self.within(SOON, what, is_so).await;
    }

    pub async fn within(
        &self,
        limit: Duration,
        what: &str,
        mut is_so: impl FnMut() -> bool,
    ) -> Duration {
        let began = Instant::now();
        while !is_so() {
            assert!(
                began.elapsed() < limit,
                "{what}: not within {limit:?}; it told {:#?}",
                self.told()
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        began.elapsed()
    }

    /// True if it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits until it has ended, and tells how.
    pub async fn ended(&mut self) -> Option<i32> {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(
                began.elapsed() < SOON,
                "it goes on and on: {:#?}",
                self.told()
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
