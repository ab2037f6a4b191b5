//! While a CA looks at names: what passes by itself is waited out, and what it looks for stays until it is done.

use std::{
    cell::Cell,
    path::Path,
    rc::Rc,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use quaymaster::{
    adapters::{
        acme::{AcmeAuthority, AcmeSettings},
        https_proxy::HttpsProxy,
    },
    observe::ClockGap,
    ports::{AskedOrder, Authority, AuthorityError, Clock},
    values::{Retry, Timestamp},
};

use super::{
    bench::{AccountsOnly, Bench, RealClock, asked},
    faults::authority_at,
    obtain::{attempt_for, ports},
};
use crate::support::{
    canned::{Canned, Reply, header},
    fake_ca::{FakeCa, Twist},
    front::Front,
    pebble::Behaviour,
};

/// A thing that comes in the place of an answer.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Blip {
    /// Nothing: the connection is cut before the CA hears of it.
    Cut,
    /// The same, after the CA has acted.
    Lost,
    /// No connection.
    Refused,
    Page(u16),
    Problem(u16, &'static str),
    /// A page, with the time after which to ask again.
    Later(u16),
}

impl Blip {
    fn twist(self) -> Twist {
        let nonce = "Replay-Nonce: bm9uY2U";
        match self {
            Self::Cut => Twist::Instead(Reply::Cut),
            Self::Lost => Twist::After(Reply::Cut),
            Self::Refused => Twist::Close,
            Self::Page(status) => Twist::Instead(Reply::new(status, &[], "<html>not now")),
            Self::Problem(status, kind) => {
                let body = format!(r#"{{"type": "urn:ietf:params:acme:error:{kind}"}}"#);
                Twist::Instead(Reply::new(status, &[nonce], &body))
            }
            Self::Later(status) => {
                Twist::Instead(Reply::new(status, &["Retry-After: 1"], "<html>busy"))
            }
        }
    }

    /// One that is refused is so by the answer before.
    fn strikes_at(self, number: usize) -> usize {
        match self {
            Self::Refused => number - 1,
            _ => number,
        }
    }
}

/// The true time; who waits for the second time at a closed door opens it. Between two pauses there is a request.
struct DoorClock {
    front: Rc<Front>,
    waited: Cell<u32>,
}

#[async_trait(?Send)]
impl Clock for DoorClock {
    fn now(&self) -> Timestamp {
        RealClock.now()
    }

    fn elapsed(&self) -> Duration {
        RealClock.elapsed()
    }

    async fn sleep(&self, length: Duration) {
        RealClock.sleep(length).await;
        if !self.front.server.is_open() {
            self.waited.set(self.waited.get() + 1);
            if self.waited.get() >= 2 {
                self.waited.set(0);
                self.front.server.open();
            }
        }
    }
}

/// Which request of the wait is answered by a blip, whether it was, and where the requests of this order begin.
#[derive(Default)]
struct Aim {
    number: AtomicUsize,
    from: AtomicUsize,
    has_struck: AtomicBool,
}

impl Aim {
    /// The number of a request from the one by which the CA was told to look, which has the number 0.
    fn number_of(&self, line: &str, seen: &[String]) -> Option<usize> {
        let own = &seen[self.from.load(Ordering::SeqCst)..];
        let tells = |line: &str| line.starts_with("POST /chalZ/");
        let ends = |line: &str| line.starts_with("POST /finalize-order/");
        match own.iter().position(|line| tells(line)) {
            _ if ends(line) || own.iter().any(|line| ends(line)) => None,
            Some(told) => Some(own.len() - told),
            None => tells(line).then_some(0),
        }
    }
}

/// Each request of the wait in turn is answered by this; says how many there were.
async fn each_is_ridden_out(blip: Blip) -> usize {
    loop {
        if let Some(number) = each_is_tried(blip).await {
            return number;
        }
    }
}

/// The same; nothing where the CA has locked itself out.
async fn each_is_tried(blip: Blip) -> Option<usize> {
    let bench = Bench::start(Behaviour::default()).await;
    let aim = Arc::<Aim>::default();
    let (shared, is_held) = (Arc::clone(&aim), Arc::clone(&bench.webroot.is_held));
    let front = Front::start(&bench.pebble, move |line, seen| {
        // The CA finds what it looks for after the fourth look at the order.
        let own = &seen[shared.from.load(Ordering::SeqCst)..];
        let looks = own
            .iter()
            .filter(|line| line.starts_with("POST /my-order/"));
        if looks.count() >= 4 {
            is_held.store(false, Ordering::SeqCst);
        }
        let at = blip.strikes_at(shared.number.load(Ordering::SeqCst));
        let is_meant = shared.number_of(line, seen) == Some(at);
        match is_meant && !shared.has_struck.swap(true, Ordering::SeqCst) {
            true => blip.twist(),
            false => Twist::Nothing,
        }
    })
    .await;
    let front = Rc::new(front);
    let clock = DoorClock {
        front: Rc::clone(&front),
        waited: Cell::default(),
    };
    let settings = AcmeSettings {
        ca_root_pem: Some(front.server.root.clone()),
        ..bench.settings()
    };
    let directory = front.server.url("/dir");
    let accounts = bench.disk.clone();
    let authority = AcmeAuthority::new(&directory, settings, accounts, Rc::new(clock), |_| ());
    let authority = authority.unwrap();
    for number in 1.. {
        // What follows the fourth look may be the request for the certificate, and that is not of the wait.
        if blip == Blip::Refused && number > 4 {
            return Some(4);
        }
        aim.number.store(number, Ordering::SeqCst);
        aim.from.store(front.seen().len(), Ordering::SeqCst);
        aim.has_struck.store(false, Ordering::SeqCst);
        bench.webroot.is_held.store(true, Ordering::SeqCst);
        let name = format!("n{number}.example");
        let issued = bench.issue(&authority, &[&name]).await;
        if front.is_hung() {
            return None;
        }
        assert!(issued.is_ok(), "{blip:?} {number}: {:?}", issued.map(drop));
        // One that had failed to be authorized could not have been finalized.
        assert_eq!(front.count("POST /order-plz"), number, "{blip:?}");
        if !aim.has_struck.load(Ordering::SeqCst) {
            return Some(number - 1);
        }
    }
    unreachable!("an order ends");
}

/// In several tests, since it mostly waits.
async fn they_are_ridden_out(blips: [Blip; 3]) {
    // One after the other: while a CA starts, this thread answers nobody.
    for blip in blips {
        let number = each_is_ridden_out(blip).await;
        assert!(number >= 4, "{blip:?}: only {number} requests were hit");
    }
}

#[tokio::test]
async fn a_connection_that_breaks_at_any_request_of_the_wait_costs_no_order_and_no_authorization() {
    they_are_ridden_out([Blip::Cut, Blip::Lost, Blip::Refused]).await;
}

#[tokio::test]
async fn a_server_s_error_at_any_request_of_the_wait_costs_no_order_and_no_authorization() {
    let problem = Blip::Problem(500, "serverInternal");
    they_are_ridden_out([Blip::Page(500), problem, Blip::Later(503)]).await;
}

#[tokio::test]
async fn a_refusal_by_a_front_at_any_request_of_the_wait_costs_no_order_and_no_authorization() {
    let limited = Blip::Problem(429, "rateLimited");
    they_are_ridden_out([Blip::Page(403), limited, Blip::Later(429)]).await;
}

/// A CA that refuses one name of an order at once and looks at the other for so many looks more. It remembers whether what
/// it looks for was there each time.
async fn one_is_refused(token: &Path, looks: usize) -> (Canned, Arc<Mutex<Vec<bool>>>) {
    let told = Mutex::new(0);
    let was_there = Arc::<Mutex<Vec<bool>>>::default();
    let (shared, token) = (Arc::clone(&was_there), token.to_owned());
    let server = Canned::start(move |method, path, head| {
        let base = format!("https://{}", header(head, "host").unwrap_or_default());
        let reply = |status, extra: &str, body: &str| {
            let body = body.replace("B/", &format!("{base}/"));
            Reply::new(status, &["Replay-Nonce: bm9uY2U", extra], &body)
        };
        let mut told = told.lock().unwrap();
        let order = |status: &str| {
            format!(r#"{{"status": "{status}", "authorizations": ["B/authz/1", "B/authz/2"], "finalize": "B/fin"}}"#)
        };
        let authorization = |number: usize, name: &str, status: &str, challenge: &str, error: &str| {
            let token = ["YmFk", "Z29vZA"][number - 1];
            format!(
                r#"{{"status": "{status}", "identifier": {{"type": "dns", "value": "{name}"}}, "challenges": [
                    {{"type": "http-01", "url": "B/chall/{number}", "status": "{challenge}", "token": "{token}"{error}}}]}}"#
            )
        };
        let error = |kind: &str| {
            format!(r#", "error": {{"type": "urn:ietf:params:acme:error:{kind}", "detail": "no"}}"#)
        };
        let over = *told >= 2;
        let status = if over { "invalid" } else { "pending" };
        match format!("{method} {path}").as_str() {
            "GET /dir" => {
                let body = r#"{"newNonce": "B/nonce", "newAccount": "B/account", "newOrder": "B/order"}"#;
                reply(200, "A: b", body)
            }
            "HEAD /nonce" => reply(200, "A: b", ""),
            "POST /account" => reply(201, &format!("Location: {base}/account/1"), "{}"),
            "POST /order" => reply(201, &format!("Location: {base}/order/1"), &order("pending")),
            "POST /order/1" => reply(200, "A: b", &order(status)),
            "POST /authz/1" => {
                let error = if over { error("dns") } else { String::new() };
                reply(200, "A: b", &authorization(1, "bad.example", status, status, &error))
            }
            "POST /authz/2" if over => {
                let mut was_there = shared.lock().unwrap();
                was_there.push(token.exists());
                match was_there.len() > looks {
                    true => {
                        let body = authorization(2, "shop.example", "invalid", "invalid", &error("connection"));
                        reply(200, "A: b", &body)
                    }
                    false => reply(200, "A: b", &authorization(2, "shop.example", "pending", "processing", "")),
                }
            }
            "POST /authz/2" => reply(200, "A: b", &authorization(2, "shop.example", "pending", "pending", "")),
            "POST /chall/1" | "POST /chall/2" => {
                *told += 1;
                let body = format!(r#"{{"type": "http-01", "url": "B{path}", "status": "processing", "token": "eA"}}"#);
                reply(200, "A: b", &body)
            }
            _ => reply(404, "A: b", ""),
        }
    })
    .await;
    (server, was_there)
}

#[tokio::test]
async fn a_token_stays_until_the_ca_is_done_with_its_name_though_another_has_failed() {
    let folder = tempfile::tempdir().unwrap();
    let place = "challenge/.well-known/acme-challenge";
    let token = folder.path().join(place).join("Z29vZA");
    let (server, was_there) = one_is_refused(&token, 5).await;
    let (authority, _) = authority_at(&server);
    let ports = ports(authority, folder.path(), authority_at(&server).1);
    let names = ["bad.example", "shop.example"];
    let problem = attempt_for(&ports, folder.path(), &names).await.unwrap();
    assert_eq!(*was_there.lock().unwrap(), [true; 6]);
    assert!(!token.exists(), "and no longer");
    for word in ["bad.example: no (dns)", "shop.example: no (connection)"] {
        assert!(problem.contains(word), "{problem}");
    }
}

#[tokio::test]
async fn a_token_stays_when_we_end_while_the_ca_looks_and_goes_once_the_order_has_gone_on() {
    let folder = tempfile::tempdir().unwrap();
    let place = "challenge/.well-known/acme-challenge";
    let token = folder.path().join(place).join("dG9rZW4");
    let pending = r#"{"status": "pending", "authorizations": ["B/authorization/1"], "finalize": "B/finalize/1"}"#;
    let pending = Arc::new(Mutex::new(Some(pending)));
    let shared = Arc::clone(&pending);
    let ca = FakeCa::start_at(move |asked, _, _, base| match *shared.lock().unwrap() {
        Some(body) if asked == "POST /order/1" => {
            let body = body.replace("B/", &format!("{base}/"));
            Twist::Instead(Reply::new(200, &["Replay-Nonce: bm9uY2U"], &body))
        }
        _ => Twist::Nothing,
    })
    .await;
    let settings = AcmeSettings {
        ca_root_pem: Some(ca.server.root.clone()),
        agree_tos: true,
        email: None,
        orders_per_second: None,
        external_account: None,
        chain: None,
        https_proxy: HttpsProxy::default(),
    };
    let authority = || {
        let accounts = Rc::new(AccountsOnly::default());
        let (directory, clock) = (ca.server.url("/dir"), Rc::new(RealClock));
        AcmeAuthority::new(&directory, settings.clone(), accounts, clock, |_| ()).unwrap()
    };
    let before = ports(authority(), folder.path(), Rc::new(RealClock));
    let validating = async {
        while ca.count("POST /order/1") < 3 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    // As SIGTERM ends it.
    tokio::select! {
        done = attempt_for(&before, folder.path(), &["shop.example"]) => panic!("{done:?}"),
        () = validating => {}
    }
    assert!(token.exists(), "the CA looks for it");
    *pending.lock().unwrap() = None;
    let after = ports(authority(), folder.path(), Rc::new(RealClock));
    let problem = attempt_for(&after, folder.path(), &["shop.example"]).await;
    // It goes on to its certificate, which is none at this CA.
    assert!(problem.is_some_and(|problem| problem.contains("certificate")));
    assert_eq!(
        (ca.count("POST /order"), ca.count("POST /challenge/1")),
        (1, 1)
    );
    assert!(!token.exists(), "and no longer");
}

#[tokio::test]
async fn a_ca_that_never_ends_to_look_at_a_name_keeps_nobody_longer_than_a_minute() {
    let folder = tempfile::tempdir().unwrap();
    let (server, _) = one_is_refused(folder.path(), usize::MAX).await;
    let (authority, clock) = authority_at(&server);
    let ports = ports(authority, folder.path(), clock.clone());
    let names = ["bad.example", "shop.example"];
    let problem = attempt_for(&ports, folder.path(), &names).await.unwrap();
    assert!(problem.contains("bad.example: no (dns)"), "{problem}");
    let waited = clock.elapsed().as_secs();
    assert!((60..=65).contains(&waited), "{waited} s");
}

#[tokio::test]
async fn nothing_is_ordered_by_a_clock_that_is_off_and_all_is_once_it_is_set() {
    let bench = Bench::start(Behaviour::default()).await;
    // The CA's clock is set instead of ours.
    let off = Arc::new(Mutex::new(Duration::from_secs(365 * 24 * 3600)));
    let shared = Arc::clone(&off);
    let front = Front::start(&bench.pebble, move |_, _| {
        let date = RealClock.now() - *shared.lock().unwrap();
        Twist::With(vec![format!("Date: {}", http_date(date))])
    })
    .await;
    let settings = AcmeSettings {
        ca_root_pem: Some(front.server.root.clone()),
        ..bench.settings()
    };
    let (directory, clock) = (front.server.url("/dir"), Rc::new(RealClock));
    let authority =
        AcmeAuthority::new(&directory, settings, bench.disk.clone(), clock, |_| ()).unwrap();
    for _ in 0..3 {
        let refused = authority
            .order(&AskedOrder::of(&asked(&["shop.example"])))
            .await;
        let refused = refused.map(drop).unwrap_err();
        let AuthorityError::WrongClock { gap, .. } = &refused else {
            panic!("{refused:?}")
        };
        assert_eq!(gap.to_string(), "365 days ahead of");
        assert_eq!(refused.retry(), Retry::NotBefore(gap.until()));
        assert_eq!(
            authority.clock_gap().map(|gap| gap.to_string()),
            Some(gap.to_string())
        );
    }
    assert_eq!(front.count("POST /order-plz"), 0);
    *off.lock().unwrap() = Duration::from_secs(30 * 60);
    bench.issue(&authority, &["shop.example"]).await.unwrap();
    assert_eq!(
        (front.count("POST /order-plz"), authority.clock_gap()),
        (1, None::<ClockGap>)
    );
}

/// As every server is for whoever has a clock that is years ahead.
#[tokio::test]
async fn a_ca_whose_own_certificate_has_run_out_has_us_ask_for_the_clock() {
    let server = Canned::expired().await;
    let (authority, _) = authority_at(&server);
    let failed = authority
        .order(&AskedOrder::of(&asked(&["shop.example"])))
        .await;
    let failed = quaymaster::report::chain(&failed.map(drop).unwrap_err());
    assert!(
        failed.contains("is the clock of this machine right?"),
        "{failed}"
    );
}

fn http_date(time: Timestamp) -> String {
    let date = time::OffsetDateTime::from_unix_timestamp(time.millis() / 1000).unwrap();
    let form = time::macros::format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    date.format(form).unwrap()
}
