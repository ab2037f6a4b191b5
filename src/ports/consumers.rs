//! Folders of consumers, as far as they are mounted here.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use super::DiskError;
use crate::{
    observe::{CertificateVersion, Installed, SharedPath},
    values::{CertificateName, ContainerId, ContainerName, FileName, Layout, Owner, Secret},
};

/// Folders of consumers, as far as they are mounted here: rendered files, and copies of their certificates.
pub trait ConsumerFolders {
    /// True if there is certainly no such file: false where a link may lead to it, which quaymaster does not follow.
    fn is_missing(&self, file: &SharedPath) -> bool;

    /// Reads the contents of a consumer's folders: our record of them, corrected by a look at the files themselves.
    fn installed(&self, place: &ConsumerPlace<'_>) -> Result<Installed, DiskError>;
    /// Puts everything new beside its place, where the consumer does not read it: a full disk is found out before
    /// anything has changed. What is for the inside of a container is returned, and is to be sent first of all.
    fn stage(
        &self,
        place: &ConsumerPlace<'_>,
        change: &Change<'_>,
    ) -> Result<Option<Parcel>, DiskError>;
    /// Writes the record down, and with it what is there now, so that it can come back; then puts what was staged into
    /// its place, each in one rename. What an open journal holds from before stays in it. Returned is the parcel for
    /// the same inside a container: it is to be sent before any reload.
    fn switch(
        &self,
        place: &ConsumerPlace<'_>,
        change: &Change<'_>,
        record: &Installed,
    ) -> Result<Option<Parcel>, DiskError>;
    /// Brings back what the journal holds; returned is what does so inside a container.
    fn take_back(&self, place: &ConsumerPlace<'_>) -> Result<Option<Parcel>, DiskError>;
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
    /// The one file that is written there as long as its user has written none; none for a proxy, whose files are ours.
    pub default: Option<DefaultPlace<'a>>,
    /// The layout of copies of just its own certificates; none where it reads our folder.
    pub certificates: Option<CertificatePlace<'a>>,
    /// Who is to own the keys of these; none for our own user.
    pub owner: Option<Owner>,
}

impl<'a> ConsumerPlace<'a> {
    /// The folder for all files of ours, where it is a proxy's.
    pub fn proxy_config(&self) -> Option<&'a SharedPath> {
        self.config.filter(|_| self.default.is_none())
    }
}

/// A configuration that is ours as long as nobody changes it.
#[derive(Clone, Copy, Debug)]
pub struct DefaultPlace<'a> {
    /// The file's name.
    pub file: &'a FileName,
    /// Files of the user's beside it that matter to it.
    pub beside: &'a [FileName],
}

/// The layout of copies of certificates in a consumer.
#[derive(Clone, Copy, Debug)]
pub struct CertificatePlace<'a> {
    /// Where.
    pub at: Spot<'a>,
    /// In which files.
    pub layout: &'a Layout,
    /// The mode of those that hold a key.
    pub key_mode: u32,
    /// True if they belong to the owner of the folder, where that is not root.
    pub is_owner_of_folder: bool,
}

/// Where copies of certificates lie.
#[derive(Clone, Copy, Debug)]
pub enum Spot<'a> {
    /// In a folder that is mounted here.
    Folder(&'a SharedPath),
    /// Inside a container, where only its engine gets: what lies there is known from what was put there.
    Inside {
        /// Which.
        container: &'a ContainerId,
        /// The folder in it.
        folder: &'a Path,
    },
}

/// Files for the inside of a container, to be put there by its engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parcel {
    /// Which container.
    pub container: ContainerId,
    /// The folder in it; made where there is none.
    pub folder: PathBuf,
    /// The items, by paths in that folder, in this order. Each replaces whatever is there.
    pub items: Vec<(PathBuf, Item)>,
    /// True if the replaced thing may be a folder with all its content. Where it may not, the engine refuses.
    pub may_replace_folders: bool,
}

/// Something that is put into a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A folder of root's; what is in it stays.
    Folder {
        /// Its mode.
        mode: u32,
    },
    /// A file.
    File {
        /// The content.
        text: Secret,
        /// Its mode, from its beginning.
        mode: u32,
        /// Whose it is; none for root.
        owner: Option<Owner>,
    },
    /// A link to this path.
    Link(PathBuf),
}

/// A change in a consumer's folders.
#[derive(Clone, Copy, Debug)]
pub struct Change<'a> {
    /// Files to write, with their texts.
    pub write: &'a BTreeMap<FileName, String>,
    /// Files to take away.
    pub remove: &'a BTreeSet<FileName>,
    /// Held certificates to copy, by what they are called there.
    pub deliver: &'a BTreeMap<CertificateName, CertificateVersion>,
}
