use serde::{Deserialize, Serialize};

use super::Timestamp;

/// When something that failed may be tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Retry {
    /// After a pause that grows with the number of attempts.
    Backoff,
    /// The same, by pauses of their own: nobody was asked for anything yet.
    SelfCheck,
    /// At this time: a TXT record was set, and is not seen everywhere yet. Nobody was asked to look.
    Propagation(Timestamp),
    /// Not before the time that the other side named.
    NotBefore(Timestamp),
    /// Once a day, and at once when what is asked for or what it is asked with changes: the same request would most
    /// likely fail the same way, but nothing is given up for ever.
    #[serde(alias = "when-input-changes")]
    Daily,
}
