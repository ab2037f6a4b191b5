//! The engine's answer to inspect about a container, as its JSON has it.

use std::{
    cmp::Ordering,
    fmt,
    sync::{Arc, OnceLock},
};

use minijinja::value::{DynObject, Object, ObjectRepr, Value};

use super::ContainerView;

/// The object that docker-pygen handed out: few names of its own, and the whole JSON. It is read when somebody asks.
pub(super) struct Raw {
    id: String,
    short_id: String,
    text: Arc<str>,
    attrs: OnceLock<Value>,
}

impl Raw {
    pub fn of(container: &ContainerView) -> Value {
        Value::from_object(Self {
            id: container.id.clone(),
            short_id: container.short_id().to_owned(),
            text: Arc::clone(&container.inspected),
            attrs: OnceLock::new(),
        })
    }

    fn attrs(&self) -> &Value {
        // What the engine said was JSON when it was read first.
        self.attrs
            .get_or_init(|| serde_json::from_str(&self.text).unwrap_or_default())
    }

    /// The value at a path, if there is one.
    fn at(&self, path: &[&str]) -> Option<Value> {
        let mut found = self.attrs().clone();
        for name in path {
            found = found.get_attr(name).ok()?;
        }
        (!found.is_undefined()).then_some(found)
    }
}

impl fmt::Debug for Raw {
    /// As the client's object shows itself.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<Container: {}>", self.short_id)
    }
}

impl Object for Raw {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, name: &str) -> Option<Value> {
        match name {
            "attrs" => Some(self.attrs().clone()),
            "id" => Some(Value::from(self.id.as_str())),
            "short_id" => Some(Value::from(self.short_id.as_str())),
            "name" => {
                let name = self.at(&["Name"])?;
                Some(Value::from(name.as_str()?.trim_start_matches('/')))
            }
            "status" => self.at(&["State", "Status"]),
            "health" => Some(
                self.at(&["State", "Health", "Status"])
                    .unwrap_or_else(|| Value::from("unknown")),
            ),
            "labels" => {
                let labels = self.at(&["Config", "Labels"]);
                let labels = labels.filter(|labels| !labels.is_none());
                Some(labels.unwrap_or_else(|| Value::from_pairs([("", ""); 0])))
            }
            "ports" => self.at(&["NetworkSettings", "Ports"]),
            name => self.at(&[name]),
        }
    }

    fn custom_cmp(self: &Arc<Self>, other: &DynObject) -> Option<Ordering> {
        Some(self.id.cmp(&other.downcast_ref::<Self>()?.id))
    }
}
