//! Folders that somebody else may write to at the same time, as a webroot that a proxy's container has mounted. Each is
//! opened from the one above it, by its handle and through no link, and everything in it is done by that handle: what is
//! swapped for a link in between leads nowhere.

use std::{
    fs::{File, Permissions},
    io::{self, Write},
    os::{
        fd::OwnedFd,
        unix::fs::{OpenOptionsExt, PermissionsExt},
    },
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    fcntl::{OFlag, openat, readlinkat, renameat},
    sys::stat::{Mode, mkdirat},
    unistd::{UnlinkatFlags, unlinkat},
};

use super::files::{PRIVATE, beside, told};
use crate::ports::DiskError;

/// What a folder is opened with: only a folder, and never through a link in its place.
const FOLDER: OFlag = OFlag::O_RDONLY
    .union(OFlag::O_DIRECTORY)
    .union(OFlag::O_NOFOLLOW)
    .union(OFlag::O_CLOEXEC);

/// What a new file is opened with: nothing that is there, whatever it is.
const NEW_FILE: OFlag = OFlag::O_WRONLY
    .union(OFlag::O_CREAT)
    .union(OFlag::O_EXCL)
    .union(OFlag::O_NOFOLLOW)
    .union(OFlag::O_CLOEXEC);

/// An open folder.
pub(super) struct SharedFolder {
    handle: OwnedFd,
    /// How it was reached, for people alone.
    path: PathBuf,
}

impl SharedFolder {
    /// Opens the folder where the shared ones begin. Its own path is ours or the user's to choose, links and all. `None`
    /// when there is none.
    pub(super) fn open(path: &Path) -> Result<Option<Self>, DiskError> {
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

    /// The folder of this name in it; `None` when there is none. A link in its place is refused: it could lead anywhere.
    pub(super) fn folder(&self, name: &str) -> Result<Option<Self>, DiskError> {
        let path = self.path.join(name);
        match openat(&self.handle, name, FOLDER, Mode::empty()) {
            Ok(handle) => Ok(Some(Self { handle, path })),
            Err(Errno::ENOENT) => Ok(None),
            Err(_) if readlinkat(&self.handle, name).is_ok() => {
                let problem =
                    "it is a link where a folder is expected, and could lead anywhere; remove it";
                Err(DiskError::Damaged {
                    path,
                    problem: problem.to_owned(),
                })
            }
            Err(error) => Err(told("open the folder", &path)(error.into())),
        }
    }

    /// The folder of this name in it, made with this mode unless it is there.
    pub(super) fn made_folder(&self, name: &str, mode: u32) -> Result<Self, DiskError> {
        let path = self.path.join(name);
        if let Some(folder) = self.folder(name)? {
            return Ok(folder);
        }
        match mkdirat(&self.handle, name, Mode::S_IRWXU) {
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

    /// Writes a file whole: beside its place first, then renamed.
    pub(super) fn replace(&self, name: &str, bytes: &[u8], mode: u32) -> Result<(), DiskError> {
        let (path, new) = (self.path.join(name), beside_name(name));
        self.remove(&new)?;
        let write = || -> io::Result<()> {
            let private = Mode::from_bits_truncate(PRIVATE);
            let mut file = File::from(openat(&self.handle, new.as_str(), NEW_FILE, private)?);
            file.set_permissions(Permissions::from_mode(mode))?;
            file.write_all(bytes)
        };
        write().map_err(told("write", &self.path.join(&new)))?;
        renameat(&self.handle, new.as_str(), &self.handle, name)
            .map_err(|error| told("put in place", &path)(error.into()))
    }

    /// Takes a file away, or a link in its place; one that is not there is fine.
    pub(super) fn remove(&self, name: &str) -> Result<(), DiskError> {
        match unlinkat(&self.handle, name, UnlinkatFlags::NoRemoveDir) {
            Err(error) if error != Errno::ENOENT => {
                Err(told("remove", &self.path.join(name))(error.into()))
            }
            _ => Ok(()),
        }
    }

    /// Takes away what a crash left of writing a file.
    pub(super) fn remove_unfinished(&self, name: &str) -> Result<(), DiskError> {
        self.remove(&beside_name(name))
    }
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
        let root = SharedFolder::open(&webroot)
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
    fn a_link_in_the_place_of_a_file_is_replaced_and_not_followed() {
        let place = tempfile::tempdir().expect("a folder");
        let theirs = place.path().join("theirs");
        fs::write(&theirs, "theirs").expect("a file");
        let webroot = place.path().join("webroot");
        fs::create_dir(&webroot).expect("a folder");
        for name in ["token", ".token.new"] {
            symlink(&theirs, webroot.join(name)).expect("a link");
        }
        let root = SharedFolder::open(&webroot)
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
