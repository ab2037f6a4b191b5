//! What templates see, part by part, and what they ask of it in vain.

use std::{
    collections::{BTreeSet, HashSet},
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use minijinja::value::{Enumerator, Object, Value};

use super::{
    super::{FieldRow, visible},
    ContainerView, ContainersView, NetworkView, SHORT_ID,
    lists::{List, text, texts},
};
use crate::values::nearest;

/// A name that a template asked for and that is not there, so that it was empty.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnknownName {
    has_no: &'static str,
    name: String,
    nearest: Option<&'static str>,
}

impl fmt::Display for UnknownName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            has_no,
            name,
            nearest,
        } = self;
        write!(f, "{has_no} {}, so it is empty", visible(name))?;
        nearest.map_or(Ok(()), |nearest| write!(f, "; did you mean {nearest}?"))
    }
}

/// What was asked for in vain during one rendering.
#[derive(Clone, Debug, Default)]
pub(super) struct Misses(Arc<Mutex<BTreeSet<UnknownName>>>);

impl Misses {
    pub fn note(
        &self,
        has_no: &'static str,
        name: &str,
        known: impl IntoIterator<Item = &'static str>,
    ) {
        let unknown = UnknownName {
            has_no,
            name: name.to_owned(),
            nearest: nearest(name, known),
        };
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(unknown);
    }

    /// Those at the top level only as far as they are strange to the template.
    pub fn among(&self, strange: &HashSet<String>) -> BTreeSet<UnknownName> {
        let mut unknown = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        unknown.retain(|unknown| unknown.has_no != Root::HAS_NO || strange.contains(&unknown.name));
        unknown
    }
}

/// A name on a part: a row of what templates see.
pub(super) struct Attribute<T> {
    name: &'static str,
    kind: &'static str,
    doc: &'static str,
    read: fn(&T, &Misses) -> Value,
}

/// A part of the view that has these names and no others.
pub(super) trait ViewPart: Send + Sync + Sized + 'static {
    /// What the table of views calls it.
    const OF: &'static str;
    /// How it is said that it has not got a name.
    const HAS_NO: &'static str;
    const ATTRIBUTES: &'static [Attribute<Self>];

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
        Self::ATTRIBUTES.iter().map(row)
    }

    fn names() -> impl Iterator<Item = &'static str> {
        Self::ATTRIBUTES.iter().map(|attribute| attribute.name)
    }
}

/// A part that notes what is asked of it in vain.
pub(super) struct Noted<T> {
    pub part: T,
    misses: Misses,
}

impl<T: ViewPart> Noted<T> {
    fn of(part: T, misses: &Misses) -> Value {
        Value::from_object(Self {
            part,
            misses: misses.clone(),
        })
    }
}

impl<T: ViewPart> fmt::Debug for Noted<T> {
    /// Without what is in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::OF)
    }
}

impl<T: ViewPart> Object for Noted<T> {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let name = key.as_str()?;
        let found = T::ATTRIBUTES
            .iter()
            .find(|attribute| attribute.name == name);
        if found.is_none() {
            self.misses.note(T::HAS_NO, name, T::names());
        }
        found.map(|attribute| (attribute.read)(&self.part, &self.misses))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(T::names().map(Value::from).collect())
    }
}

/// The top level.
struct Root {
    containers: Value,
    all_containers: Value,
    own_container_id: Option<String>,
    nobody: Value,
}

/// What a lenient template sees.
pub(super) fn root(view: &ContainersView, misses: &Misses) -> Value {
    let mut sorted: Vec<&ContainerView> = view.containers.iter().collect();
    sorted.sort_by(|one, other| one.name.cmp(&other.name));
    let there = sorted.iter().filter(|container| container.is_there);
    let list = |containers: Vec<&ContainerView>| {
        List::of(
            containers
                .into_iter()
                .map(|container| Noted::of(container.clone(), misses)),
            misses,
        )
    };
    let root = Root {
        containers: list(there.copied().collect()),
        all_containers: list(sorted),
        own_container_id: view.own_container_id.clone(),
        nobody: List::of([], misses),
    };
    Noted::of(root, misses)
}

impl ViewPart for Root {
    const OF: &'static str = "render";
    const HAS_NO: &'static str = "there is no";
    const ATTRIBUTES: &'static [Attribute<Self>] = &[
        Attribute {
            name: "containers",
            kind: "list of container",
            doc: "those that run, by name",
            read: |root, _| root.containers.clone(),
        },
        Attribute {
            name: "all_containers",
            kind: "list of container",
            doc: "those that don't, too",
            read: |root, _| root.all_containers.clone(),
        },
        Attribute {
            name: "own_container_id",
            kind: "text, or none",
            doc: "the container that quaymaster runs in",
            read: |root, _| Value::from(root.own_container_id.clone()),
        },
        Attribute {
            name: "services",
            kind: "empty list",
            doc: "Swarm's, which are not read yet",
            read: |root, _| root.nobody.clone(),
        },
        Attribute {
            name: "all_services",
            kind: "empty list",
            doc: "Swarm's, which are not read yet",
            read: |root, _| root.nobody.clone(),
        },
        Attribute {
            name: "nodes",
            kind: "empty list",
            doc: "Swarm's, which are not read yet",
            read: |root, _| root.nobody.clone(),
        },
    ];
}

impl ViewPart for ContainerView {
    const OF: &'static str = "render: container";
    const HAS_NO: &'static str = "a container has no";
    const ATTRIBUTES: &'static [Attribute<Self>] = &[
        Attribute {
            name: "id",
            kind: "text",
            doc: "its id",
            read: |container, _| text(&container.id),
        },
        Attribute {
            name: "short_id",
            kind: "text",
            doc: "the beginning of its id",
            read: |container, _| text(container.id.get(..SHORT_ID).unwrap_or(&container.id)),
        },
        Attribute {
            name: "name",
            kind: "text",
            doc: "its name",
            read: |container, _| text(&container.name),
        },
        Attribute {
            name: "image",
            kind: "text",
            doc: "its image",
            read: |container, _| text(&container.image),
        },
        Attribute {
            name: "status",
            kind: "text",
            doc: "what it does, in Docker's word",
            read: |container, _| text(&container.status),
        },
        Attribute {
            name: "health",
            kind: "text",
            doc: "`healthy`, `unhealthy`, `starting`; `unknown` without a health check",
            read: |container, _| text(&container.health),
        },
        Attribute {
            name: "labels",
            kind: "labels.NAME or labels['NAME']: text",
            doc: "its labels, in any case; empty where there is none",
            read: |container, _| texts(&container.labels),
        },
        Attribute {
            name: "env",
            kind: "env.NAME: text",
            doc: "its environment, in any case; empty where there is none",
            read: |container, _| texts(&container.env),
        },
        Attribute {
            name: "networks",
            kind: "list of network",
            doc: "networks it is on, by name; networks.matching(OTHERS) are those of another container, list or \
                  network, or of this name, whole or as in the container's Compose file",
            read: |container, misses| {
                let networks = container.networks.iter().cloned();
                List::of(networks.map(|network| Noted::of(network, misses)), misses)
            },
        },
        Attribute {
            name: "ports",
            kind: "ports",
            doc: "ports that it exposes",
            read: |container, misses| {
                let ports = Ports {
                    tcp: container.tcp.clone(),
                    udp: container.udp.clone(),
                };
                Noted::of(ports, misses)
            },
        },
    ];
}

impl ViewPart for NetworkView {
    const OF: &'static str = "render: network";
    const HAS_NO: &'static str = "a network has no";
    const ATTRIBUTES: &'static [Attribute<Self>] = &[
        Attribute {
            name: "id",
            kind: "text",
            doc: "its id",
            read: |network, _| text(&network.id),
        },
        Attribute {
            name: "name",
            kind: "text",
            doc: "its whole name",
            read: |network, _| text(&network.name),
        },
        Attribute {
            name: "ip_address",
            kind: "text",
            doc: "the container's address there; empty while it has none",
            read: |network, _| text(&network.ip_address),
        },
    ];
}

/// Ports that a container exposes.
struct Ports {
    tcp: BTreeSet<u16>,
    udp: BTreeSet<u16>,
}

impl ViewPart for Ports {
    const OF: &'static str = "render: ports";
    const HAS_NO: &'static str = "a container's ports have no";
    const ATTRIBUTES: &'static [Attribute<Self>] = &[
        Attribute {
            name: "tcp",
            kind: "list of number",
            doc: "those of TCP",
            read: |ports, misses| numbers(&ports.tcp, misses),
        },
        Attribute {
            name: "udp",
            kind: "list of number",
            doc: "those of UDP",
            read: |ports, misses| numbers(&ports.udp, misses),
        },
    ];
}

fn numbers(ports: &BTreeSet<u16>, misses: &Misses) -> Value {
    List::of(ports.iter().copied().map(Value::from), misses)
}

/// The names that lenient templates see.
pub fn lenient_fields() -> Vec<FieldRow> {
    let lists = Root::rows().chain(List::rows());
    lists
        .chain(ContainerView::rows())
        .chain(NetworkView::rows())
        .chain(Ports::rows())
        .collect()
}
