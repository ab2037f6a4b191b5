//! The user's folder of templates: what lies in it, and word when that changes.
//!
//! Templates lie in the folder itself and in its folders, one level deep: `command-plan.txt`, `nginx/site.conf`.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, ErrorKind, Read},
    path::{Path, PathBuf},
    time::Duration,
};

use futures_util::stream::LocalBoxStream;

use super::changes;
use crate::ports::{DiskError, TemplateFiles, TemplateTexts};

/// The largest template, in bytes; the built-in ones have some 2,000.
const LARGEST: u64 = 64 * 1024;

/// The most templates: more means that the setting names another folder than was meant.
const MOST: usize = 200;

/// Time without any change before a change is reported: an editor makes several changes of one save, and a copy writes
/// file after file.
const SETTLED: Duration = Duration::from_millis(100);

/// A folder of templates, which need not exist.
#[derive(Clone, Debug)]
pub struct TemplateFolder(PathBuf);

impl TemplateFolder {
    /// Uses this folder; nothing is read or watched yet.
    pub fn new(folder: PathBuf) -> Self {
        Self(folder)
    }
}

impl TemplateFiles for TemplateFolder {
    fn texts(&self) -> Result<Option<TemplateTexts>, DiskError> {
        let root = match self.0.canonicalize() {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            root => root.map_err(told("read the templates in", &self.0))?,
        };
        let mut texts = BTreeMap::new();
        for (name, path) in entries(&root, &root)? {
            if !path.is_dir() {
                texts.insert(name, text(&path));
                continue;
            }
            let inner = entries(&root, &path)?
                .into_iter()
                .filter(|(_, path)| !path.is_dir());
            texts.extend(inner.map(|(file, path)| (format!("{name}/{file}"), text(&path))));
        }
        if texts.len() > MOST {
            let problem = io::Error::other(format!(
                "it holds {} files; at most {MOST} are read",
                texts.len()
            ));
            return Err(told("read the templates in", &self.0)(problem));
        }
        Ok(Some(texts))
    }

    fn changes(&self) -> Result<LocalBoxStream<'static, Result<(), DiskError>>, DiskError> {
        changes::of(self.0.clone(), SETTLED)
    }
}

fn told<'a>(doing: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> DiskError + 'a {
    move |source| DiskError::Io {
        doing,
        path: path.to_owned(),
        source,
    }
}

/// The plain names in a folder, with the real places of their files. Other names are what editors and mounts leave:
/// `.site.conf.swp`, `site.conf~`, `..data`.
///
/// # Errors
/// When one is a link that leads nowhere or out of `root`: templates come from where the user put them, and a folder
/// that can't be trusted in one place is not used in the others.
fn entries(root: &Path, folder: &Path) -> Result<Vec<(String, PathBuf)>, DiskError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(told("list", folder))? {
        let entry = entry.map_err(told("list", folder))?;
        let Some(name) = entry
            .file_name()
            .into_string()
            .ok()
            .filter(|name| is_plain(name))
        else {
            continue;
        };
        let path = entry.path();
        match path.canonicalize() {
            Ok(real) if real.starts_with(root) => found.push((name, real)),
            Ok(_) => {
                let problem = io::Error::other(
                    "this link leads out of the folder of templates; put the file there",
                );
                return Err(told("read", &path)(problem));
            }
            // It is gone since the folder was listed, as files do that an editor makes for a moment.
            Err(error)
                if error.kind() == ErrorKind::NotFound && path.symlink_metadata().is_err() => {}
            Err(error) => return Err(told("read", &path)(error)),
        }
    }
    Ok(found)
}

fn is_plain(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(plain)
}

/// The text of one template, or why there is none.
fn text(path: &Path) -> Result<String, String> {
    let unread = |error: io::Error| format!("it can't be read: {error}");
    // To open a named pipe would be to wait for whoever writes into it.
    if !path.metadata().map_err(unread)?.is_file() {
        return Err("it is neither a file nor a folder".to_owned());
    }
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes))
        .map_err(unread)?;
    if bytes.len() as u64 > LARGEST {
        return Err(format!("it is larger than {LARGEST} bytes"));
    }
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())
}
