use serde::{Deserialize, Serialize};

use crate::values::Timestamp;

/// A wish for a certificate to be renewed now, left in state by a command for whoever works there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenewalRequest {
    /// When it was left.
    pub asked: Timestamp,
    /// True if it is to be renewed though it is not due, and though a failure is to be waited for.
    pub force: bool,
    /// The stage that it reached.
    pub stage: Stage,
}

/// The stage that a wish reached. A wish is taken before anything is done, so that a crash does not fulfil it twice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Nobody has begun.
    Open,
    /// Its order is under way.
    Taken,
    /// It is over.
    Answered(RenewalOutcome),
}

/// The end of a wish.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RenewalOutcome {
    /// There is a new certificate.
    Renewed {
        /// Until when it is valid.
        until: Timestamp,
    },
    /// It is not due, and nobody insisted.
    NotDue {
        /// When it is.
        due: Timestamp,
    },
    /// It failed, now or before.
    Failed {
        /// The problem, in words.
        problem: String,
        /// Whose fault it is; unknown for what failed before.
        blame: Option<Blame>,
        /// When it may be tried again; nothing when something else must change first.
        again: Option<Timestamp>,
    },
    /// Nobody asks for such a certificate any more.
    NotWanted,
    /// Whoever had taken it ended meanwhile.
    CutOff,
}

/// Whose fault a failure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Blame {
    /// Something on our side: the disk, a proxy.
    Here,
    /// The engine could not be asked.
    Engine,
    /// The CA could not be asked.
    Authority,
    /// The CA refused.
    Refused,
}
