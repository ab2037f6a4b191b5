//! A real DNS server on loopback that checks signatures, as those of CAs do: Debian's Unbound, ended when dropped.

use std::{fmt::Write, fs, net::SocketAddr};

use tempfile::TempDir;

use super::{
    knot::Knot,
    server::{Server, command, free_address, listens, started},
};

/// The server.
pub struct Unbound {
    /// Where it is asked.
    pub at: SocketAddr,
    _server: Server,
    _folder: TempDir,
}

impl Unbound {
    /// Starts one that asks these servers about these zones, and takes only what these keys have signed: `zone DNSKEY …`.
    pub fn start(zones: &[(&str, SocketAddr)], keys: &[String]) -> Self {
        started("Unbound", || Self::try_start(zones, keys))
    }

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
        let mut unbound = command("unbound", &folder.path().join("log"));
        let unbound = unbound.arg("-d").arg("-c").arg(&file);
        Some(Self {
            at,
            _server: Server::start(unbound, || listens(at))?,
            _folder: folder,
        })
    }
}

/// The key that a zone is signed with, as a trust anchor for a zone of this name.
pub fn key_of(knot: &Knot, zone: &str, called: &str) -> String {
    let keys = knot.asked(zone, "DNSKEY");
    let key = keys.iter().find(|key| key.starts_with("257 "));
    format!("{called}. DNSKEY {}", key.expect("it is signed"))
}
