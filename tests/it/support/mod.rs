//! What tests of the edges share.
#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

pub mod caddy;
pub mod canned;
pub mod crowd;
pub mod fake_ca;
pub mod fake_engine;
pub mod front;
pub mod knot;
pub mod pebble;
pub mod program;
pub mod unbound;
