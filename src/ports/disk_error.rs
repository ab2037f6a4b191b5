//! The errors of reading and writing in folders.

use std::{io, path::PathBuf};

use thiserror::Error;

use crate::values::{Owner, Timestamp};

/// The remedy for an error of the system, as it goes on after what could not be done.
fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "; give that right to the user that quaymaster runs as (chown or chmod), or the capability DAC_OVERRIDE to its \
             container"
        }
        io::ErrorKind::StorageFull => "; make room on that disk or volume",
        io::ErrorKind::QuotaExceeded => "; raise the quota, or make room",
        io::ErrorKind::ReadOnlyFilesystem => {
            "; mount that folder or volume so that quaymaster may write there"
        }
        _ => "",
    }
}

/// The reason why something could not be read or written.
#[derive(Debug, Error)]
pub enum DiskError {
    /// The system said no.
    #[error("can't {doing} {}{}", path.display(), remedy(source))]
    Io {
        /// The attempted work.
        doing: &'static str,
        /// To which file or folder.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A file of ours is not as we wrote it.
    #[error("{} can't be understood: {problem}", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// The problem with it.
        problem: String,
    },
    /// A key that others may read.
    #[error("{} may be read by others than its owner; take that right away with `chmod 600`", path.display())]
    Exposed {
        /// Its file.
        path: PathBuf,
    },
    /// A file that we may not give to its reader.
    #[error(
        "can't give {} to user {}, the user of its server; quaymaster needs `cap_add: [CHOWN]` for that, or has to run \
         as the same user",
        path.display(),
        owner.user
    )]
    Owner {
        /// Which file.
        path: PathBuf,
        /// The owner that it should have.
        owner: Owner,
        /// The system's error.
        source: io::Error,
    },
    /// A certificate that passes its checks, and begins later.
    #[error(
        "the certificate {name} is valid only from {from}; it is stored then, if the clock of this machine is right"
    )]
    NotYetValid {
        /// Its name.
        name: String,
        /// When it begins.
        from: Timestamp,
    },
    /// A file whose owner we may not give to the one that is to take its place.
    #[error(
        "{} belongs to user {owner} and group {group}, and quaymaster may not write another file of theirs in its place; it \
         stays as it is. Give quaymaster `cap_add: [CHOWN]`, have it run as that user, or give the file to the user that \
         it runs as",
        path.display()
    )]
    Kept {
        /// Which file.
        path: PathBuf,
        /// The number of its user.
        owner: u32,
        /// The number of its group.
        group: u32,
        /// The system's error.
        source: io::Error,
    },
    /// A certificate that does not pass its checks.
    #[error("the certificate {name} is refused")]
    Certificate {
        /// Its name.
        name: String,
        /// Which check it failed.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_the_system_that_people_can_mend_says_how() {
        let told = |kind: io::ErrorKind| {
            let error = DiskError::Io {
                doing: "write",
                path: PathBuf::from("/state/x"),
                source: kind.into(),
            };
            error.to_string()
        };
        for (kind, remedy) in [
            (io::ErrorKind::PermissionDenied, "chown or chmod"),
            (io::ErrorKind::StorageFull, "make room on that disk"),
            (io::ErrorKind::QuotaExceeded, "raise the quota"),
            (io::ErrorKind::ReadOnlyFilesystem, "mount that folder"),
        ] {
            let told = told(kind);
            assert!(told.starts_with("can't write /state/x; "), "{told}");
            assert!(told.contains(remedy), "{told}");
        }
        assert_eq!(told(io::ErrorKind::Other), "can't write /state/x");
    }
}
