//! The cost of a ledger of 100,000 entries in a turn in which a thousand new names wait for a limit, beside one of some
//! hundreds for which they wait just so. Nothing here touches a file or a socket.

use std::{
    rc::Rc,
    time::{Duration, Instant},
};

use quaymaster::{
    desire::{Desired, desire},
    observe::{Counted, Ledger, LedgerEntry, Observed},
    plan::{PlanRules, Planner, names_digest},
    render::Templates,
    values::{CaSettings, CaTable, Digest, Issuer, Limit},
};

use crate::{
    fixtures, median,
    sites::{self, NOW},
    table::Table,
};

const ENTRIES: usize = 100_000;
const FEW: usize = 300;
const DUE: usize = 1000;
const ROUNDS: usize = 31;
const DIRECTORY: &str = "https://ca.example/directory";

/// Measures turns by either ledger.
pub fn measure(table: &mut Table) {
    let snapshot = sites::snapshot();
    let rules = sites::label_rules(Issuer::Ca(DIRECTORY.to_owned()));
    let mut desired = desire(&snapshot, &rules);
    // Proxies cost what they cost.
    desired.consumers.clear();
    let due: Vec<_> = desired.certificates.keys().take(DUE).cloned().collect();
    desired.certificates.retain(|name, _| due.contains(name));
    let plan_rules = limited();
    let templates = Templates::built_in().unwrap();
    let took = |ledger: Ledger| {
        let observed = Observed {
            ledger: Rc::new(ledger),
            ..sites::fresh(&desired)
        };
        let mut memory = Planner::default();
        let mut turn = || {
            let began = Instant::now();
            let plan = memory.plan(&desired, &observed, &templates, &plan_rules, NOW);
            (began.elapsed().as_secs_f64() * 1000.0, plan.limited.len())
        };
        let limited = turn().1;
        (median((0..ROUNDS).map(|_| turn().0).collect()), limited)
    };
    let (few, all) = took(entries(&desired, FEW));
    let (many, as_many) = took(entries(&desired, ENTRIES));
    assert_eq!((all, as_many), (DUE, DUE), "a limit is reached by either");
    table.beside(
        format!("turn with {ENTRIES} entries in the ledger, {DUE} names wait"),
        "ms",
        many,
        few,
        5.0,
    );
}

/// A year in which all entries count.
fn limited() -> PlanRules {
    let year = |most| {
        Some(Some(Limit {
            most,
            within: Duration::from_secs(365 * 24 * 60 * 60),
        }))
    };
    let ca = CaSettings {
        directory: Some(DIRECTORY.to_owned()),
        orders: year(100),
        same_names: year(1000),
        failures: year(1000),
        ..CaSettings::default()
    };
    PlanRules {
        answers_itself: true,
        cas: CaTable::new([("corp".to_owned(), ca)].into()).unwrap(),
        ..fixtures::plan_rules()
    }
}

/// Orders, certificates and failures of the names that wait, of many times.
fn entries(desired: &Desired, count: usize) -> Ledger {
    let mut names = desired.certificates.values().cycle();
    let entries = (0..count).map(|number| {
        let wanted = names.next().unwrap();
        let ago = Duration::from_millis(u64::try_from(number).unwrap());
        let counted = match number % 3 {
            0 => Counted::Order { project: None },
            1 => Counted::Certificate {
                names: names_digest(&wanted.names),
                order: Digest::of(number.to_be_bytes()),
            },
            _ => Counted::Failure {
                name: wanted.names[0].clone(),
            },
        };
        LedgerEntry {
            at: NOW - ago,
            ca: DIRECTORY.to_owned(),
            counted,
        }
    });
    let mut entries: Vec<_> = entries.collect();
    entries.reverse();
    Ledger::of(entries)
}
