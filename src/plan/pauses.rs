//! What an order waits for: a pause after a failure, a CA that asks to be left alone, clocks that are too far apart.

use super::{PlanRules, backoff, obtain::asked};
use crate::{
    desire::{Desired, Wanted},
    observe::{Attempt, BusyCa, Observed, Stage, Subject},
    values::{CertificateName, Issuer, Retry, Timestamp},
};

/// Why a CA is asked for nothing, and until when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    /// Until when.
    pub until: Timestamp,
    /// Why.
    pub problem: String,
}

/// What keeps everybody from ordering at the issuer of this certificate. Nobody can insist against that. A pause that is
/// ours and not the CA's is no longer than the life that the certificate has left allows.
pub fn closed(
    name: &CertificateName,
    issuer: &Issuer,
    observed: &Observed,
    now: Timestamp,
) -> Option<Closed> {
    let busy = observed.busy(issuer, now).map(|busy| Closed {
        until: asked_again(name, issuer, busy, observed, now),
        problem: busy.problem.clone(),
    });
    let busy = busy.filter(|closed| closed.until > now);
    let gap = observed.clock_gap(issuer, now).map(|gap| Closed {
        until: gap.until(),
        problem: format!("the clock of this machine is {gap} that of {issuer}; set it"),
    });
    busy.into_iter()
        .chain(gap)
        .max_by_key(|closed| closed.until)
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
    // What was refused for what it was may be granted with other settings, or by another version.
    let is_void = |attempt: &Attempt| {
        attempt.retry == Retry::Daily && attempt.circumstances != Some(rules.circumstances)
    };
    let before = observed.attempts.get(&subject);
    let before = before.filter(|attempt| !is_void(attempt));
    match is_forced(name, observed) {
        true => backoff::held_back_though_forced(before, now),
        false => backoff::held_back(before, &subject, asked(wanted), now),
    }
}

/// Whether somebody insists on it, and nobody has begun.
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

/// Whether a CA is asked for nothing now that something is still wanted from.
pub fn is_held_up(desired: &Desired, observed: &Observed, now: Timestamp) -> bool {
    let is_open = observed.busy_cas.is_empty() && observed.clock_gaps.is_empty();
    let is_missing = |name: &CertificateName| observed.lasting(name).is_none();
    let is_closed = |name: &CertificateName, wanted: &Wanted| {
        closed(name, &wanted.issuance.issuer, observed, now).is_some()
    };
    let mut wanted = desired.certificates.iter();
    !is_open && wanted.any(|(name, wanted)| is_missing(name) && is_closed(name, wanted))
}
