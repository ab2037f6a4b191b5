//! Folders that belong to consumers: rendered files, a file for each site that is shut.
//! Their containers may write there, too, so everything goes step by step by handles, and through no link.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Folders,
    delivery::Copies,
    files::{Durability, PRIVATE, PUBLIC},
    inside::Inside,
    shared::SharedFolder,
};
use crate::{
    observe::{CLOSED, CertificateVersion, Installed, InstalledFile, SharedPath},
    ports::{Change, ConsumerFolders, ConsumerPlace, DiskError, Parcel},
    values::{CertificateName, FileName, Owner},
};

/// Workers of a server may run as anybody: they must get through to what they are to read.
pub(super) const FOLDER_MODE: u32 = 0o755;

/// What files of ours begin with in a folder that is not ours.
const OURS: &str = "quaymaster-";

/// Where new files wait, in the consumer's folder: a rename does not cross from one file system to another.
const STAGE: &str = ".quaymaster";

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
        let config = place.config.map(SharedFolder::open).transpose()?;
        if let Some(config) = config.flatten() {
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
        if let Some(copies) = Copies::of(place)? {
            installed.certificates = copies.given()?;
        } else if let Some(inside) = Inside::of(place) {
            installed.certificates = self.packed(place.consumer, &inside)?.given;
        }
        if let Some(config) = place.config {
            installed.shut = shut_sites(config)?;
        }
        Ok(installed)
    }

    fn stage(
        &self,
        place: &ConsumerPlace<'_>,
        change: &Change<'_>,
    ) -> Result<Option<Parcel>, DiskError> {
        if let (Some(config), Some(owner)) = (place.config, place.owner) {
            try_owner(config, owner)?;
        }
        if let Some(copies) = Copies::of(place)? {
            for (name, CertificateVersion { of, digest }) in change.deliver {
                copies.stage(name, *digest, &self.version(of, *digest)?)?;
            }
        }
        if let Some(config) = place.config {
            stage_files(config, change.write)?;
        }
        self.pack_versions(place, change)
    }

    fn switch(
        &self,
        place: &ConsumerPlace<'_>,
        change: &Change<'_>,
        record: &Installed,
    ) -> Result<Option<Parcel>, DiskError> {
        self.open_journal(place, change, record)?;
        put_staged(place, change)?;
        self.pack_links(place, change)
    }

    /// What names a certificate goes before that certificate's link.
    fn take_back(&self, place: &ConsumerPlace<'_>) -> Result<Option<Parcel>, DiskError> {
        let journal = self.record(place.consumer)?.journal.unwrap_or_default();
        let texts = journal
            .files
            .iter()
            .filter_map(|(name, text)| Some((name.clone(), text.clone()?)))
            .collect();
        if let Some(config) = place.config {
            stage_files(config, &texts)?;
        }
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
        if let Some(copies) = Copies::of(place)? {
            for (name, target) in &journal.links {
                copies.choose_again(name, target.as_deref())?;
            }
        }
        self.pack_earlier_links(place, &journal)
    }

    fn keep_installed(
        &self,
        place: &ConsumerPlace<'_>,
        record: &Installed,
        tidy: &BTreeSet<CertificateName>,
    ) -> Result<(), DiskError> {
        let tidy = self.close_journal(place.consumer, record, tidy)?;
        let given = &record.certificates;
        match (Copies::of(place)?, Inside::of(place)) {
            // The links show it.
            (Some(copies), _) => copies.tidy(&tidy),
            (None, Some(inside)) => self.keep_given_inside(place.consumer, &inside, given),
            (None, None) => self.keep_given(place.consumer, given),
        }
    }

    fn shut(&self, place: &ConsumerPlace<'_>, sites: &BTreeSet<FileName>) -> Result<(), DiskError> {
        let Some(config) = place.config else {
            return Ok(());
        };
        let before = shut_sites(config)?;
        if before == *sites {
            return Ok(());
        }
        let folder = SharedFolder::made(&config.join(CLOSED), FOLDER_MODE)?;
        for site in sites.difference(&before) {
            folder.replace(site.as_str(), b"", PUBLIC)?;
        }
        let mut open = before.difference(sites);
        open.try_for_each(|site| folder.remove(site.as_str()))
    }

    fn tidy(&self, place: &ConsumerPlace<'_>) -> Vec<DiskError> {
        let shut = place.config.map_or(Ok(()), tidy_shut);
        let tidied = [shut, self.tidy_copies(place)];
        tidied.into_iter().filter_map(Result::err).collect()
    }
}

impl Folders {
    /// Takes away the earlier copies of certificates that the record names, unless its journal may bring them back.
    fn tidy_copies(&self, place: &ConsumerPlace<'_>) -> Result<(), DiskError> {
        let record = self.record(place.consumer)?;
        match Copies::of(place)?.filter(|_| record.journal.is_none()) {
            Some(copies) => copies.tidy(&record.tidy),
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

/// Puts what was staged into its place: certificates before the files that name them.
fn put_staged(place: &ConsumerPlace<'_>, change: &Change<'_>) -> Result<(), DiskError> {
    if let Some(copies) = Copies::of(place)? {
        for (name, version) in change.deliver {
            copies.choose(name, version.digest)?;
        }
    }
    let Some(config) = place.config else {
        return Ok(());
    };
    if !change.write.is_empty() {
        let stage = SharedFolder::opened(&config.join(STAGE))?;
        let config = SharedFolder::opened(config)?;
        for name in change.write.keys() {
            stage.put(name.as_str(), &config, name.as_str())?;
        }
    }
    let config = SharedFolder::open(config)?;
    let mut gone = change.remove.iter();
    config.map_or(Ok(()), |config| {
        gone.try_for_each(|name| config.remove(name.as_str()))
    })
}
