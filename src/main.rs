//! Quaymaster's program.

fn main() {}
