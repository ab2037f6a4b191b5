//! Folders of consumers: what is put there, what comes back, what is never touched.

mod defaults;
mod layouts;
mod links;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    sync::LazyLock,
    time::Duration,
};

use super::{
    tests::{heard, mode, name, place, store},
    *,
};
use crate::{
    observe::{CertificateVersion, Installed, InstalledFile, Progress, SharedPath},
    ports::{CertificatePlace, Change, ConsumerFolders, ConsumerPlace as Folder, Spot},
    values::{ContainerName, Digest, FileName, Layout, Timestamp},
};

/// The beginning of every file of ours.
const OURS: &str = "# Written by quaymaster.\n";

/// The findings of a look at a file with this text.
fn ours(text: &str) -> InstalledFile {
    InstalledFile::read(format!("{OURS}{text}").as_bytes()).expect("it is ours")
}

struct Consumer {
    place: tests::Place,
    name: ContainerName,
    certificates: PathBuf,
    /// The same folders, as those that others may write to.
    shared: SharedPath,
    /// Its folder of certificates.
    certificates_there: SharedPath,
}

/// The place of certificates in a folder in this layout.
pub(super) fn certificates_in<'a>(
    folder: &'a SharedPath,
    layout: &'a Layout,
) -> CertificatePlace<'a> {
    CertificatePlace {
        at: Spot::Folder(folder),
        layout,
        key_mode: 0o600,
        is_owner_of_folder: false,
    }
}

/// The layout of certbot.
pub(super) fn certbot() -> &'static Layout {
    static CERTBOT: LazyLock<Layout> =
        LazyLock::new(|| Layout::parse("certbot").expect("a layout"));
    &CERTBOT
}

/// A version of the certificate of this name.
fn version(word: &str, digest: Digest) -> CertificateVersion {
    CertificateVersion {
        of: name(word),
        digest,
    }
}

fn consumer() -> Consumer {
    let place = place();
    let certificates = place.config.join("certificates");
    Consumer {
        shared: place.shared(),
        certificates_there: place.shared().join("certificates"),
        place,
        name: ContainerName::parse("proxy").expect("a name"),
        certificates,
    }
}

/// Files by name and text, names to take away, certificates to deliver.
type Changes<'a> = (
    &'a [(&'a str, &'a str)],
    &'a [&'a str],
    &'a [(&'a str, Digest)],
);

impl Consumer {
    fn folder(&self) -> Folder<'_> {
        Folder {
            consumer: &self.name,
            config: Some(&self.shared),
            default: None,
            certificates: Some(certificates_in(&self.certificates_there, certbot())),
            owner: None,
        }
    }

    fn change(&self, changes: Changes<'_>, record: &Installed) -> Result<(), DiskError> {
        let write = changes
            .0
            .iter()
            .map(|(name, text)| (file(name), format!("{OURS}{text}")))
            .collect();
        let remove = changes.1.iter().map(|name| file(name)).collect();
        let deliver = changes
            .2
            .iter()
            .map(|(word, digest)| (name(word), version(word, *digest)))
            .collect();
        let change = Change {
            write: &write,
            remove: &remove,
            deliver: &deliver,
        };
        let folders = &self.place.folders;
        let staged = folders.stage(&self.folder(), &change)?;
        let switched = folders.switch(&self.folder(), &change, record)?;
        assert_eq!((staged, switched), (None, None), "all of it is here");
        Ok(())
    }

    fn conclude(&self, record: &Installed, tidy: &[&str]) {
        let tidy = tidy.iter().map(|word| name(word)).collect();
        self.place
            .folders
            .keep_installed(&self.folder(), record, &tidy)
            .expect("it is written");
    }

    /// Tidies, and returns the problems.
    fn tidy(&self) -> Vec<String> {
        let faults = self.place.folders.tidy(&self.folder());
        faults.iter().map(ToString::to_string).collect()
    }

    fn look(&self) -> Installed {
        self.place
            .folders
            .installed(&self.folder())
            .expect("it is looked at")
    }

    fn text(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.place.config.join(name)).ok()
    }

    fn record(&self) -> PathBuf {
        self.place.state.join("deployed/proxy/record.json")
    }
}

fn file(word: &str) -> FileName {
    FileName::parse(word).expect("a name")
}

fn open() -> Installed {
    Installed {
        open: true,
        ..Installed::default()
    }
}

#[test]
fn files_are_put_in_place_and_taken_away_and_foreign_ones_are_not_touched() {
    let proxy = consumer();
    fs::write(proxy.place.config.join("default.conf"), "theirs").expect("it is written");
    fs::write(
        proxy.place.config.join("quaymaster-mine.conf"),
        "the user's own",
    )
    .expect("it is written");
    proxy
        .change(
            (
                &[("quaymaster-a.conf", "a"), ("quaymaster-b.conf", "b")],
                &[],
                &[],
            ),
            &open(),
        )
        .expect("it is done");
    let gone = ["quaymaster-a.conf", "quaymaster-never.conf"];
    proxy
        .change((&[], &gone, &[]), &open())
        .expect("it is done");
    assert_eq!(mode(proxy.place.config.join("quaymaster-b.conf")), 0o644);
    let installed = proxy.look();
    assert_eq!(
        installed.files,
        [(file("quaymaster-b.conf"), ours("b"))].into()
    );
    assert_eq!(
        installed.foreign,
        BTreeSet::from([file("quaymaster-mine.conf")])
    );
    assert_eq!(proxy.text("default.conf").as_deref(), Some("theirs"));
}

#[test]
fn what_was_there_before_comes_back_however_often_it_was_changed_since() {
    let proxy = consumer();
    let first = store(&proxy.place.folders, "shop.example").digest;
    let before: Changes<'_> = (
        &[("quaymaster-a.conf", "old"), ("quaymaster-b.conf", "old")],
        &[],
        &[("shop.example", first)],
    );
    proxy.change(before, &open()).expect("it is done");
    let proven = Installed {
        certificates: [(name("shop.example"), first)].into(),
        ..Installed::default()
    };
    proxy.conclude(&proven, &["shop.example"]);

    let second = store(&proxy.place.folders, "shop.example").digest;
    let new = store(&proxy.place.folders, "new.example").digest;
    let changes: Changes<'_> = (
        &[("quaymaster-a.conf", "new"), ("quaymaster-c.conf", "new")],
        &["quaymaster-b.conf"],
        &[("shop.example", second), ("new.example", new)],
    );
    proxy.change(changes, &open()).expect("it is done");
    proxy
        .change((&[("quaymaster-a.conf", "newer")], &[], &[]), &open())
        .expect("it is done");
    assert!(proxy.look().open);
    for _ in 0..2 {
        proxy
            .place
            .folders
            .take_back(&proxy.folder())
            .expect("twice is fine");
        assert_eq!(proxy.text("quaymaster-a.conf"), Some(format!("{OURS}old")));
        assert_eq!(proxy.text("quaymaster-b.conf"), Some(format!("{OURS}old")));
        assert_eq!(proxy.text("quaymaster-c.conf"), None);
        let key = fs::read_to_string(proxy.certificates.join("shop.example/fullchain.pem"))
            .expect("it is there");
        assert!(key.contains("BEGIN CERTIFICATE"));
        assert!(!proxy.certificates.join("new.example").exists());
        assert_eq!(proxy.look().certificates, proven.certificates);
    }
    proxy.conclude(&proxy.look(), &[]);
    assert!(
        proxy.look().open,
        "a journal is closed only when the record says so"
    );
    proxy.conclude(
        &Installed {
            open: false,
            ..proxy.look()
        },
        &[],
    );
    assert!(!proxy.look().open);
}

#[test]
fn a_disk_that_can_not_be_written_is_found_out_before_anything_has_changed() {
    let proxy = consumer();
    proxy
        .change((&[("quaymaster-a.conf", "old")], &[], &[]), &open())
        .expect("it is done");
    proxy.conclude(&Installed::default(), &[]);
    // A folder where the second file is to be staged: no write there can succeed, whoever tries.
    fs::create_dir(proxy.place.config.join(".quaymaster/quaymaster-z.conf")).expect("a folder");
    fs::write(
        proxy.place.config.join(".quaymaster/quaymaster-z.conf/x"),
        "",
    )
    .expect("a file");
    let both: Changes<'_> = (
        &[("quaymaster-a.conf", "new"), ("quaymaster-z.conf", "new")],
        &[],
        &[],
    );
    proxy.change(both, &open()).expect_err("it can't be staged");
    assert_eq!(proxy.text("quaymaster-a.conf"), Some(format!("{OURS}old")));
    assert!(!proxy.look().open, "nothing has to come back");
}

#[test]
fn the_record_is_corrected_by_what_really_lies_there() {
    let proxy = consumer();
    let held = store(&proxy.place.folders, "shop.example");
    proxy
        .change((&[], &[], &[("shop.example", held.digest)]), &open())
        .expect("it is done");
    let record = Installed {
        generation: 7,
        files: [(file("quaymaster-lost.conf"), ours("x"))].into(),
        certificates: [
            (name("shop.example"), held.digest),
            (name("lost.example"), Digest::of("never delivered")),
        ]
        .into(),
        progress: Progress::TakenBack,
        ..Installed::default()
    };
    proxy.conclude(&record, &[]);
    let installed = proxy.look();
    assert_eq!(
        (installed.generation, &installed.progress),
        (7, &Progress::TakenBack)
    );
    assert!(installed.files.is_empty());
    assert_eq!(
        installed.certificates,
        [(name("shop.example"), held.digest)].into()
    );
}

#[test]
fn a_record_that_is_damaged_or_lost_is_made_anew_from_the_folder() {
    for damage in [
        Some("{ \"installed\": {"),
        Some(""),
        Some("\u{0}\u{1}"),
        None,
    ] {
        let proxy = consumer();
        proxy
            .change((&[("quaymaster-a.conf", "a")], &[], &[]), &open())
            .expect("it is done");
        match damage {
            Some(text) => fs::write(proxy.record(), text).expect("it is written"),
            None => fs::remove_file(proxy.record()).expect("it is removed"),
        }
        let installed = proxy.look();
        assert_eq!(installed.files.len(), 1, "{damage:?}");
        assert_eq!(
            (installed.open, &installed.progress),
            (false, &Progress::SignalOwed),
            "{damage:?}"
        );
        // No mark from before may be taken for a new one.
        assert!(
            installed.generation > 1_000_000_000,
            "{damage:?}: {}",
            installed.generation
        );
        assert_eq!(
            proxy.record().with_extension("json.damaged").exists(),
            damage.is_some()
        );
        let told: Vec<_> = heard(&proxy.place)
            .into_iter()
            .map(|(path, _)| path)
            .collect();
        let expected = damage.map(|_| PathBuf::from("deployed/proxy/record.json"));
        assert_eq!(told, Vec::from_iter(expected), "{damage:?}");
    }
}

#[test]
fn certificates_that_were_given_are_given_again_where_the_record_of_them_is_damaged() {
    let proxy = consumer();
    let place = Folder {
        certificates: None,
        ..proxy.folder()
    };
    let record = Installed {
        certificates: [(name("shop.example"), Digest::of("x"))].into(),
        ..Installed::default()
    };
    let folders = &proxy.place.folders;
    folders
        .keep_installed(&place, &record, &BTreeSet::new())
        .expect("it is written");
    let installed = || folders.installed(&place).expect("it is looked at");
    assert_eq!(installed().certificates, record.certificates);
    let file = proxy.record().with_file_name("certificates.json");
    fs::write(&file, "{").expect("it is written");
    assert!(installed().certificates.is_empty());
    assert!(file.with_extension("json.damaged").exists());
    let told = heard(&proxy.place);
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(
        told[0].0,
        Path::new("deployed/proxy/certificates.json"),
        "{told:?}"
    );
    assert!(
        told[0].1.contains("its certificates are delivered again"),
        "{told:?}"
    );
}

#[test]
fn a_delivered_certificate_is_switched_as_a_set_and_old_keys_go() {
    let proxy = consumer();
    let link = proxy.certificates.join("shop.example");
    for _ in 0..3 {
        let digest = store(&proxy.place.folders, "shop.example").digest;
        proxy
            .change((&[], &[], &[("shop.example", digest)]), &open())
            .expect("it is done");
        proxy
            .change((&[], &[], &[("shop.example", digest)]), &open())
            .expect("twice is fine");
        assert!(fs::read_link(&link).expect("a link").is_relative());
        assert_eq!(mode(link.join("privkey.pem")), 0o600);
        let given = BTreeMap::from([(name("shop.example"), digest)]);
        proxy.conclude(
            &Installed {
                certificates: given.clone().into(),
                ..Installed::default()
            },
            &["shop.example"],
        );
        let versions = fs::read_dir(proxy.certificates.join(".versions/shop.example"))
            .expect("a list")
            .count();
        assert_eq!(versions, 1, "only the live one is left");
        assert!(proxy.look().certificates.iter().eq(&given));
    }
    let wrong = proxy.change(
        (&[], &[], &[("shop.example", Digest::of("another"))]),
        &open(),
    );
    let wrong = wrong.expect_err("it must be refused");
    let reason = std::error::Error::source(&wrong).map(ToString::to_string);
    assert_eq!(
        reason.as_deref(),
        Some("it was replaced while it was being delivered")
    );
    // Nothing wants it any more: no key of it stays behind.
    proxy.conclude(&Installed::default(), &["shop.example"]);
    assert!(!link.exists() && fs::read_link(&link).is_err());
    assert!(!proxy.certificates.join(".versions/shop.example").exists());
}

#[test]
fn keys_that_a_crash_left_go_with_the_journal_or_at_the_next_look() {
    let proxy = consumer();
    let versions = proxy.certificates.join(".versions/shop.example");
    let listed = || files::entries(&versions).expect("a list");
    for _ in 0..2 {
        // The process that delivered it was cut off: who goes on closes the journal and knows of no delivery.
        let digest = store(&proxy.place.folders, "shop.example").digest;
        proxy
            .change((&[], &[], &[("shop.example", digest)]), &open())
            .expect("it is done");
        assert!(proxy.tidy().is_empty());
        let given = BTreeMap::from([(name("shop.example"), digest)]);
        proxy.conclude(
            &Installed {
                certificates: given.into(),
                ..Installed::default()
            },
            &[],
        );
        assert_eq!(listed(), [digest.to_string()]);
    }
    // One was cut off when all was written down and nothing was taken away yet.
    let left = proxy.place.state.join("left");
    fs::rename(&versions, &left).expect("it is moved");
    let link = fs::read_link(proxy.certificates.join("shop.example")).expect("a link");
    proxy.conclude(&Installed::default(), &["shop.example"]);
    fs::rename(&left, &versions).expect("it is moved");
    std::os::unix::fs::symlink(link, proxy.certificates.join("shop.example")).expect("a link");
    assert!(proxy.tidy().is_empty());
    assert!(!versions.exists() && proxy.look().certificates.is_empty());
}

#[test]
fn a_link_in_place_of_a_folder_of_ours_is_not_followed() {
    let proxy = consumer();
    let elsewhere = proxy.place.state.join("elsewhere");
    fs::create_dir_all(&elsewhere).expect("a folder");
    std::os::unix::fs::symlink(&elsewhere, proxy.place.config.join(".quaymaster")).expect("a link");
    let refused = proxy
        .change((&[("quaymaster-a.conf", "a")], &[], &[]), &open())
        .expect_err("it is refused");
    assert!(
        refused
            .to_string()
            .contains("it is a link where a folder is expected"),
        "{refused}"
    );
    fs::remove_file(proxy.place.config.join(".quaymaster")).expect("it is removed");

    let digest = store(&proxy.place.folders, "shop.example").digest;
    std::os::unix::fs::symlink(&elsewhere, &proxy.certificates).expect("a link");
    let refused = proxy
        .change((&[], &[], &[("shop.example", digest)]), &open())
        .expect_err("it is refused");
    assert!(
        refused
            .to_string()
            .contains("it is a link where a folder is expected"),
        "{refused}"
    );
    assert_eq!(fs::read_dir(&elsewhere).expect("a list").count(), 0);
}

#[test]
fn what_is_known_of_a_consumer_is_known_to_the_next_start() {
    let proxy = consumer();
    let known = Installed {
        generation: 7,
        is_own_broken: true,
        opened_for: Some(Timestamp::from_seconds(1_800_000_000)),
        reload: Some(Duration::from_millis(40)),
        ..Installed::default()
    };
    proxy.conclude(&known, &[]);
    assert_eq!(proxy.look(), known);
}

#[test]
fn sites_are_shut_by_a_file_each_and_opened_by_its_end() {
    let proxy = consumer();
    let folder = proxy.place.config.join("closed");
    let closed = |names: &[&str]| {
        let sites: BTreeSet<_> = names.iter().map(|name| file(name)).collect();
        let shut = proxy.place.folders.shut(&proxy.folder(), &sites);
        shut.expect("it is done");
        assert_eq!(proxy.look().shut, sites);
    };
    closed(&[]);
    assert!(!folder.exists(), "nothing is made where nothing is shut");
    closed(&["a.example", "_.b.example"]);
    assert_eq!(mode(folder.join("a.example")), 0o644);
    assert_eq!(mode(folder.clone()), 0o755);
    closed(&["_.b.example"]);
    assert!(!folder.join("a.example").exists());
    closed(&[]);
}

#[test]
fn what_a_crash_left_of_shutting_a_site_goes_and_nothing_of_others() {
    let proxy = consumer();
    let folder = proxy.place.config.join("closed");
    assert!(proxy.tidy().is_empty(), "nothing was ever shut");
    fs::create_dir(&folder).expect("it is made");
    for name in ["a.example", ".b.example.new", ".theirs", ".new"] {
        fs::write(folder.join(name), "").expect("it is written");
    }
    assert!(proxy.tidy().is_empty());
    let left = fs::read_dir(&folder).expect("it is there");
    let left: BTreeSet<_> = left
        .map(|entry| entry.expect("it is listed").file_name())
        .collect();
    assert_eq!(
        left,
        [".new", ".theirs", "a.example"].map(Into::into).into()
    );
}

#[test]
fn keys_that_a_crash_left_go_though_what_is_left_of_shut_sites_can_not() {
    let proxy = consumer();
    let versions = proxy.certificates.join(".versions/shop.example");
    let digest = store(&proxy.place.folders, "shop.example").digest;
    proxy
        .change((&[], &[], &[("shop.example", digest)]), &open())
        .expect("it is done");
    // The process was cut off when all was written down and nothing was taken away yet.
    let left = proxy.place.state.join("left");
    fs::rename(&versions, &left).expect("it is moved");
    proxy.conclude(&Installed::default(), &["shop.example"]);
    fs::rename(&left, &versions).expect("it is moved");
    fs::write(proxy.place.config.join("closed"), "").expect("a file in place of a folder");

    let faults = proxy.tidy();
    assert!(!versions.exists(), "{faults:?}");
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(faults[0].contains("closed"), "{faults:?}");

    let all = proxy.certificates.join(".versions");
    fs::remove_dir(&all).expect("it is empty");
    std::os::unix::fs::symlink(&proxy.place.state, &all).expect("a link");
    let faults = proxy.tidy();
    assert_eq!(faults.len(), 2, "{faults:?}");
    assert!(
        faults[0].contains("closed") && faults[1].contains(".versions"),
        "{faults:?}"
    );
}
