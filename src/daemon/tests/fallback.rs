//! Self-signed certificates, as a daemon makes them.

use super::*;
use crate::{desire::tests::snapshot, values::FallbackRule};

#[tokio::test]
async fn a_wanted_certificate_is_self_signed_though_no_ca_can_be_reached_and_no_order_is_on_record_for_it()
 {
    let local = tokio::task::LocalSet::new();
    local
        .run_until(async {
            let folder = tempfile::tempdir().unwrap();
            let certificates = folder.path().join("certificates");
            let folders = Folders::new(certificates.clone(), folder.path().join("state"), |_| ());
            let mut daemon = daemon_in(Rc::default(), folders);
            daemon.plan_rules.fallback = FallbackRule::On;
            let ports = daemon.ports.issuing.clone();
            let mut turning = Loop::new(daemon);
            let desired = Rc::new(desire::desire(
                &snapshot([proxy(), container("shop", 4).label("host", "shop.example")]),
                &rules(),
            ));
            let now = turning.daemon.ports.clock.now();
            turning.facts.look_at_disk(&turning.daemon.ports);
            let plan = turning.memory.plan(
                &desired,
                &turning.facts.observed,
                &turning.templates.current,
                &turning.daemon.plan_rules,
                now,
            );
            let made = |action: &Action| matches!(action, Action::FallBack(_));
            assert_eq!(plan.actions.iter().filter(|action| made(action)).count(), 1);
            for action in plan.actions.into_iter().filter(made) {
                turning.begin(action);
            }
            let done = turning.work.join_next().await.expect("it was begun");
            turning.conclude(done);
            let name = CertificateName::parse("shop.example").unwrap();
            assert!(turning.facts.observed.held[&name].is_fallback());
            assert!(ports.attempts.attempts().unwrap().is_empty());
            let live = certificates.join("live/shop.example");
            for file in [
                "self-signed",
                "cert.pem",
                "chain.pem",
                "fullchain.pem",
                "privkey.pem",
            ] {
                assert!(live.join(file).is_file(), "{file}");
            }
            // It is what is found at the next start, too.
            let found = ports.certificates.certificates(now).unwrap();
            assert!(found.held[&name].is_fallback());
            assert!(
                found.faults.is_empty() && found.repairs.is_empty(),
                "{found:?}"
            );
        })
        .await;
}
