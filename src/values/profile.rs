use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The CA's own word for a kind of certificate.
///
/// <https://datatracker.ietf.org/doc/html/draft-ietf-acme-profiles-01#section-3>
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Profile {
    /// The CA's word.
    pub name: String,
    /// True if nothing else will do: where the CA does not have it, nothing is ordered.
    pub is_required: bool,
}

/// A text that is no profile.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "it is not a word of at most 64 letters, digits, `-`, `_` and `.`, with or without ` required` behind it"
)]
pub struct ProfileError;

impl Profile {
    /// The word behind its name that says that nothing else will do.
    const REQUIRED: &str = "required";
    /// In characters; those of CAs have some ten.
    const LONGEST: usize = 64;
}

impl FromStr for Profile {
    type Err = ProfileError;

    fn from_str(text: &str) -> Result<Self, ProfileError> {
        let words: Vec<_> = text.split_ascii_whitespace().collect();
        let (name, is_required) = match *words {
            [name] => (name, false),
            [name, Self::REQUIRED] => (name, true),
            _ => return Err(ProfileError),
        };
        // It goes into a request to the CA, and into the list of a helper.
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        match name.len() <= Self::LONGEST && name.chars().all(plain) {
            true => Ok(Self {
                name: name.to_owned(),
                is_required,
            }),
            false => Err(ProfileError),
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        match self.is_required {
            true => write!(f, " {}", Self::REQUIRED),
            false => Ok(()),
        }
    }
}

impl TryFrom<String> for Profile {
    type Error = ProfileError;

    fn try_from(text: String) -> Result<Self, ProfileError> {
        text.parse()
    }
}

impl From<Profile> for String {
    fn from(profile: Profile) -> Self {
        profile.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_a_word_and_may_be_required() {
        for (text, name, is_required) in [
            ("shortlived", "shortlived", false),
            (" tls_server.v2  required ", "tls_server.v2", true),
            ("required", "required", false),
        ] {
            let profile: Profile = text.parse().unwrap();
            assert_eq!((&*profile.name, profile.is_required), (name, is_required));
            assert_eq!(profile.to_string().parse(), Ok(profile));
        }
        let long = "a".repeat(65);
        for text in ["", "a b", "a required b", "a!", "a\"", "ä", &long] {
            assert_eq!(text.parse::<Profile>(), Err(ProfileError), "{text}");
        }
    }
}
