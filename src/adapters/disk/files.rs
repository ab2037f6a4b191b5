//! Files that are either there as a whole or not at all, with the mode they were meant to have from the first instant.

mod reading;

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io::{self, ErrorKind, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown, symlink},
    path::{Path, PathBuf},
};

use nix::fcntl::{AT_FDCWD, OFlag, RenameFlags, renameat2};

use crate::ports::{DiskError, Remark, Remarks};
pub(super) use reading::{
    NO_FILE, as_text, is_open_to_others, is_readable_by_others, is_there, open, read, read_bytes,
    read_opened, read_small,
};

/// Readable by its owner alone.
pub(super) const PRIVATE: u32 = 0o600;
/// Readable by everybody.
pub(super) const PUBLIC: u32 = 0o644;

/// The durability that a write must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Durability {
    /// On the disk before it counts: keys, certificates, accounts, attempts, records.
    Synced,
    /// In place as a whole, and made again after a loss of power: rendered files, the status document.
    Renamed,
}

/// Says what was being done, and to what.
pub(super) fn told<'a>(
    doing: &'static str,
    path: &'a Path,
) -> impl FnOnce(io::Error) -> DiskError + 'a {
    move |source| DiskError::Io {
        doing,
        path: path.to_owned(),
        source,
    }
}

/// Writes beside `path` first and renames: readers see the old bytes or the new ones.
pub(super) fn replace(
    path: &Path,
    bytes: &[u8],
    mode: u32,
    durability: Durability,
) -> Result<(), DiskError> {
    replace_with(path, mode, durability, |file| file.write_all(bytes))
}

/// The same, piece by piece: what is large need not be in memory as a whole.
pub(super) fn replace_with(
    path: &Path,
    mode: u32,
    durability: Durability,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), DiskError> {
    let beside = beside(path);
    create_with(&beside, mode, durability, write)?;
    put(&beside, path, durability)
}

/// The same, with owner, group and mode of the file `like`; where those can't be given, nothing is written.
pub(super) fn replace_like(
    path: &Path,
    like: &Path,
    bytes: &[u8],
    durability: Durability,
) -> Result<(), DiskError> {
    let beside = beside(path);
    let access = fs::metadata(like).ok().map(|found| Access {
        owner: found.uid(),
        group: found.gid(),
        mode: found.mode() & 0o777,
    });
    let mut file = begin(&beside).map_err(told("write", &beside))?;
    let given = match access {
        Some(access) => access.give(&file).map_err(|source| DiskError::Kept {
            path: like.to_owned(),
            owner: access.owner,
            group: access.group,
            source,
        }),
        None => file
            .set_permissions(Permissions::from_mode(PUBLIC))
            .map_err(told("write", &beside)),
    };
    let written = given.and_then(|()| {
        finish(&mut file, durability, |file| file.write_all(bytes)).map_err(told("write", &beside))
    });
    whole(&beside, written)?;
    put(&beside, path, durability)
}

/// Whose a file is, and who may read it.
#[derive(Clone, Copy)]
struct Access {
    owner: u32,
    group: u32,
    mode: u32,
}

impl Access {
    /// Gives them to a new file of ours.
    fn give(self, file: &File) -> io::Result<()> {
        let found = file.metadata()?;
        if (found.uid(), found.gid()) != (self.owner, self.group) {
            fchown(file, Some(self.owner), Some(self.group))?;
        }
        file.set_permissions(Permissions::from_mode(self.mode))
    }
}

pub(super) fn put(beside: &Path, path: &Path, durability: Durability) -> Result<(), DiskError> {
    let renamed = fs::rename(beside, path).map_err(told("put in place", path));
    whole(beside, renamed)?;
    match durability {
        Durability::Synced => sync_folder(parent(path)),
        Durability::Renamed => Ok(()),
    }
}

/// Passes on the result of writing a file, and removes a file that is not whole: a full disk gets no fuller.
fn whole(beside: &Path, written: Result<(), DiskError>) -> Result<(), DiskError> {
    if written.is_err() {
        // The next one that is written there takes it away, too.
        let _ = remove(beside);
    }
    written
}

/// Makes a new file; one that a crash left behind is taken away first.
pub(super) fn create(
    path: &Path,
    bytes: &[u8],
    mode: u32,
    durability: Durability,
) -> Result<(), DiskError> {
    create_with(path, mode, durability, |file| file.write_all(bytes))
}

fn create_with(
    path: &Path,
    mode: u32,
    durability: Durability,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), DiskError> {
    let write = || -> io::Result<()> {
        let mut file = begin(path)?;
        // The mode is set by hand: a strict umask would shut the consumer out of what it is to read.
        file.set_permissions(Permissions::from_mode(mode))?;
        finish(&mut file, durability, write)
    };
    whole(path, write().map_err(told("write", path)))
}

/// A new file, for us alone.
fn begin(path: &Path) -> io::Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut new = OpenOptions::new();
    new.write(true).create_new(true).mode(PRIVATE).open(path)
}

fn finish(
    file: &mut File,
    durability: Durability,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    write(file)?;
    match durability {
        Durability::Synced => file.sync_all(),
        Durability::Renamed => Ok(()),
    }
}

/// Takes the right to read a file away from all but its owner. What a link leads to is not touched.
pub(super) fn close(path: &Path) -> Result<(), DiskError> {
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags((OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW).bits())
        .open(path);
    opened
        .and_then(|file| file.set_permissions(Permissions::from_mode(PRIVATE)))
        .map_err(told("set the mode of", path))
}

/// Takes a file away; one that is not there is fine.
pub(super) fn remove(path: &Path) -> Result<(), DiskError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(told("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Takes a folder and all in it away, or what stands in its place; one that is not there is fine.
pub(super) fn remove_folder(path: &Path) -> Result<(), DiskError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == ErrorKind::NotADirectory => remove(path),
        Err(error) if error.kind() != ErrorKind::NotFound => Err(told("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Takes a folder away that nothing is in any more; one with something in it stays.
pub(super) fn remove_empty_folder(path: &Path) -> Result<(), DiskError> {
    match fs::remove_dir(path) {
        Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => Ok(()),
        done => done.map_err(told("remove", path)),
    }
}

/// Gives what is at `path` the name `to`, or the first of `to.2`, `to.3` and so on that is free; returns which.
pub(super) fn set_aside(path: &Path, to: &Path) -> Result<PathBuf, DiskError> {
    let numbered = (2..).map(|number| PathBuf::from(format!("{}.{number}", to.display())));
    let mut names = std::iter::once(to.to_owned()).chain(numbered);
    let free = names
        .find(|name| !is_there(name))
        .expect("numbers do not run out before the disk does");
    fs::rename(path, &free).map_err(told("set aside", path))?;
    sync_folder(parent(&free))?;
    Ok(free)
}

/// Renames what can't be used, so that it is not in the way and can be looked at; returns its new name.
pub(super) fn set_damaged_aside(path: &Path) -> Result<PathBuf, DiskError> {
    set_aside(path, &PathBuf::from(format!("{}.damaged", path.display())))
}

/// Makes way for a file of ours in a folder of ours: what is no folder and stands where one should be, and what is no
/// file and stands in its own place, are set aside.
pub(super) fn make_way(root: &Path, path: &Path, remarks: Remarks) -> Result<(), DiskError> {
    let above = path
        .ancestors()
        .skip(1)
        .take_while(|above| *above != root && above.starts_with(root));
    for folder in above {
        if is_there(folder) && !folder.is_dir() {
            clear(folder, "it is not a folder", remarks)?;
        }
    }
    if is_there(path) && !path.is_file() {
        clear(path, "it is not a file", remarks)?;
    }
    Ok(())
}

/// Sets aside what stands in the way, and reports where it is kept.
fn clear(path: &Path, problem: &str, remarks: Remarks) -> Result<(), DiskError> {
    let kept = set_damaged_aside(path)?;
    remarks(Remark::FileDamaged {
        path: path.to_owned(),
        problem: problem.to_owned(),
        instead: format!("it is kept as {}", kept.display()),
    });
    Ok(())
}

/// The entries of a folder that have plain names, sorted; none when there is no such folder. A file in its place is
/// damage.
pub(super) fn entries(path: &Path) -> Result<Vec<String>, DiskError> {
    let listed = match fs::read_dir(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) if error.kind() == ErrorKind::NotADirectory => {
            let problem = "there is a file where a folder should be".to_owned();
            return Err(DiskError::Damaged {
                path: path.to_owned(),
                problem,
            });
        }
        listed => listed.map_err(told("list", path))?,
    };
    let mut names = Vec::new();
    for entry in listed {
        let entry = entry.map_err(told("list", path))?;
        names.extend(entry.file_name().into_string().ok());
    }
    names.sort();
    Ok(names)
}

/// Makes a folder, and those above it, unless they are there. Each gets its mode by hand, whatever the umask.
pub(super) fn folder(path: &Path, mode: u32) -> Result<(), DiskError> {
    if path.is_dir() {
        return Ok(());
    }
    folder(parent(path), mode)?;
    match DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists || !path.is_dir() => {
            return Err(told("make the folder", path)(error));
        }
        _ => {}
    }
    // By its handle, through no link: it may have been swapped for one since, which leads to a folder of another mode.
    let made = OpenOptions::new()
        .read(true)
        .custom_flags((OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW).bits())
        .open(path);
    made.and_then(|folder| folder.set_permissions(Permissions::from_mode(mode)))
        .map_err(told("set the mode of", path))
}

/// Points a link elsewhere in one rename.
pub(super) fn switch_link(link: &Path, target: &Path) -> Result<(), DiskError> {
    let beside = beside(link);
    remove(&beside)?;
    symlink(target, &beside).map_err(told("make the link", &beside))?;
    fs::rename(&beside, link).map_err(told("switch the link", link))?;
    sync_folder(parent(link))
}

/// Writes a folder's entries to the disk.
pub(super) fn sync_folder(path: &Path) -> Result<(), DiskError> {
    File::open(path)
        .and_then(|folder| folder.sync_all())
        .map_err(told("write to the disk", path))
}

/// Renames a finished folder into its place, for good.
pub(super) fn put_folder(from: &Path, to: &Path) -> Result<(), DiskError> {
    sync_folder(from)?;
    fs::rename(from, to).map_err(told("put in place", to))?;
    sync_folder(parent(to))
}

/// Renames a finished folder into the place of another, which goes. A crash in between leaves none there.
pub(super) fn replace_folder(from: &Path, to: &Path) -> Result<(), DiskError> {
    let old = to.with_file_name(format!(
        ".{}.old",
        to.file_name().unwrap_or_default().to_string_lossy()
    ));
    remove_folder(&old)?;
    if is_there(to) {
        fs::rename(to, &old).map_err(told("replace", to))?;
    }
    put_folder(from, to)?;
    remove_folder(&old)
}

/// Lets two folders change places in one step. That is not on the disk yet.
///
/// <https://man7.org/linux/man-pages/man2/rename.2.html>
pub(super) fn exchange(one: &Path, other: &Path) -> Result<(), DiskError> {
    let exchanged = renameat2(AT_FDCWD, one, AT_FDCWD, other, RenameFlags::RENAME_EXCHANGE);
    exchanged.map_err(|error| told("put another folder in the place of", other)(error.into()))
}

/// The identity of a folder, which another folder of its name does not have; `None` when there is no folder.
pub(super) fn identity(path: &Path) -> Option<(u64, u64)> {
    let found = fs::metadata(path).ok()?;
    Some((found.dev(), found.ino()))
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("/"))
}

/// Where a file waits before it is renamed; hidden, so that no server includes it.
pub(super) fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.new"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path)
            .expect("it is there")
            .permissions()
            .mode()
            & 0o777
    }

    #[test]
    fn a_file_is_replaced_whole_with_its_mode_and_leaves_nothing_beside() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("key.pem");
        fs::write(folder.path().join(".key.pem.new"), "left by a crash").expect("it is written");
        for (text, mode_wanted) in [("one", PRIVATE), ("two", PUBLIC)] {
            replace(&path, text.as_bytes(), mode_wanted, Durability::Synced)
                .expect("it is replaced");
            assert_eq!(read(&path).expect("it is read").as_deref(), Some(text));
            assert_eq!(mode(&path), mode_wanted);
        }
        assert_eq!(entries(folder.path()).expect("a list"), ["key.pem"]);
    }

    #[test]
    fn what_can_not_be_written_is_told_with_its_path() {
        let error = replace(Path::new("/proc/no/such"), b"", PUBLIC, Durability::Renamed)
            .expect_err("it can't");
        assert_eq!(error.to_string(), "can't write /proc/no/.such.new");
    }

    #[test]
    fn a_link_is_switched_in_one_step() {
        let folder = tempfile::tempdir().expect("a folder");
        let link = folder.path().join("live");
        for target in ["one", "two"] {
            switch_link(&link, Path::new(target)).expect("it is switched");
            assert_eq!(fs::read_link(&link).expect("a link"), Path::new(target));
        }
        assert_eq!(entries(folder.path()).expect("a list"), ["live"]);
    }
}
