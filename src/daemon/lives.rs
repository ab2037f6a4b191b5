//! What becomes of certificates that nobody wants any more, and of those that are wanted again.

use std::{collections::BTreeMap, rc::Rc};

use super::{Loop, facts::Facts, faults::Concern};
use crate::{
    desire::Desired,
    observe::Unwanted,
    plan::{self, LifeStep},
    ports::{DiskError, Ports},
    report::{Event, report},
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

    /// Does one step in the life of a certificate.
    pub(super) fn live_on(
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
