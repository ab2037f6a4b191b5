//! The program, run in a world, and spoilt.

use std::{fs, process::Command};

use super::{engine::Cut, spoil::MAKING, world::World};
use crate::support::program::{Program, binary};

/// The damage to the program, and the call at which it happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spoil {
    /// It is killed before a call to the system, named as strace names it on x86-64.
    Kill(&'static str),
    /// It is killed when the engine has its word to signal the proxy. Either the signal arrives, or the engine ended, too.
    Signal { arrives: bool },
    /// A call to the system fails.
    Fail(&'static str, Fault),
}

/// Which call of a name is spoilt.
#[derive(Clone, Debug)]
pub struct Aim {
    /// From 1 on.
    pub number: u32,
    /// Only calls at this path, below the folder of the world, are counted; else all.
    pub path: Option<String>,
}

impl Aim {
    /// That one of all.
    pub fn at(number: u32) -> Self {
        Self { number, path: None }
    }

    /// One that is so far from it, where it is one of all.
    pub fn near(&self, off: i32) -> Self {
        match self.path {
            Some(_) => self.clone(),
            None => Self::at(self.number.saturating_add_signed(off).max(1)),
        }
    }
}

/// Strace's words for a process that was killed: by strace, or by itself, where a library takes a fault of the disk for
/// the end.
const KILLED: &str = "+++ killed by SIG";

/// Strace stops the program at no other calls, which is cheaper. Its 6.1 kills nobody so.
const ONLY_THESE: &str = "--seccomp-bpf";

/// A fault of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Full,
    Broken,
}

impl Fault {
    pub const BOTH: [Self; 2] = [Self::Full, Self::Broken];

    fn word(self) -> &'static str {
        match self {
            Self::Full => "ENOSPC",
            Self::Broken => "EIO",
        }
    }

    /// The system's name for it.
    pub fn words(self) -> &'static str {
        match self {
            Self::Full => "No space left on device",
            Self::Broken => "Input/output error",
        }
    }
}

/// The end of a run.
pub struct Ended {
    /// The exit code; none when it was killed.
    pub code: Option<i32>,
    /// Its log.
    pub log: String,
    /// The call that was spoilt, as strace prints it; none when there were not so many.
    pub spoilt: Option<String>,
}

impl World {
    /// Runs the program to its end, spoilt at one of its calls.
    pub async fn run(&self, spoil: Option<(Spoil, &Aim)>) -> Ended {
        self.ended(self.start("once", spoil)).await
    }

    /// Starts a command of the program.
    pub fn start(&self, command: &str, spoil: Option<(Spoil, &Aim)>) -> Program {
        let _ = fs::remove_file(self.path("trace"));
        let inject =
            |call: &str, how: &str, aim: &Aim| format!("-einject={call}:{how}:when={}", aim.number);
        let program = match spoil {
            None | Some((Spoil::Signal { .. }, _)) => self.start_under(command, &[]),
            Some((Spoil::Kill(call), aim)) => {
                let trace = format!("-etrace={call}");
                self.start_under(command, &[trace, inject(call, "signal=KILL", aim)])
            }
            Some((Spoil::Fail(call, fault), aim)) => {
                let inject = inject(call, &format!("error={}", fault.word()), aim);
                // As slow as the run in which the calls were counted: what else is written depends on it.
                let trace = format!("-etrace={}", MAKING.join(","));
                let mut words = vec![trace, inject, ONLY_THESE.to_owned()];
                let path = aim.path.iter().map(|path| self.path(path));
                words.extend(path.map(|path| format!("-P{}", path.display())));
                self.start_under(command, &words)
            }
        };
        self.engine.cut(match spoil {
            Some((Spoil::Signal { arrives }, aim)) => Some(Cut {
                number: aim.number,
                arrives,
                process: program.id(),
            }),
            _ => None,
        });
        program
    }

    /// Runs the program undisturbed, and returns all calls of these names that it makes.
    pub async fn traced(&self, calls: &str) -> (Ended, Vec<String>) {
        let ended = self
            .ended(self.start_under("once", &[format!("-etrace={calls}"), ONLY_THESE.to_owned()]))
            .await;
        (ended, self.trace())
    }

    fn start_under(&self, command: &str, strace: &[String]) -> Program {
        self.engine.cut(None);
        let mut words = Command::new(binary());
        if !strace.is_empty() {
            words = Command::new("strace");
            // The tracer is a process aside, so that the program itself is our child.
            words
                .args(["-D", "-f", "-qq", "-y", "-o"])
                .arg(self.path("trace"));
            words.args(strace).arg(binary());
        }
        words
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .arg(command)
            .args(self.words());
        Program::start(words, self.path("log"))
    }

    /// Waits until the program has ended.
    pub async fn ended(&self, mut program: Program) -> Ended {
        let code = program.ended().await;
        let trace = self.path("trace");
        if code.is_none() && self.engine.has_cut().is_none() {
            // The tracer ends after the program.
            let is_written = || fs::read_to_string(&trace).unwrap().contains(KILLED);
            program.until("strace tells of the kill", is_written).await;
        }
        let log = fs::read_to_string(self.path("log")).unwrap();
        Ended {
            code,
            log,
            spoilt: self.spoilt(),
        }
    }

    /// The calls at which strace stopped the program that was started last.
    pub fn trace(&self) -> Vec<String> {
        let trace = fs::read_to_string(self.path("trace")).unwrap();
        trace.lines().map(str::to_owned).collect()
    }

    /// The call that was spoilt.
    fn spoilt(&self) -> Option<String> {
        if let Some(cut) = self.engine.has_cut() {
            return Some(cut);
        }
        let trace = fs::read_to_string(self.path("trace")).unwrap_or_default();
        let (before, killed) = match trace.split_once(KILLED) {
            Some((before, _)) => (
                before,
                before.trim_end().lines().rfind(|line| line.contains('(')),
            ),
            None => (&*trace, None),
        };
        let injected = before.lines().find(|line| line.contains("(INJECTED)"));
        injected.or(killed).map(str::to_owned)
    }
}
