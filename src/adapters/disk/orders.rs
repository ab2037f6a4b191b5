//! `state/orders/`: orders that are under way, each with the key that its certificate will have.

use std::{collections::BTreeSet, path::PathBuf};

use serde::{Deserialize, Serialize};

use super::{
    Folders,
    files::{self, Durability},
    state::read_json,
};
use crate::{
    adapters::x509,
    ports::{DiskError, OrderRecord, Orders},
    values::{CertificateName, Digest, Secret},
};

/// An order as it stands on disk; its key lies beside it.
#[derive(Serialize, Deserialize)]
struct OrderFile {
    asked: Digest,
    url: Option<String>,
    #[serde(default)]
    tokens: Vec<String>,
}

impl Orders for Folders {
    fn order(&self, name: &CertificateName) -> Result<Option<OrderRecord>, DiskError> {
        let folder = self.order_path(name);
        let Some(OrderFile { asked, url, tokens }) = read_json(&folder.join("order.json"))? else {
            return Ok(None);
        };
        let path = folder.join("key.pem");
        let Some(key) = files::read(&path)?.map(Secret::new) else {
            return Ok(None);
        };
        // Found out here, a bad key costs a new order; found out when the order is to be finished, it costs all tries.
        x509::check_private_key(&key).map_err(|error| DiskError::Damaged {
            path,
            problem: error.to_string(),
        })?;
        Ok(Some(OrderRecord {
            key,
            asked,
            url,
            tokens,
        }))
    }

    fn keep_order(&self, name: &CertificateName, record: &OrderRecord) -> Result<(), DiskError> {
        let folder = self.order_path(name);
        self.write(
            &folder.join("key.pem"),
            record.key.expose().as_bytes(),
            Durability::Synced,
        )?;
        let order = OrderFile {
            asked: record.asked,
            url: record.url.clone(),
            tokens: record.tokens.clone(),
        };
        self.write_json(&folder.join("order.json"), &order)
    }

    fn drop_order(&self, name: &CertificateName) -> Result<(), DiskError> {
        files::remove_folder(&self.order_path(name))
    }
}

impl Folders {
    /// The certificates whose orders are on record.
    ///
    /// # Errors
    /// When they can't be listed.
    pub fn orders(&self) -> Result<BTreeSet<CertificateName>, DiskError> {
        let entries = files::entries(&self.state.join("orders"))?;
        Ok(entries
            .into_iter()
            .filter_map(|name| CertificateName::parse(name).ok())
            .collect())
    }

    /// Where the order of a certificate is kept.
    pub fn order_path(&self, name: &CertificateName) -> PathBuf {
        self.state.join("orders").join(name.as_str())
    }
}
