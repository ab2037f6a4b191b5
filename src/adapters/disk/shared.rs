//! Folders that somebody else may write to at the same time, as a webroot that a proxy's container has mounted. Each is
//! opened from the one above it, by its handle and through no link, and everything in it is done by that handle: what is
//! swapped for a link in between leads nowhere.

use std::{
    collections::BTreeSet,
    ffi::{OsStr, OsString},
    fs::{File, Permissions},
    io::{self, Read, Write},
    os::{
        fd::OwnedFd,
        unix::{
            ffi::OsStringExt,
            fs::{MetadataExt, OpenOptionsExt, PermissionsExt},
        },
    },
    path::{Component, Path, PathBuf},
};

use nix::{
    dir::Dir,
    errno::Errno,
    fcntl::{AtFlags, OFlag, openat, readlinkat, renameat},
    sys::stat::{FileStat, Mode, SFlag, fstat, fstatat, mkdirat},
    unistd::{Gid, Uid, UnlinkatFlags, fchownat, fsync, linkat, symlinkat, unlinkat},
};

use super::files::{self, Durability, PRIVATE, beside, told};
use crate::{observe::SharedPath, ports::DiskError, values::Owner};

/// Flags for opening a folder: only a folder, and never through a link in its place.
const FOLDER: OFlag = OFlag::O_RDONLY
    .union(OFlag::O_DIRECTORY)
    .union(OFlag::O_NOFOLLOW)
    .union(OFlag::O_CLOEXEC);

/// Flags for making a new file: never an existing one, whatever it is.
const NEW_FILE: OFlag = OFlag::O_WRONLY
    .union(OFlag::O_CREAT)
    .union(OFlag::O_EXCL)
    .union(OFlag::O_NOFOLLOW)
    .union(OFlag::O_CLOEXEC);

/// Flags for reading a file: never through a link, and without waiting for the writer of a pipe.
const FILE: OFlag = OFlag::O_RDONLY
    .union(OFlag::O_NOFOLLOW)
    .union(OFlag::O_NONBLOCK)
    .union(OFlag::O_CLOEXEC);

/// An open folder.
pub(super) struct SharedFolder {
    handle: OwnedFd,
    /// The way by which it was reached, for people alone.
    path: PathBuf,
}

/// A file as it was read.
pub(super) struct SharedFile {
    pub bytes: Vec<u8>,
    /// When it was last written, in seconds since 1970.
    pub changed_at: u64,
}

impl SharedFolder {
    /// Opens a folder; `None` when there is none.
    pub(super) fn open(path: &SharedPath) -> Result<Option<Self>, DiskError> {
        let mut found = Self::top(path.mount())?;
        for step in steps(path)? {
            found = match found {
                Some(above) => above.folder(step)?,
                None => None,
            };
        }
        Ok(found)
    }

    /// Opens a folder that has to be there.
    pub(super) fn opened(path: &SharedPath) -> Result<Self, DiskError> {
        let gone = || told("open the folder", path.as_path())(io::ErrorKind::NotFound.into());
        Self::open(path)?.ok_or_else(gone)
    }

    /// Opens a folder, and makes it and those above it with this mode unless they are there.
    pub(super) fn made(path: &SharedPath, mode: u32) -> Result<Self, DiskError> {
        files::folder(path.mount(), mode)?;
        let mut found = Self::opened(&SharedPath::top(path.mount()))?;
        for step in steps(path)? {
            found = found.made_folder(step, mode)?;
        }
        Ok(found)
    }

    /// True if there is no such file. False also where there is no mount, or where the mount is a file itself: then
    /// nothing is known.
    pub(super) fn lacks(path: &SharedPath) -> Result<bool, DiskError> {
        let mut steps = steps(path)?;
        let Some((file, mut above)) = steps.pop().zip(Self::top(path.mount())?) else {
            return Ok(false);
        };
        for step in steps {
            above = match above.folder(step)? {
                Some(folder) => folder,
                None => return Ok(true),
            };
        }
        // A folder is what the engine makes of a file that it is to mount and that is not there.
        Ok(match above.status(file) {
            Ok(found) => kind(&found) == SFlag::S_IFDIR,
            Err(error) => error == Errno::ENOENT,
        })
    }

    /// The folder where the shared ones begin. Its own path is ours or the user's to choose, links and all.
    fn top(path: &Path) -> Result<Option<Self>, DiskError> {
        let opened = File::options()
            .read(true)
            .custom_flags(OFlag::O_DIRECTORY.bits())
            .open(path);
        match opened {
            Ok(folder) => Ok(Some(Self {
                handle: folder.into(),
                path: path.to_owned(),
            })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(told("open the folder", path)(error)),
        }
    }

    /// Its mode, as in `chmod`.
    pub(super) fn mode(&self) -> Result<u32, DiskError> {
        let found = fstat(&self.handle).map_err(|error| told("look at", &self.path)(error.into()));
        Ok(found?.st_mode & 0o7777)
    }

    /// The folder of this name in it; `None` when there is none. A link in its place is refused: it could lead anywhere.
    pub(super) fn folder(&self, name: &str) -> Result<Option<Self>, DiskError> {
        let path = self.path.join(name);
        match openat(&self.handle, name, FOLDER, Mode::empty()) {
            Ok(handle) => Ok(Some(Self { handle, path })),
            Err(Errno::ENOENT) => Ok(None),
            Err(_) if self.link_target(name).is_some() => Err(DiskError::Damaged {
                path,
                problem: a_link_for("folder"),
            }),
            Err(error) => Err(told("open the folder", &path)(error.into())),
        }
    }

    /// The folder of this name in it, made with this mode unless it is there.
    pub(super) fn made_folder(&self, name: &str, mode: u32) -> Result<Self, DiskError> {
        let path = self.path.join(name);
        if let Some(folder) = self.folder(name)? {
            return Ok(folder);
        }
        match mkdirat(&self.handle, name, Mode::from_bits_truncate(mode)) {
            Err(error) if error != Errno::EEXIST => {
                return Err(told("make the folder", &path)(error.into()));
            }
            _ => {}
        }
        let gone = || told("make the folder", &path)(io::ErrorKind::NotFound.into());
        let folder = self.folder(name)?.ok_or_else(gone)?;
        // By the handle, and by hand: a strict umask would shut others out.
        let handle = folder.handle.try_clone().map(File::from);
        handle
            .and_then(|handle| handle.set_permissions(Permissions::from_mode(mode)))
            .map_err(told("set the mode of", &path))?;
        Ok(folder)
    }

    /// The names of what is in it, as far as they are text, sorted.
    pub(super) fn entries(&self) -> Result<BTreeSet<String>, DiskError> {
        let names = self.names()?.into_iter();
        Ok(names.filter_map(|name| name.into_string().ok()).collect())
    }

    fn names(&self) -> Result<Vec<OsString>, DiskError> {
        let list = || -> io::Result<Vec<OsString>> {
            // A handle of its own: how far it was read belongs to the handle.
            let mut folder = Dir::openat(&self.handle, ".", FOLDER, Mode::empty())?;
            let mut names = Vec::new();
            for entry in folder.iter() {
                let name = entry?.file_name().to_bytes().to_vec();
                names.push(OsString::from_vec(name));
            }
            names.retain(|name| name != "." && name != "..");
            Ok(names)
        };
        list().map_err(told("list", &self.path))
    }

    /// A file; `None` when there is none. A link in its place is refused, and so is what is no file.
    pub(super) fn read(&self, name: &str) -> Result<Option<SharedFile>, DiskError> {
        let path = self.path.join(name);
        let damaged = |problem: String| DiskError::Damaged {
            path: path.clone(),
            problem,
        };
        let mut file = match openat(&self.handle, name, FILE, Mode::empty()) {
            Ok(handle) => File::from(handle),
            Err(Errno::ENOENT) => return Ok(None),
            Err(Errno::ELOOP) => return Err(damaged(a_link_for("file"))),
            // A socket can't be opened at all.
            Err(Errno::ENXIO) => return Err(damaged("it is not a file".to_owned())),
            Err(error) => return Err(told("read", &path)(error.into())),
        };
        let found = file.metadata().map_err(told("look at", &path))?;
        if !found.is_file() {
            return Err(damaged("it is not a file".to_owned()));
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(told("read", &path))?;
        let changed_at = u64::try_from(found.mtime()).unwrap_or(0);
        Ok(Some(SharedFile { bytes, changed_at }))
    }

    /// The text of a file; `None` when there is none.
    pub(super) fn text(&self, name: &str) -> Result<Option<String>, DiskError> {
        let path = || self.path.join(name);
        self.read(name)?
            .map(|file| files::as_text(file.bytes, path))
            .transpose()
    }

    /// The text of a file that is no longer than this; none where it is longer, can't be read or is no text.
    pub(super) fn small_text(&self, name: &str, most: u64) -> Option<String> {
        let size = self.size(name)?;
        (size <= most).then(|| self.text(name).ok().flatten())?
    }

    /// True if a file, and no link, has this name.
    pub(super) fn is_file(&self, name: &str) -> bool {
        self.status(name)
            .is_ok_and(|found| kind(&found) == SFlag::S_IFREG)
    }

    /// True if the file of this name belongs to this owner.
    pub(super) fn is_owned_by(&self, name: &str, owner: Owner) -> bool {
        self.status(name).is_ok_and(|found| {
            found.st_uid == owner.user && owner.group.is_none_or(|group| group == found.st_gid)
        })
    }

    /// Who owns it.
    pub(super) fn owner(&self) -> Result<Owner, DiskError> {
        let found = fstat(&self.handle);
        let found = found.map_err(|error| told("look at", &self.path)(error.into()))?;
        Ok(Owner {
            user: found.st_uid,
            group: Some(found.st_gid),
        })
    }

    /// Keeps what has this name under another one, unless something was kept there before; nothing is done where there is
    /// nothing. Until something takes its place it stays where it is.
    pub(super) fn set_aside(&self, name: &str, as_name: &str) -> Result<(), DiskError> {
        match linkat(&self.handle, name, &self.handle, as_name, AtFlags::empty()) {
            Ok(()) | Err(Errno::ENOENT | Errno::EEXIST) => Ok(()),
            Err(error) => Err(told("keep", &self.path.join(name))(error.into())),
        }
    }

    /// Puts what was kept under a name back into its place; nothing is done where nothing was kept.
    pub(super) fn put_back(&self, name: &str, as_name: &str) -> Result<(), DiskError> {
        match self.status(name) {
            Ok(_) => self.put(name, self, as_name),
            Err(_) => Ok(()),
        }
    }

    /// Whose a file is, and its mode; none where there is none.
    pub(super) fn access(&self, name: &str) -> Option<(Owner, u32)> {
        let found = self.status(name).ok();
        let file = found.filter(|found| kind(found) == SFlag::S_IFREG)?;
        let owner = Owner {
            user: file.st_uid,
            group: Some(file.st_gid),
        };
        Some((owner, file.st_mode & 0o777))
    }

    /// Number of bytes of a file; none where there is no file.
    pub(super) fn size(&self, name: &str) -> Option<u64> {
        u64::try_from(self.status(name).ok()?.st_size).ok()
    }

    fn status(&self, name: &str) -> nix::Result<FileStat> {
        fstatat(&self.handle, name, AtFlags::AT_SYMLINK_NOFOLLOW)
    }

    /// Gives a file to this owner, unless it has it.
    pub(super) fn give(&self, name: &str, owner: Owner) -> Result<(), DiskError> {
        if self.is_owned_by(name, owner) {
            return Ok(());
        }
        let told = |error: Errno| DiskError::Owner {
            path: self.path.join(name),
            owner,
            source: error.into(),
        };
        let (user, group) = (Uid::from_raw(owner.user), owner.group.map(Gid::from_raw));
        let flags = AtFlags::AT_SYMLINK_NOFOLLOW;
        fchownat(&self.handle, name, Some(user), group, flags).map_err(told)
    }

    /// Makes a new file; one that a crash left behind is taken away first.
    pub(super) fn create(
        &self,
        name: &str,
        bytes: &[u8],
        mode: u32,
        durability: Durability,
    ) -> Result<(), DiskError> {
        self.remove(name)?;
        let write = || -> io::Result<()> {
            let private = Mode::from_bits_truncate(PRIVATE);
            let mut file = File::from(openat(&self.handle, name, NEW_FILE, private)?);
            // The mode is set by hand: a strict umask would shut others out of what they are to read.
            file.set_permissions(Permissions::from_mode(mode))?;
            file.write_all(bytes)?;
            if durability == Durability::Synced {
                file.sync_all()?;
            }
            Ok(())
        };
        write().map_err(told("write", &self.path.join(name)))
    }

    /// Writes a file whole: beside its place first, then renamed.
    pub(super) fn replace(&self, name: &str, bytes: &[u8], mode: u32) -> Result<(), DiskError> {
        let new = beside_name(name);
        self.create(&new, bytes, mode, Durability::Renamed)?;
        self.put(&new, self, name)
    }

    /// Renames what is in it to a name in a folder, be that the same one.
    pub(super) fn put(&self, name: &str, into: &Self, as_name: &str) -> Result<(), DiskError> {
        renameat(&self.handle, name, &into.handle, as_name)
            .map_err(|error| told("put in place", &into.path.join(as_name))(error.into()))
    }

    /// Renames a finished folder in it into its place, for good.
    pub(super) fn put_folder(&self, name: &str, as_name: &str) -> Result<(), DiskError> {
        let gone =
            || told("put in place", &self.path.join(as_name))(io::ErrorKind::NotFound.into());
        self.folder(name)?.ok_or_else(gone)?.sync()?;
        self.put(name, self, as_name)?;
        self.sync()
    }

    /// Writes its entries to the disk.
    fn sync(&self) -> Result<(), DiskError> {
        fsync(&self.handle).map_err(|error| told("write to the disk", &self.path)(error.into()))
    }

    /// Where a link leads; `None` where there is no link.
    pub(super) fn link_target(&self, name: &str) -> Option<PathBuf> {
        readlinkat(&self.handle, name).ok().map(PathBuf::from)
    }

    /// Points a link elsewhere in one rename, for good.
    pub(super) fn switch_link(&self, name: &str, target: &Path) -> Result<(), DiskError> {
        let (link, new) = (self.path.join(name), beside_name(name));
        self.remove(&new)?;
        symlinkat(target, &self.handle, new.as_str())
            .map_err(|error| told("make the link", &self.path.join(&new))(error.into()))?;
        renameat(&self.handle, new.as_str(), &self.handle, name)
            .map_err(|error| told("switch the link", &link)(error.into()))?;
        self.sync()
    }

    /// Takes a file away, or a link in its place; one that is not there is fine.
    pub(super) fn remove(&self, name: impl AsRef<OsStr>) -> Result<(), DiskError> {
        self.unlink(name.as_ref(), UnlinkatFlags::NoRemoveDir)
    }

    /// Takes a folder and all in it away, or what stands in its place, also a link, but never what that leads to; one
    /// that is not there is fine.
    pub(super) fn remove_folder(&self, name: impl AsRef<OsStr>) -> Result<(), DiskError> {
        let (name, path) = (name.as_ref(), self.path.join(name.as_ref()));
        let folder = match openat(&self.handle, name, FOLDER, Mode::empty()) {
            Ok(handle) => Self { handle, path },
            Err(Errno::ENOENT) => return Ok(()),
            Err(Errno::ENOTDIR | Errno::ELOOP) => return self.remove(name),
            Err(error) => return Err(told("remove", &path)(error.into())),
        };
        let names = folder.names()?;
        names
            .iter()
            .try_for_each(|name| folder.remove_folder(name))?;
        self.unlink(name, UnlinkatFlags::RemoveDir)
    }

    fn unlink(&self, name: &OsStr, flags: UnlinkatFlags) -> Result<(), DiskError> {
        match unlinkat(&self.handle, name, flags) {
            Err(error) if error != Errno::ENOENT => {
                Err(told("remove", &self.path.join(name))(error.into()))
            }
            _ => Ok(()),
        }
    }

    /// Takes away what a crash left of writing a file.
    pub(super) fn remove_unfinished(&self, name: &str) -> Result<(), DiskError> {
        self.remove(beside_name(name))
    }
}

/// The folders beneath the mount, each by its name.
fn steps(path: &SharedPath) -> Result<Vec<&str>, DiskError> {
    let named = path.steps().map(|step| match step {
        Component::Normal(name) => name.to_str(),
        _ => None,
    });
    named
        .collect::<Option<_>>()
        .ok_or_else(|| DiskError::Damaged {
            path: path.as_path().to_owned(),
            problem: "beneath its mount it must lead from folder to folder by plain names"
                .to_owned(),
        })
}

fn kind(found: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(found.st_mode) & SFlag::S_IFMT
}

fn a_link_for(what: &str) -> String {
    format!("it is a link where a {what} is expected, and could lead anywhere; remove it")
}

fn beside_name(name: &str) -> String {
    beside(Path::new(name)).to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    #[test]
    fn a_folder_that_is_swapped_for_a_link_once_it_is_open_leads_nowhere_else() {
        let place = tempfile::tempdir().expect("a folder");
        let (webroot, elsewhere) = (place.path().join("webroot"), place.path().join("elsewhere"));
        fs::create_dir(&webroot).expect("a folder");
        fs::create_dir(&elsewhere).expect("a folder");
        fs::write(elsewhere.join("kept"), "").expect("a file");
        let root = SharedFolder::open(&SharedPath::top(&webroot))
            .expect("it opens")
            .expect("it is there");
        let open = root.made_folder("challenges", 0o755).expect("it is made");
        // Somebody who may write to the webroot puts a link in its place.
        let moved = webroot.join("moved");
        fs::rename(webroot.join("challenges"), &moved).expect("it is moved");
        symlink(&elsewhere, webroot.join("challenges")).expect("a link");
        open.replace("token", b"response", 0o644)
            .expect("it is written");
        open.remove("kept").expect("there is none");
        assert_eq!(
            fs::read_to_string(moved.join("token")).expect("a file"),
            "response"
        );
        assert!(elsewhere.join("kept").exists() && !elsewhere.join("token").exists());
        // Who comes now is told, and nothing is done behind the link.
        for made in [
            root.made_folder("challenges", 0o777).err(),
            root.folder("challenges").err(),
        ] {
            let told = made.expect("it is refused").to_string();
            assert!(
                told.contains("challenges") && told.contains("it is a link"),
                "{told}"
            );
        }
        let mode = fs::metadata(&elsewhere)
            .expect("it is there")
            .permissions()
            .mode();
        assert_ne!(mode & 0o777, 0o777, "its mode is its own");
    }

    #[test]
    fn a_file_is_missing_only_where_that_is_certain() {
        let place = tempfile::tempdir().expect("a folder");
        let mount = place.path().join("mount");
        fs::create_dir_all(mount.join("folder")).expect("a folder");
        fs::write(mount.join("file"), "").expect("a file");
        symlink("nowhere", mount.join("link")).expect("a link");
        let outside = place.path().join("none");
        for (mount, path, is_missing) in [
            (&mount, "file", false),
            (&mount, "other", true),
            (&mount, "folder", true),
            (&mount, "folder/file", true),
            (&mount, "nowhere/file", true),
            (&mount, "link", false),
            (&mount, "link/file", false),
            (&mount, "file/file", false),
            (&mount, "", false),
            (&mount.join("file"), "", false),
            (&outside, "file", false),
        ] {
            let found = SharedFolder::lacks(&SharedPath::beneath(mount, mount.join(path)));
            assert_eq!(found.unwrap_or(false), is_missing, "{mount:?}, {path}");
        }
    }

    #[test]
    fn a_link_in_the_place_of_a_file_is_replaced_and_not_followed() {
        let place = tempfile::tempdir().expect("a folder");
        let theirs = place.path().join("theirs");
        fs::write(&theirs, "theirs").expect("a file");
        let webroot = place.path().join("webroot");
        fs::create_dir(&webroot).expect("a folder");
        for name in ["token", ".token.new"] {
            symlink(&theirs, webroot.join(name)).expect("a link");
        }
        let root = SharedFolder::open(&SharedPath::top(&webroot))
            .expect("it opens")
            .expect("it is there");
        root.replace("token", b"response", 0o644)
            .expect("it is written");
        assert_eq!(fs::read_to_string(&theirs).expect("a file"), "theirs");
        assert_eq!(
            fs::read_to_string(webroot.join("token")).expect("a file"),
            "response"
        );
        assert!(!webroot.join("token").is_symlink());
    }
}
