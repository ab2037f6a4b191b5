//! Asks web servers as a CA does, over http or https.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, Request, header};
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, crypto::aws_lc_rs, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;
use url::{Host, Url};

use super::probe::AnyCertificate;
use crate::ports::{Answered, ProbeError, Visitor};

/// The time for a connection, and for all of it: a CA waits 10 s, and nothing is lost where we wait less.
const CONNECTED_WITHIN: Duration = Duration::from_secs(3);
const LIMIT: Duration = Duration::from_secs(8);

/// The most that is read of an answer, in bytes.
const LONGEST: usize = 64 * 1024;

/// Asks over TCP.
pub struct TcpVisitor {
    tls: Arc<ClientConfig>,
}

impl TcpVisitor {
    /// A client that takes any certificate, as CAs do here: it is what they are asked for.
    ///
    /// # Errors
    /// When the crypto provider lacks what TLS needs: a fault of the build.
    pub fn new() -> Result<Self, rustls::Error> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(AnyCertificate::new(provider))
            .with_no_client_auth();
        Ok(Self { tls: Arc::new(tls) })
    }

    async fn over(&self, at: SocketAddr, url: &Url) -> Result<Answered, ProbeError> {
        let connected = timeout(CONNECTED_WITHIN, TcpStream::connect(at)).await;
        let connected = connected.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()));
        let stream = connected.map_err(|source| ProbeError::Unreachable { at, source })?;
        if url.scheme() != "https" {
            return asked(at, url, stream).await;
        }
        let name = match url.host() {
            Some(Host::Domain(name)) => ServerName::try_from(name.to_owned())
                .map_err(|error| strange(at, format!("its name is not a server's: {error}")))?,
            Some(Host::Ipv4(address)) => ServerName::IpAddress(address.into()),
            Some(Host::Ipv6(address)) => ServerName::IpAddress(address.into()),
            None => return Err(strange(at, "the URL has no host")),
        };
        let tls = TlsConnector::from(self.tls.clone());
        let stream = tls.connect(name, stream).await;
        let stream = stream.map_err(|error| strange(at, format!("TLS fails: {error}")))?;
        asked(at, url, stream).await
    }
}

#[async_trait(?Send)]
impl Visitor for TcpVisitor {
    async fn visit(&self, at: SocketAddr, url: &Url) -> Result<Answered, ProbeError> {
        timeout(LIMIT, self.over(at, url))
            .await
            .unwrap_or(Err(ProbeError::Silent { at, limit: LIMIT }))
    }
}

fn strange(at: SocketAddr, problem: impl ToString) -> ProbeError {
    ProbeError::Strange {
        at,
        problem: problem.to_string(),
    }
}

/// Asks on a connection that is there.
async fn asked(
    at: SocketAddr,
    url: &Url,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> Result<Answered, ProbeError> {
    let handshake = http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|error| strange(at, error))?;
    let request = request(url).map_err(|error| strange(at, error))?;
    let answer = async {
        let answer = sender.send_request(request).await;
        let answer = answer.map_err(|error| strange(at, error))?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, LONGEST).collect().await;
        let body = match body {
            Ok(body) => body.to_bytes(),
            // Whoever answers without end does not show what we do.
            Err(error) if error.is::<LengthLimitError>() => Bytes::new(),
            Err(error) => return Err(strange(at, error)),
        };
        Ok(Answered {
            status: head.status.as_u16(),
            location: text(&head.headers, &header::LOCATION),
            server: text(&head.headers, &header::SERVER),
            body: String::from_utf8_lossy(&body).into_owned(),
        })
    };
    tokio::pin!(answer);
    tokio::select! {
        answer = &mut answer => answer,
        // The connection ends with the answer; what was read of it is still to be handed over.
        ended = connection => match ended {
            Ok(()) => answer.await,
            Err(error) => Err(strange(at, error)),
        },
    }
}

fn request(url: &Url) -> Result<Request<Empty<Bytes>>, http::Error> {
    let path = match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    let host = url.host_str().unwrap_or_default();
    let host = url
        .port()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    Request::get(path)
        .header(header::HOST, host)
        .header(
            header::USER_AGENT,
            concat!("quaymaster/", env!("CARGO_PKG_VERSION")),
        )
        .header(header::CONNECTION, "close")
        .body(Empty::new())
}

fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let value = headers.get(name)?.to_str().ok()?;
    Some(value.to_owned())
}
