use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Observed;
use crate::values::{Issuer, Timestamp};

/// The most by which a clock may have been set back since a CA asked for a pause. Where it was set back further, the
/// rest of that pause is not known, and it could be years.
const SET_BACK: Duration = Duration::from_secs(60 * 60);

/// Answers within this are those to orders that were under way together: they are one.
const BURST: Duration = Duration::from_secs(60);

/// For how long it counts that a CA was busy, unless it issues a certificate before that.
const REMEMBERED: Duration = Duration::from_secs(24 * 60 * 60);

/// A CA that asks to be left alone: not by one order, but by all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BusyCa {
    /// When it said so.
    pub since: Timestamp,
    /// Until when, by its own words; the same time where it did not say.
    pub until: Timestamp,
    /// In which words.
    pub problem: String,
    /// Number of times in a row, without a certificate in between; nothing in records of earlier versions.
    #[serde(default)]
    pub count: u32,
}

impl BusyCa {
    /// False if the clock was set back since: then it does not count at all.
    pub fn is_dated(&self, now: Timestamp) -> bool {
        self.since <= now + SET_BACK
    }

    /// True while it may still count.
    pub fn is_remembered(&self, now: Timestamp) -> bool {
        self.is_dated(now) && now < self.until.max(self.since) + REMEMBERED
    }
}

impl Observed {
    /// The last time that this issuer was busy, if it is remembered.
    pub fn busy(&self, issuer: &Issuer, now: Timestamp) -> Option<&BusyCa> {
        let busy = self.busy_cas.get(issuer.directory()?);
        busy.filter(|busy| busy.is_remembered(now))
    }

    /// Takes over that a CA asks for a pause. Of several answers to orders that were under way together the longest pause
    /// counts; one that comes after a pause is one more.
    pub fn leave_alone(&mut self, directory: String, busy: BusyCa) {
        let known = self.busy_cas.get(&directory);
        let known = known.filter(|known| known.is_remembered(busy.since));
        let merged = match known {
            None => BusyCa { count: 1, ..busy },
            Some(known) if busy.since < known.until.max(known.since + BURST) => BusyCa {
                since: known.since,
                until: known.until.max(busy.until),
                count: known.count.max(1),
                ..busy
            },
            Some(known) => BusyCa {
                count: known.count.saturating_add(1),
                ..busy
            },
        };
        self.busy_cas.insert(directory, merged);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
    const MINUTE: Duration = Duration::from_secs(60);

    fn busy(since: Timestamp, until: Timestamp) -> BusyCa {
        BusyCa {
            since,
            until,
            problem: "later".to_owned(),
            count: 1,
        }
    }

    #[test]
    fn a_pause_is_remembered_for_a_day_and_not_for_years_where_the_clock_was_wrong() {
        let pause = busy(NOW, NOW + MINUTE * 30);
        let day = MINUTE * 60 * 24;
        for (now, expected) in [
            (NOW, true),
            (NOW + MINUTE * 29 + day, true),
            (NOW + MINUTE * 30 + day, false),
            (NOW - MINUTE, true),
            (NOW - MINUTE * 61, false),
        ] {
            assert_eq!(pause.is_remembered(now), expected, "{now}");
        }
    }

    #[test]
    fn of_several_pauses_at_once_the_longest_counts_and_one_that_comes_later_is_one_more() {
        let mut observed = Observed::default();
        let ca = Issuer::Ca("https://ca.example/dir".to_owned());
        for (since, length, expected) in [
            (0, 30, (30, 1)),
            (1, 5, (30, 1)),
            (2, 60, (62, 1)),
            (70, 0, (70, 2)),
            // Those that were under way together, though it did not say until when.
            (70, 0, (70, 2)),
            (71, 1, (72, 3)),
            (72 + 24 * 60, 1, (73 + 24 * 60, 1)),
        ] {
            let since = NOW + MINUTE * since;
            let directory = "https://ca.example/dir".to_owned();
            observed.leave_alone(directory, busy(since, since + MINUTE * length));
            let known = observed.busy(&ca, since);
            let known = known.map(|busy| (busy.until, busy.count));
            assert_eq!(known, Some((NOW + MINUTE * expected.0, expected.1)));
        }
        let other = Issuer::Ca("https://other.example/dir".to_owned());
        assert_eq!(observed.busy(&other, NOW), None);
        assert_eq!(observed.busy(&Issuer::SelfSigned, NOW), None);
    }
}
