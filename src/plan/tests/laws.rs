//! The laws that hold in any world, simulated.

use proptest::{collection::vec, prelude::*};

use super::{helper, refusals::Refusing, *};
use crate::{
    desire::{CertificateFolder, LabelRules},
    fixtures::{held, volume},
    observe::{HeldCertificate, Shelf, Source},
    plan::InForce,
};

/// Something that happens in the simulated world.
#[derive(Clone, Debug)]
enum Happening {
    App {
        number: u8,
        host: u8,
        runs: bool,
    },
    Gone {
        number: u8,
    },
    Proxy {
        runs: bool,
    },
    /// A server that gets certificates alone, and for which names.
    Broker {
        runs: bool,
        uses: usize,
    },
    Later {
        minutes: u32,
    },
    /// The user puts a certificate there that is valid for some days, or takes it away.
    Provided {
        called: usize,
        covers: usize,
        days: u32,
    },
    Withdrawn {
        called: usize,
    },
    /// The user's folder holds these templates from now on.
    Templates {
        number: usize,
    },
    /// A turn, in which each action succeeds, fails, or is cut off by a crash between its effects.
    Turn {
        outcomes: Vec<Outcome>,
    },
}

/// Folders in which the user puts certificates, and what these are for.
const CALLED: [&str; 3] = ["a.example", "b.example", "corp"];
const COVERED: [&str; 3] = ["a.example", "b.example", "*.example"];

/// Names that a server asks certificates for, be they served or not.
const USED: [&str; 4] = ["a.example", "b.example u.example", "u.example", "*"];

/// The host whose site the proxy of the simulated world refuses.
const REFUSED: &str = "d.example";

/// The first line of the user's template of sites, or of the proxy's own file or of its mark, where it says so: none
/// where all are built in; a text that the proxy refuses; one that fails for a host.
const EDITIONS: [&str; 5] = [
    "",
    "# one\n",
    "# two\n",
    "# bad\n",
    "{% if host == 'b.example' %}{{ nosuch }}{% endif %}",
];
const BAD: [usize; 2] = [3, 7];
const FAILING: usize = 4;
const FAILS_FOR: &str = "b.example";

/// These, when all of them were in use before.
fn edition(number: usize) -> Rc<Templates> {
    thread_local! { static MADE: [Rc<Templates>; EDITIONS.len()] = std::array::from_fn(|number| Rc::new(made(number))); }
    MADE.with(|made| Rc::clone(&made[number]))
}

fn made(number: usize) -> Templates {
    let texts = |start: &str| {
        let name = match start {
            "" => return BTreeMap::new(),
            _ if start.contains("base") => "nginx/base.conf",
            _ if start.contains("mark") => "nginx/mark.conf",
            _ => "nginx/site.conf",
        };
        let text = crate::render::BUILT_IN
            .iter()
            .find(|row| row.name == name)
            .expect("it is there")
            .text;
        BTreeMap::from([(name.to_owned(), Ok(format!("{start}{text}")))])
    };
    Templates::with(&texts(EDITIONS[number]))
        .after(EDITIONS.map(|start| Templates::with(&texts(start))))
}

#[derive(Clone, Copy, Debug)]
enum Outcome {
    Done,
    Failed,
    Crashed,
}

fn happening() -> impl Strategy<Value = Happening> {
    let outcome = prop_oneof![
        Just(Outcome::Done),
        Just(Outcome::Failed),
        Just(Outcome::Crashed)
    ];
    prop_oneof![
        (4u8..8, 0u8..6, any::<bool>()).prop_map(|(number, host, runs)| Happening::App {
            number,
            host,
            runs
        }),
        (4u8..8).prop_map(|number| Happening::Gone { number }),
        any::<bool>().prop_map(|runs| Happening::Proxy { runs }),
        (any::<bool>(), 0..USED.len()).prop_map(|(runs, uses)| Happening::Broker { runs, uses }),
        (1u32..200_000).prop_map(|minutes| Happening::Later { minutes }),
        (0..CALLED.len(), 0..COVERED.len(), 1u32..60).prop_map(|(called, covers, days)| {
            Happening::Provided {
                called,
                covers,
                days,
            }
        }),
        (0..CALLED.len()).prop_map(|called| Happening::Withdrawn { called }),
        (0..EDITIONS.len()).prop_map(|number| Happening::Templates { number }),
        vec(outcome, 8).prop_map(|outcomes| Happening::Turn { outcomes }),
    ]
}

fn called_so(number: usize) -> CertificateName {
    CertificateName::parse(CALLED[number]).expect("a name")
}

/// A broker of this layout.
fn broker(layout: &str) -> Bearer {
    let mut broker = container("queue", 20)
        .label("kind", "mosquitto")
        .label("layout", layout)
        .label("use", USED[0]);
    broker.mounts = vec![volume("state", "/mosquitto/certs", false)];
    broker
}

fn is_flat(broker: &Consumer) -> bool {
    match &broker.certificates {
        CertificateFolder::Delivered(delivery) => delivery.layout.is_for_one(),
        CertificateFolder::Shared { .. } => false,
    }
}

struct World {
    snapshot: Snapshot,
    rules: LabelRules,
    plan_rules: PlanRules,
    observed: Observed,
    now: Timestamp,
    proxy: Refusing,
    templates: Rc<Templates>,
    number: usize,
    orders: BTreeMap<CertificateName, Vec<Timestamp>>,
    reading: Reading,
    memory: Planner,
}

impl World {
    /// With or without what serves names that no certificate covers, and a helper that obtains certificates; self-signed
    /// certificates by this rule.
    fn new(has_substitutes: bool, has_helper: bool, fallback: FallbackRule) -> Self {
        let rules = match has_helper {
            true => helper::helpers_rules(),
            false => label_rules(),
        };
        let rules = match has_substitutes {
            true => LabelRules {
                master: Host::parse("b.example").ok(),
                default_certificate: Some(called_so(CALLED.len() - 1)),
                ..rules
            },
            false => rules,
        };
        let brokers = broker("certbot");
        let snapshot = match has_helper {
            true => Snapshot {
                own: Some(helper::beside_helper()),
                ..snapshot([helper::front(), brokers, helper::helper()])
            },
            false => Snapshot {
                own: Some(own()),
                ..snapshot([proxy(), brokers])
            },
        };
        let mut observed = fresh(&desire(&snapshot, &rules));
        // From a time when it took that site.
        let text = InstalledFile::heading("#", &["10.0.0.4:8080".parse().expect("an address")]);
        let before = InstalledFile::read(text.as_bytes()).expect("it is ours");
        installed(&mut observed)
            .files
            .insert(site_file(&Host::parse(REFUSED).expect("a name")), before);
        let mut proxy = Refusing::new(REFUSED);
        proxy.tolerates(&observed);
        proxy.refuses_text("# bad\n");
        Self {
            snapshot,
            rules,
            plan_rules: PlanRules {
                fallback,
                ..super::rules()
            },
            observed,
            now: START,
            proxy,
            templates: edition(0),
            number: 0,
            orders: BTreeMap::new(),
            reading: Reading::default(),
            memory: Planner::default(),
        }
    }

    fn desired(&self) -> Desired {
        desire(&self.snapshot, &self.rules)
    }

    fn planned(&self, desired: &Desired, observed: &Observed) -> Plan {
        plan(
            desired,
            observed,
            &self.templates,
            &self.plan_rules,
            self.now,
        )
    }

    fn happen(&mut self, happening: &Happening) {
        let state = |runs| {
            if runs {
                BearerState::Running
            } else {
                BearerState::Other("exited".into())
            }
        };
        match happening {
            Happening::App { number, host, runs } => {
                // Host 5 is one that can't be followed.
                let hosts = [
                    "a.example",
                    "b.example",
                    "c.example",
                    "a.example b.example",
                    "d.example",
                    "no such;",
                ];
                let mut app = container(&format!("app{number}"), *number)
                    .label("host", hosts[usize::from(*host)]);
                app.state = state(*runs);
                self.snapshot.bearers.insert(app.name.clone(), app.into());
            }
            Happening::Gone { number } => {
                self.snapshot
                    .bearers
                    .retain(|name, _| name.as_str() != format!("app{number}"));
            }
            Happening::Proxy { runs } => {
                let proxy = self
                    .snapshot
                    .bearers
                    .values_mut()
                    .find(|c| c.name.as_str() == "proxy");
                Rc::make_mut(proxy.expect("it is always there")).state = state(*runs);
            }
            Happening::Broker { runs, uses } => {
                let mut broker = broker("flat");
                broker.state = state(*runs);
                let broker = broker.label("use", USED[*uses]);
                self.snapshot
                    .bearers
                    .insert(broker.name.clone(), broker.into());
            }
            Happening::Provided {
                called,
                covers,
                days,
            } => {
                let provided = HeldCertificate {
                    not_before: self.now,
                    not_after: self.now + 24 * HOUR * *days,
                    digest: Digest::of_parts([COVERED[*covers], &self.now.to_string()]),
                    shelf: Shelf::Provided,
                    ..held(&[COVERED[*covers]])
                };
                self.observed.provide(called_so(*called), provided);
            }
            Happening::Withdrawn { called } => {
                Rc::make_mut(&mut self.observed.provided).remove(&called_so(*called));
            }
            Happening::Templates { number } => {
                (self.templates, self.number) = (edition(*number), *number);
            }
            Happening::Later { minutes } => {
                self.now = self.now + Duration::from_secs(60 * u64::from(*minutes))
            }
            Happening::Turn { outcomes } => self.turn(outcomes),
        }
    }

    fn turn(&mut self, outcomes: &[Outcome]) {
        let plan = self.planned(&self.desired(), &self.observed);
        self.observed.clear(&plan.cleared);
        for (action, outcome) in plan.actions.into_iter().zip(outcomes.iter().cycle()) {
            if let Action::Obtain(obtain) = &action {
                self.orders
                    .entry(obtain.certificate.clone())
                    .or_default()
                    .push(self.now);
            }
            self.carry_out(action, *outcome);
        }
    }

    fn carry_out(&mut self, action: Action, outcome: Outcome) {
        let subject = action.subject();
        match (&action, outcome) {
            (_, Outcome::Done) => {
                self.observed =
                    self.proxy
                        .carry_out(std::mem::take(&mut self.observed), action, self.now);
            }
            (Action::Deploy(deploy), Outcome::Failed) => {
                drop(
                    self.observed
                        .attempts
                        .insert(subject, deploy.attempt.clone()),
                );
            }
            (Action::TakeBack(back), Outcome::Failed | Outcome::Crashed) => {
                drop(self.observed.attempts.insert(subject, back.attempt.clone()));
            }
            // Everything is in place, and nobody was told.
            (Action::Deploy(deploy), Outcome::Crashed) => {
                self.proxy.open(&self.observed, deploy);
                drop(
                    self.observed
                        .installed
                        .insert(deploy.consumer.name.clone(), deploy.after.clone().into()),
                );
            }
            // An attempt is written down before it is made: a crash leaves the record, without what went wrong.
            (Action::Obtain(obtain), Outcome::Crashed) => {
                drop(
                    self.observed
                        .attempts
                        .insert(subject, obtain.attempt.clone()),
                );
            }
            (Action::FallBack(_), Outcome::Crashed) => {}
            (Action::FallBack(fallback), Outcome::Failed) => {
                drop(
                    self.observed
                        .attempts
                        .insert(subject, fallback.attempt.clone()),
                );
            }
            (Action::Obtain(obtain), Outcome::Failed) => {
                let attempt = Attempt {
                    problem: Some("no".to_owned()),
                    ..obtain.attempt.clone()
                };
                drop(self.observed.attempts.insert(subject, attempt));
            }
        }
    }
}

proptest! {
    #![proptest_config(crate::values::chance::fixed(128))]

    #[test]
    fn the_laws_hold_in_any_world(happenings in vec(happening(), 1..40), has_substitutes in any::<bool>(), has_helper in any::<bool>(), rule in 0..FallbackRule::WORDS.len()) {
        let mut world = World::new(has_substitutes, has_helper, FallbackRule::WORDS[rule].1);
        for happening in &happenings {
            world.happen(happening);
            let desired = world.desired();
            let first = world.planned(&desired, &world.observed);
            let templates = Rc::clone(&world.templates);

            // What is remembered changes nothing.
            let read = world.reading.desire(&world.snapshot, &world.rules);
            prop_assert_eq!(&first, &world.memory.plan(&read, &world.observed, &templates, &world.plan_rules, world.now));
            // Same in, same out.
            prop_assert_eq!(&first, &world.planned(&desired, &world.observed));
            // The rest ends, and not before it begins.
            let wake = first.wake.expect("there is always one");
            prop_assert!(world.now < wake && wake <= world.now + HOUR);
            // One action a subject, none for what is under way.
            let subjects: BTreeSet<_> = first.actions.iter().map(Action::subject).collect();
            prop_assert_eq!(subjects.len(), first.actions.len());
            let busy = Observed { under_way: subjects.clone(), ..world.observed.clone() };
            let while_busy = world.planned(&desired, &busy);
            prop_assert_eq!(&while_busy, &world.memory.plan(&read, &busy, &templates, &world.plan_rules, world.now));
            prop_assert!(while_busy.actions.iter().all(|action| !subjects.contains(&action.subject())));
            // A helper is asked for everything, and beside it nothing is ordered of what it could put there.
            for action in &first.actions {
                if let Action::Obtain(obtain) = action {
                    let live = world.observed.held.get(&obtain.certificate).map(|live| &live.source);
                    let is_free = live.is_none_or(|source| *source == Source::Provided);
                    prop_assert_eq!(obtain.helper.is_some(), has_helper && is_free, "{:?}", obtain);
                }
            }
            // Never worse: a fallback is made at once, and replaces nothing but another one.
            for action in &first.actions {
                if let Action::FallBack(fallback) = action {
                    let live = world.observed.held.get(&fallback.certificate);
                    prop_assert!(live.is_none_or(|live| live.is_fallback()), "{:?}", fallback);
                }
            }
            let made: BTreeSet<_> = subjects.iter().filter(|subject| matches!(subject, Subject::Fallback(_))).collect();
            let tried = |subject: &Subject| world.observed.attempts.contains_key(subject);
            for (name, wanted) in &desired.certificates {
                let subject = Subject::Fallback(name.clone());
                let covers = |held: &HeldCertificate| wanted.names.iter().any(|host| held.covers(host));
                let mut any = world.observed.held.values().chain(world.observed.provided.values());
                // In the place of a fallback, a helper could not put what it obtains.
                prop_assert!(!(has_helper && made.contains(&subject)), "{}", name);
                let is_bare = !any.any(|held| covers(held)) && !has_substitutes && !has_helper && !wanted.served_by.is_empty();
                if is_bare && world.plan_rules.fallback == FallbackRule::On {
                    prop_assert!(made.contains(&subject) || tried(&subject), "{}", name);
                }
            }
            // Never worse: a site whose certificate is held keeps its TLS server. Of two that are called alike, only one can
            // serve: one of the user's own, whose folder is called as another name, may give way to the one for that name.
            let in_force = InForce::of(&desired, &world.observed, world.now).certificates;
            for deploy in first.actions.iter().filter_map(|action| match action {
                Action::Deploy(deploy) => Some(deploy),
                Action::TakeBack(_) | Action::Obtain(_) | Action::FallBack(_) => None,
            }) {
                for host in deploy.consumer.sites.keys() {
                    let held = in_force.values().any(|certificate| certificate.covers(host));
                    let file = deploy.write.get(&site_file(host));
                    let is_good = |has_tls: bool| match has_substitutes {
                        true => has_tls || !held,
                        false => has_tls == held,
                    };
                    prop_assert!(file.is_none_or(|text| is_good(text.contains("ssl_certificate "))));
                }
            }
        }
        // Quiet: carried out, nothing is left, whatever happened before.
        world.observed.attempts.clear();
        let desired = world.desired();
        let rested = world.proxy.settle_with(&world.templates, &desired, world.observed.clone(), world.now);
        // What is refused is held back, and nothing else is.
        let proxies = desired.consumers.values().filter(|consumer| consumer.proxy.is_some());
        for consumer in proxies.filter(|consumer| consumer.running) {
            let installed = &rested.installed[&consumer.name];
            let served: BTreeSet<_> = installed.files.keys().collect();
            for host in consumer.sites.keys() {
                let file = site_file(host);
                let is_failing = world.number == FAILING && host.as_str() == FAILS_FOR;
                // Bad templates leave what is there, or the good ones before them.
                if host.as_str() != REFUSED && !BAD.contains(&world.number) && !is_failing {
                    prop_assert!(served.contains(&file), "{}: {:?}", host, installed);
                }
            }
            prop_assert!(!world.proxy.takes_badly(installed), "{:?}", installed);
            // What is served leads to nobody else.
            for (host, site) in &consumer.sites {
                let leads_to = installed.files.get(&site_file(host)).map(|file| &*file.leads_to).unwrap_or_default();
                let own = site.leads_to();
                prop_assert!(leads_to.iter().all(|address| own.contains(address)), "{}: {:?}", host, installed);
            }
        }
        // Each server has a certificate for each name that it asks for and that one is there for, under the same name always.
        let mut servers = desired.consumers.values().filter(|consumer| consumer.proxy.is_none());
        if let Some(broker) = servers.next() {
            let given = &rested.installed[&broker.name].certificates;
            for (host, used) in &broker.uses {
                let mut all = rested.held.values().chain(rested.provided.values());
                let is_there = all.any(|held| held.covers(host) && held.is_valid_at(world.now));
                let others = broker.uses.values().any(|other| other.certificate < used.certificate);
                let has_room = !is_flat(broker) || !others;
                prop_assert!(!(is_there && has_room) || given.contains_key(&used.certificate), "{host}: {given:?}");
            }
        }
        // No crash loop exceeds a CA's limits: five failures a name and hour, and far fewer a day.
        for (name, times) in &world.orders {
            for time in times {
                let within_an_hour = times.iter().filter(|other| **other >= *time && other.since(*time) < HOUR).count();
                prop_assert!(within_an_hour <= 4, "{name}: {times:?}");
            }
        }
    }

    #[test]
    fn whatever_a_container_says_nobody_else_is_harmed(labels in vec((label(), value()), 1..6)) {
        let good = desired([proxy(), shop()]);
        let mut bad = container("bad", 9);
        bad.labels.extend(labels.into_iter().map(|(key, value)| (format!("quaymaster.{key}"), value)));
        // It may well become a second proxy; what matters is what the first one serves.
        let both = desired([proxy(), shop(), bad]);
        let of_shop = |desired: &Desired| {
            let file = FileName::parse("quaymaster-shop.example.conf").expect("a name");
            let plan = planned(desired, &fresh(desired), START);
            // What passes `desire` can be rendered: a template that fails would hold back every site of its proxy.
            let mut complaints = plan.complaints.iter();
            assert!(complaints.all(|told| !told.problem.starts_with("template ")), "{:?}", plan.complaints);
            plan.actions.into_iter().find_map(|action| match action {
                Action::Deploy(deploy) if deploy.consumer.name.as_str() == "proxy" => deploy.write.get(&file).cloned(),
                _ => None,
            })
        };
        prop_assert!(of_shop(&good).is_some());
        prop_assert_eq!(of_shop(&good), of_shop(&both));
        // And nothing that it says ends a directive or a block of its own files.
        for deploy in planned(&both, &fresh(&both), START).actions {
            let Action::Deploy(deploy) = deploy else { continue };
            for text in deploy.write.values() {
                // Between quotes a realm may say what it likes; no quote and no backslash gets in there.
                let text: String = text.split('"').step_by(2).collect();
                let known = ["server {", "upstream quaymaster_", "location ", "map $", "if ($"];
                for opening in text.lines().filter(|line| line.contains('{')) {
                    prop_assert!(known.iter().any(|known| opening.trim_start().starts_with(known)), "{}", text);
                    prop_assert_eq!(opening.matches(['{', '}', ';']).count(), 1, "{}", text);
                }
                prop_assert!(!text.contains("evil"), "{}", text);
            }
        }
    }
}

/// Any label there is, of the container or of a further site, and some that there are not.
fn label() -> impl Strategy<Value = String> {
    let known: Vec<&str> = crate::desire::LABELS.iter().map(|row| row.key).collect();
    let site = prop_oneof![
        Just(String::new()),
        Just("site.a.".to_owned()),
        "site\\.[a-z A-Z.]{0,4}"
    ];
    prop_oneof![
        9 => (site, proptest::sample::select(known)).prop_map(|(site, key)| format!("{site}{key}")),
        1 => "[a-z.-]{0,12}",
    ]
}

/// Values that are right, nearly right, and hostile, by pieces that mean something somewhere.
fn value() -> impl Strategy<Value = String> {
    let pieces = [
        "bad.example",
        "other.example",
        " ",
        ",",
        ";",
        "{",
        "}",
        "\n",
        "\"",
        "'",
        "\\",
        "$",
        "#",
        "/",
        "/api",
        "..",
        "80",
        "true",
        "https",
        "grpc",
        "both",
        "off",
        "1y",
        "10m",
        "300s",
        "32k",
        " include-subdomains",
        " preload",
        "ignore",
        "10.0.0.0/8",
        "::1",
        "nginx",
        "mosquitto",
        "flat",
        "fullchain=a, privkey=b",
        "0640",
        "*",
        "proxy",
        "*.",
        "server { listen 81; evil; }",
        "\u{0}",
        "\u{202e}",
        "ä",
        "x\ty",
        "/etc/nginx/htpasswd",
        "web",
        "Staff",
    ];
    vec(proptest::sample::select(pieces.to_vec()), 0..4).prop_map(|pieces| pieces.concat())
}
