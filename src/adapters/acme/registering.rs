//! An account that is made or taken over by hand. One that works is never put over.

use super::{
    account::Registration, account_record::AccountRecord, caller::Caller, jws::SigningKey,
};
use crate::{
    ports::{
        AccountStatus, AsideReason, AuthorityError, Problem, RegisteredAccount, RegistrationOutcome,
    },
    values::{Issuer, Secret},
};

impl Registration {
    /// See [`AccountDesk::register`](crate::ports::AccountDesk::register).
    pub(super) async fn register_by_hand(&self) -> Result<RegisteredAccount, AuthorityError> {
        let hold = self.file.hold().await?;
        let outcome = self.see_to_account().await;
        drop(hold);
        self.forget_opened().await;
        self.registered(outcome?)
    }

    async fn see_to_account(&self) -> Result<RegistrationOutcome, AuthorityError> {
        let record = match self.file.usable()? {
            None => self.new_key().await?,
            Some(record) => record,
        };
        let Some(url) = record.url.clone() else {
            self.register(record.key).await?;
            return Ok(RegistrationOutcome::Registered);
        };
        let record = self.settled(record).await?;
        match self.shown(&record).await?.status {
            AccountStatus::Valid => {
                self.tell_email(&url, record).await?;
                Ok(RegistrationOutcome::Known)
            }
            AccountStatus::Unknown => {
                self.register(record.key).await?;
                Ok(RegistrationOutcome::RegisteredAgain)
            }
            AccountStatus::Deactivated | AccountStatus::Revoked => {
                Err(self.in_the_way(&url, "has ended at the CA"))
            }
        }
    }

    /// See [`AccountDesk::recover`](crate::ports::AccountDesk::recover).
    pub(super) async fn recover(&self, key: &Secret) -> Result<RegisteredAccount, AuthorityError> {
        let hold = self.file.hold().await?;
        let outcome = self.take_over(key).await;
        drop(hold);
        self.forget_opened().await;
        self.registered(outcome?)
    }

    async fn take_over(&self, key: &Secret) -> Result<RegistrationOutcome, AuthorityError> {
        let signing = SigningKey::of_pem(key)?;
        let record = self.file.usable()?;
        if let Some(AccountRecord { url: Some(url), .. }) = &record {
            let record = self
                .settled(record.clone().expect("it was just seen"))
                .await?;
            let is_same = SigningKey::of_pem(&record.key)?.thumbprint() == signing.thumbprint();
            return match is_same {
                true => {
                    self.tell_email(url, record).await?;
                    Ok(RegistrationOutcome::Known)
                }
                false => Err(self.in_the_way(url, "lies in the folder of the setting state")),
            };
        }
        let Some(url) = self.found(&signing).await? else {
            return Err(AuthorityError::Refused {
                problem: Problem::AccountDoesNotExist,
                detail: format!(
                    "there is no account with this key at the CA {}; name the CA that has it, or leave --account out and \
                     register a new one",
                    self.ca()
                ),
            });
        };
        let recovered = AccountRecord {
            url: Some(url.clone()),
            ..AccountRecord::of_key(key.clone())
        };
        let status = self.shown(&recovered).await?.status;
        if status != AccountStatus::Valid {
            return Err(Caller::ours(
                &format!("the account {url} of this key can't be taken over"),
                "it has ended at the CA; leave --account out and register a new one",
            ));
        }
        if record.is_some() {
            self.file.set_aside(AsideReason::Replaced)?;
        }
        self.file.keep(&recovered)?;
        self.tell_email(&url, recovered).await?;
        Ok(RegistrationOutcome::Recovered)
    }

    /// The reason why no account replaces the present one.
    fn in_the_way(&self, url: &str, problem: &str) -> AuthorityError {
        let ca = self.ca();
        AuthorityError::Ours {
            what: format!(
                "the account {url} {problem}, and it is not overwritten; `quaymaster account {ca}` shows it, and \
                 `quaymaster account {ca} --deactivate` ends it and renames its record"
            ),
            source: None,
        }
    }

    fn ca(&self) -> Issuer {
        Issuer::Ca(self.caller().directory.clone())
    }

    fn registered(
        &self,
        outcome: RegistrationOutcome,
    ) -> Result<RegisteredAccount, AuthorityError> {
        Ok(RegisteredAccount {
            url: self.kept_account()?.url.unwrap_or_default(),
            outcome,
            refused_email: self.refused_email(),
        })
    }
}
