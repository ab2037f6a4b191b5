//! Our folders and those of consumers. `state` is ours alone, `certificates` may be mounted by others, a consumer's
//! folder belongs to it and we touch only what is ours in it.
//!
//! ```text
//! certificates/live/NAME -> ../archive/NAME/N     one relative link a certificate, switched in one rename
//! certificates/archive/NAME/N/…                   every version, checked before it is linked, never written again
//! state/accounts/CA/account.json                  0600
//! state/orders/NAME/{order.json,key.pem}          key before order, so that a crash resumes
//! state/attempts/NAME.json                        failures and when the next try may be
//! state/wishes/NAME.json                          a renewal that somebody asks the daemon for, and its answer
//! state/deployed/CONSUMER/manifest.json           what lies in its folder, how far it was taken up
//! state/{mark,alive,status.json,lock}
//! CONFIG/quaymaster-….conf                        rendered, readable by everybody
//! CONFIG/certificates/NAME -> .versions/NAME/…    copies of just the consumer's own
//! ```

mod certificates;
mod consumers;
mod files;
mod lock;
mod look;
mod state;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

pub use lock::Lock;
pub use look::{FolderLook, look, responses};

use crate::{
    observe::{Attempt, HeldCertificate, Installed, Wish},
    ports::{Challenge, Disk, DiskError, NewCertificate, OrderRecord, Wishes},
    values::{CertificateName, ContainerName, Digest, FileName, Secret, Timestamp},
};

/// The text of a file that the user named.
///
/// # Errors
/// When it can't be read or is not there.
pub fn text(path: &Path) -> Result<String, DiskError> {
    files::read(path)?.ok_or_else(|| {
        files::told("read", path)(std::io::Error::new(std::io::ErrorKind::NotFound, "there is no such file"))
    })
}

/// The text of a file that the user named, or of standard input where that is `-`.
///
/// # Errors
/// When it can't be read or is not there.
pub fn text_or_input(path: &Path) -> Result<String, DiskError> {
    if path != Path::new("-") {
        return text(path);
    }
    let mut text = String::new();
    let read = std::io::Read::read_to_string(&mut std::io::stdin(), &mut text);
    read.map(|_| text).map_err(files::told("read", Path::new("standard input")))
}

/// The folders of the settings.
#[derive(Clone, Debug)]
pub struct Folders {
    certificates: PathBuf,
    state: PathBuf,
}

impl Folders {
    /// Uses these folders; nothing is made or read yet.
    pub fn new(certificates: PathBuf, state: PathBuf) -> Self {
        Self { certificates, state }
    }
}

impl Disk for Folders {
    fn held(&self) -> Result<(BTreeMap<CertificateName, HeldCertificate>, Vec<DiskError>), DiskError> {
        certificates::held(&self.certificates)
    }

    fn store_certificate(&self, new: &NewCertificate<'_>) -> Result<HeldCertificate, DiskError> {
        certificates::store(&self.certificates, new)
    }

    fn attempts(&self) -> Result<BTreeMap<CertificateName, Attempt>, DiskError> {
        self.read_attempts()
    }

    fn note_attempt(&self, name: &CertificateName, attempt: &Attempt) -> Result<(), DiskError> {
        self.write_attempt(name, attempt)
    }

    fn forget_attempts(&self, name: &CertificateName) -> Result<(), DiskError> {
        self.remove_attempt(name)
    }

    fn order(&self, name: &CertificateName) -> Result<Option<OrderRecord>, DiskError> {
        self.read_order(name)
    }

    fn keep_order(&self, name: &CertificateName, record: &OrderRecord) -> Result<(), DiskError> {
        self.write_order(name, record)
    }

    fn drop_order(&self, name: &CertificateName) -> Result<(), DiskError> {
        self.remove_order(name)
    }

    fn account(&self, directory: &str) -> Result<Option<Secret>, DiskError> {
        self.read_account(directory)
    }

    fn keep_account(&self, directory: &str, account: &Secret) -> Result<(), DiskError> {
        self.write_account(directory, account)
    }

    fn publish(&self, webroot: &Path, challenge: &Challenge) -> Result<(), DiskError> {
        consumers::publish(webroot, challenge)
    }

    fn withdraw(&self, webroot: &Path, challenge: &Challenge) -> Result<(), DiskError> {
        consumers::withdraw(webroot, challenge)
    }

    fn installed(
        &self,
        consumer: &ContainerName,
        folder: &Path,
        delivered: Option<&Path>,
    ) -> Result<Installed, DiskError> {
        let record = self.read_manifest(consumer)?;
        consumers::look(record, folder, delivered)
    }

    fn keep_installed(&self, consumer: &ContainerName, installed: &Installed) -> Result<(), DiskError> {
        self.write_manifest(consumer, installed)
    }

    fn install(
        &self,
        folder: &Path,
        files: &BTreeMap<FileName, String>,
        remove: &BTreeSet<FileName>,
    ) -> Result<(), DiskError> {
        consumers::install(folder, files, remove)
    }

    fn deliver(&self, folder: &Path, name: &CertificateName, digest: Digest) -> Result<(), DiskError> {
        let version = certificates::live_version(&self.certificates, name, digest)?;
        consumers::deliver(folder, name, digest, &version)
    }

    fn keep_status(&self, document: &str) -> Result<(), DiskError> {
        self.write_status(document)
    }

    fn breathe(&self, now: Timestamp) -> Result<(), DiskError> {
        self.write_breath(now)
    }
}

impl Wishes for Folders {
    fn wishes(&self) -> Result<(BTreeMap<CertificateName, Wish>, Vec<DiskError>), DiskError> {
        self.read_wishes()
    }

    fn keep_wish(&self, name: &CertificateName, wish: &Wish) -> Result<(), DiskError> {
        self.write_wish(name, wish)
    }

    fn drop_wish(&self, name: &CertificateName) -> Result<(), DiskError> {
        self.remove_wish(name)
    }
}

#[cfg(test)]
mod tests;
