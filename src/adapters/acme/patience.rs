//! Waiting for a CA: looks with growing pauses up to a limit. What passes by itself meanwhile, as a connection that is cut
//! or a front that is busy, is waited out: to give up would take away what the CA is looking for.

use std::{rc::Rc, time::Duration};

use super::error::CallError;
use crate::ports::Clock;

/// The pause after the first look. A CA on the same network is done by then.
const FIRST_PAUSE: Duration = Duration::from_millis(20);

/// The pause after the second look. A Retry-After that is shorter, as one of nothing or in the past, says nothing: a CA
/// that sends it each time would be asked without end.
const SECOND_PAUSE: Duration = Duration::from_millis(100);

/// From then on pauses double up to this: a public CA takes seconds, and looks cost its limits.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A Retry-After in the middle of an order is believed up to this; the authorizations would not wait much longer.
pub(super) const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(60);

/// Time to wait for something, by the clock that nobody sets.
pub(super) struct Patience {
    clock: Rc<dyn Clock>,
    until: Duration,
    next: Duration,
}

impl Patience {
    /// As long as this, from now on.
    pub(super) fn of(limit: Duration, clock: &Rc<dyn Clock>) -> Self {
        Self {
            clock: Rc::clone(clock),
            until: clock.elapsed() + limit,
            next: FIRST_PAUSE,
        }
    }

    /// The rest of it.
    pub(super) fn left(&self) -> Duration {
        self.until.saturating_sub(self.clock.elapsed())
    }

    /// Waits before the next look, as long as the CA asks.
    pub(super) async fn pause(&mut self, asked: Option<Duration>) {
        let asked = asked.filter(|asked| *asked >= SECOND_PAUSE);
        let pause = asked.map_or(self.next, |asked| asked.min(LONGEST_RETRY_AFTER));
        self.clock.sleep(pause).await;
        self.next = (self.next * 2).clamp(SECOND_PAUSE, LONGEST_PAUSE);
    }

    /// Waits before the next try after a failure. One that does not pass, or for which the CA asks to wait longer than this
    /// lasts, comes back.
    pub(super) async fn ride_out(&mut self, failure: CallError) -> Result<(), CallError> {
        let asked = failure.asked_to_wait(self.clock.now());
        let wait = asked.unwrap_or_default().max(self.next);
        if !failure.passes || wait > self.left() {
            return Err(failure);
        }
        self.clock.sleep(wait).await;
        self.next = (self.next * 2).clamp(SECOND_PAUSE, LONGEST_PAUSE);
        Ok(())
    }
}
