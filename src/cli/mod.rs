//! From arguments to settings, from settings to ports, from ports to a command; one file a command, and exit codes.

mod health;
mod log;
mod once;
mod plan;
mod setup;
mod status;
mod table;
mod watch;

use std::{
    collections::BTreeMap,
    ffi::OsString,
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Arg, ArgMatches, Command, parser::ValueSource};

use crate::{
    adapters::disk,
    ports::{AuthorityError, DiskError, EngineError},
    render::TemplateError,
    report::chain,
    settings::{DefaultValue, SETTINGS, Settings, SettingsError, Written},
};

/// How the program ended, as scripts see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// A bug.
    Bug = 1,
    /// Wrong usage or settings.
    Usage = 2,
    /// Some subject failed, the rest was done.
    Partly = 3,
    /// The engine can't be reached.
    Engine = 4,
    /// The CA can't be reached.
    Authority = 5,
    /// Ended by Ctrl-C.
    Interrupted = 130,
}

/// Why a command could not do its work.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    #[error(transparent)]
    Disk(#[from] DiskError),
    #[error(transparent)]
    Template(#[from] TemplateError),
    #[error("{0}")]
    Usage(String),
    #[error("{what}")]
    Bug {
        what: &'static str,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("the output can't be written")]
    Output(#[source] io::Error),
}

impl Failure {
    fn exit(&self) -> Exit {
        match self {
            Self::Settings(_) | Self::Usage(_) | Self::Disk(_) => Exit::Usage,
            Self::Authority(AuthorityError::Terms { .. } | AuthorityError::Ours { .. }) => Exit::Usage,
            Self::Engine(EngineError::Address(_)) => Exit::Usage,
            Self::Template(_) => Exit::Partly,
            Self::Engine(_) => Exit::Engine,
            Self::Authority(_) => Exit::Authority,
            // Whoever reads us has seen enough, as with `quaymaster status | head`.
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Done,
            Self::Output(_) | Self::Bug { .. } => Exit::Bug,
        }
    }
}

/// What a command is given.
struct Call {
    settings: Settings,
    environment: BTreeMap<String, String>,
    options: ArgMatches,
}

/// Runs the program with these arguments and this environment.
pub fn run(
    arguments: impl IntoIterator<Item = OsString>,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> ExitCode {
    let matches = match command().try_get_matches_from(arguments) {
        Ok(matches) => matches,
        Err(error) => {
            let wanted = !error.use_stderr();
            // Nothing is left to tell it to when this fails.
            let _ = error.print();
            return code(if wanted { Exit::Done } else { Exit::Usage });
        }
    };
    // What is no Unicode is no setting of ours.
    let text = |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value.into_string().ok()?));
    let environment = environment.into_iter().filter_map(text).collect();
    match dispatch(&matches, environment) {
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

fn code(exit: Exit) -> ExitCode {
    ExitCode::from(exit as u8)
}

fn dispatch(matches: &ArgMatches, environment: BTreeMap<String, String>) -> Result<Exit, Failure> {
    let Some((name, options)) = matches.subcommand() else {
        return Err(Failure::Usage("name a command; `quaymaster --help` lists them".to_owned()));
    };
    let file = match options.get_one::<PathBuf>("config").cloned().or_else(|| config(&environment)) {
        Some(path) => Some((path.clone(), disk::text(&path)?)),
        None => None,
    };
    let flags = SETTINGS.iter().filter(|row| options.value_source(row.name) == Some(ValueSource::CommandLine));
    let flags = flags.filter_map(|row| Some((row.name, options.get_one::<String>(row.name)?.clone()))).collect();
    let (settings, strangers) = Settings::read(&Written { flags, environment: environment.clone(), file })?;
    log::begin(&settings, &environment)?;
    for name in strangers {
        tracing::warn!("the variable {name} is no setting of quaymaster, though it looks like one");
    }
    let call = Call { settings, environment, options: options.clone() };
    let found = COMMANDS.iter().find(|row| row.name == name);
    found.map_or(Err(Failure::Usage(format!("there is no command {name}"))), |row| (row.run)(&call))
}

fn config(environment: &BTreeMap<String, String>) -> Option<PathBuf> {
    environment.get("QUAYMASTER_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// A command: a row of the commands table.
struct CommandRow {
    name: &'static str,
    about: &'static str,
    has_format: bool,
    has_from: bool,
    run: fn(&Call) -> Result<Exit, Failure>,
}

const COMMANDS: &[CommandRow] = &[
    CommandRow {
        name: "watch",
        about: "Watch the engine and keep everything as the labels say, until SIGTERM. SIGHUP looks at everything again",
        has_format: false,
        has_from: false,
        run: watch::run,
    },
    CommandRow {
        name: "once",
        about: "Do what has to be done now, then exit; 3 when something failed or can't be followed",
        has_format: false,
        has_from: false,
        run: once::run,
    },
    CommandRow {
        name: "plan",
        about: "Show what would be done and why, as command plans; touches nothing",
        has_format: true,
        has_from: true,
        run: plan::run,
    },
    CommandRow {
        name: "status",
        about: "Show certificates, sites, consumers, complaints, and what is next",
        has_format: true,
        has_from: false,
        run: status::run,
    },
    CommandRow {
        name: "health",
        about: "Exit with 0 while the daemon turns, else with 3; for health checks",
        has_format: false,
        has_from: false,
        run: health::run,
    },
];

/// The command line, made from the tables.
fn command() -> Command {
    let mut command = Command::new("quaymaster")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Certificates for what your containers' labels name, in the proxy that you already run")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .arg(
            Arg::new("config")
                .long("config")
                .value_name("FILE")
                .value_parser(clap::value_parser!(PathBuf))
                .global(true)
                .help("settings as TOML [env: QUAYMASTER_CONFIG]"),
        );
    for row in SETTINGS {
        let default = match row.default {
            DefaultValue::Value(text) | DefaultValue::Words(text) => text,
        };
        let mut arg = Arg::new(row.name).long(row.name).value_name(row.value).global(true).help(format!(
            "{} [default: {default}] [env: {}]",
            row.doc,
            row.variable()
        ));
        if row.value == "BOOL" {
            // `--agree-tos` alone means yes.
            arg = arg.num_args(0..=1).require_equals(true).default_missing_value("true");
        }
        command = command.arg(arg);
    }
    for row in COMMANDS {
        let mut sub = Command::new(row.name).about(row.about);
        if row.has_format {
            sub = sub.arg(
                Arg::new("format")
                    .long("format")
                    .value_name("FORMAT")
                    .value_parser(["text", "json"])
                    .default_value("text")
                    .help("how the result is written"),
            );
        }
        if row.has_from {
            sub = sub.arg(
                Arg::new("from")
                    .long("from")
                    .value_name("FILE")
                    .value_parser(clap::value_parser!(PathBuf))
                    .help("ask no engine: read what `docker inspect` printed, from FILE or `-` for standard input"),
            );
        }
        command = command.subcommand(sub);
    }
    command
}

impl Call {
    fn wants_json(&self) -> bool {
        self.options.get_one::<String>("format").is_some_and(|format| format == "json")
    }
}

/// Writes a result to standard output.
fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(Failure::Output)
}

/// Runs a command's future on one thread: everything that waits, waits for others.
fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Bug { what: "the runtime can't be started", source: error.into() })?;
    tokio::task::LocalSet::new().block_on(&runtime, work)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        command().debug_assert();
    }
}
