//! The commands for accounts and certificates by hand, as users start them.
#![expect(
    clippy::disallowed_methods,
    reason = "the program and openssl are started as users start them"
)]
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::{
    fs,
    io::Write,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use quaymaster::{
    adapters::disk::{Folders, Lock},
    observe::Source,
    ports::{CertificateStore, Clock, NewCertificate},
    values::{CertificateName, Secret},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::spawn_blocking;

use crate::{
    acme::bench::{Bench, RealClock, asked},
    support::{
        canned::Reply,
        fake_ca::Twist,
        front::Front,
        pebble::{Behaviour, Pebble},
        program::binary,
    },
};

/// A folder with a state of its own, and a CA.
pub struct Hand {
    folder: TempDir,
    directory: String,
}

/// The end of a command: its exit code, its output, and its log.
pub type Ended = (Option<i32>, String, String);

impl Hand {
    pub fn at(pebble: &Pebble) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("root.pem"), pebble.root()).unwrap();
        Self {
            folder,
            directory: pebble.directory(),
        }
    }

    /// Makes one for a CA that is asked through a front.
    pub fn behind(front: &Front) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("root.pem"), &front.server.root).unwrap();
        Self {
            folder,
            directory: front.server.url("/dir"),
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn words(&self, words: &[&str]) -> Vec<String> {
        let place = |name: &str| self.path(name).display().to_string();
        let own = [
            format!("--state={}", place("state")),
            format!("--certificates={}", place("certificates")),
            format!("--ca={}", self.directory),
            format!("--ca-root={}", place("root.pem")),
        ];
        words
            .iter()
            .map(|&word| word.to_owned())
            .chain(own)
            .collect()
    }

    /// Runs a command without a terminal.
    pub fn run(&self, words: &[&str]) -> Ended {
        let output = Command::new(binary())
            .env_clear()
            .current_dir(self.folder.path())
            .args(self.words(words))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (
            output.status.code(),
            text(output.stdout),
            text(output.stderr),
        )
    }

    pub fn json(&self, words: &[&str]) -> Value {
        let (code, told, log) = self.run(&[words, &["--format=json"]].concat());
        assert_eq!(code, Some(0), "{told}{log}");
        serde_json::from_str(&told).unwrap()
    }

    /// Runs a command on a terminal where somebody types this; all that is seen there.
    pub fn typed(&self, words: &[&str], answer: &str) -> (Option<i32>, String) {
        let line = [vec![binary().to_owned()], self.words(words)].concat();
        let mut script = Command::new("script")
            .args(["-qec", &line.join(" "), "/dev/null"])
            .current_dir(self.folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("util-linux has script");
        script
            .stdin
            .take()
            .unwrap()
            .write_all(answer.as_bytes())
            .unwrap();
        let output = script.wait_with_output().unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stdout).unwrap(),
        )
    }

    /// The one account in state: its file, and what is in it.
    fn account(&self) -> Option<(PathBuf, Value)> {
        let folders = fs::read_dir(self.path("state/accounts")).ok()?;
        let mut files = folders.map(|folder| folder.unwrap().path().join("account.json"));
        let file = files.find(|file| file.exists())?;
        let text = fs::read_to_string(&file).unwrap();
        Some((file, serde_json::from_str(&text).unwrap()))
    }
}

/// All files below a folder that others than their owner may read.
pub fn exposed(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(exposed(&path));
        } else if fs::metadata(&path).unwrap().permissions().mode() & 0o077 != 0 {
            found.push(path);
        }
    }
    found
}

pub fn openssl(words: &[&str]) -> String {
    let output = Command::new("openssl").args(words).output();
    let output = output.expect("Debian's package openssl is installed");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words:?}: {told}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn an_account_is_registered_shown_listed_given_another_key_and_ended() {
    let pebble = Pebble::start(1, Behaviour::default());
    let hand = Hand::at(&pebble);
    let ca = pebble.directory();
    let (code, told, log) = hand.run(&["register"]);
    assert_eq!((code, told.as_str()), (Some(2), ""), "{log}");
    assert!(
        log.contains("data:text/plain") && log.contains("add --yes"),
        "{log}"
    );
    assert_eq!(hand.account(), None, "nothing was made");
    let (code, told, log) = hand.run(&["account", &ca]);
    assert_eq!((code, told.as_str()), (Some(2), ""), "{log}");
    assert!(log.contains("`quaymaster register"), "{log}");
    assert!(!log.contains("add --yes"), "{log}");
    let made = hand.json(&["register", "--yes", "--email=me@shop.example"]);
    assert_eq!(made["outcome"], "registered");
    assert_eq!(
        (&made["status"], &made["contact"][0]),
        (&json!("valid"), &json!("mailto:me@shop.example"))
    );
    let (file, record) = hand.account().unwrap();
    assert_eq!(record["url"], made["url"]);
    assert_eq!(
        fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );
    // Once more: nothing is made, and the contact is what the settings say now.
    let known = hand.json(&["register", "--email=you@shop.example"]);
    assert_eq!(
        (&known["outcome"], &known["url"]),
        (&json!("known"), &made["url"])
    );
    assert_eq!(known["contact"][0], "mailto:you@shop.example");
    let shown = hand.json(&["account", &ca, "--email=you@shop.example"]);
    for part in [
        "url",
        "status",
        "contact",
        "terms",
        "key_type",
        "thumbprint",
    ] {
        assert_eq!(shown[part], known[part], "{part}");
    }
    // Pebble says nothing of how CAA records name it.
    assert_eq!(shown["caa"], Value::Null);
    let (_, told, _) = hand.run(&["account"]);
    let url = made["url"].as_str().unwrap();
    assert!(
        told.contains(url) && told.contains("you@shop.example") && told.contains(&ca),
        "{told}"
    );
    let rolled = hand.json(&["account", &ca, "--roll-over"]);
    assert_ne!(rolled["thumbprint"], shown["thumbprint"]);
    assert_eq!(
        hand.json(&["account", &ca])["thumbprint"],
        rolled["thumbprint"]
    );
    assert_eq!(exposed(&hand.path("state")), Vec::<PathBuf>::new());
    let (code, told, log) = hand.run(&["account", &ca, "--deactivate"]);
    assert_eq!((code, told.as_str()), (Some(2), ""), "{log}");
    assert!(log.contains("add --yes"), "{log}");
    let (code, seen) = hand.typed(&["account", &ca, "--deactivate"], "n\n");
    assert_eq!(code, Some(130), "{seen}");
    assert!(
        seen.contains("nothing brings it back") && seen.contains("nothing was done"),
        "{seen}"
    );
    assert_eq!(hand.json(&["account", &ca])["status"], "valid");
    let (code, seen) = hand.typed(&["account", &ca, "--deactivate"], "y\n");
    assert_eq!(code, Some(0), "{seen}");
    assert!(seen.contains("account.json.deactivated"), "{seen}");
    assert!(file.with_file_name("account.json.deactivated").exists() && !file.exists());
    assert_eq!(exposed(&hand.path("state")), Vec::<PathBuf>::new());
    let again = hand.json(&["register", "--yes"]);
    assert_ne!(again["url"], made["url"]);
}

#[test]
fn terms_are_agreed_to_on_a_terminal_and_a_ca_that_nobody_knows_is_told_with_all_names() {
    let pebble = Pebble::start(1, Behaviour::default());
    let hand = Hand::at(&pebble);
    let (code, seen) = hand.typed(&["register"], "no\n");
    assert_eq!((code, hand.account()), (Some(130), None), "{seen}");
    // A terminal that closes in the midst of the question has agreed to nothing.
    let (code, seen) = hand.typed(&["register"], "\u{4}");
    assert_eq!((code, hand.account()), (Some(130), None), "{seen}");
    let (code, seen) = hand.typed(&["register"], "yes\n");
    assert_eq!(code, Some(0), "{seen}");
    assert!(
        seen.contains("data:text/plain") && seen.contains("registered"),
        "{seen}"
    );
    for command in ["register", "account"] {
        let (code, told, log) = hand.run(&[command, "letsencript"]);
        assert_eq!((code, told.as_str()), (Some(2), ""));
        assert!(log.contains("letsencrypt, staging, zerossl"), "{log}");
    }
    let (code, _, log) = hand.run(&["account", "self-signed"]);
    assert_eq!(code, Some(2));
    assert!(log.contains("asks no CA"), "{log}");
}

#[test]
fn the_account_of_a_key_is_taken_over_and_none_is_put_over_another() {
    let pebble = Pebble::start(1, Behaviour::default());
    for kind in ["rsa", "p384", "p256"] {
        let (first, second) = (Hand::at(&pebble), Hand::at(&pebble));
        let key = first.path("key.pem");
        let place = key.display().to_string();
        match kind {
            "rsa" => openssl(&["genrsa", "-traditional", "-out", &place, "2048"]),
            "p384" => openssl(&[
                "ecparam",
                "-name",
                "secp384r1",
                "-genkey",
                "-noout",
                "-out",
                &place,
            ]),
            _ => openssl(&[
                "ecparam",
                "-name",
                "prime256v1",
                "-genkey",
                "-noout",
                "-out",
                &place,
            ]),
        };
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        let (code, told, log) = first.run(&["register", "--account", &place]);
        assert_eq!((code, told.as_str()), (Some(6), ""), "{log}");
        assert!(log.contains("there is no account with this key"), "{log}");
        assert_eq!(first.account(), None);
        // Registered with this key, as another program does it.
        let made = first.json(&["register", "--yes"]);
        let (file, _) = first.account().unwrap();
        fs::write(
            &file,
            json!({"url": null, "key": fs::read_to_string(&key).unwrap()}).to_string(),
        )
        .unwrap();
        let own = first.json(&["register", "--yes"]);
        assert_ne!(own["url"], made["url"], "{kind}");
        let manuale = second.path("account.json");
        let text = json!({"key": fs::read_to_string(&key).unwrap(), "uri": own["url"]});
        fs::write(&manuale, text.to_string()).unwrap();
        fs::set_permissions(&manuale, fs::Permissions::from_mode(0o644)).unwrap();
        let place = manuale.display().to_string();
        let words = ["register", "--account", &place];
        let (code, told, log) = second.run(&words);
        assert_eq!(code, Some(0), "{told}{log}");
        assert!(
            told.starts_with("taken over") && told.contains(own["url"].as_str().unwrap()),
            "{told}"
        );
        assert!(log.contains("chmod 600"), "{log}");
        assert_eq!(exposed(&second.path("state")), Vec::<PathBuf>::new());
        assert_eq!(second.json(&words)["outcome"], "known");
        let record = second.account();
        // The account of another key is not put over it.
        openssl(&["genrsa", "-traditional", "-out", &place, "2048"]);
        let (code, told, log) = second.run(&words);
        assert_eq!((code, told.as_str()), (Some(2), ""), "{log}");
        assert!(log.contains("it is not overwritten"), "{log}");
        assert_eq!(second.account(), record);
    }
}

#[test]
fn an_account_of_the_first_version_is_upgraded_in_manuale_s_file() {
    let pebble = Pebble::start(1, Behaviour::default());
    let hand = Hand::at(&pebble);
    let made = hand.json(&["register", "--yes"]);
    let (_, record) = hand.account().unwrap();
    let file = hand.path("account.json");
    let place = file.display().to_string();
    let of = |uri: &str| json!({"key": record["key"], "uri": uri, "note": "mine"});
    let old = of("https://acme-v01.api.letsencrypt.org/acme/reg/1");
    fs::write(&file, old.to_string()).unwrap();
    let read = || -> Value { serde_json::from_slice(&fs::read(&file).unwrap()).unwrap() };
    let (code, told, log) = hand.run(&["upgrade"]);
    assert_eq!((code, told.as_str()), (Some(2), ""), "{log}");
    assert!(log.contains("add --yes"), "{log}");
    assert_eq!(read(), old);
    let upgraded = hand.json(&["upgrade", "--yes"]);
    assert_eq!(
        (&upgraded["outcome"], &upgraded["url"]),
        (&json!("upgraded"), &made["url"])
    );
    assert_eq!(read(), of(made["url"].as_str().unwrap()));
    assert_eq!(
        fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert_eq!(hand.json(&["upgrade", &place])["outcome"], "unchanged");
    // An account that the CA does not have.
    let key = openssl(&["genrsa", "-traditional", "2048"]);
    let strange = json!({"key": key, "uri": old["uri"]});
    fs::write(&file, strange.to_string()).unwrap();
    let (code, told, log) = hand.run(&["upgrade", "--yes"]);
    assert_eq!((code, told.as_str()), (Some(6), ""), "{log}");
    assert_eq!(read(), strange);
    fs::write(&file, &key).unwrap();
    let (code, _, log) = hand.run(&["upgrade", "--yes"]);
    assert_eq!(code, Some(2), "{log}");
    assert!(log.contains("nothing to upgrade"), "{log}");
}

#[tokio::test]
async fn a_certificate_is_revoked_by_its_key_once_and_nothing_is_done_without_a_yes() {
    let bench = Bench::start(Behaviour::default()).await;
    let (chain, key) = bench
        .issue(&bench.authority(), &["shop.example"])
        .await
        .unwrap();
    let hand = Hand::at(&bench.pebble);
    fs::write(hand.path("shop.crt"), &chain).unwrap();
    let revoke = ["revoke", "./shop.crt"];
    let (code, _, log) = hand.run(&[&revoke[..], &["--yes"]].concat());
    assert_eq!(code, Some(2), "{log}");
    assert!(log.contains("no key of the certificate"), "{log}");
    fs::write(hand.path("shop.key"), key.expose()).unwrap();
    let (code, told, log) = hand.run(&revoke);
    assert_eq!((code, told.as_str()), (Some(2), ""), "{log}");
    assert!(
        log.contains("for shop.example") && log.contains("add --yes"),
        "{log}"
    );
    let (code, told, log) = hand.run(&[&revoke[..], &["--yes", "--reason=2"]].concat());
    assert_eq!((code, told.as_str()), (Some(2), ""), "{log}");
    assert!(log.contains("1 or keyCompromise"), "{log}");
    assert_eq!(bench.count("/revoke-cert"), 0);
    let done = hand.json(&[&revoke[..], &["--yes", "--reason=keyCompromise"]].concat());
    assert_eq!(
        (&done["outcome"], &done["reason"]),
        (&json!("by-key"), &json!("keyCompromise"))
    );
    let (code, told, _) = hand.run(&[&revoke[..], &["--yes"]].concat());
    assert_eq!(code, Some(0));
    assert!(told.contains("revoked already"), "{told}");
    assert_eq!(hand.account(), None, "no account is made for it");
}

#[test]
fn what_is_told_of_a_certificate_agrees_with_openssl() {
    let pebble = Pebble::start(1, Behaviour::default());
    let hand = Hand::at(&pebble);
    for (kind, key_type) in [
        (&["rsa:2048"][..], "rsa-2048"),
        (&["ec", "-pkeyopt", "ec_paramgen_curve:P-256"][..], "ec-256"),
    ] {
        let [key, file] =
            ["shop.key", "shop.crt"].map(|name| hand.path(name).display().to_string());
        let words = [
            &["req", "-x509", "-nodes", "-days", "30", "-newkey"][..],
            kind,
            &["-subj", "/O=Shop/CN=shop.example", "-addext"],
            &["subjectAltName=DNS:shop.example,DNS:*.shop.example,IP:10.0.0.1"],
            &["-keyout", &key, "-out", &file],
        ];
        openssl(&words.concat());
        let info = hand.json(&["info", &file]);
        assert_eq!(
            info["names"],
            json!(["shop.example", "*.shop.example", "10.0.0.1"])
        );
        assert_eq!(info["key_type"], key_type);
        assert_eq!(
            (&info["key"]["state"], &info["key"]["file"]),
            (&json!("fits"), &json!("shop.key"))
        );
        assert_eq!(
            (&info["live"], &info["is_root_known"]),
            (&Value::Null, &json!(false))
        );
        let asked = [
            "-serial",
            "-fingerprint",
            "-sha256",
            "-startdate",
            "-enddate",
            "-dateopt",
            "iso_8601",
        ];
        let told = openssl(&[&["x509", "-noout", "-in", &file][..], &asked].concat());
        let text = |part: &str| info[part].as_str().unwrap().to_owned();
        let date = |part: &str| text(part).replace('T', " ");
        assert_eq!(
            told,
            format!(
                "serial={}\nsha256 Fingerprint={}\nnotBefore={}\nnotAfter={}\n",
                text("serial").to_uppercase(),
                text("sha256"),
                date("not_before"),
                date("not_after")
            )
        );
        let (code, told, log) = hand.run(&["info", &file]);
        assert_eq!((code, log.as_str()), (Some(0), ""));
        for words in [
            "29 days left",
            "there, in shop.key, and fits",
            "live        no",
            &text("sha256"),
        ] {
            assert!(told.contains(words), "{words}: {told}");
        }
        // The key of another.
        openssl(&["genrsa", "-out", &key, "2048"]);
        assert_eq!(hand.json(&["info", &file])["key"]["state"], "of-another");
        fs::remove_file(&key).unwrap();
        assert_eq!(hand.json(&["info", &file])["key"]["state"], "missing");
    }
    let (code, _, log) = hand.run(&["info", "shop.exmaple"]);
    assert_eq!(code, Some(2));
    assert!(
        log.contains("there is no certificate shop.exmaple"),
        "{log}"
    );
    let (code, _, log) = hand.run(&["info", "root.pem", "none.pem"]);
    assert_eq!(code, Some(2));
    assert!(log.contains("there is no such file"), "{log}");
}

#[tokio::test]
async fn a_live_certificate_is_shown_and_ordered_anew_where_its_key_is_another_s() {
    let bench = Bench::start(Behaviour::default()).await;
    let hand = Hand::at(&bench.pebble);
    let (state, name) = (
        hand.path("state"),
        CertificateName::parse("shop.example").unwrap(),
    );
    let folders = Folders::new(hand.path("certificates"), state.clone(), |_| ());
    // The account that ordered it lies in state.
    assert_eq!(hand.json(&["register", "--yes"])["outcome"], "registered");
    let (_, record) = hand.account().unwrap();
    let record = Secret::new(record.to_string());
    bench
        .disk
        .accounts
        .borrow_mut()
        .insert(bench.pebble.directory(), record);
    for is_daemon_there in [false, true] {
        let (chain, key) = bench
            .issue(&bench.authority(), &["shop.example"])
            .await
            .unwrap();
        let held = folders.store(&NewCertificate {
            name: &name,
            names: &asked(&["shop.example"]),
            key: &key,
            chain: &chain,
            source: Source::Acme(bench.pebble.directory()),
            profile: None,
            now: RealClock.now(),
        });
        let held = held.unwrap();
        for word in [
            "shop.example",
            "certificates/live/shop.example/cert.pem",
            "certificates/live/shop.example",
        ] {
            let info = hand.json(&["info", word]);
            assert_eq!(
                (&info["live"], &info["serial"]),
                (&json!("shop.example"), &json!(held.serial)),
                "{word}"
            );
            assert_eq!(
                (&info["given_to"], &info["key"]["state"]),
                (&json!([]), &json!("fits")),
                "{word}"
            );
            assert_eq!(info["renewal_id"], json!(held.renewal_id));
            let chain = info["chain"].as_array().unwrap();
            assert_eq!(
                chain.len(),
                usize::from(word.ends_with("example")),
                "{word}"
            );
        }
        let told = hand.run(&["info", "shop.example"]).1;
        assert!(
            told.contains("live        as shop.example, obtained from https://127.0.0.1"),
            "{told}"
        );
        // Another process holds the state, and breathes.
        let daemon = is_daemon_there.then(|| {
            fs::write(state.join("alive"), String::from(RealClock.now())).unwrap();
            let lock = state.join("lock").display().to_string();
            let mut command = Command::new("flock");
            Holding(
                command
                    .args([&lock, "sleep", "60"])
                    .spawn()
                    .expect("util-linux has flock"),
            )
        });
        while is_daemon_there && !Lock::is_held(&state).unwrap() {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        let words = ["revoke", "shop.example", "--yes", "--reason=1"];
        let done = hand.json(&words);
        assert_eq!(done["outcome"], "by-key");
        assert_eq!(done["is_ordered_anew"], is_daemon_there);
        let wish = fs::read_to_string(state.join("wishes/shop.example.json")).ok();
        let next = done["next"].as_str().unwrap();
        match wish {
            None => assert!(
                next.contains("`quaymaster renew --force shop.example`"),
                "{next}"
            ),
            Some(wish) => {
                let wish: Value = serde_json::from_str(&wish).unwrap();
                assert_eq!(
                    (&wish["force"], &wish["stage"]),
                    (&json!(true), &json!("open"))
                );
                assert!(
                    next.contains("orders shop.example again with a new key"),
                    "{next}"
                );
            }
        }
        assert_eq!(
            state.join("wishes/shop.example.json").exists(),
            is_daemon_there
        );
        assert_eq!(
            hand.json(&["revoke", "shop.example", "--yes"])["outcome"],
            "already"
        );
        drop(daemon);
    }
}

#[tokio::test]
async fn an_e_mail_address_that_the_ca_refuses_is_told_and_the_account_is_there() {
    let pebble = Pebble::start(1, Behaviour::default());
    // What is sent to the account's own URL first is the contact.
    let front = Front::start(&pebble, |asked, before| {
        let is_account = |line: &str| line.starts_with("POST /my-account/");
        match is_account(asked) && !before.iter().any(|line| is_account(line)) {
            true => Twist::Instead(Reply::new(
                400,
                &["Replay-Nonce: bm9uY2U"],
                r#"{"type": "urn:ietf:params:acme:error:invalidContact", "detail": "not this one"}"#,
            )),
            false => Twist::Nothing,
        }
    })
    .await;
    let hand = Hand::behind(&front);
    let run = spawn_blocking(move || {
        let ended = hand.run(&["register", "--yes", "--email=me@shop.example"]);
        (ended, hand.account().is_some())
    });
    let ((code, told, log), is_there) = run.await.unwrap();
    assert_eq!((code, is_there), (Some(3), true), "{told}{log}");
    assert!(told.starts_with("registered"), "{told}");
    assert!(
        told.contains("me@shop.example") && told.contains("not this one"),
        "{told}"
    );
}

/// Ends its process when dropped.
pub struct Holding(pub std::process::Child);

impl Drop for Holding {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_system_s_roots_stay_trusted_beside_those_of_the_settings() {
    let [pebble, other] = [(), ()].map(|()| Pebble::start(1, Behaviour::default()));
    let hand = Hand::at(&pebble);
    let system = hand.path("system.pem");
    fs::write(&system, pebble.root()).unwrap();
    // The settings name another CA's.
    fs::write(hand.path("root.pem"), other.root()).unwrap();
    let registered = |system: Option<&Path>| {
        let mut command = Command::new(binary());
        command.env_clear().args(hand.words(&["register", "--yes"]));
        if let Some(system) = system {
            command.env("SSL_CERT_FILE", system);
        }
        let output = command.stdin(Stdio::null()).output().unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (code, log) = registered(None);
    assert_eq!(code, Some(5), "{log}");
    let (code, log) = registered(Some(&system));
    assert_eq!(code, Some(0), "{log}");
}
