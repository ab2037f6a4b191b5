//! Containers whose labels are hostile or half-right, each in a way that must be complained about. The same ones each
//! time; a number in `QUAYMASTER_TEST_SEED` makes others.

use std::collections::BTreeMap;

use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use quaymaster::desire::LABELS;

/// Number of containers.
pub const NUMBER: usize = 200;

/// Values that no label may have, or that mean nothing where they stand.
const NONSENSE: &[&str] = &[
    "",
    " , ",
    "x;}\nserver { listen 81; return 200 evil; }",
    "\u{1b}[2J\u{1b}]0;evil\u{7}",
    "$(reboot)",
    "$host",
    "\"'\\",
    "../../etc/passwd",
    "{{ evil }}",
    "a;\r\nb",
    "\u{202e}elpmaxe",
    "80\u{200b}",
    "-1",
    "99999999999999999999",
    "*.*",
];

/// Values that are right somewhere, for labels beside the one that is wrong.
const SENSE: &[&str] = &[
    "80",
    "/api",
    "true",
    "grpc",
    "off",
    "1y",
    "10m",
    "10.0.0.0/8",
    "Staff",
    "/etc/nginx/htpasswd",
];

/// One of them.
pub struct Odd {
    pub name: String,
    /// Whole labels.
    pub labels: BTreeMap<String, String>,
    /// Only while it runs something is wrong with it.
    pub must_run: bool,
}

/// Makes them. They have sites of their own at `host("odd1")` and so on, and one kind of them reaches for `others`.
pub fn crowd(prefix: &str, others: &str, host: impl Fn(&str) -> String) -> Vec<Odd> {
    let mut pick = picker();
    (0..NUMBER)
        .map(|number| {
            let name = format!("odd{number}");
            let mut odd = odd(number, &mut pick, others, &host(&name));
            odd.labels = odd
                .labels
                .into_iter()
                .map(|(key, value)| (key.replace("Q.", &format!("{prefix}.")), value))
                .collect();
            Odd { name, ..odd }
        })
        .collect()
}

/// Chooses one of so many.
fn picker() -> impl FnMut(usize) -> usize {
    #[expect(
        clippy::disallowed_methods,
        reason = "who looks for more may choose the seed"
    )]
    let seed: u64 = std::env::var("QUAYMASTER_TEST_SEED").map_or(22, |seed| seed.parse().unwrap());
    println!("the crowd is made with QUAYMASTER_TEST_SEED={seed}");
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    move |number| (0..number).new_tree(&mut runner).unwrap().current()
}

/// The container number `number`, its labels with `Q.` for the prefix: a site that is right, one thing that is wrong, and
/// some labels at random.
fn odd(number: usize, pick: &mut impl FnMut(usize) -> usize, others: &str, host: &str) -> Odd {
    let site = if pick(3) == 0 { "Q.site.a." } else { "Q." };
    let of = |key: &str| format!("{site}{key}");
    let right = [(of("host"), host.to_owned()), (of("port"), "80".to_owned())];
    let mut labels = BTreeMap::from(right);
    let mut put = |key: String, value: &str| drop(labels.insert(key, value.to_owned()));
    let mut must_run = false;
    match number % 10 {
        0 => put(
            format!(
                "Q.{}",
                ["hots", "ports", "", "..", "\u{1b}[31m", "site", "kind "][pick(7)]
            ),
            "1",
        ),
        1 => put(
            format!("Q.site.{}.host", ["A", "a b", "", "..", "ä", "a;"][pick(6)]),
            "x.example",
        ),
        2 => {
            must_run = true;
            put("com.docker.compose.project".to_owned(), "odd");
            put(of("host"), others);
        }
        3 => {
            must_run = true;
            put("Q.kind".to_owned(), "nginx");
        }
        4 => put(
            of(["path", "auth", "upstream-path"][pick(3)]),
            &format!("/{}", "a".repeat(1_000_000)),
        ),
        5 => put(
            of("host"),
            &(0..3000)
                .map(|n| format!("{n}_.example "))
                .collect::<String>(),
        ),
        6 => {
            must_run = true;
            put(
                of(["via", "network"][pick(2)]),
                ["nobody", "..", "a;b", "\u{202e}web"][pick(4)],
            );
        }
        // `kind` is no site's, and of the others each takes some of this.
        _ => {
            let row = &LABELS[pick(LABELS.len())];
            must_run = matches!(row.key, "via" | "network");
            let nonsense = NONSENSE[pick(NONSENSE.len())];
            // A number may be a name.
            let is_name = matches!(row.key, "certificate" | "pin" | "profile");
            put(of(row.key), if is_name { "a;b" } else { nonsense });
            if row.key == "auth-realm" {
                put(of("auth"), "none");
            }
        }
    }
    for _ in 0..pick(3) {
        let (key, value) = (LABELS[pick(LABELS.len())].key, SENSE[pick(SENSE.len())]);
        labels
            .entry(format!("{site}{key}"))
            .or_insert_with(|| value.to_owned());
    }
    Odd {
        name: String::new(),
        labels,
        must_run,
    }
}
