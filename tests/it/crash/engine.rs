//! The engine of a world: a fake at its socket. Its containers are the world's nginx and apps, and its `kill` is a real
//! signal to nginx.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    path::{Path, PathBuf},
    rc::Rc,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::support::fake_engine::{Fake, Reply};

pub struct Engine {
    fake: Fake,
    machine: Rc<Machine>,
}

struct Machine {
    containers: RefCell<BTreeMap<String, Value>>,
    /// To whoever listens to events.
    streams: RefCell<Vec<UnboundedSender<String>>>,
    nginx: u32,
    /// The signals to nginx that were asked for since the next line was set.
    signals: Cell<u32>,
    cut: Cell<Option<Cut>>,
    /// As long as this file is there, nginx was started once more.
    restart: RefCell<Option<PathBuf>>,
}

/// When everything here was started.
const STARTED: &str = "2026-01-01T00:00:00Z";

/// When nginx was started again, and once more.
const STARTED_AGAIN: &str = "2026-01-02T00:00:00Z";
const STARTED_ONCE_MORE: &str = "2026-01-03T00:00:00Z";

/// The program is killed while it waits for the answer to one of its signals.
#[derive(Clone, Copy)]
pub struct Cut {
    /// Which of its signals, from 1 on.
    pub number: u32,
    /// True if nginx gets it all the same; otherwise the engine ended, too.
    pub arrives: bool,
    /// The program.
    pub process: u32,
}

impl Engine {
    pub fn start(nginx: u32) -> Self {
        let machine = Rc::new(Machine {
            containers: RefCell::default(),
            streams: RefCell::default(),
            nginx,
            signals: Cell::default(),
            cut: Cell::default(),
            restart: RefCell::default(),
        });
        let asked = Rc::clone(&machine);
        Self {
            fake: Fake::start(move |line| asked.answer(line)),
            machine,
        }
    }

    pub fn socket(&self) -> &Path {
        &self.fake.socket
    }

    /// Puts a running container there, or another in place of the one of that name, and tells whoever listens.
    pub fn put(&self, name: &str, labels: Value, mounts: Value) {
        let container = json!({
            "Id": name, "Name": format!("/{name}"), "Created": "2026-01-01T00:00:00Z",
            "State": {"Status": "running", "Running": true, "StartedAt": STARTED},
            "Config": {"Labels": labels},
            "NetworkSettings": {"Networks": {"web": {"NetworkID": "n1", "IPAddress": "127.0.0.1"}}},
            "Mounts": mounts,
        });
        self.machine
            .containers
            .borrow_mut()
            .insert(name.to_owned(), container);
        self.tell(name, "start");
    }

    pub fn remove(&self, name: &str) {
        self.machine.containers.borrow_mut().remove(name);
        self.tell(name, "destroy");
    }

    /// Says that nginx was started again.
    pub fn start_again(&self) {
        let mut containers = self.machine.containers.borrow_mut();
        containers.get_mut("proxy").unwrap()["State"]["StartedAt"] = STARTED_AGAIN.into();
    }

    /// Says that nginx was started once more, as long as a file is there.
    pub fn restart_at(&self, file: PathBuf) {
        *self.machine.restart.borrow_mut() = Some(file);
    }

    fn tell(&self, name: &str, action: &str) {
        let containers = self.machine.containers.borrow();
        let labels = containers
            .get(name)
            .map(|container| container["Config"]["Labels"].clone());
        let event = json!({"Type": "container", "Action": action, "Actor": {"ID": name, "Attributes": labels}});
        self.machine
            .streams
            .borrow_mut()
            .retain(|stream| stream.send(format!("{event}\n")).is_ok());
    }

    /// Kills the program at one of the signals that it asks for from now on, or at none.
    pub fn cut(&self, cut: Option<Cut>) {
        self.machine.signals.set(0);
        self.machine.cut.set(cut);
    }

    /// Number of signals that were asked for since then.
    pub fn signals(&self) -> u32 {
        self.machine.signals.get()
    }

    /// The signal at which the program was killed.
    pub fn has_cut(&self) -> Option<String> {
        let cut = self
            .machine
            .cut
            .get()
            .filter(|cut| cut.number <= self.signals())?;
        Some(format!(
            "signal {}, which {}",
            cut.number,
            if cut.arrives { "arrives" } else { "is lost" }
        ))
    }
}

impl Machine {
    fn answer(&self, line: &str) -> Reply {
        let path = line.split(['?', ' ']).nth(1).unwrap();
        if line.starts_with("POST /containers/proxy/kill") {
            return self.kill();
        }
        match (
            path,
            path.strip_prefix("/containers/")
                .and_then(|rest| rest.strip_suffix("/json")),
        ) {
            ("/_ping", _) => Reply::new(200, "OK"),
            ("/events", _) => {
                let (sender, receiver) = unbounded_channel();
                self.streams.borrow_mut().push(sender);
                Reply::stream(&[]).then_follows(receiver)
            }
            ("/containers/json", _) => {
                let containers = self.containers.borrow();
                let listed = containers.values();
                let listed = listed.map(
                    |it| json!({"Id": it["Id"], "Labels": it["Config"]["Labels"], "State": {}}),
                );
                Reply::new(200, Value::from_iter(listed).to_string())
            }
            (_, Some(id)) => match self.containers.borrow().get(id) {
                Some(container) => Reply::new(200, self.inspected(id, container).to_string()),
                None => Reply::new(404, r#"{"message":"No such container"}"#),
            },
            _ => panic!("nobody should ask for {line}"),
        }
    }

    fn inspected(&self, id: &str, container: &Value) -> Value {
        let mut container = container.clone();
        let is_there = |file: &PathBuf| file.exists();
        if id == "proxy" && self.restart.borrow().as_ref().is_some_and(is_there) {
            container["State"]["StartedAt"] = STARTED_ONCE_MORE.into();
        }
        container
    }

    fn kill(&self) -> Reply {
        self.signals.set(self.signals.get() + 1);
        let cut = self
            .cut
            .get()
            .filter(|cut| cut.number == self.signals.get());
        if let Some(cut) = cut {
            signal(cut.process, Signal::SIGKILL);
        }
        if cut.is_none_or(|cut| cut.arrives) {
            signal(self.nginx, Signal::SIGHUP);
        }
        Reply::new(204, "")
    }
}

pub fn signal(process: u32, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(process).unwrap()), signal).unwrap();
}
