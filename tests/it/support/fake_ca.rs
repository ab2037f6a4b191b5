//! A CA that issues nothing but goes through all steps, with one thing wrong: for what Pebble can't be told to do.

use std::sync::{Arc, Mutex};

use super::canned::{Canned, Reply};

/// The reaction to a request instead of the usual.
#[derive(Clone, Debug)]
pub enum Twist {
    /// The usual.
    Nothing,
    /// This, and the CA does not act.
    Instead(Reply),
    /// This, after the CA has acted: its answer is lost.
    After(Reply),
    /// The usual, and connections are refused from then on, until the server is opened.
    Close,
    /// The usual, with these header lines in place of its own.
    With(Vec<String>),
    /// The usual, with each of these texts in its body replaced by the other.
    Replace(Vec<(&'static str, &'static str)>),
}

/// The stage that the one order reached.
#[derive(Default)]
struct Progress {
    seen: Vec<String>,
    looked: bool,
    finalized: bool,
}

/// A CA with one account and one order, for `shop.example`.
pub struct FakeCa {
    /// Where it listens.
    pub server: Canned,
    progress: Arc<Mutex<Progress>>,
}

impl FakeCa {
    /// Starts one. `twist` is given method and path of each request, how often that was asked before, and how many
    /// requests there were in all.
    pub async fn start(
        twist: impl Fn(&str, usize, usize) -> Twist + Send + Sync + 'static,
    ) -> Self {
        Self::start_at(move |asked, before, total, _| twist(asked, before, total)).await
    }

    /// The same; `twist` is given what its URLs begin with besides.
    pub async fn start_at(
        twist: impl Fn(&str, usize, usize, &str) -> Twist + Send + Sync + 'static,
    ) -> Self {
        let progress = Arc::<Mutex<Progress>>::default();
        let shared = progress.clone();
        let server = Canned::start(move |method, path, head| {
            let mut progress = shared.lock().unwrap();
            let asked = format!("{method} {path}");
            let before = progress.seen.iter().filter(|seen| **seen == asked).count();
            let base = base(head);
            let twist = twist(&asked, before, progress.seen.len(), &base);
            progress.seen.push(asked.clone());
            match twist {
                Twist::Instead(reply) => reply,
                Twist::Nothing => act(&mut progress, &asked, &base),
                Twist::After(reply) => {
                    act(&mut progress, &asked, &base);
                    reply
                }
                Twist::Close => act(&mut progress, &asked, &base).and_closed(),
                Twist::With(lines) => lines
                    .iter()
                    .fold(act(&mut progress, &asked, &base), |reply, line| {
                        reply.with(line)
                    }),
                Twist::Replace(texts) => act(&mut progress, &asked, &base).replaced(&texts),
            }
        })
        .await;
        Self { server, progress }
    }

    /// Number of times that something was asked.
    pub fn count(&self, asked: &str) -> usize {
        self.progress
            .lock()
            .unwrap()
            .seen
            .iter()
            .filter(|seen| *seen == asked)
            .count()
    }

    /// The content of the request number `index`.
    pub fn asked(&self, index: usize) -> String {
        self.progress.lock().unwrap().seen[index].clone()
    }

    /// Number of requests.
    pub fn total(&self) -> usize {
        self.progress.lock().unwrap().seen.len()
    }
}

/// The beginning of its URLs, as a client asks for it.
fn base(head: &str) -> String {
    let host = head.lines().find_map(|line| line.strip_prefix("host: "));
    format!("https://{}", host.unwrap_or_default())
}

fn act(progress: &mut Progress, asked: &str, base: &str) -> Reply {
    let reply = |status, extra: &str, body: &str| {
        Reply::new(status, &["Replay-Nonce: bm9uY2U", extra], body)
    };
    match asked {
        "GET /dir" => {
            let body =
                r#"{"newNonce": "B/nonce", "newAccount": "B/account", "newOrder": "B/order"}"#;
            reply(200, "A: b", &body.replace("B/", &format!("{base}/")))
        }
        "HEAD /nonce" => reply(200, "A: b", ""),
        "POST /account" => reply(201, &format!("Location: {base}/account/1"), "{}"),
        "POST /account/1" => reply(200, "A: b", r#"{"status": "valid"}"#),
        "POST /order" => reply(
            201,
            &format!("Location: {base}/order/1"),
            &order(progress, base),
        ),
        "POST /order/1" => reply(200, "A: b", &order(progress, base)),
        "POST /authorization/1" => reply(200, "A: b", &authorization(progress, base)),
        "POST /challenge/1" if progress.looked => {
            let problem = r#"{"type": "urn:ietf:params:acme:error:malformed", "detail": "it is not pending"}"#;
            reply(400, "A: b", problem)
        }
        "POST /challenge/1" => {
            progress.looked = true;
            reply(200, "A: b", &challenge(progress, base))
        }
        "POST /finalize/1" => {
            progress.finalized = true;
            reply(200, "A: b", &order(progress, base))
        }
        "POST /certificate/1" => reply(200, "A: b", "the chain"),
        _ => reply(404, "A: b", ""),
    }
}

fn order(progress: &Progress, base: &str) -> String {
    let status = match (progress.looked, progress.finalized) {
        (_, true) => "valid",
        (true, _) => "ready",
        _ => "pending",
    };
    format!(
        r#"{{"status": "{status}", "authorizations": ["{base}/authorization/1"], "finalize": "{base}/finalize/1",
            "certificate": "{base}/certificate/1"}}"#
    )
}

fn authorization(progress: &Progress, base: &str) -> String {
    let status = if progress.looked { "valid" } else { "pending" };
    format!(
        r#"{{"status": "{status}", "identifier": {{"type": "dns", "value": "shop.example"}}, "challenges": [{}]}}"#,
        challenge(progress, base)
    )
}

fn challenge(progress: &Progress, base: &str) -> String {
    let status = if progress.looked { "valid" } else { "pending" };
    format!(
        r#"{{"type": "http-01", "url": "{base}/challenge/1", "status": "{status}", "token": "dG9rZW4"}}"#
    )
}
