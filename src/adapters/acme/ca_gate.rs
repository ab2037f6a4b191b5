//! A CA that asks to be left alone is asked for nothing until then: not by one of the orders that are under way, either.

use std::{
    cell::RefCell,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use crate::ports::{AuthorityError, Clock, Scope};

/// The way to one CA.
#[derive(Default)]
pub(super) struct CaGate {
    /// A flag for requests, which know no clock of ours.
    is_closed: Arc<AtomicBool>,
    closed: RefCell<Option<Closing>>,
}

/// A CA's request to be left alone.
struct Closing {
    /// Until when, by the clock that nobody sets.
    until: Duration,
    status: u16,
    detail: String,
}

impl CaGate {
    /// True if no request may pass, as requests look at it.
    pub(super) fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.is_closed)
    }

    /// The answer in the CA's place as long as it is to be left alone.
    pub(super) fn answer(&self, directory: &str, clock: &dyn Clock) -> Option<AuthorityError> {
        let mut closed = self.closed.borrow_mut();
        let left = |closing: &Closing| closing.until.saturating_sub(clock.elapsed());
        match closed.as_ref().map(|closing| (left(closing), closing)) {
            None => None,
            Some((Duration::ZERO, _)) => {
                *closed = None;
                self.is_closed.store(false, Ordering::SeqCst);
                None
            }
            Some((left, closing)) => Some(AuthorityError::Busy {
                directory: directory.to_owned(),
                status: closing.status,
                detail: closing.detail.clone(),
                not_before: Some(clock.now() + left),
                scope: Scope::Ca,
            }),
        }
    }

    /// Takes over what an error says that has just come.
    pub(super) fn take(&self, error: &AuthorityError, clock: &dyn Clock) {
        let AuthorityError::Busy {
            status,
            detail,
            not_before: Some(time),
            scope: Scope::Ca,
            ..
        } = error
        else {
            return;
        };
        let until = clock.elapsed() + time.since(clock.now());
        let mut closed = self.closed.borrow_mut();
        if closed.as_ref().is_none_or(|known| known.until < until) {
            *closed = Some(Closing {
                until,
                status: *status,
                detail: detail.clone(),
            });
            self.is_closed.store(true, Ordering::SeqCst);
        }
    }
}
