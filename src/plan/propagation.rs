//! When a TXT record that was set is looked for again: each look is a try of its own, so that none holds a place at its CA
//! while it waits.

use std::time::Duration;

use crate::values::Timestamp;

/// The shortest and the longest pause between looks, and how long a record is waited for. The slowest hosters take
/// about half an hour.
const SHORTEST: Duration = Duration::from_secs(2);
const LONGEST: Duration = Duration::from_secs(60);
const WAITED_FOR: Duration = Duration::from_secs(60 * 60);

/// When a record is looked for next that was set at this time and is not seen now; nothing where it is not waited for any
/// longer.
pub fn next_look(set: Timestamp, now: Timestamp) -> Option<Timestamp> {
    let waited = now.since(set);
    let pause = (waited / 2).clamp(SHORTEST, LONGEST);
    (waited < WAITED_FOR).then(|| now + pause)
}

/// When a record that has to stand for so long may be looked at, where that is still to come. A clock that was set back
/// makes nobody wait for longer than that.
pub fn stands_from(set: Timestamp, wait: Duration, now: Timestamp) -> Option<Timestamp> {
    let from = (set + wait).min(now + wait);
    (from > now).then_some(from)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SET: Timestamp = Timestamp::from_seconds(1_800_000_000);

    #[test]
    fn pauses_grow_to_a_minute_and_end_after_an_hour() {
        let (mut now, mut looks) = (SET, 0);
        while let Some(next) = next_look(SET, now) {
            let pause = next.since(now);
            assert!((SHORTEST..=LONGEST).contains(&pause), "{pause:?}");
            (now, looks) = (next, looks + 1);
        }
        assert_eq!(now.since(SET), WAITED_FOR + now.since(SET + WAITED_FOR));
        assert!((60..=80).contains(&looks), "{looks}");
    }

    #[test]
    fn a_record_stands_for_as_long_as_the_settings_say_whatever_the_clock_does() {
        let minutes = |count: u32| Duration::from_secs(60) * count;
        let wait = minutes(2);
        for (now, expected) in [
            (SET, Some(SET + wait)),
            (SET + minutes(1), Some(SET + wait)),
            (SET + wait, None),
            (
                Timestamp::from_seconds(0),
                Some(Timestamp::from_seconds(120)),
            ),
        ] {
            assert_eq!(stands_from(SET, wait, now), expected);
        }
        assert_eq!(stands_from(SET, Duration::ZERO, SET), None);
    }
}
