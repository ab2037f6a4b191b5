//! `quaymaster render`: the same watching for users' own templates, without certificates: template → file → check →
//! signal.

mod debounce;
mod files;
mod known;
mod shown;
mod sources;
mod swarm;
mod turning;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use futures_util::{
    StreamExt,
    stream::{self, LocalBoxStream},
};
use tokio::{
    sync::{Notify, mpsc},
    time::Instant,
};

use crate::{
    observe::{Detail, EngineEvent},
    ports::{Clock, DetailedEngine, DiskError, Engine, EngineError, NamedFiles, TemplateUrls},
    report::{Event, chain, report},
    values::{ContainerId, Interval, Signal},
    watching::{EngineUpdate, Watched, changes, watch},
};
pub use shown::ShownContainers;
pub use sources::TemplateSource;
use turning::Turning;

/// How long until a container that can't be told yet is told again.
const TELL_AGAIN: Duration = Duration::from_secs(1);

/// Everything that rendering is given.
pub struct Rendering {
    /// Who knows the containers.
    pub engine: Rc<dyn DetailedEngine>,
    /// Now, and waiting.
    pub clock: Rc<dyn Clock>,
    /// Templates, and what comes of them.
    pub files: Rc<dyn NamedFiles>,
    /// Templates that are no files.
    pub urls: Rc<dyn TemplateUrls>,
    /// What is rendered, in this order.
    pub pairs: Vec<Pair>,
    /// What must find new targets good before anybody is told; else what was there before comes back.
    pub checks: Vec<Checking>,
    /// Who is told when a target has changed.
    pub tellings: Vec<Telling>,
    /// How long changes are gathered while watching.
    pub interval: Interval,
    /// How long after an event everything is looked at once more while watching.
    pub repeat: Option<Duration>,
    /// Which containers templates see.
    pub shown: ShownContainers,
    /// Whether somebody is told, too, when a text that has no target is another one than before.
    pub tells_of_printed: bool,
    /// The container we run in.
    pub own: Option<ContainerId>,
    /// Our own environment, which templates may read.
    pub variables: Arc<BTreeMap<String, String>>,
}

/// A template, and where what comes of it goes.
pub struct Pair {
    /// Where the template is.
    pub template: TemplateSource,
    /// The file that it makes; none where it is printed.
    pub target: Option<PathBuf>,
}

/// Words that look at new files where they are read.
pub struct Checking {
    /// A container's name or id, or a service that any number of containers run.
    pub target: String,
    /// What is run in it; any exit code but 0 refuses the files.
    pub words: Vec<String>,
}

/// Who is told that files have changed, and how.
pub struct Telling {
    /// A container's name or id, or a service that any number of containers run; `label=NAME` or `label=NAME=VALUE` for
    /// those that bear a label.
    pub target: String,
    /// How they are told.
    pub by: By,
}

/// How a container is told that its files have changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum By {
    /// A signal to its first process.
    Signal(Signal),
    /// It is started again.
    Restart,
}

/// What rendering once came to.
pub struct RenderSummary {
    /// What has no target, in the order of the templates.
    pub printed: String,
    /// Whether everything was rendered and found good and everybody told; what was not is reported.
    pub is_whole: bool,
}

#[async_trait(?Send)]
impl Watched for Rendering {
    type Fact = Detail;

    fn engine(&self) -> &dyn Engine {
        &*self.engine
    }

    fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    fn id(fact: &Detail) -> &ContainerId {
        &fact.container.id
    }

    fn concerns_us(&self, _: &EngineEvent, _: &BTreeSet<ContainerId>) -> bool {
        true
    }

    async fn look(&self) -> Result<(Vec<Detail>, Option<Detail>), EngineError> {
        Ok((self.engine.details().await?, None))
    }

    async fn inspect(&self, container: &ContainerId) -> Result<Option<Detail>, EngineError> {
        self.engine.detail(container.as_str()).await
    }
}

impl Rendering {
    /// Renders everything, and tells whom it concerns.
    ///
    /// # Errors
    /// When the engine can't be asked. What is wrong with one template spoils only that one, and is reported.
    pub async fn once(self) -> Result<RenderSummary, EngineError> {
        let details = self.look().await?.0;
        let mut turning = Turning::new(Rc::new(self));
        for fetched in turning.given().fetch_all().await {
            turning.take_fetched(fetched);
        }
        turning.replace(details);
        let printed = turning.render().await;
        let is_told = loop {
            let is_told = turning.tell().await;
            if !is_told || !turning.owes() {
                break is_told;
            }
            turning.clock().sleep(TELL_AGAIN).await;
        };
        Ok(RenderSummary {
            printed,
            is_whole: is_told && turning.is_well(),
        })
    }

    /// Renders at every change of containers or templates until `stop`; `print` takes each text that has no target and is
    /// another one than before. Each `hangup` looks at everything again.
    ///
    /// # Errors
    /// When `print` fails.
    pub async fn watch<E>(
        self,
        stop: impl Future<Output = ()>,
        hangups: mpsc::UnboundedReceiver<()>,
        print: impl Fn(&str) -> Result<(), E>,
    ) -> Result<(), E> {
        tokio::select! {
            () = stop => Ok(()),
            ended = self.watch_for_ever(hangups, print) => ended,
        }
    }

    async fn watch_for_ever<E>(
        self,
        mut hangups: mpsc::UnboundedReceiver<()>,
        print: impl Fn(&str) -> Result<(), E>,
    ) -> Result<(), E> {
        let given = Rc::new(self);
        let mut template_changes = stream::select_all(given.files_to_watch());
        let mut turning = Turning::new(Rc::clone(&given));
        let (sender, mut seen) = mpsc::unbounded_channel();
        let (look_again, fetch_again) = (Rc::new(Notify::new()), Rc::new(Notify::new()));
        let mut fetching = given.fetching(&fetch_again);
        let watching = watch(Rc::clone(&given), Rc::clone(&look_again), sender);
        tokio::pin!(watching);
        let mut repeat_at = None;
        loop {
            let (rest, repeat) = (until(turning.wake()), until(repeat_at));
            tokio::select! {
                () = &mut watching => {}
                Some(first) = seen.recv() => {
                    let mut next = Some(first);
                    while let Some(update) = next {
                        if matches!(update, EngineUpdate::One { .. }) {
                            repeat_at = given.repeat.map(|pause| Instant::now() + pause);
                        }
                        turning.take(update);
                        next = seen.try_recv().ok();
                    }
                }
                Some(()) = hangups.recv() => {
                    while hangups.try_recv().is_ok() {}
                    look_again.notify_one();
                    fetch_again.notify_waiters();
                    turning.forget_refusal();
                    turning.note();
                }
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

    /// Word of changes beside each template that is a file.
    fn files_to_watch(
        &self,
    ) -> impl Iterator<Item = LocalBoxStream<'static, Result<(), DiskError>>> {
        self.pairs.iter().filter_map(|pair| match &pair.template {
            TemplateSource::File(path) => Some(changes(Some(self.files.changes(path)))),
            TemplateSource::Inline(_) | TemplateSource::Url(_) => None,
        })
    }
}

/// Waits for a time; for ever where there is none.
async fn until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
