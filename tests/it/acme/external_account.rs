//! Accounts that belong to one at the CA's web site.

use std::rc::Rc;

use quaymaster::{
    adapters::{
        acme::{AcmeAuthority, AcmeSettings},
        https_proxy::HttpsProxy,
    },
    ports::{AskedOrder, Authority, AuthorityError, ExternalAccountFault},
    values::{ExternalAccount, MacAlgorithm, Retry, Secret, Timestamp},
};

use super::bench::{AccountsOnly, Bench, MovedClock, asked, check};
use crate::support::{
    canned::Reply,
    fake_ca::{FakeCa, Twist},
    pebble::{Behaviour, EXTERNAL},
};

fn external((key_id, key): (&str, &str), algorithm: MacAlgorithm) -> Option<ExternalAccount> {
    Some(ExternalAccount {
        key_id: key_id.to_owned(),
        key: Secret::new(key),
        algorithm,
    })
}

fn fault(error: &AuthorityError) -> ExternalAccountFault {
    assert_eq!(error.retry(), Retry::Daily);
    match error {
        AuthorityError::ExternalAccount { fault, .. } => *fault,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_account_that_needs_another_is_made_and_what_is_missing_or_wrong_is_told() {
    let bench = Bench::start(Behaviour {
        is_external_account_required: true,
        ..Behaviour::default()
    })
    .await;
    let with = |external_account| {
        bench.authority_with(AcmeSettings {
            external_account,
            ..bench.settings()
        })
    };
    let names = ["shop.example"];
    let missing = bench_error(&with(None)).await;
    assert_eq!(fault(&missing), ExternalAccountFault::Missing);
    let text = missing.to_string();
    assert!(text.contains("eab-key-id and eab-key-file into"), "{text}");
    for external_account in [
        external(("kid-9", EXTERNAL.1), MacAlgorithm::Hs256),
        external((EXTERNAL.0, "c2VjcmV0"), MacAlgorithm::Hs256),
    ] {
        let refused = bench_error(&with(external_account)).await;
        assert_eq!(fault(&refused), ExternalAccountFault::Wrong, "{refused}");
        let text = refused.to_string();
        assert!(text.contains("compare eab-key-id and eab-key"), "{text}");
        assert!(!text.contains("c2VjcmV0"), "{text}");
    }
    let authority = with(external(EXTERNAL, MacAlgorithm::Hs256));
    let (chain, key) = bench.issue(&authority, &names).await.unwrap();
    check(&chain, &key, &names);
    // Once it is made, nothing of that is needed any more.
    let (chain, key) = bench.issue(&with(None), &names).await.unwrap();
    check(&chain, &key, &names);
}

async fn bench_error(authority: &AcmeAuthority) -> AuthorityError {
    let order = authority
        .order(&AskedOrder::of(&asked(&["shop.example"])))
        .await;
    order.map(drop).unwrap_err()
}

fn problem(status: u16, kind: &str, detail: &str) -> Reply {
    let body = format!(r#"{{"type": "urn:ietf:params:acme:error:{kind}", "detail": "{detail}"}}"#);
    Reply::new(status, &["Replay-Nonce: bm9uY2U"], &body)
}

fn started(ca: &FakeCa, disk: &Rc<AccountsOnly>) -> AcmeAuthority {
    let settings = AcmeSettings {
        ca_root_pem: Some(ca.server.root.clone()),
        agree_tos: true,
        email: None,
        orders_per_second: None,
        external_account: external(EXTERNAL, MacAlgorithm::Hs512),
        chain: None,
        https_proxy: HttpsProxy::default(),
    };
    let clock = MovedClock::at(Timestamp::from_seconds(1_795_371_420));
    let directory = ca.server.url("/dir");
    AcmeAuthority::new(&directory, settings, disk.clone(), clock, |_| ()).unwrap()
}

#[tokio::test]
async fn a_key_of_the_ca_that_is_used_up_is_told_from_one_that_is_wrong() {
    for (kind, detail, expected) in [
        (
            "unauthorized",
            "externalAccountBinding key was already bound to an account",
            ExternalAccountFault::Used,
        ),
        (
            "malformed",
            "EAB can only be used once",
            ExternalAccountFault::Used,
        ),
        ("unauthorized", "unknown kid", ExternalAccountFault::Wrong),
        (
            "externalAccountRequired",
            "MAC does not verify",
            ExternalAccountFault::Wrong,
        ),
    ] {
        let ca = FakeCa::start(move |asked, before, _| match asked {
            "POST /account" if before == 0 => {
                Twist::Instead(problem(400, "accountDoesNotExist", "none"))
            }
            "POST /account" => Twist::Instead(problem(400, kind, detail)),
            _ => Twist::Nothing,
        })
        .await;
        let refused = bench_error(&started(&ca, &Rc::default())).await;
        assert_eq!(fault(&refused), expected, "{refused}");
        assert!(refused.to_string().contains(detail), "{refused}");
    }
}

#[tokio::test]
async fn a_key_of_the_ca_is_used_once_though_the_answer_is_lost_and_the_program_killed() {
    let ca = FakeCa::start(|asked, before, _| match asked {
        "POST /account" if before == 0 => {
            Twist::Instead(problem(400, "accountDoesNotExist", "none"))
        }
        // The account is made, and nobody hears of it.
        "POST /account" if before == 1 => Twist::After(problem(500, "serverInternal", "lost")),
        _ => Twist::Nothing,
    })
    .await;
    let disk = Rc::new(AccountsOnly::default());
    bench_error(&started(&ca, &disk)).await;
    let kept = disk.kept.borrow().len();
    assert_eq!(kept, 1, "the key is on disk, with no account");
    // Another process finds the account, and does without what the CA gave out.
    let order = started(&ca, &disk)
        .order(&AskedOrder::of(&asked(&["shop.example"])))
        .await;
    assert!(order.is_ok(), "{:?}", order.map(drop));
    assert_eq!(ca.count("POST /account"), 3);
}

#[tokio::test]
async fn a_registration_that_nobody_wrote_down_is_found_again_at_a_real_ca() {
    let bench = Bench::start(Behaviour {
        is_external_account_required: true,
        ..Behaviour::default()
    })
    .await;
    let settings = || AcmeSettings {
        external_account: external(EXTERNAL, MacAlgorithm::Hs256),
        ..bench.settings()
    };
    bench_order(&bench.authority_with(settings())).await;
    let account = bench.account_url().unwrap();
    // Killed before the answer was on disk.
    let first = bench.disk.kept.borrow()[0].clone();
    assert!(!first.contains(&account));
    for kept in bench.disk.accounts.borrow_mut().values_mut() {
        *kept = Secret::new(first.clone());
    }
    let before = bench.count("/sign-me-up");
    bench_order(&bench.authority_with(settings())).await;
    assert_eq!(bench.account_url().unwrap(), account);
    assert_eq!(
        bench.count("/sign-me-up") - before,
        1,
        "looked for, not made"
    );
}

async fn bench_order(authority: &AcmeAuthority) {
    let order = authority
        .order(&AskedOrder::of(&asked(&["shop.example"])))
        .await;
    assert!(order.is_ok(), "{:?}", order.map(drop));
}
