//! Tests of the memory of a look: what it believes without reading again, and what it does not.

use std::{os::unix::fs::MetadataExt, rc::Rc};

use super::{
    damage::{COPIES, SHOP, WRECKS, Wreck, lay_out},
    *,
};

/// Changes that leave the length of each file.
const SAME_LENGTH: &[Wreck] = &[
    ("other bytes in a key", |folder| {
        overwrite(&folder.join("privkey.pem"))
    }),
    ("other bytes in a chain", |folder| {
        overwrite(&folder.join("fullchain.pem"))
    }),
    ("other bytes in about.json", |folder| {
        overwrite(&folder.join("about.json"))
    }),
    ("another key for everybody", |folder| {
        open(&folder.join("privkey.pem"))
    }),
    ("another version", |folder| {
        if folder.is_symlink() {
            let older = fs::read_link(folder).expect("a link").with_file_name("1");
            files::switch_link(folder, &older).expect("it is switched");
        }
    }),
    ("somebody else's link to the same", |folder| {
        if folder.is_symlink() {
            let version = folder.canonicalize().expect("it is there");
            files::switch_link(folder, &version).expect("it is switched");
        }
    }),
];

/// Writes over the middle of a file, in place.
fn overwrite(path: &Path) {
    let mut bytes = fs::read(path).expect("it is there");
    let middle = bytes.len() / 2;
    bytes[middle..middle + 4].copy_from_slice(b"AAAA");
    fs::write(path, bytes).expect("it is written");
}

fn open(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).expect("it is set");
}

fn changed(path: &Path) -> (i64, i64) {
    let found = fs::metadata(path).expect("it is there");
    (found.ctime(), found.ctime_nsec())
}

/// Waits for the next tick of the file system's clock: what was remembered would not have been within the same one.
fn pass(place: &Place) {
    let file = place.config.join("tick");
    let tick = || {
        fs::write(&file, "").expect("it is written");
        changed(&file)
    };
    let first = tick();
    while tick() == first {}
}

/// The certificate that a look found: the very same as before where it was not read again.
fn found(place: &Place) -> Rc<HeldCertificate> {
    Rc::clone(&look(&place.folders).held[&name(SHOP)])
}

fn is_read_again(place: &Place) -> bool {
    !Rc::ptr_eq(&found(place), &found(place))
}

#[test]
fn a_look_after_another_finds_what_a_first_one_finds_whatever_has_happened() {
    let live: fn(&Place) -> PathBuf = |place| place.certificates.join("live").join(SHOP);
    let copy: fn(&Place) -> PathBuf = |place| place.state.join("copies").join(SHOP);
    let wrecks =
        |of: &'static [Wreck], folder| of.iter().map(move |(what, wreck)| (what, wreck, folder));
    let of_live = wrecks(WRECKS, live).chain(wrecks(SAME_LENGTH, live));
    for (what, wreck, folder) in of_live
        .chain(wrecks(COPIES, copy))
        .chain(wrecks(SAME_LENGTH, copy))
    {
        let place = place();
        store(&place.folders, SHOP);
        store(&place.folders, SHOP);
        let before = format!("{:?}", damage::look(&place));
        pass(&place);
        wreck(&folder(&place));
        // It is compared with a first one there.
        let found = damage::look(&place);
        let is_of_copy = folder(&place).starts_with(&place.state);
        assert!(
            is_of_copy || format!("{found:?}") != before,
            "{what}: {found:?}"
        );
        for (name, repair) in found.repairs {
            place.folders.mend(&name, &repair).expect("it is mended");
        }
        damage::look(&place);
    }
}

#[test]
fn what_is_as_it_was_is_not_read_again_whosever_it_is() {
    let place = place();
    store(&place.folders, SHOP);
    assert!(!is_read_again(&place), "ours");
    fs::write(
        place
            .certificates
            .join("live")
            .join(SHOP)
            .join("about.json"),
        r#"{"source": "self-signed"}"#,
    )
    .expect("it is written");
    files::remove_folder(&place.state.join("copies")).expect("it is removed");
    assert!(!is_read_again(&place), "self-signed, which needs no copy");
    assert_eq!(found(&place).source, Source::SelfSigned);
    files::remove_folder(&place.certificates).expect("it is removed");
    lay_out(&place.certificates.join("live").join(SHOP), SHOP);
    assert!(!is_read_again(&place), "the user's");
}

#[test]
fn what_was_written_just_before_a_look_is_read_at_the_next_one_too() {
    let place = place();
    store(&place.folders, SHOP);
    let live = place.certificates.join("live").join(SHOP);
    let files = [&live, &place.state.join("copies").join(SHOP)].map(|folder| {
        ["privkey.pem", "fullchain.pem", "about.json"].map(|file| changed(&folder.join(file)))
    });
    let (seconds, nanoseconds) = files.into_iter().flatten().max().expect("there are some");
    let last = Timestamp::from_millis(seconds * 1000 + nanoseconds / 1_000_000);
    let at = |milliseconds| {
        let now = last + Duration::from_millis(milliseconds);
        Rc::clone(&place.folders.certificates(now).expect("they are read").held[&name(SHOP)])
    };
    for (then, is_remembered) in [(0, false), (1_999, false), (2_000, false), (2_001, true)] {
        let first = at(then);
        assert_eq!(Rc::ptr_eq(&first, &at(60_000)), is_remembered, "{then} ms");
        place.folders.memory.take();
    }
}

#[test]
fn what_has_to_be_mended_or_told_is_read_again_until_it_is_well() {
    let place = place();
    store(&place.folders, SHOP);
    let copy = place.state.join("copies").join(SHOP);
    fs::remove_file(copy.join("about.json")).expect("it is removed");
    assert!(is_read_again(&place));
    assert!(matches!(
        look(&place.folders).repairs[&name(SHOP)],
        Repair::Copy
    ));
    place
        .folders
        .mend(&name(SHOP), &Repair::Copy)
        .expect("it is mended");
    assert!(!is_read_again(&place));
    // Its folder decides whether others get to it.
    let live = place.certificates.join("live").join(SHOP);
    let version = live.canonicalize().expect("it is there");
    open(&live.join("privkey.pem"));
    for (mode, is_exposed) in [(0o700, false), (0o755, true), (0o700, false)] {
        fs::set_permissions(&version, fs::Permissions::from_mode(mode)).expect("it is set");
        let told = look(&place.folders).faults;
        assert_eq!(
            told.iter()
                .any(|fault| matches!(fault, DiskError::Exposed { .. })),
            is_exposed,
            "{mode:o}"
        );
    }
}

#[test]
fn names_that_are_gone_are_forgotten() {
    let place = place();
    store(&place.folders, SHOP);
    let before = found(&place);
    let (live, aside) = (
        place.certificates.join("live").join(SHOP),
        place.certificates.join("aside"),
    );
    fs::rename(&live, &aside).expect("it is moved");
    files::remove_folder(&place.state.join("copies")).expect("it is removed");
    assert!(look(&place.folders).held.is_empty());
    assert_eq!(Rc::strong_count(&before), 1);
}

/// Changes of a folder of the user's.
const CHANGES: &[Wreck] = &[
    ("other bytes in a key", |folder| {
        overwrite(&folder.join("privkey.pem"))
    }),
    ("other bytes in a chain", |folder| {
        overwrite(&folder.join("fullchain.pem"))
    }),
    ("no key", |folder| {
        fs::remove_file(folder.join("privkey.pem")).expect("it is removed")
    }),
    ("a key for everybody", |folder| {
        open(&folder.join("privkey.pem"))
    }),
    ("another certificate under other names", |folder| {
        fs::remove_file(folder.join("privkey.pem")).expect("it is removed");
        let other = folder.with_file_name("aside");
        lay_out(&other, "other.example");
        fs::rename(other.join("privkey.pem"), folder.join("other.key")).expect("it is moved");
        fs::rename(other.join("fullchain.pem"), folder.join("other.crt")).expect("it is moved");
        fs::remove_dir(other).expect("it is empty");
    }),
    ("another folder in its place", |folder| {
        fs::remove_dir_all(folder).expect("it is removed");
        lay_out(folder, "other.example");
    }),
    ("a link in its place", |folder| {
        let moved = folder
            .parent()
            .and_then(Path::parent)
            .expect("it is in one");
        fs::rename(folder, moved.join("elsewhere")).expect("it is moved");
        std::os::unix::fs::symlink("../nowhere", folder).expect("it is made");
    }),
    (
        "a password that nothing needs, and that is none",
        |folder| fs::create_dir(folder.join("password")).expect("it is made"),
    ),
];

#[test]
fn a_folder_of_the_user_s_is_read_again_where_anything_in_it_is_another() {
    let provided = |place: &Place| {
        let folder = place.certificates.join("provided").join(SHOP);
        lay_out(&folder, SHOP);
        folder
    };
    let held = |place: &Place| Rc::clone(&look(&place.folders).provided[&name(SHOP)]);
    let place_now = place();
    let folder = provided(&place_now);
    assert!(Rc::ptr_eq(&held(&place_now), &held(&place_now)));
    let before = held(&place_now);
    fs::remove_dir_all(folder).expect("it is removed");
    assert!(look(&place_now.folders).provided.is_empty());
    assert_eq!(Rc::strong_count(&before), 1, "it is forgotten");

    for (what, change) in CHANGES {
        let place = place();
        let folder = provided(&place);
        let before = format!("{:?}", damage::look(&place));
        pass(&place);
        change(&folder);
        // It is compared with a first one there.
        let after = format!("{:?}", damage::look(&place));
        // What nobody needs, or is nobody's business, changes nothing that is seen.
        let shows = !what.starts_with("a password") && !what.contains("for everybody");
        assert!(!shows || after != before, "{what}: {after}");
    }
}

#[test]
fn a_key_of_the_user_s_is_opened_anew_when_the_password_of_the_setting_is_another() {
    let place = place();
    let folder = place.certificates.join("provided").join(SHOP);
    lay_out(&folder, SHOP);
    let password = place.state.join("password");
    fs::create_dir_all(&place.state).expect("it is made");
    fs::write(&password, "one").expect("it is written");
    let folders = Folders::new(place.certificates.clone(), place.state.clone(), hear);
    let folders = folders.opened_with(Some(password.clone()));
    let held = || Rc::clone(&look(&folders).provided[&name(SHOP)]);
    assert!(Rc::ptr_eq(&held(), &held()));
    let before = held();
    pass(&place);
    fs::write(&password, "two").expect("it is written");
    assert!(!Rc::ptr_eq(&before, &held()));
}
