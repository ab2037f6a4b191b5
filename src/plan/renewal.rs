use std::time::Duration;

use super::{
    Why,
    suggested::{DueRenewal, due_renewal},
};
use crate::{
    desire::Wanted,
    observe::{HeldCertificate, RenewalRecord, Source},
    values::{Issuer, Timestamp},
};

/// Lives up to this are short: half of one is kept in reserve instead of a third.
///
/// <https://letsencrypt.org/docs/integration-guide/#when-to-renew>
const SHORT_LIFE: Duration = Duration::from_secs(10 * 24 * 60 * 60);

/// The share of a life over which renewals are spread, so that what was obtained together is not renewed together.
const SPREAD: f64 = 0.03;

/// The last share of a life, in which any certificate is better than the end of this one.
const LAST_SHARE: u32 = 20;

/// The usual warning before the end of a certificate that has no successor: this share of its life, and no longer than
/// that. A renewal has failed for a long time by then.
const WARNED_SHARE: u32 = 6;
const LONGEST_WARNING: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// The time from which the end of a certificate is warned of, `before` its end where that is set.
pub(super) fn warned_from(held: &HeldCertificate, before: Option<Duration>) -> Timestamp {
    let usual = || {
        let life = held.not_after.since(held.not_before);
        (life / WARNED_SHARE).min(LONGEST_WARNING)
    };
    held.not_after - before.unwrap_or_else(usual)
}

/// Until when a certificate is kept although another CA is asked for now: one that is trusted is not given up for one that
/// is not before it is about to end. `None` where that is no question.
pub fn kept_until(held: &HeldCertificate, issuer: &Issuer, now: Timestamp) -> Option<Timestamp> {
    let life = held.not_after.since(held.not_before);
    let until = held.not_after - life / LAST_SHARE;
    let is_of_ca = matches!(held.source, Source::Acme(_)) && held.is_trusted();
    let is_kept = is_of_ca && !issuer.is_trusted() && held.is_valid_at(now) && now < until;
    is_kept.then_some(until)
}

/// The first difference between a wanted certificate of ours and the held one. The held one is served until the new one
/// is there: one from the staging CA is replaced without a gap. A held certificate without a record of its profile
/// counts as right, and so does the profile that the CA has issued in place of one that it does not have.
pub(super) fn changed(held: &HeldCertificate, wanted: &Wanted) -> Option<Why> {
    let issuance = &wanted.issuance;
    let profile = held.profile.as_deref();
    if !held.source.is_any(&wanted.issuers) {
        return Some(Why::SourceChanged);
    }
    if held.key_type != Some(issuance.key_type) {
        return Some(Why::KeyTypeChanged);
    }
    let is_other = profile.is_some_and(|profile| profile != issuance.profile_name());
    is_other.then_some(Why::ProfileChanged)
}

/// When a certificate is to be renewed: when two thirds of its life are over, or half of a short one, a little earlier
/// by a share that depends on the certificate alone.
pub fn due(certificate: &HeldCertificate) -> Timestamp {
    let life = certificate.not_after.since(certificate.not_before);
    let earlier = life.mul_f64(SPREAD * certificate.digest.fraction());
    certificate.not_after - reserve(certificate) - earlier
}

/// The rest of a life when a renewal is due at the latest.
pub(super) fn reserve(certificate: &HeldCertificate) -> Duration {
    let life = certificate.not_after.since(certificate.not_before);
    life / if life <= SHORT_LIFE { 2 } else { 3 }
}

/// From when on a certificate that has no successor is near its end: half of its reserve is used up.
pub(super) fn urgent_from(certificate: &HeldCertificate) -> Timestamp {
    certificate.not_after - reserve(certificate) / 2
}

/// When a certificate is to be renewed by whoever obtains it, and by which rule: a helper's own program says no before it
/// holds it for due, and asks its CA itself.
pub fn due_by(
    certificate: &HeldCertificate,
    is_helpers: bool,
    record: Option<&RenewalRecord>,
) -> DueRenewal {
    match is_helpers {
        true => DueRenewal {
            at: due_for_certbot(certificate),
            why: Why::RenewalDue,
        },
        false => due_renewal(certificate, record),
    }
}

/// Certbot renews what has this little left, up to version 3.
///
/// <https://eff-certbot.readthedocs.io/en/stable/using.html#renewing-certificates>
const CERTBOT_BEFORE: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// A second is what dates in certificates leave open; certbot asks for less than what is left.
const CERTBOT_MARGIN: Duration = Duration::from_secs(60);

/// When certbot's own `--keep` renews, of whatever version: 30 days before the end or, since version 4, when a third of the
/// life is left, of a short one half. It is the later of both.
fn due_for_certbot(certificate: &HeldCertificate) -> Timestamp {
    certificate.not_after - CERTBOT_BEFORE.min(reserve(certificate)) + CERTBOT_MARGIN
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::held;

    fn due_after(life: u64) -> f64 {
        let certificate = HeldCertificate {
            not_before: Timestamp::from_seconds(1_000_000),
            not_after: Timestamp::from_seconds(1_000_000) + Duration::from_secs(life),
            ..held(&[])
        };
        due(&certificate)
            .since(certificate.not_before)
            .as_secs_f64()
            / life as f64
    }

    #[test]
    fn any_life_is_renewed_in_good_time() {
        let day = 24 * 60 * 60;
        for life in [60, 120, 6 * day, 10 * day] {
            assert!(
                (0.47..=0.5).contains(&due_after(life)),
                "{life} s: {}",
                due_after(life)
            );
        }
        for life in [45 * day, 64 * day, 90 * day, 365 * day, 5 * 365 * day] {
            assert!(
                (0.63..=0.667).contains(&due_after(life)),
                "{life} s: {}",
                due_after(life)
            );
        }
    }
}
