use std::fmt;

use serde::{Deserialize, Serialize};

use crate::values::{CertificateName, FileName, NameError};

/// Something of a consumer's folders that is given, refused and held back by itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum PartName {
    /// An older file that has to go, though its successor is held back.
    Removal(FileName),
    /// A newer version of a certificate that was given before.
    Certificate(CertificateName),
    /// A file, with the certificate that it names where that was not given yet.
    File(FileName),
}

// No file of ours has such a character in its name.
const REMOVAL: &str = "removal/";
const CERTIFICATE: &str = "certificate/";

impl PartName {
    /// The file, where it is one.
    pub fn file(&self) -> Option<&FileName> {
        match self {
            Self::File(file) => Some(file),
            Self::Removal(_) | Self::Certificate(_) => None,
        }
    }

    /// The certificate, where it is one.
    pub fn certificate(&self) -> Option<&CertificateName> {
        match self {
            Self::Certificate(name) => Some(name),
            Self::Removal(_) | Self::File(_) => None,
        }
    }

    /// The older file that has to go, where it is one.
    pub fn removal(&self) -> Option<&FileName> {
        match self {
            Self::Removal(file) => Some(file),
            Self::Certificate(_) | Self::File(_) => None,
        }
    }
}

impl fmt::Display for PartName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Removal(file) => write!(f, "the removal of {file}"),
            Self::Certificate(name) => write!(f, "the certificate {name}"),
            Self::File(file) => write!(f, "{file}"),
        }
    }
}

impl From<PartName> for String {
    fn from(part: PartName) -> Self {
        match part {
            PartName::Removal(file) => format!("{REMOVAL}{file}"),
            PartName::Certificate(name) => format!("{CERTIFICATE}{name}"),
            PartName::File(file) => file.into(),
        }
    }
}

impl TryFrom<String> for PartName {
    type Error = NameError;

    fn try_from(word: String) -> Result<Self, Self::Error> {
        if let Some(file) = word.strip_prefix(REMOVAL) {
            FileName::parse(file).map(Self::Removal)
        } else if let Some(name) = word.strip_prefix(CERTIFICATE) {
            CertificateName::parse(name).map(Self::Certificate)
        } else {
            FileName::parse(word).map(Self::File)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_written_down_as_words_and_files_as_their_names() {
        for word in [
            "quaymaster-shop.example.conf",
            "certificate/shop.example",
            "removal/quaymaster-shop.example.conf",
        ] {
            let part = PartName::try_from(word.to_owned()).expect("a part");
            assert_eq!(String::from(part), word);
        }
        assert!(PartName::try_from("certificate/".to_owned()).is_err());
        assert!(PartName::try_from("other/x".to_owned()).is_err());
    }
}
