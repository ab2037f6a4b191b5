//! A rehearsal: an order as any other, asked of a CA that is there for trying out.

use super::{obtain::rehearsed, published::withdraw_now};
use crate::{
    observe::{Blame, HeldCertificate},
    plan::Obtain,
    ports::{Clock, Issuing},
    report::{Event, chain, report},
};

/// The reason why an order would not come to its end.
#[derive(Debug)]
pub struct RehearsalFailure {
    /// The problem, in words.
    pub problem: String,
    /// Whose fault it is.
    pub blame: Blame,
}

/// Goes through the whole order. What is written down for it lies where `issuing` says, and what was shown for it is gone
/// afterwards, over HTTP also when this is dropped before it ends.
///
/// # Errors
/// What the order would fail at.
pub async fn rehearse(
    issuing: &Issuing,
    clock: &dyn Clock,
    obtain: &Obtain,
) -> Result<HeldCertificate, RehearsalFailure> {
    let _cleared = Cleared { issuing, obtain };
    let rehearsed = rehearsed(issuing, clock, obtain).await;
    rehearsed.map_err(|failure| RehearsalFailure {
        problem: chain(&failure),
        blame: failure.blame(),
    })
}

/// Takes away what was shown, whatever came of it: nobody goes on with the order by itself.
pub(super) struct Cleared<'a> {
    pub issuing: &'a Issuing,
    pub obtain: &'a Obtain,
}

impl Drop for Cleared<'_> {
    fn drop(&mut self) {
        let Self { issuing, obtain } = self;
        let record = issuing.orders.order(&obtain.certificate);
        match record {
            Ok(Some(record)) => withdraw_now(issuing, obtain, &record.shown),
            Ok(None) => {}
            Err(error) => report(&Event::DiskFault {
                problem: chain(&error),
            }),
        }
    }
}
