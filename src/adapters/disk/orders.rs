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
    ports::{DiskError, OrderRecord, Orders, ShownResponse, TxtProof},
    values::{CertificateName, Digest, Secret, Timestamp},
};

/// An order as it stands on disk; its key lies beside it.
#[derive(Serialize, Deserialize)]
struct OrderFile {
    asked: Digest,
    url: Option<String>,
    /// Tokens of responses over HTTP.
    #[serde(default)]
    tokens: Vec<String>,
    /// Nothing in records of earlier versions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    records: Vec<TxtRecord>,
    /// When these were shown first. Nothing in records of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    shown_at: Option<Timestamp>,
}

/// A TXT record that was set, or may have been.
#[derive(Serialize, Deserialize)]
struct TxtRecord {
    dns: String,
    name: String,
    value: String,
    /// Nothing in records of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key_authorization: Option<String>,
}

impl OrderFile {
    fn of(record: &OrderRecord) -> Self {
        let (mut tokens, mut records) = (Vec::new(), Vec::new());
        for shown in &record.shown {
            match shown.clone() {
                ShownResponse::Http { token } => tokens.push(token),
                ShownResponse::Txt { dns, name, proof } => records.push(TxtRecord {
                    dns,
                    name,
                    value: proof.value,
                    key_authorization: proof.key_authorization,
                }),
            }
        }
        Self {
            asked: record.asked,
            url: record.url.clone(),
            tokens,
            records,
            shown_at: record.shown_at,
        }
    }

    fn shown(self) -> Vec<ShownResponse> {
        let records = self.records.into_iter();
        let records = records.map(|record| ShownResponse::Txt {
            dns: record.dns,
            name: record.name,
            proof: TxtProof {
                value: record.value,
                key_authorization: record.key_authorization,
            },
        });
        let tokens = self.tokens.into_iter();
        let tokens = tokens.map(|token| ShownResponse::Http { token });
        tokens.chain(records).collect()
    }
}

impl Orders for Folders {
    fn order(&self, name: &CertificateName) -> Result<Option<OrderRecord>, DiskError> {
        let folder = self.order_path(name);
        let file: Option<OrderFile> = read_json(&folder.join("order.json"))?;
        let Some(file) = file else {
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
            asked: file.asked,
            url: file.url.clone(),
            shown_at: file.shown_at,
            shown: file.shown(),
        }))
    }

    fn keep_order(&self, name: &CertificateName, record: &OrderRecord) -> Result<(), DiskError> {
        let folder = self.order_path(name);
        self.write(
            &folder.join("key.pem"),
            record.key.expose().as_bytes(),
            Durability::Synced,
        )?;
        self.write_json(&folder.join("order.json"), &OrderFile::of(record))
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
