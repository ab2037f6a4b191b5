//! The wishes of people, by commands to the daemon.

use std::collections::BTreeMap;

use super::DiskError;
use crate::{
    observe::{Forget, Release, RenewalRequest},
    values::{CertificateName, Host},
};

/// What people ask of the daemon by commands, as it lies in state: renewals, hosts to hand over, and certificates to
/// archive.
pub trait Wishes {
    /// All that lie there, and what is wrong with the others.
    ///
    /// # Errors
    /// When they can't be listed.
    fn wishes(
        &self,
    ) -> Result<(BTreeMap<CertificateName, RenewalRequest>, Vec<DiskError>), DiskError>;
    /// Leaves a wish, or writes down what became of it.
    fn keep_wish(&self, name: &CertificateName, wish: &RenewalRequest) -> Result<(), DiskError>;
    /// Takes a wish away; one that is not there is fine.
    fn drop_wish(&self, name: &CertificateName) -> Result<(), DiskError>;

    /// All requests to hand a host over that lie there, and what is wrong with the others.
    ///
    /// # Errors
    /// When they can't be listed.
    fn releases(&self) -> Result<(Vec<Release>, Vec<DiskError>), DiskError>;
    /// Leaves such a request, or writes down what became of it.
    fn keep_release(&self, release: &Release) -> Result<(), DiskError>;
    /// Takes such a request away; one that is not there is fine.
    fn drop_release(&self, host: &Host) -> Result<(), DiskError>;

    /// All requests to archive a certificate that lie there, and what is wrong with the others.
    ///
    /// # Errors
    /// When they can't be listed.
    fn forgets(&self) -> Result<(Vec<Forget>, Vec<DiskError>), DiskError>;
    /// Leaves such a request, or writes down what became of it.
    fn keep_forget(&self, forget: &Forget) -> Result<(), DiskError>;
    /// Takes such a request away; one that is not there is fine.
    fn drop_forget(&self, name: &CertificateName) -> Result<(), DiskError>;
}
