//! Tests of deployments in real folders, with a server and a time of the test's.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    rc::Rc,
    time::Duration,
};

use async_trait::async_trait;
use futures_util::stream::LocalBoxStream;
use http::Method;
use tempfile::TempDir;
use tokio::time::Instant;

use super::*;
use crate::{
    adapters::{
        acme::{AcmeAuthorities, AcmeSettings},
        disk::Folders,
        dns::DnsResolver,
        https_proxy::HttpsProxy,
        visitor::TcpVisitor,
    },
    desire::{
        Desired, desire,
        tests::{container, proxy, rules, snapshot},
    },
    fixtures::plan_rules,
    observe::{Bearer, EngineEvent, Interest, Observed, PartName, Progress, SharedPath, Way},
    plan::{Deploy, plan},
    ports::{Clock, Engine, Page, Parcel, Probe, ProbeError, Served},
    render::Templates,
    values::{ContainerId, FileName, Host, Protocol, Signal, Timestamp},
};

mod helper;
mod inside;
mod look;
mod shown;

const START: Timestamp = Timestamp::from_seconds(1_800_000_000);

/// A time that moves as the runtime's does.
struct MovedClock(Instant);

#[async_trait(?Send)]
impl Clock for MovedClock {
    fn now(&self) -> Timestamp {
        START + self.0.elapsed()
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    async fn sleep(&self, length: Duration) {
        tokio::time::sleep(length).await;
    }
}

/// The text of a file.
fn text_of(path: &Path) -> String {
    fs::read_to_string(path).expect("a text")
}

/// A file, in folders that are made where there are none.
fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().expect("a folder")).expect("it is made");
    fs::write(path, text).expect("a file");
}

/// A link, in folders that are made where there are none.
fn link_to(target: &str, path: &Path) {
    fs::create_dir_all(path.parent().expect("a folder")).expect("it is made");
    std::os::unix::fs::symlink(target, path).expect("a link");
}

/// Takes away a folder with all that is in it.
fn remove(path: &Path) {
    fs::remove_dir_all(path).expect("it is there");
}

/// Number of entries in a folder; none where there is no such folder.
fn entries(path: &Path) -> usize {
    fs::read_dir(path).map_or(0, Iterator::count)
}

/// A server that reads its folder when it reloads, and refuses all of it over a file with a bad word.
struct Server {
    folder: PathBuf,
    mark: RefCell<Option<String>>,
    signals: Cell<u32>,
    /// Time that it takes for a reload.
    takes: Cell<Duration>,
    ready_at: Cell<Instant>,
    /// False if it does not answer at all.
    answers: Cell<bool>,
    /// True if it shows another mark whatever it reads.
    is_deaf: Cell<bool>,
    /// True if it ends by its signal.
    ends: Cell<bool>,
    /// The answers of its own tool, one for each time it is asked: code and words.
    says: RefCell<Vec<(i64, String)>>,
    container: RefCell<Bearer>,
}

impl Server {
    fn texts(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.folder).expect("its folder");
        let files = entries.map(|entry| entry.expect("an entry").path());
        let files = files.filter(|path| path.is_file());
        files
            .map(|path| fs::read_to_string(path).expect("a text"))
            .collect()
    }

    fn read(&self) {
        self.ready_at.set(Instant::now() + self.takes.get());
        let texts = self.texts();
        if self.is_deaf.get() || texts.iter().any(|text| text.contains("bad.example")) {
            return;
        }
        let mark = texts.iter().find_map(|text| {
            let line = text.lines().find(|line| line.contains("return 200 "))?;
            Some(
                line.trim()
                    .strip_prefix("return 200 ")?
                    .trim_end_matches(';')
                    .to_owned(),
            )
        });
        *self.mark.borrow_mut() = mark;
    }
}

#[async_trait(?Send)]
impl Engine for Server {
    async fn events(
        &self,
    ) -> Result<LocalBoxStream<'static, Result<EngineEvent, EngineError>>, EngineError> {
        unreachable!("a deployment follows no events")
    }

    async fn bearers(&self, _: &Interest) -> Result<Vec<Bearer>, EngineError> {
        unreachable!("a deployment lists nothing")
    }

    async fn bearer(&self, _: &str, _: &Interest) -> Result<Option<Bearer>, EngineError> {
        Ok(Some(self.container.borrow().clone()))
    }

    async fn kill(&self, _: &ContainerId, _: Signal, way: Way) -> Result<Way, EngineError> {
        self.signals.set(self.signals.get() + 1);
        if self.ends.get() {
            self.container.borrow_mut().started_at = Some(START + Duration::from_secs(9));
        } else {
            self.read();
        }
        Ok(way)
    }

    async fn exec(&self, _: &ContainerId, _: &[String]) -> Result<Ran, EngineError> {
        let (code, output) = self.says.borrow_mut().remove(0);
        Ok(Ran { code, output })
    }

    async fn put(&self, _: &Parcel, _: Timestamp) -> Result<(), EngineError> {
        unreachable!("its folders are mounted here")
    }

    async fn restart(&self, _: &ContainerId) -> Result<(), EngineError> {
        unreachable!("it is told by a signal")
    }

    async fn ping(&self) -> Result<(), EngineError> {
        Ok(())
    }
}

#[async_trait(?Send)]
impl Probe for Server {
    async fn certificate(
        &self,
        at: SocketAddr,
        _: Protocol,
        _: &Host,
    ) -> Result<Served, ProbeError> {
        unreachable!("no site of the test's has TLS, {at}")
    }

    async fn listens(&self, _: SocketAddr) -> Result<(), ProbeError> {
        Ok(())
    }

    async fn ask(&self, _: Method, at: SocketAddr, _: &str, _: &str) -> Result<Page, ProbeError> {
        if !self.answers.get() {
            let source = std::io::ErrorKind::ConnectionRefused.into();
            return Err(ProbeError::Unreachable { at, source });
        }
        if Instant::now() < self.ready_at.get() {
            return Ok(Page {
                status: 404,
                body: String::new(),
            });
        }
        let mark = self.mark.borrow().clone();
        Ok(Page {
            status: if mark.is_some() { 200 } else { 404 },
            body: mark.unwrap_or_default(),
        })
    }
}

/// The outside, with real folders, and this server for the engine and whatever is looked at.
fn ports<S: Engine + Probe + 'static>(folder: &Path, server: &Rc<S>) -> Ports {
    let folders = Rc::new(Folders::new(
        folder.join("certificates"),
        folder.join("state"),
        |_| (),
    ));
    let clock = Rc::new(MovedClock(Instant::now()));
    let settings = AcmeSettings {
        ca_root_pem: None,
        agree_tos: true,
        email: None,
        orders_per_second: None,
        external_account: None,
        chain: None,
        https_proxy: HttpsProxy::default(),
    };
    let authorities = AcmeAuthorities::new(
        settings,
        BTreeMap::new(),
        Duration::from_secs(365 * 24 * 60 * 60),
        folders.clone(),
        clock.clone(),
        |_| (),
    )
    .expect("there are no roots to read");
    folders.ports(
        Rc::new(authorities),
        server.clone(),
        server.clone(),
        clock,
        (
            Rc::new(DnsResolver::new(None)),
            Rc::new(TcpVisitor::new().expect("a client")),
        ),
    )
}

/// A proxy with one good site that it serves.
struct World {
    folder: TempDir,
    server: Rc<Server>,
    ports: Ports,
    observed: Observed,
    templates: Templates,
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let edge = folder.path().join("edge");
        fs::create_dir(&edge).expect("a folder");
        let server = Rc::new(Server {
            folder: edge,
            mark: RefCell::default(),
            signals: Cell::default(),
            takes: Cell::new(Duration::from_millis(40)),
            ready_at: Cell::new(Instant::now()),
            answers: Cell::new(true),
            is_deaf: Cell::default(),
            ends: Cell::default(),
            says: RefCell::default(),
            container: RefCell::new(proxy()),
        });
        let ports = ports(folder.path(), &server);
        let mut world = Self {
            folder,
            server,
            ports,
            observed: Observed::default(),
            templates: Templates::built_in().expect("they are tested"),
        };
        let desired = world.desired(&["good"]);
        world.look(&desired);
        while let Some(action) = world.next(&desired) {
            let failed = world.carry_out(action).await;
            assert_eq!(failed, None);
        }
        assert!(world.files().contains_key("quaymaster-good.example.conf"));
        world
    }

    /// Sites without TLS on a proxy whose folder is the server's.
    fn desired(&self, apps: &[&str]) -> Desired {
        let app = |(number, name): (u8, &&str)| {
            container(name, 10 + number)
                .label("host", &format!("{name}.example"))
                .label("tls", "off")
        };
        let apps = (0..).zip(apps).map(app);
        let mut desired = desire(&snapshot(apps.chain([proxy()])), &rules());
        let consumer = desired.consumers.values_mut().next().expect("the proxy");
        let consumer = Rc::make_mut(consumer);
        let settings = consumer.proxy.as_mut().expect("it is one");
        settings.config.ours = SharedPath::top(&self.server.folder);
        // The gate has tests of its own.
        settings.guard = crate::desire::Guard::Nothing;
        let crate::desire::CertificateFolder::Delivered(delivery) = &mut consumer.certificates
        else {
            panic!("it gets copies")
        };
        let crate::desire::Destination::Folder(folder) = &mut delivery.to else {
            panic!("its folder is shared")
        };
        folder.ours = SharedPath::top(self.server.folder.join("certificates"));
        desired
    }

    fn look(&mut self, desired: &Desired) {
        for (name, consumer) in &desired.consumers {
            let installed = self
                .ports
                .folders
                .installed(&place(consumer))
                .expect("a look");
            self.observed
                .installed
                .insert(name.clone(), installed.into());
        }
    }

    fn next(&self, desired: &Desired) -> Option<Deploy> {
        let rules = plan_rules();
        let now = self.ports.clock.now();
        let plan = plan(desired, &self.observed, &self.templates, &rules, now);
        plan.actions.into_iter().find_map(|action| match action {
            Action::Deploy(deploy) => Some(*deploy),
            _ => None,
        })
    }

    /// Carries it out; says what went wrong.
    async fn carry_out(&mut self, deploy: Deploy) -> Option<String> {
        let mut action = Action::Deploy(Box::new(deploy));
        let outcome = execute(&self.ports, &mut action).await;
        let Action::Deploy(deploy) = action else {
            unreachable!("it was one")
        };
        match outcome.result {
            Ok(Learned::Installed(name, installed)) => {
                // What is told is what a look shows.
                let seen = self.ports.folders.installed(&place(&deploy.consumer));
                assert_eq!(*installed, seen.expect("a look"));
                self.observed
                    .installed
                    .insert(name, installed.clone().into());
                None
            }
            Ok(other) => panic!("{other:?}"),
            Err(attempt) => {
                let seen = self.ports.folders.installed(&place(&deploy.consumer));
                let name = deploy.consumer.name.clone();
                self.observed
                    .installed
                    .insert(name, seen.expect("a look").into());
                attempt.problem
            }
        }
    }

    fn installed(&self) -> &Installed {
        let mut installed = self.observed.installed.values();
        installed.next().expect("the proxy")
    }

    /// The files in the folder, but the mark.
    fn files(&self) -> BTreeMap<String, String> {
        let entries = fs::read_dir(&self.server.folder).expect("its folder");
        let files = entries.map(|entry| entry.expect("an entry").path());
        let files = files.filter(|path| path.is_file() && !path.ends_with("quaymaster--mark.conf"));
        let read = |path: PathBuf| {
            let name = path
                .file_name()
                .expect("a name")
                .to_string_lossy()
                .into_owned();
            (name, fs::read_to_string(&path).expect("a text"))
        };
        files.map(read).collect()
    }

    /// The deployment of a site that the server refuses, beside the good one.
    fn bad(&self) -> Deploy {
        let next = self.next(&self.desired(&["good", "bad"]));
        next.expect("there is something new")
    }

    fn has_journal(&self) -> bool {
        let record = self.folder.path().join("state/deployed/proxy/record.json");
        let record: serde_json::Value =
            serde_json::from_str(&fs::read_to_string(record).expect("a record")).expect("JSON");
        !record["journal"].is_null()
    }
}

fn bad_file() -> PartName {
    PartName::File(FileName::parse("quaymaster-bad.example.conf").expect("a name"))
}

#[tokio::test(start_paused = true)]
async fn what_the_server_refuses_is_taken_back_and_blamed() {
    let mut world = World::new().await;
    let (before, signals) = (world.files(), world.server.signals.get());
    assert_eq!(world.carry_out(world.bad()).await, None);
    assert_eq!(world.files(), before);
    let installed = world.installed();
    assert!(
        installed.trial.refused.contains_key(&bad_file()),
        "{installed:?}"
    );
    assert!(matches!(installed.progress, Progress::Proven { .. }));
    let shown = world.server.mark.borrow().clone();
    assert_eq!(shown, Some(installed.generation.to_string()));
    assert_eq!(
        world.server.signals.get() - signals,
        2,
        "the new, and what was there before"
    );
    assert!(!world.has_journal());
    assert_eq!(
        world.next(&world.desired(&["good", "bad"])),
        None,
        "it is held back"
    );
    // What else there is goes on.
    let more = world.desired(&["good", "bad", "more"]);
    let next = world.next(&more).expect("there is more");
    assert_eq!(world.carry_out(next).await, None);
    assert!(world.files().contains_key("quaymaster-more.example.conf"));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_shows_neither_is_blamed_and_no_file_is() {
    let mut world = World::new().await;
    let before = world.files();
    world.server.is_deaf.set(true);
    let failed = world.carry_out(world.bad()).await.expect("it fails");
    assert!(failed.contains("does not get the signal"), "{failed}");
    assert!(failed.contains(" nginx -t`"), "{failed}");
    assert_eq!(world.files(), before);
    let installed = world.installed();
    assert_eq!(installed.progress, Progress::TakenBack);
    assert_eq!(installed.trial.parts().count(), 0);
    assert!(!world.has_journal());
    // It hears again: what it is given next may be wrong for the same reason, and is not blamed.
    world.server.is_deaf.set(false);
    let next = world.bad();
    assert!(!next.is_conclusive);
    assert_eq!(world.carry_out(next).await, None);
    assert_eq!(
        (world.files(), world.installed().trial.parts().count()),
        (before, 0)
    );
    assert_eq!(world.carry_out(world.bad()).await, None);
    assert!(world.installed().trial.refused.contains_key(&bad_file()));
}

#[tokio::test(start_paused = true)]
async fn what_a_server_that_never_answers_was_given_stays() {
    let mut world = World::new().await;
    world.server.answers.set(false);
    let next = world
        .next(&world.desired(&["good", "more"]))
        .expect("there is more");
    let failed = world.carry_out(next).await.expect("it fails");
    assert!(failed.contains("does not answer at all"), "{failed}");
    assert!(world.files().contains_key("quaymaster-more.example.conf"));
    assert!(matches!(
        world.installed().progress,
        Progress::Unproven { .. }
    ));
    assert!(!world.has_journal());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_takes_long_for_what_it_had_gets_more_time() {
    let mut world = World::new().await;
    let before = world.files();
    let mut next = world.bad();
    next.within = Duration::from_secs(1);
    world.server.takes.set(Duration::from_millis(600));
    let failed = world.carry_out(next).await.expect("it fails");
    assert!(failed.contains("the server gets more time"), "{failed}");
    let installed = world.installed();
    assert_eq!(
        (world.files(), installed.trial.parts().count()),
        (before, 0)
    );
    let took = installed.reload.expect("it was seen");
    assert!((600..700).contains(&took.as_millis()), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_ends_of_the_signal_gets_no_other() {
    let mut world = World::new().await;
    let (before, signals) = (world.files(), world.server.signals.get());
    world.server.ends.set(true);
    let failed = world.carry_out(world.bad()).await.expect("it fails");
    assert!(failed.contains("ended when it was reloaded"), "{failed}");
    assert_eq!(
        (world.files(), world.server.signals.get() - signals),
        (before, 1)
    );
    assert_eq!(world.installed().progress, Progress::TakenBack);
}

/// The deployment of a bad site that the server's own tool looks at first.
fn checked(world: &World) -> Deploy {
    let mut desired = world.desired(&["good", "bad"]);
    let consumer = desired.consumers.values_mut().next().expect("the proxy");
    Rc::make_mut(consumer).check = Some(vec!["nginx".to_owned(), "-t".to_owned()]);
    world.next(&desired).expect("there is something new")
}

#[tokio::test(start_paused = true)]
async fn what_the_tool_of_the_server_names_goes_before_the_server_hears_of_it() {
    let mut world = World::new().await;
    let (before, signals) = (world.files(), world.server.signals.get());
    let generation = world.installed().generation;
    let words = "[emerg] no in /etc/nginx/conf.d/quaymaster-bad.example.conf:1";
    world.server.says.replace(vec![(1, words.to_owned())]);
    assert_eq!(world.carry_out(checked(&world)).await, None);
    assert_eq!(
        (world.files(), world.server.signals.get()),
        (before, signals)
    );
    let installed = world.installed();
    assert_eq!(installed.trial.refused[&bad_file()].reason, words);
    assert_eq!(installed.generation, generation, "it was never told");
    assert!(matches!(installed.progress, Progress::Proven { .. }) && !world.has_journal());
}

#[tokio::test(start_paused = true)]
async fn a_tool_that_refuses_what_was_there_before_too_blames_what_is_the_users_own() {
    let mut world = World::new().await;
    let before = world.files();
    let broken = (1, "[emerg] no in /etc/nginx/nginx.conf:1".to_owned());
    world
        .server
        .says
        .replace(vec![broken.clone(), broken.clone()]);
    let failed = world.carry_out(checked(&world)).await.expect("it fails");
    assert!(
        failed.contains("its own configuration is broken"),
        "{failed}"
    );
    let installed = world.installed();
    assert!(installed.is_own_broken && installed.trial.parts().count() == 0);
    // It is mended between the two looks: that says nothing about what is new.
    world.server.says.replace(vec![broken, (0, String::new())]);
    assert_eq!(world.carry_out(checked(&world)).await, None);
    let installed = world.installed();
    assert!(!installed.is_own_broken && installed.trial.parts().count() == 0);
    assert_eq!(world.files(), before);
}

#[tokio::test(start_paused = true)]
async fn what_a_server_did_not_live_to_show_is_taken_back() {
    let world = World::new().await;
    let before = world.files();
    let deploy = world.bad();
    let place = place(&deploy.consumer);
    let change = crate::ports::Change {
        write: &deploy.write,
        remove: &deploy.remove,
        deliver: &deploy.deliver,
    };
    world
        .ports
        .folders
        .stage(&place, &change)
        .expect("it is staged");
    world
        .ports
        .folders
        .switch(&place, &change, &deploy.after)
        .expect("it is switched");
    assert!(world.has_journal());
    let back = crate::plan::TakeBack {
        consumer: Rc::clone(&deploy.consumer),
        before: Rc::new(world.ports.folders.installed(&place).expect("a look")),
        attempt: deploy.attempt.clone(),
    };
    let outcome = execute(&world.ports, &mut Action::TakeBack(Box::new(back))).await;
    let Ok(Learned::Installed(_, installed)) = outcome.result else {
        panic!("{outcome:?}")
    };
    assert_eq!(installed.progress, Progress::TakenBack);
    assert_eq!(
        *installed,
        world.ports.folders.installed(&place).expect("a look")
    );
    assert_eq!((world.files(), world.has_journal()), (before, false));
}
