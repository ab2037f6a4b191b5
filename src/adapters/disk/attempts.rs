//! `state/attempts/`: failures, and when the next try may be.

use std::{collections::BTreeMap, path::PathBuf};

use super::{Folders, files, state::read_json};
use crate::{
    observe::Attempt,
    ports::{AttemptRecords, Attempts, DiskError},
    values::CertificateName,
};

impl Attempts for Folders {
    fn attempts(&self) -> Result<AttemptRecords, DiskError> {
        let folder = self.state.join("attempts");
        let mut attempts = BTreeMap::new();
        for entry in files::entries(&folder)? {
            let name = entry
                .strip_suffix(".json")
                .and_then(|name| CertificateName::parse(name).ok());
            let Some(name) = name else { continue };
            attempts.extend(
                read_json(&folder.join(entry))
                    .transpose()
                    .map(|read| (name, read)),
            );
        }
        Ok(attempts)
    }

    fn note_attempt(&self, name: &CertificateName, attempt: &Attempt) -> Result<(), DiskError> {
        self.write_json(&self.attempt(name), attempt)
    }

    fn forget_attempts(&self, name: &CertificateName) -> Result<(), DiskError> {
        files::remove(&self.attempt(name))
    }
}

impl Folders {
    fn attempt(&self, name: &CertificateName) -> PathBuf {
        self.state.join("attempts").join(format!("{name}.json"))
    }
}
