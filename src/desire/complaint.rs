use std::fmt;

use serde::{Deserialize, Serialize};

use crate::values::ContainerName;

/// The label that something comes from, for complaints about it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Origin {
    /// The bearer with the label; where it is a setting, the oldest that makes use of it.
    #[serde(rename = "container")]
    pub bearer: ContainerName,
    /// The whole label, or the setting; of a long one the beginning.
    pub label: Box<str>,
    /// Its text, of something long the beginning; empty where nothing is written.
    #[serde(rename = "value")]
    pub text: Box<str>,
    /// The beginning of our own labels about the same, where this label is another tool's.
    #[serde(skip)]
    ours: Option<Box<str>>,
}

impl Origin {
    /// Takes what is written where, and shortens it.
    pub fn new(bearer: &ContainerName, label: &str, text: &str) -> Self {
        Self {
            bearer: bearer.clone(),
            label: shortened(label).into(),
            text: shortened(text).into(),
            ours: None,
        }
    }

    /// Where it is written, for people.
    pub fn place(&self) -> String {
        let label = visible(&self.label);
        match self.bearer.is_settings() {
            true => label,
            false => format!("container {}, label {label}", self.bearer),
        }
    }

    /// Another tool's label; our own about the same begin with `start`.
    pub(super) fn beside_ours(mut self, start: &str) -> Self {
        self.ours = Some(start.into());
        self
    }

    /// The name of another label of ours about the same thing.
    pub fn beside(&self, key: &str) -> String {
        let of_label = || self.label.rfind('.').map_or("", |dot| &self.label[..=dot]);
        let start = self.ours.as_deref().unwrap_or_else(of_label);
        format!("{start}{key}")
    }

    /// A complaint about what is written there.
    pub fn complains(self, problem: impl Into<String>, remedy: impl Into<String>) -> Complaint {
        Complaint {
            origin: self,
            problem: problem.into(),
            remedy: remedy.into(),
        }
    }
}

/// Something written on a bearer that can't be followed, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Complaint {
    /// The label that it is about.
    #[serde(flatten)]
    pub origin: Origin,
    /// The problem, in words.
    pub problem: String,
    /// The remedy, in words.
    pub remedy: String,
}

impl fmt::Display for Complaint {
    /// One line; values are escaped, so that no bearer can write into a terminal or forge a line of the log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.origin.place())?;
        let text = &self.origin.text;
        if !text.is_empty() {
            write!(f, "={text:?}")?;
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
        let shop = ContainerName::parse("shop").expect("a name");
        let text = format!("\u{1b}[2J\n{}", "x".repeat(500));
        let origin = Origin::new(&shop, "quaymaster.host", &text);
        let complaint = origin.complains("it is \u{7}\u{202e} wrong, ä", "write another");
        let shown = complaint.to_string();
        assert!(
            shown.starts_with(r#"container shop, label quaymaster.host="\u{1b}[2J\nxxx"#),
            "{shown}"
        );
        assert!(shown.contains(r"it is \u{7}\u{202e} wrong, ä; "), "{shown}");
        assert!(!shown.contains(char::is_control), "{shown}");
        assert!(shown.chars().count() < 250, "{shown}");
    }

    #[test]
    fn a_complaint_is_written_flat_and_read_again() {
        let shop = ContainerName::parse("shop").expect("a name");
        let complaint = Origin::new(&shop, "q.host", "x").complains("it is wrong", "write y");
        let text = serde_json::to_string(&complaint).expect("it is written");
        let flat = r#"{"container":"shop","label":"q.host","value":"x","problem":"it is wrong","remedy":"write y"}"#;
        assert_eq!(text, flat);
        assert_eq!(
            serde_json::from_str::<Complaint>(flat).expect("it is read"),
            complaint
        );
    }

    #[test]
    fn a_label_beside_another_has_the_same_beginning() {
        let shop = ContainerName::parse("shop").expect("a name");
        for (label, beside) in [
            ("quaymaster.kind", "quaymaster.owner"),
            ("my.words.kind", "my.words.owner"),
            ("quaymaster.site.x.host", "quaymaster.site.x.owner"),
        ] {
            assert_eq!(Origin::new(&shop, label, "").beside("owner"), beside);
        }
    }
}
