mod telling;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use super::{
    By, Rendering, TELL_AGAIN,
    debounce::Debounce,
    files::{Made, Placed, RenderedFile, make, put_back},
    known::Known,
    shown::shown,
    sources::{Fetched, FetchedText},
    swarm::without_swarm,
};
use crate::{
    desire::Complaint,
    observe::{Bearer, Detail},
    plan::run_failed,
    ports::{Clock, DetailedEngine, Remark},
    render::ContainersView,
    report::{Event, chain, report},
    values::{ContainerId, Digest},
    watching::EngineUpdate,
};

/// How long until the engine is asked again for what it refused.
const ASK_AGAIN: Duration = Duration::from_secs(10);

/// What is known between two renderings.
pub(super) struct Turning {
    given: Rc<Rendering>,
    /// Nothing until everything was seen once.
    details: Option<Known>,
    debounce: Debounce,
    /// Who still has to be told.
    owed: BTreeSet<(ContainerId, By)>,
    /// What they still have to be told of.
    untold: BTreeSet<PathBuf>,
    /// When they are told again.
    tell_at: Option<Instant>,
    /// What was taken back last.
    taken_back: Option<TakenBack>,
    /// What is wrong with a template or its target, by the number of the pair.
    faults: BTreeMap<usize, String>,
    /// The files that a template asked for last, by the number of the pair.
    read: BTreeMap<usize, BTreeSet<PathBuf>>,
    /// What is known of templates at URLs, by the number of the pair.
    fetched: BTreeMap<usize, Fetched>,
    /// What was printed last, by the number of the pair.
    printed: BTreeMap<usize, String>,
    /// What was told of names that templates ask for in vain.
    unknown: BTreeSet<String>,
    /// What was told of signals that harm those who get them.
    pub(super) complaints: BTreeSet<Complaint>,
}

impl Turning {
    pub fn new(given: Rc<Rendering>) -> Self {
        let debounce = Debounce::new(given.interval);
        Self {
            given,
            details: None,
            debounce,
            owed: BTreeSet::new(),
            untold: BTreeSet::new(),
            tell_at: None,
            taken_back: None,
            faults: BTreeMap::new(),
            read: BTreeMap::new(),
            fetched: BTreeMap::new(),
            printed: BTreeMap::new(),
            unknown: BTreeSet::new(),
            complaints: BTreeSet::new(),
        }
    }

    /// When something is to be done.
    pub fn wake(&self) -> Option<Instant> {
        let due = self.debounce.due().filter(|_| self.details.is_some());
        due.into_iter()
            .chain(self.tell_at)
            .chain(self.check_at())
            .min()
    }

    pub fn note(&mut self) {
        self.debounce.note(Instant::now());
    }

    /// What was refused may be tried again as it is.
    pub fn forget_refusal(&mut self) {
        self.taken_back = None;
    }

    /// When a check that could not be made is made again.
    fn check_at(&self) -> Option<Instant> {
        self.taken_back
            .as_ref()
            .and_then(|taken_back| taken_back.again)
    }

    /// Whether everything was rendered and found good.
    pub fn is_well(&self) -> bool {
        self.faults.is_empty() && self.taken_back.is_none()
    }

    /// Whether somebody still has to be told.
    pub fn owes(&self) -> bool {
        !self.owed.is_empty()
    }

    pub fn given(&self) -> Rc<Rendering> {
        Rc::clone(&self.given)
    }

    /// Takes over what came of fetching a template. What was there before stays when it can't be fetched again.
    pub fn take_fetched(&mut self, (number, fetched): FetchedText) {
        let known = self.fetched.entry(number).or_default();
        let fault = fetched.as_ref().err().cloned();
        if let (Some(problem), true) = (&fault, known.text.is_some())
            && known.fault != fault
        {
            let name = &self.given.pairs[number].template;
            report(&Event::TemplateBroken {
                problem: format!("template {name}: {problem}; what was fetched before is used"),
            });
        }
        known.text = fetched.ok().or_else(|| known.text.take());
        known.fault = fault;
    }

    pub fn clock(&self) -> &dyn Clock {
        &*self.given.clock
    }

    /// Takes over what the engine says.
    pub fn take(&mut self, seen: EngineUpdate<Detail>) {
        match seen {
            EngineUpdate::All { containers, .. } => {
                self.replace(containers);
                self.note();
            }
            EngineUpdate::One { id, container, .. } => {
                let Some(details) = &mut self.details else {
                    return;
                };
                if details.take(&id, container) {
                    self.note();
                }
            }
            EngineUpdate::Unreadable(error) => report(&Event::Met(Remark::ContainerLeftOut {
                problem: chain(&error),
            })),
            EngineUpdate::Lost { error, again_in } => report(&Event::EngineLost {
                problem: chain(&error),
                again_in,
            }),
        }
    }

    pub fn replace(&mut self, details: Vec<Detail>) {
        self.details = Some(Known::new(details));
    }

    /// Does what is due: renders what may have changed, tells who is owed; returns what is to be printed.
    pub async fn turn(&mut self) -> String {
        let now = Instant::now();
        let mut printed = String::new();
        if self
            .debounce
            .due()
            .into_iter()
            .chain(self.check_at())
            .any(|due| due <= now)
        {
            self.debounce.act();
            printed = self.render().await;
        }
        let pause = if self.tell().await {
            TELL_AGAIN
        } else {
            ASK_AGAIN
        };
        self.tell_at = (!self.owed.is_empty()).then(|| Instant::now() + pause);
        printed
    }

    /// Renders each template, and puts what is new in place where it is found good; returns what is new of those that have
    /// no target.
    pub async fn render(&mut self) -> String {
        let given = Rc::clone(&self.given);
        let is_cut_off = self.begin_again();
        let view = self.view();
        let mut made = Vec::new();
        for (number, pair) in given.pairs.iter().enumerate() {
            let read = self.read.entry(number).or_default();
            let fetched = self.fetched.get(&number);
            let rendered = match make(&*given.files, pair, fetched, &view, read) {
                Ok(made) => without_swarm(&*given.engine, self.details.as_ref(), pair, made).await,
                Err(problem) => Err(problem),
            };
            made.push(rendered.and_then(|Made { file, unknown, .. }| {
                self.note_unknown(unknown);
                file
            }));
        }
        let checks = self.checks();
        let asked = asked(made.iter().flatten(), &checks);
        let is_held_back = self
            .taken_back
            .as_ref()
            .is_some_and(|it| it.holds_back(&asked, Instant::now()));
        let mut placed = Placed::new(Rc::clone(&given.files), !checks.is_empty());
        let (mut printed, mut is_printed) = (String::new(), false);
        for (number, made) in made.into_iter().enumerate() {
            let done = match made {
                Ok(RenderedFile::New(new)) if !is_held_back => placed.put(new),
                Ok(RenderedFile::Printed(text)) => {
                    if self.printed.get(&number) != Some(&text) {
                        printed.push_str(&text);
                        is_printed = true;
                        self.printed.insert(number, text);
                    }
                    Ok(())
                }
                Ok(RenderedFile::New(_) | RenderedFile::Unchanged) => Ok(()),
                Err(problem) => Err(problem),
            };
            self.note_fault(number, done.as_ref().err());
        }
        if !is_held_back {
            self.taken_back = None;
        }
        let is_told_of = is_printed && given.tells_of_printed;
        if !placed.is_empty() || is_told_of {
            self.debounce.made(Instant::now());
        }
        if is_told_of || placed.is_empty() && is_cut_off {
            // Some may have been told of more than this.
            self.owe();
        }
        if !placed.is_empty() {
            self.accept(placed, &checks, asked).await;
        }
        printed
    }

    /// Keeps what was put in place when all checks pass, and lets it be known.
    async fn accept(&mut self, placed: Placed, checks: &[(Bearer, Vec<String>)], asked: Digest) {
        let nobody = self
            .given
            .checks
            .iter()
            .filter(|checking| self.meant(&checking.target).is_empty());
        nobody.for_each(|checking| {
            report(&Event::NobodyToCheck {
                target: checking.target.clone(),
            })
        });
        match check(&*self.given.engine, checks).await {
            Ok(()) => {
                self.untold.extend(placed.keep());
                self.owe();
            }
            Err(Failed {
                consumer,
                problem,
                is_refusal,
            }) => {
                report(&Event::CheckFailed {
                    consumer: consumer.name.clone(),
                    problem,
                });
                drop(placed);
                let again = (!is_refusal).then(|| Instant::now() + ASK_AGAIN);
                self.taken_back = Some(TakenBack { asked, again });
            }
        }
    }

    /// Puts back what was there before a crash; whether there was one.
    fn begin_again(&mut self) -> bool {
        let files = &*self.given.files;
        let targets = self
            .given
            .pairs
            .iter()
            .filter_map(|pair| pair.target.as_ref());
        let left =
            targets.filter(|target| !self.untold.contains(*target) && put_back(files, target));
        let left: Vec<_> = left.cloned().collect();
        let is_cut_off = !left.is_empty();
        self.untold.extend(left);
        is_cut_off
    }

    /// What is to be run where before anybody is told.
    fn checks(&self) -> Vec<(Bearer, Vec<String>)> {
        let each = self.given.checks.iter().flat_map(|checking| {
            self.meant(&checking.target)
                .into_iter()
                .map(|container| (container.clone(), checking.words.clone()))
        });
        each.collect()
    }

    fn view(&self) -> ContainersView {
        let details = self.details.iter().flat_map(Known::all);
        let own_container_id = self.given.own.as_ref().map(ToString::to_string);
        let seen = details.map(shown);
        ContainersView {
            containers: seen.filter(|view| self.given.shown.has(view)).collect(),
            own_container_id,
            variables: Arc::clone(&self.given.variables),
        }
    }

    /// Reports each name once, though it may be asked for at every change.
    fn note_unknown(&mut self, unknown: BTreeSet<String>) {
        for problem in unknown {
            if self.unknown.insert(problem.clone()) {
                report(&Event::NameUnknown { problem });
            }
        }
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
                report(&Event::TemplateBroken {
                    problem: format!("{fault}; what is there stays"),
                });
            }
            _ => {}
        }
    }

    /// The container that we run in.
    fn own(&self) -> Option<&Bearer> {
        let own = self.details.as_ref()?.get(self.given.own.as_ref()?)?;
        Some(&own.container)
    }
}

/// New files that did not stay.
struct TakenBack {
    /// What was asked about them.
    asked: Digest,
    /// When it is asked again; nothing where the answer stays the same.
    again: Option<Instant>,
}

impl TakenBack {
    /// Whether the same need not be asked now.
    fn holds_back(&self, asked: &Digest, now: Instant) -> bool {
        self.asked == *asked && self.again.is_none_or(|again| again > now)
    }
}

/// Why new files do not stay.
struct Failed<'a> {
    consumer: &'a Bearer,
    problem: String,
    /// Whether it was said of the files, so that they are no better the next time.
    is_refusal: bool,
}

/// Runs all checks, until one does not pass.
async fn check<'a>(
    engine: &dyn DetailedEngine,
    checks: &'a [(Bearer, Vec<String>)],
) -> Result<(), Failed<'a>> {
    for (consumer, words) in checks {
        let (problem, is_refusal) = match engine.exec(&consumer.id, words).await {
            Ok(ran) if ran.code == 0 => continue,
            Ok(ran) => (run_failed(words, ran.code, &ran.output), true),
            Err(error) => (chain(&error), false),
        };
        return Err(Failed {
            consumer,
            problem,
            is_refusal,
        });
    }
    Ok(())
}

/// What checks are asked about: the new files, and who reads them. One that was started again may take what it did not
/// take before.
fn asked<'a>(
    made: impl Iterator<Item = &'a RenderedFile>,
    checks: &[(Bearer, Vec<String>)],
) -> Digest {
    let files = made.filter_map(|made| match made {
        RenderedFile::New(new) => Some([new.target.display().to_string(), new.text.clone()]),
        RenderedFile::Printed(_) | RenderedFile::Unchanged => None,
    });
    let started = |container: &Bearer| container.started_at.map(|time| time.millis().to_string());
    let readers = checks
        .iter()
        .map(|(reader, _)| [reader.id.to_string(), started(reader).unwrap_or_default()]);
    Digest::of_parts(files.chain(readers).flatten())
}
