//! Renderings that follow one engine: each in its own time, so that none waits for another's check.

use std::rc::Rc;

use futures_util::{StreamExt, future, stream};
use tokio::{
    sync::{Notify, mpsc, watch},
    time::Instant,
};

use super::{Rendering, board::KnownCertificates, turning::Turning};
use crate::{
    observe::Detail,
    ports::Remark,
    report::{EngineReport, Event, chain, report},
    watching::{EngineUpdate, watch as follow_engine},
};

/// An event that wakes a rendering.
enum Nudge {
    /// An update from the engine.
    Engine(Rc<EngineUpdate<Rc<Detail>>>),
    /// Somebody asks for a new look at everything.
    Hangup,
}

/// Renders each at every change of containers or templates, for ever; `print` takes each text that has no target and is
/// another one than before. Each `hangup` looks at everything again.
///
/// # Errors
/// When `print` fails.
pub async fn watch_all<E>(
    all: Vec<Rc<Rendering>>,
    mut hangups: mpsc::UnboundedReceiver<()>,
    print: impl Fn(&str) -> Result<(), E>,
) -> Result<(), E> {
    let Some(first) = all.first().cloned() else {
        return future::pending().await;
    };
    let look_again = Rc::new(Notify::new());
    let (sender, mut seen) = mpsc::unbounded_channel();
    let (mut feeds, mut each) = (Vec::new(), Vec::new());
    for given in all {
        let (feed, nudges) = mpsc::unbounded_channel();
        feeds.push(feed);
        each.push(follow(given, nudges, Rc::clone(&look_again), &print));
    }
    // Where nobody follows any more, all of this ends.
    let spread = |nudge: &dyn Fn() -> Nudge| {
        feeds.iter().for_each(|feed| drop(feed.send(nudge())));
    };
    let is_part_of_watch = first.output.is_some();
    let spreading = async {
        loop {
            tokio::select! {
                Some(update) = seen.recv() => {
                    // Beside certificates, those tell it.
                    if !is_part_of_watch {
                        tell(&update);
                    }
                    let update = Rc::new(update);
                    spread(&|| Nudge::Engine(Rc::clone(&update)));
                }
                Some(()) = hangups.recv() => {
                    while hangups.try_recv().is_ok() {}
                    look_again.notify_one();
                    spread(&|| Nudge::Hangup);
                }
                else => return future::pending().await,
            }
        }
    };
    let engine = follow_engine(first, Rc::clone(&look_again), sender);
    tokio::select! {
        () = engine => future::pending().await,
        ended = future::try_join_all(each) => ended.map(drop),
        () = spreading => future::pending().await,
    }
}

/// Reports what the engine did not say.
fn tell(update: &EngineUpdate<Rc<Detail>>) {
    match update {
        EngineUpdate::Unreadable(error) => report(&Event::Met(Remark::ContainerLeftOut {
            problem: chain(error),
        })),
        EngineUpdate::Lost {
            error, again_in, ..
        } => report(&Event::Engine(EngineReport::Lost {
            engine: None,
            problem: chain(error),
            again_in: *again_in,
        })),
        EngineUpdate::All { .. } | EngineUpdate::One { .. } => {}
    }
}

/// Renders one of them for ever.
async fn follow<E>(
    given: Rc<Rendering>,
    mut nudges: mpsc::UnboundedReceiver<Nudge>,
    look_again: Rc<Notify>,
    print: impl Fn(&str) -> Result<(), E>,
) -> Result<(), E> {
    let mut template_changes = stream::select_all(given.files_to_watch());
    let fetch_again = Rc::new(Notify::new());
    let mut fetching = given.fetching(&fetch_again);
    let mut certificates = given.output.as_ref().map(|it| it.board.certificates());
    let mut turning = Turning::new(Rc::clone(&given));
    let mut repeat_at = None;
    loop {
        let (rest, repeat) = (until(turning.wake()), until(repeat_at));
        tokio::select! {
            Some(first) = nudges.recv() => {
                let mut next = Some(first);
                while let Some(nudge) = next {
                    match nudge {
                        Nudge::Engine(update) => {
                            if matches!(*update, EngineUpdate::One { .. }) {
                                repeat_at = given.repeat.map(|pause| Instant::now() + pause);
                            }
                            turning.take(&update);
                        }
                        Nudge::Hangup => {
                            fetch_again.notify_waiters();
                            turning.forget_refusal();
                            turning.note();
                        }
                    }
                    next = nudges.try_recv().ok();
                }
            }
            () = changed(&mut certificates) => turning.note(),
            Some(change) = template_changes.next() => match change {
                Ok(()) => turning.note(),
                Err(error) => report(&Event::DiskFault {
                    problem: format!("{}; templates are read again on SIGHUP", chain(&error)),
                }),
            },
            Some(fetched) = fetching.next() => {
                turning.take_fetched(fetched);
                turning.note();
            }
            () = repeat => {
                repeat_at = None;
                look_again.notify_one();
            }
            () = rest => {
                let printed = turning.turn().await;
                if !printed.is_empty() {
                    print(&printed)?;
                }
            }
        }
    }
}

/// Waits until other certificates are held; for ever where there are none to be seen.
async fn changed(certificates: &mut Option<watch::Receiver<Option<Rc<KnownCertificates>>>>) {
    let changed = match certificates {
        Some(seen) => seen.changed().await.is_ok(),
        None => false,
    };
    // The board, which tells of them, lives as long as what is rendered for it.
    if !changed {
        future::pending().await
    }
}

/// Waits for a time; for ever where there is none.
async fn until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => future::pending().await,
    }
}
