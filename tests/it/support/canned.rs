//! A TLS server that answers as it is told: for what a real CA does only on bad days.

use std::{net::SocketAddr, sync::Arc};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::{ServerConfig, crypto::aws_lc_rs};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

/// A certificate for 127.0.0.1 and localhost, its key, and the root that it was issued from, in PEM.
pub struct ServerCertificate {
    pub certificate: String,
    pub key: String,
    pub root: String,
}

/// Made for this run.
pub fn server_certificate() -> ServerCertificate {
    let mut authority = CertificateParams::new([]).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority
        .distinguished_name
        .push(DnType::CommonName, "Root of this test");
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let server = CertificateParams::new(["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
    let certificate = server.signed_by(&key, &authority).unwrap();
    ServerCertificate {
        certificate: certificate.pem(),
        key: key.serialize_pem(),
        root: authority.pem(),
    }
}

/// What the server does with a request.
#[derive(Clone, Debug)]
pub enum Reply {
    /// Sends these bytes and closes.
    Bytes(String),
    /// Says nothing and keeps the connection.
    Hang,
    /// Closes the connection without a word.
    Cut,
}

impl Reply {
    /// An answer with a status, further header lines, and a body.
    pub fn new(status: u16, headers: &[&str], body: &str) -> Self {
        let headers = headers
            .iter()
            .map(|line| format!("{line}\r\n"))
            .collect::<String>();
        let length = body.len();
        Self::Bytes(format!(
            "HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n{body}"
        ))
    }
}

/// A running server; ends with its runtime.
pub struct Canned {
    /// Where it listens.
    pub at: SocketAddr,
    /// The root of its certificate, in PEM.
    pub root: String,
}

impl Canned {
    /// Starts a server that answers each request, given as method, path and headers.
    pub async fn start(reply: impl Fn(&str, &str, &str) -> Reply + Send + Sync + 'static) -> Self {
        let ServerCertificate {
            certificate,
            key,
            root,
        } = server_certificate();
        let tls = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()],
                PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
            )
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let reply = Arc::new(reply);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, reply) = (acceptor.clone(), reply.clone());
                tokio::spawn(async move {
                    let Ok(mut stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    let head = read_request(&mut stream).await;
                    let mut words = head.split_whitespace();
                    let (method, path) = (
                        words.next().unwrap_or_default(),
                        words.next().unwrap_or_default(),
                    );
                    match reply(method, path, &head) {
                        Reply::Bytes(bytes) => {
                            let _ = stream.write_all(bytes.as_bytes()).await;
                            let _ = stream.shutdown().await;
                        }
                        Reply::Hang => std::future::pending().await,
                        Reply::Cut => {}
                    }
                });
            }
        });
        Self { at, root }
    }

    /// The URL of something there.
    pub fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.at)
    }
}

/// Reads a request whole, and returns its head.
async fn read_request(stream: &mut (impl AsyncReadExt + Unpin)) -> String {
    let mut read = Vec::new();
    let end = loop {
        if let Some(end) = read.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            break end + 4;
        }
        match stream.read_buf(&mut read).await {
            Ok(0) | Err(_) => return String::new(),
            Ok(_) => {}
        }
    };
    let head = String::from_utf8_lossy(&read[..end]).into_owned();
    let length = head.lines().find_map(|line| {
        line.to_ascii_lowercase()
            .strip_prefix("content-length:")?
            .trim()
            .parse()
            .ok()
    });
    while read.len() < end + length.unwrap_or(0usize) {
        match stream.read_buf(&mut read).await {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
    }
    head
}

/// A plain POST that must succeed.
pub async fn post(at: SocketAddr, path: &str, body: &str) {
    let mut stream = TcpStream::connect(at).await.unwrap();
    let length = body.len();
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: {at}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}
