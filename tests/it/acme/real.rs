//! Against a real CA.

use futures_util::future::{join_all, try_join_all};
use quaymaster::{
    adapters::acme::{AcmeSettings, new_key, thumbprint},
    ports::{AskedOrder, Authority, AuthorityError, Problem, Response},
    values::{ChallengeType, Host, KeyType, Retry, Secret},
};

use super::bench::{Bench, asked, check, counted, looks};
use crate::support::pebble::{BLOCKED, Behaviour};

#[tokio::test]
async fn a_certificate_is_issued_for_one_name_and_for_several_with_as_few_requests_as_can_be() {
    let bench = Bench::start(Behaviour::default()).await;
    let authority = bench.authority();
    for names in [
        &["shop.example"][..],
        &[
            "a.example",
            "b.example",
            "c.example",
            "d.example",
            "e.example",
        ],
    ] {
        let before = bench.pebble.requests().len();
        let (chain, key) = bench.issue(&authority, names).await.unwrap();
        check(&chain, &key, names);
        // The account costs three, once.
        let account = if before == 0 { 3 } else { 0 };
        let requests = bench.pebble.requests().split_off(before);
        assert_eq!(
            counted(&requests) - account,
            2 * names.len() + 6,
            "{requests:#?}"
        );
        assert!(looks(&requests) <= 6, "{requests:#?}");
    }
}

#[tokio::test]
async fn every_key_type_gets_its_certificate() {
    let bench = Bench::start(Behaviour::default()).await;
    let authority = bench.authority();
    for (_, key_type) in KeyType::WORDS {
        let (names, key) = (asked(&["shop.example"]), new_key(key_type).unwrap());
        let mut order = authority.order(&AskedOrder::of(&names)).await.unwrap();
        let chain = bench.finish(&mut *order, &key, &names).await.unwrap();
        check(&chain, &key, &["shop.example"]);
    }
    assert_eq!(bench.count("/sign-me-up"), 1);
}

#[tokio::test]
async fn an_address_gets_its_certificate_like_a_name() {
    let bench = Bench::start(Behaviour::default()).await;
    let names = ["127.0.0.1", "shop.example"];
    let (chain, key) = bench.issue(&bench.authority(), &names).await.unwrap();
    check(&chain, &key, &names);
}

#[tokio::test]
async fn a_required_profile_that_the_ca_does_not_have_is_told_before_anything_is_ordered() {
    let bench = Bench::start(Behaviour::default()).await;
    let names = asked(&["shop.example"]);
    let profile = "shortlived required".parse().unwrap();
    let asked = AskedOrder {
        profile: Some(&profile),
        ..AskedOrder::of(&names)
    };
    let refused = bench.authority().order(&asked).await.map(drop).unwrap_err();
    let told = r#"the CA has no profile "shortlived"; it has none: leave profile out"#;
    assert_eq!(refused.to_string(), told);
    assert_eq!(bench.count("/order-plz"), 0);
}

/// By which `check` tells a planted token from ours.
#[tokio::test]
async fn a_response_is_known_by_the_thumbprint_of_the_account_that_is_kept() {
    let bench = Bench::start(Behaviour::default()).await;
    let names = asked(&["shop.example"]);
    let mut order = bench
        .authority()
        .order(&AskedOrder::of(&names))
        .await
        .unwrap();
    let offer = order.offers().await.unwrap().remove(0);
    let chosen = offer.challenge(ChallengeType::Http01).unwrap().response;
    let Response::Http { token, body } = chosen else {
        panic!("{chosen:?}")
    };
    let accounts = bench.disk.accounts.borrow();
    let thumbprint = thumbprint(accounts.values().next().unwrap()).unwrap();
    assert_eq!(body, format!("{token}.{thumbprint}"));
}

#[tokio::test]
async fn of_several_names_only_the_wrong_one_is_named() {
    let bench = Bench::start(Behaviour::default()).await;
    bench.pebble.break_dns("wrong.example").await;
    let names = ["right.example", "wrong.example"];
    let failed = bench.issue(&bench.authority(), &names).await.unwrap_err();
    assert_eq!(failed.retry(), Retry::Backoff);
    let AuthorityError::Validation(problems) = &failed else {
        panic!("{failed:?}")
    };
    assert_eq!(
        problems.keys().map(Host::as_str).collect::<Vec<_>>(),
        ["wrong.example"],
        "{problems:?}"
    );
    assert!(
        problems
            .values()
            .all(|problem| problem.contains("could not resolve")),
        "{problems:?}"
    );
}

#[tokio::test]
async fn a_response_that_is_not_there_is_told_in_the_words_of_the_ca() {
    let bench = Bench::start(Behaviour::default()).await;
    let authority = bench.authority();
    let mut order = authority
        .order(&AskedOrder::of(&asked(&["shop.example"])))
        .await
        .unwrap();
    assert_eq!(order.offers().await.unwrap().len(), 1);
    let failed = order.authorize(ChallengeType::Http01).await.unwrap_err();
    let AuthorityError::Validation(problems) = &failed else {
        panic!("{failed:?}")
    };
    assert!(
        problems
            .values()
            .all(|problem| problem.contains("404") && problem.contains("(unauthorized)")),
        "{failed}"
    );
    assert!(
        authority
            .resume(order.url(), &asked(&["shop.example"]))
            .await
            .unwrap()
            .is_none(),
        "an invalid order can't be resumed"
    );
}

#[tokio::test]
async fn a_name_that_the_ca_rejects_is_asked_for_once_a_day() {
    let bench = Bench::start(Behaviour::default()).await;
    let failed = bench
        .issue(&bench.authority(), &[BLOCKED])
        .await
        .unwrap_err();
    let AuthorityError::Refused { problem, detail } = &failed else {
        panic!("{failed:?}")
    };
    assert_eq!(*problem, Problem::RejectedIdentifier);
    assert!(detail.contains(BLOCKED), "{detail}");
    assert_eq!(failed.retry(), Retry::Daily);
}

#[tokio::test]
async fn a_ca_that_refuses_every_other_nonce_loses_no_certificate() {
    let bench = Bench::start(Behaviour {
        nonce_reject: 50,
        ..Behaviour::default()
    })
    .await;
    let authority = bench.authority();
    for number in 0..20 {
        let names = [format!("a{number}.example"), format!("b{number}.example")];
        let names = names.each_ref().map(String::as_str);
        let (chain, key) = bench.issue(&authority, &names).await.unwrap();
        check(&chain, &key, &names);
    }
}

#[tokio::test]
async fn an_order_is_resumed_at_every_step_with_its_key() {
    let bench = Bench::start(Behaviour::default()).await;
    let names = asked(&["shop.example"]);
    for steps in 0..4 {
        let (url, key) = {
            let authority = bench.authority();
            let key = new_key(KeyType::Ec256).unwrap();
            let mut order = authority.order(&AskedOrder::of(&names)).await.unwrap();
            if steps > 0 {
                bench.webroot.publish(order.offers().await.unwrap());
            }
            if steps > 1 {
                order.authorize(ChallengeType::Http01).await.unwrap();
            }
            if steps > 2 {
                order.finalize(&key, &names).await.unwrap();
            }
            (order.url().to_owned(), key)
        };
        let orders = bench.count("POST /order-plz");
        let finalized = bench.count("/finalize-order/");
        let mut order = bench
            .authority()
            .resume(&url, &names)
            .await
            .unwrap()
            .unwrap();
        let chain = bench.finish(&mut *order, &key, &names).await.unwrap();
        check(&chain, &key, &["shop.example"]);
        assert_eq!(
            bench.count("POST /order-plz"),
            orders,
            "resuming makes no second order"
        );
        assert_eq!(
            bench.count("/finalize-order/") - finalized,
            usize::from(steps < 3)
        );
    }
    assert_eq!(
        bench.count("/sign-me-up"),
        1,
        "every process used the account on disk"
    );
}

#[tokio::test]
async fn an_order_with_nothing_left_to_prove_needs_no_challenge() {
    let bench = Bench::start(Behaviour {
        authorization_reuse: 100,
        ..Behaviour::default()
    })
    .await;
    let authority = bench.authority();
    let names = asked(&["shop.example"]);
    bench.issue(&authority, &["shop.example"]).await.unwrap();
    let mut order = authority.order(&AskedOrder::of(&names)).await.unwrap();
    assert_eq!(order.offers().await.unwrap(), []);
    order.authorize(ChallengeType::Http01).await.unwrap();
    let key = new_key(KeyType::Ec256).unwrap();
    check(
        &order.finalize(&key, &names).await.unwrap(),
        &key,
        &["shop.example"],
    );
}

#[tokio::test]
async fn an_order_that_the_ca_does_not_know_can_not_be_resumed() {
    let bench = Bench::start(Behaviour::default()).await;
    let authority = bench.authority();
    let url = format!(
        "{}/my-order/none",
        bench.pebble.directory().trim_end_matches("/dir")
    );
    assert!(
        authority
            .resume(&url, &asked(&["shop.example"]))
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn four_orders_that_begin_together_share_one_account() {
    let bench = Bench::start(Behaviour::default()).await;
    let authority = bench.authority();
    let names = ["a.example", "b.example", "c.example", "d.example"];
    let issued = try_join_all(
        names
            .iter()
            .map(|name| bench.issue(&authority, std::slice::from_ref(name))),
    )
    .await;
    for ((chain, key), name) in issued.unwrap().iter().zip(&names) {
        check(chain, key, &[name]);
    }
    assert_eq!(bench.count("/sign-me-up"), 1);
}

#[tokio::test]
async fn an_account_that_the_ca_has_lost_is_registered_again_once() {
    let mut bench = Bench::start(Behaviour::default()).await;
    let authority = bench.authority();
    bench.issue(&authority, &["shop.example"]).await.unwrap();
    let url = authority
        .order(&AskedOrder::of(&asked(&["shop.example"])))
        .await
        .unwrap()
        .url()
        .to_owned();
    bench.pebble.restart();
    assert!(
        authority
            .resume(&url, &asked(&["shop.example"]))
            .await
            .unwrap()
            .is_none(),
        "the order went with the account"
    );
    let names = ["a.example", "b.example", "c.example", "d.example"];
    for issued in join_all(
        names
            .iter()
            .map(|name| bench.issue(&authority, std::slice::from_ref(name))),
    )
    .await
    {
        issued.unwrap();
    }
    assert_eq!(
        bench.count("/sign-me-up"),
        2,
        "once before and once after the loss"
    );
    bench
        .issue(&bench.authority(), &["shop.example"])
        .await
        .unwrap();
    assert_eq!(bench.count("/sign-me-up"), 2, "the new one is on disk");
}

#[tokio::test]
async fn a_crash_while_registering_leaves_no_second_account() {
    let bench = Bench::start(Behaviour::default()).await;
    bench
        .issue(&bench.authority(), &["shop.example"])
        .await
        .unwrap();
    let account = bench.account_url().unwrap();
    let first = bench.disk.kept.borrow()[0].clone();
    assert!(
        first.contains(r#""url":null"#) && first.contains("PRIVATE KEY"),
        "the key comes first"
    );
    bench
        .disk
        .accounts
        .borrow_mut()
        .insert(bench.pebble.directory(), Secret::new(first));
    bench
        .issue(&bench.authority(), &["shop.example"])
        .await
        .unwrap();
    assert_eq!(bench.account_url().unwrap(), account);
}

#[tokio::test]
async fn a_contact_is_left_with_the_account() {
    let bench = Bench::start(Behaviour::default()).await;
    let settings = AcmeSettings {
        email: Some("harbour@shop.example".to_owned()),
        ..bench.settings()
    };
    let authority = bench.authority_with(settings);
    bench.issue(&authority, &["shop.example"]).await.unwrap();
    assert_eq!(bench.count("/my-account/"), 1);
    // It changes later, and is told once.
    for _ in 0..2 {
        let settings = AcmeSettings {
            email: Some("quay@shop.example".to_owned()),
            ..bench.settings()
        };
        let authority = bench.authority_with(settings);
        bench.issue(&authority, &["shop.example"]).await.unwrap();
        assert_eq!(bench.count("/my-account/"), 2);
    }
}

#[tokio::test]
async fn terms_are_agreed_to_before_anything_is_kept_or_asked() {
    let bench = Bench::start(Behaviour::default()).await;
    let without = || {
        bench.authority_with(AcmeSettings {
            agree_tos: false,
            ..bench.settings()
        })
    };
    let terms = without().terms_to_agree().await.unwrap();
    assert!(terms.starts_with("data:text/plain"), "{terms}");
    let failed = bench
        .issue(&without(), &["shop.example"])
        .await
        .unwrap_err();
    assert!(
        matches!(&failed, AuthorityError::Terms { terms: named } if *named == terms),
        "{failed:?}"
    );
    assert!(bench.disk.kept.borrow().is_empty());
    assert_eq!(bench.count("/sign-me-up"), 0);
    assert_eq!(bench.authority().terms_to_agree().await, None);
    bench
        .issue(&bench.authority(), &["shop.example"])
        .await
        .unwrap();
    assert_eq!(
        without().terms_to_agree().await,
        None,
        "an account is an agreement"
    );
    bench.issue(&without(), &["shop.example"]).await.unwrap();
}
