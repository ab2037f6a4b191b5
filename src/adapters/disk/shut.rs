//! Sites of a consumer that are shut: a file for each, in a folder of the consumer's own.

use std::collections::BTreeSet;

use super::{files::PUBLIC, shared::SharedFolder};
use crate::{
    observe::{CLOSED, SharedPath},
    ports::DiskError,
    values::FileName,
};

/// Workers of a server may run as anybody: they must get through to what they look for.
const FOLDER_MODE: u32 = 0o755;

/// The sites that are shut.
pub(super) fn look(config: &SharedPath) -> Result<BTreeSet<FileName>, DiskError> {
    let folder = SharedFolder::open(&config.join(CLOSED))?;
    let entries = folder.map_or(Ok(BTreeSet::new()), |folder| folder.entries())?;
    let names = entries.into_iter();
    Ok(names
        .filter_map(|entry| FileName::parse(entry).ok())
        .collect())
}

/// Shuts these and no others.
pub(super) fn shut(config: &SharedPath, sites: &BTreeSet<FileName>) -> Result<(), DiskError> {
    let before = look(config)?;
    if before == *sites {
        return Ok(());
    }
    let folder = SharedFolder::made(&config.join(CLOSED), FOLDER_MODE)?;
    for site in sites.difference(&before) {
        folder.replace(site.as_str(), b"", PUBLIC)?;
    }
    let mut open = before.difference(sites);
    open.try_for_each(|site| folder.remove(site.as_str()))
}

/// Takes away what a crash left of shutting a site.
pub(super) fn tidy(config: &SharedPath) -> Result<(), DiskError> {
    let Some(folder) = SharedFolder::open(&config.join(CLOSED))? else {
        return Ok(());
    };
    for entry in folder.entries()? {
        let site = entry
            .strip_prefix('.')
            .and_then(|rest| rest.strip_suffix(".new"));
        if site.is_some_and(|site| FileName::parse(site).is_ok()) {
            folder.remove(entry)?;
        }
    }
    Ok(())
}
