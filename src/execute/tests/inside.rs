//! A server whose files the engine puts inside its container.

use std::collections::BTreeSet;

use super::*;
use crate::{
    desire::LabelRules,
    fixtures::volume,
    observe::Source,
    ports::{Item, NewCertificate},
    values::{CertificateName, Digest, Grants, Secret},
};

const HOST: &str = "app.example";

/// The inside of the one container that is there, and what its engine was asked.
#[derive(Default)]
struct Inner {
    files: RefCell<BTreeMap<PathBuf, Item>>,
    asked: RefCell<Vec<String>>,
    /// The paths at which the engine lets nobody put files or links.
    denies: Cell<&'static [&'static str]>,
    /// True if the server ignores its signal.
    is_deaf: Cell<bool>,
    /// The serial numbers of versions, by their digests.
    serials: RefCell<BTreeMap<String, String>>,
    shown: RefCell<String>,
}

impl Inner {
    /// Where a path leads, through all links.
    fn resolved(&self, path: &str) -> PathBuf {
        let files = self.files.borrow();
        let mut path = PathBuf::from(path);
        let link = |path: &PathBuf| {
            path.ancestors().find_map(|above| match files.get(above) {
                Some(Item::Link(target)) => {
                    let rest = path.strip_prefix(above).expect("it is above");
                    Some(above.with_file_name("").join(target).join(rest))
                }
                _ => None,
            })
        };
        while let Some(next) = link(&path) {
            path = next.components().collect();
        }
        path
    }

    /// The version in which the server finds a file with anything in it; none where there is no such file.
    fn version_of(&self, file: &str) -> Option<String> {
        let path = self.resolved(file);
        let files = self.files.borrow();
        let is_file =
            matches!(files.get(&path), Some(Item::File { text, .. }) if !text.expose().is_empty());
        let version = path.parent()?.file_name()?.to_string_lossy();
        let digest = version.split('-').next().unwrap_or_default();
        is_file.then(|| digest.to_owned())
    }

    /// The version that the server finds, which is never a key of one and a certificate of another.
    fn version(&self) -> Option<String> {
        let [certificate, key] = ["server.crt", "server.key"].map(|file| self.version_of(file));
        if let (Some(certificate), Some(key)) = (&certificate, &key) {
            assert_eq!(certificate, key);
        }
        certificate.filter(|_| key.is_some())
    }

    /// Versions of which something is there that is not empty.
    fn keys(&self) -> BTreeSet<String> {
        let files = self.files.borrow();
        let keys = files.iter().filter(|(path, item)| {
            path.ends_with("server.key") && matches!(item, Item::File { .. })
        });
        let version = |path: &Path| {
            path.parent()?
                .file_name()?
                .to_str()?
                .split('-')
                .next()
                .map(str::to_owned)
        };
        keys.filter_map(|(path, _)| version(path)).collect()
    }

    fn asked(&self) -> Vec<String> {
        self.asked.take()
    }
}

#[async_trait(?Send)]
impl Engine for Inner {
    async fn events(
        &self,
    ) -> Result<LocalBoxStream<'static, Result<EngineEvent, EngineError>>, EngineError> {
        unreachable!("a deployment follows no events")
    }

    async fn bearers(&self, _: &Interest) -> Result<Vec<Bearer>, EngineError> {
        unreachable!("a deployment lists nothing")
    }

    async fn bearer(&self, _: &str, _: &Interest) -> Result<Option<Bearer>, EngineError> {
        Ok(Some(app(4)))
    }

    async fn kill(&self, _: &ContainerId, _: Signal, way: Way) -> Result<Way, EngineError> {
        self.asked.borrow_mut().push("told".to_owned());
        if !self.is_deaf.get() {
            let version = self.version().unwrap_or_default();
            let serial = self.serials.borrow().get(&version).cloned();
            *self.shown.borrow_mut() = serial.unwrap_or_default();
        }
        Ok(way)
    }

    async fn exec(&self, _: &ContainerId, _: &[String]) -> Result<Ran, EngineError> {
        unreachable!("it is told by a signal")
    }

    async fn put(&self, parcel: &Parcel, _: Timestamp) -> Result<(), EngineError> {
        assert_eq!(parcel.folder, Path::new("/srv/certs"));
        let is_link = |(_, item): &(PathBuf, Item)| matches!(item, Item::Link(_));
        let what = match parcel.items.iter().all(is_link) {
            true => "links",
            false => "files",
        };
        assert!(what == "links" || !parcel.items.iter().any(is_link));
        // Only in what is ours may a folder make room.
        assert_eq!(parcel.may_replace_folders, what == "files");
        let is_ours = |(path, _): &(PathBuf, Item)| path.starts_with(".versions");
        assert!(what == "links" || parcel.items.iter().all(is_ours));
        if self.denies.get().contains(&what) {
            return Err(EngineError::Denied {
                engine: "ENGINE".to_owned(),
                call: "PUT /containers/{id}/archive".to_owned(),
            });
        }
        self.asked
            .borrow_mut()
            .push(format!("{what} into {}", parcel.container));
        for (path, item) in &parcel.items {
            let mut files = self.files.borrow_mut();
            let stays = matches!(
                (files.get(path), item),
                (Some(Item::Folder { .. }), Item::Folder { .. })
            );
            if !stays {
                files.retain(|known, _| !known.starts_with(path));
            }
            drop(files);
            self.version();
            self.files.borrow_mut().insert(path.clone(), item.clone());
            self.version();
        }
        Ok(())
    }

    async fn restart(&self, _: &ContainerId) -> Result<(), EngineError> {
        unreachable!("it is told by a signal")
    }

    async fn ping(&self) -> Result<(), EngineError> {
        Ok(())
    }
}

#[async_trait(?Send)]
impl Probe for Inner {
    async fn certificate(
        &self,
        _: SocketAddr,
        _: Protocol,
        _: &Host,
    ) -> Result<Served, ProbeError> {
        Ok(Served {
            serial: self.shown.borrow().clone(),
        })
    }

    async fn listens(&self, _: SocketAddr) -> Result<(), ProbeError> {
        Ok(())
    }

    async fn ask(&self, _: Method, _: SocketAddr, _: &str, _: &str) -> Result<Page, ProbeError> {
        unreachable!("it has no pages")
    }
}

/// A server that shares no mount with us; the number is that of its container.
fn app(number: u8) -> Bearer {
    container("app", number)
        .label("use", HOST)
        .label("copy", "true")
        .label("files", "/srv/certs")
        .label("layout", "server")
        .label("owner", "33:34")
        .label("mode", "0640")
        .label("reload", "HUP")
        .label("probe", "8443")
        .project_is("p")
}

/// The requests to its engine, and the files in its container.
struct World {
    _folder: TempDir,
    inner: Rc<Inner>,
    ports: Ports,
    observed: Observed,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let inner = Rc::new(Inner::default());
        Self {
            ports: ports(folder.path(), &inner),
            _folder: folder,
            inner,
            observed: Observed::default(),
        }
    }

    /// Has a new certificate; returns its digest.
    fn certified(&mut self) -> Digest {
        let made = rcgen::generate_simple_self_signed([HOST.to_owned()]).expect("a certificate");
        let name = CertificateName::parse(HOST).expect("a name");
        let held = self.ports.issuing.certificates.store(&NewCertificate {
            profile: None,
            name: &name,
            names: &[Host::parse(HOST).expect("a host")].into(),
            key: &Secret::new(made.signing_key.serialize_pem()),
            chain: &made.cert.pem(),
            source: Source::Acme("https://ca.example/dir".to_owned()),
            now: START,
        });
        let held = held.expect("it is stored");
        let digest = held.digest;
        let serials = &self.inner.serials;
        serials
            .borrow_mut()
            .insert(digest.to_string(), held.serial.clone());
        self.observed.hold(name, held);
        digest
    }

    /// Does what there is to do for this container, at most `most` times; returns the problems.
    async fn turn(&mut self, container: Bearer, table: Option<&str>, most: usize) -> Vec<String> {
        self.turn_of([container], table, most).await
    }

    /// The same for several containers.
    async fn turn_of(
        &mut self,
        containers: impl IntoIterator<Item = Bearer>,
        table: Option<&str>,
        most: usize,
    ) -> Vec<String> {
        let grants = table.map(|table| Grants::parse(table).expect("a table"));
        let desired = desire(&snapshot(containers), &LabelRules { grants, ..rules() });
        let mut problems = Vec::new();
        for _ in 0..most {
            for (name, consumer) in &desired.consumers {
                let installed = self.ports.folders.installed(&place(consumer));
                let installed = installed.expect("a look");
                self.observed
                    .installed
                    .insert(name.clone(), installed.into());
            }
            let templates = Templates::built_in().expect("they are tested");
            let (rules, now) = (plan_rules(), self.ports.clock.now());
            let plan = plan(&desired, &self.observed, &templates, &rules, now);
            let is_deploy =
                |action: &Action| matches!(action, Action::Deploy(_) | Action::TakeBack(_));
            let Some(mut action) = plan.actions.into_iter().find(is_deploy) else {
                break;
            };
            let outcome = execute(&self.ports, &mut action).await;
            problems.extend(outcome.result.err().and_then(|attempt| attempt.problem));
        }
        problems
    }

    /// The same for one that may be given files.
    async fn granted(&mut self, number: u8) -> Vec<String> {
        self.turn(app(number), Some(GRANT), 9).await
    }
}

const GRANT: &str = "p = \"* keys copy\"";

#[tokio::test(start_paused = true)]
async fn files_come_first_the_link_after_them_and_then_it_is_told() {
    let mut world = World::new();
    let first = world.certified();
    assert_eq!(world.granted(4).await, [""; 0]);
    assert_eq!(
        world.inner.asked(),
        ["files into id4", "links into id4", "told"]
    );
    assert_eq!(world.inner.version(), Some(first.to_string()));
    for (file, mode, owner) in [
        ("server.key", 0o640, Some((33, Some(34)))),
        ("server.crt", 0o644, None),
    ] {
        let files = world.inner.files.borrow();
        let Some(Item::File {
            mode: there,
            owner: whose,
            ..
        }) = files.get(&world.inner.resolved(file))
        else {
            panic!("{file} is there")
        };
        assert_eq!((*there, whose.map(|it| (it.user, it.group))), (mode, owner));
    }
    // The same bytes are not sent again, also after a start of its process.
    assert_eq!(world.granted(4).await, [""; 0]);
    assert_eq!(world.inner.asked(), [""; 0]);
    // A renewal is one more version; of those before, one stays.
    let second = world.certified();
    assert_eq!(world.granted(4).await, [""; 0]);
    assert_eq!(
        world.inner.asked(),
        ["files into id4", "links into id4", "told"]
    );
    assert_eq!(world.inner.version(), Some(second.to_string()));
    assert_eq!(
        world.inner.keys(),
        [first, second].map(|it| it.to_string()).into()
    );
    let third = world.certified();
    assert_eq!(world.granted(4).await, [""; 0]);
    assert_eq!(world.inner.version(), Some(third.to_string()));
    assert_eq!(
        world.inner.keys(),
        [second, third].map(|it| it.to_string()).into()
    );
}

#[tokio::test(start_paused = true)]
async fn a_container_that_is_made_anew_gets_them_again() {
    let mut world = World::new();
    let first = world.certified();
    assert_eq!(world.granted(4).await, [""; 0]);
    world.inner.files.take();
    world.inner.asked();
    assert_eq!(world.granted(5).await, [""; 0]);
    assert_eq!(
        world.inner.asked(),
        ["files into id5", "links into id5", "told"]
    );
    assert_eq!(world.inner.version(), Some(first.to_string()));
    // What is stopped gets them before it starts, and is not told.
    world.inner.files.take();
    let mut stopped = app(6);
    stopped.state = crate::observe::BearerState::Other("created".to_owned());
    assert_eq!(world.turn(stopped, Some(GRANT), 9).await, [""; 0]);
    assert_eq!(world.inner.asked(), ["files into id6", "links into id6"]);
}

#[tokio::test(start_paused = true)]
async fn without_label_and_grant_nothing_is_sent() {
    let mut world = World::new();
    world.certified();
    let unlabelled = || {
        let mut app = app(4);
        app.labels.remove("quaymaster.copy");
        app
    };
    let of_project = || {
        let mut app = app(4);
        app.labels
            .insert("quaymaster.use".to_owned(), "*".to_owned());
        app
    };
    for (container, table) in [
        (app(4), None),
        (of_project(), None),
        (app(4), Some("p = \"* proxy keys exec restart\"")),
        (app(4), Some("other = \"copy\"\np = \"* keys\"")),
        (app(4), Some("p = \"* copy\"")),
        (unlabelled(), Some(GRANT)),
        (unlabelled(), None),
        (app(4).label("copy", "false"), Some(GRANT)),
        (app(4).label("copy", "perhaps"), Some(GRANT)),
    ] {
        let labels = container.labels.clone();
        assert_eq!(world.turn(container, table, 9).await, [""; 0]);
        assert_eq!(world.inner.asked(), [""; 0], "{labels:?} {table:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_shared_mount_is_used_in_place_of_the_engine() {
    let mut world = World::new();
    world.certified();
    let desired = desire(
        &snapshot([app(4).mount(volume("state", "/srv", false))]),
        &LabelRules {
            grants: Some(Grants::parse(GRANT).expect("a table")),
            ..rules()
        },
    );
    let consumer = desired.consumers.values().next().expect("the server");
    let certificates = place(consumer).certificates.expect("it gets copies");
    assert!(matches!(certificates.at, crate::ports::Spot::Folder(_)));
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_denies_it_is_told_with_the_call() {
    let mut world = World::new();
    let first = world.certified();
    world.inner.denies.set(&["files", "links"]);
    let told = world.turn(app(4), Some(GRANT), 1).await;
    assert_eq!(
        told,
        [
            "`PUT /containers/{id}/archive` is not allowed at ENGINE (403); allow this call in the socket proxy, or use \
             another socket"
        ]
    );
    assert_eq!(world.inner.asked(), [""; 0]);
    world.inner.denies.set(&[]);
    assert_eq!(world.granted(4).await, [""; 0]);
    assert_eq!(world.inner.version(), Some(first.to_string()));
}

#[tokio::test(start_paused = true)]
async fn what_breaks_off_before_the_link_leaves_what_is_read_and_is_done_again() {
    let mut world = World::new();
    let first = world.certified();
    assert_eq!(world.granted(4).await, [""; 0]);
    world.inner.asked();
    let second = world.certified();
    world.inner.denies.set(&["links"]);
    assert_eq!(world.turn(app(4), Some(GRANT), 2).await.len(), 2);
    assert_eq!(world.inner.asked(), ["files into id4"; 2]);
    assert_eq!(world.inner.version(), Some(first.to_string()));
    world.inner.denies.set(&[]);
    assert_eq!(world.granted(4).await, [""; 0]);
    assert_eq!(
        world.inner.asked(),
        ["files into id4", "links into id4", "told"]
    );
    assert_eq!(world.inner.version(), Some(second.to_string()));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_taken_up_is_taken_back() {
    let mut world = World::new();
    let first = world.certified();
    assert_eq!(world.granted(4).await, [""; 0]);
    world.inner.asked();
    let second = world.certified();
    world.inner.is_deaf.set(true);
    world.turn(app(4), Some(GRANT), 1).await;
    let asked = world.inner.asked();
    assert_eq!(
        asked,
        [
            "files into id4",
            "links into id4",
            "told",
            "links into id4",
            "told"
        ]
    );
    assert_eq!(world.inner.version(), Some(first.to_string()));
    // The next takes its place, and nothing that may be read goes.
    world.inner.is_deaf.set(false);
    let third = world.certified();
    world.turn(app(4), Some(GRANT), 9).await;
    assert_eq!(world.inner.version(), Some(third.to_string()));
    let there = [first, second, third].map(|it| it.to_string());
    assert_eq!(world.inner.keys(), there.into());
    let fourth = world.certified();
    world.turn(app(4), Some(GRANT), 9).await;
    assert_eq!(
        world.inner.keys(),
        [third, fourth].map(|it| it.to_string()).into()
    );
}

#[tokio::test(start_paused = true)]
async fn a_star_sends_no_key_of_another_project() {
    let mut world = World::new();
    world.certified();
    let mut all = Bearer {
        name: ContainerName::parse("all").expect("a name"),
        ..app(5)
    };
    let label = "quaymaster.use".to_owned();
    all.labels.insert(label, "*".to_owned());
    let table = "p = \"* keys\"\nq = \"keys copy\"";
    let containers = [app(4), all.clone().project_is("q")];
    assert_eq!(world.turn_of(containers, Some(table), 9).await, [""; 0]);
    assert_eq!(world.inner.asked(), [""; 0]);
    // Of its own project it gets them.
    let of_own = [app(4).label("copy", "false"), all];
    assert_eq!(world.turn_of(of_own, Some(GRANT), 9).await, [""; 0]);
    let asked = world.inner.asked();
    assert_eq!(asked, ["files into id5", "links into id5", "told"]);
}

#[tokio::test(start_paused = true)]
async fn a_version_that_may_come_back_is_not_taken_away() {
    let mut world = World::new();
    let first = world.certified();
    assert_eq!(world.granted(4).await, [""; 0]);
    // It is not told of these, so that it has not shown them.
    let untold = || app(4).label("reload", "none");
    for _ in 0..2 {
        world.certified();
        assert_eq!(world.turn(untold(), Some(GRANT), 9).await, [""; 0]);
    }
    assert_eq!(world.inner.keys().len(), 3);
    world.inner.is_deaf.set(true);
    world.certified();
    world.turn(app(4), Some(GRANT), 1).await;
    assert_eq!(world.inner.version(), Some(first.to_string()));
}

#[tokio::test(start_paused = true)]
async fn what_was_never_sent_is_not_known_to_be_there() {
    let mut world = World::new();
    let first = world.certified();
    let grants = Some(Grants::parse(GRANT).expect("a table"));
    let desired = desire(&snapshot([app(4)]), &LabelRules { grants, ..rules() });
    let consumer = desired.consumers.values().next().expect("the server");
    let name = CertificateName::parse(HOST).expect("a name");
    let of_another = Installed {
        certificates: [(name, first)].into(),
        ..Installed::default()
    };
    let (folders, place) = (&world.ports.folders, place(consumer));
    let kept = folders.keep_installed(&place, &of_another, &BTreeSet::new());
    kept.expect("it is written");
    let installed = folders.installed(&place).expect("a look");
    assert!(installed.certificates.is_empty());
    assert_eq!(world.granted(4).await, [""; 0]);
    assert_eq!(world.inner.version(), Some(first.to_string()));
}
