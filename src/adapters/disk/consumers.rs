//! Folders that belong to consumers: rendered files, copies of their certificates, a file for each site that is shut.
//! Their containers may write there, too, so everything goes step by step by handles, and through no link.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use super::{
    Folders,
    deployed::Tidy,
    files::{Durability, PRIVATE, PUBLIC},
    shared::SharedFolder,
    version::Version,
};
use crate::{
    observe::{CLOSED, Installed, InstalledFile, SharedPath},
    ports::{Change, ConsumerFolders, ConsumerPlace, DiskError},
    values::{CertificateName, Digest, FileName, Owner},
};

/// Workers of a server may run as anybody: they must get through to what they are to read.
pub(super) const FOLDER_MODE: u32 = 0o755;

/// What files of ours begin with in a folder that is not ours.
const OURS: &str = "quaymaster-";

/// Where new files wait, in the consumer's folder: a rename does not cross from one file system to another.
const STAGE: &str = ".quaymaster";

/// Where copies of certificates lie, beside the links to them.
const VERSIONS: &str = ".versions";

impl ConsumerFolders for Folders {
    fn is_missing(&self, file: &SharedPath) -> bool {
        SharedFolder::lacks(file).unwrap_or(false)
    }

    fn installed(&self, place: &ConsumerPlace<'_>) -> Result<Installed, DiskError> {
        let record = self.record(place.consumer)?;
        let is_known = record.installed.is_some();
        let mut installed = record.installed.unwrap_or_default();
        installed.open &= record.journal.is_some();
        let mut newest = 0;
        if let Some(config) = SharedFolder::open(place.config)? {
            let entries = config.entries()?.into_iter();
            let named = entries.filter(|entry| entry.starts_with(OURS));
            for name in named.filter_map(|entry| FileName::parse(entry).ok()) {
                // What a link leads to is not ours, whatever it looks like.
                if config.link_target(name.as_str()).is_some() {
                    installed.foreign.insert(name);
                    continue;
                }
                let Some(file) = config.read(name.as_str())? else {
                    continue;
                };
                if let Some(ours) = InstalledFile::read(&file.bytes) {
                    newest = newest.max(file.changed_at);
                    installed.files.insert(name, ours);
                } else {
                    installed.foreign.insert(name);
                }
            }
        }
        if !is_known {
            // Its marks so far are not known: one that is higher than any count can't be taken for an old one.
            installed.generation = newest;
        }
        if let Some(folder) = place.certificates {
            installed.certificates = delivered(folder, place.owner)?;
        }
        installed.shut = shut_sites(place.config)?;
        Ok(installed)
    }

    fn stage(&self, place: &ConsumerPlace<'_>, change: &Change<'_>) -> Result<(), DiskError> {
        if let Some(owner) = place.owner {
            try_owner(place.config, owner)?;
        }
        if let Some(folder) = place.certificates {
            for (name, digest) in change.deliver {
                let version = self.version(name, *digest)?;
                stage_certificate(folder, name, *digest, &version, place.owner)?;
            }
        }
        stage_files(place.config, change.write)
    }

    fn switch(
        &self,
        place: &ConsumerPlace<'_>,
        change: &Change<'_>,
        record: &Installed,
    ) -> Result<(), DiskError> {
        self.open_journal(place, change, record)?;
        put_staged(place, change)
    }

    /// What names a certificate goes before that certificate's link.
    fn take_back(&self, place: &ConsumerPlace<'_>) -> Result<(), DiskError> {
        let journal = self.record(place.consumer)?.journal.unwrap_or_default();
        let texts = journal
            .files
            .iter()
            .filter_map(|(name, text)| Some((name.clone(), text.clone()?)))
            .collect();
        stage_files(place.config, &texts)?;
        let gone: BTreeSet<FileName> = journal
            .files
            .keys()
            .filter(|name| !texts.contains_key(*name))
            .cloned()
            .collect();
        let no_certificates = BTreeMap::new();
        put_staged(
            place,
            &Change {
                write: &texts,
                remove: &gone,
                deliver: &no_certificates,
            },
        )?;
        let Some(folder) = place.certificates else {
            return Ok(());
        };
        let mut links = journal.links.iter();
        links.try_for_each(|(name, target)| match target {
            Some(target) => SharedFolder::opened(folder)?.switch_link(name.as_str(), target),
            None => {
                SharedFolder::open(folder)?.map_or(Ok(()), |folder| folder.remove(name.as_str()))
            }
        })
    }

    fn keep_installed(
        &self,
        place: &ConsumerPlace<'_>,
        record: &Installed,
        tidy: &BTreeSet<CertificateName>,
    ) -> Result<(), DiskError> {
        let tidy = self.close_journal(place.consumer, record, tidy)?;
        match place.certificates {
            // The links show it.
            Some(folder) => tidy_certificates(folder, &tidy),
            None => self.keep_given(place.consumer, &record.certificates),
        }
    }

    fn shut(&self, place: &ConsumerPlace<'_>, sites: &BTreeSet<FileName>) -> Result<(), DiskError> {
        let before = shut_sites(place.config)?;
        if before == *sites {
            return Ok(());
        }
        let folder = SharedFolder::made(&place.config.join(CLOSED), FOLDER_MODE)?;
        for site in sites.difference(&before) {
            folder.replace(site.as_str(), b"", PUBLIC)?;
        }
        let mut open = before.difference(sites);
        open.try_for_each(|site| folder.remove(site.as_str()))
    }

    fn tidy(&self, place: &ConsumerPlace<'_>) -> Vec<DiskError> {
        let tidied = [tidy_shut(place.config), self.tidy_copies(place)];
        tidied.into_iter().filter_map(Result::err).collect()
    }
}

impl Folders {
    /// Takes away the earlier copies of certificates that the record names, unless its journal may bring them back.
    fn tidy_copies(&self, place: &ConsumerPlace<'_>) -> Result<(), DiskError> {
        let record = self.record(place.consumer)?;
        match place.certificates.filter(|_| record.journal.is_none()) {
            Some(folder) => tidy_certificates(folder, &record.tidy),
            None => Ok(()),
        }
    }
}

/// The sites that are shut.
fn shut_sites(config: &SharedPath) -> Result<BTreeSet<FileName>, DiskError> {
    let folder = SharedFolder::open(&config.join(CLOSED))?;
    let entries = folder.map_or(Ok(BTreeSet::new()), |folder| folder.entries())?;
    let names = entries.into_iter();
    Ok(names
        .filter_map(|entry| FileName::parse(entry).ok())
        .collect())
}

/// Takes away what a crash left of shutting a site.
fn tidy_shut(config: &SharedPath) -> Result<(), DiskError> {
    let Some(folder) = SharedFolder::open(&config.join(CLOSED))? else {
        return Ok(());
    };
    for entry in folder.entries()? {
        let site = entry
            .strip_prefix('.')
            .and_then(|rest| rest.strip_suffix(".new"));
        if site.is_some_and(|site| FileName::parse(site).is_ok()) {
            folder.remove(entry)?;
        }
    }
    Ok(())
}

/// The certificates to which a link of ours leads, whole, with keys that their reader owns.
fn delivered(
    folder: &SharedPath,
    owner: Option<Owner>,
) -> Result<BTreeMap<CertificateName, Digest>, DiskError> {
    let Some(folder) = SharedFolder::open(folder)? else {
        return Ok(BTreeMap::new());
    };
    let Some(all) = folder.folder(VERSIONS)? else {
        return Ok(BTreeMap::new());
    };
    let entries = folder
        .entries()?
        .into_iter()
        .filter_map(|entry| CertificateName::parse(entry).ok());
    let given = entries.filter_map(|name| {
        let target = folder.link_target(name.as_str())?;
        let digest = Digest::try_from(target.file_name()?.to_str()?.to_owned()).ok()?;
        let is_ours = target == version_folder(&name, digest);
        // One that can't be opened, or not without following a link, is not delivered.
        let opened = |above: SharedFolder, name: &str| above.folder(name).ok().flatten();
        let version = opened(all.folder(name.as_str()).ok()??, &digest.to_string())?;
        let is_complete = version.is_file("fullchain.pem")
            && version.is_file("privkey.pem")
            && owner.is_none_or(|owner| version.is_owned_by("privkey.pem", owner));
        (is_ours && is_complete).then_some((name, digest))
    });
    Ok(given.collect())
}

/// Tries before anything has changed whether files in a folder of a server's can be given to its user: a certificate
/// that its server could not read is not worth an order.
///
/// # Errors
/// When they can't, or nothing can be written there.
pub fn try_owner(folder: &SharedPath, owner: Owner) -> Result<(), DiskError> {
    // Hidden, so that no server includes it.
    const TRIED: &str = ".quaymaster-owner";
    let folder = SharedFolder::opened(folder)?;
    folder.create(TRIED, b"", PRIVATE, Durability::Renamed)?;
    let given = folder.give(TRIED, owner);
    folder.remove(TRIED).and(given)
}

/// Puts files where the consumer does not read them.
fn stage_files(config: &SharedPath, files: &BTreeMap<FileName, String>) -> Result<(), DiskError> {
    let stage = SharedFolder::made(&config.join(STAGE), FOLDER_MODE)?;
    files.iter().try_for_each(|(name, text)| {
        stage.create(name.as_str(), text.as_bytes(), PUBLIC, Durability::Renamed)
    })
}

/// Copies a version of a certificate to where no link leads yet.
fn stage_certificate(
    folder: &SharedPath,
    name: &CertificateName,
    digest: Digest,
    version: &Version,
    owner: Option<Owner>,
) -> Result<(), DiskError> {
    const NEW: &str = ".new";
    let versions = folder.join(VERSIONS).join(name.as_str());
    let versions = SharedFolder::made(&versions, FOLDER_MODE)?;
    let give =
        |version: &SharedFolder| owner.map_or(Ok(()), |owner| version.give("privkey.pem", owner));
    let digest = digest.to_string();
    if let Some(there) = versions.folder(&digest)? {
        return give(&there);
    }
    versions.remove_folder(NEW)?;
    let making = versions.made_folder(NEW, FOLDER_MODE)?;
    for (file, text, mode) in version.files() {
        making.create(file, text.as_bytes(), mode, Durability::Synced)?;
    }
    give(&making)?;
    versions.put_folder(NEW, &digest)
}

/// Puts what was staged into its place: certificates before the files that name them.
fn put_staged(place: &ConsumerPlace<'_>, change: &Change<'_>) -> Result<(), DiskError> {
    if let Some(folder) = place.certificates.filter(|_| !change.deliver.is_empty()) {
        let folder = SharedFolder::opened(folder)?;
        for (name, digest) in change.deliver {
            folder.switch_link(name.as_str(), &version_folder(name, *digest))?;
        }
    }
    if !change.write.is_empty() {
        let config = SharedFolder::opened(place.config)?;
        let stage = SharedFolder::opened(&place.config.join(STAGE))?;
        for name in change.write.keys() {
            stage.put(name.as_str(), &config, name.as_str())?;
        }
    }
    let config = SharedFolder::open(place.config)?;
    let mut gone = change.remove.iter();
    config.map_or(Ok(()), |config| {
        gone.try_for_each(|name| config.remove(name.as_str()))
    })
}

/// Takes away versions of certificates that no link leads to, and all of those that are not given any more.
fn tidy_certificates(folder: &SharedPath, tidy: &Tidy) -> Result<(), DiskError> {
    let Some(folder) = SharedFolder::open(folder)?.filter(|_| !tidy.is_empty()) else {
        return Ok(());
    };
    let versions = folder.folder(VERSIONS)?;
    tidy.iter().try_for_each(|(name, given)| {
        if given.is_none() {
            folder.remove(name.as_str())?;
        }
        let tidied = |versions: &SharedFolder| tidy_versions(versions, name, given.as_ref());
        versions.as_ref().map_or(Ok(()), tidied)
    })
}

fn tidy_versions(
    versions: &SharedFolder,
    name: &CertificateName,
    given: Option<&Digest>,
) -> Result<(), DiskError> {
    let Some(digest) = given.map(ToString::to_string) else {
        return versions.remove_folder(name.as_str());
    };
    let Some(versions) = versions.folder(name.as_str())? else {
        return Ok(());
    };
    let mut old = versions
        .entries()?
        .into_iter()
        .filter(|entry| *entry != digest);
    old.try_for_each(|entry| versions.remove_folder(&entry))
}

/// Where a version lies, seen from the folder with the links.
fn version_folder(name: &CertificateName, digest: Digest) -> PathBuf {
    Path::new(VERSIONS)
        .join(name.as_str())
        .join(digest.to_string())
}
