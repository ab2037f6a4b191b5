//! Where responses to challenges are shown.

use std::rc::Rc;

use async_trait::async_trait;
use thiserror::Error;

use super::{Challenge, DiskError, ShownResponse};
use crate::{
    observe::Webroots,
    values::{Host, Timestamp},
};

/// The beginning of each response's path; the CA's token follows.
///
/// <https://www.rfc-editor.org/rfc/rfc8555#section-8.3>
pub const CHALLENGE_PATH: &str = "/.well-known/acme-challenge/";

/// Those who show responses to challenges. Each gets every response, and passes over what is not its own.
///
/// <https://www.rfc-editor.org/rfc/rfc8555#section-8>
#[async_trait(?Send)]
pub trait Responder {
    /// Makes a challenge's response visible; one that is there already is fine.
    async fn publish(&self, at: &Webroots, challenge: &Challenge) -> Result<(), ResponseFault>;
    /// Looks whether a CA would see the response, as far as that shows from here: a failed look here costs nothing.
    async fn look(&self, at: &Webroots, challenge: &Challenge) -> Result<(), NotServed>;
    /// Takes a response away again wherever that can be done, also one half written; one that is not there is fine.
    /// Returned is a fault for each place where that fails. For a response over HTTP it is done at the first poll,
    /// since that is also asked for where nothing can be waited for.
    async fn withdraw(&self, at: &Webroots, shown: &ShownResponse) -> Vec<ResponseFault>;
}

/// Several as one: each shows every response, since it is not known from here which of them a CA's request reaches.
#[async_trait(?Send)]
impl Responder for Vec<Rc<dyn Responder>> {
    async fn publish(&self, at: &Webroots, challenge: &Challenge) -> Result<(), ResponseFault> {
        for responder in self {
            responder.publish(at, challenge).await?;
        }
        Ok(())
    }

    async fn look(&self, at: &Webroots, challenge: &Challenge) -> Result<(), NotServed> {
        for responder in self {
            responder.look(at, challenge).await?;
        }
        Ok(())
    }

    async fn withdraw(&self, at: &Webroots, shown: &ShownResponse) -> Vec<ResponseFault> {
        let mut faults = Vec::new();
        for responder in self {
            faults.extend(responder.withdraw(at, shown).await);
        }
        faults
    }
}

/// The reason why a response could not be shown or withdrawn.
#[derive(Debug, Error)]
pub enum ResponseFault {
    /// In a webroot.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// In DNS.
    #[error(transparent)]
    Record(#[from] RecordFault),
}

/// The reason why a TXT record could not be set or removed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("can't {doing} the TXT record {name} by [dns.{dns}]: {problem}")]
pub struct RecordFault {
    /// The attempted work: set, or remove.
    pub doing: &'static str,
    /// The table of the settings.
    pub dns: String,
    /// Where the CA looks for the record.
    pub name: String,
    /// The problem, and the remedy.
    pub problem: String,
    /// Before when the other side does not want to be asked again, where it says so.
    pub not_before: Option<Timestamp>,
}

impl RecordFault {
    /// Something is wrong with the record at this name.
    pub fn new(doing: &'static str, dns: &str, name: &str, problem: String) -> Self {
        Self {
            doing,
            dns: dns.to_owned(),
            name: name.to_owned(),
            problem,
            not_before: None,
        }
    }
}

/// A response that was published and can't be seen.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "the response to the challenge is not served for {name}: {saw}; the CA was not asked to look"
)]
pub struct NotServed {
    /// The name that has to be proven.
    pub name: Host,
    /// The answer that was seen instead.
    pub saw: String,
}
