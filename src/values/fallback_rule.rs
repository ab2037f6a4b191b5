use std::{fmt, str::FromStr};

use thiserror::Error;

/// Which certificates get a self-signed one as long as nothing can be served for them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FallbackRule {
    /// Those of servers that can't start without a certificate.
    #[default]
    ByKind,
    /// All that are wanted.
    On,
    /// None.
    Off,
}

/// A word that is no such rule.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{word:?} says nothing of self-signed certificates; write one of {}", FallbackRule::WORDS.map(|(word, _)| word).join(", "), word = .0)]
pub struct FallbackRuleError(String);

impl FallbackRule {
    /// All of them, with the words that settings use.
    pub const WORDS: [(&'static str, Self); 3] = [
        ("by-kind", Self::ByKind),
        ("on", Self::On),
        ("off", Self::Off),
    ];
}

impl FromStr for FallbackRule {
    type Err = FallbackRuleError;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        let found = Self::WORDS.iter().find(|(known, _)| *known == word);
        found
            .map(|(_, rule)| *rule)
            .ok_or_else(|| FallbackRuleError(word.to_owned()))
    }
}

impl fmt::Display for FallbackRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Self::WORDS
            .iter()
            .filter(|(_, rule)| rule == self)
            .try_for_each(|(word, _)| f.write_str(word))
    }
}
