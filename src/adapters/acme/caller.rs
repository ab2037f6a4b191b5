//! One call at a time: repeated where that is safe, with errors that give the true reason.

use std::{cell::RefCell, rc::Rc};

use instant_acme::Error;

use super::{
    ca_clock::CaClock,
    ca_gate::CaGate,
    error::{CallError, failure},
    record::{Exchange, ResponseHead, recorded},
};
use crate::ports::{AuthorityError, Clock, Problem};

/// Number of times that a call is repeated because the CA refused its nonce. Each repeat is newly signed. Within each,
/// the library tries three times, so that even a CA that refuses every other nonce loses none of a million calls.
///
/// <https://www.rfc-editor.org/rfc/rfc8555#section-6.5>
const NONCE_REPEATS: u32 = 10;

/// Number of times that a call is repeated because the connection broke off, where nothing can be done twice by it.
pub(super) const CUT_REPEATS: u32 = 2;

/// The rule for making a call again whose answer was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repeat {
    /// It only reads, or says what is so already.
    Safe,
    /// The CA may have acted on it.
    Unsafe,
}

/// Makes calls to one CA.
#[derive(Clone)]
pub(super) struct Caller {
    /// The URL of the CA's directory.
    pub(super) directory: String,
    /// Now, and waiting.
    pub(super) clock: Rc<dyn Clock>,
    /// The CA's clock, as its answers show it.
    pub(super) ca_clock: Rc<CaClock>,
    /// The gate, shut while the CA asks to be left alone.
    pub(super) gate: Rc<CaGate>,
    /// The thumbprint by which the account's key is known, where the library has another.
    pub(super) thumbprint: Rc<RefCell<Option<String>>>,
}

impl Caller {
    /// Makes a call, and returns its result with the answer that brought it.
    pub(super) async fn call<T>(
        &self,
        repeat: Repeat,
        mut request: impl AsyncFnMut() -> Result<T, Error>,
    ) -> Result<(T, Option<ResponseHead>), CallError> {
        let (mut nonces, mut cuts) = (0, 0);
        loop {
            self.check_gate()?;
            let (result, record) = recorded(request()).await;
            if let Some(answer) = &record.answer {
                self.ca_clock.take(answer.date, &*self.clock);
            }
            let failed = match result {
                Ok(value) => return Ok((value, record.answer)),
                // Another order was told meanwhile that nobody is to ask.
                Err(_) if record.was_stopped => continue,
                Err(error) => failure(error, &record, &self.directory, self.clock.now()),
            };
            self.gate.take(&failed.error, &*self.clock);
            if failed.is_refusal(&Problem::BadNonce) && nonces < NONCE_REPEATS {
                nonces += 1;
            } else if failed.cut && harmless(repeat, &record) && cuts < CUT_REPEATS {
                cuts += 1;
            } else {
                return Err(failed);
            }
        }
    }

    /// Checks that the CA may be asked for anything now.
    pub(super) fn check_gate(&self) -> Result<(), CallError> {
        match self.gate.answer(&self.directory, &*self.clock) {
            Some(busy) => Err(CallError::unasked(busy)),
            None => Ok(()),
        }
    }

    /// An error for what only this side can have broken.
    pub(super) fn ours(
        what: &str,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> AuthorityError {
        AuthorityError::Ours {
            what: what.to_owned(),
            source: Some(source.into()),
        }
    }
}

/// A request for a nonce is not signed, and may be lost before the call proper was made.
fn harmless(repeat: Repeat, record: &Exchange) -> bool {
    repeat == Repeat::Safe || !record.signed
}
