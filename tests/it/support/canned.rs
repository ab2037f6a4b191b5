//! A TLS server that answers as it is told: for what a real CA does only on bad days.

use std::{net::SocketAddr, sync::Arc};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::{ServerConfig, crypto::aws_lc_rs};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::watch,
};
use tokio_rustls::TlsAcceptor;

/// A certificate for 127.0.0.1, localhost and ca.example, its key, and the root that it was issued from, in PEM.
pub struct ServerCertificate {
    pub certificate: String,
    pub key: String,
    pub root: String,
}

/// Made for this run.
pub fn server_certificate() -> ServerCertificate {
    server_certificate_until(4000)
}

/// The same, of which the year is said in which it ends.
fn server_certificate_until(year: i32) -> ServerCertificate {
    let mut authority = CertificateParams::new([]).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority
        .distinguished_name
        .push(DnType::CommonName, "Root of this test");
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let mut server =
        CertificateParams::new(["127.0.0.1", "localhost", "ca.example"].map(str::to_owned))
            .unwrap();
    server.not_after = rcgen::date_time_ymd(year, 1, 1);
    let certificate = server.signed_by(&key, &authority).unwrap();
    ServerCertificate {
        certificate: certificate.pem(),
        key: key.serialize_pem(),
        root: authority.pem(),
    }
}

/// The server's reaction to a request.
#[derive(Clone, Debug)]
pub enum Reply {
    /// Sends these bytes and closes.
    Bytes(String),
    /// The same, once the server takes no connections any more.
    Last(String),
    /// Says nothing and keeps the connection.
    Hang,
    /// Closes the connection without a word.
    Cut,
}

impl Reply {
    /// The same, and no connections are taken from then on.
    pub fn and_closed(self) -> Self {
        match self {
            Self::Bytes(bytes) => Self::Last(bytes),
            other => other,
        }
    }

    /// The same answer, with this header line in place of its own.
    pub fn with(self, line: &str) -> Self {
        let Self::Bytes(bytes) = self else {
            return self;
        };
        let (head, body) = bytes.split_once("\r\n\r\n").unwrap_or((&bytes, ""));
        let name = line.split_once(':').map_or(line, |(name, _)| name);
        let is_other = |own: &&str| {
            let own = own.split_once(':').map_or("", |(own, _)| own);
            !own.eq_ignore_ascii_case(name)
        };
        let own: Vec<_> = head.split("\r\n").filter(is_other).collect();
        Self::Bytes(format!("{}\r\n{line}\r\n\r\n{body}", own.join("\r\n")))
    }

    /// The same answer, with each of these texts in its body replaced by the other.
    pub fn replaced(self, texts: &[(&str, &str)]) -> Self {
        let Self::Bytes(bytes) = self else {
            return self;
        };
        let (head, body) = bytes.split_once("\r\n\r\n").unwrap_or((&bytes, ""));
        let body = texts
            .iter()
            .fold(body.to_owned(), |body, (old, new)| body.replace(old, new));
        let length = format!("Content-Length: {}", body.len());
        Self::Bytes(format!("{head}\r\n\r\n{body}")).with(&length)
    }

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

/// A request, whole.
#[derive(Clone, Debug)]
pub struct Asked {
    pub method: String,
    pub path: String,
    pub head: String,
    pub body: Vec<u8>,
}

impl Asked {
    /// Method and path.
    pub fn line(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// The text of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }
}

/// The text of the first header of this name.
pub fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    let mut lines = head.lines().filter_map(|line| line.split_once(':'));
    let (_, text) = lines.find(|(found, _)| found.eq_ignore_ascii_case(name))?;
    Some(text.trim())
}

/// The door of the server: open or shut for connections. While it is shut, the server keeps the port, and clients are
/// refused.
struct Door {
    /// The wish to open or shut it, and its state.
    asked: watch::Sender<bool>,
    is_open: watch::Sender<bool>,
    _kept: TcpSocket,
}

impl Door {
    async fn close(&self) {
        self.asked.send_replace(false);
        becomes(&mut self.is_open.subscribe(), false).await;
    }
}

/// A running server; ends with its runtime.
pub struct Canned {
    /// Where it listens.
    pub at: SocketAddr,
    /// The root of its certificate, in PEM.
    pub root: String,
    door: Arc<Door>,
}

impl Canned {
    /// Starts a server that answers each request, given as method, path and headers.
    pub async fn start(reply: impl Fn(&str, &str, &str) -> Reply + Send + Sync + 'static) -> Self {
        let reply = Arc::new(reply);
        Self::start_with(move |asked: Asked| {
            let reply = Arc::clone(&reply);
            async move { reply(&asked.method, &asked.path, &asked.head) }
        })
        .await
    }

    /// The same, given each request whole, and with time to answer.
    pub async fn start_with<R: Future<Output = Reply> + Send>(
        reply: impl Fn(Asked) -> R + Send + Sync + 'static,
    ) -> Self {
        Self::start_as(server_certificate(), reply).await
    }

    /// A server whose certificate has run out.
    pub async fn expired() -> Self {
        let reply = |_| async { Reply::Cut };
        Self::start_as(server_certificate_until(2000), reply).await
    }

    async fn start_as<R: Future<Output = Reply> + Send>(
        server: ServerCertificate,
        reply: impl Fn(Asked) -> R + Send + Sync + 'static,
    ) -> Self {
        let ServerCertificate {
            certificate,
            key,
            root,
        } = server;
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
        let kept = bound("127.0.0.1:0".parse().unwrap());
        let at = kept.local_addr().unwrap();
        let door = Arc::new(Door {
            asked: watch::Sender::new(true),
            is_open: watch::Sender::new(true),
            _kept: kept,
        });
        let (reply, of_server) = (Arc::new(reply), Arc::clone(&door));
        let mut asked = door.asked.subscribe();
        let mut listening = listen(at);
        tokio::spawn(async move {
            loop {
                let stream = tokio::select! {
                    taken = listening.accept() => taken.unwrap().0,
                    () = becomes(&mut asked, false) => {
                        drop(listening);
                        door.is_open.send_replace(false);
                        becomes(&mut asked, true).await;
                        listening = listen(at);
                        door.is_open.send_replace(true);
                        continue;
                    }
                };
                let (acceptor, reply) = (acceptor.clone(), Arc::clone(&reply));
                let door = Arc::clone(&door);
                tokio::spawn(async move { answer(stream, acceptor, &*reply, &door).await });
            }
        });
        Self {
            at,
            root,
            door: of_server,
        }
    }

    /// True if it takes connections; otherwise it refuses them.
    pub fn is_open(&self) -> bool {
        *self.door.asked.borrow()
    }

    /// Takes connections again.
    pub fn open(&self) {
        self.door.asked.send_replace(true);
    }

    /// The URL of something there.
    pub fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.at)
    }
}

/// Waits until it is so.
async fn becomes(watched: &mut watch::Receiver<bool>, value: bool) {
    // Whoever says so lives as long as the server.
    drop(watched.wait_for(|it| *it == value).await);
}

/// A socket that has this address together with others, and does not listen.
fn bound(at: SocketAddr) -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseport(true).unwrap();
    socket.bind(at).unwrap();
    socket
}

fn listen(at: SocketAddr) -> TcpListener {
    bound(at).listen(128).unwrap()
}

/// Answers the one request of a connection.
async fn answer<R: Future<Output = Reply>>(
    stream: TcpStream,
    acceptor: TlsAcceptor,
    reply: &impl Fn(Asked) -> R,
    door: &Door,
) {
    let Ok(mut stream) = acceptor.accept(stream).await else {
        return;
    };
    let (head, body) = read_request(&mut stream).await;
    let mut words = head.split_whitespace();
    let (method, path) = (
        words.next().unwrap_or_default().to_owned(),
        words.next().unwrap_or_default().to_owned(),
    );
    let asked = Asked {
        method,
        path,
        head,
        body,
    };
    let reply = reply(asked).await;
    if matches!(reply, Reply::Last(_)) {
        door.close().await;
    }
    match reply {
        Reply::Bytes(bytes) | Reply::Last(bytes) => {
            let _ = stream.write_all(bytes.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
        Reply::Hang => std::future::pending().await,
        Reply::Cut => {}
    }
}

/// Reads a request whole: its head and its body.
async fn read_request(stream: &mut (impl AsyncReadExt + Unpin)) -> (String, Vec<u8>) {
    let mut read = Vec::new();
    let end = loop {
        if let Some(end) = read.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            break end + 4;
        }
        match stream.read_buf(&mut read).await {
            Ok(0) | Err(_) => return Default::default(),
            Ok(_) => {}
        }
    };
    let head = String::from_utf8_lossy(&read[..end]).into_owned();
    let length = header(&head, "content-length").and_then(|length| length.parse().ok());
    while read.len() < end + length.unwrap_or(0usize) {
        match stream.read_buf(&mut read).await {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
    }
    (head, read.split_off(end))
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
