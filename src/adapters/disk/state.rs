//! The private folder: how its files are read and written, and the mark.

use std::path::Path;

use aws_lc_rs::rand;
use serde::{Serialize, de::DeserializeOwned};

use super::{
    Folders,
    files::{self, Durability, PRIVATE},
};
use crate::ports::{DiskError, Remark};

/// Nobody else looks into `state`.
pub(super) const FOLDER_MODE: u32 = 0o700;

impl Folders {
    /// The host name under which proxies show their mark, if one was made and can be read.
    pub fn known_mark_host(&self) -> Option<String> {
        let path = self.state.join("mark");
        let word = files::read(&path).map(|word| word.filter(|word| is_mark(word)));
        if !matches!(word, Ok(Some(_))) && files::is_there(&path) {
            (self.remarks)(Remark::FileDamaged {
                path,
                problem: "it does not hold a mark that quaymaster wrote".to_owned(),
                instead: "another mark takes its place".to_owned(),
            });
        }
        word.ok().flatten()
    }

    /// The host name under which proxies show their mark: a random word, made once, and anew where it was damaged: all
    /// that it costs is one deployment.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn mark_host(&self) -> Result<String, DiskError> {
        if let Some(word) = self.known_mark_host() {
            return Ok(word);
        }
        let path = self.state.join("mark");
        let mut bytes = [0; 8];
        rand::fill(&mut bytes).map_err(|_| DiskError::Damaged {
            path: path.clone(),
            problem: "the system gives no random numbers".to_owned(),
        })?;
        let word = format!("quaymaster-{:016x}", u64::from_be_bytes(bytes));
        self.write(&path, word.as_bytes(), Durability::Synced)?;
        Ok(word)
    }

    pub(super) fn write_json(&self, path: &Path, value: &impl Serialize) -> Result<(), DiskError> {
        let text = serde_json::to_string_pretty(value).map_err(|error| DiskError::Damaged {
            path: path.to_owned(),
            problem: error.to_string(),
        })?;
        self.write(path, text.as_bytes(), Durability::Synced)
    }

    pub(super) fn write(
        &self,
        path: &Path,
        bytes: &[u8],
        durability: Durability,
    ) -> Result<(), DiskError> {
        self.make_way(path)?;
        files::replace(path, bytes, PRIVATE, durability)
    }

    pub(super) fn make_way(&self, path: &Path) -> Result<(), DiskError> {
        files::folder(&self.state, FOLDER_MODE)?;
        files::make_way(&self.state, path, self.remarks)?;
        files::folder(path.parent().unwrap_or(&self.state), FOLDER_MODE)
    }
}

fn is_mark(word: &str) -> bool {
    let digits = word.strip_prefix("quaymaster-").unwrap_or_default();
    digits.len() == 16 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, DiskError> {
    let damaged = |error: serde_json::Error| DiskError::Damaged {
        path: path.to_owned(),
        problem: error.to_string(),
    };
    files::read(path)?
        .map(|text| serde_json::from_str(&text).map_err(damaged))
        .transpose()
}
