//! Against a CA that behaves badly.

use std::{rc::Rc, time::Duration};

use bytes::Bytes;
use http::Request;
use quaymaster::{
    adapters::{
        acme::{AcmeAuthority, AcmeSettings, new_key},
        http::{HttpClient, HttpError, Limits, RootsError},
        https_proxy::HttpsProxy,
    },
    ports::{AskedOrder, Authority, AuthorityError, Clock, Problem},
    values::{ChallengeType, KeyType, Retry, Timestamp},
};

use super::bench::{AccountsOnly, MovedClock, asked};
use crate::support::{
    canned::{self, Canned, Reply},
    fake_ca::{FakeCa, Twist},
};

/// An authority at a server that behaves badly, and a clock that does not keep us waiting.
pub fn authority_at(server: &Canned) -> (AcmeAuthority, Rc<MovedClock>) {
    let settings = AcmeSettings {
        ca_root_pem: Some(server.root.clone()),
        agree_tos: true,
        email: None,
        orders_per_second: None,
        external_account: None,
        chain: None,
        https_proxy: HttpsProxy::default(),
    };
    let now = Timestamp::parse("2026-11-22T18:00:00Z").unwrap();
    let clock = MovedClock::at(now);
    let authority = AcmeAuthority::new(
        &server.url("/dir"),
        settings,
        Rc::new(AccountsOnly::default()),
        clock.clone(),
        |_| (),
    );
    (authority.unwrap(), clock)
}

/// The failure of an order at a server that answers everything with `reply`.
async fn failure(reply: Reply) -> (String, AuthorityError) {
    let server = Canned::start(move |_, _, _| reply.clone()).await;
    let failed = authority_at(&server)
        .0
        .order(&AskedOrder::of(&asked(&["shop.example"])))
        .await
        .map(drop)
        .unwrap_err();
    (server.url("/dir"), failed)
}

/// All steps of an issuance at a fake CA; its "chain", or what went wrong, and the pauses made.
async fn issue_at(ca: &FakeCa) -> (Result<String, AuthorityError>, Vec<Duration>) {
    let (authority, clock) = authority_at(&ca.server);
    let names = asked(&["shop.example"]);
    let steps = async {
        let key = new_key(KeyType::Ec256)?;
        let mut order = authority.order(&AskedOrder::of(&names)).await?;
        assert_eq!(order.offers().await?.len(), 1);
        order.authorize(ChallengeType::Http01).await?;
        order.finalize(&key, &names).await
    };
    let result = steps.await;
    (result, clock.slept.take())
}

fn problem(status: u16, kind: &str) -> Reply {
    let body = format!(r#"{{"type": "urn:ietf:params:acme:error:{kind}", "detail": "no"}}"#);
    Reply::new(status, &["Content-Type: application/problem+json"], &body)
}

#[tokio::test]
async fn a_lost_answer_leads_to_the_same_end_wherever_it_is_lost() {
    let whole = FakeCa::start(|_, _, _| Twist::Nothing).await;
    assert_eq!(issue_at(&whole).await.0.unwrap(), "the chain");
    for lost in 0..whole.total() {
        for twist in [Twist::After(Reply::Cut), Twist::Instead(Reply::Cut)] {
            let told = format!("request {lost}, {twist:?}");
            let ca = FakeCa::start(move |_, _, total| {
                if total == lost {
                    twist.clone()
                } else {
                    Twist::Nothing
                }
            })
            .await;
            let (result, _) = issue_at(&ca).await;
            assert_eq!(ca.count("POST /order"), 1, "{told}");
            match ca.asked(lost).as_str() {
                // Whether the CA has made an order can't be found out, so none is made over it at once.
                "POST /order" => {
                    assert!(
                        matches!(result, Err(AuthorityError::Unreachable { .. })),
                        "{told}: {result:?}"
                    );
                    assert_eq!(ca.total(), lost + 1, "{told}");
                }
                _ => assert_eq!(result.unwrap(), "the chain", "{told}"),
            }
        }
    }
}

#[tokio::test]
async fn a_connection_that_always_breaks_is_given_up() {
    let ca = FakeCa::start(|asked, _, _| match asked {
        "POST /authorization/1" => Twist::Instead(Reply::Cut),
        _ => Twist::Nothing,
    })
    .await;
    assert!(matches!(
        issue_at(&ca).await.0,
        Err(AuthorityError::Unreachable { .. })
    ));
    assert_eq!(ca.count("POST /authorization/1"), 3);
}

#[tokio::test]
async fn a_ca_that_never_ends_is_asked_less_and_less_and_then_given_up() {
    let ca = FakeCa::start(|asked, _, _| match asked {
        "POST /challenge/1" => Twist::Instead(Reply::new(
            200,
            &["Replay-Nonce: bm9uY2U"],
            r#"{"type": "http-01", "url": "x", "status": "processing", "token": "dG9rZW4"}"#,
        )),
        _ => Twist::Nothing,
    })
    .await;
    let (result, slept) = issue_at(&ca).await;
    assert!(
        matches!(result, Err(AuthorityError::TooSlow { limit, .. }) if limit == Duration::from_secs(300))
    );
    let millis = slept.iter().map(Duration::as_millis).collect::<Vec<_>>();
    assert_eq!(
        millis[..9],
        [20, 100, 200, 400, 800, 1600, 3200, 5000, 5000]
    );
    assert!(
        (300_000..=305_000).contains(&millis.iter().sum::<u128>()),
        "{millis:?}"
    );
}

#[tokio::test]
async fn a_ca_is_given_up_as_early_when_somebody_sets_the_time_of_day_back() {
    let pending = r#"{"status": "pending", "authorizations": [], "finalize": "x"}"#;
    let ca = FakeCa::start(move |asked, _, _| match asked {
        "POST /order/1" => Twist::Instead(Reply::new(200, &["Replay-Nonce: bm9uY2U"], pending)),
        _ => Twist::Nothing,
    })
    .await;
    let (authority, clock) = authority_at(&ca.server);
    let names = asked(&["shop.example"]);
    let mut order = authority.order(&AskedOrder::of(&names)).await.unwrap();
    clock.set_back.set(Duration::from_secs(60 * 60));
    let before = clock.now();
    let result = order.authorize(ChallengeType::Http01).await;
    assert!(matches!(result, Err(AuthorityError::TooSlow { .. })));
    assert!(clock.now() < before, "the time of day was set back");
    let waited = clock.elapsed().as_secs();
    assert!((300..=305).contains(&waited), "{waited} s");
}

#[tokio::test]
async fn a_ca_is_asked_again_when_it_says_but_not_much_later() {
    let ca = FakeCa::start(|asked, before, _| {
        let pending = r#"{"status": "pending", "authorizations": [], "finalize": "x"}"#;
        let wait = match before {
            0 => "Retry-After: 3",
            1 => "Retry-After: 86400",
            2 => "Retry-After: Sun, 22 Nov 2026 18:01:13 GMT",
            _ => return Twist::Nothing,
        };
        match asked {
            "POST /order/1" => {
                Twist::Instead(Reply::new(200, &["Replay-Nonce: bm9uY2U", wait], pending))
            }
            _ => Twist::Nothing,
        }
    })
    .await;
    let (result, slept) = issue_at(&ca).await;
    assert_eq!(result.unwrap(), "the chain");
    assert_eq!(slept, [3, 60, 10].map(Duration::from_secs));
}

#[tokio::test]
async fn a_ca_that_says_to_wait_for_nothing_is_asked_no_faster_for_it() {
    for wait in [
        "Retry-After: 0",
        "Retry-After: Sun, 22 Nov 2020 18:00:00 GMT",
    ] {
        let pending = r#"{"status": "pending", "authorizations": [], "finalize": "x"}"#;
        let ca = FakeCa::start(move |asked, _, _| match asked {
            "POST /order/1" => {
                Twist::Instead(Reply::new(200, &["Replay-Nonce: bm9uY2U", wait], pending))
            }
            _ => Twist::Nothing,
        })
        .await;
        let (result, slept) = issue_at(&ca).await;
        assert!(matches!(result, Err(AuthorityError::TooSlow { .. })));
        assert!(slept.len() < 80, "{wait}: {} looks", slept.len());
    }
}

/// An authority at a server, where nobody has agreed to the terms.
fn unagreed(server: &Canned) -> AcmeAuthority {
    let settings = AcmeSettings {
        ca_root_pem: Some(server.root.clone()),
        agree_tos: false,
        email: None,
        orders_per_second: None,
        external_account: None,
        chain: None,
        https_proxy: HttpsProxy::default(),
    };
    let clock = MovedClock::at(Timestamp::parse("2026-11-22T18:00:00Z").unwrap());
    let accounts = Rc::new(AccountsOnly::default());
    AcmeAuthority::new(&server.url("/dir"), settings, accounts, clock, |_| ()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn terms_that_can_not_be_read_soon_are_told_by_the_directory() {
    let server = Canned::start(|_, _, _| Reply::Hang).await;
    let directory = Some(server.url("/dir"));
    let authority = unagreed(&server);
    let began = tokio::time::Instant::now();
    let (first, second) = tokio::join!(authority.terms_to_agree(), authority.terms_to_agree());
    assert_eq!((&first, &second), (&directory, &directory));
    let took = began.elapsed();
    assert!(
        took <= Duration::from_secs(10),
        "none waits for the other: {took:?}"
    );
}

#[tokio::test]
async fn a_directory_is_read_once_for_its_terms() {
    let ca = FakeCa::start(|asked, _, _| match asked {
        "GET /dir" => Twist::Replace(vec![(
            r#""newNonce""#,
            r#""meta": {"termsOfService": "https://ca.example/terms"}, "newNonce""#,
        )]),
        _ => Twist::Nothing,
    })
    .await;
    let authority = unagreed(&ca.server);
    for _ in 0..2 {
        let terms = authority.terms_to_agree().await;
        assert_eq!(terms.as_deref(), Some("https://ca.example/terms"));
    }
    assert_eq!((ca.count("GET /dir"), ca.total()), (1, 1));
}

/// As a process that was just started with this e-mail address orders a certificate.
async fn order_with(ca: &FakeCa, disk: &Rc<AccountsOnly>, email: Option<&str>) {
    let authority = started_with(ca, disk, email);
    for _ in 0..2 {
        let order = authority
            .order(&AskedOrder::of(&asked(&["shop.example"])))
            .await;
        assert!(order.is_ok(), "{:?}", order.map(drop));
    }
}

/// The authority of a process that was just started with this e-mail address.
fn started_with(ca: &FakeCa, disk: &Rc<AccountsOnly>, email: Option<&str>) -> AcmeAuthority {
    let settings = AcmeSettings {
        ca_root_pem: Some(ca.server.root.clone()),
        agree_tos: true,
        email: email.map(str::to_owned),
        orders_per_second: None,
        external_account: None,
        chain: None,
        https_proxy: HttpsProxy::default(),
    };
    let clock = MovedClock::at(Timestamp::from_seconds(1_795_371_420));
    AcmeAuthority::new(
        &ca.server.url("/dir"),
        settings,
        disk.clone(),
        clock,
        |_| (),
    )
    .unwrap()
}

#[tokio::test]
async fn an_e_mail_address_that_the_ca_refuses_holds_up_no_certificate() {
    for refusal in [
        problem(400, "invalidContact"),
        problem(500, "serverInternal"),
        Reply::Cut,
    ] {
        let ca = FakeCa::start(move |asked, _, _| match asked {
            "POST /account/1" => Twist::Instead(refusal.clone()),
            _ => Twist::Nothing,
        })
        .await;
        let disk = Rc::new(AccountsOnly::default());
        order_with(&ca, &disk, Some("a@b.example")).await;
        order_with(&ca, &disk, None).await;
        assert_eq!((ca.count("POST /account"), ca.count("POST /order")), (1, 4));
    }
}

#[tokio::test]
async fn an_e_mail_address_that_the_ca_refuses_is_known_until_it_is_taken_or_another_is_set() {
    let ca = FakeCa::start(|asked, before, _| match asked {
        "POST /account/1" if before == 0 => Twist::Instead(problem(400, "invalidContact")),
        _ => Twist::Nothing,
    })
    .await;
    let disk = Rc::new(AccountsOnly::default());
    let email = Some("a@b.example");
    let refused = |email| started_with(&ca, &disk, email).refused_email();
    assert_eq!(refused(email), None, "it was not told yet");
    order_with(&ca, &disk, email).await;
    let known = refused(email).unwrap();
    assert_eq!(known.email, "a@b.example");
    assert!(known.problem.contains("invalidContact"), "{known:?}");
    assert_eq!((refused(None), refused(Some("c@d.example"))), (None, None));
    order_with(&ca, &disk, email).await;
    assert_eq!(refused(email), None);
}

#[tokio::test]
async fn an_e_mail_address_is_not_blamed_for_a_ca_that_is_broken() {
    for broken in [problem(500, "serverInternal"), Reply::Cut] {
        let ca = FakeCa::start(move |asked, _, _| match asked {
            "POST /account/1" => Twist::Instead(broken.clone()),
            _ => Twist::Nothing,
        })
        .await;
        let (disk, email) = (Rc::new(AccountsOnly::default()), Some("a@b.example"));
        order_with(&ca, &disk, email).await;
        assert_eq!(started_with(&ca, &disk, email).refused_email(), None);
    }
}

#[tokio::test]
async fn another_e_mail_address_is_told_to_the_ca_once() {
    let ca = FakeCa::start(|_, _, _| Twist::Nothing).await;
    let disk = Rc::new(AccountsOnly::default());
    let (first, second) = (Some("a@b.example"), Some("c@d.example"));
    for (email, told) in [
        (None, 0),
        (first, 1),
        (first, 1),
        (second, 2),
        (second, 2),
        (None, 3),
        (None, 3),
    ] {
        order_with(&ca, &disk, email).await;
        assert_eq!(ca.count("POST /account/1"), told, "{email:?}");
    }
    assert_eq!(ca.count("POST /account"), 1);
}

#[tokio::test]
async fn an_order_that_is_finalized_too_early_is_finalized_again_once() {
    for refusals in [1, 2] {
        let ca = FakeCa::start(move |asked, before, _| match asked {
            "POST /finalize/1" if before < refusals => {
                Twist::Instead(problem(403, "orderNotReady"))
            }
            _ => Twist::Nothing,
        })
        .await;
        let (result, _) = issue_at(&ca).await;
        match refusals {
            1 => assert_eq!(result.unwrap(), "the chain"),
            _ => assert!(matches!(
                result,
                Err(AuthorityError::Refused {
                    problem: Problem::OrderNotReady,
                    ..
                })
            )),
        }
        assert_eq!(ca.count("POST /finalize/1"), 2);
    }
}

#[tokio::test]
async fn a_ca_that_becomes_busy_in_the_middle_is_not_asked_on() {
    for step in [
        "HEAD /nonce",
        "POST /account",
        "POST /order",
        "POST /authorization/1",
        "POST /challenge/1",
        "POST /finalize/1",
    ] {
        let busy = Reply::new(503, &["Retry-After: 60"], "<html>busy");
        let ca = FakeCa::start(move |asked, _, _| match asked == step {
            true => Twist::Instead(busy.clone()),
            false => Twist::Nothing,
        })
        .await;
        let failed = issue_at(&ca).await.0.unwrap_err();
        assert!(
            matches!(failed.retry(), Retry::NotBefore(_)),
            "{step}: {failed:?}"
        );
        assert_eq!(ca.count(step), 1, "{step}");
    }
}

#[tokio::test]
async fn challenges_that_can_not_be_met_are_refused() {
    let offer = |kind: &str, token: &str| {
        Reply::new(
            200,
            &["Replay-Nonce: bm9uY2U"],
            &format!(
                r#"{{"status": "pending", "identifier": {{"type": "dns", "value": "shop.example"}},
                    "challenges": [{{"type": "{kind}", "url": "x", "status": "pending", "token": "{token}"}}]}}"#
            ),
        )
    };
    for (kind, token, expected) in [
        (
            "dns-01",
            "dG9rZW4",
            "the CA does not let shop.example be proven by http-01; it offers dns-01",
        ),
        ("http-01", "../../etc/passwd", "a token is not base64url"),
        ("http-01", "", "a token is not base64url"),
    ] {
        let reply = offer(kind, token);
        let ca = FakeCa::start(move |asked, _, _| match asked {
            "POST /authorization/1" => Twist::Instead(reply.clone()),
            _ => Twist::Nothing,
        })
        .await;
        let told = issue_at(&ca).await.0.unwrap_err().to_string();
        assert!(told.contains(expected), "{told}");
    }
}

#[tokio::test]
async fn a_ca_that_is_busy_says_until_when() {
    for (wait, seconds) in [
        ("Retry-After: 120", 120),
        ("Retry-After: Sun, 22 Nov 2026 19:00:00 GMT", 3600),
    ] {
        let until =
            Timestamp::parse("2026-11-22T18:00:00Z").unwrap() + Duration::from_secs(seconds);
        let limited =
            r#"{"type": "urn:ietf:params:acme:error:rateLimited", "detail": "too many orders"}"#;
        let (_, failed) = failure(Reply::new(
            429,
            &[wait, "Content-Type: application/problem+json"],
            limited,
        ))
        .await;
        assert_eq!(failed.retry(), Retry::NotBefore(until), "{failed:?}");
        let (_, failed) = failure(Reply::new(503, &[wait], "<html><h1>Slow down</h1>")).await;
        assert!(
            matches!(&failed, AuthorityError::Busy { status: 503, detail, .. } if detail.contains("Slow down"))
        );
        assert_eq!(failed.retry(), Retry::NotBefore(until), "{failed:?}");
    }
}

#[tokio::test]
async fn what_is_no_ca_is_told_apart_from_one_that_is_out_of_reach() {
    for reply in [
        Reply::new(400, &[], "<html>what?"),
        Reply::new(200, &[], "<html>what?"),
        Reply::new(404, &[], "<html>what?"),
    ] {
        let (url, failed) = failure(reply).await;
        assert!(
            matches!(failed, AuthorityError::NotAcme { .. }),
            "{failed:?}"
        );
        let told = failed.to_string();
        assert!(
            told.contains(&url) && told.contains("<html>what?"),
            "{told}"
        );
    }
    let (_, failed) = failure(Reply::new(200, &[], r#"{"hello": "world"}"#)).await;
    assert!(
        matches!(&failed, AuthorityError::NotAcme { problem, .. } if problem.contains("newNonce")),
        "{failed:?}"
    );
    let (_, failed) = failure(Reply::new(301, &["Location: https://127.0.0.1/"], "")).await;
    assert!(
        matches!(&failed, AuthorityError::NotAcme { problem, .. } if problem.contains("301")),
        "{failed:?}"
    );
    let (_, failed) = failure(Reply::Cut).await;
    assert!(
        matches!(failed, AuthorityError::Unreachable { .. }),
        "{failed:?}"
    );
}

fn request(url: &str) -> Request<Bytes> {
    Request::get(url).body(Bytes::new()).unwrap()
}

#[tokio::test]
async fn requests_are_bounded_in_time_and_size_and_say_who_asks() {
    let limits = Limits {
        whole: Duration::from_millis(200),
        body: 1000,
        ..Limits::default()
    };
    let server = Canned::start(|_, path, head| match path {
        "/hang" => Reply::Hang,
        "/slow-body" => Reply::Bytes("HTTP/1.1 200 X\r\nContent-Length: 10\r\n\r\nabc".to_owned()),
        "/cut" => Reply::Cut,
        path if path.starts_with("/long") => {
            Reply::new(200, &[], &"x".repeat(path.len() - 6 + 1000))
        }
        _ => Reply::new(200, &[], head),
    })
    .await;
    let client = HttpClient::new(Some(&server.root), &HttpsProxy::default(), limits).unwrap();
    let send = async |path: &str| client.send(request(&server.url(path))).await;
    let hang = tokio::time::timeout(Duration::from_secs(10), send("/hang"));
    assert!(matches!(hang.await.unwrap(), Err(HttpError::Silent(limit)) if limit == limits.whole));
    assert!(matches!(send("/slow-body").await, Err(HttpError::Cut(_))));
    assert!(matches!(send("/cut").await, Err(HttpError::Cut(_))));
    assert_eq!(send("/long/").await.unwrap().body().len(), 1000);
    assert!(matches!(
        send("/long/x").await,
        Err(HttpError::TooLong(1000))
    ));
    let seen = String::from_utf8(send("/").await.unwrap().body().to_vec()).unwrap();
    assert!(
        seen.contains(concat!(
            "user-agent: quaymaster/",
            env!("CARGO_PKG_VERSION"),
            " instant-acme/0.8\r\n"
        )),
        "{seen}"
    );
    assert!(seen.contains("accept-language: en\r\n"), "{seen}");
}

#[tokio::test]
async fn only_known_servers_are_trusted_and_only_over_tls() {
    let server = Canned::start(|_, _, _| Reply::new(200, &[], "hello")).await;
    let other = canned::server_certificate().root;
    let refusal = async |roots: Option<&str>, url: &str| {
        let client = HttpClient::new(roots, &HttpsProxy::default(), Limits::default()).unwrap();
        client
            .send(request(url))
            .await
            .map(|answer| answer.status())
    };
    for roots in [None, Some(other.as_str())] {
        assert!(matches!(
            refusal(roots, &server.url("/")).await,
            Err(HttpError::Connect(_))
        ));
    }
    assert!(matches!(
        refusal(None, &format!("http://{}/", server.at)).await,
        Err(HttpError::Connect(_))
    ));
    let both = format!("{other}{}", server.root);
    assert!(
        refusal(Some(&both), &server.url("/")).await.is_ok(),
        "every certificate of the file is a root"
    );
    assert!(matches!(
        HttpClient::new(Some(""), &HttpsProxy::default(), Limits::default()),
        Err(RootsError::None)
    ));
    let broken = both.replace("MII", "!!!");
    assert!(matches!(
        HttpClient::new(Some(&broken), &HttpsProxy::default(), Limits::default()),
        Err(RootsError::Unreadable(_))
    ));
}
