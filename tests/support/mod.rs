//! What tests of the edges share. Each test file uses its part.
#![allow(
    dead_code,
    reason = "every test file compiles all of this and uses a part of it"
)]
#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

pub mod canned;
pub mod crowd;
pub mod fake_ca;
pub mod fake_engine;
pub mod pebble;
pub mod program;
