//! Other ACME clients as Debian has them: what they obtained from a real CA is taken over as it lies there.
#![expect(
    clippy::disallowed_methods,
    reason = "the programs are started as users start them"
)]
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::{
    collections::BTreeMap,
    fs,
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    by_hand::Hand,
    command_line::{import, import_by},
    support::{
        pebble::{Behaviour, Pebble},
        program::binary,
    },
};

/// The command of a client that obtains a certificate for these names, all of its files below a folder.
type Client = fn(folder: &Path, pebble: &Pebble, port: u16, names: &[&str]) -> Command;

fn certbot(folder: &Path, pebble: &Pebble, port: u16, names: &[&str]) -> Command {
    let mut command = Command::new("certbot");
    command
        .args([
            "certonly",
            "--standalone",
            "--non-interactive",
            "--agree-tos",
        ])
        .args([
            "--email",
            "me@shop.example",
            "--http-01-address",
            "127.0.0.1",
        ])
        .args(["--http-01-port", &port.to_string()])
        .args(["--server", &pebble.directory()])
        .env("REQUESTS_CA_BUNDLE", folder.join("root.pem"));
    for (flag, place) in [("config", "kept"), ("work", "work"), ("logs", "logs")] {
        command.arg(format!("--{flag}-dir")).arg(folder.join(place));
    }
    for name in names {
        command.args(["-d", name]);
    }
    command
}

fn lego(folder: &Path, pebble: &Pebble, port: u16, names: &[&str]) -> Command {
    let mut command = Command::new("lego");
    command
        .args(["--server", &pebble.directory(), "--accept-tos"])
        .args(["--email", "me@shop.example", "--http"])
        .args(["--http.port", &format!("127.0.0.1:{port}")])
        .arg("--path")
        .arg(folder.join("kept"))
        .env("LEGO_CA_CERTIFICATES", folder.join("root.pem"));
    for name in names {
        command.args(["--domains", name]);
    }
    command.arg("run");
    command
}

/// A folder in which a client has obtained a certificate for each list of names. A port that was free when it was asked for
/// may be another's by the time it is used: then all is begun anew.
fn obtained(client: Client, certificates: &[&[&str]]) -> TempDir {
    let mut told = String::new();
    for _ in 0..5 {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let pebble = Pebble::start(port, Behaviour::default());
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("root.pem"), pebble.root()).unwrap();
        let is_whole = certificates.iter().all(|names| {
            let mut command = client(folder.path(), &pebble, port, names);
            let output = command.stdin(Stdio::null()).output();
            let output = output.expect("Debian's packages certbot and lego are installed");
            told = String::from_utf8_lossy(&output.stderr).into_owned();
            output.status.success()
        });
        if is_whole {
            return folder;
        }
    }
    panic!("it obtains no certificate: {told}");
}

/// All files below a folder, with modes and bytes, and links as what they lead to.
fn picture(folder: &Path) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(picture(&path));
        } else {
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            found.insert(path.clone(), (mode, fs::read(&path).unwrap()));
        }
    }
    found
}

/// Takes over what a client obtained: first to see it, then in earnest, then again.
fn takes_over(client: Client, word: &str, account_key: &str) {
    let obtained = obtained(
        client,
        &[&["shop.example", "www.shop.example"], &["b.example"]],
    );
    let from = obtained.path().join("kept");
    let before = picture(&from);
    let ours = tempfile::tempdir().unwrap();
    let run = |words: &[&str]| {
        let from = from.display().to_string();
        let words = [&[from.as_str()], words].concat();
        import(ours.path(), &words, Stdio::null())
    };
    let provided = ours.path().join("certificates/provided");
    let (code, told, log) = run(&["--dry-run"]);
    assert_eq!((code, log.as_str()), (Some(0), ""), "{told}");
    assert!(
        told.starts_with(&format!("{word} keeps these in")),
        "{told}"
    );
    assert_eq!(told.matches("would be imported").count(), 2, "{told}");
    assert!(told.contains("RENEWED FROM"), "{told}");
    assert!(!provided.exists(), "nothing is written");
    let (code, told, log) = run(&["--format=json"]);
    assert_eq!((code, log.as_str()), (Some(0), ""), "{told}");
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["client"], word);
    let account = told["left"][0]["path"].as_str().unwrap();
    assert!(
        account.starts_with("accounts/") && account.ends_with(account_key),
        "{account}"
    );
    assert!(from.join(account).is_file(), "{account}");
    let certificates = told["certificates"].as_array().unwrap();
    let outcomes = certificates.iter().map(|it| (&it["name"], &it["outcome"]));
    for (name, outcome) in outcomes {
        assert_eq!(outcome, "imported", "{name}");
        let folder = provided.join(name.as_str().unwrap());
        let mode = fs::metadata(folder.join("privkey.pem"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(folder.join("renew").exists(), "one of ours follows it");
        let chain = fs::read_to_string(folder.join("fullchain.pem")).unwrap();
        assert!(
            chain.matches("BEGIN CERTIFICATE").count() > 1,
            "{name}: {chain}"
        );
    }
    let names = certificates.iter().map(|it| it["name"].as_str().unwrap());
    assert_eq!(names.collect::<Vec<_>>(), ["b.example", "shop.example"]);
    let (code, told, _) = run(&[]);
    assert_eq!(
        (code, told.matches("unchanged").count()),
        (Some(0), 2),
        "{told}"
    );
    assert_eq!(picture(&from), before, "nothing changed where it was");
    // A key of another certificate is told, and the other one is taken all the same.
    let key = before.keys().find(|path| {
        let path = path.display().to_string();
        path.ends_with("live/b.example/privkey.pem") || path.ends_with("b.example.key")
    });
    fs::write(
        key.unwrap(),
        rcgen::KeyPair::generate().unwrap().serialize_pem(),
    )
    .unwrap();
    let (code, told, _) = run(&[]);
    assert_eq!(code, Some(3), "{told}");
    assert!(
        told.contains("belongs to another certificate") && told.contains("unchanged"),
        "{told}"
    );
    let (code, told, log) = run(&["--name=other"]);
    assert_eq!((code, told.as_str()), (Some(2), ""));
    assert!(
        log.contains("--name and --password-file are for one certificate"),
        "{log}"
    );
}

/// An old kernel, or a filter of system calls that does not know the call by which links are kept in a folder.
#[test]
fn a_plain_folder_is_imported_where_links_can_not_be_kept_in_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("own");
    fs::create_dir(&own).unwrap();
    let made = rcgen::generate_simple_self_signed(["shop.example".to_owned()]).unwrap();
    fs::write(own.join("shop.key"), made.signing_key.serialize_pem()).unwrap();
    fs::write(own.join("shop.crt"), made.cert.pem()).unwrap();
    let from = own.display().to_string();
    for (error, name) in [("ENOSYS", "old-kernel"), ("EPERM", "filter")] {
        let trace = folder.path().join(format!("trace.{error}"));
        let mut command = Command::new("strace");
        command
            .args(["-f", "-e", "trace=openat2", "-e"])
            .arg(format!("inject=openat2:error={error}"))
            .arg("-o")
            .arg(&trace)
            .arg(binary());
        let words = [from.as_str(), "--name", name];
        let (code, told, log) = import_by(command, folder.path(), &words, Stdio::null());
        assert_eq!(code, Some(0), "{told}{log}");
        let calls = fs::read_to_string(&trace).unwrap();
        assert!(calls.contains("(INJECTED)"), "{calls}");
        let provided = folder.path().join("certificates/provided");
        let key = provided.join(name).join("privkey.pem");
        let key = fs::read_to_string(key).unwrap();
        assert_eq!(key, made.signing_key.serialize_pem());
    }
}

#[test]
fn what_certbot_obtained_is_taken_over_whole_without_an_order_or_a_trace() {
    takes_over(certbot, "certbot", "/private_key.json");
}

#[test]
fn what_lego_obtained_is_taken_over_whole_without_an_order_or_a_trace() {
    takes_over(lego, "lego", ".key");
}

#[test]
fn the_account_of_certbot_is_taken_over_by_its_own_file_which_stays() {
    let pebble = Pebble::start(1, Behaviour::default());
    let hand = Hand::at(&pebble);
    let folder = hand.path("certbot");
    let mut command = Command::new("certbot");
    command
        .args(["register", "--non-interactive", "--agree-tos"])
        .args(["--register-unsafely-without-email", "--key-type", "rsa"])
        .args(["--server", &pebble.directory()])
        .env("REQUESTS_CA_BUNDLE", hand.path("root.pem"));
    for (flag, place) in [("config", "kept"), ("work", "work"), ("logs", "logs")] {
        command.arg(format!("--{flag}-dir")).arg(folder.join(place));
    }
    let output = command.stdin(Stdio::null()).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    let before = picture(&folder.join("kept"));
    let mut files = before.keys();
    let file = files
        .find(|path| path.ends_with("private_key.json"))
        .unwrap();
    let registration = fs::read(file.with_file_name("regr.json")).unwrap();
    let registration: Value = serde_json::from_slice(&registration).unwrap();
    let place = file.display().to_string();
    let taken = hand.json(&["register", "--account", &place]);
    assert_eq!(taken["outcome"], "recovered");
    assert_eq!(taken["url"], registration["uri"]);
    assert_eq!(picture(&folder.join("kept")), before);
}
