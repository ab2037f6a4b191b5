use super::{
    process::{engines_file, unescape},
    *,
};
use crate::{
    fixtures,
    observe::{EngineEvent, Interest, Mount, MountKind, Way},
    ports::{Parcel, Ran},
    values::{ContainerId, ContainerName, Signal, Timestamp},
};
use async_trait::async_trait;
use futures_util::stream::LocalBoxStream;
use std::collections::BTreeMap;

/// Made by running a shell in six ways with a volume, a bind at `/with space` and the socket; then the id's line.
const DEFAULT: &str = include_str!("../../../../tests/recorded/engine/own-default.txt");
const HOSTNAME: &str = include_str!("../../../../tests/recorded/engine/own-hostname.txt");
const HOST_NETWORK: &str = include_str!("../../../../tests/recorded/engine/own-host.txt");
const PRIVATE: &str = include_str!("../../../../tests/recorded/engine/own-private.txt");
const JOINED: &str = include_str!("../../../../tests/recorded/engine/own-joined.txt");
const JOINED_PRIVATE: &str =
    include_str!("../../../../tests/recorded/engine/own-joined-private.txt");
/// The container that the last two joined; it has no mounts.
const X: &str = "66b83d8c575bb0df0a5dbb310b317daba0528798ee6f79d555d75e91a123b127";

/// A recording's process and its container's real id.
fn recorded(text: &str) -> (OwnProcess, String) {
    let part = |name: &str| {
        let start = text
            .find(&format!("== {name}\n"))
            .expect("the part is there")
            + name.len()
            + 4;
        let end = text[start..]
            .find("\n==")
            .map_or(text.len(), |end| start + end);
        text[start..end].trim().to_owned()
    };
    let process = OwnProcess {
        cgroup: part("cgroup"),
        cpuset: part("cpuset"),
        mountinfo: part("mountinfo"),
        hostname: part("hostname"),
        marked: false,
    };
    (process, part("id"))
}

/// An engine that knows some containers, and their beginnings, as engines do.
struct Known(Vec<Bearer>);

#[async_trait(?Send)]
impl Engine for Known {
    async fn events(
        &self,
    ) -> Result<LocalBoxStream<'static, Result<EngineEvent, EngineError>>, EngineError> {
        unreachable!("nobody listens")
    }
    async fn bearers(&self, _: &Interest) -> Result<Vec<Bearer>, EngineError> {
        unreachable!("nobody lists")
    }
    async fn bearer(&self, word: &str, _: &Interest) -> Result<Option<Bearer>, EngineError> {
        if word == "ambiguous" {
            let message = "multiple IDs found".to_owned();
            return Err(EngineError::Refused {
                call: String::new(),
                status: 400,
                message,
            });
        }
        let known =
            |known: &&Bearer| known.id.as_str().starts_with(word) || known.name.as_str() == word;
        Ok(self.0.iter().find(known).cloned())
    }
    async fn kill(&self, _: &ContainerId, _: Signal, _: Way) -> Result<Way, EngineError> {
        unreachable!("nobody kills")
    }
    async fn exec(&self, _: &ContainerId, _: &[String]) -> Result<Ran, EngineError> {
        unreachable!("nobody runs anything")
    }
    async fn put(&self, _: &Parcel, _: Timestamp) -> Result<(), EngineError> {
        unreachable!("nobody brings anything")
    }
    async fn restart(&self, _: &ContainerId) -> Result<(), EngineError> {
        unreachable!("nobody restarts")
    }
    async fn ping(&self) -> Result<(), EngineError> {
        unreachable!("nobody pings")
    }
}

fn container(id: &str, destinations: &[&str]) -> Bearer {
    let mount = |destination: &&str| Mount {
        kind: MountKind::Private,
        destination: destination.into(),
        writable: true,
    };
    Bearer {
        id: ContainerId::parse(id).unwrap(),
        name: ContainerName::parse(format!("name-{}", &id[..4])).unwrap(),
        endpoints: [].into(),
        mounts: destinations.iter().map(mount).collect(),
        ..fixtures::container("any", 0)
    }
}

const MOUNTS: [&str; 3] = ["/data", "/with space", "/var/run/docker.sock"];

async fn found(process: &OwnProcess, setting: Option<&str>, known: Vec<Bearer>) -> Option<String> {
    own_container(&Known(known), process, setting)
        .await
        .unwrap()
        .container()
        .map(|own| own.id.to_string())
}

#[tokio::test]
async fn we_find_ourselves_however_we_were_started() {
    for (case, text) in [
        ("default", DEFAULT),
        ("--hostname", HOSTNAME),
        ("--network host", HOST_NETWORK),
        ("--cgroupns private", PRIVATE),
        ("--network container:X", JOINED),
    ] {
        let (process, id) = recorded(text);
        let known = || vec![container(X, &[]), container(&id, &MOUNTS)];
        assert_eq!(
            found(&process, None, known()).await,
            Some(id.clone()),
            "{case}"
        );
    }
}

#[tokio::test]
async fn the_container_whose_network_we_joined_is_not_taken_for_ours() {
    let (process, id) = recorded(JOINED_PRIVATE);
    assert_eq!(
        process.candidates(None),
        [
            OwnHint {
                word: X.to_owned(),
                clue: Clue::Mountinfo
            },
            OwnHint {
                word: X[..12].to_owned(),
                clue: Clue::Hostname
            }
        ]
    );
    for theirs in [vec![], vec!["/data", "/elsewhere"]] {
        let known = || vec![container(X, &theirs), container(&id, &MOUNTS)];
        assert_eq!(found(&process, None, known()).await, None, "{theirs:?}");
        assert_eq!(
            found(&process, Some(&id), known()).await,
            Some(id.clone()),
            "the setting helps"
        );
    }
}

#[tokio::test]
async fn without_mounts_only_sure_clues_count() {
    let (process, id) = recorded(DEFAULT);
    assert_eq!(
        found(&process, None, vec![container(&id, &[])]).await,
        Some(id.clone())
    );

    let by_name = OwnProcess {
        hostname: id[..12].to_owned(),
        ..OwnProcess::default()
    };
    assert_eq!(found(&by_name, None, vec![container(&id, &[])]).await, None);
    assert_eq!(
        found(&by_name, Some(&id), vec![container(&id, &[])]).await,
        Some(id.clone())
    );

    let bare: Vec<_> = recorded(PRIVATE)
        .0
        .mountinfo
        .lines()
        .map(str::to_owned)
        .collect();
    let bare = bare.into_iter().filter(|line| {
        !MOUNTS
            .map(|point| point.replace(' ', "\\040"))
            .iter()
            .any(|point| line.contains(point))
    });
    let process = OwnProcess {
        mountinfo: bare.collect::<Vec<_>>().join("\n"),
        ..OwnProcess::default()
    };
    let id = recorded(PRIVATE).1;
    assert_eq!(
        found(&process, None, vec![container(&id, &[])]).await,
        Some(id)
    );
}

#[tokio::test]
async fn on_a_host_there_is_no_own_container() {
    let mountinfo = "22 1 254:0 / / rw - ext4 /dev/vda rw\n\
        30 22 0:30 / /var/lib/docker/containers/66b83d8c575bb0df0a5dbb310b317daba0528798ee6f79d555d75e91a123b127/mounts/shm rw - tmpfs shm rw";
    for hostname in ["vm", "66b83d8c575b", "ambiguous"] {
        let process = OwnProcess {
            cgroup: "0::/system.slice/quaymaster.service".into(),
            cpuset: "/".into(),
            mountinfo: mountinfo.into(),
            hostname: hostname.into(),
            marked: false,
        };
        assert_eq!(
            found(&process, None, vec![container(X, &["/data"])]).await,
            None,
            "{hostname}"
        );
    }
}

#[test]
fn ids_are_found_in_the_paths_of_every_engine() {
    for path in [
        format!("0::/system.slice/docker-{X}.scope"),
        format!("12:pids:/docker/{}/docker/{X}", "a".repeat(64)),
        format!("0::/machine.slice/libpod-{X}.scope/container"),
        format!("0::/kubepods/besteffort/pod2/{X}"),
    ] {
        let process = OwnProcess {
            cgroup: path.clone(),
            ..OwnProcess::default()
        };
        assert_eq!(
            process.candidates(None),
            [OwnHint {
                word: X.to_owned(),
                clue: Clue::Cgroup
            }],
            "{path}"
        );
    }
    assert_eq!(
        engines_file(&format!("/var/lib/docker/containers/{X}/resolv.conf")),
        Some(X)
    );
    assert_eq!(
        engines_file(&format!(
            "/containers/storage/overlay-containers/{X}/userdata/hosts"
        )),
        Some(X)
    );
    assert_eq!(
        engines_file(&format!("/var/lib/docker/containers/{X}/mounts")),
        None
    );
    assert_eq!(engines_file("/srv/containers/shop/hosts"), None);
}

#[test]
fn mount_points_are_unescaped() {
    for (written, meant) in [
        (r"/with\040space", "/with space"),
        (r"/a\011b\012c\134d", "/a\tb\nc\\d"),
        (r"/\303\244", "/ä"),
        (r"/odd\04", r"/odd\04"),
        (r"/odd\999", r"/odd\999"),
    ] {
        assert_eq!(unescape(written), PathBuf::from(meant));
    }
    assert!(
        recorded(DEFAULT)
            .0
            .mount_points()
            .contains_key(Path::new("/with space"))
    );
}

#[test]
fn a_mount_at_a_link_is_where_the_link_leads() {
    let folder = tempfile::tempdir().unwrap();
    let real = folder.path().canonicalize().unwrap().join("run");
    fs::create_dir(&real).unwrap();
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&real, &link).unwrap();
    let own = container(X, &[link.to_str().unwrap()]);
    assert!(
        checked(
            own,
            Clue::Hostname,
            &BTreeMap::from([(real, PathBuf::from("/"))])
        )
        .is_ok()
    );
}

#[async_trait(?Send)]
impl Mounted for Known {
    async fn mounted(&self) -> Result<Vec<(ContainerId, BTreeSet<PathBuf>)>, EngineError> {
        let destinations = |own: &Bearer| {
            own.mounts
                .iter()
                .map(|mount| mount.destination.clone())
                .collect()
        };
        Ok(self
            .0
            .iter()
            .map(|own| (own.id.clone(), destinations(own)))
            .collect())
    }
}

/// A process without clues, as with a private control group namespace and X's network.
fn without_clues() -> (OwnProcess, String) {
    let (process, id) = recorded(JOINED_PRIVATE);
    (
        OwnProcess {
            marked: true,
            ..process
        },
        id,
    )
}

#[tokio::test]
async fn the_container_with_our_mounts_is_ours_where_nothing_else_tells() {
    let (process, id) = without_clues();
    let less = container(&"1".repeat(64), &MOUNTS[..2]);
    let more = container(&"2".repeat(64), &[&MOUNTS[..], &["/more"]].concat());
    let known = vec![
        container(X, &[]),
        less.clone(),
        more.clone(),
        container(&id, &MOUNTS),
    ];
    let own = own_container(&Known(known), &process, None).await.unwrap();
    let (found, clue) = own.found.expect("it is found");
    assert_eq!(
        (found.id.as_str(), clue, own.doubt),
        (id.as_str(), Clue::Mounts, None)
    );

    let nobody = own_container(&Known(vec![container(X, &[]), less, more]), &process, None)
        .await
        .unwrap();
    assert!(nobody.found.is_none());
    let doubt = nobody.doubt.expect("it is told");
    assert_eq!(doubt, Doubt::Unknown);
    assert!(
        doubt.remedy().contains("setting self"),
        "{}",
        doubt.remedy()
    );
}

#[tokio::test]
async fn a_machine_that_was_made_of_an_image_is_no_container() {
    let mountinfo =
        "22 1 254:0 / / rw - ext4 /dev/vda rw\n23 22 254:1 /data /data rw - ext4 /dev/vdb rw";
    let process = OwnProcess {
        mountinfo: mountinfo.into(),
        marked: true,
        ..OwnProcess::default()
    };
    let own = own_container(&Known(vec![container(X, &["/data"])]), &process, None)
        .await
        .unwrap();
    assert!(own.found.is_none() && own.doubt.is_none(), "{own:?}");
}

#[tokio::test]
async fn of_two_containers_with_our_mounts_either_will_do_unless_they_come_from_elsewhere() {
    let (process, id) = without_clues();
    let twin = container(&"3".repeat(64), &MOUNTS);
    let both = vec![container(&id, &MOUNTS), twin.clone()];
    let own = own_container(&Known(both), &process, None).await.unwrap();
    assert!(own.found.is_some() && own.doubt.is_none(), "{own:?}");

    let from = |mut own: Bearer, source: &str| {
        let data = own
            .mounts
            .iter_mut()
            .find(|mount| mount.destination == Path::new("/data"))
            .unwrap();
        data.kind = MountKind::Bind {
            source: source.into(),
        };
        own
    };
    let strangers = vec![
        from(container(&id, &MOUNTS), "/srv/one"),
        from(twin.clone(), "/srv/two"),
    ];
    let own = own_container(&Known(strangers), &process, None)
        .await
        .unwrap();
    let Some(Doubt::Ambiguous(names)) = &own.doubt else {
        panic!("{own:?}")
    };
    assert_eq!((own.found.is_none(), names.len()), (true, 2));

    // The kernel tells where ours comes from.
    let root = process.mount_points()[Path::new("/data")].clone();
    let ours = from(container(&id, &MOUNTS), &format!("/mnt{}", root.display()));
    let own = own_container(&Known(vec![from(twin, "/srv/two"), ours]), &process, None)
        .await
        .unwrap();
    assert_eq!(
        own.container().map(|own| own.id.as_str()),
        Some(id.as_str())
    );
}

#[tokio::test]
async fn a_wrong_setting_is_told_with_what_to_write_instead() {
    let (process, id) = recorded(DEFAULT);
    for (marked, word, known, remedy) in [
        (
            true,
            "nosuch",
            vec![container(&id, &MOUNTS)],
            format!("write name-{} there", &id[..4]),
        ),
        (
            true,
            X,
            vec![container(X, &["/else"]), container(&id, &MOUNTS)],
            format!("write name-{} there", &id[..4]),
        ),
        (
            true,
            "ambiguous",
            vec![container(X, &["/else"])],
            "QUAYMASTER_SELF=NAME".to_owned(),
        ),
        (false, "nosuch", vec![], "leave the setting out".to_owned()),
    ] {
        let process = OwnProcess {
            marked,
            ..process.clone()
        };
        let doubt = own_container(&Known(known), &process, Some(word))
            .await
            .unwrap()
            .doubt
            .expect("it is told");
        assert!(
            doubt.remedy().contains(&remedy),
            "{word}: {}",
            doubt.remedy()
        );
        assert!(
            doubt
                .to_string()
                .contains(&format!("the setting self says {word:?}")),
            "{doubt}"
        );
    }
    let own = own_container(&Known(vec![container(&id, &MOUNTS)]), &process, Some(&id))
        .await
        .unwrap();
    assert!(own.doubt.is_none() && own.found.is_some_and(|(_, clue)| clue == Clue::Setting));
}
