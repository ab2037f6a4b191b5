//! Answers of a CA that differ from what was asked, or from its earlier ones: its directory, profiles, orders.

use std::{
    rc::Rc,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use quaymaster::{
    adapters::acme::{AcmeAuthority, AcmeSettings, new_key},
    ports::{AskedOrder, Authority, AuthorityError, Clock, Remark},
    values::{ChallengeType, KeyType, Profile},
};

use super::{
    bench::{Bench, RealClock, asked, check},
    faults::authority_at,
    obtain::{attempt, ports},
};
use crate::support::{
    canned::Reply,
    fake_ca::{FakeCa, Twist},
    front::Front,
    pebble::Behaviour,
};

const HOUR: Duration = Duration::from_secs(60 * 60);

/// The change that makes a directory of Pebble's list a profile.
const LISTED: (&str, &str) = (
    r#""externalAccountRequired""#,
    r#""profiles": {"shortlived": "six days"}, "externalAccountRequired""#,
);

/// The change that makes an order of Pebble's one of that profile.
const OF_PROFILE: (&str, &str) = (
    r#""identifiers""#,
    r#""profile": "shortlived", "identifiers""#,
);

/// The change that makes it an order of another profile.
const OF_ANOTHER: (&str, &str) = (r#""identifiers""#, r#""profile": "classic", "identifiers""#);

fn profile(text: &str) -> Profile {
    text.parse().unwrap()
}

fn is_order(line: &str) -> bool {
    [
        "POST /order-plz",
        "POST /my-order/",
        "POST /finalize-order/",
    ]
    .iter()
    .any(|begin| line.starts_with(begin))
}

/// As a process that was just started sees the CA behind the front.
fn through(front: &Front, bench: &Bench, remarks: fn(Remark)) -> AcmeAuthority {
    let settings = AcmeSettings {
        ca_root_pem: Some(front.server.root.clone()),
        ..bench.settings()
    };
    let (directory, clock) = (front.server.url("/dir"), Rc::new(RealClock));
    AcmeAuthority::new(&directory, settings, bench.disk.clone(), clock, remarks).unwrap()
}

fn finalized(front: &Front) -> usize {
    let seen = front.seen();
    let finalized = seen
        .iter()
        .filter(|line| line.starts_with("POST /finalize-order/"));
    finalized.count()
}

#[tokio::test]
async fn a_directory_is_a_day_old_at_most_and_one_that_can_not_be_read_changes_nothing() {
    const USUAL: usize = 0;
    const MOVED: usize = 1;
    const BROKEN: usize = 2;
    let says = Arc::new(AtomicUsize::new(USUAL));
    let shared = Arc::clone(&says);
    let ca = FakeCa::start_at(move |line, _, _, base| {
        match (line, shared.load(Ordering::SeqCst)) {
            ("GET /dir", MOVED) => Twist::Replace(vec![(r#"/order""#, r#"/moved""#)]),
            ("GET /dir", BROKEN) => Twist::Instead(Reply::new(500, &[], "<html>no")),
            ("POST /moved", _) => {
                let order = format!(
                    r#"{{"status": "pending", "authorizations": [], "finalize": "{base}/finalize/1"}}"#
                );
                let place = format!("Location: {base}/order/1");
                let lines = ["Replay-Nonce: bm9uY2U", &place];
                Twist::Instead(Reply::new(201, &lines, &order))
            }
            _ => Twist::Nothing,
        }
    })
    .await;
    let (authority, clock) = authority_at(&ca.server);
    let names = asked(&["shop.example"]);
    for (says_now, later, orders, moved) in [
        (USUAL, Duration::ZERO, 1, 0),
        // It is not read so soon.
        (MOVED, 23 * HOUR, 2, 0),
        (BROKEN, HOUR, 3, 0),
        (MOVED, HOUR / 2, 4, 0),
        (MOVED, HOUR / 2, 4, 1),
        // And again a day later.
        (USUAL, 23 * HOUR, 4, 2),
        (USUAL, HOUR, 5, 2),
    ] {
        says.store(says_now, Ordering::SeqCst);
        clock.sleep(later).await;
        authority
            .order(&AskedOrder::of(&names))
            .await
            .map(drop)
            .unwrap();
        let seen = (ca.count("POST /order"), ca.count("POST /moved"));
        assert_eq!(seen, (orders, moved), "{says_now} after {later:?}");
    }
    assert_eq!(ca.count("POST /account"), 1, "the account goes on");
}

static REMARKS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Keeps what is said of profiles.
fn keep(remark: Remark) {
    match remark {
        Remark::ProfileMissing { profile, .. } => {
            REMARKS.lock().unwrap().push(format!("missing {profile}"));
        }
        Remark::ProfileBack { profile, .. } => {
            REMARKS.lock().unwrap().push(format!("back {profile}"));
        }
        _ => {}
    }
}

#[tokio::test]
async fn a_profile_that_is_gone_gives_way_to_the_usual_one_and_is_told_once_unless_it_is_required()
{
    const LISTS: usize = 0;
    const LISTS_NOT: usize = 1;
    const REFUSES: usize = 2;
    let bench = Bench::start(Behaviour::default()).await;
    let does = Arc::new(AtomicUsize::new(LISTS));
    let shared = Arc::clone(&does);
    let front = Front::start(&bench.pebble, move |line, seen| {
        let refused =
            r#"{"type": "urn:ietf:params:acme:error:invalidProfile", "detail": "it is gone"}"#;
        let orders = seen.iter().filter(|seen| *seen == "POST /order-plz");
        match (line, shared.load(Ordering::SeqCst)) {
            ("GET /dir", LISTS | REFUSES) => Twist::Replace(vec![LISTED]),
            ("POST /order-plz", REFUSES) if orders.count() == 0 => {
                let lines = ["Content-Type: application/problem+json"];
                Twist::Instead(Reply::new(400, &lines, refused))
            }
            (line, LISTS) if is_order(line) => Twist::Replace(vec![OF_PROFILE]),
            _ => Twist::Nothing,
        }
    })
    .await;
    let names = asked(&["shop.example"]);
    let wanted = profile("shortlived");
    for (what, orders) in [(REFUSES, 2), (LISTS_NOT, 4), (LISTS, 6)] {
        does.store(what, Ordering::SeqCst);
        let authority = through(&front, &bench, keep);
        let key = new_key(KeyType::Ec256).unwrap();
        for time in 0..2 {
            let mut order = authority
                .order(&AskedOrder {
                    profile: Some(&wanted),
                    ..AskedOrder::of(&names)
                })
                .await
                .unwrap();
            assert_eq!(front.count("POST /order-plz"), orders + time, "{what}");
            if time == 0 {
                let chain = bench.finish(&mut *order, &key, &names).await.unwrap();
                check(&chain, &key, &["shop.example"]);
            }
            does.compare_exchange(REFUSES, LISTS, Ordering::SeqCst, Ordering::SeqCst)
                .ok();
        }
        let told = std::mem::take(&mut *REMARKS.lock().unwrap());
        let expected: &[_] = match what {
            // The second order has it again.
            REFUSES => &["missing shortlived", "back shortlived"],
            LISTS_NOT => &["missing shortlived"],
            _ => &[],
        };
        assert_eq!(told, expected, "{what}");
        does.store(what, Ordering::SeqCst);
        if what == LISTS_NOT {
            let before = front.count("POST /order-plz");
            let required = profile("shortlived required");
            let refused = authority
                .order(&AskedOrder {
                    profile: Some(&required),
                    ..AskedOrder::of(&names)
                })
                .await
                .map(drop);
            let told = r#"the CA has no profile "shortlived"; it has none: leave profile out"#;
            assert_eq!(refused.unwrap_err().to_string(), told);
            assert_eq!(front.count("POST /order-plz"), before);
        }
    }
}

#[tokio::test]
async fn an_order_for_something_else_than_was_asked_is_never_finalized() {
    let bench = Bench::start(Behaviour::default()).await;
    let names = asked(&["shop.example", "www.shop.example"]);
    let instead = r#"an order for the profile "classic" instead of the profile "shortlived""#;
    // What the answer to the order is made into, and what is asked for.
    for (first, texts, wanted, told) in [
        (
            true,
            ("www.shop.example", "evil.example"),
            None,
            "an order for evil.example, shop.example instead of shop.example, www.shop.example",
        ),
        (
            false,
            ("www.shop.example", "evil.example"),
            None,
            "an order for evil.example, shop.example instead of",
        ),
        (true, OF_ANOTHER, Some("shortlived"), instead),
        (false, OF_ANOTHER, Some("shortlived"), instead),
        (true, OF_ANOTHER, Some("shortlived required"), instead),
        (
            true,
            ("no such text", ""),
            Some("shortlived required"),
            "an order for no profile instead of",
        ),
    ] {
        let front = Front::start(&bench.pebble, move |line, _| match line {
            "GET /dir" => Twist::Replace(vec![LISTED]),
            "POST /order-plz" if first => Twist::Replace(vec![texts]),
            "POST /order-plz" if wanted.is_some() => Twist::Replace(vec![OF_PROFILE]),
            line if is_order(line) => Twist::Replace(vec![texts]),
            _ => Twist::Nothing,
        })
        .await;
        let authority = through(&front, &bench, |_| ());
        let key = new_key(KeyType::Ec256).unwrap();
        let wanted = wanted.map(profile);
        let ended = async {
            let mut order = authority
                .order(&AskedOrder {
                    profile: wanted.as_ref(),
                    ..AskedOrder::of(&names)
                })
                .await?;
            assert!(!first, "it is found out at once: {told}");
            bench.webroot.publish(order.offers().await?);
            order.authorize(ChallengeType::Http01).await?;
            order.finalize(&key, &names).await
        };
        let error = ended.await.map(drop).unwrap_err();
        assert!(
            matches!(error, AuthorityError::OtherOrder { .. }),
            "{error:?}"
        );
        assert!(error.to_string().contains(told), "{error}");
        assert_eq!(finalized(&front), 0, "{told}");
    }
}

#[tokio::test]
async fn an_order_of_other_names_is_not_gone_on_with() {
    let bench = Bench::start(Behaviour::default()).await;
    let authority = bench.authority();
    let (names, others) = (asked(&["shop.example", "::1"]), asked(&["other.example"]));
    let order = authority.order(&AskedOrder::of(&names)).await.unwrap();
    let resumed = bench.authority().resume(order.url(), &others).await;
    assert!(resumed.unwrap().is_none());
    let resumed = bench.authority().resume(order.url(), &names).await;
    assert!(resumed.unwrap().is_some());
}

/// A certificate whose issuer is not looked at: what counts here are its names.
fn issued(names: &'static [&'static str]) -> impl Fn(&str) -> Reply {
    move |key| {
        let key = rcgen::KeyPair::from_pem(key).unwrap();
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = rcgen::CertificateParams::new(names).unwrap();
        params.not_before = rcgen::date_time_ymd(2026, 11, 1);
        params.not_after = rcgen::date_time_ymd(2027, 1, 30);
        let chain = params.self_signed(&key).unwrap().pem();
        Reply::new(200, &["Replay-Nonce: bm9uY2U"], &chain)
    }
}

#[tokio::test]
async fn names_that_the_ca_adds_are_taken_and_names_that_it_leaves_out_are_not() {
    for (names, is_taken) in [
        (&["shop.example", "www.shop.example"][..], true),
        (&["www.shop.example"][..], false),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (state, reply) = (folder.path().to_owned(), issued(names));
        let ca = FakeCa::start(move |line, _, _| match line {
            "POST /certificate/1" => {
                // The key is on disk before the order is.
                let key = state.join("state/orders/shop.example/key.pem");
                Twist::Instead(reply(&std::fs::read_to_string(key).unwrap()))
            }
            _ => Twist::Nothing,
        })
        .await;
        let (authority, clock) = authority_at(&ca.server);
        let ports = ports(authority, folder.path(), clock);
        let problem = attempt(&ports, folder.path()).await;
        let live = folder.path().join("certificates/live/shop.example");
        assert_eq!(live.exists(), is_taken, "{problem:?}");
        match is_taken {
            true => assert_eq!(problem, None),
            false => {
                let told = "it is for www.shop.example instead of shop.example";
                assert!(problem.as_ref().unwrap().contains(told), "{problem:?}");
            }
        }
    }
}
