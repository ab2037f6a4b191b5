//! What the metrics of 10,000 certificates take, and the first page of as many names. Nothing here touches a file or a socket.

use std::{
    collections::BTreeSet,
    rc::Rc,
    time::{Duration, Instant},
};

use quaymaster::{
    desire::{Desired, desire},
    observe::HistoryEntry,
    plan::plan,
    ports::{DiskError, FoundEntries, Histories, Pieces},
    render::Templates,
    report::{
        Overview, Tally,
        metrics::metrics,
        page::{PageTemplates, page},
    },
    values::Issuer,
};

use crate::{
    fixtures, median,
    sites::{self, NOW, SITES},
    table::Table,
};

const ROUNDS: usize = 15;

/// Measures metrics and pages.
pub fn measure(table: &mut Table) {
    let overview = Rc::new(overview());
    let templates = PageTemplates::new().unwrap();
    let sets = BTreeSet::new();
    let numbers = || Box::new(metrics(Rc::clone(&overview), &sets)) as Pieces;
    table.figure(
        format!("/metrics of {SITES} certificates"),
        "ms",
        time(numbers).0,
        50.0,
    );
    table.figure("a step of it", "ms", time(numbers).1, 2.0);
    table.figure("its size", "MB", size(numbers()) / 1e6, 5.0);
    for (what, path) in [
        ("page of names", "/"),
        ("page of one name", "/name/app7.example"),
        ("page of servers", "/servers"),
    ] {
        let shown = || {
            page(path, "", Rc::clone(&overview), &templates, &Nothing)
                .unwrap()
                .body
        };
        table.figure(format!("{what}, {SITES} names"), "ms", time(shown).0, 50.0);
        table.figure("a step of it", "ms", time(shown).1, 2.0);
    }
}

/// How long a body and its longest step take, in milliseconds: the one in the middle of each.
fn time(body: impl Fn() -> Pieces) -> (f64, f64) {
    let rounds = (0..ROUNDS).map(|_| {
        let (mut whole, mut longest) = (Duration::ZERO, Duration::ZERO);
        let mut began = Instant::now();
        let mut pieces = body();
        loop {
            let piece = pieces.next();
            let took = began.elapsed();
            whole += took;
            longest = longest.max(took);
            if piece.is_none() {
                break;
            }
            began = Instant::now();
        }
        (whole.as_secs_f64() * 1000.0, longest.as_secs_f64() * 1000.0)
    });
    let (whole, longest) = rounds.unzip();
    (median(whole), median(longest))
}

/// Its bytes.
fn size(pieces: Pieces) -> f64 {
    let bytes: usize = pieces.map(|piece| piece.len()).sum();
    f64::from(u32::try_from(bytes).unwrap())
}

/// All sites are served with self-signed certificates: of a CA only a few are obtained at a time.
fn overview() -> Overview {
    let snapshot = sites::snapshot();
    let label_rules = sites::label_rules(Issuer::SelfSigned);
    let desired: Rc<Desired> = Rc::new(desire(&snapshot, &label_rules));
    let templates = Templates::built_in().unwrap();
    let observed = sites::settled(&desired, sites::fresh(&desired), &templates);
    let planned = plan(
        &desired,
        &observed,
        &templates,
        &fixtures::plan_rules(),
        NOW,
    );
    Overview {
        now: NOW,
        began: NOW,
        is_ready: true,
        complaints: Rc::default(),
        snapshot,
        desired,
        observed,
        plan: Rc::new(planned),
        faults: BTreeSet::new(),
        templates: BTreeSet::new(),
        instead: Rc::default(),
        cas: Vec::new(),
        label_rules,
        breathed: Some(NOW),
        tally: Tally {
            is_engine_followed: true,
            ..Tally::default()
        },
    }
}

/// No history: files are measured by nobody here.
struct Nothing;

impl Histories for Nothing {
    fn add_history(&self, _: &[HistoryEntry]) -> Result<(), DiskError> {
        Ok(())
    }

    fn history(&self, _: BTreeSet<String>) -> Box<dyn Iterator<Item = FoundEntries>> {
        Box::new(std::iter::empty())
    }
}
