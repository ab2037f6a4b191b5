//! Orders that are under way.

use super::{DiskError, ShownResponse};
use crate::values::{CertificateName, Digest, Secret, Timestamp};

/// Orders on record, with their keys, so that a crash ends none.
pub trait Orders {
    /// The order that was under way for a certificate, with a key that can be used.
    fn order(&self, name: &CertificateName) -> Result<Option<OrderRecord>, DiskError>;
    /// Writes an order down, key first, before the CA hears of it.
    fn keep_order(&self, name: &CertificateName, record: &OrderRecord) -> Result<(), DiskError>;
    /// Forgets an order that is finished or can't be.
    fn drop_order(&self, name: &CertificateName) -> Result<(), DiskError>;
}

/// An order that is under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderRecord {
    /// The key its certificate will have.
    pub key: Secret,
    /// A digest of the request; another digest makes the order useless.
    pub asked: Digest,
    /// Where the CA keeps it; `None` until it has answered.
    pub url: Option<String>,
    /// Responses that were shown for it: whoever goes on after a crash takes them away.
    pub shown: Vec<ShownResponse>,
    /// When these were shown first.
    pub shown_at: Option<Timestamp>,
}
