//! Problems on disk, as far as it was looked at.

use std::collections::{BTreeMap, BTreeSet};

use crate::{ports::DiskError, report::chain};

/// The subject of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Concern {
    /// Certificates that can't be read or served.
    Certificates,
    /// Certificates that can't be mended, and records of tries that can't be removed.
    Mending,
    /// Folders of consumers that can't be looked at.
    Consumers,
    /// Left-overs of a crash in such folders that can't be removed.
    Leftovers,
    /// Sites that can't be shut or opened.
    ShutSites,
    /// The record of who has which host.
    Hosts,
    /// The record of containers that were removed.
    Removed,
    /// The record of what engines that have a name said.
    Elsewhere,
    /// The record of CAs that ask to be left alone.
    BusyCas,
    /// The record of what was asked of CAs that limit it.
    Ledger,
    /// The record of certificates that nobody wants.
    Unwanted,
    /// The record of what CAs said about renewals.
    Renewals,
    /// Certificates that can't be archived, deleted or restored.
    Lives,
    /// The record of the templates in use.
    Templates,
    /// Renewals that people ask for.
    Wishes,
    /// Requests to hand hosts over.
    Releases,
    /// Requests to archive certificates.
    Forgets,
    /// Certificates that commands obtained.
    HandOvers,
}

/// Problems on disk; a new look at a subject replaces the findings of the last.
#[derive(Debug, Default)]
pub(super) struct Faults(BTreeMap<Concern, BTreeSet<String>>);

impl Faults {
    /// Takes over what a look found.
    pub fn replace(&mut self, concern: Concern, faults: impl IntoIterator<Item = DiskError>) {
        let words = faults.into_iter().map(|fault| chain(&fault));
        self.0.insert(concern, words.collect());
    }

    /// Forgets what the last look found; what a new one finds is added.
    pub fn clear(&mut self, concern: Concern) {
        self.0.remove(&concern);
    }

    /// Adds a fault.
    pub fn add(&mut self, concern: Concern, fault: &DiskError) {
        self.0.entry(concern).or_default().insert(chain(fault));
    }

    /// Takes over whether something was done.
    pub fn settle(&mut self, concern: Concern, done: Result<(), DiskError>) {
        self.replace(concern, done.err());
    }

    /// True if there is a fault.
    pub fn has(&self, concern: Concern) -> bool {
        self.0
            .get(&concern)
            .is_some_and(|faults| !faults.is_empty())
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &String> {
        self.0.values().flatten()
    }
}
