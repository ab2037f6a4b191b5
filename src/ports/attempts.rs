//! The failures on record.

use std::collections::BTreeMap;

use super::DiskError;
use crate::{observe::Attempt, values::CertificateName};

/// Records of tries to obtain certificates: of those that failed, and of those that are under way.
pub trait Attempts {
    /// The failures on record.
    fn attempts(&self) -> Result<AttemptRecords, DiskError>;
    /// Writes an attempt down, so that a crash can't forget it.
    fn note_attempt(&self, name: &CertificateName, attempt: &Attempt) -> Result<(), DiskError>;
    /// Forgets the attempts after a success.
    fn forget_attempts(&self, name: &CertificateName) -> Result<(), DiskError>;
}

/// The record of each certificate that was tried, or why it can't be read.
pub type AttemptRecords = BTreeMap<CertificateName, Result<Attempt, DiskError>>;
