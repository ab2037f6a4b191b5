//! Another CA than Pebble, of another make: Debian's Caddy with its `acme_server`, whose certificates are valid for hours.
//! It asks port 80 of what it validates. Ended when dropped.

use std::{
    fs::{self, File},
    net::TcpStream,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use tempfile::TempDir;

use super::knot::free_address;

/// The CA.
pub struct Caddy {
    folder: TempDir,
    port: u16,
    running: Child,
}

impl Drop for Caddy {
    fn drop(&mut self) {
        let _ = self.running.kill();
        let _ = self.running.wait();
    }
}

impl Caddy {
    /// Starts one and waits until it answers.
    pub fn start() -> Self {
        // A port that was free when asked may be another's by the time it is used.
        let mut tries = (0..5).filter_map(|_| Self::try_start());
        tries.next().expect("Caddy starts within five tries")
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the CA of the tests is a process of its own"
    )]
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
        let log = File::create(folder.path().join("log")).unwrap();
        let running = Command::new("caddy")
            .args(["run", "--adapter", "caddyfile", "--config"])
            .arg(&file)
            .env("HOME", folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("caddy of the package caddy");
        let mut caddy = Self {
            folder,
            port,
            running,
        };
        // It listens before it has a certificate of its own.
        let own = "data/certificates/local/localhost/localhost.crt";
        loop {
            let is_ready = caddy.folder.path().join(own).exists()
                && TcpStream::connect(("127.0.0.1", port)).is_ok();
            match caddy.running.try_wait() {
                Ok(None) if is_ready => return Some(caddy),
                Ok(None) => thread::sleep(Duration::from_millis(10)),
                _ => return None,
            }
        }
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
