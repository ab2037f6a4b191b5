//! Quaymaster.

pub mod adapters;
pub mod cli;
pub mod daemon;
pub mod desire;
pub mod execute;
pub mod observe;
pub mod plan;
pub mod ports;
pub mod render;
pub mod report;
pub mod settings;
pub mod values;
