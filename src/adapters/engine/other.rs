//! An engine with a name, as it is seen from beside another one: its containers are told from those there, and known to
//! be elsewhere.

use std::net::IpAddr;

use async_trait::async_trait;
use futures_util::stream::LocalBoxStream;
use tokio::net::lookup_host;

use super::{DockerEngine, TlsFiles};
use crate::{
    observe::{Bearer, EngineEvent, Interest, Way},
    ports::{Engine, EngineError, Parcel, Ran, Remarks},
    values::{ContainerId, EngineName, EngineSettings, Signal, Timestamp},
};

/// A further engine, with the name of its table `[engine.NAME]`.
#[derive(Debug)]
pub struct OtherEngine {
    name: EngineName,
    engine: DockerEngine,
    /// Where the ports are reached that it publishes; none where it is on this machine, too.
    host: Option<String>,
}

impl OtherEngine {
    /// An engine as its table has it. Nothing is connected yet.
    ///
    /// # Errors
    /// When its address is none, or a file of its TLS connection can't be read or used.
    pub fn new(
        name: EngineName,
        settings: &EngineSettings,
        remarks: Remarks,
    ) -> Result<Self, EngineError> {
        let tls = settings.tls.as_deref().map(TlsFiles::in_folder);
        let engine = DockerEngine::new(&settings.address, tls.as_ref(), remarks)?;
        let of_address = || engine.transport.remote_host().map(str::to_owned);
        Ok(Self {
            name,
            host: settings.host.clone().or_else(of_address),
            engine,
        })
    }

    /// Which engine it is, in its own words.
    ///
    /// # Errors
    /// When it can't be asked.
    pub async fn version(&self) -> Result<String, EngineError> {
        self.engine.version().await
    }

    /// The address of the host at which its published ports are reached: the first one, of IPv4 where it has both. It is
    /// looked up each time, since the name may lead elsewhere by then.
    ///
    /// # Errors
    /// When the name of the host leads nowhere.
    pub async fn host(&self) -> Result<Option<IpAddr>, EngineError> {
        let Some(host) = &self.host else {
            return Ok(None);
        };
        if let Ok(address) = host.parse() {
            return Ok(Some(address));
        }
        let unknown = |source: std::io::Error| EngineError::HostUnknown {
            host: host.clone(),
            source,
        };
        let mut found: Vec<_> = lookup_host((host.as_str(), 0))
            .await
            .map_err(unknown)?
            .map(|at| at.ip())
            .collect();
        found.sort_by_key(|address| !address.is_ipv4());
        let nothing = || unknown(std::io::Error::other("it has no address"));
        found.first().copied().map(Some).ok_or_else(nothing)
    }

    fn seen_from_here(&self, bearer: Bearer, host: Option<IpAddr>) -> Bearer {
        bearer.on(&self.name, host)
    }
}

#[async_trait(?Send)]
impl Engine for OtherEngine {
    async fn events(
        &self,
    ) -> Result<LocalBoxStream<'static, Result<EngineEvent, EngineError>>, EngineError> {
        self.engine.events().await
    }

    async fn bearers(&self, interest: &Interest) -> Result<Vec<Bearer>, EngineError> {
        let host = self.host().await?;
        let found = self.engine.bearers(interest).await?.into_iter();
        Ok(found
            .map(|bearer| self.seen_from_here(bearer, host))
            .collect())
    }

    async fn bearer(&self, word: &str, interest: &Interest) -> Result<Option<Bearer>, EngineError> {
        let host = self.host().await?;
        let found = self.engine.bearer(word, interest).await?;
        Ok(found.map(|bearer| self.seen_from_here(bearer, host)))
    }

    async fn kill(
        &self,
        container: &ContainerId,
        signal: Signal,
        way: Way,
    ) -> Result<Way, EngineError> {
        self.engine.kill(container, signal, way).await
    }

    async fn exec(&self, container: &ContainerId, words: &[String]) -> Result<Ran, EngineError> {
        self.engine.exec(container, words).await
    }

    async fn put(&self, parcel: &Parcel, now: Timestamp) -> Result<(), EngineError> {
        self.engine.put(parcel, now).await
    }

    async fn restart(&self, container: &ContainerId) -> Result<(), EngineError> {
        self.engine.restart(container).await
    }

    async fn ping(&self) -> Result<(), EngineError> {
        self.engine.ping().await
    }
}
