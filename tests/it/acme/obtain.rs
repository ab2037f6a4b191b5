//! Obtaining as a whole: what becomes of an order when what came of it is refused.

use std::{cell::Cell, collections::BTreeSet, net::SocketAddr, path::Path, rc::Rc, time::Duration};

use async_trait::async_trait;
use quaymaster::{
    adapters::{
        acme::{AcmeAuthority, new_key, self_signed},
        disk::Folders,
        dns::DnsResolver,
        engine::RecordedEngine,
        probe::TcpProbe,
        visitor::TcpVisitor,
    },
    desire::Issuance,
    execute::{Learned, Outcome, execute},
    observe::{Attempt, CaRecord, SharedPath, Webroots},
    plan::{Action, Counts, Obtain, Why},
    ports::{Authorities, Authority, AuthorityError, Clock, OrderRecord, Ports},
    report::{Event, listen},
    values::{
        CertificateName, ChallengeType, Digest, Host, Issuer, KeyType, Retry, Secret, Timestamp,
    },
};

use super::{
    bench::{Bench, MovedClock, RealClock, Webroot, asked},
    faults::authority_at,
};
use crate::support::{
    canned::{self, Reply},
    fake_ca::{FakeCa, Twist},
    pebble::Behaviour,
};

/// The one CA that there is, whatever the URL.
struct TheOne(Rc<AcmeAuthority>);

#[async_trait(?Send)]
impl Authorities for TheOne {
    fn at(&self, _: &str) -> Result<Rc<dyn Authority>, AuthorityError> {
        Ok(self.0.clone())
    }

    async fn new_key(&self, kind: KeyType) -> Result<Secret, AuthorityError> {
        new_key(kind)
    }

    fn self_signed(
        &self,
        _: &Secret,
        _: &BTreeSet<Host>,
        _: Timestamp,
    ) -> Result<String, AuthorityError> {
        unreachable!("a CA is asked")
    }
}

/// The real thing but for time; nobody is asked but the CA, since no proxy serves the name.
pub fn ports(authority: AcmeAuthority, folder: &Path, clock: Rc<dyn Clock>) -> Ports {
    let folders = Rc::new(Folders::new(
        folder.join("certificates"),
        folder.join("state"),
        |_| (),
    ));
    let probe = Rc::new(TcpProbe::new().unwrap());
    folders.ports(
        Rc::new(TheOne(Rc::new(authority))),
        Rc::new(RecordedEngine::read("[]", |_| ()).unwrap()),
        probe,
        clock,
        (
            Rc::new(DnsResolver::new(None)),
            Rc::new(TcpVisitor::new().unwrap()),
        ),
    )
}

pub fn name() -> CertificateName {
    CertificateName::parse("shop.example").unwrap()
}

/// All that a CA may count.
fn counted() -> Counts {
    Counts {
        order: true,
        certificate: true,
        failures: true,
        project: Some("shop".to_owned()),
    }
}

/// Tries once, and tells what went wrong, if anything did.
pub async fn attempt(ports: &Ports, folder: &Path) -> Option<String> {
    attempt_through(ports, folder, []).await
}

/// The same for other names, by a certificate that is called as ever.
pub async fn attempt_for(ports: &Ports, folder: &Path, names: &[&str]) -> Option<String> {
    match outcome_for(ports, folder, names, []).await.result {
        Ok(_) => None,
        Err(attempt) => attempt.problem,
    }
}

/// The same where these proxies serve the name.
async fn attempt_through<const N: usize>(
    ports: &Ports,
    folder: &Path,
    proxies: [SocketAddr; N],
) -> Option<String> {
    match outcome(ports, folder, proxies).await.result {
        Ok(Learned::Held(..)) => None,
        Ok(learned) => panic!("{learned:?}"),
        Err(attempt) => Some(attempt.problem.unwrap()),
    }
}

/// The outcome of one try.
async fn outcome<const N: usize>(
    ports: &Ports,
    folder: &Path,
    proxies: [SocketAddr; N],
) -> Outcome {
    outcome_for(ports, folder, &["shop.example"], proxies).await
}

async fn outcome_for<const N: usize>(
    ports: &Ports,
    folder: &Path,
    names: &[&str],
    proxies: [SocketAddr; N],
) -> Outcome {
    let obtain = obtaining(folder, names, proxies, ports.clock.now());
    execute(ports, &mut Action::Obtain(Box::new(obtain))).await
}

/// The outcome of one try that was planned at this time.
pub async fn outcome_planned(ports: &Ports, folder: &Path, at: Timestamp) -> Outcome {
    let obtain = obtaining(folder, &["shop.example"], [], at);
    execute(ports, &mut Action::Obtain(Box::new(obtain))).await
}

pub fn obtaining<const N: usize>(
    folder: &Path,
    names: &[&str],
    proxies: [SocketAddr; N],
    last: Timestamp,
) -> Obtain {
    let asked_for = Digest::of("shop.example");
    let attempt = Attempt {
        count: 1,
        last,
        asked: asked_for,
        retry: Retry::Backoff,
        problem: None,
        circumstances: None,
        longest_pause: None,
        looks: 0,
        ca: CaRecord::default(),
    };
    Obtain {
        certificate: name(),
        names: asked(names),
        issuance: Issuance {
            issuer: Issuer::Ca("https://ca.example/dir".to_owned()),
            challenge: ChallengeType::Http01,
            dns: None,
            key_type: KeyType::Ec256,
            profile: None,
        },
        why: Why::Missing,
        replaces: None,
        held_chain: 0,
        helper: None,
        webroots: Webroots {
            folders: [SharedPath::top(folder.join("challenge"))].into(),
            proxies: proxies.into(),
            dns: None,
        },
        attempt,
        counts: counted(),
        is_of_list: false,
        other_ca: None,
        record_wait: Duration::ZERO,
        self_check: None,
    }
}

#[tokio::test]
async fn a_refused_certificate_drops_the_order_and_the_next_try_begins_a_new_one() {
    let others = canned::server_certificate().certificate;
    for (chain, told) in [
        ("the chain", "there is no certificate in it"),
        (&others, "key"),
    ] {
        let reply = Reply::new(200, &["Replay-Nonce: bm9uY2U"], chain);
        let ca = FakeCa::start(move |asked, _, _| match asked {
            "POST /certificate/1" => Twist::Instead(reply.clone()),
            _ => Twist::Nothing,
        })
        .await;
        let folder = tempfile::tempdir().unwrap();
        let (authority, clock) = authority_at(&ca.server);
        let ports = ports(authority, folder.path(), clock);
        for orders in 1..=3 {
            let problem = attempt(&ports, folder.path()).await.unwrap();
            assert!(
                problem.contains("shop.example") && problem.contains(told),
                "{problem}"
            );
            assert_eq!(
                ca.count("POST /order"),
                orders,
                "each try makes an order of its own"
            );
            assert!(
                ports.issuing.orders.order(&name()).unwrap().is_none(),
                "the key goes with the order"
            );
            assert!(
                ports
                    .issuing
                    .certificates
                    .certificates(RealClock.now())
                    .unwrap()
                    .held
                    .is_empty()
            );
        }
    }
}

#[tokio::test]
async fn a_ca_is_asked_for_nothing_while_an_order_can_not_be_written_down() {
    let ca = FakeCa::start(|_, _, _| Twist::Nothing).await;
    let folder = tempfile::tempdir().unwrap();
    let (authority, clock) = authority_at(&ca.server);
    let ports = ports(authority, folder.path(), clock);
    // A file where the folder is to be: nobody can write below it, root neither.
    let state = folder.path().join("state");
    std::fs::create_dir_all(&state).unwrap();
    std::fs::write(state.join("orders"), "").unwrap();
    let problem = attempt(&ports, folder.path()).await.unwrap();
    assert!(problem.contains("state/orders"), "{problem}");
    assert_eq!(ca.total(), 0);
    std::fs::remove_file(state.join("orders")).unwrap();
    attempt(&ports, folder.path()).await.unwrap();
    assert_eq!(ca.count("POST /order"), 1);
}

#[tokio::test]
async fn a_proxy_is_given_up_as_early_when_somebody_sets_the_time_of_day_back() {
    let ca = FakeCa::start(|_, _, _| Twist::Nothing).await;
    let folder = tempfile::tempdir().unwrap();
    let (authority, clock) = authority_at(&ca.server);
    let ports = ports(authority, folder.path(), clock.clone());
    let elsewhere = Webroot::start().await;
    clock.set_back.set(Duration::from_secs(60 * 60));
    let proxy = SocketAddr::from(([127, 0, 0, 1], elsewhere.port));
    let problem = attempt_through(&ports, folder.path(), [proxy]).await;
    let problem = problem.unwrap();
    assert!(problem.contains("is not served"), "{problem}");
    assert_eq!(clock.elapsed(), Duration::from_secs(2));
    assert_eq!(ca.count("POST /challenge/1"), 0);
}

#[tokio::test]
async fn a_ca_that_is_too_busy_is_told_for_all_orders_and_a_limit_for_one() {
    let nonce = "Replay-Nonce: bm9uY2U";
    let limited = r#"{"type": "urn:ietf:params:acme:error:rateLimited", "detail": "too many"}"#;
    for (step, status, body, is_of_all) in [
        ("POST /order", 503, "<html>busy", true),
        ("POST /order/1", 503, "<html>busy", true),
        ("POST /order", 429, limited, false),
        ("POST /account", 429, limited, true),
    ] {
        let reply = Reply::new(status, &[nonce, "Retry-After: 3600"], body);
        let ca = FakeCa::start(move |asked, _, _| match asked == step {
            true => Twist::Instead(reply.clone()),
            false => Twist::Nothing,
        })
        .await;
        let folder = tempfile::tempdir().unwrap();
        let (authority, clock) = authority_at(&ca.server);
        let ports = ports(authority, folder.path(), clock.clone());
        let until = clock.now() + Duration::from_secs(3600);
        let outcome = outcome(&ports, folder.path(), []).await;
        assert_eq!(outcome.result.unwrap_err().retry, Retry::NotBefore(until));
        let busy = outcome
            .busy
            .map(|(directory, busy)| (directory, busy.until));
        let expected = is_of_all.then(|| (ca.server.url("/dir"), until));
        assert_eq!(busy, expected, "{step} {status}");
    }
}

#[tokio::test]
async fn a_pause_begins_when_a_try_has_ended_however_long_it_took() {
    let pending = r#"{"status": "pending", "authorizations": [], "finalize": "x"}"#;
    let ca = FakeCa::start(move |asked, _, _| match asked {
        "POST /order/1" => Twist::Instead(Reply::new(200, &["Replay-Nonce: bm9uY2U"], pending)),
        _ => Twist::Nothing,
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let (authority, clock) = authority_at(&ca.server);
    let ports = ports(authority, folder.path(), clock.clone());
    let begun = clock.now();
    attempt(&ports, folder.path()).await.unwrap();
    assert!(clock.now().since(begun) >= Duration::from_secs(300));
    let records = ports.issuing.attempts.attempts().unwrap();
    let record = records[&name()].as_ref().unwrap();
    assert_eq!(record.last, clock.now());
}

#[tokio::test]
async fn an_order_that_was_only_held_up_is_gone_on_with() {
    let ca = FakeCa::start(|asked, before, _| match asked {
        "POST /certificate/1" if before == 0 => Twist::Instead(Reply::new(
            503,
            &["Replay-Nonce: bm9uY2U", "Retry-After: 60"],
            "busy",
        )),
        _ => Twist::Nothing,
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let (authority, clock) = authority_at(&ca.server);
    let ports = ports(authority, folder.path(), clock.clone());
    assert!(
        attempt(&ports, folder.path())
            .await
            .unwrap()
            .contains("503")
    );
    clock.sleep(Duration::from_secs(60)).await;
    let kept = ports.issuing.orders.order(&name()).unwrap().unwrap();
    assert!(kept.url.unwrap().ends_with("/order/1"));
    attempt(&ports, folder.path()).await.unwrap();
    assert_eq!(
        (ca.count("POST /order"), ca.count("POST /certificate/1")),
        (1, 2)
    );
}

#[tokio::test]
async fn an_order_whose_certificate_has_run_out_is_followed_by_a_new_one() {
    let day = Duration::from_secs(24 * 60 * 60);
    let (key, names) = (new_key(KeyType::Ec256).unwrap(), asked(&["shop.example"]));
    let begun = Timestamp::parse("2026-10-01T00:00:00Z").unwrap();
    let chain = self_signed(&key, &names, begun, day).unwrap();
    let expired = Reply::new(200, &["Replay-Nonce: bm9uY2U"], &chain);
    let ca = FakeCa::start_at(move |asked, before, _, base| match asked {
        // The order that was under way before a crash has its certificate.
        "POST /order/1" if before < 2 => {
            let body = format!(
                r#"{{"status": "valid", "authorizations": [], "finalize": "x", "certificate": "{base}/certificate/1"}}"#
            );
            Twist::Instead(Reply::new(200, &["Replay-Nonce: bm9uY2U"], &body))
        }
        "POST /certificate/1" if before == 0 => Twist::Instead(expired.clone()),
        _ => Twist::Nothing,
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let (authority, clock) = authority_at(&ca.server);
    let ports = ports(authority, folder.path(), clock);
    let record = OrderRecord {
        key,
        asked: Digest::of("shop.example"),
        url: Some(ca.server.url("/order/1")),
        shown: Vec::new(),
        shown_at: None,
    };
    ports.issuing.orders.keep_order(&name(), &record).unwrap();
    let problem = attempt(&ports, folder.path()).await.unwrap();
    assert!(problem.contains("it was valid until"), "{problem}");
    assert_eq!(ca.count("POST /order"), 0);
    assert!(ports.issuing.orders.order(&name()).unwrap().is_none());
    attempt(&ports, folder.path()).await.unwrap();
    assert_eq!(ca.count("POST /order"), 1);
}

#[tokio::test]
async fn by_a_clock_that_is_off_no_order_is_made_and_no_try_is_counted() {
    let bench = Bench::start(Behaviour::default()).await;
    let folder = tempfile::tempdir().unwrap();
    let late = RealClock.now() + Duration::from_secs(50 * 365 * 24 * 60 * 60);
    let clock = MovedClock::at(late);
    let ports = ports(by(&bench, clock.clone()), folder.path(), clock);
    for _ in 0..3 {
        let attempt = outcome(&ports, folder.path(), []).await.result.unwrap_err();
        let problem = attempt.problem.unwrap();
        assert!(
            problem.contains("the clock of this machine says"),
            "{problem}"
        );
        assert!(problem.contains("18250 days ahead of"), "{problem}");
        assert_eq!(attempt.count, 1);
    }
    assert_eq!(bench.count("POST /order-plz"), 0);
}

/// An authority by another clock.
fn by(bench: &Bench, clock: Rc<dyn Clock>) -> AcmeAuthority {
    let (directory, settings) = (bench.pebble.directory(), bench.settings());
    AcmeAuthority::new(&directory, settings, bench.disk.clone(), clock, |_| ()).unwrap()
}

/// A clock that is late.
struct LateClock(Duration);

#[async_trait(?Send)]
impl Clock for LateClock {
    fn now(&self) -> Timestamp {
        RealClock.now() - self.0
    }

    fn elapsed(&self) -> Duration {
        RealClock.elapsed()
    }

    async fn sleep(&self, length: Duration) {
        RealClock.sleep(length).await;
    }
}

#[tokio::test]
async fn a_certificate_that_begins_later_is_kept_with_its_order_until_then() {
    let bench = Bench::start(Behaviour {
        authorization_reuse: 100,
        ..Behaviour::default()
    })
    .await;
    // The name is proven once, so that no response has to be served after.
    bench
        .issue(&bench.authority(), &["shop.example"])
        .await
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let late = Rc::new(LateClock(Duration::from_secs(30 * 60)));
    let early = ports(by(&bench, late.clone()), folder.path(), late);
    for _ in 0..2 {
        let attempt = outcome(&early, folder.path(), []).await.result.unwrap_err();
        let Retry::NotBefore(from) = attempt.retry else {
            panic!("{attempt:?}")
        };
        let wait = from.since(early.clock.now());
        assert!(wait > Duration::from_secs(20 * 60), "{wait:?}");
        assert!(attempt.problem.unwrap().contains("is valid only from"));
    }
    let ports = ports(bench.authority(), folder.path(), Rc::new(RealClock));
    assert_eq!(attempt(&ports, folder.path()).await, None);
    // The first one, and one for all three tries.
    assert_eq!(bench.count("POST /order-plz"), 2);
    assert!(ports.issuing.orders.order(&name()).unwrap().is_none());
}

#[tokio::test]
async fn a_chain_that_comes_shorter_than_before_is_told() {
    let bench = Bench::start(Behaviour {
        authorization_reuse: 100,
        ..Behaviour::default()
    })
    .await;
    // So that the name is authorized already.
    let authority = bench.authority();
    bench.issue(&authority, &["shop.example"]).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let clock = Rc::new(RealClock);
    let ports = ports(by(&bench, clock.clone()), folder.path(), clock);
    for (before, expected) in [(0, None), (2, None), (3, Some((3, 2)))] {
        let told = Rc::new(Cell::new(None));
        let heard = Rc::clone(&told);
        let _listening = listen(move |event| {
            if let Event::ShorterChain { before, now, .. } = event {
                heard.set(Some((*before, *now)));
            }
        });
        let obtain = Obtain {
            held_chain: before,
            ..obtaining(folder.path(), &["shop.example"], [], RealClock.now())
        };
        let outcome = execute(&ports, &mut Action::Obtain(Box::new(obtain))).await;
        assert!(outcome.result.is_ok(), "{outcome:?}");
        assert_eq!(told.get(), expected);
    }
}
