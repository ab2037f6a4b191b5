use std::{fmt, path::PathBuf, sync::Arc};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The longest name of an engine; it stands in names of files behind that of a container.
const LONGEST_NAME: usize = 32;

/// The name of a further engine: that of its table `[engine.NAME]`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EngineName(Arc<str>);

impl EngineName {
    /// Takes a word.
    ///
    /// # Errors
    /// When it has anything but lower-case letters, digits and hyphens, or too many of them.
    pub fn parse(word: &str) -> Result<Self, EngineTableError> {
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let is_name = !word.is_empty() && word.len() <= LONGEST_NAME && word.chars().all(is_plain);
        match is_name {
            true => Ok(Self(word.into())),
            false => Err(EngineTableError {
                name: word.to_owned(),
                problem: format!(
                    "its name may have a-z, 0-9 and - alone, and at most {LONGEST_NAME} of them"
                ),
            }),
        }
    }

    /// The name itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EngineName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<EngineName> for String {
    fn from(name: EngineName) -> Self {
        name.as_str().to_owned()
    }
}

impl TryFrom<String> for EngineName {
    type Error = EngineTableError;

    fn try_from(word: String) -> Result<Self, Self::Error> {
        Self::parse(&word)
    }
}

/// The settings of a table `[engine.NAME]`, as far as they are there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EngineSettings {
    /// Where its API is.
    pub address: String,
    /// The folder with the files of a TLS connection.
    pub tls: Option<PathBuf>,
    /// The host at which the ports that it publishes are reached; that of its address where none is said.
    pub host: Option<String>,
}

/// A table `[engine.NAME]` that can't be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("[engine.{name}]: {problem}")]
pub struct EngineTableError {
    /// The engine's name.
    name: String,
    /// The problem, and the remedy.
    problem: String,
}

/// The addresses that an engine can have.
const SCHEMES: &[&str] = &["unix:///", "/", "tcp://", "http://", "https://", "ssh://"];

impl EngineSettings {
    /// An engine's name and settings.
    ///
    /// # Errors
    /// When its name is none, or the settings have no address, or one that does not go with the rest.
    pub fn whole(self, name: &str) -> Result<(EngineName, Self), EngineTableError> {
        let wrong = |problem: &str| EngineTableError {
            name: name.to_owned(),
            problem: problem.to_owned(),
        };
        let read = EngineName::parse(name)?;
        if self.address.is_empty() {
            return Err(wrong(
                "it has no address; write address = \"tcp://HOST:2376\", or one with ssh:// or unix://",
            ));
        }
        if !SCHEMES
            .iter()
            .any(|scheme| self.address.starts_with(scheme))
        {
            return Err(wrong(
                "its address must begin with unix://, tcp:// or ssh://, such as tcp://HOST:2376",
            ));
        }
        let is_tls = self.address.starts_with("tcp://") || self.address.starts_with("https://");
        if self.tls.is_some() && !is_tls {
            return Err(wrong("tls is for an address with tcp://; leave it out"));
        }
        Ok((read, self))
    }
}
