//! Tests of the limits of a CA, and of the requests to a busy CA.

use super::*;
use crate::{
    desire::Wanted,
    fixtures::held,
    observe::{BusyCa, Counted, HeldCertificate, Ledger, LedgerEntry, Shelf, Source},
    values::{CA_PRESETS, CaSettings, CaTable, Issuer, Limit},
};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 3600);
const PRIVATE: &str = "https://ca.example/directory";

fn public() -> &'static str {
    CA_PRESETS[0].directory
}

/// Certificates of a CA that nobody has to serve: each for one host of a project.
fn wanting<'h>(ca: &str, hosts: impl IntoIterator<Item = (&'h str, Option<&'h str>)>) -> Desired {
    let shop = container("shop", 4).label("host", "shop.org");
    let mut desired = desired([proxy(), shop]);
    desired.consumers.clear();
    desired.hosts = KeyedTable::default();
    let certificates = std::mem::take(&mut desired.certificates);
    let mut wanted = Wanted::clone(certificates.values().next().expect("one is wanted"));
    (wanted.served_by, wanted.used_by) = Default::default();
    wanted.issuance.issuer = Issuer::Ca(ca.to_owned());
    wanted.issuers = wanted.issuance.issuer.clone().into();
    for (name, project) in hosts {
        let host = Host::parse(name).expect("a host");
        wanted.names = [host.clone()].into();
        let certificate = CertificateName::from(&host);
        desired
            .certificates
            .insert(certificate, Rc::new(wanted.clone()));
        desired.hosts.insert(host, project.map(str::to_owned));
    }
    desired
}

fn answering(cas: CaTable) -> PlanRules {
    PlanRules {
        answers_itself: true,
        cas,
        ..rules()
    }
}

/// A CA with limits of its own.
fn limited(ca: CaSettings) -> PlanRules {
    let directory = Some(PRIVATE.to_owned());
    let own = [("corp".to_owned(), CaSettings { directory, ..ca })];
    answering(CaTable::new(own.into()).expect("a CA"))
}

fn name(word: &str) -> CertificateName {
    CertificateName::parse(word).expect("a name")
}

/// One that was obtained from a CA and lives 90 days, of which so much is over.
fn obtained(ca: &str, host: &str, over: Duration) -> HeldCertificate {
    HeldCertificate {
        not_before: START - over,
        not_after: START - over + 90 * DAY,
        source: Source::Acme(ca.to_owned()),
        shelf: Shelf::Live,
        ..held(&[host])
    }
}

/// A world in which each order takes a second, four at a time.
struct World {
    desired: Desired,
    observed: Observed,
    rules: PlanRules,
    planner: Planner,
    now: Timestamp,
    /// When each order was made, and for what.
    made: Vec<(Timestamp, CertificateName)>,
}

impl World {
    fn new(desired: Desired, rules: PlanRules) -> Self {
        Self {
            observed: fresh(&desired),
            desired,
            rules,
            planner: Planner::default(),
            now: START,
            made: Vec::new(),
        }
    }

    fn plan(&mut self) -> Plan {
        self.planner.plan(
            &self.desired,
            &self.observed,
            &templates(),
            &self.rules,
            self.now,
        )
    }

    fn enter(&mut self, ca: &str, counted: Counted) {
        let entry = LedgerEntry {
            at: self.now,
            ca: ca.to_owned(),
            counted,
        };
        Rc::make_mut(&mut self.observed.ledger).take(entry);
    }

    /// Starts again, knowing only what is on disk.
    fn start_again(&mut self) {
        let lines: Vec<_> = self
            .observed
            .ledger
            .to_entries()
            .iter()
            .map(|entry| serde_json::to_string(entry).expect("it is written"))
            .collect();
        let read = lines
            .iter()
            .map(|line| serde_json::from_str::<LedgerEntry>(line).expect("it is read"));
        self.observed.ledger = Rc::new(Ledger::of(read));
        self.planner = Planner::default();
    }

    /// Lives until then; each order comes to its certificate.
    fn live_until(&mut self, end: Timestamp) {
        while self.now < end {
            let plan = self.plan();
            let orders = plan.actions.iter().filter_map(|action| match action {
                Action::Obtain(obtain) => Some(obtain.certificate.clone()),
                _ => None,
            });
            let orders: Vec<_> = orders.collect();
            assert!(orders.len() <= ORDERS_AT_ONCE);
            if orders.is_empty() {
                let wake = plan.wake.expect("there is always one");
                self.now = wake.min(end).max(self.now + Duration::from_millis(1));
                continue;
            }
            let made = orders.into_iter().map(|name| (self.now, name));
            self.made.extend(made);
            self.observed = foresee(&self.observed, &plan, self.now);
            self.now = self.now + Duration::from_secs(1);
        }
    }
}

/// The most within any time of that length.
fn most(times: &[Timestamp], within: Duration) -> usize {
    let near = |first: &Timestamp| {
        let after = times.iter().filter(|time| *time >= first);
        after.filter(|time| time.since(*first) < within).count()
    };
    times.iter().map(near).max().unwrap_or(0)
}

#[test]
fn of_a_thousand_new_names_300_are_ordered_in_three_hours_after_renewals_and_in_turns() {
    let crowd: Vec<_> = (0..900).map(|n| format!("n{n:03}.org")).collect();
    let few: Vec<_> = (0..100).map(|n| format!("z{n:03}.org")).collect();
    let renewed: Vec<_> = (0..20).map(|n| format!("renewed{n}.org")).collect();
    let of = |names: &'_ [String], project: &'static str| {
        let names: Vec<_> = names.to_vec();
        names.into_iter().map(move |name| (name, Some(project)))
    };
    let all: Vec<_> = of(&crowd, "crowd")
        .chain(of(&few, "few"))
        .chain(of(&renewed, "crowd"))
        .collect();
    let all = all.iter().map(|(name, project)| (name.as_str(), *project));
    let mut world = World::new(wanting(public(), all), answering(CaTable::default()));
    for host in &renewed {
        let held = obtained(public(), host, 70 * DAY);
        world.observed.hold(name(host), held);
    }
    world.live_until(START + HOUR);
    let first: Vec<_> = world.made.iter().take(20).map(|(_, name)| name).collect();
    assert!(
        first
            .iter()
            .all(|name| name.as_str().starts_with("renewed")),
        "{first:?}"
    );
    // The crowd got its share, and the others all that they asked for.
    let of = |world: &World, letter: char| {
        let made = world.made.iter();
        made.filter(|(_, name)| name.as_str().starts_with(letter))
            .count()
    };
    assert_eq!((of(&world, 'n'), of(&world, 'z')), (200, 100));
    let plan = world.plan();
    assert_eq!(plan.limited.len(), 700);
    let reached = plan.limited.values().next().expect("one is limited");
    let until = START + 3 * HOUR + Duration::from_secs(5);
    assert_eq!((&reached.limited, reached.until), (&Limited::Orders, until));
    assert_eq!(
        reached.to_string(),
        format!(
            "letsencrypt takes 300 new orders within 3h, and no more are left for new names until {until}"
        )
    );
    let told: Vec<_> = plan.complaints.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "new orders at letsencrypt: the CA accepts 300/3h, and no more are left: other new names wait; wait: each \
             is ordered as soon as possible, and `quaymaster status` says when; renewals go on"
        ]
    );
    // A restart forgets nothing.
    world.start_again();
    world.live_until(START + 13 * HOUR);
    let new: Vec<_> = world
        .made
        .iter()
        .filter(|(_, name)| !name.as_str().starts_with("renewed"))
        .map(|(at, _)| *at)
        .collect();
    assert_eq!(most(&new, 3 * HOUR), 300);
    assert_eq!(new.len(), 1000, "each is ordered once");
    assert!(world.plan().complaints.is_empty());
}

#[test]
fn a_project_that_is_alone_leaves_a_quarter_to_those_who_come_later() {
    let crowd: Vec<_> = (0..300).map(|n| format!("n{n:03}.org")).collect();
    let crowd = || crowd.iter().map(|name| (name.as_str(), Some("crowd")));
    let alone = wanting(public(), crowd());
    let mut world = World::new(alone, answering(CaTable::default()));
    world.live_until(START + HOUR);
    assert_eq!(world.made.len(), 225);
    let plan = world.plan();
    let reached = plan.limited.values().next().expect("one is limited");
    assert!(
        reached.to_string().starts_with(
            "letsencrypt takes 300 new orders within 3h, and the project crowd has had the share of one project until "
        ),
        "{reached}"
    );
    // Who comes later does not wait.
    let later = [("late.org", Some("other")), ("outside.org", None)];
    world.desired = wanting(public(), crowd().chain(later));
    world.planner = Planner::default();
    world.live_until(START + HOUR + MINUTE);
    let made = world.made.iter().skip(225).map(|(_, name)| name.as_str());
    assert_eq!(made.collect::<Vec<_>>(), ["late.org", "outside.org"]);
}

#[test]
fn the_last_certificate_for_the_same_names_is_kept_for_who_insists_also_over_a_restart() {
    let mut world = World::new(
        wanting(public(), [("shop.org", None)]),
        answering(CaTable::default()),
    );
    // Somebody loses it again and again.
    for number in 0..4 {
        world.live_until(START + number * HOUR + MINUTE);
        assert_eq!(world.made.len(), usize::try_from(number).unwrap() + 1);
        world.observed.held = Rc::default();
        world.now = START + (number + 1) * HOUR;
    }
    for _ in 0..2 {
        let plan = world.plan();
        let until = START + 7 * DAY;
        assert_eq!(plan.limited[&name("shop.org")].until, until);
        let told: Vec<_> = plan.complaints.iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [format!(
                "container shop, label setting ca=\"https://ca.example/directory\": letsencrypt issues 5 certificates \
                 for the same names within 7days; the last one is kept for a renewal until {until}; wait, and find out \
                 why it is ordered so often; `quaymaster renew shop.org --force` orders it anyway"
            )]
        );
        let answered = answer(
            &name("shop.org"),
            &world.desired,
            &world.observed,
            &world.rules,
            world.now,
        );
        assert!(
            matches!(&answered, Some(RenewalOutcome::Failed { again, .. }) if *again == Some(until)),
            "{answered:?}"
        );
        world.start_again();
    }
    // A renewal gets it, and so does whoever insists; that counts.
    let due = obtained(public(), "shop.org", 70 * DAY);
    world.observed.hold(name("shop.org"), due);
    assert!(world.plan().limited.is_empty());
    world.observed.held = Rc::default();
    let wish = RenewalRequest {
        asked: world.now,
        force: true,
        stage: Stage::Open,
    };
    world.observed.wishes.insert(name("shop.org"), wish);
    world.live_until(START + 5 * HOUR);
    assert_eq!(world.made.len(), 5);
    let names = names_digest(&[Host::parse("shop.org").unwrap()]);
    let ledger = &world.observed.ledger;
    assert_eq!(
        ledger
            .certificates(public(), names, 7 * DAY, world.now)
            .count(),
        5
    );
    // The first one counts no more after a week, and the one before the last neither an hour later.
    world.observed.held = Rc::default();
    world.live_until(START + 8 * DAY);
    let later: Vec<_> = world.made.iter().skip(5).map(|(at, _)| *at).collect();
    assert_eq!(later.len(), 1);
    assert!(later[0] >= START + 7 * DAY + HOUR, "{later:?}");
}

#[test]
fn a_name_that_could_not_be_validated_too_often_is_left_alone_until_it_counts_no_more() {
    let hosts = [("bad.org", None), ("good.org", None)];
    let mut world = World::new(wanting(public(), hosts), answering(CaTable::default()));
    for _ in 0..5 {
        let name = Host::parse("bad.org").unwrap();
        world.enter(public(), Counted::Failure { name });
        world.now = world.now + MINUTE;
    }
    world.live_until(START + 59 * MINUTE);
    let made: Vec<_> = world.made.iter().map(|(_, name)| name.as_str()).collect();
    assert_eq!(made, ["good.org"]);
    let reached = &world.plan().limited[&name("bad.org")];
    let failed = Host::parse("bad.org").unwrap();
    assert_eq!(reached.limited, Limited::Failures(failed));
    assert_eq!(reached.until, START + HOUR);
    world.live_until(START + HOUR + MINUTE);
    assert_eq!(world.made.len(), 2);
}

#[test]
fn a_ca_of_ones_own_has_no_limits_unless_they_are_set() {
    let many: Vec<_> = (0..40).map(|n| format!("n{n:02}.example")).collect();
    let many = || many.iter().map(|name| (name.as_str(), None));
    let free = World::new(wanting(PRIVATE, many()), answering(CaTable::default()));
    let ten = CaSettings {
        orders: Some(Some(Limit {
            most: 20,
            within: HOUR,
        })),
        ..CaSettings::default()
    };
    let set = World::new(wanting(PRIVATE, many()), limited(ten.clone()));
    for (mut world, expected, entries) in [(free, 40, 0), (set, 14, 14)] {
        world.live_until(START + 30 * MINUTE);
        assert_eq!(world.made.len(), expected);
        assert_eq!(world.observed.ledger.entries(), entries);
    }
    // Where renewals count, two are kept for them.
    let projects = (0..40).map(|n| format!("project{n}")).collect::<Vec<_>>();
    let each = many().zip(&projects);
    let each = each.map(|((name, _), project)| (name, Some(project.as_str())));
    let mut world = World::new(wanting(PRIVATE, each), limited(ten));
    for host in ["n38.example", "n39.example"] {
        let held = obtained(PRIVATE, host, 10 * DAY);
        world.observed.hold(name(host), held);
    }
    world.live_until(START + 30 * MINUTE);
    assert_eq!(world.made.len(), 18);
    for host in ["n38.example", "n39.example"] {
        let held = obtained(PRIVATE, host, 70 * DAY);
        world.observed.hold(name(host), held);
    }
    world.live_until(START + 40 * MINUTE);
    assert_eq!(world.made.len(), 20);
}

/// When a CA is asked that answers each order so: asks to wait for so long.
fn asked_at(asked: Duration, hosts: usize, end: Timestamp) -> Vec<Timestamp> {
    let names: Vec<_> = (0..hosts).map(|n| format!("n{n:03}.example")).collect();
    let names = names.iter().map(|name| (name.as_str(), None));
    let mut world = World::new(wanting(PRIVATE, names), answering(CaTable::default()));
    let mut times = Vec::new();
    while world.now < end {
        let plan = world.plan();
        for action in &plan.actions {
            let Action::Obtain(obtain) = action else {
                panic!("{action:?}")
            };
            times.push(world.now);
            let busy = BusyCa {
                since: world.now,
                until: world.now + asked,
                problem: "the CA asks quaymaster to wait".to_owned(),
                count: 1,
            };
            world.observed.leave_alone(PRIVATE.to_owned(), busy);
            let attempt = Attempt {
                problem: Some("the CA asks quaymaster to wait".to_owned()),
                retry: Retry::NotBefore(world.now + asked),
                ..obtain.attempt.clone()
            };
            let subject = Subject::Certificate(obtain.certificate.clone());
            world.observed.attempts.insert(subject, attempt);
        }
        if plan.actions.is_empty() {
            world.now = plan.wake.expect("there is always one").min(end);
        }
    }
    times
}

#[test]
fn a_ca_that_asks_for_an_hour_is_asked_by_the_four_under_way_and_then_by_one() {
    let times = asked_at(HOUR, 200, START + 4 * HOUR);
    let minutes: Vec<_> = times
        .iter()
        .map(|at| at.since(START).as_secs() / 60)
        .collect();
    assert_eq!(minutes, [0, 0, 0, 0, 60, 120, 220]);
}

#[test]
fn a_ca_that_says_in_a_second_each_time_is_asked_less_and_less() {
    let times = asked_at(Duration::from_secs(1), 200, START + DAY);
    let minutes: Vec<_> = times
        .iter()
        .map(|at| at.since(START).as_secs() / 60)
        .collect();
    assert_eq!(minutes[..8], [0, 0, 0, 0, 1, 11, 111, 211]);
    assert_eq!(minutes.len(), 20, "{minutes:?}");
}

#[test]
fn a_pause_that_is_ours_leaves_time_for_many_tries_before_a_certificate_ends() {
    let desired = wanting(PRIVATE, [("shop.example", None)]);
    let mut observed = fresh(&desired);
    let issuer = Issuer::Ca(PRIVATE.to_owned());
    let busy = |until| BusyCa {
        since: START,
        until,
        problem: "later".to_owned(),
        count: 9,
    };
    let held = HeldCertificate {
        not_before: START - HOUR / 2,
        not_after: START + HOUR / 2,
        ..obtained(PRIVATE, "shop.example", DAY)
    };
    for (held, until, expected) in [
        (None, START, 100 * MINUTE),
        (Some(held.clone()), START, HOUR / 16),
        // What the CA says counts for all.
        (Some(held), START + HOUR, HOUR),
    ] {
        observed.busy_cas = [(PRIVATE.to_owned(), busy(until))].into();
        observed.held = Rc::default();
        held.into_iter()
            .for_each(|held| observed.hold(name("shop.example"), held));
        let closed = closed(&name("shop.example"), &issuer, &observed, START);
        assert_eq!(closed.map(|it| it.until), Some(START + expected));
    }
}
