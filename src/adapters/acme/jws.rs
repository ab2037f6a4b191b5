//! Signing keys as JSON Web Keys, and what they sign. No request is made here.
//!
//! <https://www.rfc-editor.org/rfc/rfc7515>

use aws_lc_rs::{
    digest::{SHA256, digest},
    error::Unspecified,
    rand::SystemRandom,
    rsa,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair,
        RSA_PKCS1_SHA256,
    },
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use rustls_pki_types::{PrivateKeyDer, pem::PemObject};
use serde_json::{Value, json};
use x509_parser::{asn1_rs::FromDer, public_key::RSAPublicKey};

use super::caller::Caller;
use crate::{ports::AuthorityError, values::Secret};

/// A private key that signs, with its public half as the protocol writes it.
pub(super) struct SigningKey {
    pair: Pair,
    jwk: Value,
}

enum Pair {
    Ec256(EcdsaKeyPair),
    Ec384(EcdsaKeyPair),
    Rsa(rsa::KeyPair),
}

impl SigningKey {
    /// The key in this PEM, in any of the usual forms.
    ///
    /// # Errors
    /// When it is no key, or none of P-256, P-384 or RSA.
    pub(super) fn of_pem(pem: &Secret) -> Result<Self, AuthorityError> {
        let unusable = |error: Box<dyn std::error::Error + Send + Sync>| {
            Caller::ours("a key can't be used to sign requests", error)
        };
        let key = PrivateKeyDer::from_pem_slice(pem.expose().as_bytes());
        let key = key.map_err(|error| unusable(error.into()))?;
        Self::of_der(key.secret_der()).ok_or_else(|| {
            unusable("only EC P-256, EC P-384 and RSA of 2048 bits or more are supported".into())
        })
    }

    fn of_der(der: &[u8]) -> Option<Self> {
        let ec = |kind| EcdsaKeyPair::from_private_key_der(kind, der).ok();
        if let Some(pair) = ec(&ECDSA_P256_SHA256_FIXED_SIGNING) {
            let jwk = ec_jwk("P-256", 32, &pair)?;
            return Some(Self {
                pair: Pair::Ec256(pair),
                jwk,
            });
        }
        if let Some(pair) = ec(&ECDSA_P384_SHA384_FIXED_SIGNING) {
            let jwk = ec_jwk("P-384", 48, &pair)?;
            return Some(Self {
                pair: Pair::Ec384(pair),
                jwk,
            });
        }
        let pair = rsa::KeyPair::from_pkcs8(der).or_else(|_| rsa::KeyPair::from_der(der));
        let pair = pair.ok()?;
        let (_, public) = RSAPublicKey::from_der(pair.public_key().as_ref()).ok()?;
        let jwk = json!({"kty": "RSA", "n": number(public.modulus), "e": number(public.exponent)});
        Some(Self {
            pair: Pair::Rsa(pair),
            jwk,
        })
    }

    /// The public half, with no member but those that a thumbprint is made of.
    ///
    /// <https://www.rfc-editor.org/rfc/rfc7517>
    pub(super) fn jwk(&self) -> &Value {
        &self.jwk
    }

    /// The name of the algorithm that this key signs by.
    ///
    /// <https://www.rfc-editor.org/rfc/rfc7518#section-3.1>
    pub(super) fn algorithm(&self) -> &'static str {
        match self.pair {
            Pair::Ec256(_) => "ES256",
            Pair::Ec384(_) => "ES384",
            Pair::Rsa(_) => "RS256",
        }
    }

    /// The kind of the key, as the setting `key-type` names it.
    pub(super) fn kind(&self) -> String {
        match &self.pair {
            Pair::Ec256(_) => "ec-256".to_owned(),
            Pair::Ec384(_) => "ec-384".to_owned(),
            Pair::Rsa(pair) => format!("rsa-{}", pair.public_modulus_len() * 8),
        }
    }

    /// The digest that the key is known by.
    ///
    /// <https://www.rfc-editor.org/rfc/rfc7638#section-3>
    pub(super) fn thumbprint(&self) -> String {
        let member = |name: &str| self.jwk[name].as_str().unwrap_or_default();
        // In the order of the alphabet, without blanks: no serializer is trusted with that.
        let members = match self.pair {
            Pair::Rsa(_) => format!(
                r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#,
                member("e"),
                member("n")
            ),
            _ => format!(
                r#"{{"crv":"{}","kty":"EC","x":"{}","y":"{}"}}"#,
                member("crv"),
                member("x"),
                member("y")
            ),
        };
        URL_SAFE_NO_PAD.encode(digest(&SHA256, members.as_bytes()))
    }

    /// Signs a text.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub(super) fn sign(&self, text: &[u8]) -> Result<Vec<u8>, Unspecified> {
        let chance = SystemRandom::new();
        match &self.pair {
            Pair::Ec256(pair) | Pair::Ec384(pair) => {
                Ok(pair.sign(&chance, text)?.as_ref().to_vec())
            }
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &chance, text, &mut signature)?;
                Ok(signature)
            }
        }
    }
}

/// <https://www.rfc-editor.org/rfc/rfc7518#section-6.2.1>
fn ec_jwk(curve: &str, length: usize, pair: &EcdsaKeyPair) -> Option<Value> {
    let [4, point @ ..] = pair.public_key().as_ref() else {
        return None;
    };
    let (x, y) = point.split_at_checked(length)?;
    let [x, y] = [x, y].map(|coordinate| URL_SAFE_NO_PAD.encode(coordinate));
    Some(json!({"crv": curve, "kty": "EC", "x": x, "y": y}))
}

/// A number without zeros before it.
///
/// <https://www.rfc-editor.org/rfc/rfc7518#section-2>
fn number(bytes: &[u8]) -> String {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    URL_SAFE_NO_PAD.encode(&bytes[zeros..])
}

/// A text and its header, signed: JSON with three members.
///
/// <https://www.rfc-editor.org/rfc/rfc7515#section-7.2.2>
pub(super) fn signed(
    header: &Value,
    payload: &str,
    sign: impl FnOnce(&[u8]) -> Result<Vec<u8>, Unspecified>,
) -> Result<String, Unspecified> {
    let protected = URL_SAFE_NO_PAD.encode(header.to_string());
    let payload = URL_SAFE_NO_PAD.encode(payload);
    let signature = sign(format!("{protected}.{payload}").as_bytes())?;
    let signature = URL_SAFE_NO_PAD.encode(signature);
    Ok(json!({"protected": protected, "payload": payload, "signature": signature}).to_string())
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, RSA_PKCS1_2048_8192_SHA256,
        RsaPublicKeyComponents, UnparsedPublicKey,
    };

    use super::{super::authorities::new_key, *};
    use crate::values::KeyType;

    fn decoded(text: &Value) -> Vec<u8> {
        URL_SAFE_NO_PAD.decode(text.as_str().unwrap()).unwrap()
    }

    #[test]
    fn what_each_type_of_key_signs_is_verified_by_what_the_request_says_of_it() {
        for (_, kind) in KeyType::WORDS {
            let key = SigningKey::of_pem(&new_key(kind).unwrap()).unwrap();
            let header = json!({"alg": key.algorithm(), "jwk": key.jwk()});
            let text = signed(&header, r#"{"a":1}"#, |text| key.sign(text)).unwrap();
            let message: Value = serde_json::from_str(&text).unwrap();
            let header: Value = serde_json::from_slice(&decoded(&message["protected"])).unwrap();
            assert_eq!(decoded(&message["payload"]), br#"{"a":1}"#);
            let signature = decoded(&message["signature"]);
            let covered = [&message["protected"], &message["payload"]];
            let covered = covered.map(|part| part.as_str().unwrap()).join(".");
            let (jwk, covered) = (&header["jwk"], covered.as_bytes());
            let point = || [vec![4], decoded(&jwk["x"]), decoded(&jwk["y"])].concat();
            let is_right = match header["alg"].as_str().unwrap() {
                "ES256" => UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point())
                    .verify(covered, &signature),
                "ES384" => UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point())
                    .verify(covered, &signature),
                "RS256" => RsaPublicKeyComponents {
                    n: decoded(&jwk["n"]),
                    e: decoded(&jwk["e"]),
                }
                .verify(&RSA_PKCS1_2048_8192_SHA256, covered, &signature),
                other => panic!("{other}"),
            };
            assert_eq!(is_right, Ok(()), "{kind:?}");
        }
    }

    #[test]
    fn a_number_has_no_zeros_before_it() {
        // The modulus and the exponent of RFC 7638 §3.1 begin with what DER puts a zero before.
        assert_eq!(number(&[0, 1, 0, 1]), "AQAB");
        assert_eq!(number(&[0, 0xd2]), number(&[0xd2]));
    }

    #[test]
    fn what_is_no_key_signs_nothing() {
        for text in [
            "",
            "none",
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        ] {
            assert!(SigningKey::of_pem(&Secret::new(text)).is_err(), "{text}");
        }
    }
}
