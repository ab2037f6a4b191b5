//! Certificates that people hand over: read wherever they lie, refused before anything is written, and never put over
//! another one that nobody gave up.

use std::os::unix::fs::symlink;

use nix::{sys::stat::Mode, unistd::mkfifo};
use rcgen::date_time_ymd;

use super::{
    forms::{HOST, SHA_1, SMALL, Set, form},
    provided::whole,
    *,
};
use crate::{
    observe::Shelf,
    ports::{ImportOutcome, ImportedCertificate, Imports},
};

/// Files that somebody has somewhere.
fn at(folder: &TempDir, files: &[(&str, &str)]) -> Vec<PathBuf> {
    let write = |(file, text): &(&str, &str)| {
        let path = folder.path().join(file);
        fs::write(&path, text).expect("it is written");
        path
    };
    files.iter().map(write).collect()
}

fn somewhere() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

fn gather(files: &[(&str, &str)]) -> Result<ImportedCertificate, String> {
    let folder = somewhere();
    let files = at(&folder, files);
    let found = place().folders.gather(&files, None, NOW);
    found.map_err(|error| whole(&error))
}

/// The files below a folder, with the mode of each.
fn there(folder: &Path) -> Vec<(String, u32)> {
    let mut found = Vec::new();
    for entry in files::entries(folder).expect("a list") {
        let path = folder.join(&entry);
        match path.is_dir() {
            true => found.extend(
                there(&path)
                    .into_iter()
                    .map(|(inner, mode)| (format!("{entry}/{inner}"), mode)),
            ),
            false => found.push((entry, mode(&path))),
        }
    }
    found
}

/// A certificate, as it is given.
fn given(set: &Set) -> ImportedCertificate {
    let text = format!("{}{}{}", set.issuer, set.key, set.leaf);
    gather(&[("all.pem", &text)]).expect("it can be used")
}

#[test]
fn key_certificate_and_chain_are_found_in_any_files_in_any_order_and_are_the_same_certificate() {
    let set = Set::new();
    let Set {
        leaf, issuer, key, ..
    } = &set;
    let expected = given(&set);
    assert_eq!(
        (expected.first_name.as_str(), expected.certificate.shelf),
        (HOST, Shelf::Provided)
    );
    let reversed = format!("free text\r\n{issuer}Bag Attributes\n{leaf}{key}");
    let (chain, pair) = (format!("{leaf}{issuer}"), format!("{key}{leaf}"));
    for files in [
        vec![("one", &*reversed)],
        vec![("key", &**key), ("chain", &*chain)],
        vec![("ca", &**issuer), ("cert", &**leaf), ("key", &**key)],
        vec![("both", &*pair), ("ca", &**issuer)],
        vec![("key", &**key), ("chain", &*chain), ("key.again", &**key)],
    ] {
        let found = gather(&files).expect("it can be used");
        assert_eq!(found.certificate, expected.certificate, "{files:?}");
    }
    // As certbot has it: links in live/NAME, and a README beside them.
    let folder = somewhere();
    let live = folder.path().join("live/own.example");
    fs::create_dir_all(&live).expect("a folder");
    at(
        &folder,
        &[
            ("cert1", leaf),
            ("chain1", issuer),
            ("fullchain1", &chain),
            ("privkey1", key),
        ],
    );
    for file in ["cert", "chain", "fullchain", "privkey"] {
        let target = Path::new("../..").join(format!("{file}1"));
        symlink(target, live.join(format!("{file}.pem"))).expect("a link");
    }
    fs::write(live.join("README"), "This directory contains your keys").expect("it is written");
    let found = place().folders.gather(&[live], None, NOW);
    assert_eq!(
        found.expect("it can be used").certificate,
        expected.certificate
    );
    let alone = gather(&[("cert", leaf), ("key", key)]).expect("it is better than none");
    assert!(alone.certificate.lacks_issuer);
}

#[test]
fn what_can_not_be_used_is_refused_with_a_sentence_and_nothing_is_written() {
    let (set, other) = (Set::new(), Set::new());
    let Set {
        leaf, issuer, key, ..
    } = &set;
    let dated = |begins, ends| {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new([HOST.to_owned()]).expect("a name");
        (params.not_before, params.not_after) = (begins, ends);
        let chain = params.self_signed(&key).expect("a certificate").pem();
        key.serialize_pem() + &chain
    };
    let over = dated(date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
    let early = dated(date_time_ymd(2030, 1, 1), date_time_ymd(2031, 1, 1));
    let two = format!("{leaf}{key}{}{}", other.leaf, other.key);
    let utf_16 = "\0-\0-\0-\0-\0-";
    for (files, expected) in [
        (
            vec![("a", &**leaf)],
            "a can't be understood: there is no private key in it; name all files",
        ),
        (vec![("a", &**key)], "there is no certificate in it"),
        (
            vec![("a", "hello")],
            "there is neither a certificate nor a private key in it",
        ),
        (vec![("a", "")], "a can't be understood: it is empty"),
        (
            vec![("a", utf_16)],
            "a can't be understood: it is UTF-16 text",
        ),
        (
            vec![("a", &**leaf), ("b", &*other.key)],
            "b is refused: its key belongs to another certificate",
        ),
        (
            vec![("a", &**issuer), ("b", &**key)],
            "put the one for its key before them",
        ),
        (
            vec![("a", &*two)],
            "several keys with a certificate of its own each",
        ),
        (
            vec![("a", &leaf[..leaf.len() / 2]), ("b", &**key)],
            "its CERTIFICATE that begins in line 1 has no end",
        ),
        (
            vec![("a", &*over)],
            "a is refused: it was valid until 2021-01-01T00:00:00Z",
        ),
        (
            vec![("a", &*early)],
            "a is refused: it is not valid before 2030-01-01T00:00:00Z",
        ),
        (vec![("a", SMALL)], "its RSA key of 1024 bits is too short"),
        (vec![("a", SHA_1)], "is signed with SHA-1 or MD5"),
    ] {
        let told = gather(&files)
            .map(|found| found.certificate)
            .expect_err("it is refused");
        assert!(told.contains(expected), "{told}");
    }
    let place = place();
    assert!(!place.certificates.exists() && !place.state.exists());
}

#[test]
fn what_is_no_file_is_refused_at_once_and_what_is_large_before_it_is_read() {
    let folder = somewhere();
    let [pipe, large, link, none] =
        ["pipe", "large", "link", "none"].map(|it| folder.path().join(it));
    mkfifo(&pipe, Mode::S_IRWXU).expect("a pipe");
    let file = fs::File::create(&large).expect("a file");
    file.set_len(1 << 30).expect("it is sparse");
    symlink(&none, &link).expect("a link");
    for (file, expected) in [
        (
            pipe.as_path(),
            "it is a pipe; pass what comes out of it as standard input",
        ),
        (
            &large,
            "it has 1073741824 bytes, and nothing of its kind has more than 1048576",
        ),
        (&link, "it is a link to"),
        (&none, "there is no such file"),
        (Path::new("/dev/zero"), "it is not a file"),
        (
            folder.path(),
            "there is neither a certificate nor a private key in it",
        ),
    ] {
        let refused = place().folders.gather(&[file.to_owned()], None, NOW);
        let told = whole(&refused.expect_err("it is refused"));
        assert!(
            told.contains(expected) && told.contains(&*file.to_string_lossy()),
            "{told}"
        );
    }
}

#[test]
fn a_certificate_lies_in_its_folder_as_a_whole_with_a_private_key_and_is_found_by_a_look() {
    let (place, set) = (place(), Set::new());
    let new = given(&set);
    let provide = || {
        place
            .folders
            .provide(&name(HOST), &new, false)
            .expect("it is put there")
    };
    assert_eq!(provide(), ImportOutcome::Stored);
    let provided = place.certificates.join("provided");
    let files = [("fullchain.pem", 0o644), ("privkey.pem", 0o600)];
    let files = files.map(|(file, mode)| (format!("{HOST}/{file}"), mode));
    assert_eq!(there(&provided), files);
    assert_eq!(provide(), ImportOutcome::Unchanged);
    assert_eq!(there(&provided), files);
    let found = look(&place.folders);
    assert_eq!(whole_of(&found), [""; 0]);
    let held = &found.provided[&name(HOST)];
    assert_eq!(**held, new.certificate);
    assert!(held.can_be_read_there());
}

#[test]
fn one_that_gives_way_has_a_file_beside_it_that_says_so_and_only_then_does_it() {
    let (place, set) = (place(), Set::new());
    let mut new = given(&set);
    let provide = |new: &ImportedCertificate, replace| {
        let outcome = place.folders.provide(&name(HOST), new, replace);
        outcome.expect("it can be told")
    };
    let gives_way = || look(&place.folders).provided[&name(HOST)].gives_way;
    assert_eq!(provide(&new, false), ImportOutcome::Stored);
    assert!(!gives_way());
    new.certificate.gives_way = true;
    let ImportOutcome::Taken { by } = provide(&new, false) else {
        panic!("it is served until its end");
    };
    assert!(by.contains("no file renew"), "{by}");
    assert!(matches!(
        provide(&new, true),
        ImportOutcome::Replaced { .. }
    ));
    assert!(gives_way());
    assert_eq!(provide(&new, false), ImportOutcome::Unchanged);
    let provided = place.certificates.join("provided");
    let marker = provided.join(HOST).join("renew");
    assert_eq!(mode(&marker), 0o644);
    fs::remove_file(&marker).expect("it is there");
    assert!(!gives_way(), "the user has taken it away");
    fs::write(&marker, "").expect("it is written");
    assert!(gives_way(), "the user has put it there");
}

fn whole_of(found: &Certificates) -> Vec<String> {
    found.faults.iter().map(whole).collect()
}

#[test]
fn another_certificate_stays_unless_it_is_given_up_and_is_kept_then() {
    let place = place();
    let [first, second, third] = [(); 3].map(|()| given(&Set::new()));
    let provide = |new: &ImportedCertificate, replace| {
        place
            .folders
            .provide(&name(HOST), new, replace)
            .expect("it can be told")
    };
    let serves = |new: &ImportedCertificate| {
        let found = look(&place.folders);
        assert_eq!(whole_of(&found), [""; 0]);
        assert_eq!(found.provided.len(), 1);
        found.provided[&name(HOST)].digest == new.certificate.digest
    };
    provide(&first, false);
    let ImportOutcome::Taken { by } = provide(&second, false) else {
        panic!("another one has its place");
    };
    assert!(
        by.starts_with("another certificate, for own.example, valid until "),
        "{by}"
    );
    assert!(serves(&first));
    let provided = place.certificates.join("provided");
    for (new, old, kept) in [
        (&second, &first, ".own.example.old"),
        (&third, &second, ".own.example.old.2"),
    ] {
        let kept = provided.join(kept);
        assert_eq!(
            provide(new, true),
            ImportOutcome::Replaced { kept: kept.clone() }
        );
        assert!(serves(new));
        let chain = fs::read_to_string(kept.join("fullchain.pem")).expect("it is kept");
        assert_eq!(chain, old.chain);
        assert_eq!(mode(kept.join("privkey.pem")), 0o600);
    }
    assert_eq!(
        provide(&third, true),
        ImportOutcome::Unchanged,
        "nothing is kept twice"
    );
    assert_eq!(files::entries(&provided).expect("a list").len(), 3);
}

#[test]
fn what_can_not_be_used_is_in_the_way_until_it_is_given_up_and_an_empty_folder_is_not() {
    let (place, new) = (place(), given(&Set::new()));
    let provide = |called, replace| {
        place
            .folders
            .provide(&name(called), &new, replace)
            .expect("it can be told")
    };
    let provided = place.certificates.join("provided");
    for folder in ["broken", "empty", "linked-to"] {
        fs::create_dir_all(provided.join(folder)).expect("a folder");
    }
    fs::write(provided.join("broken/privkey.pem"), "hello").expect("it is written");
    fs::write(provided.join("file"), "hello").expect("it is written");
    symlink("linked-to", provided.join("linked")).expect("a link");
    assert_eq!(provide("empty", false), ImportOutcome::Stored);
    for (called, why) in [
        ("broken", "there is no certificate in privkey.pem"),
        ("file", "there is a file where its folder should be"),
        ("linked", "the folder is empty"),
    ] {
        let ImportOutcome::Taken { by } = provide(called, false) else {
            panic!("{called} is there");
        };
        assert!(
            by.starts_with("something that can't be used (") && by.contains(why),
            "{by}"
        );
        let kept = provided.join(format!(".{called}.old"));
        assert_eq!(
            provide(called, true),
            ImportOutcome::Replaced { kept: kept.clone() }
        );
        assert!(files::is_there(&kept), "{called}");
        assert!(
            look(&place.folders).provided.contains_key(&name(called)),
            "{called}"
        );
    }
    assert!(
        provided.join("linked-to").is_dir(),
        "what a link leads to is not touched"
    );
}

#[test]
fn a_crash_between_the_steps_of_a_replacement_leaves_the_old_one_or_the_new_one_and_loses_neither()
{
    let place = place();
    let [old, new] = [(); 2].map(|()| given(&Set::new()));
    let provide = |new: &ImportedCertificate| {
        place
            .folders
            .provide(&name(HOST), new, true)
            .expect("it is put there")
    };
    provide(&old);
    let provided = place.certificates.join("provided");
    // Cut off while the new one was written.
    fs::create_dir(provided.join(".own.example.new")).expect("a folder");
    fs::write(provided.join(".own.example.new/privkey.pem"), "-----BEGIN").expect("it is written");
    // Cut off before it took its place.
    fs::create_dir(provided.join(".own.example.old")).expect("a folder");
    fs::write(provided.join(".own.example.old/fullchain.pem"), &new.chain).expect("it is written");
    let serves = || look(&place.folders).provided[&name(HOST)].digest;
    assert_eq!(serves(), old.certificate.digest);
    let kept = provided.join(".own.example.old.2");
    assert_eq!(
        provide(&new),
        ImportOutcome::Replaced { kept: kept.clone() }
    );
    assert_eq!(serves(), new.certificate.digest);
    let chain = |folder: &str| {
        fs::read_to_string(provided.join(folder).join("fullchain.pem")).expect("it is kept")
    };
    assert_eq!(chain(".own.example.old.2"), old.chain);
    assert_eq!(chain(".own.example.old"), new.chain);
    assert!(!provided.join(".own.example.new").exists());
}

#[test]
fn a_key_with_a_password_is_opened_by_the_file_that_is_named_and_is_stored_without_one() {
    let (certificate, locked) = (form("certificate"), form("PBES2"));
    let folder = somewhere();
    let files = at(&folder, &[("cert.pem", &certificate), ("key.pem", &locked)]);
    let [right, wrong] =
        [("right", "quay\n"), ("wrong", "quai")].map(|file| at(&folder, &[file]).remove(0));
    let at_its_time = place().folders;
    let gather = |folders: &Folders, password: Option<&Path>| {
        let now = Timestamp::from_seconds(1_800_000_000);
        folders
            .gather(&files, password, now)
            .map_err(|error| whole(&error))
    };
    let opened = gather(&at_its_time, Some(&right)).expect("it is opened");
    let place = place();
    place
        .folders
        .provide(&name(HOST), &opened, false)
        .expect("it is put there");
    let key = fs::read_to_string(place.certificates.join("provided/own.example/privkey.pem"));
    assert!(
        key.expect("it is there")
            .starts_with("-----BEGIN PRIVATE KEY-----\n")
    );
    assert!(look(&place.folders).provided.contains_key(&name(HOST)));
    let by_setting = |path: &Path| super::place().folders.opened_with(Some(path.to_owned()));
    assert_eq!(
        gather(&by_setting(&right), None)
            .expect("it is opened")
            .certificate,
        opened.certificate
    );
    // In a folder, the one beside the key opens it, unless another one is named.
    let beside = somewhere();
    at(
        &beside,
        &[
            ("cert.pem", &certificate),
            ("key.pem", &locked),
            ("password", "quay"),
        ],
    );
    let set = [beside.path().to_owned()];
    let of_folder = |password| {
        let found = super::place().folders.gather(&set, password, NOW);
        found.map_err(|error| whole(&error))
    };
    let found = of_folder(None).expect("it is opened");
    assert_eq!(found.certificate, opened.certificate);
    let refused = of_folder(Some(&*wrong)).expect_err("that one counts");
    assert!(
        refused.contains("of --password-file does not open it"),
        "{refused}"
    );
    for (folders, password, expected) in [
        (
            super::place().folders,
            None,
            "name a file with that by --password-file".to_owned(),
        ),
        (
            by_setting(&right),
            Some(&*wrong),
            format!(
                "the password in the file {} of --password-file does not open it",
                wrong.display()
            ),
        ),
        (
            by_setting(&wrong),
            None,
            format!(
                "the password in the file {} of the setting provided-password-file does not open it",
                wrong.display()
            ),
        ),
        (
            super::place().folders,
            Some(Path::new("/none")),
            "can't read /none: there is no such file".to_owned(),
        ),
    ] {
        let told = gather(&folders, password)
            .map(|found| found.certificate)
            .expect_err("it is refused");
        assert!(told.contains(&expected), "{told}");
        assert!(!told.contains("quai"), "secrets don't print: {told}");
    }
}
