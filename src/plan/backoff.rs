use std::time::Duration;

use crate::{
    observe::{Attempt, BusyCa, CaRecord, HeldCertificate, Subject},
    values::{Digest, Issuer, Retry, Timestamp},
};

const MINUTE: Duration = Duration::from_secs(60);

/// Pauses between orders, after Let's Encrypt's integration guide: a CA counts failures, and a name that does not point
/// here yet seldom does a second later. The last one goes on.
///
/// <https://letsencrypt.org/docs/integration-guide/#retrying-failures>
const ORDERS: &[Duration] = &[
    MINUTE,
    Duration::from_secs(10 * 60),
    Duration::from_secs(100 * 60),
    DAY,
];

/// Pauses after looks before an order that failed: they cost nobody but us anything, and whoever mends a record waits for
/// it.
const LOOKS: &[Duration] = &[
    MINUTE,
    Duration::from_secs(2 * 60),
    Duration::from_secs(5 * 60),
    Duration::from_secs(10 * 60),
];
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The longest pause while a certificate that is due is valid: this share of the life that it has left, so that many tries
/// remain, whatever the pauses above say of one that lives for days or an hour.
const SHARE_OF_LEFT: u32 = 8;

/// The same once it has run out: this share of its whole life. Half an hour of a day, three hours of six days.
const SHARE_OF_LIFE: u32 = 48;

/// No pause is made shorter than this, however little life is left. Public CAs let a name fail five times an hour.
///
/// <https://letsencrypt.org/docs/rate-limits/#authorization-failures-per-identifier-per-account>
const SHORTEST_AT_PUBLIC: Duration = Duration::from_secs(20 * 60);
const SHORTEST_ELSEWHERE: Duration = MINUTE;

/// The longest pause after a failure to replace this certificate.
pub(super) fn longest_pause(held: &HeldCertificate, issuer: &Issuer, now: Timestamp) -> Duration {
    let life = held.not_after.since(held.not_before);
    let share = match held.not_after.since(now) {
        Duration::ZERO => life / SHARE_OF_LIFE,
        left => left / SHARE_OF_LEFT,
    };
    let shortest = match issuer.is_public() {
        true => SHORTEST_AT_PUBLIC,
        false => SHORTEST_ELSEWHERE,
    };
    share.max(shortest)
}

/// Pauses after answers of a CA that is too busy, in the same row, if it asks for shorter ones: one that says "in a second"
/// each time is not asked each second. No longer than this, since that says nothing against what was asked for.
const BUSY: &[Duration] = &[
    MINUTE,
    Duration::from_secs(10 * 60),
    Duration::from_secs(100 * 60),
];

/// The pause after so many in a row.
fn pause_of(pauses: &[Duration], count: u32) -> Duration {
    let step = usize::try_from(count.saturating_sub(1)).unwrap_or(usize::MAX);
    pauses.get(step).or(pauses.last()).copied().unwrap_or(DAY)
}

/// When a CA that was busy is asked again for a certificate that allows no longer pause than this.
pub(super) fn asked_again(busy: &BusyCa, longest: Option<Duration>) -> Timestamp {
    let pause = pause_of(BUSY, busy.count);
    let own = busy.since + longest.map_or(pause, |longest| pause.min(longest));
    busy.until.max(own)
}

/// Pauses between deployments, and between self-signed certificates: they cost nobody else anything, and a full disk is cleared by hand at any moment.
const DEPLOYMENTS: &[Duration] = &[
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(30),
    Duration::from_secs(300),
];

/// The pause after a first try that was cut off rather than refused, as by a restart: its order is on record and goes on
/// where it stopped. One that is cut off again pauses like any other, so that a loop of crashes costs no more than that.
const CUT_OFF: Duration = Duration::from_secs(5);

/// When the record lets the same be tried again.
pub fn next_try(subject: &Subject, attempt: &Attempt) -> Timestamp {
    if !attempt.is_failure() {
        return attempt.last;
    }
    if attempt.was_cut_off() && attempt.count == 1 {
        return attempt.last + CUT_OFF;
    }
    let pauses = match subject {
        Subject::Certificate(_) => ORDERS,
        // Nobody else is asked, either.
        Subject::Fallback(_) | Subject::Consumer(_) => DEPLOYMENTS,
    };
    let pause = pause_of(pauses, attempt.count);
    let longest = attempt.longest_pause.unwrap_or(DAY);
    match attempt.retry {
        Retry::Backoff => attempt.last + pause.min(longest),
        Retry::SelfCheck => attempt.last + pause_of(LOOKS, attempt.looks).min(longest),
        Retry::Propagation(time) => time,
        Retry::NotBefore(_) if attempt.was_not_kept() => attempt.last + MINUTE,
        Retry::NotBefore(time) => {
            let own = pause_of(BUSY, attempt.count).min(longest);
            time.max(attempt.last + own.max(MINUTE))
        }
        Retry::Daily => attempt.last + DAY.min(longest),
    }
}

/// When `asked` may be tried, if the record holds it back; `None` when it may be at any time. A record from the future
/// holds nothing back, though it counts as a try.
pub(super) fn held_back(
    attempt: Option<&Attempt>,
    subject: &Subject,
    asked: Digest,
    now: Timestamp,
) -> Option<Timestamp> {
    attempt
        .and_then(|attempt| attempt.about(asked))
        .filter(|attempt| !attempt.is_from_the_future(now))
        .map(|attempt| next_try(subject, attempt))
}

/// When what somebody insists on may be tried: pauses of ours give way, a time that the other side named does not.
pub(super) fn held_back_though_forced(
    attempt: Option<&Attempt>,
    now: Timestamp,
) -> Option<Timestamp> {
    let attempt = attempt.filter(|attempt| !attempt.is_from_the_future(now));
    match attempt?.retry {
        Retry::NotBefore(time) => Some(time),
        Retry::Backoff | Retry::SelfCheck | Retry::Propagation(_) | Retry::Daily => None,
    }
}

/// The record of a try that is about to be made.
pub(super) fn attempt(before: Option<&Attempt>, asked: Digest, now: Timestamp) -> Attempt {
    let before = before.and_then(|attempt| attempt.about(asked));
    let count = before.map_or(0, |attempt| attempt.count);
    Attempt {
        count: count.saturating_add(1),
        last: now,
        asked,
        retry: Retry::Backoff,
        problem: None,
        circumstances: None,
        longest_pause: None,
        looks: before.map_or(0, |attempt| attempt.looks),
        ca: CaRecord {
            own: before.map_or(0, |attempt| attempt.ca.own),
            is_unvalidated: before.is_some_and(|attempt| attempt.ca.is_unvalidated),
            others: Vec::new(),
        },
    }
}
