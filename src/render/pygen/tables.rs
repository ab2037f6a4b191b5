//! The views of templates, record by record: the rows of the table of views.

use std::{cmp::Ordering, sync::Arc};

use minijinja::value::Value;

use super::{
    super::FieldRow,
    CertificateRecord, ContainerView, ContainersView, NetworkView, SHORT_ID, Texts, certificates,
    details::{self, ImageParts, PublishedPort},
    lists::{List, ListKind},
    parts::{Attribute, Misses, Noted, ViewPart},
    raw::Raw,
};

/// The top level.
pub(super) struct Root {
    containers: Value,
    all_containers: Value,
    own_container_id: Option<String>,
    env: Texts,
    certificates: Value,
}

/// The view of a lenient template.
pub(super) fn root(view: &ContainersView, misses: &Misses) -> Value {
    let own = view.own_container_id.as_deref();
    let all = view.containers.iter();
    let all: Vec<_> = all
        .map(|container| {
            let value = Noted::of(container.clone(), misses);
            (container.is_there, value)
        })
        .collect();
    let there = all.iter().filter(|(is_there, _)| *is_there);
    let list = |items: Vec<Value>| List::of(ListKind::Containers, items, misses).with_own(own);
    let root = Root {
        containers: list(there.map(|(_, value)| value.clone()).collect()).value(),
        all_containers: list(all.into_iter().map(|(_, value)| value).collect()).value(),
        own_container_id: view.own_container_id.clone(),
        env: view.variables.as_ref().clone().into_iter().collect(),
        certificates: certificates::list(&view.certificates, misses),
    };
    Noted::of(root, misses)
}

/// The names and values of a record.
pub(super) fn pairs(value: &Value) -> Option<Vec<(Value, Value)>> {
    fn of<T: ViewPart>(value: &Value) -> Option<Vec<(Value, Value)>> {
        value.downcast_object_ref::<Noted<T>>().map(Noted::pairs)
    }
    of::<ContainerView>(value)
        .or_else(|| of::<NetworkView>(value))
        .or_else(|| of::<Ports>(value))
        .or_else(|| of::<PublishedPort>(value))
        .or_else(|| of::<ImageParts>(value))
        .or_else(|| of::<CertificateRecord>(value))
}

fn of_swarm(list: &'static str, misses: &Misses) -> Value {
    misses.note_swarm(list);
    List::of(ListKind::Containers, [], misses).value()
}

fn text(text: &str) -> Value {
    Value::from(text)
}

impl Root {
    /// Of these, only a text that the template does not bind itself is a name that does not exist.
    pub const HAS_NO: &'static str = "there is no";
}

impl ViewPart for Root {
    const OF: &'static str = "render";
    const HAS_NO: &'static str = Self::HAS_NO;
    const IS_RECORD: bool = false;
    const ATTRIBUTES: &'static [Attribute<Self>] = &[
        Attribute {
            name: "containers",
            kind: "list of container",
            doc: "those that run, are paused or about to be started again, newest first, as `docker ps` lists them",
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
            doc: "Swarm's, which are not read yet: on a Swarm manager, a template that asks for them is refused",
            read: |_, misses| of_swarm("services", misses),
        },
        Attribute {
            name: "all_services",
            kind: "empty list",
            doc: "as `services`",
            read: |_, misses| of_swarm("all_services", misses),
        },
        Attribute {
            name: "nodes",
            kind: "empty list",
            doc: "as `services`",
            read: |_, misses| of_swarm("nodes", misses),
        },
    ];
    const OURS: &'static [Attribute<Self>] = &[
        Attribute {
            name: "env",
            kind: "env.NAME: text",
            doc: "quaymaster's own environment, as that of a container; for outputs, what `template-env` names of it",
            read: |root, _| root.env.value(),
        },
        Attribute {
            name: "certificates",
            kind: "list of certificate",
            doc: "for outputs, the certificates that quaymaster holds; in `render` there are none",
            read: |root, _| root.certificates.clone(),
        },
    ];

    fn order(&self, _: &Self) -> Ordering {
        Ordering::Equal
    }
}

impl ViewPart for ContainerView {
    const OF: &'static str = "render: container";
    const HAS_NO: &'static str = "a container has no";
    const ATTRIBUTES: &'static [Attribute<Self>] = &[
        Attribute {
            name: "raw",
            kind: "inspect's JSON",
            doc: "what `docker inspect` says of it, such as raw.HostConfig; raw.attrs is the same, and there are raw.id, \
                  raw.short_id, raw.name, raw.status, raw.health, raw.labels and raw.ports",
            read: |container, _| Raw::of(container),
        },
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
            read: |container, _| text(container.short_id()),
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
            doc: "its labels, in any case; empty where there is none. `in`, .get() and .items() take names as they are \
                  written",
            read: |container, _| container.labels.value(),
        },
        Attribute {
            name: "env",
            kind: "env.NAME: text",
            doc: "its environment, as labels; for outputs, what `template-env` names of it",
            read: |container, _| container.env.value(),
        },
        Attribute {
            name: "networks",
            kind: "list of network",
            doc: "networks it is on; networks.matching(OTHERS) are those of another container, list or network, or of \
                  this name or id",
            read: |container, misses| {
                let networks = container.networks.iter().cloned();
                let each = networks.map(|network| Noted::of(network, misses));
                List::of(ListKind::Networks, each, misses).value()
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
                    inspected: Arc::clone(&container.inspected),
                };
                Noted::of(ports, misses)
            },
        },
    ];
    const OURS: &'static [Attribute<Self>] = &[
        Attribute {
            name: "hostname",
            kind: "text",
            doc: "what it is called inside",
            read: |container, _| details::hostname(container),
        },
        Attribute {
            name: "image_parts",
            kind: "image parts",
            doc: "its image's name, taken apart",
            read: |container, misses| Noted::of(ImageParts::of(&container.image), misses),
        },
    ];

    fn order(&self, other: &Self) -> Ordering {
        self.id.cmp(&other.id)
    }
}

impl ContainerView {
    pub(super) fn short_id(&self) -> &str {
        self.id.get(..SHORT_ID).unwrap_or(&self.id)
    }
}

impl ViewPart for NetworkView {
    const OF: &'static str = "render: network";
    const HAS_NO: &'static str = "a network has no";
    const ATTRIBUTES: &'static [Attribute<Self>] = &[
        Attribute {
            name: "name",
            kind: "text",
            doc: "its whole name, as `docker network ls` prints it",
            read: |network, _| text(&network.name),
        },
        Attribute {
            name: "id",
            kind: "text",
            doc: "its id",
            read: |network, _| text(&network.id),
        },
        Attribute {
            name: "ip_address",
            kind: "text",
            doc: "the container's IPv4 address there; empty while it has none",
            read: |network, _| text(&network.ip_address),
        },
    ];
    const OURS: &'static [Attribute<Self>] = &[
        Attribute {
            name: "compose_name",
            kind: "text, or none",
            doc: "its name in the Compose file that the container is from, such as `default`",
            read: |network, _| Value::from(network.compose_name.clone()),
        },
        Attribute {
            name: "ip6_address",
            kind: "text",
            doc: "the container's IPv6 address there; empty while it has none",
            read: |network, _| details::ip6_address(network),
        },
    ];

    fn order(&self, other: &Self) -> Ordering {
        let whole =
            |network: &Self| [&network.id, &network.name, &network.ip_address].map(Clone::clone);
        whole(self).cmp(&whole(other))
    }
}

/// Ports that a container exposes.
struct Ports {
    tcp: Vec<u16>,
    udp: Vec<u16>,
    /// All that the engine's inspect says of the container, as JSON.
    inspected: Arc<str>,
}

impl ViewPart for Ports {
    const OF: &'static str = "render: ports";
    const HAS_NO: &'static str = "a container's ports have no";
    const ATTRIBUTES: &'static [Attribute<Self>] = &[
        Attribute {
            name: "tcp",
            kind: "list of number",
            doc: "those of TCP, in the engine's order: \"443\", \"80\", \"8080\"",
            read: |ports, misses| numbers(&ports.tcp, misses),
        },
        Attribute {
            name: "udp",
            kind: "list of number",
            doc: "those of UDP",
            read: |ports, misses| numbers(&ports.udp, misses),
        },
    ];
    const OURS: &'static [Attribute<Self>] = &[Attribute {
        name: "published",
        kind: "list of published",
        doc: "ports of the host that lead to the container",
        read: |ports, misses| details::published(&ports.inspected, misses),
    }];

    fn order(&self, other: &Self) -> Ordering {
        (&self.tcp, &self.udp).cmp(&(&other.tcp, &other.udp))
    }
}

fn numbers(ports: &[u16], misses: &Misses) -> Value {
    List::of(
        ListKind::Plain,
        ports.iter().copied().map(Value::from),
        misses,
    )
    .value()
}

/// The functions: name, kind, and result.
const FUNCTIONS: &[(&str, &str, &str)] = &[(
    "read_config(KEY, path=None, default=None, single_config=False, fallback_to_env=True)",
    "text, or none",
    "what stands behind KEY= in a line of the file, else the variable KEY of quaymaster's own environment, else the \
     default; with single_config the whole file",
)];

/// The names that lenient templates see.
pub fn lenient_fields() -> Vec<FieldRow> {
    let function = |(name, kind, doc): &(&'static str, &str, &'static str)| FieldRow {
        of: Root::OF,
        name,
        kind: (*kind).to_owned(),
        doc,
    };
    let lists = Root::rows()
        .chain(FUNCTIONS.iter().map(function))
        .chain(List::rows());
    lists
        .chain(ContainerView::rows())
        .chain(NetworkView::rows())
        .chain(Ports::rows())
        .chain(PublishedPort::rows())
        .chain(ImageParts::rows())
        .chain(CertificateRecord::rows())
        .collect()
}
