//! The tests of the edges, in one program: linked once, and what one of them waits for costs the others nothing.
//! `tests/README.md` says what each folder is about, and which of them take turns.

mod acme;
mod by_hand;
mod check;
mod clients;
mod command_line;
mod crash;
mod disk;
mod e2e;
mod engine;
#[path = "../../src/fixtures.rs"]
mod fixtures;
mod fuzz;

mod guard;
mod hand_orders;
mod plan_from;
mod readme;
mod render;
mod rendered;
mod second;
mod support;
mod templates;
mod watching;
