//! The protocol in which lego asks other programs to set a record.
//!
//! <https://go-acme.github.io/lego/dns/httpreq/>

use async_trait::async_trait;
use http::Method;
use serde_json::json;

use super::{
    GateFault, GateParts, RecordGate, RecordPlace,
    api::{Api, Credentials},
    shown,
};

/// A program that is asked in this way.
pub(in crate::adapters::dns) struct HttpreqGate(Api);

impl HttpreqGate {
    /// Nothing is asked yet.
    ///
    /// # Errors
    /// When the settings can't be used.
    pub(in crate::adapters::dns) fn new(parts: GateParts<'_>) -> Result<Self, String> {
        let right = "write username and password-file as that program wants them";
        Ok(Self(Api::new(parts, &Credentials::Basic, right)?))
    }

    async fn send(
        &self,
        (doing, path): (&str, &str),
        place: &RecordPlace,
        value: &str,
    ) -> Result<(), GateFault> {
        let body = json!({ "fqdn": format!("{}.", shown(&place.name)), "value": value });
        // Its success has no text that is agreed upon.
        let answer = self.0.done((doing, Method::POST), path, Some(&body)).await;
        answer.map(|_| ())
    }
}

#[async_trait(?Send)]
impl RecordGate for HttpreqGate {
    async fn add(&self, place: &RecordPlace, value: &str) -> Result<(), GateFault> {
        self.send(("set the record", "/present"), place, value)
            .await
    }

    async fn remove(&self, place: &RecordPlace, value: &str) -> Result<(), GateFault> {
        self.send(("remove the record", "/cleanup"), place, value)
            .await
    }

    /// Nothing but the two requests that change a record is agreed upon, so any answer at all is a good sign.
    async fn look(&self) -> Result<String, GateFault> {
        let answer = self.0.ask(Method::GET, "/", None).await?;
        Ok(format!(
            "{} answers ({}); whether it sets records shows at the first one",
            self.0.who(),
            answer.status
        ))
    }
}
