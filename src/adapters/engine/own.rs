//! The search for our own container: the facts of our own process give candidates, and the engine decides among them.

mod process;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs,
    path::{Path, PathBuf},
};

use async_trait::async_trait;

use crate::{
    observe::{Bearer, MountKind},
    ports::{Engine, EngineError},
    values::{ContainerId, ContainerName},
};

use process::OwnHint;
pub(super) use process::ids;
pub use process::{Clue, OwnProcess, first_process_words};

/// An engine that lists what is mounted where.
#[async_trait(?Send)]
pub trait Mounted: Engine {
    /// Each running container, and where volumes and folders are mounted into it, in one list.
    async fn mounted(&self) -> Result<Vec<(ContainerId, BTreeSet<PathBuf>)>, EngineError>;
}

/// The findings about our own container.
#[derive(Clone, Debug, Default)]
pub struct OwnContainer {
    /// The container, and how it was found; none on a host.
    pub found: Option<(Bearer, Clue)>,
    /// The doubt that the user should know.
    pub doubt: Option<Doubt>,
}

impl OwnContainer {
    /// The container this process runs in.
    pub fn container(&self) -> Option<&Bearer> {
        self.found.as_ref().map(|(container, _)| container)
    }
}

/// The reason why the setting `self` has to be written, or written otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// The setting names another, or none.
    Setting {
        /// The setting's word.
        word: String,
        /// The problem with the container that it names.
        problem: String,
        /// Which it is in truth, if that was found out.
        truth: Option<ContainerName>,
        /// True if quaymaster runs in any container.
        contained: bool,
    },
    /// We run in a container, and none of the running ones has our mounts.
    Unknown,
    /// Several containers have our mounts, from different places.
    Ambiguous(Vec<ContainerName>),
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Setting { word, problem, .. } => {
                write!(
                    f,
                    "the setting self says {word:?}, which is not the container that quaymaster runs in: {problem}"
                )
            }
            Self::Unknown => {
                f.write_str("quaymaster runs in a container, but can't find out in which")
            }
            Self::Ambiguous(names) => {
                let names: Vec<_> = names.iter().map(ContainerName::as_str).collect();
                write!(
                    f,
                    "quaymaster runs in a container, which may be any of {}",
                    names.join(", ")
                )
            }
        }
    }
}

impl Doubt {
    /// The remedy.
    pub fn remedy(&self) -> String {
        match self {
            Self::Setting { truth: Some(name), .. } => {
                format!("write {name} there, or leave the setting out: it is found without")
            }
            Self::Setting { contained: false, .. } => {
                "leave the setting out: quaymaster does not run in a container".to_owned()
            }
            Self::Setting { .. } | Self::Unknown | Self::Ambiguous(_) => {
                "name quaymaster's container by the setting self, as `docker ps` calls it: QUAYMASTER_SELF=NAME".to_owned()
            }
        }
    }
}

/// Finds the container this process runs in.
///
/// A candidate counts when all its mounts are mounted here. A candidate without mounts does not show itself by them and
/// counts when it comes from a control group, or from `setting` or our mounts when the engine alone made those. Last,
/// of all running containers the one counts whose mounts equal ours.
///
/// # Errors
/// When the engine can't be asked.
pub async fn own_container(
    engine: &dyn Mounted,
    process: &OwnProcess,
    setting: Option<&str>,
) -> Result<OwnContainer, EngineError> {
    let points = process.mount_points();
    let (mut own, mut wrong) = (OwnContainer::default(), None);
    for OwnHint { word, clue } in process.candidates(setting) {
        let container = match engine.inspect(&word).await {
            // A host may be called anything, even like the beginning of two ids.
            Err(EngineError::Refused { message, .. })
                if matches!(clue, Clue::Hostname | Clue::Setting) =>
            {
                Err(message)
            }
            answer => answer?.ok_or_else(|| "there is no such container".to_owned()),
        };
        match container.and_then(|container| checked(container, clue, &points)) {
            Ok(container) => {
                own.found = Some((container, clue));
                break;
            }
            Err(problem) if clue == Clue::Setting => wrong = Some((word, problem)),
            Err(_) => {}
        }
    }
    if own.found.is_none() && process.is_contained() {
        match equal(engine, &points).await? {
            Ok(container) => own.found = Some((container, Clue::Mounts)),
            Err(doubt) => own.doubt = Some(doubt),
        }
    }
    if let Some((word, problem)) = wrong {
        let truth = own.container().map(|container| container.name.clone());
        own.doubt = Some(Doubt::Setting {
            word,
            problem,
            truth,
            contained: process.is_contained(),
        });
    }
    Ok(own)
}

/// The container, if it can be ours; else why it can't.
fn checked(
    container: Bearer,
    clue: Clue,
    points: &BTreeMap<PathBuf, PathBuf>,
) -> Result<Bearer, String> {
    let is_sure = match clue {
        Clue::Cgroup => true,
        Clue::Setting | Clue::Mountinfo => points.keys().all(|point| is_the_engines(point)),
        Clue::Hostname | Clue::Mounts => false,
    };
    if container.mounts.is_empty() && !is_sure {
        return Err("nothing is mounted into it".to_owned());
    }
    match container
        .mounts
        .iter()
        .find(|mount| mounted_here(&mount.destination, points).is_none())
    {
        Some(mount) => Err(format!(
            "it has something mounted at {}, and quaymaster has not",
            mount.destination.display()
        )),
        None => Ok(container),
    }
}

/// The running container whose mounts equal ours. Two with the same mounts are the same to us; of those that have other
/// things at the same places, what the kernel says of their origin decides.
async fn equal(
    engine: &dyn Mounted,
    points: &BTreeMap<PathBuf, PathBuf>,
) -> Result<Result<Bearer, Doubt>, EngineError> {
    let mut equal = Vec::new();
    for (id, destinations) in engine.mounted().await? {
        // The list does not tell everything that is mounted; most are out of the question without an inspect.
        if destinations
            .iter()
            .any(|destination| mounted_here(destination, points).is_none())
        {
            continue;
        }
        let container = engine
            .inspect(id.as_str())
            .await?
            .and_then(|own| checked(own, Clue::Mounts, points).ok());
        equal.extend(container.filter(|container| has_all(container, points)));
    }
    if equal
        .iter()
        .any(|container| is_of_one_origin(container, points))
    {
        equal.retain(|container| is_of_one_origin(container, points));
    }
    equal.sort_by(|a, b| a.name.cmp(&b.name));
    let names = equal
        .iter()
        .map(|container| container.name.clone())
        .collect();
    let Some(first) = equal.first() else {
        return Ok(Err(Doubt::Unknown));
    };
    let is_one = equal.iter().all(|other| other.mounts == first.mounts);
    Ok(if is_one {
        Ok(first.clone())
    } else {
        Err(Doubt::Ambiguous(names))
    })
}

/// True if all mounts here, the engine's own aside, are at or in a mount of the container.
fn has_all(container: &Bearer, points: &BTreeMap<PathBuf, PathBuf>) -> bool {
    let at = container
        .mounts
        .iter()
        .filter_map(|mount| mounted_here(&mount.destination, points));
    let at: Vec<_> = at.map(|(point, _)| point).collect();
    points
        .keys()
        .all(|point| is_the_engines(point) || at.iter().any(|at| point.starts_with(at)))
}

/// True if the mounts here can come from where the container has its own from: the kernel knows a path in a file
/// system, the engine one on its host, which may be longer.
fn is_of_one_origin(container: &Bearer, points: &BTreeMap<PathBuf, PathBuf>) -> bool {
    container.mounts.iter().all(|mount| {
        let source = match &mount.kind {
            MountKind::Volume {
                source, subpath, ..
            } => source.join(subpath),
            MountKind::Bind { source } => source.clone(),
            MountKind::Private => return true,
        };
        let root = mounted_here(&mount.destination, points)
            .map(|(_, root)| root.strip_prefix("/").unwrap_or(root));
        root.is_none_or(|root| source.ends_with(root))
    })
}

/// Where a path of a container is mounted here, and what. The engine has `/var/run/…` as it was asked for, the kernel
/// the target of the image's link.
fn mounted_here<'a>(
    path: &Path,
    points: &'a BTreeMap<PathBuf, PathBuf>,
) -> Option<(&'a Path, &'a Path)> {
    let real = || {
        fs::canonicalize(path)
            .ok()
            .and_then(|real| points.get_key_value(&real))
    };
    let found = points.get_key_value(path).or_else(real)?;
    Some((found.0, found.1))
}

/// True if an engine mounts this into every container.
fn is_the_engines(point: &Path) -> bool {
    let folders = ["/proc", "/sys", "/dev", "/run/secrets"];
    let files = [
        "/",
        "/etc/hosts",
        "/etc/hostname",
        "/etc/resolv.conf",
        "/run/.containerenv",
        "/sbin/docker-init",
    ];
    folders.iter().any(|folder| point.starts_with(folder))
        || files.iter().any(|file| point == Path::new(file))
}
