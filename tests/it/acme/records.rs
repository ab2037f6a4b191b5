//! The command `records`, as users start it: what it prints for a zone, and what it tries out at a real DNS server.
#![expect(
    clippy::disallowed_methods,
    reason = "the program is started as users start it"
)]

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use quaymaster::{
    adapters::disk::Folders,
    ports::{OrderRecord, Orders, ShownResponse, TxtProof},
    values::{CertificateName, Digest, Secret},
};
use rcgen::KeyPair;
use tokio::task::spawn_blocking;

use crate::{
    by_hand::{Ended, Hand},
    support::{
        fake_ca::Twist,
        front::Front,
        knot::{KEY, KEY_NAME, Knot},
        pebble::{Behaviour, Pebble},
        program::binary,
    },
};

/// Runs it with these settings and a state in the folder.
fn records(folder: &Path, settings: &str, words: &[&str]) -> Ended {
    let file = folder.join("quaymaster.toml");
    fs::write(&file, settings).unwrap();
    let output = Command::new(binary())
        .env_clear()
        .arg("records")
        .arg("--config")
        .arg(&file)
        .arg("--state")
        .arg(folder.join("state"))
        .args(words)
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

/// A table `[dns.NAME]` for this server.
fn table(name: &str, knot: &Knot, key: &str) -> String {
    format!(
        "[dns.{name}]\nprovider = \"rfc2136\"\nserver = \"{at}\"\nkey-name = \"{KEY_NAME}\"\nkey = \"{key}\"\n\
         nameservers = \"{at}\"\n",
        at = knot.at
    )
}

#[test]
fn a_record_is_tried_out_by_each_table_and_what_is_wrong_is_told_for_each() {
    let alias = "_acme-challenge.other CNAME other.acme.example.";
    let knot = Knot::start(&[("shop.example", alias), ("acme.example", "")]);
    let folder = tempfile::tempdir().unwrap();
    let wrong_key = "AAAAZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wE=";
    let file = folder.path().join("none");
    let settings = format!(
        "resolver = \"{}\"\n{}{}[dns.gone]\nprovider = \"desec\"\ntoken-file = {file:?}\n",
        knot.at,
        table("good", &knot, KEY),
        table("bad", &knot, wrong_key)
    );
    let asked = ["--try", "*.shop.example", "other.shop.example"];
    let (code, told, log) = records(folder.path(), &settings, &asked);
    assert_eq!(code, Some(3), "{told}{log}");
    let lines: Vec<_> = told.lines().collect();
    assert_eq!(lines.len(), 6, "{told}");
    for (expected, words) in [
        (
            "[dns.bad] rfc2136, *.shop.example: PROBLEM: the record can't be set",
            "has another secret",
        ),
        (
            "[dns.bad] rfc2136, other.shop.example: PROBLEM",
            "has another secret",
        ),
        (
            "[dns.gone] desec, *.shop.example: PROBLEM",
            "put the token into",
        ),
        (
            "[dns.gone] desec, other.shop.example: PROBLEM",
            "put the token into",
        ),
        (
            "[dns.good] rfc2136, *.shop.example: set at _acme-challenge.shop.example in the zone shop.example",
            "removed again",
        ),
        (
            "[dns.good] rfc2136, other.shop.example: set at other.acme.example in the zone acme.example",
            "removed again",
        ),
    ] {
        let mut found = lines.iter();
        let is_told = |line: &&&str| line.starts_with(expected) && line.contains(words);
        assert!(found.any(|line| is_told(&line)), "{expected}: {told}");
    }
    for name in ["_acme-challenge.shop.example", "other.acme.example"] {
        assert_eq!(knot.asked(name, "TXT"), [""; 0]);
    }
    let chosen = [&["--dns", "good"][..], &asked].concat();
    let (code, told, log) = records(folder.path(), &settings, &chosen);
    assert_eq!((code, told.lines().count()), (Some(0), 2), "{told}{log}");

    let chosen = [&["--format", "json"][..], &chosen].concat();
    let (code, told, log) = records(folder.path(), &settings, &chosen);
    assert_eq!(code, Some(0), "{told}{log}");
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!(
        told[0],
        serde_json::json!({
            "table": "good", "provider": "rfc2136", "name": "*.shop.example", "place": "_acme-challenge.shop.example",
            "zone": "shop.example"
        })
    );

    let (code, _, log) = records(folder.path(), "", &["--try", "shop.example"]);
    assert_eq!(code, Some(2), "{log}");
    assert!(
        log.contains("the settings have no table [dns.NAME]"),
        "{log}"
    );
}

#[test]
fn a_try_that_is_interrupted_removes_its_record_and_begins_no_other() {
    let knot = Knot::start(&[("shop.example", "")]);
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let folder = tempfile::tempdir().unwrap();
        // Nobody answers there, so that the record is never seen.
        let deaf = format!("nameservers = \"{}\"", knot.at);
        let settings = format!(
            "resolver = \"{}\"\n{}",
            knot.at,
            table("home", &knot, KEY).replace(&deaf, "nameservers = \"127.0.0.1:9\"")
        );
        let file = folder.path().join("quaymaster.toml");
        fs::write(&file, settings).unwrap();
        let trying = Command::new(binary())
            .env_clear()
            .args(["records", "--try", "shop.example", "other.shop.example"])
            .arg("--config")
            .arg(&file)
            .arg("--state")
            .arg(folder.path().join("state"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let there = || knot.asked("_acme-challenge.shop.example", "TXT");
        let began = Instant::now();
        while there().is_empty() {
            assert!(began.elapsed() < Duration::from_secs(60), "it is not set");
        }
        let process = Pid::from_raw(i32::try_from(trying.id()).unwrap());
        kill(process, signal).unwrap();
        let ended = trying.wait_with_output().unwrap();
        let told = String::from_utf8(ended.stdout).unwrap();
        assert_eq!(ended.status.code(), Some(130), "{signal}: {told}");
        assert_eq!(there(), [""; 0], "{signal}: {told}");
        assert!(told.contains("was removed again"), "{told}");
        assert_eq!(told.lines().count(), 1, "{told}");
    }
}

#[tokio::test]
async fn what_is_to_be_pasted_into_a_zone_is_printed_with_our_account_and_what_orders_wait_for() {
    let pebble = Pebble::start(1, Behaviour::default());
    // As public CAs do, and Pebble does not.
    let meta = (
        "\"meta\": {",
        "\"meta\": {\"caaIdentities\": [\"ca.example\"], \"issuerDomainNames\": [\"ca.example\"], \
         \"accountHashPrefix\": \"https://ca.example/hash/\",",
    );
    let front = Front::start(&pebble, move |asked, _| match asked {
        "GET /dir" => Twist::Replace(vec![meta]),
        _ => Twist::Nothing,
    })
    .await;
    let hand = Hand::behind(&front);
    let silent = Hand::at(&pebble);
    let run = spawn_blocking(move || {
        let (code, told, log) = silent.run(&["records", "shop.example"]);
        assert_eq!(code, Some(0), "{told}{log}");
        assert!(
            told.contains("it does not say by which domain CAA records name it"),
            "{told}"
        );
        printed(&hand);
    });
    run.await.unwrap();
}

fn printed(hand: &Hand) {
    let (code, told, log) = hand.run(&["records", "shop.example"]);
    assert_eq!(code, Some(0), "{told}{log}");
    assert!(told.contains("there is no account yet"), "{told}");
    let line = r#"shop.example. CAA 0 issue "ca.example; validationmethods=http-01""#;
    assert!(told.lines().any(|told| told == line), "{told}");
    let (code, told, log) = hand.run(&["register", "--yes"]);
    assert_eq!(code, Some(0), "{told}{log}");

    // As the daemon leaves it while it waits for a record.
    let folders = Folders::new(hand.path("certificates"), hand.path("state"), |_| {});
    let order = OrderRecord {
        key: Secret::new(KeyPair::generate().unwrap().serialize_pem()),
        asked: Digest::of("these names"),
        url: None,
        shown: vec![ShownResponse::Txt {
            dns: "home".to_owned(),
            name: "_acme-challenge.shop.example".to_owned(),
            proof: TxtProof::of_value("proof"),
        }],
        shown_at: None,
    };
    let name = CertificateName::parse("shop.example").unwrap();
    folders.keep_order(&name, &order).unwrap();
    let words = [
        "records",
        "--alias",
        "acme.example",
        "shop.example",
        "*.shop.example",
    ];
    let (code, told, log) = hand.run(&words);
    assert_eq!(code, Some(0), "{told}{log}");
    for line in [
        "_acme-challenge.shop.example. CNAME shop.example.acme.example.",
        "_acme-challenge.shop.example. 60 TXT \"proof\"",
    ] {
        assert!(told.lines().any(|told| told == line), "{line}: {told}");
    }
    let offered = "; _validation-persist.shop.example. TXT \"ca.example; accounturi=https://ca.example/hash/sha-256/";
    let standing: Vec<_> = told
        .lines()
        .filter(|line| line.starts_with(offered))
        .collect();
    assert!(
        standing.len() == 1 && standing[0].ends_with("; policy=wildcard\""),
        "{told}"
    );
    let (code, as_json, log) = hand.run(&[&words[..], &["--format", "json"]].concat());
    assert_eq!(code, Some(0), "{as_json}{log}");
    let parts: serde_json::Value = serde_json::from_str(&as_json).unwrap();
    let part = |about: &str| {
        let mut parts = parts.as_array().unwrap().iter();
        parts.find(|part| part["about"] == about).unwrap().clone()
    };
    assert_eq!(
        part("dns-01")["records"][0],
        serde_json::json!({ "name": "_acme-challenge.shop.example", "type": "CNAME", "data": "shop.example.acme.example." })
    );
    assert_eq!(part("orders")["records"][0]["ttl"], 60);
    assert_eq!(part("caa")["records"].as_array().map(Vec::len), Some(2));
    let standing = part("dns-persist-01");
    assert_eq!(
        (&standing["is_offered"], &standing["records"][0]["type"]),
        (&true.into(), &"TXT".into())
    );

    // Comments, and lines that a zone takes. Beside a CNAME record there is no other.
    let knot = Knot::start(&[(
        "shop.example",
        &told.replace("_acme-challenge.shop.example. CNAME", ";"),
    )]);
    assert_eq!(
        knot.asked("_acme-challenge.shop.example", "TXT"),
        ["\"proof\""]
    );
    let caa = knot.asked("shop.example", "CAA");
    let [all, wildcard] = caa.as_slice() else {
        panic!("{caa:?}");
    };
    let begins = |line: &str, tag: &str| {
        line.starts_with(&format!("0 {tag} \"ca.example; accounturi=https://"))
    };
    assert!(
        begins(all, "issue") && all.ends_with("validationmethods=dns-01,http-01\""),
        "{all}"
    );
    assert!(
        begins(wildcard, "issuewild") && wildcard.ends_with("validationmethods=dns-01\""),
        "{wildcard}"
    );

    let (code, _, log) = hand.run(&["records", "10.0.0.1"]);
    assert_eq!(code, Some(2));
    assert!(log.contains("no CA validates one by a record"), "{log}");
}
