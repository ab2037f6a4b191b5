//! Quaymaster.
#![forbid(unsafe_code)]
pub mod desire;
pub mod observe;
pub mod ports;
pub mod render;
pub mod values;
