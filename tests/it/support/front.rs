//! A TLS front before a real CA, which does what that CA never does: answers that are lost, late or another's, headers that
//! are altered, connections that are refused.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use quaymaster::adapters::{
    http::{HttpClient, Limits},
    https_proxy::HttpsProxy,
};

use super::{
    canned::{Asked, Canned, Reply},
    fake_ca::Twist,
    pebble::Pebble,
};

/// Time that the CA behind may take: less than clients of the front wait.
const PATIENCE: Duration = Duration::from_secs(20);

/// A front before Pebble.
pub struct Front {
    pub server: Canned,
    seen: Arc<Mutex<Vec<String>>>,
    is_hung: Arc<AtomicBool>,
}

impl Front {
    /// Starts one. `twist` is given each request, as method and path, and all those before it.
    pub async fn start(
        pebble: &Pebble,
        twist: impl Fn(&str, &[String]) -> Twist + Send + Sync + 'static,
    ) -> Self {
        let limits = Limits {
            whole: PATIENCE,
            ..Limits::default()
        };
        let http = HttpClient::new(Some(&pebble.root()), &HttpsProxy::default(), limits).unwrap();
        let is_hung = Arc::<AtomicBool>::default();
        let hung = Arc::clone(&is_hung);
        let directory = pebble.directory();
        let behind = directory.trim_end_matches("/dir").to_owned();
        let seen = Arc::<Mutex<Vec<String>>>::default();
        let shared = Arc::clone(&seen);
        let server = Canned::start_with(move |asked: Asked| {
            let twist = {
                let mut seen = shared.lock().unwrap();
                let twist = twist(&asked.line(), &seen);
                seen.push(asked.line());
                twist
            };
            let behind = (http.clone(), behind.clone(), Arc::clone(&hung));
            async move {
                match twist {
                    Twist::Instead(reply) => reply,
                    Twist::Nothing => passed_on(&behind, asked).await,
                    Twist::After(reply) => {
                        passed_on(&behind, asked).await;
                        reply
                    }
                    Twist::Close => passed_on(&behind, asked).await.and_closed(),
                    Twist::With(lines) => {
                        let reply = passed_on(&behind, asked).await;
                        lines.iter().fold(reply, |reply, line| reply.with(line))
                    }
                    Twist::Replace(texts) => passed_on(&behind, asked).await.replaced(&texts),
                }
            }
        })
        .await;
        Self {
            server,
            seen,
            is_hung,
        }
    }

    /// True if the CA behind has not answered: now and then Pebble locks itself out for ever.
    /// <https://github.com/letsencrypt/pebble/issues/554>
    pub fn is_hung(&self) -> bool {
        self.is_hung.load(Ordering::SeqCst)
    }

    /// The requests so far.
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    /// Number of times that something was asked.
    pub fn count(&self, line: &str) -> usize {
        self.seen().iter().filter(|seen| *seen == line).count()
    }
}

/// The answer of the CA behind. That CA makes its URLs of the name in the request.
async fn passed_on(
    (http, behind, is_hung): &(HttpClient, String, Arc<AtomicBool>),
    asked: Asked,
) -> Reply {
    let mut request = Request::builder()
        .method(asked.method.as_str())
        .uri(format!("{behind}{}", asked.path));
    for name in ["host", "content-type"] {
        if let Some(text) = asked.header(name) {
            request = request.header(name, text);
        }
    }
    let request = request.body(Bytes::from(asked.body)).unwrap();
    match http.send(request).await {
        Ok(answer) => as_reply(&answer),
        Err(_) => {
            is_hung.store(true, Ordering::SeqCst);
            Reply::Cut
        }
    }
}

fn as_reply(answer: &Response<Bytes>) -> Reply {
    let is_own = |name: &str| matches!(name, "content-length" | "connection" | "transfer-encoding");
    let lines = answer
        .headers()
        .iter()
        .filter(|(name, _)| !is_own(name.as_str()));
    let lines: Vec<_> = lines
        .map(|(name, text)| format!("{name}: {}", text.to_str().unwrap()))
        .collect();
    let lines: Vec<_> = lines.iter().map(String::as_str).collect();
    let body = std::str::from_utf8(answer.body()).unwrap();
    Reply::new(answer.status().as_u16(), &lines, body)
}
