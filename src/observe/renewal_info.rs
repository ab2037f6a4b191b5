use serde::{Deserialize, Serialize};

use super::{HeldCertificate, Observed, Source};
use crate::values::{CertificateId, CertificateName, Timestamp};

/// The time in which a CA wants a certificate to be renewed, as it says.
///
/// <https://www.rfc-editor.org/rfc/rfc9773#section-4.2>
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SuggestedWindow {
    /// Its beginning.
    pub start: Timestamp,
    /// Its end.
    pub end: Timestamp,
    /// Where the CA says why, for people.
    #[serde(default)]
    pub explanation: Option<String>,
}

/// The suggested window, and the moment in it that quaymaster chose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenewalSuggestion {
    /// The window.
    pub window: SuggestedWindow,
    /// The instant in it that was drawn.
    pub at: Timestamp,
}

/// The renewal of one certificate, which another certificate of the same name has nothing to do with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenewalInfo {
    /// Of which.
    pub id: CertificateId,
    /// The CA's latest suggestion.
    #[serde(default)]
    pub suggestion: Option<RenewalSuggestion>,
    /// When the CA was asked last.
    pub read: Timestamp,
    /// When it is asked again.
    pub next_read: Timestamp,
}

/// An order that was made since a CA suggested it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FollowedSuggestion {
    /// For the successor of which certificate.
    pub id: CertificateId,
    /// When.
    pub at: Timestamp,
}

/// The record of the renewals under one name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenewalRecord {
    /// The renewal of the certificate that was held last.
    #[serde(default)]
    pub info: Option<RenewalInfo>,
    /// The last order that a CA suggested.
    #[serde(default)]
    pub followed: Option<FollowedSuggestion>,
}

impl RenewalRecord {
    /// The renewal of this very certificate.
    pub fn of(&self, held: &HeldCertificate) -> Option<&RenewalInfo> {
        let info = self.info.as_ref()?;
        (held.renewal_id.as_ref() == Some(&info.id)).then_some(info)
    }
}

impl HeldCertificate {
    /// The CA that is asked about the renewal of this one, by the URL of its directory, and by which id.
    pub fn suggested_by(&self) -> Option<(&str, &CertificateId)> {
        match &self.source {
            Source::Acme(directory) if !directory.is_empty() => {
                Some((directory, self.renewal_id.as_ref()?))
            }
            _ => None,
        }
    }
}

impl Observed {
    /// The record of a certificate's renewals.
    pub fn renewal(&self, name: &CertificateName) -> Option<&RenewalRecord> {
        self.renewals.get(name)
    }
}
