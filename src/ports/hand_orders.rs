//! Certificates by commands: what is kept of an order, who does by hand what no responder does, and where the files go.

use std::{collections::BTreeSet, path::PathBuf};

use async_trait::async_trait;

use super::DiskError;
use crate::{
    observe::{HandOrder, HandTask},
    values::{Host, Secret, Timestamp},
};

/// The files of one order by commands, beside its record.
pub trait HandOrders {
    /// The order, as far as it got; nothing where none was begun.
    ///
    /// # Errors
    /// When it can't be read.
    fn hand_order(&self) -> Result<Option<HandOrder>, DiskError>;

    /// Writes down how far the order got.
    ///
    /// # Errors
    /// When it can't be written.
    fn keep_hand_order(&self, order: &HandOrder) -> Result<(), DiskError>;

    /// Forgets it: its certificate lies in its files.
    ///
    /// # Errors
    /// When it can't be taken away.
    fn drop_hand_order(&self) -> Result<(), DiskError>;
}

/// Somebody who puts responses to challenges where a CA sees them.
#[async_trait(?Send)]
pub trait Hands {
    /// Says what has to be put where; answers whether somebody has said already that all of it is there.
    fn ask(&self, tasks: &[HandTask]) -> bool;

    /// Says that a response can be seen.
    fn saw(&self, name: &Host);

    /// Waits for what comes next, while these can't be seen; each with why.
    async fn wait(&self, unseen: &[(HandTask, String)]) -> Waited;
}

/// The end of a wait for a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    /// It is time for another look.
    Look,
    /// Somebody says that all is there: the CA is to look.
    Insist,
    /// Nobody is there to be waited for.
    Nobody,
}

/// The key or signing request with which a certificate is asked for.
#[derive(Debug)]
pub enum CertificateKey<'a> {
    /// The key on record, or another one of ours where that is none of this kind.
    Own,
    /// A key of the user's own, in PEM.
    Given(&'a Secret),
    /// A signing request of the user's own, in DER: we never see the key.
    ///
    /// <https://www.rfc-editor.org/rfc/rfc2986>
    Request(&'a [u8]),
}

/// A certificate that was issued, and is to be put into files.
#[derive(Debug)]
pub struct IssuedCertificate<'a> {
    /// The names that were asked for.
    pub names: &'a BTreeSet<Host>,
    /// Its chain in PEM, leaf first.
    pub chain: &'a str,
    /// Its key in PEM, or the signing request in DER.
    pub key: IssuedKey<'a>,
    /// Now, for its dates.
    pub now: Timestamp,
}

/// The key or signing request that the certificate has to fit.
#[derive(Debug)]
pub enum IssuedKey<'a> {
    /// Its key in PEM.
    Key(&'a Secret),
    /// The signing request in DER.
    Request(&'a [u8]),
}

/// Files of the user's own with one certificate.
pub trait IssuedFiles {
    /// Checks the certificate, then puts it into its files; where other files are there, these take their place. Says which
    /// files.
    ///
    /// # Errors
    /// When it does not pass its checks, which leaves all as it is, or when a file can't be written.
    fn put(&self, issued: &IssuedCertificate<'_>) -> Result<Vec<PathBuf>, DiskError>;
}
