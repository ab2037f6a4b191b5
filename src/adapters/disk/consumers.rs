//! Folders that belong to consumers: rendered files, copies of their certificates, responses to challenges.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use super::{
    certificates::{self, Version},
    files::{self, Durability, PUBLIC, told},
};
use crate::{
    observe::Installed,
    ports::{Challenge, DiskError},
    values::{CertificateName, Digest, FileName},
};

/// Workers of a server may run as anybody: they must get through to what they are to read.
const FOLDER_MODE: u32 = 0o755;

/// What files of ours begin with in a folder that is not ours.
const OURS: &str = "quaymaster-";

/// Corrects the record by a look: files are what they are, and a certificate counts only when its link leads to it.
pub(super) fn look(record: Option<Installed>, folder: &Path, delivered: Option<&Path>) -> Result<Installed, DiskError> {
    let mut installed = record.unwrap_or_default();
    installed.files.clear();
    for entry in files::entries(folder)?.into_iter().filter(|entry| entry.starts_with(OURS)) {
        let Ok(name) = FileName::parse(entry) else { continue };
        let path = folder.join(name.as_str());
        if let Some(text) = files::read(&path)? {
            installed.files.insert(name, Digest::of(text));
        }
    }
    if let Some(delivered) = delivered {
        installed.certificates.retain(|name, digest| is_delivered(delivered, name, *digest));
    }
    Ok(installed)
}

fn is_delivered(folder: &Path, name: &CertificateName, digest: Digest) -> bool {
    let link = folder.join(name.as_str());
    let complete = ["fullchain.pem", "privkey.pem"].iter().all(|file| link.join(file).is_file());
    fs::read_link(&link).is_ok_and(|target| target == version_folder(name, digest)) && complete
}

/// Puts all files beside their places first, so that a full disk is found out before anything has changed.
pub(super) fn install(
    folder: &Path,
    files: &BTreeMap<FileName, String>,
    remove: &BTreeSet<FileName>,
) -> Result<(), DiskError> {
    let stage = folder.join(".quaymaster");
    files::folder(&stage, FOLDER_MODE)?;
    for (name, text) in files {
        files::create(&stage.join(name.as_str()), text.as_bytes(), PUBLIC, Durability::Renamed)?;
    }
    for name in files.keys() {
        let place = folder.join(name.as_str());
        fs::rename(stage.join(name.as_str()), &place).map_err(told("put in place", &place))?;
    }
    remove.iter().try_for_each(|name| files::remove(&folder.join(name.as_str())))
}

/// Copies a version and switches the consumer's link to it; the version before it stays until the next one.
pub(super) fn deliver(
    folder: &Path,
    name: &CertificateName,
    digest: Digest,
    version: &Version,
) -> Result<(), DiskError> {
    let target = version_folder(name, digest);
    let place = folder.join(&target);
    let versions = folder.join(".versions").join(name.as_str());
    if !place.is_dir() {
        files::folder(&versions, FOLDER_MODE)?;
        let making = versions.join(".new");
        files::remove_folder(&making)?;
        files::folder(&making, FOLDER_MODE)?;
        certificates::write_files(&making, &version.fullchain, &version.privkey)?;
        files::put_folder(&making, &place)?;
    }
    let link = folder.join(name.as_str());
    let before = fs::read_link(&link).ok().and_then(|before| Some(before.file_name()?.to_owned()));
    files::switch_link(&link, &target)?;
    for old in files::entries(&versions)? {
        if Some(old.as_str()) != target.file_name().and_then(|name| name.to_str())
            && Some(old.as_ref()) != before.as_deref()
        {
            files::remove_folder(&versions.join(old))?;
        }
    }
    Ok(())
}

/// Where a version lies, seen from the folder with the links.
fn version_folder(name: &CertificateName, digest: Digest) -> PathBuf {
    Path::new(".versions").join(name.as_str()).join(digest.short())
}

/// Makes a response readable.
pub(super) fn publish(webroot: &Path, challenge: &Challenge) -> Result<(), DiskError> {
    let path = response(webroot, challenge)?;
    files::folder(path.parent().unwrap_or(webroot), FOLDER_MODE)?;
    files::replace(&path, challenge.response.as_bytes(), PUBLIC, Durability::Renamed)
}

/// Takes a response away.
pub(super) fn withdraw(webroot: &Path, challenge: &Challenge) -> Result<(), DiskError> {
    files::remove(&response(webroot, challenge)?)
}

/// The file of a response. A token is base64url, and nothing else that a CA may send becomes a path.
///
/// <https://www.rfc-editor.org/rfc/rfc8555#section-8.3>
fn response(webroot: &Path, challenge: &Challenge) -> Result<PathBuf, DiskError> {
    let folder = webroot.join(".well-known/acme-challenge");
    let token = &challenge.token;
    match !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_') {
        true => Ok(folder.join(token)),
        false => Err(DiskError::Damaged { path: folder, problem: format!("the CA's token {token:?} is no base64url") }),
    }
}
