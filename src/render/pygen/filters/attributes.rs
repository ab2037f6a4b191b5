//! Filters that look at an attribute of each item, or at what another filter or test says of it.

use minijinja::{
    Environment, Error, State,
    value::{Rest, Value, ValueKind, ValueOrKwargs},
};

use super::{Given, compared, items, refusal, sorted, without_case};
use crate::render::pygen::paths;

pub(super) fn install(environment: &mut Environment<'static>) {
    environment.add_filter("map", map);
    environment.add_filter(
        "select",
        |state: &mut State<'_, '_>, list: Value, given: Rest<ValueOrKwargs>| {
            chosen(state, &list, Given::new(given)?, false, true)
        },
    );
    environment.add_filter(
        "reject",
        |state: &mut State<'_, '_>, list: Value, given: Rest<ValueOrKwargs>| {
            chosen(state, &list, Given::new(given)?, false, false)
        },
    );
    environment.add_filter(
        "selectattr",
        |state: &mut State<'_, '_>, list: Value, given: Rest<ValueOrKwargs>| {
            chosen(state, &list, Given::new(given)?, true, true)
        },
    );
    environment.add_filter(
        "rejectattr",
        |state: &mut State<'_, '_>, list: Value, given: Rest<ValueOrKwargs>| {
            chosen(state, &list, Given::new(given)?, true, false)
        },
    );
    environment.add_filter("sort", sort);
    environment.add_filter("unique", unique);
    environment.add_filter("min", |list: Value, given: Rest<ValueOrKwargs>| {
        extreme(&list, given, true)
    });
    environment.add_filter("max", |list: Value, given: Rest<ValueOrKwargs>| {
        extreme(&list, given, false)
    });
    environment.add_filter("sum", sum);
    environment.add_filter("join", join);
}

fn map(state: &mut State<'_, '_>, list: Value, given: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let mut given = Given::new(given)?;
    let mut made = Vec::new();
    if let (false, Some(path)) = (given.has_placed(), given.named("attribute")) {
        let default = given.named("default");
        given.end()?;
        for item in items(&list)? {
            made.push(paths::at(&item, &path, default.as_ref())?);
        }
        return Ok(iterated(made));
    }
    let filter = given.text("filter")?;
    let filter = filter.ok_or_else(|| refusal("map needs a filter, or attribute='NAME'"))?;
    let more = given.rest();
    for item in items(&list)? {
        let arguments: Vec<_> = [item]
            .into_iter()
            .chain(more.clone())
            .chain(given.all_named())
            .collect();
        made.push(state.apply_filter(&filter, &arguments)?);
    }
    Ok(iterated(made))
}

/// An iterable without a length, such as these filters give in Jinja2.
fn iterated(items: Vec<Value>) -> Value {
    Value::make_object_iterable(items, |items| Box::new(items.iter().cloned()))
}

fn chosen(
    state: &mut State<'_, '_>,
    list: &Value,
    mut given: Given,
    by_attribute: bool,
    wanted: bool,
) -> Result<Value, Error> {
    let path = match by_attribute {
        true => Some(
            given
                .next("attribute")
                .ok_or_else(|| refusal("an attribute is missing"))?,
        ),
        false => None,
    };
    let test = given.text("test")?;
    let more = given.rest();
    given.end()?;
    let mut kept = Vec::new();
    for item in items(list)? {
        let value = match &path {
            Some(path) => paths::at(&item, path, None)?,
            None => item.clone(),
        };
        let holds = match &test {
            Some(test) => {
                let arguments: Vec<_> = [value].into_iter().chain(more.clone()).collect();
                state.perform_test(test, &arguments)?
            }
            None => value.is_true(),
        };
        if holds == wanted {
            kept.push(item);
        }
    }
    Ok(iterated(kept))
}

/// Each item with what it is compared by: the item, an attribute, or several with commas between.
fn keyed(
    list: &Value,
    path: Option<&Value>,
    is_case_kept: bool,
) -> Result<Vec<(Value, Value)>, Error> {
    let cased = |key: Value| if is_case_kept { key } else { without_case(key) };
    let key = |item: &Value| -> Result<Value, Error> {
        match path.map(|path| (path, path.as_str())) {
            None => Ok(cased(item.clone())),
            Some((_, Some(several))) if several.contains(',') => {
                let each = several.split(',').map(Value::from);
                let keys = each.map(|path| Ok(cased(paths::at(item, &path, None)?)));
                Ok(Value::from(keys.collect::<Result<Vec<_>, Error>>()?))
            }
            Some((path, _)) => Ok(cased(paths::at(item, path, None)?)),
        }
    };
    let items = items(list)?.into_iter();
    items.map(|item| Ok((key(&item)?, item))).collect()
}

fn sort(list: Value, given: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let mut given = Given::new(given)?;
    let is_reversed = given.is_true("reverse");
    let is_case_kept = given.is_true("case_sensitive");
    let path = given.next("attribute").filter(|path| !path.is_none());
    given.end()?;
    let keyed = keyed(&list, path.as_ref(), is_case_kept)?;
    let values = sorted(keyed, is_reversed)?
        .into_iter()
        .map(|(_, item)| item);
    Ok(values.collect())
}

fn unique(list: Value, given: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let mut given = Given::new(given)?;
    let is_case_kept = given.is_true("case_sensitive");
    let path = given.next("attribute").filter(|path| !path.is_none());
    given.end()?;
    let mut kept: Vec<(Value, Value)> = Vec::new();
    for (key, item) in keyed(&list, path.as_ref(), is_case_kept)? {
        if !kept.iter().any(|(own, _)| *own == key) {
            kept.push((key, item));
        }
    }
    Ok(iterated(kept.into_iter().map(|(_, item)| item).collect()))
}

fn extreme(list: &Value, given: Rest<ValueOrKwargs>, is_least: bool) -> Result<Value, Error> {
    let mut given = Given::new(given)?;
    let is_case_kept = given.is_true("case_sensitive");
    let path = given.next("attribute").filter(|path| !path.is_none());
    given.end()?;
    let mut found: Option<(Value, Value)> = None;
    for (key, item) in keyed(list, path.as_ref(), is_case_kept)? {
        let is_better = match &found {
            None => true,
            Some((own, _)) if is_least => compared(&key, own)?.is_lt(),
            Some((own, _)) => compared(&key, own)?.is_gt(),
        };
        if is_better {
            found = Some((key, item));
        }
    }
    Ok(found.map_or(Value::UNDEFINED, |(_, item)| item))
}

fn sum(list: Value, given: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let mut given = Given::new(given)?;
    let path = given.next("attribute").filter(|path| !path.is_none());
    let start = given.next("start").unwrap_or_else(|| Value::from(0));
    given.end()?;
    let mut numbers = vec![start];
    for item in items(&list)? {
        numbers.push(match &path {
            Some(path) => paths::at(&item, path, None)?,
            None => item,
        });
    }
    if numbers[0].kind() == ValueKind::Seq {
        let lists = numbers.iter().map(items).collect::<Result<Vec<_>, _>>()?;
        return Ok(Value::from(lists.concat()));
    }
    let is_whole = numbers.iter().all(|number| number.as_i64().is_some());
    if is_whole {
        let whole = numbers.iter().filter_map(Value::as_i64);
        return Ok(Value::from(whole.map(i128::from).sum::<i128>()));
    }
    let each = numbers.into_iter().map(f64::try_from);
    Ok(Value::from(each.sum::<Result<f64, Error>>()?))
}

fn join(list: Value, given: Rest<ValueOrKwargs>) -> Result<String, Error> {
    let mut given = Given::new(given)?;
    let between = given.next("d").map(|between| between.to_string());
    let path = given.next("attribute").filter(|path| !path.is_none());
    given.end()?;
    let mut texts = Vec::new();
    for item in items(&list)? {
        let item = match &path {
            Some(path) => paths::at(&item, path, None)?,
            None => item,
        };
        texts.push(item.to_string());
    }
    Ok(texts.join(&between.unwrap_or_default()))
}
