//! The program killed before each call that makes something last or speaks to somebody.

use super::{run::Spoil, scenario::Scenario, spoil::kill_everywhere};
use crate::support::fake_engine::local;

/// Files and folders put in place, linked and removed; then whoever is spoken to, be it the engine, the CA or nginx; then
/// the signal that the proxy gets, or does not. Not `fsync`: a kill takes nothing that was written, so that one before it
/// leaves what one before the next of these calls leaves, but for files that are not in their place yet.
const KILLS: [Spoil; 9] = [
    Spoil::Kill("rename"),
    Spoil::Kill("renameat"),
    Spoil::Kill("symlink"),
    Spoil::Kill("symlinkat"),
    Spoil::Kill("unlink"),
    Spoil::Kill("unlinkat"),
    Spoil::Kill("connect"),
    Spoil::Signal { arrives: true },
    Spoil::Signal { arrives: false },
];

/// Kills it everywhere; `at_least` is how many calls of each kind it makes at the least.
async fn kill(scenario: Scenario, at_least: [usize; 9]) {
    let cases = kill_everywhere(scenario, &KILLS).await;
    let counts = KILLS.map(|spoil| cases.count(spoil));
    let is_enough = counts
        .iter()
        .zip(at_least)
        .all(|(count, least)| *count >= least);
    assert!(
        is_enough,
        "only {counts:?} of {at_least:?}: {:#?}",
        cases.spoilt
    );
}

#[tokio::test]
async fn a_first_certificate_is_there_whenever_it_was_killed() {
    local(kill(Scenario::First, [20, 10, 1, 1, 28, 16, 40, 4, 4])).await;
}

#[tokio::test]
async fn a_certificate_is_replaced_whenever_it_was_killed() {
    local(kill(Scenario::Replacement, [15, 4, 1, 1, 20, 18, 20, 1, 1])).await;
}

#[tokio::test]
async fn a_site_that_is_refused_is_held_back_whenever_it_was_killed() {
    local(kill(Scenario::RollBack, [8, 4, 0, 0, 8, 4, 40, 2, 2])).await;
}

#[tokio::test]
async fn a_site_that_goes_is_gone_whenever_it_was_killed() {
    local(kill(Scenario::Removal, [5, 1, 0, 0, 5, 8, 15, 1, 1])).await;
}
