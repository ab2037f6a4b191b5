use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use super::{ORDERS_AT_ONCE, helper::helper_of, ledger::project, obtain::HeldCertificates};
use crate::{
    desire::{Desired, Wanted},
    observe::{Observed, Subject},
    values::{ContainerName, Issuer, Timestamp},
};

/// The orders that each CA has under way. One whose certificate nobody wants any more may be at any of them.
pub(super) struct Slots<'a> {
    running: BTreeMap<&'a str, Running<'a>>,
    /// CAs that were too busy, or whose clocks were too far from ours: one order finds out whether they still are.
    doubted: BTreeSet<&'a str>,
    anywhere: usize,
}

/// The orders that one CA has under way, and whose they are.
#[derive(Default)]
struct Running<'a> {
    all: usize,
    /// Those that a helper asks for, one after the other.
    of_helpers: usize,
    by_project: BTreeMap<Option<&'a str>, usize>,
}

impl<'a> Slots<'a> {
    /// `live` has what lies in `live/`.
    pub(super) fn of(
        desired: &'a Desired,
        observed: &'a Observed,
        live: &HeldCertificates,
        now: Timestamp,
    ) -> Self {
        let busy = observed.busy_cas.iter();
        let busy = busy.filter(|(_, busy)| busy.is_remembered(now));
        let busy = busy.map(|(directory, _)| directory);
        let mut slots = Self {
            running: BTreeMap::new(),
            doubted: observed
                .clock_gaps
                .keys()
                .chain(busy)
                .map(String::as_str)
                .collect(),
            anywhere: 0,
        };
        for subject in &observed.under_way {
            let Subject::Certificate(name) = subject else {
                continue;
            };
            let live = live.get(name).map(Rc::as_ref);
            match desired.certificates.get(name) {
                Some(wanted) => slots.take(desired, wanted, helper_of(wanted, live)),
                None => slots.anywhere += 1,
            }
        }
        slots
    }

    /// True if one more order may be made. No CA is asked for self-signed certificates.
    pub(super) fn is_free(&self, issuer: &Issuer) -> bool {
        let Some(directory) = issuer.directory() else {
            return true;
        };
        let most = match self.doubted.contains(directory) {
            true => 1,
            false => ORDERS_AT_ONCE,
        };
        let running = self.running.get(directory);
        let of_helpers = running.map_or(0, |running| running.of_helpers);
        self.running(directory) - of_helpers < most
    }

    /// Number of orders that a CA has under way.
    pub(super) fn running(&self, directory: &str) -> usize {
        let running = self.running.get(directory);
        running.map_or(0, |running| running.all) + self.anywhere
    }

    /// Number of these that are a project's.
    pub(super) fn running_of(&self, directory: &str, project: Option<&str>) -> usize {
        let running = self.running.get(directory);
        let own = running.and_then(|running| running.by_project.get(&project));
        own.copied().unwrap_or_default()
    }

    /// Counts an order, which may be a helper's.
    pub(super) fn take(
        &mut self,
        desired: &'a Desired,
        wanted: &'a Wanted,
        by: Option<&ContainerName>,
    ) {
        if let Some(directory) = wanted.issuance.issuer.directory() {
            let running = self.running.entry(directory).or_default();
            running.all += 1;
            running.of_helpers += usize::from(by.is_some());
            let own = running.by_project.entry(project(desired, wanted));
            *own.or_default() += 1;
        }
    }
}
