//! Looks at folders, for people who want to know whether they are as they must be. What is tried is undone at once.

use std::path::PathBuf;

use super::{
    Folders,
    files::{self, Durability, PRIVATE},
    responder,
    shared::SharedFolder,
};
use crate::{observe::SharedPath, ports::DiskError};

/// How a folder is.
#[derive(Debug)]
pub struct FolderLook {
    /// Its mode, as in `chmod`.
    pub mode: u32,
    /// Whether a file could be made in it, and taken away again.
    pub writable: Result<(), DiskError>,
}

/// Looks at a folder; nothing when there is none.
///
/// # Errors
/// When it can't be looked at, or is no folder.
pub fn look(path: &SharedPath) -> Result<Option<FolderLook>, DiskError> {
    const TRIAL: &str = ".quaymaster-check";
    let Some(folder) = SharedFolder::open(path)? else {
        return Ok(None);
    };
    let writable = folder
        .create(TRIAL, b"", PRIVATE, Durability::Renamed)
        .and_then(|()| folder.remove(TRIAL));
    Ok(Some(FolderLook {
        mode: folder.mode()?,
        writable,
    }))
}

/// The responses to challenges that lie in a webroot.
///
/// # Errors
/// When it can't be listed.
pub fn responses(webroot: &SharedPath) -> Result<Vec<PathBuf>, DiskError> {
    let path = responder::responses(webroot);
    let Some(folder) = SharedFolder::open(&path)? else {
        return Ok(Vec::new());
    };
    let names = folder.entries()?.into_iter();
    Ok(names.map(|name| path.as_path().join(name)).collect())
}

impl Folders {
    /// Versions of certificates that were begun and not finished.
    ///
    /// # Errors
    /// When they can't be listed.
    pub fn unfinished(&self) -> Result<Vec<PathBuf>, DiskError> {
        let archive = self.certificates.join("archive");
        let mut unfinished = Vec::new();
        for name in files::entries(&archive)? {
            let folder = archive.join(name);
            let begun = files::entries(&folder)?
                .into_iter()
                .filter(|entry| entry.starts_with('.'));
            unfinished.extend(begun.map(|entry| folder.join(entry)));
        }
        Ok(unfinished)
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    #[test]
    fn a_look_leaves_nothing_behind_and_tells_what_can_not_be_written() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o750)).expect("it is ours");
        let found = look(&SharedPath::top(folder.path()))
            .expect("it can be looked at")
            .expect("it is there");
        assert!(found.writable.is_ok());
        assert_eq!(found.mode, 0o750);
        assert_eq!(files::entries(folder.path()).expect("a list"), [""; 0]);
        assert!(
            look(&SharedPath::top("/proc"))
                .expect("it can be")
                .is_some_and(|found| found.writable.is_err())
        );
        assert!(
            look(&SharedPath::top(folder.path().join("none")))
                .expect("it can be")
                .is_none()
        );
        let file = folder.path().join("file");
        fs::write(&file, "").expect("it is written");
        assert_eq!(
            look(&SharedPath::top(&file))
                .expect_err("it is no folder")
                .to_string(),
            format!("can't open the folder {}", file.display())
        );
    }

    #[test]
    fn left_overs_are_found() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |path: &str| folder.path().join(path);
        for path in [
            "state/orders/gone.example",
            "c/archive/shop.example/.2.new",
            "c/archive/shop.example/1",
            "w/.well-known/acme-challenge",
        ] {
            fs::create_dir_all(at(path)).expect("it is made");
        }
        fs::write(at("w/.well-known/acme-challenge/token"), "").expect("it is written");
        let folders = Folders::new(at("c"), at("state"), |_| ());
        let orders: Vec<_> = folders
            .orders()
            .expect("a list")
            .into_iter()
            .map(String::from)
            .collect();
        assert_eq!(orders, ["gone.example"]);
        assert_eq!(
            folders.unfinished().expect("a list"),
            [at("c/archive/shop.example/.2.new")]
        );
        assert_eq!(
            responses(&SharedPath::top(at("w"))).expect("a list"),
            [at("w/.well-known/acme-challenge/token")]
        );
    }
}
