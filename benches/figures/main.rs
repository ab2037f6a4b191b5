//! Figures of the whole program's speed and use, beside a floor in the same run: a program that only subscribes to
//! events and sends the signal; and figures of an issuance and of a look at thousands of certificates. Prints a table,
//! row by row; asserts no times.
#![expect(
    clippy::disallowed_methods,
    reason = "a benchmark starts programs and asks the clock"
)]
#![expect(clippy::unwrap_used, reason = "a benchmark that can't go on ends")]
#![expect(clippy::print_stdout, reason = "the table is what it is for")]

mod batch;
mod consumers;
mod fake;
mod floor;
mod issuance;
mod ledger;
mod listening;
mod look;
mod pages;
mod provided;
mod real;
mod sites;
mod table;
mod templates;

#[path = "../../tests/it/acme/bench.rs"]
#[expect(dead_code, reason = "tests use more of it")]
mod bench;
#[path = "../../src/fixtures.rs"]
#[expect(dead_code, reason = "tests use more of it")]
mod fixtures;
#[path = "../../tests/it/support/mod.rs"]
#[expect(dead_code, reason = "tests use more of it")]
mod support;
#[path = "../../tests/it/watching/world.rs"]
#[expect(dead_code, reason = "tests use more of it")]
mod world;

use std::{env, fs};

use crate::table::Table;

fn main() {
    let words: Vec<String> = env::args()
        .skip(1)
        .filter(|word| !word.starts_with("--"))
        .collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["floor", socket, concerns, target] => floor::run(socket, concerns, target),
        ["fake"] => measure(&[fake::measure]),
        ["real"] => measure(&[real::measure]),
        ["issuance"] => measure(&[issuance::measure]),
        ["batch"] => measure(&[batch::measure]),
        ["ledger"] => measure(&[ledger::measure]),
        ["look"] => measure(&[look::measure]),
        ["provided"] => measure(&[provided::measure, provided::measure_delivery]),
        ["pages"] => measure(&[pages::measure, listening::measure]),
        ["consumers"] => measure(&[consumers::measure]),
        ["templates"] => measure(&[templates::measure]),
        // What needs memory of this process first: what others freed would be used again.
        _ => measure(&[
            provided::measure,
            provided::measure_delivery,
            consumers::measure,
            fake::measure,
            real::measure,
            issuance::measure,
            batch::measure,
            look::measure,
            ledger::measure,
            pages::measure,
            listening::measure,
            templates::measure,
        ]),
    }
}

fn measure(parts: &[fn(&mut Table)]) {
    tell_load();
    let mut table = Table::begin();
    parts.iter().for_each(|part| part(&mut table));
    println!();
    tell_load();
}

fn tell_load() {
    let load = fs::read_to_string("/proc/loadavg").unwrap();
    println!("load of the machine: {}\n", load.trim());
}

/// Memory that a process has in use, in MiB.
fn resident(process: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS"))
        .unwrap();
    line.split_whitespace()
        .nth(1)
        .unwrap()
        .parse::<f64>()
        .unwrap()
        / 1024.0
}

/// The one in the middle.
fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
