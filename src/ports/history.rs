//! What has happened, to be looked up by name.

use std::collections::BTreeSet;

use super::DiskError;
use crate::observe::HistoryEntry;

/// A part of what was found.
pub type FoundEntries = Result<Vec<HistoryEntry>, DiskError>;

/// What has happened, over restarts; bounded.
pub trait Histories {
    /// Adds to it.
    ///
    /// # Errors
    /// When it can't be written, or when what was too much before could not be left out.
    fn add_history(&self, entries: &[HistoryEntry]) -> Result<(), DiskError>;
    /// What was about one of these names, in the order of time, read piece by piece so that others can work between two.
    fn history(&self, names: BTreeSet<String>) -> Box<dyn Iterator<Item = FoundEntries>>;
}
