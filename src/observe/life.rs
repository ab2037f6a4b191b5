use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::HeldCertificate;
use crate::values::Timestamp;

/// The time for which nobody has wanted a certificate that quaymaster obtained, as far as that was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unwanted {
    /// The time that was counted since it was last wanted.
    pub counted: Duration,
    /// The end of that count.
    pub until: Timestamp,
}

/// A certificate that is archived: it lies on disk, no link leads to it, and its mark says so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchivedCertificate {
    /// The number of its version.
    pub version: u64,
    /// When it was archived.
    pub at: Timestamp,
    /// The certificate itself, as it was then.
    pub certificate: HeldCertificate,
}
