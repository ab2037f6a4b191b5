use std::{
    collections::BTreeMap,
    io::{self, IsTerminal},
};

use tracing::{Level, level_filters::LevelFilter};
use tracing_subscriber::{filter::Targets, fmt, prelude::*};

use super::{Failure, progress::ProgressLines, terminal::refuses_colour};
use crate::settings::{Settings, SettingsError};

/// Sends the log to standard error, as the settings say.
pub(super) fn begin(
    settings: &Settings,
    environment: &BTreeMap<String, String>,
    progress: &ProgressLines,
) -> Result<(), Failure> {
    let wrong = |problem: String| SettingsError::Value {
        origin: format!("log={:?}", settings.log),
        problem,
        syntax: "FILTER",
        example: "info,quaymaster::adapters=debug",
    };
    let filter: Targets = settings
        .log
        .parse()
        .map_err(|error| wrong(format!("{error}")))?;
    // At debug this library writes whole answers of the engine, with the secrets in containers' environments.
    let filter = filter.with_target("bollard", Level::INFO);
    // What this one meets while it watches is told in our words, where it matters.
    let filter = filter.with_target("notify", LevelFilter::OFF);
    let registry = tracing_subscriber::registry().with(filter);
    let layer = fmt::layer()
        .with_writer(progress.clone())
        .with_target(false);
    let colours = io::stderr().is_terminal() && !refuses_colour(environment);
    let begun = match settings.log_json {
        true => registry.with(layer.json().flatten_event(true)).try_init(),
        false => registry.with(layer.with_ansi(colours)).try_init(),
    };
    begun.map_err(|error| Failure::Bug {
        what: "the log can't be started",
        source: error.into(),
    })
}
