//! The protocol in which lego asks other programs to set a record.
//!
//! <https://go-acme.github.io/lego/dns/httpreq/>

use async_trait::async_trait;
use http::Method;
use serde_json::{Value, json};

use super::{
    GateFault, GateParts, RecordGate, RecordPlace,
    api::{Api, Credentials},
    shown,
};
use crate::ports::TxtProof;

/// A program that is asked in this way.
pub(in crate::adapters::dns) struct HttpreqGate {
    api: Api,
    is_raw: bool,
}

impl HttpreqGate {
    /// Nothing is asked yet.
    ///
    /// # Errors
    /// When the settings can't be used.
    pub(in crate::adapters::dns) fn new(parts: GateParts<'_>) -> Result<Self, String> {
        let right = "write username and password-file as that program wants them";
        Ok(Self {
            is_raw: parts.0.is_raw,
            api: Api::new(parts, &Credentials::Basic, right)?,
        })
    }

    async fn send(
        &self,
        (doing, path): (&str, &str),
        place: &RecordPlace,
        proof: &TxtProof,
    ) -> Result<(), GateFault> {
        let body = match self.is_raw {
            true => raw(place, proof)?,
            false => json!({ "fqdn": format!("{}.", shown(&place.name)), "value": proof.value }),
        };
        // Its success has no text that is agreed upon.
        let answer = self.api.done((doing, Method::POST), path, Some(&body));
        let answer = answer.await;
        answer.map(|_| ())
    }
}

/// The challenge itself, in lego's words.
fn raw(place: &RecordPlace, proof: &TxtProof) -> Result<Value, GateFault> {
    let known = proof.key_authorization.as_deref();
    let known = known.and_then(|it| Some((it, it.split_once('.')?.0)));
    let Some((key_authorization, token)) = known else {
        let problem = "the challenge of this record was not kept, because it was set before the table had mode = \"raw\": the record \
                       can be removed by hand";
        return Err(GateFault::from(problem.to_owned()));
    };
    Ok(json!({ "domain": place.asked, "token": token, "keyAuth": key_authorization }))
}

#[async_trait(?Send)]
impl RecordGate for HttpreqGate {
    async fn add(&self, place: &RecordPlace, proof: &TxtProof) -> Result<(), GateFault> {
        self.send(("set the record", "/present"), place, proof)
            .await
    }

    async fn remove(&self, place: &RecordPlace, proof: &TxtProof) -> Result<(), GateFault> {
        self.send(("remove the record", "/cleanup"), place, proof)
            .await
    }

    /// Nothing but the two requests that change a record is agreed upon, so any answer at all is a good sign.
    async fn look(&self) -> Result<String, GateFault> {
        let answer = self.api.ask(Method::GET, "/", None).await?;
        Ok(format!(
            "{} answers ({}); whether it sets records shows at the first one",
            self.api.who(),
            answer.status
        ))
    }
}
