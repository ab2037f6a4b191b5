//! The only sockets, files, HTTP, DNS, clocks, processes.

pub mod engine;
