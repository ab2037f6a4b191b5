use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The kind of a certificate's key.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(try_from = "String", into = "String")]
pub enum KeyType {
    /// ECDSA on P-256: small, fast, read by everything of this decade.
    #[default]
    Ec256,
    /// ECDSA on P-384.
    Ec384,
    /// RSA with 2048 bits, for what can't read ECDSA.
    Rsa2048,
    /// RSA with 3072 bits.
    Rsa3072,
    /// RSA with 4096 bits.
    Rsa4096,
}

/// A word that is no key type.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{word:?} is not a key type; write one of {}", KeyType::WORDS.map(|(word, _)| word).join(", "), word = .0)]
pub struct KeyTypeError(String);

impl KeyType {
    /// All of them, with the words that settings and labels use.
    pub const WORDS: [(&'static str, Self); 5] = [
        ("ec-256", Self::Ec256),
        ("ec-384", Self::Ec384),
        ("rsa-2048", Self::Rsa2048),
        ("rsa-3072", Self::Rsa3072),
        ("rsa-4096", Self::Rsa4096),
    ];
}

impl FromStr for KeyType {
    type Err = KeyTypeError;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        let found = Self::WORDS.iter().find(|(known, _)| *known == word);
        found
            .map(|(_, kind)| *kind)
            .ok_or_else(|| KeyTypeError(word.to_owned()))
    }
}

impl From<KeyType> for String {
    fn from(kind: KeyType) -> Self {
        kind.to_string()
    }
}

impl TryFrom<String> for KeyType {
    type Error = KeyTypeError;

    fn try_from(word: String) -> Result<Self, Self::Error> {
        word.parse()
    }
}

impl fmt::Display for KeyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Self::WORDS
            .iter()
            .filter(|(_, kind)| kind == self)
            .try_for_each(|(word, _)| f.write_str(word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_what_it_writes() {
        for (word, kind) in KeyType::WORDS {
            assert_eq!(word.parse(), Ok(kind));
            assert_eq!(kind.to_string(), word);
        }
    }

    #[test]
    fn other_words_are_answered_with_the_right_ones() {
        let problem = "rsa".parse::<KeyType>().unwrap_err().to_string();
        assert_eq!(
            problem,
            r#""rsa" is not a key type; write one of ec-256, ec-384, rsa-2048, rsa-3072, rsa-4096"#
        );
    }
}
