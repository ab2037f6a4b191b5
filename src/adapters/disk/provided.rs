//! A certificate as its user laid it out: in the files that servers read, or in others, under whichever names.

use std::{ffi::OsStr, path::Path};

use zeroize::Zeroizing;

use super::{
    files,
    passwords::Passwords,
    version::{Version, read_bytes, read_version, refused},
};
use crate::{
    adapters::{
        pem::{self, Contents},
        x509::{self, CertificateError},
    },
    observe::{Shelf, Source},
    ports::DiskError,
    values::Secret,
};

/// The endings of files of certificates and keys. Others are looked at only where there are none of these.
pub(super) const ENDINGS: [&str; 4] = ["pem", "crt", "cer", "key"];

/// The endings of other tools' files that hold a certificate and can't be read: these are named where there is nothing
/// better.
const BINARY: [&str; 5] = ["p12", "pfx", "der", "p7b", "p7c"];

/// Number of files of a folder that are looked at.
const MOST_FILES: usize = 100;

/// Number of files' names that a complaint lists.
const MOST_LISTED: usize = 5;

/// The names that a complaint proposes.
const EXPECTED: &str = "put fullchain.pem and privkey.pem here, or cert.pem, chain.pem and privkey.pem, or server.crt and \
                        server.key (any names that end in .pem, .crt, .cer or .key), or key and chain in one .pem file";

/// The file that says that the certificate in its folder gives way to one of ours in good time before its end.
pub(super) const GIVES_WAY: &str = "renew";

/// The content of a folder of the user's.
pub(super) struct Provided {
    pub version: Version,
    pub shelf: Shelf,
    /// The name of the file with the key.
    pub key_file: String,
}

/// The contents of files of certificates and keys, together.
#[derive(Default)]
pub(super) struct Pile {
    pub certificates: Vec<Vec<u8>>,
    /// Each with the name of the first file that has it.
    pub keys: Vec<(String, Secret)>,
    /// The reason why a file adds nothing, where that may not matter.
    pub set_back: Option<DiskError>,
}

/// The parts of a pile that belong together.
pub(super) enum Fit {
    /// A certificate, leaf first, with its key, and the file of that.
    One {
        chain: Vec<Vec<u8>>,
        key: Secret,
        key_file: String,
    },
    /// Several keys have a certificate each; the files of these keys.
    Several(Vec<String>),
    /// No certificate is for any of the keys.
    None,
}

/// Number of times that a folder is read anew that was replaced while it was read.
const MOST_READS: usize = 5;

/// Reads what lies in a folder of the user's. `usual` is the file with the password of keys that have none of their own.
///
/// One that is replaced meanwhile is read again: the key of the one does not belong to the certificate of the other.
pub(super) fn read_provided(folder: &Path, usual: Option<&Path>) -> Result<Provided, DiskError> {
    steady(|| files::identity(folder), || read_once(folder, usual))
}

/// True where nothing can be missing any more of what lies there: key and certificates belong together, and each certificate
/// is followed by its issuer. A certificate alone may be half of what is copied there.
pub(super) fn is_whole(folder: &Path, usual: Option<&Path>) -> bool {
    read_provided(folder, usual).is_ok_and(|provided| {
        provided.version.check(Source::Provided).is_ok()
            && x509::is_linked(&provided.version.fullchain)
    })
}

/// Reads until it was the same folder before and after.
fn steady<I: PartialEq, T>(mut identity: impl FnMut() -> I, mut read: impl FnMut() -> T) -> T {
    let mut reads = 0;
    loop {
        let before = identity();
        let found = read();
        reads += 1;
        if reads == MOST_READS || identity() == before {
            return found;
        }
    }
}

fn read_once(folder: &Path, usual: Option<&Path>) -> Result<Provided, DiskError> {
    let [chain, key] = ["fullchain.pem", "privkey.pem"].map(|file| folder.join(file));
    if let Ok(target) = folder.read_link()
        && !folder.exists()
    {
        let problem = format!(
            "its folder is a link to {}, where nothing is that quaymaster sees; put the files themselves here",
            target.display()
        );
        return Err(DiskError::Damaged {
            path: chain,
            problem,
        });
    }
    if files::is_there(folder) && !folder.is_dir() {
        let problem = "there is a file where its folder should be; make a folder of this name and put the file into it";
        return Err(DiskError::Damaged {
            path: chain,
            problem: problem.to_owned(),
        });
    }
    if !(files::is_there(&chain) && files::is_there(&key)) {
        return gathered(folder, usual);
    }
    let version = read_version(folder, usual)?;
    Ok(Provided {
        version: completed(folder, usual, version)?,
        shelf: Shelf::Provided,
        key_file: "privkey.pem".to_owned(),
    })
}

/// A chain of one certificate, with those of its issuers that lie beside it. A longer one is as its user wants it.
fn completed(folder: &Path, usual: Option<&Path>, version: Version) -> Result<Version, DiskError> {
    let read = pem::contents(version.fullchain.as_bytes(), None);
    let alone = read.expect("it was just written").certificates;
    let [leaf] = alone.as_slice() else {
        return Ok(version);
    };
    if x509::is_self_issued(leaf) {
        return Ok(version);
    }
    let pile = Pile::of(folder, usual)?;
    let mut certificates: Vec<_> = vec![leaf.as_slice()];
    certificates.extend(
        pile.certificates
            .iter()
            .map(Vec::as_slice)
            .filter(|other| other != leaf),
    );
    Ok(match x509::chain_of(&certificates, &version.privkey) {
        Ok(Some(chain)) if chain[0] == leaf => Version {
            fullchain: pem::written(chain),
            ..version
        },
        _ => version,
    })
}

/// A certificate out of all files in a folder, recognised by their content.
fn gathered(folder: &Path, usual: Option<&Path>) -> Result<Provided, DiskError> {
    let pile = Pile::of(folder, usual)?;
    if pile.keys.is_empty() || pile.certificates.is_empty() {
        return Err(pile.lacking(folder)?);
    }
    let place = folder.display();
    match pile.fit().map_err(|error| refused(&place, error))? {
        Fit::One {
            chain,
            key,
            key_file,
        } => Ok(Provided {
            version: Version {
                fullchain: pem::written(chain.iter().map(Vec::as_slice)),
                privkey: key,
                irregular: None,
                is_self_signed: false,
                profile: None,
            },
            shelf: Shelf::ProvidedInParts,
            key_file,
        }),
        Fit::None => Err(pile.unfit(&place)),
        Fit::Several(files) => {
            let named = folder.file_name().unwrap_or_default().to_string_lossy();
            let several = CertificateError::Several(files.join(", "), named.into_owned());
            Err(refused(&place, several))
        }
    }
}

impl Pile {
    pub fn of(folder: &Path, usual: Option<&Path>) -> Result<Self, DiskError> {
        let passwords = Passwords::of(folder, usual)?;
        let mut pile = Self::default();
        for file in names(folder, &ENDINGS)? {
            let path = folder.join(&file);
            if let Some(bytes) = read_bytes(&path)? {
                pile.take(&file, &path, bytes, &passwords)?;
            }
        }
        Ok(pile)
    }

    /// Adds what stands in a file.
    pub fn take(
        &mut self,
        file: &str,
        path: &Path,
        bytes: Vec<u8>,
        passwords: &Passwords<'_>,
    ) -> Result<(), DiskError> {
        let damaged = |problem: String| DiskError::Damaged {
            path: path.to_owned(),
            problem,
        };
        let bytes = Zeroizing::new(bytes);
        match passwords.open(|password| pem::contents(&bytes, password)) {
            Ok(contents) => self.add(file, contents).map_err(damaged)?,
            Err(error) if error.is_unopened() => {
                self.set_back
                    .get_or_insert_with(|| damaged(error.to_string()));
            }
            Err(error) => return Err(damaged(error.to_string())),
        }
        Ok(())
    }

    /// Finds the certificate for each key.
    pub fn fit(&self) -> Result<Fit, CertificateError> {
        let certificates: Vec<_> = self.certificates.iter().map(Vec::as_slice).collect();
        let mut fitting = Vec::new();
        for (file, key) in &self.keys {
            if let Some(chain) = x509::chain_of(&certificates, key)? {
                fitting.push((file, key, chain));
            }
        }
        Ok(match fitting.as_slice() {
            [] => Fit::None,
            [(file, key, chain)] => Fit::One {
                chain: chain.iter().map(|der| der.to_vec()).collect(),
                key: (*key).clone(),
                key_file: (*file).clone(),
            },
            several => Fit::Several(several.iter().map(|(file, ..)| (*file).clone()).collect()),
        })
    }

    /// The reason why no certificate is for any of the keys.
    pub fn unfit(self, place: impl ToString) -> DiskError {
        self.set_back.unwrap_or_else(|| {
            let certificates: Vec<_> = self.certificates.iter().map(Vec::as_slice).collect();
            refused(place, x509::without_key(&certificates))
        })
    }

    fn add(&mut self, file: &str, contents: Contents) -> Result<(), String> {
        for (index, certificate) in contents.certificates.into_iter().enumerate() {
            if x509::serial_of(&certificate).is_none() {
                return Err(format!(
                    "its certificate number {} can't be read",
                    index + 1
                ));
            }
            if !self.certificates.contains(&certificate) {
                self.certificates.push(certificate);
            }
        }
        for key in contents.keys {
            if self.keys.iter().all(|(_, other)| *other != key) {
                self.keys.push((file.to_owned(), key));
            }
        }
        Ok(())
    }

    /// The reason why there is no certificate with a key in it.
    fn lacking(self, folder: &Path) -> Result<DiskError, DiskError> {
        if let Some(set_back) = self.set_back {
            return Ok(set_back);
        }
        for file in names(folder, &BINARY)? {
            let path = folder.join(file);
            let bytes = Zeroizing::new(read_bytes(&path)?.unwrap_or_default());
            if let Err(error) = pem::contents(&bytes, None) {
                let problem = error.to_string();
                return Ok(DiskError::Damaged { path, problem });
            }
        }
        let (file, lacks) = match self.certificates.is_empty() {
            true => ("fullchain.pem", "certificate"),
            false => ("privkey.pem", "private key"),
        };
        let mut there = files::entries(folder)?;
        let more = there.len().saturating_sub(MOST_LISTED);
        there.truncate(MOST_LISTED);
        let there = match (there.is_empty(), more) {
            (true, _) => "the folder is empty".to_owned(),
            (false, 0) => format!("there is no {lacks} in {}", there.join(", ")),
            (false, more) => format!(
                "there is no {lacks} in {} and {more} more",
                there.join(", ")
            ),
        };
        Ok(DiskError::Damaged {
            path: folder.join(file),
            problem: format!("it is not there, and {there}; {EXPECTED}"),
        })
    }
}

/// The files of a folder that have one of these endings, in any case.
pub(super) fn names(folder: &Path, endings: &[&str]) -> Result<Vec<String>, DiskError> {
    let mut names = files::entries(folder)?;
    names.retain(|name| {
        let ending = Path::new(name).extension().and_then(OsStr::to_str);
        let ending = ending.unwrap_or_default().to_ascii_lowercase();
        !name.starts_with('.') && endings.contains(&&*ending)
    });
    if names.len() > MOST_FILES {
        return Err(DiskError::Damaged {
            path: folder.to_owned(),
            problem: format!(
                "it has {} files of certificates and keys; put each certificate into a folder of its own",
                names.len()
            ),
        });
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Number of reads where a folder is each of these in turn, the last one for ever.
    fn reads(folders: &[u64]) -> usize {
        let (mut asked, mut count) = (0, 0);
        let identity = || {
            asked += 1;
            folders[asked.min(folders.len()) - 1]
        };
        steady(identity, || count += 1);
        count
    }

    #[test]
    fn a_folder_that_was_replaced_while_it_was_read_is_read_again_and_not_for_ever() {
        assert_eq!(reads(&[1]), 1);
        assert_eq!(reads(&[1, 2]), 2);
        assert_eq!(reads(&[1, 2, 2, 3]), 3);
        let ever_changing: Vec<_> = (0..100).collect();
        assert_eq!(reads(&ever_changing), MOST_READS);
    }
}
