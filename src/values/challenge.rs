use std::{fmt, str::FromStr};

use thiserror::Error;

/// The proof to a CA that a name is ours.
///
/// <https://www.rfc-editor.org/rfc/rfc8555#section-8>
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChallengeType {
    /// The CA asks port 80 of the name for a text: for host names and addresses, not for wildcards.
    ///
    /// <https://www.rfc-editor.org/rfc/rfc8555#section-8.3>
    #[default]
    Http01,
    /// The CA looks for a TXT record below the name: for host names and wildcards, not for addresses.
    ///
    /// <https://www.rfc-editor.org/rfc/rfc8555#section-8.4>
    Dns01,
}

/// A word that names no challenge that can be met.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{word:?} is not a supported challenge; write {}", ChallengeType::WORDS.map(|(word, _)| word).join(", "), word = .0)]
pub struct ChallengeTypeError(String);

impl ChallengeType {
    /// All of them, with the words that settings and labels use: the protocol's.
    pub const WORDS: [(&'static str, Self); 2] =
        [("http-01", Self::Http01), ("dns-01", Self::Dns01)];

    /// True if it can prove that all names below one are ours.
    pub fn proves_wildcards(self) -> bool {
        match self {
            Self::Http01 => false,
            Self::Dns01 => true,
        }
    }

    /// True if it can prove that an IP address is ours.
    ///
    /// <https://www.rfc-editor.org/rfc/rfc8738#section-7>
    pub fn proves_addresses(self) -> bool {
        match self {
            Self::Http01 => true,
            Self::Dns01 => false,
        }
    }
}

impl FromStr for ChallengeType {
    type Err = ChallengeTypeError;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        let found = Self::WORDS.iter().find(|(known, _)| *known == word);
        found
            .map(|(_, kind)| *kind)
            .ok_or_else(|| ChallengeTypeError(word.to_owned()))
    }
}

impl fmt::Display for ChallengeType {
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
    fn it_reads_what_it_writes_and_answers_other_words_with_the_right_ones() {
        for (word, kind) in ChallengeType::WORDS {
            assert_eq!(word.parse(), Ok(kind));
            assert_eq!(kind.to_string(), word);
        }
        let problem = "dns-1".parse::<ChallengeType>().unwrap_err().to_string();
        assert_eq!(
            problem,
            r#""dns-1" is not a supported challenge; write http-01, dns-01"#
        );
    }
}
