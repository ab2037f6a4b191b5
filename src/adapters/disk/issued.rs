//! The files of certificates that people obtain by commands, in a folder of theirs: written under the names of a layout,
//! and found there again.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use super::{
    certificates::FOLDER_MODE,
    files::{self, Durability, PRIVATE, PUBLIC},
    shape::piece_of,
    version::{LARGEST, Version, refused},
};
use crate::{
    adapters::{
        pem,
        x509::{self, CertificateDetails, SigningRequest},
    },
    observe::{HeldCertificate, Source},
    ports::{DiskError, IssuedCertificate, IssuedFiles, IssuedKey, NewCertificate},
    values::{CertificateName, LAYOUTS, Layout, Piece, Secret},
};

/// Where the files of one certificate lie, or are to lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaidOut {
    folder: PathBuf,
    layout: Layout,
    name: CertificateName,
    /// The CA, by the URL of its directory.
    ca: String,
}

impl LaidOut {
    /// The files of a certificate that is called so, in this folder.
    ///
    /// # Errors
    /// When nobody knows where a folder lies that does not begin with a slash.
    pub fn new(
        folder: &Path,
        layout: Layout,
        name: CertificateName,
        ca: String,
    ) -> Result<Self, DiskError> {
        let folder = std::path::absolute(folder).map_err(files::told("find", folder))?;
        Ok(Self {
            folder,
            layout,
            name,
            ca,
        })
    }

    /// Each file with what it holds.
    fn files(&self) -> impl Iterator<Item = (PathBuf, Piece)> {
        let pieces = self.layout.files(&self.name).map(|(_, piece)| piece);
        let paths = self.layout.paths(&self.name);
        paths
            .map(|path| self.folder.join(path))
            .zip(pieces.collect::<Vec<_>>())
    }

    fn checked(&self, issued: &IssuedCertificate<'_>) -> Result<Version, DiskError> {
        let no = |error| refused(&self.name, error);
        let privkey = match issued.key {
            IssuedKey::Key(key) => {
                let new = NewCertificate {
                    name: &self.name,
                    names: issued.names,
                    key,
                    chain: issued.chain,
                    source: Source::Acme(self.ca.clone()),
                    profile: None,
                    now: issued.now,
                };
                x509::check_new(&new).map_err(no)?;
                let read = pem::key(key.expose().as_bytes(), None);
                read.map_err(|error| no(x509::CertificateError::KeyText(error)))?
                    .text
            }
            IssuedKey::Request(request) => {
                x509::check_requested(issued, request).map_err(no)?;
                Secret::new("")
            }
        };
        let chain = pem::certificates(issued.chain.as_bytes());
        let chain = chain.map_err(|error| no(x509::CertificateError::Text(error)))?;
        Ok(Version {
            fullchain: chain.text,
            privkey,
            irregular: None,
            is_self_signed: false,
            profile: None,
        })
    }
}

/// Files of one certificate that were found in a folder.
#[derive(Debug)]
pub struct FoundFiles {
    /// Where they lie.
    pub files: LaidOut,
    /// The certificate, or why it can't be renewed there.
    pub read: Result<HeldCertificate, DiskError>,
}

/// The certificates in a folder that lie there under the names of a layout, each once: of several layouts that fit, the one
/// with the most files.
///
/// # Errors
/// When the folder can't be listed.
pub fn found_files(folder: &Path, ca: &str) -> Result<Vec<FoundFiles>, DiskError> {
    let mut places = Vec::new();
    for name in files::entries(folder)? {
        if folder.join(&name).is_dir() {
            let within = files::entries(&folder.join(&name))?.into_iter();
            places.extend(within.map(|file| Path::new(&name).join(file)));
        } else {
            places.push(PathBuf::from(name));
        }
    }
    let mut layouts: Vec<_> = LAYOUTS.iter().map(Layout::of).collect();
    layouts.sort_by_key(|layout| std::cmp::Reverse(layout.count()));
    let (mut claimed, mut found) = (BTreeSet::new(), Vec::new());
    for layout in layouts {
        let names: BTreeSet<_> = places.iter().filter_map(|it| layout.name_at(it)).collect();
        for name in names {
            let files = LaidOut::new(folder, layout.clone(), name, ca.to_owned())?;
            let is_new = files.files().all(|(path, _)| !claimed.contains(&path));
            if is_new && files.are_there() {
                claimed.extend(files.files().map(|(path, _)| path));
                let read = files.read();
                found.push(FoundFiles { files, read });
            }
        }
    }
    found.sort_by(|one, other| one.files.name.cmp(&other.files.name));
    Ok(found)
}

impl LaidOut {
    /// The certificate's name.
    pub fn name(&self) -> &CertificateName {
        &self.name
    }

    fn has_key(&self) -> bool {
        let mut keys = self.files().filter(|(_, piece)| piece.has_key());
        keys.all(|(path, _)| path.is_file())
    }

    /// True if all of its files are there, with a certificate where the layout has one. The key may be missing where
    /// the layout has many files: the others can't belong to anything else.
    fn are_there(&self) -> bool {
        const MANY: usize = 3;
        let mut files = self.files();
        let is_keyless = |piece: Piece| piece.has_key() && self.layout.count() > MANY;
        if !files.all(|(path, piece)| path.is_file() || is_keyless(piece)) {
            return false;
        }
        let [chain, key] = self.pair();
        let read = small(&chain).map(|bytes| pem::contents(&bytes, None));
        read.is_ok_and(|contents| {
            let has = |it: pem::Contents| {
                !it.certificates.is_empty() && (chain != key || !it.keys.is_empty())
            };
            contents.is_ok_and(has)
        })
    }

    /// The file with the certificate and its chain, as far as one has both, and the file with the key.
    fn pair(&self) -> [PathBuf; 2] {
        let pair = self.layout.pair(&self.name).unwrap_or_default();
        pair.map(|path| self.folder.join(path))
    }

    /// The certificate as it lies there.
    fn read(&self) -> Result<HeldCertificate, DiskError> {
        let [chain, key] = self.pair();
        let damaged = |path: &Path, problem: &str| DiskError::Damaged {
            path: path.to_owned(),
            problem: problem.to_owned(),
        };
        if !self.has_key() {
            let problem = "the key of the certificate is not there: it is known to whoever made its signing request, and a new \
                           one is issued by `quaymaster issue --csr`";
            return Err(damaged(&key, problem));
        }
        if let Some((link, _)) = self.files().find(|(path, _)| path.is_symlink()) {
            let problem = "it is a link, as certbot and quaymaster's daemon make them: whoever made it renews what it leads to";
            return Err(damaged(&link, problem));
        }
        let [chain, key] = [small(&chain)?, small(&key)?];
        let read = pem::key(&key, None);
        let key = read
            .map_err(|error| unusable(&self.pair()[1], &error))?
            .text;
        let chain = String::from_utf8_lossy(&chain);
        let checked = x509::check(&chain, &key, Source::Acme(self.ca.clone()));
        checked.map_err(|error| refused(&self.name, error))
    }
}

impl IssuedFiles for LaidOut {
    fn put(&self, issued: &IssuedCertificate<'_>) -> Result<Vec<PathBuf>, DiskError> {
        let version = self.checked(issued)?;
        let has_key = matches!(issued.key, IssuedKey::Key(_));
        let files: Vec<_> = self
            .files()
            .filter(|(_, piece)| has_key || !piece.has_key())
            .collect();
        // All that there may be no room for is on the disk before the first of the old files is replaced.
        for (path, piece) in &files {
            files::folder(path.parent().unwrap_or(&self.folder), FOLDER_MODE)?;
            let mode = if piece.has_key() { PRIVATE } else { PUBLIC };
            let text = piece_of(&version, *piece);
            files::create(
                &files::beside(path),
                text.as_bytes(),
                mode,
                Durability::Synced,
            )?;
        }
        for (path, _) in &files {
            files::put(&files::beside(path), path, Durability::Synced)?;
        }
        Ok(files.into_iter().map(|(path, _)| path).collect())
    }
}

/// A signing request in a file of the user's.
///
/// # Errors
/// When it can't be read, or no CA would follow it.
pub fn signing_request(path: &Path) -> Result<SigningRequest, DiskError> {
    let request = x509::signing_request(&small(path)?);
    request.map_err(|error| unusable(path, &error))
}

/// The key of a certificate in a file of the user's, in PEM.
///
/// # Errors
/// When it can't be read or used, or others may read it.
pub fn certificate_key(path: &Path) -> Result<Secret, DiskError> {
    if files::is_readable_by_others(path) {
        return Err(DiskError::Exposed {
            path: path.to_owned(),
        });
    }
    let key = pem::key(&small(path)?, None);
    let key = key.map_err(|error| unusable(path, &error))?.text;
    x509::check_private_key(&key).map_err(|error| unusable(path, &error))?;
    Ok(key)
}

/// The details of the certificate to which these files belong.
///
/// # Errors
/// When none of them is a certificate.
pub fn details_of(paths: &[PathBuf]) -> Result<CertificateDetails, DiskError> {
    let mut longest: Vec<Vec<u8>> = Vec::new();
    for path in paths {
        // Its key is no concern here.
        let Ok(read) = pem::contents(&small(path)?, None) else {
            continue;
        };
        let is_leaf = read
            .certificates
            .first()
            .is_some_and(|der| x509::first_name(der).is_ok());
        if is_leaf && read.certificates.len() > longest.len() {
            longest = read.certificates;
        }
    }
    let place = paths.first().cloned().unwrap_or_default();
    x509::details(&longest).map_err(|error| unusable(&place, &error))
}

fn small(path: &Path) -> Result<Vec<u8>, DiskError> {
    let missing = || {
        let missing = std::io::Error::from(std::io::ErrorKind::NotFound);
        files::told("read", path)(missing)
    };
    files::read_small(path, LARGEST)?.ok_or_else(missing)
}

fn unusable(path: &Path, error: &(dyn std::error::Error + 'static)) -> DiskError {
    let chain = std::iter::successors(Some(error), |error| error.source());
    let words: Vec<_> = chain.map(ToString::to_string).collect();
    DiskError::Damaged {
        path: path.to_owned(),
        problem: words.join(": "),
    }
}
