//! Certificates that people hand over.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::DiskError;
use crate::{
    observe::HeldCertificate,
    values::{CertificateName, Secret, Timestamp},
};

/// Certificates that people hand over, wherever they lie, and the folder `provided/` that they go to.
pub trait Imports {
    /// Reads a certificate, its key and its chain out of these files and folders, in any order, and checks them; `-` is
    /// standard input. Nothing is written. The password of a key may stand in `password_file`.
    ///
    /// # Errors
    /// When there is not exactly one certificate with its key, or it can't be served `now`.
    fn gather(
        &self,
        files: &[PathBuf],
        password_file: Option<&Path>,
        now: Timestamp,
    ) -> Result<ImportedCertificate, DiskError>;

    /// The certificates that another ACME client keeps in a folder of its own; `None` where that is no such folder. Neither
    /// it nor anything in it changes, and no link is followed out of it.
    ///
    /// # Errors
    /// When the folder can't be listed.
    fn kept_by_a_client(&self, folder: &Path) -> Result<Option<ClientFolder>, DiskError>;

    /// Reads one of them, and checks it as [`gather`](Self::gather) does.
    ///
    /// # Errors
    /// When it is not whole, or it can't be served `now`.
    fn gather_kept(
        &self,
        kept: &ClientFolder,
        certificate: &ClientCertificate,
        now: Timestamp,
    ) -> Result<ImportedCertificate, DiskError>;

    /// The certificate that stands in the place in `provided/` that a new one is to have.
    ///
    /// # Errors
    /// When that folder can't be listed.
    fn standing(
        &self,
        name: &CertificateName,
        new: &ImportedCertificate,
    ) -> Result<Standing, DiskError>;

    /// Puts a certificate into the folder of this name in `provided/`, as a whole. Another one that is there gives way
    /// only where `replace` says so, and is kept.
    ///
    /// # Errors
    /// Nothing that was there before has changed when it fails.
    fn provide(
        &self,
        name: &CertificateName,
        new: &ImportedCertificate,
        replace: bool,
    ) -> Result<ImportOutcome, DiskError>;
}

/// A certificate that was handed over, and passed its checks.
#[derive(Debug)]
pub struct ImportedCertificate {
    /// The certificate itself.
    pub certificate: HeldCertificate,
    /// The first of its names, in its own order.
    pub first_name: String,
    /// Its chain in PEM, leaf first.
    pub chain: String,
    /// Its key in PEM, without a password.
    pub key: Secret,
}

/// A folder that another ACME client keeps its certificates in.
#[derive(Debug, PartialEq, Eq)]
pub struct ClientFolder {
    /// The client, as people call it.
    pub client: &'static str,
    /// Where the folder is.
    pub path: PathBuf,
    /// Its certificates, in the order of their names.
    pub certificates: Vec<ClientCertificate>,
    /// Other things there that people would look for, and the reasons why they stay.
    pub left: Vec<LeftThere>,
}

/// A certificate of another ACME client: not read yet.
#[derive(Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The client's name for it.
    pub name: String,
    /// Its files below the client's folder; some may be missing.
    pub files: Vec<PathBuf>,
}

/// A thing that is not taken over.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct LeftThere {
    /// Its place below the client's folder.
    pub path: PathBuf,
    /// The reason why it stays, and the consequence.
    pub why: &'static str,
}

/// The present certificate in a certificate's place.
#[derive(Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing.
    Free,
    /// The same certificate.
    Same,
    /// Something else, in words.
    Other(String),
}

/// The outcome for a certificate that was handed over.
#[derive(Debug, PartialEq, Eq)]
pub enum ImportOutcome {
    /// It is there now, and nothing of that name was before.
    Stored,
    /// It is there now, in the place of what was before.
    Replaced {
        /// Where that is kept.
        kept: PathBuf,
    },
    /// It was there already.
    Unchanged,
    /// Something else has its place, and nothing was changed.
    Taken {
        /// The obstacle, in words.
        by: String,
    },
}
