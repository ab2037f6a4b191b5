//! Lists, and texts by name, as templates see them.

use std::{collections::BTreeMap, fmt, sync::Arc};

use minijinja::{
    Error, ErrorKind, State,
    value::{Enumerator, Object, ObjectRepr, Value},
};

use super::{
    super::FieldRow,
    ContainerView, NetworkView,
    parts::{Misses, Noted},
};

/// Labels or variables: names are found in any case, and one that is not there is an empty text.
pub(super) struct Texts(pub BTreeMap<String, String>);

impl fmt::Debug for Texts {
    /// Names alone: the values may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Object for Texts {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let name = key.as_str()?;
        let in_any_case = || {
            self.0
                .iter()
                .find(|(other, _)| other.eq_ignore_ascii_case(name))
                .map(|(_, text)| text)
        };
        Some(text(
            self.0
                .get(name)
                .or_else(in_any_case)
                .map_or("", String::as_str),
        ))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.0.keys().map(Value::from).collect())
    }
}

/// A list of containers, networks or ports.
#[derive(Debug)]
pub(super) struct List {
    items: Vec<Value>,
    misses: Misses,
}

/// What a list has besides its items: name, kind, and what it means.
const OF_LISTS: &[(&str, &str, &str)] = &[
    ("first", "item", "the first; empty when there is none"),
    ("last", "item", "the last; empty when there is none"),
    (
        "matching(TARGET)",
        "list",
        "those that TARGET names: id or its first 12 characters, name, Compose or Swarm service, label pygen.target",
    ),
    ("not_matching(TARGET)", "list", "the others"),
    (
        "healthy",
        "list of container",
        "those whose health is healthy",
    ),
    (
        "with_health(HEALTH)",
        "list of container",
        "those with this health",
    ),
];

impl List {
    pub fn of(items: impl IntoIterator<Item = Value>, misses: &Misses) -> Value {
        Value::from_object(Self {
            items: items.into_iter().collect(),
            misses: misses.clone(),
        })
    }

    /// Rows of what templates see.
    pub fn rows() -> impl Iterator<Item = FieldRow> {
        let row = |(name, kind, doc): &(&'static str, &str, &'static str)| FieldRow {
            of: "render: list",
            name,
            kind: (*kind).to_owned(),
            doc,
        };
        OF_LISTS.iter().map(row)
    }

    /// Whether an item is meant. Networks' whole names win over names in Compose files.
    fn meant<'a>(&self, target: &'a Value) -> impl Fn(&Value) -> bool + 'a {
        let is_whole = self.items.iter().any(|item| is_meant(item, target));
        move |item| {
            if is_whole {
                is_meant(item, target)
            } else {
                is_meant_in_compose(item, target)
            }
        }
    }

    fn only(&self, keeps: impl Fn(&Value) -> bool) -> Value {
        Self::of(
            self.items.iter().filter(|item| keeps(item)).cloned(),
            &self.misses,
        )
    }
}

impl Object for List {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        if let Some(index) = key.as_usize() {
            return self.items.get(index).cloned();
        }
        match key.as_str()? {
            "first" => self.items.first().cloned(),
            "last" => self.items.last().cloned(),
            "healthy" => Some(self.only(|item| has_health(item, "healthy"))),
            name => {
                let known = OF_LISTS
                    .iter()
                    .map(|(name, ..)| name.split('(').next().unwrap_or(name));
                self.misses.note("a list has no", name, known);
                None
            }
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(self.items.len())
    }

    fn call_method(
        self: &Arc<Self>,
        _: &mut State<'_, '_>,
        method: &str,
        arguments: &[Value],
    ) -> Result<Value, Error> {
        let [argument] = arguments else {
            return Err(Error::new(
                ErrorKind::InvalidOperation,
                format!("{method} takes one argument"),
            ));
        };
        match method {
            "matching" => Ok(self.only(self.meant(argument))),
            "not_matching" => {
                let meant = self.meant(argument);
                Ok(self.only(|item| !meant(item)))
            }
            "with_health" => {
                Ok(self.only(|item| has_health(item, argument.as_str().unwrap_or_default())))
            }
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }
}

fn has_health(item: &Value, health: &str) -> bool {
    item.downcast_object_ref::<Noted<ContainerView>>()
        .is_some_and(|container| container.part.health == health)
}

/// Whether an item of a list is meant: a container by a word, a network by a word or by what else is on networks.
fn is_meant(item: &Value, target: &Value) -> bool {
    if let Some(container) = item.downcast_object_ref::<Noted<ContainerView>>() {
        return target
            .as_str()
            .is_some_and(|target| container.part.is_meant_by(target));
    }
    let Some(network) = item.downcast_object_ref::<Noted<NetworkView>>() else {
        return false;
    };
    if let Some(word) = target.as_str() {
        return !word.is_empty()
            && [&network.part.id, &network.part.name]
                .into_iter()
                .any(|own| own == word);
    }
    if let Some(container) = target.downcast_object_ref::<Noted<ContainerView>>() {
        return container
            .part
            .networks
            .iter()
            .any(|other| other.id == network.part.id);
    }
    let is_same = |value: &Value| {
        value
            .downcast_object_ref::<Noted<NetworkView>>()
            .is_some_and(|one| one.part.id == network.part.id)
    };
    match target.downcast_object_ref::<List>() {
        Some(list) => list.items.iter().any(is_same),
        None => is_same(target),
    }
}

/// Whether an item is a network that the container's Compose file calls so.
fn is_meant_in_compose(item: &Value, target: &Value) -> bool {
    let name = item
        .downcast_object_ref::<Noted<NetworkView>>()
        .and_then(|network| network.part.compose_name.as_deref());
    name.is_some_and(|name| target.as_str() == Some(name))
}

pub(super) fn text(text: &str) -> Value {
    Value::from(text)
}

pub(super) fn texts(map: &BTreeMap<String, String>) -> Value {
    Value::from_object(Texts(map.clone()))
}
