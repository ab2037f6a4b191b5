//! A certificate of the user's that gives way to one of ours, day by day.

use super::tests::*;
use crate::{
    desire::tests::{container, proxy},
    observe::{HeldCertificate, Observed, RenewalRequest, Source, Stage},
    values::{CertificateName, Issuer},
};

use super::super::{Action, Plan, Why, foresee, plan};

const OLD: &str = "old";

/// One for both names that has run for 50 of its 90 days.
fn old() -> HeldCertificate {
    HeldCertificate {
        gives_way: true,
        ..theirs(&["shop.example", "www.shop.example"], 50)
    }
}

/// A proxy with two sites, each of which wants a certificate of its own, and the old one under this name.
fn world(called: &str) -> (crate::desire::Desired, Observed) {
    let (desired, mut observed) = deployed([
        proxy(),
        container("shop", 4).label("host", "shop.example"),
        container("www", 4).label("host", "www.shop.example"),
    ]);
    observed.provide(name(called), old());
    (desired, observed)
}

fn orders(plan: &Plan) -> Vec<(String, Why)> {
    let orders = plan.actions.iter().filter_map(|action| match action {
        Action::Obtain(obtain) => Some((obtain.certificate.to_string(), obtain.why)),
        Action::Deploy(_) | Action::TakeBack(_) | Action::FallBack(_) => None,
    });
    orders.collect()
}

/// The serial numbers that the last config shows.
fn shown(plan: &Plan) -> Vec<String> {
    let deploys = plan.actions.iter().filter_map(|action| match action {
        Action::Deploy(deploy) => Some(deploy.proof.serials.values().cloned()),
        Action::Obtain(_) | Action::TakeBack(_) | Action::FallBack(_) => None,
    });
    deploys.flatten().collect()
}

#[test]
fn one_that_gives_way_is_served_until_ours_is_there_in_good_time_before_its_end() {
    for called in [OLD, "shop.example"] {
        let (desired, mut observed) = world(called);
        let (mut ordered, mut told, mut serials) = (Vec::new(), Vec::new(), Vec::new());
        for day in 0..=45 {
            let now = NOW + DAY * day;
            for _ in 0..6 {
                let plan = plan(&desired, &observed, &templates(), &rules(), now);
                ordered.extend(
                    orders(&plan)
                        .into_iter()
                        .map(|(name, why)| (day, name, why)),
                );
                told.extend(plan.notices.iter().map(ToString::to_string));
                serials.extend(shown(&plan).into_iter().map(|serial| (day, serial)));
                observed = foresee(&observed, &plan, now);
            }
        }
        let days: Vec<_> = ordered.iter().map(|(day, ..)| *day).collect();
        assert!(
            days.iter().all(|day| (7..=10).contains(day)),
            "{called}: {ordered:?}"
        );
        let mut names: Vec<_> = ordered
            .iter()
            .map(|(_, name, why)| (&**name, *why))
            .collect();
        names.sort_unstable_by_key(|(name, _)| *name);
        let expected = ["shop.example", "www.shop.example"].map(|name| (name, Why::RenewalDue));
        assert_eq!(names, expected, "{called}");
        assert_eq!(told, [""; 0], "{called}");
        // The old one at once, and nothing of it once both of ours are there.
        assert_eq!(serials[0], (0, "theirs".to_owned()), "{called}");
        let last = days.iter().max().expect("there are some");
        let after = serials.iter().filter(|(day, _)| day > last);
        assert_eq!(after.count(), 0, "{called}: {serials:?}");
        let end = serials.last().expect("there are some");
        assert_ne!(end.1, "theirs", "{called}: {serials:?}");
    }
}

#[test]
fn one_that_gives_way_is_told_of_where_nothing_has_come_in_its_place() {
    let (desired, observed) = world(OLD);
    let told = |day: u32| {
        let plan = plan(&desired, &observed, &templates(), &rules(), NOW + DAY * day);
        plan.notices
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    };
    assert_eq!(told(0), [""; 0]);
    let [late, ended] = [39, 41].map(|day| told(day).join("; "));
    for (told, words) in [(late, "expires at"), (ended, "expired at")] {
        assert!(
            told.contains(&format!("the certificate provided/old {words}")),
            "{told}"
        );
        assert_eq!(
            told.matches("certificate provided/old").count(),
            1,
            "{told}"
        );
    }
    // What has not begun is told of as ever.
    let (desired, mut observed) = world(OLD);
    let later = HeldCertificate {
        not_before: NOW + DAY,
        ..old()
    };
    observed.provide(name(OLD), later);
    let plan = plan(&desired, &observed, &templates(), &rules(), NOW);
    let told: Vec<_> = plan.notices.iter().map(ToString::to_string).collect();
    assert!(
        told.iter().any(|told| told.contains("is not valid")),
        "{told:?}"
    );
}

#[test]
fn only_what_a_trusted_ca_issued_and_lasts_longer_takes_its_place() {
    let staging = "https://acme-staging-v02.api.letsencrypt.org/directory";
    let of_staging = Source::from(&Issuer::Ca(staging.to_owned()));
    let usual = || ours(0).source;
    let of = |source: Source, age: u32| HeldCertificate {
        source,
        ..ours(age)
    };
    for (what, held, expected) in [
        ("ours", of(usual(), 1), "ours"),
        ("ours that ends before", of(usual(), 60), "theirs"),
        ("of staging", of(of_staging, 1), "theirs"),
        ("self-signed", of(Source::SelfSigned, 1), "theirs"),
    ] {
        for called in [OLD, "shop.example"] {
            let (desired, mut observed) = world(called);
            observed.hold(name("shop.example"), held.clone());
            let plan = plan(&desired, &observed, &templates(), &rules(), NOW);
            let all = shown(&plan);
            let is_expected = |serial: &String| serial == expected;
            assert!(all.iter().any(is_expected), "{what}, {called}: {all:?}");
            if expected == "theirs" {
                assert!(all.iter().all(is_expected), "{what}, {called}: {all:?}");
            }
        }
    }
    // One that stays is not succeeded by anything.
    let stays = HeldCertificate {
        gives_way: false,
        ..old()
    };
    assert!(!of(usual(), 1).succeeds(&stays));
}

#[test]
fn ours_is_ordered_at_once_in_place_of_one_that_gives_way_where_somebody_insists() {
    let (desired, mut observed) = world(OLD);
    let wished: CertificateName = name("shop.example");
    let wish = RenewalRequest {
        asked: NOW,
        force: true,
        stage: Stage::Open,
    };
    observed.wishes.insert(wished, wish);
    let plan = plan(&desired, &observed, &templates(), &rules(), NOW);
    assert_eq!(orders(&plan), [("shop.example".to_owned(), Why::Asked)]);
}
