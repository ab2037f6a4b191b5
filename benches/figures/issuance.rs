//! On a real CA of this machine, Pebble without its pauses: from an order to its certificate.

use std::time::Instant;

use tokio::runtime::Builder;

use crate::{
    bench::{Bench, counted},
    median,
    support::pebble::Behaviour,
    table::Table,
};

const ROUNDS: usize = 11;

/// Measures for one name and for three.
pub fn measure(table: &mut Table) {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(issuances(table));
}

async fn issuances(table: &mut Table) {
    let bench = Bench::start(Behaviour::default()).await;
    let authority = bench.authority();
    // With the account, which is needed once.
    bench.issue(&authority, &["account.example"]).await.unwrap();
    for names in [
        &["shop.example"][..],
        &["a.example", "b.example", "c.example"],
    ] {
        let (mut took, mut most) = (Vec::new(), 0);
        for _ in 0..ROUNDS {
            let before = bench.pebble.requests().len();
            let began = Instant::now();
            bench.issue(&authority, names).await.unwrap();
            took.push(began.elapsed().as_secs_f64() * 1000.0);
            most = most.max(counted(&bench.pebble.requests().split_off(before)));
        }
        let what = format!("one issuance on Pebble, names: {}", names.len());
        table.figure(&what, "ms", median(took), 100.0);
        table.figure(what, "requests", most as f64, (2 * names.len() + 6) as f64);
    }
}
