//! Folders that belong to consumers: rendered files, copies of their certificates, responses to challenges. Their
//! containers may write there, too, so everything goes step by step by handles, and through no link.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use super::{
    certificates::{self, Version},
    deployed::{Journal, Record, Tidy},
    files::{Durability, PRIVATE, PUBLIC},
    shared::SharedFolder,
    shut,
};
use crate::{
    observe::{Installed, InstalledFile, SharedPath},
    ports::{Challenge, Change, DiskError, Place},
    values::{CertificateName, Digest, FileName, Owner},
};

/// Workers of a server may run as anybody: they must get through to what they are to read.
const FOLDER_MODE: u32 = 0o755;

/// What files of ours begin with in a folder that is not ours.
const OURS: &str = "quaymaster-";

/// Where new files wait, in the consumer's folder: a rename does not cross from one file system to another.
const STAGE: &str = ".quaymaster";

/// Where copies of certificates lie, beside the links to them.
const VERSIONS: &str = ".versions";

/// Corrects the record by a look: files are what they are, and a certificate counts only when its link leads to it.
pub(super) fn look(record: Record, place: &Place<'_>) -> Result<Installed, DiskError> {
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
    installed.shut = shut::look(place.config)?;
    Ok(installed)
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

/// Finds out before anything has changed whether keys can be given to whom they are to belong to: a certificate that its
/// server could not read is not worth an order.
pub(super) fn try_owner(folder: &SharedPath, owner: Owner) -> Result<(), DiskError> {
    // Hidden, so that no server includes it.
    const TRIED: &str = ".quaymaster-owner";
    let folder = SharedFolder::opened(folder)?;
    folder.create(TRIED, b"", PRIVATE, Durability::Renamed)?;
    let given = folder.give(TRIED, owner);
    folder.remove(TRIED).and(given)
}

/// Puts files where the consumer does not read them.
pub(super) fn stage(
    config: &SharedPath,
    files: &BTreeMap<FileName, String>,
) -> Result<(), DiskError> {
    let stage = SharedFolder::made(&config.join(STAGE), FOLDER_MODE)?;
    files.iter().try_for_each(|(name, text)| {
        stage.create(name.as_str(), text.as_bytes(), PUBLIC, Durability::Renamed)
    })
}

/// Copies a version of a certificate to where no link leads yet.
pub(super) fn stage_certificate(
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
    for (file, text, mode) in certificates::four_files(&version.fullchain, &version.privkey) {
        making.create(file, text.as_bytes(), mode, Durability::Synced)?;
    }
    give(&making)?;
    versions.put_folder(NEW, &digest)
}

/// Puts what was staged into its place: certificates before the files that name them.
pub(super) fn switch(place: &Place<'_>, change: &Change<'_>) -> Result<(), DiskError> {
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

/// Brings back what was there before: what names a certificate before that certificate's link.
pub(super) fn take_back(place: &Place<'_>, journal: &Journal) -> Result<(), DiskError> {
    let texts = journal
        .files
        .iter()
        .filter_map(|(name, text)| Some((name.clone(), text.clone()?)))
        .collect();
    stage(place.config, &texts)?;
    let gone: BTreeSet<FileName> = journal
        .files
        .keys()
        .filter(|name| !texts.contains_key(*name))
        .cloned()
        .collect();
    let no_certificates = BTreeMap::new();
    switch(
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
        None => SharedFolder::open(folder)?.map_or(Ok(()), |folder| folder.remove(name.as_str())),
    })
}

/// Takes away versions of certificates that no link leads to, and all of those that are not given any more.
pub(super) fn tidy(folder: &SharedPath, tidy: &Tidy) -> Result<(), DiskError> {
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

/// Where responses lie in a webroot, folder by folder.
///
/// <https://www.rfc-editor.org/rfc/rfc8555#section-8.3>
const RESPONSES: [&str; 2] = [".well-known", "acme-challenge"];

/// Makes a response readable.
pub(super) fn publish(webroot: &SharedPath, challenge: &Challenge) -> Result<(), DiskError> {
    let token = plain(webroot, &challenge.token)?;
    let folder = SharedFolder::made(&responses(webroot), FOLDER_MODE)?;
    folder.replace(token, challenge.response.as_bytes(), PUBLIC)
}

/// Takes a response away, and what a crash left of writing it.
pub(super) fn withdraw(webroot: &SharedPath, token: &str) -> Result<(), DiskError> {
    let token = plain(webroot, token)?;
    let Some(folder) = SharedFolder::open(&responses(webroot))? else {
        return Ok(());
    };
    folder.remove_unfinished(token)?;
    folder.remove(token)
}

/// Where responses lie in a webroot.
pub(super) fn responses(webroot: &SharedPath) -> SharedPath {
    RESPONSES
        .iter()
        .fold(webroot.clone(), |folder, name| folder.join(name))
}

/// The name of a response's file. A token is base64url, and nothing else that a CA may send becomes one.
fn plain<'t>(webroot: &SharedPath, token: &'t str) -> Result<&'t str, DiskError> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    match !token.is_empty() && token.bytes().all(is_plain) {
        true => Ok(token),
        false => Err(DiskError::Damaged {
            path: webroot.as_path().to_owned(),
            problem: format!("the CA's token {token:?} is no base64url"),
        }),
    }
}
