//! `state/ledger.jsonl`: what was asked of CAs that limit how often they may be asked. A line each, added at the end; what
//! counts no more goes when the whole is written anew.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use nix::fcntl::OFlag;

use super::{
    Folders,
    files::{self, Durability, PRIVATE},
};
use crate::{
    observe::LedgerEntry,
    ports::{DiskError, Ledgers, WrittenLedger},
};

impl Ledgers for Folders {
    fn ledger(&self) -> Result<WrittenLedger, DiskError> {
        let mut written = WrittenLedger::default();
        let Some(bytes) = files::read_bytes(&self.ledger_path())? else {
            return Ok(written);
        };
        // What follows the last line break was being written when the power failed: nothing was asked for after it.
        let end = bytes.iter().rposition(|byte| *byte == b'\n').unwrap_or(0);
        for line in bytes[..end].split(|byte| *byte == b'\n') {
            match serde_json::from_slice(line) {
                Ok(entry) => written.entries.push(entry),
                Err(_) if line.is_empty() => {}
                Err(_) => written.damaged += 1,
            }
        }
        Ok(written)
    }

    fn enter(&self, entry: &LedgerEntry) -> Result<(), DiskError> {
        let path = self.ledger_path();
        self.make_way(&path)?;
        let is_new = !files::is_there(&path);
        append(&path, &line(entry, &path)?).map_err(files::told("write", &path))?;
        match is_new {
            true => files::sync_folder(&self.state),
            false => Ok(()),
        }
    }

    fn keep_ledger(&self, entries: &[LedgerEntry]) -> Result<(), DiskError> {
        let path = self.ledger_path();
        let lines = entries.iter().map(|entry| line(entry, &path));
        let text = lines.collect::<Result<Vec<_>, _>>()?.concat();
        self.write(&path, &text, Durability::Synced)
    }

    fn set_ledger_aside(&self) -> Result<PathBuf, DiskError> {
        files::set_damaged_aside(&self.ledger_path())
    }
}

impl Folders {
    fn ledger_path(&self) -> PathBuf {
        self.state.join("ledger.jsonl")
    }
}

fn line(entry: &LedgerEntry, path: &Path) -> Result<Vec<u8>, DiskError> {
    let mut text = serde_json::to_vec(entry).map_err(|error| DiskError::Damaged {
        path: path.to_owned(),
        problem: error.to_string(),
    })?;
    text.push(b'\n');
    Ok(text)
}

/// Adds to the end of a file. What could be written in part alone is taken away again, and so is what a crash left there
/// in part: what follows it would be one line with it.
fn append(path: &Path, line: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(PRIVATE)
        .custom_flags(OFlag::O_NOFOLLOW.bits())
        .open(path)?;
    let end = whole_lines(&file)?;
    file.set_len(end)?;
    let written = file.write_all(line).and_then(|()| file.sync_data());
    if written.is_err() {
        file.set_len(end)?;
    }
    written
}

/// Length of a file up to its last line break. No line is longer than the part of the file that is looked at.
fn whole_lines(file: &File) -> io::Result<u64> {
    const LINE: u64 = 64 * 1024;
    let length = file.metadata()?.len();
    let from = length.saturating_sub(LINE);
    let mut end = Vec::new();
    let mut last = file.try_clone()?;
    last.seek(SeekFrom::Start(from))?;
    last.take(LINE).read_to_end(&mut end)?;
    let whole = end.iter().rposition(|byte| *byte == b'\n');
    Ok(whole.map_or(from, |last| from + u64::try_from(last).unwrap_or(LINE) + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{observe::Counted, values::Timestamp};

    fn entry(seconds: i64) -> LedgerEntry {
        LedgerEntry {
            at: Timestamp::from_seconds(1_800_000_000 + seconds),
            ca: "https://ca.example/dir".to_owned(),
            counted: Counted::Order {
                project: Some("shop".to_owned()),
            },
        }
    }

    #[test]
    fn what_a_crash_or_a_full_disk_left_in_part_spoils_no_other_line() {
        let folder = tempfile::tempdir().unwrap();
        let folders = Folders::new(folder.path().join("c"), folder.path().into(), |_| ());
        assert_eq!(folders.ledger().unwrap(), WrittenLedger::default());
        folders.enter(&entry(0)).unwrap();
        let path = folder.path().join("ledger.jsonl");
        let whole = std::fs::read(&path).unwrap();
        for cut in 0..whole.len() {
            let mut text = whole.clone();
            text.extend(&whole[..cut]);
            std::fs::write(&path, &text).unwrap();
            let expected = WrittenLedger {
                entries: vec![entry(0)],
                damaged: 0,
            };
            assert_eq!(folders.ledger().unwrap(), expected, "{cut}");
            folders.enter(&entry(1)).unwrap();
            let entries = folders.ledger().unwrap().entries;
            assert_eq!(entries, [entry(0), entry(1)], "{cut}");
        }
        // One that was never whole.
        std::fs::write(&path, &whole[..whole.len() - 1]).unwrap();
        folders.enter(&entry(2)).unwrap();
        assert_eq!(folders.ledger().unwrap().entries, [entry(2)]);
        std::fs::write(&path, [&whole[..], b"{}\n", &whole[..]].concat()).unwrap();
        let read = folders.ledger().unwrap();
        assert_eq!((read.entries.len(), read.damaged), (2, 1));
        let kept = folders.set_ledger_aside().unwrap();
        assert!(kept.ends_with("ledger.jsonl.damaged"));
        folders.keep_ledger(&[entry(3)]).unwrap();
        assert_eq!(folders.ledger().unwrap().entries, [entry(3)]);
    }
}
