use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize, Serializer};
use thiserror::Error;

use super::{EngineName, Host};

/// A word that can't be used as a name of ours, because it could lead out of a folder or hide in it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "{0:?} can't be a name: use letters, digits, `.`, `_` and `-`, beginning with a letter, a digit or `_`"
)]
pub struct NameError(pub String);

/// One path component that leads nowhere else: not empty, not hidden, no separators, at most 255 bytes.
fn component(word: String) -> Result<String, NameError> {
    let first = word.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
    let rest = word
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
    match first && rest && word.len() <= 255 {
        true => Ok(word),
        false => Err(NameError(word)),
    }
}

/// A container's name as its engine has it, or followed by `@` and the name of that engine: no container is called so.
fn container(word: String) -> Result<String, NameError> {
    let Some((name, engine)) = word.split_once('@') else {
        return component(word);
    };
    match (component(name.to_owned()), EngineName::parse(engine)) {
        (Ok(_), Ok(_)) if word.len() <= 255 => Ok(word),
        _ => Err(NameError(word)),
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $read:ident) => {
        $(#[$doc])*
        ///
        /// Copies share one text: with thousands of containers, each name stands in a dozen places.
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
        #[serde(try_from = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes a word that is one plain path component.
            ///
            /// # Errors
            /// When it is empty, hidden, too long, or has characters that mean something to a path.
            pub fn parse(word: impl Into<String>) -> Result<Self, NameError> {
                $read(word.into()).map(|word| Self(word.into()))
            }

            /// The name itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.as_str().to_owned()
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(word: String) -> Result<Self, Self::Error> {
                Self::parse(word)
            }
        }
    };
}

name! {
    /// A certificate's name on disk: the folder in `live/`.
    CertificateName, component
}
name! {
    /// A container's name, without Docker's leading slash; one on another engine is followed by `@` and that engine's name.
    ContainerName, container
}
name! {
    /// The engine's own, unchanging word for a container.
    ContainerId, component
}
name! {
    /// A file in a consumer's folder.
    FileName, component
}

impl ContainerName {
    /// Who asks for what the settings ask for. No container is called so: the engine's names begin with a letter or a
    /// digit.
    pub fn of_settings() -> Self {
        Self("_settings".into())
    }

    /// The same name on another engine.
    pub fn on(&self, engine: &EngineName) -> Self {
        Self(format!("{self}@{engine}").into())
    }

    /// The engine that it is on; none where that is the one without a name.
    pub fn engine(&self) -> Option<&str> {
        self.0.split_once('@').map(|(_, engine)| engine)
    }

    /// True if it is the settings, and no container.
    pub fn is_settings(&self) -> bool {
        self.as_str() == "_settings"
    }
}

impl ContainerId {
    /// The first twelve digits, by which engines call it among containers of the same network.
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }
}

impl From<&Host> for CertificateName {
    /// The name of one host's certificate, unless a label says otherwise.
    fn from(host: &Host) -> Self {
        Self(host.file_word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_out_of_no_folder() {
        for word in [
            "", ".", "..", ".hidden", "a/b", "/a", "a\0b", "a b", "-r", "ä",
        ] {
            assert_eq!(
                ContainerName::parse(word),
                Err(NameError(word.to_owned())),
                "{word:?}"
            );
        }
        assert!(FileName::parse("a".repeat(256)).is_err());
        for word in [
            "a",
            "stack_proxy_1",
            "_.shop.example",
            "quaymaster-shop.example.conf",
        ] {
            assert_eq!(FileName::parse(word).map(String::from), Ok(word.to_owned()));
        }
    }

    #[test]
    fn a_container_of_another_engine_has_that_one_in_its_name() {
        let engine = EngineName::parse("blue").expect("a name");
        let name = ContainerName::parse("stack_proxy_1")
            .expect("a name")
            .on(&engine);
        assert_eq!(
            (name.as_str(), name.engine()),
            ("stack_proxy_1@blue", Some("blue"))
        );
        assert_eq!(ContainerName::parse(name.as_str()), Ok(name));
        for word in ["@blue", "web@", "web@Blue", "web@a@b", "web@../a"] {
            assert!(ContainerName::parse(word).is_err(), "{word}");
        }
        assert!(FileName::parse("web@blue").is_err());
    }
}
