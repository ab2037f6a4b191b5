//! Which certificates are to be obtained now.

use std::{collections::BTreeSet, net::SocketAddr};

use super::{
    Action, Draft, ORDERS_AT_ONCE, Obtain, Rules, Why, backoff, deploy::site_file, renewal, selection::is_covered,
    views::HTTP_PORT,
};
use crate::{
    desire::{Desired, Wanted},
    observe::{Attempt, HeldCertificate, Observed, Progress, Shelf, Source, Subject},
    values::{CertificateName, ContainerName, Digest, Timestamp},
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
    let provided: Vec<_> = observed.held.values().filter(|held| held.source == Source::Provided).collect();
    for (name, wanted) in &desired.certificates {
        let subject = Subject::Certificate(name.clone());
        if observed.under_way.contains(&subject) || !is_answered(wanted, desired, observed, deploying) {
            continue;
        }
        let why = match need(name, wanted, observed, &provided, now) {
            Need::Now(why) => why,
            Need::At(time) => {
                draft.wakes.insert(time);
                continue;
            }
        };
        let asked = asked(wanted, rules);
        let before = observed.attempts.get(&subject);
        if let Some(time) = backoff::held_back(before, &subject, asked).filter(|time| *time > now) {
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

/// What the user provides is neither renewed nor replaced as long as it is valid: before its end it is told, at its end
/// one of ours takes its place.
fn need(
    name: &CertificateName,
    wanted: &Wanted,
    observed: &Observed,
    provided: &[&HeldCertificate],
    now: Timestamp,
) -> Need {
    let held = observed.held.get(name);
    let is_placed = |held: &&HeldCertificate| held.source == Source::Provided && held.shelf == Shelf::Live;
    let covering = provided.iter().copied().filter(|held| is_covered(&wanted.names, held));
    let in_our_way = held.filter(is_placed);
    if let Some(provided) = covering.chain(in_our_way).find(|held| held.is_valid_at(now)) {
        // One of ours may be served before it, until it runs out.
        let ends = held.map(|held| held.not_after).filter(|end| *end > now);
        return Need::At(ends.into_iter().chain([provided.not_after]).min().unwrap_or(provided.not_after));
    }
    let Some(held) = held else { return Need::Now(Why::Missing) };
    let due = renewal::due(held);
    match is_covered(&wanted.names, held) {
        false => Need::Now(Why::NamesChanged),
        true if due <= now => Need::Now(Why::RenewalDue),
        true => Need::At(due),
    }
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
