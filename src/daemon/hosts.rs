//! Which project has which host: remembered from turn to turn, and from start to start.

use super::{facts::Facts, faults::Concern};
use crate::{
    desire::{self, Desired, HolderMemory},
    observe::{Holder, Observed, Progress},
    ports::Ports,
    report::Instead,
    values::{Host, KeyedTable, Timestamp},
};

/// The memory about hosts, in addition to the facts.
pub(super) struct Hosts {
    /// As it lies on disk.
    kept: KeyedTable<Host, Holder>,
    /// The facts from which it was found out.
    memory: HolderMemory,
    /// When the next host is free for others, and of which holders that is true.
    next_free: (KeyedTable<Host, Holder>, Option<Timestamp>),
}

impl Hosts {
    /// As it was read.
    pub fn of(kept: KeyedTable<Host, Holder>) -> Self {
        Self {
            kept,
            memory: HolderMemory::default(),
            next_free: Default::default(),
        }
    }
}

impl Facts {
    /// Lets others have the hosts that were kept for so long; says whether there are any.
    pub fn free_hosts(&mut self, now: Timestamp) -> bool {
        let holders = &mut self.snapshot.holders;
        let (of, due) = &mut self.hosts.next_free;
        if !of.is_copy_of(holders) {
            let ends = holders.values().filter_map(desire::ends);
            (*of, *due) = (holders.clone(), ends.min());
        }
        if due.is_none_or(|due| now < due) {
            return false;
        }
        let is_over = |holder: &Holder| !holder.free && desire::is_over(holder, now);
        for (host, holder) in of.iter().filter(|(_, holder)| is_over(holder)) {
            let free = Holder {
                free: true,
                ..holder.clone()
            };
            holders.insert(host.clone(), free);
        }
        true
    }

    /// Remembers who has which host that is served; writes it down when that has changed.
    pub fn remember_hosts(&mut self, ports: &Ports, desired: &Desired, now: Timestamp) {
        let is_served = |host: &Host| is_served(host, desired, &self.observed);
        let is_kept = |host: &Host| desired.keeps(host);
        let before = &self.snapshot.holders;
        let next = self
            .hosts
            .memory
            .follow(before, &desired.hosts, is_served, is_kept, now);
        if let Some(holders) = next {
            self.snapshot.holders = holders;
        }
        self.keep_hosts(ports);
    }

    /// Writes down who has which host, when that has changed; says whether it is on disk.
    pub fn keep_hosts(&mut self, ports: &Ports) -> bool {
        if self.hosts.kept.is_copy_of(&self.snapshot.holders) {
            return true;
        }
        let kept = ports.records.keep_holders(&self.snapshot.holders);
        let is_kept = kept.is_ok();
        if is_kept {
            self.hosts.kept = self.snapshot.holders.clone();
        }
        self.faults.settle(Concern::Hosts, kept);
        is_kept
    }
}

/// True if a proxy was seen to serve a host as it is meant, or was reloaded where it can't be looked at.
fn is_served(host: &Host, desired: &Desired, observed: &Observed) -> bool {
    desired.consumers.values().any(|consumer| {
        let site = consumer.sites.get(host);
        let installed = observed.installed.get(&consumer.name);
        site.zip(installed).is_some_and(|(site, installed)| {
            let was_told = match installed.progress {
                Progress::Proven { .. } => true,
                Progress::Unproven { .. } => !consumer.can_be_seen(),
                Progress::SignalOwed | Progress::TakenBack => false,
            };
            was_told && Instead::of(host, site, installed).is_none()
        })
    })
}
