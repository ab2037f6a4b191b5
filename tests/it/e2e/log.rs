//! The log of quaymaster, read as a machine reads it: events by name.

use serde_json::Value;

use super::{docker::wait, stack::SOON};

/// A line of the log.
#[derive(Clone, Debug)]
pub struct Line {
    /// When it was written; empty where the line is none.
    pub at: String,
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
        let at = of("timestamp").unwrap_or_default();
        Line {
            at,
            event: of("event").unwrap_or_default(),
            words: of("message").unwrap_or_else(|| text.to_owned()),
        }
    };
    text.lines().map(line).collect()
}

/// Number of times that an event happened.
pub fn count(lines: &[Line], event: &str) -> usize {
    lines.iter().filter(|line| line.event == event).count()
}

/// Those of an event whose words hold a piece of text.
pub fn about<'a>(lines: &'a [Line], event: &str, piece: &str) -> Vec<&'a Line> {
    lines
        .iter()
        .filter(|line| line.event == event && line.words.contains(piece))
        .collect()
}

/// Waits for an event whose words hold a piece of text.
#[track_caller]
pub fn wait_for(log: impl Fn() -> Vec<Line>, event: &str, piece: &str) -> Line {
    wait(SOON, &format!("the event {event} about {piece:?}"), || {
        let lines = log();
        let found = about(&lines, event, piece)
            .first()
            .map(|line| (*line).clone());
        found.ok_or_else(|| format!("{:?}", lines.last()))
    })
}
