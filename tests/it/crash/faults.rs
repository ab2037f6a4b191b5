//! Disks that are full or broken for one call: it is told, what is live stays, and the next start makes up for it.

use super::{scenario::Scenario, spoil::fail_everywhere};
use crate::support::fake_engine::local;

async fn fail(scenario: Scenario, at_least: usize) {
    let cases = fail_everywhere(scenario).await;
    assert!(cases.spoilt.len() >= at_least, "only {:#?}", cases.spoilt);
}

#[tokio::test]
async fn a_first_certificate_is_there_whatever_a_disk_did_not_take() {
    local(fail(Scenario::First, 150)).await;
}

#[tokio::test]
async fn a_certificate_is_replaced_after_any_fault_of_the_disk() {
    local(fail(Scenario::Replacement, 80)).await;
}

#[tokio::test]
async fn a_site_that_is_refused_is_held_back_after_any_fault_of_the_disk() {
    local(fail(Scenario::RollBack, 30)).await;
}

#[tokio::test]
async fn a_site_that_goes_is_gone_after_any_fault_of_the_disk() {
    local(fail(Scenario::Removal, 18)).await;
}
