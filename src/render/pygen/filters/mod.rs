//! Filters and tests as Jinja2 has them, where minijinja's do something else or are not there.

mod attributes;
mod groups;
mod words;

use std::{cmp::Ordering, collections::VecDeque};

use minijinja::{
    Environment, Error, ErrorKind,
    value::{Kwargs, Rest, Value, ValueKind, ValueOrKwargs},
};

use super::{json, parts::Misses, percent, tables, texts::Texts};

type Holds = fn(Ordering) -> bool;

/// Tests that compare, by each of their names.
const ORDERS: &[(&[&str], Holds)] = &[
    (&["lt", "lessthan", "<"], Ordering::is_lt),
    (&["le", "<="], Ordering::is_le),
    (&["gt", "greaterthan", ">"], Ordering::is_gt),
    (&["ge", ">="], Ordering::is_ge),
];

pub(super) fn install(environment: &mut Environment<'static>, misses: &Misses) {
    attributes::install(environment);
    groups::install(environment, misses);
    words::install(environment);
    environment.add_filter("tojson", json::tojson);
    environment.add_filter("any", |value: &Value| truth(value, true));
    environment.add_filter("all", |value: &Value| Ok(!truth(value, false)?));
    environment.add_filter(percent::FILTER, words::percent);
    environment.add_filter(percent::THROUGH, |value: Value| match value.is_none() {
        true => Err(refusal(
            "None can't be gone through; write `{% if … %}` around it",
        )),
        false => Ok(value),
    });
    environment.add_function("cycler", minijinja_contrib::globals::cycler);
    environment.add_function("joiner", minijinja_contrib::globals::joiner);
    environment.add_test("mapping", |value: &Value| pairs(value).is_some());
    environment.add_test("sequence", |value: &Value| {
        matches!(
            value.kind(),
            ValueKind::Seq | ValueKind::Map | ValueKind::String
        )
    });
    for (names, holds) in ORDERS {
        for name in *names {
            environment.add_test(*name, move |one: Value, other: Value| {
                compared(&one, &other).map(holds)
            });
        }
    }
}

pub(super) fn refusal(problem: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, problem.into())
}

/// True if an item is as true as this.
fn truth(value: &Value, wanted: bool) -> Result<bool, Error> {
    let mut items = items(value)?.into_iter();
    Ok(items.any(|item| item.is_true() == wanted))
}

/// The items of a value; nothing can't be gone through, as in Python.
pub(super) fn items(value: &Value) -> Result<Vec<Value>, Error> {
    if value.is_none() {
        return Err(refusal("None holds no items to go through"));
    }
    let items = value.try_iter()?;
    items
        .map(|item| {
            match item.kind() {
                // What failed on its way here says so when it is asked for anything.
                ValueKind::Invalid => item.get_attr("").map(|_| item.clone()),
                _ => Ok(item),
            }
        })
        .collect()
}

/// The names and values of what is a dictionary for a template.
pub(super) fn pairs(value: &Value) -> Option<Vec<(Value, Value)>> {
    if let Some(texts) = value.downcast_object_ref::<Texts>() {
        return Some(texts.pairs());
    }
    if let Some(pairs) = tables::pairs(value) {
        return Some(pairs);
    }
    if value.kind() != ValueKind::Map {
        return None;
    }
    let names = value.try_iter().ok()?;
    let pair = |name: Value| {
        let value = value.get_item(&name).ok()?;
        Some((name, value))
    };
    Some(names.filter_map(pair).collect())
}

/// Which of two comes first, as far as Python compares them: not text with number, and nothing with None.
///
/// # Errors
/// When they can't be compared.
pub(super) fn compared(one: &Value, other: &Value) -> Result<Ordering, Error> {
    let is_number = |value: &Value| matches!(value.kind(), ValueKind::Number | ValueKind::Bool);
    if let (ValueKind::String, ValueKind::String) = (one.kind(), other.kind()) {
        return Ok(one.as_str().cmp(&other.as_str()));
    }
    if is_number(one) && is_number(other) {
        return Ok(one.cmp(other));
    }
    if one.kind() == ValueKind::Seq && other.kind() == ValueKind::Seq && pairs(one).is_none() {
        let (ones, others) = (items(one)?, items(other)?);
        for (one, other) in ones.iter().zip(&others) {
            if one != other {
                return compared(one, other);
            }
        }
        return Ok(ones.len().cmp(&others.len()));
    }
    Err(refusal(format!(
        "{} and {} can't be put in an order",
        called(one),
        called(other)
    )))
}

/// The usual name of a value's kind.
fn called(value: &Value) -> String {
    match value.kind() {
        ValueKind::None => "None".to_owned(),
        ValueKind::String => "a text".to_owned(),
        ValueKind::Number => "a number".to_owned(),
        kind => kind.to_string(),
    }
}

/// Puts items in the order of their keys, those with the same key as they were. Not by the sort of slices, which takes no
/// answer that keys can't be compared.
///
/// # Errors
/// When keys can't be compared.
fn sorted(items: Vec<(Value, Value)>, is_reversed: bool) -> Result<Vec<(Value, Value)>, Error> {
    let mut done: Vec<(Value, Value)> = Vec::with_capacity(items.len());
    for item in items {
        let (mut from, mut to) = (0, done.len());
        while from < to {
            let middle = from.midpoint(to);
            let order = compared(&item.0, &done[middle].0)?;
            let order = if is_reversed { order.reverse() } else { order };
            match order {
                Ordering::Less => to = middle,
                _ => from = middle + 1,
            }
        }
        done.insert(from, item);
    }
    Ok(done)
}

/// As keys are compared where case does not count.
fn without_case(key: Value) -> Value {
    match key.as_str() {
        Some(text) => Value::from(text.to_lowercase()),
        None => key,
    }
}

/// The arguments of a filter, each by its place or by its name, as Python takes them.
pub(super) struct Given {
    placed: VecDeque<Value>,
    named: Kwargs,
}

impl Given {
    pub fn new(all: Rest<ValueOrKwargs>) -> Result<Self, Error> {
        Self::of(&all.into_values())
    }

    pub fn of(all: &[Value]) -> Result<Self, Error> {
        let mut placed: VecDeque<Value> = all.iter().cloned().collect();
        let named = match placed.back() {
            Some(last) if last.is_kwargs() => Kwargs::try_from(last.clone())?,
            _ => {
                return Ok(Self {
                    placed,
                    named: Kwargs::from_iter([("", Value::UNDEFINED); 0]),
                });
            }
        };
        placed.pop_back();
        Ok(Self { placed, named })
    }

    /// The argument at the next place, or of this name.
    pub fn next(&mut self, name: &str) -> Option<Value> {
        let placed = self.placed.pop_front();
        placed.or_else(|| self.named(name))
    }

    /// The argument of this name.
    pub fn named(&self, name: &str) -> Option<Value> {
        let has = self.named.has(name);
        has.then(|| self.named.get(name).ok()).flatten()
    }

    pub fn is_true(&mut self, name: &str) -> bool {
        self.next(name).is_some_and(|value| value.is_true())
    }

    pub fn number(&mut self, name: &str) -> Result<Option<i64>, Error> {
        let Some(value) = self.next(name).filter(|value| !value.is_none()) else {
            return Ok(None);
        };
        let number = value
            .as_i64()
            .ok_or_else(|| refusal(format!("{name} must be a whole number")))?;
        Ok(Some(number))
    }

    pub fn text(&mut self, name: &str) -> Result<Option<String>, Error> {
        let Some(value) = self.next(name).filter(|value| !value.is_none()) else {
            return Ok(None);
        };
        let text = value
            .as_str()
            .ok_or_else(|| refusal(format!("{name} must be a text")))?;
        Ok(Some(text.to_owned()))
    }

    pub fn has_placed(&self) -> bool {
        !self.placed.is_empty()
    }

    /// All that is left at places.
    pub fn rest(&mut self) -> Vec<Value> {
        self.placed.drain(..).collect()
    }

    /// All that has names, as a filter is handed it.
    pub fn all_named(&self) -> Option<Value> {
        let is_there = self.named.args().next().is_some();
        is_there.then(|| Value::from(self.named.clone()))
    }

    /// # Errors
    /// When there is more than was asked for.
    pub fn end(self) -> Result<(), Error> {
        if !self.placed.is_empty() {
            return Err(Error::from(ErrorKind::TooManyArguments));
        }
        self.named.assert_all_used()
    }
}
