//! Folders that belong to consumers: rendered files, copies of their certificates, responses to challenges.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
};

use super::{
    certificates::{self, Version},
    deployed::{Journal, Record, Tidy},
    files::{self, Durability, PRIVATE, PUBLIC, told},
    shared::SharedFolder,
    shut,
};
use crate::{
    observe::{Installed, InstalledFile},
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
    for entry in files::entries(place.config)?
        .into_iter()
        .filter(|entry| entry.starts_with(OURS))
    {
        let Ok(name) = FileName::parse(entry) else {
            continue;
        };
        let path = place.config.join(name.as_str());
        let Some(bytes) = files::read_bytes(&path)? else {
            continue;
        };
        if let Some(ours) = InstalledFile::read(&bytes) {
            newest = newest.max(files::changed_at(&path)?);
            installed.files.insert(name, ours);
        } else {
            installed.foreign.insert(name);
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
    folder: &Path,
    owner: Option<Owner>,
) -> Result<BTreeMap<CertificateName, Digest>, DiskError> {
    let entries = files::entries(folder)?
        .into_iter()
        .filter_map(|entry| CertificateName::parse(entry).ok());
    let given = entries.filter_map(|name| {
        let link = folder.join(name.as_str());
        let target = files::link_target(&link)?;
        let digest = Digest::try_from(target.file_name()?.to_str()?.to_owned()).ok()?;
        let complete = ["fullchain.pem", "privkey.pem"]
            .iter()
            .all(|file| link.join(file).is_file())
            && owner.is_none_or(|owner| files::is_owned_by(&link.join("privkey.pem"), owner));
        (complete && target == version_folder(&name, digest)).then_some((name, digest))
    });
    Ok(given.collect())
}

/// Finds out before anything has changed whether keys can be given to whom they are to belong to: a certificate that its
/// server could not read is not worth an order.
pub(super) fn try_owner(folder: &Path, owner: Owner) -> Result<(), DiskError> {
    // Hidden, so that no server includes it.
    let tried = folder.join(".quaymaster-owner");
    files::create(&tried, b"", PRIVATE, Durability::Renamed)?;
    let given = files::give(&tried, owner);
    files::remove(&tried).and(given)
}

/// Puts files where the consumer does not read them.
pub(super) fn stage(folder: &Path, files: &BTreeMap<FileName, String>) -> Result<(), DiskError> {
    let stage = folder.join(STAGE);
    files::own_folder(&stage, FOLDER_MODE)?;
    for (name, text) in files {
        files::create(
            &stage.join(name.as_str()),
            text.as_bytes(),
            PUBLIC,
            Durability::Renamed,
        )?;
    }
    Ok(())
}

/// Copies a version of a certificate to where no link leads yet.
pub(super) fn stage_certificate(
    folder: &Path,
    name: &CertificateName,
    digest: Digest,
    version: &Version,
    owner: Option<Owner>,
) -> Result<(), DiskError> {
    let place = folder.join(version_folder(name, digest));
    let give = |version: &Path| {
        owner.map_or(Ok(()), |owner| {
            files::give(&version.join("privkey.pem"), owner)
        })
    };
    if place.is_dir() {
        return give(&place);
    }
    let versions = versions(folder, name);
    for own in [folder, &folder.join(VERSIONS), &versions] {
        files::own_folder(own, FOLDER_MODE)?;
    }
    let making = versions.join(".new");
    files::remove_folder(&making)?;
    files::folder(&making, FOLDER_MODE)?;
    certificates::write_files(&making, &version.fullchain, &version.privkey)?;
    give(&making)?;
    files::put_folder(&making, &place)
}

/// Puts what was staged into its place: certificates before the files that name them.
pub(super) fn switch(place: &Place<'_>, change: &Change<'_>) -> Result<(), DiskError> {
    if let Some(folder) = place.certificates {
        for (name, digest) in change.deliver {
            files::switch_link(&folder.join(name.as_str()), &version_folder(name, *digest))?;
        }
    }
    for name in change.write.keys() {
        let (staged, file) = (
            place.config.join(STAGE).join(name.as_str()),
            place.config.join(name.as_str()),
        );
        fs::rename(staged, &file).map_err(told("put in place", &file))?;
    }
    change
        .remove
        .iter()
        .try_for_each(|name| files::remove(&place.config.join(name.as_str())))
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
    for (name, target) in &journal.links {
        let link = folder.join(name.as_str());
        match target {
            Some(target) => files::switch_link(&link, target)?,
            None => files::remove(&link)?,
        }
    }
    Ok(())
}

/// Takes away versions of certificates that no link leads to, and all of those that are not given any more.
pub(super) fn tidy(folder: &Path, tidy: &Tidy) -> Result<(), DiskError> {
    tidy.iter()
        .try_for_each(|(name, given)| tidy_one(folder, name, given.as_ref()))
}

fn tidy_one(
    folder: &Path,
    name: &CertificateName,
    given: Option<&Digest>,
) -> Result<(), DiskError> {
    let versions = versions(folder, name);
    let Some(digest) = given else {
        files::remove(&folder.join(name.as_str()))?;
        return files::remove_folder(&versions);
    };
    let current = version_folder(name, *digest);
    let old = files::entries(&versions)?;
    let mut old = old
        .iter()
        .filter(|entry| current.file_name() != Some(entry.as_ref()));
    old.try_for_each(|entry| files::remove_folder(&versions.join(entry)))
}

/// The folder of all versions of a certificate.
fn versions(folder: &Path, name: &CertificateName) -> PathBuf {
    folder.join(VERSIONS).join(name.as_str())
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
pub(super) fn publish(webroot: &Path, challenge: &Challenge) -> Result<(), DiskError> {
    let token = plain(webroot, &challenge.token)?;
    files::folder(webroot, FOLDER_MODE)?;
    let gone = || told("open the folder", webroot)(io::ErrorKind::NotFound.into());
    let mut folder = SharedFolder::open(webroot)?.ok_or_else(gone)?;
    for name in RESPONSES {
        folder = folder.made_folder(name, FOLDER_MODE)?;
    }
    folder.replace(token, challenge.response.as_bytes(), PUBLIC)
}

/// Takes a response away, and what a crash left of writing it.
pub(super) fn withdraw(webroot: &Path, token: &str) -> Result<(), DiskError> {
    let token = plain(webroot, token)?;
    let mut folder = SharedFolder::open(webroot)?;
    for name in RESPONSES {
        folder = match folder {
            Some(folder) => folder.folder(name)?,
            None => return Ok(()),
        };
    }
    let Some(folder) = folder else { return Ok(()) };
    folder.remove_unfinished(token)?;
    folder.remove(token)
}

/// The name of a response's file. A token is base64url, and nothing else that a CA may send becomes one.
fn plain<'t>(webroot: &Path, token: &'t str) -> Result<&'t str, DiskError> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    match !token.is_empty() && token.bytes().all(is_plain) {
        true => Ok(token),
        false => Err(DiskError::Damaged {
            path: webroot.to_owned(),
            problem: format!("the CA's token {token:?} is no base64url"),
        }),
    }
}
