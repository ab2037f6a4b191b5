//! The files `state/status.json` and `state/alive`: the daemon's signs of life.

use std::io::{self, BufWriter, Read, Write};

use super::{
    Folders,
    files::{self, Durability, PRIVATE},
};
use crate::{
    ports::{DiskError, Vitals},
    values::Timestamp,
};

/// Bytes of the status document that are written at a time.
const STATUS_BUFFER: usize = 64 * 1024;

impl Vitals for Folders {
    fn status(&self) -> Result<Option<String>, DiskError> {
        files::read(&self.state.join("status.json"))
    }

    fn open_status(&self) -> Result<Option<Box<dyn Read>>, DiskError> {
        let file = files::open(&self.state.join("status.json"))?;
        Ok(file.map(|file| Box::new(file) as Box<dyn Read>))
    }

    fn keep_status(
        &self,
        write: &dyn Fn(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), DiskError> {
        let path = self.state.join("status.json");
        self.make_way(&path)?;
        files::replace_with(&path, PRIVATE, Durability::Renamed, |file| {
            let mut buffered = BufWriter::with_capacity(STATUS_BUFFER, file);
            write(&mut buffered)?;
            buffered.flush()
        })
    }

    fn breathe(&self, now: Timestamp) -> Result<(), DiskError> {
        self.write(
            &self.state.join("alive"),
            String::from(now).as_bytes(),
            Durability::Renamed,
        )
    }
}

impl Folders {
    /// When the daemon last left a sign of life.
    ///
    /// # Errors
    /// When it can't be read, or is no time.
    pub fn last_breath(&self) -> Result<Option<Timestamp>, DiskError> {
        let path = self.state.join("alive");
        let damaged = |problem| DiskError::Damaged {
            path: path.clone(),
            problem,
        };
        files::read(&path)?
            .map(|text| Timestamp::parse(text.trim()).map_err(|error| damaged(error.to_string())))
            .transpose()
    }
}
