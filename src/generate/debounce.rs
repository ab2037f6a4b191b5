use std::time::Duration;

use tokio::time::Instant;

use crate::values::Interval;

/// When changes are acted upon; asks no clock.
#[derive(Debug)]
pub(super) struct Debounce {
    interval: Interval,
    /// The first and the last change that nothing was done about yet.
    waiting: Option<(Instant, Instant)>,
    /// When something came of it last. What changed no bytes is no reason to wait: a container that is made, connected and
    /// started within a moment is three changes, of which the last counts.
    acted: Option<Instant>,
}

impl Debounce {
    pub fn new(interval: Interval) -> Self {
        Self {
            interval,
            waiting: None,
            acted: None,
        }
    }

    /// Something has changed.
    pub fn note(&mut self, now: Instant) {
        let first = self.waiting.map_or(now, |(first, _)| first);
        self.waiting = Some((first, now));
    }

    /// When to act on what has changed; `None` when nothing has.
    pub fn due(&self) -> Option<Instant> {
        let (first, last) = self.waiting?;
        let Interval { min, max } = self.interval;
        Some(match min {
            // At once, unless something was done less than MAX ago: then when MAX is over.
            Duration::ZERO => self.acted.map_or(first, |acted| first.max(acted + max)),
            _ => (last + min).min(first + max),
        })
    }

    /// Acts upon all changes so far.
    pub fn act(&mut self) {
        self.waiting = None;
    }

    /// Something came of it.
    pub fn made(&mut self, now: Instant) {
        self.acted = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When it acts on changes at these times, all in tenths of a second, where something comes of each.
    fn acts(min: u32, max: u32, changes: &[u32]) -> Vec<u32> {
        acts_and_makes(min, max, changes, |_| true)
    }

    /// The same where something comes of some alone.
    fn acts_and_makes(min: u32, max: u32, changes: &[u32], makes: fn(u32) -> bool) -> Vec<u32> {
        const TENTH: Duration = Duration::from_millis(100);
        let begin = Instant::now();
        let mut debounce = Debounce::new(Interval {
            min: TENTH * min,
            max: TENTH * max,
        });
        let mut acts = Vec::new();
        for now in 0..200 {
            if changes.contains(&now) {
                debounce.note(begin + TENTH * now);
            }
            if debounce.due().is_some_and(|due| due <= begin + TENTH * now) {
                debounce.act();
                if makes(now) {
                    debounce.made(begin + TENTH * now);
                }
                acts.push(now);
            }
        }
        acts
    }

    #[test]
    fn the_first_change_of_a_quiet_time_counts_at_once_and_further_ones_are_gathered() {
        assert_eq!(acts(0, 20, &[5]), [5]);
        assert_eq!(acts(0, 20, &[5, 6, 10, 24]), [5, 25]);
        assert_eq!(acts(0, 20, &[5, 6, 26, 100]), [5, 25, 45, 100]);
    }

    #[test]
    fn what_changes_no_bytes_holds_up_nothing() {
        let acts = acts_and_makes(0, 20, &[5, 6, 8, 9], |now| now == 8);
        assert_eq!(acts, [5, 6, 8, 28]);
    }

    #[test]
    fn without_an_interval_every_change_counts_at_once() {
        assert_eq!(acts(0, 0, &[5, 6, 7]), [5, 6, 7]);
    }

    /// docker-pygen 0.5/2: a change every 0.2 s for 4 s is acted upon at 2 s and 4 s, a single one after 0.5 s.
    #[test]
    fn with_a_least_interval_it_waits_for_quiet_and_no_longer_than_the_longest() {
        assert_eq!(acts(5, 20, &[0]), [5]);
        let busy: Vec<u32> = (0..40).step_by(2).collect();
        assert_eq!(acts(5, 20, &busy)[0], 20);
        assert_eq!(acts(5, 20, &busy).len(), 2);
        assert_eq!(acts(10, 10, &[0, 5]), [10]);
    }
}
