//! Hetzner's Cloud API: sets of records, of which single values are added and removed by actions that take their time.
//!
//! <https://docs.hetzner.cloud/reference/cloud#zone-rrset-actions>

use std::time::Duration;

use async_trait::async_trait;
use http::{Method, header::AUTHORIZATION};
use serde_json::{Value, json};

use super::{
    GateFault, GateParts, RecordGate, RecordPlace, TTL,
    api::{Api, ApiAnswer, Credentials},
    below_zone, is_value, quoted, shown,
};
use crate::ports::TxtProof;

/// Most looks at an action that runs, and the pause before each look. The next change of a zone is refused while one
/// runs.
const MOST_LOOKS: usize = 20;
const PAUSE: Duration = Duration::from_secs(1);

/// The project of a token.
pub(in crate::adapters::dns) struct HetznerGate(Api);

impl HetznerGate {
    /// Nothing is asked yet.
    ///
    /// # Errors
    /// When the settings can't be used.
    pub(in crate::adapters::dns) fn new(parts: GateParts<'_>) -> Result<Self, String> {
        let credentials = Credentials::Header(AUTHORIZATION, "Bearer ");
        let right = "make a token in the Cloud console, in the project that has the zone, that may read and write, and \
                     copy it whole; tokens of the older DNS console are not accepted";
        Ok(Self(Api::new(parts, &credentials, right)?))
    }

    fn path(place: &RecordPlace) -> String {
        let name = match below_zone(place) {
            name if name.is_empty() => "@".to_owned(),
            name => name,
        };
        format!("/zones/{}/rrsets/{name}/TXT", shown(&place.zone))
    }

    /// True where our record is there.
    async fn is_there(&self, place: &RecordPlace, value: &str) -> Result<bool, GateFault> {
        let answer = self.0.ask(Method::GET, &Self::path(place), None).await?;
        match answer.status.as_u16() {
            200..=299 => {
                let said = self.0.json(&answer)?;
                let records = said["rrset"]["records"].as_array().into_iter().flatten();
                let mut texts = records.filter_map(|it| it["value"].as_str());
                Ok(texts.any(|text| is_value(text, value)))
            }
            404 => self.zone(place).await.map(|()| false),
            _ => Err(self.0.unfit("show the records", &answer)),
        }
    }

    /// Looks whether the zone is there: the same answer says of a set of records that it is not.
    async fn zone(&self, place: &RecordPlace) -> Result<(), GateFault> {
        let zone = shown(&place.zone);
        let path = format!("/zones/{zone}");
        let answer = self.0.ask(Method::GET, &path, None).await?;
        match answer.status.as_u16() {
            200..=299 => self.0.json(&answer).map(|_| ()),
            404 => Err(self.0.no_zone(&zone)),
            _ => Err(self.0.unfit("show the zone", &answer)),
        }
    }

    async fn act(
        &self,
        (doing, action): (&str, &str),
        place: &RecordPlace,
        body: &Value,
    ) -> Result<(), GateFault> {
        let path = format!("{}/actions/{action}", Self::path(place));
        let answer = self
            .0
            .done((doing, Method::POST), &path, Some(body))
            .await?;
        let mut said = self.action(&answer, doing)?;
        for _ in 0..MOST_LOOKS {
            let Some(id) = said else { return Ok(()) };
            self.0.clock().sleep(PAUSE).await;
            let path = format!("/actions/{id}");
            let answer = self.0.done((doing, Method::GET), &path, None).await?;
            said = self.action(&answer, doing)?;
        }
        // Whether it is done in the end is seen at the zone's servers.
        Ok(())
    }

    /// The id of an action that still runs.
    fn action(&self, answer: &ApiAnswer, doing: &str) -> Result<Option<u64>, GateFault> {
        let said = self.0.json(answer)?;
        let action = &said["action"];
        match action["status"].as_str() {
            Some("success") => Ok(None),
            Some("running") => Ok(action["id"].as_u64()),
            Some("error") => {
                let words = action["error"]["message"].as_str().unwrap_or("no reason");
                let who = self.0.who();
                Err(format!("{who} does not {doing}: {words:?}").into())
            }
            _ => Err(format!(
                "{} answers without an action: is `url` the address of the Cloud API?",
                self.0.who()
            )
            .into()),
        }
    }
}

#[async_trait(?Send)]
impl RecordGate for HetznerGate {
    async fn add(&self, place: &RecordPlace, proof: &TxtProof) -> Result<(), GateFault> {
        let value = &proof.value;
        if self.is_there(place, value).await? {
            return Ok(());
        }
        let body = json!({ "records": [{ "value": quoted(value) }], "ttl": TTL });
        self.act(("set the record", "add_records"), place, &body)
            .await
    }

    async fn remove(&self, place: &RecordPlace, proof: &TxtProof) -> Result<(), GateFault> {
        let value = &proof.value;
        if !self.is_there(place, value).await? {
            return Ok(());
        }
        let body = json!({ "records": [{ "value": quoted(value) }] });
        let asked = ("remove the record", "remove_records");
        self.act(asked, place, &body).await
    }

    async fn look(&self) -> Result<String, GateFault> {
        let asked = ("list zones", Method::GET);
        let answer = self.0.done(asked, "/zones?per_page=1", None).await?;
        self.0.json(&answer)?;
        Ok(format!("{} takes the token", self.0.who()))
    }
}
