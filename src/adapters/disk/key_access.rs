//! Whom the keys of our live certificates belong to and who may read them, as the settings say: for servers that read
//! the folder of certificates under a user of their own.

use std::{
    fs::{File, OpenOptions, Permissions},
    io,
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown},
    path::Path,
};

use nix::fcntl::OFlag;

use super::{Folders, certificates::LiveOwner, files};
use crate::{
    ports::Remark,
    values::{CertificateName, KeyAccess, Owner},
};

/// The bits of a mode that say who may do what.
const RIGHTS: u32 = 0o7777;

impl Folders {
    /// Uses these for keys that are written from now on.
    pub fn keys_of(self, keys: KeyAccess) -> Self {
        Self { keys, ..self }
    }

    /// Gives the keys of all live certificates of ours to their owner by the settings, which may have been others when
    /// the keys were written. Where they can't be listed, that is reported, and nothing else waits for it.
    pub fn give_keys(&self) {
        if self.keys == KeyAccess::default() {
            return;
        }
        let live = self.certificates.join("live");
        let entries = files::entries(&live).unwrap_or_else(|error| {
            self.tell_not_given(&live, &error);
            Vec::new()
        });
        for entry in entries {
            if let Ok(name) = CertificateName::parse(entry)
                && self.owner(&name) == LiveOwner::Us
            {
                self.give_key(&self.live(&name).join("privkey.pem"));
            }
        }
    }

    /// Gives one key. Where that can't be done, or quaymaster could not read it any more, the key stays as it was, with
    /// a report: a certificate is not lost because of it.
    pub(super) fn give_key(&self, path: &Path) {
        if let Err(error) = give(path, self.keys) {
            self.tell_not_given(path, &error);
        }
    }

    fn tell_not_given(&self, path: &Path, error: &dyn std::error::Error) {
        (self.remarks)(Remark::KeyNotGiven {
            path: path.to_owned(),
            problem: error.to_string(),
        });
    }
}

fn give(path: &Path, keys: KeyAccess) -> io::Result<()> {
    let open = || {
        OpenOptions::new()
            .read(true)
            .custom_flags((OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW).bits())
            .open(path)
    };
    let file = open()?;
    let found = file.metadata()?;
    let before = KeyAccess {
        owner: Some(Owner {
            user: found.uid(),
            group: Some(found.gid()),
        }),
        mode: Some(found.mode() & RIGHTS),
    };
    let given = set(&file, before, keys).and_then(|()| open());
    let Err(error) = given else {
        return Ok(());
    };
    // What was read by this handle may be read by it still.
    set(&file, keys, before)?;
    Err(error)
}

/// The owner first: who had it before has no right by a mode that is meant for another.
fn set(file: &File, from: KeyAccess, to: KeyAccess) -> io::Result<()> {
    if let Some(owner) = to.owner.filter(|owner| !owner.is_in(from.owner)) {
        fchown(file, Some(owner.user), owner.group)?;
    }
    match to.mode {
        Some(mode) if from.mode != to.mode => file.set_permissions(Permissions::from_mode(mode)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// Who has a file, and its mode.
    fn seen(path: &Path) -> (u32, u32, u32) {
        let found = std::fs::metadata(path).expect("it is there");
        (found.uid(), found.gid(), found.mode() & RIGHTS)
    }

    #[test]
    fn what_no_setting_says_stays_as_it_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let key = folder.path().join("privkey.pem");
        std::fs::write(&key, "key").expect("it is written");
        std::fs::set_permissions(&key, Permissions::from_mode(0o640)).expect("its mode is set");
        let (user, group, _) = seen(&key);

        give(&key, KeyAccess::default()).expect("nothing is done");
        assert_eq!(seen(&key), (user, group, 0o640));
        let mode = |mode| KeyAccess {
            owner: None,
            mode: Some(mode),
        };
        give(&key, mode(0o600)).expect("its mode is set");
        assert_eq!(seen(&key), (user, group, 0o600));
        give(&key, mode(0o440)).expect("its mode is set");
        assert_eq!(seen(&key), (user, group, 0o440));
    }

    #[test]
    fn where_no_key_can_be_listed_nothing_ends() {
        let folder = tempfile::tempdir().expect("a folder");
        let certificates = folder.path().join("certificates");
        std::fs::create_dir(&certificates).expect("it is made");
        std::fs::write(certificates.join("live"), "").expect("it is written");
        let told = |remark: Remark| {
            assert!(matches!(remark, Remark::KeyNotGiven { .. }), "{remark:?}");
            TOLD.fetch_add(1, Ordering::Relaxed);
        };
        let folders = Folders::new(certificates, folder.path().join("state"), told);
        folders.clone().give_keys();
        assert_eq!(TOLD.load(Ordering::Relaxed), 0, "nothing was to be given");
        let mode = KeyAccess {
            owner: None,
            mode: Some(0o640),
        };
        folders.keys_of(mode).give_keys();
        assert_eq!(TOLD.load(Ordering::Relaxed), 1);
    }

    static TOLD: AtomicU32 = AtomicU32::new(0);

    #[test]
    fn whom_keys_belong_to_is_seen_and_what_has_none_is_left_out() {
        let folder = tempfile::tempdir().expect("a folder");
        let live = folder.path().join("certificates/live");
        let folders = Folders::new(
            folder.path().join("certificates"),
            folder.path().join("state"),
            |_| (),
        );
        assert_eq!(folders.keys().expect("there is nothing"), []);
        for name in ["a.example", "none.example", ".hidden"] {
            std::fs::create_dir_all(live.join(name)).expect("it is made");
        }
        let key = live.join("a.example/privkey.pem");
        std::fs::write(&key, "key").expect("it is written");
        std::fs::set_permissions(&key, Permissions::from_mode(0o640)).expect("its mode is set");
        let (user, group, mode) = seen(&key);
        let expected = super::super::KeyLook {
            name: CertificateName::parse("a.example").expect("a name"),
            owner: Owner {
                user,
                group: Some(group),
            },
            mode,
        };
        assert_eq!(folders.keys().expect("they are seen"), [expected]);
    }

    #[test]
    fn no_link_is_followed() {
        let folder = tempfile::tempdir().expect("a folder");
        let (key, link) = (folder.path().join("key"), folder.path().join("link"));
        std::fs::write(&key, "key").expect("it is written");
        std::os::unix::fs::symlink(&key, &link).expect("it is made");
        let before = seen(&key);
        let mode = KeyAccess {
            owner: None,
            mode: Some(0o400),
        };
        give(&link, mode).expect_err("it is a link");
        assert_eq!(seen(&key), before);
    }
}
