//! The name of the replaced certificate in an order, and the objections that a CA may have to it.

use std::sync::{Arc, Mutex};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use quaymaster::{
    ports::{AskedOrder, Authority, AuthorityError},
    values::CertificateId,
};
use serde_json::Value;

use super::{bench::asked, faults::authority_at};
use crate::support::canned::{Asked, Canned, Reply};

/// The reaction of a CA to an order that replaces something.
#[derive(Clone, Copy, PartialEq)]
enum Mood {
    Takes,
    /// Its directory says nothing of renewals.
    KnowsNoRenewals,
    /// The order is as any other.
    Ignores,
    Refuses(u16, &'static str),
    /// The account is not there any more.
    HasLostUs,
}

/// The certificates that new orders replace, by their own words.
type Told = Arc<Mutex<Vec<Option<String>>>>;

fn told(asked: &Asked) -> Option<String> {
    let envelope: Value = serde_json::from_slice(&asked.body).unwrap();
    let payload = envelope["payload"].as_str().unwrap();
    let payload: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap();
    payload["replaces"].as_str().map(str::to_owned)
}

fn answer(mood: Mood, asked: &Asked, orders: &Told) -> Reply {
    let base = format!("https://{}", asked.header("host").unwrap());
    let reply = |status, line: &str, body: &str| {
        Reply::new(
            status,
            &["Replay-Nonce: bm9uY2U", line],
            &body.replace("B/", &format!("{base}/")),
        )
    };
    let problem = |status, kind: &str| {
        let body = format!(r#"{{"type": "urn:ietf:params:acme:error:{kind}", "detail": "no"}}"#);
        reply(status, "Content-Type: application/problem+json", &body)
    };
    match asked.line().as_str() {
        "GET /dir" => {
            let renewals = match mood {
                Mood::KnowsNoRenewals => "",
                _ => r#", "renewalInfo": "B/renewal""#,
            };
            let places =
                r#""newNonce": "B/nonce", "newAccount": "B/account", "newOrder": "B/order""#;
            reply(200, "A: b", &format!("{{{places}{renewals}}}"))
        }
        "HEAD /nonce" => reply(200, "A: b", ""),
        "POST /account" => reply(201, &format!("Location: {base}/account/1"), "{}"),
        "POST /order" => {
            let told = told(asked);
            let mut orders = orders.lock().unwrap();
            orders.push(told.clone());
            match (mood, &told) {
                (Mood::Refuses(status, kind), Some(_)) => return problem(status, kind),
                (Mood::HasLostUs, _) if orders.len() == 1 => {
                    return problem(400, "accountDoesNotExist");
                }
                _ => {}
            }
            let said = told.filter(|_| mood != Mood::Ignores);
            let said = said.map(|id| format!(r#", "replaces": "{id}""#));
            let order = r#""status": "pending", "authorizations": [], "finalize": "B/finalize""#;
            let order = format!("{{{order}{}}}", said.unwrap_or_default());
            reply(201, &format!("Location: {base}/order/1"), &order)
        }
        _ => reply(404, "A: b", ""),
    }
}

#[tokio::test]
async fn an_order_says_what_it_replaces_and_goes_on_without_where_the_ca_has_anything_against_that()
{
    let id = CertificateId::of(b"the key", b"7");
    let known = Some(id.to_string());
    let (with, without) = (|| known.clone(), || None);
    for (mood, expected) in [
        (Mood::Takes, vec![with(), with()]),
        (Mood::KnowsNoRenewals, vec![without(), without()]),
        // One that has shown that it does not care is not told any more.
        (Mood::Ignores, vec![with(), without(), without()]),
        (
            Mood::Refuses(409, "alreadyReplaced"),
            vec![with(), without(), with(), without()],
        ),
        (
            Mood::Refuses(403, "unauthorized"),
            vec![with(), without(), with(), without()],
        ),
        (
            Mood::Refuses(400, "malformed"),
            vec![with(), without(), with(), without()],
        ),
        // The next account has not obtained what the lost one had.
        (Mood::HasLostUs, vec![with(), without(), with()]),
    ] {
        let orders = Told::default();
        let noted = Arc::clone(&orders);
        let ca = Canned::start_with(move |asked: Asked| {
            let orders = Arc::clone(&noted);
            async move { answer(mood, &asked, &orders) }
        })
        .await;
        let (authority, _) = authority_at(&ca);
        for _ in 0..2 {
            let names = asked(&["shop.example"]);
            let order = AskedOrder {
                replaces: Some(&id),
                ..AskedOrder::of(&names)
            };
            authority.order(&order).await.map(drop).unwrap();
        }
        assert_eq!(*orders.lock().unwrap(), expected);
    }
}

#[tokio::test]
async fn a_refusal_that_is_not_about_what_is_replaced_is_told_and_nothing_is_asked_twice() {
    let id = CertificateId::of(b"the key", b"7");
    for (status, kind) in [
        (403, "rejectedIdentifier"),
        (429, "rateLimited"),
        (500, "serverInternal"),
    ] {
        let orders = Told::default();
        let noted = Arc::clone(&orders);
        let ca = Canned::start_with(move |asked: Asked| {
            let orders = Arc::clone(&noted);
            async move { answer(Mood::Refuses(status, kind), &asked, &orders) }
        })
        .await;
        let names = asked(&["shop.example"]);
        let order = AskedOrder {
            replaces: Some(&id),
            ..AskedOrder::of(&names)
        };
        let failed = authority_at(&ca)
            .0
            .order(&order)
            .await
            .map(drop)
            .unwrap_err();
        let is_told = matches!(
            &failed,
            AuthorityError::Refused { .. } | AuthorityError::Busy { .. }
        );
        assert!(is_told, "{failed:?}");
        assert_eq!(*orders.lock().unwrap(), [Some(id.to_string())], "{kind}");
    }
}
