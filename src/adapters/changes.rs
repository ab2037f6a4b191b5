//! Word of changes in a folder that somebody else writes.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use futures_util::{StreamExt, stream, stream::LocalBoxStream};
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;

use crate::ports::DiskError;

/// Number of folders in it that are watched; more than this costs the system more than it is worth.
const MOST: usize = 1000;

/// After so many waits, changes are told though they go on.
const LONGEST: usize = 10;

/// Begins to watch a folder, which need not exist, and reports changes once nothing has changed for as long as
/// `settled`. Misses nothing from here on: look after it.
pub(super) fn of(
    folder: PathBuf,
    settled: Duration,
) -> Result<LocalBoxStream<'static, Result<(), DiskError>>, DiskError> {
    let watch = Watch::begin(folder, settled)?;
    let changes = stream::unfold(Some(watch), |watch| async move {
        let mut watch = watch?;
        match watch.next().await {
            Ok(()) => Some((Ok(()), Some(watch))),
            Err(error) => Some((Err(error), None)),
        }
    });
    Ok(changes.boxed_local())
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
    nudge: mpsc::Sender<()>,
    nudges: mpsc::Receiver<()>,
    watcher: RecommendedWatcher,
}

impl Watch {
    fn begin(folder: PathBuf, settled: Duration) -> Result<Self, DiskError> {
        // One nudge is as good as many.
        let (nudge, nudges) = mpsc::channel(1);
        let watcher = watcher(&folder, &nudge)?;
        Ok(Self {
            folder,
            settled,
            nudge,
            nudges,
            watcher,
        })
    }

    /// Waits for a change. Everything is watched anew before the report, so that a reader misses nothing then: a folder
    /// that was replaced is another one under the same name.
    async fn next(&mut self) -> Result<(), DiskError> {
        // Never closed: this holds a sender itself.
        let _ = self.nudges.recv().await;
        for _ in 0..LONGEST {
            if tokio::time::timeout(self.settled, self.nudges.recv())
                .await
                .is_err()
            {
                break;
            }
            // One settled time is not over by many changes in it.
            tokio::time::sleep(self.settled / 2).await;
        }
        self.watcher = watcher(&self.folder, &self.nudge)?;
        Ok(())
    }
}

fn watcher(folder: &Path, nudge: &mpsc::Sender<()>) -> Result<RecommendedWatcher, DiskError> {
    let (nudge, about) = (nudge.clone(), folder.to_owned());
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        if concerns_us(&event, &about) {
            // When it is full, there is a nudge already.
            let _ = nudge.try_send(());
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

/// Whether what was noticed may have changed something there. Reading does not, and our own would wake us for ever; what is
/// not known (events were lost) may.
fn concerns_us(event: &notify::Result<Event>, folder: &Path) -> bool {
    let Ok(event) = event else { return true };
    let is_ours = |path: &PathBuf| path.starts_with(folder) || folder.starts_with(path);
    event.need_rescan()
        || !event.kind.is_access() && (event.paths.is_empty() || event.paths.iter().any(is_ours))
}
