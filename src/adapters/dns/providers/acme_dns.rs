//! acme-dns: a DNS server that keeps the last two texts of a subdomain that is ours, and nothing else.
//!
//! <https://github.com/joohoi/acme-dns#update-endpoint>

use async_trait::async_trait;
use http::{HeaderName, Method};
use serde_json::json;

use super::{
    GateFault, GateParts, RecordGate, RecordPlace,
    api::{Api, Credentials},
    shown,
};
use crate::ports::TxtProof;

/// A server of this kind, and our subdomain there.
pub(in crate::adapters::dns) struct AcmeDnsGate {
    api: Api,
    subdomain: String,
}

impl AcmeDnsGate {
    /// Nothing is asked yet.
    ///
    /// # Errors
    /// When the settings can't be used.
    pub(in crate::adapters::dns) fn new(parts: GateParts<'_>) -> Result<Self, String> {
        let credentials = Credentials::Named(
            HeaderName::from_static("x-api-user"),
            HeaderName::from_static("x-api-key"),
        );
        let right = "write username, password and subdomain as the server gave them at the registration; and where it lets only \
                     some addresses in (allowfrom), this machine's has to be among them";
        Ok(Self {
            api: Api::new(parts, &credentials, right)?,
            subdomain: parts.0.subdomain.clone().unwrap_or_default(),
        })
    }
}

#[async_trait(?Send)]
impl RecordGate for AcmeDnsGate {
    async fn add(&self, place: &RecordPlace, proof: &TxtProof) -> Result<(), GateFault> {
        let value = &proof.value;
        let at = shown(&place.name);
        if at.split('.').next() != Some(self.subdomain.as_str()) {
            return Err(format!(
                "the record belongs at {at}, but the name at {} begins with {}: let a CNAME record lead from \
                 _acme-challenge.NAME to that name",
                self.api.who(),
                self.subdomain
            )
            .into());
        }
        let body = json!({ "subdomain": self.subdomain, "txt": value });
        let asked = ("take the text", Method::POST);
        let answer = self.api.done(asked, "/update", Some(&body)).await?;
        match self.api.json(&answer)?["txt"].as_str() {
            Some(taken) if taken == value => Ok(()),
            _ => Err(format!(
                "{} does not repeat the text that it was to take: is `url` the address of an acme-dns server?",
                self.api.who()
            )
            .into()),
        }
    }

    /// The server keeps two texts, and has no way to remove one: the next ones push it out.
    async fn remove(&self, _: &RecordPlace, _: &TxtProof) -> Result<(), GateFault> {
        Ok(())
    }

    async fn look(&self) -> Result<String, GateFault> {
        let asked = ("say that it is well", Method::GET);
        self.api.done(asked, "/health", None).await?;
        Ok(format!(
            "{} answers; whether it takes the password shows at the first record",
            self.api.who()
        ))
    }
}
