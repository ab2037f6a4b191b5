//! Our accounts at CAs.

use std::{any::Any, path::PathBuf};

use super::DiskError;
use crate::values::Secret;

/// Accounts at CAs, each by the URL of its CA's directory.
pub trait Accounts {
    /// The account at a CA: the text that was kept.
    fn account(&self, directory: &str) -> Result<Option<Secret>, DiskError>;
    /// Keeps the account at a CA.
    fn keep_account(&self, directory: &str, account: &Secret) -> Result<(), DiskError>;
    /// Puts an account that is not to be used away under another name, which is reported: its key may still be wanted.
    fn set_account_aside(&self, directory: &str, reason: AsideReason)
    -> Result<PathBuf, DiskError>;
    /// Keeps other processes from changing the account at a CA, as long as the result is there; nothing while another
    /// process has it.
    ///
    /// # Errors
    /// When that can't be found out.
    fn hold_account(&self, directory: &str) -> Result<Option<AccountHold>, DiskError>;
}

/// Keeps other processes from changing an account until it is dropped.
#[must_use = "others may change the account once this is dropped"]
pub struct AccountHold(#[expect(dead_code, reason = "what it holds ends with it")] Box<dyn Any>);

impl AccountHold {
    /// One that lasts as long as what is given.
    pub fn of(held: impl Any) -> Self {
        Self(Box::new(held))
    }
}

/// The reason why an account is put away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AsideReason {
    /// It can't be read.
    Damaged,
    /// Its CA takes no request of it any more.
    Deactivated,
    /// It was begun without an answer of the CA that it was made, and another account replaces it.
    Replaced,
}

impl AsideReason {
    /// The ending that its file's name gets.
    pub fn ending(self) -> &'static str {
        match self {
            Self::Damaged => "damaged",
            Self::Deactivated => "deactivated",
            Self::Replaced => "replaced",
        }
    }
}
