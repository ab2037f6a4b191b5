use std::{collections::BTreeSet, rc::Rc, time::Duration};

use futures_util::StreamExt;
use tokio::{
    sync::{Notify, mpsc::UnboundedSender},
    time::{Instant, MissedTickBehavior, interval_at},
};

use super::Daemon;
use crate::{
    observe::{Action, Container, EngineEvent},
    ports::EngineError,
    values::ContainerId,
};

/// The first pause after the engine was lost, doubled each time up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(800);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A stream that lived this long counts as a success, after which pauses begin small again: an engine that takes
/// connections and drops them at once must not be asked forty times a second.
const LIVED: Duration = Duration::from_secs(120);

/// How often the engine is asked whether it still answers: one that is frozen leaves the stream open and silent.
const PING_EVERY: Duration = Duration::from_secs(30);

/// What was seen of the engine.
pub(super) enum Seen {
    /// Everything that concerns us.
    All { containers: Vec<Container>, own: Option<Container> },
    /// What is true of one container now; nothing when it is gone.
    One { id: ContainerId, container: Option<Container> },
    /// One container could not be looked at.
    Unreadable(EngineError),
    /// The engine can't be asked.
    Lost { error: EngineError, again_in: Duration },
}

/// Looks at everything once.
pub(super) async fn look(daemon: &Daemon) -> Result<Seen, EngineError> {
    let containers = daemon.ports.engine.containers(&daemon.label_rules.label_prefix).await?;
    let own = match &daemon.own {
        Some(id) => daemon.ports.engine.inspect(id.as_str()).await?,
        None => None,
    };
    Ok(Seen::All { containers, own })
}

/// Watches for ever: events while the stream lives, a full look after each gap, pauses that grow while it can't.
pub(super) async fn watch(daemon: Rc<Daemon>, look_again: Rc<Notify>, seen: UnboundedSender<Seen>) {
    let mut pause = FIRST_PAUSE;
    loop {
        let began = Instant::now();
        let error = follow(&daemon, &look_again, &seen).await;
        if began.elapsed() >= LIVED {
            pause = FIRST_PAUSE;
        }
        // Nobody listens any more only when the loop ends, and this future with it.
        let _ = seen.send(Seen::Lost { error, again_in: pause });
        daemon.ports.clock.sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Subscribes, then lists, then follows the events until the stream ends; says why it did.
async fn follow(daemon: &Daemon, look_again: &Notify, seen: &UnboundedSender<Seen>) -> EngineError {
    let engine = &daemon.ports.engine;
    let mut events = match engine.events().await {
        Ok(events) => events,
        Err(error) => return error,
    };
    let mut known = match tell_all(daemon, seen).await {
        Ok(known) => known,
        Err(error) => return error,
    };
    let mut pings = interval_at(Instant::now() + PING_EVERY, PING_EVERY);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            event = events.next() => match event {
                Some(Ok(event)) => {
                    if let Err(error) = tell_one(daemon, &event, &mut known, seen).await {
                        return error;
                    }
                }
                Some(Err(error)) => return error,
                None => return ended(),
            },
            () = look_again.notified() => match tell_all(daemon, seen).await {
                Ok(all) => known = all,
                Err(error) => return error,
            },
            _ = pings.tick() => {
                if let Err(error) = engine.ping().await {
                    return error;
                }
            }
        }
    }
}

fn ended() -> EngineError {
    EngineError::NotUnderstood { call: "GET /events".to_owned(), problem: "the stream of events has ended".to_owned() }
}

async fn tell_all(daemon: &Daemon, seen: &UnboundedSender<Seen>) -> Result<BTreeSet<ContainerId>, EngineError> {
    let all = look(daemon).await?;
    let known = match &all {
        Seen::All { containers, own } => containers.iter().chain(own).map(|container| container.id.clone()).collect(),
        _ => BTreeSet::new(),
    };
    let _ = seen.send(all);
    Ok(known)
}

/// An event wakes, it does not inform: the one container that it names is looked at, if it concerns us.
async fn tell_one(
    daemon: &Daemon,
    event: &EngineEvent,
    known: &mut BTreeSet<ContainerId>,
    seen: &UnboundedSender<Seen>,
) -> Result<(), EngineError> {
    if !concerns_us(event, known, &daemon.label_rules.label_prefix) {
        return Ok(());
    }
    let id = event.container.clone();
    let container = match event.action {
        Action::Gone => None,
        Action::Changed | Action::Network => match daemon.ports.engine.inspect(id.as_str()).await {
            Ok(container) => container,
            Err(error @ (EngineError::NotUnderstood { .. } | EngineError::Refused { .. })) => {
                let _ = seen.send(Seen::Unreadable(error));
                return Ok(());
            }
            Err(error) => return Err(error),
        },
    };
    match container {
        Some(_) => known.insert(id.clone()),
        None => known.remove(&id),
    };
    let _ = seen.send(Seen::One { id, container });
    Ok(())
}

/// Whether an event is about a container that we know or whose labels name us.
fn concerns_us(event: &EngineEvent, known: &BTreeSet<ContainerId>, prefix: &str) -> bool {
    let is_ours = |label: &String| label.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('.'));
    known.contains(&event.container) || event.labels.keys().any(is_ours)
}
