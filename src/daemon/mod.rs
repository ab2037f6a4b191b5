//! The loop and nothing else: wake, observe, desire, plan, execute, rest.

mod busy_cas;
mod engines;
mod facts;
mod faults;
mod folders;
mod hand_overs;
mod hosts;
mod ledger;
mod left_records;
mod lives;
mod notifying;
mod outputs;
mod pages;
mod recording;
mod releases;
mod renewals;
mod survey;
mod telling;
mod templates;
mod time_of_day;
mod turn;
mod wishes;

use std::{
    cell::RefCell, collections::BTreeMap, convert::Infallible, iter, rc::Rc, time::Duration,
};

use futures_util::StreamExt;
use tokio::{
    sync::{Notify, mpsc},
    task::JoinSet,
};

use crate::{
    desire::{self, Complaint, Desired, Reading},
    execute::{Learned, Outcome, execute},
    generate,
    observe::{Forget, Subject},
    plan::{self, Action, Planner, steps},
    ports::{DiskError, EngineError, Ports, TemplateFiles},
    report::{Event, Listening, Tally, chain, listen, report},
    values::{CertificateName, ContainerId, EngineName, Timestamp},
    watching::{EngineUpdate, changes},
};

pub use notifying::{Notifying, Receiver};
pub use outputs::Outputs;
pub use pages::{LoopPages, Questions};
pub use recording::Recording;
pub use survey::{ForeseeError, Survey};

#[cfg(test)]
pub(crate) use engines::FollowedEngine;
use facts::Facts;
use left_records::LeftRecords;
use renewals::{RenewalReads, RenewalReport};
use telling::{Told, report_failure, why};
use templates::InUse;
use time_of_day::TimeOfDay;

/// Time between two signs of life, at rest too; `quaymaster health` calls three missed ones dead.
pub const BREATH: Duration = Duration::from_secs(20);

/// So many of them may be missed before something is wrong.
pub const MISSED: u32 = 3;

/// Turns within this are one burst.
const BURST: Duration = Duration::from_secs(1);

/// Time for which the same facts are taken to give the same plan: which certificate is valid changes with time alone.
const LONGEST_REST: Duration = Duration::from_secs(60);

/// Time for which actions that have begun have the processor for themselves: with thousands of sites the next turn
/// takes some milliseconds, by which a signal would be late.
const HEAD_START: Duration = Duration::from_millis(5);

/// Everything the loop is given.
pub struct Daemon {
    /// The outside.
    pub ports: Ports,
    /// The rules for reading labels.
    pub label_rules: desire::LabelRules,
    /// The rules for planning.
    pub plan_rules: plan::PlanRules,
    /// The user's templates; none where the built-in ones are all.
    pub template_files: Option<Rc<dyn TemplateFiles>>,
    /// Files of the user's own.
    pub outputs: Outputs,
    /// The container we run in.
    pub own: Option<ContainerId>,
    /// The complaint about the way in which that was found out.
    pub doubt: Option<Complaint>,
    /// Where somebody asks how everything is.
    pub questions: Questions,
    /// Who hears of what happens.
    pub notifying: Notifying,
    /// What keeps the history of names.
    pub recording: Recording,
}

/// The end of `once`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// Nothing is left to do.
    Clean,
    /// Something failed or can't be followed; the rest is done.
    WithTrouble,
}

/// The loop between two turns.
struct Loop {
    daemon: Rc<Daemon>,
    facts: Facts,
    templates: InUse,
    work: JoinSet<Outcome>,
    /// The requests to CAs about renewals.
    readings: JoinSet<RenewalReport>,
    left_records: LeftRecords,
    renewal_reads: RenewalReads,
    /// Has each engine looked at again, by its name.
    look_again: BTreeMap<Option<EngineName>, Rc<Notify>>,
    told: Told,
    /// True if only wishes of users are carried out.
    wishes_only: bool,
    /// The memory of labels and plans: each is found out again only where something has changed.
    reading: Reading,
    memory: Planner,
    /// The meaning of the containers' labels; none once they have changed.
    desired: Option<Rc<Desired>>,
    /// When the empty plan of the last turn is to be looked at again; nothing once a fact has changed. The same facts
    /// give the same plan, and with thousands of containers a turn is not free.
    rests_until: Option<Timestamp>,
    /// Certificates that people ask to be archived, and that are not yet.
    forgets: Vec<Forget>,
    /// When certificates that nobody wants are archived or deleted.
    life_steps_due: BTreeMap<CertificateName, Timestamp>,
    /// The time of day at the last turn.
    time_of_day: TimeOfDay,
    /// When it last showed that it turns.
    breathed: Option<Timestamp>,
    /// Number of full looks.
    looks: u64,
    /// When it was made.
    began: Timestamp,
    /// The count of events since.
    tally: Rc<RefCell<Tally>>,
    /// That events are counted.
    _counting: Listening,
}

impl Daemon {
    /// Turns until `stop`. Each `hangup` looks at everything again.
    pub async fn watch(
        mut self,
        stop: impl Future<Output = ()>,
        mut hangups: mpsc::UnboundedReceiver<()>,
    ) {
        let (sender, mut seen) = mpsc::unbounded_channel();
        let mut template_changes =
            changes(self.template_files.as_ref().map(|files| files.changes()));
        let mut questions = self.questions.begin();
        let mut certificate_changes = changes(Some(self.ports.issuing.certificates.changes()));
        let mut turning = Loop::new(self);
        let watching = turning.follow_engines(&sender);
        let board = Rc::clone(&turning.daemon.outputs.board);
        let (hangup_outputs, output_hangups) = mpsc::unbounded_channel();
        let outputs =
            generate::watch_all(turning.daemon.outputs.each.clone(), output_hangups, |_| {
                Ok::<_, Infallible>(())
            });
        tokio::pin!(stop, watching, outputs);
        loop {
            let (wake, due) = (turning.timed_turn(), turning.told.document_due());
            let wake = due.map_or(wake, |due| wake.min(due));
            let rest = wake.since(turning.daemon.ports.clock.now()).min(BREATH);
            tokio::select! {
                () = &mut stop => break,
                _ = &mut watching => {}
                Ok(()) = &mut outputs => {}
                () = board.changed() => turning.rests_until = None,
                Some(first) = seen.recv() => {
                    turning.take(first);
                    // A burst is one turn.
                    while let Ok(next) = seen.try_recv() {
                        turning.take(next);
                    }
                }
                Some(()) = hangups.recv() => {
                    while hangups.try_recv().is_ok() {}
                    turning.look_at_all_again();
                    // They end with this loop.
                    let _ = hangup_outputs.send(());
                }
                Some(change) = template_changes.next() => {
                    turning.templates.take(change);
                    turning.forget_plan();
                }
                Some(change) = certificate_changes.next() => turning.take_certificates(change),
                Some(done) = turning.work.join_next() => turning.conclude(done),
                Some(done) = turning.readings.join_next() => turning.take_renewals(done),
                Some(done) = turning.left_records.work.join_next() => turning.take_removed(done),
                asked = questions.next() => turning.answer(asked),
                () = tokio::time::sleep(rest) => {}
            }
        }
        turning.break_off().await;
        turning.leave_document();
    }

    /// Turns until nothing is left to do now.
    ///
    /// # Errors
    /// When the engine can't be asked.
    pub async fn once(self) -> Result<Settled, EngineError> {
        let mut turning = Loop::new(self).settled().await?;
        turning.render_outputs().await?;
        turning.daemon.notifying.deliver_once().await;
        turning.daemon.recording.keep();
        let clean = turning.told.is_clean()
            && turning.facts.elsewhere.lost().is_empty()
            && turning.templates.faults().is_empty()
            && !turning.has_failed();
        Ok(if clean {
            Settled::Clean
        } else {
            Settled::WithTrouble
        })
    }

    /// Turns until nothing is left to do now for the wishes in state, and leaves everything else as it is.
    ///
    /// # Errors
    /// When the engine can't be asked.
    pub async fn fulfil_wishes(self) -> Result<(), EngineError> {
        let mut turning = Loop::new(self);
        turning.wishes_only = true;
        turning.settled().await.map(drop)
    }
}

impl Loop {
    fn new(daemon: Daemon) -> Self {
        let facts = Facts::read(&daemon.ports, &daemon.label_rules.dialects);
        facts.keep_lost_attempts(&daemon.ports);
        let (kept, unread) = templates::kept(&*daemon.ports.records);
        unread
            .into_iter()
            .for_each(|problem| report(&Event::DiskFault { problem }));
        let templates = InUse::read(daemon.template_files.clone(), kept, report);
        let tally = Rc::<RefCell<Tally>>::default();
        let counted = Rc::clone(&tally);
        let counting = listen(move |event| counted.borrow_mut().count_event(event.name()));
        let began = daemon.ports.clock.now();
        let others = daemon.ports.other_engines.keys().cloned().map(Some);
        let engines = iter::once(None).chain(others);
        Self {
            look_again: engines.map(|name| (name, Rc::default())).collect(),
            daemon: Rc::new(daemon),
            facts,
            templates,
            work: JoinSet::new(),
            readings: JoinSet::new(),
            left_records: LeftRecords::default(),
            renewal_reads: RenewalReads::default(),
            told: Told::default(),
            wishes_only: false,
            reading: Reading::default(),
            memory: Planner::default(),
            desired: None,
            rests_until: None,
            forgets: Vec::new(),
            life_steps_due: BTreeMap::new(),
            time_of_day: TimeOfDay::default(),
            breathed: None,
            looks: 0,
            began,
            tally,
            _counting: counting,
        }
    }

    /// Looks at everything once, and turns until nothing is left to do now.
    async fn settled(mut self) -> Result<Self, EngineError> {
        let (containers, own) = self.daemon.look().await?;
        self.take(EngineUpdate::All {
            engine: None,
            containers,
            own,
            gap: false,
        });
        self.look_elsewhere().await;
        loop {
            self.turn();
            self.leave_document();
            match (self.conclude_next().await, self.record_look()) {
                (true, _) => {}
                // That somebody else's servers are slow is no end.
                (false, Some(at)) => {
                    let clock = &self.daemon.ports.clock;
                    clock.sleep(at.since(clock.now())).await;
                }
                (false, None) => return Ok(self),
            }
        }
    }

    /// Whether something that is wanted was tried in vain.
    fn has_failed(&self) -> bool {
        let Some(desired) = self.desired.clone() else {
            return false;
        };
        let now = self.daemon.ports.clock.now();
        let desired = &*self.of_asked_cas(desired, now);
        let observed = &self.facts.observed;
        let mut attempts = observed.attempts.iter();
        attempts.any(|(subject, attempt)| plan::is_failure(subject, attempt, desired))
            || plan::is_held_up(desired, observed, now)
    }

    /// Ends what is under way, in good order: what is done by now counts, and a try that is broken off is none that
    /// failed.
    async fn break_off(&mut self) {
        self.work.abort_all();
        while let Some(done) = self.work.join_next().await {
            self.conclude(done);
        }
        let desired = self.desired();
        self.facts.write_attempts_back(&self.daemon.ports, &desired);
        self.daemon.notifying.keep();
        self.daemon.recording.keep();
    }

    fn begin(&mut self, mut action: Action) {
        let subject = action.subject();
        for words in steps(&action) {
            let why = why(&action);
            report(&Event::Step {
                subject: subject.clone(),
                why,
                step: shell_words::join(&words),
            });
        }
        self.note_suggested(&action);
        if let Action::Deploy(deploy) = &action {
            self.tally.borrow_mut().count_rendered(&deploy.write);
        }
        self.take_wish(&subject);
        let consumer = self.shared_consumer(&subject);
        self.facts.observed.under_way.insert(subject);
        let daemon = Rc::clone(&self.daemon);
        self.work.spawn_local(async move {
            let _turn = match &consumer {
                Some(name) => Some(daemon.outputs.board.turn_of(name).await),
                None => None,
            };
            execute(&daemon.ports, &mut action).await
        });
    }

    /// The containers have changed.
    fn forget_plan(&mut self) {
        (self.desired, self.rests_until) = (None, None);
    }

    /// Takes over what the watcher of `provided/` and `live/` says.
    fn take_certificates(&mut self, change: Result<(), DiskError>) {
        match change {
            Ok(()) => {
                self.facts.look_at_certificates_again(&self.daemon.ports);
                self.rests_until = None;
            }
            Err(error) => report(&Event::DiskFault {
                problem: format!(
                    "{}; what you put there is read again on SIGHUP and after each `resync`",
                    chain(&error)
                ),
            }),
        }
    }

    /// The end of the valid certificate that there is, where an action is about one.
    fn held_until(&self, subject: &Subject) -> Option<Timestamp> {
        let Subject::Certificate(name) = subject else {
            return None;
        };
        let held = self.facts.observed.held.get(name)?;
        let now = self.daemon.ports.clock.now();
        (!held.is_fallback() && held.is_valid_at(now)).then_some(held.not_after)
    }

    /// Takes over what came of an action.
    fn conclude(&mut self, done: Result<Outcome, tokio::task::JoinError>) {
        let Outcome {
            subject,
            result,
            blame,
            busy,
            answered,
            entered,
        } = match done {
            Ok(outcome) => outcome,
            // A panic is ours: ending here lets the restart begin from what is on disk.
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => return,
        };
        self.facts.observed.under_way.remove(&subject);
        report(&Event::StepsOver {
            subject: subject.clone(),
        });
        self.rests_until = None;
        self.end_wish(&subject, &result, blame);
        self.facts.enter(entered);
        self.facts.take_answers(&self.daemon.ports, answered, busy);
        let failure = result.as_ref().err().map(|attempt| attempt.retry);
        self.tally.borrow_mut().count_action(&subject, failure);
        match result {
            Ok(learned) => {
                self.facts.observed.attempts.remove(&subject);
                match learned {
                    Learned::Held(name, held) => self.facts.hold(name, *held),
                    Learned::Installed(name, installed) => {
                        drop(
                            self.facts
                                .observed
                                .installed
                                .insert(name, Rc::from(installed)),
                        );
                    }
                }
            }
            Err(attempt) => {
                if let Subject::Consumer(name) = &subject {
                    // It may have got half-way: the folder is looked at before the next try.
                    self.facts.forget_consumer(name);
                }
                report_failure(&subject, &attempt, self.held_until(&subject));
                self.facts.observed.attempts.insert(subject, attempt);
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
