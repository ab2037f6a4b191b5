//! Versions of certificates that come to a consumer by themselves.

use std::{collections::BTreeMap, rc::Rc};

use super::{content::PartInputs, part::Serving, selection::can_use};
use crate::{
    observe::{HeldCertificate, Observed, PartName, Source},
    values::{CertificateName, Digest, Timestamp},
};

/// Those that the labels of the consumer ask for, where it has another or none; and those that it has, and of which there is
/// another version in the same place: the one that is in force, or ours, where that is the user's and is refused or lies
/// elsewhere.
pub(super) fn renewed(
    wanted: &PartInputs<'_>,
    used: &BTreeMap<CertificateName, Serving>,
) -> BTreeMap<CertificateName, Serving> {
    let mut renewed = BTreeMap::new();
    for (name, serving) in used {
        if let Some(version) = of_used(wanted, name, serving) {
            renewed.insert(name.clone(), version);
        }
    }
    for (name, given) in &wanted.installed.certificates {
        if !used.contains_key(name)
            && let Some(version) = of_given(wanted, name, *given)
        {
            renewed.insert(name.clone(), version);
        }
    }
    renewed
}

/// The version that comes of a certificate that the labels ask for; none where the consumer has it.
fn of_used(wanted: &PartInputs<'_>, name: &CertificateName, serving: &Serving) -> Option<Serving> {
    let part = PartName::Certificate(name.clone());
    let trial = &wanted.installed.trial;
    let version = match trial.holds_back(&part, serving.digest()) {
        None => serving.clone(),
        Some(_) => {
            let ours = Serving::new(name.clone(), Rc::clone(ours(wanted, name)?));
            if trial.holds_back(&part, ours.digest()).is_some() {
                return None;
            }
            ours
        }
    };
    (!version.is_given(wanted.installed)).then_some(version)
}

/// The version that comes of a certificate that the consumer has, and that its labels don't ask for.
fn of_given(wanted: &PartInputs<'_>, name: &CertificateName, given: Digest) -> Option<Serving> {
    let in_force = wanted.observed.held.get(name)?;
    if in_force.digest == given {
        return None;
    }
    let part = PartName::Certificate(name.clone());
    let versions = [Some(in_force), ours(wanted, name)];
    for held in versions.into_iter().flatten() {
        let serving = Serving::new(name.clone(), Rc::clone(held));
        if can_use(wanted.consumer, held)
            && wanted
                .installed
                .trial
                .holds_back(&part, held.digest)
                .is_none()
            && serving.is_renewed_alone((wanted.consumer, wanted.installed))
        {
            return (held.digest != given).then_some(serving);
        }
    }
    None
}

/// The certificate of this name that quaymaster obtained.
fn ours<'a>(wanted: &PartInputs<'a>, name: &CertificateName) -> Option<&'a Rc<HeldCertificate>> {
    let live = wanted.live.get(name)?;
    (live.source != Source::Provided).then_some(live)
}

/// When the next of these certificates becomes valid or runs out.
pub(super) fn next_change(observed: &Observed, now: Timestamp) -> Timestamp {
    let held = observed.held.values();
    held.flat_map(|held| [held.not_before, held.not_after])
        .filter(|time| *time > now)
        .min()
        .unwrap_or(Timestamp::from_millis(i64::MAX))
}
