//! `state/templates.json`: the user's templates that are in use, whatever lies in their folder by now.

use super::{Folders, state::read_json};
use crate::ports::{DiskError, GoodTemplates};

const FILE: &str = "templates.json";

impl Folders {
    pub(super) fn read_templates(&self) -> Result<Vec<GoodTemplates>, DiskError> {
        Ok(read_json(&self.state.join(FILE))?.unwrap_or_default())
    }

    pub(super) fn write_templates(&self, templates: &[GoodTemplates]) -> Result<(), DiskError> {
        self.write_json(&self.state.join(FILE), &templates)
    }
}
