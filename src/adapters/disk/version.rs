//! One version of a certificate, as files.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{
    files::{self, Durability, PRIVATE, PUBLIC},
    passwords::Passwords,
    state::read_json,
};
use crate::{
    adapters::{
        pem::{self, PemError},
        x509::{self, CertificateError},
    },
    observe::{HeldCertificate, Source},
    ports::{DiskError, NewCertificate},
    values::{CertificateName, Digest, Secret},
};

/// The most bytes of a file of certificates and keys: all roots of the Web have a quarter of that.
pub(super) const LARGEST: u64 = 1 << 20;

/// The origin of a version, written beside its files.
#[derive(Serialize, Deserialize)]
pub(super) struct Provenance {
    pub source: Source,
    /// The profile that its CA was asked for; none in older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// The files as we wrote them. None in older versions, where files that were copied over them look like ours.
    #[serde(default)]
    pub files: BTreeMap<String, Digest>,
    /// Digest of those: damage to them must not make a certificate of ours look like the user's.
    #[serde(default)]
    seal: Option<Digest>,
}

impl Provenance {
    fn of(version: &Version, source: Source) -> Self {
        let files = four_files(&version.fullchain, &version.privkey).into_iter();
        let files = files.map(|(file, text, _)| (file.to_owned(), Digest::of(text.as_bytes())));
        let files = files.collect();
        Self {
            source,
            profile: version.profile.clone(),
            seal: Some(sealed(&files)),
            files,
        }
    }
}

fn sealed(files: &BTreeMap<String, Digest>) -> Digest {
    Digest::of_parts(
        files
            .iter()
            .map(|(file, digest)| format!("{file} {digest}")),
    )
}

/// Reads the origin of the version in a folder; `None` where nothing was written.
pub(super) fn read_about(folder: &Path) -> Result<Option<Provenance>, DiskError> {
    let path = folder.join("about.json");
    match read_json::<Provenance>(&path)? {
        Some(about) if about.seal.is_some_and(|seal| seal != sealed(&about.files)) => {
            Err(DiskError::Damaged {
                path,
                problem: "it is not as it was written".to_owned(),
            })
        }
        about => Ok(about),
    }
}

/// The chain and the key of a version, as we write them.
pub(super) struct Version {
    pub fullchain: String,
    pub privkey: Secret,
    /// The reason why a server would not take the files as they lie there, if it would not.
    pub irregular: Option<String>,
    /// True if quaymaster made it without a CA.
    pub is_self_signed: bool,
    /// The profile that its CA was asked for, where that is known.
    pub profile: Option<String>,
}

impl Version {
    pub fn digest(&self) -> Digest {
        x509::digest(&self.fullchain, &self.privkey)
    }

    /// Of what was obtained. A CA may write PEM in a way that servers don't read.
    pub fn of(new: &NewCertificate<'_>) -> Result<Self, PemError> {
        Ok(Self {
            fullchain: pem::certificates(new.chain.as_bytes())?.text,
            privkey: pem::key(new.key.expose().as_bytes(), None)?.text,
            irregular: None,
            is_self_signed: new.source.is_self_signed(),
            profile: new.profile.map(str::to_owned),
        })
    }

    /// The same one, as it is known to come from there, and to be of this profile.
    pub fn known_as(self, source: &Source, profile: Option<&String>) -> Self {
        Self {
            is_self_signed: source.is_self_signed(),
            profile: profile.cloned(),
            ..self
        }
    }

    /// All its files, with their texts and modes: the four, and one that shows start scripts that it is self-signed.
    pub fn files(&self) -> Vec<(&'static str, Cow<'_, str>, u32)> {
        let four = four_files(&self.fullchain, &self.privkey).into_iter();
        four.chain(self.marker()).collect()
    }

    /// The file that shows start scripts that it is self-signed, where it is.
    pub fn marker(&self) -> Option<(&'static str, Cow<'_, str>, u32)> {
        const MARKER: &str = "quaymaster made this certificate without a CA\n";
        let marker = ("self-signed", MARKER.into(), PUBLIC);
        self.is_self_signed.then_some(marker)
    }

    pub fn check(&self, source: Source) -> Result<HeldCertificate, CertificateError> {
        let checked = x509::check(&self.fullchain, &self.privkey, source)?;
        Ok(HeldCertificate {
            irregular: self.irregular.clone(),
            profile: self.profile.clone(),
            ..checked
        })
    }
}

/// A version in the files that servers read; what is said about it is not read. `usual` is the file with the password of
/// keys that have none of their own.
pub(super) fn read_version(folder: &Path, usual: Option<&Path>) -> Result<Version, DiskError> {
    let fullchain = read_pem(&folder.join("fullchain.pem"), pem::certificates)?;
    let passwords = Passwords::of(folder, usual)?;
    let privkey = read_pem(&folder.join("privkey.pem"), |bytes| {
        passwords.open(|password| pem::key(bytes, password))
    })?;
    Ok(Version {
        fullchain: fullchain.text,
        privkey: privkey.text,
        irregular: fullchain.irregular.or(privkey.irregular),
        is_self_signed: false,
        profile: None,
    })
}

/// The bytes of a file of certificates or of a key; `None` when there is none.
pub(super) fn read_bytes(path: &Path) -> Result<Option<Vec<u8>>, DiskError> {
    files::read_small(path, LARGEST)
}

/// Reads a file of certificates or of a key.
fn read_pem<T>(
    path: &Path,
    read: impl FnOnce(&[u8]) -> Result<pem::Read<T>, PemError>,
) -> Result<pem::Read<T>, DiskError> {
    let bytes = read_bytes(path)?.ok_or_else(|| missing(path.to_owned()))?;
    let read = read(&Zeroizing::new(bytes)).map_err(|error| DiskError::Damaged {
        path: path.to_owned(),
        problem: error.to_string(),
    })?;
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    Ok(pem::Read {
        irregular: read
            .irregular
            .map(|problem| format!("in {file}, {problem}")),
        ..read
    })
}

/// A second copy and what it is, if it passes all checks.
pub(super) fn read_copy(
    folder: &Path,
    name: &CertificateName,
) -> Result<(Version, HeldCertificate), DiskError> {
    let Provenance {
        source, profile, ..
    } = read_about(folder)?.ok_or_else(|| missing(folder.join("about.json")))?;
    let version = read_version(folder, None)?.known_as(&source, profile.as_ref());
    let checked = version
        .check(source)
        .map_err(|error| refused(name, error))?;
    Ok((version, checked))
}

/// True if a second copy is of the certificate with this digest, and has its origin.
pub(super) fn is_copied(copy: &Path, digest: Digest) -> bool {
    read_about(copy).is_ok_and(|about| about.is_some())
        && read_version(copy, None).is_ok_and(|copy| copy.digest() == digest)
}

pub(super) fn write_about(
    folder: &Path,
    version: &Version,
    source: Source,
    mode: u32,
) -> Result<(), DiskError> {
    let path = folder.join("about.json");
    let damaged = |error: serde_json::Error| DiskError::Damaged {
        path: path.clone(),
        problem: error.to_string(),
    };
    let about = Provenance::of(version, source);
    let text = serde_json::to_string_pretty(&about).map_err(damaged)?;
    files::create(&path, text.as_bytes(), mode, Durability::Synced)
}

/// The four files that certbot's users know, with their texts and modes; only the key is private. The chain of one that is
/// its own issuer is itself: some servers refuse an empty file.
fn four_files<'t>(fullchain: &'t str, key: &'t Secret) -> [(&'static str, Cow<'t, str>, u32); 4] {
    const END: &str = "-----END CERTIFICATE-----";
    let leaf_ends = fullchain
        .find(END)
        .map_or(fullchain.len(), |start| start + END.len());
    let (cert, chain) = fullchain.split_at(leaf_ends);
    let chain = match chain.trim_start() {
        "" if is_self_issued(cert) => format!("{cert}\n").into(),
        chain => Cow::from(chain),
    };
    [
        ("privkey.pem", key.expose().into(), PRIVATE),
        ("cert.pem", format!("{cert}\n").into(), PUBLIC),
        ("chain.pem", chain, PUBLIC),
        ("fullchain.pem", fullchain.into(), PUBLIC),
    ]
}

fn is_self_issued(certificate: &str) -> bool {
    let read = pem::contents(certificate.as_bytes(), None);
    read.is_ok_and(|read| {
        read.certificates
            .iter()
            .all(|der| x509::is_self_issued(der))
    })
}

pub(super) fn missing(path: PathBuf) -> DiskError {
    DiskError::Damaged {
        path,
        problem: "it is not there".to_owned(),
    }
}

pub(super) fn refused(
    name: impl ToString,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> DiskError {
    DiskError::Certificate {
        name: name.to_string(),
        source: source.into(),
    }
}
