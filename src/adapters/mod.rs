//! The only sockets, files, HTTP, DNS, clocks, processes.

pub mod acme;
mod changes;
pub mod clock;
pub mod disk;
pub mod dns;
mod encrypted_key;
pub mod engine;
pub mod fetch;
pub mod hook;
pub mod http;
pub mod https_proxy;
mod jwk;
pub mod listener;
pub mod notifier;
pub mod page_listener;
pub mod pem;
pub mod probe;
#[cfg(test)]
mod probe_tests;
mod program;
mod server;
mod starttls;
pub mod templates;
pub mod visitor;
pub mod x509;
