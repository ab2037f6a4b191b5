use std::{collections::BTreeSet, path::PathBuf};

use serde::{Deserialize, Serialize};

use crate::values::ContainerName;

/// A file of the user's own that is kept up to date.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputStatus {
    /// The template that makes it.
    pub template: String,
    /// The file, as its consumer sees it.
    pub target: PathBuf,
    /// Whose it is, in the user's word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consumer: Option<String>,
    /// The containers that are meant by it and read the file.
    #[serde(default)]
    pub readers: BTreeSet<ContainerName>,
    /// True if it holds what the template makes now.
    pub current: bool,
    /// True if a container is still to be notified of it, or to be seen with it.
    #[serde(default)]
    pub owed: bool,
}
