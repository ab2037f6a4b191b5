//! The pauses for which an order waits: after a failure, at the request of a CA, or until clocks agree.

use super::{
    PlanRules, backoff,
    obtain::{asked, asked_of},
};
use crate::{
    desire::{Desired, Wanted},
    observe::{Attempt, BusyCa, Observed, Stage, Subject},
    values::{CertificateName, Issuer, Retry, Timestamp},
};

/// The reason why a CA is asked for nothing, and the end of that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    /// Until when.
    pub until: Timestamp,
    /// The reason.
    pub problem: String,
}

/// The pause that keeps everybody from ordering at the issuer of this certificate. Nobody can insist against that. A
/// pause that is ours and not the CA's is no longer than the life that the certificate has left allows.
pub fn closed(
    name: &CertificateName,
    issuer: &Issuer,
    observed: &Observed,
    now: Timestamp,
) -> Option<Closed> {
    let until = busy_until(name, issuer, observed, now);
    let busy = until.zip(observed.busy(issuer, now));
    let busy = busy.map(|(until, busy)| Closed {
        until,
        problem: busy.problem.clone(),
    });
    let gap = observed.clock_gap(issuer, now).map(|gap| Closed {
        until: gap.until(),
        problem: format!("the clock of this machine is {gap} the clock of {issuer}; set it"),
    });
    busy.into_iter()
        .chain(gap)
        .max_by_key(|closed| closed.until)
}

/// Until when a CA that is busy is not asked for this certificate.
pub(super) fn busy_until(
    name: &CertificateName,
    issuer: &Issuer,
    observed: &Observed,
    now: Timestamp,
) -> Option<Timestamp> {
    let busy = observed.busy(issuer, now)?;
    Some(asked_again(name, issuer, busy, observed, now)).filter(|until| *until > now)
}

/// When a CA that was busy is asked again for this certificate.
fn asked_again(
    name: &CertificateName,
    issuer: &Issuer,
    busy: &BusyCa,
    observed: &Observed,
    now: Timestamp,
) -> Timestamp {
    let held = observed.lasting(name);
    let longest = held.map(|held| backoff::longest_pause(held, issuer, now));
    backoff::asked_again(busy, longest)
}

/// When a name may be tried again after its failures, if the record holds it back.
pub(super) fn held_back(
    (name, wanted): (&CertificateName, &Wanted),
    observed: &Observed,
    rules: &PlanRules,
    now: Timestamp,
) -> Option<Timestamp> {
    let subject = Subject::Certificate(name.clone());
    let before = observed.attempts.get(&subject);
    let before = before.and_then(|record| of_asked_ca(record, wanted));
    let before = before.filter(|attempt| !is_void(attempt, rules));
    match is_forced(name, observed) {
        true => backoff::held_back_though_forced(before, now),
        false => backoff::held_back(before, &subject, asked(wanted), now),
    }
}

/// True if a try does not count any more: a request that was refused for its content may be granted with other
/// settings, or by another version.
pub(super) fn is_void(attempt: &Attempt, rules: &PlanRules) -> bool {
    attempt.retry == Retry::Daily && attempt.circumstances != Some(rules.circumstances)
}

/// The part of a record that counts for the CA that is asked: nothing about another of its list.
fn of_asked_ca<'r>(record: &'r Attempt, wanted: &Wanted) -> Option<&'r Attempt> {
    let mut issuers = wanted.issuers.iter();
    let mut is_of_list = || issuers.any(|issuer| record.asked == asked_of(wanted, issuer));
    let own = record.about(asked(wanted));
    own.or_else(|| (!is_of_list()).then_some(record))
}

/// True if somebody insists on it, and no order has begun.
pub(super) fn is_forced(name: &CertificateName, observed: &Observed) -> bool {
    observed
        .wishes
        .get(name)
        .is_some_and(|wish| wish.force && wish.stage == Stage::Open)
}

/// When what has failed is tried again: not while its CA is asked for nothing, either.
pub fn again(
    subject: &Subject,
    attempt: &Attempt,
    desired: &Desired,
    observed: &Observed,
) -> Timestamp {
    let own = backoff::next_try(subject, attempt);
    let Subject::Certificate(name) = subject else {
        return own;
    };
    let Some(wanted) = desired.certificates.get(name) else {
        return own;
    };
    let of_asked = of_asked_ca(attempt, wanted);
    // A CA that was not asked yet may be at once.
    let own = of_asked.map_or(attempt.last, |attempt| backoff::next_try(subject, attempt));
    let issuer = &wanted.issuance.issuer;
    let Some(directory) = issuer.directory() else {
        return own;
    };
    // As it was when the try ended.
    let busy = observed.busy_cas.get(directory);
    let busy = busy.map(|busy| asked_again(name, issuer, busy, observed, attempt.last));
    let gap = observed.clock_gaps.get(directory).map(|gap| gap.until());
    busy.into_iter().chain(gap).fold(own, Timestamp::max)
}

/// True if a CA is asked for nothing now, though something is still wanted from it.
pub fn is_held_up(desired: &Desired, observed: &Observed, now: Timestamp) -> bool {
    let is_open = observed.busy_cas.is_empty() && observed.clock_gaps.is_empty();
    let is_missing = |name: &CertificateName| observed.lasting(name).is_none();
    let is_closed = |name: &CertificateName, wanted: &Wanted| {
        closed(name, &wanted.issuance.issuer, observed, now).is_some()
    };
    let mut wanted = desired.certificates.iter();
    !is_open && wanted.any(|(name, wanted)| is_missing(name) && is_closed(name, wanted))
}
