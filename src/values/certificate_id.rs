use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// By what a CA is asked about a certificate: who signed it, and its serial number.
///
/// <https://www.rfc-editor.org/rfc/rfc9773#section-4.1>
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CertificateId(String);

/// A text that is no such id.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is not the id of a certificate: two texts in base64url with a dot between them")]
pub struct CertificateIdError(String);

impl CertificateId {
    /// That of the certificate with this serial number, whose issuer has the key with this identifier. The serial number is
    /// as it stands in the certificate, with the zero that marks it positive.
    pub fn of(key_identifier: &[u8], serial: &[u8]) -> Self {
        let [key, serial] = [key_identifier, serial].map(|bytes| URL_SAFE_NO_PAD.encode(bytes));
        Self(format!("{key}.{serial}"))
    }

    /// As it is written into URLs, where none of its characters means anything else.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CertificateId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<CertificateId> for String {
    fn from(id: CertificateId) -> Self {
        id.0
    }
}

impl TryFrom<String> for CertificateId {
    type Error = CertificateIdError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let is_base64 = |part: &str| !part.is_empty() && URL_SAFE_NO_PAD.decode(part).is_ok();
        match text.split_once('.') {
            Some((key, serial)) if is_base64(key) && is_base64(serial) => Ok(Self(text)),
            _ => Err(CertificateIdError(text)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_made_as_the_rfc_shows_it_and_read_again() {
        let key = [
            0x69, 0x88, 0x5b, 0x6b, 0x87, 0x46, 0x40, 0x41, 0xe1, 0xb3, 0x7b, 0x84, 0x7b, 0xa0,
            0xae, 0x2c, 0xde, 0x01, 0xc8, 0xd4,
        ];
        let id = CertificateId::of(&key, &[0x00, 0x87, 0x65, 0x43, 0x21]);
        assert_eq!(id.as_str(), "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE");
        assert_eq!(CertificateId::try_from(id.to_string()), Ok(id));
        for text in [
            "",
            ".",
            "a",
            "AIdlQyE.",
            "AIdlQyE.../etc",
            "AIdl/yE.AIdl",
            "AI.AI.AI",
        ] {
            assert!(CertificateId::try_from(text.to_owned()).is_err(), "{text}");
        }
    }
}
