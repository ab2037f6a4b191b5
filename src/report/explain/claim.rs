use std::collections::BTreeSet;

use super::{Inspection, uses};
use crate::{
    desire::{Claimant, Complaint, Consumer, nearest_names},
    report::{Findings, Instead, start_it},
    values::{CertificateName, ContainerName},
};

/// The most similar names that are shown.
const MOST_NEAR: usize = 3;

/// Who asks for the name, and whether anybody is to serve it.
pub(super) fn tell(facts: &Inspection<'_>, told: &mut Findings) {
    let claimants = facts
        .claimants
        .get(facts.host)
        .map(Vec::as_slice)
        .unwrap_or_default();
    let served: BTreeSet<_> = facts
        .proxies()
        .flat_map(|proxy| proxy.sites.get(facts.host))
        .flat_map(|site| site.bearers())
        .chain(uses::users(facts).map(|(consumer, _)| &consumer.name))
        .collect();
    for claimant in claimants {
        tell_one(facts, claimant, served.contains(&claimant.bearer), told);
    }
    if claimants.is_empty() {
        return nobody(facts, told);
    }
    for proxy in facts.proxies() {
        match proxy.running {
            true => told.ok("served by", proxy.name.as_str()),
            // What to do about it is told where the proxy is.
            false => told.note("served by", format!("{}, which does not run", proxy.name)),
        }
    }
    let is_used = uses::users(facts).next().is_some();
    let is_asked_for = || claimants.iter().any(|claimant| claimant.counts);
    if facts.proxies().next().is_none() && !is_used && is_asked_for() {
        told.problem("served by", "no proxy", "");
    }
}

fn tell_one(facts: &Inspection<'_>, claimant: &Claimant, is_followed: bool, told: &mut Findings) {
    let Claimant {
        bearer: container,
        label,
        counts,
    } = claimant;
    let asks = match container.is_settings() {
        true => format!("the {label} asks for it"),
        false => format!("container {container} asks for it by its label {label}"),
    };
    if let Some(kept) = facts
        .site()
        .and_then(|site| site.kept)
        .filter(|_| is_followed)
    {
        let says = format!("{asks}, and {kept}, the site is kept and answers 503");
        let remedy = match kept.until {
            None => start_it(container, facts.snapshot),
            Some(_) => "start the container that is to take its place".to_owned(),
        };
        return told.problem("asked for", says, remedy);
    }
    match (counts, is_followed) {
        (true, true) => told.ok("asked for", asks),
        (true, false) => told.problem("asked for", format!("{asks}, which can't be followed"), ""),
        (false, true) if facts.site().is_none() => told.note("asked for", asks),
        (false, _) if facts.site().is_some() => {
            told.note("asked for", format!("{asks}, but does not run"))
        }
        (false, _) => {
            told.problem(
                "asked for",
                format!("{asks}, but does not run"),
                start_it(container, facts.snapshot),
            );
        }
    }
}

fn nobody(facts: &Inspection<'_>, told: &mut Findings) {
    let near = nearest_names(facts.claimants.keys(), facts.host);
    let label = format!("{}.host={}", facts.prefix, facts.host);
    let mut remedy =
        format!("write the label {label} on the container that is to serve it, and recreate it");
    if let Some(nearest) = near.first() {
        remedy = format!("did you mean {nearest}? If not: {remedy}");
    }
    if about(facts).next().is_some() {
        // What somebody wrote in vain says more.
        remedy.clear();
    }
    told.problem("asked for", "no container asks for this name", remedy);
    for name in near.into_iter().take(MOST_NEAR) {
        let by = facts
            .claimants
            .get(name)
            .and_then(|claimants| claimants.first());
        let by = by.map(|by| match by.bearer.is_settings() {
            true => format!(", asked for by the {}", by.label),
            false => format!(
                ", asked for by container {} (label {})",
                by.bearer, by.label
            ),
        });
        told.note(
            "asked for",
            format!("a similar name is {name}{}", by.unwrap_or_default()),
        );
    }
    let name = CertificateName::from(facts.host);
    if let Some(held) = facts.observed.held.get(&name) {
        told.note(
            "certificate",
            format!(
                "one is still held, valid until {}; nobody asks for it",
                facts.at(held.not_after)
            ),
        );
    }
}

/// Complaints that have to do with the name; those about proxies first, where none serves it.
pub(super) fn tell_complaints(facts: &Inspection<'_>, told: &mut Findings) {
    let unserved = facts.site().is_none();
    let is_of_proxy =
        |complaint: &Complaint| *complaint.origin.label == format!("{}.kind", facts.prefix);
    let mut all: Vec<_> = about(facts).collect();
    all.extend(
        facts
            .complaints()
            .filter(|complaint| unserved && is_of_proxy(complaint)),
    );
    all.sort_by_key(|complaint| !is_of_proxy(complaint));
    all.dedup();
    for complaint in all {
        let Complaint {
            origin,
            problem,
            remedy,
        } = complaint;
        let says = format!("{}: {problem}", origin.place());
        let remedy = match origin.bearer.is_settings() {
            true => remedy.clone(),
            false => format!("container {}: {remedy}", origin.bearer),
        };
        match is_of_proxy(complaint) && is_served(facts) {
            // Templates that are held back, say: those before them serve it.
            true => told.advice("complaint", says, remedy),
            false => told.problem("complaint", says, remedy),
        }
    }
    for fault in facts
        .faults
        .iter()
        .filter(|fault| fault.contains(facts.host.as_str()))
    {
        told.problem("on disk", fault, "");
    }
}

/// True if each proxy that is to serve the name does so, from a file that leads where it should.
fn is_served(facts: &Inspection<'_>) -> bool {
    let serves = |proxy: &Consumer| {
        let installed = facts
            .observed
            .installed
            .get(&proxy.name)
            .zip(proxy.sites.get(facts.host));
        proxy.running
            && installed
                .is_some_and(|(installed, site)| Instead::of(facts.host, site, installed).is_none())
    };
    facts.site().is_some() && facts.proxies().all(serves)
}

/// The complaints that are about the name.
fn about<'a>(facts: &'a Inspection<'_>) -> impl Iterator<Item = &'a Complaint> {
    let claimants = facts
        .claimants
        .get(facts.host)
        .into_iter()
        .flatten()
        .map(|claimant| &claimant.bearer)
        .collect();
    facts
        .complaints()
        .filter(move |complaint| concerns(facts, &claimants, complaint))
}

/// True if a complaint is about this name: it says so, or is about a container that asks for it and names no other.
fn concerns(
    facts: &Inspection<'_>,
    claimants: &BTreeSet<&ContainerName>,
    complaint: &Complaint,
) -> bool {
    let names = |text: &str| {
        let mut words = text.split(|c: char| c.is_whitespace() || c == ',');
        words.any(|word| {
            word.trim_end_matches([':', ';', '.'])
                .eq_ignore_ascii_case(facts.host.as_str())
        })
    };
    // Of thousands of complaints, few are about one of ours.
    let is_of_other = || {
        let mut others = facts.claimants.keys();
        others.any(|name| name.as_str() == &*complaint.origin.text)
    };
    let is_of_ours = claimants.contains(&complaint.origin.bearer)
        || facts.proxies().any(|p| p.name == complaint.origin.bearer);
    names(&complaint.origin.text) || names(&complaint.problem) || (is_of_ours && !is_of_other())
}
