//! The way to an engine through the user's own `ssh`, as the docker command goes it: there, `docker system dial-stdio` passes on
//! what is said to the engine's socket.

use std::{io, process::Stdio, time::Duration};

use http::uri::Authority;
use tokio::{
    io::{AsyncReadExt, Join, join},
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command},
    task::JoinHandle,
    time::timeout,
};

/// Nobody is there to be asked for a password, and a machine that is off must not take longer than an answer may.
const OPTIONS: [&str; 5] = ["-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=20"];

/// The command there.
const DIAL: [&str; 3] = ["docker", "system", "dial-stdio"];

/// Most bytes that are kept of what `ssh` says.
const KEPT: u64 = 4096;

/// Time that `ssh` has for its last words once its connection has failed.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// Whom `ssh` is to lead to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SshTarget {
    words: Vec<String>,
    host: String,
}

/// A connection by `ssh`, which ends with `running`.
pub(super) struct SshConnection {
    /// What is said to the engine, and heard of it.
    pub stream: Join<ChildStdout, ChildStdin>,
    /// The program; it is killed when this is dropped.
    pub running: Child,
    /// The text that it writes to standard error until its end.
    pub said: JoinHandle<Vec<u8>>,
}

impl SshTarget {
    /// Reads what follows `ssh://`: `[user@]host[:port]`, where the host may also be one of the user's `ssh_config`.
    pub(super) fn read(rest: &str) -> Option<Self> {
        let (user, at) = match rest.split_once('@') {
            Some((user, at)) => (Some(user), at),
            None => (None, rest),
        };
        let authority: Authority = at.strip_suffix('/').unwrap_or(at).parse().ok()?;
        let port = authority.as_str().strip_prefix(authority.host())?;
        let host = super::address::bare_host(&authority);
        // A word that begins so would be an option.
        let is_word = |word: &str| {
            let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
            !word.is_empty() && !word.starts_with('-') && word.chars().all(is_plain)
        };
        let is_port = port.is_empty() || authority.port_u16().is_some();
        if !is_word(host) || !is_port || user.is_some_and(|user| !is_word(user)) {
            return None;
        }
        let mut words: Vec<_> = OPTIONS.map(str::to_owned).into();
        let mut add = |option: &str, value: String| words.extend([option.to_owned(), value]);
        if let Some(user) = user {
            add("-l", user.to_owned());
        }
        if let Some(port) = authority.port_u16() {
            add("-p", port.to_string());
        }
        words.extend(["--".to_owned(), host.to_owned()]);
        words.extend(DIAL.map(str::to_owned));
        Some(Self {
            words,
            host: host.to_owned(),
        })
    }

    /// The host's name.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// Starts `ssh`.
    pub(super) fn connect(&self) -> io::Result<SshConnection> {
        let mut running = Command::new("ssh")
            .args(&self.words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(not_started)?;
        let closed = || io::Error::other("ssh has no input, output or standard error");
        let (input, output) = (running.stdin.take(), running.stdout.take());
        let stream = join(output.ok_or_else(closed)?, input.ok_or_else(closed)?);
        let error = running.stderr.take().ok_or_else(closed)?;
        Ok(SshConnection {
            stream,
            running,
            said: tokio::spawn(read(error)),
        })
    }
}

fn not_started(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::NotFound => io::Error::other(
            "there is no program `ssh` where quaymaster runs, as in its image; use tcp with TLS, or run the Debian package",
        ),
        _ => error,
    }
}

/// Reads all that is written, so that nobody waits for a reader, and keeps the beginning.
async fn read(error: ChildStderr) -> Vec<u8> {
    let mut kept = Vec::new();
    let mut first = error.take(KEPT);
    // What can't be read is not known.
    if first.read_to_end(&mut kept).await.is_ok() {
        let mut rest = first.into_inner();
        let _ = tokio::io::copy(&mut rest, &mut tokio::io::sink()).await;
    }
    kept
}

/// The last words of an `ssh` whose connection has failed; none where it says nothing.
pub(super) async fn last_words(said: JoinHandle<Vec<u8>>) -> Option<String> {
    let said = timeout(LAST_WORDS, said).await.ok()?.ok()?;
    let text = String::from_utf8_lossy(&said);
    let line = text.lines().rev().find(|line| !line.trim().is_empty())?;
    let plain = line.trim().chars().filter(|c| !c.is_control());
    Some(format!("ssh: {}", plain.collect::<String>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_becomes_words_for_ssh_and_none_of_them_is_an_option_of_its_own() {
        for (address, expected) in [
            ("green", "-- green docker system dial-stdio"),
            ("root@green/", "-l root -- green docker system dial-stdio"),
            (
                "admin@10.0.0.2:2222",
                "-l admin -p 2222 -- 10.0.0.2 docker system dial-stdio",
            ),
            (
                "root@[fd00::1]:22",
                "-l root -p 22 -- fd00::1 docker system dial-stdio",
            ),
        ] {
            let read = SshTarget::read(address).expect(address);
            assert_eq!(read.words[..OPTIONS.len()], OPTIONS);
            assert_eq!(read.words[OPTIONS.len()..].join(" "), expected);
        }
        for address in [
            "",
            "@green",
            "-oProxyCommand=x@green",
            "root@-oProxyCommand=x",
            "root@green:port",
            "root@green/run/docker.sock",
            "a b@green",
            "root@gr een",
        ] {
            assert_eq!(SshTarget::read(address), None, "{address}");
        }
    }
}
