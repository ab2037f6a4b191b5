use serde::{Deserialize, Serialize};

use crate::values::{Digest, Timestamp};

/// The results of the signals to a consumer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signals {
    /// Who gets them: image, command and labels of the container. Of another one, nothing that is known here is true.
    pub of: Option<Digest>,
    /// The last one, as long as it is not known what came of it.
    pub last: Option<Sent>,
    /// Number of signals in a row that ended the container.
    pub ended: u32,
}

/// A signal that was sent, or was about to be when we ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// When.
    pub at: Timestamp,
    /// When the process had started that got it.
    pub started_at: Option<Timestamp>,
}
