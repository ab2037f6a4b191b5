use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::values::{CertificateName, Timestamp};

/// A certificate that a command obtained, left in state for the daemon that works there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandOver {
    /// The CA that issued it, by the URL of its directory.
    pub ca: String,
    /// The profile that the CA was asked for; empty for the usual one.
    pub profile: String,
    /// When it was left.
    pub left: Timestamp,
    /// What became of it; nothing until the daemon has looked at it.
    pub outcome: Option<TakenOver>,
}

/// What a daemon does with a certificate that a command obtained. Where both are empty, nobody wants its names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakenOver {
    /// The certificates in whose place it is used.
    pub taken: BTreeSet<CertificateName>,
    /// Certificates that are wanted for its names, and why it does not become each of them.
    pub refused: BTreeMap<CertificateName, String>,
}

impl TakenOver {
    /// Whether no label and no setting asks for its names.
    pub fn is_unwanted(&self) -> bool {
        self.taken.is_empty() && self.refused.is_empty()
    }
}
