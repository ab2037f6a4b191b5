//! Turns of a daemon on an engine that is scripted.

use std::{collections::BTreeMap, rc::Rc};

use super::{wishes::KEPT, *};
use crate::{
    adapters::{
        acme::{AcmeAuthorities, AcmeSettings, new_key},
        clock::SystemClock,
        disk::Folders,
        dns::DnsResolver,
        https_proxy::HttpsProxy,
        probe::TcpProbe,
        visitor::TcpVisitor,
    },
    desire::{
        Dialects,
        tests::{container, own, proxy, rules},
    },
    fixtures::plan_rules,
    observe::{
        Attempt, Bearer, BearerState, EventKind, Forgotten, Holder, Installed, Observed, Snapshot,
        Source, Unwanted, Wait,
    },
    plan::Plan,
    ports::{Clock, Issuing, NewCertificate, OrderRecord},
    render::Templates,
    report::Status,
    values::{CertificateName, Digest, Host, Issuer, KeyType},
    watching::tests::Scripted,
};

mod fallback;

/// A daemon on this engine, with these folders.
pub(crate) fn daemon_in(engine: Rc<Scripted>, folders: Folders) -> Daemon {
    let folders = Rc::new(folders);
    let settings = AcmeSettings {
        ca_root_pem: None,
        agree_tos: true,
        email: None,
        orders_per_second: None,
        external_account: None,
        chain: None,
        https_proxy: HttpsProxy::default(),
    };
    let (probe, clock) = (Rc::new(TcpProbe::new().unwrap()), Rc::new(SystemClock));
    let authorities = Rc::new(
        AcmeAuthorities::new(
            settings,
            BTreeMap::new(),
            Duration::from_secs(365 * 24 * 60 * 60),
            folders.clone(),
            clock.clone(),
            |_| (),
        )
        .unwrap(),
    );
    Daemon {
        ports: folders.ports(
            authorities,
            engine,
            probe,
            clock,
            (
                Rc::new(DnsResolver::new(None)),
                Rc::new(TcpVisitor::new().unwrap()),
            ),
        ),
        label_rules: rules(),
        plan_rules: plan::PlanRules {
            mark_host: String::new(),
            resync: BREATH,
            ..plan_rules()
        },
        template_files: None,
        outputs: Outputs::default(),
        own: None,
        doubt: None,
        questions: Questions::default(),
        notifying: Notifying::default(),
        recording: Recording::default(),
    }
}

#[test]
fn a_wish_that_was_taken_by_one_that_ended_is_not_fulfilled_again() {
    use crate::observe::{RenewalOutcome, RenewalRequest, Stage};

    let folder = tempfile::tempdir().unwrap();
    let folders = Folders::new(
        folder.path().join("certificates"),
        folder.path().to_owned(),
        |_| (),
    );
    let name = |word: &str| CertificateName::parse(word).unwrap();
    let (now, hours) = (
        Timestamp::from_seconds(1_800_000_000),
        Duration::from_secs(7200),
    );
    let wish = |asked, stage| RenewalRequest {
        asked,
        force: true,
        stage,
    };
    let ports = daemon_in(Rc::default(), folders.clone()).ports;
    let wishes = [
        ("open.example", wish(now - hours, Stage::Open)),
        ("taken.example", wish(now, Stage::Taken)),
        (
            "old.example",
            wish(now - hours, Stage::Answered(RenewalOutcome::NotWanted)),
        ),
        (
            "new.example",
            wish(now, Stage::Answered(RenewalOutcome::NotWanted)),
        ),
    ];
    wishes
        .iter()
        .for_each(|(word, wish)| ports.wishes.keep_wish(&name(word), wish).unwrap());
    std::fs::write(folder.path().join("wishes/damaged.example.json"), "{").unwrap();

    let mut turning = Loop::new(daemon_in(Rc::default(), folders));
    turning.look_at_wishes(now);
    let (left, _) = ports.wishes.wishes().unwrap();
    let stages: Vec<_> = left
        .iter()
        .map(|(name, wish)| (name.as_str(), wish.stage.clone()))
        .collect();
    assert_eq!(
        stages,
        [
            ("new.example", Stage::Answered(RenewalOutcome::NotWanted)),
            ("open.example", Stage::Open),
            ("taken.example", Stage::Answered(RenewalOutcome::CutOff)),
        ]
    );
    let faults: Vec<_> = turning.facts.faults().into_iter().collect();
    assert!(
        faults.len() == 1 && faults[0].contains("damaged.example.json"),
        "{faults:?}"
    );
}

pub(super) fn attempt(count: u32, last: Timestamp) -> Attempt {
    Attempt {
        count,
        asked: Digest::of("x"),
        problem: Some("no".into()),
        ..Attempt::broken_off(last)
    }
}

#[tokio::test]
async fn a_failure_of_a_name_that_nobody_wants_any_more_is_no_trouble_and_goes() {
    let local = tokio::task::LocalSet::new();
    local
        .run_until(async {
            let now = SystemClock.now();
            let long_ago = Timestamp::from_seconds(1_700_000_000);
            for (last, is_kept) in [(long_ago, false), (now, true)] {
                let folder = tempfile::tempdir().unwrap();
                let state = folder.path().join("state");
                let folders =
                    Folders::new(folder.path().join("certificates"), state.clone(), |_| ());
                let daemon = daemon_in(Rc::new(Scripted::default()), folders);
                let name = CertificateName::parse("gone.example").unwrap();
                let order = OrderRecord {
                    key: new_key(KeyType::Ec256).unwrap(),
                    asked: Digest::of("x"),
                    url: None,
                    shown: Vec::new(),
                    shown_at: None,
                };
                let Issuing {
                    attempts, orders, ..
                } = daemon.ports.issuing.clone();
                attempts.note_attempt(&name, &attempt(4, last)).unwrap();
                orders.keep_order(&name, &order).unwrap();
                assert_eq!(daemon.once().await.unwrap(), Settled::Clean);
                assert_eq!(attempts.attempts().unwrap().len(), usize::from(is_kept));
                assert_eq!(state.join("orders/gone.example").exists(), is_kept);
            }
        })
        .await;
}

#[tokio::test]
async fn an_orderly_end_in_the_midst_of_an_order_is_no_failure() {
    let local = tokio::task::LocalSet::new();
    local
        .run_until(async {
            let folder = tempfile::tempdir().unwrap();
            let folders = Folders::new(
                folder.path().join("certificates"),
                folder.path().join("state"),
                |_| (),
            );
            let mut turning = Loop::new(daemon_in(Rc::new(Scripted::default()), folders));
            let attempts = Rc::clone(&turning.daemon.ports.issuing.attempts);
            let now = Timestamp::from_seconds(1_800_000_000);
            let before = attempt(2, now);
            for (word, before) in [("first", None), ("third", Some(before.clone()))] {
                let name = CertificateName::parse(word).unwrap();
                let subject = Subject::Certificate(name.clone());
                // As an order begins: written down before it is made.
                let count = before.as_ref().map_or(1, |before| before.count + 1);
                attempts.note_attempt(&name, &attempt(count, now)).unwrap();
                turning
                    .facts
                    .observed
                    .attempts
                    .extend(before.map(|before| (subject.clone(), before)));
                turning.facts.observed.under_way.insert(subject);
                turning.work.spawn_local(std::future::pending());
            }
            turning.break_off().await;
            let records = attempts.attempts().unwrap();
            let of = |word: &str| {
                let name = CertificateName::parse(word).unwrap();
                records[&name].as_ref().unwrap().clone()
            };
            assert!(!of("first").is_failure());
            assert_eq!(of("third"), before);
        })
        .await;
}

#[tokio::test]
async fn what_a_helper_has_begun_counts_as_cut_off_after_an_orderly_end() {
    let local = tokio::task::LocalSet::new();
    local
        .run_until(async {
            let folder = tempfile::tempdir().unwrap();
            let folders = Folders::new(
                folder.path().join("certificates"),
                folder.path().join("state"),
                |_| (),
            );
            let mut turning = Loop::new(daemon_in(Rc::new(Scripted::default()), folders));
            let helper = container("certbot", 6).label("kind", "certbot");
            let seen = desire::tests::snapshot([proxy(), app("shop", 4), helper]);
            turning.desired = Some(Rc::new(desire::desire(&seen, &rules())));
            let attempts = Rc::clone(&turning.daemon.ports.issuing.attempts);
            let name = CertificateName::parse("shop.example").unwrap();
            let begun = attempt(1, Timestamp::from_seconds(1_800_000_000));
            attempts.note_attempt(&name, &begun).unwrap();
            let subject = Subject::Certificate(name.clone());
            turning.facts.observed.under_way.insert(subject);
            turning.work.spawn_local(std::future::pending());
            turning.break_off().await;
            let records = attempts.attempts().unwrap();
            assert_eq!(records[&name].as_ref().unwrap(), &begun);
        })
        .await;
}

/// A container of its own name that answers for `NAME.example`.
fn app(name: &str, number: u8) -> Bearer {
    container(name, number).label("host", &format!("{name}.example"))
}

#[tokio::test]
async fn a_self_signed_certificate_is_there_at_once_beside_four_orders_that_hang() {
    let local = tokio::task::LocalSet::new();
    local
        .run_until(async {
            let folder = tempfile::tempdir().unwrap();
            let folders = Folders::new(
                folder.path().join("certificates"),
                folder.path().join("state"),
                |_| (),
            );
            // It takes connections, and says nothing.
            let ca = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let at = ca.local_addr().unwrap();
            let mut daemon = daemon_in(Rc::new(Scripted::default()), folders);
            daemon.label_rules.issuers = Some(Issuer::Ca(format!("https://{at}/dir")).into());
            daemon.plan_rules.answers_itself = true;
            daemon.label_rules.answers_itself = true;
            let mut turning = Loop::new(daemon);
            let now = turning.daemon.ports.clock.now();
            let own = app("own", 5)
                .label("ca", "self-signed")
                .label("use", "own.example");
            let own = own.label("kind", "generic").label("files", "/keys");
            let hosts = ["a", "b", "c", "d", "e", "f"];
            let hosts = hosts.map(|word| Host::parse(&format!("{word}.example")).unwrap());
            let names = desire::named(&hosts.into()).unwrap();
            turning
                .facts
                .replace((None, vec![own, names]), None, true, now);
            turning.turn();
            let under_way = turning.facts.observed.under_way.len();
            assert!(under_way >= 5, "{:?}", turning.facts.observed.under_way);
            // Those take ten seconds to be given up.
            let done = tokio::time::timeout(Duration::from_secs(5), turning.work.join_next());
            let done = done.await.expect("it waits for no CA").unwrap().unwrap();
            let Ok(Learned::Held(name, _)) = done.result else {
                panic!("{done:?}")
            };
            assert_eq!(name.as_str(), "own.example");
            turning.turn();
            assert_eq!(
                turning.work.len(),
                plan::ORDERS_AT_ONCE,
                "and those still hang"
            );
        })
        .await;
}

#[test]
fn a_ca_that_asks_to_be_left_alone_is_so_after_a_restart_and_forgotten_in_time() {
    use crate::observe::BusyCa;

    let folder = tempfile::tempdir().unwrap();
    let folders = Folders::new(
        folder.path().join("certificates"),
        folder.path().to_owned(),
        |_| (),
    );
    let ports = daemon_in(Rc::default(), folders).ports;
    let (now, hour) = (SystemClock.now(), Duration::from_secs(60 * 60));
    for (since, is_kept) in [(now, true), (now - hour * 26, false)] {
        let busy = BusyCa {
            since,
            until: since + hour,
            problem: "later".to_owned(),
            count: 1,
        };
        let mut facts = Facts::read(&ports, &Dialects::native("quaymaster"));
        let directory = "https://ca.example/dir".to_owned();
        facts.observed.busy_cas.insert(directory.clone(), busy);
        facts.keep_busy_cas(&ports);
        let read = Facts::read(&ports, &Dialects::native("quaymaster"))
            .observed
            .busy_cas;
        assert_eq!(read.contains_key(&directory), is_kept);
        assert_eq!(read, facts.observed.busy_cas);
    }
}

/// Number of deployments to the proxy while a container restarted every 3 s for so long, and for another site, whose
/// container moves after five minutes.
fn deployments(minutes: u64, is_damped: bool) -> (usize, usize) {
    let folder = tempfile::tempdir().unwrap();
    let folders = Folders::new(
        folder.path().join("certificates"),
        folder.path().to_owned(),
        |_| (),
    );
    let ports = daemon_in(Rc::default(), folders).ports;
    let mut facts = Facts::read(&ports, &Dialects::native("quaymaster"));
    let start = Timestamp::from_seconds(1_800_000_000);
    let all = vec![proxy(), app("crash", 4), app("shop", 5)];
    facts.replace((None, all), Some(own()), true, start);
    let hosts = ["crash.example", "shop.example"].map(|host| Host::parse(host).unwrap());
    let holders = hosts.map(|host| (host, Holder::of(&None)));
    facts.snapshot.holders = BTreeMap::from(holders).into();

    let templates = Templates::built_in().unwrap();
    let plan_rules = plan::PlanRules {
        resync: BREATH,
        ..plan_rules()
    };
    let mut observed = Observed::default();
    observed
        .installed
        .insert(proxy().name, Installed::default().into());
    let mut settle = |facts: &mut Facts, now| {
        let mut snapshot = facts.snapshot.clone();
        if !is_damped {
            let containers = snapshot.bearers.values_mut();
            containers.for_each(|container| Rc::make_mut(container).waits = None);
        }
        let (desired, mut deployed) = (desire::desire(&snapshot, &rules()), 0);
        loop {
            let plan = plan::plan(&desired, &observed, &templates, &plan_rules, now);
            let deploys = plan.actions.iter();
            deployed += deploys.filter(|it| matches!(it, Action::Deploy(_))).count();
            if plan.actions.is_empty() {
                return deployed;
            }
            observed = plan::foresee(&observed, &plan, now);
        }
    };
    settle(&mut facts, start);

    let (mut crash, mut total, mut of_shop) = (app("crash", 4), 0, 0);
    let second = Duration::from_secs(1);
    for number in 1..=u32::try_from(minutes * 60).unwrap() {
        let now = start + second * number;
        if facts.end(now) {
            total += settle(&mut facts, now);
        }
        match number % 3 {
            0 => {
                crash.state = BearerState::Other("restarting".to_owned());
                crash.endpoints[0].address = None;
                crash.restarts += 1;
            }
            1 if number > 1 => {
                let address = app("crash", 4).endpoints;
                (crash.state, crash.endpoints) = (BearerState::Running, address);
                crash.started_at = Some(now);
            }
            _ => continue,
        }
        facts.refresh(&crash.id, Some(crash.clone()), EventKind::Changed, now);
        total += settle(&mut facts, now);
        if number == 301 {
            // Another container of another site moves.
            let moved = app("shop", 6).endpoints;
            let shop = Bearer {
                endpoints: moved,
                ..app("shop", 5)
            };
            facts.refresh(&shop.id, Some(shop.clone()), EventKind::Changed, now);
            of_shop += settle(&mut facts, now);
        }
    }
    (total, of_shop)
}

#[test]
fn a_container_that_restarts_every_three_seconds_costs_five_deployments_in_all_and_another_site_none()
 {
    assert_eq!(deployments(1, true), (5, 0));
    assert_eq!(deployments(30, true), (5, 1));
    assert_eq!(deployments(30, false), (2 * 600 - 1, 1), "without damping");
}

#[tokio::test]
async fn whoever_looks_once_knows_from_the_status_who_waits_as_long_as_that_is_new() {
    let (now, minute) = (SystemClock.now(), Duration::from_secs(60));
    let wait = |until| Wait {
        until,
        restarts: 7,
        returns: 7,
    };
    let cases = [
        (now, Some(now + minute), true),
        (now, None, true),
        (now - minute, Some(now - minute / 2), false),
        (now - minute * 10, None, false),
    ];
    for (written, until, waits) in cases {
        let folder = tempfile::tempdir().unwrap();
        let folders = Folders::new(
            folder.path().join("certificates"),
            folder.path().to_owned(),
            |_| (),
        );
        let snapshot = Snapshot {
            bearers: [proxy(), app("shop", 4)]
                .map(|it| (it.name.clone(), Rc::new(it)))
                .into(),
            own: Some(own()),
            ..Snapshot::default()
        };
        let desired = desire::desire(&snapshot, &rules());
        let none = (Observed::default(), Plan::default());
        let mut status = Status::of(&desired, &none.0, &none.1, written);
        status.tell_waits(&[(app("shop", 4).name, wait(until))].into());
        let text = serde_json::to_string(&status).unwrap();
        std::fs::write(folder.path().join("status.json"), text).unwrap();
        let survey = daemon_in(Rc::default(), folders).survey().await.unwrap();
        let shop = survey.snapshot.bearers.values().next().unwrap();
        assert_eq!(shop.waits, waits.then_some(wait(until)), "{until:?}");
    }
}

/// Stores a certificate that nobody is asked for.
fn store_self_signed(ports: &Ports, host: &str) -> CertificateName {
    let Issuing {
        authorities,
        certificates,
        ..
    } = &ports.issuing;
    let name = CertificateName::parse(host).unwrap();
    let names = [Host::parse(host).unwrap()].into();
    let (now, key) = (ports.clock.now(), new_key(KeyType::Ec256).unwrap());
    let chain = authorities.self_signed(&key, &names, now).unwrap();
    let new = NewCertificate {
        profile: None,
        name: &name,
        names: &names,
        key: &key,
        chain: &chain,
        source: Source::SelfSigned,
        now,
    };
    certificates.store(&new).unwrap();
    name
}

#[tokio::test]
async fn what_nobody_wants_is_archived_over_restarts_and_comes_back_without_an_order() {
    let local = tokio::task::LocalSet::new();
    local
        .run_until(async {
            let folder = tempfile::tempdir().unwrap();
            let certificates = folder.path().join("certificates");
            let new = || {
                let state = folder.path().join("state");
                let folders = Folders::new(certificates.clone(), state, |_| ());
                daemon_in(Rc::new(Scripted::default()), folders)
            };
            let status = || -> Status {
                let text = std::fs::read(folder.path().join("state/status.json")).unwrap();
                serde_json::from_slice(&text).unwrap()
            };
            let name = store_self_signed(&new().ports, "old.example");
            assert_eq!(new().once().await.unwrap(), Settled::Clean);
            assert!(status().certificates[&name].archived_at.is_some());
            let records = Rc::clone(&new().ports.records);
            let mut unwanted = records.unwanted().unwrap();
            unwanted.get_mut(&name).unwrap().counted = new().plan_rules.archive_after;
            records.keep_unwanted(&unwanted).unwrap();
            assert_eq!(new().once().await.unwrap(), Settled::Clean);
            assert!(!certificates.join("live/old.example").exists());
            assert_eq!(new().once().await.unwrap(), Settled::Clean);
            assert!(status().archived.contains_key(&name), "{:?}", status());
            let mut turning = Loop::new(new());
            let ports = turning.daemon.ports.clone();
            turning.facts.look_at_certificates(&ports).unwrap();
            let wanted = desire::desire(
                &Snapshot {
                    bearers: [proxy(), app("old", 4)]
                        .map(|it| (it.name.clone(), Rc::new(it)))
                        .into(),
                    own: Some(own()),
                    ..Snapshot::default()
                },
                &rules(),
            );
            turning.go_on_with_lives(&wanted, ports.clock.now());
            assert!(turning.facts.observed.held.contains_key(&name));
            assert!(certificates.join("live/old.example/privkey.pem").exists());
            assert!(records.unwanted().unwrap().is_empty());
        })
        .await;
}

#[tokio::test]
async fn what_is_to_be_forgotten_is_archived_at_once_and_nothing_else_is() {
    let local = tokio::task::LocalSet::new();
    local
        .run_until(async {
            let folder = tempfile::tempdir().unwrap();
            let new = || {
                let [certificates, state] =
                    ["certificates", "state"].map(|it| folder.path().join(it));
                let folders = Folders::new(certificates, state, |_| ());
                daemon_in(Rc::new(Scripted::default()), folders)
            };
            let ports = new().ports;
            let [one, other] =
                ["one.example", "other.example"].map(|host| store_self_signed(&ports, host));
            let ask = |certificate: &CertificateName, asked| {
                let forget = Forget {
                    certificate: certificate.clone(),
                    asked,
                    outcome: None,
                };
                ports.wishes.keep_forget(&forget).unwrap();
            };
            let now = ports.clock.now();
            ask(&one, now);
            // Another one's time is over, too: a command does what it is asked for alone.
            let old = Unwanted {
                counted: plan_rules().archive_after,
                until: now,
            };
            let unwanted = [(other.clone(), old)].into();
            ports.records.keep_unwanted(&unwanted).unwrap();
            new().fulfil_wishes().await.unwrap();
            let outcome = || ports.wishes.forgets().unwrap().0.remove(0).outcome;
            assert_eq!(outcome(), Some(Forgotten::Archived));
            let found = ports.issuing.certificates.certificates(now).unwrap();
            assert!(found.archived.contains_key(&one), "{found:?}");
            assert!(found.held.contains_key(&other), "{found:?}");
            // By a daemon that is at rest, and once: an answer stays until it is fetched, or an hour is over.
            ask(&one, now);
            let mut turning = Loop::new(new()).settled().await.unwrap();
            assert_eq!(outcome(), Some(Forgotten::AlreadyArchived));
            turning.turn();
            ask(&one, now);
            turning.turn();
            assert_eq!(outcome(), Some(Forgotten::AlreadyArchived));
            turning.look_at_forgets(now + KEPT * 2);
            assert!(ports.wishes.forgets().unwrap().0.is_empty());
        })
        .await;
}
