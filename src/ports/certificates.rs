//! The folders of certificates, ours and the user's.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    rc::Rc,
};

use futures_util::stream::LocalBoxStream;

use super::DiskError;
use crate::{
    observe::{ArchivedCertificate, HeldCertificate, Shelf, Source},
    values::{CertificateName, Host, Secret, Timestamp},
};

/// The folders of certificates, ours and the user's.
pub trait CertificateStore {
    /// Looks at all certificates, ours and the user's, beginning `now`; changes nothing. A further look is quicker where
    /// nothing has changed, and finds the same.
    ///
    /// # Errors
    /// When a folder can't be listed: nothing is known then, also not that there are none.
    fn certificates(&self, now: Timestamp) -> Result<Certificates, DiskError>;

    /// Looks at one in `live/` alone; nothing where there is none.
    ///
    /// # Errors
    /// When it does not pass its checks, as while somebody puts it there.
    fn held_now(&self, name: &CertificateName) -> Result<Option<HeldCertificate>, DiskError>;

    /// The path in `live/` that keeps certbot from putting a certificate of this name there: certbot did not make it.
    fn in_certbots_way(&self, name: &CertificateName) -> Option<PathBuf>;

    /// Mends what a look found. What is as it should be by now is left alone.
    ///
    /// # Errors
    /// Nothing that was live before has changed when it fails.
    fn mend(&self, name: &CertificateName, repair: &Repair) -> Result<(), DiskError>;

    /// Begins to watch `provided/` and `live/`, and reports when something there may have changed, be it by us, until
    /// neither can be watched any more. Misses nothing from here on: look after it.
    ///
    /// # Errors
    /// When `provided/` can't be watched.
    fn changes(&self) -> Result<LocalBoxStream<'static, Result<(), DiskError>>, DiskError>;

    /// Checks key, names and chain, stores them as a new version with a second copy, and links it in one rename. A fallback
    /// replaces only another one: where something else is there, that is given and nothing is stored.
    ///
    /// # Errors
    /// Nothing that was live before has changed when it fails. A valid certificate that is not ours is never replaced, and
    /// by a fallback nothing that can't be read or is not ours.
    fn store(&self, new: &NewCertificate<'_>) -> Result<HeldCertificate, DiskError>;

    /// Takes a live certificate that we obtained out of use, and keeps it.
    ///
    /// # Errors
    /// It is still live when it fails. One that is not ours is never archived.
    fn archive(
        &self,
        name: &CertificateName,
        now: Timestamp,
    ) -> Result<ArchivedCertificate, DiskError>;

    /// Makes an archived certificate live again.
    ///
    /// # Errors
    /// When it does not pass the checks any more, or something live has its name.
    fn restore(&self, name: &CertificateName) -> Result<HeldCertificate, DiskError>;

    /// Deletes an archived certificate with its keys, for good.
    ///
    /// # Errors
    /// When it is not archived, or not all of it could be removed: it can be deleted again then.
    fn delete(&self, name: &CertificateName) -> Result<(), DiskError>;
}

/// The findings of a look at the folders of certificates.
#[derive(Debug, Default)]
pub struct Certificates {
    /// Those in `live/` that pass their checks; in place of one that does not, its second copy where that does.
    pub held: BTreeMap<CertificateName, Rc<HeldCertificate>>,
    /// Those in `provided/` that pass their checks.
    pub provided: BTreeMap<CertificateName, Rc<HeldCertificate>>,
    /// Those that are archived, as they were then; they are checked when they are restored.
    pub archived: BTreeMap<CertificateName, Rc<ArchivedCertificate>>,
    /// The repairs that are needed.
    pub repairs: BTreeMap<CertificateName, Repair>,
    /// Those that are there and that the system did not let us read: what was known of them before still counts.
    pub unread: BTreeSet<(Shelf, CertificateName)>,
    /// The problems of certificates in `live/` that can neither be served nor mended.
    pub wrecks: BTreeMap<CertificateName, DiskError>,
    /// All other problems.
    pub faults: Vec<DiskError>,
}

/// A repair of a certificate.
#[derive(Debug)]
pub enum Repair {
    /// The live one can't be used; its second copy can.
    Live {
        /// The problem with the live one.
        problem: DiskError,
    },
    /// The live one is whole; its second copy is missing, damaged, or of an older one.
    Copy,
    /// Its user copied another one over the live one, with its key: that gets a version of its own.
    TakeUp,
}

/// A certificate that was obtained and is not stored yet.
#[derive(Debug)]
pub struct NewCertificate<'a> {
    /// Its future name.
    pub name: &'a CertificateName,
    /// The names it must cover.
    pub names: &'a BTreeSet<Host>,
    /// Its key in PEM.
    pub key: &'a Secret,
    /// Its chain in PEM, leaf first.
    pub chain: &'a str,
    /// Where it came from.
    pub source: Source,
    /// The profile that its CA was asked for, empty for the usual one; none where no CA was asked.
    pub profile: Option<&'a str>,
    /// Now, for its dates.
    pub now: Timestamp,
}
