//! The wishes of people, by commands to the daemon.

use std::collections::BTreeMap;

use super::DiskError;
use crate::{
    observe::{Forget, HandOver, HeldCertificate, Release, RenewalRequest},
    values::{CertificateName, Host, Secret, Timestamp},
};

/// What people ask of the daemon by commands, as it lies in state: renewals, hosts to hand over, certificates to archive, and
/// certificates to use.
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

    /// All certificates that commands have left there, by the word of each, and what is wrong with the others.
    ///
    /// # Errors
    /// When they can't be listed.
    fn hand_overs(&self) -> Result<(BTreeMap<String, HandOver>, Vec<DiskError>), DiskError>;
    /// Reads and checks one; nothing where it is gone.
    ///
    /// # Errors
    /// When it can't be read, or is not valid now.
    fn handed_over(
        &self,
        word: &str,
        about: &HandOver,
        now: Timestamp,
    ) -> Result<Option<(HeldCertificate, ObtainedPair)>, DiskError>;
    /// Leaves a certificate under this word: nobody finds it before all of it is there.
    ///
    /// # Errors
    /// When it can't be written.
    fn leave_hand_over(
        &self,
        word: &str,
        about: &HandOver,
        pair: &ObtainedPair,
    ) -> Result<(), DiskError>;
    /// Writes down what became of one, and deletes the copy of its key.
    ///
    /// # Errors
    /// When that can't be written, or the key can't be deleted.
    fn answer_hand_over(&self, word: &str, about: &HandOver) -> Result<(), DiskError>;
    /// Takes one away; one that is not there is fine.
    ///
    /// # Errors
    /// When it can't be taken away.
    fn drop_hand_over(&self, word: &str) -> Result<(), DiskError>;
}

/// A certificate and its key, both in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObtainedPair {
    /// The chain, leaf first.
    pub chain: String,
    /// The key.
    pub key: Secret,
}
