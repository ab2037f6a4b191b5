//! Connections that prove what is served.

use std::{net::SocketAddr, time::Duration};

use async_trait::async_trait;
use http::Method;
use thiserror::Error;

use crate::values::{Host, Protocol};

/// Connections that prove what is served. Nothing here trusts what it sees: it looks.
#[async_trait(?Send)]
pub trait Probe {
    /// The certificate that is shown for `host` on a new TLS connection, or after the protocol's STARTTLS: for some name
    /// under a wildcard, and for an address to a client that sends no name.
    async fn certificate(
        &self,
        at: SocketAddr,
        protocol: Protocol,
        host: &Host,
    ) -> Result<Served, ProbeError>;
    /// Checks that a server takes connections there; nothing is asked.
    async fn listens(&self, at: SocketAddr) -> Result<(), ProbeError>;
    /// Fetches the answer to a plain HTTP request, at most 64 KiB of it.
    async fn page(&self, at: SocketAddr, host: &str, path: &str) -> Result<Page, ProbeError> {
        self.ask(Method::GET, at, host, path).await
    }
    /// The same by another method; with PUT comes a short text.
    async fn ask(
        &self,
        method: Method,
        at: SocketAddr,
        host: &str,
        path: &str,
    ) -> Result<Page, ProbeError>;
}

/// A certificate as a client saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// Its serial number in hexadecimal, lower case, no separators.
    pub serial: String,
}

/// An HTTP response as a client saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The status code.
    pub status: u16,
    /// The body, with what is no UTF-8 replaced.
    pub body: String,
}

/// The reason why a look at a server showed nothing.
#[derive(Debug, Error)]
pub enum ProbeError {
    /// No connection.
    #[error("{at} can't be reached")]
    Unreachable {
        /// Where.
        at: SocketAddr,
        /// The error of the attempt.
        source: std::io::Error,
    },
    /// A connection on which TLS is not spoken.
    #[error("{at} answers, but not in TLS")]
    NoTls {
        /// Where.
        at: SocketAddr,
    },
    /// A connection, and nothing else.
    #[error("{at} takes connections, but it says nothing within {limit:?}")]
    Silent {
        /// Where.
        at: SocketAddr,
        /// The longest time for an answer.
        limit: Duration,
    },
    /// A connection, but not what was looked for.
    #[error("{at} answers, but {problem}")]
    Strange {
        /// Where.
        at: SocketAddr,
        /// The problem with the answer.
        problem: String,
    },
}
