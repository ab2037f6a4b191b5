//! The CA's clock, as its answers show it: each has a date, so that no request is needed for that.

use std::{cell::Cell, time::Duration};

use crate::{observe::ClockGap, ports::Clock, values::Timestamp};

/// Time that a reading is good for; the clock may be set at any time.
const FRESH: Duration = Duration::from_secs(10 * 60);

/// The difference between the time of day and the time that has passed from which the clock counts as set.
const SET: Duration = Duration::from_secs(60);

/// The last answer.
#[derive(Clone, Copy)]
struct Reading {
    /// The CA's time, where the answer had one.
    date: Option<Timestamp>,
    /// Our time of day when it came.
    now: Timestamp,
    /// The same by the clock that nobody sets.
    elapsed: Duration,
}

/// A CA's clock, as its last answer showed it.
#[derive(Default)]
pub(super) struct CaClock(Cell<Option<Reading>>);

impl CaClock {
    /// Takes over what an answer says that has just come.
    pub(super) fn take(&self, date: Option<Timestamp>, clock: &dyn Clock) {
        self.0.set(Some(Reading {
            date,
            now: clock.now(),
            elapsed: clock.elapsed(),
        }));
    }

    /// True if the last answer shows how the clocks are now: it has come lately, and ours was not set since.
    pub(super) fn is_fresh(&self, clock: &dyn Clock) -> bool {
        self.0.get().is_some_and(|read| {
            let passed = clock.elapsed().saturating_sub(read.elapsed);
            let (now, expected) = (clock.now(), read.now + passed);
            passed <= FRESH && now.since(expected) <= SET && expected.since(now) <= SET
        })
    }

    /// Both clocks, where the last answer showed them too far apart.
    pub(super) fn gap(&self) -> Option<ClockGap> {
        let read = self.0.get()?;
        ClockGap::between(read.now, read.date?)
    }
}
