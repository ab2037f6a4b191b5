//! Watching an engine that is scripted, in time that is moved.

use std::cell::{Cell, RefCell};

use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};

use super::*;
use crate::{
    adapters::disk::Folders,
    daemon::{Daemon, FollowedEngine, tests::daemon_in},
    desire::tests::container,
    observe::{Interest, Joined, Way},
    ports::{Parcel, Ran},
    values::{Signal, Timestamp},
};

/// An engine whose streams live for `lives` and bring `events` first, whose list takes `list` and whose pings may fail.
#[derive(Default)]
pub(crate) struct Scripted {
    lives: Cell<Duration>,
    events: RefCell<Vec<EngineEvent>>,
    list: Duration,
    frozen: Cell<bool>,
    opened: RefCell<Vec<Instant>>,
    lists: Cell<usize>,
    inspects: RefCell<Vec<String>>,
    joins: Option<Joined>,
}

fn silent() -> EngineError {
    EngineError::Silent {
        engine: "here".into(),
        call: "GET /_ping".into(),
        limit: Duration::from_secs(5),
    }
}

impl Scripted {
    fn shop(&self) -> Bearer {
        Bearer {
            joins: self.joins.clone(),
            ..container("shop", 4)
        }
    }
}

#[async_trait(?Send)]
impl Engine for Scripted {
    async fn events(
        &self,
    ) -> Result<LocalBoxStream<'static, Result<EngineEvent, EngineError>>, EngineError> {
        self.opened.borrow_mut().push(Instant::now());
        let lives = self.lives.get();
        let end = stream::once(async move {
            sleep(lives).await;
            Err(silent())
        });
        Ok(stream::iter(self.events.take().into_iter().map(Ok))
            .chain(end)
            .boxed_local())
    }

    async fn bearers(&self, _: &Interest) -> Result<Vec<Bearer>, EngineError> {
        sleep(self.list).await;
        self.lists.set(self.lists.get() + 1);
        Ok(vec![self.shop()])
    }

    async fn bearer(&self, id: &str, _: &Interest) -> Result<Option<Bearer>, EngineError> {
        self.inspects.borrow_mut().push(id.to_owned());
        Ok(Some(self.shop()))
    }

    async fn kill(&self, _: &ContainerId, _: Signal, _: Way) -> Result<Way, EngineError> {
        unreachable!("nobody kills")
    }

    async fn exec(&self, _: &ContainerId, _: &[String]) -> Result<Ran, EngineError> {
        unreachable!("nobody runs anything")
    }

    async fn put(&self, _: &Parcel, _: Timestamp) -> Result<(), EngineError> {
        unreachable!("nobody brings anything")
    }

    async fn restart(&self, _: &ContainerId) -> Result<(), EngineError> {
        unreachable!("nobody restarts")
    }

    async fn ping(&self) -> Result<(), EngineError> {
        if !self.frozen.get() {
            return Ok(());
        }
        sleep(Duration::from_secs(5)).await;
        Err(silent())
    }
}

/// A daemon on this engine; nothing else of it is used.
fn daemon(engine: Rc<Scripted>) -> Rc<Daemon> {
    Rc::new(daemon_in(
        engine,
        Folders::new("/nowhere".into(), "/nowhere".into(), |_| ()),
    ))
}
/// Watches for so long, and returns what was seen; `meanwhile` may do something.
async fn watched(
    engine: &Rc<Scripted>,
    length: Duration,
    meanwhile: impl AsyncFnOnce(&Notify),
) -> Vec<EngineUpdate> {
    let look_again = Rc::new(Notify::new());
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let watched = FollowedEngine {
        daemon: daemon(Rc::clone(engine)),
        engine: None,
    };
    let watching = watch(Rc::new(watched), Rc::clone(&look_again), sender);
    let both = async { tokio::join!(watching, meanwhile(&look_again)) };
    timeout(length, both)
        .await
        .expect_err("watching never ends");
    let mut seen = Vec::new();
    while let Ok(next) = receiver.try_recv() {
        seen.push(next);
    }
    seen
}

fn pauses(seen: &[EngineUpdate]) -> Vec<f64> {
    let pause = |seen: &EngineUpdate| match seen {
        EngineUpdate::Lost { again_in, .. } => Some(again_in.as_secs_f64()),
        _ => None,
    };
    seen.iter().filter_map(pause).collect()
}

#[tokio::test(start_paused = true)]
async fn pauses_grow_until_a_stream_has_lived_for_two_minutes() {
    let engine = Rc::new(Scripted::default());
    engine.lives.set(Duration::from_secs(119));
    let seen = watched(&engine, Duration::from_secs(1200), async |_: &Notify| {
        sleep(Duration::from_secs(900)).await;
        engine.lives.set(Duration::from_secs(120));
    })
    .await;
    assert_eq!(
        pauses(&seen),
        [0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0, 0.8, 0.8]
    );
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_drops_every_stream_is_asked_twice_a_minute() {
    let engine = Rc::new(Scripted::default());
    watched(&engine, Duration::from_secs(3600), async |_: &Notify| {}).await;
    assert!(
        (120..=126).contains(&engine.opened.borrow().len()),
        "{}",
        engine.opened.borrow().len()
    );
}

#[tokio::test(start_paused = true)]
async fn a_frozen_engine_is_found_within_35_seconds_and_converges_when_it_thaws() {
    let engine = Rc::new(Scripted {
        frozen: Cell::new(true),
        ..Scripted::default()
    });
    engine.lives.set(Duration::from_secs(3600));
    let seen = watched(
        &engine,
        Duration::from_millis(35_100),
        async |_: &Notify| {},
    )
    .await;
    assert_eq!(pauses(&seen), [0.8]);

    let engine = Rc::new(Scripted {
        frozen: Cell::new(true),
        ..Scripted::default()
    });
    engine.lives.set(Duration::from_secs(3600));
    let seen = watched(
        &engine,
        Duration::from_millis(5_100),
        async |look_again: &Notify| {
            look_again.notify_one();
        },
    )
    .await;
    assert_eq!(
        pauses(&seen),
        [0.8],
        "who asks for a look hears of it after the ping"
    );

    let seen = watched(&engine, Duration::from_secs(60), async |_: &Notify| {
        sleep(Duration::from_secs(30)).await;
        engine.frozen.set(false);
    })
    .await;
    assert!(
        matches!(seen.last(), Some(EngineUpdate::All { gap: true, .. })),
        "{seen:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn two_hundred_wishes_during_a_look_are_one_more_look() {
    let engine = Rc::new(Scripted {
        list: Duration::from_secs(10),
        ..Scripted::default()
    });
    engine.lives.set(Duration::from_secs(3600));
    watched(
        &engine,
        Duration::from_secs(60),
        async |look_again: &Notify| {
            for _ in 0..200 {
                look_again.notify_one();
                sleep(Duration::from_millis(25)).await;
            }
        },
    )
    .await;
    assert_eq!(engine.lists.get(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_happens_to_a_container_is_seen_on_those_that_use_its_network() {
    let id = |text: &str| ContainerId::parse(text).unwrap();
    let event = |container: &str| EngineEvent {
        action: EventKind::Changed,
        container: id(container),
        labels: BTreeMap::new(),
    };
    let joins = Some(Joined {
        id: id("vpn"),
        name: None,
    });
    let engine = Rc::new(Scripted {
        joins,
        ..Scripted::default()
    });
    engine.lives.set(Duration::from_secs(3600));
    // Neither has a label of ours.
    engine.events.replace(vec![event("other"), event("vpn")]);
    watched(&engine, Duration::from_secs(60), async |_: &Notify| {}).await;
    assert_eq!(*engine.inspects.borrow(), ["id4"]);
}

#[tokio::test(start_paused = true)]
async fn events_are_read_during_a_look_and_each_container_is_looked_at_once_after_it() {
    let event = |id: &str, action| EngineEvent {
        action,
        container: ContainerId::parse(id).unwrap(),
        labels: [("quaymaster.host".to_owned(), "a.example".to_owned())].into(),
    };
    let engine = Rc::new(Scripted {
        list: Duration::from_secs(10),
        ..Scripted::default()
    });
    engine.lives.set(Duration::from_secs(3600));
    let many = (0..3000).map(|n| event(&format!("a{}", n % 3), EventKind::Changed));
    engine.events.replace(
        many.chain([event("b", EventKind::Changed), event("b", EventKind::Gone)])
            .collect(),
    );
    let seen = watched(&engine, Duration::from_secs(60), async |_: &Notify| {}).await;
    assert_eq!(*engine.inspects.borrow(), ["a0", "a1", "a2"]);
    assert!(
        matches!(seen.first(), Some(EngineUpdate::All { .. })),
        "what was listed comes before what happened since"
    );
    assert!(matches!(
        seen.last(),
        Some(EngineUpdate::One {
            container: None,
            ..
        })
    ));
    assert_eq!(seen.len(), 5);
}

#[tokio::test]
async fn a_folder_that_can_not_be_watched_is_told_once_and_then_waited_for() {
    let problem = DiskError::Damaged {
        path: "/templates".into(),
        problem: "no watches are left".to_owned(),
    };
    let mut changes = changes(Some(Err(problem)));
    assert!(changes.next().await.is_some_and(|first| first.is_err()));
    let second = timeout(Duration::ZERO, changes.next()).await;
    assert!(second.is_err(), "it would turn for ever");
}
