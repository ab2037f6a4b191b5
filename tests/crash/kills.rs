//! The program killed before each call that makes something last or speaks to somebody.

use crate::{
    scenario::Scenario,
    spoil::{Spoil, spoil_everywhere},
    support::fake_engine::local,
};

const KILL: &str = "signal=KILL";

/// Files and folders put in place, linked, removed; then what makes them last, of which a third is as good as the
/// kill before the next rename; then whoever is spoken to, be it the engine (its `kill`, too), the CA or nginx: most of
/// these are looks that are all alike.
const KILLS: [Spoil; 6] = [
    Spoil { call: "rename", how: KILL, step: 1 },
    Spoil { call: "symlink", how: KILL, step: 1 },
    Spoil { call: "unlink", how: KILL, step: 1 },
    Spoil { call: "unlinkat", how: KILL, step: 1 },
    Spoil { call: "fsync", how: KILL, step: 3 },
    Spoil { call: "connect", how: KILL, step: 7 },
];

async fn kill_everywhere(scenario: Scenario, at_least: usize) {
    let cases = spoil_everywhere(scenario, &KILLS).await;
    assert!(cases.spoilt.len() >= at_least, "only {:#?}", cases.spoilt);
}

#[tokio::test]
async fn a_first_certificate_is_there_whenever_it_was_killed() {
    local(kill_everywhere(Scenario::First, 60)).await;
}

#[tokio::test]
async fn a_certificate_is_replaced_whenever_it_was_killed() {
    local(kill_everywhere(Scenario::Replacement, 60)).await;
}

#[tokio::test]
async fn a_site_that_is_refused_is_held_back_whenever_it_was_killed() {
    local(kill_everywhere(Scenario::RollBack, 25)).await;
}

#[tokio::test]
async fn a_site_that_goes_is_gone_whenever_it_was_killed() {
    local(kill_everywhere(Scenario::Removal, 20)).await;
}
