//! Folders of other ACME clients. What certbot and lego write is tried with these programs themselves in `tests/it`; the
//! folders of acme.sh, acme-companion and manuale are laid out here as those write them.

use std::os::unix::{fs::symlink, net::UnixListener};

use nix::{sys::stat::Mode, unistd::mkfifo};

use super::{
    forms::{HOST, Set},
    provided::whole,
    *,
};
use crate::ports::{ClientFolder, Imports};

/// A client, the files of its folder, and what stays there.
type Laid<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a [&'a str]);

/// Writes files below a folder, and the folders that they lie in.
fn lay(folder: &Path, files: &[(&str, &str)]) {
    for (file, text) in files {
        let path = folder.join(file);
        fs::create_dir_all(path.parent().expect("a folder")).expect("it is made");
        fs::write(path, text).expect("it is written");
    }
}

fn kept(folder: &Path) -> Option<ClientFolder> {
    let found = place().folders.kept_by_a_client(folder);
    found.expect("it can be listed")
}

/// The result for each certificate of a folder: its name and its first host, or the reason why it is refused.
fn read(folder: &Path) -> Vec<(String, Result<String, String>)> {
    let kept = kept(folder).expect("it is a client's");
    let certificates = kept.certificates.iter();
    let read = certificates.map(|certificate| {
        let found = place().folders.gather_kept(&kept, certificate, NOW);
        let told = found
            .map(|new| new.first_name)
            .map_err(|error| whole(&error));
        (certificate.name.clone(), told)
    });
    read.collect()
}

/// All that lies below a folder, with its bytes and modes.
fn picture(folder: &Path) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("a list") {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => found.extend(picture(&path)),
            false => {
                let bytes = fs::read(&path).expect("it is read");
                found.insert(path.clone(), (mode(&path), bytes));
            }
        }
    }
    found
}

#[test]
fn the_folder_of_each_client_is_told_by_what_lies_in_it_and_stays_as_it_is() {
    let set = Set::new();
    let (leaf, issuer, key) = (&*set.leaf, &*set.issuer, &*set.key);
    let full = format!("{leaf}{issuer}");
    let full = full.as_str();
    let rows: [Laid<'_>; 5] = [
        (
            "certbot",
            &[
                ("live/README", "free text"),
                ("live/own.example/privkey.pem", key),
                ("live/own.example/fullchain.pem", full),
                ("renewal/own.example.conf", "[renewalparams]"),
                ("accounts/ca.example/directory/1/private_key.json", "{}"),
            ],
            &[
                "accounts/ca.example/directory/1/private_key.json",
                "renewal",
            ],
        ),
        (
            "lego",
            &[
                ("certificates/own.example.key", key),
                ("certificates/own.example.crt", leaf),
                ("certificates/own.example.issuer.crt", issuer),
                ("certificates/own.example.json", "{}"),
                ("accounts/ca.example/me/account.json", "{}"),
                ("accounts/ca.example/me/keys/me.key", key),
            ],
            &["accounts/ca.example/me/keys/me.key"],
        ),
        (
            "acme.sh",
            &[
                ("account.conf", "UPGRADE_HASH='1'"),
                ("ca/ca.example/directory/account.key", key),
                ("own.example_ecc/own.example.key", key),
                ("own.example_ecc/own.example.cer", leaf),
                ("own.example_ecc/ca.cer", issuer),
                ("own.example_ecc/fullchain.cer", full),
                (
                    "own.example_ecc/own.example.conf",
                    "Le_Domain='own.example'",
                ),
            ],
            &["ca/ca.example/directory/account.key"],
        ),
        (
            "manuale",
            &[
                ("account.json", "{\"key\": \"\", \"uri\": \"\"}"),
                ("orders/0a/order.json", "{}"),
                ("own.example.pem", key),
                ("own.example.crt", leaf),
                ("own.example.chain.crt", full),
                ("own.example.intermediate.crt", issuer),
            ],
            &["account.json", "orders"],
        ),
        (
            "acme-companion",
            &[
                ("default.crt", leaf),
                ("default.key", key),
                ("dhparam.pem", "free text"),
                ("own.example/key.pem", key),
                ("own.example/fullchain.pem", full),
                ("own.example/chain.pem", issuer),
                ("_test_shop.example/key.pem", key),
                ("_test_shop.example/fullchain.pem", full),
            ],
            &["default.crt"],
        ),
    ];
    for (client, files, left) in rows {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path();
        lay(folder, files);
        let before = picture(folder);
        let found = kept(folder).expect("it is a client's");
        assert_eq!(found.client, client);
        let stays = found
            .left
            .iter()
            .map(|left| left.path.display().to_string());
        assert_eq!(stays.collect::<Vec<_>>(), left, "{client}");
        let expected = (HOST.to_owned(), Ok(HOST.to_owned()));
        assert_eq!(read(folder), [expected], "{client}");
        assert_eq!(picture(folder), before, "{client}");
    }
}

#[test]
fn a_folder_of_one_certificate_is_no_client_s_and_that_of_certificates_is_not_imported_into_itself()
{
    let set = Set::new();
    let folder = tempfile::tempdir().expect("a folder");
    lay(
        folder.path(),
        &[("privkey.pem", &set.key), ("fullchain.pem", &set.leaf)],
    );
    assert_eq!(kept(folder.path()), None);
    assert_eq!(kept(&folder.path().join("privkey.pem")), None);
    assert_eq!(kept(&folder.path().join("none")), None);
    let place = place();
    lay(
        &place.certificates,
        &[
            ("live/own.example/privkey.pem", &set.key),
            ("live/own.example/fullchain.pem", &set.leaf),
            ("renewal/own.example.conf", ""),
        ],
    );
    let refused = place.folders.kept_by_a_client(&place.certificates);
    let told = whole(&refused.expect_err("it is ours"));
    assert!(
        told.contains("what certbot keeps is used as it is"),
        "{told}"
    );
}

#[test]
fn links_that_lead_back_among_a_client_s_accounts_are_not_followed() {
    let folder = tempfile::tempdir().expect("a folder");
    lay(
        folder.path(),
        &[("account.conf", ""), ("ca/ca.example/account.key", "key")],
    );
    // Followed, they would be 40 ways at each of the levels.
    for n in 0..40 {
        symlink(".", folder.path().join(format!("ca/back{n}"))).expect("a link");
    }
    let kept = kept(folder.path()).expect("it is acme.sh's");
    let left = kept.left.iter().map(|left| left.path.clone());
    assert_eq!(
        left.collect::<Vec<_>>(),
        [Path::new("ca/ca.example/account.key")]
    );
}

#[test]
fn a_bad_certificate_of_a_client_spoils_only_itself_and_is_refused_at_once() {
    let (set, other) = (Set::new(), Set::new());
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let full = format!("{}{}", set.leaf, set.issuer);
    let cut = &set.key[..set.key.len() / 2];
    lay(
        folder,
        &[
            ("renewal/README", ""),
            ("live/cut/privkey.pem", cut),
            ("live/cut/fullchain.pem", &full),
            ("live/good/privkey.pem", &set.key),
            ("live/good/fullchain.pem", &full),
            ("live/keyless/fullchain.pem", &full),
            ("live/large/privkey.pem", &set.key),
            ("live/mixed/privkey.pem", &other.key),
            ("live/mixed/fullchain.pem", &full),
            ("live/out/privkey.pem", &set.key),
            ("live/pipe/privkey.pem", &set.key),
            ("live/socket/privkey.pem", &set.key),
            ("live/turns/privkey.pem", &set.key),
        ],
    );
    let live = |file: &str| folder.join("live").join(file);
    let large = fs::File::create(live("large/fullchain.pem")).expect("a file");
    large.set_len(1 << 30).expect("it is sparse");
    let outside = tempfile::tempdir().expect("a folder");
    lay(outside.path(), &[("fullchain.pem", &full)]);
    symlink(
        outside.path().join("fullchain.pem"),
        live("out/fullchain.pem"),
    )
    .expect("a link");
    mkfifo(&live("pipe/fullchain.pem"), Mode::S_IRWXU).expect("a pipe");
    let _socket = UnixListener::bind(live("socket/fullchain.pem")).expect("a socket");
    symlink("fullchain.pem", live("turns/fullchain.pem")).expect("a link");
    // A folder elsewhere is no lineage of this one.
    symlink(outside.path(), live("elsewhere")).expect("a link");
    let expected = [
        ("cut", "has no end"),
        ("keyless", "there is no private key in it"),
        ("large", "it has 1073741824 bytes"),
        ("mixed", "belongs to another certificate"),
        ("out", "a link leads out of"),
        ("pipe", "it is a named pipe"),
        ("socket", "it is not a file"),
        ("turns", "it is a link that leads to itself"),
    ];
    let (good, bad): (Vec<_>, Vec<_>) = read(folder).into_iter().partition(|(_, it)| it.is_ok());
    assert_eq!(good, [("good".to_owned(), Ok(HOST.to_owned()))]);
    assert_eq!(bad.len(), expected.len(), "{bad:?}");
    for ((name, told), (expected_name, words)) in bad.into_iter().zip(expected) {
        let told = told.expect_err("it is refused");
        assert_eq!(name, expected_name);
        assert!(told.contains(words), "{name}: {told}");
    }
}
