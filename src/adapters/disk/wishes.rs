//! `state/wishes/`: renewals that people ask the daemon for; `state/releases/`: requests to hand a host over.

use std::{collections::BTreeMap, path::PathBuf};

use super::{Folders, files, state::read_json};
use crate::{
    observe::{Release, RenewalRequest},
    ports::{DiskError, Wishes},
    values::{CertificateName, Host},
};

const RELEASES: &str = "releases";

impl Wishes for Folders {
    fn wishes(
        &self,
    ) -> Result<(BTreeMap<CertificateName, RenewalRequest>, Vec<DiskError>), DiskError> {
        let folder = self.state.join("wishes");
        let (mut wishes, mut faults) = (BTreeMap::new(), Vec::new());
        for entry in files::entries(&folder)? {
            let name = entry
                .strip_suffix(".json")
                .and_then(|name| CertificateName::parse(name).ok());
            let Some(name) = name else { continue };
            match read_json(&folder.join(entry)) {
                Ok(wish) => wishes.extend(wish.map(|wish| (name, wish))),
                Err(fault) => faults.push(fault),
            }
        }
        Ok((wishes, faults))
    }

    fn keep_wish(&self, name: &CertificateName, wish: &RenewalRequest) -> Result<(), DiskError> {
        self.write_json(&self.wish(name), wish)
    }

    fn drop_wish(&self, name: &CertificateName) -> Result<(), DiskError> {
        files::remove(&self.wish(name))
    }

    fn releases(&self) -> Result<(Vec<Release>, Vec<DiskError>), DiskError> {
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

    fn keep_release(&self, release: &Release) -> Result<(), DiskError> {
        self.write_json(&self.release(&release.host), release)
    }

    fn drop_release(&self, host: &Host) -> Result<(), DiskError> {
        files::remove(&self.release(host))
    }
}

impl Folders {
    fn wish(&self, name: &CertificateName) -> PathBuf {
        self.state.join("wishes").join(format!("{name}.json"))
    }

    fn release(&self, host: &Host) -> PathBuf {
        let name = CertificateName::from(host);
        self.state.join(RELEASES).join(format!("{name}.json"))
    }
}
