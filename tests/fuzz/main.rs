//! Random input for what reads the words of others: labels, and the engine's answers. Each target runs for some seconds,
//! begins with past finds (`finds.txt`), and prints the seed with which it does the same again. Fuzzers that are led by
//! coverage need an unstable compiler or tools beside cargo; these run with every other test.
//!
//! `QUAYMASTER_FUZZ_SECONDS` makes them run longer, `QUAYMASTER_TEST_SEED` the same again.
#![expect(
    clippy::disallowed_methods,
    reason = "they run for a while by the true clock, and read their length and seed"
)]
#![expect(
    clippy::unwrap_used,
    reason = "a test ends where something is wrong, in its helpers, too"
)]

mod answers;
mod chance;
mod labels;
#[path = "../support/mod.rs"]
mod support;
