//! Certificates that are archived. `archive/NAME/archived.json` is the mark of one: it says which version was live. It
//! counts only while nothing has that name in `live/`, so that a crash between two steps leaves either a certificate that
//! is live or one that is archived, whole in both cases.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    rc::Rc,
};

use super::{
    Folders,
    files::{self, Durability, PUBLIC},
    state::read_json,
    version::{missing, read_version, refused},
};
use crate::{
    observe::{ArchivedCertificate, HeldCertificate},
    ports::{Certificates, DiskError},
    values::{CertificateName, Timestamp},
};

const MARK: &str = "archived.json";

impl Folders {
    /// Finds the certificates that are archived.
    pub(super) fn look_at_archive(&self, found: &mut Certificates) {
        let entries = match files::entries(&self.certificates.join("archive")) {
            Ok(entries) => entries,
            Err(fault) => return found.faults.push(fault),
        };
        let mut archived = BTreeMap::new();
        for entry in entries {
            let Ok(name) = CertificateName::parse(entry) else {
                continue;
            };
            if found.held.contains_key(&name) || files::is_there(&self.live(&name)) {
                continue;
            }
            match read_json::<ArchivedCertificate>(&self.mark(&name)) {
                Ok(Some(certificate)) => drop(archived.insert(name, Rc::new(certificate))),
                Ok(None) => {}
                Err(fault) => found.faults.push(fault),
            }
        }
        found.archived = archived;
    }

    /// Takes a live certificate of ours out of use. The link goes last: until then it is live, and its second copy is made
    /// again.
    pub(super) fn archive_live(
        &self,
        name: &CertificateName,
        now: Timestamp,
    ) -> Result<ArchivedCertificate, DiskError> {
        let certificate = self.read_live(name)?;
        let is_obtained = certificate.source.is_obtained();
        let version = self.linked(name).filter(|_| is_obtained);
        let version =
            version.ok_or_else(|| refused(name, "quaymaster did not obtain it, and leaves it"))?;
        let archived = ArchivedCertificate {
            version,
            at: now,
            certificate,
        };
        let mark = self.mark(name);
        let text = serde_json::to_string_pretty(&archived).map_err(|error| DiskError::Damaged {
            path: mark.clone(),
            problem: error.to_string(),
        })?;
        files::replace(&mark, text.as_bytes(), PUBLIC, Durability::Synced)?;
        files::remove_folder(&self.copy(name))?;
        files::remove(&self.live(name))?;
        files::sync_folder(&self.certificates.join("live"))?;
        Ok(archived)
    }

    /// Links an archived certificate again, after the checks that a new one has to pass.
    pub(super) fn restore_archived(
        &self,
        name: &CertificateName,
    ) -> Result<HeldCertificate, DiskError> {
        let known = self.read_mark(name)?;
        let version = read_version(&self.version_folder(name, known.version), None)?;
        if version.digest() != known.certificate.digest {
            return Err(refused(name, "it was changed since it was archived"));
        }
        let HeldCertificate {
            source, profile, ..
        } = known.certificate;
        let version = version.known_as(&source, profile.as_ref());
        let checked = version
            .check(source.clone())
            .map_err(|error| refused(name, error))?;
        self.link(name, known.version)?;
        self.write_copy(name, &version, source)?;
        Ok(checked)
    }

    /// Removes an archived certificate with its keys. The mark goes last, so that what was begun is done again; what
    /// quaymaster did not put there stays.
    pub(super) fn delete_archived(&self, name: &CertificateName) -> Result<(), DiskError> {
        self.read_mark(name)?;
        let folder = self.archive_folder(name);
        for entry in files::entries(&folder)? {
            let number = entry
                .strip_prefix('.')
                .and_then(|entry| entry.strip_suffix(".new"))
                .unwrap_or(&entry);
            if number.parse::<u64>().is_ok() {
                files::remove_folder(&folder.join(entry))?;
            }
        }
        files::sync_folder(&folder)?;
        self.drop_mark(name)?;
        files::remove_empty_folder(&folder)
    }

    /// Forgets that a certificate was archived: it has a successor in `live/`.
    pub(super) fn drop_mark(&self, name: &CertificateName) -> Result<(), DiskError> {
        files::remove(&self.mark(name))
    }

    fn read_mark(&self, name: &CertificateName) -> Result<ArchivedCertificate, DiskError> {
        if files::is_there(&self.live(name)) {
            return Err(refused(name, "it is not archived, since it is live"));
        }
        let mark = self.mark(name);
        read_json(&mark)?.ok_or_else(|| missing(mark))
    }

    fn mark(&self, name: &CertificateName) -> PathBuf {
        self.archive_folder(name).join(MARK)
    }

    fn version_folder(&self, name: &CertificateName, number: u64) -> PathBuf {
        self.archive_folder(name).join(number.to_string())
    }

    pub(super) fn archive_folder(&self, name: &CertificateName) -> PathBuf {
        self.certificates
            .join(Path::new("archive"))
            .join(name.as_str())
    }
}
