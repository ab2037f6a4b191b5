//! The only sockets, files, HTTP, DNS, clocks, processes.

pub mod acme;
pub mod engine;
pub mod http;
pub mod x509;
