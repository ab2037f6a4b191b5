//! Our folders and those of consumers. `state` is ours alone, `certificates` may be mounted by others, a consumer's
//! folder belongs to it and we touch only what is ours in it.
//!
//! ```text
//! certificates/live/NAME -> ../archive/NAME/N     one relative link a certificate, switched in one rename
//! certificates/archive/NAME/N/…                   every version, checked before it is linked, never written again
//! certificates/archive/NAME/archived.json         the mark of one that nobody wants any more: which version was live
//! certificates/provided/NAME/…                    the user's own, written by nobody but them and `import`
//! certificates/provided/.NAME.old                 what `import --replace` put another in the place of; looked at by nobody
//! certificates/set-aside/NAME                     what stood in `live`, was not ours and could not be served
//! state/accounts/CA/account.json                  0600
//! state/orders/NAME/{order.json,key.pem}          key before order, so that a crash resumes
//! state/attempts/NAME.json                        failures and when the next try may be
//! state/ledger.jsonl                              what was asked of CAs that limit it, a line each, as long as it counts
//! state/copies/NAME/…                             a second copy of what is live, from which it is mended
//! state/deployed/CONSUMER/record.json             how far it took up what it was given; what was there before
//! state/deployed/CONSUMER/certificates.json       the certificates that it was told to read, where it reads live/
//! state/deployed/CONSUMER/inside.json             what was put inside its container, where the engine does that
//! state/hosts.json                                which project has which host, longer than its containers live
//! state/removed.json                              containers that were removed some minutes ago, for their sites
//! state/elsewhere.json                            what engines that have a name last said of their containers
//! state/unwanted.json                             for how long nobody has wanted certificates that we obtained
//! state/busy-cas.json                             CAs that ask to be left alone, and until when
//! state/renewals.json                             what CAs said about renewals, and when each is asked again
//! state/releases/NAME.json                        a request to hand a host over, and what became of it
//! state/forgets/NAME.json                         a request to archive a certificate, and what became of it
//! state/templates.json                            the user's templates that are in use, until new ones were seen to be good
//! state/notify/NAME.json                          what a receiver of news was told of, and has to be told
//! state/history/{old,full,new}.jsonl               what has happened, an event a line
//! state/wishes/NAME.json                          a renewal that somebody asks the daemon for, and its answer
//! state/by-hand/WORD/…                            orders that people make by commands; no daemon looks there
//! state/{mark,alive,status.json,lock}
//! CONFIG/quaymaster-….conf                        rendered, readable by everybody
//! CONFIG/closed/HOST                              the site of this host is shut, whatever its file says
//! CONFIG/updates.list                             what a helper that runs certbot is to obtain
//! CONFIG/certificates/NAME -> .versions/NAME/…    copies of just the consumer's own
//! ```

mod account_file;
mod accounts;
mod archive;
mod attempts;
mod by_hand;
mod certificates;
mod clients;
mod consumers;
mod copied_over;
mod delivery;
mod deployed;
mod fallback;
mod files;
mod hand_folder;
mod hand_over;
mod helper_lists;
mod history;
mod import;
mod inside;
mod issued;
mod key_access;
mod ledger;
mod lock;
mod look;
mod memory;
mod named;
mod news_books;
mod orders;
mod passwords;
mod provided;
mod provided_look;
mod records;
mod rehearsal;
mod responder;
mod shape;
mod shared;
mod state;
mod targets;
mod version;
mod vitals;
mod wishes;

use std::{
    cell::RefCell,
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    rc::Rc,
};

use helper_lists::Lists;
use memory::Memory;

pub use account_file::{AccountKey, account_key, move_account};
pub use by_hand::{FoundCertificate, FoundKey};
pub use consumers::try_owner;
pub use hand_folder::{HandFolder, HandPlace};
pub use history::HistoryFiles;
pub use issued::{FoundFiles, LaidOut, certificate_key, details_of, found_files, signing_request};
pub use lock::Lock;
pub use look::{FolderLook, KeyLook, LyingResponse, configurations, lacks, look, responses};
pub use named::AnyFiles;
pub use rehearsal::RehearsalFolder;
pub use responder::WebrootResponder;
pub use targets::SharedFiles;

use crate::{
    ports::{
        Authorities, Clock, DiskError, Engine, Issuing, Ports, Probe, Remarks, Resolver, Visitor,
    },
    values::KeyAccess,
};

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
    remarks: Remarks,
    /// A file with the password of keys that have none of their own.
    password_file: Option<PathBuf>,
    /// Whom keys are given to.
    keys: KeyAccess,
    /// Of the last look at certificates.
    memory: RefCell<Memory>,
    /// The contents of the lists of helpers.
    lists: RefCell<Lists>,
}

impl Folders {
    /// Uses these folders; nothing is made or read yet.
    pub fn new(certificates: PathBuf, state: PathBuf, remarks: Remarks) -> Self {
        Self {
            certificates,
            state,
            remarks,
            password_file: None,
            keys: KeyAccess::default(),
            memory: RefCell::default(),
            lists: RefCell::default(),
        }
    }

    /// Opens the user's keys that have no password of their own with the one in this file.
    pub fn opened_with(self, password_file: Option<PathBuf>) -> Self {
        Self {
            password_file,
            ..self
        }
    }

    /// The folder of certificates.
    pub fn certificates_folder(&self) -> &Path {
        &self.certificates
    }

    fn usual_password(&self) -> Option<&Path> {
        self.password_file.as_deref()
    }

    /// The ports for obtaining a certificate, with no engine.
    pub fn issuing(
        self: Rc<Self>,
        authorities: Rc<dyn Authorities>,
        probe: &Rc<dyn Probe>,
        clock: &Rc<dyn Clock>,
        (resolver, visitor): (Rc<dyn Resolver>, Rc<dyn Visitor>),
    ) -> Issuing {
        Issuing {
            authorities,
            certificates: self.clone(),
            attempts: self.clone(),
            orders: self.clone(),
            responder: Rc::new(WebrootResponder::new(probe.clone(), clock.clone())),
            ledger: self,
            resolver,
            visitor,
        }
    }

    /// All ports: these folders are each of those that keep something, and the others are given. There is one engine.
    pub fn ports(
        self: Rc<Self>,
        authorities: Rc<dyn Authorities>,
        engine: Rc<dyn Engine>,
        probe: Rc<dyn Probe>,
        clock: Rc<dyn Clock>,
        (resolver, visitor): (Rc<dyn Resolver>, Rc<dyn Visitor>),
    ) -> Ports {
        Ports {
            issuing: self
                .clone()
                .issuing(authorities, &probe, &clock, (resolver, visitor)),
            engine,
            other_engines: BTreeMap::new(),
            folders: self.clone(),
            lists: self.clone(),
            records: self.clone(),
            vitals: self.clone(),
            wishes: self,
            probe,
            clock,
        }
    }
}

#[cfg(test)]
mod deployed_tests;
#[cfg(test)]
mod tests;
