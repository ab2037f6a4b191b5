//! The effects of the user's own certificates on plans, case by case.

use std::collections::BTreeSet;

use super::super::*;
use crate::{
    desire::{
        CertificateFolder, desire,
        tests::{container, proxy, rules as label_rules, snapshot, usual_issuance},
    },
    fixtures::{held, plan_rules},
    observe::{Bearer, CertificateVersion, HeldCertificate, Progress, Refused, Shelf, Source},
    values::{CertificateName, Host},
};

pub(super) const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
pub(super) const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const HOST: &str = "shop.example";

/// A certificate of 90 days that has run for `age` of them.
fn certificate(
    serial: &str,
    names: &[&str],
    age: u32,
    source: Source,
    shelf: Shelf,
) -> HeldCertificate {
    HeldCertificate {
        not_before: NOW - DAY * age,
        not_after: NOW - DAY * age + DAY * 90,
        serial: serial.to_owned(),
        digest: Digest::of(serial),
        source,
        shelf,
        ..held(names)
    }
}

pub(super) fn ours(age: u32) -> HeldCertificate {
    certificate(
        "ours",
        &[HOST],
        age,
        Source::from(&usual_issuance().issuer),
        Shelf::Live,
    )
}

pub(super) fn theirs(names: &[&str], age: u32) -> HeldCertificate {
    certificate("theirs", names, age, Source::Provided, Shelf::Provided)
}

/// A proxy that has its files and serves one site; with or without our folder of certificates.
fn world(is_shared: bool) -> (Desired, Observed) {
    let mut desired = desire(
        &snapshot([proxy(), container("shop", 4).label("host", HOST)]),
        &label_rules(),
    );
    for consumer in desired.consumers.values_mut().filter(|_| is_shared) {
        Rc::make_mut(consumer).certificates = CertificateFolder::Shared {
            theirs: "/certificates/live".into(),
        };
    }
    let observed = in_place(&desired);
    (desired, observed)
}

/// These containers, with what is deployed to proxies first.
pub(super) fn deployed(containers: impl IntoIterator<Item = Bearer>) -> (Desired, Observed) {
    let desired = desire(&snapshot(containers), &label_rules());
    let observed = in_place(&desired);
    (desired, observed)
}

fn in_place(desired: &Desired) -> Observed {
    let installed = desired
        .consumers
        .keys()
        .map(|name| (name.clone(), Installed::default().into()))
        .collect();
    let mut observed = Observed {
        installed,
        ..Observed::default()
    };
    let rules = rules();
    observed = foresee(
        &observed,
        &plan(desired, &observed, &templates(), &rules, NOW),
        NOW,
    );
    assert!(
        observed
            .installed
            .values()
            .all(|installed| matches!(installed.progress, Progress::Proven { .. }))
    );
    observed
}

pub(super) fn rules() -> PlanRules {
    PlanRules {
        resync: DAY,
        ..plan_rules()
    }
}

pub(super) fn templates() -> Templates {
    Templates::built_in().expect("they are tested")
}

pub(super) fn name(word: &str) -> CertificateName {
    CertificateName::parse(word).expect("a name")
}

/// The plan with these: the certificate that would be served, the reason of an order, and the notices.
fn planned(
    is_shared: bool,
    held: Option<HeldCertificate>,
    provided: (&str, HeldCertificate),
) -> [String; 3] {
    let (desired, mut observed) = world(is_shared);
    held.into_iter()
        .for_each(|held| observed.hold(name(HOST), held));
    observed.provide(name(provided.0), provided.1);
    let first = plan(&desired, &observed, &templates(), &rules(), NOW);
    let served = first.actions.iter().find_map(|action| match action {
        Action::Deploy(deploy) => Some(deploy.proof.serials.values().cloned().collect::<String>()),
        Action::TakeBack(_) | Action::Obtain(_) | Action::FallBack(_) => None,
    });
    let obtained = obtained(&desired, &observed)
        .map(|why| why.to_string())
        .unwrap_or_default();
    let noticed = first
        .notices
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("; ");
    [served.unwrap_or_default(), obtained, noticed]
}

/// The reason of an order, now or after the first deployment.
fn obtained(desired: &Desired, observed: &Observed) -> Option<Why> {
    let first = plan(desired, observed, &templates(), &rules(), NOW);
    let then = plan(
        desired,
        &foresee(observed, &first, NOW),
        &templates(),
        &rules(),
        NOW,
    );
    first
        .actions
        .iter()
        .chain(&then.actions)
        .find_map(|action| match action {
            Action::Obtain(obtain) => Some(obtain.why),
            Action::Deploy(_) | Action::TakeBack(_) | Action::FallBack(_) => None,
        })
}

#[test]
fn a_certificate_of_the_users_wins_over_ours_while_it_can_be_served() {
    let parts = HeldCertificate {
        shelf: Shelf::ProvidedInParts,
        ..theirs(&[HOST], 1)
    };
    let wildcard = || theirs(&["*.example"], 1);
    let irregular = || HeldCertificate {
        irregular: Some("its CERTIFICATE has a blank line in it".to_owned()),
        ..theirs(&[HOST], 1)
    };
    let alone = || HeldCertificate {
        lacks_issuer: true,
        ..theirs(&[HOST], 1)
    };
    let soon = "your certificate provided/shop.example expires at 2027-01-";
    let ended = "your certificate provided/shop.example expired at";
    let lacks = "your certificate provided/shop.example is not for shop.example";
    let in_parts = "your certificate provided/shop.example has no fullchain.pem and privkey.pem, which proxy reads there";
    for (what, is_shared, held, provided, expected) in [
        (
            "valid",
            false,
            None,
            (HOST, theirs(&[HOST], 1)),
            ["theirs", "", ""],
        ),
        (
            "beside ours",
            false,
            Some(ours(1)),
            (HOST, theirs(&[HOST], 1)),
            ["theirs", "", ""],
        ),
        (
            "beside ours that is due",
            false,
            Some(ours(80)),
            (HOST, theirs(&[HOST], 1)),
            ["theirs", "", ""],
        ),
        (
            "past two thirds",
            false,
            None,
            (HOST, theirs(&[HOST], 70)),
            ["theirs", "", ""],
        ),
        (
            "near its end",
            false,
            None,
            (HOST, theirs(&[HOST], 80)),
            ["theirs", "", soon],
        ),
        (
            "ended",
            false,
            None,
            (HOST, theirs(&[HOST], 91)),
            ["theirs", "renewal due", ended],
        ),
        (
            "ended beside ours",
            false,
            Some(ours(1)),
            (HOST, theirs(&[HOST], 91)),
            ["ours", "", ended],
        ),
        (
            "for another name",
            false,
            Some(ours(1)),
            (HOST, theirs(&["other.example"], 1)),
            ["ours", "", lacks],
        ),
        (
            "alone for another name",
            false,
            None,
            (HOST, theirs(&["other.example"], 1)),
            ["", "names changed", lacks],
        ),
        (
            "under another name",
            false,
            None,
            ("wild", wildcard()),
            ["theirs", "", ""],
        ),
        (
            "under another name beside ours",
            false,
            Some(ours(1)),
            ("wild", wildcard()),
            ["theirs", "", ""],
        ),
        (
            "under another name beside ours that is due",
            false,
            Some(ours(80)),
            ("wild", wildcard()),
            ["theirs", "", ""],
        ),
        (
            "without its issuer",
            false,
            None,
            (HOST, alone()),
            [
                "theirs",
                "",
                "your certificate provided/shop.example comes without the certificate of its issuer, ",
            ],
        ),
        (
            "ended under another name",
            false,
            Some(ours(1)),
            ("wild", theirs(&["*.example"], 91)),
            ["ours", "", "your certificate provided/wild expired at"],
        ),
        (
            "of no use to anybody",
            false,
            Some(ours(1)),
            ("x", theirs(&["x.example"], 91)),
            ["ours", "", ""],
        ),
        (
            "in parts, copied",
            false,
            Some(ours(1)),
            (HOST, parts.clone()),
            ["theirs", "", ""],
        ),
        (
            "in parts, read there",
            true,
            Some(ours(1)),
            (HOST, parts),
            ["ours", "", in_parts],
        ),
        (
            "in parts under another name, read there",
            true,
            None,
            (
                "wild",
                HeldCertificate {
                    shelf: Shelf::ProvidedInParts,
                    ..wildcard()
                },
            ),
            [
                "",
                "missing",
                "your certificate provided/wild has no fullchain.pem and privkey.pem, which proxy reads there",
            ],
        ),
        (
            "irregular, copied",
            false,
            Some(ours(80)),
            (HOST, irregular()),
            ["theirs", "", ""],
        ),
        (
            "irregular, read there",
            true,
            Some(ours(70)),
            (HOST, irregular()),
            [
                "ours",
                "renewal due",
                "your certificate provided/shop.example can't be read by proxy, which reads it as it lies",
            ],
        ),
    ] {
        let found = planned(is_shared, held, provided);
        assert_eq!(found[..2], expected[..2], "{what}");
        assert!(
            found[2].starts_with(expected[2]) && (found[2].is_empty() == expected[2].is_empty()),
            "{what}: {found:?}"
        );
    }
}

#[test]
fn a_proxy_that_reads_our_folder_finds_the_users_beside_ours() {
    for (provided, folder) in [
        (true, "/certificates/provided/shop.example"),
        (false, "/certificates/live/shop.example"),
    ] {
        let (desired, mut observed) = world(true);
        match provided {
            true => observed.provide(name(HOST), theirs(&[HOST], 1)),
            false => observed.hold(name(HOST), ours(1)),
        };
        let plan = plan(&desired, &observed, &templates(), &rules(), NOW);
        let [Action::Deploy(deploy)] = plan.actions.as_slice() else {
            panic!("{plan:?}")
        };
        let file = deploy
            .write
            .iter()
            .find(|(name, _)| name.as_str().contains(HOST))
            .expect("its site")
            .1;
        assert!(
            file.contains(&format!("{folder}/fullchain.pem")) && file.contains(folder),
            "{file}"
        );
    }
}

#[test]
fn one_of_the_users_in_live_is_never_replaced_while_it_is_valid() {
    let placed = |names: &[&str], age| HeldCertificate {
        shelf: Shelf::Live,
        ..theirs(names, age)
    };
    for (what, held, is_obtained) in [
        ("due", placed(&[HOST], 80), false),
        ("for another name", placed(&["other.example"], 1), false),
        ("ended", placed(&[HOST], 91), true),
    ] {
        let (desired, mut observed) = world(false);
        observed.hold(name(HOST), held);
        let plan = plan(&desired, &observed, &templates(), &rules(), NOW);
        assert_eq!(
            (obtained(&desired, &observed).is_some(), plan.notices.len()),
            (is_obtained, 1),
            "{what}: {plan:?}"
        );
    }
}

#[test]
fn the_next_look_is_at_the_end_of_what_is_served() {
    let (desired, mut observed) = world(false);
    observed.hold(name(HOST), ours(1));
    observed.provide(name("wild"), theirs(&["*.example"], 89));
    let rules = PlanRules {
        resync: DAY * 90,
        ..rules()
    };
    let mut settled = observed;
    // The last four are for the gate, for what goes through it, and for names that nobody has.
    for _ in 0..5 {
        settled = foresee(
            &settled,
            &plan(&desired, &settled, &templates(), &rules, NOW),
            NOW,
        );
    }
    let rest = plan(&desired, &settled, &templates(), &rules, NOW);
    assert_eq!((rest.actions.len(), rest.wake), (0, Some(NOW + DAY)));
    let then = plan(&desired, &settled, &templates(), &rules, NOW + DAY);
    let [Action::Deploy(deploy)] = then.actions.as_slice() else {
        panic!("{then:?}")
    };
    assert_eq!(
        deploy.proof.serials.values().collect::<BTreeSet<_>>(),
        BTreeSet::from([&"ours".to_owned()])
    );
}

#[test]
fn one_that_is_not_valid_yet_is_looked_at_when_it_is() {
    let (desired, mut observed) = world(false);
    observed.hold(name(HOST), ours(1));
    let later = HeldCertificate {
        not_before: NOW + DAY,
        ..theirs(&[HOST], 1)
    };
    observed.provide(name("later"), later);
    let rules = PlanRules {
        resync: DAY * 90,
        ..rules()
    };
    for _ in 0..5 {
        let next = plan(&desired, &observed, &templates(), &rules, NOW);
        observed = foresee(&observed, &next, NOW);
    }
    let rest = plan(&desired, &observed, &templates(), &rules, NOW);
    assert_eq!((rest.actions.len(), rest.wake), (0, Some(NOW + DAY)));
}

/// Puts a certificate of the user's there, which the proxy then refuses.
fn refuse(desired: &Desired, observed: &mut Observed, called: &str, theirs: HeldCertificate) {
    observed.provide(name(called), theirs);
    let next = plan(desired, observed, &templates(), &rules(), NOW);
    let [Action::Deploy(deploy)] = next.actions.as_slice() else {
        panic!("{next:?}")
    };
    // By halves, each of the parts may have come alone.
    for (part, unit) in &deploy.after.trying {
        let refused = Refused {
            unit: *unit,
            reason: "cannot load certificate".to_owned(),
            at: NOW,
        };
        for installed in observed.installed.values_mut() {
            let refused = (part.clone(), refused.clone());
            Rc::make_mut(installed).trial.refused.extend([refused]);
        }
    }
}

/// A proxy that serves one site with a certificate of ours.
fn served(is_shared: bool, age: u32) -> (Desired, Observed) {
    let (desired, mut observed) = world(is_shared);
    observed.hold(name(HOST), ours(age));
    // What nobody asked for comes while nothing else is to be done.
    for _ in 0..5 {
        let next = plan(&desired, &observed, &templates(), &rules(), NOW);
        observed = foresee(&observed, &next, NOW);
    }
    (desired, observed)
}

#[test]
fn ours_is_renewed_while_a_server_refuses_the_users_under_any_name() {
    for called in [HOST, "corp"] {
        let (desired, mut observed) = world(false);
        observed.hold(name(HOST), ours(80));
        observed.provide(name(called), theirs(&[HOST], 1));
        assert_eq!(obtained(&desired, &observed), None, "{called}");
        refuse(&desired, &mut observed, called, theirs(&[HOST], 1));
        assert_eq!(
            obtained(&desired, &observed),
            Some(Why::RenewalDue),
            "{called}"
        );
    }
}

#[test]
fn the_older_file_gets_ours_renewed_while_a_server_refuses_the_users_under_any_name() {
    for (called, is_shared) in [(HOST, false), ("corp", false), (HOST, true), ("corp", true)] {
        let case = format!("{called}, {is_shared}");
        let (desired, mut observed) = served(is_shared, 1);
        refuse(&desired, &mut observed, called, theirs(&[HOST], 1));
        let planned = |observed: &Observed| plan(&desired, observed, &templates(), &rules(), NOW);
        assert_eq!(planned(&observed).actions, [], "{case}");
        let renewed = HeldCertificate {
            digest: Digest::of("renewed"),
            serial: "renewed".to_owned(),
            ..ours(0)
        };
        observed.hold(name(HOST), renewed.clone());
        let next = planned(&observed);
        let [Action::Deploy(deploy)] = next.actions.as_slice() else {
            panic!("{case}: {next:?}")
        };
        assert_eq!(deploy.why, [Why::CertificateChanged].into(), "{case}");
        assert_eq!(
            deploy.after.certificates[&name(HOST)],
            renewed.digest,
            "{case}"
        );
        let version = CertificateVersion {
            of: name(HOST),
            digest: renewed.digest,
        };
        let delivered = (!is_shared).then_some((name(HOST), version));
        assert_eq!(deploy.deliver, delivered.into_iter().collect(), "{case}");
        let observed = foresee(&observed, &next, NOW);
        assert_eq!(planned(&observed).actions, [], "{case}");
        let mut installed = observed.installed.values();
        assert!(
            installed.all(|installed| installed.trial.refused.len() == 1),
            "{case}: theirs stays held back"
        );
    }
}

#[test]
fn what_a_site_was_seen_to_take_of_the_users_does_not_make_room_for_ours() {
    let (desired, observed) = served(false, 1);
    let planned = |observed: &Observed| plan(&desired, observed, &templates(), &rules(), NOW);
    let mut observed = observed;
    observed.provide(name(HOST), theirs(&[HOST], 1));
    let next = planned(&observed);
    observed = foresee(&observed, &next, NOW);
    let given = |observed: &Observed| {
        let mut installed = observed.installed.values();
        installed.next().expect("the proxy").certificates[&name(HOST)]
    };
    assert_eq!(given(&observed), theirs(&[HOST], 1).digest);
    // The site is refused for what its labels say now.
    let file = site_file(&Host::parse(HOST).expect("a name"));
    let changed = desire(
        &snapshot([
            proxy(),
            container("shop", 4)
                .label("host", HOST)
                .label("body-size", "1m"),
        ]),
        &label_rules(),
    );
    let next = plan(&changed, &observed, &templates(), &rules(), NOW);
    let [Action::Deploy(deploy)] = next.actions.as_slice() else {
        panic!("{next:?}")
    };
    let unit = deploy.after.trying[&PartName::File(file.clone())];
    for installed in observed.installed.values_mut() {
        let trial = &mut Rc::make_mut(installed).trial;
        quarantine::refused(
            trial,
            &[(PartName::File(file.clone()), unit)].into(),
            "no",
            NOW,
        );
    }
    let told = plan(&changed, &observed, &templates(), &rules(), NOW);
    assert_eq!(told.actions, []);
    let told = told.complaints.first().expect("it is told");
    assert!(!told.problem.contains("your certificate"), "{told}");
    // The user's next one comes, and not ours.
    let newer = HeldCertificate {
        digest: Digest::of("newer"),
        ..theirs(&[HOST], 0)
    };
    observed.provide(name(HOST), newer.clone());
    let next = plan(&changed, &observed, &templates(), &rules(), NOW);
    observed = foresee(&observed, &next, NOW);
    assert_eq!(given(&observed), newer.digest);
}

#[test]
fn a_certificate_of_the_users_that_is_refused_is_named_with_its_files_and_what_to_do() {
    let in_parts = HeldCertificate {
        shelf: Shelf::ProvidedInParts,
        ..theirs(&[HOST], 1)
    };
    let labels =
        "; or change labels or the proxy's own configuration; until then the previous file stays";
    for (called, theirs, what, files, then) in [
        (
            HOST,
            theirs(&[HOST], 1),
            "your certificate, ",
            "provided/shop.example/fullchain.pem and provided/shop.example/privkey.pem",
            "; until then the previous certificate is served",
        ),
        (
            "corp",
            in_parts,
            "quaymaster-shop.example.conf with your certificate, ",
            "the files in provided/corp",
            labels,
        ),
    ] {
        let (desired, mut observed) = served(false, 1);
        refuse(&desired, &mut observed, called, theirs);
        let told = plan(&desired, &observed, &templates(), &rules(), NOW).complaints;
        let told: Vec<_> = told
            .iter()
            .map(|told| (told.origin.bearer.as_str(), &*told.problem, &*told.remedy))
            .collect();
        let problem = format!("proxy refuses {what}{files}: cannot load certificate");
        let remedy = format!(
            "replace {files} by a certificate and a key that it accepts, or remove them, so that quaymaster's own is \
             served{then}; everything else is not affected"
        );
        assert_eq!(told, [("shop", &*problem, &*remedy)], "{called}");
    }
}

#[test]
fn a_lost_record_holds_back_whatever_is_asked_for_a_minute() {
    let (desired, mut observed) = world(false);
    observed.attempts.insert(
        Subject::Certificate(name(HOST)),
        Attempt::lost(NOW, "damaged".to_owned()),
    );
    let minute = Duration::from_secs(60);
    // What nobody asked for comes while nothing else is to be done.
    for _ in 0..4 {
        observed = foresee(
            &observed,
            &plan(&desired, &observed, &templates(), &rules(), NOW),
            NOW,
        );
    }
    let rest = plan(&desired, &observed, &templates(), &rules(), NOW);
    assert_eq!((rest.actions.len(), rest.wake), (0, Some(NOW + minute)));
    let then = plan(&desired, &observed, &templates(), &rules(), NOW + minute);
    let [Action::Obtain(obtain)] = then.actions.as_slice() else {
        panic!("{then:?}")
    };
    assert_eq!(obtain.attempt.count, 2);
}
