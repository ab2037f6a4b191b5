use std::{net::IpAddr, sync::Arc};

use crate::{
    observe::{Bearer, BearerState, Detail, Endpoint, Health},
    render::{ContainerView, NetworkView},
};

/// Which containers templates see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ShownContainers {
    /// Each.
    #[default]
    All,
    /// Those that expose a port.
    Exposed,
    /// Those of which a port of the host leads to one of theirs.
    Published,
}

impl ShownContainers {
    pub(super) fn has(self, view: &ContainerView) -> bool {
        match self {
            Self::All => true,
            Self::Exposed => !view.tcp.is_empty() || !view.udp.is_empty(),
            Self::Published => view.is_published(),
        }
    }
}

/// True if a container bears a label, written as NAME or NAME=VALUE.
pub(super) fn bears(container: &Bearer, label: &str) -> bool {
    let (name, value) = match label.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (label, None),
    };
    let found = container.labels.get(name);
    found.is_some_and(|found| value.is_none_or(|value| found == value))
}

/// A container as templates see it.
pub(super) fn shown(detail: &Detail) -> ContainerView {
    let Detail {
        container,
        image,
        environment,
        exposed_tcp,
        exposed_udp,
        inspected,
    } = detail;
    ContainerView {
        id: container.id.to_string(),
        name: container.name.to_string(),
        image: image.clone(),
        status: status(container).to_owned(),
        // One that is about to be started again is in the engine's list, too.
        is_there: container.is_kept_going(),
        health: health(container).to_owned(),
        labels: container.labels.clone().into_iter().collect(),
        env: environment.iter().cloned().collect(),
        networks: container
            .endpoints
            .iter()
            .map(|endpoint| place(container, endpoint, inspected))
            .collect(),
        tcp: exposed_tcp.clone(),
        udp: exposed_udp.clone(),
        inspected: Arc::clone(inspected),
    }
}

fn status(container: &Bearer) -> &str {
    match &container.state {
        BearerState::Running => "running",
        BearerState::Paused => "paused",
        BearerState::Other(word) => word,
        BearerState::Removed { .. } => "removed",
    }
}

fn health(container: &Bearer) -> &str {
    match &container.health {
        None => "unknown",
        Some(Health::Healthy) => "healthy",
        Some(Health::Starting) => "starting",
        Some(Health::Unhealthy) => "unhealthy",
        Some(Health::Other(word)) => word,
    }
}

fn place(container: &Bearer, endpoint: &Endpoint, inspected: &Arc<str>) -> NetworkView {
    let in_project = |project: &str| {
        endpoint
            .network
            .strip_prefix(project)?
            .strip_prefix('_')
            .filter(|name| !name.is_empty())
    };
    let compose_name = container.project().and_then(in_project).map(str::to_owned);
    // The engine tells one of IPv6 apart.
    let ip_address = endpoint
        .address
        .filter(IpAddr::is_ipv4)
        .map(|address| address.to_string())
        .unwrap_or_default();
    NetworkView {
        id: endpoint.network_id.clone(),
        name: endpoint.network.clone(),
        compose_name,
        ip_address,
        inspected: Arc::clone(inspected),
    }
}
