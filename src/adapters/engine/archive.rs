//! Files that the engine puts inside a container, as an archive that it unpacks there: one file after the other, each in the
//! place of what is there. tmpfs mounts it does not see.

use std::path::Path;

use bollard::{body_full, query_parameters::UploadToContainerOptionsBuilder};
use bytes::Bytes;
use zeroize::Zeroizing;

use super::{ANSWER_LIMIT, DockerEngine};
use crate::{
    ports::{EngineError, Item, Parcel},
    values::{ContainerId, Timestamp},
};

pub(super) const PUT: &str = "PUT /containers/{id}/archive";

/// The mode of a folder that has to be made for files.
const FOLDER_MODE: u32 = 0o755;

/// Bytes in which archives are measured.
const BLOCK: usize = 512;

impl DockerEngine {
    /// Puts files inside a container; their folder is made where there is none.
    pub(super) async fn unpack(&self, parcel: &Parcel, now: Timestamp) -> Result<(), EngineError> {
        let Parcel {
            container, folder, ..
        } = parcel;
        let items = parcel.items.iter();
        let archive = archive(items.map(|(path, item)| (path.as_path(), item)), now);
        let replace = parcel.may_replace_folders;
        match self
            .upload(container, (folder, replace), archive.clone())
            .await
        {
            // It may be the container that is not there: then this fails for the same reason.
            Err(EngineError::Refused { status: 404, .. }) => {
                let (root, mode) = (Path::new("/"), FOLDER_MODE);
                let path = folder.strip_prefix(root).unwrap_or(folder);
                let made = self::archive([(path, &Item::Folder { mode })].into_iter(), now);
                self.upload(container, (root, false), made).await?;
                self.upload(container, (folder, replace), archive).await
            }
            done => done,
        }
    }

    /// Owners are those that stand in the archive, unless the engine is asked to give all of it to the container's user.
    ///
    /// <https://docs.docker.com/reference/api/engine/version/v1.51/#tag/Container/operation/PutContainerArchive>
    async fn upload(
        &self,
        container: &ContainerId,
        (folder, may_replace_folders): (&Path, bool),
        archive: Bytes,
    ) -> Result<(), EngineError> {
        let keeps = match may_replace_folders {
            true => "0",
            false => "1",
        };
        let options = UploadToContainerOptionsBuilder::new()
            .path(&folder.to_string_lossy())
            .no_overwrite_dir_non_dir(keeps)
            .build();
        let (container, archive) = (container.as_str(), body_full(archive));
        let answer = self
            .bollard
            .upload_to_container(container, Some(options), archive);
        let answer = self.by_bollard(PUT, answer);
        self.within(PUT, ANSWER_LIMIT, answer).await
    }
}

/// An archive of these, dated `now`. Its bytes are wiped when it goes: there are keys in it.
///
/// <https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html#tag_20_94_13_01>
fn archive<'i>(items: impl Iterator<Item = (&'i Path, &'i Item)>, now: Timestamp) -> Bytes {
    let seconds = u64::try_from(now.millis() / 1000).unwrap_or(0);
    // It is made in one piece: what grows leaves copies behind.
    let items: Vec<_> = items.map(|(path, item)| Entry::of(path, item)).collect();
    let length: usize = items.iter().map(Entry::length).sum();
    let mut bytes = Zeroizing::new(Vec::with_capacity(length + 2 * BLOCK));
    for item in &items {
        item.write(&mut bytes, seconds);
    }
    bytes.extend([0; 2 * BLOCK]);
    Bytes::from_owner(bytes)
}

/// Something in an archive.
struct Entry<'i> {
    /// Its path, link and owner, which have no room in a header of old.
    extended: String,
    kind: u8,
    mode: u32,
    text: &'i str,
}

impl<'i> Entry<'i> {
    fn of(path: &Path, item: &'i Item) -> Self {
        let path = path.to_string_lossy();
        let (kind, mode, owner, text, target) = match item {
            Item::Folder { mode } => (b'5', *mode, None, "", None),
            Item::File { text, mode, owner } => (b'0', *mode, *owner, text.expose(), None),
            Item::Link(target) => (b'2', 0o777, None, "", Some(target.to_string_lossy())),
        };
        let (user, group) = owner.map_or((0, 0), |it| (it.user, it.group.unwrap_or(0)));
        let mut extended = record("path", &path);
        extended += &record("uid", &user.to_string());
        extended += &record("gid", &group.to_string());
        if let Some(target) = target {
            extended += &record("linkpath", &target);
        }
        Self {
            extended,
            kind,
            mode,
            text,
        }
    }

    fn length(&self) -> usize {
        2 * BLOCK + padded(self.extended.len()) + padded(self.text.len())
    }

    fn write(&self, bytes: &mut Vec<u8>, seconds: u64) {
        bytes.extend(header(b'x', 0o644, self.extended.len(), seconds));
        write_padded(bytes, self.extended.as_bytes());
        bytes.extend(header(self.kind, self.mode, self.text.len(), seconds));
        write_padded(bytes, self.text.as_bytes());
    }
}

fn padded(length: usize) -> usize {
    length.next_multiple_of(BLOCK)
}

fn write_padded(bytes: &mut Vec<u8>, part: &[u8]) {
    bytes.extend(part);
    bytes.resize(padded(bytes.len()), 0);
}

/// A line of an extended header: it begins with its own length in digits, these among it.
fn record(key: &str, value: &str) -> String {
    let rest = format!(" {key}={value}\n");
    let mut length = rest.len();
    while length != rest.len() + length.to_string().len() {
        length = rest.len() + length.to_string().len();
    }
    format!("{length}{rest}")
}

/// A header of which an extended one before it says the path, the link and the owner.
fn header(kind: u8, mode: u32, size: usize, time: u64) -> [u8; BLOCK] {
    let mut header = [0; BLOCK];
    let mut put =
        |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, "extended");
    put(100, &format!("{mode:07o}"));
    put(108, "0000000");
    put(116, "0000000");
    put(124, &format!("{size:011o}"));
    put(136, &format!("{time:011o}"));
    // The sum is made over blanks in its own place.
    put(148, "        ");
    put(257, "ustar\0");
    put(263, "00");
    header[156] = kind;
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_counts_its_own_digits() {
        // Nine bytes and one digit are ten, which has two.
        for (value, length) in [
            ("", 8),
            ("a", 9),
            ("ab", 11),
            (&"a".repeat(89), 98),
            (&"a".repeat(90), 99),
        ] {
            let line = record("path", value);
            assert!(line.starts_with(&format!("{length} path=")), "{line}");
            assert_eq!(line.len(), length);
        }
        let line = record("path", &"a".repeat(91));
        assert_eq!((line.len(), &line[..4]), (101, "101 "));
    }

    #[test]
    fn an_archive_is_blocks_with_sums_and_two_empty_ones_at_its_end() {
        let file = Item::File {
            text: crate::values::Secret::new("k".repeat(513)),
            mode: 0o600,
            owner: None,
        };
        let long = "a".repeat(300);
        let now = Timestamp::from_seconds(1_800_000_000);
        let bytes = archive([(Path::new(&long), &file)].into_iter(), now);
        assert_eq!(bytes.len(), BLOCK * (1 + 1 + 1 + 2 + 2));
        for (block, kind, size) in [(0, b'x', "00000000506"), (2, b'0', "00000001001")] {
            let header = &bytes[block * BLOCK..][..BLOCK];
            assert_eq!(header[156], kind);
            assert_eq!(&header[124..135], size.as_bytes());
            let sum: u32 = header
                .iter()
                .enumerate()
                .map(|(at, byte)| {
                    u32::from(if (148..156).contains(&at) {
                        b' '
                    } else {
                        *byte
                    })
                })
                .sum();
            assert_eq!(&header[148..156], format!("{sum:06o}\0 ").as_bytes());
        }
        assert_eq!(&bytes[2 * BLOCK + 100..][..8], b"0000600\0");
        assert!(
            bytes[bytes.len() - 2 * BLOCK..]
                .iter()
                .all(|byte| *byte == 0)
        );
    }
}
