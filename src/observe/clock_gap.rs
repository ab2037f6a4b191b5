use std::{fmt, time::Duration};

use super::Observed;
use crate::values::{Issuer, Timestamp};

/// The most by which our clock and a CA's may be apart. Certificates are dated by the CA's: with a clock that is wrong
/// by more, they would count as expired, or as not valid yet, however often they are obtained.
const MOST: Duration = Duration::from_secs(60 * 60);

/// When the clocks are compared again. No longer than [`MOST`]: whoever sets a clock that is late puts it past this time,
/// and one that is early before the comparison, and both are seen at once.
const COMPARED_AGAIN: Duration = MOST;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Two clocks that are too far apart, read at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockGap {
    /// The clock of this machine.
    pub ours: Timestamp,
    /// The CA's.
    pub theirs: Timestamp,
}

impl ClockGap {
    /// The gap between two clocks, where they are too far apart.
    pub fn between(ours: Timestamp, theirs: Timestamp) -> Option<Self> {
        let gap = Self { ours, theirs };
        (gap.size() > MOST).then_some(gap)
    }

    /// When the clocks are to be compared again.
    pub fn until(&self) -> Timestamp {
        self.ours + COMPARED_AGAIN
    }

    /// True while nothing is to be ordered because of it. A gap is void once our clock was set.
    pub fn is_in_force(&self, now: Timestamp) -> bool {
        self.ours <= now && now < self.until()
    }

    fn size(&self) -> Duration {
        self.ours.since(self.theirs) + self.theirs.since(self.ours)
    }
}

impl fmt::Display for ClockGap {
    /// To the hour or the day, so that it stays the same when the clocks are compared again.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hours = (self.size().as_secs() + 1800) / 3600;
        let size = match self.size() < 2 * DAY {
            true if hours == 1 => "an hour".to_owned(),
            true => format!("{hours} hours"),
            false => format!("{} days", (hours + 12) / 24),
        };
        let side = match self.ours > self.theirs {
            true => "ahead of",
            false => "behind",
        };
        write!(f, "{size} {side}")
    }
}

impl Observed {
    /// The gap between our clock and this issuer's, if nothing is to be ordered there because of it.
    pub fn clock_gap(&self, issuer: &Issuer, now: Timestamp) -> Option<&ClockGap> {
        let gap = self.clock_gaps.get(issuer.directory()?);
        gap.filter(|gap| gap.is_in_force(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn clocks_may_be_an_hour_apart() {
        assert_eq!(ClockGap::between(NOW, NOW + MOST), None);
        assert_eq!(ClockGap::between(NOW + MOST, NOW), None);
        for (ours, theirs, told) in [
            (NOW + MOST + SECOND, NOW, "an hour ahead of"),
            (NOW, NOW + MOST + SECOND, "an hour behind"),
            (NOW, NOW + MOST * 47, "47 hours behind"),
            (NOW + DAY * 365, NOW, "365 days ahead of"),
            (NOW + DAY * 365 - SECOND, NOW, "365 days ahead of"),
        ] {
            let gap = ClockGap::between(ours, theirs).expect("they are too far apart");
            assert_eq!(gap.to_string(), told);
        }
    }

    #[test]
    fn a_gap_counts_for_an_hour_and_is_void_once_the_clock_is_set() {
        for (ours, set) in [
            (NOW + DAY * 365, NOW),
            (NOW + MOST + SECOND, NOW),
            (NOW - DAY * 365, NOW),
            (NOW - MOST - SECOND, NOW),
        ] {
            let gap = ClockGap::between(ours, NOW).expect("they are too far apart");
            assert!(gap.is_in_force(ours) && gap.is_in_force(ours + MOST - SECOND));
            assert!(!gap.is_in_force(ours + MOST), "it is looked at again");
            assert!(!gap.is_in_force(set), "{gap}: the clock was set");
        }
    }
}
