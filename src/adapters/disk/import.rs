//! Certificates that people hand over: read wherever they lie, and put into `provided/` as a whole.

use std::{
    fs,
    io::{self, Read},
    os::unix::fs::FileTypeExt,
    path::{Path, PathBuf},
};

use itertools::Itertools;

use super::{
    Folders,
    certificates::FOLDER_MODE,
    clients::{client_folder, pile_of},
    files::{self, Durability, PRIVATE, PUBLIC},
    passwords::{Passwords, read_password},
    provided::{ENDINGS, Fit, GIVES_WAY, Pile, names, read_provided},
    version::{LARGEST, Version, read_bytes, refused},
};
use crate::{
    adapters::{encrypted_key::Password, pem, x509},
    observe::{HeldCertificate, Shelf, Source},
    ports::{
        ClientCertificate, ClientFolder, DiskError, ImportOutcome, ImportedCertificate, Imports,
        Standing,
    },
    values::{CertificateName, Timestamp},
};

impl Imports for Folders {
    fn gather(
        &self,
        files: &[PathBuf],
        password_file: Option<&Path>,
        now: Timestamp,
    ) -> Result<ImportedCertificate, DiskError> {
        let given = password_file.map(given_password).transpose()?;
        let mut pile = Pile::default();
        for file in files {
            self.take(file, given.as_ref(), &mut pile)?;
        }
        let place = files.iter().map(|file| called(file).display()).join(", ");
        checked(pile, &place, now)
    }

    fn kept_by_a_client(&self, folder: &Path) -> Result<Option<ClientFolder>, DiskError> {
        let canonical = |path: &Path| path.canonicalize().ok();
        let is_ours = canonical(folder).is_some_and(|it| canonical(&self.certificates) == Some(it));
        let found = client_folder(folder)?;
        match found {
            Some(found) if is_ours => Err(damaged(
                folder,
                format!(
                    "it is the folder of certificates itself, in which what {} keeps is used as it is; there is nothing to import",
                    found.client
                ),
            )),
            found => Ok(found),
        }
    }

    fn gather_kept(
        &self,
        kept: &ClientFolder,
        certificate: &ClientCertificate,
        now: Timestamp,
    ) -> Result<ImportedCertificate, DiskError> {
        let pile = pile_of(kept, certificate, self.usual_password())?;
        let files = certificate.files.iter();
        let place = files.map(|file| kept.path.join(file).display().to_string());
        let mut new = checked(pile, &place.collect_vec().join(", "), now)?;
        // The client renewed it, and so does whoever takes it over.
        new.certificate.gives_way = true;
        Ok(new)
    }

    fn standing(
        &self,
        name: &CertificateName,
        new: &ImportedCertificate,
    ) -> Result<Standing, DiskError> {
        let folder = self.provided(name);
        let is_empty = || Ok(folder.is_dir() && files::entries(&folder)?.is_empty());
        if !files::is_there(&folder) || !folder.is_symlink() && is_empty()? {
            return Ok(Standing::Free);
        }
        let there = read_provided(&folder, self.usual_password());
        let there = there.and_then(|there| {
            let checked = there.version.check(Source::Provided);
            checked.map_err(|error| refused(name, error))
        });
        let has_marker = files::is_there(&folder.join(GIVES_WAY));
        Ok(match there {
            Ok(there) if there.digest != new.certificate.digest => Standing::Other(words(&there)),
            Ok(_) if new.certificate.gives_way && !has_marker => Standing::Other(format!(
                "the same certificate, which is served until its end, since no file {GIVES_WAY} lies beside it"
            )),
            Ok(_) => Standing::Same,
            Err(error) => Standing::Other(unusable(&error)),
        })
    }

    fn provide(
        &self,
        name: &CertificateName,
        new: &ImportedCertificate,
        replace: bool,
    ) -> Result<ImportOutcome, DiskError> {
        let provided = self.certificates.join("provided");
        let folder = self.provided(name);
        let is_free = match self.standing(name, new)? {
            Standing::Free => true,
            Standing::Same => return Ok(ImportOutcome::Unchanged),
            Standing::Other(by) if !replace => return Ok(ImportOutcome::Taken { by }),
            Standing::Other(_) => false,
        };
        let making = self.make(name, &provided, new)?;
        if is_free {
            files::put_folder(&making, &folder)?;
            return Ok(ImportOutcome::Stored);
        }
        // It takes the name first under which the old one will be kept: so a crash at any step leaves both, and none
        // of them where the next import takes it for a left-over.
        files::sync_folder(&making)?;
        let kept = files::set_aside(&making, &provided.join(format!(".{name}.old")))?;
        if let Err(error) = files::exchange(&kept, &folder) {
            files::remove_folder(&kept)?;
            return Err(error);
        }
        files::sync_folder(&provided)?;
        Ok(ImportOutcome::Replaced { kept })
    }
}

impl Folders {
    /// The folder of the user's certificate of this name.
    pub fn provided(&self, name: &CertificateName) -> PathBuf {
        self.certificates.join("provided").join(name.as_str())
    }

    /// Adds what stands in a file, in the files of a folder, or in standard input.
    fn take(
        &self,
        file: &Path,
        given: Option<&Password>,
        pile: &mut Pile,
    ) -> Result<(), DiskError> {
        let passwords = Passwords::given(given, self.usual_password());
        if file.is_dir() {
            let passwords = match given {
                Some(_) => passwords,
                None => Passwords::of(file, self.usual_password())?,
            };
            for inner in names(file, &ENDINGS)? {
                let path = file.join(inner);
                if let Some(bytes) = read_bytes(&path)? {
                    pile.take(&path.display().to_string(), &path, bytes, &passwords)?;
                }
            }
            return Ok(());
        }
        let bytes = match file == Path::new(STANDARD_INPUT) {
            true => read_input()?,
            false => read_named(file)?,
        };
        let file = called(file);
        pile.take(&file.display().to_string(), file, bytes, &passwords)
    }

    /// Writes a certificate beside its place.
    fn make(
        &self,
        name: &CertificateName,
        provided: &Path,
        new: &ImportedCertificate,
    ) -> Result<PathBuf, DiskError> {
        files::folder(provided, FOLDER_MODE)?;
        let making = provided.join(format!(".{name}.new"));
        files::remove_folder(&making)?;
        files::folder(&making, FOLDER_MODE)?;
        let marker = (GIVES_WAY, GIVES_WAY_TEXT, PUBLIC);
        let marker = new.certificate.gives_way.then_some(marker);
        let files = [
            ("privkey.pem", new.key.expose(), PRIVATE),
            ("fullchain.pem", &new.chain, PUBLIC),
        ];
        for (file, text, mode) in files.into_iter().chain(marker) {
            let path = making.join(file);
            files::create(&path, text.as_bytes(), mode, Durability::Synced)?;
        }
        Ok(making)
    }
}

/// The marker's text, for those who find it.
const GIVES_WAY_TEXT: &str = "quaymaster obtains the next certificate in good time before this one ends; without this file it waits for its end\n";

/// The word for standard input.
const STANDARD_INPUT: &str = "-";

/// The name of a file in words for people.
fn called(file: &Path) -> &Path {
    match file == Path::new(STANDARD_INPUT) {
        true => Path::new("standard input"),
        false => file,
    }
}

fn damaged(path: impl Into<PathBuf>, problem: impl Into<String>) -> DiskError {
    DiskError::Damaged {
        path: path.into(),
        problem: problem.into(),
    }
}

fn given_password(path: &Path) -> Result<Password, DiskError> {
    let place = || format!("the file {} of --password-file", path.display());
    read_password(path, place)?.ok_or_else(|| not_there(path))
}

fn not_there(path: &Path) -> DiskError {
    let source = io::Error::new(io::ErrorKind::NotFound, "there is no such file");
    files::told("read", path)(source)
}

fn read_named(path: &Path) -> Result<Vec<u8>, DiskError> {
    if fs::metadata(path).is_ok_and(|found| found.file_type().is_fifo()) {
        let problem =
            "it is a pipe; pass what comes out of it as standard input, and write - in its place";
        return Err(damaged(path, problem));
    }
    read_bytes(path)?.ok_or_else(|| not_there(path))
}

/// All of standard input, as far as that can be what is looked for.
fn read_input() -> Result<Vec<u8>, DiskError> {
    let path = called(Path::new(STANDARD_INPUT));
    let mut bytes = Vec::new();
    let mut bounded = io::stdin().lock().take(LARGEST + 1);
    let read = bounded.read_to_end(&mut bytes);
    match read.map_err(files::told("read", path))? as u64 {
        ..=LARGEST => Ok(bytes),
        _ => Err(damaged(
            path,
            format!(
                "it has more than {LARGEST} bytes, and no key and chain have; pass the PEM text of one certificate"
            ),
        )),
    }
}

/// The one certificate in a pile, if it can be served.
fn checked(pile: Pile, place: &str, now: Timestamp) -> Result<ImportedCertificate, DiskError> {
    let (chain, version) = fitting(pile, place)?;
    let checked = version.check(Source::Provided);
    let certificate = checked.map_err(|error| refused(place, error))?;
    x509::check_dates(&certificate, now).map_err(|error| refused(place, error))?;
    let leaf = chain.first().map(Vec::as_slice).unwrap_or_default();
    let first_name = x509::first_name(leaf).map_err(|error| refused(place, error))?;
    Ok(ImportedCertificate {
        certificate: HeldCertificate {
            shelf: Shelf::Provided,
            ..certificate
        },
        first_name,
        chain: version.fullchain,
        key: version.privkey,
    })
}

/// The one certificate in a pile, leaf first in DER, with its key.
fn fitting(pile: Pile, place: &str) -> Result<(Vec<Vec<u8>>, Version), DiskError> {
    let lacks = match (pile.certificates.is_empty(), pile.keys.is_empty()) {
        (true, true) => Some("neither a certificate nor a private key"),
        (true, false) => Some("no certificate"),
        (false, true) => Some("no private key"),
        (false, false) => None,
    };
    if let Some(lacks) = lacks {
        let problem = format!(
            "there is {lacks} in it; name all files of the certificate: its key, itself and its chain (.pem, .crt, .cer \
             or .key in a folder)"
        );
        return Err(pile.set_back.unwrap_or_else(|| damaged(place, problem)));
    }
    match pile.fit().map_err(|error| refused(place, error))? {
        Fit::One { chain, key, .. } => {
            let version = Version {
                fullchain: pem::written(chain.iter().map(Vec::as_slice)),
                privkey: key,
                irregular: None,
                is_self_signed: false,
                profile: None,
            };
            Ok((chain, version))
        }
        Fit::None => Err(pile.unfit(place)),
        Fit::Several(files) => {
            let problem = format!(
                "there are several keys with a certificate of its own each ({}); import them one after the other",
                files.iter().dedup().join(", ")
            );
            Err(damaged(place, problem))
        }
    }
}

/// The words for the certificate that lies in the place of another.
fn words(there: &HeldCertificate) -> String {
    format!(
        "another certificate, for {}, valid until {}, issued by {}",
        there.names.iter().join(", "),
        there.not_after,
        there.issuer
    )
}

/// The same, where that is no certificate that can be served.
fn unusable(error: &DiskError) -> String {
    let reason = std::error::Error::source(error).map(|reason| format!(": {reason}"));
    format!(
        "something that can't be used ({error}{})",
        reason.unwrap_or_default()
    )
}
