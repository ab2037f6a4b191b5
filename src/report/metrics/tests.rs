//! Metrics, of worlds made of words.

use std::collections::BTreeMap;

use super::*;
use crate::{
    desire::tests::{container, proxy},
    observe::{
        Attempt, Bearer, Counted, Installed, Ledger, LedgerEntry, Observed, PartName, Refused,
        Subject,
    },
    report::overview::tests::{NOW, overview, settled},
    values::{CaSettings, CaTable, Digest, FileName, Limit, Retry},
};

fn shop(name: &str, number: u8) -> Bearer {
    container(name, number).label("host", &format!("{name}.example"))
}

fn written(overview: Overview, sets: &[MetricSet]) -> String {
    let sets = sets.iter().copied().collect();
    let pieces: Vec<_> = metrics(Rc::new(overview), &sets).collect();
    String::from_utf8(pieces.concat()).expect("it is text")
}

/// The number behind a name and labels.
fn number<'t>(text: &'t str, start: &str) -> Option<&'t str> {
    let mut lines = text.lines();
    lines.find_map(|line| line.strip_prefix(start)?.strip_prefix(' '))
}

#[test]
fn each_row_is_written_once_with_its_labels_and_the_text_has_an_end() {
    let mut overview = overview([proxy(), shop("shop", 4)]);
    overview.tally.count_event("proven");
    let text = written(overview, &MetricSet::WORDS.map(|(_, set)| set));
    assert!(text.ends_with("\n# EOF\n"), "{text}");
    for row in METRICS {
        let heading = format!(
            "# TYPE {} {}\n# HELP {} ",
            row.name,
            row.kind.word(),
            row.name
        );
        assert_eq!(text.matches(&heading).count(), 1, "{}", row.name);
        let numbers = text.lines().filter(|line| {
            let rest = line.strip_prefix(row.name);
            rest.is_some_and(|rest| rest.starts_with(['{', ' ', '_']))
        });
        for line in numbers {
            let Some((_, labels)) = line.split_once('{') else {
                continue;
            };
            let names = labels
                .split("\",")
                .map(|it| it.split('=').next().unwrap_or_default());
            for name in names {
                assert!(
                    row.labels.contains(&name),
                    "{line}: {name} is not in the row"
                );
            }
        }
    }
}

#[test]
fn what_is_served_is_told_in_numbers() {
    let overview = overview([proxy(), shop("shop", 4)]);
    let held = overview.held(&overview.certificate_names()[0]);
    let end = held.expect("it was obtained").not_after.millis() / 1000;
    let text = written(overview, &[]);
    let of_shop = |metric: &str| number(&text, &format!("{metric}{{name=\"shop.example\"}}"));
    assert_eq!(of_shop("quaymaster_certificate_ready"), Some("1"));
    let expiry = of_shop("quaymaster_certificate_expiry_timestamp_seconds");
    assert_eq!(expiry, Some(&*end.to_string()));
    let served = "quaymaster_certificate_served{name=\"shop.example\",consumer=\"proxy\"}";
    assert_eq!(number(&text, served), Some("1"), "{text}");
    assert_eq!(
        number(&text, "quaymaster_engine_up{engine=\"\"}"),
        Some("1")
    );
    assert_eq!(of_shop("quaymaster_certificate_failures"), None);
    assert!(!text.contains("certmanager_"), "nobody asked for these");
}

#[test]
fn a_certificate_that_a_server_was_not_seen_with_is_told() {
    let mut overview = overview([proxy(), shop("shop", 4)]);
    let name = overview.certificate_names()[0].clone();
    let held = overview.held(&name).expect("it was obtained").clone();
    let renewed = crate::observe::HeldCertificate {
        digest: Digest::of("renewed"),
        ..held
    };
    overview.observed.hold(name, renewed);
    let mut plan = crate::plan::Plan::clone(&overview.plan);
    plan.in_force.certificates = Rc::clone(&overview.observed.held);
    overview.plan = Rc::new(plan);
    let text = written(overview, &[]);
    let served = "quaymaster_certificate_served{name=\"shop.example\",consumer=\"proxy\"}";
    assert_eq!(number(&text, served), Some("0"), "{text}");
}

#[test]
fn numbers_of_a_name_that_is_gone_are_gone_and_a_failure_has_its_own() {
    let both = overview([proxy(), shop("shop", 4), shop("late", 5)]);
    let observed = Observed {
        held: Rc::default(),
        ..both.observed.clone()
    };
    assert!(written(both, &[]).contains("late.example"));
    let mut one = settled([proxy(), shop("shop", 4)], observed);
    let name = one.certificate_names()[0].clone();
    let subject = Subject::Certificate(name);
    let mut attempt = Attempt::broken_off(NOW);
    attempt.count = 3;
    attempt.retry = Retry::Backoff;
    attempt.problem = Some("the CA is down".to_owned());
    one.observed.attempts.insert(subject, attempt);
    let text = written(one, &[]);
    assert!(!text.contains("late.example"), "{text}");
    assert!(text.contains("quaymaster_certificate_failures"), "{text}");
}

#[test]
fn turns_are_told_as_a_histogram_and_orders_as_what_is_left() {
    let mut overview = overview([proxy(), shop("shop", 4)]);
    for micros in [400, 600, 3_000_000] {
        let took = std::time::Duration::from_micros(micros);
        overview.tally.count_turn(took);
    }
    let three_hours = std::time::Duration::from_secs(3 * 3600);
    let limit = Limit {
        most: 300,
        within: three_hours,
    };
    let directory = overview.cas[0].clone();
    let ca = CaSettings {
        directory: Some(directory.clone()),
        orders: Some(Some(limit)),
        ..CaSettings::default()
    };
    let own = BTreeMap::from([("own".to_owned(), ca)]);
    overview.label_rules.cas = CaTable::new(own).expect("a table");
    let order = |at| LedgerEntry {
        at,
        ca: directory.clone(),
        counted: Counted::Order { project: None },
    };
    // One counts no more.
    let orders = [NOW - three_hours, NOW].map(order);
    overview.observed.ledger = Rc::new(Ledger::of(orders));
    let text = written(overview, &[]);
    let turns = "quaymaster_turn_duration_seconds";
    for (bound, count) in [("0.0005", "1"), ("0.001", "2"), ("1", "2"), ("+Inf", "3")] {
        let bucket = format!("{turns}_bucket{{le=\"{bound}\"}}");
        assert_eq!(number(&text, &bucket), Some(count), "{bound}: {text}");
    }
    assert_eq!(number(&text, &format!("{turns}_count")), Some("3"));
    assert_eq!(number(&text, &format!("{turns}_sum")), Some("3.001"));
    let left = number(&text, "quaymaster_ca_orders_left{ca=\"own\"}");
    assert_eq!(left, Some("299"), "{text}");
}

#[test]
fn thousands_of_certificates_are_written_a_few_hundred_at_a_time_and_are_not_too_much() {
    const SITES: usize = 3000;
    let mut overview = overview([proxy(), shop("shop", 4)]);
    let name = overview.certificate_names()[0].clone();
    let held = overview.held(&name).expect("it was obtained").clone();
    for number in 0..SITES {
        let name = format!("n{number:05}.shop.example");
        let name = CertificateName::parse(name).expect("a name");
        overview.observed.hold(name, held.clone());
    }
    let mut plan = crate::plan::Plan::clone(&overview.plan);
    plan.in_force.certificates = Rc::clone(&overview.observed.held);
    overview.plan = Rc::new(plan);
    let pieces: Vec<_> = metrics(Rc::new(overview), &BTreeSet::new()).collect();
    let most = pieces.iter().map(|piece| {
        let text = String::from_utf8_lossy(piece);
        text.lines().filter(|line| !line.starts_with('#')).count()
    });
    assert_eq!(most.max(), Some(AT_ONCE));
    let bytes: usize = pieces.iter().map(Vec::len).sum();
    assert!(bytes < SITES * 500, "{bytes} bytes");
}

#[test]
fn a_refused_part_is_counted_unless_some_servers_are_known_to_refuse_it() {
    let mut overview = overview([proxy(), shop("shop", 4)]);
    let refused = Refused {
        unit: Digest::of("it"),
        reason: "it is old".to_owned(),
        at: NOW,
    };
    let name = overview.desired.consumers.keys().next().expect("the proxy");
    let mut installed = Installed::clone(&overview.observed.installed[name]);
    for file in [
        "quaymaster--unknown-http.conf",
        "quaymaster-shop.example.conf",
    ] {
        let file = FileName::parse(file).expect("a file");
        let part = PartName::File(file);
        installed.trial.refused.insert(part, refused.clone());
    }
    let installed = Rc::new(installed);
    overview.observed.installed.insert(name.clone(), installed);
    let text = written(overview, &[]);
    let parts = "quaymaster_consumer_quarantined_parts{consumer=\"proxy\"}";
    assert_eq!(number(&text, parts), Some("1"), "{text}");
}
