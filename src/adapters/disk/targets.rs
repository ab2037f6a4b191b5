//! Files that are made from templates in folders that somebody else may write to at the same time: by handles, and through
//! no link.

use super::{
    files::{Durability, PUBLIC, as_text},
    named::aside_names,
    shared::{SharedFile, SharedFolder},
};
use crate::{
    observe::SharedPath,
    ports::{DiskError, TargetFiles},
};

/// Folders that are made for them are for everybody to enter.
const FOLDER_MODE: u32 = 0o755;

/// The largest file that is read, in bytes: no template makes one that is larger, and whoever shares its folder may.
const LARGEST: u64 = 16 << 20;

/// Files in folders that containers mount, too.
#[derive(Clone, Copy, Debug)]
pub struct SharedFiles;

impl TargetFiles for SharedFiles {
    fn text_at(&self, target: &SharedPath) -> Result<Option<String>, DiskError> {
        let (folder, name) = split(target)?;
        let Some(folder) = SharedFolder::open(&folder)? else {
            return Ok(None);
        };
        let path = || target.as_path().to_owned();
        read(&folder, target, name)?
            .map(|file| as_text(file.bytes, path))
            .transpose()
    }

    fn replace(&self, target: &SharedPath, text: &str) -> Result<(), DiskError> {
        let (folder, name) = made(target)?;
        let new = format!(".{name}.new");
        write_like(&folder, &new, name, text.as_bytes(), Durability::Renamed)?;
        put(&folder, &new, name)
    }

    fn remove(&self, target: &SharedPath) -> Result<(), DiskError> {
        let (folder, name) = split(target)?;
        match SharedFolder::open(&folder)? {
            Some(folder) => folder.remove(name),
            None => Ok(()),
        }
    }

    fn keep_aside(&self, target: &SharedPath) -> Result<bool, DiskError> {
        let (folder, name) = made(target)?;
        let [before, nothing] = aside_names(name);
        if folder.is_file(&before) || folder.is_file(&nothing) {
            return Ok(false);
        }
        // A crash in the midst of it must not leave half of what was there.
        let new = format!("{before}.new");
        let (kept, bytes) = match read(&folder, target, name)? {
            Some(file) => (before, file.bytes),
            None => (nothing, Vec::new()),
        };
        write_like(&folder, &new, name, &bytes, Durability::Synced)?;
        put(&folder, &new, &kept)?;
        Ok(true)
    }

    fn put_back(&self, target: &SharedPath) -> Result<bool, DiskError> {
        let (folder, name) = split(target)?;
        let Some(folder) = SharedFolder::open(&folder)? else {
            return Ok(false);
        };
        let [before, nothing] = aside_names(name);
        if let Some(file) = read(&folder, target, &before)? {
            let new = format!(".{name}.new");
            write_like(&folder, &new, &before, &file.bytes, Durability::Renamed)?;
            put(&folder, &new, name)?;
            return Ok(true);
        }
        let was_nothing = folder.is_file(&nothing);
        if was_nothing {
            folder.remove(name)?;
        }
        Ok(was_nothing)
    }

    fn forget_aside(&self, target: &SharedPath) -> Result<(), DiskError> {
        let (folder, name) = split(target)?;
        let Some(folder) = SharedFolder::open(&folder)? else {
            return Ok(());
        };
        let mut kept = aside_names(name).into_iter();
        kept.try_for_each(|kept| folder.remove(kept))
    }
}

/// The text in the folder of a target; none where there is no such file.
fn read(
    folder: &SharedFolder,
    target: &SharedPath,
    name: &str,
) -> Result<Option<SharedFile>, DiskError> {
    match folder.size(name).filter(|size| *size > LARGEST) {
        None => folder.read(name),
        Some(size) => Err(DiskError::Damaged {
            path: target.as_path().with_file_name(name),
            problem: format!("it has {size} bytes, which no template makes; remove it"),
        }),
    }
}

/// The folder of a target, and its name there.
fn split(target: &SharedPath) -> Result<(SharedPath, &str), DiskError> {
    target.split().ok_or_else(|| DiskError::Damaged {
        path: target.as_path().to_owned(),
        problem: "it is mounted as a single file, and such a mount keeps showing the old file; mount its folder instead"
            .to_owned(),
    })
}

/// The same, with its folder there.
fn made(target: &SharedPath) -> Result<(SharedFolder, &str), DiskError> {
    let (folder, name) = split(target)?;
    Ok((SharedFolder::made(&folder, FOLDER_MODE)?, name))
}

/// Writes a file with owner, group and mode of the file `like`; what can't be written whole does not stay.
fn write_like(
    folder: &SharedFolder,
    name: &str,
    like: &str,
    bytes: &[u8],
    durability: Durability,
) -> Result<(), DiskError> {
    let access = folder.access(like);
    let mode = access.map_or(PUBLIC, |(_, mode)| mode);
    let written = folder
        .create(name, bytes, mode, durability)
        .and_then(|()| match access {
            Some((owner, _)) => folder.give(name, owner).map_err(kept(owner.group)),
            None => Ok(()),
        });
    if written.is_err() {
        // The next one that is written there takes it away, too.
        let _ = folder.remove(name);
    }
    written
}

/// That a file belongs to somebody whose we may not write, so that it stays as it is.
fn kept(group: Option<u32>) -> impl FnOnce(DiskError) -> DiskError {
    move |error| match error {
        DiskError::Owner {
            path,
            owner,
            source,
        } => DiskError::Kept {
            path,
            owner: owner.user,
            group: group.unwrap_or_default(),
            source,
        },
        error => error,
    }
}

/// Puts what was written in its place; where that can't be, it does not stay.
fn put(folder: &SharedFolder, new: &str, name: &str) -> Result<(), DiskError> {
    let done = folder.put(new, folder, name);
    if done.is_err() {
        let _ = folder.remove(new);
    }
    done
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink},
        path::Path,
    };

    use super::*;

    fn access(path: &Path) -> (u32, u32, u32) {
        let found = fs::metadata(path).expect("it is there");
        (found.uid(), found.gid(), found.mode() & 0o777)
    }

    fn names(folder: &Path) -> Vec<String> {
        let names = fs::read_dir(folder).expect("a folder");
        let mut names: Vec<_> = names
            .map(|entry| {
                let name = entry.expect("an entry").file_name();
                name.to_string_lossy().into_owned()
            })
            .collect();
        names.sort();
        names
    }

    #[test]
    fn owner_group_and_mode_stay_and_what_was_there_before_comes_back_with_them() {
        let place = tempfile::tempdir().expect("a folder");
        let path = place.path().join("out");
        let target = SharedPath::beneath(place.path(), &path);
        fs::write(&path, "old").expect("it is written");
        chown(&path, Some(33), Some(44)).expect("we are root");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("it has a mode");
        assert!(SharedFiles.keep_aside(&target).expect("it is kept"));
        SharedFiles.replace(&target, "new").expect("it is replaced");
        assert!(!SharedFiles.keep_aside(&target).expect("it is kept"));
        for name in ["out", ".out.before"] {
            assert_eq!(access(&place.path().join(name)), (33, 44, 0o640), "{name}");
        }
        fs::remove_file(&path).expect("it is removed");
        assert!(SharedFiles.put_back(&target).expect("it is put back"));
        assert_eq!(access(&path), (33, 44, 0o640));
        assert_eq!(
            SharedFiles.text_at(&target).expect("a text").as_deref(),
            Some("old")
        );
        SharedFiles.forget_aside(&target).expect("it is forgotten");
        assert_eq!(names(place.path()), ["out"]);
    }

    #[test]
    fn where_nothing_was_there_before_nothing_is_there_again() {
        let place = tempfile::tempdir().expect("a folder");
        let target = SharedPath::beneath(place.path(), place.path().join("sub/out"));
        assert!(SharedFiles.keep_aside(&target).expect("it is kept"));
        SharedFiles.replace(&target, "new").expect("it is replaced");
        assert_eq!(access(target.as_path()).2, 0o644);
        assert!(SharedFiles.put_back(&target).expect("it is put back"));
        assert_eq!(SharedFiles.text_at(&target).expect("none"), None);
        SharedFiles.forget_aside(&target).expect("it is forgotten");
        assert!(!SharedFiles.put_back(&target).expect("there is none"));
        assert_eq!(names(&place.path().join("sub")), [""; 0]);
    }

    #[test]
    fn a_folder_a_link_a_pipe_and_a_single_file_are_refused_and_nothing_is_done_behind_a_link() {
        let place = tempfile::tempdir().expect("a folder");
        let theirs = place.path().join("theirs");
        let mount = place.path().join("mount");
        fs::create_dir_all(mount.join("folder")).expect("a folder");
        fs::create_dir(&theirs).expect("a folder");
        fs::write(theirs.join("kept"), "kept").expect("a file");
        symlink(theirs.join("kept"), mount.join("link")).expect("a link");
        symlink(&theirs, mount.join("links")).expect("a link");
        let pipe = mount.join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
        let large = fs::File::create(mount.join("large")).expect("a file");
        large.set_len(1 << 40).expect("it has holes");
        let large = SharedPath::beneath(&mount, mount.join("large"));
        let told = SharedFiles.text_at(&large).expect_err("it is refused");
        assert!(
            told.to_string().contains("it has 1099511627776 bytes"),
            "{told}"
        );
        for (name, problem) in [
            ("folder", "it is not a file"),
            ("link", "it is a link"),
            ("links/kept", "it is a link"),
            ("pipe", "it is not a file"),
            ("", "it is mounted as a single file"),
        ] {
            let path = match name {
                "" => mount.clone(),
                name => mount.join(name),
            };
            let target = SharedPath::beneath(&mount, path);
            let told = SharedFiles.text_at(&target).expect_err("it is refused");
            assert!(told.to_string().contains(problem), "{name}: {told}");
            let told = SharedFiles.keep_aside(&target).expect_err("it is refused");
            assert!(told.to_string().contains(problem), "{name}: {told}");
        }
        let behind = SharedPath::beneath(&mount, mount.join("links/new"));
        SharedFiles
            .replace(&behind, "new")
            .expect_err("it is refused");
        assert_eq!(names(&theirs), ["kept"]);
    }
}
