use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::values::{CertificateName, Digest, FileName, Timestamp};

/// What lies in a consumer's folder, and how far the consumer has taken it up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Installed {
    /// Counts the deployments to this consumer; shown by its mark, so that old and new workers can be told apart.
    pub generation: u64,
    /// Our files in its folder and what is in them.
    pub files: BTreeMap<FileName, Digest>,
    /// The certificates that it was given, or told to read again.
    pub certificates: BTreeMap<CertificateName, Digest>,
    /// How far this generation got.
    pub progress: Progress,
}

/// How far a deployment got. Written down before each step, so that a crash leaves the truth behind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Progress {
    /// Files may be in place; the signal is owed.
    #[default]
    SignalOwed,
    /// The signal was sent; whether it was followed is not known yet.
    Signalled,
    /// The new generation and its certificates were seen on a new connection.
    Proven {
        /// When they were seen.
        at: Timestamp,
    },
    /// The signal was sent and the new generation was not seen.
    Unproven {
        /// What was seen instead, and what would make proof possible.
        reason: String,
    },
}
