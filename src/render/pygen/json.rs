//! JSON as Jinja2 writes it: names in their order by alphabet, what means something to HTML escaped.

use std::fmt::Write;

use minijinja::{
    Error, ErrorKind,
    value::{Kwargs, Value, ValueKind},
};

/// The filter `tojson`.
pub(super) fn tojson(value: &Value, indent: Option<usize>, named: Kwargs) -> Result<Value, Error> {
    let indent = match indent {
        Some(indent) => Some(indent),
        None => named.get("indent")?,
    };
    named.assert_all_used()?;
    let mut written = Written {
        text: String::new(),
        indent,
    };
    written.value(value, 0)?;
    Ok(Value::from_safe_string(written.text))
}

struct Written {
    text: String,
    indent: Option<usize>,
}

impl Written {
    fn value(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        match value.kind() {
            ValueKind::None => self.text.push_str("null"),
            ValueKind::Bool if value.is_true() => self.text.push_str("true"),
            ValueKind::Bool => self.text.push_str("false"),
            ValueKind::Number => self.text.push_str(&value.to_string()),
            ValueKind::String => self.quoted(value.as_str().unwrap_or_default()),
            _ => match super::filters::pairs(value) {
                Some(pairs) => self.map(pairs, depth)?,
                None if value.kind() == ValueKind::Seq => {
                    let items = value.try_iter()?.collect::<Vec<_>>();
                    self.block('[', ']', items, depth, |written, item| {
                        written.value(&item, depth + 1)
                    })?;
                }
                None => {
                    return Err(Error::new(
                        ErrorKind::InvalidOperation,
                        format!(
                            "{} can't be written as JSON; a list can: add `|list`",
                            value.kind()
                        ),
                    ));
                }
            },
        }
        Ok(())
    }

    fn map(&mut self, pairs: Vec<(Value, Value)>, depth: usize) -> Result<(), Error> {
        let mut pairs: Vec<_> = pairs
            .into_iter()
            .map(|(name, value)| (name.to_string(), value))
            .collect();
        pairs.sort_by(|(one, _), (other, _)| one.cmp(other));
        self.block('{', '}', pairs, depth, |written, (name, value)| {
            written.quoted(&name);
            written.text.push_str(": ");
            written.value(&value, depth + 1)
        })
    }

    fn block<T>(
        &mut self,
        begin: char,
        end: char,
        items: Vec<T>,
        depth: usize,
        write: impl Fn(&mut Self, T) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.text.push(begin);
        let is_empty = items.is_empty();
        for (number, item) in items.into_iter().enumerate() {
            match (self.indent, number) {
                (Some(_), 0) | (None, 0) => {}
                (Some(_), _) => self.text.push(','),
                (None, _) => self.text.push_str(", "),
            }
            self.new_line(depth + 1);
            write(self, item)?;
        }
        if !is_empty {
            self.new_line(depth);
        }
        self.text.push(end);
        Ok(())
    }

    fn new_line(&mut self, depth: usize) {
        if let Some(indent) = self.indent {
            self.text.push('\n');
            self.text.push_str(&" ".repeat(indent * depth));
        }
    }

    fn quoted(&mut self, text: &str) {
        self.text.push('"');
        for c in text.chars() {
            match c {
                '"' => self.text.push_str("\\\""),
                '\\' => self.text.push_str("\\\\"),
                '\n' => self.text.push_str("\\n"),
                '\r' => self.text.push_str("\\r"),
                '\t' => self.text.push_str("\\t"),
                '\u{8}' => self.text.push_str("\\b"),
                '\u{c}' => self.text.push_str("\\f"),
                '<' | '>' | '&' | '\'' | '\u{7f}'.. | '\0'..' ' => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        // A text can always be written to.
                        let _ = write!(self.text, "\\u{unit:04x}");
                    }
                }
                c => self.text.push(c),
            }
        }
        self.text.push('"');
    }
}
