use crate::{
    observe::{Container, ContainerState, Detail, Health, Network},
    render::{ContainerView, NetworkView},
};

/// A container as templates see it.
pub(super) fn shown(detail: &Detail) -> ContainerView {
    let Detail {
        container,
        image,
        environment,
        exposed_udp,
    } = detail;
    ContainerView {
        id: container.id.to_string(),
        name: container.name.to_string(),
        image: image.clone(),
        status: status(container).to_owned(),
        is_there: container.is_there(),
        health: health(container).to_owned(),
        labels: container.labels.clone().into_iter().collect(),
        env: environment.clone(),
        networks: container
            .networks
            .iter()
            .map(|network| place(container, network))
            .collect(),
        tcp: container.exposed.clone(),
        udp: exposed_udp.clone(),
    }
}

fn status(container: &Container) -> &str {
    match &container.state {
        ContainerState::Running => "running",
        ContainerState::Paused => "paused",
        ContainerState::Other(word) => word,
        ContainerState::Removed { .. } => "removed",
    }
}

fn health(container: &Container) -> &str {
    match &container.health {
        None => "unknown",
        Some(Health::Healthy) => "healthy",
        Some(Health::Starting) => "starting",
        Some(Health::Unhealthy) => "unhealthy",
        Some(Health::Other(word)) => word,
    }
}

fn place(container: &Container, network: &Network) -> NetworkView {
    let in_project = |project: &str| {
        network
            .name
            .strip_prefix(project)?
            .strip_prefix('_')
            .filter(|name| !name.is_empty())
    };
    let compose_name = container.project().and_then(in_project).map(str::to_owned);
    let ip_address = network
        .address
        .map(|address| address.to_string())
        .unwrap_or_default();
    NetworkView {
        id: network.id.clone(),
        name: network.name.clone(),
        compose_name,
        ip_address,
    }
}
