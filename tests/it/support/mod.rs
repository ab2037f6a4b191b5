//! The common parts of tests of the edges.
#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

pub mod caddy;
pub mod canned;
pub mod crowd;
pub mod fake_ca;
pub mod fake_engine;
pub mod front;
pub mod knot;
pub mod pebble;
pub mod powerdns;
pub mod program;
pub mod server;
pub mod unbound;
