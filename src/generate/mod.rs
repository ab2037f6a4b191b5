//! Users' own templates: template → file → check → signal. The command `render` does this by itself, without
//! certificates; `watch` does it for its outputs.

mod board;
mod debounce;
mod files;
mod following;
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
use futures_util::stream::LocalBoxStream;
use tokio::sync::mpsc;

use crate::{
    observe::{Detail, EngineEvent},
    ports::{
        Clock, DetailedEngine, DiskError, Engine, EngineError, NamedFiles, TargetFiles,
        TemplateUrls,
    },
    values::{ContainerId, Interval, Signal, VariableNames},
    watching::{Watched, changes},
};
pub use board::{KnownCertificates, OutputBoard, OutputState};
pub use following::watch_all;
pub use shown::ShownContainers;
pub use sources::TemplateSource;
use turning::Turning;
pub use turning::{Foreseen, foresee};

/// Time until a container that can't be signalled yet is tried again.
const TELL_AGAIN: Duration = Duration::from_secs(1);

/// Everything that rendering is given.
pub struct Rendering {
    /// Who knows the containers.
    pub engine: Rc<dyn DetailedEngine>,
    /// Now, and waiting.
    pub clock: Rc<dyn Clock>,
    /// Templates, and what they ask for.
    pub files: Rc<dyn NamedFiles>,
    /// The targets.
    pub targets: Rc<dyn TargetFiles>,
    /// Templates that are no files.
    pub urls: Rc<dyn TemplateUrls>,
    /// The templates and their targets, in this order.
    pub pairs: Vec<Pair>,
    /// The checks that must accept new targets before any container is notified; otherwise the earlier ones come back.
    pub checks: Vec<Checking>,
    /// The containers to notify when a target has changed.
    pub tellings: Vec<Telling>,
    /// Time for which changes are gathered while watching.
    pub interval: Interval,
    /// Time after an event until everything is looked at once more while watching.
    pub repeat: Option<Duration>,
    /// Which containers templates see.
    pub shown: ShownContainers,
    /// True if containers are notified, too, when a text without a target differs from before.
    pub tells_of_printed: bool,
    /// The container we run in.
    pub own: Option<ContainerId>,
    /// Our own environment, which templates may read.
    pub variables: Arc<BTreeMap<String, String>>,
    /// The further parts of an output of `watch`; none in the command `render`.
    pub output: Option<PartOfWatch>,
}

/// The parts that an output of `watch` has in addition to its template.
#[derive(Clone)]
pub struct PartOfWatch {
    /// The output's name in the settings.
    pub name: String,
    /// Whose the file is, by a container's name or id, or by a service: its path is as that one sees it.
    pub consumer: Option<String>,
    /// The variables of containers that its template sees.
    pub variables: VariableNames,
    /// The longest time until its file is looked at again.
    pub resync: Duration,
    /// The board for its state.
    pub board: Rc<OutputBoard>,
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
    /// The command that is run in it; any exit code but 0 refuses the files.
    pub words: Vec<String>,
}

/// The containers to notify that files have changed, and the way.
pub struct Telling {
    /// A container's name or id, or a service that any number of containers run; `label=NAME` or `label=NAME=VALUE` for
    /// those that bear a label.
    pub target: String,
    /// The way to notify them.
    pub by: By,
}

/// The way to notify a container that its files have changed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum By {
    /// A signal to its first process.
    Signal(Signal),
    /// These words, run in it.
    Exec(Vec<String>),
    /// It is started again.
    Restart,
}

/// The result of one rendering.
pub struct RenderSummary {
    /// The texts without a target, in the order of the templates.
    pub printed: String,
    /// True if everything was rendered and accepted and all containers were notified; all else is reported.
    pub is_whole: bool,
}

#[async_trait(?Send)]
impl Watched for Rendering {
    type Fact = Rc<Detail>;

    fn engine(&self) -> &dyn Engine {
        &*self.engine
    }

    fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    fn id(fact: &Rc<Detail>) -> &ContainerId {
        &fact.container.id
    }

    fn concerns_us(&self, _: &EngineEvent, _: &BTreeSet<ContainerId>) -> bool {
        true
    }

    async fn look(&self) -> Result<(Vec<Rc<Detail>>, Option<Rc<Detail>>), EngineError> {
        let all = self.engine.details().await?.into_iter();
        Ok((all.map(|detail| self.seen(detail)).collect(), None))
    }

    async fn inspect(&self, container: &ContainerId) -> Result<Option<Rc<Detail>>, EngineError> {
        let found = self.engine.detail(container.as_str()).await?;
        Ok(found.map(|detail| self.seen(detail)))
    }
}

impl Rendering {
    /// Renders everything, and notifies the containers that read it.
    ///
    /// # Errors
    /// When the engine can't be asked. What is wrong with one template spoils only that one, and is reported.
    pub async fn once(self) -> Result<RenderSummary, EngineError> {
        Rc::new(self).done_once().await
    }

    /// The same, of what is rendered again later.
    ///
    /// # Errors
    /// As above.
    pub async fn done_once(self: Rc<Self>) -> Result<RenderSummary, EngineError> {
        let details = self.look().await?.0;
        let mut turning = Turning::new(self);
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
        turning.prove_at_last().await;
        turning.tell_state();
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
            ended = watch_all(vec![Rc::new(self)], hangups, print) => ended,
        }
    }

    /// The facts that are kept of a container: of its environment no more than templates may see.
    fn seen(&self, detail: Detail) -> Rc<Detail> {
        Rc::new(match &self.output {
            Some(output) => detail.with_variables(&output.variables),
            None => detail,
        })
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

#[cfg(test)]
mod tests;
