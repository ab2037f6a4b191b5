//! The facts about the folders of consumers, and the repairs there between deployments.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use super::{facts::Facts, faults::Concern};
use crate::{
    desire::{Consumer, Desired},
    execute::{list_place, place},
    observe::{Signals, Subject},
    ports::Ports,
    report::{Event, chain, report},
    values::{ContainerName, FileName},
};

impl Facts {
    /// Writes down what came of signals: whoever starts next must not send them again.
    pub fn keep_signals(
        &mut self,
        ports: &Ports,
        desired: &Desired,
        seen: &BTreeMap<ContainerName, Signals>,
    ) {
        for (name, signals) in seen {
            let installed = self.observed.installed.get_mut(name);
            let Some((consumer, installed)) = desired.consumers.get(name).zip(installed) else {
                continue;
            };
            Rc::make_mut(installed).signals = signals.clone();
            let kept = ports
                .folders
                .keep_installed(&place(consumer), installed, &BTreeSet::new());
            if let Err(error) = kept {
                // It follows with the next deployment.
                report(&Event::DiskFault {
                    problem: chain(&error),
                });
            }
        }
    }

    /// Shuts the sites of consumers that are to be shut, and opens the others. What can't be done now is tried again each
    /// time.
    pub fn shut(
        &mut self,
        ports: &Ports,
        desired: &Desired,
        shut: &BTreeMap<ContainerName, BTreeSet<FileName>>,
    ) {
        self.faults.clear(Concern::ShutSites);
        for (name, sites) in shut {
            let installed = self.observed.installed.get_mut(name);
            let Some((consumer, installed)) = desired.consumers.get(name).zip(installed) else {
                continue;
            };
            match ports.folders.shut(&place(consumer), sites) {
                Ok(()) => Rc::make_mut(installed).shut.clone_from(sites),
                Err(error) => self.faults.add(Concern::ShutSites, &error),
            }
        }
    }

    /// Takes away what a crash left in folders that are about to be looked at.
    pub fn tidy_new_consumers(&mut self, ports: &Ports, desired: &Desired) {
        let looked_at = desired
            .consumers
            .values()
            .filter(|consumer| self.is_to_be_looked_at(consumer));
        let faults: Vec<_> = looked_at
            .flat_map(|consumer| {
                let list = consumer.helper.as_ref().map(list_place);
                let list = list.and_then(|list| ports.lists.tidy(list).err());
                ports.folders.tidy(&place(consumer)).into_iter().chain(list)
            })
            .collect();
        self.faults.replace(Concern::Leftovers, faults);
    }

    fn is_to_be_looked_at(&self, consumer: &Consumer) -> bool {
        let this = (consumer.id.clone(), consumer.started_at);
        let busy = self
            .observed
            .under_way
            .contains(&Subject::Consumer(consumer.name.clone()));
        !busy && self.looked_at.get(&consumer.name) != Some(&this)
    }

    /// Looks at the folders of consumers that are new, were started anew, or failed.
    pub fn look_at_new_consumers(&mut self, ports: &Ports, desired: &Desired) {
        // Who could not be looked at is looked at now.
        self.faults.clear(Concern::Consumers);
        for (name, consumer) in &desired.consumers {
            if !self.is_to_be_looked_at(consumer) {
                continue;
            }
            match ports.folders.installed(&place(consumer)) {
                Ok(installed) => {
                    self.observed
                        .installed
                        .insert(name.clone(), Rc::new(installed));
                    self.looked_at
                        .insert(name.clone(), (consumer.id.clone(), consumer.started_at));
                }
                Err(error) => self.faults.add(Concern::Consumers, &error),
            }
        }
        self.looked_at
            .retain(|name, _| desired.consumers.contains_key(name));
    }

    /// Looks whether files are there that labels name.
    pub fn look_for_files(&mut self, ports: &Ports, desired: &Desired) {
        let missing = desired
            .files
            .keys()
            .filter(|file| ports.folders.is_missing(file));
        self.observed.missing = missing.cloned().collect();
    }

    /// Makes sure that a consumer's folder is looked at before it is planned for again.
    pub fn forget_consumer(&mut self, name: &ContainerName) {
        self.looked_at.remove(name);
    }
}
