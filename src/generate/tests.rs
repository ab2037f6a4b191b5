//! Rendering over a record, on a disk and an engine that do as the test says.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use futures_util::{
    StreamExt,
    stream::{self, LocalBoxStream},
};

use super::{turning::Turning, *};
use crate::{
    adapters::{clock::SystemClock, engine::RecordedEngine},
    observe::{Bearer, Detail, EventKind, Interest, SharedPath, Way},
    ports::{DiskError, FetchError, Parcel, Ran},
    values::Timestamp,
};

mod outputs;

/// Files by path: a template `t`, and what was made of it.
struct Files {
    texts: RefCell<BTreeMap<PathBuf, String>>,
    /// The texts that are kept beside them.
    aside: RefCell<BTreeMap<PathBuf, Option<String>>>,
}

impl Files {
    fn new(files: &[(&str, &str)]) -> Rc<Self> {
        let files = files
            .iter()
            .map(|(path, text)| (PathBuf::from(path), (*text).to_owned()));
        Rc::new(Self {
            texts: RefCell::new(files.collect()),
            aside: RefCell::default(),
        })
    }

    fn at(&self, path: &str) -> Option<String> {
        self.texts.borrow().get(Path::new(path)).cloned()
    }

    fn write(&self, path: &str, text: &str) {
        self.texts.borrow_mut().insert(path.into(), text.to_owned());
    }

    /// The text that is kept beside `out`.
    fn kept(&self) -> Option<Option<String>> {
        self.aside.borrow().get(Path::new("out")).cloned()
    }

    fn set(&self, path: &Path, text: Option<String>) {
        match text {
            Some(text) => drop(self.texts.borrow_mut().insert(path.to_owned(), text)),
            None => drop(self.texts.borrow_mut().remove(path)),
        }
    }
}

impl NamedFiles for Files {
    fn text(&self, path: &Path) -> Result<Option<String>, DiskError> {
        Ok(self.texts.borrow().get(path).cloned())
    }

    fn changes(
        &self,
        _: &Path,
    ) -> Result<LocalBoxStream<'static, Result<(), DiskError>>, DiskError> {
        Ok(stream::pending().boxed_local())
    }
}

impl TargetFiles for Files {
    fn text_at(&self, target: &SharedPath) -> Result<Option<String>, DiskError> {
        self.text(target.as_path())
    }

    fn replace(&self, target: &SharedPath, text: &str) -> Result<(), DiskError> {
        self.set(target.as_path(), Some(text.to_owned()));
        Ok(())
    }

    fn remove(&self, target: &SharedPath) -> Result<(), DiskError> {
        self.set(target.as_path(), None);
        Ok(())
    }

    fn keep_aside(&self, target: &SharedPath) -> Result<bool, DiskError> {
        let path = target.as_path();
        let (mut aside, before) = (
            self.aside.borrow_mut(),
            self.texts.borrow().get(path).cloned(),
        );
        let is_first = !aside.contains_key(path);
        aside.entry(path.to_owned()).or_insert(before);
        Ok(is_first)
    }

    fn put_back(&self, target: &SharedPath) -> Result<bool, DiskError> {
        let path = target.as_path();
        let kept = self.aside.borrow().get(path).cloned();
        Ok(kept.map(|before| self.set(path, before)).is_some())
    }

    fn forget_aside(&self, target: &SharedPath) -> Result<(), DiskError> {
        self.aside.borrow_mut().remove(target.as_path());
        Ok(())
    }
}

/// Texts at URLs: what each fetch finds, one after the other, and then nothing more.
#[derive(Default)]
struct Texts(RefCell<Vec<Result<String, String>>>);

#[async_trait(?Send)]
impl TemplateUrls for Texts {
    async fn text(&self, _: &str) -> Result<String, FetchError> {
        let mut texts = self.0.borrow_mut();
        match texts.is_empty() {
            true => Err(FetchError::Unusable("there is nothing".to_owned())),
            false => texts.remove(0).map_err(FetchError::Unusable),
        }
    }
}

/// The result of a command that is run.
#[derive(Clone, Copy)]
enum Answer {
    /// This exit code where `out` holds `bad`, else 0.
    Code(i64),
    /// The engine does not do it.
    Fails,
    /// It takes for ever.
    Never,
}

/// An engine with two containers, of which `still` is paused.
struct Scripted {
    recorded: RecordedEngine,
    files: Rc<Files>,
    answer: Cell<Answer>,
    /// The requests to it.
    asked: RefCell<Vec<String>>,
    /// True if it manages a Swarm; none where it does not say.
    manages_swarm: Option<bool>,
    /// The events, if they may be followed.
    feed: RefCell<Option<mpsc::UnboundedReceiver<EngineEvent>>>,
    /// Number of full looks.
    looks: Cell<usize>,
    /// True if all containers have ended by now.
    ended: Cell<bool>,
    /// Number of their starts since.
    starts: Cell<i64>,
}

impl Scripted {
    /// Waits until it was asked to do something.
    async fn is_asked(&self) {
        while self.asked.borrow().is_empty() {
            tokio::task::yield_now().await;
        }
    }
}

#[async_trait(?Send)]
impl Engine for Scripted {
    async fn events(
        &self,
    ) -> Result<LocalBoxStream<'static, Result<EngineEvent, EngineError>>, EngineError> {
        let Some(feed) = self.feed.take() else {
            return self.recorded.events().await;
        };
        let next = |mut feed: mpsc::UnboundedReceiver<EngineEvent>| async move {
            let event = feed.recv().await?;
            Some((Ok(event), feed))
        };
        Ok(stream::unfold(feed, next).boxed_local())
    }

    async fn bearers(&self, interest: &Interest) -> Result<Vec<Bearer>, EngineError> {
        self.recorded.bearers(interest).await
    }

    async fn bearer(&self, word: &str, interest: &Interest) -> Result<Option<Bearer>, EngineError> {
        let found = self.recorded.bearer(word, interest).await?;
        Ok(match (self.ended.get(), self.starts.get()) {
            (true, _) => found.map(outputs::ended),
            (false, 0) => found,
            (false, starts) => found.map(|container| Bearer {
                started_at: Some(Timestamp::from_seconds(starts)),
                ..container
            }),
        })
    }

    async fn kill(
        &self,
        container: &ContainerId,
        signal: Signal,
        way: Way,
    ) -> Result<Way, EngineError> {
        self.asked
            .borrow_mut()
            .push(format!("{container} {signal}"));
        Ok(way)
    }

    async fn exec(&self, container: &ContainerId, words: &[String]) -> Result<Ran, EngineError> {
        self.asked
            .borrow_mut()
            .push(format!("{container} {}", words.join("|")));
        let is_bad = self
            .files
            .at("out")
            .is_some_and(|text| text.contains("bad"));
        match self.answer.get() {
            Answer::Code(code) => Ok(Ran {
                code: if is_bad { code } else { 0 },
                output: "no\n".to_owned(),
            }),
            Answer::Fails => self.recorded.exec(container, words).await,
            Answer::Never => std::future::pending().await,
        }
    }

    async fn put(&self, parcel: &Parcel, now: Timestamp) -> Result<(), EngineError> {
        self.recorded.put(parcel, now).await
    }

    async fn restart(&self, container: &ContainerId) -> Result<(), EngineError> {
        self.asked.borrow_mut().push(format!("{container} restart"));
        Ok(())
    }

    async fn ping(&self) -> Result<(), EngineError> {
        self.recorded.ping().await
    }
}

#[async_trait(?Send)]
impl DetailedEngine for Scripted {
    async fn details(&self) -> Result<Vec<Detail>, EngineError> {
        self.looks.set(self.looks.get() + 1);
        self.recorded.details().await
    }

    async fn detail(&self, word: &str) -> Result<Option<Detail>, EngineError> {
        self.recorded.detail(word).await
    }

    async fn manages_swarm(&self) -> Result<bool, EngineError> {
        match self.manages_swarm {
            Some(manages) => Ok(manages),
            None => Err(self
                .recorded
                .events()
                .await
                .err()
                .expect("a record has none")),
        }
    }
}

fn recorded() -> RecordedEngine {
    let recorded = r#"[{"Id": "1", "Name": "/shop", "State": {"Status": "running"}},
        {"Id": "2", "Name": "/still", "State": {"Status": "paused"}}]"#;
    RecordedEngine::read(recorded, |_| ()).expect("it is a list")
}

/// `t` to `out`, and a signal to this container.
fn rendering(engine: Rc<dyn DetailedEngine>, files: &Rc<Files>, target: &str) -> Rendering {
    Rendering {
        engine,
        clock: Rc::new(SystemClock),
        files: Rc::clone(files) as Rc<dyn NamedFiles>,
        targets: Rc::clone(files) as Rc<dyn TargetFiles>,
        urls: Rc::new(Texts::default()),
        pairs: vec![Pair {
            template: TemplateSource::File("t".into()),
            target: Some("out".into()),
        }],
        checks: Vec::new(),
        tellings: vec![Telling {
            target: target.to_owned(),
            by: By::Signal(Signal::HUP),
        }],
        interval: Interval::default(),
        repeat: None,
        shown: ShownContainers::All,
        tells_of_printed: false,
        own: None,
        variables: Arc::default(),
        output: None,
    }
}

fn scripted(files: &Rc<Files>, answer: Answer) -> Rc<Scripted> {
    let (files, answer) = (Rc::clone(files), Cell::new(answer));
    Rc::new(Scripted {
        recorded: recorded(),
        files,
        answer,
        asked: RefCell::default(),
        manages_swarm: Some(false),
        feed: RefCell::default(),
        looks: Cell::default(),
        ended: Cell::default(),
        starts: Cell::default(),
    })
}

/// The same, with a check in `shop`, and a second template `u` to `more`.
fn checked(engine: &Rc<Scripted>) -> Rendering {
    let words = ["nginx", "-t"].map(str::to_owned).to_vec();
    let mut rendering = rendering(
        Rc::clone(engine) as Rc<dyn DetailedEngine>,
        &engine.files,
        "shop",
    );
    rendering.pairs.push(Pair {
        template: TemplateSource::File("u".into()),
        target: Some("more".into()),
    });
    rendering.checks.push(Checking {
        target: "shop".to_owned(),
        words,
    });
    rendering
}

const CHECK: &str = "1 nginx|-t";
const TELL: &str = "1 HUP";

#[tokio::test]
async fn a_signal_that_the_engine_refuses_is_told_and_the_file_is_written_all_the_same() {
    let files = Files::new(&[("t", "{{ containers | length }}")]);
    let made = rendering(Rc::new(recorded()), &files, "shop")
        .once()
        .await
        .expect("it is seen");
    assert_eq!(
        (
            made.is_whole,
            made.printed.as_str(),
            files.at("out").as_deref()
        ),
        (false, "", Some("2"))
    );
}

#[tokio::test]
async fn a_signal_that_costs_its_target_the_restart_policy_is_told_once_as_with_a_label() {
    let proxy = r#"{"Id": "1", "Name": "/proxy", "State": {"Status": "running"}, "Config": {"StopSignal": "SIGQUIT"},
        "HostConfig": {"RestartPolicy": {"Name": "unless-stopped"}}}"#;
    let own = r#"{"Id": "2", "Name": "/quaymaster", "State": {"Status": "running"}}"#;
    // Without a container of our own we are on the host, from where the signal goes straight to the process.
    for (own_id, said) in [(Some("2"), 1), (None, 0)] {
        let recorded =
            RecordedEngine::read(&format!("[{proxy}, {own}]"), |_| ()).expect("it is a list");
        let files = Files::new(&[("t", "{{ containers | length }}")]);
        let mut given = rendering(Rc::new(recorded), &files, "proxy");
        given.own = own_id.map(|id| ContainerId::parse(id).expect("an id"));
        let given = Rc::new(given);
        let mut turning = Turning::new(Rc::clone(&given));
        turning.replace(given.look().await.expect("they are recorded").0);
        turning.render().await;
        files.write("t", "another");
        turning.render().await;
        let told: Vec<_> = turning.complaints.iter().map(ToString::to_string).collect();
        assert_eq!(told.len(), said, "{told:?}");
        let begins = "container proxy, label option --signal=\"proxy HUP\": after the signal HUP Docker does not start";
        let is_told =
            |told: &String| told.starts_with(begins) && told.contains("`restart: always`");
        assert!(told.iter().all(is_told), "{told:?}");
    }
}

#[tokio::test]
async fn a_network_tells_its_name_in_the_compose_file_of_the_container() {
    for (project, expected) in [("till", "web"), ("til", "None"), ("till_web", "None")] {
        let recorded = format!(
            r#"[{{"Id": "1", "Name": "/shop", "State": {{"Status": "running"}},
            "Config": {{"Labels": {{"com.docker.compose.project": "{project}"}}}}, "NetworkSettings":
            {{"Networks": {{"till_web": {{"NetworkID": "2", "IPAddress": "10.0.0.2"}}}}}}}}]"#
        );
        let recorded = RecordedEngine::read(&recorded, |_| ()).expect("it is a list");
        let files = Files::new(&[("t", "{{ containers.first.networks.first.compose_name }}")]);
        rendering(Rc::new(recorded), &files, "shop")
            .once()
            .await
            .expect("it is seen");
        assert_eq!(files.at("out").as_deref(), Some(expected), "{project}");
    }
}

#[tokio::test]
async fn on_a_swarm_manager_a_template_that_asks_for_services_is_refused_until_they_are_there() {
    for (template, manages, is_refused) in [
        ("{{ services | length }}", Some(true), true),
        ("{{ services.first.x.y }}", Some(true), true),
        ("{% for node in nodes %}x{% endfor %}", Some(true), true),
        ("{{ services | length }}", Some(false), false),
        // The engine may not be asked, and nothing shows a Swarm.
        ("{{ services | length }}", None, false),
        ("{{ containers | length }}", Some(true), false),
    ] {
        let files = Files::new(&[("t", template), ("out", "before")]);
        let engine = Scripted {
            recorded: recorded(),
            files: Rc::clone(&files),
            answer: Cell::new(Answer::Fails),
            asked: RefCell::default(),
            manages_swarm: manages,
            feed: RefCell::default(),
            looks: Cell::default(),
            ended: Cell::default(),
            starts: Cell::default(),
        };
        let given = rendering(Rc::new(engine), &files, "shop");
        let whole = given.once().await.expect("it is seen").is_whole;
        let is_kept = files.at("out").as_deref() == Some("before");
        assert_eq!((is_kept, !whole), (is_refused, is_refused), "{template}");
    }
}

#[tokio::test]
async fn nobody_is_told_when_nothing_changed_or_nobody_runs() {
    let files = Files::new(&[("t", "{{ containers | length }}")]);
    for target in ["still", "shop"] {
        let made = rendering(Rc::new(recorded()), &files, target)
            .once()
            .await
            .expect("it is seen");
        assert_eq!(
            (made.is_whole, files.at("out").as_deref()),
            (true, Some("2")),
            "{target}"
        );
    }
}

#[tokio::test]
async fn what_a_check_passes_is_told_and_what_it_refuses_is_taken_back_as_a_whole() {
    for (text, before, code, expected) in [
        ("good", Some("old"), 1, Some("good")),
        ("good", None, 1, Some("good")),
        ("bad", Some("old"), 1, Some("old")),
        ("bad", None, 127, None),
    ] {
        let files = Files::new(&[("t", text), ("u", "u"), ("more", "before")]);
        before.iter().for_each(|before| files.write("out", before));
        let engine = scripted(&files, Answer::Code(code));
        let made = checked(&engine).once().await.expect("it is seen");
        let is_good = text == "good";
        assert_eq!(
            (made.is_whole, files.at("out").as_deref()),
            (is_good, expected),
            "{text} {before:?}"
        );
        assert_eq!(
            files.at("more").as_deref(),
            Some(if is_good { "u" } else { "before" }),
            "{text} {before:?}"
        );
        let asked = engine.asked.take();
        assert_eq!(
            asked,
            if is_good {
                vec![CHECK, TELL]
            } else {
                vec![CHECK]
            },
            "{text} {before:?}"
        );
    }
}

#[tokio::test]
async fn nothing_is_checked_where_nothing_is_new_or_nobody_runs() {
    let files = Files::new(&[("t", "bad"), ("out", "bad"), ("u", "u"), ("more", "u")]);
    let engine = scripted(&files, Answer::Code(1));
    assert!(checked(&engine).once().await.expect("it is seen").is_whole);
    files.write("u", "new");
    let mut rendering = checked(&engine);
    rendering.checks[0].target = "still".to_owned();
    assert!(rendering.once().await.expect("it is seen").is_whole);
    assert_eq!(
        (engine.asked.take(), files.at("more").as_deref()),
        (vec![TELL.to_owned()], Some("new"))
    );
}

/// The first facts, ready to be rendered again and again.
async fn turning(engine: &Rc<Scripted>) -> Turning {
    let rendering = checked(engine);
    let details = rendering.look().await.expect("it is a record").0;
    let mut turning = Turning::new(Rc::new(rendering));
    turning.replace(details);
    turning
}

#[tokio::test]
async fn what_is_refused_is_tried_again_when_it_has_changed_or_is_asked_for() {
    let files = Files::new(&[("t", "bad"), ("u", "u")]);
    let engine = scripted(&files, Answer::Code(1));
    let mut turning = turning(&engine).await;
    let checks = || engine.asked.take().len();
    turning.render().await;
    turning.render().await;
    assert_eq!(
        (checks(), turning.is_well(), turning.wake()),
        (1, false, None),
        "it stays as bad as it is"
    );
    files.write("t", "another bad one");
    turning.render().await;
    turning.render().await;
    assert_eq!(checks(), 1);
    turning.forget_refusal();
    turning.render().await;
    assert_eq!((checks(), files.at("out")), (1, None));
    files.write("t", "good");
    turning.render().await;
    assert_eq!(
        (checks(), turning.is_well(), files.at("out").as_deref()),
        (1, true, Some("good"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_check_that_the_engine_does_not_make_takes_back_what_is_new_and_is_tried_again_later() {
    let files = Files::new(&[("t", "good"), ("u", "u")]);
    let engine = scripted(&files, Answer::Fails);
    let mut turning = turning(&engine).await;
    turning.render().await;
    turning.render().await;
    assert_eq!(
        (engine.asked.take(), turning.is_well(), files.at("out")),
        (vec![CHECK.to_owned()], false, None)
    );
    engine.answer.set(Answer::Code(0));
    tokio::time::sleep_until(turning.wake().expect("it is tried again")).await;
    turning.turn().await;
    assert_eq!(
        (turning.is_well(), files.at("out").as_deref()),
        (true, Some("good"))
    );
    assert_eq!(engine.asked.take(), [CHECK, TELL]);
}

#[tokio::test]
async fn whoever_is_stopped_in_the_midst_of_a_check_leaves_what_was_there_before() {
    let files = Files::new(&[("t", "new"), ("out", "old"), ("u", "u")]);
    let engine = scripted(&files, Answer::Never);
    let mut turning = turning(&engine).await;
    tokio::select! {
        _ = turning.render() => unreachable!("the check never ends"),
        () = engine.is_asked() => {}
    }
    assert_eq!(
        (files.at("out").as_deref(), files.at("more")),
        (Some("old"), None)
    );
    assert_eq!(engine.asked.take(), [CHECK]);
}

/// The files after a run that is killed when `new` has replaced the earlier text.
fn killed(template: &str, before: Option<&str>) -> Rc<Files> {
    let files = Files::new(&[("t", template), ("out", "new"), ("u", "u"), ("more", "u")]);
    files
        .aside
        .borrow_mut()
        .insert("out".into(), before.map(str::to_owned));
    files
}

#[tokio::test]
async fn what_a_kill_left_unchecked_or_untold_is_found_checked_and_told_by_the_next_run() {
    for (template, before, expected, asked) in [
        ("new", Some("old"), Some("new"), &[CHECK, TELL][..]),
        ("new", None, Some("new"), &[CHECK, TELL]),
        ("bad", Some("old"), Some("old"), &[CHECK]),
        ("bad", None, None, &[CHECK]),
        // Nothing is new, and some may have been told of what is not there now.
        ("old", Some("old"), Some("old"), &[TELL]),
        ("{{ broken", Some("old"), Some("old"), &[TELL]),
    ] {
        let files = killed(template, before);
        let engine = scripted(&files, Answer::Code(1));
        checked(&engine).once().await.expect("it is seen");
        assert_eq!(
            (files.at("out").as_deref(), files.kept()),
            (expected, None),
            "{template} {before:?}"
        );
        assert_eq!(engine.asked.take(), asked, "{template} {before:?}");
    }
}

#[tokio::test]
async fn who_is_told_without_a_check_is_told_after_a_kill_too() {
    let files = killed("new", Some("old"));
    let engine = scripted(&files, Answer::Code(0));
    let mut rendering = checked(&engine);
    rendering.checks.clear();
    assert!(rendering.once().await.expect("it is seen").is_whole);
    assert_eq!(
        (engine.asked.take(), files.at("out").as_deref()),
        (vec![TELL.to_owned()], Some("new"))
    );
}

#[tokio::test]
async fn what_was_there_before_is_kept_until_everybody_was_told() {
    let files = Files::new(&[("t", "new"), ("out", "old"), ("u", "u")]);
    let engine = scripted(&files, Answer::Never);
    let mut turning = turning(&engine).await;
    let mut checking = Box::pin(turning.render());
    tokio::select! {
        _ = &mut checking => unreachable!("the check never ends"),
        () = engine.is_asked() => {}
    }
    assert_eq!(
        (files.at("out").as_deref(), files.kept()),
        (Some("new"), Some(Some("old".to_owned())))
    );
    drop(checking);
    assert_eq!(
        (files.at("out").as_deref(), files.kept()),
        (Some("old"), None),
        "it ended in peace"
    );
    engine.answer.set(Answer::Code(1));
    turning.render().await;
    assert_eq!(
        files.kept(),
        Some(Some("old".to_owned())),
        "nobody was told yet"
    );
    // What is refused meanwhile does not take along what is still to be told.
    files.write("t", "bad");
    turning.render().await;
    assert_eq!(
        (files.at("out").as_deref(), files.kept()),
        (Some("new"), Some(Some("old".to_owned())))
    );
    assert!(turning.tell().await);
    assert_eq!(files.kept(), None);
}

#[tokio::test]
async fn what_was_there_before_is_kept_while_the_engine_tells_nobody() {
    let files = Files::new(&[("t", "new"), ("out", "old")]);
    let made = rendering(Rc::new(recorded()), &files, "shop")
        .once()
        .await
        .expect("it is seen");
    assert_eq!(
        (made.is_whole, files.kept()),
        (false, Some(Some("old".to_owned())))
    );
}

#[tokio::test(start_paused = true)]
async fn so_long_after_an_event_everything_is_looked_at_once_more() {
    let files = Files::new(&[]);
    let engine = scripted(&files, Answer::Fails);
    let (events, feed) = mpsc::unbounded_channel();
    engine.feed.replace(Some(feed));
    let mut given = rendering(Rc::clone(&engine) as Rc<dyn DetailedEngine>, &files, "shop");
    given.pairs[0].template = TemplateSource::Inline("{{ containers | length }}".to_owned());
    given.repeat = Some(Duration::from_secs(5));
    let (_hangup, hangups) = mpsc::unbounded_channel();
    let mut looks = Vec::new();
    let seen = async {
        let container = ContainerId::parse("1").expect("an id");
        for seconds in [1, 4, 2, 60] {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            looks.push(engine.looks.get());
            if seconds == 1 {
                let event = EngineEvent {
                    action: EventKind::Changed,
                    container: container.clone(),
                    labels: BTreeMap::new(),
                };
                events.send(event).expect("it is followed");
            }
        }
    };
    let ended = given
        .watch(seen, hangups, |_| Err("nothing is printed"))
        .await;
    assert_eq!((ended, looks), (Ok(()), vec![1, 1, 2, 2]));
    assert_eq!(files.at("out").as_deref(), Some("2"));
}

#[tokio::test]
async fn a_variable_without_a_value_is_left_out_and_spoils_nothing() {
    let recorded = r#"[{"Id": "1", "Name": "/shop", "State": {"Status": "running"},
        "Config": {"Env": ["B=2", "ALONE", "A=x=1"]}}]"#;
    let recorded = RecordedEngine::read(recorded, |_| ()).expect("it is a list");
    let files = Files::new(&[(
        "t",
        "{% for k, v in containers.first.env.items() %}{{ k }}:{{ v }} {% endfor %}",
    )]);
    let made = rendering(Rc::new(recorded), &files, "shop");
    made.once().await.expect("it is seen");
    assert_eq!(files.at("out").as_deref(), Some("B:2 A:x=1 "));
}

#[tokio::test]
async fn what_was_fetched_stays_in_use_while_there_is_nothing_newer() {
    let files = Files::new(&[("out", "before")]);
    let engine = scripted(&files, Answer::Fails);
    let mut given = rendering(Rc::clone(&engine) as Rc<dyn DetailedEngine>, &files, "shop");
    given.pairs[0].template =
        TemplateSource::read("http://host.example/t".as_ref()).expect("a URL");
    let details = given.look().await.expect("it is a record").0;
    let mut turning = Turning::new(Rc::new(given));
    turning.replace(details);
    turning.render().await;
    let is_so = |turning: &Turning, text: &str| {
        assert_eq!(files.at("out").as_deref(), Some(text));
        turning.is_well()
    };
    assert!(is_so(&turning, "before"), "it is not fetched yet");
    for (fetched, text, is_well) in [
        (Err("there is nothing"), "before", false),
        (Ok("one"), "one", true),
        (Err("there is nothing"), "one", true),
        (Ok("two"), "two", true),
    ] {
        let fetched = fetched.map(str::to_owned).map_err(str::to_owned);
        turning.take_fetched((0, fetched));
        turning.render().await;
        assert_eq!(is_so(&turning, text), is_well, "{text}");
    }
}

#[test]
fn a_label_names_those_that_bear_it_with_any_text_or_just_this_one() {
    for (label, expected) in [
        ("tier", true),
        ("tier=front", true),
        ("tier=", false),
        ("tier=back", false),
        ("empty=", true),
        ("none", false),
        ("eq=a=b", true),
    ] {
        let mut container = crate::desire::tests::container("shop", 4);
        for (name, value) in [("tier", "front"), ("empty", ""), ("eq", "a=b")] {
            container.labels.insert(name.to_owned(), value.to_owned());
        }
        assert_eq!(shown::bears(&container, label), expected, "{label}");
    }
}
