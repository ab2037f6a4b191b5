use std::{fmt, str::FromStr};

use serde::{Serialize, Serializer};
use thiserror::Error;

/// The reason why a certificate is revoked.
///
/// <https://www.rfc-editor.org/rfc/rfc5280#section-5.3.1>
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RevocationReason {
    /// Nobody says.
    #[default]
    Unspecified,
    /// Somebody else has its key.
    KeyCompromise,
    /// Another one has taken its place.
    Superseded,
    /// Its names are not ours any more.
    CessationOfOperation,
}

/// A word that is no reason.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "{word:?} is not a reason to revoke a certificate; write {}",
    RevocationReason::ROWS.map(|(word, number, _)| format!("{number} or {word}")).join(", "),
    word = .0
)]
pub struct RevocationReasonError(String);

impl RevocationReason {
    /// All that a CA takes from whoever has the certificate, with the standard's words and numbers.
    pub const ROWS: [(&'static str, u8, Self); 4] = [
        ("unspecified", 0, Self::Unspecified),
        ("keyCompromise", 1, Self::KeyCompromise),
        ("superseded", 4, Self::Superseded),
        ("cessationOfOperation", 5, Self::CessationOfOperation),
    ];

    fn row(self) -> (&'static str, u8) {
        let found = Self::ROWS.iter().find(|(_, _, reason)| *reason == self);
        found.map_or(("unspecified", 0), |(word, number, _)| (*word, *number))
    }

    /// Its number in the protocol.
    pub fn number(self) -> u8 {
        self.row().1
    }
}

impl FromStr for RevocationReason {
    type Err = RevocationReasonError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_meant = |(word, number, _): &&(&str, u8, Self)| {
            word.eq_ignore_ascii_case(text) || number.to_string() == text
        };
        let found = Self::ROWS.iter().find(is_meant);
        found
            .map(|(_, _, reason)| *reason)
            .ok_or_else(|| RevocationReasonError(text.to_owned()))
    }
}

impl fmt::Display for RevocationReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.row().0)
    }
}

impl Serialize for RevocationReason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_a_word_or_its_number_and_another_word_is_told_with_all_of_them() {
        for (word, number, reason) in RevocationReason::ROWS {
            assert_eq!(word.parse(), Ok(reason));
            assert_eq!(word.to_lowercase().parse(), Ok(reason));
            assert_eq!(number.to_string().parse(), Ok(reason));
            assert_eq!(
                (reason.to_string().as_str(), reason.number()),
                (word, number)
            );
        }
        for text in ["", "2", "8", "01", "compromise"] {
            let told = text
                .parse::<RevocationReason>()
                .expect_err("no reason")
                .to_string();
            assert!(
                told.contains("1 or keyCompromise, 4 or superseded"),
                "{told}"
            );
        }
    }
}
