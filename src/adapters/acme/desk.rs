//! The commands about an account: a look at it, another key, its end.

use std::{path::PathBuf, rc::Rc};

use async_trait::async_trait;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;

use super::{
    AcmeAuthority,
    account::Registration,
    account_record::AccountRecord,
    caller::Repeat,
    error::CallError,
    jws::SigningKey,
    record::printable,
    signer::{DirectoryUrls, SignedBy},
};
use crate::{
    ports::{
        AccountDesk, AccountStatus, AsideReason, AuthorityError, KeptAccount, Problem,
        RegisteredAccount, Revocation, Revoked, RolledOver, SeenAccount,
    },
    values::{Issuer, Secret},
};

/// Number of characters that are shown of a CA's word for the status of an account that the protocol has not.
const STATUS: usize = 40;

/// An account as a CA shows it.
///
/// <https://www.rfc-editor.org/rfc/rfc8555#section-7.1.2>
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ShownAccount {
    status: String,
    #[serde(default)]
    contact: Vec<String>,
    terms_of_service_agreed: Option<bool>,
}

#[async_trait(?Send)]
impl AccountDesk for AcmeAuthority {
    fn kept(&self) -> Result<Option<KeptAccount>, AuthorityError> {
        let record = self.registration.file.seen()?;
        record.map(|record| kept(&record)).transpose()
    }

    async fn look(&self) -> Result<SeenAccount, AuthorityError> {
        let hold = self.registration.file.hold().await?;
        let record = self.registration.kept_account()?;
        let record = self.registration.settled(record).await?;
        drop(hold);
        self.registration.shown(&record).await
    }

    async fn register(&self) -> Result<RegisteredAccount, AuthorityError> {
        self.registration.register_by_hand().await
    }

    async fn recover(&self, key: &Secret) -> Result<RegisteredAccount, AuthorityError> {
        self.registration.recover(key).await
    }

    async fn find(&self, key: &Secret) -> Result<Option<String>, AuthorityError> {
        self.registration.found(&SigningKey::of_pem(key)?).await
    }

    async fn roll_over(&self) -> Result<RolledOver, AuthorityError> {
        self.registration.roll_over().await
    }

    async fn deactivate(&self) -> Result<PathBuf, AuthorityError> {
        let hold = self.registration.file.hold().await?;
        let aside = self.registration.deactivate().await;
        drop(hold);
        self.registration.forget_opened().await;
        aside
    }

    async fn revoke(&self, asked: &Revocation<'_>) -> Result<Revoked, AuthorityError> {
        self.registration.revoke(asked).await
    }
}

/// The public part of one of our accounts, as it is kept. None where it is no account.
pub fn kept_account(text: &Secret) -> Option<KeptAccount> {
    let record: AccountRecord = serde_json::from_str(text.expose()).ok()?;
    kept(&record).ok()
}

fn kept(record: &AccountRecord) -> Result<KeptAccount, AuthorityError> {
    let key = SigningKey::of_pem(&record.key)?;
    Ok(KeptAccount {
        url: record.url.clone(),
        key_type: key.kind(),
        thumbprint: key.thumbprint(),
        email: record.email.clone(),
        is_key_changing: record.next.is_some(),
    })
}

impl Registration {
    /// The account on disk.
    ///
    /// # Errors
    /// When there is none, it says what makes one.
    pub(super) fn kept_account(&self) -> Result<AccountRecord, AuthorityError> {
        let found = self.file.seen()?.filter(|record| record.url.is_some());
        found.ok_or_else(|| {
            let ca = Issuer::Ca(self.caller().directory.clone());
            AuthorityError::Ours {
                what: format!(
                    "there is no account at the CA {ca} in the folder of the setting state; `quaymaster register {ca}` \
                     makes one"
                ),
                source: None,
            }
        })
    }

    async fn directory_urls(&self) -> Result<Rc<DirectoryUrls>, AuthorityError> {
        let directory = self.signer().directory().await;
        Ok(directory.map_err(CallError::for_all)?)
    }

    /// The CA's data about the account. The CA answers nothing but a refusal once the account is not valid any more.
    pub(super) async fn shown(
        &self,
        record: &AccountRecord,
    ) -> Result<SeenAccount, AuthorityError> {
        let directory = self.directory_urls().await?;
        let of_status = |status| SeenAccount {
            status,
            contact: Vec::new(),
            terms_agreed: None,
            terms: directory.terms(),
            caa_identities: directory.caa_identities(),
        };
        let answer = match self.post_as_account(record, "").await {
            Ok(answer) => answer,
            Err(failure) => {
                let ended = ended(&failure);
                return ended.map(of_status).ok_or_else(|| failure.into());
            }
        };
        let unread = |problem: String| AuthorityError::NotAcme {
            directory: self.caller().directory.clone(),
            problem: format!("it shows an account that can't be read: {problem}"),
        };
        let shown: ShownAccount =
            serde_json::from_slice(&answer).map_err(|error| unread(error.to_string()))?;
        let status = status(&shown.status)
            .ok_or_else(|| unread(format!("the status {:?}", printable(&shown.status, STATUS))))?;
        Ok(SeenAccount {
            contact: shown.contact,
            terms_agreed: shown.terms_of_service_agreed,
            ..of_status(status)
        })
    }

    async fn deactivate(&self) -> Result<PathBuf, AuthorityError> {
        let record = self.settled(self.kept_account()?).await?;
        let payload = json!({"status": "deactivated"}).to_string();
        match self.post_as_account(&record, &payload).await {
            Err(failure) if ended(&failure).is_none() => Err(failure.into()),
            _ => self.file.set_aside(AsideReason::Deactivated),
        }
    }

    /// Asks for something at the account's own URL.
    async fn post_as_account(
        &self,
        record: &AccountRecord,
        payload: &str,
    ) -> Result<Bytes, CallError> {
        let key = SigningKey::of_pem(&record.key).map_err(CallError::of)?;
        let url = record.url.as_deref().unwrap_or_default();
        let by = SignedBy::Account(url, &key);
        let posted = self.signer().post(by, url, payload, Repeat::Safe).await;
        Ok(posted?.into_body())
    }
}

/// The meaning of a CA's word for the status of an account.
fn status(word: &str) -> Option<AccountStatus> {
    match word {
        "valid" => Some(AccountStatus::Valid),
        "deactivated" => Some(AccountStatus::Deactivated),
        "revoked" => Some(AccountStatus::Revoked),
        _ => None,
    }
}

/// The status of an account from which a CA takes no request; none where the refusal says something else. The protocol
/// has one type of problem for it, and the CA's words show how it came to that.
///
/// <https://www.rfc-editor.org/rfc/rfc8555#section-7.3.6>
fn ended(failure: &CallError) -> Option<AccountStatus> {
    match &failure.error {
        AuthorityError::Refused {
            problem: Problem::AccountDoesNotExist,
            ..
        } => Some(AccountStatus::Unknown),
        AuthorityError::Refused {
            problem: Problem::Unauthorized,
            detail,
        } => {
            let words = detail.to_lowercase();
            let is_said = |word: &&str| words.contains(*word);
            ["deactivated", "revoked"]
                .iter()
                .find(|word| is_said(word))
                .and_then(|word| status(word))
        }
        _ => None,
    }
}
