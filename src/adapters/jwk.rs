//! RSA keys as JSON (JWK), as certbot keeps those of its accounts.
//!
//! <https://www.rfc-editor.org/rfc/rfc7518#section-6.3>

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::pem;
use crate::values::Secret;

/// The numbers of an RSA key, each in base64url.
#[derive(Deserialize)]
struct RsaKey<'a> {
    n: &'a str,
    e: &'a str,
    d: &'a str,
    p: &'a str,
    q: &'a str,
    dp: &'a str,
    dq: &'a str,
    qi: &'a str,
}

/// The RSA key in a text, in PEM; nothing where it is none. Its user reports what is wrong with its numbers.
pub(super) fn rsa_key(text: &Secret) -> Option<Secret> {
    let key: RsaKey<'_> = serde_json::from_str(text.expose()).ok()?;
    let mut numbers = Zeroizing::new(Vec::from(VERSION));
    for number in [key.n, key.e, key.d, key.p, key.q, key.dp, key.dq, key.qi] {
        let bytes = URL_SAFE_NO_PAD.decode(number).ok()?;
        numbers.extend_from_slice(&integer(&Zeroizing::new(bytes)));
    }
    Some(pem::rsa_key(&element(SEQUENCE, &numbers)))
}

/// The version of a key with two primes: an INTEGER of 0.
///
/// <https://www.rfc-editor.org/rfc/rfc8017#appendix-A.1.2>
const VERSION: [u8; 3] = [INTEGER, 1, 0];

const INTEGER: u8 = 0x02;
const SEQUENCE: u8 = 0x30;

/// A number that is not negative, which a leading bit that is set would make it.
fn integer(bytes: &[u8]) -> Zeroizing<Vec<u8>> {
    let start = bytes.iter().position(|byte| *byte != 0);
    let bytes = &bytes[start.unwrap_or(bytes.len().saturating_sub(1))..];
    let mut padded = Zeroizing::new(Vec::new());
    if bytes.first().is_none_or(|first| first & 0x80 != 0) {
        padded.push(0);
    }
    padded.extend_from_slice(bytes);
    element(INTEGER, &padded)
}

/// <https://www.itu.int/rec/T-REC-X.690>, 8.1.3
fn element(tag: u8, content: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(vec![tag]);
    let length = content.len().to_be_bytes();
    let used = length.iter().position(|byte| *byte != 0);
    let length = &length[used.unwrap_or(length.len() - 1)..];
    match (length, u8::try_from(length.len())) {
        ([short @ 0..=0x7f], _) => bytes.push(*short),
        (long, Ok(count)) => {
            bytes.push(0x80 | count);
            bytes.extend_from_slice(long);
        }
        // A length has no more than eight bytes.
        (_, Err(_)) => {}
    }
    bytes.extend_from_slice(content);
    bytes
}

#[cfg(test)]
mod tests {
    use rustls_pki_types::{PrivateKeyDer, pem::PemObject};

    use super::*;

    #[test]
    fn numbers_are_written_as_der_demands() {
        for (bytes, expected) in [
            (&[1, 2][..], &[2, 2, 1, 2][..]),
            (&[0, 0, 1], &[2, 1, 1]),
            (&[0x80], &[2, 2, 0, 0x80]),
            (&[0], &[2, 1, 0]),
            (&[], &[2, 1, 0]),
        ] {
            assert_eq!(&**integer(bytes), expected, "{bytes:?}");
        }
        let long = element(SEQUENCE, &[7; 300]);
        assert_eq!(&long[..4], [0x30, 0x82, 0x01, 0x2c]);
        assert_eq!(element(SEQUENCE, &[7; 200])[..3], [0x30, 0x81, 200]);
    }

    #[test]
    fn what_is_no_key_is_none_and_what_is_one_is_pem() {
        for text in ["{}", "", "{\"kty\": \"EC\", \"d\": \"AQ\"}", "[1]"] {
            assert!(rsa_key(&Secret::new(text)).is_none(), "{text}");
        }
        let text = r#"{"kty":"RSA","n":"AQ","e":"AQAB","d":"AQ","p":"AQ","q":"AQ","dp":"AQ","dq":"AQ","qi":"AQ"}"#;
        let key = rsa_key(&Secret::new(text)).expect("a key");
        let read = PrivateKeyDer::from_pem_slice(key.expose().as_bytes());
        assert!(matches!(read, Ok(PrivateKeyDer::Pkcs1(_))));
    }
}
