//! The account at a CA, as people manage it by commands.

use std::path::PathBuf;

use async_trait::async_trait;
use serde::Serialize;

use super::AuthorityError;
use crate::{
    observe::RefusedEmail,
    values::{RevocationReason, Secret},
};

/// Our account at one CA, for commands. The daemon has no part in it: it opens accounts, and makes the first one.
#[async_trait(?Send)]
pub trait AccountDesk {
    /// The account as it lies on disk; nobody is asked.
    ///
    /// # Errors
    /// When it can't be read.
    fn kept(&self) -> Result<Option<KeptAccount>, AuthorityError>;

    /// Reads the CA's data about the account. No account is made.
    ///
    /// # Errors
    /// When there is none, or the CA does not say.
    async fn look(&self) -> Result<SeenAccount, AuthorityError>;

    /// Makes the account where there is none that works, and brings the contact up to date where there is one.
    ///
    /// # Errors
    /// When its terms were not agreed to, and where an account lies on disk that has ended: nothing is put over it.
    ///
    /// <https://www.rfc-editor.org/rfc/rfc8555#section-7.3>
    async fn register(&self) -> Result<RegisteredAccount, AuthorityError>;

    /// Takes over the account that the CA has for a key; none is made.
    ///
    /// # Errors
    /// When there is none, and where another account lies on disk.
    ///
    /// <https://www.rfc-editor.org/rfc/rfc8555#section-7.3.1>
    async fn recover(&self, key: &Secret) -> Result<RegisteredAccount, AuthorityError>;

    /// Where the account is that the CA has for a key; nothing where there is none. Nothing is kept of it.
    ///
    /// <https://www.rfc-editor.org/rfc/rfc8555#section-7.3.1>
    async fn find(&self, key: &Secret) -> Result<Option<String>, AuthorityError>;

    /// Gives the account another key. One that was begun before is ended instead.
    ///
    /// # Errors
    /// Whatever happens, the key that the CA takes is on disk.
    ///
    /// <https://www.rfc-editor.org/rfc/rfc8555#section-7.3.5>
    async fn roll_over(&self) -> Result<RolledOver, AuthorityError>;

    /// Has the CA take no request of the account any more, and puts its record aside; returns the new path. One that is
    /// deactivated already is put aside alone.
    ///
    /// <https://www.rfc-editor.org/rfc/rfc8555#section-7.3.6>
    async fn deactivate(&self) -> Result<PathBuf, AuthorityError>;

    /// Has the CA revoke a certificate: by the account here where that may do so, else by the certificate's own key.
    ///
    /// # Errors
    /// When neither is there, or the CA refuses.
    ///
    /// <https://www.rfc-editor.org/rfc/rfc8555#section-7.6>
    async fn revoke(&self, asked: &Revocation<'_>) -> Result<Revoked, AuthorityError>;
}

/// A certificate that is to be revoked.
#[derive(Clone, Copy, Debug)]
pub struct Revocation<'a> {
    /// The certificate in DER.
    pub leaf: &'a [u8],
    /// Its key in PEM, where that is at hand.
    pub key: Option<&'a Secret>,
    /// The reason.
    pub reason: RevocationReason,
}

/// The way in which a certificate came to be revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Revoked {
    /// The CA did it for the account here.
    ByAccount,
    /// The CA did it for who has its key.
    ByKey,
    /// It was revoked before.
    Already,
}

/// An account, and what was done so that it is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RegisteredAccount {
    /// Where it is.
    pub url: String,
    /// The outcome.
    pub outcome: RegistrationOutcome,
    /// The e-mail address of the settings, if the CA did not take it.
    pub refused_email: Option<RefusedEmail>,
}

/// The outcome of a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RegistrationOutcome {
    /// It is new.
    Registered,
    /// It was there, and works.
    Known,
    /// The CA did not know the one that was there any more: it is new, with the same key.
    RegisteredAgain,
    /// It was at the CA, and is now here, too.
    Recovered,
}

/// An account as it lies on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeptAccount {
    /// The account's URL; none until the CA has given it.
    pub url: Option<String>,
    /// The kind of its key, as the setting `key-type` names it.
    pub key_type: String,
    /// The thumbprint by which its key is known.
    ///
    /// <https://www.rfc-editor.org/rfc/rfc7638#section-3>
    pub thumbprint: String,
    /// The e-mail address that the CA has.
    pub email: Option<String>,
    /// True if a change to another key was begun, and it is not known yet which key counts.
    pub is_key_changing: bool,
}

/// A CA's data about an account, and about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SeenAccount {
    /// The account's status.
    pub status: AccountStatus,
    /// Where the CA writes to.
    pub contact: Vec<String>,
    /// True if the terms were agreed to, where the CA says so.
    pub terms_agreed: Option<bool>,
    /// Where the terms are.
    pub terms: Option<String>,
    /// The domains by which CAA records name the CA, as its directory has them.
    pub caa_identities: Vec<String>,
}

/// The status of an account.
///
/// <https://www.rfc-editor.org/rfc/rfc8555#section-7.1.2>
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AccountStatus {
    /// It can be used.
    Valid,
    /// It was given up, by us.
    Deactivated,
    /// The CA has shut it.
    Revoked,
    /// The CA does not know it.
    Unknown,
}

/// The result of a change of the key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RolledOver {
    /// The account's URL, which is the same.
    pub url: String,
    /// The thumbprint by which the new key is known.
    pub thumbprint: String,
    /// True if a command that was cut off had begun the change, and it has ended now.
    pub was_begun: bool,
}
