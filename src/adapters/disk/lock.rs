//! Who works on a state folder.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{
    files::{self, PRIVATE, told},
    state::FOLDER_MODE,
};
use crate::ports::{DiskError, Remarks};

/// Held by the one process that works on a state folder; the kernel lets go when it ends, however it ends.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "the lock lives as long as the file is open")] File);

impl Lock {
    /// Takes the lock; `None` while another process has it.
    ///
    /// # Errors
    /// When the folder can't be made or written.
    pub fn take(state: &Path, remarks: Remarks) -> Result<Option<Self>, DiskError> {
        files::folder(state, FOLDER_MODE)?;
        let path = state.join("lock");
        files::make_way(state, &path, remarks)?;
        let mut options = OpenOptions::new();
        let file = options
            .write(true)
            .create(true)
            .truncate(false)
            .mode(PRIVATE)
            .open(&path);
        let mut file = file.map_err(told("open", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(told("lock", &path)(error)),
        }
        let who = format!(
            "{} {}\n",
            std::process::id(),
            namespace().unwrap_or_default()
        );
        let written = file
            .set_len(0)
            .and_then(|()| file.write_all(who.as_bytes()));
        written.map_err(told("write", &path))?;
        Ok(Some(Self(file)))
    }

    /// True if a process works on the state folder now.
    ///
    /// # Errors
    /// When that can't be found out.
    pub fn is_held(state: &Path) -> Result<bool, DiskError> {
        let path = state.join("lock");
        let file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            opened => opened.map_err(told("open", &path))?,
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => Err(told("lock", &path)(error)),
        }
    }

    /// Sends SIGHUP to the process that works there; says whether that could be done. A number means nothing outside
    /// the namespace that it was given in: there, it may be anybody's.
    ///
    /// <https://man7.org/linux/man-pages/man7/pid_namespaces.7.html>
    ///
    /// # Errors
    /// When it can't be found out who that is.
    pub fn nudge(state: &Path) -> Result<bool, DiskError> {
        if !Self::is_held(state)? {
            return Ok(false);
        }
        let pid = Self::holder(state)?.and_then(|pid| i32::try_from(pid).ok());
        Ok(pid.is_some_and(|pid| kill(Pid::from_raw(pid), Signal::SIGHUP).is_ok()))
    }

    /// The number of the process that was the last to take the lock; nothing where that means nothing here.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn holder(state: &Path) -> Result<Option<u32>, DiskError> {
        let who = files::read(&state.join("lock"))?.unwrap_or_default();
        let told = who.trim().split_once(' ').and_then(|(pid, theirs)| {
            let pid = pid.parse().ok().filter(|pid| *pid > 0);
            pid.filter(|_| namespace().as_deref() == Some(theirs))
        });
        Ok(told)
    }
}

/// The namespace in which our process ids count.
fn namespace() -> Option<String> {
    fs::read_link("/proc/self/ns/pid")
        .ok()?
        .into_os_string()
        .into_string()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_held_by_one_and_seen_by_others() {
        let folder = tempfile::tempdir().expect("a folder");
        let state = folder.path();
        assert!(!Lock::is_held(state).expect("it can be found out"));
        let lock = Lock::take(state, |_| ()).expect("it can be taken");
        assert!(lock.is_some() && Lock::is_held(state).expect("it can be found out"));
        assert!(
            Lock::take(state, |_| ())
                .expect("it can be tried")
                .is_none()
        );
        let who = fs::read_to_string(state.join("lock")).expect("it says who");
        assert_eq!(
            who.split(' ').next(),
            Some(std::process::id().to_string().as_str())
        );
        drop(lock);
        assert!(!Lock::is_held(state).expect("it can be found out"));
        assert!(
            !Lock::nudge(state).expect("it can be found out"),
            "what is written there is of the past"
        );
    }

    #[test]
    fn nobody_in_another_namespace_gets_a_signal() {
        let folder = tempfile::tempdir().expect("a folder");
        let _lock = Lock::take(folder.path(), |_| ()).expect("it can be taken");
        fs::write(
            folder.path().join("lock"),
            format!("{} pid:[1]\n", std::process::id()),
        )
        .expect("it is written");
        // A SIGHUP would end this test.
        assert!(!Lock::nudge(folder.path()).expect("it can be found out"));
    }
}
