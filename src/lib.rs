//! Quaymaster.

pub mod adapters;
pub mod desire;
pub mod observe;
pub mod plan;
pub mod ports;
pub mod render;
pub mod values;
