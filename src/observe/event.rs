use std::collections::BTreeMap;

use crate::values::ContainerId;

/// Something that happened on the engine. It names the container to look at, and never its present state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineEvent {
    /// The kind of event.
    pub action: EventKind,
    /// The container that it happened to.
    pub container: ContainerId,
    /// The container's labels, as far as the event carries them (network events carry none).
    pub labels: BTreeMap<String, String>,
}

/// The kind of an event, as far as it makes a difference. Engine and Podman name some of these differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// The engine's description of the container may have changed.
    Changed,
    /// The container is no more.
    Gone,
    /// It joined or left a network; such events carry no labels.
    Network,
}

impl EventKind {
    /// Reads an event's type and action; `None` for what changes nothing that we read: `exec_*`, `kill` (our own
    /// signals among them), `top`, `attach`, `resize`, images, volumes, networks as such.
    pub fn read(kind: &str, action: &str) -> Option<Self> {
        // Health events read `health_status: healthy`, those of Podman a bare `health_status`.
        let word = action.split(':').next().unwrap_or(action).trim();
        match (kind, word) {
            (
                "container",
                "start" | "die" | "died" | "rename" | "pause" | "unpause" | "update"
                | "health_status",
            ) => Some(Self::Changed),
            ("container", "destroy" | "remove") => Some(Self::Gone),
            ("network", "connect" | "disconnect") => Some(Self::Network),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_changes_facts_is_an_action() {
        for (kind, action, expected) in [
            ("container", "start", Some(EventKind::Changed)),
            ("container", "died", Some(EventKind::Changed)),
            (
                "container",
                "health_status: unhealthy",
                Some(EventKind::Changed),
            ),
            ("container", "health_status", Some(EventKind::Changed)),
            ("container", "destroy", Some(EventKind::Gone)),
            ("container", "remove", Some(EventKind::Gone)),
            ("network", "disconnect", Some(EventKind::Network)),
            ("network", "create", None),
            ("container", "exec_create: sh -c true", None),
            ("container", "exec_die", None),
            ("container", "kill", None),
            ("pod", "start", None),
        ] {
            assert_eq!(EventKind::read(kind, action), expected, "{kind} {action}");
        }
    }
}
