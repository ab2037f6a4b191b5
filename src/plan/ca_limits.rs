use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use super::{ORDERS_AT_ONCE, helper::helper_of, obtain::HeldCertificates};
use crate::{
    desire::Desired,
    observe::{Observed, Subject},
    values::Issuer,
};

/// How many orders each CA has under way. One whose certificate nobody wants any more may be at any of them.
pub(super) struct CaLimits<'a> {
    running: BTreeMap<&'a str, usize>,
    /// CAs whose clocks were too far from ours: one order finds out whether they still are.
    doubted: BTreeSet<&'a str>,
    anywhere: usize,
}

impl<'a> CaLimits<'a> {
    /// `live` has what lies in `live/`: a helper asks for one after the other, and for nothing at our expense.
    pub(super) fn of(
        desired: &'a Desired,
        observed: &'a Observed,
        live: &HeldCertificates,
    ) -> Self {
        let mut limits = Self {
            running: BTreeMap::new(),
            doubted: observed.clock_gaps.keys().map(String::as_str).collect(),
            anywhere: 0,
        };
        for subject in &observed.under_way {
            let Subject::Certificate(name) = subject else {
                continue;
            };
            let live = live.get(name).map(Rc::as_ref);
            match desired.certificates.get(name) {
                Some(wanted) if helper_of(wanted, live).is_some() => {}
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
