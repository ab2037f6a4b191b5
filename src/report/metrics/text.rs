//! Metrics as text, family by family. Not by a library: one would write all of them at once, and with thousands of
//! certificates that takes longer than a turn may be late.
//!
//! <https://prometheus.io/docs/specs/om/open_metrics_spec/>

use std::fmt::Write;

/// The media type of the text.
pub const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The end of the text, so that a text that was cut off is recognised.
pub(super) const END: &str = "# EOF\n";

/// The kind of a metric's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// One that goes up and down.
    Gauge,
    /// One that only goes up.
    Counter,
    /// Labels alone.
    Info,
    /// Counts by size.
    Histogram,
}

impl MetricKind {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Counter => "counter",
            Self::Info => "info",
            Self::Histogram => "histogram",
        }
    }

    /// The ending of the names of its numbers.
    fn ending(self) -> &'static str {
        match self {
            Self::Gauge | Self::Histogram => "",
            Self::Counter => "_total",
            Self::Info => "_info",
        }
    }
}

/// The numbers of a metric, as they are written.
pub(super) struct Samples {
    name: &'static str,
    kind: MetricKind,
    text: String,
}

impl Samples {
    pub fn new(name: &'static str, kind: MetricKind) -> Self {
        let text = String::new();
        Self { name, kind, text }
    }

    /// Begins the metric with what it is.
    pub fn begin(&mut self, doc: &str) {
        let (name, kind) = (self.name, self.kind.word());
        let _ = write!(self.text, "# TYPE {name} {kind}\n# HELP {name} ");
        push_escaped(&mut self.text, doc);
        self.text.push('\n');
    }

    /// A number with its labels.
    pub fn add(&mut self, labels: &[(&str, &str)], value: f64) {
        self.add_ending_with(self.kind.ending(), labels, value);
    }

    /// A number whose name has another ending.
    pub fn add_ending_with(&mut self, ending: &str, labels: &[(&str, &str)], value: f64) {
        let text = &mut self.text;
        text.push_str(self.name);
        text.push_str(ending);
        for (place, (label, word)) in labels.iter().enumerate() {
            text.push(if place == 0 { '{' } else { ',' });
            text.push_str(label);
            text.push_str("=\"");
            push_escaped(text, word);
            text.push('"');
        }
        let end = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(text, "{end} {value}");
    }

    /// The text until now; the next begins behind it.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.text).into_bytes()
    }
}

/// Adds a word, with an escape for each character that would end a word or a line.
fn push_escaped(text: &mut String, word: &str) {
    for c in word.chars() {
        match c {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            c => text.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_leaves_neither_its_quotes_nor_its_line() {
        let mut samples = Samples::new("q_things", MetricKind::Counter);
        samples.begin("How \"many\".");
        samples.add(&[("of", "a\"} 1\nb\\"), ("and", "ä")], 3.0);
        samples.add(&[], 1_800_000_000.5);
        let text = String::from_utf8(samples.take()).expect("it is text");
        assert_eq!(
            text,
            "# TYPE q_things counter\n# HELP q_things How \\\"many\\\".\n\
             q_things_total{of=\"a\\\"} 1\\nb\\\\\",and=\"ä\"} 3\nq_things_total 1800000000.5\n"
        );
    }
}
