//! A look at all that the user provides.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, rc::Rc};

use super::{
    Folders,
    certificates::{CertificateLook, entries, tell_exposed},
    files,
    memory::SeenFolder,
    provided::{GIVES_WAY, read_provided},
    version::refused,
};
use crate::{
    observe::{HeldCertificate, Shelf, Source},
    ports::DiskError,
    values::CertificateName,
};

impl Folders {
    /// Looks at all that lies in `provided/`; what is as it was is not read again.
    pub(super) fn look_at_provided(&self, look: &mut CertificateLook) -> Result<(), DiskError> {
        let provided = self.certificates.join("provided");
        let listed = entries(&provided, &mut look.found)?;
        for entry in listed.into_iter().filter(|entry| !entry.starts_with('.')) {
            let path = provided.join(&entry);
            match CertificateName::parse(entry) {
                Ok(name) => self.look_at_one_provided(&path, name, look),
                Err(error) => look.found.faults.push(DiskError::Damaged {
                    path,
                    problem: error.to_string(),
                }),
            }
        }
        Ok(())
    }

    fn look_at_one_provided(
        &self,
        folder: &Path,
        name: CertificateName,
        look: &mut CertificateLook,
    ) {
        let usual = self.password_file.as_deref();
        if let Some(known) = look.before.recall_folder(&name, folder, usual, look.began) {
            look.found
                .provided
                .insert(name.clone(), known.certificate());
            return look.after.keep_folder(name, known);
        }
        let seen = SeenFolder::look(folder, usual, look.began);
        let read = read_provided(folder, usual).and_then(|provided| {
            let checked = provided.version.check(Source::Provided);
            let certificate = HeldCertificate {
                shelf: provided.shelf,
                gives_way: files::is_there(&folder.join(GIVES_WAY)),
                ..checked.map_err(|error| refused(folder.display(), error))?
            };
            Ok((Rc::new(certificate), folder.join(provided.key_file)))
        });
        match read {
            Ok((certificate, key)) => {
                // Whether others get to a key that they may read depends on folders, which are not remembered.
                let mode = fs::metadata(&key).map(|found| found.permissions().mode());
                let is_closed = mode.is_ok_and(|mode| mode & 0o004 == 0);
                tell_exposed(key, &mut look.found);
                if let Some(seen) = seen.filter(|_| is_closed) {
                    look.after
                        .keep_folder(name.clone(), seen.of_certificate(&certificate));
                }
                look.found.provided.insert(name, certificate);
            }
            Err(fault) => {
                if matches!(fault, DiskError::Io { .. }) {
                    look.found.unread.insert((Shelf::Provided, name));
                }
                look.found.faults.push(fault);
            }
        }
    }
}
