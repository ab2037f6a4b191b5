//! `state/hosts.json`: which project has which host.

use std::collections::BTreeMap;

use super::{Folders, state::read_json};
use crate::{observe::Holder, ports::DiskError, values::Host};

const FILE: &str = "hosts.json";

impl Folders {
    pub(super) fn read_holders(&self) -> Result<BTreeMap<Host, Holder>, DiskError> {
        Ok(read_json(&self.state.join(FILE))?.unwrap_or_default())
    }

    pub(super) fn write_holders(&self, holders: &BTreeMap<Host, Holder>) -> Result<(), DiskError> {
        self.write_json(&self.state.join(FILE), holders)
    }
}
