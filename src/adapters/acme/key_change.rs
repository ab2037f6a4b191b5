//! Another key for an account: on disk before the CA hears of it, and until it is known which of the two the CA takes.
//!
//! <https://www.rfc-editor.org/rfc/rfc8555#section-7.3.5>

use serde_json::json;

use super::{
    account::{Registration, account_key},
    account_record::AccountRecord,
    caller::{Caller, Repeat},
    jws::{SigningKey, signed},
    signer::SignedBy,
};
use crate::{
    ports::{AuthorityError, Problem, RolledOver},
    values::Secret,
};

impl Registration {
    /// The record with the key that the CA takes, where a change of it was begun and nobody has written down how it ended.
    ///
    /// A key that the CA does not know stays on record: a request that was cut off may reach the CA later than anybody
    /// thinks, and then nothing else opens the account.
    pub(super) async fn settled(
        &self,
        record: AccountRecord,
    ) -> Result<AccountRecord, AuthorityError> {
        match &record.next {
            Some(next) if self.is_known(next).await? => {
                let record = AccountRecord {
                    key: next.clone(),
                    next: None,
                    ..record
                };
                self.file.keep(&record)?;
                Ok(record)
            }
            _ => Ok(record),
        }
    }

    /// True if the CA has an account with this key.
    ///
    /// <https://www.rfc-editor.org/rfc/rfc8555#section-7.3.1>
    async fn is_known(&self, key: &Secret) -> Result<bool, AuthorityError> {
        Ok(self.found(&SigningKey::of_pem(key)?).await?.is_some())
    }

    /// The URL of the account with this key; none where there is none. None is made.
    pub(super) async fn found(&self, key: &SigningKey) -> Result<Option<String>, AuthorityError> {
        let signer = self.signer();
        let directory = signer.directory().await;
        let directory = directory.map_err(|failure| failure.for_all())?;
        let existing = json!({"onlyReturnExisting": true});
        match self.post_account(&directory, key, &existing).await {
            Ok(url) => Ok(Some(url)),
            Err(failure) if failure.is_refusal(&Problem::AccountDoesNotExist) => Ok(None),
            Err(failure) => Err(failure.for_all().into()),
        }
    }

    /// Gives the account another key. What was begun before is ended instead, with the key of then.
    ///
    /// # Errors
    /// Whatever happens, the record has the key that the CA takes; at most, the next use finds out which that is.
    pub(super) async fn roll_over(&self) -> Result<RolledOver, AuthorityError> {
        let hold = self.file.hold().await?;
        let rolled = self.change_key().await;
        drop(hold);
        self.forget_opened().await;
        rolled
    }

    async fn change_key(&self) -> Result<RolledOver, AuthorityError> {
        let begun = self.kept_account()?;
        let was_begun = begun.next.is_some();
        let record = self.settled(begun).await?;
        let next = match &record.next {
            None if was_begun => return self.rolled_over(&record, true),
            Some(next) => next.clone(),
            None => account_key()?,
        };
        let begun = AccountRecord {
            next: Some(next),
            ..record
        };
        self.file.keep(&begun)?;
        if let Err(error) = self.ask_for_change(&begun).await {
            // The answer may be lost, and the key taken.
            return match self.settled(begun).await {
                Ok(record) if record.next.is_none() => self.rolled_over(&record, was_begun),
                // It said no: nothing is on its way to it any more.
                Ok(record) if is_no(&error) => {
                    let record = AccountRecord {
                        next: None,
                        ..record
                    };
                    self.file.keep(&record)?;
                    Err(error)
                }
                _ => Err(error),
            };
        }
        let record = AccountRecord {
            key: begun.next.clone().unwrap_or(begun.key),
            next: None,
            ..begun
        };
        self.file.keep(&record)?;
        self.rolled_over(&record, was_begun)
    }

    fn rolled_over(
        &self,
        record: &AccountRecord,
        was_begun: bool,
    ) -> Result<RolledOver, AuthorityError> {
        Ok(RolledOver {
            url: record.url.clone().unwrap_or_default(),
            thumbprint: SigningKey::of_pem(&record.key)?.thumbprint(),
            was_begun,
        })
    }

    /// Asks the CA to take the next key: signed by that, and by the one that it knows.
    async fn ask_for_change(&self, record: &AccountRecord) -> Result<(), AuthorityError> {
        let AccountRecord {
            url: Some(account),
            key,
            next: Some(next),
            ..
        } = record
        else {
            let what = "the account has no other key that the CA could take".to_owned();
            return Err(AuthorityError::Ours { what, source: None });
        };
        let [old, new] = [SigningKey::of_pem(key)?, SigningKey::of_pem(next)?];
        let signer = self.signer();
        let directory = signer.directory().await;
        let directory = directory.map_err(|failure| failure.for_all())?;
        let url = directory.resource("keyChange", &self.caller().directory)?;
        let header = json!({"alg": new.algorithm(), "jwk": new.jwk(), "url": url});
        let payload = json!({"account": account, "oldKey": old.jwk()}).to_string();
        let inner = signed(&header, &payload, |text| new.sign(text));
        let inner = inner.map_err(|error| Caller::ours("the new key can't sign", error))?;
        let by = SignedBy::Account(account, &old);
        signer.post(by, &url, &inner, Repeat::Unsafe).await?;
        Ok(())
    }
}

/// True if a CA that works has refused.
fn is_no(error: &AuthorityError) -> bool {
    matches!(error, AuthorityError::Refused { problem, .. } if *problem != Problem::ServerInternal)
}
