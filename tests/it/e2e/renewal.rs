//! A certificate near its end.

use std::time::Duration;

use super::{
    client::Visitor,
    docker::{docker, is_so, wait},
    stack::{KNOBS, SOON, Setup, Stack},
    visits::{Visits, all_were_served},
};

/// Renewed after half of it, so that two renewals are seen within half a minute.
const LIFE: Duration = Duration::from_secs(30);

#[test]
fn a_name_is_self_signed_at_once_and_has_that_of_the_ca_in_the_same_files_by_one_reload() {
    let stack = Stack::new(&Setup::default());
    let shop = stack.host("shop");
    stack.proxy();
    stack.app("shop", &[("host", &shop)]);
    let pebble = stack.named("pebble");
    docker(&["network", "disconnect", stack.network(), &pebble]);
    stack.quaymaster(&["QUAYMASTER_FALLBACK=on", "QUAYMASTER_FALLBACK_DAYS=9"]);
    let live = format!("state/certificates/live/{shop}");
    let (chain, marker) = (
        format!("{live}/fullchain.pem"),
        format!("{live}/self-signed"),
    );
    let own = wait(SOON, "a self-signed certificate is there", || {
        stack.text(&chain)
    });
    let first = Visitor::trusting(&own).wait_for_site(stack.at(443).unwrap(), &shop);
    assert_eq!(first.issuer, "CN=self-signed by quaymaster");
    assert_eq!(stack.http(&shop, "/").unwrap().status, 503);
    assert!(stack.text(&marker).is_ok());
    let before = stack.hangups();

    let back = ["network", "connect", "--alias", "pebble"];
    docker(&[&back[..], &[stack.network(), &pebble]].concat());
    let served = wait(SOON, "the CA's certificate is served", || {
        let served = stack.https(&shop)?;
        is_so(served.issuer.contains("Pebble"), || served.issuer.clone()).map(|()| served)
    });
    assert_ne!(served.serial, first.serial);
    stack.wait_for_rest();
    assert_eq!(stack.orders(), 1);
    assert!(stack.hangups() > before);
    assert!(stack.text(&marker).is_err());
    assert_eq!(stack.http(&shop, "/").unwrap().status, 301);
}

#[test]
fn a_renewal_is_one_signal_and_a_new_serial() {
    let stack = Stack::new(&Setup {
        life: Some(LIFE),
        ..Setup::default()
    });
    let shop = stack.host("shop");
    stack.proxy();
    stack.app("shop", &[("host", &shop)]);
    stack.quaymaster(&[]);
    let first = stack.wait_for_site(&shop).serial;
    // On a slow machine a life that short is renewed before the first rest, or once more before it is looked at: each order
    // is one signal, however many there were.
    let orders_with_a_signal_each = || {
        wait(
            SOON,
            "each order is one signal, besides the first config",
            || {
                stack.wait_for_rest();
                let (orders, signals) = (stack.orders(), stack.hangups());
                let told = || format!("{orders} orders, {signals} signals");
                is_so(signals == orders + 1 + KNOBS, told).map(|()| orders)
            },
        )
    };
    let before = orders_with_a_signal_each();

    let visits = Visits::begin(stack.visitor(), stack.at(443).unwrap(), &[&shop]);
    let mut serial = first.clone();
    for _ in 1..=2 {
        serial = wait(SOON, "a new certificate is served", || {
            let served = stack.https(&shop)?;
            is_so(served.serial != serial, || format!("still {serial}")).map(|()| served.serial)
        });
        orders_with_a_signal_each();
    }
    let seen = visits.end();
    let orders = orders_with_a_signal_each();
    all_were_served(&seen);
    let served: Vec<_> = seen
        .iter()
        .filter_map(|visit| visit.outcome.as_ref().ok())
        .collect();
    let expired: Vec<_> = served.iter().filter(|(_, left)| *left <= 0).collect();
    assert!(expired.is_empty(), "{expired:?}");
    let mut order: Vec<_> = served.iter().map(|(serial, _)| serial).collect();
    assert!(order.len() > 200, "{} visits", order.len());
    // Old workers go on accepting for some 100 ms after a reload, so both may be seen for a moment; no others.
    order.sort();
    order.dedup();
    let most = orders - before + 1;
    assert!(
        (3..=most).contains(&order.len()),
        "{most} at most, {order:?}"
    );
    let archived = |path: &&String| {
        path.ends_with("/fullchain.pem") && path.starts_with("certificates/archive/")
    };
    let archived = stack.files("state").keys().filter(archived).count();
    assert!((3..=orders).contains(&archived), "{archived} of {orders}");
}
