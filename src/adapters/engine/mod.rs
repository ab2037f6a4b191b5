//! The Docker engine, as far as we ask it: events, list, inspect (of images too), kill, ping; and, where it is granted, exec,
//! restart and archive.
//!
//! What is read often is read by structs of our own, which take what engines of any age and Podman send; the rest goes
//! through bollard, over the same transport. What the answers mean for anybody is not decided here.

mod address;
mod archive;
mod asking;
mod by_ssh;
mod decode;
mod events;
mod exec;
mod first_process;
mod images;
mod meaning;
mod network;
mod other;
mod own;
mod recorded;
mod schema;
mod transport;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use futures_util::{StreamExt, stream, stream::LocalBoxStream};
use http::header;
use time::{OffsetDateTime, format_description::well_known::Rfc2822};

pub use address::TlsFiles;
pub use other::OtherEngine;
pub use own::{Clue, Doubt, Mounted, OwnContainer, OwnProcess, first_process_words, own_container};
pub use recorded::RecordedEngine;

use crate::{
    observe::{Bearer, Detail, EngineEvent, Interest, Way},
    ports::{DetailedEngine, Engine, EngineError, Parcel, Ran, Remark, Remarks},
    values::{ContainerId, ContainerName, Signal, Timestamp},
};
use asking::not_understood;
use first_process::FirstProcess;
use images::Images;
use transport::Transport;

/// A ping costs an engine nothing, so five seconds of silence mean that it hangs.
const PING_LIMIT: Duration = Duration::from_secs(5);
/// For a whole answer, body included. A list of 60 takes 10 ms; a busy engine with thousands needs seconds.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);
/// Number of containers that are inspected at once: enough to hide the way there and back, few enough for the engine to
/// serve others meanwhile.
const INSPECTS_AT_ONCE: usize = 16;

// Calls as messages name them: what is written here is what must be allowed in a socket proxy.
const PING: &str = "GET /_ping";
const VERSION: &str = "GET /version";
const INFO: &str = "GET /info";
const EVENTS: &str = "GET /events";
const LIST: &str = "GET /containers/json";
const INSPECT: &str = "GET /containers/{id}/json";
const KILL: &str = "POST /containers/{id}/kill";
const RESTART: &str = "POST /containers/{id}/restart";

/// `{"type":["container","network"]}`, URL-encoded. Without a label filter, because network events carry no labels and
/// filters are joined by "and".
const EVENT_FILTERS: &str = "%7B%22type%22%3A%5B%22container%22%2C%22network%22%5D%7D";

/// An engine at a socket or a TCP address; each call opens a connection of its own, so that a restart of the engine
/// leaves no stale ones behind.
///
/// <https://docs.docker.com/reference/api/engine/>
#[derive(Debug)]
pub struct DockerEngine {
    address: String,
    transport: Arc<Transport>,
    bollard: bollard::Docker,
    remarks: Remarks,
    images: Images,
}

impl DockerEngine {
    /// Takes an address as `DOCKER_HOST` has it (`unix:///path`, a bare absolute path, `tcp://host:port`, `ssh://user@host`,
    /// `http://…`, `https://…`). With `tls` the files are read now, and `tcp` means TLS. Nothing is connected yet.
    ///
    /// # Errors
    /// When the address is none, or a file of `tls` can't be read or used.
    pub fn new(
        address: &str,
        tls: Option<&TlsFiles>,
        remarks: Remarks,
    ) -> Result<Self, EngineError> {
        let transport = Arc::new(Transport::new(address::Target::read(address, tls)?));
        let shared = Arc::clone(&transport);
        let send = move |request| {
            let transport = Arc::clone(&shared);
            async move {
                transport
                    .send(request)
                    .await
                    .map_err(bollard::errors::Error::from)
            }
        };
        // The transport knows where the engine is; bollard only needs something that parses as a URL.
        let bollard = bollard::Docker::connect_with_custom_transport(
            send,
            Some("http://engine"),
            ANSWER_LIMIT.as_secs(),
            bollard::API_DEFAULT_VERSION,
        )
        .map_err(|error| EngineError::Unreachable {
            engine: address.to_owned(),
            source: error.into(),
        })?;
        Ok(Self {
            address: address.to_owned(),
            transport,
            bollard,
            remarks,
            images: Images::default(),
        })
    }

    /// Which engine it is, in its own words.
    ///
    /// <https://docs.docker.com/reference/api/engine/version/v1.51/#tag/System/operation/SystemVersion>
    ///
    /// # Errors
    /// When it can't be asked.
    pub async fn version(&self) -> Result<String, EngineError> {
        let answer = self.by_bollard(VERSION, self.bollard.version());
        let read = self.within(VERSION, PING_LIMIT, answer).await?;
        let [version, api] = [read.version, read.api_version].map(Option::unwrap_or_default);
        Ok(format!("{version}, API {api}"))
    }

    /// The engine's clock, to the second, as its answer to a ping says.
    ///
    /// # Errors
    /// When it can't be asked.
    pub async fn time(&self) -> Result<Option<Timestamp>, EngineError> {
        Ok(self.engine_time().await?.map(Timestamp::from_seconds))
    }

    /// All containers, running or not, be they of interest or not, without variables.
    ///
    /// # Errors
    /// When they can't be listed.
    pub async fn everybody(&self) -> Result<Vec<Bearer>, EngineError> {
        let ids = self.listed(|_| true).await?;
        self.inspect_all(ids, &Interest::default()).await
    }

    /// Inspects each, and returns them in the order of the list; a container that can't be read or is refused by itself
    /// is left out, with a remark.
    async fn inspect_all<T: Inspected>(
        &self,
        ids: Vec<ContainerId>,
        interest: &Interest,
    ) -> Result<Vec<T>, EngineError> {
        let mut answers = stream::iter(ids)
            .map(|id| async move { (self.inspected(id.as_str(), interest).await, id) })
            .buffered(INSPECTS_AT_ONCE);
        let (mut found, mut left_out) = (Vec::new(), None);
        while let Some((answer, id)) = answers.next().await {
            match answer {
                Ok(container) => found.extend(container),
                Err(error @ (EngineError::NotUnderstood { .. } | EngineError::Refused { .. })) => {
                    (self.remarks)(Remark::ContainerLeftOut {
                        problem: format!("container {id} is left out of the list: {error}"),
                    });
                    left_out = Some(error);
                }
                Err(error) => return Err(error),
            }
        }
        match left_out {
            // One bad container spoils only itself; when all are bad, the engine is, and an empty list would be a lie.
            Some(error) if found.is_empty() => Err(error),
            _ => Ok(found),
        }
    }

    /// The answer of an inspect, and the way that a signal takes; `None` when there is no such container.
    ///
    /// <https://docs.docker.com/reference/api/engine/version/v1.51/#tag/Container/operation/ContainerInspect>
    async fn inspected<T: Inspected>(
        &self,
        container: &str,
        interest: &Interest,
    ) -> Result<Option<T>, EngineError> {
        // No container can be called what could lead the request elsewhere.
        if ContainerName::parse(container).is_err() {
            return Ok(None);
        }
        let path = format!("/containers/{container}/json");
        match self.read(INSPECT, &path, ANSWER_LIMIT).await {
            Ok(body) => {
                let read =
                    T::read(&body, interest).map_err(|problem| not_understood(INSPECT, problem));
                let mut found = read?;
                // At once for each: a look at the processes of thousands in one piece would hold everything up.
                self.find_way(found.container());
                Ok(Some(found))
            }
            Err(EngineError::Refused { status: 404, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The container with the network that it uses, be it another's.
    async fn networked(&self, container: Bearer) -> Result<Bearer, EngineError> {
        let Some(joins) = &container.joins else {
            return Ok(container);
        };
        let owner = match self
            .inspected::<Bearer>(joins.id.as_str(), &Interest::default())
            .await
        {
            Ok(owner) => owner,
            // One bad container spoils only those that use its network.
            Err(error @ (EngineError::NotUnderstood { .. } | EngineError::Refused { .. })) => {
                (self.remarks)(Remark::NetworkUnseen {
                    container: container.name.clone(),
                    problem: error.to_string(),
                });
                None
            }
            Err(error) => return Err(error),
        };
        Ok(container.joined_to(owner))
    }

    /// The ids of all containers whose labels are of interest.
    ///
    /// <https://docs.docker.com/reference/api/engine/version/v1.51/#tag/Container/operation/ContainerList>
    async fn listed(
        &self,
        is_of_interest: impl Fn(&BTreeMap<String, String>) -> bool,
    ) -> Result<Vec<ContainerId>, EngineError> {
        let list = self
            .read(LIST, "/containers/json?all=true", ANSWER_LIMIT)
            .await?;
        decode::listed(&list, is_of_interest, self.remarks)
            .map_err(|problem| not_understood(LIST, problem))
    }

    /// Fills in the way that a signal takes to a container that was inspected just now.
    fn find_way(&self, container: &mut Bearer) {
        container.way = match self.transport.is_local() {
            true => first_process::way(container),
            false => Some(Way::Engine),
        };
    }

    /// Sends a signal straight to the container's first process; whether that could be done. Whatever is in the way, the
    /// engine can still be asked.
    async fn signal_directly(&self, container: &ContainerId, signal: Signal) -> bool {
        if !self.transport.is_local() {
            return false;
        }
        let found = self.inspect(container.as_str()).await;
        let running = match &found {
            // A signal to one that is paused would wait for it, of which nobody would know.
            Ok(Some(found)) if found.is_running() => FirstProcess::find(found),
            _ => None,
        };
        running.is_some_and(|process| process.signal(signal).is_ok())
    }

    /// The engine's own clock, in whole seconds since 1970 UTC, as its answer to a ping says.
    async fn engine_time(&self) -> Result<Option<i64>, EngineError> {
        let answer = self
            .within(PING, PING_LIMIT, self.open(PING, "/_ping"))
            .await?;
        let date = answer
            .headers()
            .get(header::DATE)
            .and_then(|date| date.to_str().ok());
        Ok(date
            .and_then(|date| OffsetDateTime::parse(date, &Rfc2822).ok())
            .map(OffsetDateTime::unix_timestamp))
    }
}

#[async_trait(?Send)]
impl Engine for DockerEngine {
    /// <https://docs.docker.com/reference/api/engine/version/v1.51/#tag/System/operation/SystemEvents>
    async fn events(
        &self,
    ) -> Result<LocalBoxStream<'static, Result<EngineEvent, EngineError>>, EngineError> {
        // The engine sends the headers before it subscribes. What happens in between is replayed because of `since`,
        // with up to a second before it, which does no harm: an event only makes us look.
        let mut path = format!("/events?filters={EVENT_FILTERS}");
        match self.engine_time().await? {
            Some(seconds) => path.push_str(&format!("&since={seconds}")),
            None => (self.remarks)(Remark::EngineTimeUnknown {
                engine: self.address.clone(),
            }),
        }
        let answer = self
            .within(EVENTS, ANSWER_LIMIT, self.open(EVENTS, &path))
            .await?;
        Ok(events::stream(
            answer.into_body(),
            self.address.clone(),
            self.remarks,
        ))
    }

    async fn bearers(&self, interest: &Interest) -> Result<Vec<Bearer>, EngineError> {
        let ids = self
            .listed(|labels| interest.may_be_in(labels.keys()))
            .await?;
        let mut found: Vec<Bearer> = self.inspect_all(ids, interest).await?;
        found.retain(|bearer| interest.is_in(bearer));
        self.images.forget_unread();
        for container in &mut found {
            if container.joins.is_some() {
                *container = self.networked(container.clone()).await?;
            }
            self.find_labels_of_image(container, interest).await?;
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    async fn bearer(&self, word: &str, interest: &Interest) -> Result<Option<Bearer>, EngineError> {
        let Some(found) = self.inspected(word, interest).await? else {
            return Ok(None);
        };
        let mut found = self.networked(found).await?;
        self.find_labels_of_image(&mut found, interest).await?;
        Ok(Some(found))
    }

    /// <https://docs.docker.com/reference/api/engine/version/v1.51/#tag/Container/operation/ContainerKill>
    async fn kill(
        &self,
        container: &ContainerId,
        signal: Signal,
        way: Way,
    ) -> Result<Way, EngineError> {
        if way == Way::Direct && self.signal_directly(container, signal).await {
            return Ok(Way::Direct);
        }
        let options = bollard::query_parameters::KillContainerOptionsBuilder::new()
            .signal(&signal.engines_word())
            .build();
        let answer = self
            .bollard
            .kill_container(container.as_str(), Some(options));
        let answer = self.by_bollard(KILL, answer);
        self.within(KILL, ANSWER_LIMIT, answer).await?;
        Ok(Way::Engine)
    }

    async fn exec(&self, container: &ContainerId, words: &[String]) -> Result<Ran, EngineError> {
        self.run(container, words).await
    }

    async fn put(&self, parcel: &Parcel, now: Timestamp) -> Result<(), EngineError> {
        self.unpack(parcel, now).await
    }

    /// <https://docs.docker.com/reference/api/engine/version/v1.51/#tag/Container/operation/ContainerRestart>
    async fn restart(&self, container: &ContainerId) -> Result<(), EngineError> {
        let answer = self.bollard.restart_container(container.as_str(), None);
        let answer = self.by_bollard(RESTART, answer);
        self.within(RESTART, ANSWER_LIMIT, answer).await
    }

    /// <https://docs.docker.com/reference/api/engine/version/v1.51/#tag/System/operation/SystemPing>
    async fn ping(&self) -> Result<(), EngineError> {
        self.read(PING, "/_ping", PING_LIMIT).await.map(drop)
    }
}

#[async_trait(?Send)]
impl DetailedEngine for DockerEngine {
    async fn details(&self) -> Result<Vec<Detail>, EngineError> {
        let ids = self.listed(|_| true).await?;
        self.inspect_all(ids, &Interest::default()).await
    }

    async fn detail(&self, container: &str) -> Result<Option<Detail>, EngineError> {
        self.inspected(container, &Interest::default()).await
    }

    /// <https://docs.docker.com/reference/api/engine/version/v1.51/#tag/System/operation/SystemInfo>
    async fn manages_swarm(&self) -> Result<bool, EngineError> {
        let info = self.read(INFO, "/info", ANSWER_LIMIT).await?;
        decode::manages_swarm(&info).map_err(|problem| not_understood(INFO, problem))
    }
}

#[async_trait(?Send)]
impl Mounted for DockerEngine {
    async fn mounted(&self) -> Result<Vec<(ContainerId, BTreeSet<PathBuf>)>, EngineError> {
        let list = self.read(LIST, "/containers/json", ANSWER_LIMIT).await?;
        decode::mounted(&list).map_err(|problem| not_understood(LIST, problem))
    }
}

/// The type into which the answer to an inspect is read.
trait Inspected: Sized {
    /// Reads an answer, and of its environment no more than is of interest.
    fn read(answer: &[u8], interest: &Interest) -> Result<Self, String>;
    /// The container that it is about.
    fn container(&mut self) -> &mut Bearer;
}

impl Inspected for Bearer {
    fn read(answer: &[u8], interest: &Interest) -> Result<Self, String> {
        decode::bearer(answer, interest)
    }

    fn container(&mut self) -> &mut Bearer {
        self
    }
}

impl Inspected for Detail {
    fn read(answer: &[u8], _: &Interest) -> Result<Self, String> {
        decode::detail(answer)
    }

    fn container(&mut self) -> &mut Bearer {
        &mut self.container
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engines_clock_is_read_from_its_date() {
        let read = |date| {
            OffsetDateTime::parse(date, &Rfc2822)
                .map(OffsetDateTime::unix_timestamp)
                .ok()
        };
        assert_eq!(read("Sun, 22 Nov 2026 18:46:08 GMT"), Some(1_795_373_168));
        assert_eq!(read("yesterday"), None);
    }
}
