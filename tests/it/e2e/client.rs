//! A visitor: one new connection a request, verified against the CA's root and nothing else.

use std::{
    collections::BTreeSet,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::Duration,
};

use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, client::Resumption,
    crypto::aws_lc_rs,
};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject};
use x509_parser::{extensions::GeneralName, parse_x509_certificate};

use super::{
    docker::{is_so, wait},
    stack::SOON,
};

/// A visitor who waits longer is gone.
const PATIENCE: Duration = Duration::from_secs(30);

/// An HTTP answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines
            .into_iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
    }
}

/// An answer over TLS, and the certificate it came with.
#[derive(Clone, Debug)]
pub struct Served {
    pub serial: String,
    pub names: BTreeSet<String>,
    pub issuer: String,
    pub seconds_left: i64,
    pub answer: Answer,
}

/// A visitor who trusts one root.
#[derive(Clone)]
pub struct Visitor(Arc<ClientConfig>);

impl Visitor {
    pub fn trusting(root_pem: &str) -> Self {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(root_pem.as_bytes()).unwrap())
            .unwrap();
        let mut config =
            ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_root_certificates(roots)
                .with_no_client_auth();
        // A resumed session shows the certificate of the session before.
        config.resumption = Resumption::disabled();
        Self(Arc::new(config))
    }

    /// Asks over https; fails when the certificate does not verify for this name.
    pub fn https(&self, at: SocketAddr, host: &str, path: &str) -> Result<Served, String> {
        let name = ServerName::try_from(host.to_owned()).unwrap();
        let connection =
            ClientConnection::new(Arc::clone(&self.0), name).map_err(|error| error.to_string())?;
        let mut stream = StreamOwned::new(connection, connect(at)?);
        let answer = ask(&mut stream, host, path)?;
        let leaf = stream
            .conn
            .peer_certificates()
            .and_then(<[_]>::first)
            .ok_or("no certificate")?;
        let (_, leaf) = parse_x509_certificate(leaf).map_err(|error| error.to_string())?;
        let alternative = leaf
            .subject_alternative_name()
            .map_err(|error| error.to_string())?;
        let names = alternative
            .iter()
            .flat_map(|names| &names.value.general_names);
        Ok(Served {
            serial: leaf.raw_serial_as_string().replace(':', ""),
            names: names.filter_map(dns_name).collect(),
            issuer: leaf.issuer().to_string(),
            seconds_left: leaf
                .validity()
                .time_to_expiration()
                .map_or(0, |left| left.whole_seconds()),
            answer,
        })
    }

    /// Waits until a name is served by its app with a certificate for it.
    #[track_caller]
    pub fn wait_for_site(&self, at: SocketAddr, host: &str) -> Served {
        wait(SOON, &format!("{host} is served"), || {
            let served = self.https(at, host, "/")?;
            is_so(served.answer.status == 200, || {
                format!("{:?}", served.answer)
            })
            .map(|()| served)
        })
    }
}

fn dns_name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        other => Some(format!("{other:?}")),
    }
}

/// Asks over plain HTTP.
pub fn http(at: SocketAddr, host: &str, path: &str) -> Result<Answer, String> {
    ask(&mut connect(at)?, host, path)
}

fn connect(at: SocketAddr) -> Result<TcpStream, String> {
    let stream =
        TcpStream::connect_timeout(&at, PATIENCE).map_err(|error| format!("{at}: {error}"))?;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    Ok(stream)
}

fn ask(stream: &mut (impl Read + Write), host: &str, path: &str) -> Result<Answer, String> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream
        .write_all(request.as_bytes())
        .map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    let ended = stream.read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes);
    let whole = text.split_once("\r\n\r\n").and_then(|(head, body)| {
        let status = head.split_whitespace().nth(1)?.parse().ok()?;
        Some(Answer {
            status,
            head: head.to_owned(),
            body: body.to_owned(),
        })
    });
    // nginx closes without TLS's goodbye now and then: an answer that is there counts.
    whole.ok_or_else(|| match ended {
        Ok(_) => format!("no HTTP answer but {text:?}"),
        Err(error) => error.to_string(),
    })
}
