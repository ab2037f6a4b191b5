use std::{collections::BTreeSet, path::PathBuf};

use serde::{Deserialize, Serialize};

use crate::values::{Digest, Host, KeyType, Timestamp};

/// An order that somebody makes by commands, as far as it got.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandOrder {
    /// The names of the certificate.
    pub names: BTreeSet<Host>,
    /// The CA, by the URL of its directory.
    pub ca: String,
    /// When it was begun.
    pub begun: Timestamp,
    /// The folder of which responses to challenges were put into the last time, if into any.
    pub webroot: Option<PathBuf>,
    /// The tasks to be done before it can go on.
    pub tasks: Vec<HandTask>,
    /// The kind of the key on record; nothing where that is one of the user's own.
    pub key_type: Option<KeyType>,
    /// The key or signing request with which the certificate was asked for; none where it was not asked for yet.
    #[serde(default)]
    pub finalized_with: Option<Digest>,
    /// How far it got.
    pub stage: HandStage,
}

/// The stage that an order by commands reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HandStage {
    /// The CA has not seen yet that all names are ours.
    Open,
    /// It has: the certificate can be asked for.
    Authorized,
    /// The certificate was asked for: the key that is on record is that of the certificate.
    Finalized,
}

/// A file or record to be put somewhere so that a CA sees that a name is ours.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "challenge")]
pub enum HandTask {
    /// A file that a web server shows.
    ///
    /// <https://www.rfc-editor.org/rfc/rfc8555#section-8.3>
    #[serde(rename = "http-01")]
    File {
        /// The name that is proven.
        name: Host,
        /// Where the CA asks.
        url: String,
        /// The path of the file below the folder of the web server.
        path: String,
        /// The content of the file.
        content: String,
    },
    /// A TXT record in DNS.
    ///
    /// <https://www.rfc-editor.org/rfc/rfc8555#section-8.4>
    #[serde(rename = "dns-01")]
    Record {
        /// The name that is proven.
        name: Host,
        /// The name of the record.
        record: String,
        /// Its text.
        value: String,
    },
}

impl HandTask {
    /// The name that is proven.
    pub fn name(&self) -> &Host {
        match self {
            Self::File { name, .. } | Self::Record { name, .. } => name,
        }
    }

    /// The awaited thing, in a few words.
    pub fn awaited(&self) -> String {
        match self {
            Self::File { url, .. } => format!("the file at {url}"),
            Self::Record { record, .. } => format!("the TXT record at {record}"),
        }
    }
}
