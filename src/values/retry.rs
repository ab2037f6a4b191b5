use serde::{Deserialize, Serialize};

use super::Timestamp;

/// When something that failed may be tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Retry {
    /// After a pause that grows with the number of attempts.
    Backoff,
    /// Not before the time that the other side named.
    NotBefore(Timestamp),
    /// Only when what was asked for changes: the same request would fail the same way.
    WhenInputChanges,
}
