//! For how long a site is kept whose bearers are away: requests to it are answered with 503 and its certificate, so
//! that a new version of an app can take the place of the old one.

use std::{fmt, time::Duration};

use super::Kept;
use crate::values::Timestamp;

/// For how long a bearer that was removed still counts. To make a bearer anew takes seconds, to build its image
/// first some minutes.
const REMEMBERED_FOR: Duration = Duration::from_secs(10 * 60);

/// When a bearer that was removed does not count any more.
pub fn forgotten_at(removed: Timestamp) -> Timestamp {
    removed + REMEMBERED_FOR
}

/// True if a removed bearer counts no more. A removal in the future, after a clock was set back, would otherwise count
/// for as long as that.
pub fn is_forgotten(removed: Timestamp, now: Timestamp) -> bool {
    forgotten_at(removed) <= now || now + REMEMBERED_FOR < removed
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.until {
            None => f.write_str("does not run; until it is started or removed"),
            Some(until) => write!(f, "was removed; until {until}"),
        }
    }
}
