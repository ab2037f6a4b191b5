use std::{cell::RefCell, collections::VecDeque, time::Duration};

use crate::ports::Clock;

const SECOND: Duration = Duration::from_secs(1);

/// Number of new orders that a CA takes in any second. The limit is kept where orders are sent: the time that each
/// takes to get there is known nowhere else.
pub(super) struct Pace {
    most: Option<u32>,
    /// When the last were sent, by the clock that nobody sets.
    sent: RefCell<VecDeque<Duration>>,
}

impl Pace {
    pub(super) fn new(most: Option<u32>) -> Self {
        Self {
            most,
            sent: RefCell::default(),
        }
    }

    /// Waits until one more may be sent, and counts that one.
    pub(super) async fn wait(&self, clock: &dyn Clock) {
        let Some(most) = self.most.and_then(|most| usize::try_from(most).ok()) else {
            return;
        };
        while let Some(wait) = self.next(most, clock.elapsed()) {
            clock.sleep(wait).await;
        }
    }

    /// Time that the next order has to wait; where that is none, the order is counted.
    fn next(&self, most: usize, now: Duration) -> Option<Duration> {
        let mut sent = self.sent.borrow_mut();
        while sent.front().is_some_and(|first| *first + SECOND < now) {
            sent.pop_front();
        }
        if sent.len() < most {
            sent.push_back(now);
            return None;
        }
        let first = sent.front().copied().unwrap_or_default();
        Some((first + SECOND).saturating_sub(now) + Duration::from_millis(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_no_second_more_are_sent_than_there_may_be() {
        let pace = Pace::new(Some(9));
        let (mut now, mut sent) = (Duration::ZERO, Vec::new());
        for step in 0..100_u64 {
            now += Duration::from_millis(step * 37 % 120);
            while let Some(wait) = pace.next(9, now) {
                assert!(wait <= SECOND + Duration::from_millis(1));
                now += wait;
            }
            sent.push(now);
        }
        for first in &sent {
            let near = sent
                .iter()
                .filter(|time| **time >= *first && time.saturating_sub(*first) <= SECOND);
            assert!(near.count() <= 9, "{first:?}");
        }
        // A second passes for each nine of them, and not much more.
        assert!(now < Duration::from_secs(14), "{now:?}");
    }
}
