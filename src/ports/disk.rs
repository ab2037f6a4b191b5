//! Our folders, and those of consumers as far as they are mounted here.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Write},
    rc::Rc,
};

use futures_util::stream::LocalBoxStream;

use super::{Challenge, DiskError};
use crate::{
    observe::{Attempt, HeldCertificate, Holder, Installed, Removed, SharedPath, Shelf, Source},
    values::{CertificateName, ContainerName, Digest, FileName, Host, Owner, Secret, Timestamp},
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

    /// Makes a challenge's response readable in a webroot.
    fn publish(&self, webroot: &SharedPath, challenge: &Challenge) -> Result<(), DiskError>;
    /// Takes the response to this token away again, also one half written; one that is not there is fine.
    fn withdraw(&self, webroot: &SharedPath, token: &str) -> Result<(), DiskError>;

    /// Whether it is certain that there is no such file: not where a link may lead to it, which we don't follow.
    fn is_missing(&self, file: &SharedPath) -> bool;

    /// What lies in a consumer's folders: our record of it, corrected by a look at the files themselves.
    fn installed(&self, place: &Place<'_>) -> Result<Installed, DiskError>;
    /// Puts everything new beside its place, where the consumer does not read it: a full disk is found out before
    /// anything has changed.
    fn stage(&self, place: &Place<'_>, change: &Change<'_>) -> Result<(), DiskError>;
    /// Writes the record down, and with it what is there now, so that it can come back; then puts what was staged into
    /// its place, each in one rename. What an open journal holds from before stays in it.
    fn switch(
        &self,
        place: &Place<'_>,
        change: &Change<'_>,
        record: &Installed,
    ) -> Result<(), DiskError>;
    /// Brings back what the journal holds.
    fn take_back(&self, place: &Place<'_>) -> Result<(), DiskError>;
    /// Writes the record down, and closes the journal unless it says that it is open. Then takes away what is left of
    /// earlier copies of the certificates in `tidy` and in the journal that is closed, and all of those that the record
    /// does not name.
    fn keep_installed(
        &self,
        place: &Place<'_>,
        record: &Installed,
        tidy: &BTreeSet<CertificateName>,
    ) -> Result<(), DiskError>;
    /// Shuts these sites of a consumer and opens all others: each by a file, which it looks for at
    /// each request.
    fn shut(&self, place: &Place<'_>, sites: &BTreeSet<FileName>) -> Result<(), DiskError>;
    /// Takes away what a crash in the midst of that left of them.
    fn tidy(&self, place: &Place<'_>) -> Result<(), DiskError>;

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

/// The folders of a consumer, as far as they are mounted here.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// Whose they are.
    pub consumer: &'a ContainerName,
    /// Where rendered files go.
    pub config: &'a SharedPath,
    /// Where copies of just its own certificates go; none where it reads our folder.
    pub certificates: Option<&'a SharedPath>,
    /// Who is to own the keys of these; none for our own user.
    pub owner: Option<Owner>,
}

/// What is changed in a consumer's folders.
#[derive(Clone, Copy, Debug)]
pub struct Change<'a> {
    /// Files to write, with their texts.
    pub write: &'a BTreeMap<FileName, String>,
    /// Files to take away.
    pub remove: &'a BTreeSet<FileName>,
    /// Held certificates to copy.
    pub deliver: &'a BTreeMap<CertificateName, Digest>,
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
