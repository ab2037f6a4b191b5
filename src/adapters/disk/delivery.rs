//! Copies of certificates in a folder of a server's. Each version is a folder of its own, whole and on the disk before
//! anything leads to it; one link that is replaced in one rename chooses which one is read. So whoever holds that folder
//! open never sees half a pair.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::{
    consumers::FOLDER_MODE,
    deployed::Tidy,
    files::Durability,
    shape::{Shape, VERSIONS, is_current, piece_of},
    shared::SharedFolder,
    version::Version,
};
use crate::{
    observe::SharedPath,
    ports::{ConsumerPlace, DiskError, Spot},
    values::{CertificateName, Digest, Owner},
};

/// The suffix of a user's file that was in the place of ours, hidden: haproxy reads all others.
const SET_ASIDE: &str = "before-quaymaster";

fn set_aside(file: &str) -> String {
    format!(".{file}.{SET_ASIDE}")
}

/// The certificates in a server's folder.
pub(super) struct Copies<'a> {
    folder: &'a SharedPath,
    shape: Shape<'a>,
    owner: Option<Owner>,
}

impl<'a> Copies<'a> {
    /// None where the server reads our own folder, or its container's inside.
    pub fn of(place: &ConsumerPlace<'a>) -> Result<Option<Self>, DiskError> {
        let Some(certificates) = place.certificates else {
            return Ok(None);
        };
        let Spot::Folder(folder) = certificates.at else {
            return Ok(None);
        };
        let of_folder = match certificates.is_owner_of_folder {
            true => SharedFolder::open(folder)?
                .map(|folder| folder.owner())
                .transpose()?
                .filter(|owner| owner.user != 0),
            false => None,
        };
        let owner = of_folder.or(place.owner);
        Ok(Some(Self {
            folder,
            shape: Shape::of(&certificates),
            owner,
        }))
    }

    /// The certificates to which a link of ours leads, whole, with keys that their reader owns.
    pub fn given(&self) -> Result<BTreeMap<CertificateName, Digest>, DiskError> {
        let Some(folder) = SharedFolder::open(self.folder)? else {
            return Ok(BTreeMap::new());
        };
        let Some(versions) = folder.folder(VERSIONS)? else {
            return Ok(BTreeMap::new());
        };
        let names = versions.entries()?.into_iter();
        let names = names.filter_map(|entry| CertificateName::parse(entry).ok());
        let given = names.filter_map(|name| {
            let target = folder.link_target(&self.shape.link(&name))?;
            let word = target.file_name()?.to_str()?;
            let digest = Digest::try_from(word.split('-').next()?.to_owned()).ok()?;
            let is_ours = target == self.shape.version_path(&name, digest);
            // One that can't be opened, or not without following a link, is not delivered.
            let opened = |above: SharedFolder, name: &str| above.folder(name).ok().flatten();
            let of_name = versions.folder(name.as_str()).ok()??;
            let version = opened(of_name, word)?;
            let is_given =
                is_ours && self.is_whole(&version, &name) && self.is_shown(&folder, &name);
            is_given.then_some((name, digest))
        });
        Ok(given.collect())
    }

    /// True if each file of a version is there as its reader needs it.
    fn is_whole(&self, version: &SharedFolder, name: &CertificateName) -> bool {
        self.shape.layout.files(name).all(|(file, piece)| {
            let is_owned = || {
                let owner = self.owner.filter(|_| piece.has_key());
                owner.is_none_or(|owner| version.is_owned_by(&file, owner))
            };
            version.is_file(&file) && is_owned()
        })
    }

    /// True if each file is found by the name that the server reads.
    fn is_shown(&self, folder: &SharedFolder, name: &CertificateName) -> bool {
        let mut links = self.shape.links(name);
        links.all(|(file, target)| folder.link_target(&file) == Some(target))
    }

    /// Copies a version to where no link leads yet.
    pub fn stage(
        &self,
        name: &CertificateName,
        digest: Digest,
        version: &Version,
    ) -> Result<(), DiskError> {
        const NEW: &str = ".new";
        let versions = self.folder.join(VERSIONS).join(name.as_str());
        let versions = SharedFolder::made(&versions, FOLDER_MODE)?;
        let word = self.shape.version_word(digest);
        if let Some(there) = versions.folder(&word)? {
            if self.is_whole(&there, name) {
                return Ok(());
            }
            // Somebody has taken files away.
            self.fill(&there, name, version)?;
            return self.give(&there, name);
        }
        versions.remove_folder(NEW)?;
        let making = versions.made_folder(NEW, FOLDER_MODE)?;
        self.fill(&making, name, version)?;
        if let Some((file, text, mode)) = version.marker() {
            making.create(file, text.as_bytes(), mode, Durability::Synced)?;
        }
        self.give(&making, name)?;
        versions.put_folder(NEW, &word)
    }

    /// Writes those files of a version that are not there.
    fn fill(
        &self,
        folder: &SharedFolder,
        name: &CertificateName,
        version: &Version,
    ) -> Result<(), DiskError> {
        let files = self.shape.layout.files(name);
        for (file, piece) in files.filter(|(file, _)| !folder.is_file(file)) {
            let (text, mode) = (piece_of(version, piece), self.shape.mode(piece));
            folder.create(&file, text.as_bytes(), mode, Durability::Synced)?;
        }
        Ok(())
    }

    /// Gives what holds a key to whoever reads it.
    fn give(&self, version: &SharedFolder, name: &CertificateName) -> Result<(), DiskError> {
        for (file, piece) in self.shape.layout.files(name) {
            if let Some(owner) = self.owner.filter(|_| piece.has_key()) {
                version.give(&file, owner)?;
            }
        }
        Ok(())
    }

    /// Where the link leads that chooses the version; none where there is no link.
    pub fn chosen(&self, name: &CertificateName) -> Result<Option<PathBuf>, DiskError> {
        let folder = SharedFolder::open(self.folder)?;
        Ok(folder.and_then(|folder| folder.link_target(&self.shape.link(name))))
    }

    /// Has a version read in place of another. Files of the user's in the place of links to it are set aside first.
    pub fn choose(&self, name: &CertificateName, digest: Digest) -> Result<(), DiskError> {
        let folder = SharedFolder::opened(self.folder)?;
        folder.switch_link(
            &self.shape.link(name),
            &self.shape.version_path(name, digest),
        )?;
        for (file, target) in self.shape.links(name) {
            match folder.link_target(&file) {
                Some(there) if there == target => {}
                Some(_) => folder.switch_link(&file, &target)?,
                None => {
                    folder.set_aside(&file, &set_aside(&file))?;
                    folder.switch_link(&file, &target)?;
                }
            }
        }
        self.remove_stale(&folder, name)
    }

    /// Takes away links of another layout: they would lead nowhere, and haproxy refuses a folder with such a one.
    fn remove_stale(&self, folder: &SharedFolder, name: &CertificateName) -> Result<(), DiskError> {
        let links: BTreeMap<_, _> = self.shape.links(name).collect();
        for entry in folder.entries()? {
            let target = folder.link_target(&entry);
            let first = target.as_deref().and_then(|target| target.iter().next());
            let first = first.and_then(|first| first.to_str()).unwrap_or_default();
            let is_stale = match first {
                VERSIONS => !self.shape.may_choose(&entry),
                // Those of other certificates lead through other links.
                above if above == self.shape.link(name) => !links.contains_key(&entry),
                above => is_current(above) && !self.shape.may_choose(above),
            };
            if is_stale {
                folder.remove(&entry)?;
            }
        }
        Ok(())
    }

    /// Has the version read again that was read before; nothing where there was none.
    pub fn choose_again(
        &self,
        name: &CertificateName,
        target: Option<&Path>,
    ) -> Result<(), DiskError> {
        let link = self.shape.link(name);
        match target {
            Some(target) => SharedFolder::opened(self.folder)?.switch_link(&link, target),
            None => match SharedFolder::open(self.folder)? {
                Some(folder) => self.hide(&folder, name),
                None => Ok(()),
            },
        }
    }

    /// Takes the links of a certificate away, and puts what they took the place of back.
    fn hide(&self, folder: &SharedFolder, name: &CertificateName) -> Result<(), DiskError> {
        for (file, target) in self.shape.links(name) {
            if folder.link_target(&file) == Some(target) {
                folder.remove(&file)?;
                folder.put_back(&set_aside(&file), &file)?;
            }
        }
        folder.remove(self.shape.link(name))
    }

    /// Takes away versions of certificates that no link leads to, and all of those that are not given any more.
    pub fn tidy(&self, tidy: &Tidy) -> Result<(), DiskError> {
        let folder = SharedFolder::open(self.folder)?;
        let Some(folder) = folder.filter(|_| !tidy.is_empty()) else {
            return Ok(());
        };
        let versions = folder.folder(VERSIONS)?;
        tidy.iter().try_for_each(|(name, given)| {
            if given.is_none() {
                self.hide_unless_another_has_it(&folder, name)?;
            }
            let tidied = |versions: &SharedFolder| self.tidy_versions(versions, name, *given);
            versions.as_ref().map_or(Ok(()), tidied)
        })
    }

    /// Files without a certificate's name in theirs may be another's by now.
    fn hide_unless_another_has_it(
        &self,
        folder: &SharedFolder,
        name: &CertificateName,
    ) -> Result<(), DiskError> {
        let its_versions = Path::new(VERSIONS).join(name.as_str());
        let chosen = folder.link_target(&self.shape.link(name));
        let is_its_own = chosen.is_none_or(|target| target.starts_with(&its_versions));
        match is_its_own {
            true => self.hide(folder, name),
            false => Ok(()),
        }
    }

    fn tidy_versions(
        &self,
        versions: &SharedFolder,
        name: &CertificateName,
        given: Option<Digest>,
    ) -> Result<(), DiskError> {
        let Some(word) = given.map(|digest| self.shape.version_word(digest)) else {
            return versions.remove_folder(name.as_str());
        };
        let Some(versions) = versions.folder(name.as_str())? else {
            return Ok(());
        };
        let entries = versions.entries()?.into_iter();
        let mut old = entries.filter(|entry| *entry != word);
        old.try_for_each(|entry| versions.remove_folder(&entry))
    }
}
