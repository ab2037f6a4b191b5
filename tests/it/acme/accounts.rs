//! Accounts that people look at, give another key, and end.

use std::{
    rc::Rc,
    sync::{Arc, Mutex},
};

use quaymaster::{
    adapters::{
        acme::{AcmeAuthority, AcmeSettings, new_key},
        https_proxy::HttpsProxy,
    },
    ports::{
        AccountDesk, AccountStatus, AskedOrder, Authority, AuthorityError, RegistrationOutcome,
        Revocation, Revoked,
    },
    values::{ChallengeType, KeyType, RevocationReason, Secret},
};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use serde_json::Value;

use super::bench::{AccountsOnly, Bench, RealClock, asked, check};
use crate::support::{canned::Reply, fake_ca::Twist, front::Front, pebble::Behaviour};

/// As a process that was just started sees a CA behind a front.
fn behind(front: &Front, disk: &Rc<AccountsOnly>) -> AcmeAuthority {
    let settings = AcmeSettings {
        ca_root_pem: Some(front.server.root.clone()),
        agree_tos: true,
        email: None,
        orders_per_second: None,
        external_account: None,
        chain: None,
        https_proxy: HttpsProxy::default(),
    };
    let directory = front.server.url("/dir");
    AcmeAuthority::new(
        &directory,
        settings,
        disk.clone(),
        Rc::new(RealClock),
        |_| (),
    )
    .unwrap()
}

async fn orders(authority: &AcmeAuthority) -> Result<(), AuthorityError> {
    let names = asked(&["shop.example"]);
    authority.order(&AskedOrder::of(&names)).await.map(drop)
}

fn record(disk: &AccountsOnly) -> Value {
    let accounts = disk.accounts.borrow();
    serde_json::from_str(accounts.values().next().unwrap().expose()).unwrap()
}

#[tokio::test]
async fn an_account_is_looked_at_and_none_is_made_by_that() {
    let bench = Bench::start(Behaviour::default()).await;
    let authority = bench.authority();
    assert_eq!(AccountDesk::kept(&authority).unwrap(), None);
    let none = authority.look().await.unwrap_err().to_string();
    assert!(none.contains("`quaymaster register"), "{none}");
    assert_eq!(bench.count("/sign-me-up"), 0);
    orders(&authority).await.unwrap();
    let kept = authority.kept().unwrap().unwrap();
    assert_eq!(kept.url, bench.account_url());
    assert_eq!(
        (kept.key_type.as_str(), kept.is_key_changing),
        ("ec-256", false)
    );
    let seen = authority.look().await.unwrap();
    assert_eq!(seen.status, AccountStatus::Valid);
    assert!(seen.terms.unwrap().starts_with("data:text/plain,"));
    assert_eq!(bench.count("/sign-me-up"), 1);
}

#[tokio::test]
async fn another_key_takes_the_place_of_the_first_and_a_process_that_had_opened_that_goes_on() {
    let bench = Bench::start(Behaviour::default()).await;
    let (daemon, command) = (bench.authority(), bench.authority());
    orders(&daemon).await.unwrap();
    let before = record(&bench.disk);
    let rolled = command.roll_over().await.unwrap();
    let after = record(&bench.disk);
    assert_eq!(after["url"], before["url"]);
    assert_ne!(after["key"], before["key"]);
    assert!(after.get("next").is_none(), "{after}");
    assert!(!rolled.was_begun);
    assert_eq!(
        rolled.thumbprint,
        command.kept().unwrap().unwrap().thumbprint
    );
    // The new key was on disk before the CA heard of it, beside the one that worked.
    let kept = bench.disk.kept.borrow().clone();
    let begun: Value = serde_json::from_str(&kept[kept.len() - 2]).unwrap();
    assert_eq!(
        (&begun["key"], &begun["next"]),
        (&before["key"], &after["key"])
    );
    let registered = bench.count("/sign-me-up");
    let (chain, key) = bench.issue(&daemon, &["shop.example"]).await.unwrap();
    check(&chain, &key, &["shop.example"]);
    orders(&bench.authority()).await.unwrap();
    assert_eq!(
        bench.count("/sign-me-up"),
        registered,
        "nobody registers anew"
    );
    assert_eq!(record(&bench.disk)["url"], before["url"]);
}

/// Where a process is killed: at which of its requests, and whether the CA has heard that one; after it, nothing passes.
type Kill = Arc<Mutex<Option<(usize, bool)>>>;

/// A front before Pebble behind which processes are killed.
async fn killing(bench: &Bench, kill: &Kill) -> Front {
    let kill = Arc::clone(kill);
    Front::start(&bench.pebble, move |_, _| {
        let mut kill = kill.lock().unwrap();
        match &mut *kill {
            None => Twist::Nothing,
            Some((0, is_heard)) => match std::mem::take(is_heard) {
                true => Twist::After(Reply::Cut),
                false => Twist::Instead(Reply::Cut),
            },
            Some((left, _)) => {
                *left -= 1;
                Twist::Nothing
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_change_of_the_key_that_is_cut_off_anywhere_loses_no_account() {
    let bench = Bench::start(Behaviour::default()).await;
    let kill = Kill::default();
    let front = killing(&bench, &kill).await;
    let disk = Rc::new(AccountsOnly::default());
    orders(&behind(&front, &disk)).await.unwrap();
    let url = record(&disk)["url"].clone();
    let (mut cut_off, mut taken) = (0, 0);
    for is_heard in [false, true] {
        for at in 0.. {
            *kill.lock().unwrap() = Some((at, is_heard));
            let before = record(&disk);
            let rolled = behind(&front, &disk).roll_over().await;
            *kill.lock().unwrap() = None;
            let left = record(&disk);
            let seen = front.seen();
            // The next process finds out which key counts, and nothing is registered.
            let next = behind(&front, &disk);
            orders(&next).await.unwrap();
            let settled = record(&disk);
            assert_eq!(
                settled["url"],
                url,
                "the same account: {:#?}",
                &seen[seen.len() - 4..]
            );
            if rolled.is_ok() {
                assert_ne!(settled["key"], before["key"]);
                break;
            }
            cut_off += 1;
            match settled.get("next") {
                // The CA has not taken it: what was begun stays, and is ended by the key of then.
                Some(begun) => {
                    assert_eq!(
                        (&settled["key"], Some(begun)),
                        (&left["key"], left.get("next"))
                    );
                    assert!(next.roll_over().await.is_ok());
                    assert_eq!(&record(&disk)["key"], begun);
                    orders(&next).await.unwrap();
                }
                None => {
                    taken += usize::from(settled["key"] == left["next"]);
                    assert!([&left["key"], &left["next"]].contains(&&settled["key"]));
                }
            }
        }
    }
    assert!(cut_off >= 6 && taken >= 1, "{cut_off} {taken}");
    // Nor does one that the disk ends.
    for room in 0.. {
        let before = record(&disk);
        disk.room.set(Some(room));
        let rolled = behind(&front, &disk).roll_over().await;
        disk.room.set(None);
        assert_eq!(
            rolled.is_ok(),
            room == 2,
            "the key beside the old one, then alone"
        );
        orders(&behind(&front, &disk)).await.unwrap();
        let settled = record(&disk);
        assert_eq!(
            (&settled["url"], room == 0),
            (&url, settled["key"] == before["key"])
        );
        if rolled.is_ok() {
            break;
        }
    }
}

#[tokio::test]
async fn a_registration_that_is_cut_off_anywhere_makes_one_account() {
    let bench = Bench::start(Behaviour::default()).await;
    let kill = Kill::default();
    let front = killing(&bench, &kill).await;
    for is_heard in [false, true] {
        for at in 0.. {
            let disk = Rc::new(AccountsOnly::default());
            *kill.lock().unwrap() = Some((at, is_heard));
            let made = behind(&front, &disk).register().await;
            *kill.lock().unwrap() = None;
            // Where the CA has an account by then, it is one of the key that is on disk.
            let key = disk.kept.borrow().first().cloned();
            let again = behind(&front, &disk).register().await.unwrap();
            if let (Some(first), Err(_)) = (&key, &made) {
                let first: Value = serde_json::from_str(first).unwrap();
                assert_eq!(record(&disk)["key"], first["key"]);
            }
            orders(&behind(&front, &disk)).await.unwrap();
            assert_eq!(record(&disk)["url"], again.url);
            if let Ok(made) = made {
                assert_eq!(
                    (made.url, again.outcome),
                    (again.url, RegistrationOutcome::Known)
                );
                break;
            }
        }
    }
}

#[tokio::test]
async fn an_order_that_was_under_way_when_the_key_changed_goes_on_with_the_new_one() {
    let bench = Bench::start(Behaviour::default()).await;
    let daemon = bench.authority();
    let names = asked(&["shop.example"]);
    let mut order = daemon.order(&AskedOrder::of(&names)).await.unwrap();
    bench.webroot.publish(order.offers().await.unwrap());
    bench.authority().roll_over().await.unwrap();
    let refused = order.authorize(ChallengeType::Http01).await.unwrap_err();
    assert!(
        refused.is_refusal(),
        "the old key signs nothing any more: {refused}"
    );
    let ordered = bench.count("/order-plz");
    let mut resumed = daemon.resume(order.url(), &names).await.unwrap().unwrap();
    let key = new_key(KeyType::Ec256).unwrap();
    let chain = bench.finish(&mut *resumed, &key, &names).await.unwrap();
    check(&chain, &key, &["shop.example"]);
    assert_eq!(bench.count("/order-plz"), ordered, "no second order");
    assert_eq!(bench.count("/sign-me-up"), 1);
}

#[tokio::test]
async fn an_account_that_another_process_has_registered_again_is_taken_from_disk() {
    let mut bench = Bench::start(Behaviour::default()).await;
    let daemon = bench.authority();
    orders(&daemon).await.unwrap();
    let lost = bench.disk.accounts.borrow().clone();
    bench.pebble.restart();
    let again = bench.authority().register().await.unwrap();
    assert_eq!(again.outcome, RegistrationOutcome::RegisteredAgain);
    let now = bench.disk.accounts.borrow().values().next().cloned();
    // The daemon looks, and only then does the other process write.
    *bench.disk.accounts.borrow_mut() = lost;
    *bench.disk.meanwhile.borrow_mut() = now;
    let (kept, made) = (bench.disk.kept.borrow().len(), bench.count("/sign-me-up"));
    orders(&daemon).await.unwrap();
    assert_eq!(
        bench.disk.kept.borrow().len(),
        kept,
        "nothing is written over it"
    );
    assert_eq!(
        bench.count("/sign-me-up"),
        made,
        "nobody registers once more"
    );
    assert_eq!(bench.account_url(), Some(again.url));
}

#[tokio::test]
async fn an_account_is_ended_once_and_the_next_order_makes_another() {
    let bench = Bench::start(Behaviour::default()).await;
    let daemon = bench.authority();
    orders(&daemon).await.unwrap();
    let first = bench.account_url();
    let lost = bench.disk.accounts.borrow().clone();
    let kept = bench.authority().deactivate().await.unwrap();
    assert!(kept.ends_with("account.json.deactivated"), "{kept:?}");
    assert_eq!(bench.account_url(), None);
    // Cut off before the record was put aside: it is found out, and done.
    *bench.disk.accounts.borrow_mut() = lost;
    let seen = bench.authority().look().await.unwrap();
    assert_eq!(seen.status, AccountStatus::Deactivated);
    bench.authority().deactivate().await.unwrap();
    assert_eq!(bench.account_url(), None);
    let none = bench
        .authority()
        .deactivate()
        .await
        .unwrap_err()
        .to_string();
    assert!(none.contains("`quaymaster register"), "{none}");
    orders(&daemon).await.unwrap();
    assert_ne!(bench.account_url(), first);
}

#[tokio::test]
async fn an_account_with_a_key_that_the_library_does_not_know_obtains_certificates() {
    let bench = Bench::start(Behaviour::default()).await;
    for key_type in [KeyType::Rsa2048, KeyType::Ec384] {
        let key = new_key(key_type).unwrap();
        let record = serde_json::json!({"url": null, "key": key.expose()}).to_string();
        let directory = bench.pebble.directory();
        bench
            .disk
            .accounts
            .borrow_mut()
            .insert(directory, Secret::new(record));
        let authority = bench.authority();
        for _ in 0..2 {
            let (chain, key) = bench.issue(&authority, &["shop.example"]).await.unwrap();
            check(&chain, &key, &["shop.example"]);
        }
        let kept = authority.kept().unwrap().unwrap();
        assert_eq!(
            kept.key_type,
            KeyType::WORDS
                .iter()
                .find(|row| row.1 == key_type)
                .unwrap()
                .0
        );
        // Opened from disk, and by the library's key after a change.
        let (chain, key) = bench
            .issue(&bench.authority(), &["a.example"])
            .await
            .unwrap();
        check(&chain, &key, &["a.example"]);
        authority.roll_over().await.unwrap();
        let (chain, key) = bench.issue(&authority, &["b.example"]).await.unwrap();
        check(&chain, &key, &["b.example"]);
        assert_eq!(authority.kept().unwrap().unwrap().url, kept.url);
    }
}

#[tokio::test]
async fn a_certificate_is_revoked_by_the_account_or_by_its_key_and_once_more_is_fine() {
    let bench = Bench::start(Behaviour::default()).await;
    let authority = bench.authority();
    let stranger = AcmeAuthority::new(
        &bench.pebble.directory(),
        bench.settings(),
        Rc::new(AccountsOnly::default()),
        Rc::new(RealClock),
        |_| (),
    )
    .unwrap();
    stranger.register().await.unwrap();
    for (desk, has_key, expected) in [
        (&authority, false, Revoked::ByAccount),
        (&authority, true, Revoked::ByAccount),
        (&stranger, true, Revoked::ByKey),
    ] {
        let (chain, key) = bench.issue(&authority, &["shop.example"]).await.unwrap();
        let leaf = CertificateDer::from_pem_slice(chain.as_bytes()).unwrap();
        let asked = Revocation {
            leaf: &leaf,
            key: has_key.then_some(&key),
            reason: RevocationReason::Superseded,
        };
        assert_eq!(desk.revoke(&asked).await.unwrap(), expected);
        assert_eq!(desk.revoke(&asked).await.unwrap(), Revoked::Already);
    }
    // Neither the account nor the key: the CA refuses, and that is told.
    let (chain, _) = bench.issue(&authority, &["shop.example"]).await.unwrap();
    let leaf = CertificateDer::from_pem_slice(chain.as_bytes()).unwrap();
    let asked = Revocation {
        leaf: &leaf,
        key: None,
        reason: RevocationReason::Unspecified,
    };
    let refused = stranger.revoke(&asked).await.unwrap_err();
    assert!(refused.is_refusal(), "{refused}");
}
