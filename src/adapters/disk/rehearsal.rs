//! The files of a rehearsal: they lie in a folder of their own in `state`, and are removed with it.

use std::{
    path::{Path, PathBuf},
    rc::Rc,
};

use super::{Folders, Lock, files};
use crate::ports::{DiskError, Issuing, Remarks};

/// The folders of one rehearsal.
#[derive(Debug)]
pub struct RehearsalFolder {
    folders: Rc<Folders>,
    path: PathBuf,
    _lock: Lock,
}

impl RehearsalFolder {
    /// Makes them within `state`; `None` while another rehearsal has them. What one left that was cut off is still there.
    ///
    /// # Errors
    /// When they can't be made.
    pub fn make(state: &Path, remarks: Remarks) -> Result<Option<Self>, DiskError> {
        let path = state.join("rehearsal");
        let Some(lock) = Lock::take(&path, remarks)? else {
            return Ok(None);
        };
        let folders = Folders::new(path.join("certificates"), path.clone(), remarks);
        Ok(Some(Self {
            folders: Rc::new(folders),
            path,
            _lock: lock,
        }))
    }

    /// The same ports, but that what is obtained, and all that is written down meanwhile, lies in these folders.
    pub fn issuing(&self, usual: &Issuing) -> Issuing {
        Issuing {
            authorities: usual.authorities.clone(),
            certificates: self.folders.clone(),
            attempts: self.folders.clone(),
            orders: self.folders.clone(),
            ledger: self.folders.clone(),
            responder: usual.responder.clone(),
            resolver: usual.resolver.clone(),
            visitor: usual.visitor.clone(),
        }
    }

    /// Takes them away with all that is in them.
    ///
    /// # Errors
    /// When something of it could not be taken away.
    pub fn end(self) -> Result<(), DiskError> {
        files::remove_folder(&self.path)
    }
}
