//! Files that a template asks for. Nothing is read here: texts that were read before are handed in, and other files
//! that are asked for are noted, so that they can be read for the next rendering.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Component, Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use minijinja::{
    Environment, Error,
    value::{Rest, Value, ValueOrKwargs},
};

use super::{
    FilesRead,
    filters::{Given, refusal},
    percent,
};

/// The files of one rendering.
#[derive(Clone, Debug)]
pub(super) struct FilesAsked {
    read: Arc<FilesRead>,
    asked: Arc<Mutex<BTreeSet<PathBuf>>>,
    variables: Arc<BTreeMap<String, String>>,
}

impl FilesAsked {
    pub fn new(read: FilesRead, variables: Arc<BTreeMap<String, String>>) -> Self {
        Self {
            read: Arc::new(read),
            asked: Arc::default(),
            variables,
        }
    }

    /// The files that were asked for.
    pub fn asked(&self) -> BTreeSet<PathBuf> {
        self.asked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The text of a file, if there is one and it was read.
    fn text(&self, path: &Path) -> Option<String> {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.insert(path.to_owned());
        let text = self.read.get(path)?.as_deref();
        text.map(lines)
    }

    /// Lets templates include others that lie in a folder, and read configuration.
    pub fn install(
        &self,
        environment: &mut Environment<'static>,
        name: &str,
        text: &str,
        folder: Option<&Path>,
    ) {
        let (reading, folder) = (self.clone(), folder.map(Path::to_owned));
        let (name, text) = (name.to_owned(), text.to_owned());
        environment.set_loader(move |asked| {
            if asked == name {
                return Ok(Some(text.clone()));
            }
            let path = folder.as_deref().and_then(|folder| inside(folder, asked));
            let found = path.and_then(|path| reading.text(&path));
            Ok(found.map(|text| percent::replaced(&text)))
        });
        let reading = self.clone();
        environment.add_function("read_config", move |given: Rest<ValueOrKwargs>| {
            reading.config(Given::new(given)?)
        });
    }

    fn config(&self, mut given: Given) -> Result<Value, Error> {
        let key = given.next("key");
        let key = key.ok_or_else(|| refusal("read_config needs a key"))?;
        let path = given.text("path")?.filter(|path| !path.is_empty());
        let default = given.next("default");
        let is_single = given.is_true("single_config");
        let falls_back = given.next("fallback_to_env");
        let falls_back = falls_back.is_none_or(|value| value.is_true());
        given.end()?;
        let key = key.to_string();
        if let Some(text) = path.and_then(|path| self.text(Path::new(&path))) {
            if is_single {
                return Ok(Value::from(text));
            }
            let mut values = text.lines().filter_map(|line| {
                let value = line.strip_prefix(&key)?.strip_prefix('=')?;
                Some(value.trim())
            });
            if let Some(value) = values.next() {
                return Ok(Value::from(value));
            }
        }
        let variable = self.variables.get(&key).filter(|_| falls_back);
        let variable = variable.map(|value| Value::from(value.as_str()));
        Ok(variable.or(default).unwrap_or_else(|| Value::from(())))
    }
}

/// A file of this name inside a folder; none that leads out of it.
fn inside(folder: &Path, name: &str) -> Option<PathBuf> {
    let parts = Path::new(name).components();
    let mut path = folder.to_owned();
    for part in parts {
        match part {
            Component::Normal(part) => path.push(part),
            // As Jinja2's loader takes it: always from the folder.
            Component::CurDir | Component::RootDir => {}
            _ => return None,
        }
    }
    Some(path)
}

/// Every line ends as Python's do when it reads a text.
pub(super) fn lines(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n")
}
