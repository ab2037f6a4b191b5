//! `'%s:%d' % (name, port)`: minijinja's `%` is for numbers alone, so where a text in quotes stands before it, a filter is
//! put in its place. Another keeps None from being gone through by `for`. Lines stay where they are.

/// The filter that lets nothing be gone through.
pub(super) const THROUGH: &str = "through";

/// The filter that stands for the operator.
pub(super) const FILTER: &str = "formatted_percent";

/// The template with that filter in the place of the operator.
pub(super) fn replaced(text: &str) -> String {
    let (mut made, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = rest.find(['{']) {
        let (before, tag) = rest.split_at(at);
        made.push_str(before);
        let length = match tag.as_bytes().get(1) {
            Some(b'#') => tag.find("#}").map_or(tag.len(), |end| end + 2),
            Some(b'{' | b'%') if is_raw(tag) => end_of_raw(tag),
            Some(b'{' | b'%') => {
                let length = end_of_tag(tag);
                made.push_str(&in_tag(&tag[..length]));
                rest = &tag[length..];
                continue;
            }
            _ => 1,
        };
        made.push_str(&tag[..length]);
        rest = &tag[length..];
    }
    made.push_str(rest);
    made
}

fn is_raw(tag: &str) -> bool {
    let word = tag
        .strip_prefix("{%")
        .map(|inner| inner.trim_start_matches(['-', '+']).trim_start());
    word.is_some_and(|word| {
        word.strip_prefix("raw").is_some_and(|rest| {
            rest.trim_start()
                .trim_start_matches(['-', '+'])
                .starts_with("%}")
        })
    })
}

/// Up to where the last tag of a raw block begins.
fn end_of_raw(tag: &str) -> usize {
    tag.find("endraw")
        .and_then(|end| tag[..end].rfind("{%"))
        .filter(|end| *end > 0)
        .unwrap_or(tag.len())
}

fn end_of_tag(tag: &str) -> usize {
    let close = if tag.starts_with("{{") { "}}" } else { "%}" };
    let mut at = 2;
    while let Some(rest) = tag.get(at..) {
        match rest.chars().next() {
            None => return tag.len(),
            Some(quote @ ('\'' | '"')) => at += text_length(rest, quote),
            // `{{ {'a': {}} }}` is closed by what stands last, as in Jinja2.
            Some('{') if close == "}}" => at += braces_length(rest),
            Some(_) if rest.starts_with(close) => return at + 2,
            Some(c) => at += c.len_utf8(),
        }
    }
    tag.len()
}

fn braces_length(rest: &str) -> usize {
    enclosed(rest).unwrap_or(rest.len())
}

/// The length of a text in quotes, with them.
fn text_length(rest: &str, quote: char) -> usize {
    let mut is_escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            _ if c == quote => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// A tag with what minijinja reads in the place of what Jinja2 does.
fn in_tag(tag: &str) -> String {
    let formatted = formatted(tag);
    gone_through(&formatted).unwrap_or(formatted)
}

/// `for x in LIST`: where LIST is None, minijinja goes through nothing, and Jinja2 refuses.
fn gone_through(tag: &str) -> Option<String> {
    let words = tag
        .strip_prefix("{%")?
        .trim_start_matches(['-', '+'])
        .trim_start();
    let targets = words
        .strip_prefix("for")
        .filter(|rest| rest.starts_with(char::is_whitespace))?;
    let list = tag.len() - targets.len() + word_at(targets, "in")? + 2;
    let rest = &tag[list..];
    let close = rest.len() - rest.strip_suffix("%}")?.trim_end_matches(['-', '+']).len();
    let ends = ["if", "recursive"]
        .into_iter()
        .filter_map(|word| word_at(rest, word));
    let end = ends.min().unwrap_or(rest.len() - close);
    let (list, rest) = (&tag[list..list + end], &tag[list + end..]);
    let before = &tag[..tag.len() - list.len() - rest.len()];
    Some(format!("{before} ({list})|{THROUGH} {rest}"))
}

/// Where a word stands in an expression, outside of texts and brackets.
fn word_at(text: &str, wanted: &str) -> Option<usize> {
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        at += match c {
            '\'' | '"' => text_length(&text[at..], c),
            '(' | '[' | '{' => enclosed(&text[at..])?,
            _ => match word(&text[at..]) {
                Some(length) if &text[at..at + length] == wanted => return Some(at),
                Some(length) => length,
                None => c.len_utf8(),
            },
        };
    }
    None
}

fn formatted(tag: &str) -> String {
    let (mut made, mut at) = (String::with_capacity(tag.len()), 0);
    while let Some(c) = tag[at..].chars().next() {
        if !matches!(c, '\'' | '"') {
            made.push(c);
            at += c.len_utf8();
            continue;
        }
        let end = at + text_length(&tag[at..], c);
        made.push_str(&tag[at..end]);
        at = end;
        let blank = tag[at..].len() - tag[at..].trim_start().len();
        let operator = &tag[at + blank..];
        if operator.starts_with('%') && !operator.starts_with("%}") {
            let from = at + blank + 1;
            let length = operand(&tag[from..]);
            if length > 0 {
                made.push_str(&tag[at..at + blank]);
                made.push_str(&format!(
                    "|{FILTER}({})",
                    formatted(&tag[from..from + length])
                ));
                at = from + length;
            }
        }
    }
    made
}

/// The length of what stands behind the operator and binds closer.
fn operand(rest: &str) -> usize {
    let skip = |at: usize| at + rest[at..].len() - rest[at..].trim_start().len();
    let mut at = skip(0);
    if rest[at..].starts_with(['-', '+']) {
        at += 1;
    }
    let Some(first) = primary(&rest[at..]) else {
        return 0;
    };
    at += first;
    loop {
        let next = skip(at);
        let more = match rest[next..].chars().next() {
            Some('(' | '[') => enclosed(&rest[next..]),
            Some('.') => word(&rest[next + 1..]).map(|length| 1 + length),
            Some('|') => {
                let name = skip(next + 1);
                word(&rest[name..]).map(|length| name - next + length)
            }
            _ => None,
        };
        match more {
            Some(length) => at = next + length,
            None => return at,
        }
    }
}

fn primary(rest: &str) -> Option<usize> {
    match rest.chars().next()? {
        quote @ ('\'' | '"') => Some(text_length(rest, quote)),
        '(' | '[' | '{' => enclosed(rest),
        _ => word(rest),
    }
}

fn word(rest: &str) -> Option<usize> {
    let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
    Some(end.unwrap_or(rest.len())).filter(|length| *length > 0)
}

/// The length of what brackets enclose, with them.
fn enclosed(rest: &str) -> Option<usize> {
    let (mut depth, mut at) = (0, 0);
    while let Some(c) = rest[at..].chars().next() {
        match c {
            '\'' | '"' => {
                at += text_length(&rest[at..], c);
                continue;
            }
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            _ => {}
        }
        at += c.len_utf8();
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_before_the_operator_is_formatted_and_nothing_else_is_touched() {
        for (text, expected) in [
            ("{{ '%s' % x }}", "{{ '%s' |formatted_percent( x) }}"),
            (
                "{{ '%s-%d' % (a.b, 3) ~ '!' }}",
                "{{ '%s-%d' |formatted_percent( (a.b, 3)) ~ '!' }}",
            ),
            (
                "{{ '%s' % c.name|upper + 'x' }}",
                "{{ '%s' |formatted_percent( c.name|upper) + 'x' }}",
            ),
            (
                "{% set x = \"a'%\" % d['b'].e(1) %}",
                "{% set x = \"a'%\" |formatted_percent( d['b'].e(1)) %}",
            ),
        ] {
            assert_eq!(replaced(text), expected);
        }
        for (text, expected) in [
            (
                "{%- for a, b in x.items() -%}",
                "{%- for a, b in ( x.items() )|through -%}",
            ),
            (
                "{% for in_x in y['if'](1) if in_x %}",
                "{% for in_x in ( y['if'](1) )|through if in_x %}",
            ),
            (
                "{% for a in '%s' % b recursive %}",
                "{% for a in ( '%s' |formatted_percent( b) )|through recursive %}",
            ),
        ] {
            assert_eq!(replaced(text), expected);
        }
        for text in [
            "{{ 7 % 3 }} '%s' % x {# '%s' % x #}",
            "{% raw %}{{ '%s' % x }}{% endraw %}",
            "{% if x == 'a'%}",
            "{{ 'a' }} % {{ {'a': {'b': 1}} }}",
            "{ { {{ '",
        ] {
            assert_eq!(replaced(text), text);
        }
    }
}
