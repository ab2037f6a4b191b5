//! The CA's adapter against a real CA, and against one that behaves badly.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod absurd;
mod accounts;
mod answers;
pub mod bench;
mod chains;
mod dns;
mod dns_daemon;
mod external_account;
mod faults;
mod https_proxy;
mod limits;
mod nonces;
mod obtain;
mod real;
mod records;
mod renewal_info;
mod replaces;
mod rides_out;
mod self_check;
mod several_cas;
mod thumbprint;
