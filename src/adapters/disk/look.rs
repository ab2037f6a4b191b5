//! Looks at folders, for people who want to know whether they are as they must be. What is tried is undone at once.

use std::{
    collections::BTreeSet,
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use super::{
    Folders,
    files::{self, Durability, PRIVATE, told},
};
use crate::{ports::DiskError, values::CertificateName};

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
pub fn look(path: &Path) -> Result<Option<FolderLook>, DiskError> {
    let found = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        found => found.map_err(told("look at", path))?,
    };
    if !found.is_dir() {
        return Err(told("use", path)(io::Error::from(
            io::ErrorKind::NotADirectory,
        )));
    }
    let trial = path.join(".quaymaster-check");
    let writable = files::create(&trial, b"", PRIVATE, Durability::Renamed)
        .and_then(|()| files::remove(&trial));
    Ok(Some(FolderLook {
        mode: found.permissions().mode() & 0o7777,
        writable,
    }))
}

/// The responses to challenges that lie in a webroot.
///
/// # Errors
/// When it can't be listed.
pub fn responses(webroot: &Path) -> Result<Vec<PathBuf>, DiskError> {
    let folder = webroot.join(".well-known/acme-challenge");
    Ok(files::entries(&folder)?
        .into_iter()
        .map(|name| folder.join(name))
        .collect())
}

impl Folders {
    /// The certificates whose orders are on record.
    ///
    /// # Errors
    /// When they can't be listed.
    pub fn orders(&self) -> Result<BTreeSet<CertificateName>, DiskError> {
        let entries = files::entries(&self.state.join("orders"))?;
        Ok(entries
            .into_iter()
            .filter_map(|name| CertificateName::parse(name).ok())
            .collect())
    }

    /// Where the order of a certificate is kept.
    pub fn order_path(&self, name: &CertificateName) -> PathBuf {
        self.state.join("orders").join(name.as_str())
    }

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
    use super::*;

    #[test]
    fn a_look_leaves_nothing_behind_and_tells_what_can_not_be_written() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o750)).expect("it is ours");
        let found = look(folder.path())
            .expect("it can be looked at")
            .expect("it is there");
        assert!(found.writable.is_ok());
        assert_eq!(found.mode, 0o750);
        assert_eq!(files::entries(folder.path()).expect("a list"), [""; 0]);
        assert!(
            look(Path::new("/proc"))
                .expect("it can be")
                .is_some_and(|found| found.writable.is_err())
        );
        assert!(
            look(&folder.path().join("none"))
                .expect("it can be")
                .is_none()
        );
        let file = folder.path().join("file");
        fs::write(&file, "").expect("it is written");
        assert_eq!(
            look(&file).expect_err("it is no folder").to_string(),
            format!("can't use {}", file.display())
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
        let folders = Folders::new(at("c"), at("state"));
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
            responses(&at("w")).expect("a list"),
            [at("w/.well-known/acme-challenge/token")]
        );
    }
}
