//! Real parts on loopback: nginx, Pebble and its DNS server, the program, and an app. Only the engine is a fake.

use std::{
    cell::RefCell,
    fs::{self, File},
    net::{SocketAddr, TcpListener},
    ops::Range,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        LazyLock,
        atomic::{AtomicU16, Ordering},
    },
    time::Duration,
};

use quaymaster::{
    adapters::{clock::SystemClock, disk::Folders, probe::TcpProbe},
    observe::Subject,
    plan::next_try,
    ports::{Attempts, Clock, Page, Probe},
    values::{Host, Protocol, Retry},
};
use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{engine::Engine, nginx::Nginx, run::Ended};
use crate::support::pebble::{Behaviour, Pebble};

/// As many looks in a row make sure that a site is served: nginx's old workers take connections for some 200 ms after the
/// first new one has answered.
const STEADY: u32 = 10;

/// Time between two looks at a site. A site that a start breaks mostly stays broken until the next; a shorter gap is
/// seen by chance, but each scenario runs some hundred times.
const WATCHED_EVERY: Duration = Duration::from_millis(100);

/// Number of starts until nothing is left to do: for the work that was cut off, for what it held back, and one more.
const STARTS: usize = 6;

/// The longest pause that it may make before it tries again what was cut off or what a disk did not take.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The folders that the program writes, and that are kept to begin again from.
const WRITTEN: [&str; 2] = ["state", "conf.d"];
const KEPT: &str = "before";

/// Ports below those that the system hands out by itself, so that nobody gets one between our look and nginx's.
const PORTS: Range<u16> = 12_000..28_000;

/// Number of ports that one process has for itself, as long as it runs.
const PORTS_EACH: u16 = 500;

/// The first of this process's ports, and the lock that says so to others.
static OWN_PORTS: LazyLock<(u16, File)> = LazyLock::new(|| {
    let mut firsts = PORTS.step_by(usize::from(PORTS_EACH));
    let locked = |first: u16| {
        let path = std::env::temp_dir().join(format!("quaymaster-test-ports-{first}.lock"));
        let file = File::options().create(true).append(true).open(path).ok()?;
        file.try_lock().is_ok().then_some((first, file))
    };
    firsts
        .find_map(locked)
        .expect("thirty-two runs at the same time are enough")
});

static NEXT_PORT: AtomicU16 = AtomicU16::new(0);

/// A machine with a proxy, on which the program is run again and again.
pub struct World {
    pub engine: Engine,
    pub pebble: Pebble,
    pub folder: TempDir,
    pub http: SocketAddr,
    pub https: SocketAddr,
    app: u16,
    nginx: Nginx,
    probe: TcpProbe,
    /// Lines that are added to the words of the program.
    settings: RefCell<Vec<String>>,
}

impl World {
    pub async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for inner in ["state", "conf.d", "templates/nginx"] {
            fs::create_dir_all(folder.path().join(inner)).unwrap();
        }
        let [http, https] = [(); 2].map(|()| free_port());
        let pebble = Pebble::start(http.port(), Behaviour::default());
        fs::write(folder.path().join("ca-root.pem"), pebble.root()).unwrap();
        let nginx = Nginx::start(folder.path());
        let world = Self {
            engine: Engine::start(nginx.id()),
            pebble,
            folder,
            http,
            https,
            app: start_app().await,
            nginx,
            probe: TcpProbe::new().unwrap(),
            settings: RefCell::default(),
        };
        world.put_proxy();
        world
    }

    pub fn path(&self, inner: &str) -> PathBuf {
        self.folder.path().join(inner)
    }

    fn put_proxy(&self) {
        let config = self.path("conf.d");
        let labels = json!({
            "quaymaster.kind": "nginx", "quaymaster.config": config,
            "quaymaster.http-port": self.http.port().to_string(), "quaymaster.https-port": self.https.port().to_string(),
        });
        // Seen at the same path on both sides: nginx runs where the program runs.
        let mounts = json!([{"Type": "bind", "Source": config, "Destination": config, "RW": true}]);
        self.engine.put("proxy", labels, mounts);
    }

    /// An app `NAME` that answers for `NAME.example`, with and without TLS.
    pub fn put_app(&self, name: &str, label: &str, value: &str) {
        let labels = json!({
            "quaymaster.host": format!("{name}.example"), "quaymaster.port": self.app.to_string(),
            "quaymaster.tls": "both", format!("quaymaster.{label}"): value,
        });
        self.engine.put(name, labels, json!([]));
    }

    pub fn set(&self, setting: String) {
        self.settings.borrow_mut().push(setting);
    }

    /// Words that every command of the program gets.
    pub fn words(&self) -> Vec<String> {
        let mut words = vec!["--agree-tos".to_owned(), "--log-format=json".to_owned()];
        words.push(format!("--ca={}", self.pebble.directory()));
        words.push(format!("--ca-root={}", self.path("ca-root.pem").display()));
        words.push(format!("--engine={}", self.engine.socket().display()));
        words.push(format!("--state={}", self.path("state").display()));
        words.extend(self.settings.borrow().iter().cloned());
        words
    }

    /// Keeps what the program has written, to begin from it again.
    pub fn keep(&self) {
        fs::create_dir(self.path(KEPT)).unwrap();
        WRITTEN
            .iter()
            .for_each(|inner| copy(self.path(inner), self.path(KEPT)));
    }

    /// Makes everything as it was kept, and nginx serve that alone; the CA remembers.
    pub async fn restore(&self) {
        let gate = self.gate();
        for inner in WRITTEN {
            fs::remove_dir_all(self.path(inner)).unwrap();
            copy(self.path(KEPT).join(inner), self.path(""));
        }
        if self.gate() != gate {
            remove_if_there(gate);
        }
        self.nginx.reload().await;
    }

    /// The file that opens nginx's gate: in this machine's memory, since nginx runs on it.
    pub fn gate(&self) -> Option<PathBuf> {
        let text = fs::read_to_string(self.path("conf.d/quaymaster--gate.conf")).ok()?;
        let (_, rest) = text.split_once("location = /")?;
        let (name, _) = rest.split_once(' ')?;
        Some(Path::new("/dev/shm").join(name))
    }

    /// Starts the program again, as its service would, until it ends with this code; returns what every run logged.
    pub async fn settle(
        &self,
        code: i32,
        is_done: impl Fn(&Self) -> bool,
    ) -> Result<String, String> {
        let mut told = String::new();
        for _ in 0..STARTS {
            let Ended {
                code: ended, log, ..
            } = self.run(None).await;
            told += &format!("-- ended with {ended:?}:\n{log}");
            if ended == Some(code) && is_done(self) {
                return Ok(told);
            }
            self.let_time_pass()?;
        }
        Err(format!(
            "it does not end with {code} after {STARTS} starts: {told}"
        ))
    }

    /// Makes the tries on record as old as they have to be for the next. Time is moved, not slept through.
    fn let_time_pass(&self) -> Result<(), String> {
        let (disk, now) = (
            Folders::new(self.path("state/certificates"), self.path("state"), |_| ()),
            SystemClock.now(),
        );
        for (name, attempt) in disk.attempts().unwrap() {
            let Ok(mut attempt) = attempt else { continue };
            let next = next_try(&Subject::Certificate(name.clone()), &attempt);
            if next > now + LONGEST_PAUSE {
                return Err(format!("{name} is held back until {next}: {attempt:?}"));
            }
            let pause = next.since(now);
            attempt.last = attempt.last - pause;
            if let Retry::NotBefore(time) = &mut attempt.retry {
                *time = *time - pause;
            }
            disk.note_attempt(&name, &attempt).unwrap();
        }
        Ok(())
    }

    /// Number of requests that the CA got at this path.
    pub fn asked(&self, path: &str) -> usize {
        let wanted = format!("POST {path}");
        self.pebble
            .requests()
            .iter()
            .filter(|line| **line == wanted)
            .count()
    }

    /// The page of a host that nginx shows at port 80.
    pub async fn page(&self, host: &str) -> Result<Page, String> {
        self.probe
            .page(self.http, host, "/")
            .await
            .map_err(|error| error.to_string())
    }

    /// The serial number of the certificate that nginx shows for a host.
    pub async fn serial(&self, host: &str) -> Result<String, String> {
        let host = Host::parse(host).unwrap();
        let served = self
            .probe
            .certificate(self.https, Protocol::Tls, &host)
            .await;
        served
            .map(|served| served.serial)
            .map_err(|error| error.to_string())
    }

    /// Does `work`, and looks all the time whether a site is served; returns what was wrong once it was for sure, with
    /// and without TLS.
    pub async fn watched<T>(&self, host: &str, work: impl Future<Output = T>) -> (T, Vec<String>) {
        let (mut gaps, mut had_page, mut had_tls) = (Vec::new(), 0, 0);
        tokio::pin!(work);
        loop {
            let page =
                self.page(host)
                    .await
                    .and_then(|page| match (page.status, page.body.as_str()) {
                        (200, "an app") => Ok(()),
                        (status, body) => Err(format!("{host} answers {status}: {body}")),
                    });
            for (seen, had) in [
                (page, &mut had_page),
                (self.serial(host).await.map(drop), &mut had_tls),
            ] {
                match seen {
                    Ok(()) => *had += 1,
                    Err(problem) if *had >= STEADY => gaps.push(problem),
                    Err(_) => *had = 0,
                }
            }
            tokio::select! {
                done = &mut work => return (done, gaps),
                () = tokio::time::sleep(WATCHED_EVERY) => {}
            }
        }
    }

    pub fn nginx_log(&self) -> String {
        fs::read_to_string(self.path("nginx.log")).unwrap_or_default()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        remove_if_there(self.gate());
    }
}

fn remove_if_there(file: Option<PathBuf>) {
    // It may never have been opened.
    let _ = file.map(fs::remove_file);
}

/// With links, modes and times.
fn copy(from: PathBuf, into: PathBuf) {
    assert!(
        Command::new("cp")
            .arg("-a")
            .arg(from)
            .arg(into)
            .status()
            .unwrap()
            .success()
    );
}

fn free_port() -> SocketAddr {
    loop {
        let number = NEXT_PORT.fetch_add(1, Ordering::Relaxed) % PORTS_EACH;
        let at = SocketAddr::from(([127, 0, 0, 1], OWN_PORTS.0 + number));
        if TcpListener::bind(("0.0.0.0", at.port())).is_ok() {
            return at;
        }
    }
}

/// Starts the app behind all sites; returns its port.
async fn start_app() -> u16 {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::task::spawn_local(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::task::spawn_local(async move {
                let _ = stream.read(&mut [0; 2048]).await;
                let _ = stream
                    .write_all(
                        b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nan app",
                    )
                    .await;
            });
        }
    });
    port
}
