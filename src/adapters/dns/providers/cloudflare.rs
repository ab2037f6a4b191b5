//! Cloudflare's API: records by their ids.
//!
//! <https://developers.cloudflare.com/api/resources/dns/>

use async_trait::async_trait;
use http::{Method, header::AUTHORIZATION};
use serde_json::{Value, json};

use super::{
    GateFault, GateParts, RecordGate, RecordPlace, TTL,
    api::{Api, Credentials},
    is_value, quoted, shown,
};
use crate::ports::TxtProof;

/// The account of a token.
pub(in crate::adapters::dns) struct CloudflareGate(Api);

impl CloudflareGate {
    /// Nothing is asked yet.
    ///
    /// # Errors
    /// When the settings can't be used.
    pub(in crate::adapters::dns) fn new(parts: GateParts<'_>) -> Result<Self, String> {
        let credentials = Credentials::Header(AUTHORIZATION, "Bearer ");
        let right = "make an API token (not the global key) with Zone:Read and DNS:Edit for the zone, and copy it whole";
        Ok(Self(Api::new(parts, &credentials, right)?))
    }

    /// The path of a zone's records.
    async fn records(&self, place: &RecordPlace) -> Result<String, GateFault> {
        let zone = shown(&place.zone);
        let path = format!("/zones?name={zone}");
        let answer = self
            .0
            .done(("list zones", Method::GET), &path, None)
            .await?;
        let said = self.0.json(&answer)?;
        match said["result"][0]["id"].as_str() {
            Some(id) => Ok(format!("/zones/{id}/dns_records")),
            None => Err(self.0.no_zone(&zone)),
        }
    }

    /// The ids of our record; none where it is not there.
    async fn ids(
        &self,
        path: &str,
        place: &RecordPlace,
        value: &str,
    ) -> Result<Vec<String>, GateFault> {
        let path = format!("{path}?type=TXT&name={}&per_page=100", shown(&place.name));
        let answer = self
            .0
            .done(("list records", Method::GET), &path, None)
            .await?;
        let said = self.0.json(&answer)?;
        let is_ours = |it: &&Value| {
            it["content"]
                .as_str()
                .is_some_and(|text| is_value(text, value))
        };
        let records = said["result"].as_array().into_iter().flatten();
        let ids = records.filter(is_ours).filter_map(|it| it["id"].as_str());
        Ok(ids.map(str::to_owned).collect())
    }
}

#[async_trait(?Send)]
impl RecordGate for CloudflareGate {
    async fn add(&self, place: &RecordPlace, proof: &TxtProof) -> Result<(), GateFault> {
        let value = &proof.value;
        let path = self.records(place).await?;
        if !self.ids(&path, place, value).await?.is_empty() {
            return Ok(());
        }
        let body = json!({
            "type": "TXT",
            "name": shown(&place.name),
            "content": quoted(value),
            "ttl": TTL,
        });
        let asked = ("set the record", Method::POST);
        self.0.done(asked, &path, Some(&body)).await.map(|_| ())
    }

    async fn remove(&self, place: &RecordPlace, proof: &TxtProof) -> Result<(), GateFault> {
        let value = &proof.value;
        let path = self.records(place).await?;
        for id in self.ids(&path, place, value).await? {
            let path = format!("{path}/{id}");
            let answer = self.0.ask(Method::DELETE, &path, None).await?;
            if !answer.status.is_success() && answer.status != 404 {
                return Err(self.0.unfit("remove the record", &answer));
            }
        }
        Ok(())
    }

    async fn look(&self) -> Result<String, GateFault> {
        let asked = ("list zones", Method::GET);
        let answer = self.0.done(asked, "/zones?per_page=1", None).await?;
        self.0.json(&answer)?;
        Ok(format!("{} takes the token", self.0.who()))
    }
}
