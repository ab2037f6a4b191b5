//! Private keys that a password protects: PKCS #8 with PBES2, which is what OpenSSL writes today.
//!
//! <https://www.rfc-editor.org/rfc/rfc8018#section-6.2>

use std::num::NonZeroU32;

use aws_lc_rs::{
    cipher::{
        AES_128, AES_192, AES_256, Algorithm, DecryptionContext, PaddedBlockDecryptingKey,
        UnboundCipherKey,
    },
    iv::FixedLength,
    pbkdf2::{self, PBKDF2_HMAC_SHA1, PBKDF2_HMAC_SHA256, PBKDF2_HMAC_SHA384, PBKDF2_HMAC_SHA512},
};
use rustls_pki_types::PrivateKeyDer;
use thiserror::Error;
use x509_parser::asn1_rs::{Any, FromDer, Tag};
use zeroize::Zeroizing;

use crate::values::Secret;

/// OpenSSL counts to 2048, careful people to some 600,000. More would keep everything else waiting for seconds.
const MOST_ITERATIONS: u32 = 2_000_000;

/// The reason why a key can't be opened.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum LockedKey {
    /// Another protection than those that are read here.
    #[error(
        "it is protected by a password in an unsupported way ({0}); convert it with `openssl pkcs8 -topk8 -v2 \
         aes-256-cbc -in OLD -out NEW`"
    )]
    Unknown(String),
    /// Another password.
    #[error("the password in {place} does not open it")]
    Password {
        /// The file that it stands in.
        place: String,
    },
    /// Not what its marker says.
    #[error("it is not a key that a password protects")]
    NoKey,
}

/// A password, and the file that it stands in, in words.
#[derive(Clone, Debug)]
pub(super) struct Password {
    pub secret: Secret,
    pub place: String,
}

/// The parameters that turn a password into a key, and the text which that key opens.
struct Lock<'a> {
    salt: &'a [u8],
    iterations: NonZeroU32,
    hash: pbkdf2::Algorithm,
    cipher: &'static Algorithm,
    key_length: usize,
    start: &'a [u8],
    sealed: &'a [u8],
}

/// The key in PKCS #8 that a password opens.
pub(super) fn open(der: &[u8], password: &Password) -> Result<Zeroizing<Vec<u8>>, LockedKey> {
    let lock = Lock::read(der)?;
    let mut key = Zeroizing::new(vec![0; lock.key_length]);
    pbkdf2::derive(
        lock.hash,
        lock.iterations,
        lock.salt,
        password.secret.expose().as_bytes(),
        &mut key,
    );
    let start = FixedLength::<16>::try_from(lock.start).map_err(|_| LockedKey::NoKey)?;
    let mut bytes = Zeroizing::new(lock.sealed.to_vec());
    let opened = UnboundCipherKey::new(lock.cipher, &key)
        .and_then(PaddedBlockDecryptingKey::cbc_pkcs7)
        .and_then(|key| {
            let opened = key.decrypt(&mut bytes, DecryptionContext::Iv128(start))?;
            Ok(Zeroizing::new(opened.to_vec()))
        })
        .map_err(|_| wrong(password))?;
    match PrivateKeyDer::try_from(opened.as_slice()) {
        Ok(PrivateKeyDer::Pkcs8(_)) => Ok(opened),
        // Another password sometimes opens it, to nonsense.
        _ => Err(wrong(password)),
    }
}

fn wrong(password: &Password) -> LockedKey {
    LockedKey::Password {
        place: password.place.clone(),
    }
}

impl<'a> Lock<'a> {
    /// <https://www.rfc-editor.org/rfc/rfc8018#appendix-A.4>
    fn read(der: &'a [u8]) -> Result<Self, LockedKey> {
        let (_, whole) = Any::from_der(der).map_err(|_| LockedKey::NoKey)?;
        let whole = inner(&whole)?;
        let [scheme, sealed] = whole.as_slice() else {
            return Err(LockedKey::NoKey);
        };
        let (scheme, parameters) = named(scheme)?;
        let parameters = match (scheme.as_str(), parameters) {
            ("1.2.840.113549.1.5.13", Some(parameters)) => inner(&parameters)?,
            _ => return Err(LockedKey::Unknown(scheme)),
        };
        let [derivation, cipher] = parameters.as_slice() else {
            return Err(LockedKey::NoKey);
        };
        let (salt, iterations, hash) = derivation_of(derivation)?;
        let (cipher, key_length, start) = cipher_of(cipher)?;
        Ok(Self {
            salt,
            iterations,
            hash,
            cipher,
            key_length,
            start,
            sealed: bytes(sealed)?,
        })
    }
}

/// <https://www.rfc-editor.org/rfc/rfc8018#appendix-A.2>
fn derivation_of<'a>(
    derivation: &Any<'a>,
) -> Result<(&'a [u8], NonZeroU32, pbkdf2::Algorithm), LockedKey> {
    let (name, parameters) = named(derivation)?;
    let parameters = match (name.as_str(), parameters) {
        ("1.2.840.113549.1.5.12", Some(parameters)) => inner(&parameters)?,
        _ => return Err(LockedKey::Unknown(name)),
    };
    let [salt, iterations, rest @ ..] = parameters.as_slice() else {
        return Err(LockedKey::NoKey);
    };
    let iterations = iterations.as_u32().map_err(|_| LockedKey::NoKey)?;
    if iterations > MOST_ITERATIONS {
        return Err(LockedKey::Unknown(format!("{iterations} iterations")));
    }
    let iterations = NonZeroU32::new(iterations).ok_or(LockedKey::NoKey)?;
    // A length of the key may come before the hash.
    let hash = rest.iter().find(|part| part.tag() == Tag::Sequence);
    let hash = hash.map(named).transpose()?.map(|(name, _)| name);
    let hash = match hash.as_deref() {
        None | Some("1.2.840.113549.2.7") => PBKDF2_HMAC_SHA1,
        Some("1.2.840.113549.2.9") => PBKDF2_HMAC_SHA256,
        Some("1.2.840.113549.2.10") => PBKDF2_HMAC_SHA384,
        Some("1.2.840.113549.2.11") => PBKDF2_HMAC_SHA512,
        Some(other) => return Err(LockedKey::Unknown(other.to_owned())),
    };
    Ok((bytes(salt)?, iterations, hash))
}

/// <https://www.rfc-editor.org/rfc/rfc8018#appendix-B.2.5>
fn cipher_of<'a>(cipher: &Any<'a>) -> Result<(&'static Algorithm, usize, &'a [u8]), LockedKey> {
    let (name, start) = named(cipher)?;
    let (cipher, key_length) = match name.as_str() {
        "2.16.840.1.101.3.4.1.2" => (&AES_128, 16),
        "2.16.840.1.101.3.4.1.22" => (&AES_192, 24),
        "2.16.840.1.101.3.4.1.42" => (&AES_256, 32),
        "1.2.840.113549.3.7" => return Err(LockedKey::Unknown("3DES".to_owned())),
        _ => return Err(LockedKey::Unknown(name)),
    };
    let start = start.ok_or(LockedKey::NoKey)?;
    Ok((cipher, key_length, bytes(&start)?))
}

/// The parts of a sequence.
fn inner<'a>(sequence: &Any<'a>) -> Result<Vec<Any<'a>>, LockedKey> {
    let mut rest = match sequence.tag() {
        Tag::Sequence => sequence.data,
        _ => return Err(LockedKey::NoKey),
    };
    let mut parts = Vec::new();
    while !rest.is_empty() {
        let (after, part) = Any::from_der(rest).map_err(|_| LockedKey::NoKey)?;
        parts.push(part);
        rest = after;
    }
    Ok(parts)
}

/// The number of an algorithm, and its parameters.
fn named<'a>(algorithm: &Any<'a>) -> Result<(String, Option<Any<'a>>), LockedKey> {
    let mut parts = inner(algorithm)?.into_iter();
    let name = parts.next().ok_or(LockedKey::NoKey)?;
    let name = name.as_oid().map_err(|_| LockedKey::NoKey)?;
    Ok((name.to_id_string(), parts.next()))
}

fn bytes<'a>(octets: &Any<'a>) -> Result<&'a [u8], LockedKey> {
    match octets.tag() {
        Tag::OctetString => Ok(octets.data),
        _ => Err(LockedKey::NoKey),
    }
}

#[cfg(test)]
mod tests {
    use base64::{Engine, engine::general_purpose::STANDARD};

    use super::*;

    /// Written by `openssl pkcs8 -topk8`, all of one key, with the password "quay".
    const LOCKED: &str = include_str!("../../tests/recorded/certificates/locked.txt");

    fn password(word: &str) -> Password {
        Password {
            secret: Secret::new(word),
            place: "the file `password`".to_owned(),
        }
    }

    fn cases() -> Vec<(String, Vec<u8>)> {
        let case = |line: &str| {
            let (how, packed) = line.split_once(' ').expect("how, and the key");
            (how.to_owned(), STANDARD.decode(packed).expect("Base64"))
        };
        LOCKED.lines().map(case).collect()
    }

    #[test]
    fn keys_that_openssl_protects_are_opened_by_their_password_alone() {
        let [right, other] = ["quay", "quai"].map(password);
        let mut opened = Vec::new();
        for (how, der) in cases() {
            match open(&der, &right) {
                Ok(key) => opened.push((how, key)),
                Err(error) => {
                    let told = error.to_string();
                    assert!(told.contains("openssl pkcs8 -topk8"), "{how}: {told}");
                    assert!(how.starts_with("not-"), "{how}: {told}");
                    assert_eq!(how == "not-des3", told.contains("(3DES)"), "{how}: {told}");
                    continue;
                }
            }
            assert_eq!(open(&der, &other), Err(wrong(&other)));
        }
        assert_eq!(opened.len(), 5);
        assert!(opened.iter().all(|(_, key)| key == &opened[0].1));
    }

    #[test]
    fn a_protected_key_that_is_cut_off_is_refused_wherever_that_is() {
        let (_, der) = cases().swap_remove(0);
        let password = password("quay");
        assert!(open(&der, &password).is_ok());
        for length in 0..der.len() {
            assert!(open(&der[..length], &password).is_err(), "{length}");
        }
    }
}
