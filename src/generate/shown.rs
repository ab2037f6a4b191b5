use std::{net::IpAddr, sync::Arc};

use crate::{
    observe::{Bearer, BearerState, Detail, Endpoint, Health},
    render::{ContainerView, NetworkView},
};

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
            .map(|endpoint| place(container, endpoint))
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

fn place(container: &Bearer, endpoint: &Endpoint) -> NetworkView {
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
    }
}
