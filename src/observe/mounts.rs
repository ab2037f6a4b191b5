use std::{
    fmt,
    path::{Component, Path, PathBuf},
};

use serde::{Deserialize, Serialize};

/// Something mounted into a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// The kind of its source.
    pub kind: MountKind,
    /// Where it appears in the container.
    pub destination: PathBuf,
    /// True if the container may write there.
    pub writable: bool,
}

/// The kind of a mount's source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MountKind {
    /// A named or anonymous volume.
    Volume {
        /// Its name.
        name: String,
        /// Its driver; the same name under another driver is another volume.
        driver: String,
        /// The place where the engine's host keeps it, if the driver names it.
        source: PathBuf,
        /// The folder inside the volume that is mounted, when not the whole.
        subpath: PathBuf,
    },
    /// A folder or file of the engine's host.
    Bind {
        /// Its path on the host.
        source: PathBuf,
    },
    /// Anything whose contents no other container can share: tmpfs, an image, what is not known yet.
    Private,
}

/// Where a path of a container really lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a volume.
    Volume {
        /// The volume's name.
        name: String,
        /// Its driver.
        driver: String,
        /// The path inside it.
        rest: PathBuf,
        /// The same place as a path on the engine's host, if the driver names it.
        on_host: Option<PathBuf>,
    },
    /// On the engine's host.
    Host(PathBuf),
}

impl Place {
    /// Says if both are one place, be it known by a volume or by a path of the host.
    pub fn is(&self, other: &Self) -> bool {
        let in_volume = |place: &Self| match place {
            Self::Volume {
                name, driver, rest, ..
            } => Some((name.clone(), driver.clone(), rest.clone())),
            Self::Host(_) => None,
        };
        let volume = in_volume(self);
        let host = self.on_host();
        volume.is_some() && volume == in_volume(other) || host.is_some() && host == other.on_host()
    }

    /// Its path on the engine's host, where that is known.
    fn on_host(&self) -> Option<&Path> {
        match self {
            Self::Volume { on_host, .. } => on_host.as_deref(),
            Self::Host(path) => Some(path),
        }
    }
}

/// A folder of ours in which others may write, or that lies in such a one. Down to where it is mounted its path is ours
/// and the user's alone, links and all; what is beneath that may be a link that anybody put there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SharedPath {
    path: PathBuf,
    mount: PathBuf,
}

impl SharedPath {
    /// A folder that lies beneath no other one that others may write to.
    pub fn top(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        let mount = path.clone();
        Self { path, mount }
    }

    /// A folder in what is mounted at `mount`; one that lies elsewhere is as one that lies beneath no other.
    pub fn beneath(mount: &Path, path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        let is_beneath = path.starts_with(mount);
        let mount = if is_beneath { mount } else { &path }.to_owned();
        Self { path, mount }
    }

    /// A folder of the container with these mounts, as it sees it.
    pub fn seen(mounts: &[Mount], path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        match mount_of(mounts, &path) {
            Some(mount) => Self::beneath(&mount.destination, path),
            None => Self::top(path),
        }
    }

    /// The folder of this name in it.
    pub fn join(&self, name: &str) -> Self {
        Self {
            path: self.path.join(name),
            mount: self.mount.clone(),
        }
    }

    /// The folder that it lies in, and its name there; none where it is what is mounted itself.
    pub fn split(&self) -> Option<(Self, &str)> {
        let folder = self.path.parent().filter(|_| self.path != self.mount)?;
        let name = self.path.file_name()?.to_str()?;
        let folder = Self {
            path: folder.to_owned(),
            mount: self.mount.clone(),
        };
        Some((folder, name))
    }

    /// The whole path.
    pub fn as_path(&self) -> &Path {
        &self.path
    }

    /// Where it is mounted.
    pub fn mount(&self) -> &Path {
        &self.mount
    }

    /// The steps from there to it.
    pub fn steps(&self) -> impl Iterator<Item = Component<'_>> {
        let inner = self.path.strip_prefix(&self.mount).unwrap_or(Path::new(""));
        inner.components()
    }
}

impl fmt::Display for SharedPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.display().fmt(f)
    }
}

/// Where the engine's host keeps the volume or folder that holds `path`, as the container with these mounts sees it.
pub fn source<'m>(mounts: &'m [Mount], path: &Path) -> Option<&'m Path> {
    match &mount_of(mounts, path)?.kind {
        MountKind::Volume { source, .. } | MountKind::Bind { source } => Some(source),
        MountKind::Private => None,
    }
}

/// Where `path`, as the container with these mounts sees it, really lies; `None` when no mount holds it or the mount
/// can't be shared. The longest destination owns a path, so that nested mounts shadow what is beneath.
pub fn locate(mounts: &[Mount], path: &Path) -> Option<Place> {
    let mount = mount_of(mounts, path)?;
    let rest = path.strip_prefix(&mount.destination).ok()?;
    match &mount.kind {
        MountKind::Volume {
            name,
            driver,
            source,
            subpath,
        } => Some(Place::Volume {
            name: name.clone(),
            driver: driver.clone(),
            rest: join(subpath, rest),
            on_host: source
                .is_absolute()
                .then(|| join(&join(source, subpath), rest)),
        }),
        MountKind::Bind { source } => Some(Place::Host(join(source, rest))),
        MountKind::Private => None,
    }
}

/// The path under which the container with these mounts sees `place`; the reverse of [`locate`]. With `writable`, only
/// where it may write.
pub fn find(mounts: &[Mount], place: &Place, writable: bool) -> Option<PathBuf> {
    mounts
        .iter()
        .filter(|mount| mount.writable || !writable)
        .filter_map(|mount| Some((seen_through(mount, place)?, mount)))
        // What another mount shadows is not seen, although the arithmetic of paths says so.
        .filter(|(path, mount)| {
            mount_of(mounts, path).is_some_and(|owner| owner.destination == mount.destination)
        })
        .map(|(path, _)| path)
        .min_by_key(|path| (path.components().count(), path.clone()))
}

fn seen_through(mount: &Mount, place: &Place) -> Option<PathBuf> {
    let rest = match (&mount.kind, place) {
        (
            MountKind::Volume {
                name,
                driver,
                subpath,
                ..
            },
            Place::Volume {
                name: n,
                driver: d,
                rest,
                ..
            },
        ) => (name == n && driver == d)
            .then(|| rest.strip_prefix(subpath).ok())
            .flatten()?,
        (
            MountKind::Bind { source },
            Place::Host(path)
            | Place::Volume {
                on_host: Some(path),
                ..
            },
        ) => path.strip_prefix(source).ok()?,
        _ => return None,
    };
    Some(join(&mount.destination, rest))
}

/// The mount in which `path` lies, as the container with these mounts sees it; none where the path is the container's
/// own.
pub fn mount_of<'a>(mounts: &'a [Mount], path: &Path) -> Option<&'a Mount> {
    mounts
        .iter()
        .filter(|mount| path.starts_with(&mount.destination))
        .max_by_key(|mount| mount.destination.components().count())
}

/// Like `Path::join`, but leaves no trailing slash behind when there is nothing to add.
fn join(base: &Path, rest: &Path) -> PathBuf {
    if rest.as_os_str().is_empty() {
        base.to_owned()
    } else {
        base.join(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn volume(name: &str, destination: &str) -> Mount {
        let source = PathBuf::from(format!("/var/lib/docker/volumes/{name}/_data"));
        let kind = MountKind::Volume {
            name: name.into(),
            driver: "local".into(),
            source,
            subpath: PathBuf::new(),
        };
        Mount {
            kind,
            destination: destination.into(),
            writable: true,
        }
    }

    fn subpath(name: &str, inner: &str, destination: &str) -> Mount {
        let mut mount = volume(name, destination);
        if let MountKind::Volume { subpath, .. } = &mut mount.kind {
            *subpath = inner.into();
        }
        mount
    }

    fn bind(source: &str, destination: &str) -> Mount {
        let kind = MountKind::Bind {
            source: source.into(),
        };
        Mount {
            kind,
            destination: destination.into(),
            writable: true,
        }
    }

    fn private(destination: &str) -> Mount {
        Mount {
            kind: MountKind::Private,
            destination: destination.into(),
            writable: true,
        }
    }

    fn read_only(mut mount: Mount) -> Mount {
        mount.writable = false;
        mount
    }

    /// Where a path of theirs is for us.
    fn ours(theirs: &[Mount], path: &str, ours: &[Mount]) -> Option<String> {
        let place = locate(theirs, Path::new(path))?;
        Some(find(ours, &place, true)?.display().to_string())
    }

    #[test]
    fn a_path_is_translated_through_what_both_mount() {
        let edge = || vec![volume("edge", "/edge")];
        for (case, theirs, path, mounts, expected) in [
            (
                "one volume",
                vec![volume("edge", "/etc/nginx/conf.d")],
                "/etc/nginx/conf.d",
                edge(),
                Some("/edge"),
            ),
            (
                "theirs read-only",
                vec![read_only(volume("edge", "/c"))],
                "/c/x",
                edge(),
                Some("/edge/x"),
            ),
            (
                "ours read-only",
                vec![volume("edge", "/c")],
                "/c",
                vec![read_only(volume("edge", "/e"))],
                None,
            ),
            (
                "not mounted",
                vec![volume("edge", "/c")],
                "/etc/nginx",
                edge(),
                None,
            ),
            (
                "whole components",
                vec![volume("edge", "/c")],
                "/cc",
                edge(),
                None,
            ),
            (
                "another volume",
                vec![volume("other", "/c")],
                "/c",
                edge(),
                None,
            ),
            (
                "same bind",
                vec![bind("/srv/c", "/c")],
                "/c/x",
                vec![bind("/srv/c", "/o")],
                Some("/o/x"),
            ),
            (
                "our bind is a parent",
                vec![bind("/srv/c", "/c")],
                "/c",
                vec![bind("/srv", "/s")],
                Some("/s/c"),
            ),
            (
                "our bind is a child",
                vec![bind("/srv", "/s")],
                "/s/c/x",
                vec![bind("/srv/c", "/o")],
                Some("/o/x"),
            ),
            (
                "our bind is beside",
                vec![bind("/srv/c", "/c")],
                "/c",
                vec![bind("/srv/d", "/o")],
                None,
            ),
            (
                "their nested mount shadows",
                vec![volume("edge", "/c"), volume("inner", "/c/in")],
                "/c/in/x",
                edge(),
                None,
            ),
            (
                "their tmpfs is a hole",
                vec![volume("edge", "/c"), private("/c/run")],
                "/c/run/x",
                edge(),
                None,
            ),
            (
                "our nested mount shadows",
                vec![volume("edge", "/c")],
                "/c/in/x",
                vec![volume("edge", "/edge"), private("/edge/in")],
                None,
            ),
            (
                "volume seen through the host's folder",
                vec![volume("edge", "/c")],
                "/c/x",
                vec![bind("/var/lib/docker/volumes", "/v")],
                Some("/v/edge/_data/x"),
            ),
            (
                "their subpath",
                vec![subpath("edge", "sub", "/c")],
                "/c/x",
                edge(),
                Some("/edge/sub/x"),
            ),
            (
                "our subpath",
                vec![volume("edge", "/c")],
                "/c/sub/x",
                vec![subpath("edge", "sub", "/o")],
                Some("/o/x"),
            ),
            (
                "outside our subpath",
                vec![volume("edge", "/c")],
                "/c/x",
                vec![subpath("edge", "sub", "/o")],
                None,
            ),
            ("a tmpfs", vec![private("/c")], "/c", edge(), None),
        ] {
            assert_eq!(ours(&theirs, path, &mounts).as_deref(), expected, "{case}");
        }
    }

    #[test]
    fn the_path_of_a_folder_is_ours_down_to_its_mount() {
        let mounts = [volume("edge", "/edge"), volume("inner", "/edge/in")];
        for (path, mount, steps) in [
            ("/edge", "/edge", ""),
            ("/edge/conf.d/challenge", "/edge", "conf.d/challenge"),
            ("/edge/in/x", "/edge/in", "x"),
            ("/elsewhere/x", "/elsewhere/x", ""),
        ] {
            let found = SharedPath::seen(&mounts, path);
            let inner: PathBuf = found.steps().collect();
            assert_eq!(
                (found.as_path(), found.mount(), &*inner),
                (Path::new(path), Path::new(mount), Path::new(steps)),
                "{path}"
            );
        }
        let found = SharedPath::top("/edge").join("challenge");
        assert_eq!(found, SharedPath::seen(&mounts, "/edge/challenge"));
        assert_eq!(
            SharedPath::beneath(Path::new("/ed"), "/edge/x"),
            SharedPath::top("/edge/x")
        );
    }

    #[test]
    fn a_place_is_the_same_however_it_is_mounted() {
        let mut elsewhere = volume("edge", "/c");
        if let MountKind::Volume { source, driver, .. } = &mut elsewhere.kind {
            (*source, *driver) = (PathBuf::new(), "nfs".to_owned());
        }
        let on_host = "/var/lib/docker/volumes/edge/_data";
        for (case, one, other, expected) in [
            (
                "one volume",
                volume("edge", "/c"),
                volume("edge", "/c"),
                true,
            ),
            (
                "two volumes",
                volume("edge", "/c"),
                volume("other", "/c"),
                false,
            ),
            (
                "two folders of a volume",
                subpath("edge", "a", "/c"),
                subpath("edge", "b", "/c"),
                false,
            ),
            (
                "a folder of a volume",
                subpath("edge", "a", "/c"),
                subpath("edge", "a", "/c"),
                true,
            ),
            ("one bind", bind("/srv/c", "/c"), bind("/srv/c", "/c"), true),
            (
                "two binds",
                bind("/srv/c", "/c"),
                bind("/srv/d", "/c"),
                false,
            ),
            (
                "a volume by its path",
                volume("edge", "/c"),
                bind(on_host, "/c"),
                true,
            ),
            ("a parent", bind("/srv", "/c"), bind("/srv/c", "/c"), false),
            (
                "one without a path",
                elsewhere.clone(),
                elsewhere.clone(),
                true,
            ),
            ("another driver", elsewhere, volume("edge", "/c"), false),
        ] {
            let [one, other] =
                [one, other].map(|mount| locate(&[mount], Path::new("/c")).expect("a place"));
            assert_eq!(
                (one.is(&other), other.is(&one)),
                (expected, expected),
                "{case}"
            );
        }
    }

    #[test]
    fn of_two_ways_the_shorter_is_taken_always() {
        let both = [volume("edge", "/a/b"), volume("edge", "/edge")];
        let place = locate(&[volume("edge", "/c")], Path::new("/c")).expect("it is mounted");
        assert_eq!(find(&both, &place, true), Some(PathBuf::from("/edge")));
        let reversed = [volume("edge", "/edge"), volume("edge", "/a/b")];
        assert_eq!(find(&reversed, &place, true), Some(PathBuf::from("/edge")));
    }
}
