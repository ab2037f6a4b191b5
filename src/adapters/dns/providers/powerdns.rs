//! The HTTP API of PowerDNS: a set of records is written as a whole, so that the others in it are read before.
//!
//! <https://doc.powerdns.com/authoritative/http-api/zone.html>

use async_trait::async_trait;
use http::{HeaderName, Method};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::{
    GateFault, GateParts, RecordGate, RecordPlace, TTL,
    api::{Api, Credentials},
    is_value, quoted, shown,
};
use crate::ports::TxtProof;

/// Path below which its interface lies: one process is one server, which is always called so.
const SERVER: &str = "/api/v1/servers/localhost";

/// A server.
pub(in crate::adapters::dns) struct PowerDnsGate {
    api: Api,
    /// Held from the reading of a set until it is written: another order may change the same one.
    writing: Mutex<()>,
}

impl PowerDnsGate {
    /// Nothing is asked yet.
    ///
    /// # Errors
    /// When the settings can't be used.
    pub(in crate::adapters::dns) fn new(parts: GateParts<'_>) -> Result<Self, String> {
        let credentials = Credentials::Header(HeaderName::from_static("x-api-key"), "");
        let right = "write the server's `api-key` into token-file, and this machine's address into its \
                     `webserver-allow-from`";
        Ok(Self {
            api: Api::new(parts, &credentials, right)?,
            writing: Mutex::default(),
        })
    }

    fn path(place: &RecordPlace) -> String {
        format!("{SERVER}/zones/{}.", shown(&place.zone))
    }

    /// The TXT records at a name, as the server has them, and how long they live; nothing where there are none.
    async fn set(&self, place: &RecordPlace) -> Result<(Vec<Value>, Value), GateFault> {
        let name = format!("{}.", shown(&place.name));
        let path = format!("{}?rrset_name={name}&rrset_type=TXT", Self::path(place));
        let answer = self.api.ask(Method::GET, &path, None).await?;
        match answer.status.as_u16() {
            200..=299 => {}
            // Older versions say of a zone that is not there that they can't work on it.
            404 | 422 => return Err(self.api.no_zone(&shown(&place.zone))),
            _ => return Err(self.api.unfit("show the zone", &answer)),
        }
        let said = self.api.json(&answer)?;
        let Some(sets) = said["rrsets"].as_array() else {
            return Err(self.api.unfit("list the records of the zone", &answer));
        };
        let is_it = |set: &&Value| {
            let at = set["name"].as_str().unwrap_or_default();
            set["type"] == "TXT" && at.eq_ignore_ascii_case(&name)
        };
        let Some(set) = sets.iter().find(is_it) else {
            return Ok((Vec::new(), json!(TTL)));
        };
        let records = set["records"].as_array().cloned();
        Ok((records.unwrap_or_default(), set["ttl"].clone()))
    }

    async fn write(
        &self,
        doing: &str,
        place: &RecordPlace,
        (records, ttl): (Vec<Value>, Value),
    ) -> Result<(), GateFault> {
        let name = format!("{}.", shown(&place.name));
        let set = match records.is_empty() {
            true => json!({ "name": name, "type": "TXT", "changetype": "DELETE" }),
            false => json!({
                "name": name,
                "type": "TXT",
                "ttl": ttl,
                "changetype": "REPLACE",
                "records": records,
            }),
        };
        let body = json!({ "rrsets": [set] });
        let path = Self::path(place);
        let asked = (doing, Method::PATCH);
        self.api.done(asked, &path, Some(&body)).await?;
        Ok(())
    }
}

/// True where a record has this text.
fn has(record: &Value, value: &str) -> bool {
    let text = record["content"].as_str();
    text.is_some_and(|text| is_value(text, value))
}

#[async_trait(?Send)]
impl RecordGate for PowerDnsGate {
    async fn add(&self, place: &RecordPlace, proof: &TxtProof) -> Result<(), GateFault> {
        let value = &proof.value;
        let _writing = self.writing.lock().await;
        let (mut records, ttl) = self.set(place).await?;
        if records.iter().any(|record| has(record, value)) {
            return Ok(());
        }
        records.push(json!({ "content": quoted(value), "disabled": false }));
        self.write("set the record", place, (records, ttl)).await
    }

    async fn remove(&self, place: &RecordPlace, proof: &TxtProof) -> Result<(), GateFault> {
        let value = &proof.value;
        let _writing = self.writing.lock().await;
        let (mut records, ttl) = self.set(place).await?;
        let before = records.len();
        records.retain(|record| !has(record, value));
        match records.len() == before {
            true => Ok(()),
            false => self.write("remove the record", place, (records, ttl)).await,
        }
    }

    async fn look(&self) -> Result<String, GateFault> {
        let asked = ("say what it is", Method::GET);
        let answer = self.api.done(asked, SERVER, None).await?;
        let said = self.api.json(&answer)?;
        match (said["daemon_type"].as_str(), said["version"].as_str()) {
            (Some("authoritative"), Some(version)) => Ok(format!(
                "{} takes the api-key; it is PowerDNS {version}",
                self.api.who()
            )),
            _ => Err(format!(
                "{} is not a PowerDNS Authoritative Server: write the address of its `webserver` into `url`",
                self.api.who()
            )
            .into()),
        }
    }
}
