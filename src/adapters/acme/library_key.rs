//! Accounts whose keys the library can't sign by: it knows EC P-256 alone. It signs by a key of no account then, and each of
//! its requests is signed anew before it leaves; what is shown to a CA is made of the account's own key.

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use instant_acme::Key;
use rustls_pki_types::{PrivatePkcs8KeyDer, pem::PemObject};
use serde_json::Value;

use super::{
    caller::Caller,
    jws::{SigningKey, signed},
};
use crate::{ports::AuthorityError, values::Secret};

/// The key that the library is given for an account.
pub(super) struct LibraryKey {
    pub(super) der: PrivatePkcs8KeyDer<'static>,
    /// The account's own, where that is another.
    pub(super) own: Option<Arc<SigningKey>>,
}

impl LibraryKey {
    /// For the account with this key.
    ///
    /// # Errors
    /// When nobody can sign by it.
    pub(super) fn of(key: &Secret) -> Result<Self, AuthorityError> {
        let der = PrivatePkcs8KeyDer::from_pem_slice(key.expose().as_bytes()).ok();
        let known = der.filter(|der| Key::from_pkcs8_der(der.clone_key()).is_ok());
        if let Some(der) = known {
            return Ok(Self { der, own: None });
        }
        let own = Some(Arc::new(SigningKey::of_pem(key)?));
        let unusable = |error| Caller::ours("no key for the library can be made", error);
        let (_, der) = Key::generate_pkcs8().map_err(unusable)?;
        Ok(Self { der, own })
    }
}

/// A request with the same header and payload, signed by this key; none where it is no signed request.
pub(super) fn signed_anew(message: &[u8], key: &SigningKey) -> Option<String> {
    let message: Value = serde_json::from_slice(message).ok()?;
    let part = |name: &str| URL_SAFE_NO_PAD.decode(message[name].as_str()?).ok();
    let mut header: Value = serde_json::from_slice(&part("protected")?).ok()?;
    let payload = String::from_utf8(part("payload")?).ok()?;
    header["alg"] = key.algorithm().into();
    if header.get("jwk").is_some() {
        header["jwk"] = key.jwk().clone();
    }
    signed(&header, &payload, |text| key.sign(text)).ok()
}
