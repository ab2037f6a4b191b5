//! `state/hosts.json`: which project has which host; `state/removed.json`: containers that were removed some minutes
//! ago.

use std::collections::BTreeMap;

use super::{Folders, state::read_json};
use crate::{
    observe::{Holder, Removed},
    ports::DiskError,
    values::Host,
};

const FILE: &str = "hosts.json";

const REMOVED: &str = "removed.json";

impl Folders {
    pub(super) fn read_holders(&self) -> Result<BTreeMap<Host, Holder>, DiskError> {
        Ok(read_json(&self.state.join(FILE))?.unwrap_or_default())
    }

    pub(super) fn write_holders(&self, holders: &BTreeMap<Host, Holder>) -> Result<(), DiskError> {
        self.write_json(&self.state.join(FILE), holders)
    }

    pub(super) fn read_removed(&self) -> Result<Vec<Removed>, DiskError> {
        Ok(read_json(&self.state.join(REMOVED))?.unwrap_or_default())
    }

    pub(super) fn write_removed(&self, removed: &[Removed]) -> Result<(), DiskError> {
        self.write_json(&self.state.join(REMOVED), &removed)
    }
}
