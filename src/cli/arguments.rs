//! Options that several commands have.

use std::path::PathBuf;

use clap::{Arg, value_parser};

/// The option for the form of a result.
pub(super) fn format(formats: &'static [&'static str]) -> Arg {
    let arg = Arg::new("format")
        .long("format")
        .value_name("FORMAT")
        .value_parser(formats.to_vec());
    arg.default_value("text").help("how the result is written")
}

/// The option that has a command read what an engine said.
pub(super) fn from() -> Arg {
    let arg = Arg::new("from")
        .long("from")
        .value_name("FILE")
        .value_parser(value_parser!(PathBuf));
    arg.help(
        "ask no engine: read what `docker inspect` printed, from FILE or `-` for standard input",
    )
}
