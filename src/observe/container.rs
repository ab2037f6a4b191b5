use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::{IpAddr, SocketAddr},
};

use litemap::LiteMap;

use super::Mount;
use crate::values::{ContainerId, ContainerName, Timestamp};

/// One container as the engine describes it. There may be thousands: what is mostly one or two of a kind lies in a slice,
/// since a tree makes room for eleven at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// The engine's unchanging word for it.
    pub id: ContainerId,
    /// Its name, without the leading slash.
    pub name: ContainerName,
    /// All its labels, ours and others'.
    pub labels: LiteMap<String, String>,
    /// What it does now.
    pub state: ContainerState,
    /// What its health check says, where it has one.
    pub health: Option<Health>,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// When its process last started.
    pub started_at: Option<Timestamp>,
    /// The networks it is on, in the order of their names.
    pub networks: Box<[Network]>,
    /// TCP ports that image or container expose.
    pub exposed: BTreeSet<u16>,
    /// Where the host publishes TCP ports of it, by port inside.
    pub published: BTreeMap<u16, BTreeSet<SocketAddr>>,
    /// Where the host is to publish them, also while it does not run; none of those that the engine chooses.
    pub bound: BTreeMap<u16, BTreeSet<SocketAddr>>,
    /// Whom its first process runs as, as it was written, such as `33:33` or `nginx`; empty for root.
    pub user: String,
    /// What is mounted into it.
    pub mounts: Vec<Mount>,
    /// The words that its first process was started with, entrypoint and command.
    pub command: Vec<String>,
    /// Whether the engine puts an init before them.
    pub init: bool,
}

/// A container with what only templates of the command `render` see of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Detail {
    /// What everybody sees.
    pub container: Container,
    /// The image's name, as the container was made with it.
    pub image: String,
    /// Its environment, which is where people keep secrets.
    pub environment: BTreeMap<String, String>,
    /// UDP ports that image or container expose.
    pub exposed_udp: BTreeSet<u16>,
}

impl fmt::Debug for Detail {
    /// Without its environment.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Detail")
            .field("container", &self.container)
            .finish_non_exhaustive()
    }
}

/// What a container does; words of newer engines are kept, not refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContainerState {
    /// Its process runs.
    Running,
    /// Its process is frozen.
    Paused,
    /// Anything in which it answers nothing: created, restarting, exited, dead, and what is not known yet.
    Other(String),
}

/// What a health check says; words of newer engines are kept, not refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// Checks pass.
    Healthy,
    /// No check has passed since it started.
    Starting,
    /// Checks fail.
    Unhealthy,
    /// A word not known here.
    Other(String),
}

/// A container's place on a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// What it is called.
    pub name: String,
    /// The engine's unchanging word for the network.
    pub id: String,
    /// Its address there; `None` while it does not run.
    pub address: Option<IpAddr>,
    /// The host's address there.
    pub gateway: Option<IpAddr>,
}

impl Container {
    /// The Compose project it belongs to.
    pub fn project(&self) -> Option<&str> {
        self.labels
            .get("com.docker.compose.project")
            .map(String::as_str)
    }

    /// What people call it: the Compose service where there is one, else the container's name.
    pub fn service(&self) -> &str {
        self.labels
            .get("com.docker.compose.service")
            .map_or(self.name.as_str(), String::as_str)
    }

    /// Its place on the network of this name.
    pub fn network(&self, name: &str) -> Option<&Network> {
        self.networks.iter().find(|network| network.name == name)
    }

    /// Whether it counts: one that has ended does not, one that is paused does.
    pub fn is_there(&self) -> bool {
        matches!(self.state, ContainerState::Running | ContainerState::Paused)
    }

    /// Whether Compose is about to replace it, or to put it in another's place: while it does, one of both does not run and
    /// is called by its name after twelve digits of an id and an underscore.
    pub fn is_replaced(&self) -> bool {
        let is_mark =
            |mark: &str| mark.len() == 12 && mark.bytes().all(|byte| byte.is_ascii_hexdigit());
        let is_called_so = self
            .name
            .as_str()
            .split_once('_')
            .is_some_and(|(mark, name)| is_mark(mark) && !name.is_empty());
        is_called_so && !self.is_there() && self.project().is_some()
    }

    /// Whether its process runs and is not frozen.
    pub fn is_running(&self) -> bool {
        self.state == ContainerState::Running
    }

    /// Whether requests may be sent to it: it runs and its health check, where it has one, passes.
    pub fn takes_traffic(&self) -> bool {
        self.is_running() && matches!(self.health, None | Some(Health::Healthy))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desire::tests::container;

    #[test]
    fn a_name_that_compose_gives_for_a_moment_is_known() {
        let is_replaced = |name: &str, state: &str, project: bool| {
            let mut container = container(name, 4);
            container.state = ContainerState::Other(state.to_owned());
            if project {
                container
                    .labels
                    .insert("com.docker.compose.project".to_owned(), "shop".to_owned());
            }
            container.is_replaced()
        };
        assert!(is_replaced("0123456789ab_shop-web-1", "created", true));
        for (name, project) in [
            ("shop-web-1", true),
            ("0123456789ab_shop", false),
            ("0123456789_shop", true),
        ] {
            assert!(!is_replaced(name, "exited", project), "{name}");
        }
        let mut runs = container("0123456789ab_shop-web-1", 4);
        runs.labels
            .insert("com.docker.compose.project".to_owned(), "shop".to_owned());
        assert!(!runs.is_replaced(), "somebody has it so");
    }
}
