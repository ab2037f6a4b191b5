//! Certificates that a server gets for names that its labels ask for, each under the name of the one that is wanted: so
//! its files are called the same whichever serves.

use std::{cmp::Reverse, collections::BTreeMap, rc::Rc};

use super::{
    part::Serving,
    selection::{Choice, Selection},
};
use crate::{
    desire::{CertificateFolder, Complaint, Consumer, Use},
    observe::Shelf,
    values::{CertificateName, Host},
};

/// By the name of the certificate that is wanted, what the server gets in its place.
pub(super) fn used(
    consumer: &Consumer,
    selection: &Selection<'_>,
) -> BTreeMap<CertificateName, Serving> {
    let mut used = BTreeMap::new();
    for name in with_room(consumer) {
        if let Some(choice) = best(consumer, name, selection) {
            let of = choice.name.clone();
            let serving = Serving::called(name.clone(), of, Rc::clone(choice.certificate));
            used.insert(name.clone(), serving);
        }
    }
    used
}

/// The certificates that its labels ask for, as far as its layout has room.
pub(super) fn with_room(consumer: &Consumer) -> Vec<&CertificateName> {
    let mut names: Vec<_> = consumer
        .uses
        .values()
        .map(|used| &used.certificate)
        .collect();
    names.sort();
    names.dedup();
    if has_room_for_one(consumer) {
        names.truncate(1);
    }
    names
}

fn has_room_for_one(consumer: &Consumer) -> bool {
    match &consumer.certificates {
        CertificateFolder::Delivered(delivery) => delivery.layout.is_for_one(),
        CertificateFolder::Shared { .. } => false,
    }
}

/// Of those that serve the names of one certificate, the one that covers most of them.
fn best<'a>(
    consumer: &Consumer,
    name: &CertificateName,
    selection: &Selection<'a>,
) -> Option<Choice<'a>> {
    let choices = of(consumer, name).filter_map(|(host, used)| {
        let choice = selection.of_use(consumer, host, used)?;
        is_where_it_is_read(consumer, name, &choice).then_some(choice)
    });
    let covered = |choice: &Choice<'_>| {
        let hosts = of(consumer, name);
        hosts
            .filter(|(host, _)| choice.certificate.covers(host))
            .count()
    };
    // Of equals the first: so it stays the same.
    choices.min_by_key(|choice| Reverse(covered(choice)))
}

/// True if a server that reads our own folder finds it there under the name that it looks for.
fn is_where_it_is_read(consumer: &Consumer, name: &CertificateName, choice: &Choice<'_>) -> bool {
    match consumer.certificates {
        CertificateFolder::Shared { .. } => {
            choice.name == name && choice.certificate.shelf == Shelf::Live
        }
        CertificateFolder::Delivered(_) => true,
    }
}

/// The names for which a server needs this certificate.
fn of<'c>(
    consumer: &'c Consumer,
    name: &'c CertificateName,
) -> impl Iterator<Item = (&'c Host, &'c Use)> {
    let uses = consumer.uses.iter();
    uses.filter(move |(_, used)| used.certificate == *name)
}

/// The serial number that must be seen for each name of a used certificate: where the server shows all names the same,
/// for one of them.
pub(super) fn serials<'c>(
    consumer: &'c Consumer,
    serving: &'c Serving,
) -> impl Iterator<Item = (&'c Host, &'c str)> {
    let most = match consumer.kind.shows_by_name {
        true => usize::MAX,
        false => 1,
    };
    let covered = of(consumer, &serving.name).filter(|(host, _)| serving.covers(host));
    covered
        .filter(|(host, _)| !host.is_wildcard())
        .filter_map(|(host, _)| Some((host, serving.serial()?)))
        .take(most)
}

/// The complaint about a server that has no room for all that it asks for.
pub(super) fn complaints(consumer: &Consumer) -> Vec<Complaint> {
    let mut without: Vec<_> = consumer.uses.values().collect();
    let with = with_room(consumer);
    without.retain(|used| !with.contains(&&used.certificate));
    let first = with.first().map(|name| name.as_str()).unwrap_or_default();
    let told = |used: &&Use| {
        let said = used.said.clone();
        let problem = format!(
            "its layout has room for one certificate, which is {first}; so it does not get {}",
            used.certificate
        );
        let remedy = format!(
            "put the names on one certificate with the label {}=WORD, or write a layout with NAME, such as {}=certbot",
            said.beside("certificate"),
            said.beside("layout"),
        );
        said.complains(problem, remedy)
    };
    without.iter().map(told).collect()
}
