use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Bearer, BearerState, Elsewhere, Endpoint};
use crate::values::{ContainerId, ContainerName, Timestamp};

/// A container that was removed: as much of it as says what its labels asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removed {
    /// The engine's word for it.
    pub id: ContainerId,
    /// Its name.
    pub name: ContainerName,
    /// When it was removed.
    pub at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    elsewhere: Option<Elsewhere>,
    labels: BTreeMap<String, String>,
    #[serde(default)]
    of_image: Box<[String]>,
    #[serde(default)]
    variables: BTreeMap<String, String>,
    created: Option<Timestamp>,
    started_at: Option<Timestamp>,
    /// The networks it was on, by name and id.
    networks: Vec<(String, String)>,
    exposed: BTreeSet<u16>,
}

impl Removed {
    /// Takes down a container that was removed at this time.
    pub fn of(container: &Bearer, at: Timestamp) -> Self {
        Self {
            id: container.id.clone(),
            name: container.name.clone(),
            at,
            elsewhere: container.elsewhere.clone(),
            labels: container.labels.clone().into_iter().collect(),
            of_image: container.of_image.clone(),
            variables: container.variables.clone().into_iter().collect(),
            created: container.created,
            started_at: container.started_at,
            networks: container
                .endpoints
                .iter()
                .map(|endpoint| (endpoint.network.clone(), endpoint.network_id.clone()))
                .collect(),
            exposed: container.exposed.clone(),
        }
    }

    /// The container as it counts now: without addresses, and without what only a server has.
    pub fn bearer(&self) -> Bearer {
        Bearer {
            elsewhere: self.elsewhere.clone(),
            labels: self.labels.clone().into_iter().collect(),
            of_image: self.of_image.clone(),
            variables: self.variables.clone().into_iter().collect(),
            state: BearerState::Removed { at: self.at },
            created: self.created,
            started_at: self.started_at,
            endpoints: self
                .networks
                .iter()
                .map(|(name, id)| Endpoint {
                    network: name.clone(),
                    network_id: id.clone(),
                    address: None,
                    has_ipv6: false,
                    gateway: None,
                })
                .collect(),
            exposed: self.exposed.clone(),
            ..Bearer::plain(self.id.clone(), self.name.clone())
        }
    }
}
