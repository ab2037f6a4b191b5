//! deSEC's API: a set of records is written as a whole, so that the others in it are read before.
//!
//! <https://desec.readthedocs.io/en/latest/dns/rrsets.html>

use async_trait::async_trait;
use http::{Method, header::AUTHORIZATION};
use serde_json::json;
use tokio::sync::Mutex;

use super::{
    GateFault, GateParts, RecordGate, RecordPlace,
    api::{Api, Credentials},
    below_zone, is_value, quoted, shown,
};
use crate::ports::TxtProof;

/// The shortest time to live that it takes for everybody's zones, in seconds.
const SHORTEST_TTL: u32 = 3600;

/// The account of a token.
pub(in crate::adapters::dns) struct DesecGate {
    api: Api,
    /// Held from the reading of a set until it is written: another order may change the same one.
    writing: Mutex<()>,
}

impl DesecGate {
    /// Nothing is asked yet.
    ///
    /// # Errors
    /// When the settings can't be used.
    pub(in crate::adapters::dns) fn new(parts: GateParts<'_>) -> Result<Self, String> {
        let credentials = Credentials::Header(AUTHORIZATION, "Token ");
        let right = "make a token that may write TXT records of the zone, and copy it whole";
        Ok(Self {
            api: Api::new(parts, &credentials, right)?,
            writing: Mutex::default(),
        })
    }

    fn path(place: &RecordPlace) -> String {
        format!("/domains/{}/rrsets/", shown(&place.zone))
    }

    /// The texts at a name, with their quotes.
    async fn texts(&self, place: &RecordPlace) -> Result<Vec<String>, GateFault> {
        let name = match below_zone(place) {
            name if name.is_empty() => "@".to_owned(),
            name => name,
        };
        let path = format!("{}{name}/TXT/", Self::path(place));
        let answer = self.api.ask(Method::GET, &path, None).await?;
        match answer.status.as_u16() {
            200..=299 => {
                let said = self.api.json(&answer)?;
                let Some(records) = said["records"].as_array() else {
                    return Err(self.api.unfit("list the records of the name", &answer));
                };
                let texts = records.iter().filter_map(|it| it.as_str());
                Ok(texts.map(str::to_owned).collect())
            }
            // What is written next tells whether the zone is there.
            404 => Ok(Vec::new()),
            _ => Err(self.api.unfit("show the records", &answer)),
        }
    }

    async fn write(
        &self,
        doing: &str,
        place: &RecordPlace,
        texts: &[String],
    ) -> Result<(), GateFault> {
        let set = json!([{
            "subname": below_zone(place),
            "type": "TXT",
            "ttl": SHORTEST_TTL,
            "records": texts,
        }]);
        let path = Self::path(place);
        let answer = self.api.ask(Method::PATCH, &path, Some(&set)).await?;
        match answer.status.as_u16() {
            200..=299 => Ok(()),
            404 => Err(self.api.no_zone(&shown(&place.zone))),
            _ => Err(self.api.unfit(doing, &answer)),
        }
    }
}

#[async_trait(?Send)]
impl RecordGate for DesecGate {
    async fn add(&self, place: &RecordPlace, proof: &TxtProof) -> Result<(), GateFault> {
        let value = &proof.value;
        let _writing = self.writing.lock().await;
        let mut texts = self.texts(place).await?;
        if texts.iter().any(|text| is_value(text, value)) {
            return Ok(());
        }
        texts.push(quoted(value));
        self.write("set the record", place, &texts).await
    }

    async fn remove(&self, place: &RecordPlace, proof: &TxtProof) -> Result<(), GateFault> {
        let value = &proof.value;
        let _writing = self.writing.lock().await;
        let mut texts = self.texts(place).await?;
        let before = texts.len();
        texts.retain(|text| !is_value(text, value));
        match texts.len() == before {
            true => Ok(()),
            false => self.write("remove the record", place, &texts).await,
        }
    }

    async fn look(&self) -> Result<String, GateFault> {
        let asked = ("list domains", Method::GET);
        let answer = self.api.done(asked, "/domains/", None).await?;
        self.api.json(&answer)?;
        Ok(format!("{} takes the token", self.api.who()))
    }
}
