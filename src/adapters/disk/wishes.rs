//! `state/wishes/`: renewals that people ask the daemon for; `state/releases/`: requests to hand a host over;
//! `state/forgets/`: requests to archive a certificate.

use std::{collections::BTreeMap, path::PathBuf};

use serde::de::DeserializeOwned;

use super::{Folders, files, state::read_json};
use crate::{
    observe::{Forget, Release, RenewalRequest},
    ports::{DiskError, Wishes},
    values::{CertificateName, Host},
};

const RELEASES: &str = "releases";
const FORGETS: &str = "forgets";

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
        self.requests(RELEASES)
    }

    fn keep_release(&self, release: &Release) -> Result<(), DiskError> {
        self.write_json(&self.release(&release.host), release)
    }

    fn drop_release(&self, host: &Host) -> Result<(), DiskError> {
        files::remove(&self.release(host))
    }

    fn forgets(&self) -> Result<(Vec<Forget>, Vec<DiskError>), DiskError> {
        self.requests(FORGETS)
    }

    fn keep_forget(&self, forget: &Forget) -> Result<(), DiskError> {
        self.write_json(&self.forget(&forget.certificate), forget)
    }

    fn drop_forget(&self, name: &CertificateName) -> Result<(), DiskError> {
        files::remove(&self.forget(name))
    }
}

impl Folders {
    fn wish(&self, name: &CertificateName) -> PathBuf {
        self.state.join("wishes").join(format!("{name}.json"))
    }

    /// Reads the requests in a folder, and reports the broken ones.
    fn requests<T: DeserializeOwned>(
        &self,
        folder: &str,
    ) -> Result<(Vec<T>, Vec<DiskError>), DiskError> {
        let folder = self.state.join(folder);
        let (mut requests, mut faults) = (Vec::new(), Vec::new());
        for entry in files::entries(&folder)? {
            if !entry.ends_with(".json") {
                continue;
            }
            match read_json(&folder.join(entry)) {
                Ok(request) => requests.extend(request),
                Err(fault) => faults.push(fault),
            }
        }
        Ok((requests, faults))
    }

    fn forget(&self, name: &CertificateName) -> PathBuf {
        self.state.join(FORGETS).join(format!("{name}.json"))
    }

    fn release(&self, host: &Host) -> PathBuf {
        let name = CertificateName::from(host);
        self.state.join(RELEASES).join(format!("{name}.json"))
    }
}
