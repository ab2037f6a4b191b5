//! Programs of the user's, run to their end: words, never a shell.

use std::{
    ffi::OsString,
    io,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use thiserror::Error;
use tokio::{
    io::AsyncReadExt,
    process::{Child, Command},
    time::timeout,
};

/// Most bytes that are kept of a program's last words, and most characters that are shown of them.
const KEPT: usize = 4096;
const SHOWN: usize = 200;

/// The reason why a program has not run to its end.
#[derive(Debug, Error)]
pub enum ProgramFault {
    /// There is nothing to run.
    #[error("no program is named")]
    NoWords,
    /// The system does not run it.
    #[error("can't be started")]
    NotStarted(#[source] io::Error),
    /// It took longer than it may.
    #[error("has not ended within {0:?}, and was killed with all that it had started")]
    Late(Duration),
}

/// The end of a program.
#[derive(Debug)]
pub struct ProgramEnd {
    /// Its exit code, or the signal that killed it.
    pub status: ExitStatus,
    /// The last line that it wrote to standard error.
    pub last_words: String,
}

/// Runs a program in this environment alone. What it leaves running when it ends goes on.
///
/// # Errors
/// When it can't be started, or has not ended in time.
pub async fn run(
    words: &[String],
    environment: impl IntoIterator<Item = (OsString, OsString)>,
    limit: Duration,
) -> Result<ProgramEnd, ProgramFault> {
    let [program, arguments @ ..] = words else {
        return Err(ProgramFault::NoWords);
    };
    let mut running = Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(environment)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        // What it starts can be killed with it.
        .process_group(0)
        .spawn()
        .map_err(ProgramFault::NotStarted)?;
    let id = running.id().and_then(|id| i32::try_from(id).ok());
    let mut group = Group(id.map(Pid::from_raw));
    let ended = timeout(limit, end(&mut running)).await;
    let ended = ended.map_err(|_| ProgramFault::Late(limit))?;
    group.0 = None;
    ended.map_err(ProgramFault::NotStarted)
}

/// A program that runs, and all that it has started: killed when this is dropped meanwhile.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // It may have ended just now.
            let _ = killpg(group, Signal::SIGKILL);
        }
    }
}

/// Waits until it ends, and keeps the end of what it says meanwhile.
async fn end(running: &mut Child) -> io::Result<ProgramEnd> {
    let mut words = running.stderr.take();
    let mut said = Vec::new();
    let status = loop {
        // What it leaves running may hold its standard error for ever.
        tokio::select! {
            biased;
            read = async { words.as_mut()?.read_buf(&mut said).await.ok() }, if words.is_some() => {
                if read.is_none_or(|length| length == 0) {
                    words = None;
                }
                let old = said.len().saturating_sub(KEPT);
                said.drain(..old);
            }
            ended = running.wait() => break ended?,
        }
    };
    Ok(ProgramEnd {
        status,
        last_words: last_line(&said),
    })
}

fn last_line(said: &[u8]) -> String {
    let text = String::from_utf8_lossy(said);
    let line = text.lines().rev().find(|line| !line.trim().is_empty());
    let plain = line.unwrap_or_default().trim().chars();
    plain.filter(|c| !c.is_control()).take(SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Longer than a test may take.
    const LONG: Duration = Duration::from_secs(600);

    async fn run_lines(lines: &str, limit: Duration) -> Result<ProgramEnd, ProgramFault> {
        let words = ["/bin/sh", "-c", lines].map(str::to_owned);
        run(&words, [("SEEN".into(), "yes".into())], limit).await
    }

    #[tokio::test]
    async fn its_end_and_its_last_words_are_kept_and_it_sees_its_environment_alone() {
        let lines = "echo first >&2; echo \"$SEEN ${HOME-none}\" >&2; echo >&2; exit 3";
        let end = run_lines(lines, LONG).await.unwrap();
        assert_eq!(end.status.code(), Some(3));
        assert_eq!(end.last_words, "yes none");
        let much = "yes 0123456789 | head -n 100000 >&2; echo last >&2";
        assert_eq!(run_lines(much, LONG).await.unwrap().last_words, "last");
        // What holds its standard error is not waited for.
        assert!(
            run_lines("sleep 5 >&2 &", LONG)
                .await
                .unwrap()
                .status
                .success()
        );
        let missing = run(&["/no/such/program".to_owned()], [], LONG).await;
        assert_eq!(missing.unwrap_err().to_string(), "can't be started");
        assert!(matches!(
            run(&[], [], LONG).await,
            Err(ProgramFault::NoWords)
        ));
    }

    #[tokio::test]
    async fn what_never_ends_is_killed_with_all_that_it_has_started() {
        let folder = tempfile::tempdir().unwrap();
        let id = folder.path().join("id");
        let lines = format!("sleep 10000 & echo $! >{}; wait", id.display());
        let late = run_lines(&lines, Duration::from_secs(2)).await.unwrap_err();
        assert!(
            late.to_string().starts_with("has not ended within 2s"),
            "{late}"
        );
        let id: i32 = fs::read_to_string(id).unwrap().trim().parse().unwrap();
        // Until whoever adopts it has taken note, it is there as a zombie.
        let is_alive = || {
            let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
            !stat.is_empty() && !stat.contains(") Z ")
        };
        while is_alive() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}
