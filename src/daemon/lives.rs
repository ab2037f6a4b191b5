//! The further life of certificates that are not wanted any more, and of those that are wanted again.

use std::{collections::BTreeMap, rc::Rc};

use super::{Loop, facts::Facts, faults::Concern, wishes::KEPT};
use crate::{
    desire::Desired,
    observe::{Forget, Forgotten, Unwanted},
    plan::{self, LifeStep},
    ports::{DiskError, Ports},
    report::{Event, chain, report},
    values::{CertificateName, Timestamp},
};

impl Loop {
    /// Archives and deletes what nobody has wanted for so long, and restores what is wanted again. Comes before the plan,
    /// so that nothing is obtained that is there.
    pub(super) fn go_on_with_lives(&mut self, desired: &Desired, now: Timestamp) {
        let daemon = Rc::clone(&self.daemon);
        let (ports, facts) = (&daemon.ports, &mut self.facts);
        let mut lives = plan::lives(desired, &facts.observed, &daemon.plan_rules, now);
        if self.wishes_only {
            let wishes = &facts.observed.wishes;
            lives
                .steps
                .retain(|name, step| *step == LifeStep::Restore && wishes.contains_key(name));
        } else if !facts.keep_unwanted(ports, lives.unwanted) {
            lives.steps.retain(|_, step| *step == LifeStep::Restore);
        }
        // Whoever could not be looked at may use any of them.
        if facts.faults.has(Concern::Consumers) {
            lives.steps.retain(|_, step| *step != LifeStep::Archive);
        }
        let steps = lives.steps.into_iter();
        let done = steps.map(|(name, step)| facts.live_on(ports, &name, step, now));
        let faults: Vec<_> = done.filter_map(Result::err).collect();
        facts.take_faults(Concern::Lives, faults);
        self.life_steps_due = lives.due;
    }

    /// Takes in which certificates people ask to be archived.
    pub(super) fn look_at_forgets(&mut self, now: Timestamp) {
        let wishes = Rc::clone(&self.daemon.ports.wishes);
        let (found, faults) = wishes
            .forgets()
            .unwrap_or_else(|error| (Vec::new(), vec![error]));
        self.facts.take_faults(Concern::Forgets, faults);
        self.forgets.clear();
        for forget in found {
            if forget.outcome.is_none() {
                self.forgets.push(forget);
                self.rests_until = None;
            } else if now.since(forget.asked) > KEPT
                && let Err(error) = wishes.drop_forget(&forget.certificate)
            {
                report(&Event::DiskFault {
                    problem: chain(&error),
                });
            }
        }
    }

    /// Archives what people ask for, and answers them. What is being obtained is waited for.
    pub(super) fn forget(&mut self, desired: &Desired, now: Timestamp) {
        let ports = self.daemon.ports.clone();
        for forget in std::mem::take(&mut self.forgets) {
            let name = &forget.certificate;
            let Some(foreseen) = plan::forgotten(name, desired, &self.facts.observed, now) else {
                continue;
            };
            let outcome = match foreseen {
                Forgotten::Archived => self.facts.forget(&ports, name, now),
                other => other,
            };
            let done = Forget {
                outcome: Some(outcome),
                ..forget
            };
            if let Err(error) = ports.wishes.keep_forget(&done) {
                report(&Event::DiskFault {
                    problem: chain(&error),
                });
            }
        }
    }
}

impl Facts {
    /// Writes down for how long nobody has wanted certificates, when that has changed; says whether it is on disk.
    fn keep_unwanted(
        &mut self,
        ports: &Ports,
        unwanted: BTreeMap<CertificateName, Unwanted>,
    ) -> bool {
        self.observed.unwanted = unwanted;
        if self.observed.unwanted == self.unwanted_kept {
            return true;
        }
        let kept = ports.records.keep_unwanted(&self.observed.unwanted);
        let is_kept = kept.is_ok();
        if is_kept {
            self.unwanted_kept = self.observed.unwanted.clone();
        }
        self.faults.settle(Concern::Unwanted, kept);
        is_kept
    }

    /// Archives a certificate because somebody asks for that.
    fn forget(&mut self, ports: &Ports, name: &CertificateName, now: Timestamp) -> Forgotten {
        if self.faults.has(Concern::Consumers) {
            let problem = "the folder of a consumer can't be read, and it may use this certificate"
                .to_owned();
            return Forgotten::Failed { problem };
        }
        match self.live_on(ports, name, LifeStep::Archive, now) {
            Ok(()) => Forgotten::Archived,
            Err(error) => Forgotten::Failed {
                problem: chain(&error),
            },
        }
    }

    /// Does one step in the life of a certificate.
    fn live_on(
        &mut self,
        ports: &Ports,
        name: &CertificateName,
        step: LifeStep,
        now: Timestamp,
    ) -> Result<(), DiskError> {
        let (store, certificate) = (&ports.issuing.certificates, name.clone());
        match step {
            LifeStep::Archive => {
                let archived = store.archive(name, now)?;
                Rc::make_mut(&mut self.observed.held).remove(name);
                self.observed
                    .archived
                    .insert(name.clone(), Rc::new(archived));
                report(&Event::Archived { certificate });
            }
            LifeStep::Delete => {
                store.delete(name)?;
                self.observed.archived.remove(name);
                report(&Event::Deleted { certificate });
            }
            LifeStep::Restore => {
                // One that can't be restored is obtained anew.
                self.observed.archived.remove(name);
                let held = store.restore(name)?;
                self.hold(certificate.clone(), held);
                report(&Event::Restored { certificate });
            }
        }
        Ok(())
    }
}
