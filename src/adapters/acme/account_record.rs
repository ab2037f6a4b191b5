//! An account as it lies on disk: its key before the CA hears of it, and a new key beside the one that it takes the place
//! of. No request is made here.

use std::{path::PathBuf, rc::Rc, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::caller::Caller;
use crate::{
    adapters::x509,
    observe::RefusedEmail,
    ports::{AccountHold, Accounts, AsideReason, AuthorityError, DiskError, Remark, Remarks},
    values::Secret,
};

/// Time between two looks for the end of another process's work on an account.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Number of these looks: longer than any number of requests that one change of an account takes.
const LOOKS: u32 = 6000;

/// The record on disk: first the key alone, then the key and the account it opened, so that a crash in between finds
/// the same account again.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct AccountRecord {
    /// The account's URL; `None` until the CA has given it.
    ///
    /// <https://www.rfc-editor.org/rfc/rfc8555#section-7.3>
    pub(super) url: Option<String>,
    /// Its key, in PEM.
    #[serde(serialize_with = "exposed", deserialize_with = "secret")]
    pub(super) key: Secret,
    /// The key that is to take its place, from before the CA hears of it until the CA is known to have taken it.
    ///
    /// <https://www.rfc-editor.org/rfc/rfc8555#section-7.3.5>
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        serialize_with = "exposed_next",
        deserialize_with = "secret_next"
    )]
    pub(super) next: Option<Secret>,
    /// The e-mail address that the CA has taken; none where it has none, and in records of earlier versions.
    #[serde(default)]
    pub(super) email: Option<String>,
    /// The one that it did not take since; none in records of earlier versions.
    #[serde(default)]
    pub(super) refused: Option<RefusedEmail>,
}

impl AccountRecord {
    /// A key that no CA has heard of.
    pub(super) fn of_key(key: Secret) -> Self {
        Self {
            url: None,
            key,
            next: None,
            email: None,
            refused: None,
        }
    }

    /// True if both are the same account, by the same keys.
    pub(super) fn opens_as(&self, other: &Self) -> bool {
        (&self.url, &self.key, &self.next) == (&other.url, &other.key, &other.next)
    }
}

fn exposed<S: Serializer>(key: &Secret, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(key.expose())
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
    String::deserialize(deserializer).map(Secret::new)
}

fn exposed_next<S: Serializer>(key: &Option<Secret>, serializer: S) -> Result<S::Ok, S::Error> {
    key.as_ref().map(Secret::expose).serialize(serializer)
}

fn secret_next<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Secret>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    Ok(text.map(Secret::new))
}

/// The public part of it.
#[derive(Deserialize)]
struct Known {
    #[serde(default)]
    refused: Option<RefusedEmail>,
}

/// The reason why no account can be read from disk.
pub(super) enum Unrecorded {
    /// It is there, and no account.
    Damaged(String),
    /// It can't be read, now.
    Unread(DiskError),
}

/// Where the account at one CA is kept.
pub(super) struct AccountFile {
    caller: Caller,
    accounts: Rc<dyn Accounts>,
    remarks: Remarks,
}

impl AccountFile {
    /// Nothing is read yet.
    pub(super) fn new(caller: Caller, accounts: Rc<dyn Accounts>, remarks: Remarks) -> Self {
        Self {
            caller,
            accounts,
            remarks,
        }
    }

    /// Waits until no other process changes the account, and keeps others from it meanwhile.
    pub(super) async fn hold(&self) -> Result<AccountHold, AuthorityError> {
        for _ in 0..LOOKS {
            let held = self.accounts.hold_account(&self.caller.directory);
            let held = held.map_err(|error| {
                Caller::ours("the account can't be kept from other processes", error)
            })?;
            if let Some(hold) = held {
                return Ok(hold);
            }
            self.caller.clock.sleep(LOOK_EVERY).await;
        }
        Err(AuthorityError::Ours {
            what: "another process has been at work on the account for minutes; end it, or ask again later"
                .to_owned(),
            source: None,
        })
    }

    /// The account on disk. One that is damaged is put away, not over: its key still is the account's, and somebody may
    /// mend it.
    pub(super) fn usable(&self) -> Result<Option<AccountRecord>, AuthorityError> {
        let problem = match self.read() {
            Err(Unrecorded::Damaged(problem)) => problem,
            Err(Unrecorded::Unread(error)) => return Err(unread(error)),
            Ok(record) => return Ok(record),
        };
        let kept = self.set_aside(AsideReason::Damaged)?;
        (self.remarks)(Remark::AccountDamaged {
            directory: self.caller.directory.clone(),
            problem,
            kept,
        });
        Ok(None)
    }

    /// The account on disk, for who only looks: one that is damaged stays where it is.
    pub(super) fn seen(&self) -> Result<Option<AccountRecord>, AuthorityError> {
        self.read().map_err(|problem| match problem {
            Unrecorded::Damaged(problem) => AuthorityError::Ours {
                what: format!(
                    "the account at the CA {} is damaged: {problem}. Repair its file, or run `quaymaster register`, \
                     which renames it and makes a new account",
                    self.caller.directory
                ),
                source: None,
            },
            Unrecorded::Unread(error) => unread(error),
        })
    }

    /// Puts the account away under another name, and returns that.
    pub(super) fn set_aside(&self, reason: AsideReason) -> Result<PathBuf, AuthorityError> {
        let aside = self
            .accounts
            .set_account_aside(&self.caller.directory, reason);
        aside.map_err(|error| Caller::ours("the account's file can't be put away", error))
    }

    /// The account on disk as it is.
    pub(super) fn read(&self) -> Result<Option<AccountRecord>, Unrecorded> {
        let text = match self.accounts.account(&self.caller.directory) {
            Ok(text) => text,
            Err(DiskError::Damaged { problem, .. }) => return Err(Unrecorded::Damaged(problem)),
            Err(error) => return Err(Unrecorded::Unread(error)),
        };
        let Some(text) = text else { return Ok(None) };
        // Where, not what: the words of the parser may be those of the key.
        let no_account =
            |error: serde_json::Error| format!("line {} is not part of such a file", error.line());
        let record: AccountRecord = serde_json::from_str(text.expose())
            .map_err(|error| Unrecorded::Damaged(no_account(error)))?;
        for key in [Some(&record.key), record.next.as_ref()]
            .into_iter()
            .flatten()
        {
            x509::check_private_key(key).map_err(|error| Unrecorded::Damaged(error.to_string()))?;
        }
        Ok(Some(record))
    }

    /// The e-mail address that the CA did not take, if it is this one. An unreadable record is reported by the order
    /// that needs it.
    pub(super) fn refused(&self, email: Option<&String>) -> Option<RefusedEmail> {
        let text = self.accounts.account(&self.caller.directory).ok()??;
        let known: Known = serde_json::from_str(text.expose()).ok()?;
        known
            .refused
            .filter(|refused| email == Some(&refused.email))
    }

    /// Keeps it: it is on the disk when this is over.
    pub(super) fn keep(&self, record: &AccountRecord) -> Result<(), AuthorityError> {
        let unkept = "the account at the CA can't be kept on disk";
        let text = serde_json::to_string(record).map_err(|error| Caller::ours(unkept, error))?;
        let kept = self
            .accounts
            .keep_account(&self.caller.directory, &Secret::new(text));
        kept.map_err(|error| Caller::ours(unkept, error))
    }
}

fn unread(error: DiskError) -> AuthorityError {
    Caller::ours("the account can't be read from disk", error)
}
