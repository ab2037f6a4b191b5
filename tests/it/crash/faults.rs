//! Disks that are full or broken for one call: it is told, what is live stays, and the next start makes up for it.

use super::{run::Fault, scenario::Scenario, spoil::fail_everywhere};
use crate::support::fake_engine::local;

async fn fail(scenario: Scenario, faults: &[Fault], at_least: usize) {
    let cases = fail_everywhere(scenario, faults).await;
    assert!(cases.spoilt.len() >= at_least, "only {:#?}", cases.spoilt);
}

#[tokio::test]
async fn a_first_certificate_is_there_whatever_a_full_disk_did_not_take() {
    local(fail(Scenario::First, &[Fault::Full], 150)).await;
}

#[tokio::test]
async fn a_first_certificate_is_there_whatever_a_broken_disk_did_not_take() {
    local(fail(Scenario::First, &[Fault::Broken], 150)).await;
}

#[tokio::test]
async fn a_certificate_is_replaced_after_any_fault_of_the_disk() {
    local(fail(
        Scenario::Replacement,
        &[Fault::Full, Fault::Broken],
        160,
    ))
    .await;
}

#[tokio::test]
async fn a_site_that_is_refused_is_held_back_after_any_fault_of_the_disk() {
    local(fail(Scenario::RollBack, &[Fault::Full, Fault::Broken], 60)).await;
}

#[tokio::test]
async fn a_site_that_goes_is_gone_after_any_fault_of_the_disk() {
    local(fail(Scenario::Removal, &[Fault::Full, Fault::Broken], 35)).await;
}
