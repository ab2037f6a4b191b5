//! `state/accounts/`: our accounts at CAs.

use std::{
    fs::{File, TryLockError},
    path::PathBuf,
};

use super::{
    Folders,
    files::{self, Durability, told},
};
use crate::{
    ports::{AccountHold, Accounts, AsideReason, DiskError},
    values::{Digest, Secret},
};

impl Accounts for Folders {
    fn account(&self, directory: &str) -> Result<Option<Secret>, DiskError> {
        Ok(files::read(&self.account_file(directory))?.map(Secret::new))
    }

    fn keep_account(&self, directory: &str, account: &Secret) -> Result<(), DiskError> {
        self.write(
            &self.account_file(directory),
            account.expose().as_bytes(),
            Durability::Synced,
        )
    }

    fn set_account_aside(
        &self,
        directory: &str,
        reason: AsideReason,
    ) -> Result<PathBuf, DiskError> {
        let path = self.account_file(directory);
        let aside = format!("account.json.{}", reason.ending());
        files::set_aside(&path, &path.with_file_name(aside))
    }

    /// The lock is that of the account's folder: one more file would be one that nobody can explain.
    fn hold_account(&self, directory: &str) -> Result<Option<AccountHold>, DiskError> {
        let path = self.account_file(directory);
        self.make_way(&path)?;
        let folder = path.parent().unwrap_or(&self.state);
        let opened = File::open(folder).map_err(told("open the folder", folder))?;
        match opened.try_lock() {
            Ok(()) => Ok(Some(AccountHold::of(opened))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(told("lock", folder)(error)),
        }
    }
}

impl Folders {
    /// Our accounts at all CAs, those too that nobody asks any more: the names of their folders, and the texts that were
    /// kept.
    ///
    /// # Errors
    /// When they can't be read.
    pub fn accounts(&self) -> Result<Vec<(String, Secret)>, DiskError> {
        let folders = files::entries(&self.state.join("accounts"))?.into_iter();
        let read = folders.map(|folder| {
            let text = files::read(&self.account_place(&folder))?;
            Ok(text.map(|text| (folder, Secret::new(text))))
        });
        let found: Vec<_> = read.collect::<Result<_, DiskError>>()?;
        Ok(found.into_iter().flatten().collect())
    }

    /// The name of the folder of an account: one a CA, called after its URL; the digest separates URLs that look alike
    /// when they are made plain.
    pub fn account_folder(directory: &str) -> String {
        let bare = directory.strip_prefix("https://").unwrap_or(directory);
        let plain: String = bare
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() || c == '.' {
                    c
                } else {
                    '-'
                }
            })
            .collect();
        format!(
            "{:.100}-{}",
            plain.trim_start_matches('.'),
            Digest::of(directory).short()
        )
    }

    /// The file of the account in the folder of this name.
    pub fn account_place(&self, folder: &str) -> PathBuf {
        self.state
            .join("accounts")
            .join(folder)
            .join("account.json")
    }

    fn account_file(&self, directory: &str) -> PathBuf {
        self.account_place(&Self::account_folder(directory))
    }
}
