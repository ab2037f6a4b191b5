//! The end of a certificate before its time.
//!
//! <https://www.rfc-editor.org/rfc/rfc8555#section-7.6>

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::json;

use super::{
    account::Registration, caller::Repeat, error::CallError, jws::SigningKey, signer::SignedBy,
};
use crate::{
    ports::{AuthorityError, Problem, Revocation, Revoked},
    values::{Issuer, RevocationReason},
};

impl Registration {
    /// See [`AccountDesk::revoke`](crate::ports::AccountDesk::revoke). A key that somebody else may have is reported
    /// with that key, where it is at hand: that proves the right to do so.
    pub(super) async fn revoke(&self, asked: &Revocation<'_>) -> Result<Revoked, AuthorityError> {
        let key = asked.key.map(SigningKey::of_pem).transpose()?;
        let by_key = match &key {
            Some(key) if asked.reason == RevocationReason::KeyCompromise => {
                return self.revoke_by(SignedBy::Key(key), asked).await;
            }
            key => key.as_ref().map(SignedBy::Key),
        };
        let hold = self.file.hold().await?;
        let record = match self.file.seen()?.filter(|record| record.url.is_some()) {
            Some(record) => Some(self.settled(record).await?),
            None => None,
        };
        drop(hold);
        let Some(record) = record else {
            let by_key = by_key.ok_or_else(|| self.nobody_revokes())?;
            return self.revoke_by(by_key, asked).await;
        };
        let account = SigningKey::of_pem(&record.key)?;
        let url = record.url.as_deref().unwrap_or_default();
        match (
            self.revoke_by(SignedBy::Account(url, &account), asked)
                .await,
            by_key,
        ) {
            // Another account ordered it.
            (
                Err(AuthorityError::Refused {
                    problem: Problem::Unauthorized | Problem::AccountDoesNotExist,
                    ..
                }),
                Some(by_key),
            ) => self.revoke_by(by_key, asked).await,
            (revoked, _) => revoked,
        }
    }

    async fn revoke_by(
        &self,
        by: SignedBy<'_>,
        asked: &Revocation<'_>,
    ) -> Result<Revoked, AuthorityError> {
        let signer = self.signer();
        let directory = signer.directory().await.map_err(CallError::for_all)?;
        let url = directory.resource("revokeCert", &self.caller().directory)?;
        let mut payload = json!({"certificate": URL_SAFE_NO_PAD.encode(asked.leaf)});
        // No reason is told by leaving it out.
        if asked.reason != RevocationReason::Unspecified {
            payload["reason"] = asked.reason.number().into();
        }
        // What was revoked by a request whose answer was lost is revoked already.
        let text = payload.to_string();
        match signer.post(by, &url, &text, Repeat::Safe).await {
            Ok(_) => Ok(match by {
                SignedBy::Account(..) => Revoked::ByAccount,
                SignedBy::Key(_) => Revoked::ByKey,
            }),
            Err(failure) if failure.is_refusal(&Problem::AlreadyRevoked) => Ok(Revoked::Already),
            Err(failure) => Err(failure.into()),
        }
    }

    fn nobody_revokes(&self) -> AuthorityError {
        let ca = Issuer::Ca(self.caller().directory.clone());
        AuthorityError::Ours {
            what: format!(
                "there is no account at the CA {ca} in the folder of the setting state, and no key of the certificate; name a \
                 file with its key after it, or set state to where the account lies that ordered it"
            ),
            source: None,
        }
    }
}
