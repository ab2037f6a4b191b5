//! The activity of writers in a folder, by the system's events about files.

use std::{
    collections::BTreeSet,
    mem,
    path::{Path, PathBuf},
};

use notify::{
    Event, EventKind,
    event::{AccessKind, AccessMode, CreateKind, ModifyKind},
};

/// What happened in a folder since it was last looked at.
#[derive(Default)]
pub(super) struct Activity {
    /// Files that somebody has open and has written to.
    written: BTreeSet<PathBuf>,
    /// Folders in which something has changed.
    changed: BTreeSet<PathBuf>,
    /// Something happened of which it is not known where.
    is_unclear: bool,
}

/// True where a file is closed that was open for writing.
pub(super) fn ends_writing(kind: EventKind) -> bool {
    kind == EventKind::Access(AccessKind::Close(AccessMode::Write))
}

impl Activity {
    /// Takes in an event of the system.
    pub fn note(&mut self, event: notify::Result<Event>) {
        let Ok(event) = event else {
            self.is_unclear = true;
            return;
        };
        self.is_unclear |= event.need_rescan() || event.paths.is_empty();
        for path in event.paths {
            self.changed.extend(path.parent().map(Path::to_owned));
            match event.kind {
                EventKind::Create(CreateKind::File) | EventKind::Modify(ModifyKind::Data(_)) => {
                    self.written.insert(path);
                }
                EventKind::Modify(ModifyKind::Metadata(_)) => {}
                EventKind::Modify(ModifyKind::Name(_)) | EventKind::Remove(_) => {
                    self.written.remove(&path);
                }
                kind if ends_writing(kind) => drop(self.written.remove(&path)),
                _ => self.is_unclear = true,
            }
        }
    }

    /// All of it, which is forgotten here.
    pub fn taken(&mut self) -> Self {
        mem::take(self)
    }

    /// Adds what happened before.
    pub fn add(&mut self, before: Self) {
        self.written.extend(before.written);
        self.changed.extend(before.changed);
        self.is_unclear |= before.is_unclear;
    }

    /// True where nobody writes, and the folders in `top` that have changed are whole, and nothing else has changed.
    pub fn is_over(&self, top: &Path, is_whole: impl Fn(&Path) -> bool) -> bool {
        let is_clear = !self.is_unclear && self.written.is_empty() && !self.changed.is_empty();
        let mut changed = self.changed.iter();
        is_clear && changed.all(|folder| folder.parent() == Some(top) && is_whole(folder))
    }
}

#[cfg(test)]
mod tests {
    use notify::event::{DataChange, MetadataKind, RemoveKind, RenameMode};

    use super::*;

    const CREATED: EventKind = EventKind::Create(CreateKind::File);
    const WRITTEN: EventKind = EventKind::Modify(ModifyKind::Data(DataChange::Any));
    const CLOSED: EventKind = EventKind::Access(AccessKind::Close(AccessMode::Write));
    const MODE: EventKind = EventKind::Modify(ModifyKind::Metadata(MetadataKind::Any));
    const MOVED_AWAY: EventKind = EventKind::Modify(ModifyKind::Name(RenameMode::From));
    const MOVED_HERE: EventKind = EventKind::Modify(ModifyKind::Name(RenameMode::To));
    const REMOVED: EventKind = EventKind::Remove(RemoveKind::File);
    const NEW_FOLDER: EventKind = EventKind::Create(CreateKind::Folder);

    fn over_after(events: &[(EventKind, &str)], whole: &[&str]) -> bool {
        let mut activity = Activity::default();
        for (kind, path) in events {
            activity.note(Ok(Event::new(*kind).add_path(path.into())));
        }
        activity.is_over(Path::new("/top"), |folder| {
            whole.iter().any(|one| folder == Path::new(one))
        })
    }

    #[test]
    fn it_is_over_once_all_that_was_written_is_closed_and_each_folder_is_whole() {
        let (key, leaf) = ("/top/a/key", "/top/a/leaf");
        for (events, whole, expected) in [
            (&[][..], &["/top/a"][..], false),
            (&[(CREATED, key)], &["/top/a"], false),
            (&[(CREATED, key), (WRITTEN, key)], &["/top/a"], false),
            (&[(WRITTEN, key), (CLOSED, key)], &["/top/a"], true),
            (&[(WRITTEN, key), (CLOSED, key)], &[], false),
            (
                &[(WRITTEN, key), (CLOSED, key), (WRITTEN, leaf)],
                &["/top/a"],
                false,
            ),
            (
                &[
                    (WRITTEN, key),
                    (WRITTEN, leaf),
                    (CLOSED, key),
                    (CLOSED, leaf),
                ],
                &["/top/a"],
                true,
            ),
            (&[(CLOSED, key), (CLOSED, "/top/b/key")], &["/top/a"], false),
            (
                &[(CLOSED, key), (CLOSED, "/top/b/key")],
                &["/top/a", "/top/b"],
                true,
            ),
            (
                &[
                    (WRITTEN, key),
                    (MOVED_AWAY, key),
                    (MOVED_HERE, leaf),
                    (MODE, leaf),
                ],
                &["/top/a"],
                true,
            ),
            (&[(CREATED, key), (REMOVED, key)], &["/top/a"], true),
            (&[(NEW_FOLDER, "/top/a")], &["/top", "/top/a"], false),
            (&[(CLOSED, "/top/file")], &["/top"], false),
            (&[(CLOSED, "/top/a/b/file")], &["/top/a/b"], false),
            (&[(CLOSED, key), (EventKind::Any, key)], &["/top/a"], false),
        ] {
            assert_eq!(over_after(events, whole), expected, "{events:?}");
        }
    }

    #[test]
    fn what_the_system_could_not_tell_is_not_over() {
        let mut activity = Activity::default();
        activity.note(Ok(Event::new(CLOSED).add_path("/top/a/key".into())));
        assert!(activity.is_over(Path::new("/top"), |_| true));
        let before = activity.taken();
        assert!(!activity.is_over(Path::new("/top"), |_| true));
        activity.note(Err(notify::Error::generic("lost")));
        activity.add(before);
        assert!(!activity.is_over(Path::new("/top"), |_| true));
    }
}
