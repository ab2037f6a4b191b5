use serde::{Deserialize, Serialize};

use crate::values::Timestamp;

/// Who has a host that was served, as far as we remember.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The Compose project; `None` for all containers that are of none.
    pub project: Option<String>,
    /// Since when none of its containers claims it; `None` while one does.
    pub gone: Option<Timestamp>,
    /// True if that is so long ago that any bearer may have it.
    #[serde(default)]
    pub free: bool,
}

impl Holder {
    /// The project whose containers claim it now.
    pub fn of(project: &Option<String>) -> Self {
        Self {
            project: project.clone(),
            gone: None,
            free: false,
        }
    }
}
