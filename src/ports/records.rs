//! The records that the daemon keeps over a restart.

use std::collections::BTreeMap;

use super::DiskError;
use crate::{
    observe::{Bearer, BusyCa, Holder, Removed, RenewalRecord, Unwanted},
    values::{CertificateName, Host, KeyedTable},
};

/// Records of what containers, labels and templates that are there do not show.
pub trait Records {
    /// Which project has which host, as it was kept.
    fn holders(&self) -> Result<KeyedTable<Host, Holder>, DiskError>;
    /// Keeps which project has which host.
    fn keep_holders(&self, holders: &KeyedTable<Host, Holder>) -> Result<(), DiskError>;

    /// The containers that were removed and are remembered, as they were kept.
    fn removed(&self) -> Result<Vec<Removed>, DiskError>;
    /// Keeps these.
    fn keep_removed(&self, removed: &[Removed]) -> Result<(), DiskError>;

    /// The bearers of engines that have a name, as these last said.
    fn elsewhere(&self) -> Result<Vec<Bearer>, DiskError>;
    /// Keeps these.
    fn keep_elsewhere(&self, bearers: &[&Bearer]) -> Result<(), DiskError>;

    /// The CAs that ask to be left alone, by the URLs of their directories, as they were kept.
    fn busy_cas(&self) -> Result<BTreeMap<String, BusyCa>, DiskError>;
    /// Keeps these.
    fn keep_busy_cas(&self, cas: &BTreeMap<String, BusyCa>) -> Result<(), DiskError>;

    /// For how long nobody has wanted certificates that we obtained, as it was kept.
    fn unwanted(&self) -> Result<BTreeMap<CertificateName, Unwanted>, DiskError>;
    /// Keeps this.
    fn keep_unwanted(
        &self,
        unwanted: &BTreeMap<CertificateName, Unwanted>,
    ) -> Result<(), DiskError>;

    /// Reads the CAs' answers about renewals, as they were kept.
    fn renewals(&self) -> Result<KeyedTable<CertificateName, RenewalRecord>, DiskError>;
    /// Keeps this.
    fn keep_renewals(
        &self,
        renewals: &KeyedTable<CertificateName, RenewalRecord>,
    ) -> Result<(), DiskError>;

    /// The user's templates that are in use or were tried last, the newest last, as they were kept.
    fn templates(&self) -> Result<Vec<GoodTemplates>, DiskError>;
    /// Keeps these.
    fn keep_templates(&self, templates: &[GoodTemplates]) -> Result<(), DiskError>;
}

/// The user's templates of one time, by name; none of them is broken.
pub type GoodTemplates = BTreeMap<String, String>;
