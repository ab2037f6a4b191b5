//! A listener for people and for what collects metrics: it shows pages, and takes nothing in.

use std::{convert::Infallible, io, net::IpAddr, net::SocketAddr, rc::Rc, time::Duration};

use bytes::Bytes;
use futures_util::stream::{self, Stream};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};
use http_body_util::StreamBody;
use hyper::body::Frame;
use tokio::{
    sync::{Mutex, mpsc},
    task::yield_now,
};

use super::server;
use crate::ports::{Pages, Pieces, ShownPage};

/// The longest time of a connection, with all that is sent over it: some megabytes over a slow line.
const LONGEST: Duration = Duration::from_secs(30);

/// Headers of everything that is sent: nothing of it is a script, is kept, is framed, or is taken for something else. The
/// style stands in the page itself.
///
/// <https://www.w3.org/TR/CSP3/>
const HEADERS: &[(&str, &str)] = &[
    (
        "content-security-policy",
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cache-control", "no-store"),
];

/// The methods that there are.
const METHODS: &str = "GET, HEAD";

/// Shows pages from now on, as long as the local set of tasks is there that this is called in. They are shown to who asks
/// for an address, for a name without a dot, or for one of `names`.
///
/// # Errors
/// When nobody may listen there, or somebody does.
pub async fn show_pages(
    at: SocketAddr,
    names: Vec<String>,
    pages: Rc<dyn Pages>,
) -> io::Result<SocketAddr> {
    let pace = Rc::new(Mutex::new(()));
    server::serve(at, LONGEST, async move |request| {
        let (method, uri) = (request.method(), request.uri());
        let page = match refused(method, request.headers(), &names) {
            Some(refusal) => refusal,
            None => {
                pages
                    .show(uri.path(), uri.query().unwrap_or_default())
                    .await
            }
        };
        response(page, method, Rc::clone(&pace))
    })
    .await
}

/// The answer to requests that are for none of the pages.
fn refused(method: &Method, headers: &HeaderMap, names: &[String]) -> Option<ShownPage> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        let status = StatusCode::METHOD_NOT_ALLOWED.as_u16();
        return Some(ShownPage::text(status, "pages are only looked at here\n"));
    }
    let host = headers.get(header::HOST)?;
    let host = host.to_str().unwrap_or_default();
    if is_ours(host, names) {
        return None;
    }
    let words = "this page is not shown under the name that it was asked for; ask for it by an address, or write the name \
                 into the setting listen-names\n";
    Some(ShownPage::text(
        StatusCode::MISDIRECTED_REQUEST.as_u16(),
        words,
    ))
}

/// True if a Host header may stand for us. A name of somebody else's may lead to our address, and then a page of
/// theirs, open in a browser that reaches us, would read ours.
///
/// <https://en.wikipedia.org/wiki/DNS_rebinding>
fn is_ours(host: &str, names: &[String]) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    // A name without a dot is one of this machine or network, and nobody else's.
    !name.contains('.') && !name.contains(':')
        || bare.parse::<IpAddr>().is_ok()
        || names.iter().any(|known| known.eq_ignore_ascii_case(name))
}

fn response(
    page: ShownPage,
    method: &Method,
    pace: Rc<Mutex<()>>,
) -> Response<StreamBody<impl Stream<Item = Result<Frame<Bytes>, Infallible>> + use<>>> {
    let ShownPage {
        status,
        media_type,
        body,
    } = page;
    let body: Pieces = match *method {
        Method::HEAD => Box::new(std::iter::empty()),
        _ => body,
    };
    let mut response = Response::new(StreamBody::new(sent(body, pace)));
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    for (name, value) in HEADERS {
        headers.insert(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
    }
    if status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(header::ALLOW, HeaderValue::from_static(METHODS));
    }
    response
}

/// The pieces of a body, as they are sent.
fn sent(
    body: Pieces,
    pace: Rc<Mutex<()>>,
) -> impl Stream<Item = Result<Frame<Bytes>, Infallible>> + use<> {
    let (sender, pieces) = mpsc::channel(1);
    tokio::task::spawn_local(make(body, pace, sender));
    stream::unfold(pieces, async |mut pieces| {
        let piece: Vec<u8> = pieces.recv().await?;
        Some((Ok(Frame::data(piece.into())), pieces))
    })
}

/// Makes one piece at a time, whoever it is for, and then everybody else has the thread: a turn waits for one at most,
/// however many clients there are. Not by the task of a connection, which runs whenever something comes over that.
async fn make(body: Pieces, pace: Rc<Mutex<()>>, sender: mpsc::Sender<Vec<u8>>) {
    let mut body = body;
    loop {
        let place = pace.lock().await;
        let piece = body.next();
        // Wakes this task only after those that wait for something outside were looked at.
        yield_now().await;
        drop(place);
        let Some(piece) = piece else { return };
        let has_left = match piece.is_empty() {
            true => sender.is_closed(),
            false => sender.send(piece).await.is_err(),
        };
        // A client that has left needs no more.
        if has_left {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        cell::{Cell, RefCell},
        io::{Read, Write},
        net::{Ipv4Addr, TcpStream},
    };

    use async_trait::async_trait;

    use super::*;

    /// Shows what was asked for, in three pieces, and notes when each is made.
    #[derive(Default)]
    struct Echo {
        made: Rc<RefCell<Vec<String>>>,
    }

    #[async_trait(?Send)]
    impl Pages for Echo {
        async fn show(&self, path: &str, query: &str) -> ShownPage {
            let asked = format!("{path} {query}");
            let made = Rc::clone(&self.made);
            let pieces = ["one ", "", "two "].into_iter().map(str::to_owned);
            let pieces = pieces.chain([asked]).map(move |piece| {
                made.borrow_mut().push(piece.clone());
                piece.into_bytes()
            });
            ShownPage {
                status: 200,
                media_type: "text/html; charset=utf-8",
                body: Box::new(pieces),
            }
        }
    }

    /// The answer to these bytes, while the listener runs.
    async fn said(at: SocketAddr, request: String) -> String {
        let asking = tokio::task::spawn_blocking(move || {
            let mut stream = TcpStream::connect(at).expect("it listens");
            stream.write_all(request.as_bytes()).expect("it reads");
            let mut said = String::new();
            stream.read_to_string(&mut said).expect("it answers");
            said
        });
        asking.await.expect("it asks")
    }

    async fn asked(at: SocketAddr, line: &str, host: &str) -> String {
        said(at, format!("{line} HTTP/1.1\r\nHost: {host}\r\n\r\n")).await
    }

    fn with_pages<T>(pages: Echo, test: impl AsyncFnOnce(SocketAddr) -> T) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        tokio::task::LocalSet::new().block_on(&runtime, async {
            let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
            let names = vec!["status.shop.example".to_owned()];
            let at = show_pages(anywhere, names, Rc::new(pages)).await;
            test(at.expect("a free port")).await
        })
    }

    #[test]
    fn a_page_is_shown_whole_with_headers_that_let_nothing_of_it_run_or_stay() {
        with_pages(Echo::default(), async |at| {
            let answer = asked(at, "GET /names?q=x", "localhost").await;
            assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
            let body = answer.replace(['\r', '\n'], " ");
            for piece in ["one ", "two ", "/names q=x"] {
                assert!(body.contains(piece), "{answer}");
            }
            for header in [
                "content-type: text/html; charset=utf-8\r\n",
                "content-security-policy: default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; \
                 frame-ancestors 'none'\r\n",
                "x-content-type-options: nosniff\r\n",
                "x-frame-options: DENY\r\n",
                "referrer-policy: no-referrer\r\n",
                "cache-control: no-store\r\n",
            ] {
                assert!(answer.contains(header), "{header}: {answer}");
            }
            let head = asked(at, "HEAD /names", "localhost").await;
            assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
            assert!(head.ends_with("\r\n\r\n"), "{head}");
        });
    }

    #[test]
    fn pages_are_only_looked_at() {
        let made = Rc::<RefCell<Vec<String>>>::default();
        let echo = Echo {
            made: Rc::clone(&made),
        };
        with_pages(echo, async |at| {
            for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"] {
                let answer = asked(at, &format!("{method} /"), "localhost").await;
                assert!(answer.starts_with("HTTP/1.1 405 "), "{method}: {answer}");
                assert!(answer.contains("allow: GET, HEAD\r\n"), "{answer}");
            }
            for (request, status) in [
                ("no request at all\r\n\r\n".to_owned(), "400"),
                (
                    format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(10_000)),
                    "431",
                ),
                (
                    format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(10_000)),
                    "431",
                ),
            ] {
                let answer = said(at, request).await;
                assert!(
                    answer.starts_with(&format!("HTTP/1.1 {status} ")),
                    "{answer}"
                );
            }
        });
        assert_eq!(*made.borrow(), Vec::<String>::new(), "nothing was made");
    }

    #[test]
    fn a_name_of_somebody_else_s_that_leads_here_shows_nothing() {
        with_pages(Echo::default(), async |at| {
            for (host, is_shown) in [
                ("127.0.0.1:9180", true),
                ("[::1]:9180", true),
                ("[::1]", true),
                ("localhost", true),
                ("quaymaster:9180", true),
                ("status.shop.example", true),
                ("STATUS.shop.example:443", true),
                ("evil.example", false),
                ("evil.example:9180", false),
                ("127.0.0.1.evil.example", false),
                ("status.shop.example.evil.example", false),
                ("evil.example.", false),
            ] {
                let answer = asked(at, "GET /", host).await;
                let status = if is_shown { "200" } else { "421" };
                let start = format!("HTTP/1.1 {status} ");
                assert!(answer.starts_with(&start), "{host}: {answer}");
                assert_eq!(answer.contains("listen-names"), !is_shown, "{host}");
            }
        });
    }

    /// Pieces for many clients, and what else runs on the thread.
    #[test]
    fn between_two_pieces_whoever_they_are_for_others_have_the_thread() {
        let made = Rc::<RefCell<Vec<String>>>::default();
        let echo = Echo {
            made: Rc::clone(&made),
        };
        with_pages(echo, async |at| {
            let clients: Vec<_> = (0..8)
                .map(|_| tokio::task::spawn_local(async move { asked(at, "GET /", "x").await }))
                .collect();
            let (most, before) = (Cell::new(0), Cell::new(0));
            // Runs once each time that the thread has looked at sockets, as the loop does.
            while clients.iter().any(|client| !client.is_finished()) {
                let now = made.borrow().len();
                most.set(most.get().max(now - before.replace(now)));
                yield_now().await;
            }
            for client in clients {
                let answer = client.await.expect("it asks");
                assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
            }
            assert_eq!(made.borrow().len(), 8 * 4);
            assert_eq!(most.get(), 1, "one piece at a time");
        });
    }

    #[test]
    fn clients_that_say_nothing_keep_nobody_else_from_a_page() {
        with_pages(Echo::default(), async |at| {
            let silent: Vec<_> = (0..40)
                .map(|_| TcpStream::connect(at).expect("it listens"))
                .collect();
            let answer = asked(at, "GET /", "localhost").await;
            assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
            drop(silent);
        });
    }

    #[test]
    fn an_address_that_somebody_has_is_an_error() {
        with_pages(Echo::default(), async |at| {
            let again = show_pages(at, Vec::new(), Rc::new(Echo::default())).await;
            let error = again.expect_err("it is taken");
            assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        });
    }
}
