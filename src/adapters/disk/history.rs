//! `state/history/{old,full,new}.jsonl`: what has happened, an event a line. What is new is added to `new`. Once that has 4 MB it
//! becomes `full`, and a thread of its own makes a new `old` of `old` and `full`: of each name the latest entries, and 4 MB at most.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet, VecDeque},
    fs::{self, File, OpenOptions},
    io::{BufRead, BufReader, Read, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    thread::JoinHandle,
};

use nix::fcntl::OFlag;

use super::{
    files::{self, Durability, PRIVATE},
    state::FOLDER_MODE,
};
use crate::{
    observe::{HistoryEntry, MOST_ENTRIES},
    ports::{DiskError, FoundEntries, Histories, Remarks},
};

/// Bytes of `new`, and of `old`. While they are put together, there are three times as many at most: less than 13 MB, and
/// less than 9 MB afterwards.
const MOST_BYTES: u64 = 4 << 20;

/// Bytes that are read in one step.
const STEP: usize = 128 * 1024;

/// Bytes of a line; no entry has more.
const LONGEST_LINE: u64 = 64 * 1024;

const OLD: &str = "old.jsonl";
const FULL: &str = "full.jsonl";
const NEW: &str = "new.jsonl";

/// The files of the history.
pub struct HistoryFiles {
    state: PathBuf,
    remarks: Remarks,
    most: u64,
    /// What puts the older files together.
    sorting: RefCell<Option<JoinHandle<Result<(), DiskError>>>>,
}

impl HistoryFiles {
    /// In this folder of state; nothing is made or read yet.
    pub fn new(state: &Path, remarks: Remarks) -> Self {
        Self {
            state: state.to_owned(),
            remarks,
            most: MOST_BYTES,
            sorting: RefCell::default(),
        }
    }

    fn path(&self, file: &str) -> PathBuf {
        self.state.join("history").join(file)
    }

    /// Has the older files put together where the new one is full, and says how that went the last time.
    fn sort(&self) -> Result<(), DiskError> {
        let mut sorting = self.sorting.borrow_mut();
        match &*sorting {
            Some(thread) if !thread.is_finished() => return Ok(()),
            _ => {}
        }
        let done = sorting.take().map(JoinHandle::join);
        let done = done.map_or(Ok(()), |ended| {
            ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        let [old, full, new] = [OLD, FULL, NEW].map(|file| self.path(file));
        let is_full = fs::metadata(&new).is_ok_and(|found| found.len() >= self.most);
        // One that is there is left of a program that was ended: it goes first.
        if is_full && !files::is_there(&full) {
            files::put(&new, &full, Durability::Renamed)?;
        }
        if files::is_there(&full) {
            let most = self.most;
            *sorting = Some(std::thread::spawn(move || put_together(&old, &full, most)));
        }
        done
    }
}

impl Histories for HistoryFiles {
    fn add_history(&self, entries: &[HistoryEntry]) -> Result<(), DiskError> {
        let path = self.path(NEW);
        files::folder(&self.state, FOLDER_MODE)?;
        files::make_way(&self.state, &path, self.remarks)?;
        files::folder(path.parent().unwrap_or(&self.state), FOLDER_MODE)?;
        let mut lines = Vec::new();
        for entry in entries {
            let written = serde_json::to_writer(&mut lines, entry);
            written.map_err(|error| files::told("write", &path)(error.into()))?;
            lines.push(b'\n');
        }
        append(&path, &lines).map_err(files::told("write", &path))?;
        self.sort()
    }

    fn history(&self, names: BTreeSet<String>) -> Box<dyn Iterator<Item = FoundEntries>> {
        // Opened together, and the newest first: of what is put together meanwhile nothing is missed.
        let opened: Vec<_> = [NEW, FULL, OLD]
            .map(|file| self.path(file))
            .into_iter()
            .map(|path| (files::open(&path), path))
            .collect();
        Box::new(opened.into_iter().rev().flat_map(move |(opened, path)| {
            let (first, reading) = match opened {
                Ok(file) => (
                    None,
                    file.map(|file| Reading::new(file, path, names.clone())),
                ),
                Err(error) => (Some(Err(error)), None),
            };
            first.into_iter().chain(reading.into_iter().flatten())
        }))
    }
}

/// Adds to the end of a file. What a crash left there in part spoils its own line alone.
fn append(path: &Path, lines: &[u8]) -> std::io::Result<()> {
    let mut file = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(PRIVATE)
        .custom_flags(OFlag::O_NOFOLLOW.bits())
        .open(path)?;
    let mut last = [b'\n'];
    if file.metadata()?.len() > 0 {
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
    }
    if last != *b"\n" {
        file.write_all(b"\n")?;
    }
    file.write_all(lines)
}

/// A file that is read piece by piece.
struct Reading {
    file: BufReader<File>,
    path: PathBuf,
    names: BTreeSet<String>,
    /// As they stand in a line.
    written: Vec<String>,
    is_over: bool,
}

impl Reading {
    fn new(file: File, path: PathBuf, names: BTreeSet<String>) -> Self {
        let written = names
            .iter()
            .map(|name| serde_json::Value::from(name.as_str()).to_string());
        Self {
            file: BufReader::with_capacity(STEP, file),
            path,
            written: written.collect(),
            names,
            is_over: false,
        }
    }

    fn step(&mut self) -> FoundEntries {
        let (mut found, mut read) = (Vec::new(), 0);
        let mut line = Vec::new();
        while read < STEP {
            line.clear();
            let mut one = (&mut self.file).take(LONGEST_LINE);
            match one
                .read_until(b'\n', &mut line)
                .map_err(files::told("read", &self.path))?
            {
                0 => {
                    self.is_over = true;
                    break;
                }
                length => read += length,
            }
            let Ok(text) = std::str::from_utf8(&line) else {
                continue;
            };
            // Most lines are about others, and need not be understood.
            if self.written.iter().any(|name| text.contains(name.as_str()))
                && let Ok(entry) = serde_json::from_str::<HistoryEntry>(text)
                && entry.names.iter().any(|name| self.names.contains(name))
            {
                found.push(entry);
            }
        }
        Ok(found)
    }
}

impl Iterator for Reading {
    type Item = FoundEntries;

    fn next(&mut self) -> Option<FoundEntries> {
        if self.is_over {
            return None;
        }
        let found = self.step();
        self.is_over |= found.is_err();
        Some(found)
    }
}

/// Puts two files together in the place of the older one: of each name the latest entries, and of all so many bytes at most.
fn put_together(old: &Path, full: &Path, most: u64) -> Result<(), DiskError> {
    let mut lines = Vec::new();
    for path in [old, full] {
        let bytes = files::read_bytes(path)?.unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        lines.extend(
            text.lines()
                .filter_map(|line| serde_json::from_str::<HistoryEntry>(line).ok()),
        );
    }
    let (mut counts, mut kept, mut bytes) = (BTreeMap::<String, usize>::new(), VecDeque::new(), 0);
    // Backwards: an entry stays as long as one of its names has too few.
    for entry in lines.into_iter().rev() {
        let mut is_wanted = false;
        for name in &entry.names {
            let count = counts.entry(name.clone()).or_default();
            *count += 1;
            is_wanted |= *count <= MOST_ENTRIES;
        }
        let line = serde_json::to_string(&entry).unwrap_or_default();
        if !is_wanted || line.is_empty() {
            continue;
        }
        bytes += line.len() as u64 + 1;
        if bytes > most {
            break;
        }
        kept.push_front(line + "\n");
    }
    files::replace_with(old, PRIVATE, Durability::Renamed, |file| {
        kept.iter()
            .try_for_each(|line| file.write_all(line.as_bytes()))
    })?;
    files::remove(full)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::Timestamp;

    fn entry(second: i64, name: &str) -> HistoryEntry {
        HistoryEntry {
            at: Timestamp::from_seconds(second),
            event: "obtained".to_owned(),
            level: "info".to_owned(),
            names: vec![name.to_owned()],
            text: format!("{name} number {second}"),
        }
    }

    fn seconds(files: &HistoryFiles, name: &str) -> Vec<i64> {
        let found = files.history([name.to_owned()].into());
        let found = found.map(|step| step.unwrap()).collect::<Vec<_>>().concat();
        found.iter().map(|entry| entry.at.millis() / 1000).collect()
    }

    fn settle(files: &HistoryFiles) {
        if let Some(thread) = files.sorting.borrow_mut().take() {
            thread.join().unwrap().unwrap();
        }
    }

    #[test]
    fn entries_are_found_by_each_of_their_names_and_a_line_in_part_spoils_none() {
        let folder = tempfile::tempdir().unwrap();
        let history = HistoryFiles::new(folder.path(), |_| ());
        assert_eq!(seconds(&history, "a"), [0; 0]);
        let both = HistoryEntry {
            names: vec!["a".to_owned(), "b".to_owned()],
            ..entry(2, "a")
        };
        history.add_history(&[entry(1, "a"), both]).unwrap();
        let path = folder.path().join("history/new.jsonl");
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"{\"at\":\"20").unwrap();
        history
            .add_history(&[entry(3, "a"), entry(4, "ab")])
            .unwrap();
        assert_eq!(seconds(&history, "a"), [1, 2, 3]);
        assert_eq!(seconds(&history, "b"), [2]);
        assert_eq!(seconds(&history, "ab"), [4]);
        let mode =
            std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn of_each_name_the_latest_stay_and_the_whole_is_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let mut history = HistoryFiles::new(folder.path(), |_| ());
        history.most = 100_000;
        history.add_history(&[entry(1, "quiet")]).unwrap();
        for round in 0..200 {
            let some: Vec<_> = (0..20)
                .map(|n| entry(100 + round * 20 + n, "loud"))
                .collect();
            history.add_history(&some).unwrap();
            settle(&history);
        }
        let loud = seconds(&history, "loud");
        assert_eq!(loud.last(), Some(&(100 + 3999)));
        assert!(
            loud.is_sorted() && loud.len() >= MOST_ENTRIES && loud.len() < 2000,
            "{}",
            loud.len()
        );
        assert_eq!(
            seconds(&history, "quiet"),
            [1],
            "a loud one pushes no quiet one out"
        );
        let sizes = fs::read_dir(folder.path().join("history")).unwrap();
        let sizes = sizes.map(|file| file.unwrap().metadata().unwrap().len());
        assert!(sizes.sum::<u64>() < 300_000);

        // Many names are more than there is room for.
        for round in 0..20 {
            let some: Vec<_> = (0..200)
                .map(|n| entry(9000 + round, &format!("name-{n}")))
                .collect();
            history.add_history(&some).unwrap();
            settle(&history);
        }
        let old = fs::metadata(folder.path().join("history/old.jsonl"))
            .unwrap()
            .len();
        assert!(old <= 100_000, "{old}");
        assert_eq!(seconds(&history, "name-7").last(), Some(&9019));
    }

    #[test]
    fn a_full_file_that_was_left_by_a_kill_is_read_and_put_away() {
        let folder = tempfile::tempdir().unwrap();
        let history = HistoryFiles::new(folder.path(), |_| ());
        history.add_history(&[entry(1, "a")]).unwrap();
        let at = |file: &str| folder.path().join("history").join(file);
        fs::rename(at("new.jsonl"), at("full.jsonl")).unwrap();
        assert_eq!(seconds(&history, "a"), [1]);
        history.add_history(&[entry(2, "a")]).unwrap();
        settle(&history);
        assert!(!at("full.jsonl").exists() && at("old.jsonl").exists());
        assert_eq!(seconds(&history, "a"), [1, 2]);
    }

    #[test]
    fn a_long_history_is_read_in_steps() {
        let folder = tempfile::tempdir().unwrap();
        let history = HistoryFiles::new(folder.path(), |_| ());
        let some: Vec<_> = (0..5000)
            .map(|n| entry(n, &format!("name-{}", n % 50)))
            .collect();
        history.add_history(&some).unwrap();
        let steps: Vec<_> = history.history(["name-7".to_owned()].into()).collect();
        assert!(steps.len() >= 4, "{}", steps.len());
        assert_eq!(seconds(&history, "name-7").len(), 100);
    }
}
