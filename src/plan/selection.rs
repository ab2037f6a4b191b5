use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use crate::{
    desire::{CertificateFolder, Consumer, Desired, Site},
    observe::{HeldCertificate, Observed, Source},
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

/// The certificates of the user's own, by the names that they are for. They go before ours, whatever they are called.
#[derive(Default)]
pub(super) struct ProvidedByHost<'a>(BTreeMap<&'a str, Vec<Named<'a>>>);

impl<'a> ProvidedByHost<'a> {
    /// Those of all that are held.
    pub fn of(observed: &'a Observed) -> Self {
        let mut own = Self::default();
        for (name, held) in observed.held.iter() {
            if held.source == Source::Provided {
                for covered in &held.names {
                    own.0.entry(covered).or_default().push((name, held));
                }
            }
        }
        own
    }

    fn covering(&self, host: &Host) -> impl Iterator<Item = Named<'a>> {
        let wildcard = host.covering_wildcard();
        let names = [Some(host.as_str()), wildcard.as_deref()];
        let found = names
            .into_iter()
            .flatten()
            .filter_map(|name| self.0.get(name));
        found.flatten().copied().collect::<Vec<_>>().into_iter()
    }
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
    /// The server reads it as it lies there, and can't.
    NotReadThere,
    /// Another one fits better.
    Other,
}

/// The certificate that serves a host on a consumer, and those that could have been thought to: all that cover it, and the
/// one that is called as the wanted one.
pub fn candidates<'a>(
    consumer: &Consumer,
    host: &Host,
    site: &Site,
    observed: &'a Observed,
    now: Timestamp,
) -> Vec<Candidate<'a>> {
    let chosen = serving(
        consumer,
        host,
        site,
        (observed, &ProvidedByHost::of(observed)),
        now,
    );
    let chosen = chosen.map(|(name, _)| name);
    let mut candidates = Vec::new();
    for (name, certificate) in observed.held.iter() {
        let covers = certificate.covers(host);
        let skipped = match covers {
            _ if chosen == Some(name) => None,
            false if Some(name) == site.certificate.as_ref() => Some(Skipped::DoesNotCover),
            false => continue,
            true if !certificate.is_valid_at(now) => Some(Skipped::NotValid),
            true if !can_use(consumer, certificate) => Some(Skipped::NotReadThere),
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

/// For all sites the certificate that is wanted, and the one that serves.
pub fn served<'a>(
    desired: &'a Desired,
    observed: &'a Observed,
    now: Timestamp,
) -> BTreeSet<(&'a CertificateName, &'a CertificateName)> {
    let own = ProvidedByHost::of(observed);
    let mut served = BTreeSet::new();
    for consumer in desired.consumers.values() {
        for (host, site) in &consumer.sites {
            let found = serving(consumer, host, site, (observed, &own), now);
            served.extend(site.certificate.as_ref().zip(found.map(|(name, _)| name)));
        }
    }
    served
}

/// The certificate that serves a host on a consumer: the one that is pinned, if it is there; else, of those that really
/// cover it and that the consumer can use, a valid one, the user's own before ours, by its exact name before a wildcard,
/// the one that is wanted for it before another, the longest valid last. One that has run out is better than none: the
/// server goes on, and the client says what is wrong.
pub(super) fn serving<'a>(
    consumer: &Consumer,
    host: &Host,
    site: &Site,
    (observed, own): (&'a Observed, &ProvidedByHost<'a>),
    now: Timestamp,
) -> Option<Named<'a>> {
    let wanted = site.certificate.as_ref()?;
    let pinned = site
        .pin
        .as_ref()
        .and_then(|pin| observed.held.get_key_value(&pin.certificate));
    if let Some((name, certificate)) = pinned
        && can_use(consumer, certificate)
    {
        return Some((name, certificate));
    }
    let worth = |(name, certificate): &Named<'_>| {
        let exact = certificate.names.contains(host.as_str());
        (exact, *name == wanted, certificate.not_after)
    };
    let can_serve = |(_, certificate): &Named<'_>| {
        certificate.is_valid_at(now) && can_use(consumer, certificate)
    };
    if let Some(best) = own.covering(host).filter(can_serve).max_by_key(worth) {
        return Some(best);
    }
    // Nearly always it is the one of that name: no need to look at thousands of others then.
    let ours = observed.held.get_key_value(wanted).filter(can_serve);
    if let Some((name, certificate)) = ours
        && certificate.names.contains(host.as_str())
    {
        return Some((name, certificate));
    }
    observed
        .held
        .iter()
        .filter(|(_, certificate)| certificate.covers(host) && can_use(consumer, certificate))
        .max_by_key(|named| (named.1.is_valid_at(now), worth(named)))
}
