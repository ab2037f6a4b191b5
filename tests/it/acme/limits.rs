//! Requests that a CA does not get: while it wants to be left alone, more often than it takes, and by a clock that was
//! set meanwhile.

use std::{fs, rc::Rc, time::Duration};

use futures_util::future::join_all;
use quaymaster::{
    adapters::{
        acme::{AcmeAuthority, AcmeSettings},
        https_proxy::HttpsProxy,
    },
    observe::{Attempt, Counted, LedgerEntry},
    plan::names_digest,
    ports::{AskedOrder, Authority, AuthorityError, Clock, Scope},
    values::{Digest, Host, Retry, Timestamp},
};

use super::{
    bench::{AccountsOnly, MovedClock, asked},
    faults::authority_at,
    obtain::{attempt, name, outcome_planned, ports},
};
use crate::support::{
    canned::Reply,
    fake_ca::{FakeCa, Twist},
};

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn a_ca_that_asks_to_be_left_alone_hears_no_more_of_the_orders_under_way() {
    let ca = FakeCa::start(|asked, before, _| match asked {
        "POST /order" if before == 1 => {
            Twist::Instead(Reply::new(503, &["Retry-After: 3600"], "<html>busy"))
        }
        _ => Twist::Nothing,
    })
    .await;
    let (authority, clock) = authority_at(&ca.server);
    // The account is there.
    authority
        .order(&AskedOrder::of(&asked(&["first.example"])))
        .await
        .map(drop)
        .unwrap();
    let before = ca.total();
    let hosts = ["a.example", "b.example", "c.example", "d.example"].map(|host| asked(&[host]));
    let each: Vec<_> = hosts.iter().map(AskedOrder::of).collect();
    let orders = each.iter().map(|asked| authority.order(asked));
    let failed: Vec<_> = join_all(orders)
        .await
        .into_iter()
        .map(|it| it.err())
        .collect();
    // A nonce and an order of each that had begun, and nothing after that.
    let asked_for = ca.total() - before;
    assert!(asked_for <= 8, "{asked_for}");
    assert!(failed.iter().flatten().count() >= 1, "{failed:?}");
    let until = clock.now() + HOUR;
    for error in failed.iter().flatten() {
        assert!(
            matches!(error, AuthorityError::Busy { not_before, scope: Scope::Ca, .. } if *not_before == Some(until)),
            "{error:?}"
        );
    }
    // Whoever comes now is answered without a request, also who goes on with an order, until the time has come.
    let before = ca.total();
    for moved in [Duration::ZERO, HOUR - Duration::from_secs(1)] {
        clock.sleep(moved).await;
        let order = authority
            .order(&AskedOrder::of(&asked(&["e.example"])))
            .await;
        let order = order.map(drop).unwrap_err();
        assert_eq!(order.retry(), Retry::NotBefore(until));
        let resumed = authority
            .resume(&ca.server.url("/order/1"), &asked(&["a.example"]))
            .await;
        assert!(resumed.is_err() && authority.prepare().await.is_err());
    }
    assert_eq!(ca.total(), before);
    clock.sleep(Duration::from_secs(1)).await;
    authority
        .order(&AskedOrder::of(&asked(&["e.example"])))
        .await
        .map(drop)
        .unwrap();
}

#[tokio::test]
async fn no_more_new_orders_are_sent_in_a_second_than_there_may_be() {
    let ca = FakeCa::start(|_, _, _| Twist::Nothing).await;
    let clock = MovedClock::at(Timestamp::parse("2026-11-22T18:00:00Z").unwrap());
    let settings = AcmeSettings {
        ca_root_pem: Some(ca.server.root.clone()),
        agree_tos: true,
        email: None,
        orders_per_second: Some(9),
        external_account: None,
        chain: None,
        https_proxy: HttpsProxy::default(),
    };
    let (directory, accounts) = (ca.server.url("/dir"), Rc::new(AccountsOnly::default()));
    let authority =
        AcmeAuthority::new(&directory, settings, accounts, clock.clone(), |_| ()).unwrap();
    for number in 0..30_u64 {
        let names = asked(&["shop.example"]);
        authority
            .order(&AskedOrder::of(&names))
            .await
            .map(drop)
            .unwrap();
        assert_eq!(clock.elapsed().as_secs(), number / 9, "{number}");
    }
}

/// The entries on disk.
fn written(folder: &std::path::Path) -> Vec<Counted> {
    let text = fs::read_to_string(folder.join("state/ledger.jsonl")).unwrap_or_default();
    let entries = text.lines().map(|line| serde_json::from_str(line).unwrap());
    entries.map(|entry: LedgerEntry| entry.counted).collect()
}

#[tokio::test]
async fn what_a_ca_counts_is_on_disk_before_it_is_asked_and_counts_once() {
    let folder = tempfile::tempdir().unwrap();
    let seen = folder.path().to_owned();
    let ca = FakeCa::start(move |asked, before, _| {
        let count = match asked {
            "POST /order" => Some(1),
            "POST /finalize/1" => Some(2),
            // The account, and the challenge.
            _ => None,
        };
        if let Some(count) = count {
            assert_eq!(written(&seen).len(), count, "{asked}");
        }
        match asked {
            "POST /certificate/1" if before == 0 => Twist::Instead(Reply::Cut),
            "POST /certificate/1" if before < 3 => Twist::Instead(Reply::new(500, &[], "<html>")),
            _ => Twist::Nothing,
        }
    })
    .await;
    let (authority, clock) = authority_at(&ca.server);
    let ports = ports(authority, folder.path(), clock.clone());
    let outcome = outcome_planned(&ports, folder.path(), clock.now()).await;
    assert!(outcome.result.is_err(), "{outcome:?}");
    let names = names_digest(&[Host::parse("shop.example").unwrap()]);
    let order = Digest::of(ca.server.url("/order/1"));
    let project = Some("shop".to_owned());
    let expected = [
        Counted::Order { project },
        Counted::Certificate { names, order },
    ];
    assert_eq!(written(folder.path()), expected);
    let entered: Vec<_> = outcome.entered.into_iter().map(|it| it.counted).collect();
    assert_eq!(entered, expected);
    // The same order is gone on with: it is no new one, and its certificate counts once.
    attempt(&ports, folder.path()).await.unwrap();
    assert_eq!(ca.count("POST /order"), 1);
    let read = ports.issuing.ledger.ledger().unwrap();
    let ledger = quaymaster::observe::Ledger::of(read.entries);
    assert_eq!(ledger.entries(), 2, "{:?}", written(folder.path()));
}

#[tokio::test]
async fn nothing_is_ordered_that_was_planned_by_a_clock_that_was_set_since() {
    let ca = FakeCa::start(|_, _, _| Twist::Nothing).await;
    let year = HOUR * 24 * 365;
    for back in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let (authority, clock) = authority_at(&ca.server);
        let ports = ports(authority, folder.path(), clock.clone());
        let planned = match back {
            true => clock.now() + year,
            false => clock.now() - year,
        };
        let outcome = outcome_planned(&ports, folder.path(), planned).await;
        let Attempt {
            count,
            problem,
            last,
            retry,
            ..
        } = outcome.result.unwrap_err();
        let problem = problem.unwrap();
        assert!(
            problem.contains("the clock of this machine was set"),
            "{problem}"
        );
        assert_eq!((count, retry), (1, Retry::NotBefore(last)));
        let records = ports.issuing.attempts.attempts().unwrap();
        assert!(records[&name()].as_ref().unwrap().was_not_kept());
        assert_eq!(written(folder.path()), []);
    }
    assert_eq!(ca.count("POST /order"), 0);
}
