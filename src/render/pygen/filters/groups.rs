//! Groups, and dictionaries in an order.

use std::{fmt, sync::Arc};

use minijinja::{
    Environment, Error,
    value::{Enumerator, Object, ObjectRepr, Rest, Tuple, Value, ValueOrKwargs},
};

use super::{Given, items, pairs, refusal, sorted, without_case};
use crate::render::pygen::{parts::Misses, paths};

pub(super) fn install(environment: &mut Environment<'static>, misses: &Misses) {
    let misses = misses.clone();
    environment.add_filter("groupby", move |list: Value, given: Rest<ValueOrKwargs>| {
        grouped(&list, given, &misses)
    });
    environment.add_filter("dictsort", dictsort);
    environment.add_filter("items", |value: &Value| match pairs(value) {
        Some(pairs) => Ok(pairs.into_iter().map(tuple).collect::<Value>()),
        None if value.is_undefined() => Ok(Value::from(Vec::<Value>::new())),
        None => Err(refusal("only what has names and values has items")),
    });
}

fn tuple((name, value): (Value, Value)) -> Value {
    Value::from(Tuple::from([name, value]))
}

/// A group of `groupby`: its name, and its items.
#[derive(Debug)]
struct Group {
    grouper: Value,
    list: Value,
}

impl Object for Group {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match (key.as_usize(), key.as_str()) {
            (Some(0), _) | (_, Some("grouper")) => Some(self.grouper.clone()),
            (Some(1), _) | (_, Some("list")) => Some(self.list.clone()),
            _ => None,
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(2)
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({:?}, {:?})", self.grouper, self.list)
    }
}

fn grouped(list: &Value, given: Rest<ValueOrKwargs>, misses: &Misses) -> Result<Value, Error> {
    let mut given = Given::new(given)?;
    let path = given.next("attribute");
    let path = path.ok_or_else(|| refusal("groupby needs an attribute"))?;
    let default = given.next("default").filter(|value| !value.is_none());
    let is_case_kept = given.is_true("case_sensitive");
    let split = match given.named("split") {
        Some(split) => Some(
            split
                .as_str()
                .filter(|split| !split.is_empty())
                .map(str::to_owned)
                .ok_or_else(|| {
                    refusal("split must be a text that stands between several values")
                })?,
        ),
        None => None,
    };
    given.end()?;
    let mut keyed = Vec::new();
    for item in items(list)? {
        let key = paths::at(&item, &path, default.as_ref())?;
        for name in names(key, split.as_deref()) {
            let compared = if is_case_kept {
                name.clone()
            } else {
                without_case(name.clone())
            };
            keyed.push((compared, Value::from(vec![name, item.clone()])));
        }
    }
    let dotted = path.as_str().and_then(paths::dotted_label);
    if let Some(label) = dotted.filter(|_| !keyed.iter().any(|(key, _)| key.is_true())) {
        misses.note(
            "no container has a label",
            label,
            [],
            "all are in one group without a name",
        );
    }
    let mut groups: Vec<(Value, Value, Vec<Value>)> = Vec::new();
    for (key, named) in sorted(keyed, false)? {
        let (name, item) = (named.get_item_by_index(0)?, named.get_item_by_index(1)?);
        match groups.last_mut() {
            Some((last, _, group)) if *last == key => group.push(item),
            _ => groups.push((key, name, vec![item])),
        }
    }
    let groups = groups.into_iter().map(|(_, grouper, list)| {
        Value::from_object(Group {
            grouper,
            list: Value::from(list),
        })
    });
    Ok(Value::from(groups.collect::<Vec<_>>()))
}

/// The names in one value, each once; one without any is in the group of those.
fn names(key: Value, split: Option<&str>) -> Vec<Value> {
    let (Some(split), Some(text)) = (split, key.as_str()) else {
        return vec![key];
    };
    let mut names: Vec<Value> = Vec::new();
    let each = text.split(split).map(str::trim);
    for name in each.filter(|name| !name.is_empty()).map(Value::from) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    if names.is_empty() {
        names.push(Value::from(""));
    }
    names
}

fn dictsort(value: Value, given: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let mut given = Given::new(given)?;
    let is_case_kept = given.is_true("case_sensitive");
    let by = given.text("by")?.unwrap_or_else(|| "key".to_owned());
    let is_reversed = given.is_true("reverse");
    given.end()?;
    let by_value = match by.as_str() {
        "key" => false,
        "value" => true,
        _ => return Err(refusal("by must be 'key' or 'value'")),
    };
    let pairs = pairs(&value)
        .ok_or_else(|| refusal("only what has names and values can be sorted by dictsort"))?;
    let keyed: Vec<_> = pairs
        .into_iter()
        .map(|(name, value)| {
            let key = if by_value {
                value.clone()
            } else {
                name.clone()
            };
            let key = if is_case_kept { key } else { without_case(key) };
            (key, tuple((name, value)))
        })
        .collect();
    let sorted = sorted(keyed, is_reversed)?;
    Ok(Value::from(
        sorted.into_iter().map(|(_, pair)| pair).collect::<Vec<_>>(),
    ))
}
