use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A host name as certificates and servers know it: lower case, international names in their `xn--` form, no trailing
/// dot, at least one dot unless it is a single label such as `localhost`.
///
/// <https://www.rfc-editor.org/rfc/rfc1123#section-2.1>
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DnsName(String);

/// The reason why a word is not a host name, with the remedy.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DnsNameError {
    /// Nothing was written.
    #[error("it is empty; write a host name such as shop.example")]
    Empty,
    /// A word that looks like an IP address.
    #[error("its last part is a number, and only IP addresses end with a number")]
    Number,
    /// A URL, a port or a path was written.
    #[error("write the host name alone, without scheme, port and path")]
    NotAlone,
    /// A character that host names can't have.
    #[error("host names have letters, digits, hyphens and dots, not {0:?}")]
    Character(char),
    /// A label that is empty, too long, or starts or ends with a hyphen.
    #[error("its part {0:?} must have 1 to 63 letters, digits or inner hyphens")]
    Label(String),
    /// Longer than 253 characters.
    #[error("it has {0} characters, a host name at most 253")]
    TooLong(usize),
    /// Not a valid international name.
    #[error("it is not a valid international host name (IDNA)")]
    Idna,
}

/// Bytes of a word that may be a name: international names are longer before they are in their `xn--` form, by less
/// than this.
const LONGEST_WORD: usize = 4 * 253;

impl DnsName {
    /// Reads a host name as people write it: any case, international letters, one trailing dot.
    ///
    /// # Errors
    /// Says which rule of host names the word breaks.
    pub fn parse(word: &str) -> Result<Self, DnsNameError> {
        let word = word.strip_suffix('.').unwrap_or(word);
        // Long before anything that takes time by the square of the length.
        if word.len() > LONGEST_WORD {
            return Err(DnsNameError::TooLong(word.chars().count()));
        }
        refuse_lookalikes(word)?;
        let name = match word.is_ascii() {
            true => word.to_ascii_lowercase(),
            false => idna::domain_to_ascii_strict(word).map_err(|_| DnsNameError::Idna)?,
        };
        if name.len() > 253 {
            return Err(DnsNameError::TooLong(name.len()));
        }
        name.split('.').try_for_each(check_label)?;
        if name
            .rsplit('.')
            .next()
            .is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()))
        {
            return Err(DnsNameError::Number);
        }
        if name.split('.').any(|label| label.starts_with("xn--"))
            && idna::domain_to_unicode(&name).1.is_err()
        {
            return Err(DnsNameError::Idna);
        }
        Ok(Self(name))
    }

    /// The name itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// True if no public CA can issue for this name: it is one label alone, or under a name that is kept for local use, for
/// examples and for tests.
///
/// <https://www.rfc-editor.org/rfc/rfc6761#section-6>, <https://www.rfc-editor.org/rfc/rfc8375>
pub(super) fn is_reserved(name: &str) -> bool {
    const RESERVED: &[&str] = &[
        "alt",
        "example",
        "home.arpa",
        "internal",
        "invalid",
        "lan",
        "local",
        "localhost",
        "onion",
        "test",
    ];
    let under = |reserved: &str| {
        name.strip_suffix(reserved)
            .is_some_and(|rest| rest.ends_with('.'))
    };
    !name.contains('.')
        || RESERVED
            .iter()
            .any(|reserved| name == *reserved || under(reserved))
}

/// Refuses words that people write in place of a host name, each with a message of its own.
fn refuse_lookalikes(word: &str) -> Result<(), DnsNameError> {
    if word.is_empty() {
        return Err(DnsNameError::Empty);
    }
    if word.contains(['/', ':']) {
        return Err(DnsNameError::NotAlone);
    }
    let allowed = |c: &char| c.is_alphanumeric() || !c.is_ascii() || matches!(c, '-' | '.');
    match word.chars().find(|c| !allowed(c) || c.is_control()) {
        Some(c) => Err(DnsNameError::Character(c)),
        None => Ok(()),
    }
}

fn check_label(label: &str) -> Result<(), DnsNameError> {
    let inner = !label.starts_with('-') && !label.ends_with('-');
    let known = label
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    match (1..=63).contains(&label.len()) && inner && known {
        true => Ok(()),
        // Its beginning will do: whoever wrote it may have written megabytes.
        false => Err(DnsNameError::Label(label.chars().take(64).collect())),
    }
}

impl fmt::Display for DnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for DnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl From<DnsName> for String {
    fn from(name: DnsName) -> Self {
        name.0
    }
}

impl TryFrom<String> for DnsName {
    type Error = DnsNameError;

    fn try_from(word: String) -> Result<Self, Self::Error> {
        Self::parse(&word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_people_write_them() {
        for (written, meant) in [
            ("Shop.Example", "shop.example"),
            ("shop.example.", "shop.example"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("BÜCHER.example", "xn--bcher-kva.example"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
            ("1a.example", "1a.example"),
            ("localhost", "localhost"),
        ] {
            assert_eq!(
                DnsName::parse(written).map(String::from),
                Ok(meant.to_owned()),
                "{written}"
            );
        }
    }

    #[test]
    fn names_for_local_use_are_known() {
        for (name, reserved) in [
            ("localhost", true),
            ("shop.test", true),
            ("a.b.internal", true),
            ("printer.home.arpa", true),
            ("shop.example", true),
            ("example.com", false),
            ("contest.org", false),
            ("arpa.shop", false),
        ] {
            assert_eq!(is_reserved(name), reserved, "{name}");
        }
    }

    #[test]
    fn what_is_no_name_is_refused_with_its_own_reason() {
        for (written, reason) in [
            ("", DnsNameError::Empty),
            (".", DnsNameError::Empty),
            ("10.0.0.1", DnsNameError::Number),
            ("[::1]", DnsNameError::NotAlone),
            ("1.2.3", DnsNameError::Number),
            ("*.shop.example", DnsNameError::Character('*')),
            ("https://shop.example", DnsNameError::NotAlone),
            ("shop.example:8080", DnsNameError::NotAlone),
            ("shop.example;", DnsNameError::Character(';')),
            ("$(id).example", DnsNameError::Character('$')),
            ("shop\n.example", DnsNameError::Character('\n')),
            ("under_score.example", DnsNameError::Character('_')),
            ("-shop.example", DnsNameError::Label("-shop".into())),
            ("shop..example", DnsNameError::Label(String::new())),
            ("xn--a.example", DnsNameError::Idna),
        ] {
            assert_eq!(DnsName::parse(written), Err(reason), "{written:?}");
        }
        assert_eq!(
            DnsName::parse(&"a".repeat(64)),
            Err(DnsNameError::Label("a".repeat(64)))
        );
        assert_eq!(
            DnsName::parse(&["a"; 130].join(".")),
            Err(DnsNameError::TooLong(259))
        );
    }
}
