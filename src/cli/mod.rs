//! From arguments to settings, from settings to ports, from ports to a command; one file a command, and exit codes.

mod account;
mod arguments;
mod asking;
mod authorize;
mod by_hand;
mod ca_setup;
mod check;
mod command_line;
mod commands;
mod consent;
mod exit;
mod explain;
mod forget;
mod found;
mod hand_over;
mod hands;
mod health;
mod history;
mod import;
mod info;
mod issue;
mod listening;
mod log;
mod manual;
mod notify;
mod notifying;
mod once;
mod outputs;
mod plan;
mod progress;
mod pygen;
mod records;
pub mod reference;
mod register;
mod rehearse;
mod release;
mod render;
mod renew;
mod renew_folder;
mod revoke;
mod setup;
mod status;
mod table;
mod take_over;
mod terminal;
mod thumbprint;
mod upgrade;
mod watch;
mod zone_records;

use std::{
    collections::BTreeMap,
    ffi::OsString,
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::{ArgMatches, parser::ValueSource};
use serde::Serialize;

pub use exit::{EXITS, Exit, ExitRow};

use crate::{
    adapters::disk,
    desire::Dialects,
    report::chain,
    settings::{SETTINGS, SettingSources, Settings},
};
use command_line::command;
use commands::COMMANDS;
use exit::Failure;
use progress::ProgressLines;
use pygen::PygenLine;

/// The arguments and surroundings of a command.
struct Call {
    settings: Settings,
    /// Whose labels are read.
    dialects: Dialects,
    environment: BTreeMap<String, String>,
    options: ArgMatches,
    progress: ProgressLines,
}

/// Runs the program with these arguments and this environment.
pub fn run(
    arguments: impl IntoIterator<Item = OsString>,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> ExitCode {
    let (matches, said) = match read(arguments.into_iter().collect()) {
        Ok(read) => read,
        Err(error) => {
            let wanted = !error.use_stderr();
            // Nothing is left to tell it to when this fails.
            let _ = error.print();
            return code(if wanted { Exit::Done } else { Exit::Usage });
        }
    };
    // What is no Unicode is no setting of ours.
    let text = |(name, value): (OsString, OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    let environment = environment.into_iter().filter_map(text).collect();
    match dispatch(&matches, &said, environment) {
        Ok(exit) => code(exit),
        Err(failure) => {
            let exit = failure.exit();
            if exit != Exit::Done {
                let _ = writeln!(io::stderr(), "quaymaster: {}", chain(&failure));
            }
            code(exit)
        }
    }
}

/// The request, and the remarks about words that do nothing, each with true if something is missing.
type Asked = (ArgMatches, Vec<(&'static str, bool)>);

fn read(arguments: Vec<OsString>) -> Result<Asked, clap::Error> {
    match pygen::read(&arguments)? {
        Some(PygenLine { words, said }) => Ok((command().try_get_matches_from(words)?, said)),
        None => Ok((command().try_get_matches_from(arguments)?, Vec::new())),
    }
}

fn code(exit: Exit) -> ExitCode {
    ExitCode::from(exit as u8)
}

fn dispatch(
    matches: &ArgMatches,
    said: &[(&'static str, bool)],
    environment: BTreeMap<String, String>,
) -> Result<Exit, Failure> {
    let Some((name, options)) = matches.subcommand() else {
        return Err(Failure::Usage(
            "name a command; `quaymaster --help` lists them".to_owned(),
        ));
    };
    let file = match options
        .get_one::<PathBuf>("config")
        .cloned()
        .or_else(|| config(&environment))
    {
        Some(path) => Some((path.clone(), disk::text(&path)?)),
        None => None,
    };
    let flags = SETTINGS
        .iter()
        .filter(|row| options.value_source(row.name) == Some(ValueSource::CommandLine));
    let flags = flags
        .filter_map(|row| Some((row.name, options.get_one::<String>(row.name)?.clone())))
        .collect();
    let (settings, strangers) = Settings::read(&SettingSources {
        flags,
        environment: environment.clone(),
        file,
    })?;
    let dialects = Dialects::new(
        &settings.label_prefix,
        settings.dialects.as_deref(),
        &settings.dialect_tables,
        settings.default_domain.clone(),
    )
    .map_err(|error| Failure::Usage(error.to_string()))?;
    let progress = ProgressLines::new(&environment);
    log::begin(&settings, &environment, &progress)?;
    for (line, is_missing) in said {
        match is_missing {
            true => tracing::warn!("{line}"),
            false => tracing::info!("{line}"),
        }
    }
    for name in strangers {
        tracing::warn!("the variable {name} is not a setting, though it looks like one");
    }
    let call = Call {
        dialects,
        settings,
        environment,
        options: options.clone(),
        progress,
    };
    let found = COMMANDS.iter().find(|row| row.name == name);
    found.map_or(
        Err(Failure::Usage(format!("there is no command {name}"))),
        |row| (row.run)(&call),
    )
}

fn config(environment: &BTreeMap<String, String>) -> Option<PathBuf> {
    environment
        .get("QUAYMASTER_CONFIG")
        .filter(|path| !path.is_empty())
        .map(PathBuf::from)
}

impl Call {
    fn wants_json(&self) -> bool {
        self.options
            .get_one::<String>("format")
            .is_some_and(|format| format == "json")
    }
}

/// A result as JSON.
fn json(value: &impl Serialize) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(value);
    text.map(|text| text + "\n").map_err(|error| Failure::Bug {
        what: "the result can't be written as JSON",
        source: error.into(),
    })
}

/// Writes a result to standard output.
fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(Failure::Output)
}

/// Runs a command's future on one thread: everything that waits, waits for others.
fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Bug {
            what: "the runtime can't be started",
            source: error.into(),
        })?;
    let result = tokio::task::LocalSet::new().block_on(&runtime, work);
    // A long key that is being made takes seconds: nobody waits for it any more.
    runtime.shutdown_background();
    result
}
