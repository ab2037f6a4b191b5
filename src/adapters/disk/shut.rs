//! Sites of a consumer that are shut: a file for each, in a folder of the consumer's own.

use std::{collections::BTreeSet, io, path::Path};

use super::{
    files::{self, PUBLIC, told},
    shared::SharedFolder,
};
use crate::{observe::CLOSED, ports::DiskError, values::FileName};

/// Workers of a server may run as anybody: they must get through to what they look for.
const FOLDER_MODE: u32 = 0o755;

/// The sites that are shut.
pub(super) fn look(config: &Path) -> Result<BTreeSet<FileName>, DiskError> {
    let entries = files::entries(&config.join(CLOSED))?.into_iter();
    Ok(entries
        .filter_map(|entry| FileName::parse(entry).ok())
        .collect())
}

/// Shuts these and no others.
pub(super) fn shut(config: &Path, sites: &BTreeSet<FileName>) -> Result<(), DiskError> {
    let before = look(config)?;
    if before == *sites {
        return Ok(());
    }
    let gone = || told("open the folder", config)(io::ErrorKind::NotFound.into());
    let folder = SharedFolder::open(config)?
        .ok_or_else(gone)?
        .made_folder(CLOSED, FOLDER_MODE)?;
    for site in sites.difference(&before) {
        folder.replace(site.as_str(), b"", PUBLIC)?;
    }
    for site in before.difference(sites) {
        folder.remove(site.as_str())?;
    }
    Ok(())
}
