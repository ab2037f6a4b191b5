use serde::{Deserialize, Serialize};

use crate::values::{ContainerName, Host, Timestamp};

/// A request to hand a host over, left in state by a command for the daemon that works there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// The host.
    pub host: Host,
    /// When it was left.
    pub asked: Timestamp,
    /// The Compose project that had the host then; a request that is read twice hands it over once.
    pub from: Option<String>,
    /// The outcome; none until the daemon has done it.
    pub outcome: Option<Released>,
}

/// The outcome for a host that is to be handed over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Released {
    /// Nobody holds it, and nobody asks for it.
    NotHeld,
    /// Another project asks for it and has it now.
    HandedOver {
        /// The project that had it.
        from: Option<String>,
        /// The project that has it now.
        to: Option<String>,
        /// The container of that project that asks for it.
        container: ContainerName,
    },
    /// Nobody asks for it: the next who does gets it.
    Freed {
        /// The project that had it.
        from: Option<String>,
    },
    /// Only the project that has it asks for it, so that it stays there.
    StillAsked {
        /// That project.
        by: Option<String>,
        /// Its container that asks for it.
        container: ContainerName,
    },
    /// Somebody else had it already when the request was read.
    Changed,
}
