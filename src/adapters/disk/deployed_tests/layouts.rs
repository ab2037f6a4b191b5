//! Certificates in the files that each kind of server reads.

use std::{
    os::unix::fs::{MetadataExt, chown, symlink},
    path::{Path, PathBuf},
};

use itertools::Itertools;

use super::*;
use crate::values::{LAYOUTS, Owner};

const NAME: &str = "mqtt.example";

/// A server that gets certificates alone.
struct Server {
    place: tests::Place,
    name: ContainerName,
    folder: SharedPath,
    layout: Layout,
    key_mode: u32,
    is_owner_of_folder: bool,
    owner: Option<Owner>,
}

impl Server {
    fn new(layout: &str) -> Self {
        let place = place();
        Self {
            folder: place.shared(),
            layout: Layout::parse(layout).expect("a layout"),
            key_mode: 0o600,
            is_owner_of_folder: false,
            place,
            name: ContainerName::parse("mqtt").expect("a name"),
            owner: None,
        }
    }

    fn folder(&self) -> Folder<'_> {
        Folder {
            consumer: &self.name,
            config: None,
            default: None,
            certificates: Some(CertificatePlace {
                key_mode: self.key_mode,
                is_owner_of_folder: self.is_owner_of_folder,
                ..certificates_in(&self.folder, &self.layout)
            }),
            owner: self.owner,
        }
    }

    /// Delivers a new certificate of this name; returns which.
    fn deliver(&self, word: &str) -> Digest {
        let digest = store(&self.place.folders, word).digest;
        self.deliver_again(word, digest);
        digest
    }

    fn deliver_again(&self, word: &str, digest: Digest) {
        let deliver = [(name(word), version(word, digest))].into();
        let (write, remove) = Default::default();
        let change = Change {
            write: &write,
            remove: &remove,
            deliver: &deliver,
        };
        let record = Installed {
            open: true,
            ..Installed::default()
        };
        let folders = &self.place.folders;
        folders
            .stage(&self.folder(), &change)
            .expect("it is staged");
        folders
            .switch(&self.folder(), &change, &record)
            .expect("it is switched");
    }

    fn conclude(&self, given: &[(&str, Digest)], tidy: &[&str]) {
        let given = given.iter().map(|(word, digest)| (name(word), *digest));
        let record = Installed {
            certificates: given.collect(),
            ..Installed::default()
        };
        let tidy = tidy.iter().map(|word| name(word)).collect();
        self.place
            .folders
            .keep_installed(&self.folder(), &record, &tidy)
            .expect("it is written");
    }

    fn given(&self) -> Vec<(String, Digest)> {
        let installed = self.place.folders.installed(&self.folder());
        let given = installed.expect("it is looked at").certificates;
        given
            .iter()
            .map(|(name, digest)| (name.to_string(), *digest))
            .collect()
    }

    fn path(&self, file: &str) -> PathBuf {
        self.place.config.join(file)
    }

    fn text(&self, file: &str) -> String {
        fs::read_to_string(self.path(file)).unwrap_or_default()
    }

    /// The names in its folder that a server sees: those that are not hidden.
    fn seen(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.place.config).expect("a folder");
        let names = entries.map(|entry| entry.expect("an entry").file_name());
        let names = names.map(|name| name.to_string_lossy().into_owned());
        let mut seen: Vec<_> = names.filter(|name| !name.starts_with('.')).collect();
        seen.sort();
        seen
    }
}

#[test]
fn each_layout_has_its_files_with_what_they_hold_and_no_key_is_for_others() {
    for row in LAYOUTS {
        let server = Server::new(row.name);
        let digest = server.deliver(NAME);
        assert_eq!(server.given(), [(NAME.to_owned(), digest)], "{}", row.name);
        let layout = Layout::of(row);
        let pieces = row.files().map(|(_, piece)| piece);
        for (path, piece) in layout.paths(&name(NAME)).zip(pieces) {
            let text = server.text(&path);
            let count = |word: &str| text.matches(word).count();
            let (keys, certificates) = (count("BEGIN PRIVATE KEY"), count("BEGIN CERTIFICATE"));
            let expected = match piece {
                "privkey" => (1, 0),
                "cert" => (0, 1),
                "combined" => (1, 1),
                // A test's certificate has no chain above it.
                "fullchain" => (0, 1),
                "chain" => (0, certificates),
                other => panic!("{other}"),
            };
            assert_eq!((keys, certificates), expected, "{} {path}", row.name);
            let mode = mode(server.path(&path)) & 0o777;
            assert_eq!(mode, if keys == 1 { 0o600 } else { 0o644 }, "{path}");
        }
    }
}

#[test]
fn a_renewed_one_is_switched_by_one_link_and_the_one_before_comes_back() {
    for row in LAYOUTS {
        let server = Server::new(row.name);
        let first = server.deliver(NAME);
        server.conclude(&[(NAME, first)], &[]);
        let seen = server.seen();
        let path = Layout::of(row).paths(&name(NAME)).next().expect("a file");
        let text = server.text(&path);
        // Whoever holds the folder open goes on with what was there.
        let open = fs::canonicalize(server.path(&path)).expect("it is there");
        let second = server.deliver(NAME);
        assert_eq!(server.given(), [(NAME.to_owned(), second)], "{}", row.name);
        assert_ne!(server.text(&path), text, "{}", row.name);
        assert_eq!(fs::read_to_string(open).expect("it is kept"), text);
        assert_eq!(server.seen(), seen, "{}", row.name);
        server
            .place
            .folders
            .take_back(&server.folder())
            .expect("it is taken back");
        assert_eq!(server.given(), [(NAME.to_owned(), first)], "{}", row.name);
        assert_eq!(server.text(&path), text, "{}", row.name);
        server.deliver_again(NAME, second);
        server.conclude(&[(NAME, second)], &[NAME]);
        let versions = fs::read_dir(server.path(".versions").join(NAME)).expect("a folder");
        assert_eq!(versions.count(), 1, "the older copy is gone");
    }
}

#[test]
fn a_first_one_that_is_taken_back_leaves_the_folder_as_it_was() {
    for row in LAYOUTS {
        let server = Server::new(row.name);
        server.deliver(NAME);
        let folders = &server.place.folders;
        folders
            .take_back(&server.folder())
            .expect("it is taken back");
        assert_eq!(
            (server.given(), server.seen()),
            (vec![], vec![]),
            "{}",
            row.name
        );
    }
}

#[test]
fn files_of_the_user_s_are_set_aside_once_and_come_back() {
    let server = Server::new("server");
    fs::write(server.path("server.key"), "theirs").expect("a file");
    let first = server.deliver(NAME);
    assert_eq!(server.text(".server.key.before-quaymaster"), "theirs");
    assert!(server.text("server.key").contains("PRIVATE KEY"));
    server.conclude(&[(NAME, first)], &[]);
    // What was copied over ours is the user's, and the first that was kept stays.
    fs::remove_file(server.path("server.key")).expect("a link");
    fs::write(server.path("server.key"), "again").expect("a file");
    assert_eq!(server.given(), [], "it is not as it should be");
    server.deliver_again(NAME, first);
    assert_eq!(server.text(".server.key.before-quaymaster"), "theirs");
    assert_eq!(server.given(), [(NAME.to_owned(), first)]);
    server.conclude(&[], &[NAME]);
    assert_eq!(server.text("server.key"), "theirs");
    assert_eq!(server.seen(), ["server.key"]);
}

#[test]
fn links_that_a_server_puts_there_are_replaced_and_never_followed() {
    let server = Server::new("server");
    let elsewhere = server.place.state.join("elsewhere");
    fs::create_dir_all(&elsewhere).expect("a folder");
    fs::write(elsewhere.join("file"), "kept").expect("a file");
    symlink(elsewhere.join("file"), server.path("server.key")).expect("a link");
    symlink(&elsewhere, server.path(".current")).expect("a link");
    let digest = server.deliver(NAME);
    assert_eq!(server.given(), [(NAME.to_owned(), digest)]);
    assert_eq!(
        fs::read_to_string(elsewhere.join("file")).expect("a file"),
        "kept"
    );
    assert_eq!(fs::read_dir(&elsewhere).expect("a folder").count(), 1);
}

#[test]
fn another_layout_owner_or_mode_is_delivered_anew() {
    let mut server = Server::new("server");
    let digest = server.deliver(NAME);
    server.layout = Layout::parse("fullchain=tls.crt, privkey=tls.key").expect("pairs");
    assert_eq!(server.given(), []);
    server.deliver_again(NAME, digest);
    assert_eq!(server.given(), [(NAME.to_owned(), digest)]);
    assert!(server.text("tls.key").contains("PRIVATE KEY"));
    server.key_mode = 0o640;
    assert_eq!(server.given(), []);
    server.deliver_again(NAME, digest);
    assert_eq!(mode(server.path("tls.key")) & 0o777, 0o640);
    server.owner = Some(Owner {
        user: 1883,
        group: Some(1883),
    });
    assert_eq!(server.given(), []);
    server.deliver_again(NAME, digest);
    let owner = |file: &str| fs::metadata(server.path(file)).expect("a file").uid();
    assert_eq!((owner("tls.key"), owner("tls.crt")), (1883, 0));
    assert_eq!(server.given(), [(NAME.to_owned(), digest)]);
}

#[test]
fn keys_go_to_the_owner_of_the_folder_where_that_is_not_root() {
    let mut server = Server::new("flat");
    server.owner = Some(Owner {
        user: 1883,
        group: None,
    });
    server.is_owner_of_folder = true;
    chown(&server.place.config, Some(100), Some(101)).expect("we are root");
    let digest = server.deliver(NAME);
    let key = fs::metadata(server.path("privkey.pem")).expect("a file");
    assert_eq!((key.uid(), key.gid()), (100, 101));
    assert_eq!(server.given(), [(NAME.to_owned(), digest)]);
}

#[test]
fn another_certificate_in_the_place_of_one_leaves_nothing_of_that() {
    for layout in ["flat", "nginx-proxy", "certbot"] {
        let server = Server::new(layout);
        let first = server.deliver(NAME);
        server.conclude(&[(NAME, first)], &[]);
        let second = server.deliver("b.example");
        server.conclude(&[("b.example", second)], &[NAME]);
        assert_eq!(
            server.given(),
            [("b.example".to_owned(), second)],
            "{layout}"
        );
        let all = server.seen().join(" ");
        assert!(!all.contains(NAME), "{layout}: {all}");
        assert!(
            !Path::exists(&server.path(".versions").join(NAME)),
            "{layout}"
        );
    }
}

#[test]
fn files_that_somebody_took_out_of_a_version_are_there_again() {
    let server = Server::new("server");
    let digest = server.deliver(NAME);
    let key = fs::canonicalize(server.path("server.key")).expect("it is there");
    fs::remove_file(&key).expect("a file");
    assert_eq!(server.given(), []);
    server.deliver_again(NAME, digest);
    assert_eq!(server.given(), [(NAME.to_owned(), digest)]);
    assert!(server.text("server.key").contains("PRIVATE KEY"));
    assert_eq!(mode(&key) & 0o777, 0o600);
}

#[test]
fn another_layout_leaves_no_link_that_leads_nowhere() {
    let layouts = [
        "flat",
        "server",
        "nginx-proxy",
        "combined",
        "manuale",
        "certbot",
    ];
    for (before, after) in layouts.into_iter().cartesian_product(layouts) {
        let mut server = Server::new(before);
        let digest = server.deliver(NAME);
        fs::write(server.path("theirs"), "kept").expect("a file");
        symlink("theirs", server.path("linked")).expect("a link");
        server.layout = Layout::parse(after).expect("a layout");
        server.deliver_again(NAME, digest);
        server.conclude(&[(NAME, digest)], &[NAME]);
        for entry in server.seen() {
            assert!(server.path(&entry).exists(), "{before}, {after}: {entry}");
        }
        let paths: Vec<_> = server.layout.paths(&name(NAME)).collect();
        assert!(paths.iter().all(|path| server.path(path).exists()));
        assert_eq!(server.text("linked"), "kept");
    }
}

#[test]
fn links_of_other_certificates_stay() {
    for layout in ["nginx-proxy", "combined", "manuale"] {
        let server = Server::new(layout);
        let first = server.deliver(NAME);
        let second = server.deliver("b.example");
        let given = [("b.example".to_owned(), second), (NAME.to_owned(), first)];
        assert_eq!(server.given(), given, "{layout}");
    }
}
