//! Filters of texts and numbers.

use minijinja::{
    Environment, Error,
    formatting::{FormatStyle, format},
    value::{Rest, Value, ValueKind, ValueOrKwargs},
};

use super::{Given, items, pairs, refusal};
use crate::render::pygen::methods::{centred, within_reason};

pub(super) fn install(environment: &mut Environment<'static>) {
    environment.add_filter("center", center);
    environment.add_filter("format", format_filter);
    environment.add_filter("default", default);
    environment.add_filter("d", default);
    environment.add_filter("indent", indent);
    environment.add_filter("truncate", truncate);
    environment.add_filter("wordcount", |text: &Value| words(&text.to_string()));
    environment.add_filter("filesizeformat", filesizeformat);
    environment.add_filter("urlencode", urlencode);
    environment.add_filter("int", int);
    environment.add_filter("float", float);
    environment.add_filter("list", |value: &Value| {
        Ok::<_, Error>(Value::from(match pairs(value) {
            Some(pairs) => pairs.into_iter().map(|(name, _)| name).collect(),
            None => items(value)?,
        }))
    });
    for name in ["escape", "e", "forceescape"] {
        environment.add_filter(name, |value: &Value| escaped(&value.to_string()));
    }
}

/// The effect of `%` on a text.
///
/// # Errors
/// When text and values do not fit.
pub(super) fn percent(text: &str, value: &Value) -> Result<String, Error> {
    let values = if value.is_tuple() {
        items(value)?
    } else {
        vec![value.clone()]
    };
    let is_named = values.len() == 1 && pairs(&values[0]).is_some();
    formatted(text, &values, is_named)
}

fn format_filter(text: &Value, given: Rest<ValueOrKwargs>) -> Result<String, Error> {
    let mut given = Given::new(given)?;
    let (placed, named) = (given.rest(), given.all_named());
    match named {
        Some(named) if placed.is_empty() => {
            let named = pairs(&named).unwrap_or_default();
            formatted(&text.to_string(), &[Value::from_pairs(named)], true)
        }
        Some(_) => Err(refusal("format takes values either by place or by name")),
        None => formatted(&text.to_string(), &placed, false),
    }
}

fn formatted(text: &str, values: &[Value], is_named: bool) -> Result<String, Error> {
    let places = text.replace("%%", "").matches('%').count();
    let stars = text.matches('*').count();
    if !is_named && values.len() > places + stars {
        return Err(refusal("there are more values than places for them"));
    }
    widths(text).try_for_each(|width| within_reason(width).map(drop))?;
    let given = values.iter().filter(|_| stars > 0);
    given
        .filter_map(|value| usize::try_from(value.clone()).ok())
        .try_for_each(|width| within_reason(width).map(drop))?;
    format(FormatStyle::Printf, text, values)
}

/// Widths and precisions of a text's places: 8 and 3 of `%(name)-8.3f`.
fn widths(text: &str) -> impl Iterator<Item = usize> {
    text.split('%').skip(1).flat_map(|place| {
        let behind = match place.strip_prefix('(') {
            Some(named) => named.split_once(')').map_or("", |(_, behind)| behind),
            None => place,
        };
        let is_of_width = |c: char| c.is_ascii_digit() || "#- +.".contains(c);
        let end = behind.find(|c| !is_of_width(c)).unwrap_or(behind.len());
        let numbers = behind[..end].split(|c: char| !c.is_ascii_digit());
        // A number that is too long for one is too large, too.
        let numbers = numbers.filter(|number| !number.is_empty());
        numbers.map(|number| number.parse().unwrap_or(usize::MAX))
    })
}

fn default(value: Value, given: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let mut given = Given::new(given)?;
    let instead = given
        .next("default_value")
        .unwrap_or_else(|| Value::from(""));
    let counts_empty = given.is_true("boolean");
    given.end()?;
    let is_missing = value.is_undefined() || counts_empty && !value.is_true();
    Ok(if is_missing { instead } else { value })
}

fn indent(text: &Value, given: Rest<ValueOrKwargs>) -> Result<String, Error> {
    let mut given = Given::new(given)?;
    let by = match given.next("width") {
        None => " ".repeat(4),
        Some(by) => match by.as_str() {
            Some(by) => by.to_owned(),
            None => " ".repeat(within_reason(usize::try_from(by)?)?),
        },
    };
    let (first, blank) = (given.is_true("first"), given.is_true("blank"));
    given.end()?;
    let text = text.to_string();
    let mut made = if first { by.clone() } else { String::new() };
    // Jinja2 adds a line break, so that a text that ends with one has an empty line behind it.
    for (number, line) in text.split('\n').enumerate() {
        if number > 0 {
            made.push('\n');
            if blank || !line.is_empty() {
                made.push_str(&by);
            }
        }
        made.push_str(line);
    }
    Ok(made)
}

fn center(value: &Value, width: Option<usize>) -> Result<String, Error> {
    let width = within_reason(width.unwrap_or(80))?;
    Ok(centred(&value.to_string(), width, ' '))
}

fn truncate(value: &Value, given: Rest<ValueOrKwargs>) -> Result<String, Error> {
    let mut given = Given::new(given)?;
    let length = given.number("length")?.unwrap_or(255);
    let cuts_words = given.is_true("killwords");
    let end = given.text("end")?.unwrap_or_else(|| "...".to_owned());
    let leeway = given.number("leeway")?.unwrap_or(5);
    given.end()?;
    let text: Vec<char> = value.to_string().chars().collect();
    let count = |number: i64| usize::try_from(number).ok();
    let (length, leeway) = match (count(length), count(leeway)) {
        (Some(length), Some(leeway)) if length >= end.chars().count() => (length, leeway),
        _ => return Err(refusal("truncate needs a length that has room for its end")),
    };
    if text.len() <= length + leeway {
        return Ok(text.into_iter().collect());
    }
    let kept: String = text[..length - end.chars().count()].iter().collect();
    let kept = match kept.rsplit_once(' ') {
        Some((whole_words, _)) if !cuts_words => whole_words,
        _ => &kept,
    };
    Ok(format!("{kept}{end}"))
}

/// Runs of letters, digits and underscores.
fn words(text: &str) -> usize {
    let each = text.split(|c: char| !c.is_alphanumeric() && c != '_');
    each.filter(|word| !word.is_empty()).count()
}

fn filesizeformat(value: &Value, binary: Option<bool>) -> Result<String, Error> {
    let bytes = as_float(value).ok_or_else(|| refusal("filesizeformat needs a number"))?;
    let (base, units) = match binary.unwrap_or(false) {
        true => (
            1024.0,
            ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"],
        ),
        false => (1000.0, ["kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"]),
    };
    if bytes == 1.0 {
        return Ok("1 Byte".to_owned());
    }
    if bytes < base {
        return Ok(format!("{} Bytes", bytes.trunc()));
    }
    let mut unit = base;
    let mut last = units[0];
    for name in units {
        (unit, last) = (unit * base, name);
        if bytes < unit {
            break;
        }
    }
    Ok(format!("{:.1} {last}", base * bytes / unit))
}

fn urlencode(value: &Value) -> Result<String, Error> {
    if let Some(text) = value.as_str() {
        return Ok(quoted(text, "/"));
    }
    let pairs = match pairs(value) {
        Some(pairs) => pairs,
        None if matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable) => {
            let each = items(value)?.into_iter();
            each.map(|pair| Ok((pair.get_item_by_index(0)?, pair.get_item_by_index(1)?)))
                .collect::<Result<_, Error>>()?
        }
        None => return Ok(quoted(&value.to_string(), "/")),
    };
    let part = |value: &Value| quoted(&value.to_string(), "").replace("%20", "+");
    let each = pairs
        .iter()
        .map(|(name, value)| format!("{}={}", part(name), part(value)));
    Ok(each.collect::<Vec<_>>().join("&"))
}

fn quoted(text: &str, kept: &str) -> String {
    let one = |byte: u8| match char::from(byte) {
        c if c.is_ascii_alphanumeric() || "_.-~".contains(c) || kept.contains(c) => c.to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(one).collect()
}

fn escaped(text: &str) -> Value {
    let mut made = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => made.push_str("&amp;"),
            '<' => made.push_str("&lt;"),
            '>' => made.push_str("&gt;"),
            '\'' => made.push_str("&#39;"),
            '"' => made.push_str("&#34;"),
            c => made.push(c),
        }
    }
    Value::from(made)
}

/// A number as Python reads it: blanks around it and underscores between its digits do not count.
fn as_float(value: &Value) -> Option<f64> {
    match value.as_str() {
        Some(text) => without_underscores(text.trim())?.parse().ok(),
        None if value.kind() == ValueKind::Bool => Some(f64::from(u8::from(value.is_true()))),
        None if value.kind() == ValueKind::Number => f64::try_from(value.clone()).ok(),
        None => None,
    }
}

fn without_underscores(text: &str) -> Option<String> {
    let is_bad = text.starts_with('_') || text.ends_with('_') || text.contains("__");
    (!is_bad).then(|| text.replace('_', ""))
}

fn int(value: &Value, given: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let mut given = Given::new(given)?;
    let default = given.next("default").unwrap_or_else(|| Value::from(0));
    let base = given.number("base")?.unwrap_or(10);
    given.end()?;
    if value.is_undefined() {
        return Err(refusal("an undefined value is not a number"));
    }
    let Some(text) = value.as_str() else {
        let whole = value.as_i64().map(Value::from);
        return Ok(whole.or_else(|| truncated(value)).unwrap_or(default));
    };
    let base = u32::try_from(base)
        .ok()
        .filter(|base| (2..=36).contains(base));
    let base = base.ok_or_else(|| refusal("int takes a base of 2 to 36"))?;
    let found = whole(text.trim(), base).map(Value::from);
    Ok(found.or_else(|| truncated(value)).unwrap_or(default))
}

fn truncated(value: &Value) -> Option<Value> {
    let float = as_float(value).filter(|float| float.is_finite())?;
    Some(Value::from(float.trunc() as i128))
}

/// A whole number as Python's `int` reads it, with the prefix of its base or without.
fn whole(text: &str, base: u32) -> Option<i128> {
    let (sign, digits) = match text.strip_prefix(['-', '+']) {
        Some(digits) if text.starts_with('-') => (-1, digits),
        Some(digits) => (1, digits),
        None => (1, text),
    };
    let prefix = match base {
        16 => "0x",
        8 => "0o",
        2 => "0b",
        _ => "",
    };
    let has_prefix = digits
        .get(..prefix.len())
        .is_some_and(|begin| begin.eq_ignore_ascii_case(prefix));
    let digits = if has_prefix {
        digits.get(prefix.len()..)?
    } else {
        digits
    };
    let digits = without_underscores(digits).filter(|digits| !digits.starts_with(['-', '+']))?;
    i128::from_str_radix(&digits, base)
        .ok()
        .map(|number| sign * number)
}

fn float(value: &Value, default: Option<f64>) -> f64 {
    as_float(value).unwrap_or(default.unwrap_or(0.0))
}
