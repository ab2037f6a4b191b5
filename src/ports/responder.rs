//! Where responses to challenges are shown.

use std::rc::Rc;

use async_trait::async_trait;
use thiserror::Error;

use super::{Challenge, DiskError};
use crate::{observe::Webroots, values::Host};

/// What the path of each response begins with; the CA's token follows.
///
/// <https://www.rfc-editor.org/rfc/rfc8555#section-8.3>
pub const CHALLENGE_PATH: &str = "/.well-known/acme-challenge/";

/// Those who show responses to challenges.
///
/// <https://www.rfc-editor.org/rfc/rfc8555#section-8>
#[async_trait(?Send)]
pub trait Responder {
    /// Makes a challenge's response visible.
    fn publish(&self, at: &Webroots, challenge: &Challenge) -> Result<(), DiskError>;
    /// Looks whether a CA would see the response, as far as that can be told from here: a failed look here costs nothing.
    async fn look(&self, at: &Webroots, challenge: &Challenge) -> Result<(), NotServed>;
    /// Takes the response to this token away again wherever that can be done, also one half written; one that is not
    /// there is fine. What can't be taken away is told for each place.
    fn withdraw(&self, at: &Webroots, token: &str) -> Vec<DiskError>;
}

/// Several as one: each shows every response, since it is not known from here which of them a CA's request reaches.
#[async_trait(?Send)]
impl Responder for Vec<Rc<dyn Responder>> {
    fn publish(&self, at: &Webroots, challenge: &Challenge) -> Result<(), DiskError> {
        self.iter()
            .try_for_each(|responder| responder.publish(at, challenge))
    }

    async fn look(&self, at: &Webroots, challenge: &Challenge) -> Result<(), NotServed> {
        for responder in self {
            responder.look(at, challenge).await?;
        }
        Ok(())
    }

    fn withdraw(&self, at: &Webroots, token: &str) -> Vec<DiskError> {
        let each = self.iter();
        each.flat_map(|responder| responder.withdraw(at, token))
            .collect()
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
    /// What was seen instead.
    pub saw: String,
}
