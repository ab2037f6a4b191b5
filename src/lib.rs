//! Quaymaster.
#![forbid(unsafe_code)]
pub mod adapters;
pub mod observe;
pub mod ports;
pub mod values;
