//! The engine's adapter: against the real engine of this machine, and against a fake one that fails in every way.
#![expect(clippy::disallowed_methods, reason = "tests start the docker command")]
#![expect(
    clippy::unwrap_used,
    reason = "a test ends where something is wrong, in its helpers, too"
)]

mod faults;
mod images;
mod inside;
mod own;
mod real;
