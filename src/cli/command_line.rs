//! The command line, made from the tables of commands and settings.

use std::path::PathBuf;

use clap::{Arg, Command, value_parser};

use super::commands::COMMANDS;
use crate::settings::{DefaultValue, SETTINGS, SettingRow};

/// The commit that the program was built from, where its builder says so: the scripts that make releases do.
const COMMIT: Option<&str> = option_env!("QUAYMASTER_COMMIT");

/// The version, with the commit where that is known.
fn version(commit: Option<&str>) -> String {
    let version = env!("CARGO_PKG_VERSION");
    match commit {
        Some(commit) if !commit.is_empty() => format!("{version} ({commit})"),
        _ => version.to_owned(),
    }
}

/// The command line, made from the tables.
pub(super) fn command() -> Command {
    let mut command = Command::new("quaymaster")
        .version(version(COMMIT))
        .about(
            "Certificates for what your containers' labels name, in the proxy that you already run",
        )
        .subcommand_required(true)
        .arg_required_else_help(true)
        .arg(
            Arg::new("config")
                .long("config")
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .global(true)
                .help_heading(SETTINGS_HEADING)
                .help("settings as TOML [env: QUAYMASTER_CONFIG]"),
        );
    command = command.args(SETTINGS.iter().map(setting));
    for row in COMMANDS {
        let sub = Command::new(row.name)
            .about(row.about)
            .after_help(examples(row.examples));
        command = command.subcommand((row.arguments)(sub));
    }
    command
}

/// Above the settings in `--help`, which every command takes, behind what it alone takes.
const SETTINGS_HEADING: &str = "Settings";

fn setting(row: &'static SettingRow) -> Arg {
    let default = match row.default {
        DefaultValue::Value(text) | DefaultValue::Words(text) => text,
    };
    let help = format!("{} [default: {default}] [env: {}]", row.doc, row.variable());
    let arg = Arg::new(row.name)
        .long(row.name)
        .value_name(row.value)
        .global(true)
        .help(help);
    let arg = arg.help_heading(SETTINGS_HEADING);
    match row.value {
        // `--agree-tos` alone means yes.
        "BOOL" => arg
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true"),
        _ => arg,
    }
}

fn examples(examples: &[(&str, &str)]) -> String {
    let each = examples
        .iter()
        .map(|(words, meaning)| format!("  {words}\n      {meaning}\n"));
    format!("Examples:\n{}", each.collect::<String>().trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_says_the_commit_where_it_is_known() {
        let plain = env!("CARGO_PKG_VERSION");
        assert_eq!(version(None), plain);
        assert_eq!(version(Some("")), plain);
        assert_eq!(version(Some("0a1b2c")), format!("{plain} (0a1b2c)"));
    }

    #[test]
    fn the_command_line_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn every_example_of_ours_is_a_command_line_that_is_taken() {
        for row in COMMANDS {
            for (words, _) in row.examples {
                let Some(start) = words.find("quaymaster ") else {
                    continue;
                };
                let ours = words[start..].split(['|', '>']).next().unwrap_or_default();
                let words = shell_words::split(ours).expect("it is written as for a shell");
                let read = command().try_get_matches_from(words);
                let name = read.expect(ours).subcommand_name().map(str::to_owned);
                assert_eq!(name.as_deref(), Some(row.name), "{ours}");
            }
        }
    }
}
