use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A signal that tells a server to read its configuration again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Signal(nix::sys::signal::Signal);

/// A word that names no signal.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is no signal; write a name such as HUP or SIGUSR1, or its number")]
pub struct SignalError(String);

impl Signal {
    /// What nginx, haproxy, mosquitto and most servers read as "load your configuration again".
    pub const HUP: Self = Self(nix::sys::signal::Signal::SIGHUP);
    /// What asks a process to end; by which Docker stops a container that has no stop signal.
    pub const TERM: Self = Self(nix::sys::signal::Signal::SIGTERM);
    /// What most servers read as "end, and let visitors finish".
    pub const QUIT: Self = Self(nix::sys::signal::Signal::SIGQUIT);

    /// The system's number for it.
    pub fn number(self) -> i32 {
        self.0 as i32
    }
}

impl FromStr for Signal {
    type Err = SignalError;

    /// Reads `HUP`, `SIGHUP` or `1`, in any case.
    fn from_str(word: &str) -> Result<Self, Self::Err> {
        let upper = word.to_ascii_uppercase();
        let name = format!("SIG{}", upper.strip_prefix("SIG").unwrap_or(&upper));
        let by_number = || {
            word.parse::<i32>()
                .ok()
                .and_then(|number| number.try_into().ok())
        };
        nix::sys::signal::Signal::from_str(&name)
            .ok()
            .or_else(by_number)
            .map(Self)
            .ok_or_else(|| SignalError(word.to_owned()))
    }
}

impl fmt::Display for Signal {
    /// Without `SIG`, as the engine and people write it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.0.as_str();
        f.write_str(name.strip_prefix("SIG").unwrap_or(name))
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
        for word in ["", "HUPP", "0", "999", "-1"] {
            assert_eq!(
                word.parse::<Signal>(),
                Err(SignalError(word.into())),
                "{word}"
            );
        }
        assert_eq!(Signal::HUP.to_string(), "HUP");
    }
}
