//! A fake engine with containers in it, and the program that watches it.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
    rc::Rc,
};

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::support::{
    fake_engine::{Fake, Reply},
    program::Program,
};

use crate::support::program::binary;

/// The answers of the engine.
#[derive(Default)]
struct State {
    containers: BTreeMap<String, Value>,
    streams: Vec<UnboundedSender<String>>,
    /// Says nothing, to anybody.
    frozen: bool,
    /// Breaks every connection off.
    away: bool,
    /// Requests that begin like this are forbidden.
    denied: Option<&'static str>,
}

/// An engine with containers, a folder of nginx, and a CA that takes connections and says nothing.
pub struct World {
    fake: Fake,
    state: Rc<RefCell<State>>,
    folder: TempDir,
    authority: TcpListener,
}

impl World {
    /// With a proxy.
    pub fn new() -> Self {
        let state = Rc::<RefCell<State>>::default();
        let shared = Rc::clone(&state);
        let fake = Fake::start(move |line| shared.borrow_mut().answer(line));
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("conf.d")).unwrap();
        let authority = TcpListener::bind("127.0.0.1:0").unwrap();
        let world = Self {
            fake,
            state,
            folder,
            authority,
        };
        world.set("proxy", "quaymaster.kind", "nginx", |proxy| {
            proxy["Mounts"] = json!([{"Type": "bind", "Source": world.config(), "Destination": "/etc/nginx/conf.d",
                "RW": true, "Mode": "tomorrow", "Propagation": {"new": "shape"}}]);
        });
        world
    }

    /// The socket of the engine.
    pub fn socket(&self) -> &Path {
        &self.fake.socket
    }

    pub fn config(&self) -> PathBuf {
        self.folder.path().join("conf.d")
    }

    pub fn state_folder(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// Puts a running container there, or another in place of the one with that id; no event tells of it.
    pub fn set(&self, id: &str, label: &str, value: &str, change: impl FnOnce(&mut Value)) {
        let mut container = json!({
            "Id": id, "Name": format!("/{id}"), "Created": "2026-11-22T18:46:08.447Z",
            "State": {"Status": "running", "Running": true, "StartedAt": "2026-11-22T18:46:08.731Z"},
            "Config": {"Labels": {label: value}, "ExposedPorts": {"8080/tcp": {}}},
            "NetworkSettings": {"Networks": {"web": {"NetworkID": "n1", "IPAddress": address(id)}}},
            "Mounts": [],
        });
        change(&mut container);
        self.state
            .borrow_mut()
            .containers
            .insert(id.to_owned(), container);
    }

    /// An app `ID` that answers for `ID.example`.
    pub fn app(&self, id: &str) {
        self.set(id, "quaymaster.host", &format!("{id}.example"), |_| {});
    }

    /// Changes what is told of a container; no event tells of it.
    pub fn change(&self, id: &str, change: impl FnOnce(&mut Value)) {
        change(self.state.borrow_mut().containers.get_mut(id).unwrap());
    }

    pub fn remove(&self, id: &str) {
        self.state.borrow_mut().containers.remove(id).unwrap();
    }

    /// Sends an event about a container to whoever listens.
    pub fn event(&self, id: &str, action: &str) {
        let labels = self
            .state
            .borrow()
            .containers
            .get(id)
            .map(|container| container["Config"]["Labels"].clone());
        self.send(json!({"Type": "container", "Action": action, "Actor": {"ID": id, "Attributes": labels}}));
    }

    pub fn send(&self, event: Value) {
        self.state
            .borrow_mut()
            .streams
            .retain(|stream| stream.send(format!("{event}\n")).is_ok());
    }

    /// Ends every stream of events.
    pub fn cut(&self) {
        self.state.borrow_mut().streams.clear();
    }

    pub fn freeze(&self, frozen: bool) {
        self.state.borrow_mut().frozen = frozen;
    }

    /// The engine is gone, and its streams with it; or is back.
    pub fn away(&self, away: bool) {
        self.state.borrow_mut().away = away;
        self.cut();
    }

    pub fn deny(&self, call: Option<&'static str>) {
        self.state.borrow_mut().denied = call;
    }

    /// Number of requests that began like this.
    pub fn asked(&self, call: &str) -> usize {
        self.fake
            .seen
            .borrow()
            .iter()
            .filter(|line| line.starts_with(call))
            .count()
    }

    /// Forgets which requests came.
    pub fn forget(&self) {
        self.fake.seen.borrow_mut().clear();
    }

    /// Requests since then, without signs of life and signals.
    pub fn requests(&self) -> Vec<String> {
        let plain = |line: &&String| !line.starts_with("GET /_ping") && !line.starts_with("POST");
        self.fake
            .seen
            .borrow()
            .iter()
            .filter(plain)
            .cloned()
            .collect()
    }

    /// Sites whose files lie in the proxy's folder and lead somewhere: that of a container that is away does not.
    pub fn led(&self) -> Vec<String> {
        let mut sites = self.sites();
        sites.retain(|site| {
            let file = self
                .config()
                .join(format!("quaymaster-{site}.example.conf"));
            fs::read_to_string(file).is_ok_and(|text| text.contains("# Leads to "))
        });
        sites
    }

    /// Sites whose files lie in the proxy's folder.
    pub fn sites(&self) -> Vec<String> {
        let entries = fs::read_dir(self.config()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let site = |name: String| {
            Some(
                name.strip_prefix("quaymaster-")?
                    .strip_suffix(".example.conf")?
                    .to_owned(),
            )
        };
        let mut sites: Vec<_> = names.filter_map(site).collect();
        sites.sort();
        sites
    }

    /// Starts the program.
    pub fn start(&self, command: &str) -> Program {
        self.start_with(&[command])
    }

    /// Starts the program with a command and what that takes.
    pub fn start_with(&self, command: &[&str]) -> Program {
        let mut words = Command::new(binary());
        words
            .env_clear()
            // As in the image.
            .env("MIMALLOC_PURGE_DELAY", "0")
            .args(command)
            .args(["--agree-tos", "--log-format", "json", "--ca"])
            .arg(format!(
                "https://{}/directory",
                self.authority.local_addr().unwrap()
            ))
            .arg("--engine")
            .arg(self.socket())
            .arg("--state")
            .arg(self.state_folder());
        let log = format!("{}.log", command[0]);
        Program::start(words, self.folder.path().join(log))
    }

    /// Has the program look at everything again, and waits until it has decided what comes of it. It never rests here: the
    /// CA says nothing.
    pub async fn look(&self, program: &Program) {
        // The first document tells of the look at the start, however late it comes.
        program
            .until("it has told of a look", || self.status()["looks"].is_u64())
            .await;
        let before = self.status()["looks"].clone();
        program.signal(Signal::SIGHUP);
        program
            .until("it has looked", || self.status()["looks"] != before)
            .await;
    }

    /// The program's own status; none before it has written one.
    fn status(&self) -> Value {
        let text = fs::read_to_string(self.state_folder().join("status.json"));
        text.map_or(Value::Null, |text| serde_json::from_str(&text).unwrap())
    }

    /// Starts watching and waits until these sites are there and the proxy was told.
    pub async fn watch(&self, sites: &[&str]) -> Program {
        let program = self.start("watch");
        program
            .until("the sites are there", || {
                self.sites() == sites && self.asked("POST") > 0
            })
            .await;
        program
    }
}

impl State {
    fn answer(&mut self, line: &str) -> Reply {
        let path = line.split(['?', ' ']).nth(1).unwrap();
        if self.away {
            return Reply::raw(b"");
        }
        if self.frozen {
            return Reply::raw(b"").then_hangs();
        }
        if self.denied.is_some_and(|call| line.starts_with(call)) {
            return Reply::new(403, "<html>Forbidden</html>");
        }
        match (
            path,
            path.strip_prefix("/containers/")
                .and_then(|rest| rest.strip_suffix("/json")),
        ) {
            ("/_ping", _) => Reply::new(200, "OK"),
            ("/events", _) => {
                let (sender, receiver) = unbounded_channel();
                self.streams.push(sender);
                Reply::stream(&[]).then_follows(receiver)
            }
            ("/containers/json", _) => {
                let listed = self.containers.values().map(
                    |container| json!({"Id": container["Id"], "Labels": container["Config"]["Labels"], "State": {}}),
                );
                Reply::new(200, Value::from_iter(listed).to_string())
            }
            (_, Some(id)) => match self.containers.get(id) {
                Some(container) => Reply::new(200, container.to_string()),
                None => Reply::new(404, r#"{"message":"No such container"}"#),
            },
            _ if line.starts_with("POST") => Reply::new(204, ""),
            _ => panic!("nobody should ask for {line}"),
        }
    }
}

/// An address of its own for each app. None for the proxy: what can't be looked at is not waited for.
fn address(id: &str) -> String {
    let number = id
        .trim_start_matches(|c: char| c.is_ascii_alphabetic())
        .parse()
        .unwrap_or(1u32);
    if id.starts_with("proxy") {
        String::new()
    } else {
        format!("10.9.{}.{}", number / 250, number % 250 + 1)
    }
}
