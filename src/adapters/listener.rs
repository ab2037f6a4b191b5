//! A listener of our own that shows responses to challenges: for machines without a web server, and for servers that
//! pass these requests on.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    rc::Rc,
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};
use http_body_util::Full;

use super::server;
use crate::{
    observe::Webroots,
    ports::{
        CHALLENGE_PATH, Challenge, NotServed, Probe, Responder, Response, ResponseFault,
        ShownResponse,
    },
};

/// The longest time of a connection: a request is a line and a few headers.
const LONGEST: Duration = Duration::from_secs(10);

/// The listener, with what it shows at this moment.
pub struct ChallengeListener {
    /// Where it is asked from here.
    at: SocketAddr,
    bodies: Rc<RefCell<BTreeMap<String, Bytes>>>,
    probe: Rc<dyn Probe>,
}

impl ChallengeListener {
    /// Listens, and answers as long as the local set of tasks is there that this is called in.
    ///
    /// # Errors
    /// When nobody may listen there, or somebody does.
    pub async fn start(at: SocketAddr, probe: Rc<dyn Probe>) -> io::Result<Self> {
        let bodies = Rc::<RefCell<BTreeMap<String, Bytes>>>::default();
        let shown = Rc::clone(&bodies);
        let at = server::serve(at, LONGEST, async move |request| {
            answer(request.method(), request.uri().path(), &shown.borrow())
        });
        Ok(Self {
            at: from_here(at.await?),
            bodies,
            probe,
        })
    }
}

/// Where an address that we listen at is reached from this machine.
fn from_here(mut at: SocketAddr) -> SocketAddr {
    if at.ip().is_unspecified() {
        at.set_ip(match at {
            SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        });
    }
    at
}

#[async_trait(?Send)]
impl Responder for ChallengeListener {
    async fn publish(&self, _: &Webroots, challenge: &Challenge) -> Result<(), ResponseFault> {
        if let Response::Http { token, body } = &challenge.response {
            let body = Bytes::copy_from_slice(body.as_bytes());
            self.bodies.borrow_mut().insert(token.clone(), body);
        }
        Ok(())
    }

    /// Nothing lies between: one look is enough.
    async fn look(&self, _: &Webroots, challenge: &Challenge) -> Result<(), NotServed> {
        let Response::Http { token, body } = &challenge.response else {
            return Ok(());
        };
        let path = format!("{CHALLENGE_PATH}{token}");
        let host = challenge.name.in_url();
        let saw = match self.probe.page(self.at, &host, &path).await {
            Ok(page) if page.status == 200 && page.body == *body => return Ok(()),
            Ok(page) => format!(
                "our own listener {} answers with status {} and something else",
                self.at, page.status
            ),
            Err(error) => format!("our own listener {} does not answer: {error}", self.at),
        };
        Err(NotServed {
            name: challenge.name.clone(),
            saw,
        })
    }

    async fn withdraw(&self, _: &Webroots, shown: &ShownResponse) -> Vec<ResponseFault> {
        if let ShownResponse::Http { token } = shown {
            self.bodies.borrow_mut().remove(token);
        }
        Vec::new()
    }
}

fn answer(
    method: &Method,
    path: &str,
    bodies: &BTreeMap<String, Bytes>,
) -> http::Response<Full<Bytes>> {
    let (status, body) = match (method, path.strip_prefix(CHALLENGE_PATH)) {
        (&Method::GET | &Method::HEAD, Some(token)) => match bodies.get(token) {
            Some(body) => (StatusCode::OK, body.clone()),
            None => (
                StatusCode::NOT_FOUND,
                Bytes::from_static(b"no such challenge is under way\n"),
            ),
        },
        (&Method::GET | &Method::HEAD, None) => (
            StatusCode::NOT_FOUND,
            Bytes::from_static(b"only challenges of a certificate authority are answered here\n"),
        ),
        _ => (StatusCode::METHOD_NOT_ALLOWED, Bytes::new()),
    };
    let mut response = http::Response::new(Full::new(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/octet-stream"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    response
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;
    use crate::{adapters::probe::TcpProbe, values::Host};

    fn challenge(token: &str) -> Challenge {
        Challenge {
            name: Host::parse("shop.example").expect("a name"),
            response: Response::Http {
                token: token.to_owned(),
                body: format!("{token}.thumbprint"),
            },
        }
    }

    /// The answer to these bytes, while the listener runs.
    async fn said(at: SocketAddr, request: &'static str) -> String {
        let asking = tokio::task::spawn_blocking(move || {
            let mut stream = std::net::TcpStream::connect(at).expect("it listens");
            stream.write_all(request.as_bytes()).expect("it reads");
            let mut said = String::new();
            stream.read_to_string(&mut said).expect("it answers");
            said
        });
        asking.await.expect("it asks")
    }

    fn with_listener<T>(test: impl AsyncFnOnce(ChallengeListener) -> T) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        tokio::task::LocalSet::new().block_on(&runtime, async {
            let probe = Rc::new(TcpProbe::new().expect("a probe"));
            let anywhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
            let listener = ChallengeListener::start(anywhere, probe).await;
            test(listener.expect("a free port")).await
        })
    }

    #[test]
    fn a_response_is_shown_from_publishing_to_withdrawing_and_nothing_else_is() {
        with_listener(async |listener| {
            let (at, nowhere) = (listener.at, Webroots::default());
            let shown = challenge("tok-EN_1");
            let asked =
                "GET /.well-known/acme-challenge/tok-EN_1 HTTP/1.1\r\nHost: shop.example\r\n\r\n";
            assert!(said(at, asked).await.starts_with("HTTP/1.1 404 "));
            assert!(listener.look(&nowhere, &shown).await.is_err());

            let published = listener.publish(&nowhere, &shown).await;
            published.expect("it is shown");
            let answer = said(at, asked).await;
            assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
            assert!(answer.ends_with("\r\n\r\ntok-EN_1.thumbprint"), "{answer}");
            assert_eq!(listener.look(&nowhere, &shown).await, Ok(()));
            let other = Challenge {
                response: Response::Http {
                    token: "tok-EN_1".to_owned(),
                    body: "another".to_owned(),
                },
                ..challenge("tok-EN_1")
            };
            let refused = listener
                .look(&nowhere, &other)
                .await
                .expect_err("another is shown");
            assert!(
                refused.saw.contains("status 200 and something else"),
                "{refused}"
            );

            for (request, status) in [
                ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", "404"),
                (
                    "GET /.well-known/acme-challenge/ HTTP/1.1\r\nHost: x\r\n\r\n",
                    "404",
                ),
                (
                    "GET /.well-known/acme-challenge/tok-EN_ HTTP/1.1\r\nHost: x\r\n\r\n",
                    "404",
                ),
                (
                    "GET /.well-known/acme-challenge/%74ok-EN_1 HTTP/1.1\r\nHost: x\r\n\r\n",
                    "404",
                ),
                (
                    "POST /.well-known/acme-challenge/tok-EN_1 HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
                    "405",
                ),
                ("no request at all\r\n\r\n", "400"),
            ] {
                let answer = said(at, request).await;
                assert!(
                    answer.starts_with(&format!("HTTP/1.1 {status} ")),
                    "{request}: {answer}"
                );
                assert!(!answer.contains("thumbprint"), "{request}: {answer}");
            }

            let written = shown.response.shown(None);
            assert!(listener.withdraw(&nowhere, &written).await.is_empty());
            assert!(said(at, asked).await.starts_with("HTTP/1.1 404 "));
        });
    }

    #[test]
    fn an_address_that_somebody_has_is_an_error() {
        with_listener(async |listener| {
            let probe = Rc::new(TcpProbe::new().expect("a probe"));
            let again = ChallengeListener::start(listener.at, probe).await;
            let error = again.err().expect("it is taken");
            assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        });
    }

    #[test]
    fn it_is_looked_at_where_this_machine_reaches_it() {
        for (at, from) in [
            ("0.0.0.0:80", "127.0.0.1:80"),
            ("[::]:80", "[::1]:80"),
            ("10.0.0.7:8080", "10.0.0.7:8080"),
        ] {
            let at: SocketAddr = at.parse().expect("an address");
            assert_eq!(from_here(at).to_string(), from);
        }
    }
}
