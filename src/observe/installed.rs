use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::values::{CertificateName, Digest, FileName, Timestamp};

/// What lies in a consumer's folder, and how far the consumer has taken it up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Installed {
    /// Counts the deployments to this consumer and what was taken back; shown by its mark, so that old and new workers
    /// can be told apart.
    pub generation: u64,
    /// Our files in its folder and what is in them.
    pub files: BTreeMap<FileName, Digest>,
    /// Files there that are called like ours and were not written by us.
    #[serde(default)]
    pub foreign: BTreeSet<FileName>,
    /// The certificates that it was given, or told to read again.
    pub certificates: BTreeMap<CertificateName, Digest>,
    /// How far this generation got.
    pub progress: Progress,
    /// What is known of what it refuses.
    #[serde(default)]
    pub trial: Trial,
    /// How long its last reload took, from the signal until nothing but the new generation was seen; none before the
    /// first.
    #[serde(default)]
    pub reload: Option<Duration>,
    /// Whether the journal still holds what was there before: this generation was not seen yet.
    #[serde(default)]
    pub open: bool,
    /// What this generation brought, as long as the journal is open.
    #[serde(default)]
    pub trying: Units,
    /// The consumer's process when the files were put there.
    #[serde(default)]
    pub process: Process,
}

/// The process of a consumer, as far as it matters to whom a file is news.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Whether it ran.
    pub running: bool,
    /// When it last started.
    pub started_at: Option<Timestamp>,
}

/// How far a deployment got. Written down before each step, so that a crash leaves the truth behind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Progress {
    /// Files may be in place; the signal, or the proof that it was followed, is owed.
    #[default]
    SignalOwed,
    /// The generation and its certificates were seen on a new connection.
    Proven {
        /// When they were seen.
        at: Timestamp,
    },
    /// The signal was sent; whether it was followed can't be seen from here.
    Unproven {
        /// What would make proof possible.
        reason: String,
    },
    /// The consumer ended before it showed this generation, and what was there before is back.
    TakenBack,
}

/// A part of what a consumer is given that can be held back alone, by the file that it stands in; and what is in it,
/// certificate included.
pub type Units = BTreeMap<FileName, Digest>;

/// What is known of what a consumer refuses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// Refused when they came together; at least one of them is to blame. Tried by halves.
    pub doubted: Units,
    /// Refused alone: held back until they change.
    pub refused: BTreeMap<FileName, Refused>,
}

/// A part that a consumer refused when it came alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// What it was.
    pub unit: Digest,
    /// What was seen, or the consumer's own words.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

impl Installed {
    /// What is known once this generation was seen; certificates that nothing names any more go with it.
    pub fn prove(&mut self, forget: &BTreeSet<CertificateName>, at: Timestamp) {
        self.trial.accepted(&self.trying);
        self.trying.clear();
        self.certificates.retain(|name, _| !forget.contains(name));
        self.open = false;
        self.progress = Progress::Proven { at };
    }
}

impl Trial {
    /// What is known after `tried` was taken up.
    pub fn accepted(&mut self, tried: &Units) {
        self.doubted.retain(|file, _| !tried.contains_key(file));
        self.refused.retain(|file, _| !tried.contains_key(file));
    }

    /// What is known after `tried` was refused: a part that came alone is to blame, of several one or more are.
    pub fn refused(&mut self, tried: &Units, reason: &str, at: Timestamp) {
        self.doubted.retain(|file, _| !tried.contains_key(file));
        let mut parts = tried.iter();
        match (parts.next(), parts.next()) {
            (Some((file, unit)), None) => {
                let refused = Refused { unit: *unit, reason: reason.to_owned(), at };
                self.refused.insert(file.clone(), refused);
            }
            _ => self.doubted = tried.clone(),
        }
    }

    /// Why this part is held back, if it is.
    pub fn holds_back(&self, file: &FileName, unit: impl FnOnce() -> Digest) -> Option<&Refused> {
        let refused = self.refused.get(file)?;
        (refused.unit == unit()).then_some(refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(names: &[&str]) -> Units {
        names.iter().map(|name| (FileName::parse(*name).expect("a name"), Digest::of(name))).collect()
    }

    #[test]
    fn blame_is_narrowed_down_to_one() {
        let at = Timestamp::from_seconds(0);
        let mut trial = Trial::default();
        trial.refused(&units(&["a", "b", "c", "d"]), "no", at);
        assert_eq!(trial.doubted, units(&["a", "b", "c", "d"]));
        trial.accepted(&units(&["a", "b"]));
        assert_eq!(trial.doubted, units(&["c", "d"]));
        trial.refused(&units(&["c"]), "no", at);
        assert_eq!(trial.doubted, units(&["d"]));
        let file = FileName::parse("c").expect("a name");
        assert!(trial.holds_back(&file, || Digest::of("c")).is_some());
        assert!(trial.holds_back(&file, || Digest::of("mended")).is_none());
        trial.accepted(&units(&["c", "d"]));
        assert_eq!(trial, Trial::default());
    }
}
