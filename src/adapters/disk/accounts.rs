//! `state/accounts/`: our accounts at CAs.

use std::path::PathBuf;

use super::{
    Folders,
    files::{self, Durability},
};
use crate::{
    ports::{Accounts, DiskError},
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

    fn set_account_aside(&self, directory: &str) -> Result<PathBuf, DiskError> {
        let path = self.account_file(directory);
        files::set_aside(&path, &path.with_file_name("account.json.damaged"))
    }
}

impl Folders {
    /// Our accounts at all CAs, those too that nobody asks any more: the texts that were kept.
    ///
    /// # Errors
    /// When they can't be read.
    pub fn accounts(&self) -> Result<Vec<Secret>, DiskError> {
        let all = self.state.join("accounts");
        let folders = files::entries(&all)?.into_iter();
        let read = folders.map(|folder| files::read(&all.join(folder).join("account.json")));
        let texts: Vec<_> = read.collect::<Result<_, _>>()?;
        Ok(texts.into_iter().flatten().map(Secret::new).collect())
    }

    /// One folder a CA, called after its URL; the digest tells URLs apart that look alike when they are made plain.
    fn account_file(&self, directory: &str) -> PathBuf {
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
        let folder = format!(
            "{:.100}-{}",
            plain.trim_start_matches('.'),
            Digest::of(directory).short()
        );
        self.state
            .join("accounts")
            .join(folder)
            .join("account.json")
    }
}
