//! The program: hands arguments and environment to the library and ends with its exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    quaymaster::cli::run(std::env::args_os(), std::env::vars_os())
}
