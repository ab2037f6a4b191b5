use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr,
};

use thiserror::Error;

use super::{EngineName, Host, HostError};

/// A right of containers other than to claim hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Right {
    /// Being a proxy: it is configured, and gets the keys of the sites that it serves.
    Proxy,
    /// Getting keys of certificates that it uses itself.
    Keys,
    /// Having words run in it.
    Exec,
    /// Being restarted.
    Restart,
    /// Getting files through the engine, without a mount.
    Copy,
}

impl Right {
    /// All of them, with their words.
    pub const WORDS: [(&'static str, Self); 5] = [
        ("proxy", Self::Proxy),
        ("keys", Self::Keys),
        ("exec", Self::Exec),
        ("restart", Self::Restart),
        ("copy", Self::Copy),
    ];
}

impl FromStr for Right {
    type Err = GrantsError;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        let found = Self::WORDS.iter().find(|(known, _)| *known == word);
        found
            .map(|(_, right)| *right)
            .ok_or_else(|| GrantsError::Unknown(word.to_owned()))
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Self::WORDS
            .iter()
            .filter(|(_, right)| right == self)
            .try_for_each(|(word, _)| f.write_str(word))
    }
}

/// Who may ask for what: a table whose keys are Compose projects, or one service of a project as `project/service`.
/// What is not in it is not allowed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants(BTreeMap<String, Granted>);

/// The rights in one line of the table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Granted {
    /// As it was written, to be repeated with what is missing.
    written: String,
    hosts: BTreeSet<Pattern>,
    rights: BTreeSet<Right>,
}

/// Hosts that may be claimed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Pattern {
    /// `*`: any.
    Any,
    /// This one; a wildcard stands for every name below its parent, however deep, as nginx serves it.
    Host(Host),
}

/// A table that can't be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum GrantsError {
    /// No TOML.
    #[error("{0}")]
    Toml(String),
    /// A value that is no text.
    #[error("{0} must be a text in quotes, such as \"shop.example proxy\"")]
    NoText(String),
    /// A key that is no project.
    #[error(
        "{0:?} is not a Compose project or project/service; on another engine, write \"project@engine\""
    )]
    Key(String),
    /// A word that is neither a host nor a right.
    #[error("{0:?} is not a right; write {known}, or hosts such as *.shop.example", known = Right::WORDS.map(|(word, _)| word).join(", "))]
    Unknown(String),
    /// A host that is none.
    #[error("{word:?} is not a host: {reason}")]
    Host {
        /// The word as it was written.
        word: String,
        /// The reason.
        reason: HostError,
    },
}

impl Grants {
    /// Reads lines of TOML: `shop = "shop.example *.shop.example keys"`.
    ///
    /// # Errors
    /// The first line that can't be used.
    pub fn parse(text: &str) -> Result<Self, GrantsError> {
        let table: toml::Table = text
            .parse()
            .map_err(|error: toml::de::Error| GrantsError::Toml(error.message().to_owned()))?;
        let lines = table.into_iter().map(|(key, value)| match value {
            toml::Value::String(words) => Ok((checked(key)?, granted(&words)?)),
            _ => Err(GrantsError::NoText(key)),
        });
        Ok(Self(lines.collect::<Result<_, _>>()?))
    }

    /// True if a service of a project has this right.
    pub fn allows(&self, project: &str, service: &str, right: Right) -> bool {
        self.of(project, service)
            .any(|granted| granted.rights.contains(&right))
    }

    /// True if a service of a project may claim this host.
    pub fn allows_host(&self, project: &str, service: &str, host: &Host) -> bool {
        self.of(project, service)
            .any(|granted| granted.hosts.iter().any(|pattern| pattern.allows(host)))
    }

    /// The line of a project with this word added.
    pub fn line_with(&self, project: &str, word: &str) -> String {
        let written = self
            .0
            .get(project)
            .map_or("", |granted| granted.written.as_str());
        let words = format!("{written} {word}");
        format!("{} = {:?}", Self::key(project), words.trim_start())
    }

    /// A project as TOML has it before the `=`.
    pub fn key(project: &str) -> Cow<'_, str> {
        match project.contains(['@', '.']) {
            true => format!("{project:?}").into(),
            false => project.into(),
        }
    }

    fn of(&self, project: &str, service: &str) -> impl Iterator<Item = &Granted> {
        [
            self.0.get(project),
            self.0.get(&format!("{project}/{service}")),
        ]
        .into_iter()
        .flatten()
    }
}

impl Pattern {
    fn allows(&self, host: &Host) -> bool {
        match self {
            Self::Any => true,
            Self::Host(pattern) if pattern.is_wildcard() => {
                let below = &pattern.as_str()[1..];
                pattern == host || host.address().is_none() && host.as_str().ends_with(below)
            }
            Self::Host(pattern) => pattern == host,
        }
    }
}

fn checked(key: String) -> Result<String, GrantsError> {
    let plain = |part: &str| {
        !part.is_empty()
            && part
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    let (project, service) = key
        .split_once('/')
        .map_or((key.as_str(), None), |(one, other)| (one, Some(other)));
    // Where the engine has a name, those that are of no project there are called by that alone.
    let is_owner = match project.split_once('@') {
        Some((project, engine)) => {
            (project.is_empty() || plain(project)) && EngineName::parse(engine).is_ok()
        }
        None => plain(project),
    };
    match is_owner && service.is_none_or(plain) {
        true => Ok(key),
        false => Err(GrantsError::Key(key)),
    }
}

fn granted(words: &str) -> Result<Granted, GrantsError> {
    let mut granted = Granted {
        written: words.trim().to_owned(),
        ..Granted::default()
    };
    for word in words
        .split([' ', ',', '\t', '\n'])
        .filter(|word| !word.is_empty())
    {
        if word == "*" {
            granted.hosts.insert(Pattern::Any);
        } else if word.contains(['.', '*', ':']) {
            let host = Host::parse(word).map_err(|reason| GrantsError::Host {
                word: word.to_owned(),
                reason,
            })?;
            granted.hosts.insert(Pattern::Host(host));
        } else {
            granted.rights.insert(word.parse()?);
        }
    }
    Ok(granted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_in_the_table_is_allowed() {
        let text = "edge = \"mqtt.example proxy keys\"\n\"edge/helper\" = \"exec\"\nshop = \"shop.example, *.shop.example\"";
        let grants = Grants::parse(text).unwrap();
        for (project, service, right, allowed) in [
            ("edge", "proxy", Right::Proxy, true),
            ("edge", "proxy", Right::Exec, false),
            ("edge", "helper", Right::Exec, true),
            ("edge", "helper", Right::Keys, true),
            ("shop", "shop", Right::Proxy, false),
            ("other", "helper", Right::Keys, false),
        ] {
            assert_eq!(
                grants.allows(project, service, right),
                allowed,
                "{project}/{service} {right}"
            );
        }
        for (project, host, allowed) in [
            ("edge", "mqtt.example", true),
            ("edge", "a.mqtt.example", false),
            ("shop", "shop.example", true),
            ("shop", "a.shop.example", true),
            ("shop", "a.b.shop.example", true),
            ("shop", "*.shop.example", true),
            ("shop", "*.a.shop.example", true),
            ("shop", "ashop.example", false),
            ("shop", "*.example", false),
            ("other", "shop.example", false),
        ] {
            assert_eq!(
                grants.allows_host(project, "any", &Host::parse(host).unwrap()),
                allowed,
                "{project} {host}"
            );
        }
        assert_eq!(
            grants.line_with("edge", "exec"),
            r#"edge = "mqtt.example proxy keys exec""#
        );
        assert_eq!(
            grants.line_with("new", "new.example"),
            r#"new = "new.example""#
        );
    }

    #[test]
    fn projects_of_another_engine_have_its_name_behind_theirs() {
        let text =
            "\"shop@blue\" = \"shop.example\"\n\"shop@blue/web\" = \"keys\"\n\"@blue\" = \"exec\"";
        let grants = Grants::parse(text).unwrap();
        let host = Host::parse("shop.example").unwrap();
        assert!(grants.allows_host("shop@blue", "web", &host));
        assert!(!grants.allows_host("shop", "web", &host));
        assert!(grants.allows("shop@blue", "web", Right::Keys));
        assert!(grants.allows("@blue", "web", Right::Exec));
        let line = grants.line_with("shop@blue", "proxy");
        assert_eq!(line, r#""shop@blue" = "shop.example proxy""#);
        assert!(Grants::parse(&line).is_ok());
        for key in ["shop@", "shop@Blue", "a b@blue", "@"] {
            assert!(
                Grants::parse(&format!("{key:?} = \"keys\"")).is_err(),
                "{key}"
            );
        }
    }

    #[test]
    fn a_star_alone_is_any_host_and_addresses_are_hosts() {
        let grants = Grants::parse("all = \"*\"\none = \"::1 10.0.0.1\"").unwrap();
        for host in ["shop.example", "*.shop.example", "10.0.0.1", "::1"] {
            let host = Host::parse(host).unwrap();
            assert!(grants.allows_host("all", "any", &host), "{host}");
            assert_eq!(
                grants.allows_host("one", "any", &host),
                host.address().is_some(),
                "{host}"
            );
        }
    }

    #[test]
    fn what_can_not_be_meant_is_told() {
        for (text, expected) in [
            (
                "edge = \"prox\"",
                r#""prox" is not a right; write proxy, keys, exec, restart, copy, or hosts such as *.shop.example"#,
            ),
            (
                "edge = \"a*.example\"",
                r#""a*.example" is not a host: `*` can only be the whole first part, as in *.shop.example"#,
            ),
            ("edge = 1", "edge must be a text in quotes"),
            (
                "\"a b\" = \"keys\"",
                r#""a b" is not a Compose project or project/service"#,
            ),
            (
                "\"a/\" = \"keys\"",
                r#""a/" is not a Compose project or project/service"#,
            ),
        ] {
            let told = Grants::parse(text).unwrap_err().to_string();
            assert!(told.starts_with(expected), "{told}");
        }
        assert!(matches!(
            Grants::parse("edge proxy"),
            Err(GrantsError::Toml(_))
        ));
    }
}
