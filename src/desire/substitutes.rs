//! The certificates that a server shows where none covers a name.

use super::{LabelRules, Origin, spec::ProxySpec};
use crate::{
    observe::Bearer,
    values::{CertificateName, Host},
};

/// The certificates that a server shows for names that no valid certificate covers. Without labels or settings for
/// this, such names are refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Substitutes {
    /// The name whose certificate serves where none of a name above does.
    pub master: Option<Host>,
    /// Certificates that serve where that one does not, in this order.
    pub defaults: Vec<DefaultCertificate>,
    /// True if the certificate of the nearest name above is preferred to a wildcard's.
    pub strict_parents: bool,
}

/// A certificate that serves where no other can, and who says so.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DefaultCertificate {
    /// The certificate.
    pub certificate: CertificateName,
    /// The label or setting that says so.
    pub said: Origin,
}

impl Substitutes {
    /// Reads them from a label of the server, then from the settings.
    pub(super) fn of(bearer: &Bearer, spec: &ProxySpec, rules: &LabelRules) -> Self {
        let by_label = spec.default_certificate.as_ref().map(|certificate| {
            let said = spec.origin(bearer, "default-certificate");
            (certificate, said)
        });
        let by_setting = rules.default_certificate.as_ref().map(|certificate| {
            let setting = "setting default-certificate";
            let said = Origin::new(&bearer.name, setting, certificate.as_str());
            (certificate, said)
        });
        let defaults = by_label.into_iter().chain(by_setting);
        Self {
            master: rules.master.clone(),
            defaults: defaults
                .map(|(certificate, said)| DefaultCertificate {
                    certificate: certificate.clone(),
                    said,
                })
                .collect(),
            strict_parents: rules.strict_parents,
        }
    }

    /// True if a name that no certificate covers is served all the same.
    pub fn are_set(&self) -> bool {
        self.master.is_some() || !self.defaults.is_empty()
    }
}
