//! Looks at what a server shows to a new connection. Nothing is trusted, so nothing is checked: the caller compares.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::TlsConnector;

use crate::{
    adapters::{starttls, x509},
    ports::{Page, Probe, ProbeError, Served},
    values::{Host, Protocol},
};

/// A server on a network that we share answers within milliseconds; one that takes longer is not there.
const LIMIT: Duration = Duration::from_secs(2);

/// The time for a connection alone: a firewall that drops what comes is no server that answers.
const CONNECTED_WITHIN: Duration = Duration::from_secs(1);

/// A mail server looks up who asks before it greets.
const MAIL_LIMIT: Duration = Duration::from_secs(10);

/// The most that is read of a page, in bytes.
const LARGEST_PAGE: usize = 64 * 1024;

/// Probes over TCP.
pub struct TcpProbe {
    tls: ClientConfig,
    provider: Arc<CryptoProvider>,
}

impl TcpProbe {
    /// A probe with a TLS client that accepts any certificate.
    ///
    /// # Errors
    /// When the crypto provider lacks what TLS needs: a fault of the build.
    pub fn new() -> Result<Self, rustls::Error> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(AnyCertificate::new(Arc::clone(&provider)))
            .with_no_client_auth();
        // A resumed session shows the certificate of the session before, not the one that is served now.
        config.resumption = rustls::client::Resumption::disabled();
        Ok(Self {
            tls: config,
            provider,
        })
    }

    /// The certificate that is shown once both sides have said what comes before TLS.
    async fn shown(
        &self,
        at: SocketAddr,
        protocol: Protocol,
        host: &Host,
    ) -> Result<Served, ProbeError> {
        let mut stream = connect(at).await?;
        starttls::begin(&mut stream, protocol, host)
            .await
            .map_err(|error| strange(at, error))?;
        // For an address nothing is sent: that is how browsers ask, too.
        let name = ServerName::try_from(host.one_of()).map_err(|error| strange(at, error))?;
        let seen = AnyCertificate::new(Arc::clone(&self.provider));
        let mut config = self.tls.clone();
        config
            .dangerous()
            .set_certificate_verifier(Arc::clone(&seen) as Arc<dyn ServerCertVerifier>);
        let session = TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await;
        // One that demands a certificate of its clients ends here, and has shown its own before.
        let serial = seen.leaf().and_then(|leaf| x509::serial_of(&leaf));
        match (session, serial) {
            (Ok(mut session), Some(serial)) => {
                starttls::end(&mut session, protocol).await;
                Ok(Served { serial })
            }
            (Err(_), Some(serial)) => Ok(Served { serial }),
            (Ok(_), None) => Err(strange(at, "it showed no certificate")),
            (Err(error), None) if is_no_tls(&error) => Err(ProbeError::NoTls { at }),
            (Err(error), None) => Err(strange(at, error)),
        }
    }
}

#[async_trait(?Send)]
impl Probe for TcpProbe {
    async fn certificate(
        &self,
        at: SocketAddr,
        protocol: Protocol,
        host: &Host,
    ) -> Result<Served, ProbeError> {
        let limit = match protocol {
            Protocol::Tls => LIMIT,
            _ => MAIL_LIMIT,
        };
        within(limit, at, self.shown(at, protocol, host)).await
    }

    async fn listens(&self, at: SocketAddr) -> Result<(), ProbeError> {
        within(LIMIT, at, async { connect(at).await.map(drop) }).await
    }

    async fn ask(
        &self,
        method: Method,
        at: SocketAddr,
        host: &str,
        path: &str,
    ) -> Result<Page, ProbeError> {
        within(LIMIT, at, async {
            let stream = TokioIo::new(connect(at).await?);
            let (mut sender, connection) = http1::handshake(stream)
                .await
                .map_err(|error| strange(at, error))?;
            // A server may take an empty text for none.
            let text = if method == Method::PUT { "1" } else { "" };
            let request = Request::builder()
                .method(method)
                .uri(path)
                .header(header::HOST, host)
                .header(
                    header::USER_AGENT,
                    concat!("quaymaster/", env!("CARGO_PKG_VERSION")),
                )
                .header(header::CONNECTION, "close")
                .body(Full::new(Bytes::from_static(text.as_bytes())))
                .map_err(|error| strange(at, error))?;
            let page = async {
                let response = sender
                    .send_request(request)
                    .await
                    .map_err(|error| strange(at, error))?;
                let status = response.status().as_u16();
                let body = Limited::new(response.into_body(), LARGEST_PAGE)
                    .collect()
                    .await;
                let bytes = body.map_err(|error| strange(at, error))?.to_bytes();
                Ok(Page {
                    status,
                    body: String::from_utf8_lossy(&bytes).into_owned(),
                })
            };
            tokio::pin!(page);
            tokio::select! {
                page = &mut page => page,
                // The connection ends with the response; what was read of it is still to be handed over.
                ended = connection => match ended {
                    Ok(()) => page.await,
                    Err(error) => Err(strange(at, error)),
                },
            }
        })
        .await
    }
}

async fn within<T>(
    limit: Duration,
    at: SocketAddr,
    look: impl Future<Output = Result<T, ProbeError>>,
) -> Result<T, ProbeError> {
    timeout(limit, look)
        .await
        .unwrap_or(Err(ProbeError::Silent { at, limit }))
}

async fn connect(at: SocketAddr) -> Result<TcpStream, ProbeError> {
    let connected = timeout(CONNECTED_WITHIN, TcpStream::connect(at)).await;
    let connected = connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    connected.map_err(|source| ProbeError::Unreachable { at, source })
}

/// True if something else than TLS came back.
fn is_no_tls(error: &io::Error) -> bool {
    let source = error.get_ref().and_then(|source| source.downcast_ref());
    matches!(source, Some(rustls::Error::InvalidMessage(_)))
}

fn strange(at: SocketAddr, problem: impl ToString) -> ProbeError {
    ProbeError::Strange {
        at,
        problem: problem.to_string(),
    }
}

/// Accepts any certificate, and keeps it: a probe reports what is served, and what is served may well be wrong.
#[derive(Debug)]
pub(super) struct AnyCertificate {
    provider: Arc<CryptoProvider>,
    leaf: Mutex<Option<CertificateDer<'static>>>,
}

impl AnyCertificate {
    pub fn new(provider: Arc<CryptoProvider>) -> Arc<Self> {
        Arc::new(Self {
            provider,
            leaf: Mutex::new(None),
        })
    }

    /// The certificate that was shown last.
    fn leaf(&self) -> Option<CertificateDer<'static>> {
        let leaf = self.leaf.lock().unwrap_or_else(PoisonError::into_inner);
        leaf.clone()
    }
}

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let mut seen = self.leaf.lock().unwrap_or_else(PoisonError::into_inner);
        *seen = Some(leaf.clone().into_owned());
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(
            message,
            certificate,
            signed,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            certificate,
            signed,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    /// The result of a look for a certificate at a server that says this to whatever it is asked, and closes.
    async fn look(answer: &[u8]) -> Result<Served, ProbeError> {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let at = listener.local_addr().expect("an address");
        let probe = TcpProbe::new().expect("a client");
        let host = Host::parse("mqtt.example").expect("a host");
        let serve = async {
            let (mut stream, _) = listener.accept().await.expect("a client");
            stream.read_u8().await.expect("a first byte");
            stream.write_all(answer).await.expect("it is read");
            stream.shutdown().await.expect("it is there");
            // What is not read yet would reset the connection.
            let _ = stream.read_to_end(&mut Vec::new()).await;
        };
        tokio::join!(probe.certificate(at, Protocol::Tls, &host), serve).0
    }

    #[tokio::test]
    async fn a_server_that_answers_in_something_else_than_tls_speaks_none() {
        let plain = look(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        assert!(matches!(plain, Err(ProbeError::NoTls { .. })), "{plain:?}");
        // One that closes may have refused its own certificate, as mosquitto does.
        let closed = look(b"").await;
        assert!(
            matches!(closed, Err(ProbeError::Strange { .. })),
            "{closed:?}"
        );
        let alert = look(&[21, 3, 3, 0, 2, 2, 40]).await;
        assert!(
            matches!(alert, Err(ProbeError::Strange { .. })),
            "{alert:?}"
        );
    }
}
