//! A real DNS server on loopback that takes signed updates: Debian's Knot, ended when dropped.

use std::{fmt::Write, fs, net::SocketAddr, process::Command};

use tempfile::TempDir;

use super::server::{Server, command, free_address, listens, started};

/// The server's name for its key, and the key.
pub const KEY_NAME: &str = "quaymaster";
pub const KEY: &str = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wE=";

/// The server.
pub struct Knot {
    /// Where it is asked, over UDP and TCP.
    pub at: SocketAddr,
    _server: Server,
    _folder: TempDir,
}

impl Knot {
    /// Starts a server of these zones, each with lines as zone files have them, and waits until it answers. The key may
    /// change TXT records in all of them.
    pub fn start(zones: &[(&str, &str)]) -> Self {
        Self::start_with(zones, "")
    }

    /// The same, where the server signs all of its zones by keys of its own.
    pub fn start_signed(zones: &[(&str, &str)]) -> Self {
        Self::start_with(zones, "    dnssec-signing: on\n")
    }

    fn start_with(zones: &[(&str, &str)], more: &str) -> Self {
        let own = ("ns1", "127.0.0.1");
        started("Knot", || {
            Self::try_start(free_address()?, own, zones, more)
        })
    }

    /// Starts one at this address, with this server and its address for each zone's own.
    pub fn start_at(at: SocketAddr, ns: (&str, &str), zones: &[(&str, &str)]) -> Self {
        Self::try_start(at, ns, zones, "").expect("Knot starts there")
    }

    fn try_start(
        at: SocketAddr,
        (ns, ns_at): (&str, &str),
        zones: &[(&str, &str)],
        more: &str,
    ) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display().to_string();
        let mut config = format!(
            "server:\n    listen: {}@{}\n    rundir: {path}\n    udp-workers: 1\n    tcp-workers: 1\n\
             database:\n    storage: {path}\n    journal-db-max-size: 16M\n    timer-db-max-size: 4M\n\
             log:\n  - target: stderr\n    any: info\n\
             key:\n  - id: {KEY_NAME}\n    algorithm: hmac-sha256\n    secret: {KEY}\n\
             acl:\n  - id: ours\n    key: {KEY_NAME}\n    action: update\n    update-type: [TXT]\n\
             template:\n  - id: default\n    storage: {path}\n    zonefile-sync: -1\n{more}\
             zone:\n",
            at.ip(),
            at.port()
        );
        for (zone, lines) in zones {
            writeln!(config, "  - domain: {zone}\n    acl: ours").unwrap();
            let text = format!(
                "$ORIGIN {zone}.\n$TTL 60\n@ SOA ns1 admin 1 60 60 600 1\n@ NS {ns}\n{ns} A {ns_at}\n{lines}\n"
            );
            fs::write(folder.path().join(format!("{zone}.zone")), text).unwrap();
        }
        let file = folder.path().join("knot.conf");
        fs::write(&file, config).unwrap();
        let mut knot = command("knotd", &folder.path().join("log"));
        let answers = || listens(at) && !records(at, zones[0].0, "SOA").is_empty();
        Some(Self {
            at,
            _server: Server::start(knot.arg("-c").arg(&file), answers)?,
            _folder: folder,
        })
    }

    /// The records of a name, as zone files have their data.
    pub fn asked(&self, name: &str, kind: &str) -> Vec<String> {
        records(self.at, name, kind)
    }
}

#[expect(clippy::disallowed_methods, reason = "Knot's own client is asked")]
fn records(at: SocketAddr, name: &str, kind: &str) -> Vec<String> {
    let asked = Command::new("kdig")
        .arg(format!("@{}", at.ip()))
        .args(["-p", &at.port().to_string(), "+short", "+tcp"])
        .args([name, kind])
        .output()
        .expect("kdig of the package knot-dnsutils");
    let text = String::from_utf8(asked.stdout).unwrap();
    let mut lines: Vec<_> = text
        .lines()
        .map(|line| line.trim_end().to_owned())
        .collect();
    lines.sort();
    lines
}
