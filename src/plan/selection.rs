use crate::{
    observe::{HeldCertificate, Observed},
    values::{CertificateName, DnsName, Timestamp},
};

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
    host: &DnsName,
    wanted: &CertificateName,
    observed: &'a Observed,
    now: Timestamp,
) -> Vec<Candidate<'a>> {
    let chosen = serving(host, wanted, observed, now).map(|(name, _)| name);
    let mut candidates = Vec::new();
    for (name, certificate) in &observed.held {
        let covers = certificate.covers(host.as_str());
        let skipped = match covers {
            _ if chosen == Some(name) => None,
            false if name == wanted => Some(Skipped::DoesNotCover),
            false => continue,
            true if !certificate.is_valid_at(now) => Some(Skipped::NotValid),
            true => Some(Skipped::Other),
        };
        candidates.push(Candidate { name, certificate, skipped });
    }
    candidates
}

/// The certificate that serves a host: of those that really cover it a valid one, by its exact name before a wildcard,
/// the one that is wanted for it before another, the longest valid last. One that has run out is better than none: the
/// server goes on, and the client says what is wrong.
pub(super) fn serving<'a>(
    host: &DnsName,
    wanted: &CertificateName,
    observed: &'a Observed,
    now: Timestamp,
) -> Option<(&'a CertificateName, &'a HeldCertificate)> {
    // Nearly always it is the one of that name: no need to look at thousands of others then.
    let own = observed.held.get_key_value(wanted);
    if let Some((name, certificate)) = own
        && certificate.names.contains(host.as_str())
        && certificate.is_valid_at(now)
    {
        return Some((name, certificate));
    }
    observed.held.iter().filter(|(_, certificate)| certificate.covers(host.as_str())).max_by_key(
        |(name, certificate)| {
            let exact = certificate.names.contains(host.as_str());
            (certificate.is_valid_at(now), exact, *name == wanted, certificate.not_after)
        },
    )
}
