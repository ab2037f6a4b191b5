//! The conclusions about a consumer that was given something and looked at: the parts in use, those held back, and
//! those on trial by halves. Pure: the daemon, the forecast of `plan`, and the proxies that tests simulate all ask
//! here.

use std::{collections::BTreeSet, time::Duration};

use super::{Deploy, TakeBack};
use crate::{
    observe::{
        Installed, InstalledTemplates, PartName, Progress, Refused, RefusedTemplates, Trial, Units,
    },
    values::{CertificateName, Timestamp},
};

/// The share of its time beyond which the earlier generation may only be slow: then the new one may have been slow,
/// too.
const CONCLUSIVE_SHARE: u32 = 2;

/// Whom a refusal speaks against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Parts that came with the deployment: each of these as one.
    Refused(Vec<Refusal>),
    /// The edition of templates that was on trial.
    EditionRefused {
        /// The observed symptom, or the consumer's own words.
        reason: String,
    },
    /// Nobody: what was there before was refused a moment ago, too.
    Open,
    /// Nobody: the consumer may only be slow.
    Slow {
        /// Time that the earlier files took.
        took: Duration,
    },
    /// The consumer's own configuration, which its tool refuses without ours, too.
    OwnIsBroken,
    /// Nobody that is known: the tool names files that did not come with the deployment.
    Unexplained,
}

/// Parts that were refused as one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// One that came alone is held back until it changes; of several, at least one is to blame.
    pub parts: BTreeSet<PartName>,
    /// The observed symptom, or the consumer's own words.
    pub reason: String,
    /// The reason why that does no harm, where some servers are known to refuse it.
    pub excuse: Option<&'static str>,
}

/// The earlier generation, seen again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeenAgain {
    /// When the last of it was seen.
    pub at: Timestamp,
    /// Time that it took.
    pub took: Duration,
    /// Time that it might have taken.
    pub within: Duration,
}

impl Deploy {
    /// The record once the new generation was seen. `reload` is the time that the consumer took for it, where it was
    /// reloaded.
    pub fn proven(&self, at: Timestamp, reload: Option<Duration>) -> Installed {
        let mut installed = self.after.clone();
        accepted(&mut installed.trial, &self.after.trying);
        take_edition(&mut installed.templates);
        close(&mut installed);
        let is_named = |name: &CertificateName| !self.forget.contains(name);
        installed.certificates.retain(|name, _| is_named(name));
        installed.progress = Progress::Proven { at };
        installed.reload = reload.or(installed.reload);
        installed
    }

    /// The record of files without a reload: they stay in question until the consumer starts again.
    pub fn not_told(&self, reason: String) -> Installed {
        Installed {
            progress: Progress::Unproven { reason },
            ..self.after.clone()
        }
    }

    /// The record of files that stay, though they can't be seen.
    pub fn unproven(&self, reason: String) -> Installed {
        let mut installed = self.after.clone();
        take_edition(&mut installed.templates);
        close(&mut installed);
        installed.progress = Progress::Unproven { reason };
        installed
    }

    /// The record while the earlier files are back, given the present contents of the folder. The consumer was not
    /// reloaded for the new files.
    pub fn withdrawn(&self, there: Installed) -> Installed {
        let mut installed = returned(&self.before, there);
        installed.is_own_broken = false;
        installed
    }

    /// The same where it has heard of it. Until it is known that it runs well with what it had, nothing new is put there
    /// while it does not run.
    pub fn taken_back(&self, there: Installed) -> Installed {
        Installed {
            generation: self.back.mark,
            progress: Progress::TakenBack,
            process: self.after.process,
            signals: self.after.signals.clone(),
            is_own_broken: false,
            ..returned(&self.before, there)
        }
    }

    /// The record once the consumer's tool refused the new files, for this reason and naming these files.
    /// `refuses_before` is true if it refuses the earlier files, too. `installed` is from [`Self::withdrawn`].
    pub fn rejected(
        &self,
        mut installed: Installed,
        named: &BTreeSet<PartName>,
        refuses_before: bool,
        reason: &str,
        now: Timestamp,
    ) -> (Installed, Verdict) {
        installed.is_own_broken = named.is_empty() && refuses_before;
        if installed.is_own_broken {
            return (installed, Verdict::OwnIsBroken);
        }
        // Its own files were broken when it was last asked, and may have been mended between the two looks.
        if named.is_empty() && !self.is_conclusive {
            return (installed, Verdict::Open);
        }
        let suspects = suspects(named, &self.after.trying);
        let verdict = match suspects.is_empty() {
            true => Verdict::Unexplained,
            false => self.blame(&mut installed, suspects, reason, now),
        };
        (installed, verdict)
    }

    /// The record once the new generation was not seen in time, and the earlier one was. `installed` is from
    /// [`Self::taken_back`].
    pub fn refused(
        &self,
        mut installed: Installed,
        again: SeenAgain,
        reason: &str,
    ) -> (Installed, Verdict) {
        let SeenAgain { at, took, within } = again;
        installed.reload = Some(took);
        installed.progress = Progress::Proven { at };
        let verdict = if took * CONCLUSIVE_SHARE > within {
            Verdict::Slow { took }
        } else if self.is_conclusive {
            let all = vec![self.after.trying.clone()];
            self.blame(&mut installed, all, reason, at)
        } else {
            Verdict::Open
        };
        (installed, verdict)
    }

    /// Writes down what is held to be refused: the edition, where it was a try of one.
    fn blame(
        &self,
        installed: &mut Installed,
        suspects: Vec<Units>,
        reason: &str,
        at: Timestamp,
    ) -> Verdict {
        let reason = reason.to_owned();
        if let Some(edition) = self.edition {
            installed.templates.refused = Some(RefusedTemplates {
                digest: edition,
                reason: reason.clone(),
            });
            return Verdict::EditionRefused { reason };
        }
        let trial = &mut installed.trial;
        let refusals = suspects.into_iter().map(|units| {
            refused(trial, &units, &reason, at);
            Refusal {
                excuse: self.excuse(&units),
                parts: units.into_keys().collect(),
                reason: reason.clone(),
            }
        });
        Verdict::Refused(refusals.collect())
    }

    fn excuse(&self, units: &Units) -> Option<&'static str> {
        let own = self.consumer.own_files().iter();
        own.filter(|own| units.keys().any(|part| is_file(part, own.file)))
            .find_map(|own| own.excuse)
            .filter(|_| self.is_optional)
    }
}

fn is_file(part: &PartName, name: &str) -> bool {
    part.file().is_some_and(|file| file.as_str() == name)
}

impl TakeBack {
    /// The record once the earlier files are back, given the present contents of the folder. There was no reload: the
    /// consumer does not run.
    pub fn taken_back(&self, there: Installed) -> Installed {
        Installed {
            progress: Progress::TakenBack,
            ..returned(&self.before, there)
        }
    }
}

/// The earlier record, with the present contents of the folder.
fn returned(before: &Installed, there: Installed) -> Installed {
    let mut installed = Installed {
        files: there.files,
        foreign: there.foreign,
        certificates: there.certificates,
        shut: there.shut,
        beside: there.beside,
        ..before.clone()
    };
    close(&mut installed);
    installed
}

/// Forgets what a generation brought: it is not in question any more.
pub(super) fn close(installed: &mut Installed) {
    installed.open = false;
    installed.has_earlier = false;
    installed.templates.trying = None;
    installed.trying.clear();
}

/// Notes the edition of which something is in use.
fn take_edition(templates: &mut InstalledTemplates) {
    let other = |taken: &_| templates.used != Some(*taken);
    if let Some(taken) = templates.trying.filter(other) {
        *templates = InstalledTemplates {
            used: Some(taken),
            ..InstalledTemplates::default()
        };
    }
}

/// The parts of `trying` that a tool refuses as one: each file that it names alone; all of it where it names none.
fn suspects(named: &BTreeSet<PartName>, trying: &Units) -> Vec<Units> {
    if named.is_empty() {
        let all = Some(trying.clone()).filter(|all| !all.is_empty());
        return all.into_iter().collect();
    }
    let alone = |part: &PartName| Some(Units::from([(part.clone(), *trying.get(part)?)]));
    named.iter().filter_map(alone).collect()
}

/// Notes that `tried` was taken up.
fn accepted(trial: &mut Trial, tried: &Units) {
    trial.doubted.retain(|part, _| !tried.contains_key(part));
    trial.waiting.retain(|part, _| !tried.contains_key(part));
    trial.refused.retain(|part, refused| match tried.get(part) {
        None => true,
        // A certificate of ours that takes the place of the user's says nothing for that.
        Some(unit) => part.certificate().is_some() && refused.unit != *unit,
    });
}

/// Notes that `tried` was refused: a part that came alone is to blame, of several one or more are.
pub(super) fn refused(trial: &mut Trial, tried: &Units, reason: &str, at: Timestamp) {
    trial.doubted.retain(|part, _| !tried.contains_key(part));
    trial.waiting.retain(|part, _| !tried.contains_key(part));
    let mut parts = tried.iter();
    match (parts.next(), parts.next()) {
        (Some((part, unit)), None) => {
            let refused = Refused {
                unit: *unit,
                reason: reason.to_owned(),
                at,
            };
            trial.refused.insert(part.clone(), refused);
        }
        _ => {
            trial.waiting.append(&mut trial.doubted);
            trial.doubted = tried.clone();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::{Digest, FileName};

    fn part(name: &str) -> PartName {
        PartName::File(FileName::parse(name).expect("a name"))
    }

    fn units(names: &[&str]) -> Units {
        names
            .iter()
            .map(|name| (part(name), Digest::of(name)))
            .collect()
    }

    #[test]
    fn blame_is_narrowed_down_to_one() {
        let at = Timestamp::from_seconds(0);
        let mut trial = Trial::default();
        refused(&mut trial, &units(&["a", "b", "c", "d"]), "no", at);
        assert_eq!(trial.doubted, units(&["a", "b", "c", "d"]));
        accepted(&mut trial, &units(&["a", "b"]));
        assert_eq!(trial.doubted, units(&["c", "d"]));
        refused(&mut trial, &units(&["c", "d"]), "no", at);
        assert_eq!(trial.doubted, units(&["c", "d"]));
        refused(&mut trial, &units(&["c"]), "no", at);
        assert_eq!(trial.doubted, units(&["d"]));
        assert!(trial.holds_back(&part("c"), Digest::of("c")).is_some());
        assert!(trial.holds_back(&part("c"), Digest::of("mended")).is_none());
        accepted(&mut trial, &units(&["c", "d"]));
        assert_eq!(trial, Trial::default());
        refused(&mut trial, &units(&["a", "b", "c", "d"]), "no", at);
        refused(&mut trial, &units(&["a", "b"]), "no", at);
        assert_eq!(
            (&trial.doubted, &trial.waiting),
            (&units(&["a", "b"]), &units(&["c", "d"]))
        );
    }

    #[test]
    fn only_what_is_named_is_suspected_and_all_where_nothing_is() {
        let named = |names: &[&str]| units(names).into_keys().collect::<BTreeSet<_>>();
        let trying = units(&["a", "b", "c"]);
        assert_eq!(
            suspects(&named(&["a", "c"]), &trying),
            [units(&["a"]), units(&["c"])]
        );
        assert_eq!(suspects(&named(&[]), &trying), [trying]);
        assert_eq!(suspects(&named(&[]), &Units::new()), []);
    }
}
