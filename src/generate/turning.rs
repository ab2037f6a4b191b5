mod foreseen;
mod place;
mod proof;
mod state;
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
    By, Pair, Rendering, TELL_AGAIN,
    debounce::Debounce,
    files::{Made, Placed, RenderedFile, make, put_back},
    known::Known,
    shown::shown,
    sources::{Fetched, FetchedText},
    swarm::without_swarm,
};
pub use foreseen::{Foreseen, foresee};
use proof::OnProof;

use crate::{
    desire::Complaint,
    observe::{Bearer, Detail, SharedPath},
    plan::run_failed,
    ports::{Clock, DetailedEngine},
    render::ContainersView,
    report::{Event, Measure, TemplateEvent, chain, report},
    values::{ContainerId, Digest},
    watching::EngineUpdate,
};

/// Time until the engine is asked again for what it refused.
const ASK_AGAIN: Duration = Duration::from_secs(10);

/// Time until a broken output is looked at again: a disk may have room without any event.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// The state between two renderings.
pub(super) struct Turning {
    given: Rc<Rendering>,
    /// Nothing until everything was seen once.
    details: Option<Known>,
    debounce: Debounce,
    /// The containers that still have to be notified.
    owed: BTreeSet<(ContainerId, By)>,
    /// The targets of which they still have to be notified.
    untold: BTreeSet<SharedPath>,
    /// The notified containers that still have to be seen running with it.
    on_proof: Option<OnProof>,
    /// The files that were last accepted: the digest of the files alone.
    accepted: Option<Digest>,
    /// The reason, in words, when a container ended by its notification.
    ended: Option<String>,
    /// Time of the next try to notify them.
    tell_at: Option<Instant>,
    /// When everything of an output is looked at again though nothing happens.
    again_at: Option<Instant>,
    /// The files that were taken back last.
    taken_back: Option<TakenBack>,
    /// The problems with a template or its target, by the number of the pair.
    faults: BTreeMap<usize, String>,
    /// The files that a template asked for last, by the number of the pair.
    read: BTreeMap<usize, BTreeSet<PathBuf>>,
    /// The states of templates at URLs, by the number of the pair.
    fetched: BTreeMap<usize, Fetched>,
    /// The text that was printed last, by the number of the pair.
    printed: BTreeMap<usize, String>,
    /// Reported names that templates ask for and that do not exist.
    unknown: BTreeSet<String>,
    /// Reported signals that harm the containers that get them.
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
            on_proof: None,
            accepted: None,
            ended: None,
            tell_at: None,
            again_at: None,
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
        let due = self.debounce.due().filter(|_| self.knows_enough());
        due.into_iter()
            .chain(self.tell_at)
            .chain(self.again_at)
            .chain(self.check_at())
            .chain(self.proof_at())
            .min()
    }

    /// True if all facts that templates see are known: without them they would make another text.
    fn knows_enough(&self) -> bool {
        let mut output = self.given.output.iter();
        self.details.is_some() && output.all(|output| output.board.held().is_some())
    }

    pub fn note(&mut self) {
        self.debounce.note(Instant::now());
    }

    /// Forgets a refusal, so that the same files may be tried again.
    pub fn forget_refusal(&mut self) {
        self.taken_back = None;
        self.ended = None;
    }

    /// When a check that could not be made is made again.
    fn check_at(&self) -> Option<Instant> {
        self.taken_back
            .as_ref()
            .and_then(|taken_back| taken_back.again)
    }

    /// Time until everything of an output is looked at again: somebody may have changed its file.
    fn again_in(&self) -> Option<Duration> {
        let resync = self.given.output.as_ref()?.resync;
        Some(match self.faults.is_empty() {
            true => resync,
            false => resync.min(LOOK_AGAIN),
        })
    }

    /// True if everything was rendered and accepted.
    pub fn is_well(&self) -> bool {
        self.faults.is_empty() && self.taken_back.is_none()
    }

    /// True if a container still has to be notified.
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
            report(&Event::Template(TemplateEvent::Broken {
                problem: format!("template {name}: {problem}; what was fetched before is used"),
            }));
        }
        known.text = fetched.ok().or_else(|| known.text.take());
        known.fault = fault;
    }

    pub fn clock(&self) -> &dyn Clock {
        &*self.given.clock
    }

    /// Takes over what the engine says.
    pub fn take(&mut self, seen: &EngineUpdate<Rc<Detail>>) {
        match seen {
            EngineUpdate::All { containers, .. } => {
                self.replace(containers.clone());
                self.note();
            }
            EngineUpdate::One { id, container, .. } => {
                let Some(details) = &mut self.details else {
                    return;
                };
                if details.take(id, container.clone()) {
                    self.note();
                }
            }
            EngineUpdate::Unreadable(_) | EngineUpdate::Lost { .. } => {}
        }
    }

    pub fn replace(&mut self, details: Vec<Rc<Detail>>) {
        self.details = Some(Known::new(details));
    }

    /// Does what is due: renders what may have changed, notifies containers; returns the text to print.
    pub async fn turn(&mut self) -> String {
        let now = Instant::now();
        let mut printed = String::new();
        let due = self.debounce.due().filter(|_| self.knows_enough());
        if due
            .into_iter()
            .chain(self.again_at)
            .chain(self.check_at())
            .any(|due| due <= now)
        {
            self.debounce.act();
            printed = self.render().await;
            self.again_at = self.again_in().map(|pause| Instant::now() + pause);
        }
        if self.proof_at().is_some_and(|due| due <= now) {
            self.prove().await;
        }
        let pause = if self.tell().await {
            TELL_AGAIN
        } else {
            ASK_AGAIN
        };
        self.tell_at = (!self.owed.is_empty()).then(|| Instant::now() + pause);
        self.tell_state();
        printed
    }

    /// Renders each template, and puts what is new in place where it is found good; returns what is new of those that have
    /// no target.
    pub async fn render(&mut self) -> String {
        let began = self.clock().elapsed();
        let printed = self.render_all().await;
        self.tell_time(&Measure::TargetUpdate, began);
        printed
    }

    async fn render_all(&mut self) -> String {
        let given = Rc::clone(&self.given);
        let _turn = self.turn_at_consumers().await;
        let is_cut_off = self.begin_again();
        let made = self.make_all().await;
        let checks = self.checks();
        let files = asked(made.iter().flatten(), &[]);
        let asked = asked(made.iter().flatten(), &checks);
        let is_held_back = self
            .taken_back
            .as_ref()
            .is_some_and(|it| it.holds_back(&asked, &files, Instant::now()));
        let mut placed = Placed::new(Rc::clone(&given.targets), !checks.is_empty());
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
            self.accepted = Some(files);
            self.accept(placed, &checks, asked).await;
        }
        printed
    }

    /// Makes the text of each template; nothing is written.
    async fn make_all(&mut self) -> Vec<Result<RenderedFile, String>> {
        let given = Rc::clone(&self.given);
        let view = Arc::new(self.view());
        let (mut all, began) = (Vec::new(), self.clock().elapsed());
        for (number, pair) in given.pairs.iter().enumerate() {
            all.push(self.make_one(number, pair, &view).await);
        }
        self.tell_time(&Measure::Generation, began);
        all
    }

    async fn make_one(
        &mut self,
        number: usize,
        pair: &Pair,
        view: &Arc<ContainersView>,
    ) -> Result<RenderedFile, String> {
        let given = Rc::clone(&self.given);
        let target = self.located(pair)?;
        let read = self.read.entry(number).or_default();
        let fetched = self.fetched.get(&number);
        let made = make(&given, (pair, target.as_ref()), fetched, view, read).await?;
        let Made { file, unknown, .. } =
            without_swarm(&*given.engine, self.details.as_ref(), pair, made).await?;
        self.note_unknown(unknown);
        file
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
                let told = format!("{}: {problem}", consumer.name);
                report(&Event::CheckFailed {
                    consumer: consumer.name.clone(),
                    problem,
                });
                drop(placed);
                let again = (!is_refusal).then(|| Instant::now() + ASK_AGAIN);
                self.taken_back = Some(TakenBack {
                    asked,
                    is_of_files: false,
                    again,
                    problem: told,
                });
            }
        }
    }

    /// Puts back what was there before a crash; whether there was one.
    fn begin_again(&mut self) -> bool {
        let given = Rc::clone(&self.given);
        let targets = given.pairs.iter();
        let targets = targets.filter_map(|pair| self.located(pair).ok().flatten());
        let on_proof = self.on_proof.iter().flat_map(|it| &it.targets);
        let known: BTreeSet<_> = self.untold.iter().chain(on_proof).cloned().collect();
        let left =
            targets.filter(|target| !known.contains(target) && put_back(&*given.targets, target));
        let left: Vec<_> = left.collect();
        let is_cut_off = !left.is_empty();
        self.untold.extend(left);
        is_cut_off
    }

    /// The checks to run before any container is notified, and their containers.
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
            certificates: self.certificates(),
        }
    }

    /// Reports each name once, though it may be asked for at every change.
    fn note_unknown(&mut self, unknown: BTreeSet<String>) {
        for problem in unknown {
            if self.unknown.insert(problem.clone()) {
                report(&Event::Template(TemplateEvent::NameUnknown { problem }));
            }
        }
    }

    /// Reports what is new about a pair.
    fn note_fault(&mut self, number: usize, fault: Option<&String>) {
        let before = match fault {
            Some(fault) => self.faults.insert(number, fault.clone()),
            None => self.faults.remove(&number),
        };
        if self.given.output.is_some() {
            // The loop of `watch` tells it.
            return;
        }
        match (before, fault) {
            (Some(before), None) => {
                report(&Event::Template(TemplateEvent::Mended { problem: before }))
            }
            (before, Some(fault)) if before.as_ref() != Some(fault) => {
                report(&Event::Template(TemplateEvent::Broken {
                    problem: format!("{fault}; the present file stays"),
                }));
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
    /// The digest that the checks were asked about.
    asked: Digest,
    /// True if that is the digest of the files alone, so that a start of their readers changes nothing.
    is_of_files: bool,
    /// When it is asked again; nothing where the answer stays the same.
    again: Option<Instant>,
    /// The reason, in words.
    problem: String,
}

impl TakenBack {
    /// True if the same need not be asked now.
    fn holds_back(&self, asked: &Digest, files: &Digest, now: Instant) -> bool {
        let asked = if self.is_of_files { files } else { asked };
        self.asked == *asked && self.again.is_none_or(|again| again > now)
    }
}

/// The reason why new files do not stay.
struct Failed<'a> {
    consumer: &'a Bearer,
    problem: String,
    /// True if the files themselves were refused, so that they are no better the next time.
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

/// A digest of what checks are asked about: the new files, and their readers. A reader that was started again may take
/// files that it did not take before.
fn asked<'a>(
    made: impl Iterator<Item = &'a RenderedFile>,
    checks: &[(Bearer, Vec<String>)],
) -> Digest {
    let files = made.filter_map(|made| match made {
        RenderedFile::New(new) => Some([new.target.to_string(), new.text.clone()]),
        RenderedFile::Printed(_) | RenderedFile::Unchanged => None,
    });
    let started = |container: &Bearer| container.started_at.map(|time| time.millis().to_string());
    let readers = checks
        .iter()
        .map(|(reader, _)| [reader.id.to_string(), started(reader).unwrap_or_default()]);
    Digest::of_parts(files.chain(readers).flatten())
}
