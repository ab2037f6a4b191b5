//! Which certificate serves a name.

use std::{collections::BTreeSet, rc::Rc};

use super::{in_force::InForce, obtain::HeldCertificates};
use crate::{
    desire::{CertificateFolder, Consumer, Desired, Site},
    observe::{HeldCertificate, Observed, Source},
    values::{CertificateName, ContainerName, Host, Timestamp},
};

/// Whether a certificate is for all of these names.
pub(super) fn is_covered<'a>(
    names: impl IntoIterator<Item = &'a Host>,
    certificate: &HeldCertificate,
) -> bool {
    names.into_iter().all(|name| certificate.covers(name))
}

/// A consumer that can't use a certificate as it lies there: one that reads the user's own folder, in which we write
/// nothing.
pub(super) fn reader_in_need<'a>(
    certificate: &HeldCertificate,
    desired: &'a Desired,
) -> Option<&'a ContainerName> {
    desired
        .consumers
        .values()
        .find(|consumer| !can_use(consumer, certificate))
        .map(|consumer| &consumer.name)
}

/// Whether a consumer can use a certificate: what it is given is written by us, what it reads itself is as it lies there.
pub(super) fn can_use(consumer: &Consumer, certificate: &HeldCertificate) -> bool {
    match consumer.certificates {
        CertificateFolder::Shared { .. } => certificate.can_be_read_there(),
        CertificateFolder::Delivered(_) => true,
    }
}

/// A certificate with what it is called.
type Named<'a> = (&'a CertificateName, &'a Rc<HeldCertificate>);

/// The certificates that are in force, by the names that they are for: which of them serves a name is decided here alone.
pub(super) struct Selection<'a> {
    held: &'a HeldCertificates,
    /// Each name of each certificate, in order.
    by_covered: Vec<(&'a str, Named<'a>)>,
    now: Timestamp,
}

/// A certificate that comes into question for a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate<'a> {
    /// What it is called.
    pub name: &'a CertificateName,
    /// What it is.
    pub certificate: &'a HeldCertificate,
    /// Why it does not serve the host; none for the one that does.
    pub skipped: Option<Skipped>,
}

/// Why a certificate does not serve a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skipped {
    /// It bears the name, and is for other names.
    DoesNotCover,
    /// It has run out, or is not valid yet.
    NotValid,
    /// The server reads it as it lies there, and can't.
    NotReadThere,
    /// One of the user's own serves.
    YoursGoesBefore,
    /// Another one fits better.
    Other,
}

impl<'a> Selection<'a> {
    /// Among these, at `now`.
    pub fn of(held: &'a HeldCertificates, now: Timestamp) -> Self {
        let mut by_covered = Vec::with_capacity(held.len());
        for named in held {
            let names = named.1.names.iter();
            by_covered.extend(names.map(|covered| (covered.as_str(), named)));
        }
        by_covered.sort_by_key(|(covered, (name, _))| (*covered, *name));
        Self {
            held,
            by_covered,
            now,
        }
    }

    /// The certificate that serves a host on a consumer: the one that is pinned, if it is there; else, of those that
    /// really cover it and that the consumer can use, the best valid one. One that has run out is better than none: the
    /// server goes on, and the client says what is wrong.
    pub fn serving(&self, consumer: &Consumer, host: &Host, site: &Site) -> Option<Named<'a>> {
        let wanted = site.certificate.as_ref()?;
        if let Some(pin) = &site.pin
            && let Some(pinned) = self.held.get_key_value(&pin.certificate)
            && can_use(consumer, pinned.1)
        {
            return Some(pinned);
        }
        let covering: Vec<_> = self
            .covering(host)
            .filter(|(_, certificate)| can_use(consumer, certificate))
            .collect();
        let valid = covering
            .iter()
            .filter(|(_, certificate)| certificate.is_valid_at(self.now));
        let best = valid.max_by_key(|named| {
            let is_the_users = named.1.source == Source::Provided;
            (is_the_users, fit(**named, host, wanted))
        });
        let over = || {
            covering
                .iter()
                .max_by_key(|named| fit(**named, host, wanted))
        };
        best.or_else(over).copied()
    }

    /// Those that cover a host, by a wildcard first.
    fn covering(&self, host: &Host) -> impl Iterator<Item = Named<'a>> {
        let by_wildcard = host.covering_wildcard();
        let by_wildcard = by_wildcard.map(|wildcard| self.naming(&wildcard));
        let all = by_wildcard.into_iter().chain([self.naming(host.as_str())]);
        all.flatten().map(|(_, named)| *named)
    }

    /// Those that have this very name.
    fn naming(&self, covered: &str) -> &[(&'a str, Named<'a>)] {
        let from = self.by_covered.partition_point(|(name, _)| *name < covered);
        let there = &self.by_covered[from..];
        &there[..there.partition_point(|(name, _)| *name == covered)]
    }
}

/// How well a certificate fits: by the exact name before a wildcard, the one that is wanted before another, and the
/// longest valid last.
fn fit(
    (name, certificate): (&CertificateName, &Rc<HeldCertificate>),
    host: &Host,
    wanted: &CertificateName,
) -> (bool, bool, Timestamp) {
    let is_exact = certificate.names.contains(host.as_str());
    (is_exact, name == wanted, certificate.not_after)
}

/// The certificate that serves a host on a consumer, and those that could have been thought to: all that cover it, and the
/// one that is called as the wanted one.
pub fn candidates<'a>(
    consumer: &Consumer,
    host: &Host,
    site: &Site,
    in_force: &'a InForce,
    now: Timestamp,
) -> Vec<Candidate<'a>> {
    let chosen = Selection::of(&in_force.certificates, now).serving(consumer, host, site);
    let is_the_users = chosen.is_some_and(|(_, chosen)| chosen.source == Source::Provided);
    let of_interest = |name: &CertificateName, certificate: &HeldCertificate| {
        certificate.covers(host) || Some(name) == site.certificate.as_ref()
    };
    let mut candidates = Vec::new();
    let is_chosen = |name: &CertificateName| chosen.is_some_and(|(chosen, _)| chosen == name);
    for (name, certificate) in &*in_force.certificates {
        let skipped = if is_chosen(name) {
            None
        } else if !of_interest(name, certificate) {
            continue;
        } else if !certificate.covers(host) {
            Some(Skipped::DoesNotCover)
        } else if !certificate.is_valid_at(now) {
            Some(Skipped::NotValid)
        } else if !can_use(consumer, certificate) {
            Some(Skipped::NotReadThere)
        } else if is_the_users && certificate.source != Source::Provided {
            Some(Skipped::YoursGoesBefore)
        } else {
            Some(Skipped::Other)
        };
        candidates.push(Candidate {
            name,
            certificate,
            skipped,
        });
    }
    for (name, overruled) in &in_force.overruled {
        if is_chosen(name) || of_interest(name, &overruled.certificate) {
            candidates.push(Candidate {
                name,
                certificate: &overruled.certificate,
                skipped: Some(overruled.why),
            });
        }
    }
    candidates
}

/// For all sites the certificate that is wanted, and the one that serves, of those that are in force.
pub fn served<'a>(
    desired: &'a Desired,
    observed: &'a Observed,
    now: Timestamp,
) -> BTreeSet<(&'a CertificateName, &'a CertificateName)> {
    let selection = Selection::of(&observed.held, now);
    let mut served = BTreeSet::new();
    for consumer in desired.consumers.values() {
        for (host, site) in &consumer.sites {
            let found = selection.serving(consumer, host, site);
            served.extend(site.certificate.as_ref().zip(found.map(|(name, _)| name)));
        }
    }
    served
}
