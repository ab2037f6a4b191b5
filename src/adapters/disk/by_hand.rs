//! A certificate that somebody names, by its name in our folders or by its files: read as it lies there, and not judged.

use std::path::{Path, PathBuf};

use super::{
    Folders,
    files::{self, told},
    passwords::Passwords,
    provided::{Fit, Pile},
    version::LARGEST,
};
use crate::{
    adapters::x509,
    observe::Shelf,
    ports::DiskError,
    values::{CertificateName, Secret},
};

/// A certificate that somebody named.
#[derive(Debug)]
pub struct FoundCertificate {
    /// Where it lies.
    pub path: PathBuf,
    /// Its chain in DER, leaf first, as far as it lies there.
    pub chain: Vec<Vec<u8>>,
    /// Its key.
    pub key: FoundKey,
}

impl FoundCertificate {
    /// The certificate itself, in DER.
    pub fn leaf(&self) -> &[u8] {
        self.chain.first().map(Vec::as_slice).unwrap_or_default()
    }
}

/// The findings about the key of a certificate.
#[derive(Debug)]
pub enum FoundKey {
    /// It is there.
    Fits {
        /// Its file, as it is called there.
        file: String,
        /// The key in PEM.
        key: Secret,
    },
    /// There are only keys of others.
    OfAnother {
        /// The file of the first.
        file: String,
    },
    /// There is none, or none that can be opened, and why.
    Missing {
        /// The reason why a key that is there can't be read, if one is.
        problem: Option<String>,
    },
}

impl FoundKey {
    /// The key, where it is there.
    pub fn fitting(&self) -> Option<&Secret> {
        match self {
            Self::Fits { key, .. } => Some(key),
            Self::OfAnother { .. } | Self::Missing { .. } => None,
        }
    }
}

impl Folders {
    /// The folder of certificates.
    pub fn place(&self) -> &Path {
        &self.certificates
    }

    /// The certificate of this name that lies in `live/`, else in `provided/`; nothing where there is none.
    ///
    /// # Errors
    /// When what lies there is no certificate.
    pub fn certificate_called(
        &self,
        name: &CertificateName,
    ) -> Result<Option<FoundCertificate>, DiskError> {
        for shelf in [Shelf::Live, Shelf::Provided] {
            let folder = self.certificates.join(shelf.folder()).join(name.as_str());
            if folder.is_dir() {
                return self.certificate_in(&[folder]).map(Some);
            }
        }
        Ok(None)
    }

    /// The certificate in these files and folders. Where they hold no key, the one beside the first file is looked for, under
    /// the names that ACME clients give it.
    ///
    /// # Errors
    /// When there is no certificate, or more than one with its key.
    pub fn certificate_in(&self, files: &[PathBuf]) -> Result<FoundCertificate, DiskError> {
        let path = files.first().cloned().unwrap_or_default();
        let mut pile = Pile::default();
        for file in files {
            self.add(file, &mut pile)?;
        }
        if pile.keys.is_empty() && path.is_file() {
            for beside in keys_beside(&path).filter(|beside| beside.is_file()) {
                let mut found = Pile::default();
                self.add(&beside, &mut found)?;
                pile.keys.append(&mut found.keys);
                pile.set_back = pile.set_back.or(found.set_back);
            }
        }
        if pile.certificates.is_empty() {
            let problem = "there is no certificate in it; name a file or a folder with one in PEM";
            return Err(pile.set_back.unwrap_or_else(|| DiskError::Damaged {
                path,
                problem: problem.to_owned(),
            }));
        }
        found(path, pile)
    }

    fn add(&self, path: &Path, pile: &mut Pile) -> Result<(), DiskError> {
        if path.is_dir() {
            let more = Pile::of(path, self.usual_password())?;
            pile.certificates.extend(more.certificates);
            pile.keys.extend(more.keys);
            pile.set_back = pile.set_back.take().or(more.set_back);
            return Ok(());
        }
        let bytes = files::read_small(path, LARGEST)?.ok_or_else(|| {
            let missing =
                std::io::Error::new(std::io::ErrorKind::NotFound, "there is no such file");
            told("read", path)(missing)
        })?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let passwords = Passwords::of(folder, self.usual_password())?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        pile.take(&name, path, bytes, &passwords)
    }
}

/// Where the key of a certificate in this file may lie: as certbot, acme.sh, lego and manuale call it.
fn keys_beside(path: &Path) -> impl Iterator<Item = PathBuf> {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let stem = stem.trim_end_matches(".chain").to_owned();
    let names = [
        "privkey.pem".to_owned(),
        "key.pem".to_owned(),
        format!("{stem}.key"),
        format!("{stem}.pem"),
    ];
    let path = path.to_owned();
    names.into_iter().map(move |name| path.with_file_name(name))
}

fn found(path: PathBuf, pile: Pile) -> Result<FoundCertificate, DiskError> {
    let damaged = |problem: String| DiskError::Damaged {
        path: path.clone(),
        problem,
    };
    let first_key = pile.keys.first().map(|(file, _)| file.clone());
    let fit = match pile.keys.is_empty() {
        true => Fit::None,
        false => pile.fit().map_err(|error| damaged(error.to_string()))?,
    };
    let (chain, key) = match (fit, first_key) {
        (
            Fit::One {
                chain,
                key,
                key_file,
            },
            _,
        ) => (
            chain,
            FoundKey::Fits {
                file: key_file,
                key,
            },
        ),
        (Fit::Several(files), _) => {
            return Err(damaged(format!(
                "there are several certificates with their keys in it ({}); name the files of one",
                files.join(", ")
            )));
        }
        (Fit::None, Some(file)) => (in_order(pile.certificates), FoundKey::OfAnother { file }),
        (Fit::None, None) => {
            let problem = pile.set_back.map(|error| error.to_string());
            (in_order(pile.certificates), FoundKey::Missing { problem })
        }
    };
    Ok(FoundCertificate { path, chain, key })
}

/// Puts the leaf first, that is the certificate that issued no other of them, where the order of files does not show
/// it.
fn in_order(mut certificates: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let leaf = certificates
        .iter()
        .position(|der| x509::first_name(der).is_ok());
    if let Some(leaf) = leaf {
        certificates[..=leaf].rotate_right(1);
    }
    certificates
}
