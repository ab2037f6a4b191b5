//! `state/hosts.json`: which project has which host; `state/removed.json`: containers that were removed some minutes
//! ago; `state/elsewhere.json`: what engines that have a name last said of their containers; `state/busy-cas.json`: CAs that ask to be left alone; `state/unwanted.json`: for how long nobody has
//! wanted certificates; `state/renewals.json`: what CAs said about renewals; `state/templates.json`: the user's templates that are in use,
//! whatever lies in their folder by now.

use std::collections::BTreeMap;

use super::{Folders, state::read_json};
use crate::{
    observe::{Bearer, BusyCa, Holder, Removed, RenewalRecord, Unwanted},
    ports::{DiskError, GoodTemplates, Records},
    values::{CertificateName, Host, KeyedTable},
};

const HOSTS: &str = "hosts.json";
const REMOVED: &str = "removed.json";
const ELSEWHERE: &str = "elsewhere.json";
const BUSY_CAS: &str = "busy-cas.json";
const UNWANTED: &str = "unwanted.json";
const RENEWALS: &str = "renewals.json";
const TEMPLATES: &str = "templates.json";

impl Records for Folders {
    fn holders(&self) -> Result<KeyedTable<Host, Holder>, DiskError> {
        Ok(read_json(&self.state.join(HOSTS))?.unwrap_or_default())
    }

    fn keep_holders(&self, holders: &KeyedTable<Host, Holder>) -> Result<(), DiskError> {
        self.write_json(&self.state.join(HOSTS), holders)
    }

    fn removed(&self) -> Result<Vec<Removed>, DiskError> {
        Ok(read_json(&self.state.join(REMOVED))?.unwrap_or_default())
    }

    fn keep_removed(&self, removed: &[Removed]) -> Result<(), DiskError> {
        self.write_json(&self.state.join(REMOVED), &removed)
    }

    fn elsewhere(&self) -> Result<Vec<Bearer>, DiskError> {
        Ok(read_json(&self.state.join(ELSEWHERE))?.unwrap_or_default())
    }

    fn keep_elsewhere(&self, bearers: &[&Bearer]) -> Result<(), DiskError> {
        self.write_json(&self.state.join(ELSEWHERE), &bearers)
    }

    fn busy_cas(&self) -> Result<BTreeMap<String, BusyCa>, DiskError> {
        Ok(read_json(&self.state.join(BUSY_CAS))?.unwrap_or_default())
    }

    fn keep_busy_cas(&self, cas: &BTreeMap<String, BusyCa>) -> Result<(), DiskError> {
        self.write_json(&self.state.join(BUSY_CAS), cas)
    }

    fn unwanted(&self) -> Result<BTreeMap<CertificateName, Unwanted>, DiskError> {
        Ok(read_json(&self.state.join(UNWANTED))?.unwrap_or_default())
    }

    fn keep_unwanted(
        &self,
        unwanted: &BTreeMap<CertificateName, Unwanted>,
    ) -> Result<(), DiskError> {
        self.write_json(&self.state.join(UNWANTED), unwanted)
    }

    fn renewals(&self) -> Result<KeyedTable<CertificateName, RenewalRecord>, DiskError> {
        Ok(read_json(&self.state.join(RENEWALS))?.unwrap_or_default())
    }

    fn keep_renewals(
        &self,
        renewals: &KeyedTable<CertificateName, RenewalRecord>,
    ) -> Result<(), DiskError> {
        self.write_json(&self.state.join(RENEWALS), renewals)
    }

    fn templates(&self) -> Result<Vec<GoodTemplates>, DiskError> {
        Ok(read_json(&self.state.join(TEMPLATES))?.unwrap_or_default())
    }

    fn keep_templates(&self, templates: &[GoodTemplates]) -> Result<(), DiskError> {
        self.write_json(&self.state.join(TEMPLATES), &templates)
    }
}
