//! The end of a wish for a renewal with which nothing is to be begun.

use super::{
    PlanRules,
    asked_ca::choose_cas,
    backoff,
    in_force::InForce,
    ledger::{Asking, LedgerVerdict, LimitReached},
    needs::{Need, World, need, provided_in},
    pauses::{closed, held_back, is_forced},
    slots::Slots,
};
use crate::{
    desire::{Desired, Wanted},
    observe::{Blame, HeldCertificate, Observed, RenewalOutcome, Subject},
    values::{CertificateName, Timestamp},
};

/// The end of a wish with which nothing is to be begun; none while it is, or can be as soon as a proxy answers.
pub fn answer(
    name: &CertificateName,
    desired: &Desired,
    observed: &Observed,
    rules: &PlanRules,
    now: Timestamp,
) -> Option<RenewalOutcome> {
    let desired = &*choose_cas(desired, observed, rules, now);
    let Some(wanted) = desired.certificates.get(name) else {
        return Some(RenewalOutcome::NotWanted);
    };
    let subject = Subject::Certificate(name.clone());
    if observed.under_way.contains(&subject) {
        return None;
    }
    let in_force = InForce::of(desired, observed, now);
    let (ours, observed) = (&observed.held, &*in_force.within(observed));
    let held = observed.lasting(name);
    let world = World {
        desired,
        observed,
        ours,
        provided: &provided_in(observed),
        now,
    };
    match need(name, wanted, held, &world) {
        Need::At(due) => return Some(RenewalOutcome::NotDue { due }),
        Need::Now(_) => {}
    }
    let of_name = held_back((name, wanted), observed, rules, now).filter(|again| *again > now);
    if let Some(closed) = closed(name, &wanted.issuance.issuer, observed, now) {
        return Some(RenewalOutcome::Failed {
            problem: closed.problem,
            blame: None,
            again: of_name.max(Some(closed.until)),
        });
    }
    if let Some(reached) = reached((name, wanted, held), &world, rules) {
        return Some(RenewalOutcome::Failed {
            problem: reached.to_string(),
            blame: Some(Blame::Refused),
            again: of_name.max(Some(reached.until)),
        });
    }
    of_name?;
    let attempt = observed.attempts.get(&subject)?;
    let problem = attempt
        .problem
        .clone()
        .unwrap_or_else(|| "the last try was cut off".to_owned());
    Some(RenewalOutcome::Failed {
        problem,
        blame: None,
        again: Some(backoff::next_try(&subject, attempt)),
    })
}

/// The limit that keeps this certificate from being asked for now.
fn reached(
    (name, wanted, held): (&CertificateName, &Wanted, Option<&HeldCertificate>),
    world: &World<'_>,
    rules: &PlanRules,
) -> Option<LimitReached> {
    let World {
        desired,
        observed,
        ours,
        now,
        ..
    } = *world;
    let limits = rules.cas.limits(wanted.issuance.issuer.directory()?);
    let asking = Asking::of(desired, wanted, held, limits);
    let slots = Slots::of(desired, observed, ours, now);
    match asking.check(&observed.ledger, &slots, now) {
        LedgerVerdict::Refused(reached) if !is_forced(name, observed) => Some(reached),
        LedgerVerdict::Refused(_) | LedgerVerdict::Allowed | LedgerVerdict::Later => None,
    }
}
