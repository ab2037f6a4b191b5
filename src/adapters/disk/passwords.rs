//! Passwords of keys: from a file beside the key, else from the file that a setting names.

use std::path::Path;

use super::{files, version::read_bytes};
use crate::{
    adapters::{encrypted_key::Password, pem::PemError},
    ports::DiskError,
    values::Secret,
};

/// The passwords that open the keys in a folder.
pub(super) struct Passwords<'a> {
    /// The one that is meant for them.
    own: Option<Password>,
    /// A file with the one of keys that have none of their own.
    usual: Option<&'a Path>,
    /// True if no password is looked for beside the key.
    is_given: bool,
}

impl<'a> Passwords<'a> {
    /// Those of the keys in a folder.
    pub fn of(folder: &Path, usual: Option<&'a Path>) -> Result<Self, DiskError> {
        let own = read_password(&folder.join("password"), || {
            "the file `password`".to_owned()
        })?;
        Ok(Self {
            own,
            usual,
            is_given: false,
        })
    }

    /// One that was given for keys wherever they lie, if it was.
    pub fn given(password: Option<&Password>, usual: Option<&'a Path>) -> Self {
        Self {
            own: password.cloned(),
            usual,
            is_given: true,
        }
    }

    /// Reads what may hold a key. The setting's file is looked at only where a password is needed, so that nothing
    /// else suffers when it is not there.
    pub fn open<T>(
        &self,
        read: impl Fn(Option<&Password>) -> Result<T, PemError>,
    ) -> Result<T, PemError> {
        match (read(self.own.as_ref()), self.usual) {
            (Err(PemError::Password), Some(usual)) => read(Some(&usual_password(usual)?)),
            (Err(PemError::Password), None) if self.is_given => Err(PemError::NotGiven),
            (read, _) => read,
        }
    }
}

fn usual_password(path: &Path) -> Result<Password, PemError> {
    let place = || {
        format!(
            "the file {} of the setting provided-password-file",
            path.display()
        )
    };
    let problem = match read_password(path, place) {
        Ok(Some(password)) => return Ok(password),
        Ok(None) => "it is not there".to_owned(),
        Err(DiskError::Damaged { problem, .. }) => problem,
        Err(DiskError::Io { source, .. }) => source.to_string(),
        Err(other) => other.to_string(),
    };
    Err(PemError::NoPassword {
        place: place(),
        problem,
    })
}

/// The first line of a file, and what the file is called; `None` when there is no such file.
pub(super) fn read_password(
    path: &Path,
    place: impl FnOnce() -> String,
) -> Result<Option<Password>, DiskError> {
    let Some(bytes) = read_bytes(path)? else {
        return Ok(None);
    };
    let text = Secret::new(files::as_text(bytes, || path.to_owned())?);
    let line = text
        .expose()
        .trim_start_matches('\u{feff}')
        .trim_end_matches(['\r', '\n']);
    Ok(Some(Password {
        secret: Secret::new(line),
        place: place(),
    }))
}
