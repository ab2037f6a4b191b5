use crate::{
    observe::{HeldCertificate, Observed},
    values::{CertificateName, Host, Timestamp},
};

/// The certificate that serves a host: the one that is pinned, if it is there; else, of those that really cover it a valid one, by its exact name before a wildcard,
/// the one that is wanted for it before another, the longest valid last. One that has run out is better than none: the
/// server goes on, and the client says what is wrong.
pub(super) fn serving<'a>(
    host: &Host,
    wanted: &CertificateName,
    pin: Option<&CertificateName>,
    observed: &'a Observed,
    now: Timestamp,
) -> Option<(&'a CertificateName, &'a HeldCertificate)> {
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
    observed.held.iter().filter(|(_, certificate)| certificate.covers(host)).max_by_key(|(name, certificate)| {
        let exact = certificate.names.contains(host.as_str());
        (certificate.is_valid_at(now), exact, *name == wanted, certificate.not_after)
    })
}
