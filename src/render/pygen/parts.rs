//! Records, and the names that they lack and that templates ask for.

use std::{
    cmp::Ordering,
    collections::{BTreeSet, HashSet},
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use minijinja::{
    Error, ErrorKind, State,
    value::{DynObject, Enumerator, Object, ObjectRepr, Tuple, Value, from_args},
};

use super::super::{FieldRow, visible};
use crate::values::nearest;

/// A name that a template asked for and that is not there, so that there was nothing instead.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnknownName {
    has_no: &'static str,
    name: String,
    nearest: Option<&'static str>,
    /// The text in its place.
    instead: &'static str,
}

impl fmt::Display for UnknownName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            has_no,
            name,
            nearest,
            instead,
        } = self;
        write!(f, "{has_no} {}, so {instead}", visible(name))?;
        nearest.map_or(Ok(()), |nearest| write!(f, "; did you mean {nearest}?"))
    }
}

/// Names that were asked for during one rendering, and that do not exist.
#[derive(Clone, Debug, Default)]
pub(super) struct Misses(Arc<Mutex<Asked>>);

#[derive(Debug, Default)]
struct Asked {
    unknown: BTreeSet<UnknownName>,
    /// Of Swarm's lists, the one that was asked for first.
    of_swarm: Option<&'static str>,
}

impl Misses {
    /// Notes a name that does not exist.
    pub fn note(
        &self,
        has_no: &'static str,
        name: &str,
        known: impl IntoIterator<Item = &'static str>,
        instead: &'static str,
    ) {
        let unknown = UnknownName {
            has_no,
            name: name.to_owned(),
            nearest: nearest(name, known),
            instead,
        };
        self.change(|asked| asked.unknown.insert(unknown));
    }

    /// One of Swarm's lists is asked for.
    pub fn note_swarm(&self, list: &'static str) {
        self.change(|asked| asked.of_swarm = asked.of_swarm.or(Some(list)));
    }

    pub fn of_swarm(&self) -> Option<&'static str> {
        self.change(|asked| asked.of_swarm)
    }

    /// True if a list was asked for this.
    pub fn of_lists(&self, name: &str) -> bool {
        self.change(|asked| {
            let mut all = asked.unknown.iter();
            all.any(|unknown| unknown.has_no == super::lists::HAS_NO && unknown.name == name)
        })
    }

    /// Those at the top level only as far as they are strange to the template.
    pub fn among(&self, top_level: &str, strange: &HashSet<String>) -> BTreeSet<UnknownName> {
        let mut unknown = self.change(|asked| asked.unknown.clone());
        unknown.retain(|unknown| unknown.has_no != top_level || strange.contains(&unknown.name));
        unknown
    }

    fn change<T>(&self, change: impl FnOnce(&mut Asked) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A name on a part: a row of what templates see.
pub(super) struct Attribute<T> {
    pub name: &'static str,
    pub kind: &'static str,
    pub doc: &'static str,
    pub read: fn(&T, &Misses) -> Value,
}

/// A part of the view that has these names and no others.
pub(super) trait ViewPart: Send + Sync + Sized + 'static {
    /// Its name in the table of views.
    const OF: &'static str;
    /// The words for a name that it lacks.
    const HAS_NO: &'static str;
    /// The attributes that docker-pygen had, in its order.
    const ATTRIBUTES: &'static [Attribute<Self>];
    /// The attributes that docker-pygen did not have.
    const OURS: &'static [Attribute<Self>] = &[];

    /// True if it is a record, which has a name in any case, and None for each that it has not.
    const IS_RECORD: bool = true;

    /// The order of two of them.
    fn order(&self, other: &Self) -> Ordering;

    fn all() -> impl Iterator<Item = &'static Attribute<Self>> {
        Self::ATTRIBUTES.iter().chain(Self::OURS)
    }

    fn rows() -> impl Iterator<Item = FieldRow> {
        let row = |attribute: &Attribute<Self>| {
            let Attribute {
                name, kind, doc, ..
            } = *attribute;
            FieldRow {
                of: Self::OF,
                name,
                kind: kind.to_owned(),
                doc,
            }
        };
        Self::all().map(row)
    }

    fn names() -> impl Iterator<Item = &'static str> {
        Self::all().map(|attribute| attribute.name)
    }

    /// The attribute of this name, or of one that differs by case alone.
    fn attribute(name: &str) -> Option<&'static Attribute<Self>> {
        let in_any_case = || {
            let mut all = Self::all().filter(|_| Self::IS_RECORD);
            all.find(|own| own.name.eq_ignore_ascii_case(name))
        };
        Self::all()
            .find(|own| own.name == name)
            .or_else(in_any_case)
    }
}

/// A record that notes each name that it is asked for and lacks.
pub(super) struct Noted<T> {
    pub part: T,
    misses: Misses,
}

impl<T: ViewPart> Noted<T> {
    pub fn of(part: T, misses: &Misses) -> Value {
        Value::from_object(Self {
            part,
            misses: misses.clone(),
        })
    }

    pub fn pairs(&self) -> Vec<(Value, Value)> {
        let pair = |attribute: &Attribute<T>| {
            let value = (attribute.read)(&self.part, &self.misses);
            (Value::from(attribute.name), value)
        };
        T::ATTRIBUTES.iter().map(pair).collect()
    }
}

impl<T: ViewPart> fmt::Debug for Noted<T> {
    /// Without what is in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::OF)
    }
}

impl<T: ViewPart> Object for Noted<T> {
    /// Not that of a map: minijinja looks into a map for what `in` asks, where each name has a value, if none.
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, name: &str) -> Option<Value> {
        let found = T::attribute(name);
        if let Some(attribute) = found {
            return Some((attribute.read)(&self.part, &self.misses));
        }
        let instead = if T::IS_RECORD {
            "it is None"
        } else {
            "it is empty"
        };
        self.misses.note(T::HAS_NO, name, T::names(), instead);
        T::IS_RECORD.then(|| Value::from(()))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        let names = T::ATTRIBUTES
            .iter()
            .map(|attribute| Value::from(attribute.name));
        Enumerator::Values(names.collect())
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        Some(T::ATTRIBUTES.len())
    }

    fn call_method(
        self: &Arc<Self>,
        _: &mut State<'_, '_>,
        method: &str,
        arguments: &[Value],
    ) -> Result<Value, Error> {
        dict_method(method, arguments, &self.pairs())
    }

    fn custom_cmp(self: &Arc<Self>, other: &DynObject) -> Option<Ordering> {
        let other = other.downcast_ref::<Self>()?;
        Some(self.part.order(&other.part))
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.pairs()).finish()
    }
}

/// The methods of Python's dictionaries that change nothing; names count as they are written.
pub(super) fn dict_method(
    method: &str,
    arguments: &[Value],
    pairs: &[(Value, Value)],
) -> Result<Value, Error> {
    match method {
        "get" => {
            let (key, default): (&Value, Option<Value>) = from_args(arguments)?;
            let found = pairs.iter().find(|(own, _)| own == key);
            let found = found.map(|(_, value)| value.clone()).or(default);
            Ok(found.unwrap_or_else(|| Value::from(())))
        }
        "items" | "keys" | "values" => {
            let () = from_args(arguments)?;
            let each = |(name, value): &(Value, Value)| match method {
                "items" => Value::from(Tuple::from([name.clone(), value.clone()])),
                "keys" => name.clone(),
                _ => value.clone(),
            };
            Ok(pairs.iter().map(each).collect())
        }
        _ => Err(Error::from(ErrorKind::UnknownMethod)),
    }
}
