//! A real DNS server on loopback that checks signatures, as those of CAs do: Debian's Unbound, ended when dropped.

use std::{
    fmt::Write,
    fs::{self, File},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use tempfile::TempDir;

use super::knot::{Knot, free_address};

/// The server.
pub struct Unbound {
    /// Where it is asked.
    pub at: SocketAddr,
    _folder: TempDir,
    running: Child,
}

impl Drop for Unbound {
    fn drop(&mut self) {
        let _ = self.running.kill();
        let _ = self.running.wait();
    }
}

impl Unbound {
    /// Starts one that asks these servers about these zones, and takes only what these keys have signed: `zone DNSKEY …`.
    pub fn start(zones: &[(&str, SocketAddr)], keys: &[String]) -> Self {
        // A port that was free when asked may be another's by the time it is used.
        (0..5)
            .find_map(|_| Self::try_start(zones, keys))
            .expect("Unbound starts within five tries")
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the DNS server of the tests is a process of its own"
    )]
    fn try_start(zones: &[(&str, SocketAddr)], keys: &[String]) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let at = free_address()?;
        let mut config = format!(
            "server:\n  interface: {}\n  port: {}\n  do-daemonize: no\n  username: \"\"\n  chroot: \"\"\n  directory: \"{}\"\n  \
             pidfile: \"\"\n  use-syslog: no\n  do-not-query-localhost: no\n  module-config: \"validator iterator\"\n",
            at.ip(),
            at.port(),
            folder.path().display()
        );
        for key in keys {
            writeln!(config, "  trust-anchor: \"{key}\"").unwrap();
        }
        config += "remote-control:\n  control-enable: no\n";
        for (zone, server) in zones {
            writeln!(
                config,
                "stub-zone:\n  name: \"{zone}\"\n  stub-addr: {}@{}",
                server.ip(),
                server.port()
            )
            .unwrap();
        }
        let file = folder.path().join("unbound.conf");
        fs::write(&file, config).unwrap();
        let log = File::create(folder.path().join("log")).unwrap();
        let running = Command::new("unbound")
            .arg("-d")
            .arg("-c")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("unbound of the package unbound");
        let mut unbound = Self {
            at,
            _folder: folder,
            running,
        };
        loop {
            let listens = std::net::TcpStream::connect(at).is_ok();
            match unbound.running.try_wait() {
                Ok(None) if listens => return Some(unbound),
                Ok(None) => thread::sleep(Duration::from_millis(10)),
                _ => return None,
            }
        }
    }
}

/// The key that a zone is signed with, as a trust anchor for a zone of this name.
pub fn key_of(knot: &Knot, zone: &str, called: &str) -> String {
    let keys = knot.asked(zone, "DNSKEY");
    let key = keys.iter().find(|key| key.starts_with("257 "));
    format!("{called}. DNSKEY {}", key.expect("it is signed"))
}
