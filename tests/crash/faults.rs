//! Disks that are full or broken for one call: it is told, what is live stays, and the next start makes up for it.

use crate::{
    scenario::Scenario,
    spoil::{Spoil, spoil_everywhere},
    support::fake_engine::local,
};

const FULL: &str = "error=ENOSPC";
const BROKEN: &str = "error=EIO";

/// A sample: each third write to anything, each third time that something is made to last, each second rename.
const FAULTS: [Spoil; 3] = [
    Spoil { call: "write", how: FULL, step: 3 },
    Spoil { call: "fsync", how: BROKEN, step: 3 },
    Spoil { call: "rename", how: FULL, step: 2 },
];

async fn fail_everywhere(scenario: Scenario, at_least: usize) {
    let cases = spoil_everywhere(scenario, &FAULTS).await;
    assert!(cases.spoilt.len() >= at_least, "only {:#?}", cases.spoilt);
}

#[tokio::test]
async fn a_first_certificate_is_there_after_any_fault_of_the_disk() {
    local(fail_everywhere(Scenario::First, 15)).await;
}

#[tokio::test]
async fn a_certificate_is_replaced_after_any_fault_of_the_disk() {
    local(fail_everywhere(Scenario::Replacement, 15)).await;
}

#[tokio::test]
async fn a_site_that_goes_is_gone_after_any_fault_of_the_disk() {
    local(fail_everywhere(Scenario::Removal, 5)).await;
}
