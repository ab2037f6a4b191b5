//! Which container is ours: what our own process can tell gives candidates, and the engine decides among them.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fmt, fs,
    os::unix::ffi::OsStringExt,
    path::{Path, PathBuf},
};

use crate::{
    observe::Container,
    ports::{Engine, EngineError},
};

/// What `/proc` and the system say about this process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnProcess {
    cgroup: String,
    cpuset: String,
    mountinfo: String,
    hostname: String,
}

/// A word that may name our container.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Candidate {
    word: String,
    clue: Clue,
}

/// Where a candidate comes from, and so how far it can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clue {
    /// The user says so.
    Setting,
    /// `cgroup` or `cpuset`: ours, or nothing.
    Cgroup,
    /// The files the engine mounts into each container; with `network_mode: container:X` those of X.
    Mountinfo,
    /// Whatever the user likes it to be.
    Hostname,
}

impl fmt::Display for Clue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Setting => "the setting self",
            Self::Cgroup => "its control group",
            Self::Mountinfo => "the files that the engine mounts into it",
            Self::Hostname => "its hostname",
        })
    }
}

impl OwnProcess {
    /// Reads what there is; what can't be read gives no candidates.
    ///
    /// <https://man7.org/linux/man-pages/man5/proc_pid_mountinfo.5.html>
    pub fn read() -> Self {
        let file = |name| {
            let bytes = fs::read(Path::new("/proc/self").join(name)).unwrap_or_default();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let hostname = nix::unistd::gethostname().unwrap_or_default().to_string_lossy().into_owned();
        Self { cgroup: file("cgroup"), cpuset: file("cpuset"), mountinfo: file("mountinfo"), hostname }
    }

    /// All candidates, the surest first.
    fn candidates(&self, setting: Option<&str>) -> Vec<Candidate> {
        let by_setting = setting.map(|word| (word.to_owned(), Clue::Setting));
        // Inside of nested engines the last id is the innermost container.
        let lines = self.cgroup.lines().chain(self.cpuset.lines());
        let by_cgroup = lines.filter_map(|line| ids(line).last()).map(|id| (id.to_owned(), Clue::Cgroup));
        let roots = self.mountinfo.lines().filter_map(|line| fields(line)).map(|(root, _)| root);
        let by_mountinfo = roots.filter_map(engines_file).map(|id| (id.to_owned(), Clue::Mountinfo));
        let by_hostname = Some((self.hostname.trim().to_owned(), Clue::Hostname));

        let mut candidates: Vec<Candidate> = Vec::new();
        for (word, clue) in by_setting.into_iter().chain(by_cgroup).chain(by_mountinfo).chain(by_hostname) {
            if !word.is_empty() && candidates.iter().all(|known| known.word != word) {
                candidates.push(Candidate { word, clue });
            }
        }
        candidates
    }

    /// Where something is mounted, as we see it.
    fn mount_points(&self) -> BTreeSet<PathBuf> {
        self.mountinfo.lines().filter_map(fields).map(|(_, point)| unescape(point)).collect()
    }
}

/// The container this process runs in; `None` when no candidate is, so that we are on a host.
///
/// A candidate counts when all its mounts are mounted here. One without mounts can't be told by them and counts when it
/// comes from `setting` or a control group, or from our mounts when the engine alone made those.
///
/// # Errors
/// When the engine can't be asked.
pub async fn own_container(
    engine: &dyn Engine,
    process: &OwnProcess,
    setting: Option<&str>,
) -> Result<Option<Container>, EngineError> {
    Ok(own_container_and_clue(engine, process, setting).await?.map(|(container, _)| container))
}

/// The container this process runs in, and how it was found.
///
/// # Errors
/// When the engine can't be asked.
pub async fn own_container_and_clue(
    engine: &dyn Engine,
    process: &OwnProcess,
    setting: Option<&str>,
) -> Result<Option<(Container, Clue)>, EngineError> {
    let points = process.mount_points();
    for Candidate { word, clue } in process.candidates(setting) {
        let container = match engine.inspect(&word).await {
            // A host may be called anything, even like the beginning of two ids.
            Err(EngineError::Refused { .. }) if clue == Clue::Hostname => None,
            answer => answer?,
        };
        match container {
            Some(container) if is_ours(&container, clue, &points) => return Ok(Some((container, clue))),
            _ if clue == Clue::Setting => tracing::warn!(own = word, "`self` is not the container we run in"),
            _ => {}
        }
    }
    Ok(None)
}

fn is_ours(container: &Container, clue: Clue, points: &BTreeSet<PathBuf>) -> bool {
    // The engine tells `/var/run/…` as it was asked for, the kernel where the image's link leads.
    let is_mounted =
        |path: &Path| points.contains(path) || fs::canonicalize(path).is_ok_and(|real| points.contains(&real));
    match (container.mounts.is_empty(), clue) {
        (false, _) => container.mounts.iter().all(|mount| is_mounted(&mount.destination)),
        (true, Clue::Setting | Clue::Cgroup) => true,
        (true, Clue::Mountinfo) => points.iter().all(|point| is_the_engines(point)),
        (true, Clue::Hostname) => false,
    }
}

/// Whether an engine mounts this into every container.
fn is_the_engines(point: &Path) -> bool {
    let folders = ["/proc", "/sys", "/dev", "/run/secrets"];
    let files = ["/", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/run/.containerenv", "/sbin/docker-init"];
    folders.iter().any(|folder| point.starts_with(folder)) || files.iter().any(|file| point == Path::new(file))
}

/// The ids of containers in a path: 64 hexadecimal digits each, whatever is written around them.
fn ids(path: &str) -> impl Iterator<Item = &str> {
    path.split(|c: char| !c.is_ascii_hexdigit()).filter(|word| is_id(word))
}

fn is_id(word: &str) -> bool {
    word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The id in `…/containers/ID/hostname` and the like, or in Podman's `…/overlay-containers/ID/userdata/…`.
fn engines_file(root: &str) -> Option<&str> {
    let parts: Vec<&str> = root.split('/').collect();
    parts.windows(3).find_map(|window| match window {
        ["containers", id, "hostname" | "hosts" | "resolv.conf"] | ["overlay-containers", id, "userdata"] => {
            is_id(id).then_some(*id)
        }
        _ => None,
    })
}

/// The fields `root` and `mount point` of a line of mountinfo.
fn fields(line: &str) -> Option<(&str, &str)> {
    let mut fields = line.split(' ').skip(3);
    Some((fields.next()?, fields.next()?))
}

/// Undoes the escapes of mountinfo: `\040` for a blank, and so on.
fn unescape(text: &str) -> PathBuf {
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let Some((&byte, after)) = rest.split_first() {
        match octal(rest) {
            Some(escaped) => {
                bytes.push(escaped);
                rest = &rest[4..];
            }
            None => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    OsString::from_vec(bytes).into()
}

fn octal(bytes: &[u8]) -> Option<u8> {
    let [b'\\', digits @ ..] = bytes.get(..4)? else { return None };
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        observe::{ContainerState, EngineEvent, Mount, MountKind},
        values::{ContainerId, ContainerName, Signal},
    };
    use async_trait::async_trait;
    use futures_util::stream::LocalBoxStream;
    use std::collections::BTreeMap;

    /// Made by running a shell in six ways with a volume, a bind at `/with space` and the socket; then the id's line.
    const DEFAULT: &str = include_str!("../../../tests/recorded/engine/own-default.txt");
    const HOSTNAME: &str = include_str!("../../../tests/recorded/engine/own-hostname.txt");
    const HOST_NETWORK: &str = include_str!("../../../tests/recorded/engine/own-host.txt");
    const PRIVATE: &str = include_str!("../../../tests/recorded/engine/own-private.txt");
    const JOINED: &str = include_str!("../../../tests/recorded/engine/own-joined.txt");
    const JOINED_PRIVATE: &str = include_str!("../../../tests/recorded/engine/own-joined-private.txt");
    /// The container that the last two joined; it has no mounts.
    const X: &str = "66b83d8c575bb0df0a5dbb310b317daba0528798ee6f79d555d75e91a123b127";

    /// A recording's process and its container's real id.
    fn recorded(text: &str) -> (OwnProcess, String) {
        let part = |name: &str| {
            let start = text.find(&format!("== {name}\n")).expect("the part is there") + name.len() + 4;
            let end = text[start..].find("\n==").map_or(text.len(), |end| start + end);
            text[start..end].trim().to_owned()
        };
        let process = OwnProcess {
            cgroup: part("cgroup"),
            cpuset: part("cpuset"),
            mountinfo: part("mountinfo"),
            hostname: part("hostname"),
        };
        (process, part("id"))
    }

    /// An engine that knows some containers, and their beginnings, as engines do.
    struct Known(Vec<Container>);

    #[async_trait(?Send)]
    impl Engine for Known {
        async fn events(&self) -> Result<LocalBoxStream<'static, Result<EngineEvent, EngineError>>, EngineError> {
            unreachable!("nobody listens")
        }
        async fn containers(&self, _: &str) -> Result<Vec<Container>, EngineError> {
            unreachable!("nobody lists")
        }
        async fn inspect(&self, word: &str) -> Result<Option<Container>, EngineError> {
            if word == "ambiguous" {
                let message = "multiple IDs found".to_owned();
                return Err(EngineError::Refused { call: String::new(), status: 400, message });
            }
            let known = |known: &&Container| known.id.as_str().starts_with(word) || known.name.as_str() == word;
            Ok(self.0.iter().find(known).cloned())
        }
        async fn kill(&self, _: &ContainerId, _: Signal) -> Result<(), EngineError> {
            unreachable!("nobody kills")
        }
        async fn restart(&self, _: &ContainerId) -> Result<(), EngineError> {
            unreachable!("nobody restarts")
        }
        async fn ping(&self) -> Result<(), EngineError> {
            unreachable!("nobody pings")
        }
    }

    fn container(id: &str, destinations: &[&str]) -> Container {
        let mount =
            |destination: &&str| Mount { kind: MountKind::Private, destination: destination.into(), writable: true };
        Container {
            id: ContainerId::parse(id).unwrap(),
            name: ContainerName::parse(format!("name-{}", &id[..4])).unwrap(),
            labels: BTreeMap::new(),
            state: ContainerState::Running,
            health: None,
            created: None,
            started_at: None,
            networks: BTreeMap::new(),
            exposed: BTreeSet::new(),
            published: BTreeMap::new(),
            command: Vec::new(),
            init: false,
            mounts: destinations.iter().map(mount).collect(),
        }
    }

    const MOUNTS: [&str; 3] = ["/data", "/with space", "/var/run/docker.sock"];

    async fn found(process: &OwnProcess, setting: Option<&str>, known: Vec<Container>) -> Option<String> {
        own_container(&Known(known), process, setting).await.unwrap().map(|own| own.id.to_string())
    }

    #[tokio::test(flavor = "current_thread")]
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
            assert_eq!(found(&process, None, known()).await, Some(id.clone()), "{case}");
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn the_container_whose_network_we_joined_is_not_taken_for_ours() {
        let (process, id) = recorded(JOINED_PRIVATE);
        assert_eq!(
            process.candidates(None),
            [
                Candidate { word: X.to_owned(), clue: Clue::Mountinfo },
                Candidate { word: X[..12].to_owned(), clue: Clue::Hostname }
            ]
        );
        for theirs in [vec![], vec!["/data", "/elsewhere"]] {
            let known = || vec![container(X, &theirs), container(&id, &MOUNTS)];
            assert_eq!(found(&process, None, known()).await, None, "{theirs:?}");
            assert_eq!(found(&process, Some(&id), known()).await, Some(id.clone()), "the setting helps");
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn without_mounts_only_sure_clues_count() {
        let (process, id) = recorded(DEFAULT);
        assert_eq!(found(&process, None, vec![container(&id, &[])]).await, Some(id.clone()));

        let by_name = OwnProcess { hostname: id[..12].to_owned(), ..OwnProcess::default() };
        assert_eq!(found(&by_name, None, vec![container(&id, &[])]).await, None);
        assert_eq!(found(&by_name, Some(&id), vec![container(&id, &[])]).await, Some(id.clone()));

        let bare: Vec<_> = recorded(PRIVATE).0.mountinfo.lines().map(str::to_owned).collect();
        let bare = bare
            .into_iter()
            .filter(|line| !MOUNTS.map(|point| point.replace(' ', "\\040")).iter().any(|point| line.contains(point)));
        let process = OwnProcess { mountinfo: bare.collect::<Vec<_>>().join("\n"), ..OwnProcess::default() };
        let id = recorded(PRIVATE).1;
        assert_eq!(found(&process, None, vec![container(&id, &[])]).await, Some(id));
    }

    #[tokio::test(flavor = "current_thread")]
    async fn on_a_host_there_is_no_own_container() {
        let mountinfo = "22 1 254:0 / / rw - ext4 /dev/vda rw\n\
            30 22 0:30 / /var/lib/docker/containers/66b83d8c575bb0df0a5dbb310b317daba0528798ee6f79d555d75e91a123b127/mounts/shm rw - tmpfs shm rw";
        for hostname in ["vm", "66b83d8c575b", "ambiguous"] {
            let process = OwnProcess {
                cgroup: "0::/system.slice/quaymaster.service".into(),
                cpuset: "/".into(),
                mountinfo: mountinfo.into(),
                hostname: hostname.into(),
            };
            assert_eq!(found(&process, None, vec![container(X, &["/data"])]).await, None, "{hostname}");
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
            let process = OwnProcess { cgroup: path.clone(), ..OwnProcess::default() };
            assert_eq!(process.candidates(None), [Candidate { word: X.to_owned(), clue: Clue::Cgroup }], "{path}");
        }
        assert_eq!(engines_file(&format!("/var/lib/docker/containers/{X}/resolv.conf")), Some(X));
        assert_eq!(engines_file(&format!("/containers/storage/overlay-containers/{X}/userdata/hosts")), Some(X));
        assert_eq!(engines_file(&format!("/var/lib/docker/containers/{X}/mounts")), None);
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
        assert!(recorded(DEFAULT).0.mount_points().contains(Path::new("/with space")));
    }

    #[test]
    fn a_mount_at_a_link_is_where_the_link_leads() {
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().canonicalize().unwrap().join("run");
        fs::create_dir(&real).unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let own = container(X, &[link.to_str().unwrap()]);
        assert!(is_ours(&own, Clue::Hostname, &BTreeSet::from([real])));
    }
}
