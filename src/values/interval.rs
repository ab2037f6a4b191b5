use std::time::Duration;

use thiserror::Error;

/// Time for which changes are gathered before something is done about them, at least and at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    /// Time without any change. Zero: the first change of a quiet time counts at once.
    pub min: Duration,
    /// The longest that changes wait. Zero: every change counts at once.
    pub max: Duration,
}

/// Nobody waits longer; and a time that far ahead can still be shown.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Words that are no interval.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("an interval of {0:?}: {1}; write MIN and MAX in seconds or as 500ms, such as `0 2`")]
pub struct IntervalError(String, String);

impl Default for Interval {
    /// A change that one person makes is seen at once, and a stack that starts is one change or two.
    fn default() -> Self {
        Self {
            min: Duration::ZERO,
            max: Duration::from_secs(2),
        }
    }
}

impl Interval {
    /// Reads MIN and MAX, in seconds or with a unit; one value is both.
    ///
    /// # Errors
    /// When there are none or more than two, one is no length of time, or MIN is longer than MAX.
    pub fn read(words: &[&str]) -> Result<Self, IntervalError> {
        let wrong = |problem: &str| IntervalError(words.join(" "), problem.to_owned());
        let lengths: Option<Vec<_>> = words.iter().map(|word| length(word)).collect();
        let (min, max) = match lengths.ok_or_else(|| wrong("that is not a length of time"))?[..] {
            [both] => (both, both),
            [min, max] => (min, max),
            _ => return Err(wrong("it takes one value or two")),
        };
        if min > max {
            return Err(wrong("MIN is longer than MAX"));
        }
        if max > LONGEST {
            return Err(wrong("it is longer than a year"));
        }
        Ok(Self { min, max })
    }
}

fn length(word: &str) -> Option<Duration> {
    match word.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok(),
        Err(_) => humantime::parse_duration(word).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_read_in_seconds_or_with_a_unit() {
        let millis = |min, max| Interval {
            min: Duration::from_millis(min),
            max: Duration::from_millis(max),
        };
        for (words, expected) in [
            (&["0", "2"][..], Interval::default()),
            (&["0.5", "2"], millis(500, 2000)),
            (&["500ms", "1m"], millis(500, 60_000)),
            (&["3"], millis(3000, 3000)),
            (&["0"], millis(0, 0)),
        ] {
            assert_eq!(Interval::read(words), Ok(expected), "{words:?}");
        }
    }

    #[test]
    fn what_is_no_interval_says_why() {
        for (words, why) in [
            (&["3", "2"][..], "MIN is longer"),
            (&["soon"], "not a length of time"),
            (&["-1"], "not a length of time"),
            (&["0", "1e18"], "longer than a year"),
            (&["99999999999y"], "longer than a year"),
            (&["NaN"], "not a length of time"),
            (&["1", "2", "3"], "one value or two"),
            (&[], "one value or two"),
        ] {
            let told = Interval::read(words).expect_err("it is none").to_string();
            assert!(told.contains(why), "{told}");
        }
    }
}
