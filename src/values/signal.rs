use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A signal that makes a server read its configuration again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Signal(i32);

/// A word that names no signal.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is not a signal; write a name such as HUP or SIGUSR1, its number, or RTMIN+3")]
pub struct SignalError(String);

/// The numbers of real-time signals, as Docker counts them on Linux: the C library keeps the two before for itself.
const RTMIN: i32 = 34;
const RTMAX: i32 = 64;

impl Signal {
    /// The signal that nginx, haproxy, mosquitto and most servers read as "load your configuration again".
    pub const HUP: Self = Self(nix::sys::signal::Signal::SIGHUP as i32);
    /// The signal that asks a process to end; by it Docker stops a container that has no stop signal.
    pub const TERM: Self = Self(nix::sys::signal::Signal::SIGTERM as i32);
    /// The signal that most servers read as "end, and let visitors finish".
    pub const QUIT: Self = Self(nix::sys::signal::Signal::SIGQUIT as i32);

    /// The system's number for it.
    pub fn number(self) -> i32 {
        self.0
    }

    /// The word that every engine knows it by: a name, or the number of a real-time signal, of which engines name some
    /// alone.
    pub fn engines_word(self) -> String {
        match self.0 {
            number @ RTMIN..=RTMAX => number.to_string(),
            _ => self.to_string(),
        }
    }

    fn of_number(number: i32) -> Option<Self> {
        let is_one =
            nix::sys::signal::Signal::try_from(number).is_ok() || (RTMIN..=RTMAX).contains(&number);
        is_one.then_some(Self(number))
    }

    /// Reads `RTMIN`, `RTMIN+3`, `RTMAX` or `RTMAX-3`, in upper case and without `SIG`.
    fn of_realtime(name: &str) -> Option<Self> {
        let (start, rest, sign) = match (name.strip_prefix("RTMIN"), name.strip_prefix("RTMAX")) {
            (Some(rest), _) => (RTMIN, rest, '+'),
            (None, Some(rest)) => (RTMAX, rest, '-'),
            (None, None) => return None,
        };
        let steps = match rest.strip_prefix(sign) {
            None if rest.is_empty() => 0,
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse::<i32>().ok()?
            }
            _ => return None,
        };
        let number = if sign == '+' {
            start.checked_add(steps)?
        } else {
            start.checked_sub(steps)?
        };
        (RTMIN..=RTMAX).contains(&number).then_some(Self(number))
    }
}

impl FromStr for Signal {
    type Err = SignalError;

    /// Reads `HUP`, `SIGHUP`, `1` or `RTMIN+3`, in any case.
    fn from_str(word: &str) -> Result<Self, Self::Err> {
        let upper = word.to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        let by_name = nix::sys::signal::Signal::from_str(&format!("SIG{name}"));
        by_name
            .ok()
            .map(|signal| Self(signal as i32))
            .or_else(|| Self::of_realtime(name))
            .or_else(|| Self::of_number(word.parse().ok()?))
            .ok_or_else(|| SignalError(word.to_owned()))
    }
}

impl fmt::Display for Signal {
    /// Without `SIG`, as the engine and people write it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match nix::sys::signal::Signal::try_from(self.0) {
            Ok(named) => {
                let name = named.as_str();
                f.write_str(name.strip_prefix("SIG").unwrap_or(name))
            }
            Err(_) if self.0 == RTMIN => f.write_str("RTMIN"),
            Err(_) => write!(f, "RTMIN+{}", self.0 - RTMIN),
        }
    }
}

impl From<Signal> for String {
    fn from(signal: Signal) -> Self {
        signal.to_string()
    }
}

impl TryFrom<String> for Signal {
    type Error = SignalError;

    fn try_from(word: String) -> Result<Self, Self::Error> {
        word.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_read_by_name_and_number() {
        for word in ["HUP", "SIGHUP", "sighup", "1"] {
            assert_eq!(word.parse(), Ok(Signal::HUP), "{word}");
        }
        for word in [
            "",
            "HUPP",
            "0",
            "999",
            "-1",
            "32",
            "33",
            "65",
            "RTMIN+31",
            "RTMIN-1",
            "RTMIN+",
            "RTMIN++1",
            "RTMAX+1",
            "RTMAX-31",
            "RTMIN+99999999999",
        ] {
            assert_eq!(
                word.parse::<Signal>(),
                Err(SignalError(word.into())),
                "{word}"
            );
        }
        assert_eq!(Signal::HUP.to_string(), "HUP");
    }

    #[test]
    fn real_time_signals_are_read_as_docker_reads_them() {
        for (word, number, shown) in [
            ("RTMIN", 34, "RTMIN"),
            ("SIGRTMIN+3", 37, "RTMIN+3"),
            ("rtmin+30", 64, "RTMIN+30"),
            ("RTMAX", 64, "RTMIN+30"),
            ("sigrtmax-14", 50, "RTMIN+16"),
            ("37", 37, "RTMIN+3"),
        ] {
            let signal: Signal = word.parse().expect("it is one");
            assert_eq!(
                (signal.number(), signal.to_string().as_str()),
                (number, shown)
            );
            assert_eq!(signal.engines_word(), number.to_string());
            assert_eq!(shown.parse(), Ok(signal), "it is read again from a record");
        }
        assert_eq!(Signal::HUP.engines_word(), "HUP");
    }
}
