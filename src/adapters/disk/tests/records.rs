//! Tests of damage to our records: each case is reported, and another record replaces the damaged one.

use nix::{sys::stat::Mode, unistd::mkfifo};

use super::{
    damage::{SHOP, Wreck, remove, truncate},
    *,
};
use crate::ports::AsideReason;

/// Damages to a file of state.
const DAMAGES: &[Wreck] = &[
    ("empty", |path| fs::write(path, "").expect("it is written")),
    ("truncated", truncate),
    ("binary", |path| {
        fs::write(path, [0xfe; 50]).expect("it is written")
    }),
    ("a folder", |path| {
        remove(path);
        fs::create_dir_all(path.join("inner")).expect("a folder");
    }),
    ("a pipe", |path| {
        remove(path);
        mkfifo(path, Mode::S_IRWXU).expect("a pipe");
    }),
    ("in a folder that is a file", |path| {
        let folder = path.parent().expect("it is in one");
        if folder.file_name().is_some_and(|name| name != "state") {
            remove(folder);
            fs::write(folder, "x").expect("it is written");
        } else {
            truncate(path);
        }
    }),
];

#[test]
fn a_damaged_attempt_is_told_and_written_over() {
    for (what, damage) in DAMAGES {
        let place = place();
        let attempt = Attempt::lost(NOW, "once".to_owned());
        for host in [SHOP, "other.example"] {
            place
                .folders
                .note_attempt(&name(host), &attempt)
                .expect("it is written");
        }
        damage(&place.state.join("attempts/shop.example.json"));
        match place.folders.attempts() {
            Ok(records) => {
                assert_eq!(
                    records[&name("other.example")].as_ref().ok(),
                    Some(&attempt),
                    "{what}"
                );
                let error = records[&name(SHOP)]
                    .as_ref()
                    .expect_err("it is damaged")
                    .to_string();
                assert!(
                    error.contains("attempts/shop.example.json"),
                    "{what}: {error}"
                );
            }
            Err(error) => assert!(
                what.contains("that is a file") && error.to_string().contains("attempts"),
                "{what}"
            ),
        }
        place
            .folders
            .note_attempt(&name(SHOP), &attempt)
            .expect("it is written anew");
        let records = place.folders.attempts().expect("they are read");
        assert_eq!(records[&name(SHOP)].as_ref().ok(), Some(&attempt), "{what}");
    }
}

#[test]
fn a_damaged_order_is_told_dropped_and_kept_anew() {
    for file in ["order.json", "key.pem"] {
        for (what, damage) in DAMAGES {
            let place = place();
            let (key, _, _) = issued(SHOP);
            let record = OrderRecord {
                key,
                asked: Digest::of("asked"),
                url: Some("https://ca.example/1".into()),
                shown: Vec::new(),
                shown_at: None,
            };
            place
                .folders
                .keep_order(&name(SHOP), &record)
                .expect("it is written");
            damage(&place.state.join("orders/shop.example").join(file));
            let error = place.folders.order(&name(SHOP)).expect_err("it is damaged");
            assert!(
                error.to_string().contains("orders/shop.example"),
                "{what} {file}: {error}"
            );
            place
                .folders
                .drop_order(&name(SHOP))
                .expect("it is dropped");
            assert_eq!(
                place.folders.order(&name(SHOP)).expect("it is read"),
                None,
                "{what} {file}"
            );
            place
                .folders
                .keep_order(&name(SHOP), &record)
                .expect("it is written anew");
            assert_eq!(
                place.folders.order(&name(SHOP)).expect("it is read"),
                Some(record),
                "{what} {file}"
            );
        }
    }
}

#[test]
fn a_mark_a_breath_and_a_status_are_written_over_whatever_became_of_them() {
    for (what, damage) in DAMAGES {
        let place = place();
        let mark = place.folders.mark_host().expect("it is made");
        place.folders.breathe(NOW).expect("it is written");
        place
            .folders
            .keep_status(&|file| file.write_all(b"{}"))
            .expect("it is written");
        drop(Lock::take(&place.state, hear).expect("it is taken"));
        for file in ["mark", "alive", "status.json"] {
            damage(&place.state.join(file));
        }
        if *what != "binary" && *what != "truncated" && *what != "empty" {
            damage(&place.state.join("lock"));
        }
        assert_eq!(place.folders.known_mark_host(), None, "{what}");
        let _lock = Lock::take(&place.state, hear)
            .expect("it is asked for")
            .expect("nobody has it");
        let other = place.folders.mark_host().expect("it is made anew");
        assert_ne!(other, mark, "{what}");
        assert_eq!(
            place.folders.mark_host().expect("it is read"),
            other,
            "{what}"
        );
        assert!(place.folders.last_breath().is_err(), "{what}");
        place.folders.breathe(NOW).expect("it is written anew");
        assert_eq!(
            place.folders.last_breath().expect("it is read"),
            Some(NOW),
            "{what}"
        );
        place
            .folders
            .keep_status(&|file| file.write_all(b"{\"a\": 1}"))
            .expect("it is written anew");
        assert_eq!(
            place.folders.status().expect("it is read").as_deref(),
            Some("{\"a\": 1}"),
            "{what}"
        );
    }
}

#[test]
fn what_stands_in_the_way_of_a_file_is_kept_and_told() {
    let place = place();
    fs::create_dir_all(place.state.join("alive")).expect("a folder");
    fs::write(place.state.join("attempts"), "").expect("a file");
    place.folders.breathe(NOW).expect("it is written");
    let attempt = Attempt::broken_off(NOW);
    let noted = place.folders.note_attempt(&name(SHOP), &attempt);
    noted.expect("it is written");
    for file in ["alive.damaged", "attempts.damaged"] {
        assert!(place.state.join(file).exists(), "{file}");
    }
    let kept = |file: &str| place.state.join(file).display().to_string();
    assert_eq!(
        heard(&place),
        [
            (
                "alive".into(),
                format!("it is not a file; it is kept as {}", kept("alive.damaged"))
            ),
            (
                "attempts".into(),
                format!(
                    "it is not a folder; it is kept as {}",
                    kept("attempts.damaged")
                )
            ),
        ]
    );
}

#[test]
fn a_damaged_account_is_kept_under_another_name() {
    let place = place();
    let directory = "https://ca.example/dir";
    place
        .folders
        .keep_account(directory, &Secret::new("one"))
        .expect("it is written");
    let first = place
        .folders
        .set_account_aside(directory, AsideReason::Damaged)
        .expect("it is put away");
    assert_eq!(place.folders.account(directory).expect("it is read"), None);
    place
        .folders
        .keep_account(directory, &Secret::new("two"))
        .expect("it is written");
    let second = place
        .folders
        .set_account_aside(directory, AsideReason::Damaged)
        .expect("it is put away");
    assert!(
        first.ends_with("account.json.damaged") && second.ends_with("account.json.damaged.2"),
        "{second:?}"
    );
    assert_eq!(fs::read_to_string(&first).expect("it is kept"), "one");
    assert_eq!(
        (
            fs::read_to_string(&second).expect("it is kept").as_str(),
            mode(&second)
        ),
        ("two", 0o600)
    );
}
