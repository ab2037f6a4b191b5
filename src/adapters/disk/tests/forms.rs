//! Certificates in every form that people have them, and every broken one that they drop in: one row each, with what
//! becomes of it.

use std::os::unix::{fs::symlink, net::UnixListener};

use base64::{Engine, engine::general_purpose::STANDARD};
use nix::{sys::stat::Mode, unistd::mkfifo};
use rcgen::{BasicConstraints, CertifiedIssuer, DnType, IsCa};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

use super::{provided::whole, *};
use crate::{adapters::disk::provided::is_whole, observe::Shelf};

pub(super) const HOST: &str = "own.example";
pub(super) const SMALL: &str = include_str!("../../../../tests/recorded/certificates/rsa-1024.pem");
pub(super) const SHA_1: &str = include_str!("../../../../tests/recorded/certificates/sha1.pem");
/// An EC key and its certificate for [`HOST`], in the forms that OpenSSL 3 and OpenSSL 1.0 write.
const FORMS: &str = include_str!("../../../../tests/recorded/certificates/forms.pem");

/// A leaf, the CA that issued it, that one's root, and the leaf's key.
pub(super) struct Set {
    pub leaf: String,
    pub issuer: String,
    root: String,
    pub key: String,
}

impl Set {
    pub fn new() -> Self {
        let ca = |common| {
            let mut params = CertificateParams::new([]).expect("no names");
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.distinguished_name.push(DnType::CommonName, common);
            (params, KeyPair::generate().expect("a key"))
        };
        let (params, key) = ca("Own Root");
        let root = CertifiedIssuer::self_signed(params, key).expect("a certificate");
        let (params, key) = ca("Own CA");
        let issuer = CertifiedIssuer::signed_by(params, key, &root).expect("a certificate");
        let key = KeyPair::generate().expect("a key");
        let mut leaf = CertificateParams::new([HOST.to_owned()]).expect("a name");
        leaf.distinguished_name.push(DnType::CommonName, HOST);
        leaf.use_authority_key_identifier_extension = true;
        Self {
            leaf: leaf.signed_by(&key, &issuer).expect("it is signed").pem(),
            issuer: issuer.pem(),
            root: root.pem(),
            key: key.serialize_pem(),
        }
    }
}

/// The findings of a look in a folder that `lay` has laid out: the certificate, and the complaints.
fn found(lay: impl FnOnce(&Path)) -> (Option<HeldCertificate>, Vec<String>) {
    let place = place();
    let folder = place.certificates.join("provided").join(HOST);
    fs::create_dir_all(&folder).expect("a folder");
    lay(&folder);
    for entry in fs::read_dir(&folder).expect("a list") {
        let path = entry.expect("an entry").path();
        if path.is_file() {
            fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("it is ours");
        }
    }
    let mut found = place.folders.certificates(NOW).expect("a look");
    let held = found.provided.remove(&name(HOST));
    if let Some(held) = &held {
        let version = place.folders.version(&name(HOST), held.digest);
        let version = version.expect("it is found again when it is delivered");
        assert_eq!(version.digest(), held.digest);
    }
    let told = found.faults.iter().map(whole).collect();
    (held.map(|held| (*held).clone()), told)
}

/// A file's name and what is in it.
type File<'a> = (&'a str, &'a str);

fn written(files: &[(&str, &str)]) -> (Option<HeldCertificate>, Vec<String>) {
    found(|folder| {
        for (file, text) in files {
            fs::write(folder.join(file), text).expect("it is written");
        }
    })
}

#[test]
fn a_file_set_is_taken_under_any_of_the_usual_names_and_its_chain_completed_from_what_lies_there() {
    let set = Set::new();
    let (leaf, issuer, root, key) = (&*set.leaf, &*set.issuer, &*set.root, &*set.key);
    let chain = &*format!("{leaf}{issuer}");
    let all = &*format!("{chain}{root}");
    let (ca, whole) = (&*format!("{issuer}{root}"), &*format!("{key}{chain}"));
    let wanted = crate::adapters::x509::digest(chain, &Secret::new(key));
    let with_root = crate::adapters::x509::digest(all, &Secret::new(key));
    let reversed = &*format!("{root}{issuer}{leaf}{key}");
    let rows: &[(&str, &[File<'_>], Digest)] = &[
        (
            "certbot's",
            &[
                ("privkey.pem", key),
                ("fullchain.pem", chain),
                ("cert.pem", leaf),
                ("chain.pem", issuer),
            ],
            wanted,
        ),
        (
            "certbot's, with its README",
            &[
                ("privkey.pem", key),
                ("fullchain.pem", chain),
                ("README", "This directory"),
            ],
            wanted,
        ),
        (
            "in parts",
            &[
                ("privkey.pem", key),
                ("cert.pem", leaf),
                ("chain.pem", issuer),
            ],
            wanted,
        ),
        (
            "a short fullchain",
            &[
                ("privkey.pem", key),
                ("fullchain.pem", leaf),
                ("chain.pem", issuer),
            ],
            wanted,
        ),
        (
            "server, chain within",
            &[("server.key", key), ("server.crt", chain)],
            wanted,
        ),
        (
            "server, chain beside",
            &[
                ("server.key", key),
                ("server.crt", leaf),
                ("ca.pem", issuer),
            ],
            wanted,
        ),
        (
            "a Kubernetes secret's",
            &[("tls.key", key), ("tls.crt", chain), ("ca.crt", root)],
            with_root,
        ),
        (
            "NAME, .crt",
            &[("own.example.key", key), ("own.example.crt", chain)],
            wanted,
        ),
        (
            "NAME, .pem",
            &[("own.example.key", key), ("own.example.pem", chain)],
            wanted,
        ),
        (
            "lego's",
            &[
                ("own.example.key", key),
                ("own.example.crt", chain),
                ("own.example.issuer.crt", issuer),
                ("own.example.json", "{}"),
            ],
            wanted,
        ),
        (
            "domain",
            &[("domain.key", key), ("domain.crt", leaf), ("ca.pem", ca)],
            with_root,
        ),
        (
            "acme.sh's",
            &[
                ("own.example.key", key),
                ("own.example.cer", leaf),
                ("fullchain.cer", chain),
                ("ca.cer", issuer),
                ("own.example.conf", "Le_Domain"),
                (
                    "own.example.csr",
                    "-----BEGIN CERTIFICATE REQUEST-----\nx\n-----END CERTIFICATE REQUEST-----\n",
                ),
            ],
            wanted,
        ),
        (
            "in capitals",
            &[("SERVER.KEY", key), ("SERVER.CRT", chain)],
            wanted,
        ),
        ("one text, key first", &[("own.pem", whole)], wanted),
        ("one text, root first", &[("own.pem", reversed)], with_root),
        (
            "with parameters of another kind",
            &[
                ("own.pem", whole),
                (
                    "dhparam.pem",
                    "-----BEGIN DH PARAMETERS-----\nMAA=\n-----END DH PARAMETERS-----\n",
                ),
            ],
            wanted,
        ),
        (
            "with an empty chain",
            &[("privkey.pem", key), ("cert.pem", chain), ("chain.pem", "")],
            wanted,
        ),
        (
            "with a PKCS #12 beside",
            &[
                ("server.key", key),
                ("server.crt", chain),
                ("own.pfx", "0\u{2}"),
            ],
            wanted,
        ),
    ];
    for (what, files, wanted) in rows {
        let (held, told) = written(files);
        let held = held.unwrap_or_else(|| panic!("{what}: {told:?}"));
        assert_eq!((held.digest, told), (*wanted, vec![]), "{what}");
        let is_read_there = files.iter().any(|(file, _)| *file == "fullchain.pem");
        assert_eq!(held.shelf == Shelf::Provided, is_read_there, "{what}");
        assert!(!held.lacks_issuer, "{what}");
    }
}

#[test]
fn a_chain_that_can_not_be_completed_is_told_of_the_certificate() {
    let (set, other) = (Set::new(), Set::new());
    let files = [
        ("server.key", &*set.key),
        ("server.crt", &*set.leaf),
        ("ca.pem", &*other.root),
    ];
    let held = written(&files).0.expect("it is taken");
    assert!(held.lacks_issuer);
    // One that is its own issuer lacks none.
    let (certificate, key) = (form("certificate"), form("SEC1"));
    let held = written(&[("server.crt", &certificate), ("server.key", &key)]).0;
    assert!(!held.expect("it is taken").lacks_issuer);
}

#[test]
fn what_may_be_half_of_a_copy_is_not_whole() {
    let (set, other) = (Set::new(), Set::new());
    let [chain, theirs] = [&set, &other].map(|of| format!("{}{}", set.leaf, of.issuer));
    let (own, own_key) = (&*form("certificate"), &*form("SEC1"));
    for (files, expected) in [
        (
            &[("fullchain.pem", &*chain), ("privkey.pem", &*set.key)][..],
            true,
        ),
        (
            &[("fullchain.pem", &set.leaf), ("privkey.pem", &set.key)],
            false,
        ),
        (
            &[("fullchain.pem", &theirs), ("privkey.pem", &set.key)],
            false,
        ),
        (
            &[("fullchain.pem", &chain), ("privkey.pem", &other.key)],
            false,
        ),
        (&[("fullchain.pem", &chain)], false),
        (
            &[
                ("a.crt", &set.leaf),
                ("ca.pem", &set.issuer),
                ("a.key", &set.key),
            ],
            true,
        ),
        (
            &[
                ("a.crt", &set.leaf),
                ("ca.pem", &other.issuer),
                ("a.key", &set.key),
            ],
            false,
        ),
        (&[("a.crt", own), ("a.key", own_key)], true),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        for (file, text) in files {
            fs::write(folder.path().join(file), text).expect("it is written");
        }
        let names: Vec<_> = files.iter().map(|(file, _)| file).collect();
        assert_eq!(is_whole(folder.path(), None), expected, "{names:?}");
    }
}

#[test]
fn one_text_is_taken_with_whatever_tools_write_between_its_blocks() {
    let Set {
        leaf, issuer, key, ..
    } = &Set::new();
    let plain = format!("{leaf}{issuer}{key}");
    let wanted = crate::adapters::x509::digest(&format!("{leaf}{issuer}"), &Secret::new(key));
    let before = |text: &str| plain.replace("-----BEGIN", &format!("{text}-----BEGIN"));
    for (what, text) in [
        (
            "Bag Attributes",
            before(
                "Bag Attributes\n    friendlyName: own\nKey Attributes: <No Attributes>\nsubject=CN = own\n",
            ),
        ),
        ("date= lines", before("date=2026-11-01\n")),
        ("date= on the BEGIN line", before("date=2026-11-01 ")),
        (
            "free text",
            before("This is ours.\n----- not a marker -----\n"),
        ),
        ("CRLF", plain.replace('\n', "\r\n")),
        ("a byte order mark", format!("\u{feff}{plain}")),
        ("blanks for line breaks", plain.replace('\n', " ")),
        ("no line breaks", plain.replace('\n', "")),
        (
            "END and BEGIN on one line",
            plain.replace("-----\n-----", "----------"),
        ),
    ] {
        let (held, told) = written(&[("own.pem", &text)]);
        let held = held.unwrap_or_else(|| panic!("{what}: {told:?}"));
        assert_eq!((held.digest, told), (wanted, vec![]), "{what}");
    }
}

/// The blocks of [`FORMS`], by the word in the line before each.
pub(super) fn form(word: &str) -> String {
    let mut blocks = FORMS
        .split("# ")
        .skip(1)
        .map(|block| block.split_once('\n'));
    let found = blocks.find_map(|block| block.filter(|(called, _)| *called == word));
    found.expect("it is recorded").1.to_owned()
}

#[test]
fn a_key_is_told_by_its_content_and_opened_by_the_password_beside_it() {
    let certificate = form("certificate");
    let old = |key: &str| key.replace(" PRIVATE KEY", " RSA PRIVATE KEY");
    let (pkcs_8, sec_1, locked) = (form("PKCS8"), form("SEC1"), form("PBES2"));
    let called_pkcs_8 = sec_1.replace(" EC PRIVATE KEY", " PRIVATE KEY");
    for (what, key, password, is_read_there) in [
        ("PKCS #8", pkcs_8.clone(), None, true),
        ("SEC 1", sec_1, None, true),
        ("PKCS #8, called PKCS #1", old(&pkcs_8), None, false),
        ("SEC 1, called PKCS #8", called_pkcs_8, None, false),
        ("a password", locked.clone(), Some("quay"), false),
        (
            "a password with a line end",
            locked.clone(),
            Some("quay\r\n"),
            false,
        ),
    ] {
        for files in [
            ["fullchain.pem", "privkey.pem"],
            ["server.crt", "server.key"],
        ] {
            let mut texts = vec![(files[0], &*certificate), (files[1], &*key)];
            texts.extend(password.map(|password| ("password", password)));
            let (held, told) = written(&texts);
            let held = held.unwrap_or_else(|| panic!("{what}: {told:?}"));
            assert_eq!(told, [""; 0], "{what}");
            let is_read_there = is_read_there && files[0] == "fullchain.pem";
            assert_eq!(held.can_be_read_there(), is_read_there, "{what}");
        }
    }
    for (what, key, password, expected) in [
        (
            "no password",
            locked.clone(),
            None,
            "write that into a file `password` beside it",
        ),
        (
            "another password",
            locked,
            Some("quai"),
            "the password in the file `password` does not open it",
        ),
        (
            "DEK-Info",
            form("DEK-Info"),
            Some("quay"),
            "(DEK-Info), which is weak; convert it with `openssl pkcs8 -topk8",
        ),
    ] {
        for file in ["privkey.pem", "server.key"] {
            let chain = if file == "privkey.pem" {
                "fullchain.pem"
            } else {
                "server.crt"
            };
            let mut texts = vec![(chain, &*certificate), (file, &*key)];
            texts.extend(password.map(|password| ("password", password)));
            let (held, told) = written(&texts);
            assert_eq!(held, None, "{what}");
            assert!(
                told[0].contains(expected) && told[0].contains(file),
                "{what}: {told:?}"
            );
        }
    }
}

#[test]
fn a_key_without_a_password_of_its_own_is_opened_by_the_one_of_the_setting() {
    let (certificate, plain, locked) = (form("certificate"), form("PKCS8"), form("PBES2"));
    let passwords = tempfile::tempdir().expect("a folder");
    let file = passwords.path().join("password");
    // Whatever it is called: in the files that servers read, or in others.
    let looked_at = |key: &str, own: Option<&str>| {
        let names = [["fullchain.pem", "privkey.pem"], ["own.crt", "own.key"]];
        names.map(|[chain_file, key_file]| {
            let place = place();
            let folder = place.certificates.join("provided").join(HOST);
            fs::create_dir_all(&folder).expect("a folder");
            fs::write(folder.join(chain_file), &certificate).expect("it is written");
            fs::write(folder.join(key_file), key).expect("it is written");
            files::close(&folder.join(key_file)).expect("it is ours");
            if let Some(own) = own {
                fs::write(folder.join("password"), own).expect("it is written");
            }
            let folders = place.folders.opened_with(Some(file.clone()));
            let mut found = folders.certificates(NOW).expect("a look");
            let told: Vec<_> = found.faults.iter().map(whole).collect();
            let held = found.provided.remove(&name(HOST));
            if let Some(held) = &held {
                let delivered = folders
                    .version(&name(HOST), held.digest)
                    .expect("it can be delivered");
                assert!(
                    delivered
                        .privkey
                        .expose()
                        .starts_with("-----BEGIN PRIVATE KEY-----")
                );
            }
            (held.is_some(), told.join("; "))
        })
    };
    let well = [(); 2].map(|()| (true, String::new()));
    assert_eq!(looked_at(&plain, None), well, "nobody needs it");
    for (told, is_held) in looked_at(&locked, None).map(|(is_held, told)| (told, is_held)) {
        let expected = format!(
            "it is protected by a password, and the file {} of the setting provided-password-file can't be read: it is \
             not there",
            file.display()
        );
        assert!(told.contains(&expected) && !is_held, "{told}");
    }
    fs::write(&file, "quay\n").expect("it is written");
    assert_eq!(looked_at(&locked, None), well);
    assert_eq!(looked_at(&locked, Some("quay")), well);
    for (is_held, told) in looked_at(&locked, Some("quai")) {
        let expected = "the password in the file `password` does not open it";
        assert!(
            told.contains(expected) && !is_held,
            "its own counts: {told}"
        );
    }
    fs::write(&file, "quai").expect("it is written");
    assert_eq!(looked_at(&locked, Some("quay")), well, "its own counts");
    for (is_held, told) in looked_at(&locked, None) {
        let place = format!(
            "the file {} of the setting provided-password-file",
            file.display()
        );
        let expected = format!("the password in {place} does not open it");
        assert!(told.contains(&expected) && !is_held, "{told}");
    }
    // A key that is of no use is not in the way of the one that is.
    let (_, told) = written(&[
        ("own.crt", &certificate),
        ("own.key", &plain),
        ("old.key", &locked),
        ("password", "quai"),
    ]);
    assert_eq!(told, [""; 0]);
}

/// Lays a set out as servers read it, with another text of its chain and of its key.
fn pair(folder: &Path, chain: impl AsRef<[u8]>, key: impl AsRef<[u8]>) {
    fs::write(folder.join("fullchain.pem"), chain).expect("it is written");
    fs::write(folder.join("privkey.pem"), key).expect("it is written");
}

/// One way to go wrong.
type Broken = (&'static str, fn(&Path, &Set), &'static str);

const BROKEN: &[Broken] = &[
    (
        "the key of another",
        |folder, set| pair(folder, &set.leaf, Set::new().key),
        "its key belongs to another certificate",
    ),
    (
        "the key of another, other names",
        |folder, set| {
            fs::write(folder.join("server.crt"), &set.leaf).expect("it is written");
            fs::write(folder.join("server.key"), Set::new().key).expect("it is written");
        },
        "its key belongs to another certificate",
    ),
    (
        "the chain alone",
        |folder, set| pair(folder, &set.issuer, &set.key),
        "put the one for its key before them",
    ),
    (
        "the chain alone, other names",
        |folder, set| {
            fs::write(folder.join("ca.crt"), &set.issuer).expect("it is written");
            fs::write(folder.join("server.key"), &set.key).expect("it is written");
        },
        "put the one for its key before them",
    ),
    (
        "the leaf last",
        |folder, set| pair(folder, format!("{}{}", set.issuer, set.leaf), &set.key),
        "comes as number 2; put it first",
    ),
    (
        "DER under a PEM name",
        |folder, set| pair(folder, der(&set.leaf), &set.key),
        "it is DER, not PEM; convert it with `openssl x509 -inform DER",
    ),
    (
        "DER under another name",
        |folder, set| {
            fs::write(folder.join("own.der"), der(&set.leaf)).expect("it is written");
            fs::write(folder.join("server.key"), &set.key).expect("it is written");
        },
        "own.der can't be understood: it is DER, not PEM; convert it with `openssl x509 -inform DER",
    ),
    (
        "a key in DER",
        |folder, set| {
            let key = PrivateKeyDer::from_pem_slice(set.key.as_bytes()).expect("a key");
            pair(folder, &set.leaf, key.secret_der());
        },
        "it is DER, not PEM; convert it with `openssl pkey -inform DER",
    ),
    (
        "PKCS #7",
        |folder, set| {
            pair(
                folder,
                STANDARD.decode("MIIBxAYJKoZIhvcNAQcC").expect("Base64"),
                &set.key,
            )
        },
        "it is DER",
    ),
    (
        "PKCS #12",
        |folder, _| {
            let bytes = include_bytes!("../../../../tests/recorded/certificates/own.p12");
            fs::write(folder.join("own.p12"), bytes).expect("it is written");
        },
        "own.p12 can't be understood: it is PKCS #12, not PEM; convert it with `openssl pkcs12 -in OLD -nodes",
    ),
    (
        "UTF-16",
        |folder, set| {
            let text: Vec<u8> = set.leaf.encode_utf16().flat_map(u16::to_le_bytes).collect();
            pair(folder, text, &set.key);
        },
        "it is UTF-16 text; save it as UTF-8 or ASCII",
    ),
    (
        "empty",
        |folder, set| pair(folder, "", &set.key),
        "fullchain.pem can't be understood: it is empty",
    ),
    (
        "empty, other names",
        |folder, set| {
            fs::write(folder.join("server.crt"), "").expect("it is written");
            fs::write(folder.join("server.key"), &set.key).expect("it is written");
        },
        "server.crt can't be understood: it is empty",
    ),
    (
        "cut off, other names",
        |folder, set| {
            fs::write(folder.join("server.crt"), &set.leaf[..200]).expect("it is written");
            fs::write(folder.join("server.key"), &set.key).expect("it is written");
        },
        "server.crt can't be understood: its CERTIFICATE that begins in line 1 has no end",
    ),
    (
        "no certificate in Base64",
        |folder, set| {
            let none = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
            fs::write(folder.join("server.pem"), format!("{none}{}", set.key))
                .expect("it is written");
        },
        "server.pem can't be understood: its certificate number 1 can't be read",
    ),
    (
        "a folder for a file",
        |folder, set| {
            fs::write(folder.join("privkey.pem"), &set.key).expect("it is written");
            fs::create_dir(folder.join("fullchain.pem")).expect("a folder");
        },
        "fullchain.pem can't be understood: it is a folder; put the file itself here",
    ),
    (
        "a link that points outside",
        |folder, set| {
            fs::write(folder.join("privkey.pem"), &set.key).expect("it is written");
            symlink(
                "/etc/letsencrypt/live/own.example/fullchain.pem",
                folder.join("fullchain.pem"),
            )
            .expect("a link");
        },
        "it is a link to /etc/letsencrypt/live/own.example/fullchain.pem, where nothing is that quaymaster sees",
    ),
    (
        "a named pipe",
        |folder, set| {
            fs::write(folder.join("fullchain.pem"), &set.leaf).expect("it is written");
            mkfifo(&folder.join("privkey.pem"), Mode::S_IRWXU).expect("a pipe");
        },
        "privkey.pem can't be understood: it is a named pipe",
    ),
    (
        "a named pipe, other names",
        |folder, _| {
            mkfifo(&folder.join("server.pem"), Mode::S_IRWXU).expect("a pipe");
        },
        "server.pem can't be understood: it is a named pipe",
    ),
    (
        "a socket",
        |folder, _| {
            drop(UnixListener::bind(folder.join("server.pem")).expect("a socket"));
        },
        "server.pem can't be understood: it is not a file",
    ),
    (
        "a gigabyte",
        |folder, set| {
            pair(folder, "", &set.key);
            let file = fs::File::options()
                .write(true)
                .open(folder.join("fullchain.pem"));
            file.and_then(|file| file.set_len(1 << 30))
                .expect("a sparse file");
        },
        "it has 1073741824 bytes, and nothing of its kind has more than 1048576",
    ),
    (
        "unknown names",
        |folder, set| {
            fs::write(folder.join("cert.txt"), &set.leaf).expect("it is written");
            fs::write(folder.join("key.txt"), &set.key).expect("it is written");
        },
        "there is no certificate in cert.txt, key.txt; put fullchain.pem and privkey.pem here, or cert.pem, chain.pem",
    ),
    (
        "no key",
        |folder, set| {
            fs::write(folder.join("server.crt"), &set.leaf).expect("it is written");
        },
        "privkey.pem can't be understood: it is not there, and there is no private key in server.crt; put",
    ),
    (
        "nothing",
        |_, _| {},
        "fullchain.pem can't be understood: it is not there, and the folder is empty; put",
    ),
    (
        "two of them",
        |folder, set| {
            let other = Set::new();
            fs::write(folder.join("a.pem"), format!("{}{}", set.leaf, set.key))
                .expect("it is written");
            fs::write(folder.join("b.pem"), format!("{}{}", other.leaf, other.key))
                .expect("it is written");
        },
        "it has several keys with a certificate of its own each (a.pem, b.pem); leave one of them in own.example",
    ),
    (
        "101 files",
        |folder, set| {
            for number in 0..=100 {
                fs::write(folder.join(format!("{number}.pem")), &set.leaf).expect("it is written");
            }
        },
        "it has 101 files of certificates and keys; put each certificate into a folder of its own",
    ),
    (
        "RSA 1024",
        |folder, _| pair(folder, SMALL, SMALL),
        "its RSA key of 1024 bits is too short",
    ),
    (
        "RSA 1024, one text",
        |folder, _| {
            fs::write(folder.join("own.pem"), SMALL).expect("it is written");
        },
        "its RSA key of 1024 bits is too short",
    ),
    (
        "SHA-1",
        |folder, _| pair(folder, SHA_1, SHA_1),
        "its certificate number 1 is signed with SHA-1 or MD5",
    ),
    (
        "a password in no text",
        |folder, set| {
            pair(folder, &set.leaf, &set.key);
            fs::write(folder.join("password"), [0xff, 0xfe]).expect("it is written");
        },
        "password can't be understood: it is not text",
    ),
];

fn der(pem: &str) -> Vec<u8> {
    CertificateDer::from_pem_slice(pem.as_bytes())
        .expect("a certificate")
        .to_vec()
}

#[test]
fn each_broken_file_that_people_drop_in_has_a_sentence_that_says_what_to_do() {
    let set = Set::new();
    for (what, lay, expected) in BROKEN {
        let (held, told) = found(|folder| lay(folder, &set));
        assert_eq!(held, None, "{what}");
        assert!(
            told.len() == 1 && told[0].contains(expected),
            "{what}: {told:?}"
        );
    }
}

/// Dates and names are judged where it is known what a certificate is wanted for.
#[test]
fn one_that_is_not_valid_now_or_for_other_names_is_no_broken_file() {
    let day = Duration::from_secs(24 * 3600);
    let at = |time: Timestamp| {
        let seconds = time.millis() / 1000;
        OffsetDateTime::from_unix_timestamp(seconds).expect("a time")
    };
    for (what, host, begins, ends, is_valid, is_for_host) in [
        ("expired", HOST, NOW - day * 90, NOW - day, false, true),
        (
            "not yet valid",
            HOST,
            NOW + day,
            NOW + day * 90,
            false,
            true,
        ),
        (
            "other names",
            "other.example",
            NOW - day,
            NOW + day,
            true,
            false,
        ),
    ] {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new([host.to_owned()]).expect("a name");
        (params.not_before, params.not_after) = (at(begins), at(ends));
        let leaf = params.self_signed(&key).expect("it is signed").pem();
        let (held, told) = written(&[("server.crt", &leaf), ("server.key", &key.serialize_pem())]);
        let held = held.unwrap_or_else(|| panic!("{what}: {told:?}"));
        assert_eq!(told, [""; 0], "{what}");
        assert_eq!(held.is_valid_at(NOW), is_valid, "{what}");
        let host = Host::parse(HOST).expect("a name");
        assert_eq!(held.covers(&host), is_for_host, "{what}");
    }
}

#[test]
fn two_hundred_broken_ones_harm_no_good_one_and_stay_as_they_are() {
    let (set, place) = (Set::new(), place());
    let provided = place.certificates.join("provided");
    for number in 0..200 {
        let folder = provided.join(format!("bad-{number}"));
        fs::create_dir_all(&folder).expect("a folder");
        BROKEN[number % BROKEN.len()].1(&folder, &set);
    }
    damage::lay_out(&provided.join(HOST), HOST);
    let listed = || {
        let folders = fs::read_dir(&provided).expect("a list").flatten();
        let files =
            folders.flat_map(|folder| fs::read_dir(folder.path()).expect("a list").flatten());
        let mut listed: Vec<_> = files.map(|file| file.path()).collect();
        listed.sort();
        listed
    };
    let before = listed();
    let found = place.folders.certificates(NOW).expect("a look");
    assert_eq!(found.provided.keys().collect::<Vec<_>>(), [&name(HOST)]);
    assert_eq!(found.faults.len(), 200);
    assert_eq!(listed(), before);
}

#[test]
fn what_is_copied_file_by_file_is_taken_when_it_is_whole() {
    let (set, place) = (Set::new(), place());
    let folder = place.certificates.join("provided").join(HOST);
    fs::create_dir_all(&folder).expect("a folder");
    let half = &set.leaf[..set.leaf.len() / 2];
    for (file, text, is_whole) in [
        ("server.key", &*set.key, false),
        ("server.crt", half, false),
        ("server.crt", &*set.leaf, true),
        ("chain.crt", &set.issuer[..100], false),
        ("chain.crt", &*set.issuer, true),
    ] {
        fs::write(folder.join(file), text).expect("it is written");
        let found = place.folders.certificates(NOW).expect("a look");
        assert_eq!(
            found.provided.contains_key(&name(HOST)),
            is_whole,
            "{file}: {found:?}"
        );
    }
}
