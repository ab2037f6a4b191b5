//! The meaning of an inspect: a container becomes a bearer. What is missing has a default, and words that are not known
//! yet stay words.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use litemap::LiteMap;

use super::{
    network::{all_published, endpoints, joined, tcp_port},
    schema::{HostConfig, Inspected, MountPoint, State},
};
use crate::{
    observe::{Bearer, BearerState, Health, Mount, MountKind, RestartPolicy},
    values::{ContainerId, ContainerName, Digest, Timestamp},
};

/// The bearer that a container is, without variables.
///
/// # Errors
/// When what it is called can't be the name of a container.
pub(super) fn bearer(read: Inspected) -> Result<Bearer, String> {
    let Inspected {
        id,
        name,
        created,
        state,
        config,
        network_settings,
        mounts,
        host_config,
        path,
        image,
        args,
        restart_count,
    } = read;
    let name = name.strip_prefix('/').unwrap_or(&name);
    let mounts = all_mounts(mounts, &host_config);
    let has_own_shm = has_own_shm(&host_config, &mounts);
    Ok(Bearer {
        id: ContainerId::parse(id).map_err(|error| error.to_string())?,
        name: ContainerName::parse(name).map_err(|error| error.to_string())?,
        elsewhere: None,
        labels: config.labels.into_iter().collect(),
        of_image: Box::default(),
        variables: LiteMap::new(),
        health: health(&state.health.status),
        pid: Some(state.pid).filter(|pid| *pid > 0),
        created: time(&created),
        started_at: time(&state.started_at),
        ended_at: time(&state.finished_at),
        image: image_digest(&image),
        state: word(state),
        published: all_published(&network_settings.ports),
        bound: all_published(&host_config.port_bindings),
        user: config.user,
        endpoints: endpoints(network_settings.networks),
        exposed: config
            .exposed_ports
            .keys()
            .filter_map(|port| tcp_port(port))
            .collect(),
        joins: joined(&host_config.network_mode),
        mounts,
        command: [path]
            .into_iter()
            .filter(|path| !path.is_empty())
            .chain(args)
            .collect(),
        init: host_config.init,
        restart_policy: RestartPolicy::of_word(&host_config.restart_policy.name),
        restarts: u32::try_from(restart_count).unwrap_or_default(),
        stop_signal: Some(config.stop_signal)
            .filter(|word| !word.is_empty())
            .map(String::into_boxed_str),
        has_host_pids: host_config.pid_mode == "host",
        has_own_shm,
        way: None,
        waits: None,
    })
}

/// True if /dev/shm is a file system of its own, as it is unless somebody wants it otherwise. Shared with the host or
/// with other containers, or on a volume, it outlives a start; without IPC there is none.
fn has_own_shm(host: &HostConfig, mounts: &[Mount]) -> bool {
    let is_shared_ipc = host.ipc_mode == "none"
        || host.ipc_mode == "host"
        || host.ipc_mode.starts_with("container:");
    let lies_elsewhere = |mount: &Mount| {
        mount.destination == Path::new("/dev/shm") && mount.kind != MountKind::Private
    };
    !is_shared_ipc && !mounts.iter().any(lies_elsewhere)
}

/// Old engines have no word, only flags.
fn word(state: State) -> BearerState {
    match state.status.as_str() {
        "running" => BearerState::Running,
        "paused" => BearerState::Paused,
        "" if state.paused => BearerState::Paused,
        "" if state.running && !state.restarting => BearerState::Running,
        "" => BearerState::Other("not running".to_owned()),
        _ => BearerState::Other(state.status),
    }
}

fn health(word: &str) -> Option<Health> {
    match word {
        "" | "none" => None,
        "healthy" => Some(Health::Healthy),
        "starting" => Some(Health::Starting),
        "unhealthy" => Some(Health::Unhealthy),
        other => Some(Health::Other(other.to_owned())),
    }
}

/// An image's id, which Podman writes without the name of its hash.
fn image_digest(id: &str) -> Option<Digest> {
    let digits = id.strip_prefix("sha256:").unwrap_or(id);
    Digest::try_from(digits.to_owned()).ok()
}

/// Engines write the year 1 for never.
fn time(text: &str) -> Option<Timestamp> {
    Timestamp::parse(text)
        .ok()
        .filter(|time| *time > Timestamp::from_seconds(0))
}

/// `Mounts`, and what does not show there: tmpfs of the `--tmpfs` kind, and the subpaths of volumes. In the order of
/// destinations, because the engine's is random.
fn all_mounts(mounts: Vec<MountPoint>, host: &HostConfig) -> Vec<Mount> {
    let subpaths: BTreeMap<PathBuf, &str> = host
        .mounts
        .iter()
        .map(|mount| (clean(&mount.target), mount.volume_options.subpath.as_str()))
        .collect();
    let mut all: BTreeMap<PathBuf, Mount> = BTreeMap::new();
    for (destination, options) in &host.tmpfs {
        let writable = !options
            .as_deref()
            .is_some_and(|options| options.split(',').any(|option| option == "ro"));
        let destination = clean(destination);
        all.insert(
            destination.clone(),
            Mount {
                kind: MountKind::Private,
                destination,
                writable,
            },
        );
    }
    for mount in mounts {
        let destination = clean(&mount.destination);
        let subpath = subpaths.get(&destination).copied().unwrap_or_default();
        let writable = mount.writable;
        all.insert(
            destination.clone(),
            Mount {
                kind: kind(mount, subpath),
                destination,
                writable,
            },
        );
    }
    all.into_values().collect()
}

fn kind(mount: MountPoint, subpath: &str) -> MountKind {
    match mount.kind.as_str() {
        "volume" if !mount.name.is_empty() => MountKind::Volume {
            name: mount.name,
            driver: mount.driver,
            source: clean(&mount.source),
            subpath: clean(subpath),
        },
        "bind" if !mount.source.is_empty() => MountKind::Bind {
            source: clean(&mount.source),
        },
        _ => MountKind::Private,
    }
}

/// Without trailing and double slashes, which the engine takes out of some lists and leaves in others.
fn clean(path: &str) -> PathBuf {
    Path::new(path).components().collect()
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeSet;

    use litemap::LiteMap;

    use super::{super::decode, *};
    use crate::{
        fixtures,
        observe::{Endpoint, Interest},
    };

    const RECORDED: &[u8] = include_bytes!("../../../tests/recorded/engine/inspect-20.10.json");

    fn mount(kind: MountKind, destination: &str, writable: bool) -> Mount {
        Mount {
            kind,
            destination: destination.into(),
            writable,
        }
    }

    /// An answer with these members beside id and name.
    pub fn with(members: &str) -> Bearer {
        decode::bearer(
            format!(r#"{{"Id":"2e","Name":"/shop",{members}}}"#).as_bytes(),
            &Interest::default(),
        )
        .unwrap()
    }

    #[test]
    fn a_recorded_container_is_read() {
        let read = decode::bearer(RECORDED, &Interest::default()).unwrap();
        let volume = MountKind::Volume {
            name: "quaymaster-test-rec-17103-vol".into(),
            driver: "local".into(),
            source: "/var/lib/docker/volumes/quaymaster-test-rec-17103-vol/_data".into(),
            subpath: PathBuf::new(),
        };
        let network = Endpoint {
            network_id: "067d6832a7f2612962c6118cd08dcc16bb10d07edeee367fb86a1195389fe780".into(),
            address: Some([172, 17, 0, 3].into()),
            gateway: Some([172, 17, 0, 1].into()),
            ..fixtures::network("bridge", 0)
        };
        let expected = Bearer {
            id: ContainerId::parse(
                "2ec31d1c2b8b0a20c7f8395c36464537d760a4933e2037b26e8250624f5921b8",
            )
            .unwrap(),
            name: ContainerName::parse("quaymaster-test-rec-17103-m").unwrap(),
            elsewhere: None,
            labels: LiteMap::from_iter([("quaymaster.host".into(), "a.example".into())]),
            of_image: Box::default(),
            variables: LiteMap::new(),
            state: BearerState::Running,
            health: Some(Health::Starting),
            created: Some(Timestamp::parse("2026-11-22T18:46:08.447Z").unwrap()),
            started_at: Some(Timestamp::parse("2026-11-22T18:46:08.731Z").unwrap()),
            ended_at: None,
            image: image_digest("dfb316affda6354793c3417e56870f5b915712dfc9ac2ffa12ba2cc243e37772"),
            endpoints: [network].into(),
            exposed: BTreeSet::from([80, 443, 9000]),
            published: BTreeMap::from([(9000, BTreeSet::from([([127, 0, 0, 1], 32768).into()]))]),
            bound: BTreeMap::new(),
            user: String::new(),
            command: vec!["sleep".into(), "300".into()],
            init: false,
            restart_policy: RestartPolicy::No,
            restarts: 0,
            stop_signal: None,
            pid: Some(9928),
            has_host_pids: false,
            has_own_shm: true,
            way: None,
            waits: None,
            joins: None,
            mounts: vec![
                mount(
                    MountKind::Bind {
                        source: "/tmp/qe".into(),
                    },
                    "/b",
                    true,
                ),
                mount(MountKind::Private, "/run", true),
                mount(MountKind::Private, "/t2", true),
                mount(MountKind::Private, "/t3", true),
                mount(volume, "/v", false),
            ],
        };
        assert_eq!(read, expected);
    }

    #[test]
    fn how_often_it_was_restarted_is_read() {
        for (members, expected) in [
            (r#""RestartCount":7"#, 7),
            (r#""RestartCount":null"#, 0),
            (r#""RestartCount":-1"#, 0),
            (r#""New":{}"#, 0),
        ] {
            assert_eq!(with(members).restarts, expected, "{members}");
        }
    }

    #[test]
    fn nothing_but_id_and_name_is_needed() {
        for members in [
            r#""New":{}"#,
            r#""State":null,"Config":null,"NetworkSettings":null,"Mounts":null,"HostConfig":null,"Created":null"#,
            r#""State":{"Health":null},"Config":{"Labels":null,"ExposedPorts":null},"NetworkSettings":{"Networks":null},
               "HostConfig":{"Tmpfs":null,"Mounts":null}"#,
        ] {
            let read = with(members);
            assert_eq!(
                (read.labels.len(), read.mounts.len(), read.endpoints.len()),
                (0, 0, 0),
                "{members}"
            );
            assert_eq!(
                (read.health, read.created, read.started_at),
                (None, None, None),
                "{members}"
            );
            assert_eq!(
                read.state,
                BearerState::Other("not running".into()),
                "{members}"
            );
        }
    }

    #[test]
    fn states_are_read_as_every_engine_writes_them() {
        let other = |word: &str| BearerState::Other(word.to_owned());
        for (state, expected) in [
            (
                r#"{"Status":"running","Running":true}"#,
                BearerState::Running,
            ),
            (
                r#"{"Status":"paused","Running":true,"Paused":true}"#,
                BearerState::Paused,
            ),
            (
                r#"{"Status":"restarting","Running":true,"Restarting":true}"#,
                other("restarting"),
            ),
            (r#"{"Status":"hibernating"}"#, other("hibernating")),
            (r#"{"Running":true}"#, BearerState::Running),
            (r#"{"Running":true,"Paused":true}"#, BearerState::Paused),
            (
                r#"{"Running":true,"Restarting":true}"#,
                other("not running"),
            ),
        ] {
            assert_eq!(
                with(&format!(r#""State":{state}"#)).state,
                expected,
                "{state}"
            );
        }
    }

    #[test]
    fn health_none_is_no_health_check() {
        for (word, expected) in [
            ("none", None),
            ("", None),
            ("healthy", Some(Health::Healthy)),
            ("unhealthy", Some(Health::Unhealthy)),
            ("stopped", Some(Health::Other("stopped".into()))),
        ] {
            assert_eq!(
                with(&format!(r#""State":{{"Health":{{"Status":"{word}"}}}}"#)).health,
                expected,
                "{word}"
            );
        }
    }

    #[test]
    fn a_container_that_never_started_has_no_start() {
        assert_eq!(
            with(r#""State":{"StartedAt":"0001-01-01T00:00:00Z"}"#).started_at,
            None
        );
        assert_eq!(with(r#""State":{"StartedAt":"soon"}"#).started_at, None);
    }

    /// The answer of engines from 26 on about a volume of which a folder is mounted.
    #[test]
    fn subpaths_are_found_by_their_target() {
        let read = with(
            r#""HostConfig":{"Mounts":[
                {"Type":"volume","Source":"edge","Target":"/c/","VolumeOptions":{"Subpath":"sub/inner"}},
                {"Type":"volume","Source":"edge","Target":"/d","VolumeOptions":null}]},
            "Mounts":[
                {"Type":"volume","Name":"edge","Source":"/v/edge/_data","Destination":"/d","Driver":"local","RW":true},
                {"Type":"volume","Name":"edge","Source":"/v/edge/_data","Destination":"/c","Driver":"local","RW":true}]"#,
        );
        let subpath = |mount: &Mount| match &mount.kind {
            MountKind::Volume { subpath, .. } => (mount.destination.clone(), subpath.clone()),
            other => panic!("{other:?}"),
        };
        let subpaths: Vec<_> = read.mounts.iter().map(subpath).collect();
        assert_eq!(
            subpaths,
            [
                ("/c".into(), "sub/inner".into()),
                ("/d".into(), PathBuf::new())
            ]
        );
    }

    #[test]
    fn mounts_that_nobody_can_share_are_private() {
        let read = with(
            r#""HostConfig":{"Tmpfs":{"/run":"rw,size=1m","/ro":"size=1m,ro","/null":null}},
            "Mounts":[{"Type":"image","Source":"x","Destination":"/i"},{"Type":"npipe","Destination":"/n"},
                {"Type":"cluster","Name":"x","Destination":"/k"},{"Type":"tomorrow","Destination":"/t"},
                {"Destination":"/u"},{"Type":"volume","Destination":"/w"}]"#,
        );
        assert!(
            read.mounts
                .iter()
                .all(|mount| mount.kind == MountKind::Private)
        );
        let destinations: Vec<_> = read
            .mounts
            .iter()
            .map(|mount| mount.destination.to_str().unwrap())
            .collect();
        assert_eq!(
            destinations,
            ["/i", "/k", "/n", "/null", "/ro", "/run", "/t", "/u", "/w"]
        );
        assert_eq!(read.mounts.iter().filter(|mount| mount.writable).count(), 2);
    }
}
