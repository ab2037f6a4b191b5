//! The binding of an account of ours to one that was made at the CA's web site, and what a CA says about it.
//!
//! <https://www.rfc-editor.org/rfc/rfc8555#section-7.3.4>

use aws_lc_rs::hmac;
use serde_json::{Value, json};

use super::{
    caller::Caller,
    error::CallError,
    jws::{SigningKey, signed},
};
use crate::{
    ports::{AuthorityError, ExternalAccountFault, Problem},
    values::{ExternalAccount, MacAlgorithm},
};

/// The part of a new account that names the other: the account's key, signed by the key that the CA gave out.
///
/// # Errors
/// When what the CA gave out is no key.
pub(super) fn binding(
    external: &ExternalAccount,
    account: &SigningKey,
    new_account: &str,
) -> Result<Value, AuthorityError> {
    let unusable = |problem: String| Caller::ours("the setting eab-key can't be used", problem);
    let bytes = ExternalAccount::key_bytes(&external.key).map_err(unusable)?;
    let algorithm = match external.algorithm {
        MacAlgorithm::Hs256 => hmac::HMAC_SHA256,
        MacAlgorithm::Hs384 => hmac::HMAC_SHA384,
        MacAlgorithm::Hs512 => hmac::HMAC_SHA512,
    };
    let key = hmac::Key::new(algorithm, &bytes);
    let header = json!({
        "alg": external.algorithm.to_string(),
        "kid": external.key_id,
        "url": new_account,
    });
    let text = signed(&header, &account.jwk().to_string(), |text| {
        Ok(hmac::sign(&key, text).as_ref().to_vec())
    });
    let text = text.map_err(|error| unusable(error.to_string()))?;
    serde_json::from_str(&text).map_err(|error| unusable(error.to_string()))
}

/// The meaning of a refused registration, as far as it is about the other account. The protocol has one type of problem
/// for the case that it is missing, and none for one that is wrong or used up: the CA's words show the difference.
pub(super) fn refused(
    failure: CallError,
    directory: &str,
    external: Option<&ExternalAccount>,
) -> AuthorityError {
    let (problem, detail) = match &failure.error {
        AuthorityError::Refused { problem, detail } => (problem, detail),
        _ => return failure.for_all().into(),
    };
    let lower = detail.to_lowercase();
    let is_used = ["already", "used", "once", "consumed"]
        .iter()
        .any(|word| lower.contains(word));
    let fault = match (external, problem) {
        (None, Problem::ExternalAccountRequired) => ExternalAccountFault::Missing,
        (
            Some(_),
            Problem::ExternalAccountRequired | Problem::Unauthorized | Problem::Malformed,
        ) => match is_used {
            true => ExternalAccountFault::Used,
            false => ExternalAccountFault::Wrong,
        },
        _ => return failure.for_all().into(),
    };
    AuthorityError::ExternalAccount {
        directory: directory.to_owned(),
        fault,
        detail: detail.clone(),
    }
}
