//! The tables that people look things up in, made of the program's rows: for the command `reference` and the pages in `docs`.

use std::fmt::Write;

use serde_json::{Map, Value};

use super::{Call, Exit, Failure, commands::COMMANDS, exit::EXITS, print};
use crate::{
    desire::{DIALECTS, KINDS, LABELS},
    render::{BUILT_IN, FILTERS, fields, lenient_fields},
    report::metrics::{METRICS, MetricRow},
    settings::{
        CA_SETTINGS, DNS_SETTINGS, DefaultValue, ENGINE_SETTINGS, NOTIFY_SETTINGS, OUTPUT_SETTINGS,
        SETTINGS,
    },
    values::{
        CA_PRESETS, DNS_PROVIDERS, DnsProvider, LAYOUTS, LayoutRow, NEWS_EVENTS, NOTIFY_FORMATS,
        NewsEvent, NotifyFormat,
    },
};

/// A table to look things up in.
pub struct Table {
    /// The word by which the command knows it.
    pub name: &'static str,
    /// The title of the list.
    pub title: &'static str,
    columns: &'static [&'static str],
    rows: Vec<Vec<Cell>>,
}

/// The content of a cell in a table.
enum Cell {
    /// To be written as it is.
    Code(String),
    /// Words; what stands between backticks in them is to be written as it is.
    Words(String),
}

/// A table in the making.
struct Source {
    name: &'static str,
    title: &'static str,
    columns: &'static [&'static str],
    rows: fn() -> Vec<Vec<Cell>>,
}

const SOURCES: &[Source] = &[
    Source {
        name: "labels",
        title: "Labels",
        columns: &["label", "example", "meaning"],
        rows: labels,
    },
    Source {
        name: "settings",
        title: "Settings",
        columns: &["setting", "default", "meaning"],
        rows: settings,
    },
    Source {
        name: "kinds",
        title: "Kinds of servers",
        columns: &[
            "kind",
            "what it is",
            "folder",
            "layout",
            "reload",
            "check, where granted",
            "ports looked at",
        ],
        rows: kinds,
    },
    Source {
        name: "layouts",
        title: "Layouts of certificates",
        columns: &["layout", "whose", "files"],
        rows: layouts,
    },
    Source {
        name: "cas",
        title: "CAs",
        columns: &["ca", "what it is", "directory", "limits"],
        rows: cas,
    },
    Source {
        name: "ca-settings",
        title: "Settings of one CA",
        columns: &["key", "default", "meaning"],
        rows: || CA_SETTINGS.iter().map(setting).collect(),
    },
    Source {
        name: "engine-settings",
        title: "Settings of a further engine",
        columns: &["key", "default", "meaning"],
        rows: || ENGINE_SETTINGS.iter().map(setting).collect(),
    },
    Source {
        name: "dns-settings",
        title: "Settings of one way to set DNS records",
        columns: &["key", "default", "meaning"],
        rows: || DNS_SETTINGS.iter().map(setting).collect(),
    },
    Source {
        name: "dns-providers",
        title: "Ways to set DNS records",
        columns: &["provider", "needs", "takes", "what it is"],
        rows: dns_providers,
    },
    Source {
        name: "notify-settings",
        title: "Settings of one receiver of news",
        columns: &["key", "default", "meaning"],
        rows: || NOTIFY_SETTINGS.iter().map(setting).collect(),
    },
    Source {
        name: "notify-formats",
        title: "Formats of news",
        columns: &["format", "needs", "what it is"],
        rows: notify_formats,
    },
    Source {
        name: "notify-events",
        title: "Events that can be sent",
        columns: &["event", "group", "its end", "meaning"],
        rows: notify_events,
    },
    Source {
        name: "output-settings",
        title: "Settings of one output",
        columns: &["key", "default", "meaning"],
        rows: || OUTPUT_SETTINGS.iter().map(setting).collect(),
    },
    Source {
        name: "dialects",
        title: "Labels of other tools",
        columns: &["dialect", "label", "here", "whose"],
        rows: dialects,
    },
    Source {
        name: "metrics",
        title: "Metrics",
        columns: &["metric", "kind", "labels", "meaning"],
        rows: metrics,
    },
    Source {
        name: "filters",
        title: "Filters of templates",
        columns: &["filter", "does", "example"],
        rows: filters,
    },
    Source {
        name: "templates",
        title: "Built-in templates",
        columns: &["template", "for"],
        rows: templates,
    },
    Source {
        name: "view",
        title: "What templates see",
        columns: &["of", "name", "type", "meaning"],
        rows: view,
    },
    Source {
        name: "commands",
        title: "Commands",
        columns: &["command", "does"],
        rows: commands,
    },
    Source {
        name: "exits",
        title: "Exit codes",
        columns: &["exit", "meaning"],
        rows: exits,
    },
];

/// The names of all tables and built-in templates.
pub(super) fn names() -> Vec<&'static str> {
    SOURCES
        .iter()
        .map(|source| source.name)
        .chain(BUILT_IN.iter().map(|row| row.name))
        .collect()
}

/// All tables, in the order in which people need them.
pub fn tables() -> Vec<Table> {
    let made = |source: &Source| Table {
        name: source.name,
        title: source.title,
        columns: source.columns,
        rows: (source.rows)(),
    };
    SOURCES.iter().map(made).collect()
}

pub(super) fn run(call: &Call) -> Result<Exit, Failure> {
    let wanted = call.options.get_one::<String>("name");
    let format = call.options.get_one::<String>("format").map(String::as_str);
    if let Some(template) = BUILT_IN
        .iter()
        .find(|row| wanted.is_some_and(|name| name == row.name))
    {
        let is_text = format.is_none_or(|format| format == "text");
        let refusal =
            || Failure::Usage("a template is printed as it is; leave --format out".to_owned());
        is_text.then_some(()).ok_or_else(refusal)?;
        print(template.text)?;
        return Ok(Exit::Done);
    }
    let tables: Vec<_> = tables()
        .into_iter()
        .filter(|table| wanted.is_none_or(|name| name == table.name))
        .collect();
    let text = match format {
        Some("json") => {
            let document: Map<_, _> = tables
                .iter()
                .map(|table| (table.name.to_owned(), table.json()))
                .collect();
            format!("{:#}\n", Value::Object(document))
        }
        Some("markdown") => joined(&tables, |table| {
            format!("## {}\n\n{}", table.title, table.markdown())
        }),
        _ => joined(&tables, Table::text),
    };
    print(&text)?;
    Ok(Exit::Done)
}

fn joined(tables: &[Table], write: impl Fn(&Table) -> String) -> String {
    tables.iter().map(write).collect::<Vec<_>>().join("\n")
}

impl Table {
    /// As a table of Markdown.
    pub fn markdown(&self) -> String {
        let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
        let head = line(
            self.columns
                .iter()
                .map(|column| (*column).to_owned())
                .collect(),
        );
        let rows = self
            .rows
            .iter()
            .map(|row| line(row.iter().map(Cell::markdown).collect()));
        format!(
            "{head}|{}\n{}",
            " --- |".repeat(self.columns.len()),
            rows.collect::<String>()
        )
    }

    /// For a terminal or a pager: each row as its first cell and the others below it, since meanings are long.
    fn text(&self) -> String {
        let mut text = format!("{}\n", self.title.to_uppercase());
        for row in &self.rows {
            let mut cells = self.columns.iter().zip(row);
            let first = cells
                .next()
                .map(|(_, cell)| cell.bare())
                .unwrap_or_default();
            let _ = writeln!(text, "\n  {first}");
            for (column, cell) in cells.filter(|(_, cell)| !cell.bare().is_empty()) {
                let _ = writeln!(text, "      {column}: {}", cell.bare());
            }
        }
        text
    }

    fn json(&self) -> Value {
        let row = |row: &Vec<Cell>| {
            let cells = self
                .columns
                .iter()
                .zip(row)
                .map(|(column, cell)| ((*column).to_owned(), cell.bare().into()));
            Value::Object(cells.collect())
        };
        self.rows.iter().map(row).collect()
    }
}

impl Cell {
    fn bare(&self) -> &str {
        match self {
            Self::Code(text) | Self::Words(text) => text,
        }
    }

    fn markdown(&self) -> String {
        let text = self.bare().replace('|', "\\|");
        match self {
            Self::Code(_) => format!("`{text}`"),
            Self::Words(_) => text,
        }
    }
}

fn code(text: impl Into<String>) -> Cell {
    Cell::Code(text.into())
}

fn words(text: impl Into<String>) -> Cell {
    Cell::Words(text.into())
}

fn labels() -> Vec<Vec<Cell>> {
    let row = |row: &crate::desire::LabelRow| {
        let meaning = format!("{}: {}. Default: {}", row.syntax, row.doc, row.default);
        vec![
            code(format!("quaymaster.{}", row.key)),
            code(row.example),
            words(meaning),
        ]
    };
    LABELS.iter().map(row).collect()
}

fn settings() -> Vec<Vec<Cell>> {
    SETTINGS.iter().map(setting).collect()
}

fn dns_providers() -> Vec<Vec<Cell>> {
    let row = |row: &DnsProvider| {
        vec![
            code(row.name),
            words(row.needs.join(", ")),
            words(row.takes.join(", ")),
            words(row.doc),
        ]
    };
    DNS_PROVIDERS.iter().map(row).collect()
}

fn notify_formats() -> Vec<Vec<Cell>> {
    let row = |row: &NotifyFormat| {
        let url = row.url.map_or("url", |_| "");
        let needs = [url].into_iter().filter(|url| !url.is_empty());
        let needs: Vec<_> = needs.chain(row.needs.iter().copied()).collect();
        vec![code(row.name), words(needs.join(", ")), words(row.doc)]
    };
    NOTIFY_FORMATS.iter().map(row).collect()
}

fn notify_events() -> Vec<Vec<Cell>> {
    let row = |row: &NewsEvent| {
        vec![
            code(row.name),
            words(row.group),
            row.over.map_or_else(|| words("none"), code),
            words(row.doc),
        ]
    };
    NEWS_EVENTS.iter().map(row).collect()
}

fn setting<T>(row: &crate::settings::SettingRow<T>) -> Vec<Cell> {
    let default = match row.default {
        DefaultValue::Value(value) => code(value),
        DefaultValue::Words(text) => words(text),
    };
    vec![code(row.name), default, words(row.doc)]
}

fn kinds() -> Vec<Vec<Cell>> {
    let row = |row: &crate::desire::Kind| {
        let by_label = |word: &str| words(format!("as the label `{word}` says"));
        let folder = row.proxy.as_ref().map(|proxy| proxy.config);
        let of_helper = row.helper.map(|helper| helper.config);
        let folder = folder.or(row.files).or(of_helper);
        let probes = match row.probes {
            [] if row.proxy.is_some() => words("those of its sites"),
            [] if row.helper.is_some() => words("none"),
            [] => by_label("probe"),
            _ => words(ports_of(row)),
        };
        vec![
            code(row.name),
            words(row.doc),
            folder.map_or_else(|| by_label("files"), code),
            code(row.layout),
            words(row.reload.to_string()),
            match row.check {
                [] => words("none"),
                check => code(check.join(" ")),
            },
            probes,
        ]
    };
    KINDS.iter().map(row).collect()
}

fn ports_of(row: &crate::desire::Kind) -> String {
    let at_start = row.probes_at_start.iter();
    let at_start = at_start.map(|port| format!("{port} (read when it starts)"));
    let ports = row.probes.iter().map(ToString::to_string);
    ports.chain(at_start).collect::<Vec<_>>().join(", ")
}

fn layouts() -> Vec<Vec<Cell>> {
    let row = |row: &LayoutRow| {
        let files = row.files().map(|(file, piece)| format!("`{file}` {piece}"));
        let files = words(files.collect::<Vec<_>>().join(", "));
        vec![code(row.name), words(row.doc), files]
    };
    LAYOUTS.iter().map(row).collect()
}

fn cas() -> Vec<Vec<Cell>> {
    let row = |row: &crate::values::CaPreset| {
        let limits = words(row.limits.to_string());
        vec![code(row.name), words(row.what), code(row.directory), limits]
    };
    CA_PRESETS.iter().map(row).collect()
}

fn dialects() -> Vec<Vec<Cell>> {
    let each = DIALECTS.iter().flat_map(|row| {
        let labels = row.labels.iter();
        labels.map(|label| {
            vec![
                code(row.name),
                code(label.label),
                code(label.here()),
                words(row.doc),
            ]
        })
    });
    each.collect()
}

fn metrics() -> Vec<Vec<Cell>> {
    let row = |row: &MetricRow| {
        let only = row
            .set
            .map(|set| format!(". Only with metrics-also={}", set.word()));
        let labels = match row.labels {
            [] => "none".to_owned(),
            labels => labels.join(", "),
        };
        vec![
            code(row.name),
            words(row.kind.word()),
            words(labels),
            words(format!("{}{}", row.doc, only.unwrap_or_default())),
        ]
    };
    METRICS.iter().map(row).collect()
}

fn filters() -> Vec<Vec<Cell>> {
    FILTERS
        .iter()
        .map(|row| vec![code(row.name), words(row.doc), code(row.example)])
        .collect()
}

fn templates() -> Vec<Vec<Cell>> {
    BUILT_IN
        .iter()
        .map(|row| vec![code(row.name), words(row.doc)])
        .collect()
}

fn view() -> Vec<Vec<Cell>> {
    let row = |row: crate::render::FieldRow| {
        vec![
            words(row.of),
            code(row.name),
            words(row.kind),
            words(row.doc),
        ]
    };
    fields()
        .into_iter()
        .chain(lenient_fields())
        .map(row)
        .collect()
}

fn commands() -> Vec<Vec<Cell>> {
    COMMANDS
        .iter()
        .map(|row| vec![code(format!("quaymaster {}", row.name)), words(row.about)])
        .collect()
}

fn exits() -> Vec<Vec<Cell>> {
    EXITS
        .iter()
        .map(|row| vec![words((row.exit as u8).to_string()), words(row.meaning)])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_has_a_cell_for_each_column_and_tells_something_in_it() {
        for table in tables() {
            assert!(!table.rows.is_empty(), "{}", table.name);
            for row in &table.rows {
                assert_eq!(row.len(), table.columns.len(), "{}", table.name);
                assert!(
                    row.iter().all(|cell| !cell.bare().is_empty()),
                    "{}: {}",
                    table.name,
                    row[0].bare()
                );
            }
        }
    }

    #[test]
    fn one_table_reads_the_same_in_all_three_ways() {
        let rows = || vec![vec![code("a|b"), words("what `a|b` is")]];
        let table = Table {
            name: "t",
            title: "Things",
            columns: &["thing", "meaning"],
            rows: rows(),
        };
        assert_eq!(
            table.markdown(),
            "| thing | meaning |\n| --- | --- |\n| `a\\|b` | what `a\\|b` is |\n"
        );
        assert_eq!(
            table.text(),
            "THINGS\n\n  a|b\n      meaning: what `a|b` is\n"
        );
        assert_eq!(
            table.json().to_string(),
            r#"[{"meaning":"what `a|b` is","thing":"a|b"}]"#
        );
    }
}
