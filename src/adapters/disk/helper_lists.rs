//! The lists of helpers, in folders that these write to, too. What stands in a list is what we know, and not what lies
//! there: whatever else is in it goes with the next change.

use std::collections::BTreeMap;

use super::{Folders, files::PUBLIC, shared::SharedFolder};
use crate::{
    observe::SharedPath,
    ports::{DiskError, HelperLists, ListPlace},
    values::{CertificateName, FileName},
};

/// The known lists.
pub(super) type Lists = BTreeMap<(SharedPath, FileName), HelperList>;

/// One list.
#[derive(Clone, Debug, Default)]
pub(super) struct HelperList {
    lines: BTreeMap<CertificateName, String>,
    is_untold: bool,
}

impl Folders {
    fn write_list(
        &self,
        place: ListPlace<'_>,
        lines: &BTreeMap<CertificateName, String>,
    ) -> Result<(), DiskError> {
        let text: String = lines.values().map(|line| format!("{line}\n")).collect();
        let folder = SharedFolder::opened(place.folder)?;
        let name = place.file.as_str();
        // Its helper reads it: the same bytes are not written again.
        if folder.text(name).ok().flatten().as_ref() == Some(&text) {
            return Ok(());
        }
        folder.replace(name, text.as_bytes(), PUBLIC)
    }
}

fn key(place: ListPlace<'_>) -> (SharedPath, FileName) {
    (place.folder.clone(), place.file.clone())
}

impl HelperLists for Folders {
    fn put(
        &self,
        place: ListPlace<'_>,
        name: &CertificateName,
        line: &str,
    ) -> Result<(), DiskError> {
        let mut lists = self.lists.borrow_mut();
        let list = lists.entry(key(place)).or_default();
        let mut lines = list.lines.clone();
        lines.insert(name.clone(), line.to_owned());
        self.write_list(place, &lines)?;
        (list.lines, list.is_untold) = (lines, true);
        Ok(())
    }

    fn take(&self, place: ListPlace<'_>, name: &CertificateName) -> Result<(), DiskError> {
        let mut lists = self.lists.borrow_mut();
        let list = lists.entry(key(place)).or_default();
        list.lines.remove(name);
        self.write_list(place, &list.lines)
    }

    fn tidy(&self, place: ListPlace<'_>) -> Result<(), DiskError> {
        let mut lists = self.lists.borrow_mut();
        let list = lists.entry(key(place)).or_default();
        self.write_list(place, &list.lines)
    }

    fn is_to_be_told(&self, place: ListPlace<'_>) -> bool {
        let mut lists = self.lists.borrow_mut();
        let list = lists.get_mut(&key(place));
        list.is_some_and(|list| std::mem::take(&mut list.is_untold))
    }

    fn is_untold(&self, place: ListPlace<'_>) {
        if let Some(list) = self.lists.borrow_mut().get_mut(&key(place)) {
            list.is_untold = true;
        }
    }
}
