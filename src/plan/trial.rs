//! Which changes go to a consumer next. What it refuses is found by halves: a site that breaks the configuration is
//! held back alone, and everything else goes live.

use std::collections::BTreeMap;

use super::content::{Part, Parts};
use crate::{
    desire::{Comes, Consumer},
    observe::{Installed, Units},
    values::{Digest, FileName},
};

/// What differs between a consumer's folder and what it should hold, and may go there.
pub(super) struct Changes {
    /// What goes next; empty when nothing may.
    pub next: Units,
    /// Whether it is all that differs.
    pub is_all: bool,
    /// Whether it is only what comes last, once everything else is at rest.
    pub is_last: bool,
}

/// Chooses from what should be there and what is.
pub(super) fn changes(consumer: &Consumer, parts: &Parts, installed: &Installed, can_be_tried: bool) -> Changes {
    let unit = |part: Option<&Part>| match part {
        Some(part) => (part.unit(), part.comes),
        None => (removal(), Comes::WithSites),
    };
    let differing = parts.differing().filter(|(file, _)| !installed.foreign.contains(*file));
    let differing: BTreeMap<FileName, (Digest, Comes)> =
        differing.map(|(file, part)| (file.clone(), unit(part))).collect();
    let all = differing.len();
    let mut open = differing;
    open.retain(|file, (unit, _)| installed.trial.holds_back(file, || *unit).is_none());
    if !can_be_tried {
        // It could not start with what it refuses, and nobody would know before.
        open.retain(|_, (_, comes)| *comes != Comes::Last);
    }
    if lacks_its_ground(consumer, parts, installed) {
        open.retain(|_, (_, comes)| *comes == Comes::First);
    }
    let Some(comes) = open.values().map(|(_, comes)| *comes).min() else {
        return Changes { next: Units::new(), is_all: all == 0, is_last: false };
    };
    let stage = open.iter().filter(|(_, (_, when))| *when == comes).map(|(file, (unit, _))| (file.clone(), *unit));
    let next = narrowed(stage.collect(), comes, &installed.trial.doubted);
    Changes { is_all: next.len() == all, is_last: comes == Comes::Last, next }
}

/// Whether a file that all sites stand on is refused and no older form of it is there: each of them would be refused
/// for that alone.
fn lacks_its_ground(consumer: &Consumer, parts: &Parts, installed: &Installed) -> bool {
    parts.own(consumer).filter(|(_, part)| part.comes == Comes::WithSites).any(|(file, part)| {
        !installed.files.contains_key(&file) && installed.trial.holds_back(&file, || part.unit()).is_some()
    })
}

/// What stands for taking a file away.
fn removal() -> Digest {
    Digest::of("removed")
}

/// Of a stage, half of what is doubted; all of it when nothing is. Of what comes last each comes alone: it is known to
/// be refused by some.
fn narrowed(stage: Units, comes: Comes, doubted: &Units) -> Units {
    let doubted: Units = stage.iter().filter(|(file, unit)| doubted.get(*file) == Some(*unit)).map(owned).collect();
    let half = doubted.len().div_ceil(2);
    match (comes, half) {
        (Comes::Last, _) => stage.into_iter().take(1).collect(),
        (_, 0) => stage,
        _ => doubted.into_iter().take(half).collect(),
    }
}

fn owned((file, unit): (&FileName, &Digest)) -> (FileName, Digest) {
    (file.clone(), *unit)
}
