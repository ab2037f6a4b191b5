//! Our folders, and those of consumers as far as they are mounted here.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Write},
    rc::Rc,
};

use futures_util::stream::LocalBoxStream;

use super::DiskError;
use crate::{
    observe::{Attempt, HeldCertificate, Holder, Removed, Shelf, Source},
    values::{CertificateName, Digest, Host, Secret, Timestamp},
};

/// Our folders, and those of consumers as far as they are mounted here.
pub trait Disk {
    /// Looks at all certificates, ours and the user's, beginning `now`; changes nothing. A further look is quicker where
    /// nothing has changed, and finds the same.
    ///
    /// # Errors
    /// When a folder can't be listed: nothing is known then, also not that there are none.
    fn certificates(&self, now: Timestamp) -> Result<Certificates, DiskError>;

    /// Mends what a look found. What is as it should be by now is left alone.
    ///
    /// # Errors
    /// Nothing that was live before has changed when it fails.
    fn mend(&self, name: &CertificateName, repair: &Repair) -> Result<(), DiskError>;

    /// Begins to watch `provided/`, and tells when something there may have changed, until it can't watch any more.
    /// Misses nothing from here on: look after it.
    fn provided_changes(&self)
    -> Result<LocalBoxStream<'static, Result<(), DiskError>>, DiskError>;

    /// Checks key, names and chain, stores them as a new version with a second copy, and links it in one rename.
    ///
    /// # Errors
    /// Nothing that was live before has changed when it fails. A valid certificate that is not ours is never replaced.
    fn store_certificate(&self, new: &NewCertificate<'_>) -> Result<HeldCertificate, DiskError>;

    /// The failures on record.
    fn attempts(&self) -> Result<AttemptRecords, DiskError>;
    /// Writes an attempt down, so that a crash can't forget it.
    fn note_attempt(&self, name: &CertificateName, attempt: &Attempt) -> Result<(), DiskError>;
    /// Forgets the attempts after a success.
    fn forget_attempts(&self, name: &CertificateName) -> Result<(), DiskError>;

    /// The order that was under way for a certificate, with a key that can be used.
    fn order(&self, name: &CertificateName) -> Result<Option<OrderRecord>, DiskError>;
    /// Writes an order down, key first, before the CA hears of it.
    fn keep_order(&self, name: &CertificateName, record: &OrderRecord) -> Result<(), DiskError>;
    /// Forgets an order that is finished or can't be.
    fn drop_order(&self, name: &CertificateName) -> Result<(), DiskError>;

    /// Which project has which host, as it was kept.
    fn holders(&self) -> Result<BTreeMap<Host, Holder>, DiskError>;
    /// Keeps which project has which host.
    fn keep_holders(&self, holders: &BTreeMap<Host, Holder>) -> Result<(), DiskError>;

    /// The containers that were removed and are remembered, as they were kept.
    fn removed(&self) -> Result<Vec<Removed>, DiskError>;
    /// Keeps these.
    fn keep_removed(&self, removed: &[Removed]) -> Result<(), DiskError>;

    /// The user's templates that are in use or were tried last, the newest last, as they were kept.
    fn templates(&self) -> Result<Vec<GoodTemplates>, DiskError>;
    /// Keeps these.
    fn keep_templates(&self, templates: &[GoodTemplates]) -> Result<(), DiskError>;

    /// The status document as it was last written.
    ///
    /// # Errors
    /// When it can't be read.
    fn status(&self) -> Result<Option<String>, DiskError>;
    /// Writes the status document, whole, as `write` has it.
    fn keep_status(
        &self,
        write: &dyn Fn(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), DiskError>;
    /// Leaves a sign of life for `health`.
    fn breathe(&self, now: Timestamp) -> Result<(), DiskError>;
}

/// What a look at the folders of certificates found.
#[derive(Debug, Default)]
pub struct Certificates {
    /// Those in `live/` that pass their checks; in place of one that does not, its second copy where that does.
    pub held: BTreeMap<CertificateName, Rc<HeldCertificate>>,
    /// Those in `provided/` that pass their checks.
    pub provided: BTreeMap<CertificateName, Rc<HeldCertificate>>,
    /// What is to be mended.
    pub repairs: BTreeMap<CertificateName, Repair>,
    /// Those that are there and that the system did not let us read: what was known of them before still counts.
    pub unread: BTreeSet<(Shelf, CertificateName)>,
    /// What is wrong with those in `live/` that can neither be served nor mended.
    pub wrecks: BTreeMap<CertificateName, DiskError>,
    /// What else is wrong.
    pub faults: Vec<DiskError>,
}

/// The user's templates of one time, by name; none of them is broken.
pub type GoodTemplates = BTreeMap<String, String>;

/// The record of each certificate that was tried, or why it can't be read.
pub type AttemptRecords = BTreeMap<CertificateName, Result<Attempt, DiskError>>;

/// What is to be mended about a certificate.
#[derive(Debug)]
pub enum Repair {
    /// The live one can't be used; its second copy can.
    Live {
        /// What is wrong with the live one.
        problem: DiskError,
    },
    /// The live one is whole; its second copy is missing, damaged, or of an older one.
    Copy,
}

/// A certificate that was obtained and is not stored yet.
#[derive(Debug)]
pub struct NewCertificate<'a> {
    /// What it will be called.
    pub name: &'a CertificateName,
    /// The names it must cover.
    pub names: &'a BTreeSet<Host>,
    /// Its key in PEM.
    pub key: &'a Secret,
    /// Its chain in PEM, leaf first.
    pub chain: &'a str,
    /// Where it came from.
    pub source: Source,
    /// Now, for its dates.
    pub now: Timestamp,
}

/// An order that is under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderRecord {
    /// The key its certificate will have.
    pub key: Secret,
    /// What was asked for; another digest makes the order useless.
    pub asked: Digest,
    /// Where the CA keeps it; `None` until it has answered.
    pub url: Option<String>,
    /// Tokens of responses that were shown for it: whoever goes on after a crash takes them away.
    pub tokens: Vec<String>,
}
