//! The chain that is taken of those that a CA offers.

use std::{cell::RefCell, rc::Rc};

use quaymaster::{
    adapters::{
        acme::{AcmeAuthority, AcmeSettings, new_key},
        x509,
    },
    ports::{AskedOrder, Authority, Remark},
    values::{KeyType, Secret},
};

use super::bench::{Bench, RealClock, asked, check};
use crate::support::{canned::Reply, fake_ca::Twist, front::Front, pebble::Behaviour};

thread_local! {
    /// The remarks about chains in this test: the roots that there are, and the problem.
    static MISSING: RefCell<Vec<(Vec<String>, Option<String>)>> = const { RefCell::new(Vec::new()) };
}

fn keep(remark: Remark) {
    if let Remark::ChainMissing {
        offered, problem, ..
    } = remark
    {
        MISSING.with_borrow_mut(|missing| missing.push((offered, problem)));
    }
}

/// The remarks since the last call.
fn missing() -> Vec<(Vec<String>, Option<String>)> {
    MISSING.take()
}

/// A CA with two chains besides its usual one, which uses valid authorizations again.
async fn bench() -> Bench {
    Bench::start(Behaviour {
        authorization_reuse: 100,
        alternate_roots: 2,
        ..Behaviour::default()
    })
    .await
}

/// As a process that was just started sees a CA at this URL, where the settings name this root.
fn authority_at(bench: &Bench, directory: &str, root_pem: &str, chain: &str) -> AcmeAuthority {
    let settings = AcmeSettings {
        ca_root_pem: Some(root_pem.to_owned()),
        chain: Some(chain.to_owned()),
        ..bench.settings()
    };
    let (disk, clock) = (bench.disk.clone(), Rc::new(RealClock));
    AcmeAuthority::new(directory, settings, disk, clock, keep).unwrap()
}

fn authority(bench: &Bench, chain: &str) -> AcmeAuthority {
    authority_at(
        bench,
        &bench.pebble.directory(),
        &bench.pebble.root(),
        chain,
    )
}

/// The root at which the chain ends of a certificate that is issued now, checked as before it is served.
async fn root_of_new(bench: &Bench, authority: &AcmeAuthority) -> String {
    let (chain, key) = bench.issue(authority, &["shop.example"]).await.unwrap();
    check(&chain, &key, &["shop.example"]);
    x509::leaf_and_root(&chain).unwrap().1
}

/// The roots of all chains, the usual one first.
async fn roots(bench: &Bench) -> Vec<String> {
    let usual = root_of_new(bench, &authority(bench, "No such root")).await;
    let (offered, problem) = missing().remove(0);
    assert_eq!((offered.len(), &problem), (3, &None), "{offered:?}");
    assert_eq!(offered[0], usual, "the usual chain is used where none fits");
    offered
}

#[tokio::test]
async fn of_three_chains_the_one_is_taken_that_ends_at_the_root_of_the_settings() {
    let bench = bench().await;
    let roots = roots(&bench).await;
    for (wanted, requests) in [(&roots[0], 0), (&roots[1], 2), (&roots[2], 3)] {
        let before = bench.count("POST /certZ/");
        let authority = authority(&bench, wanted);
        assert_eq!(root_of_new(&bench, &authority).await, *wanted);
        assert_eq!(missing(), []);
        // The certificate itself is fetched in each case.
        assert_eq!(bench.count("POST /certZ/") - before, 1 + requests);
    }
}

#[tokio::test]
async fn where_no_chain_ends_at_the_root_of_the_settings_the_usual_one_is_used_and_the_roots_are_told()
 {
    let bench = bench().await;
    let mut roots = roots(&bench).await;
    let first = roots[0].clone();
    roots.sort();
    roots.dedup();
    assert_eq!(roots.len(), 3, "three different roots");
    let remark = Remark::ChainMissing {
        directory: "https://ca.example/dir".to_owned(),
        chain: "Old Root".to_owned(),
        offered: roots.clone(),
        problem: None,
    };
    let told = remark.to_string();
    assert!(
        roots.iter().all(|root| told.contains(root)) && told.contains("\"Old Root\""),
        "{told}"
    );
    // One chain only.
    let plain = Bench::start(Behaviour::default()).await;
    let usual = root_of_new(&plain, &authority(&plain, &first)).await;
    assert_eq!(missing(), [(vec![usual], None)]);
}

#[tokio::test]
async fn an_order_that_is_resumed_after_a_crash_gets_the_same_chain() {
    let bench = bench().await;
    let roots = roots(&bench).await;
    let names = asked(&["shop.example"]);
    let (url, key) = {
        let key = new_key(KeyType::Ec256).unwrap();
        let authority = authority(&bench, &roots[2]);
        let mut order = authority.order(&AskedOrder::of(&names)).await.unwrap();
        let chain = bench.finish(&mut *order, &key, &names).await.unwrap();
        assert_eq!(x509::leaf_and_root(&chain).unwrap().1, roots[2]);
        // Killed before that was written down.
        (order.url().to_owned(), key)
    };
    let resumed = authority(&bench, &roots[2]);
    let resumed = resumed.resume(&url, &names).await.unwrap();
    let chain = resumed.unwrap().finalize(&key, &names).await.unwrap();
    check(&chain, &key, &["shop.example"]);
    assert_eq!(x509::leaf_and_root(&chain).unwrap().1, roots[2]);
    assert_eq!(missing(), []);
}

/// The chain of another certificate that ends at the same root.
async fn other_chain(bench: &Bench, root: &str) -> (String, Secret) {
    let authority = authority(bench, root);
    bench.issue(&authority, &["other.example"]).await.unwrap()
}

#[tokio::test]
async fn a_chain_that_can_not_be_had_or_used_costs_no_certificate_and_is_told() {
    let bench = bench().await;
    let roots = roots(&bench).await;
    let (other, _) = other_chain(&bench, &roots[2]).await;
    let nonce = "Replay-Nonce: bm9uY2U";
    let problem = r#"{"type": "urn:ietf:params:acme:error:malformed", "detail": "none of it"}"#;
    for (reply, told, seen) in [
        (Reply::new(404, &[nonce], problem), "none of it", 2),
        (Reply::new(500, &[nonce], "<html>"), "500", 2),
        (Reply::new(200, &[nonce], "no chain"), "can't be read", 2),
        (
            Reply::new(200, &[nonce], &other),
            "of another certificate",
            3,
        ),
        (Reply::Cut, "can't be reached", 2),
    ] {
        let spoilt = format!("{reply:?}");
        // The second of the other chains: the one that is wanted.
        let front = Front::start(&bench.pebble, move |line, _| {
            match line.starts_with("POST /certZ/") && line.ends_with("/alternate/2") {
                true => Twist::Instead(reply.clone()),
                false => Twist::Nothing,
            }
        })
        .await;
        let directory = front.server.url("/dir");
        let authority = authority_at(&bench, &directory, &front.server.root, &roots[2]);
        let names = &["shop.example"];
        let (chain, key) = bench.issue(&authority, names).await.unwrap();
        check(&chain, &key, names);
        assert_eq!(x509::leaf_and_root(&chain).unwrap().1, roots[0], "{spoilt}");
        let missing = missing();
        let [(offered, Some(problem))] = missing.as_slice() else {
            panic!("{spoilt}: {missing:?}")
        };
        assert_eq!(offered[..], roots[..seen], "{spoilt}");
        assert!(problem.contains(told), "{problem}");
    }
}
