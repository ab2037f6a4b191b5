//! Which changes go to a consumer next. What it refuses is found by halves: a site that breaks the configuration is
//! held back alone, and everything else goes live. The older file of a site that is held back stays, as long as it leads
//! to nobody else, and its certificate is renewed.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    content::Parts,
    deploy::Case,
    part::{Part, Serving, own_file},
};
use crate::{
    desire::{CertificateFolder, Comes, Consumer},
    observe::{Installed, Trial, Units},
    values::{Digest, FileName},
};

/// What differs between a consumer's folder and what it should hold, and may go there.
pub(super) struct Changes {
    /// What goes next; empty when nothing may.
    pub next: Units,
    /// What comes before that: nothing else goes then.
    pub stopgaps: BTreeMap<FileName, Stopgap>,
    /// Whether `next` is all that differs.
    pub is_all: bool,
    /// Whether it is only what comes last, once everything else is at rest.
    pub is_last: bool,
}

/// What is done about a site whose own file is held back.
pub(super) enum Stopgap {
    /// The older file goes: it leads to an address that is not the site's, and may be another's by now.
    Goes {
        /// The digest of that file.
        file: Digest,
    },
    /// The older file gets a newer certificate: the one that the site has now, or, where that is one of the user's that is
    /// refused, ours.
    TakesCertificate(Serving),
}

impl Stopgap {
    /// What is in it: the same one is not tried again when it was refused alone.
    pub fn unit(&self) -> Digest {
        match self {
            Self::Goes { file } => Digest::of_parts(["goes", &file.to_string()]),
            Self::TakesCertificate(serving) => {
                Digest::of_parts(["takes", &serving.digest().to_string()])
            }
        }
    }

    /// The certificate that it brings.
    pub fn certificate(&self) -> Option<&Serving> {
        match self {
            Self::Goes { .. } => None,
            Self::TakesCertificate(serving) => Some(serving),
        }
    }
}

/// Chooses from what should be there and what is. A trial of an edition takes all that is made with it at once.
pub(super) fn changes(
    case: &Case<'_>,
    parts: &Parts,
    can_be_tried: bool,
    is_trial: bool,
) -> Changes {
    let Case {
        consumer,
        installed,
        ..
    } = *case;
    let lacks_its_ground = lacks_its_ground(consumer, parts, installed);
    let differing = || {
        parts
            .differing()
            .filter(|(file, _)| !installed.foreign.contains(*file))
    };
    if !is_trial {
        let further = lacks_its_ground
            .then(|| differing().map(|(file, _)| file))
            .into_iter()
            .flatten();
        let stopgaps = stopgaps(case, parts, further);
        if !stopgaps.is_empty() {
            return Changes {
                next: Units::new(),
                stopgaps,
                is_all: false,
                is_last: false,
            };
        }
    }
    let may_go = |(file, part): &(&FileName, Option<&Part>)| match part {
        Some(part) if lacks_its_ground && part.comes == Comes::WithSites => {
            // A certificate is renewed all the same where the file that names it is as it should be.
            part.host().is_some() && part.has_file(file, installed)
        }
        // It could not start with what it refuses, and nobody would know before.
        Some(part) => can_be_tried || part.comes != Comes::Last,
        None => true,
    };
    let unit = |part: Option<&Part>| match part {
        Some(part) => (part.unit(), part.comes),
        None => (removal(), Comes::WithSites),
    };
    let mut open: BTreeMap<FileName, (Digest, Comes)> = differing()
        .filter(may_go)
        .map(|(file, part)| (file.clone(), unit(part)))
        .collect();
    open.retain(|file, (unit, _)| installed.trial.holds_back(file, || *unit).is_none());
    if is_trial {
        return trial(open, installed);
    }
    let comes = open.values().map(|(_, comes)| *comes).min();
    let stage = open
        .into_iter()
        .filter(|(_, (_, when))| Some(*when) == comes);
    let mut next = first(
        stage.map(|(file, (unit, _))| (file, unit)).collect(),
        &installed.trial,
    );
    let is_last = comes == Some(Comes::Last);
    if is_last {
        // It is known to be refused by some: each comes alone.
        next = next.into_iter().take(1).collect();
    }
    let is_all = parts.unrendered().is_empty() && next.len() == differing().count();
    Changes {
        next,
        stopgaps: BTreeMap::new(),
        is_all,
        is_last,
    }
}

/// Of what may go, what goes in a try of new templates. What some servers are known to refuse, or this one refused in an
/// earlier form, would say nothing about them.
fn trial(mut open: BTreeMap<FileName, (Digest, Comes)>, installed: &Installed) -> Changes {
    open.retain(|file, (_, comes)| match comes {
        Comes::First => installed.files.contains_key(file),
        Comes::WithSites => !installed.trial.refused.contains_key(file),
        Comes::Last => false,
    });
    let next = open
        .into_iter()
        .map(|(file, (unit, _))| (file, unit))
        .collect();
    Changes {
        next,
        stopgaps: BTreeMap::new(),
        is_all: false,
        is_last: false,
    }
}

/// Whether a file that all sites stand on can't be rendered, or is refused and no older form of it is there: each of them
/// would be refused for that alone.
fn lacks_its_ground(consumer: &Consumer, parts: &Parts, installed: &Installed) -> bool {
    let grounds = consumer
        .kind
        .own_files
        .iter()
        .filter(|own| own.comes != Comes::Last);
    let mut files = grounds.map(|own| (own_file(own.file), own.comes));
    files.any(|(file, comes)| {
        let is_refused = |part: &Part| installed.trial.holds_back(&file, || part.unit()).is_some();
        let is_missing = comes == Comes::WithSites && !installed.files.contains_key(&file);
        parts.unrendered().contains_key(&file)
            || (is_missing && parts.get(&file).is_some_and(is_refused))
    })
}

/// What has to be done about sites whose own files can't go next: those in doubt, those that no template can be rendered
/// for, and `further` ones.
fn stopgaps<'a>(
    case: &Case<'a>,
    parts: &'a Parts,
    further: impl Iterator<Item = &'a FileName>,
) -> BTreeMap<FileName, Stopgap> {
    let installed = case.installed;
    let held_back: BTreeSet<&FileName> = installed
        .trial
        .files()
        .chain(parts.unrendered().keys())
        .chain(further)
        .collect();
    let of_each = held_back
        .into_iter()
        .filter(|file| !installed.foreign.contains(*file));
    let mut found: BTreeMap<FileName, Stopgap> = of_each
        .filter_map(|file| Some((file.clone(), stopgap(file, parts, case)?)))
        .collect();
    let trial = &installed.stopgaps.trial;
    let next = first(
        found
            .iter()
            .map(|(file, stopgap)| (file.clone(), stopgap.unit()))
            .collect(),
        trial,
    );
    found.retain(|file, _| next.contains_key(file));
    found
}

/// The next one for the older file of a site; none that was refused alone.
fn stopgap(file: &FileName, parts: &Parts, case: &Case<'_>) -> Option<Stopgap> {
    let installed = case.installed;
    let there = installed.files.get(file)?;
    let is_untried = |stopgap: &Stopgap| {
        let trial = &installed.stopgaps.trial;
        trial.holds_back(file, || stopgap.unit()).is_none()
    };
    let part = parts.get(file);
    let has_file = part.is_some_and(|part| part.has_file(file, installed));
    let is_own = |address| {
        parts
            .site(file)
            .is_some_and(|site| site.may_lead_to(address))
    };
    if !has_file && !there.leads_to.iter().all(is_own) {
        return Some(Stopgap::Goes { file: there.digest }).filter(is_untried);
    }
    let serving = parts.certificate(file)?;
    if serving.is_given(installed) {
        return None;
    }
    let is_older = |serving: &Serving| {
        let given = installed.certificates.get(&serving.name);
        given.is_some_and(|given| *given != serving.digest())
    };
    let takes = |serving: Serving| {
        let takes = is_older(&serving).then_some(Stopgap::TakesCertificate(serving));
        takes.filter(is_untried)
    };
    // Where the text is as it should be, its certificate is what is held back.
    let own = || takes(serving.clone()).filter(|_| !has_file);
    let is_refused = part.is_some_and(|part| {
        let held_back = installed.trial.holds_back(file, || part.unit());
        held_back.is_some() && serving.is_the_users()
    });
    let ours = || case.ours(parts.host(file)?, parts.site(file)?);
    match (is_refused.then(ours).flatten(), &case.consumer.certificates) {
        (Some(ours), CertificateFolder::Delivered(_)) => takes(ours).or_else(own),
        // Ours lies elsewhere than the user's of the same name, so the older file can't get both.
        (Some(ours), CertificateFolder::Shared { .. }) => takes(ours),
        (None, _) => own(),
    }
}

/// What stands for taking a file away.
fn removal() -> Digest {
    Digest::of("removed")
}

/// Those of a stage that go first: what is in no doubt; then half of what is doubted; then what was released from doubt
/// and waits; and what was refused in an earlier form after all others.
fn first(stage: Units, trial: &Trial) -> Units {
    let rank = |file: &FileName, unit: &Digest| match () {
        () if trial.doubted.get(file) == Some(unit) => 1,
        () if trial.refused.contains_key(file) => 3,
        () if trial.waiting.get(file) == Some(unit) => 2,
        () => 0,
    };
    let Some(lowest) = stage.iter().map(|(file, unit)| rank(file, unit)).min() else {
        return stage;
    };
    let mut first = stage;
    first.retain(|file, unit| rank(file, unit) == lowest);
    if lowest == 1 {
        let half = first.len().div_ceil(2);
        first = first.into_iter().take(half).collect();
    }
    first
}
