use std::{fs, os::unix::fs::PermissionsExt, path::Path, time::Duration};

use futures_util::stream::LocalBoxStream;

use super::files::{self, Durability};
use crate::{
    adapters::changes,
    ports::{DiskError, NamedFiles},
};

/// How long nothing must change beside a template before it is told: an editor makes several changes of one save.
const SETTLED: Duration = Duration::from_millis(100);

/// Files wherever the user says.
#[derive(Clone, Copy, Debug)]
pub struct AnyFiles;

impl NamedFiles for AnyFiles {
    fn text(&self, path: &Path) -> Result<Option<String>, DiskError> {
        files::read(path)
    }

    fn replace(&self, path: &Path, text: &str) -> Result<(), DiskError> {
        // What a link leads to is replaced, not the link.
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let mode = fs::metadata(&path).map_or(files::PUBLIC, |found| found.permissions().mode() & 0o777);
        files::replace(&path, text.as_bytes(), mode, Durability::Renamed)
    }

    fn remove(&self, path: &Path) -> Result<(), DiskError> {
        files::remove(path)
    }

    fn changes(&self, path: &Path) -> Result<LocalBoxStream<'static, Result<(), DiskError>>, DiskError> {
        let folder = std::path::absolute(path).map_err(files::told("find", path))?;
        changes::of(folder.parent().unwrap_or(Path::new("/")).to_owned(), SETTLED)
    }
}
