//! The check of an order against its CA's limits, by the ledger of earlier orders. Pure: what was written down goes in;
//! allowed, or refused with the limit and the time when that ends, comes out.
//!
//! A limit counts in every window of its length. CAs that fill up what was used little by little allow a bit more than that,
//! never less.
//!
//! Renewals go before new names, and where a CA counts them, a tenth of its orders is kept for them. New names are taken
//! project by project in turn, of the project first that had the fewest. One project gets three quarters of them at most:
//! containers that come and go under ever new names leave the rest to others, who could otherwise wait for hours, and a
//! project that is alone is hardly slower for it.

use std::fmt;

use super::slots::Slots;
use crate::{
    desire::{Desired, Wanted},
    observe::{HeldCertificate, Ledger, Source, Usage},
    values::{CaLimits, Digest, Host, Issuer, Limit, Timestamp},
};

/// One order of so many is kept for renewals, where they count.
const KEPT_FOR_RENEWALS: usize = 10;

/// Of the orders for new names a project gets so many parts of so many.
const SHARE: (usize, usize) = (3, 4);

/// Of the certificates for the same names so many are kept for who insists, and for a renewal.
const KEPT_FOR_FORCE: usize = 1;

/// A limit that lets no more be asked for now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitReached {
    /// Who limits it.
    pub issuer: Issuer,
    /// The subject of the limit.
    pub limited: Limited,
    /// The limit itself.
    pub limit: Limit,
    /// When the next may be asked for.
    pub until: Timestamp,
}

/// The subject of a limit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Limited {
    /// New orders.
    Orders,
    /// New orders of a project, which has had its share.
    OrdersOf(Option<String>),
    /// Certificates for the same names.
    SameNames,
    /// Failed validations of a name.
    Failures(Host),
}

impl Limited {
    /// True if the limit is about all new orders at a CA, and not about a single certificate.
    pub fn is_shared(&self) -> bool {
        matches!(self, Self::Orders | Self::OrdersOf(_))
    }
}

impl fmt::Display for LimitReached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            issuer,
            limited,
            limit: Limit { most, within },
            until,
        } = self;
        let within = humantime::format_duration(*within);
        match limited {
            Limited::Orders => write!(
                f,
                "{issuer} takes {most} new orders within {within}, and no more are left for new names until {until}"
            ),
            Limited::OrdersOf(project) => {
                write!(f, "{issuer} takes {most} new orders within {within}, and ")?;
                match project {
                    Some(project) => write!(f, "the project {project} has")?,
                    None => f.write_str("containers outside of a project have")?,
                }
                write!(f, " had the share of one project until {until}")
            }
            Limited::SameNames => write!(
                f,
                "{issuer} issues {most} certificates for the same names within {within}; the last one is kept for a \
                 renewal until {until}"
            ),
            Limited::Failures(name) => write!(
                f,
                "{issuer} may fail to validate {name} {most} times within {within}, and did, so it is not asked again until \
                 {until}"
            ),
        }
    }
}

/// The ledger's verdict on an order.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum LedgerVerdict {
    /// It may be made.
    Allowed,
    /// Orders that are under way may be the last ones: once they have ended it is known.
    Later,
    /// Not now.
    Refused(LimitReached),
}

/// The parts of an order that are written into the ledger, as far as its CA limits them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// True if the order is written.
    pub order: bool,
    /// True if the certificate is written.
    pub certificate: bool,
    /// True if names that can't be validated are written.
    pub failures: bool,
    /// Whose it is.
    pub project: Option<String>,
}

/// An order that is to be made.
pub(super) struct Asking<'a> {
    pub(super) wanted: &'a Wanted,
    pub(super) project: Option<&'a str>,
    pub(super) limits: CaLimits,
    kind: Kind,
}

/// The kind of an order, for the limits of its CA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    New,
    /// For the names of a certificate that the same CA has issued.
    Renewal,
    /// The same, and no new order to the CA.
    Exempt,
}

/// The Compose project of whoever wants a certificate: that of its first name.
pub(super) fn project<'a>(desired: &'a Desired, wanted: &Wanted) -> Option<&'a str> {
    let first = wanted.names.first()?;
    desired.hosts.get(first)?.as_deref()
}

/// A digest by which a set of names is recognised.
pub fn names_digest<'h>(names: impl IntoIterator<Item = &'h Host>) -> Digest {
    Digest::of_parts(names.into_iter().map(Host::as_str))
}

impl<'a> Asking<'a> {
    pub(super) fn of(
        desired: &'a Desired,
        wanted: &'a Wanted,
        held: Option<&HeldCertificate>,
        limits: CaLimits,
    ) -> Self {
        let is_same = |held: &HeldCertificate| {
            let names = wanted.names.iter().map(Host::as_str);
            // What a helper has brought does not say whose it is.
            let is_theirs = held.source.is(&wanted.issuance.issuer)
                || wanted.helper.is_some() && held.source == Source::Provided;
            is_theirs && held.names.iter().map(String::as_str).eq(names)
        };
        let kind = match (held.is_some_and(is_same), limits.are_renewals_exempt) {
            (false, _) => Kind::New,
            (true, false) => Kind::Renewal,
            (true, true) => Kind::Exempt,
        };
        Self {
            wanted,
            project: project(desired, wanted),
            limits,
            kind,
        }
    }

    /// The parts of it that are written down.
    pub(super) fn counts(&self) -> Counts {
        Counts {
            order: self.limits.orders.is_some() && self.kind != Kind::Exempt,
            certificate: self.limits.same_names.is_some(),
            failures: self.limits.failures.is_some(),
            project: self.project.map(str::to_owned),
        }
    }

    /// Checks that it may be made now.
    pub(super) fn check(
        &self,
        ledger: &Ledger,
        slots: &Slots<'_>,
        now: Timestamp,
    ) -> LedgerVerdict {
        let issuer = &self.wanted.issuance.issuer;
        let Some(ca) = issuer.directory() else {
            return LedgerVerdict::Allowed;
        };
        let mut reached = self.own(ledger, ca, now);
        let mut may_be_last = false;
        for (limited, most, usage, running) in self.shared(ledger, ca, slots, now) {
            let limit = self.limits.orders;
            match (usage.below(most), limit) {
                (Some(until), Some(limit)) => reached.push((limited, limit, until)),
                _ => may_be_last |= usage.count() + running >= most,
            }
        }
        let last = reached.into_iter().max_by_key(|(.., until)| *until);
        match last {
            Some((limited, limit, until)) => LedgerVerdict::Refused(LimitReached {
                issuer: issuer.clone(),
                limited,
                limit,
                until,
            }),
            None if may_be_last => LedgerVerdict::Later,
            None => LedgerVerdict::Allowed,
        }
    }

    /// The limits of these names that are reached.
    fn own(&self, ledger: &Ledger, ca: &str, now: Timestamp) -> Vec<(Limited, Limit, Timestamp)> {
        let mut reached = Vec::new();
        if let Some(limit) = self.limits.same_names {
            let names = names_digest(&self.wanted.names);
            let usage = ledger.certificates(ca, names, limit.within, now);
            let kept = match self.kind {
                Kind::New => KEPT_FOR_FORCE,
                // Its time is running out.
                Kind::Renewal | Kind::Exempt => 0,
            };
            let until = usage.below(limit.most().saturating_sub(kept));
            reached.extend(until.map(|until| (Limited::SameNames, limit, until)));
        }
        if let Some(limit) = self.limits.failures {
            for name in &self.wanted.names {
                let usage = ledger.failures(ca, name, limit.within, now);
                let until = usage.below(limit.most());
                reached.extend(until.map(|until| (Limited::Failures(name.clone()), limit, until)));
            }
        }
        reached
    }

    /// The used part of the limit of new orders, the limit, and the number of orders under way.
    fn shared<'l>(
        &self,
        ledger: &'l Ledger,
        ca: &str,
        slots: &Slots<'_>,
        now: Timestamp,
    ) -> Vec<(Limited, usize, Usage<'l>, usize)> {
        let Some(limit) = self.limits.orders.filter(|_| self.kind != Kind::Exempt) else {
            return Vec::new();
        };
        let all = ledger.orders(ca, limit.within, now);
        let for_new = match self.limits.are_renewals_exempt {
            true => limit.most(),
            false => limit.most() - limit.most() / KEPT_FOR_RENEWALS,
        };
        if self.kind == Kind::Renewal {
            return vec![(Limited::Orders, limit.most(), all, slots.running(ca))];
        }
        let own = ledger.orders_of(ca, self.project, limit.within, now);
        let share = (for_new * SHARE.0).div_ceil(SHARE.1);
        let project = self.project.map(str::to_owned);
        vec![
            (Limited::Orders, for_new, all, slots.running(ca)),
            (
                Limited::OrdersOf(project),
                share,
                own,
                slots.running_of(ca, self.project),
            ),
        ]
    }

    /// Number of orders that its project has had, for taking turns.
    pub(super) fn had(&self, ledger: &Ledger, now: Timestamp) -> usize {
        let ca = self.wanted.issuance.issuer.directory();
        let limited = ca.zip(self.limits.orders);
        limited.map_or(0, |(ca, limit)| {
            ledger
                .orders_of(ca, self.project, limit.within, now)
                .count()
        })
    }
}
