//! `state/hosts.json`: which project has which host; `state/removed.json`: containers that were removed some minutes
//! ago; `state/releases/`: requests to hand one over.

use std::{collections::BTreeMap, path::PathBuf};

use super::{Folders, files, state::read_json};
use crate::{
    observe::{Holder, Release, Removed},
    ports::DiskError,
    values::{CertificateName, Host},
};

const FILE: &str = "hosts.json";

const REMOVED: &str = "removed.json";

const RELEASES: &str = "releases";

impl Folders {
    pub(super) fn read_holders(&self) -> Result<BTreeMap<Host, Holder>, DiskError> {
        Ok(read_json(&self.state.join(FILE))?.unwrap_or_default())
    }

    pub(super) fn write_holders(&self, holders: &BTreeMap<Host, Holder>) -> Result<(), DiskError> {
        self.write_json(&self.state.join(FILE), holders)
    }

    pub(super) fn read_removed(&self) -> Result<Vec<Removed>, DiskError> {
        Ok(read_json(&self.state.join(REMOVED))?.unwrap_or_default())
    }

    pub(super) fn write_removed(&self, removed: &[Removed]) -> Result<(), DiskError> {
        self.write_json(&self.state.join(REMOVED), &removed)
    }

    pub(super) fn read_releases(&self) -> Result<(Vec<Release>, Vec<DiskError>), DiskError> {
        let folder = self.state.join(RELEASES);
        let (mut releases, mut faults) = (Vec::new(), Vec::new());
        for entry in files::entries(&folder)? {
            if !entry.ends_with(".json") {
                continue;
            }
            match read_json(&folder.join(entry)) {
                Ok(release) => releases.extend(release),
                Err(fault) => faults.push(fault),
            }
        }
        Ok((releases, faults))
    }

    pub(super) fn write_release(&self, release: &Release) -> Result<(), DiskError> {
        self.write_json(&self.release(&release.host), release)
    }

    pub(super) fn remove_release(&self, host: &Host) -> Result<(), DiskError> {
        files::remove(&self.release(host))
    }

    fn release(&self, host: &Host) -> PathBuf {
        let name = CertificateName::from(host);
        self.state.join(RELEASES).join(format!("{name}.json"))
    }
}
