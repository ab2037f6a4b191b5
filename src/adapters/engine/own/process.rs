//! The facts that our own process knows about the container that it may run in.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fmt, fs,
    os::unix::ffi::OsStringExt,
    path::{Path, PathBuf},
};

/// The facts about this process in `/proc` and from the system.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnProcess {
    pub(super) cgroup: String,
    pub(super) cpuset: String,
    pub(super) mountinfo: String,
    pub(super) hostname: String,
    /// True if our root folder bears an engine's mark.
    pub(super) marked: bool,
}

/// A word that may name our container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OwnHint {
    pub(super) word: String,
    pub(super) clue: Clue,
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
    /// No other container has the same things mounted.
    Mounts,
}

impl fmt::Display for Clue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Setting => "the setting self",
            Self::Cgroup => "its control group",
            Self::Mountinfo => "the files that the engine mounts into it",
            Self::Hostname => "its hostname",
            Self::Mounts => "what is mounted into it",
        })
    }
}

/// The words that the first process was started with that we see: that of our container, where we are in one.
pub fn first_process_words() -> Vec<String> {
    let bytes = fs::read("/proc/1/cmdline").unwrap_or_default();
    let words = bytes.split(|byte| *byte == 0);
    let words = words.map(|word| String::from_utf8_lossy(word).into_owned());
    words.filter(|word| !word.is_empty()).collect()
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
        let hostname = nix::unistd::gethostname()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        // Docker's mark, and Podman's.
        let marked = ["/.dockerenv", "/run/.containerenv"]
            .iter()
            .any(|mark| Path::new(mark).exists());
        Self {
            cgroup: file("cgroup"),
            cpuset: file("cpuset"),
            mountinfo: file("mountinfo"),
            hostname,
            marked,
        }
    }

    /// True in a container of Docker's or Podman's.
    pub fn is_in_container(&self) -> bool {
        self.marked
    }

    /// All candidates, the surest first.
    pub(super) fn candidates(&self, setting: Option<&str>) -> Vec<OwnHint> {
        let mut candidates = Vec::new();
        if let Some(word) = setting {
            add(&mut candidates, word, Clue::Setting);
        }
        for line in self.cgroup.lines().chain(self.cpuset.lines()) {
            // Inside of nested engines the last id is the innermost container.
            if let Some(id) = ids(line).last() {
                add(&mut candidates, id, Clue::Cgroup);
            }
        }
        for (root, _) in self.mountinfo.lines().filter_map(fields) {
            if let Some(id) = engines_file(root) {
                add(&mut candidates, id, Clue::Mountinfo);
            }
        }
        add(&mut candidates, self.hostname.trim(), Clue::Hostname);
        candidates
    }

    /// True if this is a container. The mark alone may have come with an image that a machine was made of; engines also
    /// mount their files into each container, or the user's in their place.
    pub(super) fn is_contained(&self) -> bool {
        let files = ["/etc/hosts", "/etc/hostname", "/etc/resolv.conf"];
        let is_theirs = |(_, point)| files.contains(&point);
        self.marked && self.mountinfo.lines().filter_map(fields).any(is_theirs)
    }

    /// Where something is mounted, as we see it, and which folder of its file system that is.
    pub(super) fn mount_points(&self) -> BTreeMap<PathBuf, PathBuf> {
        self.mountinfo
            .lines()
            .filter_map(fields)
            .map(|(root, point)| (unescape(point), unescape(root)))
            .collect()
    }
}

/// Adds a candidate that is not known yet.
fn add(candidates: &mut Vec<OwnHint>, word: &str, clue: Clue) {
    if !word.is_empty() && candidates.iter().all(|known| known.word != word) {
        let word = word.to_owned();
        candidates.push(OwnHint { word, clue });
    }
}

/// The ids of containers in a path: 64 hexadecimal digits each, whatever is written around them.
pub(in crate::adapters::engine) fn ids(path: &str) -> impl Iterator<Item = &str> {
    path.split(|c: char| !c.is_ascii_hexdigit())
        .filter(|word| is_id(word))
}

fn is_id(word: &str) -> bool {
    word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The id in `…/containers/ID/hostname` and the like, or in Podman's `…/overlay-containers/ID/userdata/…`.
pub(super) fn engines_file(root: &str) -> Option<&str> {
    let parts: Vec<&str> = root.split('/').collect();
    parts.windows(3).find_map(|window| match window {
        ["containers", id, "hostname" | "hosts" | "resolv.conf"]
        | ["overlay-containers", id, "userdata"] => is_id(id).then_some(*id),
        _ => None,
    })
}

/// The fields `root` and `mount point` of a line of mountinfo.
fn fields(line: &str) -> Option<(&str, &str)> {
    let mut fields = line.split(' ').skip(3);
    Some((fields.next()?, fields.next()?))
}

/// Undoes the escapes of mountinfo: `\040` for a blank, and so on.
pub(super) fn unescape(text: &str) -> PathBuf {
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
    let [b'\\', digits @ ..] = bytes.get(..4)? else {
        return None;
    };
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok()
}
