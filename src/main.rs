//! The program: hands arguments and environment to the library and ends with its exit code.

use std::process::ExitCode;

/// It gives back to the system what only the first look at thousands of containers needed.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    quaymaster::cli::run(std::env::args_os(), std::env::vars_os())
}
