//! Our accounts at CAs.

use std::path::PathBuf;

use super::DiskError;
use crate::values::Secret;

/// Accounts at CAs, each by the URL of its CA's directory.
pub trait Accounts {
    /// The account at a CA: the text that was kept.
    fn account(&self, directory: &str) -> Result<Option<Secret>, DiskError>;
    /// Keeps the account at a CA.
    fn keep_account(&self, directory: &str, account: &Secret) -> Result<(), DiskError>;
    /// Puts an account that can't be used away under another name, which is told: its key may still be wanted.
    fn set_account_aside(&self, directory: &str) -> Result<PathBuf, DiskError>;
}
