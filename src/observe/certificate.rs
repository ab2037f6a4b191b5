use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::values::{Digest, Timestamp};

/// A certificate on disk whose key and chain were checked when it was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldCertificate {
    /// The names it really covers, from its subject alternative names, lower case, wildcards as written.
    pub names: BTreeSet<String>,
    /// Beginning of its validity.
    pub not_before: Timestamp,
    /// End of its validity.
    pub not_after: Timestamp,
    /// Its issuer's common name, or its whole distinguished name.
    pub issuer: String,
    /// Its serial number in hexadecimal, lower case, no separators.
    pub serial: String,
    /// Digest of chain and key: another digest is another certificate.
    pub digest: Digest,
    /// Where it came from.
    pub source: Source,
    /// In which folder of `certificates` it lies.
    #[serde(default)]
    pub shelf: Shelf,
}

/// A folder of `certificates` with a folder for each name in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shelf {
    /// Where ours are, and what others put there in certbot's way.
    #[default]
    Live,
    /// The user's own, which we never write.
    Provided,
    /// The same, without a `fullchain.pem`: certificate and chain are files of their own.
    ProvidedInParts,
}

impl Shelf {
    /// The folder's name.
    pub fn folder(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Provided | Self::ProvidedInParts => "provided",
        }
    }
}

/// Where a certificate came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// Obtained by us from the CA with this directory URL.
    Acme(String),
    /// Put there by the user.
    Provided,
}

impl HeldCertificate {
    /// Whether it may be served at `now`.
    pub fn is_valid_at(&self, now: Timestamp) -> bool {
        self.not_before <= now && now < self.not_after
    }

    /// Whether it is for `host`: by that very name, or by a wildcard that takes the place of its first label.
    ///
    /// <https://www.rfc-editor.org/rfc/rfc9525#section-6.3>
    pub fn covers(&self, host: &str) -> bool {
        let by_wildcard =
            || host.split_once('.').is_some_and(|(_, parent)| self.names.contains(&format!("*.{parent}")));
        self.names.contains(host) || by_wildcard()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_covers_one_label() {
        let certificate = HeldCertificate {
            names: BTreeSet::from(["*.shop.example".to_owned(), "shop.example".to_owned()]),
            not_before: Timestamp::from_seconds(0),
            not_after: Timestamp::from_seconds(10),
            issuer: "Test".to_owned(),
            serial: "01".to_owned(),
            digest: Digest::of("x"),
            source: Source::Provided,
            shelf: Shelf::Live,
        };
        for (host, covered) in
            [("shop.example", true), ("a.shop.example", true), ("a.b.shop.example", false), ("example", false)]
        {
            assert_eq!(certificate.covers(host), covered, "{host}");
        }
        assert!(certificate.is_valid_at(Timestamp::from_seconds(9)));
        assert!(!certificate.is_valid_at(Timestamp::from_seconds(10)));
    }
}
