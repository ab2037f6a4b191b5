//! Looks at folders, for people who want to know whether they are as they must be. What is tried is undone at once.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use super::{
    Folders,
    files::{self, Durability, PRIVATE},
    responder,
    shared::SharedFolder,
};
use crate::{
    observe::SharedPath,
    ports::DiskError,
    values::{CertificateName, Owner},
};

/// The state of a folder.
#[derive(Debug)]
pub struct FolderLook {
    /// Its mode, as in `chmod`.
    pub mode: u32,
    /// Whom it belongs to.
    pub owner: Owner,
    /// The result of making a file in it and removing that again.
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
        owner: folder.owner()?,
        writable,
    }))
}

/// Whom the key of a live certificate belongs to, and who may read it.
#[derive(Debug, PartialEq, Eq)]
pub struct KeyLook {
    /// The certificate.
    pub name: CertificateName,
    /// Whom it belongs to.
    pub owner: Owner,
    /// Its mode, as in `chmod`.
    pub mode: u32,
}

impl Folders {
    /// The keys of live certificates, as far as these have one.
    ///
    /// # Errors
    /// When they can't be listed.
    pub fn keys(&self) -> Result<Vec<KeyLook>, DiskError> {
        let live = self.certificates.join("live");
        let names = files::entries(&live)?.into_iter();
        let look = |name: CertificateName| {
            let found = fs::metadata(live.join(name.as_str()).join("privkey.pem")).ok()?;
            Some(KeyLook {
                name,
                owner: Owner {
                    user: found.uid(),
                    group: Some(found.gid()),
                },
                mode: found.mode() & 0o7777,
            })
        };
        let names = names.filter_map(|entry| CertificateName::parse(entry).ok());
        Ok(names.filter_map(look).collect())
    }
}

/// A file in the place where a proxy answers challenges.
#[derive(Debug, PartialEq, Eq)]
pub struct LyingResponse {
    /// Where.
    pub path: PathBuf,
    /// The token that it is served for; none where it can be served for none.
    pub token: Option<String>,
    /// Its text; none where it is no file that can be read, such as a link.
    pub text: Option<String>,
}

/// The responses to challenges that lie in a webroot.
///
/// # Errors
/// When it can't be listed.
pub fn responses(webroot: &SharedPath) -> Result<Vec<LyingResponse>, DiskError> {
    let path = responder::responses(webroot);
    let Some(folder) = SharedFolder::open(&path)? else {
        return Ok(Vec::new());
    };
    let look = |name: String| LyingResponse {
        path: path.as_path().join(&name),
        text: folder.small_text(&name, MOST_BYTES),
        token: Some(name).filter(|name| responder::is_token(name)),
    };
    Ok(folder.entries()?.into_iter().map(look).collect())
}

/// Says if there is certainly no such file in a folder that others may write to.
pub fn lacks(file: &SharedPath) -> bool {
    SharedFolder::lacks(file).unwrap_or(false)
}

/// Endings of the files in which servers are configured, none of which holds a key.
const CONFIGURATIONS: [&str; 8] = ["cf", "cfg", "cnf", "conf", "ini", "toml", "yaml", "yml"];

/// Of each folder so many files are read, of at most so many bytes: what is larger was not written by hand.
const MOST_FILES: usize = 100;
const MOST_BYTES: u64 = 256 * 1024;

/// The texts that look like configurations in a folder that is mounted into a server, and in the folders in it, each by
/// its path there. What can't be read is passed over: it may be anything.
pub fn configurations(mount: &SharedPath) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let Ok(Some(top)) = SharedFolder::open(mount) else {
        return found;
    };
    let names = top.entries().unwrap_or_default();
    add_texts(&mut found, &top, &names, Path::new(""));
    for name in names.iter().take(MOST_FILES) {
        if let Ok(Some(folder)) = top.folder(name) {
            let names = folder.entries().unwrap_or_default();
            add_texts(&mut found, &folder, &names, Path::new(name));
        }
    }
    found
}

/// Adds the texts of one folder that look like configurations; `within` is its path from the top.
fn add_texts(
    found: &mut Vec<(PathBuf, String)>,
    folder: &SharedFolder,
    names: &BTreeSet<String>,
    within: &Path,
) {
    let named = names.iter().filter(|name| is_configuration(name));
    for name in named.take(MOST_FILES) {
        if let Some(text) = folder.small_text(name, MOST_BYTES) {
            found.push((within.join(name), text));
        }
    }
}

/// True if a file of this name may be a configuration.
fn is_configuration(name: &str) -> bool {
    let ending = Path::new(name).extension().and_then(|it| it.to_str());
    ending.is_some_and(|ending| CONFIGURATIONS.contains(&ending))
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
    use std::{
        fs,
        os::unix::fs::{PermissionsExt, symlink},
    };

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
        let challenges = at("w/.well-known/acme-challenge");
        fs::write(challenges.join("token"), "token.thumbprint").expect("it is written");
        fs::write(challenges.join(".token.new"), "").expect("it is written");
        symlink(challenges.join("token"), challenges.join("link")).expect("a link");
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
        let lying = |name: &str, token: Option<&str>, text: Option<&str>| LyingResponse {
            path: at("w/.well-known/acme-challenge").join(name),
            token: token.map(str::to_owned),
            text: text.map(str::to_owned),
        };
        assert_eq!(
            responses(&SharedPath::top(at("w"))).expect("a list"),
            [
                lying(".token.new", None, Some("")),
                lying("link", Some("link"), None),
                lying("token", Some("token"), Some("token.thumbprint")),
            ]
        );
    }

    #[test]
    fn configurations_are_read_and_nothing_that_may_hold_a_key() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |path: &str| folder.path().join(path);
        fs::create_dir_all(at("sub/deep")).expect("it is made");
        for path in [
            "a.conf",
            "key.pem",
            "account.json",
            "plain",
            "sub/b.yml",
            "sub/deep/c.conf",
        ] {
            fs::write(at(path), path).expect("it is written");
        }
        fs::write(at("binary.conf"), [0xff, 0]).expect("it is written");
        fs::write(at("large.conf"), vec![b'x'; 300 * 1024]).expect("it is written");
        symlink(at("key.pem"), at("link.conf")).expect("a link");
        symlink(at("sub"), at("other")).expect("a link");
        let found = configurations(&SharedPath::top(folder.path()));
        let expected = ["a.conf", "sub/b.yml"].map(|path| (path.into(), path.to_owned()));
        assert_eq!(found, expected);
        assert_eq!(configurations(&SharedPath::top(at("none"))), []);
    }
}
