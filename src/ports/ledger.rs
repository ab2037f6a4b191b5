//! The requests to CAs that limit how often they may be asked.

use std::path::PathBuf;

use super::DiskError;
use crate::observe::LedgerEntry;

/// The ledger, as it outlives us.
pub trait Ledgers {
    /// Reads the entries, the earliest first.
    fn ledger(&self) -> Result<WrittenLedger, DiskError>;
    /// Writes one more down, so that a crash can't forget it.
    fn enter(&self, entry: &LedgerEntry) -> Result<(), DiskError>;
    /// Keeps these and no others.
    fn keep_ledger(&self, entries: &[LedgerEntry]) -> Result<(), DiskError>;
    /// Keeps what can't be read under another name; returns that.
    fn set_ledger_aside(&self) -> Result<PathBuf, DiskError>;
}

/// The entries that can be read.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct WrittenLedger {
    /// The entries.
    pub entries: Vec<LedgerEntry>,
    /// Number of further entries, which can't be read.
    pub damaged: usize,
}
