//! A record that is set to see whether one can be: of a text of its own, at the place where those of an order would be, since
//! that is what a key is allowed to change, and where CNAME records lead.

use std::{pin::pin, time::Duration};

use aws_lc_rs::rand;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::Serialize;

use super::{gate::GateFault, records::RecordResponder, shown};
use crate::{
    ports::{TxtProof, txt_name},
    values::Host,
};

/// The pause between two looks.
const PAUSE: Duration = Duration::from_secs(2);

/// A record that was set, seen and removed again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TriedRecord {
    /// Its name: the one that a CA asks for, or that aliases lead to.
    pub place: String,
    /// The zone of that place.
    pub zone: String,
}

impl RecordResponder {
    /// Sets a record by a table, looks for it until it is seen at each server of its zone or patience is over, and removes it.
    ///
    /// # Errors
    /// When it can't be set, seen or removed: what is wrong, and what to do.
    pub async fn try_out(
        &self,
        dns: &str,
        name: &Host,
        patience: impl Future<Output = ()>,
    ) -> Result<TriedRecord, String> {
        let name = txt_name(name);
        let mut bytes = [0; 32];
        rand::fill(&mut bytes).map_err(|_| "the system gives no random numbers".to_owned())?;
        // Made as that of a challenge is, and as long: some interfaces take no other.
        let token = BASE64_URL_SAFE_NO_PAD.encode(bytes);
        let proof = TxtProof::of(&format!("{token}.{token}"));
        let (table, place) = self.place(dns, &name).await?;
        let gate = table.gate()?;
        let problem = |fault: GateFault| fault.problem;
        let set = gate.add(&place, &proof).await;
        set.map_err(|fault| format!("the record can't be set: {}", fault.problem))?;
        let seen = self.seen_within((dns, &name), &proof.value, patience).await;
        let removed = gate.remove(&place, &proof).await.map_err(problem);
        match (seen, removed) {
            (Ok(()), Ok(())) => Ok(TriedRecord {
                place: shown(&place.name),
                zone: shown(&place.zone),
            }),
            (Err(problem), Ok(())) => Err(format!(
                "the record was set, is not seen, and was removed again: {problem}"
            )),
            (Ok(()), Err(problem)) => Err(format!(
                "the record was set and seen, and can't be removed: {problem}"
            )),
            (Err(unseen), Err(problem)) => Err(format!(
                "the record was set, is not seen ({unseen}), and can't be removed: {problem}"
            )),
        }
    }

    async fn seen_within(
        &self,
        (dns, name): (&str, &str),
        value: &str,
        patience: impl Future<Output = ()>,
    ) -> Result<(), String> {
        let mut patience = pin!(patience);
        loop {
            let Err(problem) = self.seen(dns, name, value).await else {
                return Ok(());
            };
            tokio::select! {
                () = &mut patience => return Err(problem),
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    }
}
