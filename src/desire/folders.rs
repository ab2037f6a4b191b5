//! The folders of servers, as they see them and as we see them.

use std::path::{self, PathBuf};

use super::{Complaint, Folder, Origin};
use crate::{
    observe::{Bearer, Place, SharedPath, find, locate, source},
    values::ContainerName,
};

/// Which place a path of ours is.
pub(super) fn place_of(path: &path::Path, own: Option<&Bearer>) -> Option<Place> {
    match own {
        Some(own) => locate(&own.mounts, path),
        None => Some(Place::Host(path.to_owned())),
    }
}

impl Folder {
    pub(super) fn within(&self, name: &str) -> Self {
        Self {
            ours: self.ours.join(name),
            theirs: self.theirs.join(name),
        }
    }
}

/// Why a consumer's folder can't be written.
pub(super) enum Gap {
    /// Nothing that could be shared is mounted there.
    NotMounted,
    /// We don't mount what it mounts there.
    NotOurs(Place),
    /// We mount it, but read-only.
    ReadOnly(PathBuf),
    /// Another server's files lie there.
    Taken(Holding),
}

/// The server whose files lie in a folder.
#[derive(Clone)]
pub(super) struct Holding {
    pub place: Place,
    pub server: ContainerName,
    /// Whether it runs, or is about to.
    pub is_kept_going: bool,
}

/// Where a folder of the container is for us.
pub(super) fn ours(
    bearer: &Bearer,
    theirs: &path::Path,
    own: Option<&Bearer>,
) -> Result<SharedPath, Gap> {
    let place = locate(&bearer.mounts, theirs).ok_or(Gap::NotMounted)?;
    match (own, &place) {
        (Some(own), _) => find(&own.mounts, &place, true)
            .map(|path| SharedPath::seen(&own.mounts, path))
            .ok_or_else(|| match find(&own.mounts, &place, false) {
                Some(path) => Gap::ReadOnly(path),
                None => Gap::NotOurs(place),
            }),
        (None, place) => on_host(bearer, theirs, place).ok_or(Gap::NotMounted),
    }
}

/// On the host itself, what a container mounts is where the engine keeps it.
fn on_host(bearer: &Bearer, theirs: &path::Path, place: &Place) -> Option<SharedPath> {
    let (Place::Host(path)
    | Place::Volume {
        on_host: Some(path),
        ..
    }) = place
    else {
        return None;
    };
    Some(match source(&bearer.mounts, theirs) {
        Some(mount) => SharedPath::beneath(mount, path),
        None => SharedPath::top(path),
    })
}

/// Where a file of the container is for us, if it can be seen from here.
pub(super) fn seen_here(
    bearer: &Bearer,
    theirs: &path::Path,
    own: Option<&Bearer>,
) -> Option<SharedPath> {
    let place = locate(&bearer.mounts, theirs)?;
    match own {
        Some(own) => {
            let path = find(&own.mounts, &place, false)?;
            Some(SharedPath::seen(&own.mounts, path))
        }
        None => on_host(bearer, theirs, &place),
    }
}

impl Gap {
    pub fn complaint(
        self,
        bearer: &Bearer,
        folder: &path::Path,
        own: Option<&Bearer>,
        said: Origin,
    ) -> Complaint {
        let (folder, us) = (folder.display(), own.map_or("quaymaster", Bearer::service));
        let them = bearer.service();
        let (problem, remedy) = match self {
            Self::NotMounted => (
                format!("its folder {folder} is on no volume, so nothing can be written there"),
                format!(
                    "in Compose, add `volumes: [\"edge:{folder}:ro\"]` to service {them}, `volumes: [\"edge:/edge\"]` to \
                     service {us}, and `edge:` under the top-level volumes"
                ),
            ),
            Self::NotOurs(place) => (
                format!("its folder {folder} is not mounted here"),
                format!(
                    "in Compose, add `volumes: [\"{}\"]` to service {us}",
                    mount_line(&place, bearer)
                ),
            ),
            Self::Taken(holding) => taken(&holding, bearer, &folder.to_string(), us),
            Self::ReadOnly(path) => (
                format!(
                    "its folder {folder} is mounted here read-only, at {}",
                    path.display()
                ),
                format!(
                    "in Compose, remove `:ro` from the volume at {} of service {us}",
                    path.display()
                ),
            ),
        };
        said.complains(problem, remedy)
    }
}

/// The problem that a folder has another server's files already, and the remedy.
fn taken(holding: &Holding, bearer: &Bearer, folder: &str, us: &str) -> (String, String) {
    let server = &holding.server;
    let because = match holding.is_kept_going == bearer.is_kept_going() {
        true => "is older",
        false => "runs",
    };
    let problem = format!(
        "its folder {folder} is also that of container {server}, which {because}; quaymaster configures one proxy in a \
         folder"
    );
    let remedy = format!(
        "give it a folder of its own: in Compose, make it a service of its own with `volumes: [\"edge2:{folder}:ro\"]`, \
         add `volumes: [\"edge2:/edge2\"]` to service {us}, and `edge2:` under the top-level volumes; or stop {server}, \
         and this one takes over. Until then it gets no signal, and serves what it read when it started"
    );
    (problem, remedy)
}

/// What to write in Compose to mount the place where the consumer has it.
fn mount_line(place: &Place, bearer: &Bearer) -> String {
    match place {
        // Compose puts the project before a volume's name; people write it without.
        Place::Volume { name, .. } => {
            let project = bearer.project().map(|project| format!("{project}_"));
            let short = project
                .and_then(|project| name.strip_prefix(&project))
                .unwrap_or(name);
            format!("{short}:/{short}")
        }
        Place::Host(path) => format!("{}:/edge", path.display()),
    }
}
