//! Tests of damage to certificates: each case is reported, mended or passed over, and no file of the user's is lost.

use std::os::unix::fs::symlink;

use nix::{sys::stat::Mode, unistd::mkfifo};

use super::*;
use crate::{
    adapters::disk::deployed_tests,
    observe::{CertificateVersion, Shelf},
    ports::{Change, ConsumerFolders},
    values::ContainerName,
};

pub(super) const SHOP: &str = "shop.example";

/// The findings of a look: the same as those of one that remembers nothing.
pub(super) fn look(place: &Place) -> Certificates {
    let afresh = Folders::new(place.certificates.clone(), place.state.clone(), hear);
    let [found, afresh] = [&place.folders, &afresh].map(super::look);
    assert_eq!(format!("{found:?}"), format!("{afresh:?}"));
    found
}

/// Mends everything that a look found, and returns the problems that remain.
fn mended(place: &Place) -> Vec<String> {
    for (name, repair) in look(place).repairs {
        place.folders.mend(&name, &repair).expect("it is mended");
    }
    let found = look(place);
    assert!(found.repairs.is_empty(), "{found:?}");
    found
        .faults
        .iter()
        .chain(found.wrecks.values())
        .map(ToString::to_string)
        .collect()
}

pub(super) fn truncate(path: &Path) {
    let bytes = fs::read(path).expect("it is there");
    fs::write(path, &bytes[..bytes.len() / 2]).expect("it is written");
}

pub(super) fn remove(path: &Path) {
    files::remove_folder(path).expect("it is removed");
}

/// A folder with a certificate as a user lays it out.
pub(super) fn lay_out(folder: &Path, host: &str) -> (Secret, String) {
    let (key, chain, _) = issued(host);
    fs::create_dir_all(folder).expect("a folder");
    fs::write(folder.join("fullchain.pem"), &chain).expect("it is written");
    files::create(
        &folder.join("privkey.pem"),
        key.expose().as_bytes(),
        0o600,
        files::Durability::Renamed,
    )
    .expect("it is written");
    (key, chain)
}

/// One thing that may become of a live certificate of ours.
pub(super) type Wreck = (&'static str, fn(&Path));

pub(super) const WRECKS: &[Wreck] = &[
    ("a truncated chain", |live| {
        truncate(&live.join("fullchain.pem"))
    }),
    ("a truncated key", |live| {
        truncate(&live.join("privkey.pem"))
    }),
    ("an empty key", |live| {
        fs::write(live.join("privkey.pem"), "").expect("it is written")
    }),
    ("a binary chain", |live| {
        fs::write(live.join("fullchain.pem"), [0xff; 99]).expect("it is written")
    }),
    ("no key", |live| remove(&live.join("privkey.pem"))),
    ("no chain", |live| remove(&live.join("fullchain.pem"))),
    ("a lost about.json", |live| remove(&live.join("about.json"))),
    ("a damaged about.json", |live| {
        truncate(&live.join("about.json"))
    }),
    ("a folder for a key", |live| {
        remove(&live.join("privkey.pem"));
        fs::create_dir(live.join("privkey.pem")).expect("a folder");
    }),
    ("a pipe for a key", |live| {
        remove(&live.join("privkey.pem"));
        mkfifo(&live.join("privkey.pem"), Mode::S_IRWXU).expect("a pipe");
    }),
    ("no version", |live| {
        remove(&live.canonicalize().expect("it is there"))
    }),
    ("a file for a version", |live| {
        let version = live.canonicalize().expect("it is there");
        remove(&version);
        fs::write(version, "x").expect("it is written");
    }),
    ("no link", |live| {
        fs::remove_file(live).expect("it is removed")
    }),
    ("a file for a link", |live| {
        fs::remove_file(live).expect("it is removed");
        fs::write(live, "x").expect("it is written");
    }),
    ("an empty folder for a link", |live| {
        fs::remove_file(live).expect("it is removed");
        fs::create_dir(live).expect("a folder");
    }),
    ("a link to nowhere", |live| {
        fs::remove_file(live).expect("it is removed");
        symlink("/nowhere", live).expect("a link");
    }),
    ("no folders at all", |live| {
        let certificates = live.parent().and_then(Path::parent).expect("it is in one");
        remove(certificates);
    }),
];

#[test]
fn any_wreck_of_ours_is_mended_from_its_copy_as_a_new_version() {
    for (what, wreck) in WRECKS {
        let place = place();
        store(&place.folders, SHOP);
        let before = store(&place.folders, SHOP);
        let live = place.certificates.join("live").join(SHOP);
        let old = live
            .join("fullchain.pem")
            .canonicalize()
            .expect("it is there");
        wreck(&live);
        let left = fs::read(&old).ok();
        let found = look(&place);
        assert!(
            matches!(found.repairs[&name(SHOP)], Repair::Live { .. }),
            "{what}: {found:?}"
        );
        assert_eq!(
            found.held,
            BTreeMap::from([(name(SHOP), before.clone().into())]),
            "{what}"
        );
        assert!(
            found.faults.is_empty() && found.wrecks.is_empty(),
            "{what}: {found:?}"
        );
        assert_eq!(mended(&place), [""; 0], "{what}");
        let found = look(&place);
        assert_eq!(
            found.held,
            BTreeMap::from([(name(SHOP), before.into())]),
            "{what}"
        );
        assert!(
            fs::read_link(&live).is_ok_and(|to| to.starts_with("../archive/shop.example")),
            "{what}"
        );
        let new = live
            .join("fullchain.pem")
            .canonicalize()
            .expect("it is there");
        // Where nothing was left, nothing tells which number was used.
        assert!(new != old || *what == "no folders at all", "{what}");
        // A version is never written again, not even a damaged one.
        assert!(left.is_none() || fs::read(&old).ok() == left, "{what}");
        assert_eq!(mode(live.join("privkey.pem")), 0o600, "{what}");
    }
}

#[test]
fn any_wreck_without_a_good_copy_is_told_and_another_is_stored_over_it() {
    for (what, wreck) in WRECKS {
        // Those are whole but for what is said about them.
        let is_served = what.contains("about.json");
        let place = place();
        store(&place.folders, SHOP);
        let live = place.certificates.join("live").join(SHOP);
        wreck(&live);
        truncate(&place.state.join("copies").join(SHOP).join("privkey.pem"));
        let found = look(&place);
        assert!(
            !found.repairs.contains_key(&name(SHOP)) || is_served,
            "{what}: {found:?}"
        );
        let counts = if is_served { (1, 0) } else { (0, 1) };
        assert_eq!(
            (found.held.len(), found.wrecks.len()),
            counts,
            "{what}: {found:?}"
        );
        assert!(
            found
                .wrecks
                .values()
                .all(|fault| fault.to_string().contains(SHOP)),
            "{what}: {found:?}"
        );
        if what.starts_with("a lost about.json") {
            // It counts as the user's.
            continue;
        }
        let again = store(&place.folders, SHOP);
        assert_eq!(mended(&place), [""; 0], "{what}");
        assert_eq!(
            look(&place).held,
            BTreeMap::from([(name(SHOP), again.into())]),
            "{what}"
        );
    }
}

/// Damages to its second copy.
pub(super) const COPIES: &[Wreck] = &[
    ("no copy", remove),
    ("a truncated key", |copy| {
        truncate(&copy.join("privkey.pem"))
    }),
    ("a truncated chain", |copy| {
        truncate(&copy.join("fullchain.pem"))
    }),
    ("a lost about.json", |copy| remove(&copy.join("about.json"))),
    ("a file for it", |copy| {
        remove(copy);
        fs::write(copy, "x").expect("it is written");
    }),
    ("a file for all of them", |copy| {
        let copies = copy.parent().expect("it is in one");
        remove(copies);
        fs::write(copies, "x").expect("it is written");
    }),
];

#[test]
fn a_copy_is_made_again_from_what_is_live_and_never_wins_over_it() {
    for (what, wreck) in COPIES {
        let place = place();
        let held = store(&place.folders, SHOP);
        wreck(&place.state.join("copies").join(SHOP));
        let found = look(&place);
        assert!(
            matches!(found.repairs[&name(SHOP)], Repair::Copy),
            "{what}: {found:?}"
        );
        assert_eq!(mended(&place), [""; 0], "{what}");
        truncate(&place.certificates.join("live/shop.example/privkey.pem"));
        assert_eq!(mended(&place), [""; 0], "{what}");
        assert_eq!(look(&place).held[&name(SHOP)].digest, held.digest, "{what}");
    }
    // Somebody points the link back to an older version: that is what is served, and copied.
    let place = place();
    let older = store(&place.folders, SHOP);
    store(&place.folders, SHOP);
    let live = place.certificates.join("live/shop.example");
    fs::remove_file(&live).expect("it is removed");
    symlink("../archive/shop.example/1", &live).expect("a link");
    assert_eq!(mended(&place), [""; 0]);
    assert_eq!(
        look(&place).held,
        BTreeMap::from([(name(SHOP), older.into())])
    );
}

#[test]
fn what_others_put_into_live_is_theirs_until_it_can_not_be_served() {
    let place = place();
    let live = place.certificates.join("live").join(SHOP);
    let (_, chain) = lay_out(&live, SHOP);
    let found = look(&place);
    assert_eq!(found.held[&name(SHOP)].source, Source::Provided);
    assert!(
        found.repairs.is_empty() && found.faults.is_empty(),
        "{found:?}"
    );
    let (key, ours, names) = issued(SHOP);
    let shop = name(SHOP);
    let new = |now| NewCertificate {
        profile: None,
        name: &shop,
        names: &names,
        key: &key,
        chain: &ours,
        source: Source::Acme(String::new()),
        now,
    };
    let error = place.folders.store(&new(NOW)).expect_err("theirs is valid");
    let reason = std::error::Error::source(&error)
        .map(ToString::to_string)
        .unwrap_or_default();
    assert!(
        reason.contains("live/shop.example is valid, not ours, and not replaced"),
        "{reason}"
    );
    assert_eq!(
        fs::read_to_string(live.join("fullchain.pem")).expect("it is there"),
        chain
    );
    // Half of a file is nothing that can be served: it is kept, and out of the way.
    truncate(&live.join("privkey.pem"));
    let left = fs::read(live.join("privkey.pem")).expect("it is there");
    assert_eq!(look(&place).wrecks.len(), 1);
    place.folders.store(&new(NOW)).expect("it is stored");
    let aside = place.certificates.join("set-aside");
    assert_eq!(
        (
            mode(&aside),
            fs::read(aside.join(SHOP).join("privkey.pem")).expect("it is kept")
        ),
        (0o700, left)
    );
    let (path, said) = heard(&place).pop().expect("it is told");
    assert_eq!(path, Path::new("live").join(SHOP));
    assert!(
        said.contains("can't be served") && said.contains("set-aside/shop.example,"),
        "{said}"
    );
    fs::remove_file(&live).expect("it is removed");
    fs::write(&live, "a second one").expect("it is written");
    assert_eq!(mended(&place), [""; 0]);
    assert_eq!(
        fs::read_to_string(aside.join("shop.example.2")).expect("it is kept"),
        "a second one"
    );
}

#[test]
fn the_users_certificates_are_read_as_they_lie_and_delivered_from_there() {
    let place = place();
    let provided = place.certificates.join("provided");
    let ours = store(&place.folders, SHOP);
    let (key, chain) = lay_out(&provided.join(SHOP), SHOP);
    lay_out(&provided.join("parts.example"), "parts.example");
    let parts = provided.join("parts.example");
    fs::rename(parts.join("fullchain.pem"), parts.join("cert.pem")).expect("it is renamed");
    fs::write(provided.join("parts.example/chain.pem"), "").expect("it is written");
    let found = look(&place);
    assert!(
        found.faults.is_empty() && found.repairs.is_empty(),
        "{found:?}"
    );
    assert_eq!(
        found.held,
        BTreeMap::from([(name(SHOP), ours.clone().into())])
    );
    let shelves: Vec<_> = found
        .provided
        .values()
        .map(|held| (held.source.clone(), held.shelf))
        .collect();
    assert_eq!(
        shelves,
        [
            (Source::Provided, Shelf::ProvidedInParts),
            (Source::Provided, Shelf::Provided)
        ]
    );
    let folder = place.config.join("certificates");
    let config = place.shared();
    let there = config.join("certificates");
    let certificates = deployed_tests::certificates_in(&there, deployed_tests::certbot());
    let consumer = ContainerName::parse("proxy").expect("a name");
    let at = crate::ports::ConsumerPlace {
        consumer: &consumer,
        config: Some(&config),
        default: None,
        certificates: Some(certificates),
        owner: None,
    };
    for (host, digest, expected) in [
        (
            SHOP,
            found.provided[&name(SHOP)].digest,
            Some(chain.as_str()),
        ),
        (
            "parts.example",
            found.provided[&name("parts.example")].digest,
            None,
        ),
        (SHOP, ours.digest, None),
    ] {
        let (write, remove, deliver) = (
            BTreeMap::new(),
            BTreeSet::new(),
            BTreeMap::from([(
                name(host),
                CertificateVersion {
                    of: name(host),
                    digest,
                },
            )]),
        );
        let change = Change {
            write: &write,
            remove: &remove,
            deliver: &deliver,
        };
        place.folders.stage(&at, &change).expect("it is copied");
        place
            .folders
            .switch(&at, &change, &Default::default())
            .expect("it is delivered");
        let delivered =
            fs::read_to_string(folder.join(host).join("fullchain.pem")).expect("it is there");
        assert!(expected.is_none_or(|chain| chain == delivered), "{host}");
        assert_eq!(mode(folder.join(host).join("privkey.pem")), 0o600, "{host}");
    }
    assert_ne!(ours.digest, crate::adapters::x509::digest(&chain, &key));
}

#[test]
fn what_is_wrong_in_provided_is_told_with_its_path_and_harms_no_other() {
    for (what, wreck, told) in [
        (
            "a truncated key",
            (|folder| truncate(&folder.join("privkey.pem"))) as fn(&Path),
            "provided/bad.example/privkey.pem can't be understood: its PRIVATE KEY that begins in line 1 has no end",
        ),
        (
            "an empty folder",
            |folder| {
                remove(folder);
                fs::create_dir(folder).expect("a folder");
            },
            "provided/bad.example/fullchain.pem can't be understood: it is not there",
        ),
        (
            "a link to nowhere",
            |folder| {
                remove(folder);
                symlink("/nowhere", folder).expect("a link");
            },
            "provided/bad.example/fullchain.pem",
        ),
        (
            "a file",
            |folder| {
                remove(folder);
                fs::write(folder, "x").expect("it is written");
            },
            "provided/bad.example/fullchain.pem can't be understood: there is a file where its folder should be",
        ),
        (
            "a bad name",
            |folder| fs::rename(folder, folder.with_file_name("*.example")).expect("it is renamed"),
            "provided/*.example",
        ),
        (
            "a key for everybody",
            |folder| {
                fs::set_permissions(
                    folder.join("privkey.pem"),
                    fs::Permissions::from_mode(0o644),
                )
                .expect("it is set");
            },
            "provided/bad.example/privkey.pem may be read by others",
        ),
    ] {
        let place = place();
        let provided = place.certificates.join("provided");
        lay_out(&provided.join("good.example"), "good.example");
        lay_out(&provided.join("bad.example"), "bad.example");
        wreck(&provided.join("bad.example"));
        let found = look(&place);
        let faults: Vec<_> = found.faults.iter().map(ToString::to_string).collect();
        assert!(
            faults.len() == 1 && faults[0].contains(told),
            "{what}: {faults:?}"
        );
        assert!(found.provided.contains_key(&name("good.example")), "{what}");
        assert_eq!(
            found.provided.contains_key(&name("bad.example")),
            what == "a key for everybody",
            "{what}"
        );
    }
}

#[test]
fn a_folder_that_is_a_file_has_none_in_it_and_is_told() {
    for folder in ["live", "provided"] {
        let place = place();
        let held = store(&place.folders, SHOP);
        remove(&place.certificates.join(folder));
        fs::write(place.certificates.join(folder), "theirs").expect("it is written");
        let found = look(&place);
        assert_eq!(
            found.held,
            BTreeMap::from([(name(SHOP), held.into())]),
            "{folder}"
        );
        let fault = found.faults[0].to_string();
        assert!(
            fault.contains(folder) && fault.contains("a file where a folder should be"),
            "{fault}"
        );
        for (name, repair) in found.repairs {
            assert!(
                place.folders.mend(&name, &repair).is_err(),
                "it is not ours to move"
            );
        }
        assert_eq!(
            fs::read_to_string(place.certificates.join(folder)).expect("it is there"),
            "theirs"
        );
    }
}
