use std::{
    fmt,
    ops::{Add, Sub},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use thiserror::Error;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// A point in time, in milliseconds since 1970 UTC. Only `adapters::clock` makes one from "now".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Timestamp(i64);

/// 0000-01-01T00:00:00Z and 9999-12-31T23:59:59.999Z: the first and the last that RFC 3339 can write.
const EARLIEST: i64 = -62_167_219_200_000;
/// See [`EARLIEST`].
const LATEST: i64 = 253_402_300_799_999;

/// A text that is no RFC 3339 date and time.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is not a date and time like 2026-11-22T18:17:00Z")]
pub struct TimestampError(String);

impl Timestamp {
    /// Whole seconds since 1970 UTC.
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// Milliseconds since 1970 UTC.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since 1970 UTC.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Reads `2026-11-22T18:17:00.123456789Z`, with any offset.
    ///
    /// <https://www.rfc-editor.org/rfc/rfc3339#section-5.6>
    ///
    /// # Errors
    /// When the text is no such date and time.
    pub fn parse(text: &str) -> Result<Self, TimestampError> {
        let read =
            OffsetDateTime::parse(text, &Rfc3339).map_err(|_| TimestampError(text.to_owned()))?;
        let millis = read.unix_timestamp() * 1000 + i64::from(read.millisecond());
        Ok(Self(millis))
    }

    /// The same as a date. What lies before the year 0 or after 9999, which no date can say, becomes the nearest that
    /// can: times come from outside, and writing one must not end the program.
    fn date(self) -> OffsetDateTime {
        let millis = self.0.clamp(EARLIEST, LATEST);
        let date = OffsetDateTime::from_unix_timestamp_nanos(i128::from(millis) * 1_000_000);
        date.expect("years of four digits are dates")
    }

    /// Time from `earlier` to `self`; zero when `self` is not later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0).max(0).unsigned_abs())
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, length: Duration) -> Self {
        Self(
            self.0
                .saturating_add(i64::try_from(length.as_millis()).unwrap_or(i64::MAX)),
        )
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;

    fn sub(self, length: Duration) -> Self {
        Self(
            self.0
                .saturating_sub(i64::try_from(length.as_millis()).unwrap_or(i64::MAX)),
        )
    }
}

impl fmt::Display for Timestamp {
    /// In UTC, to the second.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = self.date().truncate_to_second();
        f.write_str(&whole.format(&Rfc3339).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}ms", self.0)
    }
}

impl From<Timestamp> for String {
    fn from(timestamp: Timestamp) -> Self {
        let date = timestamp.date().format(&Rfc3339);
        date.expect("years of four digits can be written")
    }
}

impl TryFrom<String> for Timestamp {
    type Error = TimestampError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engines_write_times_in_several_ways() {
        let expected = Timestamp::from_millis(1_795_371_420_123);
        for text in [
            "2026-11-22T18:17:00.123456789Z",
            "2026-11-22T19:17:00.123+01:00",
        ] {
            assert_eq!(Timestamp::parse(text), Ok(expected), "{text}");
        }
        assert!(
            Timestamp::parse("0001-01-01T00:00:00Z")
                .is_ok_and(|never| never < Timestamp::from_seconds(0))
        );
        assert!(Timestamp::parse("yesterday").is_err());
    }

    #[test]
    fn it_is_stored_to_the_millisecond() {
        let stored = Timestamp::from_millis(1_795_371_420_120);
        assert_eq!(Timestamp::try_from(String::from(stored)), Ok(stored));
        assert_eq!(stored.to_string(), "2026-11-22T18:17:00Z");
    }

    #[test]
    fn a_time_that_no_date_can_say_is_written_as_the_nearest_that_can() {
        for (millis, written) in [
            (i64::MAX, "9999-12-31T23:59:59Z"),
            (LATEST + 1, "9999-12-31T23:59:59Z"),
            (EARLIEST - 1, "0000-01-01T00:00:00Z"),
            (i64::MIN, "0000-01-01T00:00:00Z"),
        ] {
            let time = Timestamp::from_millis(millis);
            assert_eq!(time.to_string(), written);
            let stored = Timestamp::try_from(String::from(time)).expect("it can be read again");
            assert_eq!(stored.to_string(), written);
        }
    }

    #[test]
    fn spans_never_run_backwards() {
        let (early, late) = (Timestamp::from_seconds(1), Timestamp::from_seconds(3));
        assert_eq!(late.since(early), Duration::from_secs(2));
        assert_eq!(early.since(late), Duration::ZERO);
        assert_eq!(late - Duration::from_secs(2), early);
    }
}
