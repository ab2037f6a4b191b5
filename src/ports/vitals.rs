//! The daemon's signs of life.

use std::io::{self, Read, Write};

use super::DiskError;
use crate::values::Timestamp;

/// Signs of the daemon's life, and the status document.
pub trait Vitals {
    /// The status document as it was last written.
    ///
    /// # Errors
    /// When it can't be read.
    fn status(&self) -> Result<Option<String>, DiskError>;
    /// The same, to be read piece by piece; what is written meanwhile changes nothing of it.
    ///
    /// # Errors
    /// When it can't be opened.
    fn open_status(&self) -> Result<Option<Box<dyn Read>>, DiskError>;
    /// Writes the status document, whole, as `write` has it.
    fn keep_status(
        &self,
        write: &dyn Fn(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), DiskError>;
    /// Leaves a sign of life for `health`.
    fn breathe(&self, now: Timestamp) -> Result<(), DiskError>;
}
