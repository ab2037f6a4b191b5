use std::collections::{BTreeMap, BTreeSet};

use super::ORDERS_AT_ONCE;
use crate::{
    desire::Desired,
    observe::{Observed, Subject},
    values::{Issuer, Timestamp},
};

/// How many orders each CA has under way. One whose certificate nobody wants any more may be at any of them.
pub(super) struct CaLimits<'a> {
    running: BTreeMap<&'a str, usize>,
    /// CAs that were too busy, or whose clocks were too far from ours: one order finds out whether they still are.
    doubted: BTreeSet<&'a str>,
    anywhere: usize,
}

impl<'a> CaLimits<'a> {
    pub(super) fn of(desired: &'a Desired, observed: &'a Observed, now: Timestamp) -> Self {
        let busy = observed.busy_cas.iter();
        let busy = busy.filter(|(_, busy)| busy.is_remembered(now));
        let busy = busy.map(|(directory, _)| directory);
        let mut limits = Self {
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
            match desired.certificates.get(name) {
                Some(wanted) => limits.take(&wanted.issuance.issuer),
                None => limits.anywhere += 1,
            }
        }
        limits
    }

    /// Whether one more order may be made. Nobody is asked for what is self-signed.
    pub(super) fn is_free(&self, issuer: &Issuer) -> bool {
        let Some(directory) = issuer.directory() else {
            return true;
        };
        let running = self.running.get(directory).copied().unwrap_or_default();
        let most = match self.doubted.contains(directory) {
            true => 1,
            false => ORDERS_AT_ONCE,
        };
        running + self.anywhere < most
    }

    /// Counts an order.
    pub(super) fn take(&mut self, issuer: &'a Issuer) {
        if let Some(directory) = issuer.directory() {
            *self.running.entry(directory).or_default() += 1;
        }
    }
}
