//! The memory of the last look at `live/` and `provided/`: of each name that passed all checks and had nothing to mend,
//! its certificate and its files' identities. Where they still are the same, they are not read and checked again, which
//! takes long where there are thousands and keeps everything else waiting. The memory decides nothing: without it a
//! look finds the same.
//!
//! Why that is sound: whoever writes to a file, or gives it another mode or owner, changes its time of change (ctime),
//! which nobody can set; and whoever puts another file or link in its place is seen by device and inode, or by where the
//! link leads. What we write ourselves is always a new file. Files are looked at before they are read, so that what
//! changes meanwhile is not as remembered. Two changes within one tick of a file system's clock look alike; so a file
//! that was changed just before a look began is read at the next one, too.
//!
//! What it can't see: bytes that rot without being written, those that a program goes on writing through memory that it
//! has mapped, and a second change within a tick on a server whose clock is seconds late. They are seen at the next
//! start, which remembers nothing, and when the certificate is delivered, which reads it and compares its digest.

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    rc::Rc,
    time::Duration,
};

use super::files;
use crate::{
    observe::HeldCertificate,
    values::{CertificateName, Digest, Timestamp},
};

/// Time that a file must not have changed to be remembered. The coarsest clock of a file system ticks every two
/// seconds.
const SETTLES: Duration = Duration::from_secs(2);

/// The files that say what a certificate is, and the one that people copy over, in its own folder and in that of its second copy. The first is its key.
const FILES: [&str; 4] = ["privkey.pem", "fullchain.pem", "cert.pem", "about.json"];

/// Certificates that passed all checks.
#[derive(Clone, Debug, Default)]
pub(super) struct Memory {
    live: BTreeMap<CertificateName, Known>,
    provided: BTreeMap<CertificateName, KnownFolder>,
}

#[derive(Clone, Debug)]
struct Known {
    files: Digest,
    certificate: Rc<HeldCertificate>,
}

impl Memory {
    /// The certificate of this name, where its files are as they were.
    pub(super) fn recall(
        &self,
        name: &CertificateName,
        seen: &Seen,
    ) -> Option<Rc<HeldCertificate>> {
        let known = self
            .live
            .get(name)
            .filter(|known| known.files == seen.files)?;
        Some(Rc::clone(&known.certificate))
    }

    /// Remembers a certificate that was read after its files were seen so.
    pub(super) fn keep(
        &mut self,
        name: &CertificateName,
        seen: &Seen,
        certificate: &Rc<HeldCertificate>,
    ) {
        if seen.is_settled {
            self.live.insert(
                name.clone(),
                Known {
                    files: seen.files,
                    certificate: Rc::clone(certificate),
                },
            );
        }
    }
}

/// A certificate of the user's that passed all checks, and what was in its folder then.
#[derive(Clone, Debug)]
pub(super) struct KnownFolder {
    folder: SeenFolder,
    certificate: Rc<HeldCertificate>,
}

impl KnownFolder {
    pub(super) fn certificate(&self) -> Rc<HeldCertificate> {
        Rc::clone(&self.certificate)
    }
}

impl Memory {
    /// The certificate of a folder of the user's, where the folder and all in it are as they were.
    pub(super) fn recall_folder(
        &mut self,
        name: &CertificateName,
        folder: &Path,
        usual: Option<&Path>,
        began: Timestamp,
    ) -> Option<KnownFolder> {
        let known = self.provided.remove(name)?;
        let seen = SeenFolder::of(folder, known.folder.names.clone(), usual, began)?;
        (seen.files == known.folder.files).then_some(known)
    }

    /// Remembers a folder that was read after it was seen so.
    pub(super) fn keep_folder(&mut self, name: CertificateName, known: KnownFolder) {
        if known.folder.is_settled {
            self.provided.insert(name, known);
        }
    }
}

/// The identity of a folder of the user's and all in it, as far as it shows without reading. An entry that is added or
/// removed changes the folder itself.
#[derive(Clone, Debug)]
pub(super) struct SeenFolder {
    names: Rc<[String]>,
    files: Digest,
    is_settled: bool,
}

impl SeenFolder {
    /// Looks at a folder, and at the file with the password of keys that have none of their own. `None` where something
    /// is in the way. To be asked before anything is read.
    pub(super) fn look(folder: &Path, usual: Option<&Path>, began: Timestamp) -> Option<Self> {
        let names = files::entries(folder).ok()?;
        Self::of(folder, names.into(), usual, began)
    }

    fn of(
        folder: &Path,
        names: Rc<[String]>,
        usual: Option<&Path>,
        began: Timestamp,
    ) -> Option<Self> {
        let own = [folder.to_owned()].into_iter();
        let inside = names.iter().map(|name| folder.join(name));
        let paths = own.chain(inside).chain(usual.map(Path::to_owned));
        let seen = paths.map(|path| File::look(&path));
        let seen = seen.collect::<io::Result<Vec<_>>>().ok()?;
        Some(Self {
            names,
            is_settled: are_settled(&seen, began),
            files: Digest::of_value(&seen),
        })
    }

    /// That it holds this certificate.
    pub(super) fn of_certificate(self, certificate: &Rc<HeldCertificate>) -> KnownFolder {
        KnownFolder {
            folder: self,
            certificate: Rc::clone(certificate),
        }
    }
}

/// True if none of these can change without showing it.
fn are_settled(files: &[Option<File>], began: Timestamp) -> bool {
    let mut found = files.iter().flatten();
    found.all(|file| file.changed_at() + SETTLES < began)
}

/// The identities of a certificate's files, as far as they show without reading.
pub(super) struct Seen {
    /// One digest, because there may be thousands.
    files: Digest,
    /// True if no change can be hidden from it.
    is_settled: bool,
}

/// The identity of one file, in one state.
#[derive(Hash)]
struct File {
    device: u64,
    inode: u64,
    size: u64,
    changed: (i64, i64),
    mode: u32,
    owner: (u32, u32),
}

impl Seen {
    /// Looks at the files of a certificate and its second copy, and where the link to it leads. `None` where something is
    /// in the way. To be asked before anything is read.
    pub(super) fn look(live: &Path, copy: &Path, began: Timestamp) -> Option<Self> {
        let link: Option<PathBuf> = fs::read_link(live).ok();
        let paths = [live, copy]
            .into_iter()
            .flat_map(|folder| FILES.map(|file| folder.join(file)));
        let files = paths
            .map(|path| File::look(&path))
            .collect::<io::Result<Vec<_>>>()
            .ok()?;
        // Whether others get to a key that they may read depends on folders, which are not looked at here.
        let is_closed = files[0].as_ref().is_some_and(|key| key.mode & 0o004 == 0);
        let is_settled = is_closed && are_settled(&files, began);
        Some(Self {
            files: Digest::of_value(&(link, files)),
            is_settled,
        })
    }
}

impl File {
    fn look(path: &Path) -> io::Result<Option<Self>> {
        let found = match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            found => found?,
        };
        Ok(Some(Self {
            device: found.dev(),
            inode: found.ino(),
            size: found.size(),
            changed: (found.ctime(), found.ctime_nsec()),
            mode: found.mode(),
            owner: (found.uid(), found.gid()),
        }))
    }

    fn changed_at(&self) -> Timestamp {
        let (seconds, nanoseconds) = self.changed;
        Timestamp::from_millis(
            seconds
                .saturating_mul(1000)
                .saturating_add(nanoseconds / 1_000_000),
        )
    }
}
