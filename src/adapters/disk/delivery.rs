//! Copies of certificates in a folder of a server's. Each version is a folder of its own, whole and on the disk before
//! anything leads to it; one link that is replaced in one rename chooses which one is read. So whoever holds that folder
//! open never sees half a pair.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::{
    consumers::FOLDER_MODE,
    deployed::Tidy,
    files::{Durability, PRIVATE, PUBLIC},
    shared::SharedFolder,
    version::Version,
};
use crate::{
    ports::{CertificatePlace, ConsumerPlace, DiskError},
    values::{CertificateName, Digest, Owner, Piece},
};

/// Where versions lie, beside the links to them.
const VERSIONS: &str = ".versions";

/// The link that chooses the version, where files have no folder of their certificate's name.
const CURRENT: &str = ".current";

/// What stands behind the name of a file of the user's that was in the place of ours, hidden: haproxy reads all others.
const SET_ASIDE: &str = "before-quaymaster";

fn set_aside(file: &str) -> String {
    format!(".{file}.{SET_ASIDE}")
}

/// The certificates in a server's folder.
pub(super) struct Copies<'a> {
    place: CertificatePlace<'a>,
    owner: Option<Owner>,
}

impl<'a> Copies<'a> {
    /// None where the server reads our own folder.
    pub fn of(place: &ConsumerPlace<'a>) -> Result<Option<Self>, DiskError> {
        let Some(certificates) = place.certificates else {
            return Ok(None);
        };
        let of_folder = match certificates.is_owner_of_folder {
            true => SharedFolder::open(certificates.folder)?
                .map(|folder| folder.owner())
                .transpose()?
                .filter(|owner| owner.user != 0),
            false => None,
        };
        let owner = of_folder.or(place.owner);
        Ok(Some(Self {
            place: certificates,
            owner,
        }))
    }

    /// The certificates to which a link of ours leads, whole, with keys that their reader owns.
    pub fn given(&self) -> Result<BTreeMap<CertificateName, Digest>, DiskError> {
        let Some(folder) = SharedFolder::open(self.place.folder)? else {
            return Ok(BTreeMap::new());
        };
        let Some(versions) = folder.folder(VERSIONS)? else {
            return Ok(BTreeMap::new());
        };
        let names = versions.entries()?.into_iter();
        let names = names.filter_map(|entry| CertificateName::parse(entry).ok());
        let given = names.filter_map(|name| {
            let target = folder.link_target(&self.link(&name))?;
            let word = target.file_name()?.to_str()?;
            let digest = Digest::try_from(word.split('-').next()?.to_owned()).ok()?;
            let is_ours = target == self.version_path(&name, digest);
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

    /// Whether each file of a version is there as its reader needs it.
    fn is_whole(&self, version: &SharedFolder, name: &CertificateName) -> bool {
        self.place.layout.files(name).all(|(file, piece)| {
            let is_owned = || {
                let owner = self.owner.filter(|_| piece.has_key());
                owner.is_none_or(|owner| version.is_owned_by(&file, owner))
            };
            version.is_file(&file) && is_owned()
        })
    }

    /// Whether each file is found by the name that the server reads.
    fn is_shown(&self, folder: &SharedFolder, name: &CertificateName) -> bool {
        let mut links = self.links(name);
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
        let versions = self.place.folder.join(VERSIONS).join(name.as_str());
        let versions = SharedFolder::made(&versions, FOLDER_MODE)?;
        let word = self.version_word(digest);
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
        let files = self.place.layout.files(name);
        for (file, piece) in files.filter(|(file, _)| !folder.is_file(file)) {
            let (text, mode) = (piece_of(version, piece), self.mode(piece));
            folder.create(&file, text.as_bytes(), mode, Durability::Synced)?;
        }
        Ok(())
    }

    /// Gives what holds a key to whoever reads it.
    fn give(&self, version: &SharedFolder, name: &CertificateName) -> Result<(), DiskError> {
        for (file, piece) in self.place.layout.files(name) {
            if let Some(owner) = self.owner.filter(|_| piece.has_key()) {
                version.give(&file, owner)?;
            }
        }
        Ok(())
    }

    fn mode(&self, piece: Piece) -> u32 {
        match piece.has_key() {
            true => self.place.key_mode,
            false => PUBLIC,
        }
    }

    /// Where the link leads that chooses the version; none where there is no link.
    pub fn chosen(&self, name: &CertificateName) -> Result<Option<PathBuf>, DiskError> {
        let folder = SharedFolder::open(self.place.folder)?;
        Ok(folder.and_then(|folder| folder.link_target(&self.link(name))))
    }

    /// Has a version read in place of another. Files of the user's in the place of links to it are set aside first.
    pub fn choose(&self, name: &CertificateName, digest: Digest) -> Result<(), DiskError> {
        let folder = SharedFolder::opened(self.place.folder)?;
        folder.switch_link(&self.link(name), &self.version_path(name, digest))?;
        for (file, target) in self.links(name) {
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
        let links: BTreeMap<_, _> = self.links(name).collect();
        for entry in folder.entries()? {
            let target = folder.link_target(&entry);
            let first = target.as_deref().and_then(|target| target.iter().next());
            let first = first.and_then(|first| first.to_str()).unwrap_or_default();
            let is_stale = match first {
                VERSIONS => !self.may_choose(&entry),
                // Those of other certificates lead through other links.
                above if above == self.link(name) => !links.contains_key(&entry),
                above => is_current(above) && !self.may_choose(above),
            };
            if is_stale {
                folder.remove(&entry)?;
            }
        }
        Ok(())
    }

    /// Whether a link of this name chooses a version in this layout, of whichever certificate.
    fn may_choose(&self, link: &str) -> bool {
        let layout = self.place.layout;
        match (layout.has_folders(), layout.is_for_one()) {
            (true, _) => !is_current(link),
            (false, true) => link == CURRENT,
            (false, false) => is_current(link) && link != CURRENT,
        }
    }

    /// Has the version read again that was read before; nothing where there was none.
    pub fn choose_again(
        &self,
        name: &CertificateName,
        target: Option<&Path>,
    ) -> Result<(), DiskError> {
        let link = self.link(name);
        match target {
            Some(target) => SharedFolder::opened(self.place.folder)?.switch_link(&link, target),
            None => match SharedFolder::open(self.place.folder)? {
                Some(folder) => self.hide(&folder, name),
                None => Ok(()),
            },
        }
    }

    /// Takes the links of a certificate away, and puts what they took the place of back.
    fn hide(&self, folder: &SharedFolder, name: &CertificateName) -> Result<(), DiskError> {
        for (file, target) in self.links(name) {
            if folder.link_target(&file) == Some(target) {
                folder.remove(&file)?;
                folder.put_back(&set_aside(&file), &file)?;
            }
        }
        folder.remove(self.link(name))
    }

    /// Takes away versions of certificates that no link leads to, and all of those that are not given any more.
    pub fn tidy(&self, tidy: &Tidy) -> Result<(), DiskError> {
        let folder = SharedFolder::open(self.place.folder)?;
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
        let chosen = folder.link_target(&self.link(name));
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
        let Some(word) = given.map(|digest| self.version_word(digest)) else {
            return versions.remove_folder(name.as_str());
        };
        let Some(versions) = versions.folder(name.as_str())? else {
            return Ok(());
        };
        let entries = versions.entries()?.into_iter();
        let mut old = entries.filter(|entry| *entry != word);
        old.try_for_each(|entry| versions.remove_folder(&entry))
    }

    /// The link that chooses the version.
    fn link(&self, name: &CertificateName) -> String {
        let layout = self.place.layout;
        match (layout.has_folders(), layout.is_for_one()) {
            (true, _) => name.as_str().to_owned(),
            (false, true) => CURRENT.to_owned(),
            (false, false) => format!("{CURRENT}-{name}"),
        }
    }

    /// The links by which the server finds files, with where each leads, where they have no folder of their own.
    fn links(&self, name: &CertificateName) -> impl Iterator<Item = (String, PathBuf)> {
        let above = PathBuf::from(self.link(name));
        let files = self.place.layout.files(name);
        files
            .filter(|_| !self.place.layout.has_folders())
            .map(move |(file, _)| (file.clone(), above.join(file)))
    }

    /// Where a version lies, seen from the folder with the links.
    fn version_path(&self, name: &CertificateName, digest: Digest) -> PathBuf {
        let versions = Path::new(VERSIONS).join(name.as_str());
        versions.join(self.version_word(digest))
    }

    /// What the folder of a version is called: the same certificate in another layout, or with another mode, is another
    /// one. Modes are not looked at: there are file systems that keep none.
    fn version_word(&self, digest: Digest) -> String {
        let CertificatePlace {
            layout, key_mode, ..
        } = self.place;
        if layout.has_folders() && key_mode == PRIVATE {
            return digest.to_string();
        }
        let kind = Digest::of_parts([layout.to_string(), format!("{key_mode:o}")]);
        format!("{digest}-{}", kind.short())
    }
}

/// Whether a link of this name chooses a version where files have no folder.
fn is_current(link: &str) -> bool {
    let rest = link.strip_prefix(CURRENT);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

/// What a file of this content holds.
fn piece_of(version: &Version, piece: Piece) -> Cow<'_, str> {
    let file = match piece {
        Piece::Combined => {
            let key = version.privkey.expose().trim_end();
            return format!("{key}\n{}", version.fullchain).into();
        }
        Piece::Certificate => "cert.pem",
        Piece::Chain => "chain.pem",
        Piece::Fullchain => "fullchain.pem",
        Piece::PrivateKey => "privkey.pem",
    };
    let mut files = version.files().into_iter();
    let found = files.find(|(name, ..)| *name == file);
    found.map(|(_, text, _)| text).unwrap_or_default()
}
