//! The Docker engine, or what speaks its API.

use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::LocalBoxStream;
use thiserror::Error;

use super::Parcel;
use crate::{
    observe::{Bearer, Detail, EngineEvent, Interest, Way},
    values::{ContainerId, Retry, Signal, Timestamp},
};

/// The Docker engine, or what speaks its API.
#[async_trait(?Send)]
pub trait Engine {
    /// Opens the stream of events. It is open, and misses nothing from here on, when this returns: list only after it.
    ///
    /// The stream ends with an error or when the engine closes it; both mean a gap.
    async fn events(
        &self,
    ) -> Result<LocalBoxStream<'static, Result<EngineEvent, EngineError>>, EngineError>;

    /// All bearers that concern us, running or not, each from inspect's answer.
    async fn bearers(&self, interest: &Interest) -> Result<Vec<Bearer>, EngineError>;

    /// One bearer by id or name, with those variables of it that are read; `None` when there is none.
    async fn bearer(&self, word: &str, interest: &Interest) -> Result<Option<Bearer>, EngineError>;

    /// One container by id or name, be it of interest or not, without variables; `None` when there is none.
    async fn inspect(&self, container: &str) -> Result<Option<Bearer>, EngineError> {
        self.bearer(container, &Interest::default()).await
    }

    /// Sends a signal to the container's first process, and says which way it went: where the direct one is closed, it
    /// goes by the engine.
    async fn kill(
        &self,
        container: &ContainerId,
        signal: Signal,
        way: Way,
    ) -> Result<Way, EngineError>;

    /// Runs words in the container, without a shell, and waits for their end.
    ///
    /// # Errors
    /// When they could not be run; what they did shows in the code.
    async fn exec(&self, container: &ContainerId, words: &[String]) -> Result<Ran, EngineError>;

    /// Puts files, dated `now`, inside a container, which need not run: one after the other, and whoever looks in between
    /// sees some of them.
    async fn put(&self, parcel: &Parcel, now: Timestamp) -> Result<(), EngineError>;

    /// Ends the container and starts it again.
    async fn restart(&self, container: &ContainerId) -> Result<(), EngineError>;

    /// Checks that the engine still answers, within a few seconds; an open event stream alone does not show that.
    async fn ping(&self) -> Result<(), EngineError>;
}

/// The result of a command that was run in a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ran {
    /// The exit code.
    pub code: i64,
    /// Its output from both streams, at most 64 KiB, with invalid UTF-8 replaced.
    pub output: String,
}

/// An engine that also gives the details that only the command `render` shows, environments among them.
#[async_trait(?Send)]
pub trait DetailedEngine: Engine {
    /// All containers, running or not.
    async fn details(&self) -> Result<Vec<Detail>, EngineError>;

    /// One container by id or name; `None` when there is none.
    async fn detail(&self, container: &str) -> Result<Option<Detail>, EngineError>;

    /// True if it manages a Swarm, so that it knows of services and nodes.
    async fn manages_swarm(&self) -> Result<bool, EngineError>;
}

/// The reason why the engine did not do what was asked.
#[derive(Debug, Error)]
pub enum EngineError {
    /// Nobody answers there.
    #[error(
        "the Docker engine at {engine} can't be reached; is it running, and is its socket mounted?"
    )]
    Unreachable {
        /// Where it should be.
        engine: String,
        /// The error of the attempt.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It, or a proxy before it, forbids the call.
    #[error(
        "`{call}` is not allowed at {engine} (403); allow this call in the socket proxy, or use another socket"
    )]
    Denied {
        /// Where it is.
        engine: String,
        /// Method and path.
        call: String,
    },
    /// The container's folder takes no files.
    #[error(
        "the Docker engine can't put files there (`{call}`): {message}; mount a volume on that folder without `:ro`, or \
         better one that quaymaster mounts too"
    )]
    ReadOnly {
        /// Method and path.
        call: String,
        /// The engine's words.
        message: String,
    },
    /// It refuses the call.
    #[error("the Docker engine refuses `{call}` ({status}): {message}")]
    Refused {
        /// Method and path.
        call: String,
        /// HTTP status.
        status: u16,
        /// The engine's words.
        message: String,
    },
    /// Its answer makes no sense here.
    #[error("the Docker engine's answer to `{call}` can't be understood: {problem}")]
    NotUnderstood {
        /// Method and path.
        call: String,
        /// The problem with the answer.
        problem: String,
    },
    /// It does not answer in time.
    #[error("the Docker engine at {engine} does not answer `{call}` within {limit:?}")]
    Silent {
        /// Where it is.
        engine: String,
        /// Method and path.
        call: String,
        /// The longest time for an answer.
        limit: Duration,
    },
    /// The name of its host leads nowhere.
    #[error(
        "the host {host}, where its containers publish their ports, can't be looked up; write an address into `host` of its table"
    )]
    HostUnknown {
        /// The name.
        host: String,
        /// The error of the look-up.
        source: std::io::Error,
    },
    /// A container is on an engine that has no table any more.
    #[error("the settings have no table [engine.{0}] any more")]
    NotFollowed(String),
    /// The address of the engine is none.
    #[error(
        "{0:?} is not the address of an engine; write unix:///var/run/docker.sock or tcp://host:port"
    )]
    Address(String),
}

impl EngineError {
    /// When the same call may be made again.
    pub fn retry(&self) -> Retry {
        match self {
            Self::Address(_) => Retry::Daily,
            _ => Retry::Backoff,
        }
    }
}
