//! `live/`, `archive/`, `provided/` and the second copies: every version is checked before it is linked, and never
//! written again. Our certificates and the user's differ by their links: ours lead to `../archive/NAME/N`.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    rc::Rc,
    time::Duration,
};

use futures_util::{
    StreamExt,
    stream::{self, LocalBoxStream},
};

use super::{
    Folders,
    copied_over::{Copied, copied_over},
    files::{self, Durability, PRIVATE, PUBLIC},
    memory::{Memory, Seen},
    provided::{is_whole, read_provided},
    version::{
        Version, is_copied, missing, read_about, read_copy, read_version, refused, write_about,
    },
};
use crate::{
    adapters::{
        changes,
        x509::{self, CertificateError},
    },
    observe::{ArchivedCertificate, HeldCertificate, Shelf, Source},
    ports::{CertificateStore, Certificates, DiskError, NewCertificate, Remark, Repair},
    values::{CertificateName, Digest, Timestamp},
};

/// Folders of certificates may be looked into; their keys may not be read.
pub(super) const FOLDER_MODE: u32 = 0o755;

/// Second copies, and what was in our way, are nobody's but ours.
const PRIVATE_FOLDER_MODE: u32 = 0o700;

/// Nothing must change for so long in `live/`, or in `provided/` where it is not whole, before it is looked at: a certificate
/// and its key are copied there one after the other, and in between they don't belong together.
const SETTLES: Duration = Duration::from_secs(1);

/// A file that certbot leaves in `live/`, and that is no fault.
const README: &str = "README";

/// Whose it is what stands at `live/NAME`.
#[derive(PartialEq, Eq)]
pub(super) enum LiveOwner {
    /// Nothing is there.
    Nobody,
    /// It is a link to a version in our archive, be it there or not.
    Us,
    /// It is anything else: a folder of certbot's, a link elsewhere, a file.
    User,
}

/// A look that is under way.
pub(super) struct CertificateLook {
    pub began: Timestamp,
    pub before: Memory,
    pub after: Memory,
    pub found: Certificates,
}

impl CertificateStore for Folders {
    fn certificates(&self, now: Timestamp) -> Result<Certificates, DiskError> {
        let mut found = Certificates::default();
        let names = self.names(&mut found)?;
        let mut look = CertificateLook {
            began: now,
            before: self.memory.take(),
            after: Memory::default(),
            found,
        };
        for name in names {
            self.look_at_live(name, &mut look);
        }
        self.look_at_archive(&mut look.found);
        self.look_at_provided(&mut look)?;
        self.memory.replace(look.after);
        Ok(look.found)
    }

    fn held_now(&self, name: &CertificateName) -> Result<Option<HeldCertificate>, DiskError> {
        match self.owner(name) {
            LiveOwner::Nobody => Ok(None),
            LiveOwner::Us | LiveOwner::User => self.read_live(name).map(Some),
        }
    }

    fn in_certbots_way(&self, name: &CertificateName) -> Option<PathBuf> {
        let renewal = self.certificates.join("renewal");
        let is_certbots = files::is_there(&renewal.join(format!("{name}.conf")));
        let archive = self.certificates.join("archive").join(name.as_str());
        match self.owner(name) {
            LiveOwner::Us => Some(self.live(name)),
            LiveOwner::User if !is_certbots => Some(self.live(name)),
            LiveOwner::Nobody if !is_certbots && files::is_there(&archive) => Some(archive),
            LiveOwner::User | LiveOwner::Nobody => None,
        }
    }

    fn mend(&self, name: &CertificateName, repair: &Repair) -> Result<(), DiskError> {
        match (repair, self.read_live(name)) {
            (Repair::TakeUp, _) => self.take_up(name),
            (Repair::Copy, Ok(certificate)) => {
                let version = self.as_known(name, self.read_files(name)?);
                self.write_copy(name, &version, certificate.source)
            }
            (Repair::Copy, Err(fault)) => Err(fault),
            (Repair::Live { .. }, Ok(_)) => Ok(()),
            (Repair::Live { .. }, Err(_)) => {
                let (version, certificate) = read_copy(&self.copy(name), name)?;
                let number = self.write_version(name, &version, certificate.source)?;
                self.link(name, number)
            }
        }
    }

    fn changes(&self) -> Result<LocalBoxStream<'static, Result<(), DiskError>>, DiskError> {
        let password = self.password_file.clone();
        let is_whole = move |folder: &Path| is_whole(folder, password.as_deref());
        let provided = changes::of_sets(self.certificates.join("provided"), SETTLES, is_whole)?;
        // A version that is live is watched through its link. What we link ourselves is told, too: only so the new one is
        // watched next, and a look at what is as it was finds that soon.
        let live = changes::of(self.certificates.join("live"), SETTLES);
        let live = live.unwrap_or_else(|error| stream::iter([Err(error)]).boxed_local());
        Ok(stream::select(provided, live).boxed_local())
    }

    fn store(&self, new: &NewCertificate<'_>) -> Result<HeldCertificate, DiskError> {
        let checked = x509::check_new(new).map_err(|error| match error {
            CertificateError::NotYet(from) => DiskError::NotYetValid {
                name: new.name.to_string(),
                from,
            },
            error => refused(new.name, error),
        })?;
        if new.source == Source::Fallback
            && let Some(better) = self.better_than_fallback(new.name)?
        {
            return Ok(better);
        }
        let live = match self.copied(new.name) {
            Copied::Whole(version) => version.check(Source::Provided).ok(),
            _ => self.read_live(new.name).ok(),
        };
        if live.is_some_and(|live| live.source == Source::Provided && live.is_valid_at(new.now)) {
            let live = self.live(new.name);
            return Err(refused(
                new.name,
                format!("{} is valid, not ours, and not replaced", live.display()),
            ));
        }
        let version = Version::of(new).map_err(|error| refused(new.name, error))?;
        let number = self.write_version(new.name, &version, new.source.clone())?;
        self.write_copy(new.name, &version, new.source.clone())?;
        self.link(new.name, number)?;
        Ok(checked)
    }

    fn archive(
        &self,
        name: &CertificateName,
        now: Timestamp,
    ) -> Result<ArchivedCertificate, DiskError> {
        self.archive_live(name, now)
    }

    fn restore(&self, name: &CertificateName) -> Result<HeldCertificate, DiskError> {
        self.restore_archived(name)
    }

    fn delete(&self, name: &CertificateName) -> Result<(), DiskError> {
        self.delete_archived(name)
    }
}

impl Folders {
    /// The certificates that have a name in `live/`, or a second copy.
    fn names(&self, found: &mut Certificates) -> Result<BTreeSet<CertificateName>, DiskError> {
        let (live, copies) = (self.certificates.join("live"), self.state.join("copies"));
        let (live, copied) = (entries(&live, found)?, entries(&copies, found)?);
        // A switch that was cut off leaves a hidden link.
        let named = |entry| CertificateName::parse(entry).ok();
        let mut names: BTreeSet<_> = live.into_iter().filter_map(named).collect();
        let alone = copied
            .into_iter()
            .filter_map(named)
            .filter(|name| !names.contains(name));
        let alone: Vec<_> = alone.filter(|name| self.copy(name).is_dir()).collect();
        names.extend(alone);
        Ok(names)
    }

    fn look_at_live(&self, name: CertificateName, look: &mut CertificateLook) {
        let (folder, copy) = (self.live(&name), self.copy(&name));
        let seen = Seen::look(&folder, &copy, look.began);
        let known = seen
            .as_ref()
            .and_then(|seen| look.before.recall(&name, seen));
        let is_known = known.is_some();
        if !is_known {
            match self.copied(&name) {
                Copied::Nothing => {}
                Copied::Half(problem) => return self.look_at_half(name, problem, &mut look.found),
                Copied::Whole(version) => {
                    return self.look_at_whole(name, &version, &mut look.found);
                }
            }
        }
        let certificate = match known.map_or_else(|| self.read_live(&name).map(Rc::new), Ok) {
            Ok(certificate) => certificate,
            Err(problem) => return self.look_at_copy(name, problem, &mut look.found),
        };
        if !is_known {
            tell_exposed(folder.join("privkey.pem"), &mut look.found);
        }
        if !is_known
            && matches!(certificate.source, Source::Acme(_))
            && !is_copied(&copy, certificate.digest)
        {
            look.found.repairs.insert(name.clone(), Repair::Copy);
        } else if let Some(seen) = seen {
            look.after.keep(&name, &seen, &certificate);
        }
        look.found.held.insert(name, certificate);
    }

    /// The files that the user copied over the live version of a name.
    pub(super) fn copied(&self, name: &CertificateName) -> Copied {
        let folder = self.live(name);
        match read_about(&folder) {
            Ok(Some(about)) if self.owner(name) == LiveOwner::Us => {
                copied_over(&folder, &about.files, self.usual_password())
            }
            // Nothing says what was stored. Whose it is without that is decided where it is read.
            _ => Copied::Nothing,
        }
    }

    fn look_at_whole(&self, name: CertificateName, version: &Version, found: &mut Certificates) {
        match version.check(Source::Provided) {
            Ok(certificate) => {
                found.repairs.insert(name.clone(), Repair::TakeUp);
                found.held.insert(name, certificate.into());
            }
            Err(error) => {
                let problem = refused(&name, error);
                self.look_at_half(name, problem, found);
            }
        }
    }

    /// Leaves a half-copied certificate as it is; the earlier one counts until the user has copied the rest.
    fn look_at_half(&self, name: CertificateName, problem: DiskError, found: &mut Certificates) {
        match read_copy(&self.copy(&name), &name) {
            Ok((_, certificate)) => {
                found.faults.push(problem);
                found.held.insert(name, certificate.into());
            }
            Err(_) => drop(found.wrecks.insert(name, problem)),
        }
    }

    /// Stores what its user copied over a version as a version of its own, with all its files. Its copy stays that of
    /// ours, which comes back when the link is removed.
    fn take_up(&self, name: &CertificateName) -> Result<(), DiskError> {
        let (Copied::Whole(version), Some(old)) = (self.copied(name), self.linked(name)) else {
            return Ok(());
        };
        let checked = version.check(Source::Provided);
        checked.map_err(|error| refused(name, error))?;
        let number = self.write_version(name, &version, Source::Provided)?;
        self.link(name, number)?;
        let archive = self.certificates.join("archive").join(name.as_str());
        files::close(&archive.join(old.to_string()).join("privkey.pem"))
    }

    /// Looks whether there is a second copy of what can't be used because of a `problem`.
    fn look_at_copy(&self, name: CertificateName, problem: DiskError, found: &mut Certificates) {
        let copy = read_copy(&self.copy(&name), &name).map(|(_, certificate)| certificate);
        // What the system does not let us read now it may let us read in a moment: nothing is lost yet.
        let is_unread = matches!(problem, DiskError::Io { .. });
        if is_unread {
            found.unread.insert((Shelf::Live, name.clone()));
        }
        match copy {
            Ok(_) if !is_unread => {
                drop(found.repairs.insert(name.clone(), Repair::Live { problem }))
            }
            Err(_) if name.as_str() == README && self.live(&name).is_file() => {}
            _ if is_unread => found.faults.push(problem),
            _ => drop(found.wrecks.insert(name.clone(), problem)),
        }
        found
            .held
            .extend(copy.ok().map(|certificate| (name, certificate.into())));
    }

    /// The live certificate of a name. A certificate of ours whose `about.json` was lost is whole by its copy alone;
    /// without that it counts as the user's where there is no such file, and as obtained from an unknown CA where it is
    /// damaged: a certificate that can be served is never given up because of its origin.
    pub(super) fn read_live(&self, name: &CertificateName) -> Result<HeldCertificate, DiskError> {
        let folder = self.live(name);
        let version = self.read_files(name)?;
        let digest = version.digest();
        let checked = |source| version.check(source).map_err(|error| refused(name, error));
        if self.owner(name) != LiveOwner::Us {
            return checked(Source::Provided);
        }
        let is_copied = || is_copied(&self.copy(name), digest);
        match read_about(&folder) {
            Ok(Some(read)) => checked(read.source).map(|held| HeldCertificate {
                profile: read.profile,
                ..held
            }),
            Ok(None) if is_copied() => Err(missing(folder.join("about.json"))),
            Err(fault) if is_copied() => Err(fault),
            Ok(None) => checked(Source::Provided),
            Err(_) => checked(Source::Acme(String::new())),
        }
    }

    /// The version of a certificate with this digest, of those that may be served.
    pub(super) fn version(
        &self,
        name: &CertificateName,
        digest: Digest,
    ) -> Result<Version, DiskError> {
        let is_it = |version: &Version| version.digest() == digest;
        let mut problem = match self.read_files(name) {
            Ok(live) if is_it(&live) => return Ok(self.as_known(name, live)),
            Ok(_) => None,
            Err(problem) => Some(problem),
        };
        let provided = self.certificates.join("provided").join(name.as_str());
        if let Ok(provided) = read_provided(&provided, self.usual_password()) {
            if is_it(&provided.version) {
                return Ok(provided.version);
            }
            problem = None;
        }
        // What was copied half-way over ours does not keep ours from whoever needs it.
        match read_copy(&self.copy(name), name) {
            Ok((copy, _)) if is_it(&copy) => Ok(copy),
            _ => Err(problem
                .unwrap_or_else(|| refused(name, "it was replaced while it was being delivered"))),
        }
    }

    /// A live version with what is known of where it came from.
    fn as_known(&self, name: &CertificateName, live: Version) -> Version {
        match read_about(&self.live(name)) {
            Ok(Some(about)) if self.owner(name) == LiveOwner::Us => {
                live.known_as(&about.source, about.profile.as_ref())
            }
            _ => live,
        }
    }

    /// Writes a version with the number after the highest one, never one that was used before: also not that of one that
    /// the live link leads to and that is gone.
    fn write_version(
        &self,
        name: &CertificateName,
        version: &Version,
        source: Source,
    ) -> Result<u64, DiskError> {
        let archive = self.archive_folder(name);
        files::folder(&archive, FOLDER_MODE)?;
        let used = files::entries(&archive)?
            .into_iter()
            .filter_map(|name| name.parse::<u64>().ok());
        let number = used.chain(self.linked(name)).max().unwrap_or(0) + 1;
        let making = archive.join(format!(".{number}.new"));
        files::remove_folder(&making)?;
        files::folder(&making, FOLDER_MODE)?;
        for (file, text, mode) in version.files() {
            files::create(
                &making.join(file),
                text.as_bytes(),
                mode,
                Durability::Synced,
            )?;
        }
        write_about(&making, version, source, PUBLIC)?;
        self.give_key(&making.join("privkey.pem"));
        files::put_folder(&making, &archive.join(number.to_string()))?;
        Ok(number)
    }

    /// Writes the second copy, whole before it takes the place of the one before.
    pub(super) fn write_copy(
        &self,
        name: &CertificateName,
        version: &Version,
        source: Source,
    ) -> Result<(), DiskError> {
        let copy = self.copy(name);
        files::make_way(&self.state, &copy.join("privkey.pem"), self.remarks)?;
        let making = copy.with_file_name(format!(".{name}.new"));
        files::remove_folder(&making)?;
        files::folder(&self.state, PRIVATE_FOLDER_MODE)?;
        files::folder(&making, PRIVATE_FOLDER_MODE)?;
        for (file, text) in [
            ("privkey.pem", version.privkey.expose()),
            ("fullchain.pem", &version.fullchain),
        ] {
            files::create(
                &making.join(file),
                text.as_bytes(),
                PRIVATE,
                Durability::Synced,
            )?;
        }
        write_about(&making, version, source, PRIVATE)?;
        files::replace_folder(&making, &copy)
    }

    /// Points the live link to a version. What stands there and is not ours goes to `set-aside/`, whole: it can't be
    /// served, or it would not be replaced, but its owner may want to see what became of it, and its key exists nowhere
    /// else. That folder is as deep as `live/`, so that relative links in it still lead where they led.
    pub(super) fn link(&self, name: &CertificateName, number: u64) -> Result<(), DiskError> {
        let live = self.live(name);
        files::folder(&self.certificates.join("live"), FOLDER_MODE)?;
        if self.owner(name) == LiveOwner::User {
            let aside = self.certificates.join("set-aside");
            files::folder(&aside, PRIVATE_FOLDER_MODE)?;
            let kept = files::set_aside(&live, &aside.join(name.as_str()))?;
            (self.remarks)(Remark::FileDamaged {
                path: live.clone(),
                problem: "quaymaster did not make it, and it can't be served".to_owned(),
                instead: format!(
                    "it is kept as {}, and a certificate of quaymaster's takes its place",
                    kept.display()
                ),
            });
        }
        files::switch_link(
            &live,
            &Path::new("../archive")
                .join(name.as_str())
                .join(number.to_string()),
        )?;
        self.drop_mark(name)
    }

    pub(super) fn owner(&self, name: &CertificateName) -> LiveOwner {
        if !files::is_there(&self.live(name)) {
            return LiveOwner::Nobody;
        }
        self.linked(name).map_or(LiveOwner::User, |_| LiveOwner::Us)
    }

    /// The number of the version that the live link leads to, if it is a link of ours.
    pub(super) fn linked(&self, name: &CertificateName) -> Option<u64> {
        let target = fs::read_link(self.live(name)).ok()?;
        target
            .strip_prefix(Path::new("../archive").join(name.as_str()))
            .ok()?
            .to_str()?
            .parse()
            .ok()
    }

    /// The files of a live certificate.
    fn read_files(&self, name: &CertificateName) -> Result<Version, DiskError> {
        read_version(&self.live(name), self.usual_password())
    }

    pub(super) fn live(&self, name: &CertificateName) -> PathBuf {
        self.certificates.join("live").join(name.as_str())
    }

    pub(super) fn copy(&self, name: &CertificateName) -> PathBuf {
        self.state.join("copies").join(name.as_str())
    }
}

/// The entries of a folder. A path that is no folder has none, and is reported; an unreadable folder may have any.
pub(super) fn entries(folder: &Path, found: &mut Certificates) -> Result<Vec<String>, DiskError> {
    match files::entries(folder) {
        Err(fault @ DiskError::Damaged { .. }) => {
            found.faults.push(fault);
            Ok(Vec::new())
        }
        entries => entries,
    }
}

pub(super) fn tell_exposed(path: PathBuf, found: &mut Certificates) {
    if files::is_open_to_others(&path) {
        found.faults.push(DiskError::Exposed { path });
    }
}
