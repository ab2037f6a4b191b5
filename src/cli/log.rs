use std::{
    collections::BTreeMap,
    fmt::Error,
    io::{self, IsTerminal},
};

use tracing::{Level, Subscriber, level_filters::LevelFilter};
use tracing_subscriber::{
    filter::Targets,
    fmt::{
        self, FmtContext, FormatEvent, FormatFields,
        format::{Format, Json, Writer},
    },
    prelude::*,
    registry::LookupSpan,
};

use super::{Failure, progress::ProgressLines, terminal::refuses_colour};
use crate::{
    report::read_logged,
    settings::{Settings, SettingsError},
};

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
    // What a DNS server sends that is no answer to a question of ours is told with the question, if it matters.
    let filter = filter.with_target("hickory_net", LevelFilter::OFF);
    let registry = tracing_subscriber::registry().with(filter);
    let layer = fmt::layer()
        .with_writer(progress.clone())
        .with_target(false);
    let colours = io::stderr().is_terminal() && !refuses_colour(environment);
    let begun = match settings.log_json {
        true => {
            let layer = layer.json().flatten_event(true);
            registry.with(layer.map_event_format(JsonLines)).try_init()
        }
        false => registry.with(layer.with_ansi(colours)).try_init(),
    };
    begun.map_err(|error| Failure::Bug {
        what: "the log can't be started",
        source: error.into(),
    })
}

/// Lines of JSON, each with the fields of the event that it comes from.
struct JsonLines(Format<Json>);

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &tracing::Event<'_>,
    ) -> Result<(), Error> {
        let Some(fields) = read_logged(|event| event.map(serde_json::to_string)) else {
            return self.0.format_event(context, writer, event);
        };
        let fields = in_ascii(&fields.map_err(|_| Error)?);
        let mut line = String::new();
        self.0
            .format_event(context, Writer::new(&mut line), event)?;
        // The object is open again, and has one member more.
        let members = line.trim_end().strip_suffix('}').ok_or(Error)?;
        writeln!(writer, "{members},\"fields\":{fields}}}")
    }
}

/// The same JSON in visible ASCII: what a container has in its labels must not write into a terminal.
fn in_ascii(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            ' '..='~' => text.push(c),
            _ => {
                let units = c.encode_utf16(&mut [0; 2]).to_vec();
                text.extend(units.iter().map(|unit| format!("\\u{unit:04x}")));
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_hold_what_a_label_says_and_do_nothing_to_a_terminal() {
        let said = "\u{1b}[2J \u{9b}2J \u{202e} \u{7f} ä 🦀 \"\\\n";
        let json = serde_json::to_string(said).expect("it is a text");
        let written = in_ascii(&json);
        assert!(written.chars().all(|c| matches!(c, ' '..='~')), "{written}");
        let read: String = serde_json::from_str(&written).expect("it is still JSON");
        assert_eq!(read, said);
    }
}
