//! The reports of a turn: events once each, and the status document when there is time for it.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    rc::Rc,
    time::Duration,
};

use itertools::{EitherOrBoth, Itertools};

use super::Loop;
use crate::{
    desire::{Complaint, Consumer, Desired},
    observe::{Attempt, Observed, Subject},
    plan::{self, Action, Notice, Plan},
    ports::{DiskError, Remark},
    report::{EngineReport, Event, Status, chain, report},
    values::{
        CertificateName, ContainerId, ContainerName, KeyedTable, Retry, TableChange, Timestamp,
    },
};

/// Time that the status document waits: actions that began in a turn come first, and a burst of turns is one document.
const DOCUMENT_AFTER: Duration = Duration::from_millis(50);

/// It waits for so many times as long as it takes to write: with thousands of sites that may be some 20 ms.
const DOCUMENT_SHARE: u32 = 100;

/// The reports so far, so that each is made once.
#[derive(Default)]
pub(super) struct Told {
    pub(super) complaints: Rc<BTreeSet<Complaint>>,
    consumers: BTreeMap<ContainerName, Rc<Consumer>>,
    /// True once consumers were looked at.
    is_begun: bool,
    missed: BTreeSet<ContainerId>,
    pub(super) waiting: BTreeSet<ContainerName>,
    pub(super) notices: BTreeSet<Notice>,
    pub(super) faults: BTreeSet<String>,
    /// What fails.
    pub(super) failures: BTreeSet<Subject>,
    /// Why no sign of life can be left.
    breath: Option<String>,
    /// Where pages can be looked at by others than those on this machine.
    pub(super) exposed: BTreeSet<SocketAddr>,
    document: Document,
}

/// The status document that is to be written.
#[derive(Default)]
struct Document {
    /// The subject; none before the first.
    of: Option<(Rc<Desired>, Rc<Plan>)>,
    /// True if that is not written yet.
    is_new: bool,
    /// For certificates that are wanted, another one that does what they are wanted for, as it was last written.
    instead: Rc<BTreeMap<CertificateName, CertificateName>>,
    due: Option<Timestamp>,
    /// Time that the last one took.
    took: Duration,
    /// The reason why the last one could not be written.
    unwritten: Option<String>,
}

impl Told {
    /// True if there is no problem on disk.
    pub fn is_whole(&self) -> bool {
        self.faults.is_empty()
    }

    /// True if there is no problem at all.
    pub fn is_clean(&self) -> bool {
        let does_any_end = self.notices.iter().any(Notice::is_of_end);
        self.complaints.is_empty() && self.is_whole() && !does_any_end
    }

    /// The time that it was to be written at says nothing any more.
    pub(super) fn hurry_document(&mut self, now: Timestamp) {
        self.document.due = self.document.due.map(|_| now);
    }

    /// True if everything was looked at once, and nothing was left to begin.
    pub(super) fn is_settled(&self) -> bool {
        self.document.of.is_some()
    }

    /// The labels' meaning and the plan when nothing was left to begin last; none before.
    pub(super) fn settled(&self) -> (Rc<Desired>, Rc<Plan>) {
        self.document.of.clone().unwrap_or_default()
    }

    /// Complaints about labels that can't be followed, as they were reported.
    pub(super) fn complaints(&self) -> Rc<BTreeSet<Complaint>> {
        Rc::clone(&self.complaints)
    }

    /// For certificates that are wanted, another one that does what they are wanted for.
    pub(super) fn instead(&self) -> Rc<BTreeMap<CertificateName, CertificateName>> {
        Rc::clone(&self.document.instead)
    }

    /// When the status document is to be written; nothing while it is as it should be.
    pub fn document_due(&self) -> Option<Timestamp> {
        self.document.due
    }
}

impl Loop {
    /// Reports what is new.
    pub(super) fn tell(
        &mut self,
        desired: &Rc<Desired>,
        plan: Plan,
        fault: Option<DiskError>,
        now: Timestamp,
    ) {
        self.tell_sites(desired);
        self.tell_missed();
        self.tell_waiting();
        for notice in plan.notices.difference(&self.told.notices).cloned() {
            report(&Event::Noticed { notice });
        }
        for notice in self.told.notices.difference(&plan.notices) {
            // One that was about to end and has ended is not as it should be again.
            if !notice.has_come_true(&plan.notices) {
                let notice = notice.clone();
                report(&Event::NoticeOver { notice });
            }
        }
        self.told.notices = plan.notices.clone();
        let doubt = self.daemon.doubt.iter();
        let complaints: BTreeSet<_> = desired
            .complaints
            .iter()
            .chain(&plan.complaints)
            .chain(doubt)
            .cloned()
            .chain(self.output_complaints())
            .collect();
        for complaint in complaints.difference(&self.told.complaints).cloned() {
            report(&Event::Complained { complaint });
        }
        for complaint in self.told.complaints.difference(&complaints).cloned() {
            report(&Event::ComplaintOver { complaint });
        }
        self.told.complaints = Rc::new(complaints);
        self.tell_faults(fault.map(|fault| chain(&fault)));
        self.tell_failures(desired);
        let document = &mut self.told.document;
        document.of = Some((Rc::clone(desired), Rc::new(plan)));
        document.is_new = true;
        document
            .due
            .get_or_insert(now + DOCUMENT_AFTER.max(document.took * DOCUMENT_SHARE));
    }

    /// Writes the status document, if it is not as it should be.
    pub(super) fn leave_document(&mut self) {
        self.told.document.due = None;
        let is_new = std::mem::take(&mut self.told.document.is_new);
        let Some((desired, plan)) = self.told.document.of.clone().filter(|_| is_new) else {
            return;
        };
        let ports = &self.daemon.ports;
        let began = ports.clock.now();
        let mut status = Status::of(&desired, &self.facts.observed, &plan, began);
        status.looks = self.looks;
        status.templates = self.templates.faults().clone();
        status.faults = self.facts.faults();
        status.engines_away = self.facts.elsewhere.lost().clone();
        status.tell_life_steps(&self.life_steps_due);
        status.tell_waits(&self.facts.waiting());
        status.tell_held_up(&self.facts.snapshot, &self.daemon.label_rules);
        status.complaints.extend(self.daemon.doubt.clone());
        self.tell_outputs(&mut status);
        self.told.document.instead = Rc::new(status.instead());
        let write = |file: &mut dyn std::io::Write| {
            serde_json::to_writer(file, &status).map_err(Into::into)
        };
        let unwritten = ports
            .vitals
            .keep_status(&write)
            .err()
            .map(|error| chain(&error));
        self.told.document.took = ports.clock.now().since(began);
        if unwritten != self.told.document.unwritten {
            self.told.document.unwritten = unwritten;
            self.tell_faults(self.told.breath.clone());
        }
    }

    pub(super) fn tell_faults(&mut self, breath: Option<String>) {
        let unwritten = self.told.document.unwritten.clone();
        let faults: BTreeSet<_> = self
            .facts
            .faults()
            .into_iter()
            .chain(breath.clone())
            .chain(unwritten)
            .collect();
        self.told.breath = breath;
        for problem in faults.difference(&self.told.faults) {
            report(&Event::DiskFault {
                problem: problem.clone(),
            });
        }
        for problem in self.told.faults.difference(&faults).cloned() {
            report(&Event::Met(Remark::DiskFaultOver { problem }));
        }
        self.told.faults = faults;
    }

    fn tell_missed(&mut self) {
        let missed: BTreeSet<_> = self.facts.grace.missed().cloned().collect();
        if let Some(until) = self
            .facts
            .grace
            .next_end()
            .filter(|_| !missed.is_subset(&self.told.missed))
        {
            let containers = self.facts.snapshot.bearers.values();
            let names = containers
                .filter(|container| missed.contains(&container.id))
                .map(|c| c.name.clone())
                .collect();
            report(&Event::Engine(EngineReport::Missed {
                containers: names,
                until,
            }));
        }
        self.told.missed = missed;
    }

    fn tell_waiting(&mut self) {
        let (damping, waiting) = (&self.facts.damping, self.facts.waiting());
        self.told.waiting.retain(|name| {
            let stays = damping.holds(name);
            if !stays {
                let container = name.clone();
                report(&Event::WaitsOver { container });
            }
            stays
        });
        for (container, wait) in waiting {
            if self.told.waiting.insert(container.clone()) {
                report(&Event::Waits { container, wait });
            }
        }
    }

    /// Reports which sites have come and gone, and which consumers have begun or ceased to run.
    pub(super) fn tell_sites(&mut self, desired: &Desired) {
        if !std::mem::replace(&mut self.told.is_begun, true) {
            for consumer in left_stopped(desired, &self.facts.observed) {
                report(&Event::ConsumerStopped { consumer });
            }
        }
        let before = std::mem::replace(&mut self.told.consumers, desired.consumers.clone());
        for pair in before
            .iter()
            .merge_join_by(&desired.consumers, |(before, _), (now, _)| before.cmp(now))
        {
            match pair {
                EitherOrBoth::Both((_, before), (_, now)) if Rc::ptr_eq(before, now) => {}
                EitherOrBoth::Both((_, before), (_, now)) => tell_sites(Some(before), Some(now)),
                EitherOrBoth::Left((_, before)) => tell_sites(Some(before), None),
                EitherOrBoth::Right((_, now)) => tell_sites(None, Some(now)),
            }
        }
    }
}

/// The consumers that did not come up again before quaymaster began, as after a start of the machine. One that was never given
/// anything is only being made.
fn left_stopped(desired: &Desired, observed: &Observed) -> BTreeSet<ContainerName> {
    let was_given = |name: &ContainerName| {
        let installed = observed.installed.get(name);
        installed.is_some_and(|installed| installed.generation > 0)
    };
    let stopped = desired.consumers.values().filter(|it| !it.running);
    let names = stopped.map(|consumer| &consumer.name);
    names.filter(|name| was_given(name)).cloned().collect()
}

/// Reports which sites of one consumer have come and gone, and whether it has begun or ceased to run.
fn tell_sites(before: Option<&Rc<Consumer>>, now: Option<&Rc<Consumer>>) {
    if let (Some(before), Some(now)) = (before, now) {
        let consumer = now.name.clone();
        match (before.running, now.running) {
            (true, false) => report(&Event::ConsumerStopped { consumer }),
            (false, true) => report(&Event::ConsumerRuns { consumer }),
            _ => {}
        }
    }
    let Some(proxy) = before.or(now).map(|consumer| &consumer.name) else {
        return;
    };
    let none = KeyedTable::default();
    let old = before.map_or(&none, |consumer| &consumer.sites);
    let new = now.map_or(&none, |consumer| &consumer.sites);
    for TableChange { key, before, now } in new.changes(old) {
        let host = key.clone();
        match (before, now) {
            (Some(before), Some(now)) if before.kept == now.kept => {}
            (_, None) => report(&Event::SiteGone {
                host,
                proxy: proxy.clone(),
            }),
            (_, Some(site)) => {
                let containers = site.bearers().cloned().collect();
                let proxy = proxy.clone();
                report(&match site.kept {
                    Some(kept) => Event::SiteKept {
                        host,
                        containers,
                        proxy,
                        kept,
                    },
                    None => Event::SiteSeen {
                        host,
                        containers,
                        proxy,
                    },
                });
            }
        }
    }
}

/// Tells of a try that failed; of a record that is waited for, once.
pub(super) fn report_failure(subject: &Subject, attempt: &Attempt, held_until: Option<Timestamp>) {
    let (subject, again) = (subject.clone(), plan::next_try(subject, attempt));
    let problem = attempt.problem.clone().unwrap_or_default();
    match attempt.retry {
        Retry::Propagation(_) if attempt.looks > 1 => {}
        Retry::Propagation(_) => report(&Event::RecordAwaited { subject, problem }),
        _ => report(&Event::Failed {
            subject,
            problem,
            again: Some(again),
            held_until,
        }),
    }
}

/// The reasons of an action, in words.
pub(super) fn why(action: &Action) -> String {
    match action {
        Action::Obtain(obtain) => obtain.why.to_string(),
        Action::FallBack(fallback) => fallback.why.to_string(),
        Action::TakeBack(_) => plan::Why::ConsumerDied.to_string(),
        Action::Deploy(deploy) => deploy
            .why
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        desire::{
            desire,
            tests::{container, proxy, rules, snapshot},
        },
        observe::{BearerState, Installed},
    };

    #[test]
    fn a_server_that_was_given_something_and_did_not_come_up_again_is_found_at_the_start() {
        let mut edge = proxy();
        edge.state = BearerState::Other("exited".into());
        let shop = container("shop", 4).label("host", "shop.example");
        let desired = desire(&snapshot([edge.clone(), shop]), &rules());
        let observed_with = |generation| Observed {
            installed: [(
                edge.name.clone(),
                Rc::new(Installed {
                    generation,
                    ..Installed::default()
                }),
            )]
            .into(),
            ..Observed::default()
        };
        assert_eq!(
            left_stopped(&desired, &observed_with(3)),
            [edge.name.clone()].into()
        );
        assert!(left_stopped(&desired, &observed_with(0)).is_empty());
        assert!(left_stopped(&desired, &Observed::default()).is_empty());
        let running = desire(&snapshot([proxy()]), &rules());
        assert!(left_stopped(&running, &observed_with(3)).is_empty());
    }
}
