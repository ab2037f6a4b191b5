//! Methods of Python's texts, lists and dictionaries.

use minijinja::{
    Error, State,
    value::{Tuple, Value, ValueKind, from_args},
};

use super::filters::{Given, items, refusal};

/// The methods that change a list or a dictionary in its place, which a template here can't do.
const CHANGES: &[&str] = &[
    "append",
    "extend",
    "insert",
    "remove",
    "pop",
    "popitem",
    "clear",
    "sort",
    "reverse",
    "update",
    "setdefault",
    "add",
];

/// Calls a method of what has none of its own.
///
/// # Errors
/// When there is no such method, or it is given what it does not take.
pub(super) fn call(
    state: &mut State<'_, '_>,
    value: &Value,
    method: &str,
    arguments: &[Value],
) -> Result<Value, Error> {
    if let Some(text) = value.as_str() {
        if let Some(done) = of_text(text, method, arguments) {
            return done;
        }
    } else if CHANGES.contains(&method) {
        return Err(refusal(format!(
            ".{method}() would change what it is called on, which is not possible here: write \
             `{{% set ns = namespace(all=[]) %}}`, then `{{% set ns.all = ns.all + [item] %}}`"
        )));
    } else if matches!(value.kind(), ValueKind::Seq) && method == "index" {
        let (wanted,): (Value,) = from_args(arguments)?;
        let found = items(value)?.iter().position(|item| *item == wanted);
        return found
            .map(Value::from)
            .ok_or_else(|| refusal(format!("{wanted:?} is not in the list")));
    } else if method == "copy" && matches!(value.kind(), ValueKind::Seq | ValueKind::Map) {
        return Ok(value.clone());
    }
    minijinja_contrib::pycompat::unknown_method_callback(state, value, method, arguments)
}

/// The methods that minijinja's own collection lacks, or that do something else there.
fn of_text(text: &str, method: &str, arguments: &[Value]) -> Option<Result<Value, Error>> {
    Some(match method {
        "split" | "rsplit" => split(text, arguments, method == "rsplit"),
        "partition" | "rpartition" => partition(text, arguments, method == "rpartition"),
        "find" | "rfind" | "index" | "rindex" => find(text, arguments, method),
        "count" => count(text, arguments),
        "center" | "ljust" | "rjust" => justified(text, arguments, method),
        "zfill" => from_args(arguments)
            .and_then(|(width,): (usize,)| Ok(Value::from(zfill(text, within_reason(width)?)))),
        "removeprefix" => from_args(arguments)
            .map(|(begin,): (&str,)| Value::from(text.strip_prefix(begin).unwrap_or(text))),
        "removesuffix" => from_args(arguments)
            .map(|(end,): (&str,)| Value::from(text.strip_suffix(end).unwrap_or(text))),
        "swapcase" => from_args(arguments).map(|()| Value::from(swapcase(text))),
        "casefold" => {
            from_args(arguments).map(|()| Value::from(text.to_lowercase().replace('ß', "ss")))
        }
        "title" => from_args(arguments).map(|()| Value::from(title(text))),
        "istitle" => from_args(arguments)
            .map(|()| Value::from(title(text) == text && text.chars().any(char::is_alphabetic))),
        "isdecimal" => from_args(arguments).map(|()| {
            let are_digits = text.chars().all(|c| c.is_ascii_digit());
            Value::from(!text.is_empty() && are_digits)
        }),
        "join" => join(text, arguments),
        _ => return None,
    })
}

fn split(text: &str, arguments: &[Value], from_the_end: bool) -> Result<Value, Error> {
    let mut given = Given::of(arguments)?;
    let between = given.text("sep")?;
    let most = given.number("maxsplit")?.unwrap_or(-1);
    given.end()?;
    let most = usize::try_from(most).map_or(usize::MAX, |most| most.saturating_add(1));
    let parts: Vec<&str> = match between.as_deref() {
        Some("") => return Err(refusal("the text to split at is empty")),
        Some(between) if from_the_end => {
            let mut parts: Vec<_> = text.rsplitn(most, between).collect();
            parts.reverse();
            parts
        }
        Some(between) => text.splitn(most, between).collect(),
        None => at_blanks(text, most, from_the_end),
    };
    Ok(parts.into_iter().map(Value::from).collect())
}

/// At runs of blanks, with none left at either end.
fn at_blanks(text: &str, most: usize, from_the_end: bool) -> Vec<&str> {
    let mut rest = match from_the_end {
        true => text.trim_end(),
        false => text.trim_start(),
    };
    let mut parts = Vec::new();
    while !rest.trim().is_empty() {
        let cut = match from_the_end {
            _ if parts.len() + 1 >= most => None,
            true => rest.rfind(char::is_whitespace),
            false => rest.find(char::is_whitespace),
        };
        let Some(at) = cut else {
            parts.push(rest);
            break;
        };
        let (before, behind) = rest.split_at(at);
        if from_the_end {
            parts.push(behind.trim_start());
            rest = before.trim_end();
        } else {
            parts.push(before);
            rest = behind.trim_start();
        }
    }
    if from_the_end {
        parts.reverse();
    }
    parts
}

fn partition(text: &str, arguments: &[Value], from_the_end: bool) -> Result<Value, Error> {
    let (between,): (&str,) = from_args(arguments)?;
    if between.is_empty() {
        return Err(refusal("the text to split at is empty"));
    }
    let cut = match from_the_end {
        true => text.rsplit_once(between),
        false => text.split_once(between),
    };
    let parts = match cut {
        Some((before, behind)) => [before, between, behind],
        None if from_the_end => ["", "", text],
        None => [text, "", ""],
    };
    Ok(Value::from(Tuple::from(parts.map(Value::from))))
}

/// The part of a text from one character to another, which may be counted from its end; and how many stand before it.
fn part(text: &str, from: Option<i64>, to: Option<i64>) -> (usize, String) {
    let length = i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
    let at = |place: i64| {
        let place = if place < 0 { place + length } else { place };
        usize::try_from(place.clamp(0, length)).unwrap_or_default()
    };
    let (from, to) = (at(from.unwrap_or(0)), at(to.unwrap_or(length)));
    let taken = text.chars().skip(from).take(to.saturating_sub(from));
    (from, taken.collect())
}

fn find(text: &str, arguments: &[Value], method: &str) -> Result<Value, Error> {
    let (wanted, from, to): (&str, Option<i64>, Option<i64>) = from_args(arguments)?;
    let (before, within) = part(text, from, to);
    let found = match method.starts_with('r') {
        true => within.rfind(wanted),
        false => within.find(wanted),
    };
    match found {
        Some(at) => Ok(Value::from(before + within[..at].chars().count())),
        None if method.ends_with("index") => Err(refusal(format!("{wanted:?} is not in the text"))),
        None => Ok(Value::from(-1)),
    }
}

fn count(text: &str, arguments: &[Value]) -> Result<Value, Error> {
    let (wanted, from, to): (&str, Option<i64>, Option<i64>) = from_args(arguments)?;
    let (_, within) = part(text, from, to);
    Ok(Value::from(within.matches(wanted).count()))
}

fn justified(text: &str, arguments: &[Value], method: &str) -> Result<Value, Error> {
    let (width, fill): (usize, Option<&str>) = from_args(arguments)?;
    let mut fill = fill.unwrap_or(" ").chars();
    let (Some(fill), None) = (fill.next(), fill.next()) else {
        return Err(refusal("what fills the room must be one character"));
    };
    let room = within_reason(width)?.saturating_sub(text.chars().count());
    let filled = fill.to_string().repeat(room);
    Ok(Value::from(match method {
        "ljust" => format!("{text}{filled}"),
        "rjust" => format!("{filled}{text}"),
        _ => centred(text, width, fill),
    }))
}

/// # Errors
/// When a text of this width is a mistake.
pub(super) fn within_reason(width: usize) -> Result<usize, Error> {
    const MOST: usize = 100_000;
    match width {
        0..=MOST => Ok(width),
        _ => Err(refusal(format!("a width of {width} is more than {MOST}"))),
    }
}

/// In the middle, as Python finds it.
pub(super) fn centred(text: &str, width: usize, fill: char) -> String {
    let room = width.saturating_sub(text.chars().count());
    let left = room / 2 + (room & width & 1);
    let filled = |count: usize| fill.to_string().repeat(count);
    format!("{}{text}{}", filled(left), filled(room - left))
}

fn zfill(text: &str, width: usize) -> String {
    let zeros = "0".repeat(width.saturating_sub(text.chars().count()));
    match text.strip_prefix(['-', '+']) {
        Some(digits) => format!("{}{zeros}{digits}", &text[..1]),
        None => format!("{zeros}{text}"),
    }
}

fn swapcase(text: &str) -> String {
    let swapped = |c: char| match c.is_uppercase() {
        true => c.to_lowercase().collect::<String>(),
        false => c.to_uppercase().collect(),
    };
    text.chars().map(swapped).collect()
}

/// Each letter behind something else is large, all others are small.
fn title(text: &str) -> String {
    let mut made = String::with_capacity(text.len());
    let mut is_behind_a_letter = false;
    for c in text.chars() {
        match is_behind_a_letter {
            true => made.extend(c.to_lowercase()),
            false => made.extend(c.to_uppercase()),
        }
        is_behind_a_letter = c.is_alphabetic();
    }
    made
}

fn join(between: &str, arguments: &[Value]) -> Result<Value, Error> {
    let (list,): (&Value,) = from_args(arguments)?;
    let items = items(list)?;
    let texts = items.iter().map(|item| {
        item.as_str().ok_or_else(|| {
            refusal(format!(
                ".join() takes only texts, and {item:?} is not a text: use `|join`"
            ))
        })
    });
    Ok(Value::from(
        texts.collect::<Result<Vec<_>, Error>>()?.join(between),
    ))
}
