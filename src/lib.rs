//! Quaymaster.
#![forbid(unsafe_code)]
pub mod observe;
pub mod ports;
pub mod values;
