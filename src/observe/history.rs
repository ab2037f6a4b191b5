use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::values::Timestamp;

/// Something that has happened, as it is kept to be looked up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// When.
    pub at: Timestamp,
    /// The event's name.
    pub event: String,
    /// How much it matters: `error`, `warning` or `info`.
    pub level: String,
    /// Certificates, hosts and containers that it is about.
    pub names: Vec<String>,
    /// The event in words.
    pub text: String,
}

/// What is said at the beginning of words that tell the end of something.
const OVER: &str = "resolved: ";

/// Entries that are kept of one name.
pub const MOST_ENTRIES: usize = 100;

impl HistoryEntry {
    /// The matter that it tells a state of: a start tells anew what is so.
    fn matter(&self) -> (&str, &str) {
        match self.event.as_str() {
            "site-seen" | "site-kept" | "site-gone" => ("site", ""),
            event => {
                let group = event.strip_suffix("-over").unwrap_or(event);
                (group, self.text.strip_prefix(OVER).unwrap_or(&self.text))
            }
        }
    }

    /// The entries of one name without those that say again what was said last of their matter, as a start does; at most so
    /// many, the latest.
    pub fn told(entries: Vec<Self>, most: usize) -> Vec<Self> {
        let (mut last, mut seen) = (BTreeMap::new(), BTreeSet::new());
        let mut told: Vec<Self> = Vec::new();
        for entry in entries {
            // One that is read while files are put together is read twice.
            if !seen.insert((entry.at, entry.event.clone(), entry.text.clone())) {
                continue;
            }
            let (group, about) = entry.matter();
            let matter = (group.to_owned(), about.to_owned());
            let state = (entry.event.clone(), entry.text.clone());
            if last.get(&matter) != Some(&state) {
                last.insert(matter, state);
                told.push(entry);
            }
        }
        told.split_off(told.len().saturating_sub(most))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(second: i64, event: &str, text: &str) -> HistoryEntry {
        HistoryEntry {
            at: Timestamp::from_seconds(second),
            event: event.to_owned(),
            level: "info".to_owned(),
            names: Vec::new(),
            text: text.to_owned(),
        }
    }

    fn seconds(entries: Vec<HistoryEntry>, most: usize) -> Vec<i64> {
        let told = HistoryEntry::told(entries, most);
        told.iter().map(|entry| entry.at.millis() / 1000).collect()
    }

    #[test]
    fn what_a_start_tells_anew_is_told_once_and_what_comes_back_is_told_again() {
        let entries = vec![
            entry(1, "site-seen", "a is served"),
            entry(2, "complaint", "no port"),
            entry(3, "site-seen", "a is served"),
            entry(4, "complaint", "no port"),
            entry(5, "complaint-over", "resolved: no port"),
            entry(6, "site-gone", "a is gone"),
            entry(7, "site-seen", "a is served"),
            entry(8, "complaint", "no port"),
            entry(9, "complaint", "no host"),
            entry(10, "complaint", "no port"),
        ];
        assert_eq!(seconds(entries.clone(), 100), [1, 2, 5, 6, 7, 8, 9]);
        assert_eq!(seconds(entries, 2), [8, 9]);
    }
}
