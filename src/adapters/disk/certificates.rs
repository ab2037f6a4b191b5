//! `live/` and `archive/`: every version is checked before it is linked, and never written again.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::files::{self, Durability, PRIVATE, PUBLIC};
use crate::{
    adapters::x509,
    observe::{HeldCertificate, Source},
    ports::{DiskError, NewCertificate},
    values::{CertificateName, Digest, Secret},
};

/// Folders of certificates may be looked into; their keys may not be read.
const FOLDER_MODE: u32 = 0o755;

/// What we say about a version, beside its files.
#[derive(Serialize, Deserialize)]
struct About {
    source: Source,
}

/// The chain and the key of a version.
pub(super) struct Version {
    pub fullchain: String,
    pub privkey: Secret,
}

/// All certificates that pass their checks, and what is wrong with the others.
pub(super) fn held(root: &Path) -> Result<(BTreeMap<CertificateName, HeldCertificate>, Vec<DiskError>), DiskError> {
    let (mut held, mut faults) = (BTreeMap::new(), Vec::new());
    for entry in files::entries(&root.join("live"))? {
        // certbot puts a README there, and a switch that was cut off leaves a hidden link.
        let Ok(name) = CertificateName::parse(entry) else { continue };
        if !root.join("live").join(name.as_str()).is_dir() {
            continue;
        }
        match read(root, &name) {
            Ok(certificate) => drop(held.insert(name, certificate)),
            Err(fault) => faults.push(fault),
        }
    }
    Ok((held, faults))
}

fn read(root: &Path, name: &CertificateName) -> Result<HeldCertificate, DiskError> {
    let folder = root.join("live").join(name.as_str());
    let version = read_version(&folder)?;
    let about = folder.join("about.json");
    let source = match files::read(&about)? {
        Some(text) => {
            let damaged = |error: serde_json::Error| DiskError::Damaged { path: about, problem: error.to_string() };
            serde_json::from_str::<About>(&text).map_err(damaged)?.source
        }
        None => Source::Provided,
    };
    x509::check(&version.fullchain, &version.privkey, source).map_err(|error| refused(name, error))
}

fn read_version(folder: &Path) -> Result<Version, DiskError> {
    let text = |file: &str| {
        let path = folder.join(file);
        files::read(&path)?.ok_or_else(|| DiskError::Damaged { path, problem: "it is not there".to_owned() })
    };
    Ok(Version { fullchain: text("fullchain.pem")?, privkey: Secret::new(text("privkey.pem")?) })
}

/// The live version of a certificate, if it still is the one with this digest.
pub(super) fn live_version(root: &Path, name: &CertificateName, digest: Digest) -> Result<Version, DiskError> {
    let version = read_version(&root.join("live").join(name.as_str()))?;
    match x509::digest(&version.fullchain, &version.privkey) == digest {
        true => Ok(version),
        false => Err(refused(name, "it was replaced while it was being delivered")),
    }
}

/// Checks and stores a new version, and links it.
pub(super) fn store(root: &Path, new: &NewCertificate<'_>) -> Result<HeldCertificate, DiskError> {
    let checked = x509::check_new(new).map_err(|error| refused(new.name, error))?;
    let archive = root.join("archive").join(new.name.as_str());
    files::folder(&archive, FOLDER_MODE)?;
    files::folder(&root.join("live"), FOLDER_MODE)?;
    let number = next_number(&archive)?;
    write_version(&archive, number, new)?;
    let target = PathBuf::from("../archive").join(new.name.as_str()).join(number.to_string());
    files::switch_link(&root.join("live").join(new.name.as_str()), &target)?;
    Ok(checked)
}

/// The number after the highest one, never one that was used before.
fn next_number(archive: &Path) -> Result<u64, DiskError> {
    let used = files::entries(archive)?;
    Ok(used.iter().filter_map(|name| name.parse::<u64>().ok()).max().unwrap_or(0) + 1)
}

fn write_version(archive: &Path, number: u64, new: &NewCertificate<'_>) -> Result<(), DiskError> {
    let making = archive.join(format!(".{number}.new"));
    files::remove_folder(&making)?;
    files::folder(&making, FOLDER_MODE)?;
    let about = serde_json::to_string_pretty(&About { source: new.source.clone() })
        .map_err(|error| DiskError::Damaged { path: making.join("about.json"), problem: error.to_string() })?;
    write_files(&making, new.chain, new.key)?;
    files::create(&making.join("about.json"), about.as_bytes(), PUBLIC, Durability::Synced)?;
    files::put_folder(&making, &archive.join(number.to_string()))
}

/// Writes the four files that certbot's users know; only the key is private.
pub(super) fn write_files(folder: &Path, fullchain: &str, key: &Secret) -> Result<(), DiskError> {
    const END: &str = "-----END CERTIFICATE-----";
    let leaf_ends = fullchain.find(END).map_or(fullchain.len(), |start| start + END.len());
    let (cert, chain) = fullchain.split_at(leaf_ends);
    for (file, text, mode) in [
        ("privkey.pem", key.expose(), PRIVATE),
        ("cert.pem", &format!("{cert}\n"), PUBLIC),
        ("chain.pem", chain.trim_start(), PUBLIC),
        ("fullchain.pem", fullchain, PUBLIC),
    ] {
        files::create(&folder.join(file), text.as_bytes(), mode, Durability::Synced)?;
    }
    Ok(())
}

fn refused(name: &CertificateName, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> DiskError {
    DiskError::Certificate { name: name.to_string(), source: source.into() }
}
