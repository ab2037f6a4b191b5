//! Versions of certificates that come to a consumer by themselves.

use std::{collections::BTreeMap, rc::Rc};

use super::{content::PartInputs, part::Serving, selection::can_use};
use crate::{
    observe::{Observed, PartName, Source},
    values::{CertificateName, Timestamp},
};

/// Those that the labels of the consumer ask for, where it has another or none; and those that it has, and of which there is
/// another version in the same place: the one that is in force, or ours, where that is the user's and is refused or lies
/// elsewhere.
pub(super) fn renewed(
    wanted: &PartInputs<'_>,
    used: &BTreeMap<CertificateName, Serving>,
) -> BTreeMap<CertificateName, Serving> {
    let PartInputs {
        consumer,
        installed,
        observed,
        live,
        ..
    } = *wanted;
    let mut renewed = BTreeMap::new();
    for (name, wanted) in used {
        let ours = live
            .get(name)
            .filter(|ours| ours.source != Source::Provided);
        let ours = ours.map(|ours| Serving::new(name.clone(), Rc::clone(ours)));
        let versions = [Some(wanted.clone()), ours].into_iter().flatten();
        let part = PartName::Certificate(name.clone());
        let is_held_back = |digest| installed.trial.holds_back(&part, digest).is_some();
        let mut versions = versions.filter(|version| !is_held_back(version.digest()));
        let version = versions
            .next()
            .filter(|version| !version.is_given(installed));
        renewed.extend(version.map(|version| (name.clone(), version)));
    }
    let further = installed.certificates.iter();
    for (name, given) in further.filter(|(name, _)| !used.contains_key(name)) {
        let in_force = observed.held.get(name);
        let Some(in_force) = in_force.filter(|held| held.digest != *given) else {
            continue;
        };
        let part = PartName::Certificate(name.clone());
        let ours = live
            .get(name)
            .filter(|ours| ours.source != Source::Provided);
        let versions = [Some(in_force), ours].into_iter().flatten();
        let mut versions = versions
            .filter(|held| can_use(consumer, held))
            .filter(|held| installed.trial.holds_back(&part, held.digest).is_none())
            .map(|held| Serving::new(name.clone(), Rc::clone(held)))
            .filter(|serving| serving.is_renewed_alone((consumer, installed)));
        let version = versions.next();
        if let Some(version) = version.filter(|version| version.digest() != *given) {
            renewed.insert(name.clone(), version);
        }
    }
    renewed
}

/// When the next of these certificates becomes valid or runs out.
pub(super) fn next_change(observed: &Observed, now: Timestamp) -> Timestamp {
    let held = observed.held.values();
    held.flat_map(|held| [held.not_before, held.not_after])
        .filter(|time| *time > now)
        .min()
        .unwrap_or(Timestamp::from_millis(i64::MAX))
}
