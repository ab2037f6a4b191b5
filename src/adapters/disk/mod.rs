//! Our folders and those of consumers. `state` is ours alone, `certificates` may be mounted by others, a consumer's
//! folder belongs to it and we touch only what is ours in it.
//!
//! ```text
//! certificates/live/NAME -> ../archive/NAME/N     one relative link a certificate, switched in one rename
//! certificates/archive/NAME/N/…                   every version, checked before it is linked, never written again
//! certificates/provided/NAME/…                    the user's own, never written by us
//! certificates/set-aside/NAME                     what stood in `live`, was not ours and could not be served
//! state/accounts/CA/account.json                  0600
//! state/orders/NAME/{order.json,key.pem}          key before order, so that a crash resumes
//! state/attempts/NAME.json                        failures and when the next try may be
//! state/copies/NAME/…                             a second copy of what is live, from which it is mended
//! state/deployed/CONSUMER/record.json             how far it took up what it was given; what was there before
//! state/deployed/CONSUMER/certificates.json       the certificates that it was told to read, where it reads live/
//! state/hosts.json                                which project has which host, longer than its containers live
//! state/removed.json                              containers that were removed some minutes ago, for their sites
//! state/releases/NAME.json                        a request to hand a host over, and what became of it
//! state/templates.json                            the user's templates that are in use, until new ones were seen to be good
//! state/wishes/NAME.json                          a renewal that somebody asks the daemon for, and its answer
//! state/{mark,alive,status.json,lock}
//! CONFIG/quaymaster-….conf                        rendered, readable by everybody
//! CONFIG/closed/HOST                              the site of this host is shut, whatever its file says
//! CONFIG/certificates/NAME -> .versions/NAME/…    copies of just the consumer's own
//! ```

mod accounts;
mod certificates;
mod consumers;
mod deployed;
mod files;
mod hosts;
mod lock;
mod look;
mod memory;
mod named;
mod responder;
mod shared;
mod state;
mod templates;
mod wishes;

use std::{
    cell::RefCell,
    collections::BTreeMap,
    io::{self, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use futures_util::stream::LocalBoxStream;

use memory::Memory;

pub use consumers::try_owner;
pub use lock::Lock;
pub use look::{FolderLook, look, responses};
pub use named::AnyFiles;

use crate::{
    adapters::changes,
    observe::{Attempt, HeldCertificate, Holder, Removed},
    ports::{
        AttemptRecords, Certificates, Disk, DiskError, GoodTemplates, NewCertificate, OrderRecord,
        Repair,
    },
    values::{CertificateName, Host, Timestamp},
};

/// How long nothing must change in `provided/` before it is looked at: a certificate and its key are copied there one
/// after the other, and in between they don't belong together.
const PROVIDED_SETTLES: Duration = Duration::from_secs(1);

/// The text of a file that the user named.
///
/// # Errors
/// When it can't be read or is not there.
pub fn text(path: &Path) -> Result<String, DiskError> {
    files::read(path)?.ok_or_else(|| {
        files::told("read", path)(io::Error::new(
            io::ErrorKind::NotFound,
            "there is no such file",
        ))
    })
}

/// The text of a file that the user named, or of standard input where that is `-`.
///
/// # Errors
/// When it can't be read or is not there.
pub fn text_or_input(path: &Path) -> Result<String, DiskError> {
    if path != Path::new("-") {
        return text(path);
    }
    let mut text = String::new();
    let read = io::Read::read_to_string(&mut io::stdin(), &mut text);
    read.map(|_| text)
        .map_err(files::told("read", Path::new("standard input")))
}

/// The folders of the settings.
#[derive(Clone, Debug)]
pub struct Folders {
    certificates: PathBuf,
    state: PathBuf,
    /// Of the last look at certificates.
    memory: RefCell<Memory>,
}

impl Folders {
    /// Uses these folders; nothing is made or read yet.
    pub fn new(certificates: PathBuf, state: PathBuf) -> Self {
        Self {
            certificates,
            state,
            memory: RefCell::default(),
        }
    }
}

impl Disk for Folders {
    fn certificates(&self, now: Timestamp) -> Result<Certificates, DiskError> {
        self.look_at_certificates(now)
    }

    fn mend(&self, name: &CertificateName, repair: &Repair) -> Result<(), DiskError> {
        self.mend_certificate(name, repair)
    }

    fn provided_changes(
        &self,
    ) -> Result<LocalBoxStream<'static, Result<(), DiskError>>, DiskError> {
        changes::of(self.certificates.join("provided"), PROVIDED_SETTLES)
    }

    fn store_certificate(&self, new: &NewCertificate<'_>) -> Result<HeldCertificate, DiskError> {
        self.store(new)
    }

    fn attempts(&self) -> Result<AttemptRecords, DiskError> {
        self.read_attempts()
    }

    fn note_attempt(&self, name: &CertificateName, attempt: &Attempt) -> Result<(), DiskError> {
        self.write_attempt(name, attempt)
    }

    fn forget_attempts(&self, name: &CertificateName) -> Result<(), DiskError> {
        self.remove_attempt(name)
    }

    fn order(&self, name: &CertificateName) -> Result<Option<OrderRecord>, DiskError> {
        self.read_order(name)
    }

    fn keep_order(&self, name: &CertificateName, record: &OrderRecord) -> Result<(), DiskError> {
        self.write_order(name, record)
    }

    fn drop_order(&self, name: &CertificateName) -> Result<(), DiskError> {
        self.remove_order(name)
    }

    fn holders(&self) -> Result<BTreeMap<Host, Holder>, DiskError> {
        self.read_holders()
    }

    fn keep_holders(&self, holders: &BTreeMap<Host, Holder>) -> Result<(), DiskError> {
        self.write_holders(holders)
    }

    fn removed(&self) -> Result<Vec<Removed>, DiskError> {
        self.read_removed()
    }

    fn keep_removed(&self, removed: &[Removed]) -> Result<(), DiskError> {
        self.write_removed(removed)
    }

    fn templates(&self) -> Result<Vec<GoodTemplates>, DiskError> {
        self.read_templates()
    }

    fn keep_templates(&self, templates: &[GoodTemplates]) -> Result<(), DiskError> {
        self.write_templates(templates)
    }

    fn status(&self) -> Result<Option<String>, DiskError> {
        self.read_status()
    }

    fn keep_status(
        &self,
        write: &dyn Fn(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), DiskError> {
        self.write_status(write)
    }

    fn breathe(&self, now: Timestamp) -> Result<(), DiskError> {
        self.write_breath(now)
    }
}

#[cfg(test)]
mod deployed_tests;
#[cfg(test)]
mod tests;
