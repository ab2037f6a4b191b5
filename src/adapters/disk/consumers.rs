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
    ports::{Change, ConsumerFolders, ConsumerPlace, DefaultPlace, DiskError, Parcel},
    values::{CertificateName, FileName, Owner},
};

/// Workers of a server may run as anybody: they must get through to what they are to read.
pub(super) const FOLDER_MODE: u32 = 0o755;

/// The beginning of our files' names in a folder that is not ours.
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
        match (config.flatten(), place.default) {
            (Some(config), Some(default)) => look_at_default(&config, default, &mut installed),
            (Some(config), None) => newest = look_at_ours(&config, &mut installed)?,
            (None, _) => {}
        }
        if !is_known {
            // Its marks so far are not known: one that is higher than any count can't be taken for an old one.
            installed.generation = newest;
        }
        if let Some(copies) = Copies::of(place)? {
            installed.certificates = copies.given()?.into();
        } else if let Some(inside) = Inside::of(place) {
            installed.certificates = self.packed(place.consumer, &inside)?.given;
        }
        if let Some(config) = place.proxy_config() {
            installed.shut = shut_sites(config)?;
        }
        Ok(installed)
    }

    fn stage(
        &self,
        place: &ConsumerPlace<'_>,
        change: &Change<'_>,
    ) -> Result<Option<Parcel>, DiskError> {
        if let (Some(config), Some(owner)) = (place.proxy_config(), place.owner) {
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

    /// Brings back the earlier files: each file that names a certificate before that certificate's link.
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
        let Some(config) = place.proxy_config() else {
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
        let shut = place.proxy_config().map_or(Ok(()), tidy_shut);
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

/// Notes our files in a proxy's folder, and those that are called like ours; returns when the newest was written.
fn look_at_ours(config: &SharedFolder, installed: &mut Installed) -> Result<u64, DiskError> {
    let mut newest = 0;
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
    Ok(newest)
}

/// Notes whose a default configuration is, and what of the user's lies beside it.
fn look_at_default(config: &SharedFolder, default: DefaultPlace<'_>, installed: &mut Installed) {
    match Whose::is(config, default.file) {
        Whose::Nobodys => {}
        Whose::Ours(file) => drop(installed.files.insert(default.file.clone(), file)),
        Whose::Users => drop(installed.foreign.insert(default.file.clone())),
    }
    let beside = default.beside.iter();
    let there = beside.filter(|file| config.is_file(file.as_str()));
    installed.beside = there.cloned().collect();
}

/// Whose a default configuration is.
enum Whose {
    /// There is none.
    Nobodys,
    /// Nobody changed it since we wrote it.
    Ours(InstalledFile),
    /// Anything else, be it that it can't be read: it is never touched.
    Users,
}

impl Whose {
    fn is(config: &SharedFolder, name: &FileName) -> Self {
        match config.read(name.as_str()) {
            Ok(None) => Self::Nobodys,
            Ok(Some(file)) => {
                InstalledFile::read_sealed(&file.bytes).map_or(Self::Users, Self::Ours)
            }
            Err(_) => Self::Users,
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
            if may_be_touched(place, &config, name) {
                stage.put(name.as_str(), &config, name.as_str())?;
            }
        }
    }
    let config = SharedFolder::open(config)?;
    let mut gone = change.remove.iter();
    config.map_or(Ok(()), |config| {
        gone.try_for_each(|name| match may_be_touched(place, &config, name) {
            true => config.remove(name.as_str()),
            false => Ok(()),
        })
    })
}

/// True if a file may be replaced or removed: a default configuration only as long as nobody has changed it, even a
/// moment ago.
pub(super) fn may_be_touched(
    place: &ConsumerPlace<'_>,
    config: &SharedFolder,
    name: &FileName,
) -> bool {
    let is_default = place.default.is_some_and(|default| default.file == name);
    !is_default || !matches!(Whose::is(config, name), Whose::Users)
}
