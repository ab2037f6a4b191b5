//! The program as it is, watching an engine that does what a test tells it to.
#![expect(clippy::disallowed_methods, reason = "tests start the program")]
#![expect(
    clippy::unwrap_used,
    reason = "a test ends where something is wrong, in its helpers, too"
)]

mod crowd;
mod figures;
mod flapping;
mod gaps;
mod history;
mod names;
mod notify;
mod pages;
mod world;
