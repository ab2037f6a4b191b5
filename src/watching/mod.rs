//! An engine, followed: subscribe, then list; and what counts after a gap, after comings and goings, and after the end.

mod damping;
mod grace;
mod removed;

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    time::Duration,
};

use async_trait::async_trait;
use futures_util::{
    StreamExt,
    stream::{self, LocalBoxStream},
};
use tokio::{
    sync::{Notify, mpsc::UnboundedSender},
    time::{Instant, MissedTickBehavior, interval_at},
};

pub(crate) use damping::Damping;
pub(crate) use grace::Grace;
pub(crate) use removed::RemovedContainers;

use crate::{
    observe::{Bearer, EngineEvent, EventKind},
    ports::{Clock, DiskError, Engine, EngineError},
    values::{ContainerId, EngineName},
};

/// The first pause after the engine was lost, doubled each time up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(800);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A stream that lived this long counts as a success, after which pauses begin small again: an engine that takes
/// connections and drops them at once must not be asked forty times a second.
const LIVED: Duration = Duration::from_secs(120);

/// Time between two pings of the engine: a frozen engine leaves the stream open and silent.
const PING_EVERY: Duration = Duration::from_secs(30);

/// An update from the engine.
#[derive(Debug)]
pub(crate) enum EngineUpdate<F = Bearer> {
    /// Everything that concerns us; after a gap in which anything may have happened, or not.
    All {
        /// The engine's name, where it has one.
        engine: Option<EngineName>,
        containers: Vec<F>,
        own: Option<F>,
        gap: bool,
    },
    /// The facts about one container after something happened to it; none when it was removed.
    One {
        id: ContainerId,
        container: Option<F>,
        action: EventKind,
    },
    /// One container could not be looked at.
    Unreadable(EngineError),
    /// The engine can't be asked.
    Lost {
        engine: Option<EngineName>,
        error: EngineError,
        again_in: Duration,
    },
}

/// The watched facts, and the way to look at them.
#[async_trait(?Send)]
pub(crate) trait Watched {
    /// A fact about one container.
    type Fact;

    fn engine(&self) -> &dyn Engine;
    /// The name of that engine, where it has one.
    fn name(&self) -> Option<&EngineName> {
        None
    }
    fn clock(&self) -> &dyn Clock;
    /// Which container a fact is about.
    fn id(fact: &Self::Fact) -> &ContainerId;
    /// Whose network it uses, so that what happens to that one changes it, too.
    fn joins(_: &Self::Fact) -> Option<&ContainerId> {
        None
    }
    /// True if an event is about a container that matters, including those that are known.
    fn concerns_us(&self, event: &EngineEvent, known: &BTreeSet<ContainerId>) -> bool;

    /// Looks at everything once: all containers that concern us, and our own.
    async fn look(&self) -> Result<(Vec<Self::Fact>, Option<Self::Fact>), EngineError>;
    /// Looks at one container; `None` when there is none.
    async fn inspect(&self, container: &ContainerId) -> Result<Option<Self::Fact>, EngineError>;
}

/// Watches for ever: events while the stream lives, a full look after each gap, pauses that grow while it can't.
pub(crate) async fn watch<W: Watched>(
    watched: Rc<W>,
    look_again: Rc<Notify>,
    seen: UnboundedSender<EngineUpdate<W::Fact>>,
) {
    let mut pause = FIRST_PAUSE;
    loop {
        let began = Instant::now();
        let error = follow(&*watched, &look_again, &seen).await;
        if began.elapsed() >= LIVED {
            pause = FIRST_PAUSE;
        }
        // Nobody listens any more only when the loop ends, and this future with it.
        let _ = seen.send(EngineUpdate::Lost {
            engine: watched.name().cloned(),
            error,
            again_in: pause,
        });
        watched.clock().sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Subscribes, then lists, then follows the events until the stream ends; says why it did.
async fn follow<W: Watched>(
    watched: &W,
    look_again: &Notify,
    seen: &UnboundedSender<EngineUpdate<W::Fact>>,
) -> EngineError {
    match watched.engine().events().await {
        Ok(events) => {
            let mut following = Following {
                watched,
                seen,
                events,
                known: BTreeSet::new(),
                joined: BTreeMap::new(),
            };
            following
                .follow(look_again)
                .await
                .err()
                .unwrap_or_else(ended)
        }
        Err(error) => error,
    }
}

fn ended() -> EngineError {
    EngineError::NotUnderstood {
        call: "GET /events".to_owned(),
        problem: "the stream of events has ended".to_owned(),
    }
}

/// One stream of events, and the containers that are known to concern us.
struct Following<'a, W: Watched> {
    watched: &'a W,
    seen: &'a UnboundedSender<EngineUpdate<W::Fact>>,
    events: LocalBoxStream<'static, Result<EngineEvent, EngineError>>,
    known: BTreeSet<ContainerId>,
    /// Those of them that use another's network, and whose.
    joined: BTreeMap<ContainerId, ContainerId>,
}

impl<W: Watched> Following<'_, W> {
    /// Ends well when the engine closes the stream.
    async fn follow(&mut self, look_again: &Notify) -> Result<(), EngineError> {
        let engine = self.watched.engine();
        self.tell_all(true).await?;
        let mut pings = interval_at(Instant::now() + PING_EVERY, PING_EVERY);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                event = self.events.next() => match event {
                    Some(event) => self.tell_one(&event?).await?,
                    None => return Ok(()),
                },
                () = look_again.notified() => {
                    // A list may take its time, so an engine that is frozen is found out by something that may not.
                    engine.ping().await?;
                    self.tell_all(false).await?;
                }
                _ = pings.tick() => engine.ping().await?,
            }
        }
    }

    /// Looks at everything, and reads events meanwhile: thousands of containers take seconds, and an engine drops the
    /// events of a client that does not read them. What they name is looked at afterwards, each container once.
    async fn tell_all(&mut self, gap: bool) -> Result<(), EngineError> {
        let mut meanwhile: BTreeMap<ContainerId, EngineEvent> = BTreeMap::new();
        let (containers, own) = {
            let look = self.watched.look();
            tokio::pin!(look);
            loop {
                tokio::select! {
                    all = &mut look => break all?,
                    event = self.events.next() => note(&mut meanwhile, event.ok_or_else(ended)??),
                }
            }
        };
        self.known = containers
            .iter()
            .chain(&own)
            .map(|fact| W::id(fact).clone())
            .collect();
        self.joined.clear();
        for fact in containers.iter().chain(&own) {
            self.remember_joined(fact);
        }
        let _ = self.seen.send(EngineUpdate::All {
            engine: self.watched.name().cloned(),
            containers,
            own,
            gap,
        });
        for event in meanwhile.values() {
            self.tell_one(event).await?;
        }
        Ok(())
    }

    /// An event wakes, it does not inform: the one container that it names is looked at, if it concerns us.
    async fn tell_one(&mut self, event: &EngineEvent) -> Result<(), EngineError> {
        for id in self.users_of(&event.container) {
            self.look_at(id, EventKind::Changed).await?;
        }
        match self.watched.concerns_us(event, &self.known) {
            true => self.look_at(event.container.clone(), event.action).await,
            false => Ok(()),
        }
    }

    /// Those that use the network of this one.
    fn users_of(&self, owner: &ContainerId) -> Vec<ContainerId> {
        let users = self.joined.iter().filter(|(_, joined)| *joined == owner);
        users.map(|(user, _)| user.clone()).collect()
    }

    fn remember_joined(&mut self, fact: &W::Fact) {
        if let Some(owner) = W::joins(fact) {
            self.joined.insert(W::id(fact).clone(), owner.clone());
        }
    }

    async fn look_at(&mut self, id: ContainerId, action: EventKind) -> Result<(), EngineError> {
        let container = match action {
            EventKind::Gone => None,
            EventKind::Changed | EventKind::Network => match self.watched.inspect(&id).await {
                Ok(container) => container,
                Err(error @ (EngineError::NotUnderstood { .. } | EngineError::Refused { .. })) => {
                    let _ = self.seen.send(EngineUpdate::Unreadable(error));
                    return Ok(());
                }
                Err(error) => return Err(error),
            },
        };
        match &container {
            Some(fact) => {
                self.known.insert(id.clone());
                self.remember_joined(fact);
            }
            None => {
                self.known.remove(&id);
                self.joined.remove(&id);
            }
        }
        let _ = self.seen.send(EngineUpdate::One {
            id,
            container,
            action,
        });
        Ok(())
    }
}

/// Notes an event for later. Of several about one container, the latest counts; an event of a network brings no labels,
/// and removes neither the known ones nor another event.
fn note(meanwhile: &mut BTreeMap<ContainerId, EngineEvent>, event: EngineEvent) {
    match meanwhile.get_mut(&event.container) {
        Some(_) if event.action == EventKind::Network => {}
        Some(before) => *before = event,
        None => drop(meanwhile.insert(event.container.clone(), event)),
    }
}

/// Every change of something on disk that is watched; nothing, for ever, where there is nothing to watch or it can't be.
pub(crate) fn changes(
    begun: Option<Result<LocalBoxStream<'static, Result<(), DiskError>>, DiskError>>,
) -> LocalBoxStream<'static, Result<(), DiskError>> {
    let changes = match begun {
        None => stream::empty().boxed_local(),
        Some(Ok(changes)) => changes,
        Some(Err(error)) => stream::iter([Err(error)]).boxed_local(),
    };
    changes.chain(stream::pending()).boxed_local()
}

#[cfg(test)]
pub(crate) mod tests;
