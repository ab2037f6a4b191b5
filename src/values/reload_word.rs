use super::{Signal, SignalError};

/// The way to make a server read its files again, as labels and settings say it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReloadWord {
    /// A signal to its first process.
    Signal(Signal),
    /// These words, run in it.
    Exec(Vec<String>),
    /// A restart of its container.
    Restart,
    /// Not at all.
    None,
}

impl ReloadWord {
    /// Reads `HUP`, `exec WORDS…`, `restart` or `none`.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(value: &str) -> Result<Self, String> {
        match (value.to_ascii_lowercase().as_str(), exec_words(value)) {
            ("none", _) => Ok(Self::None),
            ("restart", _) => Ok(Self::Restart),
            (_, Some(words)) => match words? {
                words if words.is_empty() => Err("there are no words to run".to_owned()),
                words => Ok(Self::Exec(words)),
            },
            _ => value
                .parse()
                .map(Self::Signal)
                .map_err(|error: SignalError| error.to_string()),
        }
    }
}

/// The words behind `exec`, split as a shell splits; none where it does not begin so.
pub fn exec_words(value: &str) -> Option<Result<Vec<String>, String>> {
    let (first, rest) = value.split_once(char::is_whitespace).unwrap_or((value, ""));
    if !first.eq_ignore_ascii_case("exec") {
        return None;
    }
    // Steps are told line by line.
    Some(match rest.contains(char::is_control) {
        true => Err("it has line breaks or other control characters".to_owned()),
        false => {
            shell_words::split(rest).map_err(|_| "it has a quote that is not closed".to_owned())
        }
    })
}
