use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Observed;
use crate::values::{Issuer, Timestamp};

/// How far a clock may have been set back since a CA asked for a pause. Where it was set back further, how long that pause
/// still is can't be told, and it could be years.
const SET_BACK: Duration = Duration::from_secs(60 * 60);

/// A CA that asks to be left alone: not by one order, but by all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BusyCa {
    /// When it said so.
    pub since: Timestamp,
    /// Until when.
    pub until: Timestamp,
    /// In which words.
    pub problem: String,
}

impl BusyCa {
    /// Whether it still is to be left alone.
    pub fn is_in_force(&self, now: Timestamp) -> bool {
        self.since <= now + SET_BACK && now < self.until
    }
}

impl Observed {
    /// The pause that this issuer asks for, if it still is one.
    pub fn busy(&self, issuer: &Issuer, now: Timestamp) -> Option<&BusyCa> {
        let busy = self.busy_cas.get(issuer.directory()?);
        busy.filter(|busy| busy.is_in_force(now))
    }

    /// Takes over that a CA asks for a pause; the longest counts, if it asked several times.
    pub fn leave_alone(&mut self, directory: String, busy: BusyCa) {
        let known = self.busy_cas.get(&directory);
        let is_longer =
            known.is_some_and(|known| known.is_in_force(busy.since) && known.until >= busy.until);
        if !is_longer {
            self.busy_cas.insert(directory, busy);
        }
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
        }
    }

    #[test]
    fn a_pause_ends_when_the_ca_says_and_not_years_later_where_the_clock_was_wrong() {
        let pause = busy(NOW, NOW + MINUTE * 30);
        for (now, expected) in [
            (NOW, true),
            (NOW + MINUTE * 29, true),
            (NOW + MINUTE * 30, false),
            (NOW - MINUTE, true),
            (NOW - MINUTE * 61, false),
        ] {
            assert_eq!(pause.is_in_force(now), expected, "{now}");
        }
    }

    #[test]
    fn of_several_pauses_of_one_ca_the_longest_counts() {
        let mut observed = Observed::default();
        let ca = Issuer::Ca("https://ca.example/dir".to_owned());
        for (since, length, expected) in [(0, 30, 30), (1, 5, 30), (2, 60, 62), (70, 1, 71)] {
            let since = NOW + MINUTE * since;
            let directory = "https://ca.example/dir".to_owned();
            observed.leave_alone(directory, busy(since, since + MINUTE * length));
            let until = observed.busy(&ca, since).map(|busy| busy.until);
            assert_eq!(until, Some(NOW + MINUTE * expected));
        }
        let other = Issuer::Ca("https://other.example/dir".to_owned());
        assert_eq!(observed.busy(&other, NOW), None);
        assert_eq!(observed.busy(&Issuer::SelfSigned, NOW), None);
    }
}
