//! Certificates that people hand over.

use std::path::{Path, PathBuf};

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
    /// What it is.
    pub certificate: HeldCertificate,
    /// The first of its names, in its own order.
    pub first_name: String,
    /// Its chain in PEM, leaf first.
    pub chain: String,
    /// Its key in PEM, without a password.
    pub key: Secret,
}

/// What became of a certificate that was handed over.
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
        /// What that is, in words.
        by: String,
    },
}
