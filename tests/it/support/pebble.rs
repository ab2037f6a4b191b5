//! A real CA on loopback: Debian's Pebble with its DNS server, ended when dropped.
//!
//! Keep at most 4 orders in flight: Pebble deadlocks under more.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use super::server::{Server, command, listens, started};

/// The behaviour of Pebble.
#[derive(Clone, Copy)]
pub struct Behaviour {
    /// Per cent of nonces refused.
    pub nonce_reject: u8,
    /// Per cent of valid authorizations used again.
    pub authorization_reuse: u8,
    /// True if it takes only accounts that belong to one elsewhere, known by [`EXTERNAL`].
    pub is_external_account_required: bool,
    /// The DNS server that it asks; one of its own where none is said.
    pub dns: Option<SocketAddr>,
    /// Number of other chains that it offers for each certificate, to a root of its own each.
    pub alternate_roots: u8,
}

/// The name of a key for such accounts, and the key.
pub const EXTERNAL: (&str, &str) = (
    "kid-1",
    "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W",
);

impl Default for Behaviour {
    /// Neither: for tests that count requests.
    fn default() -> Self {
        Self {
            nonce_reject: 0,
            authorization_reuse: 0,
            is_external_account_required: false,
            dns: None,
            alternate_roots: 0,
        }
    }
}

/// Pebble and its DNS server.
pub struct Pebble {
    folder: TempDir,
    behaviour: Behaviour,
    root: String,
    acme: SocketAddr,
    dns: SocketAddr,
    dns_management: SocketAddr,
    pebble: Option<Server>,
    _dns: Server,
}

/// A name that Pebble will not issue for.
pub const BLOCKED: &str = "blocked.example";

impl Pebble {
    /// Starts both and waits until they answer. Names are looked for at 127.0.0.1, tokens at port `http` there.
    pub fn start(http: u16, behaviour: Behaviour) -> Self {
        started("Pebble", || Self::try_start(http, behaviour))
    }

    fn try_start(http: u16, behaviour: Behaviour) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let root = server_certificate(folder.path());
        let [acme, management, dns, dns_management] = free_addresses();
        let config = format!(
            r#"{{"pebble": {{"listenAddress": "{acme}", "managementListenAddress": "{management}",
                "certificate": "{0}/cert.pem", "privateKey": "{0}/key.pem", "httpPort": {http}, "tlsPort": 1,
                "ocspResponderURL": "", "externalAccountBindingRequired": {1},
                "externalAccountMACKeys": {{"{2}": "{3}"}},
                "domainBlocklist": ["{BLOCKED}"]}}}}"#,
            folder.path().display(),
            behaviour.is_external_account_required,
            EXTERNAL.0,
            EXTERNAL.1,
        );
        fs::write(folder.path().join("pebble.json"), config).unwrap();
        let mut server = command("pebble-challtestsrv", &folder.path().join("dns.log"));
        let server = server
            .args([
                "-http01",
                "",
                "-https01",
                "",
                "-tlsalpn01",
                "",
                "-defaultIPv6",
                "",
                "-defaultIPv4",
                "127.0.0.1",
            ])
            .args([
                "-dns01",
                &dns.to_string(),
                "-management",
                &dns_management.to_string(),
            ]);
        let dns_server = Server::start(server, || listens(dns_management))?;
        let mut started = Self {
            folder,
            behaviour,
            root,
            acme,
            dns: behaviour.dns.unwrap_or(dns),
            dns_management,
            pebble: None,
            _dns: dns_server,
        };
        started.pebble = started.run();
        started.pebble.is_some().then_some(started)
    }

    /// Ends Pebble and starts another: it has forgotten all accounts and orders.
    pub fn restart(&mut self) {
        self.pebble = None;
        self.pebble = (0..5).find_map(|_| self.run());
        assert!(self.pebble.is_some(), "{}", self.log());
    }

    fn run(&self) -> Option<Server> {
        let mut pebble = command("pebble", &self.log_path());
        let pebble = pebble
            .env("PEBBLE_VA_NOSLEEP", "1")
            // It takes a lock for reading twice, and whoever wants it for writing in between locks all out for ever; one
            // thread of Go's leaves hardly a chance for that. <https://github.com/letsencrypt/pebble/issues/554>
            .env("GOMAXPROCS", "1")
            .env(
                "PEBBLE_WFE_NONCEREJECT",
                self.behaviour.nonce_reject.to_string(),
            )
            .env(
                "PEBBLE_AUTHZREUSE",
                self.behaviour.authorization_reuse.to_string(),
            )
            .env(
                "PEBBLE_ALTERNATE_ROOTS",
                self.behaviour.alternate_roots.to_string(),
            )
            .arg("-config")
            .arg(self.folder.path().join("pebble.json"))
            .args(["-dnsserver", &self.dns.to_string()]);
        Server::start(pebble, || listens(self.acme))
    }

    /// The URL of its directory.
    pub fn directory(&self) -> String {
        format!("https://{}/dir", self.acme)
    }

    /// The root that its own server certificate was issued from, in PEM.
    pub fn root(&self) -> String {
        self.root.clone()
    }

    /// Makes its DNS server fail for a name.
    pub async fn break_dns(&self, name: &str) {
        super::canned::post(
            self.dns_management,
            "/set-servfail",
            &format!(r#"{{"host": "{name}"}}"#),
        )
        .await;
    }

    /// Where its DNS server answers.
    pub fn dns(&self) -> SocketAddr {
        self.dns
    }

    /// Has its DNS server say something: the path and the JSON of its management.
    pub async fn dns_says(&self, path: &str, what: &str) {
        super::canned::post(self.dns_management, path, what).await;
    }

    /// Everything it has said since it was first started.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap()
    }

    /// The requests it has seen, each as method and path.
    pub fn requests(&self) -> Vec<String> {
        let log = self.log();
        let lines = log
            .lines()
            .filter(|line| line.contains("-> calling handler()"));
        lines
            .map(|line| {
                let words = line.split_whitespace().collect::<Vec<_>>();
                let arrow = words.iter().position(|word| *word == "->").unwrap();
                words[arrow - 2..arrow].join(" ")
            })
            .collect()
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("pebble.log")
    }
}

/// Free when asked; all are held until the last is known, so that they differ.
fn free_addresses<const N: usize>() -> [SocketAddr; N] {
    let held = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    held.map(|listener| listener.local_addr().unwrap())
}

/// A CA and a certificate of it for 127.0.0.1, made for this run; returns the root in PEM.
fn server_certificate(folder: &Path) -> String {
    let server = super::canned::server_certificate();
    fs::write(folder.join("cert.pem"), server.certificate).unwrap();
    fs::write(folder.join("key.pem"), server.key).unwrap();
    server.root
}
