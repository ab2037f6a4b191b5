//! The lists of the certificates that helpers are to obtain.

use super::DiskError;
use crate::{
    observe::SharedPath,
    values::{CertificateName, FileName},
};

/// The lists of the certificates that helpers are to obtain, each with a line for each certificate that is waited for.
pub trait HelperLists {
    /// Puts a certificate's line into a list, in one rename with all that are there.
    ///
    /// # Errors
    /// The list is as it was then.
    fn put(&self, list: ListPlace<'_>, name: &CertificateName, line: &str)
    -> Result<(), DiskError>;

    /// Takes it out of the list again.
    ///
    /// # Errors
    /// The line may still be there; it goes with the next change of the list.
    fn take(&self, list: ListPlace<'_>, name: &CertificateName) -> Result<(), DiskError>;

    /// Writes a list as it is to be: what a crash left in it, or somebody else, goes.
    ///
    /// # Errors
    /// The list is as it was then.
    fn tidy(&self, list: ListPlace<'_>) -> Result<(), DiskError>;

    /// True if a line has come for which nobody has reloaded the helper. The caller is the one who reloads it.
    fn is_to_be_told(&self, list: ListPlace<'_>) -> bool;

    /// Notes that the helper could not be reloaded: the next caller is to do it.
    fn is_untold(&self, list: ListPlace<'_>);
}

/// Where a list lies.
#[derive(Clone, Copy, Debug)]
pub struct ListPlace<'a> {
    /// Its folder.
    pub folder: &'a SharedPath,
    /// The file's name there.
    pub file: &'a FileName,
}
