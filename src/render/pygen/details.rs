//! The fields of a container that docker-gen's templates see and docker-pygen's do not: published ports, parts of its
//! image's name, its host name, IPv6 addresses. They are read from inspect's answer once a template asks for one.

use std::{cmp::Ordering, collections::BTreeMap};

use minijinja::value::Value;
use serde::Deserialize;

use super::{
    ContainerView, NetworkView,
    lists::{List, ListKind},
    parts::{Attribute, Misses, Noted, ViewPart},
};

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Inspect {
    config: Option<InspectedConfig>,
    network_settings: Option<InspectedNetworks>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct InspectedConfig {
    hostname: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct InspectedNetworks {
    ports: Option<BTreeMap<String, Option<Vec<Binding>>>>,
    networks: Option<BTreeMap<String, Option<InspectedPlace>>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct InspectedPlace {
    #[serde(rename = "GlobalIPv6Address")]
    ip6_address: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Binding {
    host_ip: Option<String>,
    host_port: Option<String>,
}

/// Reads inspect's answer; fields that are not as engines write them are left out.
fn read(text: &str) -> Inspect {
    serde_json::from_str(text).unwrap_or_default()
}

/// A port of the host that leads to one of a container.
pub(super) struct PublishedPort {
    port: u16,
    protocol: String,
    host_ip: String,
    host_port: u16,
}

/// The ports of the host that lead to a container, in the engine's order.
fn published_ports(inspected: &str) -> Vec<PublishedPort> {
    let settings = read(inspected).network_settings.unwrap_or_default();
    let mut found = Vec::new();
    for (name, bindings) in settings.ports.unwrap_or_default() {
        let (number, protocol) = name.split_once('/').unwrap_or((&name, "tcp"));
        let Ok(port) = number.parse() else { continue };
        for binding in bindings.unwrap_or_default() {
            let host_port = binding.host_port.unwrap_or_default();
            found.extend(host_port.parse().ok().map(|host_port| PublishedPort {
                port,
                protocol: protocol.to_owned(),
                host_ip: binding.host_ip.unwrap_or_default(),
                host_port,
            }));
        }
    }
    found
}

impl ContainerView {
    /// True if a port of the host leads to it.
    pub fn is_published(&self) -> bool {
        !published_ports(&self.inspected).is_empty()
    }
}

/// The list of a container's published ports.
pub(super) fn published(inspected: &str, misses: &Misses) -> Value {
    let ports = published_ports(inspected).into_iter();
    let each = ports.map(|port| Noted::of(port, misses));
    List::of(ListKind::Plain, each, misses).value()
}

pub(super) fn hostname(container: &ContainerView) -> Value {
    let config = read(&container.inspected).config.unwrap_or_default();
    Value::from(config.hostname.unwrap_or_default())
}

pub(super) fn ip6_address(network: &NetworkView) -> Value {
    let settings = read(&network.inspected)
        .network_settings
        .unwrap_or_default();
    let mut places = settings.networks.unwrap_or_default();
    let place = places.remove(&network.name).flatten();
    Value::from(
        place
            .and_then(|place| place.ip6_address)
            .unwrap_or_default(),
    )
}

impl ViewPart for PublishedPort {
    const OF: &'static str = "render: published";
    const HAS_NO: &'static str = "a published port has no";
    const ATTRIBUTES: &'static [Attribute<Self>] = &[
        Attribute {
            name: "port",
            kind: "number",
            doc: "the port in the container",
            read: |published, _| Value::from(published.port),
        },
        Attribute {
            name: "protocol",
            kind: "text",
            doc: "`tcp` or `udp`",
            read: |published, _| Value::from(published.protocol.as_str()),
        },
        Attribute {
            name: "host_ip",
            kind: "text",
            doc: "the host's address, such as 0.0.0.0 for all of IPv4",
            read: |published, _| Value::from(published.host_ip.as_str()),
        },
        Attribute {
            name: "host_port",
            kind: "number",
            doc: "the port of the host",
            read: |published, _| Value::from(published.host_port),
        },
    ];

    fn order(&self, other: &Self) -> Ordering {
        let whole = |it: &Self| {
            (
                it.port,
                it.protocol.clone(),
                it.host_ip.clone(),
                it.host_port,
            )
        };
        whole(self).cmp(&whole(other))
    }
}

/// An image's name in its parts, as Docker takes it apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ImageParts {
    registry: String,
    repository: String,
    tag: String,
}

impl ImageParts {
    /// <https://docs.docker.com/reference/cli/docker/image/tag/#description>
    pub fn of(image: &str) -> Self {
        let name = image.split_once('@').map_or(image, |(name, _)| name);
        let is_registry = |first: &str| first.contains(['.', ':']) || first == "localhost";
        let (registry, rest) = match name.split_once('/') {
            Some((first, rest)) if is_registry(first) => (first, rest),
            _ => ("", name),
        };
        let (repository, tag) = rest.split_once(':').unwrap_or((rest, ""));
        Self {
            registry: registry.to_owned(),
            repository: repository.to_owned(),
            tag: tag.to_owned(),
        }
    }
}

impl ViewPart for ImageParts {
    const OF: &'static str = "render: image parts";
    const HAS_NO: &'static str = "an image's name has no";
    const ATTRIBUTES: &'static [Attribute<Self>] = &[
        Attribute {
            name: "registry",
            kind: "text",
            doc: "`ghcr.io` of ghcr.io/me/shop:2; empty for Docker's own",
            read: |image, _| Value::from(image.registry.as_str()),
        },
        Attribute {
            name: "repository",
            kind: "text",
            doc: "`me/shop` of that",
            read: |image, _| Value::from(image.repository.as_str()),
        },
        Attribute {
            name: "tag",
            kind: "text",
            doc: "`2` of that; empty where there is none",
            read: |image, _| Value::from(image.tag.as_str()),
        },
    ];

    fn order(&self, other: &Self) -> Ordering {
        self.cmp(other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_s_name_is_taken_apart_as_docker_does_it() {
        for (image, registry, repository, tag) in [
            ("nginx", "", "nginx", ""),
            ("nginx:1.22", "", "nginx", "1.22"),
            ("my/shop", "", "my/shop", ""),
            ("ghcr.io/me/shop:2", "ghcr.io", "me/shop", "2"),
            ("localhost:5000/shop", "localhost:5000", "shop", ""),
            ("localhost/a/b:c@sha256:12", "localhost", "a/b", "c"),
            ("sha256:1234", "", "sha256", "1234"),
        ] {
            let expected = ImageParts {
                registry: registry.to_owned(),
                repository: repository.to_owned(),
                tag: tag.to_owned(),
            };
            assert_eq!(ImageParts::of(image), expected, "{image}");
        }
    }
}
