//! Requests to a web server as a CA makes them.

use std::net::SocketAddr;

use async_trait::async_trait;
use url::Url;

use super::ProbeError;

/// Requests to a web server as a CA makes them while it validates a name: over http or https, whatever certificate it
/// has. Nothing is followed from one answer to the next.
#[async_trait(?Send)]
pub trait Visitor {
    /// Fetches this address's answer for the URL, at most 64 KiB of it, within seconds.
    async fn visit(&self, at: SocketAddr, url: &Url) -> Result<Answered, ProbeError>;
}

/// An answer in HTTP.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answered {
    /// The status code.
    pub status: u16,
    /// The header `Location`, if it can be read.
    pub location: Option<String>,
    /// The header `Server`, if it can be read.
    pub server: Option<String>,
    /// The body, with what is no UTF-8 replaced.
    pub body: String,
}
