use serde::{Deserialize, Serialize};

use crate::values::{CertificateName, ContainerName, Timestamp};

/// A request to archive a certificate now, left in state by a command for the daemon that works there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forget {
    /// The certificate.
    pub certificate: CertificateName,
    /// When it was left.
    pub asked: Timestamp,
    /// The outcome; none until the daemon has done it.
    pub outcome: Option<Forgotten>,
}

/// The outcome for a certificate that is to be archived now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Forgotten {
    /// It is archived.
    Archived,
    /// It was archived before.
    AlreadyArchived,
    /// There is no live certificate of this name.
    NotHeld,
    /// The label of a container asks for it.
    Wanted {
        /// That container.
        by: ContainerName,
    },
    /// Something uses it, though no label asks for it.
    InUse {
        /// The user of the certificate.
        by: CertificateUser,
    },
    /// Quaymaster did not obtain it.
    NotObtained,
    /// Something on disk did not let it be archived.
    Failed {
        /// The problem, in words.
        problem: String,
    },
}

/// The user of a certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CertificateUser {
    /// A consumer that was given it.
    Consumer(ContainerName),
    /// The sites for which this certificate is wanted; the other one serves them.
    SitesOf(CertificateName),
    /// Clients that are shown it for want of another, because a setting or a label says so.
    Clients,
}
