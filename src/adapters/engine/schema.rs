//! The members of the engine's answers that we read, each with a default: engines leave out what is empty, or write null,
//! and what one version has another has not.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};

/// Null is as good as missing: engines write it for empty lists and maps.
pub(super) fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// A signal's name or number: Docker writes text, Podman before version 5 a number.
fn stop_signal<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Word {
        Text(String),
        Number(i64),
    }
    Ok(match Option::deserialize(deserializer)? {
        Some(Word::Text(word)) => word,
        // Podman's way to say that there is none.
        None | Some(Word::Number(0)) => String::new(),
        Some(Word::Number(number)) => number.to_string(),
    })
}

/// <https://docs.docker.com/reference/api/engine/version/v1.51/#tag/Container/operation/ContainerList>
#[derive(Deserialize)]
pub(super) struct Listed {
    #[serde(rename = "Id")]
    pub(super) id: String,
    #[serde(rename = "Labels", default, deserialize_with = "or_default")]
    pub(super) labels: BTreeMap<String, String>,
}

/// The name of a container that can't be read otherwise.
#[derive(Deserialize)]
pub(super) struct CalledSo {
    #[serde(rename = "Name", default, deserialize_with = "or_default")]
    pub(super) name: String,
}

/// The part of the list that is read to find our own container.
#[derive(Deserialize)]
pub(super) struct ListedMounts {
    #[serde(rename = "Id")]
    pub(super) id: String,
    #[serde(rename = "Mounts", default, deserialize_with = "or_default")]
    pub(super) mounts: Vec<MountPoint>,
}

/// The further part that the command `render` reads; apart, so that environments are not read by anything else.
///
/// <https://docs.docker.com/reference/api/engine/version/v1.51/#tag/Container/operation/ContainerInspect>
#[derive(Deserialize)]
pub(super) struct InspectedDetail {
    #[serde(rename = "Config", default, deserialize_with = "or_default")]
    pub(super) config: ConfigDetail,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct ConfigDetail {
    #[serde(deserialize_with = "or_default")]
    pub(super) image: String,
    /// Each as `NAME=value`.
    #[serde(deserialize_with = "or_default")]
    pub(super) env: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    pub(super) exposed_ports: Names,
}

/// The names of an object, in their order.
#[derive(Default)]
pub(super) struct Names(pub(super) Vec<String>);

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfObject;
        impl<'de> Visitor<'de> for OfObject {
            type Value = Names;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Names, A::Error> {
                let mut names = Vec::new();
                while let Some((name, IgnoredAny)) = object.next_entry()? {
                    names.push(name);
                }
                Ok(Names(names))
            }
        }
        deserializer.deserialize_map(OfObject)
    }
}

/// The part of the engine's information that shows a Swarm.
///
/// <https://docs.docker.com/reference/api/engine/version/v1.51/#tag/System/operation/SystemInfo>
#[derive(Deserialize)]
pub(super) struct Info {
    #[serde(rename = "Swarm", default, deserialize_with = "or_default")]
    pub(super) swarm: SwarmInfo,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct SwarmInfo {
    #[serde(deserialize_with = "or_default")]
    pub(super) control_available: bool,
}

/// <https://docs.docker.com/reference/api/engine/version/v1.51/#tag/Image/operation/ImageInspect>
#[derive(Deserialize)]
pub(super) struct InspectedImage {
    #[serde(rename = "Config", default, deserialize_with = "or_default")]
    pub(super) config: ImageConfig,
}

#[derive(Deserialize, Default)]
pub(super) struct ImageConfig {
    #[serde(rename = "Labels", default, deserialize_with = "or_default")]
    pub(super) labels: BTreeMap<String, String>,
}

/// <https://docs.docker.com/reference/api/engine/version/v1.51/#tag/Container/operation/ContainerInspect>
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Inspected {
    pub(super) id: String,
    pub(super) name: String,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) created: String,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) state: State,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) config: Config,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) network_settings: NetworkSettings,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) mounts: Vec<MountPoint>,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) host_config: HostConfig,
    /// The program of its first process; without the init that the engine puts before it.
    #[serde(default, deserialize_with = "or_default")]
    pub(super) path: String,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) image: String,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) args: Vec<String>,
    /// Number of times that its restart policy started it again since somebody last did.
    #[serde(default, deserialize_with = "or_default")]
    pub(super) restart_count: i64,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct State {
    #[serde(deserialize_with = "or_default")]
    pub(super) status: String,
    /// Also true while it is paused or restarting.
    #[serde(deserialize_with = "or_default")]
    pub(super) running: bool,
    #[serde(deserialize_with = "or_default")]
    pub(super) paused: bool,
    #[serde(deserialize_with = "or_default")]
    pub(super) restarting: bool,
    #[serde(deserialize_with = "or_default")]
    pub(super) started_at: String,
    #[serde(deserialize_with = "or_default")]
    pub(super) finished_at: String,
    /// Of its first process; 0 while none runs.
    #[serde(deserialize_with = "or_default")]
    pub(super) pid: i32,
    #[serde(deserialize_with = "or_default")]
    pub(super) health: HealthCheck,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct HealthCheck {
    #[serde(deserialize_with = "or_default")]
    pub(super) status: String,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct Config {
    #[serde(deserialize_with = "or_default")]
    pub(super) labels: BTreeMap<String, String>,
    /// Whom its first process runs as, as it was written; empty for root.
    #[serde(deserialize_with = "or_default")]
    pub(super) user: String,
    #[serde(deserialize_with = "or_default")]
    pub(super) exposed_ports: BTreeMap<String, IgnoredAny>,
    /// A name or a number, from the image or the container.
    #[serde(deserialize_with = "stop_signal")]
    pub(super) stop_signal: String,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct NetworkSettings {
    #[serde(deserialize_with = "or_default")]
    pub(super) networks: BTreeMap<String, EndpointSettings>,
    /// By port inside, such as `80/tcp`; null where it is only exposed.
    #[serde(deserialize_with = "or_default")]
    pub(super) ports: BTreeMap<String, Option<Vec<Published>>>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct Published {
    #[serde(deserialize_with = "or_default")]
    pub(super) host_ip: String,
    #[serde(deserialize_with = "or_default")]
    pub(super) host_port: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct EndpointSettings {
    #[serde(rename = "NetworkID", deserialize_with = "or_default")]
    pub(super) network: String,
    #[serde(rename = "IPAddress", deserialize_with = "or_default")]
    pub(super) address: String,
    #[serde(rename = "GlobalIPv6Address", deserialize_with = "or_default")]
    pub(super) address_6: String,
    #[serde(rename = "Gateway", deserialize_with = "or_default")]
    pub(super) gateway: String,
    #[serde(rename = "IPv6Gateway", deserialize_with = "or_default")]
    pub(super) gateway_6: String,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct MountPoint {
    #[serde(rename = "Type", deserialize_with = "or_default")]
    pub(super) kind: String,
    #[serde(deserialize_with = "or_default")]
    pub(super) name: String,
    #[serde(deserialize_with = "or_default")]
    pub(super) driver: String,
    #[serde(deserialize_with = "or_default")]
    pub(super) source: String,
    #[serde(deserialize_with = "or_default")]
    pub(super) destination: String,
    #[serde(rename = "RW", deserialize_with = "or_default")]
    pub(super) writable: bool,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct HostConfig {
    /// Options by destination.
    #[serde(deserialize_with = "or_default")]
    pub(super) tmpfs: BTreeMap<String, Option<String>>,
    #[serde(deserialize_with = "or_default")]
    pub(super) mounts: Vec<MountOrder>,
    #[serde(deserialize_with = "or_default")]
    pub(super) init: bool,
    #[serde(deserialize_with = "or_default")]
    pub(super) restart_policy: NamedPolicy,
    #[serde(deserialize_with = "or_default")]
    pub(super) pid_mode: String,
    /// `none`, `host` or `container:ID`; anything else is a namespace of its own.
    #[serde(deserialize_with = "or_default")]
    pub(super) ipc_mode: String,
    /// `container:ID` for one that uses another's network.
    #[serde(deserialize_with = "or_default")]
    pub(super) network_mode: String,
    /// Where it is to be published, by port inside; also while it does not run.
    #[serde(deserialize_with = "or_default")]
    pub(super) port_bindings: BTreeMap<String, Option<Vec<Published>>>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct NamedPolicy {
    #[serde(deserialize_with = "or_default")]
    pub(super) name: String,
}

/// A mount that was asked for with `--mount`; only here the subpath of a volume is given.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct MountOrder {
    #[serde(deserialize_with = "or_default")]
    pub(super) target: String,
    #[serde(deserialize_with = "or_default")]
    pub(super) volume_options: VolumeOptions,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct VolumeOptions {
    #[serde(deserialize_with = "or_default")]
    pub(super) subpath: String,
}
