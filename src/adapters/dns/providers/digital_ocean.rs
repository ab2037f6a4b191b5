//! DigitalOcean's API: records by their ids.
//!
//! <https://docs.digitalocean.com/reference/api/digitalocean/#tag/Domain-Records>

use async_trait::async_trait;
use http::{Method, header::AUTHORIZATION};
use serde_json::{Value, json};

use super::{
    GateFault, GateParts, RecordGate, RecordPlace, TTL,
    api::{Api, Credentials},
    below_zone, is_value, shown,
};
use crate::ports::TxtProof;

/// The account of a token.
pub(in crate::adapters::dns) struct DigitalOceanGate(Api);

impl DigitalOceanGate {
    /// Nothing is asked yet.
    ///
    /// # Errors
    /// When the settings can't be used.
    pub(in crate::adapters::dns) fn new(parts: GateParts<'_>) -> Result<Self, String> {
        let credentials = Credentials::Header(AUTHORIZATION, "Bearer ");
        let right = "make a token with the scopes domain:read, domain:create and domain:delete, and copy it whole";
        Ok(Self(Api::new(parts, &credentials, right)?))
    }

    fn path(place: &RecordPlace) -> String {
        format!("/domains/{}/records", shown(&place.zone))
    }

    /// The ids of our record; none where it is not there.
    async fn ids(&self, place: &RecordPlace, value: &str) -> Result<Vec<u64>, GateFault> {
        let name = shown(&place.name);
        let path = format!("{}?type=TXT&name={name}&per_page=200", Self::path(place));
        let answer = self.0.ask(Method::GET, &path, None).await?;
        if answer.status == 404 {
            return Err(self.0.no_zone(&shown(&place.zone)));
        }
        if !answer.status.is_success() {
            return Err(self.0.unfit("list records", &answer));
        }
        let said = self.0.json(&answer)?;
        let is_ours = |it: &&Value| {
            it["data"]
                .as_str()
                .is_some_and(|text| is_value(text, value))
        };
        let records = said["domain_records"].as_array().into_iter().flatten();
        Ok(records
            .filter(is_ours)
            .filter_map(|it| it["id"].as_u64())
            .collect())
    }
}

#[async_trait(?Send)]
impl RecordGate for DigitalOceanGate {
    async fn add(&self, place: &RecordPlace, proof: &TxtProof) -> Result<(), GateFault> {
        let value = &proof.value;
        if !self.ids(place, value).await?.is_empty() {
            return Ok(());
        }
        let name = match below_zone(place) {
            name if name.is_empty() => "@".to_owned(),
            name => name,
        };
        let body = json!({ "type": "TXT", "name": name, "data": value, "ttl": TTL });
        let asked = ("set the record", Method::POST);
        let done = self.0.done(asked, &Self::path(place), Some(&body)).await;
        done.map(|_| ())
    }

    async fn remove(&self, place: &RecordPlace, proof: &TxtProof) -> Result<(), GateFault> {
        let value = &proof.value;
        for id in self.ids(place, value).await? {
            let path = format!("{}/{id}", Self::path(place));
            let answer = self.0.ask(Method::DELETE, &path, None).await?;
            if !answer.status.is_success() && answer.status != 404 {
                return Err(self.0.unfit("remove the record", &answer));
            }
        }
        Ok(())
    }

    async fn look(&self) -> Result<String, GateFault> {
        let asked = ("list domains", Method::GET);
        let answer = self.0.done(asked, "/domains?per_page=1", None).await?;
        self.0.json(&answer)?;
        Ok(format!("{} takes the token", self.0.who()))
    }
}
