use std::{fmt, str::FromStr};

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use zeroize::Zeroizing;

use super::Secret;

/// The algorithm with which the key that a CA gave out signs.
///
/// <https://www.rfc-editor.org/rfc/rfc7518#section-3.2>
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MacAlgorithm {
    /// The usual one.
    #[default]
    Hs256,
    /// With SHA-384.
    Hs384,
    /// With SHA-512.
    Hs512,
}

impl MacAlgorithm {
    /// All of them with their names.
    pub const WORDS: [(&str, Self); 3] = [
        ("HS256", Self::Hs256),
        ("HS384", Self::Hs384),
        ("HS512", Self::Hs512),
    ];
}

impl fmt::Display for MacAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = Self::WORDS.iter().find(|(_, known)| known == self);
        f.write_str(found.map_or("", |(word, _)| word))
    }
}

impl FromStr for MacAlgorithm {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_this = |(word, _): &&(&str, Self)| word.eq_ignore_ascii_case(text);
        let found = Self::WORDS.iter().find(is_this);
        found
            .map(|(_, algorithm)| *algorithm)
            .ok_or_else(|| "it is not HS256, HS384 or HS512".to_owned())
    }
}

/// A key that a CA gave out on its web site, by which an account there and ours here become one.
///
/// <https://www.rfc-editor.org/rfc/rfc8555#section-7.3.4>
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalAccount {
    /// The CA's name for the key.
    pub key_id: String,
    /// The key, as the CA wrote it.
    pub key: Secret,
    /// The algorithm with which it signs.
    pub algorithm: MacAlgorithm,
}

/// Either alphabet, with or without what fills it up: CAs write all of these.
const fn reader(alphabet: &alphabet::Alphabet) -> GeneralPurpose {
    let config = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    GeneralPurpose::new(alphabet, config)
}

const URL_SAFE: GeneralPurpose = reader(&alphabet::URL_SAFE);
const STANDARD: GeneralPurpose = reader(&alphabet::STANDARD);

impl ExternalAccount {
    /// The bytes of a key that is written in base64url, or in base64.
    ///
    /// # Errors
    /// When it is neither, or nothing. The text itself is not in the error.
    pub fn key_bytes(key: &Secret) -> Result<Zeroizing<Vec<u8>>, String> {
        let text = key.expose().trim();
        let bytes = URL_SAFE.decode(text).or_else(|_| STANDARD.decode(text));
        match bytes {
            Ok(bytes) if !bytes.is_empty() => Ok(Zeroizing::new(bytes)),
            _ => Err("it is not base64url: copy the MAC key as the CA shows it, whole".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_as_cas_write_it_and_never_told() {
        for text in ["-_8", "-_8=", "+/8=", "+/8", "  -_8\n"] {
            let bytes = ExternalAccount::key_bytes(&Secret::new(text));
            assert_eq!(bytes.unwrap().as_slice(), [0xfb, 0xff], "{text}");
        }
        for text in ["", " ", "sec ret", "sec\u{e9}ret"] {
            let problem = ExternalAccount::key_bytes(&Secret::new(text)).unwrap_err();
            assert!(problem.contains("base64url") && !problem.contains("ret"));
        }
    }

    #[test]
    fn an_algorithm_is_known_by_its_name() {
        for (word, algorithm) in MacAlgorithm::WORDS {
            assert_eq!(word.to_lowercase().parse(), Ok(algorithm));
            assert_eq!(algorithm.to_string(), word);
        }
        assert!("RS256".parse::<MacAlgorithm>().is_err());
    }
}
