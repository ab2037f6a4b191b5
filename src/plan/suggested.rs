//! The use of a CA's suggestions about renewals: nothing that the CA says, or does not say, costs a certificate.
//!
//! <https://www.rfc-editor.org/rfc/rfc9773>

use std::time::Duration;

use super::{Why, renewal};
use crate::{
    observe::{HeldCertificate, RenewalRecord, RenewalSuggestion, SuggestedWindow},
    values::{Digest, Timestamp},
};

/// CAs set back the beginning of their certificates, by an hour most often, and announce a revocation by a window in
/// the past: a window that begins this long before the certificate may still be meant.
const EARLIER: Duration = Duration::from_secs(24 * 60 * 60);

/// A successor that was ordered because a CA suggested it is left alone for this share of its life, whatever the CA
/// suggests next: one that wants each certificate to be renewed at once would be asked at each look. What the usual rule
/// says of the successor holds all the same.
const LEFT_ALONE_SHARE: u32 = 6;

/// When a CA that does not say is asked again.
///
/// <https://www.rfc-editor.org/rfc/rfc9773#section-4.3.3>
const USUAL_PAUSE: Duration = Duration::from_secs(6 * 60 * 60);

/// It is asked no earlier and no later than this, whatever it says.
const PAUSES: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(24 * 60 * 60));

/// A renewal that is to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DueRenewal {
    /// When it is due.
    pub at: Timestamp,
    /// By which rule: the usual one, or its CA.
    pub why: Why,
}

/// Draws an instant from the window that a CA suggests for this certificate; none from a window that makes no sense. The same
/// window gives the same instant: it depends on nothing but the certificate and the window.
///
/// <https://www.rfc-editor.org/rfc/rfc9773#section-4.2>
pub fn suggestion(held: &HeldCertificate, window: &SuggestedWindow) -> Option<RenewalSuggestion> {
    let id = held.renewal_id.as_ref()?;
    let SuggestedWindow { start, end, .. } = *window;
    let is_sensible = start < end && end <= held.not_after && held.not_before - EARLIER <= start;
    if !is_sensible {
        return None;
    }
    let drawn = Digest::of_parts([
        id.to_string(),
        start.millis().to_string(),
        end.millis().to_string(),
    ]);
    Some(RenewalSuggestion {
        window: window.clone(),
        at: start + end.since(start).mul_f64(drawn.fraction()),
    })
}

/// When a CA is asked again that asks to wait so long, or does not say.
pub fn next_renewal_read(now: Timestamp, retry_after: Option<Duration>) -> Timestamp {
    now + retry_after.unwrap_or(USUAL_PAUSE).clamp(PAUSES.0, PAUSES.1)
}

/// When a certificate is to be renewed that we renew: when its CA suggests it, else by the usual rule.
///
/// A CA may have it earlier than the usual rule, and later: it knows why. But of what the usual rule leaves of the life, half
/// is ours, a sixth of the life or a quarter of a short one: there has to be time for many tries, whatever a CA says.
pub fn due_renewal(held: &HeldCertificate, record: Option<&RenewalRecord>) -> DueRenewal {
    let usual = DueRenewal {
        at: renewal::due(held),
        why: Why::RenewalDue,
    };
    let info = record.and_then(|record| record.of(held));
    let Some(suggested) = info.and_then(|info| info.suggestion.as_ref()) else {
        return usual;
    };
    if suggested.at >= usual.at {
        let latest = held.not_after - renewal::reserve(held) / 2;
        let why = match suggested.at < latest {
            true => Why::CaSuggests,
            false => Why::RenewalDue,
        };
        let at = suggested.at.min(latest);
        return DueRenewal { at, why };
    }
    let followed = record.and_then(|record| record.followed.as_ref());
    // One that failed goes on: it is for the successor of this very one.
    let before = followed.filter(|followed| Some(&followed.id) != held.renewal_id.as_ref());
    let life = held.not_after.since(held.not_before);
    let earliest = before.map(|before| before.at + life / LEFT_ALONE_SHARE);
    let at = suggested.at.max(earliest.unwrap_or(suggested.at));
    match at < usual.at {
        true => DueRenewal {
            at,
            why: Why::CaSuggests,
        },
        false => usual,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fixtures::held,
        observe::{FollowedSuggestion, RenewalInfo},
        values::CertificateId,
    };

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    const BEGIN: Timestamp = Timestamp::from_seconds(1_795_000_000);

    fn certificate(days: u32, number: u32) -> HeldCertificate {
        let id = CertificateId::of(b"the key of the CA", &number.to_be_bytes());
        HeldCertificate {
            not_before: BEGIN,
            not_after: BEGIN + DAY * days,
            renewal_id: Some(id),
            digest: Digest::of(number.to_string()),
            ..held(&["shop.example"])
        }
    }

    fn window(start: Timestamp, end: Timestamp) -> SuggestedWindow {
        SuggestedWindow {
            start,
            end,
            explanation: None,
        }
    }

    fn record(held: &HeldCertificate, window: &SuggestedWindow) -> RenewalRecord {
        let info = held.renewal_id.clone().map(|id| RenewalInfo {
            id,
            suggestion: suggestion(held, window),
            read: BEGIN,
            next_read: BEGIN,
        });
        RenewalRecord {
            info,
            followed: None,
        }
    }

    #[test]
    fn a_window_that_makes_no_sense_leaves_the_usual_time_and_others_set_another() {
        let hour = Duration::from_secs(60 * 60);
        let far = |text| Timestamp::parse(text).expect("a time");
        for days in [6, 90] {
            let held = certificate(days, 1);
            let (life, usual) = (DAY * days, renewal::due(&held));
            let at = |share: f64| BEGIN + life.mul_f64(share);
            let latest = match days {
                6 => at(0.75),
                _ => held.not_after - life / 6,
            };
            let nonsense = [
                ("empty", at(0.5), at(0.5)),
                ("inverted", at(0.5), at(0.4)),
                ("after its end", at(1.1), at(1.2)),
                ("until after its end", at(0.5), at(1.0) + hour),
                ("long before it", BEGIN - DAY * 3, BEGIN - DAY * 2),
                (
                    "all of time",
                    far("0001-01-01T00:00:00Z"),
                    far("9999-12-31T23:59:59Z"),
                ),
                (
                    "the year 1",
                    far("0001-01-01T00:00:00Z"),
                    far("0001-01-02T00:00:00Z"),
                ),
                (
                    "the year 9999",
                    far("9999-12-30T00:00:00Z"),
                    far("9999-12-31T00:00:00Z"),
                ),
            ];
            for (what, start, end) in nonsense {
                let window = window(start, end);
                assert_eq!(suggestion(&held, &window), None, "{what}");
                let due = due_renewal(&held, Some(&record(&held, &window)));
                assert_eq!((due.at, due.why), (usual, Why::RenewalDue), "{what}");
            }
            for (what, start, end) in [
                ("usual", at(0.46), at(0.47)),
                ("just after it began", BEGIN, BEGIN + hour),
                ("revoked at once", BEGIN - hour, BEGIN - hour / 2),
                ("later than usual", at(0.68), at(0.7)),
            ] {
                let due = due_renewal(&held, Some(&record(&held, &window(start, end))));
                assert_eq!(due.why, Why::CaSuggests, "{what}, {days} days");
                assert!(
                    start <= due.at && due.at < end,
                    "{what}, {days} days: {due:?}"
                );
            }
            // Never later than half of what is kept in reserve.
            let due = due_renewal(&held, Some(&record(&held, &window(at(0.9), at(0.95)))));
            assert_eq!((due.at, due.why), (latest, Why::RenewalDue), "{days} days");
        }
    }

    #[test]
    fn what_is_known_of_one_certificate_says_nothing_of_the_next() {
        let (old, new) = (certificate(90, 1), certificate(90, 2));
        let open = record(&old, &window(BEGIN, BEGIN + DAY));
        assert_eq!(due_renewal(&old, Some(&open)).why, Why::CaSuggests);
        assert_eq!(due_renewal(&new, Some(&open)).at, renewal::due(&new));
        let nameless = HeldCertificate {
            renewal_id: None,
            ..old
        };
        assert_eq!(
            due_renewal(&nameless, Some(&open)).at,
            renewal::due(&nameless)
        );
    }

    #[test]
    fn a_successor_that_a_ca_wanted_is_left_alone_for_a_while_and_one_that_failed_goes_on() {
        let held = certificate(90, 2);
        let open = |followed: u32| RenewalRecord {
            followed: Some(FollowedSuggestion {
                id: certificate(90, followed).renewal_id.expect("it has one"),
                at: BEGIN + DAY,
            }),
            ..record(&held, &window(BEGIN, BEGIN + DAY))
        };
        let due = due_renewal(&held, Some(&open(1)));
        assert_eq!((due.at, due.why), (BEGIN + DAY * 16, Why::CaSuggests));
        let due = due_renewal(&held, Some(&open(2)));
        assert!(due.at < BEGIN + DAY, "{due:?}");
        // By a clock that was years ahead: the usual rule holds.
        let mut ahead = open(1);
        ahead
            .followed
            .iter_mut()
            .for_each(|it| it.at = BEGIN + DAY * 9999);
        assert_eq!(due_renewal(&held, Some(&ahead)).at, renewal::due(&held));
    }

    #[test]
    fn a_thousand_certificates_are_spread_over_a_window_of_a_fiftieth_of_their_life() {
        let start = BEGIN + DAY * 59;
        let end = start + DAY * 90 / 50;
        let window = window(start, end);
        let mut tenths = [0; 10];
        for number in 0..1000 {
            let held = certificate(90, number);
            let record = record(&held, &window);
            let due = due_renewal(&held, Some(&record));
            assert_eq!(due, due_renewal(&held, Some(&record)), "it stays");
            if start <= due.at && due.at < end {
                let tenth = due.at.since(start).as_millis() * 10 / end.since(start).as_millis();
                tenths[usize::try_from(tenth).expect("one of ten")] += 1;
            }
        }
        let inside: u32 = tenths.iter().sum();
        assert!(inside >= 950, "{inside} of 1000 in the window");
        assert!(
            tenths.iter().all(|count| (60..=140).contains(count)),
            "{tenths:?}"
        );
        // Another window is another draw.
        let held = certificate(90, 1);
        let shares = [Duration::ZERO, DAY].map(|later| {
            let (start, end) = (start + later, end + later);
            let drawn = suggestion(
                &held,
                &SuggestedWindow {
                    start,
                    end,
                    ..window.clone()
                },
            );
            drawn.expect("it makes sense").at.since(start)
        });
        assert_ne!(shares[0], shares[1]);
    }

    #[test]
    fn a_ca_is_asked_again_within_a_minute_and_a_day_whatever_it_says() {
        let after =
            |seconds| next_renewal_read(BEGIN, Some(Duration::from_secs(seconds))).since(BEGIN);
        assert_eq!(next_renewal_read(BEGIN, None).since(BEGIN), DAY / 4);
        assert_eq!(after(0), Duration::from_secs(60));
        assert_eq!(after(3 * 60 * 60), DAY / 8);
        for long in [365 * 24 * 60 * 60, u64::MAX] {
            assert_eq!(after(long), DAY);
        }
    }
}
