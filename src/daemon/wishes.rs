use std::{collections::BTreeMap, rc::Rc, time::Duration};

use super::{Loop, faults::Concern};
use crate::{
    desire::{Consumer, Desired},
    execute::Learned,
    observe::{Attempt, Blame, RenewalOutcome, RenewalRequest, Stage, Subject},
    plan::{self, Action},
    report::{Event, chain, report},
    values::{CertificateName, Timestamp},
};

/// An answer that nobody has fetched for so long is thrown away.
pub(super) const KEPT: Duration = Duration::from_secs(60 * 60);

impl Loop {
    /// Takes up what people wish for now.
    pub(super) fn look_at_wishes(&mut self, now: Timestamp) {
        let (mut found, faults) = self
            .daemon
            .ports
            .wishes
            .wishes()
            .unwrap_or_else(|error| (BTreeMap::new(), vec![error]));
        self.facts.take_faults(Concern::Wishes, faults);
        for (name, wish) in &mut found {
            // What could not be written down is known all the same: nothing is begun twice.
            let known = self
                .facts
                .observed
                .wishes
                .get(name)
                .filter(|known| known.asked == wish.asked);
            if let Some(known) = known.filter(|known| known.stage != Stage::Open) {
                *wish = known.clone();
            }
        }
        let changed = found
            .iter()
            .any(|(name, wish)| self.facts.observed.wishes.get(name) != Some(wish));
        if changed {
            self.rests_until = None;
        }
        self.facts.observed.wishes = found.clone();
        for (name, wish) in &found {
            let is_busy = self
                .facts
                .observed
                .under_way
                .contains(&Subject::Certificate(name.clone()));
            match wish.stage {
                // Taken by one that ended: to do it again could be done for ever.
                Stage::Taken if !is_busy => {
                    self.keep_wish(name, wish, Stage::Answered(RenewalOutcome::CutOff))
                }
                Stage::Answered(_) if now.since(wish.asked) > KEPT => {
                    if let Err(error) = self.daemon.ports.wishes.drop_wish(name) {
                        report(&Event::DiskFault {
                            problem: chain(&error),
                        });
                    }
                }
                Stage::Open | Stage::Taken | Stage::Answered(_) => {}
            }
        }
    }

    /// True if an action is needed for a user's wish: the order itself, or bringing its proxies up to date.
    pub(super) fn is_wished_for(&self, action: &Action, desired: &Desired) -> bool {
        match action {
            Action::Obtain(obtain) => self
                .facts
                .observed
                .wishes
                .get(&obtain.certificate)
                .is_some_and(|wish| wish.stage == Stage::Open),
            Action::FallBack(_) => false,
            Action::Deploy(deploy) => self.is_for_a_wish(&deploy.consumer, desired),
            Action::TakeBack(back) => self.is_for_a_wish(&back.consumer, desired),
        }
    }

    fn is_for_a_wish(&self, consumer: &Consumer, desired: &Desired) -> bool {
        let wanted = |name| {
            desired
                .certificates
                .get(name)
                .is_some_and(|it| it.served_by.contains(&consumer.name))
        };
        self.facts.observed.wishes.keys().any(wanted)
    }

    /// Writes down that the wish for this is being fulfilled.
    pub(super) fn take_wish(&mut self, subject: &Subject) {
        if let Some((name, wish)) = self.wish(subject) {
            self.keep_wish(&name, &wish, Stage::Taken);
        }
    }

    /// Answers the wish for what was done.
    pub(super) fn end_wish(
        &mut self,
        subject: &Subject,
        result: &Result<Learned, Attempt>,
        blame: Option<Blame>,
    ) {
        let Some((name, wish)) = self.wish(subject) else {
            return;
        };
        let answer = match result {
            Ok(Learned::Held(_, held)) => RenewalOutcome::Renewed {
                until: held.not_after,
            },
            Ok(Learned::Installed(..)) => return,
            Err(attempt) => RenewalOutcome::Failed {
                problem: attempt.problem.clone().unwrap_or_default(),
                blame,
                again: Some(plan::next_try(subject, attempt)),
            },
        };
        self.keep_wish(&name, &wish, Stage::Answered(answer));
    }

    /// Answers the wishes for which there is nothing to do.
    pub(super) fn answer_wishes(&mut self, desired: &Desired, now: Timestamp) {
        let open = self
            .facts
            .observed
            .wishes
            .clone()
            .into_iter()
            .filter(|(_, wish)| wish.stage == Stage::Open);
        let daemon = Rc::clone(&self.daemon);
        let rules = &daemon.plan_rules;
        for (name, wish) in open {
            if let Some(answer) = plan::answer(&name, desired, &self.facts.observed, rules, now) {
                self.keep_wish(&name, &wish, Stage::Answered(answer));
            }
        }
    }

    fn wish(&self, subject: &Subject) -> Option<(CertificateName, RenewalRequest)> {
        let Subject::Certificate(name) = subject else {
            return None;
        };
        Some((name.clone(), self.facts.observed.wishes.get(name)?.clone()))
    }

    /// Keeps a wish. A wish that can't be written is reported, and stays in memory: the order is on record for itself.
    fn keep_wish(&mut self, name: &CertificateName, wish: &RenewalRequest, stage: Stage) {
        let wish = RenewalRequest {
            stage,
            ..wish.clone()
        };
        if let Err(error) = self.daemon.ports.wishes.keep_wish(name, &wish) {
            report(&Event::DiskFault {
                problem: chain(&error),
            });
        }
        self.facts.observed.wishes.insert(name.clone(), wish);
    }
}
