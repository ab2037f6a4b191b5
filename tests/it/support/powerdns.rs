//! A real PowerDNS on loopback with its HTTP API: Debian's, with SQLite behind it, ended when dropped.
#![expect(
    clippy::disallowed_methods,
    reason = "the DNS server of the tests is a process of its own"
)]

use std::{
    fs::File,
    net::SocketAddr,
    path::Path,
    process::{Command, Stdio},
};

use tempfile::TempDir;

use super::server::{Server, command, free_address, listens, started};

/// Key that the API takes.
pub const API_KEY: &str = "3f0c-of-this-test";

/// The tables that Debian's package brings.
const SCHEMA: &str = "/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql";

/// The server.
pub struct PowerDns {
    /// Its address, over UDP and TCP.
    pub at: SocketAddr,
    /// URL of its API.
    pub url: String,
    _server: Server,
    _folder: TempDir,
}

impl PowerDns {
    /// Starts a server of this zone, and waits until it answers.
    pub fn start(zone: &str) -> Self {
        started("PowerDNS", || Self::try_start(zone))
    }

    fn try_start(zone: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let (at, web) = (free_address()?, free_address()?);
        let path = folder.path();
        let database = path.join("zones.db");
        let config = format!(
            "launch=gsqlite3\ngsqlite3-database={}\nsocket-dir={}\nlocal-address={}\nlocal-port={}\n\
             api=yes\napi-key={API_KEY}\nwebserver=yes\nwebserver-address={}\nwebserver-port={}\n\
             daemon=no\nguardian=no\nsetuid=\nsetgid=\n\
             cache-ttl=0\nquery-cache-ttl=0\nnegquery-cache-ttl=0\nzone-cache-refresh-interval=0\n",
            database.display(),
            path.display(),
            at.ip(),
            at.port(),
            web.ip(),
            web.port()
        );
        std::fs::write(path.join("pdns.conf"), config).unwrap();
        let schema = File::open(SCHEMA).expect("the package pdns-backend-sqlite3");
        let made = Command::new("sqlite3")
            .arg(&database)
            .stdin(schema)
            .status();
        assert!(made.expect("the package sqlite3").success());
        tool(path, &["create-zone", zone, &format!("ns1.{zone}")]);
        tool(path, &["add-record", zone, "ns1", "A", "127.0.0.1"]);
        let mut server = command("pdns_server", &path.join("log"));
        let server = server.arg(format!("--config-dir={}", path.display()));
        Some(Self {
            at,
            url: format!("http://{web}"),
            _server: Server::start(server, || listens(at) && listens(web))?,
            _folder: folder,
        })
    }
}

fn tool(config: &Path, words: &[&str]) {
    let done = Command::new("pdnsutil")
        .arg(format!("--config-dir={}", config.display()))
        .args(words)
        .stdin(Stdio::null())
        .output()
        .expect("pdnsutil of the package pdns-server");
    let told = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.success(), "{words:?}: {told}");
}
