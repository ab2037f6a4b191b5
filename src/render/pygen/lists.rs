//! Lists as templates see them.

use std::sync::Arc;

use minijinja::{
    Error, ErrorKind, State,
    value::{Enumerator, Object, ObjectRepr, Value, from_args},
};

use super::{
    super::FieldRow,
    ContainerView, Meant, NetworkView,
    parts::{Misses, Noted},
};

/// The words for a list that lacks a name.
pub(super) const HAS_NO: &str = "a list has no";

/// The kind of a list's items, which decides what the list offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ListKind {
    Containers,
    Networks,
    /// Of ports.
    Plain,
}

/// A list of containers, networks or ports.
#[derive(Clone, Debug)]
pub(super) struct List {
    kind: ListKind,
    items: Arc<[Value]>,
    /// The id of the container that we run in.
    own: Option<Arc<str>>,
    misses: Misses,
}

/// The attributes of a list in addition to its items: name, kind, and meaning.
const OF_LISTS: &[(&str, &str, &str)] = &[
    ("first", "item", "the first; none when there is none"),
    ("last", "item", "the last; none when there is none"),
    (
        "first_value",
        "item",
        "the first that is not empty; none when there is none",
    ),
    (
        "matching(TARGET)",
        "list",
        "those that TARGET names: id or its first 12 characters, name, Compose or Swarm service, the label pygen.target, \
         the variable PYGEN_TARGET",
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
    (
        "self",
        "container",
        "the one that quaymaster runs in; none on a host",
    ),
];

impl List {
    pub fn of(kind: ListKind, items: impl IntoIterator<Item = Value>, misses: &Misses) -> Self {
        Self {
            kind,
            items: items.into_iter().collect(),
            own: None,
            misses: misses.clone(),
        }
    }

    /// Knows the container that we run in.
    pub fn with_own(self, own: Option<&str>) -> Self {
        Self {
            own: own.map(Arc::from),
            ..self
        }
    }

    pub fn value(self) -> Value {
        Value::from_object(self)
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

    /// Another list of the same kind.
    fn with(&self, items: Vec<Value>) -> Value {
        Self {
            items: items.into(),
            ..self.clone()
        }
        .value()
    }

    fn only(&self, keeps: impl Fn(&Value) -> bool) -> Value {
        self.with(
            self.items
                .iter()
                .filter(|item| keeps(item))
                .cloned()
                .collect(),
        )
    }

    /// Those that are meant, the more exactly named first, each once.
    fn matching(&self, target: &Value) -> Vec<Value> {
        let meant = |item: &Value| match self.kind {
            ListKind::Containers => {
                let container = item.downcast_object_ref::<Noted<ContainerView>>()?;
                container.part.meant_by(target.as_str()?)
            }
            ListKind::Networks => is_network_meant(item, target),
            ListKind::Plain => None,
        };
        let mut found: Vec<_> = self
            .items
            .iter()
            .filter_map(|item| Some((meant(item)?, item)))
            .collect();
        found.sort_by_key(|(meant, _)| *meant);
        if let (true, Some(word)) = (found.is_empty(), target.as_str()) {
            self.note_compose_name(word);
        }
        found.into_iter().map(|(_, item)| item.clone()).collect()
    }

    /// Notes a name from the Compose file that was not found: there is another way to find it.
    fn note_compose_name(&self, word: &str) {
        let is_called_so = |item: &Value| {
            let network = item.downcast_object_ref::<Noted<NetworkView>>();
            network.is_some_and(|network| network.part.compose_name.as_deref() == Some(word))
        };
        if self.items.iter().any(is_called_so) {
            self.misses.note(
                "matching() goes by whole names, and no network here has the name",
                word,
                [],
                "none is found; by its name in the Compose file it is networks|selectattr('compose_name', 'equalto', NAME)",
            );
        }
    }

    fn with_health(&self, health: &str) -> Value {
        self.only(|item| {
            let container = item.downcast_object_ref::<Noted<ContainerView>>();
            container.is_some_and(|container| container.part.health.eq_ignore_ascii_case(health))
        })
    }

    /// The names that this list has.
    fn names(&self) -> impl Iterator<Item = &'static str> {
        let most = match self.kind {
            ListKind::Containers => OF_LISTS.len(),
            ListKind::Networks => 5,
            ListKind::Plain => 3,
        };
        let bare = |(name, ..): &(&'static str, &str, &str)| name.split('(').next().unwrap_or(name);
        OF_LISTS[..most].iter().map(bare)
    }

    fn has(&self, name: &str) -> bool {
        self.names().any(|own| own == name)
    }
}

impl Object for List {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match key.as_usize() {
            Some(index) => self.items.get(index).cloned(),
            None => self.get_value_by_str(key.as_str()?),
        }
    }

    fn get_value_by_str(self: &Arc<Self>, name: &str) -> Option<Value> {
        let found = match name {
            _ if !self.has(name) => {
                self.misses.note(HAS_NO, name, self.names(), "it is empty");
                return None;
            }
            "first" => self.items.first().cloned(),
            "last" => self.items.last().cloned(),
            "first_value" => self.items.iter().find(|item| item.is_true()).cloned(),
            "healthy" => Some(self.with_health("healthy")),
            "self" => {
                let own = self.own.as_deref().map(Value::from);
                own.and_then(|own| self.matching(&own).into_iter().next())
            }
            // A method without its parentheses.
            _ => return None,
        };
        Some(found.unwrap_or_else(|| Value::from(())))
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
        let target = || match arguments {
            [argument] => Ok(argument),
            _ => Err(Error::new(
                ErrorKind::InvalidOperation,
                format!("{method} takes one argument"),
            )),
        };
        match method {
            "matching" if self.has(method) => Ok(self.with(self.matching(target()?))),
            "not_matching" if self.has(method) => {
                let meant = self.matching(target()?);
                Ok(self.only(|item| !meant.contains(item)))
            }
            "with_health" if self.has(method) => {
                let (health,): (&str,) = from_args(arguments)?;
                Ok(self.with_health(health))
            }
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }
}

/// The way in which a word means a network: by its name or id, or by other properties of networks.
fn is_network_meant(item: &Value, target: &Value) -> Option<Meant> {
    let network = &item.downcast_object_ref::<Noted<NetworkView>>()?.part;
    if let Some(word) = target.as_str() {
        return Meant::by_id(&network.id, word).or((network.name == word).then_some(Meant::Named));
    }
    let is_same = |other: &NetworkView| other.id == network.id;
    let is_on = if let Some(container) = target.downcast_object_ref::<Noted<ContainerView>>() {
        container.part.networks.iter().any(is_same)
    } else if let Some(list) = target.downcast_object_ref::<List>() {
        list.kind == ListKind::Networks
            && list.items.iter().any(|other| {
                let other = other.downcast_object_ref::<Noted<NetworkView>>();
                other.is_some_and(|other| is_same(&other.part))
            })
    } else {
        let other = target.downcast_object_ref::<Noted<NetworkView>>();
        other.is_some_and(|other| is_same(&other.part))
    };
    is_on.then_some(Meant::Named)
}
