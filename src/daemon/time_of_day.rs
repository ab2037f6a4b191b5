use std::time::Duration;

use super::Loop;
use crate::{
    plan::Planner,
    report::{Event, report},
    values::Timestamp,
};

/// The most by which the time of day may move away from the time that has passed: clocks are kept right by small steps.
const STEP: Duration = Duration::from_secs(60);

/// The time of day at the last turn, and the time that had passed by then.
#[derive(Default)]
pub(super) struct TimeOfDay(Option<(Timestamp, Duration)>);

/// That the time of day is another than the time that has passed says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Jump {
    /// It was set ahead, or the machine slept.
    Ahead(Duration),
    /// It was set back.
    Back(Duration),
}

impl TimeOfDay {
    /// Takes over what both clocks say now.
    fn take(&mut self, now: Timestamp, elapsed: Duration) -> Option<Jump> {
        let (last, then) = self.0.replace((now, elapsed))?;
        let expected = last + elapsed.saturating_sub(then);
        let (ahead, back) = (now.since(expected), expected.since(now));
        if ahead > STEP {
            return Some(Jump::Ahead(ahead));
        }
        (back > STEP).then_some(Jump::Back(back))
    }
}

impl Loop {
    /// Forgets all waits where the time of day was set: by another clock each of them could last for years.
    pub(super) fn follow_clock(&mut self, now: Timestamp) {
        let elapsed = self.daemon.ports.clock.elapsed();
        let Some(jump) = self.time_of_day.take(now, elapsed) else {
            return;
        };
        let (by, ahead) = match jump {
            Jump::Ahead(by) => (by, true),
            Jump::Back(by) => (by, false),
        };
        report(&Event::ClockSet { by, ahead });
        self.rests_until = None;
        self.memory = Planner::default();
        self.facts.looked = now;
        self.look_at_all_again();
        self.told.hurry_document(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_is_told_from_one_that_goes() {
        let seconds = Duration::from_secs;
        let start = Timestamp::from_seconds(1_800_000_000);
        let mut time = TimeOfDay::default();
        let year = seconds(365 * 24 * 60 * 60);
        for (now, passed, expected) in [
            (start, 0, None),
            (start + seconds(20), 20, None),
            // A day of rest.
            (start + seconds(86_420), 86_420, None),
            (start + seconds(86_475), 86_420, None),
            (
                start + year,
                86_440,
                Some(Jump::Ahead(year - seconds(86_495))),
            ),
            (start + year + seconds(9), 86_449, None),
            (start, 86_449, Some(Jump::Back(year + seconds(9)))),
            (start + seconds(1), 86_450, None),
        ] {
            assert_eq!(time.take(now, seconds(passed)), expected, "{passed}");
        }
    }
}
