//! nginx as Debian has it, on loopback.

use std::{
    fs::{self, File},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;

use super::engine::signal;
use crate::support::program::SOON;

/// Time between two looks for the wanted state.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Ends when dropped.
pub struct Nginx(Child);

impl Nginx {
    /// Starts it with the folder of the program's files included. It listens nowhere until there are some.
    pub fn start(folder: &Path) -> Self {
        let at = |inner: &str| folder.join(inner).display().to_string();
        let config = format!(
            "user root;\nworker_processes 1;\npid {};\nevents {{}}\nhttp {{\n    access_log off;\n    \
             include {}/*.conf;\n}}\n",
            at("nginx.pid"),
            at("conf.d"),
        );
        fs::write(folder.join("nginx.conf"), config).unwrap();
        let log = File::create(folder.join("nginx.log")).unwrap();
        let nginx = Command::new("nginx")
            .args([
                "-p",
                &at(""),
                "-c",
                &at("nginx.conf"),
                "-e",
                &at("nginx.log"),
                "-g",
                "daemon off;",
            ])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("Debian's package nginx-light is installed");
        // A signal to one that is starting ends it.
        let began = Instant::now();
        while !folder.join("nginx.pid").exists() {
            assert!(began.elapsed() < SOON, "nginx does not start");
            std::thread::sleep(LOOK_EVERY);
        }
        Self(nginx)
    }

    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// Makes it read its files again, and waits until none of the old workers is left to take a connection.
    pub async fn reload(&self) {
        let old = self.workers();
        signal(self.id(), Signal::SIGHUP);
        let began = Instant::now();
        loop {
            let now = self.workers();
            if !now.is_empty() && now.iter().all(|worker| !old.contains(worker)) {
                return;
            }
            assert!(began.elapsed() < SOON, "nginx does not reload");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    fn workers(&self) -> Vec<u32> {
        let children =
            fs::read_to_string(format!("/proc/{0}/task/{0}/children", self.id())).unwrap();
        children
            .split_whitespace()
            .map(|id| id.parse().unwrap())
            .collect()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        signal(self.id(), Signal::SIGTERM);
        let _ = self.0.wait();
    }
}
