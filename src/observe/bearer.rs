use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use litemap::LiteMap;
use serde::{Deserialize, Serialize};

use super::{Elsewhere, Mount};
use crate::values::{ContainerId, ContainerName, Digest, Signal, Timestamp, VariableNames};

/// One bearer of labels, made from a container as the engine describes it; nothing beyond this room asks what it was made
/// from. There may be thousands: what is mostly one or two of a kind lies in a slice, since a tree makes room for eleven
/// at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bearer {
    /// The engine's unchanging word for it.
    pub id: ContainerId,
    /// Its name, without the leading slash.
    pub name: ContainerName,
    /// Its engine, where that is not the one without a name.
    pub elsewhere: Option<Elsewhere>,
    /// All its labels, ours and others'.
    pub labels: LiteMap<String, String>,
    /// Those of its labels that its image has, too, with the same value, of the few of which that matters; none where
    /// nobody could ask.
    pub of_image: Box<[String]>,
    /// Those of its environment variables in which something may be said to us; of no other it is known whether it is set.
    pub variables: LiteMap<String, String>,
    /// Its state now.
    pub state: BearerState,
    /// The result of its health check, where it has one.
    pub health: Option<Health>,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// When its process last started.
    pub started_at: Option<Timestamp>,
    /// When its process last ended.
    pub ended_at: Option<Timestamp>,
    /// The engine's word for its image: what is in it, not what it is called.
    pub image: Option<Digest>,
    /// Its places on networks, in the order of the networks' names: those of the container whose network it uses, where
    /// it has none of its own.
    pub endpoints: Box<[Endpoint]>,
    /// The container whose network it uses.
    pub joins: Option<Joined>,
    /// TCP ports that image or container expose.
    pub exposed: BTreeSet<u16>,
    /// Where the host publishes TCP ports of it, by port inside.
    pub published: BTreeMap<u16, BTreeSet<SocketAddr>>,
    /// Where the host is to publish them, also while it does not run; none of those that the engine chooses.
    pub bound: BTreeMap<u16, BTreeSet<SocketAddr>>,
    /// Whom its first process runs as, as it was written, such as `33:33` or `nginx`; empty for root.
    pub user: String,
    /// The mounts in it.
    pub mounts: Vec<Mount>,
    /// The words that its first process was started with, entrypoint and command.
    pub command: Vec<String>,
    /// True if the engine puts an init before them.
    pub init: bool,
    /// When the engine starts it again by itself.
    pub restart_policy: RestartPolicy,
    /// Number of restarts by the engine since somebody last started it.
    pub restarts: u32,
    /// The signal that asks it to end, as image or container name it; none where neither does.
    pub stop_signal: Option<Box<str>>,
    /// The number of its first process on the engine's machine; none while none runs.
    pub pid: Option<i32>,
    /// True if it shares the PID namespace of the engine's machine.
    pub has_host_pids: bool,
    /// True if its /dev/shm is one of its own, which is new and empty at each start.
    pub has_own_shm: bool,
    /// The way that a signal takes to its first process; none where nobody could look: it does not run, or is a record.
    #[serde(skip)]
    pub way: Option<Way>,
    /// The wait of a container that comes and goes again and again: it is there all the while, and takes no traffic.
    /// The engine knows nothing of this.
    #[serde(skip)]
    pub waits: Option<Wait>,
}

/// The pause of a container that comes and goes again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wait {
    /// When it takes traffic again if it stays until then; none while it is not up.
    pub until: Option<Timestamp>,
    /// Number of restarts by the engine itself.
    pub restarts: u32,
    /// Number of times that it was seen to come back.
    pub returns: u32,
}

impl fmt::Display for Wait {
    /// As it goes on after the container's name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.restarts {
            0 => write!(f, "comes and goes: it came back {}", times(self.returns))?,
            restarts => write!(f, "comes and goes: it was restarted {}", times(restarts))?,
        }
        match self.until {
            Some(until) => write!(f, ", and takes requests again at {until} if it stays"),
            None => f.write_str(", and takes requests again once it stays"),
        }
    }
}

/// So many times, as people say it.
pub fn times(number: u32) -> String {
    match number {
        1 => "once".to_owned(),
        _ => format!("{number} times"),
    }
}

/// When the engine starts a container again by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum RestartPolicy {
    /// Never; also where the engine says nothing about it.
    #[default]
    No,
    /// Whenever it has ended, unless somebody stopped it.
    Always,
    /// The same, and not after somebody stopped or signalled it.
    UnlessStopped,
    /// When it has failed.
    OnFailure,
}

impl RestartPolicy {
    /// The policies that a container can be given, as Docker writes them.
    pub const WORDS: &[(&str, Self)] = &[
        ("no", Self::No),
        ("always", Self::Always),
        ("unless-stopped", Self::UnlessStopped),
        ("on-failure", Self::OnFailure),
    ];

    /// The policy that the engine calls so; a word that is not known here restarts nothing that we know of.
    pub fn of_word(word: &str) -> Self {
        let row = Self::WORDS.iter().find(|(known, _)| *known == word);
        row.map(|(_, policy)| *policy).unwrap_or_default()
    }
}

impl fmt::Display for RestartPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = Self::WORDS.iter().find(|(_, policy)| policy == self);
        f.write_str(row.map_or("no", |(word, _)| word))
    }
}

/// The way that a signal takes to the first process of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From us to the process, which the engine does not notice.
    Direct,
    /// By the engine, which then takes the container for one that somebody wants to end.
    Engine,
}

/// A container with what only templates of the command `render` see of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Detail {
    /// The container, as everybody sees it.
    pub container: Bearer,
    /// The image's name, as the container was made with it.
    pub image: String,
    /// Its environment in the engine's order, which is where people keep secrets.
    pub environment: Vec<(String, String)>,
    /// TCP ports that image or container expose, in the engine's order.
    pub exposed_tcp: Vec<u16>,
    /// UDP ports that image or container expose, in the engine's order.
    pub exposed_udp: Vec<u16>,
    /// All that inspect says, as JSON.
    pub inspected: Arc<str>,
}

impl Detail {
    /// Keeps these variables of its environment alone, also in inspect's answer.
    pub fn with_variables(mut self, names: &VariableNames) -> Self {
        self.environment.retain(|(name, _)| names.have(name));
        let mut inspected: serde_json::Value =
            serde_json::from_str(&self.inspected).unwrap_or_default();
        let environment = inspected.pointer_mut("/Config/Env");
        if let Some(serde_json::Value::Array(entries)) = environment {
            entries.retain(|entry| {
                let name = entry.as_str().and_then(|entry| entry.split('=').next());
                name.is_some_and(|name| names.have(name))
            });
        } else if let Some(unknown) = environment {
            *unknown = serde_json::Value::Null;
        }
        self.inspected = inspected.to_string().into();
        self
    }
}

impl fmt::Debug for Detail {
    /// Prints it without its environment, which is a part of inspect's answer, too.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Detail")
            .field("container", &self.container)
            .finish_non_exhaustive()
    }
}

/// The state of a container; words of newer engines are kept, not refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BearerState {
    /// Its process runs.
    Running,
    /// Its process is frozen.
    Paused,
    /// Anything in which it answers nothing: created, restarting, exited, dead, and what is not known yet.
    Other(String),
    /// It was removed, and is remembered.
    Removed {
        /// When.
        at: Timestamp,
    },
}

/// The result of a health check; words of newer engines are kept, not refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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

/// A container whose network another one uses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Joined {
    /// The engine's word for it.
    pub id: ContainerId,
    /// Its name; none where there is no such container any more.
    pub name: Option<ContainerName>,
}

/// A place on a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// The network's name.
    pub network: String,
    /// The engine's unchanging word for the network.
    pub network_id: String,
    /// Its address there, the IPv4 one where it has both; `None` while it does not run.
    pub address: Option<IpAddr>,
    /// True if it has an IPv6 address there.
    pub has_ipv6: bool,
    /// The host's address there, the IPv4 one where it has both.
    pub gateway: Option<IpAddr>,
}

impl Bearer {
    /// One that runs and has nothing: each who makes one says what is particular about it.
    pub fn plain(id: ContainerId, name: ContainerName) -> Self {
        Self {
            id,
            name,
            elsewhere: None,
            labels: LiteMap::new(),
            of_image: Box::default(),
            variables: LiteMap::new(),
            state: BearerState::Running,
            health: None,
            created: None,
            started_at: None,
            ended_at: None,
            image: None,
            endpoints: [].into(),
            joins: None,
            exposed: BTreeSet::new(),
            published: BTreeMap::new(),
            bound: BTreeMap::new(),
            user: String::new(),
            mounts: Vec::new(),
            command: Vec::new(),
            init: false,
            restart_policy: RestartPolicy::No,
            restarts: 0,
            stop_signal: None,
            pid: None,
            has_host_pids: false,
            has_own_shm: true,
            way: None,
            waits: None,
        }
    }

    /// The Compose project it belongs to.
    pub fn project(&self) -> Option<&str> {
        self.labels
            .get("com.docker.compose.project")
            .map(String::as_str)
    }

    /// The name that people use: the Compose service where there is one, else the container's name.
    pub fn service(&self) -> &str {
        self.labels
            .get("com.docker.compose.service")
            .map_or(self.name.as_str(), String::as_str)
    }

    /// True if `docker-compose run` made it, for a single command next to the service whose labels it bears.
    pub fn is_one_off(&self) -> bool {
        self.labels
            .get("com.docker.compose.oneoff")
            .is_some_and(|word| word.eq_ignore_ascii_case("true"))
    }

    /// Its place on the network of this name.
    pub fn endpoint(&self, network: &str) -> Option<&Endpoint> {
        self.endpoints
            .iter()
            .find(|endpoint| endpoint.network == network)
    }

    /// True if its networks give it an IPv6 address; none while they give it no address at all, as when it does not
    /// run, or has the host's network: the engine does not say then.
    pub fn has_ipv6(&self) -> Option<bool> {
        let mut endpoints = self.endpoints.iter();
        let is_known = endpoints.any(|endpoint| endpoint.address.is_some());
        is_known.then(|| self.endpoints.iter().any(|endpoint| endpoint.has_ipv6))
    }

    /// True if it has the host's own network, where it has no address of its own: engines give no other this name.
    pub fn is_on_host(&self) -> bool {
        self.endpoint("host").is_some()
    }

    /// The same container with the network of the one that it joins, as that is now.
    #[must_use]
    pub fn joined_to(self, owner: Option<Self>) -> Self {
        let Some(joins) = self.joins else {
            return self;
        };
        match owner {
            Some(owner) => Self {
                joins: Some(Joined {
                    id: owner.id,
                    name: Some(owner.name),
                }),
                endpoints: owner.endpoints,
                published: owner.published,
                ..self
            },
            None => Self {
                joins: Some(Joined {
                    name: None,
                    ..joins
                }),
                ..self
            },
        }
    }

    /// True if it is there: a container that has ended is not, a paused container is.
    pub fn is_there(&self) -> bool {
        matches!(self.state, BearerState::Running | BearerState::Paused)
    }

    /// True if the requests in its labels count: it is there, or is about to be back as so often.
    pub fn counts(&self) -> bool {
        self.is_there() || self.waits.is_some()
    }

    /// True if it has run and does not now: it may come back. A container that was only made is not away.
    pub fn is_away(&self) -> bool {
        !self.is_there() && self.started_at.is_some()
    }

    /// When it was removed, where it is only remembered.
    pub fn removed(&self) -> Option<Timestamp> {
        match self.state {
            BearerState::Removed { at } => Some(at),
            _ => None,
        }
    }

    /// True if Compose is about to replace it, or to put it in another's place: meanwhile one of both does not run, and
    /// its name begins with twelve digits of an id and an underscore.
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

    /// True if this signal is the one that asks it to end. A container without a stop signal takes each for that.
    pub fn is_stopped_by(&self, signal: Signal) -> bool {
        self.stop_signal
            .as_ref()
            .is_none_or(|word| word.parse() == Ok(signal))
    }

    /// A digest of image, command and labels. A container that is made anew of the same has the same.
    pub fn made_of(&self) -> Digest {
        let image = self.image.map(|image| image.to_string());
        let labels = self.labels.iter().flat_map(|(key, value)| [key, value]);
        let parts = image.iter().chain(&self.command).chain(labels);
        Digest::of_parts(parts.map(String::as_str))
    }

    /// True if it has ended and its restart policy is about to start it again.
    pub fn is_restarting(&self) -> bool {
        matches!(&self.state, BearerState::Other(word) if word == "restarting")
    }

    /// True if it is there, or its restart policy is about to have it there again.
    pub fn is_kept_going(&self) -> bool {
        self.is_there() || self.is_restarting()
    }

    /// True if its process runs and is not frozen.
    pub fn is_running(&self) -> bool {
        self.state == BearerState::Running
    }

    /// True if requests may be sent to it: it runs, its health check, where it has one, passes, and it does not wait.
    pub fn takes_traffic(&self) -> bool {
        self.is_running()
            && matches!(self.health, None | Some(Health::Healthy))
            && self.waits.is_none()
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
            container.state = BearerState::Other(state.to_owned());
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
