//! Folders of consumers, as far as they are mounted here.

use std::collections::{BTreeMap, BTreeSet};

use super::DiskError;
use crate::{
    observe::{CertificateVersion, Installed, SharedPath},
    values::{CertificateName, ContainerName, FileName, Layout, Owner},
};

/// Folders of consumers, as far as they are mounted here: rendered files, and copies of their certificates.
pub trait ConsumerFolders {
    /// Whether it is certain that there is no such file: not where a link may lead to it, which we don't follow.
    fn is_missing(&self, file: &SharedPath) -> bool;

    /// What lies in a consumer's folders: our record of it, corrected by a look at the files themselves.
    fn installed(&self, place: &ConsumerPlace<'_>) -> Result<Installed, DiskError>;
    /// Puts everything new beside its place, where the consumer does not read it: a full disk is found out before
    /// anything has changed.
    fn stage(&self, place: &ConsumerPlace<'_>, change: &Change<'_>) -> Result<(), DiskError>;
    /// Writes the record down, and with it what is there now, so that it can come back; then puts what was staged into
    /// its place, each in one rename. What an open journal holds from before stays in it.
    fn switch(
        &self,
        place: &ConsumerPlace<'_>,
        change: &Change<'_>,
        record: &Installed,
    ) -> Result<(), DiskError>;
    /// Brings back what the journal holds.
    fn take_back(&self, place: &ConsumerPlace<'_>) -> Result<(), DiskError>;
    /// Writes the record down, and closes the journal unless it says that it is open. Then takes away what is left of
    /// earlier copies of the certificates in `tidy` and in the journal that is closed, and all of those that the record
    /// does not name.
    fn keep_installed(
        &self,
        place: &ConsumerPlace<'_>,
        record: &Installed,
        tidy: &BTreeSet<CertificateName>,
    ) -> Result<(), DiskError>;
    /// Shuts these sites of a consumer and opens all others: each by a file, which it looks for at
    /// each request.
    fn shut(&self, place: &ConsumerPlace<'_>, sites: &BTreeSet<FileName>) -> Result<(), DiskError>;
    /// Takes away what a crash left of shutting sites and of earlier copies of certificates. Each is done whatever becomes
    /// of the other; returns what could not be done.
    fn tidy(&self, place: &ConsumerPlace<'_>) -> Vec<DiskError>;
}

/// The folders of a consumer, as far as they are mounted here.
#[derive(Clone, Copy, Debug)]
pub struct ConsumerPlace<'a> {
    /// Whose they are.
    pub consumer: &'a ContainerName,
    /// Where rendered files go; none where it gets certificates alone.
    pub config: Option<&'a SharedPath>,
    /// How copies of just its own certificates lie there; none where it reads our folder.
    pub certificates: Option<CertificatePlace<'a>>,
    /// Who is to own the keys of these; none for our own user.
    pub owner: Option<Owner>,
}

/// How copies of certificates lie in a consumer.
#[derive(Clone, Copy, Debug)]
pub struct CertificatePlace<'a> {
    /// Where.
    pub folder: &'a SharedPath,
    /// In which files.
    pub layout: &'a Layout,
    /// The mode of those that hold a key.
    pub key_mode: u32,
    /// Whether they belong to whoever owns the folder, where that is not root.
    pub is_owner_of_folder: bool,
}

/// What is changed in a consumer's folders.
#[derive(Clone, Copy, Debug)]
pub struct Change<'a> {
    /// Files to write, with their texts.
    pub write: &'a BTreeMap<FileName, String>,
    /// Files to take away.
    pub remove: &'a BTreeSet<FileName>,
    /// Held certificates to copy, by what they are called there.
    pub deliver: &'a BTreeMap<CertificateName, CertificateVersion>,
}
