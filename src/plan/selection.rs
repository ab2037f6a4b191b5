use std::{borrow::Cow, rc::Rc};

use crate::{
    desire::{CertificateFolder, Consumer, Desired},
    observe::{HeldCertificate, Observed, Shelf},
    values::{CertificateName, ContainerName, Host, Timestamp},
};

/// What is observed, with one certificate for each name: where the user has put one of the same name into `provided/`,
/// that one, unless ours is the better: one that can be served before one that can't, one that covers what is wanted
/// before one that does not, a valid one before one that has run out.
pub fn in_force<'a>(
    desired: &Desired,
    observed: &'a Observed,
    now: Timestamp,
) -> Cow<'a, Observed> {
    if observed.provided.is_empty() {
        return Cow::Borrowed(observed);
    }
    let mut chosen = observed.clone();
    let held = Rc::make_mut(&mut chosen.held);
    for (name, provided) in &observed.provided {
        let worth = |certificate: &HeldCertificate| {
            let wanted = desired.certificates.get(name);
            let covers = wanted.is_none_or(|wanted| is_covered(&wanted.names, certificate));
            (
                reader_in_need(certificate, desired).is_none(),
                covers,
                certificate.is_valid_at(now),
            )
        };
        if observed
            .held
            .get(name)
            .is_none_or(|own| worth(provided) >= worth(own))
        {
            held.insert(name.clone(), Rc::clone(provided));
        }
    }
    Cow::Owned(chosen)
}

/// Whether a certificate is for all of these names.
pub(super) fn is_covered<'a>(
    names: impl IntoIterator<Item = &'a Host>,
    certificate: &HeldCertificate,
) -> bool {
    names.into_iter().all(|name| certificate.covers(name))
}

/// A consumer that could not read a certificate as it lies there: one that reads the user's own folder finds no
/// `fullchain.pem` where there are only its parts, and we write nothing there.
pub(super) fn reader_in_need<'a>(
    certificate: &HeldCertificate,
    desired: &'a Desired,
) -> Option<&'a ContainerName> {
    let reads = |consumer: &&Rc<Consumer>| {
        matches!(consumer.certificates, CertificateFolder::Shared { .. })
    };
    let in_parts = certificate.shelf == Shelf::ProvidedInParts;
    desired
        .consumers
        .values()
        .filter(|_| in_parts)
        .find(reads)
        .map(|consumer| &consumer.name)
}

/// A held certificate that comes into question for a host.
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
    /// Another one fits better.
    Other,
}

/// The certificate that serves a host, and those that could have been thought to: all that cover it, and the one that
/// is called as the wanted one.
pub fn candidates<'a>(
    host: &Host,
    wanted: &CertificateName,
    pin: Option<&CertificateName>,
    observed: &'a Observed,
    now: Timestamp,
) -> Vec<Candidate<'a>> {
    let chosen = serving(host, wanted, pin, observed, now).map(|(name, _)| name);
    let mut candidates = Vec::new();
    for (name, certificate) in observed.held.iter() {
        let covers = certificate.covers(host);
        let skipped = match covers {
            _ if chosen == Some(name) => None,
            false if name == wanted => Some(Skipped::DoesNotCover),
            false => continue,
            true if !certificate.is_valid_at(now) => Some(Skipped::NotValid),
            true => Some(Skipped::Other),
        };
        candidates.push(Candidate {
            name,
            certificate,
            skipped,
        });
    }
    candidates
}

/// The certificate that serves a host: the one that is pinned, if it is there; else, of those that really cover it a
/// valid one, by its exact name before a wildcard,
/// the one that is wanted for it before another, the longest valid last. One that has run out is better than none: the
/// server goes on, and the client says what is wrong.
pub(super) fn serving<'a>(
    host: &Host,
    wanted: &CertificateName,
    pin: Option<&CertificateName>,
    observed: &'a Observed,
    now: Timestamp,
) -> Option<(&'a CertificateName, &'a Rc<HeldCertificate>)> {
    if let Some(pinned) = pin.and_then(|pin| observed.held.get_key_value(pin)) {
        return Some(pinned);
    }
    // Nearly always it is the one of that name: no need to look at thousands of others then.
    let own = observed.held.get_key_value(wanted);
    if let Some((name, certificate)) = own
        && certificate.names.contains(host.as_str())
        && certificate.is_valid_at(now)
    {
        return Some((name, certificate));
    }
    observed
        .held
        .iter()
        .filter(|(_, certificate)| certificate.covers(host))
        .max_by_key(|(name, certificate)| {
            let exact = certificate.names.contains(host.as_str());
            (
                certificate.is_valid_at(now),
                exact,
                *name == wanted,
                certificate.not_after,
            )
        })
}
