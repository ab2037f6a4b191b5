//! Random input for what reads the words of others: labels, and the engine's answers. Each target takes so many
//! turns, begins with past finds (`finds.txt`), and always draws the same. Fuzzers that are led by coverage need an
//! unstable compiler or tools beside cargo; these run with every other test.
//!
//! `tests/long` hunts: `QUAYMASTER_TEST_SEED` draws something else, `QUAYMASTER_TEST_TIMES` so many times more turns.
#![expect(clippy::disallowed_methods, reason = "they read their length and seed")]
#![expect(
    clippy::unwrap_used,
    reason = "a test ends where something is wrong, in its helpers, too"
)]

mod answers;
mod chance;
mod labels;
