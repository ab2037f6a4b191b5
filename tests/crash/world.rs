//! Real parts on loopback: nginx, Pebble and its DNS server, the program under strace, and an app. Only the engine is a
//! fake, on its socket: its containers are that nginx and the apps, and its `kill` is a real signal to nginx.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    fs::{self, File},
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    rc::Rc,
    sync::atomic::{AtomicU16, Ordering},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use quaymaster::{
    adapters::probe::TcpProbe,
    ports::{Page, Probe},
    values::Host,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{
    fake_engine::{Fake, Reply},
    pebble::{Behaviour, Pebble},
    program::Program,
};

/// The pause after which a try that was cut off may be made again is 5 s; this is how often is looked.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// As many looks in a row make sure that a site is served: nginx's old workers take connections for some 200 ms after the
/// first new one has answered.
const STEADY: u32 = 10;

/// How often a site is looked at.
const WATCHED_EVERY: Duration = Duration::from_millis(40);

/// How long a restart may take until nothing is left to do: that pause, and the work.
const SETTLES_WITHIN: Duration = Duration::from_secs(40);

/// Ports below those that the system hands out by itself, so that nobody gets one between our look and nginx's.
static NEXT_PORT: AtomicU16 = AtomicU16::new(0);

type Containers = Rc<RefCell<BTreeMap<String, Value>>>;

/// A machine with a proxy, on which the program is run again and again.
pub struct World {
    fake: Fake,
    containers: Containers,
    pub pebble: Pebble,
    pub folder: TempDir,
    pub http: SocketAddr,
    pub https: SocketAddr,
    app: u16,
    nginx: Child,
    /// Lines that are added to the words of the program.
    settings: RefCell<Vec<String>>,
    runs: Cell<u32>,
}

/// How a run ended.
pub struct Ended {
    /// The exit code; none when it was killed.
    pub code: Option<i32>,
    /// What it logged.
    pub log: String,
    /// The call that strace spoilt, as strace prints it; none when it spoilt none.
    pub spoilt: Option<String>,
}

impl World {
    pub async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for inner in ["conf.d", "templates/nginx"] {
            fs::create_dir_all(folder.path().join(inner)).unwrap();
        }
        let [http, https] = [(); 2].map(|()| free_port());
        let pebble = Pebble::start(http.port(), Behaviour::default());
        fs::write(folder.path().join("ca-root.pem"), pebble.root()).unwrap();
        let nginx = start_nginx(folder.path());
        let containers = Containers::default();
        let (shown, nginx_id) = (Rc::clone(&containers), nginx.id());
        let fake = Fake::start(move |line| answer(line, &shown.borrow(), nginx_id));
        let app = start_app().await;
        let world = Self {
            fake,
            containers,
            pebble,
            folder,
            http,
            https,
            app,
            nginx,
            settings: RefCell::default(),
            runs: Cell::default(),
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
        self.put("proxy", labels, mounts);
    }

    /// An app `NAME` that answers for `NAME.example`, with and without TLS.
    pub fn put_app(&self, name: &str, label: &str, value: &str) {
        let labels = json!({
            "quaymaster.host": format!("{name}.example"), "quaymaster.port": self.app.to_string(),
            "quaymaster.tls": "both", format!("quaymaster.{label}"): value,
        });
        self.put(name, labels, json!([]));
    }

    fn put(&self, name: &str, labels: Value, mounts: Value) {
        let container = json!({
            "Id": name, "Name": format!("/{name}"), "Created": "2026-01-01T00:00:00Z",
            "State": {"Status": "running", "Running": true, "StartedAt": "2026-01-01T00:00:00Z"},
            "Config": {"Labels": labels},
            "NetworkSettings": {"Networks": {"web": {"NetworkID": "n1", "IPAddress": "127.0.0.1"}}},
            "Mounts": mounts,
        });
        self.containers.borrow_mut().insert(name.to_owned(), container);
    }

    pub fn remove_app(&self, name: &str) {
        self.containers.borrow_mut().remove(name);
    }

    pub fn set(&self, setting: String) {
        self.settings.borrow_mut().push(setting);
    }

    /// Removes all that the program ever wrote, and makes nginx forget it; the CA remembers.
    pub fn forget_everything(&self) {
        for inner in ["state", "conf.d"] {
            let folder = self.path(inner);
            if folder.exists() {
                fs::remove_dir_all(folder).unwrap();
            }
        }
        fs::create_dir(self.path("conf.d")).unwrap();
        signal(self.nginx.id(), Signal::SIGHUP);
    }

    /// Runs the program to its end; `spoil` is what strace is to spoil.
    pub async fn run(&self, spoil: Option<&str>) -> Ended {
        self.start(&["once"], spoil).await
    }

    /// Runs a command of the program to its end.
    async fn start(&self, words: &[&str], spoil: Option<&str>) -> Ended {
        let number = self.runs.get() + 1;
        self.runs.set(number);
        let (log, trace) = (self.path("log"), self.path(&format!("trace-{number}")));
        let mut command = Command::new(if spoil.is_some() { "strace" } else { env!("CARGO_BIN_EXE_quaymaster") });
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        if let Some(spoil) = spoil {
            let call = spoil.split(':').next().unwrap();
            command.args(["-f", "-qq", "-y", "-o"]).arg(&trace);
            command.args([&format!("-etrace={call}"), &format!("-einject={spoil}")]);
            command.arg(env!("CARGO_BIN_EXE_quaymaster"));
        }
        command.args(words).args(["--agree-tos", "--log-format=json"]);
        command.arg(format!("--ca={}", self.pebble.directory()));
        command.arg(format!("--ca-root={}", self.path("ca-root.pem").display()));
        command.arg(format!("--engine={}", self.fake.socket.display()));
        command.arg(format!("--state={}", self.path("state").display()));
        command.args(self.settings.borrow().iter());
        let mut program = Program::start(command, log.clone());
        let code = program.ended().await;
        let trace = fs::read_to_string(trace).unwrap_or_default();
        let spoilt = |line: &&str| line.contains("(INJECTED)") || line.contains("killed by SIGKILL");
        let before = trace.lines().take_while(|line| !line.contains("killed by")).last().unwrap_or_default();
        let spoilt = trace.lines().find(spoilt).map(|line| if line.contains("killed") { before } else { line });
        Ended { code, log: fs::read_to_string(log).unwrap(), spoilt: spoilt.map(str::to_owned) }
    }

    /// Starts the program again, as often as somebody would who is told that something is held back for some seconds,
    /// until it ends with this code; returns what every run logged.
    pub async fn settle(&self, code: i32, is_done: impl Fn(&Self) -> bool) -> Result<String, String> {
        /// Longer than the pause after a try that was cut off.
        const HELD_BACK: Duration = Duration::from_secs(8);
        let (began, mut told, mut insisted) = (Instant::now(), String::new(), None);
        loop {
            let ended = self.run(None).await;
            told += &ended.log;
            if ended.code == Some(code) && is_done(self) {
                return Ok(told);
            }
            if began.elapsed() > HELD_BACK && insisted.is_none() {
                // What a disk did not take is tried again after a minute; whoever has made room need not wait.
                insisted = Some(self.start(&["renew", "--force", "shop.example"], None).await);
            }
            if began.elapsed() > SETTLES_WITHIN {
                return Err(format!("it ends with {:?}, not {code}, for {SETTLES_WITHIN:?}: {told}", ended.code));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// How many requests the CA got at this path.
    pub fn asked(&self, path: &str) -> usize {
        let wanted = format!("POST {path}");
        self.pebble.requests().iter().filter(|line| **line == wanted).count()
    }

    /// What nginx shows of a host at port 80.
    pub async fn page(&self, host: &str) -> Result<Page, String> {
        TcpProbe::new().unwrap().page(self.http, host, "/").await.map_err(|error| error.to_string())
    }

    /// The serial number of the certificate that nginx shows for a host.
    pub async fn serial(&self, host: &str) -> Result<String, String> {
        let host = Host::parse(host).unwrap();
        let served = TcpProbe::new().unwrap().certificate(self.https, &host).await;
        served.map(|served| served.serial).map_err(|error| error.to_string())
    }

    /// Does `work`, and looks all the time whether a site is served; returns what was wrong once it was for sure, with
    /// and without TLS.
    pub async fn watched<T>(&self, host: &str, work: impl Future<Output = T>) -> (T, Vec<String>) {
        let (mut gaps, mut had_page, mut had_tls) = (Vec::new(), 0, 0);
        tokio::pin!(work);
        loop {
            let page = self.page(host).await.and_then(|page| match (page.status, page.body.as_str()) {
                (200, "an app") => Ok(()),
                (status, body) => Err(format!("{host} answers {status}: {body}")),
            });
            for (seen, had) in [(page, &mut had_page), (self.serial(host).await.map(drop), &mut had_tls)] {
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
        signal(self.nginx.id(), Signal::SIGTERM);
        let _ = self.nginx.wait();
    }
}

fn signal(process: u32, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(process).unwrap()), signal).unwrap();
}

fn free_port() -> SocketAddr {
    loop {
        let offset = u16::try_from(std::process::id() % 400).unwrap() * 40 + NEXT_PORT.fetch_add(1, Ordering::Relaxed);
        let at = SocketAddr::from(([127, 0, 0, 1], 12_000 + offset));
        if TcpListener::bind(("0.0.0.0", at.port())).is_ok() {
            return at;
        }
    }
}

/// nginx as Debian has it, with the folder of the program's files included. It listens nowhere else until there are some.
fn start_nginx(folder: &Path) -> Child {
    let at = |inner: &str| folder.join(inner).display().to_string();
    let config = format!(
        "user root;\nworker_processes 1;\npid {};\nevents {{}}\nhttp {{\n    access_log off;\n    include {}/*.conf;\n}}\n",
        at("nginx.pid"),
        at("conf.d"),
    );
    fs::write(folder.join("nginx.conf"), config).unwrap();
    let log = File::create(folder.join("nginx.log")).unwrap();
    let nginx = Command::new("nginx")
        .args(["-p", &at(""), "-c", &at("nginx.conf"), "-e", &at("nginx.log"), "-g", "daemon off;"])
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("Debian's package nginx-light is installed");
    // A signal to one that is starting ends it.
    let began = Instant::now();
    while !folder.join("nginx.pid").exists() {
        assert!(began.elapsed() < crate::support::program::SOON, "nginx does not start");
        std::thread::sleep(Duration::from_millis(10));
    }
    nginx
}

/// What stands behind all sites; returns its port.
async fn start_app() -> u16 {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::task::spawn_local(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::task::spawn_local(async move {
                let _ = stream.read(&mut [0; 2048]).await;
                let _ =
                    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nan app").await;
            });
        }
    });
    port
}

fn answer(line: &str, containers: &BTreeMap<String, Value>, nginx: u32) -> Reply {
    let path = line.split(['?', ' ']).nth(1).unwrap();
    if line.starts_with("POST /containers/proxy/kill") {
        signal(nginx, Signal::SIGHUP);
        return Reply::new(204, "");
    }
    match (path, path.strip_prefix("/containers/").and_then(|rest| rest.strip_suffix("/json"))) {
        ("/_ping", _) => Reply::new(200, "OK"),
        ("/containers/json", _) => {
            let listed = containers.values();
            let listed = listed.map(|it| json!({"Id": it["Id"], "Labels": it["Config"]["Labels"], "State": {}}));
            Reply::new(200, Value::from_iter(listed).to_string())
        }
        (_, Some(id)) => match containers.get(id) {
            Some(container) => Reply::new(200, container.to_string()),
            None => Reply::new(404, r#"{"message":"No such container"}"#),
        },
        _ => panic!("nobody should ask for {line}"),
    }
}
