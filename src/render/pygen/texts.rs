//! Labels and variables as templates see them.

use std::{cmp::Ordering, fmt, sync::Arc};

use minijinja::{
    Error, State,
    value::{DynObject, Enumerator, Object, ObjectRepr, Value},
};

use super::parts::dict_method;

/// Labels or variables, in the engine's order: names are found in any case, and one that is not there is an empty text.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Texts(Arc<Vec<(String, String)>>);

impl Texts {
    /// The text under exactly this name.
    pub fn exact(&self, name: &str) -> Option<&str> {
        let mut all = self.0.iter();
        let found = all.find(|(own, _)| own == name);
        found.map(|(_, text)| text.as_str())
    }

    /// The text under this name, or else under the first that differs from it by case alone.
    pub(super) fn find(&self, name: &str) -> Option<&str> {
        let in_any_case = || {
            let mut all = self.0.iter();
            let found = all.find(|(own, _)| own.eq_ignore_ascii_case(name));
            found.map(|(_, text)| text.as_str())
        };
        self.exact(name).or_else(in_any_case)
    }

    pub(super) fn value(&self) -> Value {
        Value::from_object(self.clone())
    }
}

impl FromIterator<(String, String)> for Texts {
    /// As a dictionary takes them: of one name the last text counts, at the place of the first.
    fn from_iter<T: IntoIterator<Item = (String, String)>>(all: T) -> Self {
        let mut kept: Vec<(String, String)> = Vec::new();
        for (name, text) in all {
            match kept.iter_mut().find(|(own, _)| *own == name) {
                Some((_, before)) => *before = text,
                None => kept.push((name, text)),
            }
        }
        Self(Arc::new(kept))
    }
}

impl fmt::Debug for Texts {
    /// Names alone: the values may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set()
            .entries(self.0.iter().map(|(name, _)| name))
            .finish()
    }
}

impl Object for Texts {
    /// Not that of a map: minijinja looks into a map for what `in` asks, where each name has a text.
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, name: &str) -> Option<Value> {
        Some(Value::from(self.find(name).unwrap_or_default()))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        let names = self.0.iter().map(|(name, _)| Value::from(name.as_str()));
        Enumerator::Values(names.collect())
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        Some(self.0.len())
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
        Some(self.0.cmp(&other.0))
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.pairs()).finish()
    }
}

impl Texts {
    pub(super) fn pairs(&self) -> Vec<(Value, Value)> {
        let pair = |(name, text): &(String, String)| {
            (Value::from(name.as_str()), Value::from(text.as_str()))
        };
        self.0.iter().map(pair).collect()
    }
}
