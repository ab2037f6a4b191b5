use std::collections::BTreeSet;

use serde::{Deserialize, Deserializer, Serialize};

use crate::values::{
    CertificateId, CertificateName, Digest, Host, Issuer, Issuers, KeyType, Timestamp,
    in_one_spelling,
};

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
    /// The kind of its key; none for kinds that quaymaster does not make.
    #[serde(default)]
    pub key_type: Option<KeyType>,
    /// The profile that its CA was asked for, empty for the usual one; none where no CA was asked, or nobody wrote that down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// Digest of chain and key: another digest is another certificate.
    pub digest: Digest,
    /// Where it came from.
    pub source: Source,
    /// In which folder of `certificates` it lies.
    #[serde(default)]
    pub shelf: Shelf,
    /// True if it is the user's, and a certificate of ours is to replace it in good time before its end, as the user
    /// wants.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gives_way: bool,
    /// The reason why no server takes its files as they lie there; none where servers do. What is delivered is written
    /// anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub irregular: Option<String>,
    /// True if it stands alone though it is not its own issuer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lacks_issuer: bool,
    /// True if it is from a CA that browsers trust, but its chain leads to none of the roots that these know.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_rootless: bool,
    /// Number of certificates in its chain, itself included; 0 in records of an earlier version.
    #[serde(default)]
    pub chain_length: usize,
    /// By what its CA can be asked about its renewal; none where it does not say whose key signed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renewal_id: Option<CertificateId>,
}

/// A version of a certificate on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateVersion {
    /// The certificate's name.
    pub of: CertificateName,
    /// Digest of chain and key.
    pub digest: Digest,
}

/// A folder of `certificates` with a folder for each name in it.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Shelf {
    /// Where ours are, and what others put there in certbot's way.
    #[default]
    Live,
    /// The user's own, which we never write.
    Provided,
    /// The same, without a `fullchain.pem` and `privkey.pem`: in files of other names, or certificate and chain in two.
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
    Acme(#[serde(deserialize_with = "directory")] String),
    /// Made by us without a CA, because a label asks for that.
    SelfSigned,
    /// Made by us without a CA, until there is one to serve.
    Fallback,
    /// Put there by the user.
    Provided,
}

/// Reads a CA's URL, which may have been written down as it was spelled in the settings.
fn directory<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    String::deserialize(deserializer).map(|url| in_one_spelling(&url))
}

impl Source {
    /// True if quaymaster is known to have obtained certificates of this source. A certificate whose record was damaged may
    /// come from anybody.
    pub fn is_obtained(&self) -> bool {
        match self {
            Self::Acme(directory) => !directory.is_empty(),
            Self::SelfSigned | Self::Fallback => true,
            Self::Provided => false,
        }
    }

    /// True if certificates of this source are signed by their own key alone.
    pub fn is_self_signed(&self) -> bool {
        matches!(self, Self::SelfSigned | Self::Fallback)
    }

    /// True if one of these issuers was asked for it.
    pub fn is_any(&self, issuers: &Issuers) -> bool {
        issuers.iter().any(|issuer| self.is(issuer))
    }

    /// True if this issuer was asked for it.
    pub fn is(&self, issuer: &Issuer) -> bool {
        match (self, issuer) {
            (Self::Acme(from), Issuer::Ca(directory)) => from == directory,
            (Self::SelfSigned, Issuer::SelfSigned) => true,
            _ => false,
        }
    }
}

impl From<&Issuer> for Source {
    /// Where a certificate comes from that was asked of this issuer.
    fn from(issuer: &Issuer) -> Self {
        match issuer {
            Issuer::Ca(directory) => Self::Acme(directory.clone()),
            Issuer::SelfSigned => Self::SelfSigned,
        }
    }
}

impl HeldCertificate {
    /// True if it may be served at `now`.
    pub fn is_valid_at(&self, now: Timestamp) -> bool {
        self.not_before <= now && now < self.not_after
    }

    /// True if a server that reads the folder itself can use the files there.
    pub fn can_be_read_there(&self) -> bool {
        self.shelf != Shelf::ProvidedInParts && self.irregular.is_none()
    }

    /// True if its clients trust it; false for a test certificate, such as Let's Encrypt's staging CA issues.
    pub fn is_trusted(&self) -> bool {
        match &self.source {
            Source::Acme(directory) => Issuer::is_ca_trusted(directory),
            Source::SelfSigned | Source::Provided => true,
            Source::Fallback => false,
        }
    }

    /// True if it is a certificate of quaymaster's that has replaced a user's certificate that gives way.
    pub fn succeeds(&self, other: &Self) -> bool {
        let is_of_ca = matches!(self.source, Source::Acme(_)) && self.is_trusted();
        other.gives_way && is_of_ca && other.not_after < self.not_after
    }

    /// True if quaymaster replaces it before its end.
    pub fn is_renewed(&self) -> bool {
        match self.source {
            Source::Provided => self.gives_way,
            Source::Fallback => false,
            Source::Acme(_) | Source::SelfSigned => true,
        }
    }

    /// True if it is there only as long as no other is.
    pub fn is_fallback(&self) -> bool {
        self.source == Source::Fallback
    }

    /// The same one, unless it is a fallback: as long as only that is there, one that is wanted counts as missing.
    pub fn lasting(&self) -> Option<&Self> {
        Some(self).filter(|held| !held.is_fallback())
    }

    /// True if it is for `host`: by that very name or address, or by a wildcard in place of a name's first label.
    ///
    /// <https://www.rfc-editor.org/rfc/rfc9525#section-6.3>
    pub fn covers(&self, host: &Host) -> bool {
        let by_wildcard = || {
            host.covering_wildcard()
                .is_some_and(|wildcard| self.names.contains(&wildcard))
        };
        self.names.contains(host.as_str()) || by_wildcard()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::held;

    #[test]
    fn a_wildcard_covers_one_label() {
        let certificate = HeldCertificate {
            not_before: Timestamp::from_seconds(0),
            not_after: Timestamp::from_seconds(10),
            ..held(&["*.shop.example", "shop.example", "10.0.0.1", "*.0.0.2"])
        };
        for (host, covered) in [
            ("shop.example", true),
            ("a.shop.example", true),
            ("a.b.shop.example", false),
            ("example", false),
            ("*.shop.example", true),
            ("*.a.shop.example", false),
            ("10.0.0.1", true),
            ("10.0.0.2", false),
        ] {
            assert_eq!(
                certificate.covers(&Host::parse(host).unwrap()),
                covered,
                "{host}"
            );
        }
        assert!(certificate.is_valid_at(Timestamp::from_seconds(9)));
        assert!(!certificate.is_valid_at(Timestamp::from_seconds(10)));
    }
}
