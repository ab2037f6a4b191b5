//! `quaymaster render`: the same watching for users' own templates, without certificates: template → file → signal.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    rc::Rc,
    time::Duration,
};

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use tokio::{
    sync::{Notify, mpsc},
    time::Instant,
};

use super::{
    changes,
    debounce::Debounce,
    shown::shown,
    watching::{Seen, Watched, watch},
};
use crate::{
    observe::{Container, Detail, EngineEvent},
    ports::{Clock, DetailedEngine, Engine, EngineError, NamedFiles},
    render::{ContainersView, LenientTemplate},
    report::{Event, chain, report},
    values::{ContainerId, Interval, Signal},
};

/// How long a container must have run before it is told: a signal that comes before a server listens to it ends it.
const SETTLED_AFTER: Duration = Duration::from_secs(3);

/// How long until a container that can't be told yet is told again.
const TELL_AGAIN: Duration = Duration::from_secs(1);

/// How long until the engine is asked again for what it refused.
const ASK_AGAIN: Duration = Duration::from_secs(10);

/// Everything that rendering is given.
pub struct Rendering {
    /// Who knows the containers.
    pub engine: Rc<dyn DetailedEngine>,
    /// Now, and waiting.
    pub clock: Rc<dyn Clock>,
    /// Templates, and what comes of them.
    pub files: Rc<dyn NamedFiles>,
    /// What is rendered, in this order.
    pub pairs: Vec<Pair>,
    /// Who is told when a target has changed.
    pub tellings: Vec<Telling>,
    /// How long changes are gathered while watching.
    pub interval: Interval,
    /// The container we run in.
    pub own: Option<ContainerId>,
}

/// A template, and where what comes of it goes.
pub struct Pair {
    /// The template's file.
    pub template: PathBuf,
    /// The file that it makes; none where it is printed.
    pub target: Option<PathBuf>,
}

/// Who is told that files have changed, and how.
pub struct Telling {
    /// A container's name or id, or a service that any number of containers run.
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
pub struct Made {
    /// What has no target, in the order of the templates.
    pub printed: String,
    /// Whether everything was rendered and everybody told; what was not is reported.
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
    pub async fn once(self) -> Result<Made, EngineError> {
        let details = self.look().await?.0;
        let mut turning = Turning::new(Rc::new(self));
        turning.replace(details);
        let printed = turning.render();
        let is_told = loop {
            let is_told = turning.tell().await;
            if !is_told || turning.owed.is_empty() {
                break is_told;
            }
            turning.given.clock.sleep(TELL_AGAIN).await;
        };
        Ok(Made { printed, is_whole: is_told && turning.faults.is_empty() })
    }

    /// Renders at every change of containers or templates until `stop`. Each `hangup` looks at everything again.
    pub async fn watch(self, stop: impl Future<Output = ()>, hangups: mpsc::UnboundedReceiver<()>) {
        tokio::select! {
            () = stop => {}
            () = self.watch_for_ever(hangups) => {}
        }
    }

    async fn watch_for_ever(self, mut hangups: mpsc::UnboundedReceiver<()>) {
        let each = self.pairs.iter().map(|pair| changes(Some(self.files.changes(&pair.template))));
        let mut template_changes = stream::select_all(each);
        let given = Rc::new(self);
        let mut turning = Turning::new(Rc::clone(&given));
        let (sender, mut seen) = mpsc::unbounded_channel();
        let look_again = Rc::new(Notify::new());
        let watching = watch(given, Rc::clone(&look_again), sender);
        tokio::pin!(watching);
        loop {
            let wake = turning.wake();
            let rest = async move {
                match wake {
                    Some(wake) => tokio::time::sleep_until(wake).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = &mut watching => {}
                Some(first) = seen.recv() => {
                    turning.take(first);
                    while let Ok(next) = seen.try_recv() {
                        turning.take(next);
                    }
                }
                Some(()) = hangups.recv() => {
                    while hangups.try_recv().is_ok() {}
                    look_again.notify_one();
                    turning.note();
                }
                Some(change) = template_changes.next() => match change {
                    Ok(()) => turning.note(),
                    Err(error) => report(&Event::DiskFault {
                        problem: format!("{}; templates are read again on SIGHUP", chain(&error)),
                    }),
                },
                () = rest => turning.turn().await,
            }
        }
    }
}

/// What is known between two renderings.
struct Turning {
    given: Rc<Rendering>,
    /// Nothing until everything was seen once.
    details: Option<BTreeMap<ContainerId, Detail>>,
    debounce: Debounce,
    /// Who still has to be told.
    owed: BTreeSet<(ContainerId, By)>,
    /// When they are told again.
    tell_at: Option<Instant>,
    /// What is wrong with a template or its target, by the number of the pair.
    faults: BTreeMap<usize, String>,
}

impl Turning {
    fn new(given: Rc<Rendering>) -> Self {
        let debounce = Debounce::new(given.interval);
        Self { given, details: None, debounce, owed: BTreeSet::new(), tell_at: None, faults: BTreeMap::new() }
    }

    /// When something is to be done.
    fn wake(&self) -> Option<Instant> {
        let due = self.debounce.due().filter(|_| self.details.is_some());
        due.into_iter().chain(self.tell_at).min()
    }

    fn note(&mut self) {
        self.debounce.note(Instant::now());
    }

    /// Takes over what the engine says.
    fn take(&mut self, seen: Seen<Detail>) {
        match seen {
            Seen::All { containers, .. } => {
                self.replace(containers);
                self.note();
            }
            Seen::One { id, container, .. } => {
                let Some(details) = &mut self.details else { return };
                let before = match container.clone() {
                    Some(detail) => details.insert(id, detail),
                    None => details.remove(&id),
                };
                if before != container {
                    self.note();
                }
            }
            Seen::Unreadable(error) => report(&Event::ContainerUnreadable { problem: chain(&error) }),
            Seen::Lost { error, again_in } => report(&Event::EngineLost { problem: chain(&error), again_in }),
        }
    }

    fn replace(&mut self, details: Vec<Detail>) {
        self.details = Some(details.into_iter().map(|detail| (detail.container.id.clone(), detail)).collect());
    }

    /// Does what is due: renders what may have changed, tells who is owed.
    async fn turn(&mut self) {
        let now = Instant::now();
        if self.debounce.due().is_some_and(|due| due <= now) {
            self.debounce.act(now);
            self.render();
        }
        let pause = if self.tell().await { TELL_AGAIN } else { ASK_AGAIN };
        self.tell_at = (!self.owed.is_empty()).then(|| Instant::now() + pause);
    }

    /// Renders each template; returns what has no target.
    fn render(&mut self) -> String {
        let given = Rc::clone(&self.given);
        let view = self.view();
        let mut printed = String::new();
        let mut has_changed = false;
        for (number, pair) in given.pairs.iter().enumerate() {
            let made = make(&*given.files, pair, &view);
            self.note_fault(number, made.as_ref().err());
            match made {
                Ok(Output::Printed(text)) => printed.push_str(&text),
                Ok(Output::Written) => has_changed = true,
                Ok(Output::Unchanged) | Err(_) => {}
            }
        }
        if has_changed {
            self.owe();
        }
        printed
    }

    fn view(&self) -> ContainersView {
        let details = self.details.iter().flat_map(BTreeMap::values);
        let own_container_id = self.given.own.as_ref().map(ToString::to_string);
        ContainersView { containers: details.map(shown).collect(), own_container_id }
    }

    /// Reports what is new about a pair.
    fn note_fault(&mut self, number: usize, fault: Option<&String>) {
        let before = match fault {
            Some(fault) => self.faults.insert(number, fault.clone()),
            None => self.faults.remove(&number),
        };
        match (before, fault) {
            (Some(before), None) => report(&Event::TemplateMended { problem: before }),
            (before, Some(fault)) if before.as_ref() != Some(fault) => {
                report(&Event::TemplateBroken { problem: format!("{fault}; what is there stays") });
            }
            _ => {}
        }
    }

    /// Everybody is to be told who runs now.
    fn owe(&mut self) {
        for Telling { target, by } in &self.given.tellings {
            let running = self.details.iter().flat_map(BTreeMap::values).filter(|d| d.container.is_running());
            let meant: Vec<_> = running.filter(|detail| shown(detail).is_meant_by(target)).collect();
            if meant.is_empty() {
                report(&Event::NobodyToTell { target: target.clone() });
            }
            self.owed.extend(meant.into_iter().map(|detail| (detail.container.id.clone(), *by)));
        }
    }

    /// Tells who is owed, as far as they can be told now; whether the engine did what it was asked.
    async fn tell(&mut self) -> bool {
        let mut is_well = true;
        for (id, by) in self.owed.clone() {
            let known = self.details.as_ref().and_then(|details| details.get(&id));
            // What does not run reads its files when it starts.
            let Some(container) = known.map(|detail| &detail.container).filter(|container| container.is_running())
            else {
                self.owed.remove(&(id, by));
                continue;
            };
            let now = self.given.clock.now();
            if container.started_at.is_some_and(|at| at <= now && now.since(at) < SETTLED_AFTER) {
                continue;
            }
            match tell(&*self.given.engine, container, by).await {
                Ok(told) => {
                    report(&told);
                    self.owed.remove(&(id, by));
                }
                Err(error) => {
                    is_well = false;
                    report(&Event::NotTold { consumer: container.name.clone(), problem: chain(&error) });
                }
            }
        }
        is_well
    }
}

/// Tells one container.
async fn tell(engine: &dyn DetailedEngine, container: &Container, by: By) -> Result<Event, EngineError> {
    let consumer = container.name.clone();
    match by {
        By::Signal(signal) => engine.kill(&container.id, signal).await.map(|()| Event::Signalled { consumer, signal }),
        By::Restart => engine.restart(&container.id).await.map(|()| Event::Restarted { consumer }),
    }
}

/// What became of one template.
enum Output {
    Printed(String),
    Written,
    Unchanged,
}

/// Renders one template, and writes it where its bytes are others than those that are there.
///
/// # Errors
/// What is wrong, in words.
fn make(files: &dyn NamedFiles, pair: &Pair, view: &ContainersView) -> Result<Output, String> {
    let name = pair.template.display().to_string();
    let text = files.text(&pair.template).map_err(|error| chain(&error))?;
    let text = text.ok_or_else(|| format!("template {name}: there is no such file"))?;
    let rendered = LenientTemplate::new(&name, &text).and_then(|template| template.render(view));
    let rendered = rendered.map_err(|error| error.to_string())?;
    let Some(target) = &pair.target else { return Ok(Output::Printed(rendered)) };
    if files.text(target).map_err(|error| chain(&error))?.as_ref() == Some(&rendered) {
        return Ok(Output::Unchanged);
    }
    files.replace(target, &rendered).map_err(|error| chain(&error))?;
    report(&Event::Rendered { target: target.display().to_string() });
    Ok(Output::Written)
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, path::Path};

    use futures_util::stream::LocalBoxStream;

    use super::*;
    use crate::{
        adapters::{clock::SystemClock, engine::RecordedEngine},
        ports::DiskError,
    };

    /// A template, and what was made of it.
    #[derive(Default)]
    struct Files(RefCell<Vec<String>>);

    impl NamedFiles for Files {
        fn text(&self, path: &Path) -> Result<Option<String>, DiskError> {
            let template = || "{{ containers | length }}".to_owned();
            Ok(if path == Path::new("t") { Some(template()) } else { self.0.borrow().last().cloned() })
        }

        fn replace(&self, _: &Path, text: &str) -> Result<(), DiskError> {
            self.0.borrow_mut().push(text.to_owned());
            Ok(())
        }

        fn changes(&self, _: &Path) -> Result<LocalBoxStream<'static, Result<(), DiskError>>, DiskError> {
            unreachable!("nobody watches")
        }
    }

    /// A record, which refuses every signal, and in which a paused container is there and can't be told.
    fn rendering(files: &Rc<Files>, target: &str) -> Rendering {
        let recorded = r#"[{"Id": "1", "Name": "/shop", "State": {"Status": "running"}},
            {"Id": "2", "Name": "/still", "State": {"Status": "paused"}}]"#;
        Rendering {
            engine: Rc::new(RecordedEngine::read(recorded).expect("it is a list")),
            clock: Rc::new(SystemClock),
            files: Rc::clone(files) as Rc<dyn NamedFiles>,
            pairs: vec![Pair { template: "t".into(), target: Some("out".into()) }],
            tellings: vec![Telling { target: target.to_owned(), by: By::Signal(Signal::HUP) }],
            interval: Interval::default(),
            own: None,
        }
    }

    #[tokio::test]
    async fn a_signal_that_the_engine_refuses_is_told_and_the_file_is_written_all_the_same() {
        let files = Rc::default();
        let made = rendering(&files, "shop").once().await.expect("it is seen");
        assert_eq!((made.is_whole, made.printed.as_str(), files.0.take()), (false, "", vec!["2".to_owned()]));
    }

    #[tokio::test]
    async fn nobody_is_told_when_nothing_changed_or_nobody_runs() {
        let files = Rc::default();
        for (target, written) in [("still", 1), ("shop", 1)] {
            let made = rendering(&files, target).once().await.expect("it is seen");
            assert_eq!((made.is_whole, files.0.borrow().len()), (true, written), "{target}");
        }
    }
}
