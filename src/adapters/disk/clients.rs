//! The folders in which other ACME clients keep their certificates: each is recognised by its content, and read without
//! a trace. They were written by others, perhaps in a container: no link leads out of them, and nothing in them is
//! waited for.

use std::{
    fs::File,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use nix::{
    dir::Dir,
    errno::Errno,
    fcntl::{OFlag, OpenHow, ResolveFlag, openat2},
};

use super::{
    files::{self, told},
    passwords::Passwords,
    provided::Pile,
    version::LARGEST,
};
use crate::ports::{ClientCertificate, ClientFolder, DiskError, LeftThere};

/// The most certificates of one folder that are taken over. A folder with more is no client's that we know.
const MOST_CERTIFICATES: usize = 10_000;

/// The layout of a client's folder.
struct ClientRow {
    name: &'static str,
    /// The marks that a folder must have to be one of its.
    has: &'static [Mark],
    /// Its certificates, files missing or not.
    certificates: fn(&ClientRoot) -> Result<Vec<ClientCertificate>, DiskError>,
    /// The file of its account, or the folder below which those of its accounts lie; none where they lie elsewhere.
    accounts: Option<&'static str>,
    /// Other things that may be there, and the reasons why they stay.
    left: &'static [(&'static str, &'static str)],
}

/// A mark of a client's folder.
enum Mark {
    File(&'static str),
    Folder(&'static str),
    /// A folder of any name with these files.
    FolderWith(&'static [&'static str]),
}

/// The endings of files with the key of an account: certbot's, and lego's and acme.sh's.
const ACCOUNT_KEYS: [&str; 2] = ["private_key.json", ".key"];

/// So many folders lie one in the other above such a file at most: CA, directory, account, keys.
const ACCOUNT_DEPTH: u32 = 5;

/// An account stays where it is: what it obtained is used without it.
const ACCOUNT: &str = "quaymaster registers an account of its own with its first order, and certificates need none until then; \
                       to go on with this one, `quaymaster register --account` takes it over from this file";

/// The folder of accounts, where no key is found in it.
const ACCOUNTS: &str = "quaymaster registers an account of its own with its first order, and certificates need none until then";

/// Every client that is known. The first whose marks are all there counts.
const CLIENTS: &[ClientRow] = &[
    ClientRow {
        name: "certbot",
        has: &[Mark::Folder("live"), Mark::Folder("renewal")],
        certificates: |root| {
            let live = Path::new("live");
            let folders = root.folders(live)?.into_iter();
            let files = ["privkey.pem", "fullchain.pem", "cert.pem", "chain.pem"];
            Ok(folders
                .map(|name| in_folder(&live.join(&name), name, &files))
                .collect())
        },
        accounts: Some("accounts"),
        left: &[(
            "renewal",
            "certbot goes on renewing what it lists: end that (`certbot delete`, or its timer) once quaymaster serves it",
        )],
    },
    ClientRow {
        name: "lego",
        has: &[Mark::Folder("certificates"), Mark::Folder("accounts")],
        certificates: |root| {
            let folder = Path::new("certificates");
            let keys = root.names_before(folder, ".key")?.into_iter();
            Ok(keys
                .map(|name| ClientCertificate {
                    files: [".key", ".crt", ".issuer.crt"]
                        .map(|ending| folder.join(format!("{name}{ending}")))
                        .into(),
                    name,
                })
                .collect())
        },
        accounts: Some("accounts"),
        left: &[],
    },
    ClientRow {
        name: "acme.sh",
        has: &[Mark::File("account.conf")],
        certificates: |root| {
            let mut found = Vec::new();
            for folder in root.folders(Path::new(""))? {
                let name = folder.strip_suffix("_ecc").unwrap_or(&folder).to_owned();
                let path = Path::new(&folder);
                if !root.is_file(&path.join(format!("{name}.key"))) {
                    continue;
                }
                let [key, leaf] = [".key", ".cer"].map(|ending| format!("{name}{ending}"));
                let files = [key.as_str(), leaf.as_str(), "fullchain.cer", "ca.cer"];
                found.push(in_folder(path, name.clone(), &files));
            }
            Ok(found)
        },
        accounts: Some("ca"),
        left: &[],
    },
    ClientRow {
        name: "manuale",
        has: &[Mark::File("account.json")],
        certificates: |root| {
            let keys = root.names_before(Path::new(""), ".pem")?.into_iter();
            let keys = keys.filter(|name| root.is_file(Path::new(&format!("{name}.crt"))));
            Ok(keys
                .map(|name| ClientCertificate {
                    files: [".pem", ".crt", ".chain.crt", ".intermediate.crt"]
                        .map(|ending| format!("{name}{ending}").into())
                        .into(),
                    name,
                })
                .collect())
        },
        accounts: Some("account.json"),
        left: &[("orders", "orders under way are manuale's to end")],
    },
    ClientRow {
        name: "acme-companion",
        has: &[Mark::FolderWith(&["fullchain.pem", "key.pem"])],
        certificates: |root| {
            let files = ["key.pem", "fullchain.pem", "cert.pem", "chain.pem"];
            let mut folders = root.folders(Path::new(""))?;
            folders.retain(|name| {
                let key = Path::new(name).join("key.pem");
                !name.starts_with(STAGING) && root.is_file(&key)
            });
            let folders = folders.into_iter();
            Ok(folders
                .map(|name| in_folder(&PathBuf::from(&name), name, &files))
                .collect())
        },
        accounts: None,
        left: &[(
            "default.crt",
            "it is a stand-in that acme-companion signed itself",
        )],
    },
];

/// The beginning of acme-companion's folders of certificates that a staging CA issued.
const STAGING: &str = "_test_";

fn in_folder(folder: &Path, name: String, files: &[&str]) -> ClientCertificate {
    ClientCertificate {
        name,
        files: files.iter().map(|file| folder.join(file)).collect(),
    }
}

/// Reads the client's folder; `None` where it is no client's.
pub(super) fn client_folder(path: &Path) -> Result<Option<ClientFolder>, DiskError> {
    if !path.is_dir() {
        return Ok(None);
    }
    let Some(root) = ClientRoot::open(path)? else {
        return Ok(None);
    };
    for row in CLIENTS {
        let mut is_there = true;
        for mark in row.has {
            is_there = is_there && root.has(mark)?;
        }
        if !is_there {
            continue;
        }
        let certificates = (row.certificates)(&root)?;
        if certificates.len() > MOST_CERTIFICATES {
            let problem = format!(
                "it has {} certificates, and at most {MOST_CERTIFICATES} are taken over at once; import them one by one",
                certificates.len()
            );
            return Err(damaged(path.to_owned(), problem));
        }
        let mut left: Vec<_> = row
            .accounts
            .map(|place| accounts(&root, place))
            .unwrap_or_default();
        let others = row.left.iter();
        let others = others.filter(|(place, _)| root.is_there(Path::new(place)));
        left.extend(others.map(|&(place, why)| LeftThere {
            path: place.into(),
            why,
        }));
        return Ok(Some(ClientFolder {
            client: row.name,
            path: path.to_owned(),
            certificates,
            left,
        }));
    }
    Ok(None)
}

/// The files of its accounts; the folder where none is found, or it can't be listed: they are told of, and not needed.
fn accounts(root: &ClientRoot, place: &str) -> Vec<LeftThere> {
    let place = Path::new(place);
    let mut keys = Vec::new();
    match root.is_file(place) {
        true => keys.push(place.to_owned()),
        false => drop(root.account_keys(place, ACCOUNT_DEPTH, &mut keys)),
    }
    if keys.is_empty() && root.is_there(place) {
        return vec![LeftThere {
            path: place.to_owned(),
            why: ACCOUNTS,
        }];
    }
    let of_key = |path| LeftThere { path, why: ACCOUNT };
    keys.into_iter().map(of_key).collect()
}

/// The contents of the files of a certificate, together. A missing file adds nothing.
pub(super) fn pile_of(
    kept: &ClientFolder,
    certificate: &ClientCertificate,
    usual: Option<&Path>,
) -> Result<Pile, DiskError> {
    let root = ClientRoot::open(&kept.path)?.ok_or_else(|| {
        let problem = "this system can't open its files without following links out of it; import the files themselves";
        damaged(kept.path.clone(), problem)
    })?;
    let passwords = Passwords::given(None, usual);
    let mut pile = Pile::default();
    for file in &certificate.files {
        if let Some(bytes) = root.read(file)? {
            let path = kept.path.join(file);
            pile.take(&path.display().to_string(), &path, bytes, &passwords)?;
        }
    }
    Ok(pile)
}

fn damaged(path: PathBuf, problem: impl Into<String>) -> DiskError {
    DiskError::Damaged {
        path,
        problem: problem.into(),
    }
}

/// The folder of a client, open. Its own path is the user's to choose, links and all; below it, links lead as far as it goes.
struct ClientRoot {
    handle: OwnedFd,
    path: PathBuf,
}

impl ClientRoot {
    /// `None` where the system can't keep links within a folder: a kernel before 5.6, or a filter of system calls that does
    /// not know this one, as old versions of Docker have it.
    fn open(path: &Path) -> Result<Option<Self>, DiskError> {
        let handle = File::open(path).map_err(told("open the folder", path))?;
        let root = Self {
            handle: handle.into(),
            path: path.to_owned(),
        };
        match root.beneath(Path::new("."), OFlag::O_PATH) {
            Err(Errno::ENOSYS | Errno::EPERM) => Ok(None),
            // What else is wrong is told by whatever is opened next.
            _ => Ok(Some(root)),
        }
    }

    fn beneath(&self, place: &Path, flags: OFlag) -> nix::Result<OwnedFd> {
        let how = OpenHow::new()
            .flags(flags | OFlag::O_CLOEXEC)
            .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_MAGICLINKS);
        openat2(&self.handle, place, how)
    }

    /// Opens what lies below; `None` when there is nothing.
    fn opened(&self, place: &Path, flags: OFlag) -> Result<Option<OwnedFd>, DiskError> {
        let place = match place.as_os_str().is_empty() {
            true => Path::new("."),
            false => place,
        };
        let path = self.path.join(place);
        match self.beneath(place, flags) {
            Ok(handle) => Ok(Some(handle)),
            Err(Errno::ENOENT | Errno::ENOTDIR) => Ok(None),
            Err(Errno::EXDEV) => Err(damaged(
                path,
                format!(
                    "a link leads out of {}, and none is followed there; import the files themselves",
                    self.path.display()
                ),
            )),
            Err(Errno::ELOOP) => Err(damaged(path, "it is a link that leads to itself")),
            // So is opening a socket refused.
            Err(Errno::ENXIO) => Err(damaged(path, files::NO_FILE)),
            Err(error) => Err(told("open", &path)(error.into())),
        }
    }

    /// The bytes of a file; `None` when there is none.
    fn read(&self, place: &Path) -> Result<Option<Vec<u8>>, DiskError> {
        let opened = self.opened(place, OFlag::O_NONBLOCK | OFlag::O_NOCTTY)?;
        let read = |handle: OwnedFd| {
            files::read_opened(File::from(handle), &self.path.join(place), LARGEST)
        };
        opened.map(read).transpose()
    }

    fn has(&self, mark: &Mark) -> Result<bool, DiskError> {
        Ok(match mark {
            Mark::File(name) => self.is_file(Path::new(name)),
            Mark::Folder(name) => self.is_folder(Path::new(name)),
            Mark::FolderWith(names) => {
                let folders = self.folders(Path::new(""))?;
                let whole = |folder: &String| {
                    let has = |name: &&str| self.is_file(&Path::new(folder).join(name));
                    names.iter().all(has)
                };
                folders.iter().any(whole)
            }
        })
    }

    /// True if anything has this name, even if it can't be opened.
    fn is_there(&self, place: &Path) -> bool {
        !matches!(self.opened(place, OFlag::O_PATH), Ok(None))
    }

    fn is_file(&self, place: &Path) -> bool {
        let found = self.opened(place, OFlag::O_PATH).ok().flatten();
        let about = found.and_then(|handle| File::from(handle).metadata().ok());
        about.is_some_and(|about| about.is_file())
    }

    fn is_folder(&self, place: &Path) -> bool {
        let opened = self.opened(place, OFlag::O_DIRECTORY);
        opened.is_ok_and(|found| found.is_some())
    }

    /// True of a folder that is no link to one: what descends must not follow links that lead back up.
    fn is_folder_itself(&self, place: &Path) -> bool {
        let opened = self.opened(place, OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW);
        opened.is_ok_and(|found| found.is_some())
    }

    /// The names of the folders in a folder, sorted.
    fn folders(&self, place: &Path) -> Result<Vec<String>, DiskError> {
        let mut names = self.entries(place)?;
        names.retain(|name| !name.starts_with('.') && self.is_folder(&place.join(name)));
        Ok(names)
    }

    /// The names of the files in a folder that end so, without that, sorted.
    fn names_before(&self, place: &Path, ending: &str) -> Result<Vec<String>, DiskError> {
        let names = self.entries(place)?.into_iter();
        let before = names.filter_map(|name| name.strip_suffix(ending).map(str::to_owned));
        Ok(before.filter(|name| !name.is_empty()).collect())
    }

    /// Finds the files with keys of accounts below a folder, at most so many folders below.
    fn account_keys(
        &self,
        place: &Path,
        depth: u32,
        found: &mut Vec<PathBuf>,
    ) -> Result<(), DiskError> {
        for name in self.entries(place)? {
            let path = place.join(&name);
            let is_key = ACCOUNT_KEYS.iter().any(|ending| name.ends_with(ending));
            if is_key && self.is_file(&path) {
                found.push(path);
            } else if depth > 1 && self.is_folder_itself(&path) {
                self.account_keys(&path, depth - 1, found)?;
            }
        }
        Ok(())
    }

    /// The names in a folder, as far as they are text, sorted.
    fn entries(&self, place: &Path) -> Result<Vec<String>, DiskError> {
        let Some(handle) = self.opened(place, OFlag::O_DIRECTORY)? else {
            return Ok(Vec::new());
        };
        let list = || -> nix::Result<Vec<String>> {
            let mut names = Vec::new();
            for entry in Dir::from_fd(handle)?.iter() {
                if let Ok(name) = entry?.file_name().to_str()
                    && name != "."
                    && name != ".."
                {
                    names.push(name.to_owned());
                }
            }
            names.sort();
            Ok(names)
        };
        list().map_err(|error| told("list", &self.path.join(place))(error.into()))
    }
}
