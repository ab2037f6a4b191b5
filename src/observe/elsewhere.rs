use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{Bearer, Joined, Mount, MountKind};
use crate::values::EngineName;

/// The place of a bearer on another engine than the one without a name, beside which quaymaster runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Elsewhere {
    /// The engine.
    pub engine: EngineName,
    /// Where the ports are reached that it publishes; none where it is on this machine, too.
    pub host: Option<IpAddr>,
    /// The bearer's owner: its Compose project on that engine. Those that are of none have one together.
    pub owner: Box<str>,
}

impl Bearer {
    /// The bearer as it is seen from here when it is on another engine: its name says so, its project is another than the one
    /// of that name here, and what it mounts lies on none of our volumes, nor in a folder of this machine.
    #[must_use]
    pub fn on(self, engine: &EngineName, host: Option<IpAddr>) -> Self {
        let owner = format!("{}@{engine}", self.project().unwrap_or_default());
        let joins = self.joins.map(|joins| Joined {
            name: joins.name.map(|name| name.on(engine)),
            ..joins
        });
        let mounts = self.mounts.into_iter();
        Self {
            name: self.name.on(engine),
            elsewhere: Some(Elsewhere {
                engine: engine.clone(),
                host,
                owner: owner.into(),
            }),
            joins,
            mounts: mounts.map(|mount| mount.on(engine)).collect(),
            ..self
        }
    }

    /// Its engine's name; none for the engine that has none.
    pub fn engine(&self) -> Option<&EngineName> {
        self.elsewhere.as_ref().map(|elsewhere| &elsewhere.engine)
    }

    /// True if both are on one engine.
    pub fn is_beside(&self, other: &Self) -> bool {
        self.engine() == other.engine()
    }

    /// Whose it is: its Compose project, with the engine's name behind it where that has one. None for all those together
    /// that are of no project on the engine without a name.
    pub fn owner(&self) -> Option<&str> {
        match &self.elsewhere {
            Some(elsewhere) => Some(&elsewhere.owner),
            None => self.project(),
        }
    }
}

impl Mount {
    /// The mount as it is seen from here when its container is on another engine: others there share it, and nobody here.
    fn on(self, engine: &EngineName) -> Self {
        let kind = match self.kind {
            MountKind::Volume {
                name,
                driver,
                subpath,
                ..
            } => MountKind::Volume {
                name,
                driver: format!("{driver}@{engine}"),
                source: Default::default(),
                subpath,
            },
            // A folder of that machine is as part of a volume that holds all of it.
            MountKind::Bind { source } => MountKind::Volume {
                name: "/".to_owned(),
                driver: format!("@{engine}"),
                subpath: source.strip_prefix("/").unwrap_or(&source).to_owned(),
                source: Default::default(),
            },
            MountKind::Private => MountKind::Private,
        };
        Self { kind, ..self }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{
        desire::tests::container,
        fixtures::volume,
        observe::{Place, find, locate},
    };

    fn blue() -> EngineName {
        EngineName::parse("blue").expect("a name")
    }

    fn bind(source: &str, destination: &str) -> Mount {
        Mount {
            kind: MountKind::Bind {
                source: source.into(),
            },
            destination: destination.into(),
            writable: true,
        }
    }

    #[test]
    fn what_is_mounted_elsewhere_is_shared_there_and_nowhere_else() {
        let mut here = container("web", 4);
        here.mounts = vec![volume("certs", "/certs", true), bind("/srv/a", "/a")];
        let mut other = container("mail", 5);
        other.mounts = vec![volume("certs", "/tls", true), bind("/srv", "/srv")];
        let [there, beside] = [here.clone(), other.clone()].map(|it| it.on(&blue(), None));
        for path in ["/certs/x", "/a/x"] {
            let path = Path::new(path);
            let place = |bearer: &Bearer| locate(&bearer.mounts, path).expect("a place");
            let found = |bearer: &Bearer, place: &Place| find(&bearer.mounts, place, false);
            assert!(found(&other, &place(&here)).is_some(), "{path:?}");
            assert_eq!(
                found(&beside, &place(&there)),
                found(&other, &place(&here)),
                "{path:?}"
            );
            assert_eq!(found(&other, &place(&there)), None, "{path:?}");
            assert_eq!(found(&beside, &place(&here)), None, "{path:?}");
            assert!(!place(&here).is(&place(&there)), "{path:?}");
        }
    }

    #[test]
    fn owners_of_one_name_on_two_engines_are_two() {
        let plain = container("web", 4);
        let mut of_shop = plain.clone();
        let project = "com.docker.compose.project".to_owned();
        of_shop.labels.insert(project, "shop".to_owned());
        let there = of_shop.clone().on(&blue(), None);
        assert_eq!(
            (of_shop.owner(), there.owner()),
            (Some("shop"), Some("shop@blue"))
        );
        assert_eq!(there.project(), Some("shop"));
        let owner = plain.clone().on(&blue(), None);
        assert_eq!((plain.owner(), owner.owner()), (None, Some("@blue")));
        assert_eq!(owner.name.as_str(), "web@blue");
        assert!(owner.is_beside(&there) && !owner.is_beside(&plain));
    }
}
