//! Against a CA that sends what no CA should, at each step of an order: a release ends when anything in it panics, be it
//! in a library, so that one absurd answer would be an outage. Each has to end in an error that says what is wrong.

use std::{cell::Cell, panic::AssertUnwindSafe, rc::Rc, time::Duration};

use async_trait::async_trait;
use futures_util::FutureExt;
use quaymaster::{
    adapters::{
        acme::{AcmeAuthority, AcmeSettings},
        https_proxy::HttpsProxy,
    },
    ports::Clock,
    values::Timestamp,
};

use super::{
    bench::AccountsOnly,
    obtain::{attempt, ports},
};
use crate::support::{
    canned::Reply,
    fake_ca::{FakeCa, Twist},
};

/// Every request of an order.
const STEPS: &[&str] = &[
    "GET /dir",
    "HEAD /nonce",
    "POST /account",
    "POST /order",
    "POST /authorization/1",
    "POST /challenge/1",
    "POST /order/1",
    "POST /finalize/1",
    "POST /certificate/1",
];

const NONCE: &str = "Replay-Nonce: bm9uY2U";

/// Header lines that are added to an answer that is fine otherwise, or stand in place of its own.
const HEADERS: &[&str] = &[
    "Retry-After: 18446744073709551615",
    "Retry-After: 99999999999999999999999999999999",
    "Retry-After: Fri, 31 Dec 9999 23:59:59 GMT",
    "Retry-After: Thu, 01 Jan 1970 00:00:00 GMT",
    "Retry-After: Mon, 99 Foo 99999 99:99:99 GMT",
    "Retry-After: -5",
    "Retry-After: 1e400",
    "Retry-After:",
    "Retry-After: soon\r\nRetry-After: 18446744073709551615\r\nRetry-After: 1",
    "Replay-Nonce:",
    "Replay-Nonce: \"{}\\",
    "Location:",
    "Location: ::",
    "Location: https://",
    "Location: https://[::1/order",
    "Location: mailto:a@b.example",
    "Location: /order/1",
    "Link: <",
    "Link: <https://127.0.0.1:1/>;rel=\"alternate\"",
    "Content-Type: \"",
    "Content-Type: image/png",
    "Date: Mon, 99 Foo 99999 99:99:99 GMT",
    "Date: Fri, 31 Dec 9999 23:59:59 GMT",
    "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\nAge: 18446744073709551615",
];

const STATUSES: &[u16] = &[199, 204, 206, 304, 400, 404, 503, 999];

/// Bodies that are nothing that any step waits for.
fn bodies() -> Vec<String> {
    let deep = |open: &str, close: &str| format!("{}{}", open.repeat(5000), close.repeat(5000));
    let with = |field: &str| {
        format!(
            r#"{{"status": "pending", "identifier": {{"type": "dns", "value": "shop.example"}},
                "newNonce": "https://127.0.0.1:1/", "newAccount": "https://127.0.0.1:1/", "newOrder": "https://127.0.0.1:1/",
                "authorizations": [], "challenges": [], "finalize": "x", "type": "http-01", "url": "x", "token": "eA", {field}}}"#
        )
    };
    let challenge = r#"{"type": "http-01", "url": "x", "status": "pending", "token": "eA"}"#;
    let token = |token: &str| {
        format!(
            r#""challenges": [{{"type": "http-01", "url": "x", "status": "pending", "token": "{token}"}}]"#
        )
    };
    vec![
        String::new(),
        "\0".to_owned(),
        "{".to_owned(),
        "null".to_owned(),
        "1e999999".to_owned(),
        "[]".to_owned(),
        deep("[", "]"),
        deep(r#"{"a":"#, ""),
        format!(r#"{{"status": {}}}"#, deep("[", "]")),
        with(r#""expires": "99999-99-99T99:99:99Z""#),
        with(r#""expires": 1e400"#),
        with(r#""status": "no such word""#),
        r#"{"status": 7, "authorizations": {}, "finalize": [], "challenges": 1}"#.to_owned(),
        r#"{"status": "valid", "authorizations": [], "finalize": ""}"#.to_owned(),
        r#"{"status": "valid", "authorizations": [], "finalize": "", "certificate": "::"}"#
            .to_owned(),
        r#"{"status": "ready", "authorizations": [], "finalize": "\u0000"}"#.to_owned(),
        r#"{"newNonce": "", "newAccount": "", "newOrder": ""}"#.to_owned(),
        r#"{"newNonce": "not a url", "newAccount": "::", "newOrder": "\u0000"}"#.to_owned(),
        r#"{"newNonce": "mailto:", "newAccount": "/", "newOrder": "*"}"#.to_owned(),
        with(r#""meta": {"termsOfService": 1, "profiles": []}"#),
        with(&format!(
            r#""challenges": [{}]"#,
            [challenge; 9000].join(",")
        )),
        with(&format!(
            r#""authorizations": [{}]"#,
            [r#""x""#; 9000].join(",")
        )),
        with(r#""authorizations": ["", "::", "\u0000"]"#),
        with(r#""identifier": {"type": "dns", "value": "..\u0000.."}"#),
        with(r#""identifier": {"type": "ip", "value": "999.1.1.1"}"#),
        with(r#""replaces": "..", "profile": 1"#),
        with(&token(&"x".repeat(5000))),
        with(&token("..")),
        r#"{"type": 1, "detail": {}, "status": 99999999}"#.to_owned(),
        r#"{"type": "urn:ietf:params:acme:error:badNonce"}"#.to_owned(),
        format!(r#"{{"type": "", "detail": "{}"}}"#, "x".repeat(500_000)),
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".repeat(5000),
        "-----BEGIN CERTIFICATE-----\n".to_owned(),
        "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n".to_owned(),
    ]
}

/// Status, lines of the head and body of an answer that is fine at most steps.
fn usual(step: &str, base: &str) -> (u16, Vec<String>, String) {
    let order = format!(
        r#"{{"status": "pending", "authorizations": ["{base}/authorization/1"], "finalize": "{base}/finalize/1"}}"#
    );
    match step {
        "POST /account" => (
            201,
            vec![format!("Location: {base}/account/1")],
            "{}".to_owned(),
        ),
        "POST /order" => (201, vec![format!("Location: {base}/order/1")], order),
        _ => (200, Vec::new(), order),
    }
}

/// When tests begin.
const BEGUN: Timestamp = Timestamp::from_seconds(1_795_371_420);

/// A clock by which each pause is long, so that what waits for a CA gives up after a few looks.
struct HastyClock(Cell<Timestamp>);

#[async_trait(?Send)]
impl Clock for HastyClock {
    fn now(&self) -> Timestamp {
        self.0.get()
    }

    fn elapsed(&self) -> Duration {
        self.0.get().since(BEGUN)
    }

    async fn sleep(&self, length: Duration) {
        self.0
            .set(self.0.get() + length.max(Duration::from_secs(100)));
    }
}

/// Tries to obtain a certificate at a CA that answers with this at one step. Panics of the program come out as failures
/// of the test that say at what; nothing else is accepted but an error in words.
async fn ends_in_words(step: &'static str, reply: impl Fn(&str) -> Reply + Send + Sync + 'static) {
    let ca = FakeCa::start_at(move |asked, _, _, base| match asked == step {
        true => Twist::Instead(reply(base)),
        false => Twist::Nothing,
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let settings = AcmeSettings {
        ca_root_pem: Some(ca.server.root.clone()),
        agree_tos: true,
        email: None,
        orders_per_second: None,
        external_account: None,
        chain: None,
        https_proxy: HttpsProxy::default(),
    };
    let clock = Rc::new(HastyClock(Cell::new(BEGUN)));
    let disk = Rc::new(AccountsOnly::default());
    let authority = AcmeAuthority::new(
        &ca.server.url("/dir"),
        settings,
        disk,
        clock.clone(),
        |_| (),
    )
    .unwrap();
    let ports = ports(authority, folder.path(), clock);
    // Twice: what was kept of the first must not be what the second stumbles over.
    for _ in 0..2 {
        let ended = AssertUnwindSafe(attempt(&ports, folder.path()))
            .catch_unwind()
            .await;
        let problem = ended.unwrap_or_else(|_| panic!("{step}: it panicked"));
        // The fake CA never has a certificate, so that all is well nowhere.
        let problem = problem.unwrap_or_else(|| panic!("{step}: no error"));
        let plain = problem.len() < 20_000 && !problem.contains(char::is_control);
        assert!(!problem.is_empty() && plain, "{step}: {problem:.300}");
    }
}

#[tokio::test]
async fn an_absurd_header_at_any_step_ends_in_words() {
    for step in STEPS {
        for header in HEADERS {
            ends_in_words(step, move |base| {
                let (status, own, body) = usual(step, base);
                let name = header.split(':').next().unwrap_or_default();
                let kept = own.iter().map(String::as_str).chain([NONCE]);
                let mut lines: Vec<_> = kept.filter(|line| !line.starts_with(name)).collect();
                lines.push(header);
                Reply::new(status, &lines, &body)
            })
            .await;
        }
    }
}

#[tokio::test]
async fn an_absurd_status_at_any_step_ends_in_words() {
    for step in STEPS {
        for status in STATUSES {
            ends_in_words(step, move |base| {
                let (_, own, body) = usual(step, base);
                let lines: Vec<_> = own.iter().map(String::as_str).chain([NONCE]).collect();
                Reply::new(*status, &lines, &body)
            })
            .await;
        }
    }
}

#[tokio::test]
async fn an_absurd_body_at_any_step_ends_in_words() {
    for step in STEPS {
        for body in bodies() {
            // As an error, only what is a problem document, or nothing, is read otherwise.
            let as_error = body.is_empty() || body.contains(r#"{"type":"#);
            for refused in [Some(false), as_error.then_some(true)]
                .into_iter()
                .flatten()
            {
                let body = body.clone();
                ends_in_words(step, move |base| {
                    let (status, own, _) = usual(step, base);
                    let lines: Vec<_> = own.iter().map(String::as_str).chain([NONCE]).collect();
                    Reply::new(if refused { 400 } else { status }, &lines, &body)
                })
                .await;
            }
        }
    }
}
