//! Which parts go to a consumer next. What it refuses is found by halves: a part that breaks the configuration is held
//! back alone, and everything else goes live. The older file of a site that is held back stays, as long as it leads to
//! nobody else.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    case::Case,
    content::Parts,
    gate::{self, Astray},
    part::own_file,
};
use crate::{
    desire::Comes,
    observe::{PartName, Trial, Units},
    values::{Digest, FileName},
};

/// The differences between what a consumer has and what it should have, as far as they may be deployed.
pub(super) struct Changes {
    /// The parts that go next, and what is in them; empty when nothing may go.
    pub next: Units,
    /// True if `next` is the whole difference.
    pub is_all: bool,
    /// True if it is only the part that comes last, once everything else is at rest.
    pub is_last: bool,
}

/// When a part comes: it waits as long as any of an earlier stage may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// Older files that lead elsewhere go before anything else is done.
    Removals,
    Parts(Comes),
}

impl Stage {
    /// Where certificates come.
    const CERTIFICATES: Self = Self::Parts(Comes::WithSites);
}

/// A difference between a part and what is there.
#[derive(Clone, Copy)]
struct Difference {
    /// The digest that it would have.
    unit: Digest,
    stage: Stage,
}

/// Chooses from what should be there and what is. What some servers refuse comes last, and only where `can_be_tried`.
pub(super) fn changes(case: &Case<'_>, parts: &Parts, can_be_tried: bool) -> Changes {
    let lacks_ground = lacks_ground(case, parts);
    let files: Vec<_> = files(case, parts).collect();
    let count = files.len() + parts.renewed().len();
    let may_go = |(part, difference): &(PartName, Difference)| {
        let is_of_site = part.file().is_some_and(|file| parts.get(file).is_some());
        match difference.stage {
            Stage::Parts(Comes::WithSites) => !(lacks_ground && is_of_site),
            // It could not start with what it refuses, and nobody would know before.
            Stage::Parts(Comes::Last) => can_be_tried,
            Stage::Removals | Stage::Parts(Comes::First) => true,
        }
    };
    let files = files.into_iter().filter(may_go);
    let trial = &case.installed.trial;
    let mut open: BTreeMap<_, _> = removals(case, parts, lacks_ground)
        .chain(certificates(parts))
        .chain(files)
        .collect();
    open.retain(|part, difference| case.held_back(part, difference.unit).is_none());
    let stage = open.values().map(|difference| difference.stage).min();
    open.retain(|_, difference| Some(difference.stage) == stage);
    let mut next = first(units(open), trial);
    let is_last = stage == Some(Stage::Parts(Comes::Last));
    if is_last {
        // It is known to be refused by some: each comes alone.
        next = next.into_iter().take(1).collect();
    }
    Changes {
        is_all: parts.failing().next().is_none() && next.len() == count,
        next,
        is_last,
    }
}

/// The changes for a trial of a new edition: all files that are made with it. Files that some servers are known to
/// refuse, or that this one refused in an earlier form, would say nothing about the edition.
pub(super) fn of_edition(case: &Case<'_>, parts: &Parts) -> Changes {
    let installed = case.installed;
    let mut open: BTreeMap<_, _> = files(case, parts).collect();
    open.retain(|part, difference| match difference.stage {
        Stage::Parts(Comes::First) => part
            .file()
            .is_some_and(|file| installed.files.contains_key(file)),
        Stage::Parts(Comes::WithSites) => !installed.trial.refused.contains_key(part),
        Stage::Parts(Comes::Last) | Stage::Removals => false,
    });
    Changes {
        next: units(open),
        is_all: false,
        is_last: false,
    }
}

fn units(open: BTreeMap<PartName, Difference>) -> Units {
    let unit = |(part, difference): (PartName, Difference)| (part, difference.unit);
    open.into_iter().map(unit).collect()
}

/// Files that differ, but those that were not written by us.
fn files<'a>(
    case: &'a Case<'_>,
    parts: &'a Parts,
) -> impl Iterator<Item = (PartName, Difference)> + 'a {
    parts.differing().filter_map(|(file, part)| {
        if case.installed.foreign.contains(file) {
            return None;
        }
        let difference = match part {
            Some(part) => Difference {
                unit: case.unit(part)?,
                stage: Stage::Parts(part.comes),
            },
            None => Difference {
                unit: Digest::of("removed"),
                stage: Stage::Parts(Comes::WithSites),
            },
        };
        Some((PartName::File(file.clone()), difference))
    })
}

/// Certificates of which there is a newer version.
fn certificates(parts: &Parts) -> impl Iterator<Item = (PartName, Difference)> {
    parts.renewed().iter().map(|(name, serving)| {
        let difference = Difference {
            unit: serving.digest(),
            stage: Stage::CERTIFICATES,
        };
        (PartName::Certificate(name.clone()), difference)
    })
}

/// Older files of sites whose own files can't go next, where they lead to an address that is not the site's, and may be
/// another's by now. Those files are in doubt, or no template can be rendered for them; without ground, all are.
fn removals<'a>(
    case: &'a Case<'_>,
    parts: &'a Parts,
    lacks_ground: bool,
) -> impl Iterator<Item = (PartName, Difference)> + 'a {
    let installed = case.installed;
    let known = installed.trial.parts();
    let known = known.filter_map(|part| part.file().or(part.removal()));
    let failing = parts.failing().map(|(file, ..)| file);
    let differing = parts.differing().map(|(file, _)| file);
    let held_back: BTreeSet<&FileName> = known
        .chain(failing)
        .chain(differing.filter(|_| lacks_ground))
        .collect();
    held_back.into_iter().filter_map(|file| {
        let there = installed.files.get(file)?;
        let part = parts.get(file);
        let is_as_it_should_be = part.is_some_and(|part| part.has_text(file, installed));
        if is_as_it_should_be
            || installed.foreign.contains(file)
            || gate::elsewhere(parts, installed, file) == Astray::Nowhere
        {
            return None;
        }
        let difference = Difference {
            unit: there.digest,
            stage: Stage::Removals,
        };
        Some((PartName::Removal(file.clone()), difference))
    })
}

/// True if a file that all sites need can't be rendered, or is refused with no older form of it there: each site would
/// be refused for that alone.
fn lacks_ground(case: &Case<'_>, parts: &Parts) -> bool {
    let own = case.consumer.own_files().iter();
    let mut grounds = own.filter(|own| own.comes != Comes::Last);
    grounds.any(|own| {
        let file = own_file(own.file);
        let Some(part) = parts.get(&file) else {
            return false;
        };
        let is_there = case.installed.files.contains_key(&file);
        part.text.is_err()
            || own.comes == Comes::WithSites && !is_there && case.refusal(&file, part).is_some()
    })
}

/// Those of a stage that go first: what is in no doubt; then half of what is doubted; then what was released from doubt
/// and waits; and what was refused in an earlier form after all others.
fn first(stage: Units, trial: &Trial) -> Units {
    let rank = |part: &PartName, unit: &Digest| match () {
        () if trial.doubted.get(part) == Some(unit) => 1,
        () if trial.refused.contains_key(part) => 3,
        () if trial.waiting.get(part) == Some(unit) => 2,
        () => 0,
    };
    let Some(lowest) = stage.iter().map(|(part, unit)| rank(part, unit)).min() else {
        return stage;
    };
    let mut first = stage;
    first.retain(|part, unit| rank(part, unit) == lowest);
    if lowest == 1 {
        let half = first.len().div_ceil(2);
        first = first.into_iter().take(half).collect();
    }
    first
}
