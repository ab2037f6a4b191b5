//! The filters of templates, and the rule for what templates may print. A number or a plain word prints as it is;
//! anything else must go through `quote` (for nginx) or `words` (for command plans), which mark their results as safe
//! to print. `safe` is no way round.

use minijinja::{
    AutoEscape, Environment, Error, ErrorKind, Output, State,
    value::{Value, ValueKind},
};

/// A filter of ours: a row of the table of filters. minijinja's own can be used, too.
pub struct FilterRow {
    /// Its name.
    pub name: &'static str,
    /// The effect, in words.
    pub doc: &'static str,
    /// An example of its use.
    pub example: &'static str,
    add: fn(&mut Environment<'static>),
}

/// Every filter of ours.
pub const FILTERS: &[FilterRow] = &[
    FilterRow {
        name: "quote",
        doc: "a text as one quoted parameter of nginx; an error where it has a `$` or a line break, which nginx can't quote",
        example: "{{ \"Staff only\" | quote }}",
        add: |environment| environment.add_filter("quote", quote),
    },
    FilterRow {
        name: "words",
        doc: "a list of words on one line, quoted as a shell would read them back; for command plans",
        example: "{{ [\"write\", \"a file\"] | words }}",
        add: |environment| environment.add_filter("words", words),
    },
    FilterRow {
        name: "comment",
        doc: "a text for the rest of a line that is a comment; an error where it has a line break",
        example: "# {{ \"renewal due\" | comment }}",
        add: |environment| environment.add_filter("comment", comment),
    },
];

pub(super) fn install(environment: &mut Environment<'static>) {
    environment.set_auto_escape_callback(|_| AutoEscape::Custom("strict".into()));
    environment.set_formatter(print);
    FILTERS.iter().for_each(|row| (row.add)(environment));
    // These declare any text to be safe, which here only quoting can do.
    for name in ["safe", "escape", "e"] {
        environment.remove_filter(name);
    }
}

fn refusal(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, what.into())
}

/// Characters that mean nothing to nginx, haproxy, mosquitto, postfix or a shell, wherever they stand in a word.
fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_./:@%+=,~*^-[]".contains(c)
}

fn print(out: &mut Output<'_>, _: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    let refused = match value.kind() {
        ValueKind::Number => None,
        ValueKind::String if value.is_safe() => None,
        ValueKind::String => match value.as_str().unwrap_or_default() {
            "" => Some("an empty text"),
            text if text.chars().all(is_plain) => None,
            _ => {
                Some("a text with characters that may mean something to the target; use `| quote`")
            }
        },
        ValueKind::Undefined => Some("a name that does not exist"),
        ValueKind::None => Some("nothing (none)"),
        ValueKind::Bool => Some("a truth value"),
        _ => Some("a list or a map"),
    };
    match refused {
        Some(what) => Err(refusal(format!("this would print {what}"))),
        None => out
            .write_str(&value.to_string())
            .map_err(|_| refusal("the output can't be written")),
    }
}

/// A text as one quoted nginx parameter. nginx has no escape for `$` there, and a line break would end a comment.
fn quote(text: &str) -> Result<Value, Error> {
    // nginx refuses a parameter longer than its buffer of 4096 bytes.
    const LONGEST: usize = 4000;
    if let Some(c) = text.chars().find(|c| *c == '$' || c.is_control()) {
        return Err(refusal(format!(
            "a text with {c:?} can't be written in an nginx configuration"
        )));
    }
    if text.len() > LONGEST {
        return Err(refusal(format!(
            "a text of {} bytes is too long for nginx, which takes {LONGEST}",
            text.len()
        )));
    }
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
    Ok(Value::from_safe_string(format!("\"{escaped}\"")))
}

/// A list of words as a shell would read them back.
fn words(list: Vec<String>) -> Result<Value, Error> {
    let line = shell_words::join(&list);
    match line.chars().find(|c| c.is_control()) {
        Some(c) => Err(refusal(format!(
            "a word with {c:?} can't stand on a line of a command plan"
        ))),
        None => Ok(Value::from_safe_string(line)),
    }
}

/// A text for the rest of a line that is a comment already.
fn comment(text: &str) -> Result<Value, Error> {
    match text.chars().find(|c| c.is_control()) {
        Some(c) => Err(refusal(format!(
            "a text with {c:?} can't stand in a comment of one line"
        ))),
        None => Ok(Value::from_safe_string(text.to_owned())),
    }
}
