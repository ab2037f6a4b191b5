//! Word of changes in a folder that somebody else writes.

mod activity;

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use activity::Activity;
use futures_util::{StreamExt, stream, stream::LocalBoxStream};
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout},
};

use crate::ports::DiskError;

/// Number of folders in it that are watched; more than this costs the system more than it is worth.
const MOST: usize = 1000;

/// After so many times of settling, changes are reported even if more are coming.
const LONGEST: u32 = 10;

/// Nothing else has to happen for so long before what has changed is tried: whoever copies several files copies them one
/// right after the other.
const MOMENT: Duration = Duration::from_millis(10);

/// Tells whether all that belongs into a folder is there.
type IsWhole = Box<dyn Fn(&Path) -> bool>;

/// Begins to watch a folder, which need not exist, and reports changes once nothing has changed for as long as
/// `settled`. Misses nothing from here on: look after it.
pub(super) fn of(
    folder: PathBuf,
    settled: Duration,
) -> Result<LocalBoxStream<'static, Result<(), DiskError>>, DiskError> {
    Ok(stream(Watch::begin(folder, settled, None)?))
}

/// The same; changes are reported as soon as nobody writes any more and each folder in it that has changed is whole.
pub(super) fn of_sets(
    folder: PathBuf,
    settled: Duration,
    is_whole: impl Fn(&Path) -> bool + 'static,
) -> Result<LocalBoxStream<'static, Result<(), DiskError>>, DiskError> {
    let is_whole: IsWhole = Box::new(is_whole);
    Ok(stream(Watch::begin(folder, settled, Some(is_whole))?))
}

fn stream(watch: Watch) -> LocalBoxStream<'static, Result<(), DiskError>> {
    let changes = stream::unfold(Some(watch), |watch| async move {
        let mut watch = watch?;
        match watch.next().await {
            Ok(()) => Some((Ok(()), Some(watch))),
            Err(error) => Some((Err(error), None)),
        }
    });
    changes.boxed_local()
}

fn failed(path: &Path, error: notify::Error) -> DiskError {
    DiskError::Io {
        doing: "watch",
        path: path.to_owned(),
        source: io::Error::other(error),
    }
}

/// A watch of the folder, the folders in it, and the nearest folder above that exists, where one notices that the
/// folder is made, removed or replaced. Never files: a watch on a file dies with the first atomic replacement.
struct Watch {
    folder: PathBuf,
    settled: Duration,
    is_whole: Option<IsWhole>,
    noticed: Noticed,
    nudges: mpsc::Receiver<()>,
    watcher: RecommendedWatcher,
}

/// Where the system's thread leaves what happens.
#[derive(Clone)]
struct Noticed {
    nudge: mpsc::Sender<()>,
    activity: Arc<Mutex<Activity>>,
}

impl Noticed {
    fn activity(&self) -> MutexGuard<'_, Activity> {
        self.activity.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watch {
    fn begin(
        folder: PathBuf,
        settled: Duration,
        is_whole: Option<IsWhole>,
    ) -> Result<Self, DiskError> {
        // One nudge is as good as many.
        let (nudge, nudges) = mpsc::channel(1);
        let activity = Arc::default();
        let noticed = Noticed { nudge, activity };
        let watcher = watcher(&folder, &noticed)?;
        Ok(Self {
            folder,
            settled,
            is_whole,
            noticed,
            nudges,
            watcher,
        })
    }

    /// Waits for a change. Everything is watched anew before the report, so that a reader misses nothing then: a folder
    /// that was replaced is another one under the same name.
    async fn next(&mut self) -> Result<(), DiskError> {
        // Never closed: this holds a sender itself.
        let _ = self.nudges.recv().await;
        let latest = Instant::now() + self.settled * LONGEST;
        while !self.is_whole(latest).await {
            let more = timeout(self.settled, self.nudges.recv()).await;
            if more.is_err() || Instant::now() >= latest {
                drop(self.noticed.activity().taken());
                break;
            }
        }
        self.watcher = watcher(&self.folder, &self.noticed)?;
        Ok(())
    }

    /// Looks, once nothing more happens for a moment, whether all that has changed is whole.
    async fn is_whole(&mut self, latest: Instant) -> bool {
        let Some(is_whole) = &self.is_whole else {
            return false;
        };
        while Instant::now() < latest && timeout(MOMENT, self.nudges.recv()).await.is_ok() {}
        let activity = self.noticed.activity().taken();
        let is_whole = activity.is_over(&self.folder, is_whole);
        if !is_whole {
            self.noticed.activity().add(activity);
        }
        is_whole
    }
}

fn watcher(folder: &Path, noticed: &Noticed) -> Result<RecommendedWatcher, DiskError> {
    let (noticed, about) = (noticed.clone(), folder.to_owned());
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        if concerns_us(&event, &about) {
            noticed.activity().note(event);
            // When it is full, there is a nudge already.
            let _ = noticed.nudge.try_send(());
        }
    })
    .map_err(|error| failed(folder, error))?;
    let mut watched = BTreeSet::new();
    // Until there is nothing more: what is made while it is looked for is found then, or noticed later.
    loop {
        let more: Vec<_> = to_watch(folder)
            .into_iter()
            .filter(|path| !watched.contains(path))
            .collect();
        if more.is_empty() {
            return Ok(watcher);
        }
        for path in more {
            match watcher.watch(&path, RecursiveMode::NonRecursive) {
                Ok(()) => drop(watched.insert(path)),
                // It is gone again, and may be back by now: then it is looked for once more.
                Err(error) if is_gone(&error) || !path.is_dir() => {}
                Err(error) => return Err(failed(&path, error)),
            }
        }
    }
}

fn is_gone(error: &notify::Error) -> bool {
    match &error.kind {
        notify::ErrorKind::PathNotFound => true,
        notify::ErrorKind::Io(error) => error.kind() == io::ErrorKind::NotFound,
        _ => false,
    }
}

fn to_watch(folder: &Path) -> Vec<PathBuf> {
    let above = folder.ancestors().skip(1).find(|path| path.is_dir());
    let inner = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .take(MOST);
    let own = [folder.to_owned()]
        .into_iter()
        .chain(inner)
        .filter(|path| path.is_dir());
    above.map(Path::to_owned).into_iter().chain(own).collect()
}

/// True for what may have changed something there. Reading does not, and our own would wake us for ever; what is not known
/// (events were lost) may. That somebody who wrote closes the file is the end of a change.
fn concerns_us(event: &notify::Result<Event>, folder: &Path) -> bool {
    let Ok(event) = event else { return true };
    let is_ours = |path: &PathBuf| path.starts_with(folder) || folder.starts_with(path);
    let is_change = !event.kind.is_access() || activity::ends_writing(event.kind);
    event.need_rescan() || is_change && (event.paths.is_empty() || event.paths.iter().any(is_ours))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Long enough that nothing settles while a test runs.
    const NEVER: Duration = Duration::from_secs(3600);

    #[tokio::test]
    async fn a_folder_that_is_whole_again_is_told_before_it_has_settled() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("one");
        fs::create_dir(&folder).unwrap();
        let is_whole = |folder: &Path| {
            let read = |file| fs::read_to_string(folder.join(file)).unwrap_or_default();
            read("key") == read("certificate")
        };
        let mut changes = of_sets(root.path().to_owned(), NEVER, is_whole).unwrap();
        for version in ["1", "2", "3"] {
            fs::write(folder.join("key"), version).unwrap();
            // Half of it is noticed on its own, or with the rest: it is told once that is there.
            tokio::time::sleep(MOMENT * 3).await;
            fs::write(folder.join("new"), version).unwrap();
            fs::rename(folder.join("new"), folder.join("certificate")).unwrap();
            changes.next().await.unwrap().unwrap();
            assert!(is_whole(&folder));
        }
    }
}
