//! The one HTTP client: no redirects, bounded in time and size, trusting the system's roots, the bundled ones, and those of
//! the settings; https only, but for what a user names by its whole URL; through the proxy that the environment names. What
//! is asked over it is decided elsewhere.

use std::{io, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{
    HeaderValue, Request, Response,
    header::{ACCEPT_LANGUAGE, USER_AGENT},
};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use rustls::{
    CertificateError, ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier, crypto::aws_lc_rs,
};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use thiserror::Error;

use super::{
    https_proxy::{Connector, HttpsProxy},
    probe::AnyCertificate,
};

/// Who asks.
///
/// <https://www.rfc-editor.org/rfc/rfc8555#section-6.1>
const WHO: &str = concat!(
    "quaymaster/",
    env!("CARGO_PKG_VERSION"),
    " instant-acme/0.8"
);

/// How long a request may take, and how long its answer may be.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// For the connection.
    pub connect: Duration,
    /// For all of it: connection, handshake, answer and body.
    pub whole: Duration,
    /// Bytes of the answer's body.
    pub body: usize,
}

impl Default for Limits {
    /// For a CA: a busy one takes seconds to answer a finalize; the longest answer is a chain of a few certificates.
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            whole: Duration::from_secs(30),
            body: 1 << 20,
        }
    }
}

/// The reason why there is no answer.
#[derive(Debug, Error)]
pub enum HttpError {
    /// No connection, or none to the right server.
    #[error("no connection")]
    Connect(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A connection to a server whose certificate has run out, or begins later, by our clock.
    #[error(
        "no connection: its certificate counts as expired, or as not valid yet; is the clock of this machine right?"
    )]
    Dates(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It broke off before the whole answer was there.
    #[error("the connection broke off")]
    Cut(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The time was over.
    #[error("no whole answer within {0:?}")]
    Silent(Duration),
    /// More than we are ready to read.
    #[error("the answer is longer than {0} bytes")]
    TooLong(usize),
}

/// The reason why roots can't be trusted.
#[derive(Debug, Error)]
pub enum RootsError {
    /// Text that is no PEM, or certificates that can't be read.
    #[error("a root certificate can't be read")]
    Unreadable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// PEM without certificates.
    #[error("there is no certificate in the file with root certificates")]
    None,
    /// The TLS library won't start.
    #[error("TLS can't be set up")]
    Tls(#[source] rustls::Error),
}

/// The client. Clones share their connections.
#[derive(Clone, Debug)]
pub struct HttpClient {
    client: Client<HttpsConnector<Connector>, Full<Bytes>>,
    limits: Limits,
}

impl HttpClient {
    /// A client that trusts the system's roots, the bundled ones, and all those in `extra_roots` (PEM).
    ///
    /// # Errors
    /// When `extra_roots` holds no certificate, or one that can't be read.
    pub fn new(
        extra_roots: Option<&str>,
        proxy: &HttpsProxy,
        limits: Limits,
    ) -> Result<Self, RootsError> {
        let tls = tls()?
            .with_root_certificates(roots(extra_roots)?)
            .with_no_client_auth();
        Ok(Self::over(tls, true, proxy, limits))
    }

    /// A client for whole URLs of the user's, http or https. It takes any certificate where `takes_any`.
    ///
    /// # Errors
    /// When TLS can't be set up.
    pub fn of_urls(
        takes_any: bool,
        proxy: &HttpsProxy,
        limits: Limits,
    ) -> Result<Self, RootsError> {
        let tls = match takes_any {
            true => tls()?
                .dangerous()
                .with_custom_certificate_verifier(AnyCertificate::new(Arc::new(
                    aws_lc_rs::default_provider(),
                )))
                .with_no_client_auth(),
            false => tls()?
                .with_root_certificates(roots(None)?)
                .with_no_client_auth(),
        };
        Ok(Self::over(tls, false, proxy, limits))
    }

    /// A client for a whole URL of the user's, http or https, that trusts the roots in `extra_roots` (PEM), too.
    ///
    /// # Errors
    /// When `extra_roots` holds no certificate, or one that can't be read.
    pub fn of_url(
        extra_roots: Option<&str>,
        proxy: &HttpsProxy,
        limits: Limits,
    ) -> Result<Self, RootsError> {
        let tls = tls()?
            .with_root_certificates(roots(extra_roots)?)
            .with_no_client_auth();
        Ok(Self::over(tls, false, proxy, limits))
    }

    fn over(tls: ClientConfig, is_https_only: bool, proxy: &HttpsProxy, limits: Limits) -> Self {
        let mut direct = HttpConnector::new();
        // A signed request is two small writes; with Nagle's algorithm the second waits for a delayed acknowledgement.
        direct.set_nodelay(true);
        direct.set_connect_timeout(Some(limits.connect));
        direct.enforce_http(false);
        let schemes = HttpsConnectorBuilder::new().with_tls_config(tls);
        let schemes = match is_https_only {
            true => schemes.https_only(),
            false => schemes.https_or_http(),
        };
        let connector = schemes.enable_http1().wrap_connector(Connector {
            direct,
            proxy: proxy.clone(),
        });
        Self {
            client: Client::builder(TokioExecutor::new()).build(connector),
            limits,
        }
    }

    /// Sends a request and reads the whole answer, whatever its status.
    ///
    /// # Errors
    /// When there is no whole answer within the limits.
    pub async fn send(&self, mut request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        request
            .headers_mut()
            .insert(USER_AGENT, HeaderValue::from_static(WHO));
        request
            .headers_mut()
            .insert(ACCEPT_LANGUAGE, HeaderValue::from_static("en"));
        let (method, url) = (request.method().clone(), request.uri().clone());
        let exchange =
            tokio::time::timeout(self.limits.whole, self.exchange(request.map(Full::new)));
        let answer = exchange
            .await
            .unwrap_or(Err(HttpError::Silent(self.limits.whole)));
        match &answer {
            Ok(answer) => {
                tracing::debug!(%method, %url, status = answer.status().as_u16(), "request answered")
            }
            Err(problem) => tracing::debug!(%method, %url, %problem, "request failed"),
        }
        answer
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Response<Bytes>, HttpError> {
        let answer =
            self.client
                .request(request)
                .await
                .map_err(|error| match error.is_connect() {
                    true if is_about_dates(&error) => HttpError::Dates(error.into()),
                    true => HttpError::Connect(error.into()),
                    false => HttpError::Cut(error.into()),
                })?;
        let (head, body) = answer.into_parts();
        let whole = Limited::new(body, self.limits.body).collect().await;
        let whole = whole.map_err(|error| match error.is::<LengthLimitError>() {
            true => HttpError::TooLong(self.limits.body),
            false => HttpError::Cut(error),
        })?;
        Ok(Response::from_parts(head, whole.to_bytes()))
    }
}

/// Whether a connection was not made because of the dates of the server's certificate.
fn is_about_dates(error: &(dyn std::error::Error + 'static)) -> bool {
    if let Some(rustls::Error::InvalidCertificate(problem)) = error.downcast_ref() {
        return matches!(
            problem,
            CertificateError::Expired
                | CertificateError::ExpiredContext { .. }
                | CertificateError::NotValidYet
                | CertificateError::NotValidYetContext { .. }
        );
    }
    // An error of the system's hides the one that it wraps from those that ask for its source.
    let wrapped = error.downcast_ref().and_then(io::Error::get_ref);
    wrapped.is_some_and(|inner| is_about_dates(inner)) || error.source().is_some_and(is_about_dates)
}

fn tls() -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, RootsError> {
    ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(RootsError::Tls)
}

fn roots(extra: Option<&str>) -> Result<RootCertStore, RootsError> {
    let mut roots = RootCertStore::empty();
    // Some entries of a system's store are older than today's rules; one that can't be read is one not trusted.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    // An image built from nothing has no store of its own.
    roots.add_parsable_certificates(webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned());
    let Some(extra) = extra else { return Ok(roots) };
    let before = roots.len();
    for root in CertificateDer::pem_slice_iter(extra.as_bytes()) {
        let root = root.map_err(|error| RootsError::Unreadable(error.into()))?;
        roots
            .add(root)
            .map_err(|error| RootsError::Unreadable(error.into()))?;
    }
    match roots.len() > before {
        true => Ok(roots),
        false => Err(RootsError::None),
    }
}
