//! When a CA wants certificates to be renewed, and what it says instead.

use std::{
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use http::Request;
use instant_acme::CertificateIdentifier;
use quaymaster::{
    adapters::{
        acme::{AcmeAuthority, AcmeSettings},
        http::{HttpClient, Limits},
        https_proxy::HttpsProxy,
        x509,
    },
    observe::Source,
    ports::{AskedOrder, Authority, Clock, RenewalSaid},
    values::{CertificateId, Timestamp},
};
use rustls_pki_types::{CertificateDer, pem::PemObject};

use super::{
    bench::{Bench, RealClock, asked},
    faults::authority_at,
};
use crate::support::{
    canned::{Canned, Reply},
    fake_ca::{FakeCa, Twist},
    front::Front,
    pebble::Behaviour,
};

const WINDOW: &str = r#"{"suggestedWindow": {"start": "2026-12-01T00:00:00Z", "end": "2026-12-02T00:00:00+01:00"},
    "explanationURL": "https://ca.example/why"}"#;

fn id(number: u8) -> CertificateId {
    CertificateId::of(b"the key", &[number])
}

/// A CA that answers about renewals like this.
async fn ca(reply: Reply) -> Canned {
    Canned::start(move |method, path, head| {
        assert_eq!(method, "GET");
        match path {
            "/dir" => {
                let host = head.lines().find_map(|line| line.strip_prefix("host: "));
                let host = host.unwrap();
                let body = format!(
                    r#"{{"newOrder": "https://{host}/order", "renewalInfo": "https://{host}/renewal/"}}"#
                );
                Reply::new(200, &[], &body)
            }
            path => {
                assert!(path.starts_with("/renewal/dGhlIGtleQ."), "{path}");
                reply.clone()
            }
        }
    })
    .await
}

#[tokio::test]
async fn what_a_ca_says_about_a_renewal_is_taken_or_told_and_never_more() {
    let page = |status, body: &str| Reply::new(status, &["Retry-After: 7"], body);
    for (reply, expected) in [
        (page(200, WINDOW), "window"),
        (page(200, "<html>"), "nothing"),
        (page(200, "{}"), "nothing"),
        (
            page(
                200,
                r#"{"suggestedWindow": {"start": "soon", "end": "later"}}"#,
            ),
            "nothing",
        ),
        (
            page(
                200,
                r#"{"suggestedWindow": {"start": "2026-12-01T00:00:00Z"}}"#,
            ),
            "nothing",
        ),
        (page(200, &"[".repeat(500_000)), "nothing"),
        (
            page(404, r#"{"type": "urn:ietf:params:acme:error:malformed"}"#),
            "nothing",
        ),
        (page(404, WINDOW), "nothing"),
        (page(302, ""), "nothing"),
        (page(429, ""), "unavailable"),
        (page(500, WINDOW), "unavailable"),
        (page(503, "<html>busy"), "unavailable"),
        (page(200, &"x".repeat(2 << 20)), "unavailable"),
        (Reply::Cut, "unavailable"),
    ] {
        let server = ca(reply.clone()).await;
        let (authority, _) = authority_at(&server);
        let answer = authority.renewal_info(&id(1)).await;
        let told = format!("{:.200}: {answer:.200?}", format!("{reply:?}"));
        let found = match answer.said {
            RenewalSaid::Window(window) => {
                let time = |text| Timestamp::parse(text).unwrap();
                assert_eq!(window.start, time("2026-12-01T00:00:00Z"));
                assert_eq!(window.end, time("2026-12-01T23:00:00Z"));
                assert_eq!(
                    window.explanation.as_deref(),
                    Some("https://ca.example/why")
                );
                assert_eq!(answer.retry_after, Some(Duration::from_secs(7)));
                "window"
            }
            RenewalSaid::Nothing(_) => "nothing",
            RenewalSaid::Unavailable(_) => "unavailable",
            RenewalSaid::NotOffered => "not offered",
        };
        assert_eq!(found, expected, "{told}");
    }
}

#[tokio::test]
async fn an_explanation_that_is_no_plain_url_is_left_out() {
    for odd in [
        r#""javascript:x""#,
        r#""https://a/\u001b[31m""#,
        r#""https://a b""#,
        "7",
        "null",
    ] {
        let body = WINDOW.replace(r#""https://ca.example/why""#, odd);
        let server = ca(Reply::new(200, &[], &body)).await;
        let answer = authority_at(&server).0.renewal_info(&id(1)).await;
        match answer.said {
            RenewalSaid::Window(window) => assert_eq!(window.explanation, None, "{odd}"),
            other => panic!("{odd}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_ca_that_says_nothing_about_renewals_is_asked_for_its_directory_once_a_day() {
    let looks = Arc::<Mutex<usize>>::default();
    let count = Arc::clone(&looks);
    let server = Canned::start(move |_, path, _| {
        assert_eq!(path, "/dir");
        *count.lock().unwrap() += 1;
        Reply::new(200, &[], r#"{"newOrder": "https://ca.example/order"}"#)
    })
    .await;
    let (authority, clock) = authority_at(&server);
    for number in 0..5 {
        let answer = authority.renewal_info(&id(number)).await;
        assert_eq!(answer.said, RenewalSaid::NotOffered);
    }
    assert_eq!(*looks.lock().unwrap(), 1);
    clock
        .slept
        .borrow_mut()
        .push(Duration::from_secs(25 * 60 * 60));
    authority.renewal_info(&id(0)).await;
    assert_eq!(*looks.lock().unwrap(), 2);
}

#[tokio::test]
async fn a_ca_that_is_too_busy_to_say_when_to_renew_still_takes_orders() {
    let ca = FakeCa::start_at(|asked, _, _, base| match asked {
        "GET /dir" => {
            let text = r#"{"newNonce": "B/nonce", "newAccount": "B/account", "newOrder": "B/order", "renewalInfo": "B/r"}"#;
            Twist::Instead(Reply::new(200, &[], &text.replace("B/", &format!("{base}/"))))
        }
        asked if asked.starts_with("GET /r/") => {
            Twist::Instead(Reply::new(503, &["Retry-After: 3600"], "<html>busy"))
        }
        _ => Twist::Nothing,
    })
    .await;
    let (authority, clock) = authority_at(&ca.server);
    let answer = authority.renewal_info(&id(1)).await;
    assert!(
        matches!(answer.said, RenewalSaid::Unavailable(_)),
        "{answer:?}"
    );
    assert_eq!(answer.retry_after, Some(Duration::from_secs(3600)));
    let order = authority
        .order(&AskedOrder::of(&asked(&["shop.example"])))
        .await;
    assert!(order.is_ok(), "{:?}", order.map(drop));
    let slept: Duration = clock.slept.borrow().iter().sum();
    assert!(slept < Duration::from_secs(5), "{slept:?}");
}

/// A front before Pebble that says when to renew, and writes down when it was asked.
#[tokio::test]
async fn a_real_certificate_is_asked_about_by_its_id_and_no_more_than_once_a_second() {
    let bench = Bench::start(Behaviour::default()).await;
    let directory = Arc::<OnceLock<String>>::default();
    let times = Arc::<Mutex<Vec<Duration>>>::default();
    let (shown, noted) = (Arc::clone(&directory), Arc::clone(&times));
    let front = Front::start(&bench.pebble, move |line, _| match line {
        "GET /dir" => match shown.get() {
            Some(text) => Twist::Instead(Reply::new(200, &[], text)),
            None => Twist::Nothing,
        },
        line if line.starts_with("GET /renewal-info/") => {
            noted.lock().unwrap().push(RealClock.elapsed());
            Twist::Instead(Reply::new(200, &["Retry-After: 21600"], WINDOW))
        }
        _ => Twist::Nothing,
    })
    .await;
    let http = HttpClient::new(
        Some(&front.server.root),
        &HttpsProxy::default(),
        Limits::default(),
    )
    .unwrap();
    let request = Request::get(front.server.url("/dir")).body(Bytes::new());
    let answer = http.send(request.unwrap()).await.unwrap();
    let mut text: serde_json::Value = serde_json::from_slice(answer.body()).unwrap();
    text["renewalInfo"] = front.server.url("/renewal-info").into();
    directory.set(text.to_string()).unwrap();
    let settings = AcmeSettings {
        ca_root_pem: Some(front.server.root.clone()),
        ..bench.settings()
    };
    let url = front.server.url("/dir");
    let clock = std::rc::Rc::new(RealClock);
    let authority = AcmeAuthority::new(&url, settings, bench.disk.clone(), clock, |_| ()).unwrap();
    let (chain, key) = bench.issue(&authority, &["shop.example"]).await.unwrap();
    let held = x509::check(&chain, &key, Source::Acme(url.clone())).unwrap();
    let (ca, id) = held
        .suggested_by()
        .expect("Pebble says whose key signed it");
    assert_eq!(ca, url);
    // The library makes the same of it.
    let leaf = CertificateDer::from_pem_slice(chain.as_bytes()).unwrap();
    let theirs = CertificateIdentifier::try_from(&leaf).unwrap();
    assert_eq!(id.as_str(), theirs.to_string());
    let began = RealClock.elapsed();
    for _ in 0..3 {
        let both = tokio::join!(authority.renewal_info(id), authority.renewal_info(id));
        for answer in [both.0, both.1] {
            assert!(matches!(answer.said, RenewalSaid::Window(_)), "{answer:?}");
            assert_eq!(answer.retry_after, Some(Duration::from_secs(21600)));
        }
    }
    assert_eq!(front.count(&format!("GET /renewal-info/{id}")), 6);
    let times = times.lock().unwrap().clone();
    // However late one arrives, it was sent no earlier than so many seconds after the first.
    for (number, time) in (0..).zip(&times) {
        assert!(*time >= began + Duration::from_secs(number), "{times:?}");
    }
}
