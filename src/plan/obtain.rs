//! Which certificates are to be obtained now.

use std::{collections::BTreeSet, net::SocketAddr};

use super::{Action, Draft, ORDERS_AT_ONCE, Obtain, Rules, Why, backoff, deploy::site_file, renewal, views::HTTP_PORT};
use crate::{
    desire::{Desired, Wanted},
    observe::{Answer, Attempt, Observed, Progress, Stage, Subject},
    values::{CertificateName, ContainerName, Digest, Retry, Timestamp},
};

/// Plans the orders: of those that are due, what runs out first before what is missing, as many as may run at once.
pub(super) fn plan(
    desired: &Desired,
    observed: &Observed,
    deploying: &BTreeSet<ContainerName>,
    rules: &Rules,
    now: Timestamp,
    draft: &mut Draft,
) {
    let mut due = Vec::new();
    for (name, wanted) in &desired.certificates {
        let subject = Subject::Certificate(name.clone());
        if observed.under_way.contains(&subject) || !is_answered(wanted, desired, observed, deploying) {
            continue;
        }
        let why = match need(name, wanted, observed, now) {
            Need::Now(why) => why,
            Need::At(time) => {
                draft.wakes.insert(time);
                continue;
            }
        };
        let asked = asked(wanted, rules);
        let before = observed.attempts.get(&subject);
        if let Some(time) = held_back(name, asked, observed).filter(|time| *time > now) {
            draft.wakes.insert(time);
            continue;
        }
        let runs_out = observed.held.get(name).map_or(Timestamp::from_millis(i64::MAX), |held| held.not_after);
        due.push((runs_out, obtain(name, wanted, desired, why, backoff::attempt(before, asked, now))));
    }
    due.sort_by(|(one, a), (other, b)| (one, &a.certificate).cmp(&(other, &b.certificate)));
    let running = observed.under_way.iter().filter(|subject| matches!(subject, Subject::Certificate(_))).count();
    let free = ORDERS_AT_ONCE.saturating_sub(running);
    draft.plan.actions.extend(due.into_iter().take(free).map(|(_, obtain)| Action::Obtain(Box::new(obtain))));
}

enum Need {
    Now(Why),
    At(Timestamp),
}

fn need(name: &CertificateName, wanted: &Wanted, observed: &Observed, now: Timestamp) -> Need {
    let Some(held) = observed.held.get(name) else { return Need::Now(Why::Missing) };
    let covered = wanted.names.iter().all(|host| held.covers(host.as_str()));
    let due = renewal::due(held);
    match covered {
        false => Need::Now(Why::NamesChanged),
        true if due <= now => Need::Now(Why::RenewalDue),
        true if is_forced(name, observed) => Need::Now(Why::Asked),
        true => Need::At(due),
    }
}

/// Whether somebody insists on it, and nobody has begun.
fn is_forced(name: &CertificateName, observed: &Observed) -> bool {
    observed.wishes.get(name).is_some_and(|wish| wish.force && wish.stage == Stage::Open)
}

fn held_back(name: &CertificateName, asked: Digest, observed: &Observed) -> Option<Timestamp> {
    let subject = Subject::Certificate(name.clone());
    let before = observed.attempts.get(&subject);
    match is_forced(name, observed) {
        true => backoff::held_back_though_forced(before),
        false => backoff::held_back(before, &subject, asked),
    }
}

/// How a wish ends with which nothing is to be begun; nothing while it is, or can be as soon as a proxy answers.
pub fn answer(
    name: &CertificateName,
    desired: &Desired,
    observed: &Observed,
    rules: &Rules,
    now: Timestamp,
) -> Option<Answer> {
    let Some(wanted) = desired.certificates.get(name) else { return Some(Answer::NotWanted) };
    let subject = Subject::Certificate(name.clone());
    if observed.under_way.contains(&subject) {
        return None;
    }
    match need(name, wanted, observed, now) {
        Need::At(due) => return Some(Answer::NotDue { due }),
        Need::Now(_) => {}
    }
    held_back(name, asked(wanted, rules), observed).filter(|again| *again > now)?;
    let attempt = observed.attempts.get(&subject)?;
    let problem = attempt.problem.clone().unwrap_or_else(|| "the last try was cut off".to_owned());
    let again = (attempt.retry != Retry::WhenInputChanges).then(|| backoff::next_try(&subject, attempt));
    Some(Answer::Failed { problem, blame: None, again })
}

/// Whether a challenge for these names would be answered: a proxy that serves them runs, has their sites installed,
/// was told, and is not being changed at this moment.
fn is_answered(wanted: &Wanted, desired: &Desired, observed: &Observed, deploying: &BTreeSet<ContainerName>) -> bool {
    let answers = |proxy: &ContainerName| {
        let idle = !deploying.contains(proxy) && !observed.under_way.contains(&Subject::Consumer(proxy.clone()));
        let running = desired.consumers.get(proxy).is_some_and(|consumer| consumer.running);
        let told = observed.installed.get(proxy).is_some_and(|installed| {
            installed.progress != Progress::SignalOwed
                && wanted.names.iter().all(|host| installed.files.contains_key(&site_file(host)))
        });
        idle && running && told
    };
    wanted.served_by.iter().any(answers)
}

fn asked(wanted: &Wanted, rules: &Rules) -> Digest {
    Digest::of_parts(wanted.names.iter().map(|name| name.as_str()).chain([rules.authority.as_str()]))
}

fn obtain(name: &CertificateName, wanted: &Wanted, desired: &Desired, why: Why, attempt: Attempt) -> Obtain {
    let proxies = || wanted.served_by.iter().filter_map(|proxy| desired.consumers.get(proxy));
    Obtain {
        certificate: name.clone(),
        names: wanted.names.clone(),
        why,
        webroots: proxies().map(|proxy| proxy.webroot.ours.clone()).collect(),
        proxies: proxies().filter_map(|proxy| Some(SocketAddr::new(proxy.address?, HTTP_PORT))).collect(),
        attempt,
    }
}
