//! Another CA than Pebble, of another make: Debian's Caddy with its `acme_server`, whose certificates are valid for hours.
//! It asks port 80 of what it validates. Ended when dropped.

use std::{fs, net::SocketAddr};

use tempfile::TempDir;

use super::server::{Server, command, free_address, listens, started};

/// The CA.
pub struct Caddy {
    _server: Server,
    folder: TempDir,
    port: u16,
}

impl Caddy {
    /// Starts one and waits until it answers.
    pub fn start() -> Self {
        started("Caddy", Self::try_start)
    }

    fn try_start() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let [port, other] = [free_address()?.port(), free_address()?.port()];
        let at = folder.path().display();
        let config = format!(
            "{{\n admin off\n http_port {other}\n https_port {port}\n storage file_system {at}/data\n skip_install_trust\n \
             auto_https disable_redirects\n}}\nhttps://localhost:{port} {{\n bind 127.0.0.1\n tls internal\n acme_server\n}}\n"
        );
        let file = folder.path().join("Caddyfile");
        fs::write(&file, config).unwrap();
        let mut caddy = command("caddy", &folder.path().join("log"));
        let caddy = caddy
            .args(["run", "--adapter", "caddyfile", "--config"])
            .arg(&file)
            .env("HOME", folder.path());
        // It listens before it has a certificate of its own.
        let own = "data/certificates/local/localhost/localhost.crt";
        let own = folder.path().join(own);
        let at = SocketAddr::from(([127, 0, 0, 1], port));
        Some(Self {
            port,
            _server: Server::start(caddy, || own.exists() && listens(at))?,
            folder,
        })
    }

    /// The URL of its directory.
    pub fn directory(&self) -> String {
        format!("https://localhost:{}/acme/local/directory", self.port)
    }

    /// The root of its certificates, and of its own.
    pub fn root(&self) -> String {
        let path = "data/pki/authorities/local/root.crt";
        fs::read_to_string(self.folder.path().join(path)).unwrap()
    }
}
