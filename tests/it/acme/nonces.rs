//! A CA that refuses nonces, as Let's Encrypt does now and then and Pebble by chance: here by draws of a fixed seed.

use std::{
    rc::Rc,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use quaymaster::adapters::acme::{AcmeAuthority, AcmeSettings};

use super::bench::{Bench, RealClock, check};
use crate::support::{canned::Reply, fake_ca::Twist, front::Front, pebble::Behaviour};

/// Draws by one seed, so that each run is the same.
struct Draws(u64);

impl Draws {
    /// Heads or tails. <https://en.wikipedia.org/wiki/Linear_congruential_generator>
    fn is_heads(&mut self) -> bool {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 63 == 1
    }
}

#[tokio::test]
async fn a_hundred_issuances_survive_a_ca_that_refuses_half_of_all_nonces() {
    let bench = Bench::start(Behaviour::default()).await;
    let refused = Arc::new(AtomicUsize::new(0));
    let (counted, draws) = (Arc::clone(&refused), Mutex::new(Draws(17)));
    let front = Front::start(&bench.pebble, move |line, _| {
        if !line.starts_with("POST") || draws.lock().unwrap().is_heads() {
            return Twist::Nothing;
        }
        counted.fetch_add(1, Ordering::SeqCst);
        let problem =
            r#"{"type": "urn:ietf:params:acme:error:badNonce", "detail": "it was used before"}"#;
        Twist::Instead(Reply::new(400, &[], problem))
    })
    .await;
    let settings = AcmeSettings {
        ca_root_pem: Some(front.server.root.clone()),
        ..bench.settings()
    };
    let (url, disk) = (front.server.url("/dir"), bench.disk.clone());
    let authority = AcmeAuthority::new(&url, settings, disk, Rc::new(RealClock), |_| ()).unwrap();
    for number in 0..100 {
        let name = format!("n{number}.example");
        let (chain, key) = bench.issue(&authority, &[&name]).await.unwrap();
        check(&chain, &key, &[&name]);
    }
    assert_eq!(bench.count("POST /order-plz"), 100);
    let refused = refused.load(Ordering::SeqCst);
    assert!(refused > 500, "{refused} refused");
}
