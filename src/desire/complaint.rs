use std::fmt;

use serde::{Deserialize, Serialize};

use crate::values::ContainerName;

/// Something written on a bearer that can't be followed, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Complaint {
    /// Whose it is.
    #[serde(rename = "container")]
    pub bearer: ContainerName,
    /// The label, prefix included; of a long one the beginning.
    pub label: String,
    /// What it says, of something long the beginning; empty where the complaint is about something that is missing.
    pub value: String,
    /// What is wrong.
    pub problem: String,
    /// What to do.
    pub remedy: String,
}

impl fmt::Display for Complaint {
    /// One line; values are escaped, so that no bearer can write into a terminal or forge a line of the log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "container {}, label {}",
            self.bearer,
            visible(&self.label)
        )?;
        if !self.value.is_empty() {
            write!(f, "={:?}", shortened(&self.value))?;
        }
        write!(f, ": {}; {}", visible(&self.problem), visible(&self.remedy))
    }
}

/// The text with everything escaped that is not seen, or that changes how the rest is seen.
pub fn visible(text: &str) -> String {
    text.chars()
        .map(|c| {
            if matches!(c, ' '..='~') {
                c.to_string()
            } else {
                c.escape_debug().to_string()
            }
        })
        .collect()
}

/// Long enough to be recognised, short enough for a line. What is shortened stays as it is when it is shortened again.
pub(super) fn shortened(value: &str) -> String {
    cut(value, 120)
}

/// A problem that repeats a value of any length, with its beginning.
pub(super) fn bounded(problem: &str) -> String {
    cut(problem, 300)
}

fn cut(text: &str, longest: usize) -> String {
    match text.char_indices().nth(longest) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_a_label_reaches_a_terminal_as_it_is() {
        let complaint = Complaint {
            bearer: ContainerName::parse("shop").expect("a name"),
            label: "quaymaster.host".to_owned(),
            value: format!("\u{1b}[2J\n{}", "x".repeat(500)),
            problem: "it is \u{7}\u{202e} wrong, ä".to_owned(),
            remedy: "write another".to_owned(),
        };
        let shown = complaint.to_string();
        assert!(
            shown.starts_with(r#"container shop, label quaymaster.host="\u{1b}[2J\nxxx"#),
            "{shown}"
        );
        assert!(shown.contains(r"it is \u{7}\u{202e} wrong, ä; "), "{shown}");
        assert!(!shown.contains(char::is_control), "{shown}");
        assert!(shown.chars().count() < 250, "{shown}");
    }
}
