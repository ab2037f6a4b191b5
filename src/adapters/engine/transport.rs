//! One request, one connection: over a Unix socket, TCP, TLS, or what the user's own `ssh` passes on.

use std::io;

use http::{
    HeaderValue, Request, Response, Uri,
    header::{HOST, InvalidHeaderValue},
};
use hyper::{
    body::{Body, Incoming},
    client::conn::http1,
};
use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
};
use tokio_rustls::TlsConnector;

use super::{
    address::{Target, bare_host},
    by_ssh::{self, SshConnection, SshTarget},
};

/// The transport of requests to the engine.
#[derive(Debug)]
pub(super) struct Transport {
    target: Target,
}

/// The reason why there is no answer.
#[derive(Debug, Error)]
pub(super) enum TransportError {
    /// No connection.
    #[error(transparent)]
    Connect(#[from] io::Error),
    /// No connection by `ssh`, in its words.
    #[error("{0}")]
    Ssh(String),
    /// A connection that broke, or on which something else than HTTP is spoken.
    #[error(transparent)]
    Exchange(#[from] hyper::Error),
}

impl From<TransportError> for bollard::errors::Error {
    fn from(failure: TransportError) -> Self {
        match failure {
            TransportError::Connect(err) => Self::IOError { err },
            TransportError::Ssh(words) => Self::IOError {
                err: io::Error::other(words),
            },
            TransportError::Exchange(err) => Self::HyperResponseError { err },
        }
    }
}

impl From<InvalidHeaderValue> for TransportError {
    fn from(error: InvalidHeaderValue) -> Self {
        Self::Connect(io::Error::new(io::ErrorKind::InvalidInput, error))
    }
}

impl Transport {
    pub(super) fn new(target: Target) -> Self {
        Self { target }
    }

    /// True if the engine is on this machine, as far as its address shows: its socket lies in our file system.
    pub(super) fn is_local(&self) -> bool {
        matches!(self.target, Target::Unix(_))
    }

    /// The host of an engine that is on another machine, as far as its address shows.
    pub(super) fn remote_host(&self) -> Option<&str> {
        match &self.target {
            Target::Unix(_) => None,
            Target::Ssh(target) => Some(target.host()),
            Target::Tcp(authority, _) | Target::Tls(authority, ..) => Some(bare_host(authority)),
        }
    }

    /// Sends a request and waits for the headers of its answer; without a limit of its own. The connection ends with
    /// the answer's body, read or dropped.
    pub(super) async fn send<B>(
        &self,
        mut request: Request<B>,
    ) -> Result<Response<Incoming>, TransportError>
    where
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        request
            .headers_mut()
            .insert(HOST, HeaderValue::from_str(self.target.host())?);
        *request.uri_mut() = origin_form(request.uri());
        match &self.target {
            Target::Unix(path) => exchange(UnixStream::connect(path).await?, request, ()).await,
            Target::Tcp(authority, port) => {
                exchange(tcp(bare_host(authority), *port).await?, request, ()).await
            }
            Target::Ssh(target) => by_ssh(target, request).await,
            Target::Tls(authority, port, name, config) => {
                let plain = tcp(bare_host(authority), *port).await?;
                let connector = TlsConnector::from(config.clone());
                exchange(connector.connect(name.clone(), plain).await?, request, ()).await
            }
        }
    }
}

/// The URI that a server wants after the method: path and query alone.
///
/// <https://www.rfc-editor.org/rfc/rfc9112#section-3.2.1>
fn origin_form(uri: &Uri) -> Uri {
    uri.path_and_query()
        .map_or_else(|| Uri::from_static("/"), |path| Uri::from(path.clone()))
}

async fn tcp(host: &str, port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Sends a request through `ssh`, which says why where it leads nowhere.
async fn by_ssh<B>(
    target: &SshTarget,
    request: Request<B>,
) -> Result<Response<Incoming>, TransportError>
where
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let SshConnection {
        stream,
        running,
        said,
    } = target.connect()?;
    match exchange(stream, request, running).await {
        Ok(answer) => Ok(answer),
        Err(failure) => Err(match by_ssh::last_words(said).await {
            Some(words) => TransportError::Ssh(words),
            None => failure,
        }),
    }
}

/// Sends a request over a stream, which needs `beside` as long as it lives.
async fn exchange<S, B>(
    stream: S,
    request: Request<B>,
    beside: impl Send + 'static,
) -> Result<Response<Incoming>, TransportError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Ends by itself when sender and body are gone; its error comes out of the body, too.
    tokio::spawn(async move {
        let ended = connection.await;
        drop(beside);
        ended
    });
    Ok(sender.send_request(request).await?)
}
