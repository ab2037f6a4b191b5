//! The log of quaymaster, read as a machine reads it: events by name.

use serde_json::Value;

/// A line of the log.
#[derive(Clone, Debug)]
pub struct Line {
    /// The event's name; empty where the line is none.
    pub event: String,
    /// Its words, for people: only to be shown, or searched for names of things.
    pub words: String,
}

/// Every line, in order. Lines that are no JSON are an end that was told plainly, or a panic.
pub fn lines(text: &str) -> Vec<Line> {
    let line = |text: &str| {
        let value: Value = serde_json::from_str(text).unwrap_or_default();
        let of = |key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
        Line { event: of("event").unwrap_or_default(), words: of("message").unwrap_or_else(|| text.to_owned()) }
    };
    text.lines().map(line).collect()
}

/// How many there are of an event.
pub fn count(lines: &[Line], event: &str) -> usize {
    lines.iter().filter(|line| line.event == event).count()
}

/// Those of an event whose words hold a piece of text.
pub fn about<'a>(lines: &'a [Line], event: &str, piece: &str) -> Vec<&'a Line> {
    lines.iter().filter(|line| line.event == event && line.words.contains(piece)).collect()
}
