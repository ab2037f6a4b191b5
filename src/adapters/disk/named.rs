use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use futures_util::stream::LocalBoxStream;

use super::files::{self, Durability};
use crate::{
    adapters::changes,
    observe::SharedPath,
    ports::{DiskError, NamedFiles, TargetFiles},
};

/// Time without any change beside a template before the change is reported: an editor makes several changes of one
/// save.
const SETTLED: Duration = Duration::from_millis(100);

/// Files wherever the user says.
#[derive(Clone, Copy, Debug)]
pub struct AnyFiles;

impl NamedFiles for AnyFiles {
    fn text(&self, path: &Path) -> Result<Option<String>, DiskError> {
        files::read(path)
    }

    fn changes(
        &self,
        path: &Path,
    ) -> Result<LocalBoxStream<'static, Result<(), DiskError>>, DiskError> {
        let folder = std::path::absolute(path).map_err(files::told("find", path))?;
        changes::of(
            folder.parent().unwrap_or(Path::new("/")).to_owned(),
            SETTLED,
        )
    }
}

/// Targets that the user names on the command line: links are followed, as they are by everything that writes there.
impl TargetFiles for AnyFiles {
    fn text_at(&self, target: &SharedPath) -> Result<Option<String>, DiskError> {
        files::read(target.as_path())
    }

    fn replace(&self, target: &SharedPath, text: &str) -> Result<(), DiskError> {
        let path = real(target.as_path());
        files::replace_like(&path, &path, text.as_bytes(), Durability::Renamed)
    }

    fn remove(&self, target: &SharedPath) -> Result<(), DiskError> {
        files::remove(target.as_path())
    }

    fn keep_aside(&self, target: &SharedPath) -> Result<bool, DiskError> {
        let path = real(target.as_path());
        let aside = Aside::of(&path);
        if files::is_there(&aside.text) || files::is_there(&aside.nothing) {
            return Ok(false);
        }
        match files::read_bytes(&path)? {
            Some(bytes) => files::replace_like(&aside.text, &path, &bytes, Durability::Synced)?,
            None => files::replace(&aside.nothing, b"", files::PUBLIC, Durability::Synced)?,
        }
        Ok(true)
    }

    fn put_back(&self, target: &SharedPath) -> Result<bool, DiskError> {
        let path = real(target.as_path());
        let aside = Aside::of(&path);
        if let Some(bytes) = files::read_bytes(&aside.text)? {
            files::replace_like(&path, &aside.text, &bytes, Durability::Renamed)?;
            return Ok(true);
        }
        let was_nothing = files::is_there(&aside.nothing);
        if was_nothing {
            files::remove(&path)?;
        }
        Ok(was_nothing)
    }

    fn forget_aside(&self, target: &SharedPath) -> Result<(), DiskError> {
        let aside = Aside::of(target.as_path());
        files::remove(&aside.text).and_then(|()| files::remove(&aside.nothing))
    }
}

/// Where what was there before is kept; hidden, so that no server includes it.
struct Aside {
    /// The file as it was.
    text: PathBuf,
    /// Stands for none.
    nothing: PathBuf,
}

impl Aside {
    fn of(path: &Path) -> Self {
        let path = real(path);
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let [text, nothing] = aside_names(&name);
        Self {
            text: path.with_file_name(text),
            nothing: path.with_file_name(nothing),
        }
    }
}

/// The names of two files beside another: one that keeps the earlier text, and one that stands for none.
pub(super) fn aside_names(name: &str) -> [String; 2] {
    ["before", "none-before"].map(|ending| format!(".{name}.{ending}"))
}

/// Number of links that are followed to a missing target; as many as the system follows.
const MOST_LINKS: usize = 40;

/// The target of a link, which is replaced in place of the link. Its folder exists, even where the target does not yet.
fn real(path: &Path) -> PathBuf {
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        match fs::read_link(&path) {
            Ok(to) if !path.exists() => path = path.with_file_name("").join(to),
            _ => break,
        }
    }
    path.canonicalize()
        .or_else(|_| std::path::absolute(&path))
        .unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("it is there").mode() & 0o777
    }

    #[test]
    fn owner_group_and_mode_stay_when_a_file_is_replaced_kept_aside_and_put_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, aside) = (folder.path().join("out"), folder.path().join(".out.before"));
        let access = |path: &Path| {
            let found = fs::metadata(path).expect("it is there");
            (found.uid(), found.gid(), found.mode() & 0o777)
        };
        fs::write(&path, "old").expect("it is written");
        chown(&path, Some(33), Some(44)).expect("we are root");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("it has a mode");
        AnyFiles
            .keep_aside(&SharedPath::top(&path))
            .expect("it is kept");
        AnyFiles
            .replace(&SharedPath::top(&path), "new")
            .expect("it is replaced");
        for path in [&path, &aside] {
            assert_eq!(access(path), (33, 44, 0o640), "{}", path.display());
        }
        fs::remove_file(&path).expect("it is removed");
        assert!(
            AnyFiles
                .put_back(&SharedPath::top(&path))
                .expect("it is put back")
        );
        assert_eq!(access(&path), (33, 44, 0o640));
    }

    #[test]
    fn what_was_there_before_is_kept_once_and_comes_back_with_its_mode_until_it_is_forgotten() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("out");
        fs::write(&path, "old").expect("it is written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("it has a mode");
        for (new, is_first) in [("one", true), ("two", false)] {
            assert_eq!(
                AnyFiles
                    .keep_aside(&SharedPath::top(&path))
                    .expect("it is kept"),
                is_first,
                "{new}"
            );
            AnyFiles
                .replace(&SharedPath::top(&path), new)
                .expect("it is replaced");
        }
        assert_eq!(
            files::entries(folder.path()).expect("a list"),
            [".out.before", "out"]
        );
        fs::remove_file(&path).expect("it is removed");
        assert!(
            AnyFiles
                .put_back(&SharedPath::top(&path))
                .expect("it is put back")
        );
        assert_eq!(
            (
                files::read(&path).expect("it is read").as_deref(),
                mode(&path)
            ),
            (Some("old"), 0o640)
        );
        AnyFiles
            .forget_aside(&SharedPath::top(&path))
            .expect("it is forgotten");
        assert!(
            !AnyFiles
                .put_back(&SharedPath::top(&path))
                .expect("there is none")
        );
        assert_eq!(files::entries(folder.path()).expect("a list"), ["out"]);
    }

    #[test]
    fn where_nothing_was_there_before_nothing_is_there_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("out");
        for is_first in [true, false] {
            assert_eq!(
                AnyFiles
                    .keep_aside(&SharedPath::top(&path))
                    .expect("it is kept"),
                is_first
            );
            AnyFiles
                .replace(&SharedPath::top(&path), "new")
                .expect("it is replaced");
        }
        assert!(
            AnyFiles
                .put_back(&SharedPath::top(&path))
                .expect("it is put back")
        );
        assert_eq!(
            files::entries(folder.path()).expect("a list"),
            [".out.none-before"]
        );
        AnyFiles
            .forget_aside(&SharedPath::top(&path))
            .expect("it is forgotten");
        assert!(
            !AnyFiles
                .put_back(&SharedPath::top(&path))
                .expect("there is none")
        );
    }

    #[test]
    fn what_a_link_leads_to_is_kept_beside_that() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, link) = (folder.path().join("there/out"), folder.path().join("link"));
        fs::create_dir(folder.path().join("there")).expect("a folder");
        fs::write(&path, "old").expect("it is written");
        std::os::unix::fs::symlink(&path, &link).expect("a link");
        AnyFiles
            .keep_aside(&SharedPath::top(&link))
            .expect("it is kept");
        AnyFiles
            .replace(&SharedPath::top(&link), "new")
            .expect("it is replaced");
        assert!(
            AnyFiles
                .put_back(&SharedPath::top(&link))
                .expect("it is put back")
        );
        assert_eq!(
            files::read(&path).expect("it is read").as_deref(),
            Some("old")
        );
        assert!(link.is_symlink());
    }
}
