//! What adapters meet that is no error, and that a user should know all the same.

use std::path::PathBuf;

use crate::values::ContainerName;

/// Who is told what adapters meet.
pub type Remarks = fn(Remark);

/// Something that an adapter met and went on from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remark {
    /// An account was registered at a CA.
    AccountRegistered {
        /// The CA's directory.
        directory: String,
        /// The account's URL.
        account: String,
    },
    /// A CA does not know our account any more, and gave us another.
    AccountLost {
        /// The CA's directory.
        directory: String,
        /// The URL of the one that is lost.
        lost: String,
        /// The URL of the new one.
        account: String,
    },
    /// An account on disk can't be used, and another takes its place.
    AccountDamaged {
        /// The CA's directory.
        directory: String,
        /// What is wrong with it.
        problem: String,
        /// Where it is kept.
        kept: PathBuf,
    },
    /// A CA could not be told the e-mail address of the settings.
    EmailUntold {
        /// The CA's directory.
        directory: String,
        /// Why.
        problem: String,
    },
    /// A container is left out of what is seen.
    ContainerLeftOut {
        /// Which, as far as that is known, and why.
        problem: String,
    },
    /// The network that a container shares can't be seen.
    NetworkUnseen {
        /// The container.
        container: ContainerName,
        /// Why.
        problem: String,
    },
    /// An event of the engine is too long to be read.
    EngineEventTooLong {
        /// Its length in bytes.
        bytes: usize,
    },
    /// The engine does not tell its time, so that events may be missed while the stream of them begins.
    EngineTimeUnknown {
        /// Its address.
        engine: String,
    },
}
