//! The reading of files, which others may have written: what is no file is damaged, and nobody is waited for.

use std::{
    fs::{self, File, OpenOptions},
    io::{ErrorKind, Read},
    os::unix::fs::{FileTypeExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use nix::{errno::Errno, fcntl::OFlag};

use super::{parent, told};
use crate::ports::DiskError;

/// The text of a file; `None` when there is none. What is no text is damaged, and so is what is no file: a named pipe
/// would keep us waiting for whoever writes into it.
pub(in crate::adapters::disk) fn read(path: &Path) -> Result<Option<String>, DiskError> {
    read_bytes(path)?
        .map(|bytes| as_text(bytes, || path.to_owned()))
        .transpose()
}

/// The text that the bytes of the file at `path` are.
pub(in crate::adapters::disk) fn as_text(
    bytes: Vec<u8>,
    path: impl FnOnce() -> PathBuf,
) -> Result<String, DiskError> {
    String::from_utf8(bytes).map_err(|_| DiskError::Damaged {
        path: path(),
        problem: "it is not text".to_owned(),
    })
}

/// A file to read piece by piece; `None` when there is none.
pub(in crate::adapters::disk) fn open(path: &Path) -> Result<Option<File>, DiskError> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(told("read", path)(error)),
    }
}

/// The bytes of a file; `None` when there is none.
pub(in crate::adapters::disk) fn read_bytes(path: &Path) -> Result<Option<Vec<u8>>, DiskError> {
    let damaged = |problem: &str| DiskError::Damaged {
        path: path.to_owned(),
        problem: problem.to_owned(),
    };
    match fs::metadata(path).and_then(|found| found.is_file().then(|| fs::read(path)).transpose()) {
        Ok(Some(bytes)) => Ok(Some(bytes)),
        Ok(None) => Err(damaged("it is not a file")),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == ErrorKind::NotADirectory => {
            Err(damaged("there is a file where its folder should be"))
        }
        Err(error) => Err(told("read", path)(error)),
    }
}

/// The bytes of a small file that somebody else wrote, who may have put anything in its place; `None` when there is none.
/// It is opened without waiting, and looked at before it is read.
pub(in crate::adapters::disk) fn read_small(
    path: &Path,
    most: u64,
) -> Result<Option<Vec<u8>>, DiskError> {
    let file = open_at_once(path)?;
    file.map(|file| read_opened(file, path, most)).transpose()
}

/// The bytes of what was opened without waiting, once it is seen to be a small file. The path is for people alone.
pub(in crate::adapters::disk) fn read_opened(
    file: File,
    path: &Path,
    most: u64,
) -> Result<Vec<u8>, DiskError> {
    let found = file.metadata().map_err(told("read", path))?;
    let problem = match found.len() {
        _ if found.is_dir() => {
            "it is a folder; put the file itself here (Docker makes a folder where it is to mount a file that is not there)"
                .to_owned()
        }
        _ if found.file_type().is_fifo() => {
            "it is a named pipe; put the file itself here".to_owned()
        }
        _ if !found.is_file() => NO_FILE.to_owned(),
        length if length > most => format!(
            "it has {length} bytes, and nothing of its kind has more than {most}; put the right file here"
        ),
        _ => {
            let mut bytes = Vec::new();
            // It may grow meanwhile.
            let read = file.take(most).read_to_end(&mut bytes);
            return read.map(|_| bytes).map_err(told("read", path));
        }
    };
    Err(DiskError::Damaged {
        path: path.to_owned(),
        problem,
    })
}

/// The complaint about devices and sockets.
pub(in crate::adapters::disk) const NO_FILE: &str = "it is not a file; put the file itself here";

/// Opens whatever stands there, without waiting for anybody; `None` when there is nothing.
fn open_at_once(path: &Path) -> Result<Option<File>, DiskError> {
    let damaged = |problem: String| DiskError::Damaged {
        path: path.to_owned(),
        problem,
    };
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags((OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits())
        .open(path);
    match opened {
        Err(error) if error.kind() == ErrorKind::NotFound => match fs::read_link(path) {
            Ok(target) => Err(damaged(format!(
                "it is a link to {}, where nothing is that quaymaster sees; put the file itself here",
                target.display()
            ))),
            Err(_) => Ok(None),
        },
        Err(error) if error.kind() == ErrorKind::NotADirectory => Err(damaged(
            "there is a file where its folder should be".to_owned(),
        )),
        // So is opening a socket refused.
        Err(error) if error.raw_os_error() == Some(Errno::ENXIO as i32) => {
            Err(damaged(NO_FILE.to_owned()))
        }
        opened => opened.map(Some).map_err(told("read", path)),
    }
}

/// True if anything has this name, even a link that leads nowhere.
pub(in crate::adapters::disk) fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// True if the mode of a file lets everybody read it, and the mode of its folder lets everybody get there.
pub(in crate::adapters::disk) fn is_open_to_others(path: &Path) -> bool {
    let allows = |path: &Path, bit| {
        fs::metadata(path).is_ok_and(|found| found.permissions().mode() & bit != 0)
    };
    allows(path, 0o004) && allows(parent(path), 0o001)
}

/// True if the mode of a file lets others than its owner read it.
pub(in crate::adapters::disk) fn is_readable_by_others(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.permissions().mode() & 0o044 != 0)
}
