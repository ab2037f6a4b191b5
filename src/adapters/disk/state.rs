//! The private folder: accounts, orders, attempts, what was deployed, signs of life.

use std::{
    collections::BTreeMap,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use aws_lc_rs::rand;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    Folders,
    files::{self, Durability, PRIVATE},
};
use crate::{
    adapters::x509,
    observe::Attempt,
    ports::{AttemptRecords, DiskError, OrderRecord},
    values::{CertificateName, Digest, Secret, Timestamp},
};

/// Nobody else looks into `state`.
pub(super) const FOLDER_MODE: u32 = 0o700;

/// Bytes of the status document that are written at a time.
const STATUS_BUFFER: usize = 64 * 1024;

/// An order as it stands on disk; its key lies beside it.
#[derive(Serialize, Deserialize)]
struct OrderFile {
    asked: Digest,
    url: Option<String>,
    #[serde(default)]
    tokens: Vec<String>,
}

impl Folders {
    /// The host name under which proxies show their mark, if one was made and can be read.
    pub fn known_mark_host(&self) -> Option<String> {
        let path = self.state.join("mark");
        let word = files::read(&path).map(|word| word.filter(|word| is_mark(word)));
        if !matches!(word, Ok(Some(_))) && files::is_there(&path) {
            tracing::warn!(
                "{} is damaged; another mark takes its place",
                path.display()
            );
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

    pub(super) fn read_status(&self) -> Result<Option<String>, DiskError> {
        files::read(&self.state.join("status.json"))
    }

    /// When the daemon last left a sign of life.
    ///
    /// # Errors
    /// When it can't be read, or is no time.
    pub fn last_breath(&self) -> Result<Option<Timestamp>, DiskError> {
        let path = self.state.join("alive");
        let damaged = |problem| DiskError::Damaged {
            path: path.clone(),
            problem,
        };
        files::read(&path)?
            .map(|text| Timestamp::parse(text.trim()).map_err(|error| damaged(error.to_string())))
            .transpose()
    }

    pub(super) fn write_status(
        &self,
        write: &dyn Fn(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), DiskError> {
        let path = self.state.join("status.json");
        self.make_way(&path)?;
        files::replace_with(&path, PRIVATE, Durability::Renamed, |file| {
            let mut buffered = BufWriter::with_capacity(STATUS_BUFFER, file);
            write(&mut buffered)?;
            buffered.flush()
        })
    }

    pub(super) fn write_breath(&self, now: Timestamp) -> Result<(), DiskError> {
        self.write(
            &self.state.join("alive"),
            String::from(now).as_bytes(),
            Durability::Renamed,
        )
    }

    pub(super) fn read_attempts(&self) -> Result<AttemptRecords, DiskError> {
        let folder = self.state.join("attempts");
        let mut attempts = BTreeMap::new();
        for entry in files::entries(&folder)? {
            let name = entry
                .strip_suffix(".json")
                .and_then(|name| CertificateName::parse(name).ok());
            let Some(name) = name else { continue };
            attempts.extend(
                read_json(&folder.join(entry))
                    .transpose()
                    .map(|read| (name, read)),
            );
        }
        Ok(attempts)
    }

    pub(super) fn write_attempt(
        &self,
        name: &CertificateName,
        attempt: &Attempt,
    ) -> Result<(), DiskError> {
        self.write_json(&self.attempt(name), attempt)
    }

    pub(super) fn remove_attempt(&self, name: &CertificateName) -> Result<(), DiskError> {
        files::remove(&self.attempt(name))
    }

    fn attempt(&self, name: &CertificateName) -> PathBuf {
        self.state.join("attempts").join(format!("{name}.json"))
    }

    pub(super) fn read_order(
        &self,
        name: &CertificateName,
    ) -> Result<Option<OrderRecord>, DiskError> {
        let folder = self.order_folder(name);
        let Some(OrderFile { asked, url, tokens }) = read_json(&folder.join("order.json"))? else {
            return Ok(None);
        };
        let path = folder.join("key.pem");
        let Some(key) = files::read(&path)?.map(Secret::new) else {
            return Ok(None);
        };
        // Found out here, a bad key costs a new order; found out when the order is to be finished, it costs all tries.
        x509::check_private_key(&key).map_err(|error| DiskError::Damaged {
            path,
            problem: error.to_string(),
        })?;
        Ok(Some(OrderRecord {
            key,
            asked,
            url,
            tokens,
        }))
    }

    pub(super) fn write_order(
        &self,
        name: &CertificateName,
        record: &OrderRecord,
    ) -> Result<(), DiskError> {
        let folder = self.order_folder(name);
        self.write(
            &folder.join("key.pem"),
            record.key.expose().as_bytes(),
            Durability::Synced,
        )?;
        let order = OrderFile {
            asked: record.asked,
            url: record.url.clone(),
            tokens: record.tokens.clone(),
        };
        self.write_json(&folder.join("order.json"), &order)
    }

    pub(super) fn remove_order(&self, name: &CertificateName) -> Result<(), DiskError> {
        files::remove_folder(&self.order_folder(name))
    }

    fn order_folder(&self, name: &CertificateName) -> PathBuf {
        self.state.join("orders").join(name.as_str())
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

    fn make_way(&self, path: &Path) -> Result<(), DiskError> {
        files::folder(&self.state, FOLDER_MODE)?;
        files::make_way(&self.state, path)?;
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
