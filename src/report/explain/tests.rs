//! Stories of one name, with a world made of words and broken in one place each.

use std::{rc::Rc, time::Duration};

use super::*;
use crate::{
    desire::{
        LabelRules, Origin, claimants, desire,
        tests::{container, proxy, rules, snapshot},
    },
    fixtures::{held, plan_rules, usual_issuance},
    observe::{
        Attempt, Bearer, BearerState, BusyCa, Counted, Health, HeldCertificate, Holder, Installed,
        Ledger, LedgerEntry, Progress, Removed, RenewalInfo, RenewalRecord, Shelf, Source, Subject,
        SuggestedWindow, Wait,
    },
    plan::{PlanRules, choose_cas, foresee, names_digest, plan, suggestion},
    render::Templates,
    report::{FindingState, OutputStatus},
    values::{
        CA_PRESETS, CaSettings, CaTable, CertificateId, CertificateName, Digest, FileName, Grants,
        Limit, Retry,
    },
};

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

/// The true state, until a test breaks it.
struct World {
    host: Host,
    containers: Vec<Bearer>,
    observed: Observed,
    seen: BTreeMap<ContainerName, ProxyAnswers>,
    listening: BTreeMap<SocketAddr, Result<(), ErrorKind>>,
    daemon: (Works, Option<Timestamp>),
    faults: Vec<String>,
    /// True if the plan is carried out before the story is written.
    settles: bool,
    /// True if the name was seen to be served before.
    served: bool,
    /// A table of grants, where there is one.
    grants: Option<&'static str>,
    /// A file of the user's own in this container, and what is wrong with it.
    output: Option<(&'static str, Option<&'static str>)>,
    /// The CAs of the settings.
    cas: CaTable,
}

/// Of another project, and younger.
fn strangers() -> Bearer {
    let mut late = container("late", 9).label("host", "shop.example");
    late.labels
        .insert("com.docker.compose.project".to_owned(), "other".to_owned());
    late
}

/// Stands for the number of the last generation, however many it took.
const WHAT_WAS_PROVEN: &str = "what was proven";

fn shop() -> Bearer {
    container("shop", 4).label("host", "shop.example")
}

impl World {
    /// shop.example is served well.
    fn well() -> Self {
        let mark = Ok(WHAT_WAS_PROVEN.to_owned());
        let seen = ProxyAnswers {
            mark,
            plain: Ok(301),
            serial: Some(Ok(serial())),
        };
        Self {
            host: Host::parse("shop.example").expect("a name"),
            containers: vec![proxy(), shop()],
            observed: Observed::default(),
            seen: [(ContainerName::parse("proxy").expect("a name"), seen)].into(),
            listening: [(SocketAddr::from(([10, 0, 0, 4], 8080)), Ok(()))].into(),
            daemon: (Works::Well, Some(NOW - Duration::from_secs(5))),
            faults: Vec::new(),
            settles: true,
            served: false,
            grants: None,
            output: None,
            cas: CaTable::default(),
        }
    }

    fn told(mut self) -> Findings {
        let templates = Templates::built_in().expect("they are tested");
        let plan_rules = PlanRules {
            cas: self.cas.clone(),
            ..plan_rules()
        };
        let mut snapshot = snapshot(self.containers);
        if self.served {
            snapshot.holders = BTreeMap::from([(self.host.clone(), Holder::of(&None))]).into();
        }
        let grants = self.grants;
        let grants = grants.map(|table| Grants::parse(table).expect("a table"));
        let rules = LabelRules { grants, ..rules() };
        let desired = desire(&snapshot, &rules);
        for name in desired.consumers.keys() {
            self.observed.installed.entry(name.clone()).or_default();
        }
        let planned = |observed: &Observed| plan(&desired, observed, &templates, &plan_rules, NOW);
        while self.settles && !planned(&self.observed).actions.is_empty() {
            self.observed = foresee(&self.observed, &planned(&self.observed), NOW);
        }
        for (name, seen) in &mut self.seen {
            if seen.mark.as_deref() == Ok(WHAT_WAS_PROVEN) {
                let installed = self.observed.installed.get(name);
                seen.mark = Ok(installed.map_or(0, |it| it.generation).to_string());
            }
        }
        let plan = planned(&self.observed);
        let desired = choose_cas(&desired, &self.observed, &plan_rules, NOW).into_owned();
        let claimants = claimants(&snapshot, &rules);
        let held = self
            .observed
            .held
            .values()
            .next()
            .map(|held| held.serial.clone());
        for seen in self.seen.values_mut() {
            if seen.serial == Some(Ok(serial())) {
                seen.serial = held.clone().map(Ok);
            }
        }
        let status = self.output.map(|(reader, problem)| {
            let mut status = Status::of(&desired, &self.observed, &plan, NOW);
            let output = OutputStatus {
                template: "/t".to_owned(),
                target: "/out".into(),
                consumer: Some(reader.to_owned()),
                readers: [ContainerName::parse(reader).expect("a name")].into(),
                current: problem.is_none(),
                owed: false,
            };
            status.outputs.insert("list".to_owned(), output);
            let said = Origin::new(&ContainerName::of_settings(), "outputs.list", "");
            let complaint = problem.map(|problem| said.complains(problem, "mend it"));
            status.complaints.extend(complaint);
            status
        });
        explain(&Inspection {
            host: &self.host,
            now: NOW,
            prefix: "quaymaster",
            snapshot: &snapshot,
            desired: &desired,
            claimants: &claimants,
            observed: &self.observed,
            plan: &plan,
            faults: &self.faults,
            status: status.as_ref(),
            daemon: self.daemon,
            looked: Some(LookedAt {
                seen: &self.seen,
                listening: &self.listening,
            }),
        })
    }
}

/// Stands for the serial number that the world's own certificate turns out to have.
fn serial() -> String {
    "its own".to_owned()
}

/// The first problem and what to do first.
fn first(told: &Findings) -> (String, String) {
    let problem = told
        .problems()
        .next()
        .map(|finding| finding.says.clone())
        .unwrap_or_default();
    (
        problem,
        told.next_steps(1)
            .first()
            .map(|step| (*step).to_owned())
            .unwrap_or_default(),
    )
}

/// All that is said about something.
fn says(told: &Findings, about: &str) -> String {
    let lines = told.0.iter().filter(|finding| finding.about == about);
    let lines: Vec<_> = lines.map(|line| line.says.as_str()).collect();
    lines.join("\n")
}

#[test]
fn a_name_that_is_served_well_is_told_from_its_label_to_its_app() {
    let told = World::well().told();
    let lines: Vec<_> = told
        .0
        .iter()
        .map(|finding| format!("{} {}: {}", finding.state, finding.about, finding.says))
        .collect();
    let text = lines.join("\n");
    assert!(told.is_well(), "{text}");
    for piece in [
        "ok asked for: container shop asks for it by its label quaymaster.host",
        "ok served by: proxy",
        "ok daemon: it works",
        "ok proxy: proxy serves it from /etc/nginx/conf.d/quaymaster-shop.example.conf",
        "ok certificate: shop.example, from the CA, serial ",
        "ok certificate: it will be renewed ",
        "ok seen now: proxy answers on port 80 with generation 6",
        "ok seen now: proxy shows the certificate ",
        "ok behind it: shop listens at 10.0.0.4:8080",
    ] {
        assert!(text.contains(piece), "{piece} is not in\n{text}");
    }
}

#[test]
fn that_a_ca_suggests_a_renewal_is_told_with_where_it_says_why() {
    let mut world = World::well();
    let (name, id) = (
        CertificateName::parse("shop.example").expect("a name"),
        CertificateId::of(b"the key", b"1"),
    );
    let day = Duration::from_secs(24 * 60 * 60);
    let held = HeldCertificate {
        not_before: NOW - day,
        not_after: NOW + day * 89,
        source: Source::from(&usual_issuance().issuer),
        renewal_id: Some(id.clone()),
        ..held(&["shop.example"])
    };
    let window = SuggestedWindow {
        start: NOW + day,
        end: NOW + day * 2,
        explanation: Some("https://ca.example/why".to_owned()),
    };
    let info = RenewalInfo {
        id,
        suggestion: suggestion(&held, &window),
        read: NOW,
        next_read: NOW + day,
    };
    let at = info.suggestion.as_ref().expect("it makes sense").at;
    let record = RenewalRecord {
        info: Some(info),
        followed: None,
    };
    world.observed.hold(name.clone(), held);
    world.observed.renewals = [(name, record)].into();
    let said = says(&world.told(), "certificate");
    for piece in [
        &format!("it will be renewed at {at}"),
        ", as its CA suggests",
        "https://ca.example/why",
    ] {
        assert!(said.contains(piece), "{piece} is not in\n{said}");
    }
}

#[test]
fn each_breakage_is_told_with_the_one_thing_to_do_first() {
    type Break = fn(&mut World);
    let cases: &[(&str, Break, &str, &str)] = &[
        (
            "another name",
            |w| w.host = Host::parse("shpo.example").expect("a name"),
            "no container asks",
            "quaymaster.host=shpo.example",
        ),
        (
            "app stopped",
            |w| w.containers[1].state = BearerState::Other("exited".into()),
            "does not run",
            "docker start shop",
        ),
        (
            "app stopped that was served",
            |w| {
                w.containers[1].state = BearerState::Other("exited".into());
                w.served = true;
            },
            "and does not run; until it is started or removed, the site is kept and answers 503",
            "docker start shop",
        ),
        (
            "app removed that was served",
            |w| {
                w.containers[1] = Removed::of(&w.containers[1], NOW).bearer();
                w.served = true;
            },
            "and was removed; until 2027-01-15T08:10:00Z, the site is kept and answers 503",
            "start the container that is to take its place",
        ),
        (
            "no proxy",
            |w| drop(w.containers.remove(0)),
            "can't be followed",
            "quaymaster.kind=nginx",
        ),
        (
            "no mount",
            |w| w.containers[0].mounts.clear(),
            "can't be followed",
            "edge:/etc/nginx/conf.d:ro",
        ),
        (
            "proxy stopped",
            |w| w.containers[0].state = BearerState::Other("exited".into()),
            "proxy does not run",
            "docker start proxy",
        ),
        (
            "proxy ends and is started again",
            |w| w.containers[0].state = BearerState::Other("restarting".into()),
            "proxy does not run",
            "its restart policy starts it again by itself; `docker logs proxy`",
        ),
        (
            "app ends and is started again",
            |w| w.containers[1].state = BearerState::Other("restarting".into()),
            "does not run",
            "its restart policy starts it again by itself; `docker logs shop`",
        ),
        (
            "app comes and goes",
            |w| {
                w.containers[1].waits = Some(waits(7));
            },
            "shop comes and goes: it was restarted 7 times, and takes requests again at 2027-01-15T08:00:05Z if it stays",
            "`docker logs shop` says why; when that is fixed, `docker restart shop` has it served at once",
        ),
        (
            "app comes and goes, and does not run",
            |w| {
                w.containers[1].state = BearerState::Other("restarting".into());
                w.containers[1].endpoints[0].address = None;
                let until = None;
                w.containers[1].waits = Some(Wait { until, ..waits(7) });
            },
            "shop comes and goes: it was restarted 7 times, and takes requests again once it stays",
            "`docker logs shop` says why",
        ),
        (
            "app's health comes and goes",
            |w| {
                w.containers[1].health = Some(Health::Healthy);
                w.containers[1].waits = Some(waits(0));
            },
            "shop comes and goes: it came back 9 times",
            "`docker inspect shop` (State.Health) say why",
        ),
        (
            "app ends for the third time and was served",
            |w| {
                w.containers[1].state = BearerState::Other("restarting".into());
                w.containers[1].restarts = 2;
                w.served = true;
            },
            "does not run; until it is started or removed, the site is kept and answers 503",
            "its restart policy starts it again by itself, as it did 2 times already; `docker logs shop` says why",
        ),
        (
            "no daemon",
            |w| (w.settles, w.daemon) = (false, (Works::No, Some(NOW - Duration::from_secs(600)))),
            "no daemon works on this state (last seen at 2027-01-15T07:50:00Z (10 min 0 s ago))",
            "start it",
        ),
        (
            "unproven",
            |w| unproven(w),
            "does not serve generation 7: it is old",
            "docker logs proxy",
        ),
        (
            "nobody listens",
            |w| {
                w.listening = [(
                    SocketAddr::from(([10, 0, 0, 4], 8080)),
                    Err(ErrorKind::ConnectionRefused),
                )]
                .into()
            },
            "nothing listens on port 8080",
            "quaymaster.port",
        ),
        (
            "unhealthy",
            |w| w.containers[1].health = Some(Health::Unhealthy),
            "shop fails its health check",
            "quaymaster.health=ignore",
        ),
        (
            "old generation",
            |w| w.seen_mut().mark = Ok("1".into()),
            "proxy serves generation 1, not 6",
            "docker logs proxy",
        ),
        (
            "another server",
            |w| w.seen_mut().mark = Ok("<html>".into()),
            "does not serve what quaymaster writes",
            "/etc/nginx/conf.d/*.conf",
        ),
        (
            "foreign certificate",
            |w| w.seen_mut().serial = Some(Ok("ff".into())),
            "shows the certificate ff, not ",
            "nginx -T",
        ),
        (
            "twice",
            |w| w.containers.push(strangers()),
            "late asks for it",
            "container late: use another name",
        ),
        (
            "damaged",
            |w| {
                w.faults
                    .push("the certificate shop.example is refused: no key".into())
            },
            "is refused: no key",
            "",
        ),
    ];
    for (case, break_it, problem, remedy) in cases {
        let mut world = World::well();
        break_it(&mut world);
        let told = world.told();
        let (says, step) = first(&told);
        assert!(!told.is_well(), "{case}");
        assert!(says.contains(problem), "{case}: {says}");
        assert!(step.contains(remedy), "{case}: {step}; {told:#?}");
    }
}

/// It comes and goes.
fn waits(restarts: u32) -> Wait {
    Wait {
        until: Some(NOW + Duration::from_secs(5)),
        restarts,
        returns: 9,
    }
}

#[test]
fn a_site_that_others_serve_while_one_of_it_comes_and_goes_is_served_well() {
    let mut world = World::well();
    let mut flapping = container("flapping", 5).label("host", "shop.example");
    flapping.waits = Some(waits(7));
    world.containers.push(flapping);
    let told = world.told();
    assert!(told.is_well(), "{told:?}");
    let note = told.0.iter().find(|it| it.says.starts_with("flapping "));
    let note = note.expect("it is told");
    assert!(note.says.contains("it was restarted 7 times"), "{note:?}");
    let remedy = note.remedy.as_deref().unwrap_or_default();
    assert!(remedy.starts_with("`docker logs flapping` says why"));
}

#[test]
fn how_often_a_container_was_restarted_is_told_when_it_runs() {
    let mut world = World::well();
    world.containers[1].restarts = 1;
    world.containers[1].started_at = Some(NOW - Duration::from_secs(5));
    let told = world.told();
    let says = "shop was restarted once, and runs since 2027-01-15T07:59:55Z (5 s ago); `docker logs shop` says why";
    assert!(
        told.is_well() && told.0.iter().any(|it| it.says == says),
        "{told:?}"
    );
}

impl World {
    fn seen_mut(&mut self) -> &mut ProxyAnswers {
        self.seen.values_mut().next().expect("there is one proxy")
    }
}

fn unproven(world: &mut World) {
    let told = |containers: &[Bearer]| desire(&snapshot(containers.to_vec()), &rules());
    let templates = Templates::built_in().expect("they are tested");
    let plan_rules = plan_rules();
    let desired = told(&world.containers);
    world.observed.installed.insert(
        ContainerName::parse("proxy").expect("a name"),
        Installed {
            generation: 6,
            ..Installed::default()
        }
        .into(),
    );
    loop {
        let plan = plan(&desired, &world.observed, &templates, &plan_rules, NOW);
        if plan.actions.is_empty() {
            break;
        }
        world.observed = foresee(&world.observed, &plan, NOW);
    }
    let installed = world
        .observed
        .installed
        .values_mut()
        .next()
        .expect("there is one proxy");
    let installed = Rc::make_mut(installed);
    installed.progress = Progress::Unproven {
        reason: "it is old".into(),
    };
    installed.generation = 7;
    world.settles = false;
}

#[test]
fn what_is_old_at_a_proxy_is_no_fault_while_it_is_deployed_to() {
    for is_under_way in [false, true] {
        let mut world = World::well();
        unproven(&mut world);
        let (name, installed) = world.observed.installed.iter_mut().next().expect("one");
        Rc::make_mut(installed).progress = Progress::TakenBack;
        if is_under_way {
            world
                .observed
                .under_way
                .insert(Subject::Consumer(name.clone()));
        }
        world.seen_mut().mark = Ok("6".into());
        let told = world.told();
        assert_eq!(told.is_well(), is_under_way, "{told:#?}");
        assert_eq!(
            says(&told, "seen now").starts_with("proxy still serves generation 6"),
            is_under_way
        );
    }
}

#[test]
fn a_proxy_that_does_not_run_is_not_told_as_one_that_serves() {
    let mut world = World::well();
    world.containers[0].state = BearerState::Other("exited".into());
    let told = world.told();
    let by: Vec<_> = told
        .0
        .iter()
        .filter(|finding| finding.about == "served by")
        .collect();
    let [by] = by[..] else { panic!("{by:?}") };
    assert_eq!(
        (by.state, by.says.as_str()),
        (FindingState::Note, "proxy, which does not run")
    );
}

#[test]
fn failed_orders_are_told_with_the_next_try_and_the_way_round_it() {
    for (retry, expected) in [
        (Retry::Backoff, "renew --force shop.example"),
        (
            Retry::NotBefore(NOW + Duration::from_secs(3600)),
            "wait: the CA lets it be tried again at 2027-01-15T09:00:00Z (in 1 h 0 min)",
        ),
        (
            Retry::Daily,
            "and at once when the labels or settings change",
        ),
    ] {
        let mut world = World::well();
        world.settles = false;
        let problem = Some("the CA could not validate shop.example: no route to host".to_owned());
        let asked = Digest::of("");
        let subject = Subject::Certificate(CertificateName::from(&world.host));
        world.observed.attempts.insert(
            subject,
            Attempt {
                count: 2,
                asked,
                retry,
                problem,
                ..Attempt::broken_off(NOW - Duration::from_secs(70))
            },
        );
        let told = world.told();
        let tries = told
            .problems()
            .find(|finding| finding.about == "tries")
            .expect("it is told");
        assert!(
            tries
                .says
                .starts_with("2 tries in a row failed, the last 1 min 10 s ago: the CA could not"),
            "{}",
            tries.says
        );
        assert!(
            tries
                .remedy
                .as_deref()
                .is_some_and(|remedy| remedy.contains(expected)),
            "{tries:?}"
        );
    }
}

#[test]
fn a_ca_that_wants_to_be_left_alone_is_told_where_its_certificate_is_missing() {
    let wanted = usual_issuance().issuer;
    let busy = BusyCa {
        since: NOW,
        until: NOW + Duration::from_secs(3600),
        problem: "the CA asks quaymaster to wait (503)".to_owned(),
        count: 1,
    };
    for (is_busy, expected) in [
        (false, "the CA has not been asked yet"),
        (true, "the CA is asked for nothing until "),
    ] {
        let directory = wanted.directory().expect("a CA").to_owned();
        let busy = is_busy.then(|| (directory, busy.clone()));
        let mut world = World::well();
        world.observed.held = Default::default();
        world.settles = false;
        world.observed.busy_cas = busy.into_iter().collect();
        let told = world.told();
        let tries = told.0.iter().find(|finding| finding.about == "tries");
        let says = &tries.expect("it is told").says;
        assert!(says.contains(expected), "{says}");
        assert_eq!(says.contains("(503)"), is_busy, "{says}");
    }
}

#[test]
fn that_another_ca_of_the_list_is_asked_is_told_with_why() {
    let lists = [
        ("letsencrypt zerossl", true),
        ("letsencrypt", false),
        ("zerossl letsencrypt", false),
    ];
    for (list, is_told) in lists {
        let busy = BusyCa {
            since: NOW,
            until: NOW + Duration::from_secs(3600),
            problem: "the CA asks quaymaster to wait (503)".to_owned(),
            count: 1,
        };
        let mut world = World::well();
        let shop = container("shop", 4).label("host", "shop.org");
        world.host = Host::parse("shop.org").expect("a name");
        world.containers = vec![proxy(), shop.label("ca", list)];
        world.settles = false;
        let directory = CA_PRESETS[0].directory.to_owned();
        world.observed.busy_cas = [(directory, busy)].into();
        let says = says(&world.told(), "tries");
        let expected = "letsencrypt asks for a pause until 2027-01-15T09:00:00Z; zerossl is asked";
        assert_eq!(says.contains(expected), is_told, "{list}: {says}");
        assert_eq!(says.contains("(503)"), list == "letsencrypt", "{says}");
    }
}

#[test]
fn a_limit_of_a_ca_is_told_with_the_time_and_with_what_helps_whoever_can_not_wait() {
    let limit = Limit {
        most: 5,
        within: Duration::from_secs(7 * 24 * 3600),
    };
    let cas = CaSettings {
        directory: usual_issuance().issuer.directory().map(str::to_owned),
        same_names: Some(Some(limit)),
        ..CaSettings::default()
    };
    let mut world = World::well();
    world.cas = CaTable::new([("corp".to_owned(), cas)].into()).expect("a CA");
    world.observed.held = Default::default();
    world.settles = false;
    let names = names_digest([&world.host]);
    let ca = usual_issuance().issuer.to_string();
    let entries = (0..4_u8).map(|number| LedgerEntry {
        at: NOW - Duration::from_secs(3600),
        ca: ca.clone(),
        counted: Counted::Certificate {
            names,
            order: Digest::of([number]),
        },
    });
    world.observed.ledger = Rc::new(Ledger::of(entries));
    let told = world.told();
    let tries = told.0.iter().find(|finding| finding.about == "tries");
    let tries = tries.expect("it is told");
    assert!(
        tries
            .says
            .contains("issues 5 certificates for the same names within 7days"),
        "{tries:?}"
    );
    let remedy = tries.remedy.as_deref().expect("there is one");
    assert!(remedy.starts_with("wait: it is ordered at "), "{remedy}");
    assert!(remedy.contains("renew --force"), "{remedy}");
}

#[test]
fn what_was_skipped_is_told_with_its_reason() {
    let held = |names: &[&str], from: i64, to: i64| HeldCertificate {
        not_before: Timestamp::from_seconds(from),
        not_after: Timestamp::from_seconds(to),
        ..held(names)
    };
    let mut world = World::well();
    let now = NOW.millis() / 1000;
    for (name, certificate) in [
        (
            "shop.example",
            held(&["other.example"], now - 10, now + 9_000_000),
        ),
        ("wild", held(&["*.example"], now - 11, now + 9_000_000)),
        ("old", held(&["shop.example"], now - 1000, now - 12)),
        ("longer", held(&["shop.example"], now - 13, now + 9_900_000)),
    ] {
        let name = CertificateName::parse(name).expect("a name");
        world.observed.hold(name, certificate);
    }
    let users = HeldCertificate {
        shelf: Shelf::Provided,
        ..held(&["more.example"], now - 10, now - 9)
    };
    let longer = CertificateName::parse("longer").expect("a name");
    world.observed.provide(longer, users);
    world.settles = false;
    let told = world.told();
    let notes: Vec<_> = told
        .0
        .iter()
        .filter(|finding| finding.about == "certificate")
        .map(|f| f.says.as_str())
        .collect();
    let text = notes.join("\n");
    for piece in [
        "longer, from Test",
        "it is for this very name",
        "not live/old: it is not valid",
        "not live/shop.example: it is for other.example",
        "not live/wild: the one above fits better",
        "not provided/longer: it is not valid",
        "put there by hand",
    ] {
        assert!(text.contains(piece), "{piece} is not in\n{text}");
    }
}

#[test]
fn one_of_your_own_in_a_folder_that_is_called_as_another_name_is_told_to_be_called_otherwise() {
    let mut world = World::well();
    world.host = Host::parse("more.example").expect("a name");
    world.containers = vec![
        proxy(),
        container("shop", 4).label("host", "shop.example"),
        container("more", 5).label("host", "more.example"),
    ];
    let name = || CertificateName::parse("shop.example").expect("a name");
    world.observed.hold(name(), held(&["shop.example"]));
    let users = HeldCertificate {
        shelf: Shelf::Provided,
        ..held(&["more.example"])
    };
    world.observed.provide(name(), users);
    world.settles = false;
    let told = world.told();
    let mut notes = told.0.iter().map(|finding| finding.says.as_str());
    let sentence = "not provided/shop.example: shop.example is served by another one that is called so; call the folder of this \
                    one otherwise";
    assert!(notes.any(|says| says == sentence), "{told:?}");
}

#[test]
fn a_certificate_that_does_not_cover_the_name_is_told_with_why_it_serves() {
    let told = |host: &str, default: &str| {
        let mut world = World::well();
        world.host = Host::parse(host).expect("a name");
        world.containers = vec![
            proxy().label("default-certificate", default),
            container("shop", 4).label("host", "a.shop.example"),
        ];
        for (word, covered) in [("shop.example", "shop.example"), ("spare", "spare.example")] {
            let name = CertificateName::parse(word).expect("a name");
            world.observed.hold(name, held(&[covered]));
        }
        world.settles = false;
        let told = world.told();
        let told = told
            .0
            .into_iter()
            .filter(|finding| finding.about == "certificate");
        told.map(|finding| finding.says).collect::<Vec<_>>()
    };
    let told_of_site = told("a.shop.example", "spare");
    let [chosen, skipped] = told_of_site.as_slice() else {
        panic!("{told_of_site:?}")
    };
    assert!(
        chosen.contains("it is that of shop.example, the nearest name above that has one"),
        "{chosen}"
    );
    assert!(
        chosen.ends_with("browsers refuse it, since it is for shop.example"),
        "{chosen}"
    );
    assert_eq!(skipped, "not live/spare: the one above fits better");
    assert_eq!(
        told("unknown.example", "spare"),
        ["no site has this name; proxy answers it with 404 under spare"]
    );
    assert_eq!(told("unknown.example", "none"), [""; 0]);
}

#[test]
fn a_self_signed_certificate_is_told_as_what_is_there_until_a_better_one_is() {
    let mut world = World::well();
    world.settles = false;
    let name = CertificateName::from(&world.host);
    let fallback = HeldCertificate {
        source: Source::Fallback,
        issuer: "self-signed by quaymaster".to_owned(),
        ..held(&["shop.example"])
    };
    world.observed.hold(name, fallback.clone());
    let told = world.told();
    assert!(!told.is_well());
    let text = says(&told, "certificate");
    assert!(
        text.contains("it is self-signed, and serves until a better one is there"),
        "{text}"
    );
    assert!(!text.contains("another CA"), "{text}");
    assert_eq!(says(&told, "tries"), "the CA has not been asked yet");
    // Beside one that serves it is skipped.
    let mut world = World::well();
    let other = CertificateName::parse("other").expect("a name");
    world.observed.hold(other, fallback);
    let text = says(&world.told(), "certificate");
    assert!(
        text.contains("not live/other: it is self-signed, and serves only where there is no other"),
        "{text}"
    );
}

/// A broker that needs a certificate for the name, beside the proxy that answers its challenge.
fn broker() -> Bearer {
    let mut broker = container("mqtt", 5)
        .label("kind", "mosquitto")
        .label("use", "shop.example");
    broker.mounts = vec![crate::fixtures::volume("state", "/mosquitto/certs", false)];
    broker
}

#[test]
fn a_name_that_a_server_alone_needs_is_told_by_what_that_server_has() {
    let world = World {
        containers: vec![proxy(), broker()],
        ..World::well()
    };
    let told = world.told();
    assert!(told.is_well(), "{told:?}");
    let expected = [
        "mqtt has it as /mosquitto/certs/",
        "mqtt was seen serving generation ",
    ];
    for expected in expected {
        let mut findings = told.0.iter();
        assert!(
            findings.any(|it| it.says.starts_with(expected)),
            "{expected}: {told:?}"
        );
    }

    let mut stopped = broker();
    stopped.state = BearerState::Other("exited".to_owned());
    let world = World {
        containers: vec![proxy(), stopped],
        ..World::well()
    };
    let (says, remedy) = first(&world.told());
    assert_eq!(says, "mqtt, which does not run");
    assert!(
        remedy.starts_with("start it: `docker start mqtt`"),
        "{remedy}"
    );
}

#[test]
fn which_way_files_take_to_a_server_that_may_be_given_them_by_the_engine_is_told() {
    let told = |broker: Bearer| {
        let containers = [proxy(), broker.label("copy", "true")];
        let world = World {
            containers: containers.map(|it| it.project_is("p")).into(),
            grants: Some("p = \"* proxy keys copy\""),
            ..World::well()
        };
        world.told()
    };
    let shared = told(broker());
    assert!(shared.is_well(), "{shared:?}");
    let text = says(&shared, "used by");
    assert!(
        text.contains("mqtt: its label copy is not needed: its files lie on a volume"),
        "{text}"
    );
    let mut alone = broker();
    alone.mounts.clear();
    let inside = told(alone);
    assert!(inside.is_well(), "{inside:?}");
    let text = says(&inside, "used by");
    assert!(text.contains("mqtt has it as /mosquitto/certs/"), "{text}");
    assert!(
        text.contains("mqtt: the engine puts its files into its container"),
        "{text}"
    );
    // Nobody is told of what no label asks for.
    let world = World {
        containers: vec![proxy(), broker()],
        ..World::well()
    };
    assert!(!says(&world.told(), "used by").contains("copy"));
}

#[test]
fn whose_the_configuration_of_a_broker_is_and_that_nobody_can_log_in_is_told() {
    let told = |before: Installed, settles: bool| {
        let mut world = World {
            containers: vec![proxy(), broker().label("config", "/mosquitto/certs/conf")],
            settles,
            ..World::well()
        };
        let mqtt = ContainerName::parse("mqtt").expect("a name");
        world.observed.installed.insert(mqtt, before.into());
        says(&world.told(), "used by")
    };
    let conf = || FileName::parse("mosquitto.conf").expect("a name");
    let users = || FileName::parse("passwd").expect("a name");
    let default = "mqtt: /mosquitto/certs/conf/mosquitto.conf is quaymaster's default; change it, and it is yours";
    let nobody = "mqtt: nobody can log in, since there is no /mosquitto/certs/conf/passwd";
    let text = told(Installed::default(), true);
    assert!(text.contains(default) && text.contains(nobody), "{text}");
    let with_users = Installed {
        beside: [users()].into(),
        ..Installed::default()
    };
    let text = told(with_users, true);
    assert!(
        text.contains(default) && !text.contains("nobody can log in"),
        "{text}"
    );
    let edited = Installed {
        foreign: [conf()].into(),
        ..Installed::default()
    };
    let text = told(edited, true);
    let yours = "mosquitto.conf is yours, since somebody else wrote it or changed it";
    assert!(text.contains(yours), "{text}");
    let text = told(Installed::default(), false);
    assert!(text.contains("mosquitto.conf is not there yet"), "{text}");
}

#[test]
fn of_what_a_helper_obtains_it_is_told_that_it_is_asked_and_when_again() {
    let with_helper = || {
        let mut world = World::well();
        world.settles = false;
        world
            .containers
            .push(container("certbot", 6).label("kind", "certbot"));
        world
    };
    let told = with_helper().told();
    assert_eq!(
        says(&told, "tries"),
        "the helper certbot has not been asked yet"
    );
    let mut world = with_helper();
    let name = CertificateName::from(&world.host);
    world.observed.hold(name, held(&["shop.example"]));
    let told = says(&world.told(), "certificate");
    assert!(
        told.contains("the helper certbot is asked to renew it at 2030-02-15T17:47:40Z"),
        "{told}"
    );
}

#[test]
fn a_file_of_the_users_own_in_a_proxy_of_the_name_is_told_and_one_elsewhere_is_not() {
    for (output, expected) in [
        (
            ("proxy", None),
            "list, a file of yours in proxy, is as its template makes it",
        ),
        (
            ("proxy", Some("its template is broken")),
            "list, a file of yours in proxy: its template is broken",
        ),
        (("other", Some("its template is broken")), ""),
        (("other", None), ""),
    ] {
        let world = World {
            output: Some(output),
            ..World::well()
        };
        let told = world.told();
        assert_eq!(says(&told, "outputs"), expected);
        let is_wrong = !expected.is_empty() && output.1.is_some();
        assert_eq!(told.is_well(), !is_wrong, "{output:?}");
    }
}
