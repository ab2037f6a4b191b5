//! An ordered list of CAs: which one is asked, and when another is.

use super::*;
use crate::{
    fixtures::held,
    observe::{
        BusyCa, Fault, HeldCertificate, RenewalInfo, RenewalRecord, RenewalSuggestion, Source,
        SuggestedWindow,
    },
    values::CA_PRESETS,
};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// The answer of a CA.
#[derive(Clone, Copy, PartialEq)]
enum Answer {
    Issues,
    /// It can't be reached.
    Down,
    /// It could not validate the name.
    Invalid,
    /// A limit that is about the request, for so long.
    Limited(Duration),
}

/// One certificate, and the CAs of its list.
struct World {
    desired: Desired,
    observed: Observed,
    now: Timestamp,
    /// Who was asked, and after how many minutes.
    asked: Vec<(String, u64)>,
    /// The notices about other CAs.
    told: Vec<String>,
}

fn directory(name: &str) -> String {
    let preset = CA_PRESETS.iter().find(|preset| preset.name == name);
    preset.expect("a preset").directory.to_owned()
}

fn name() -> CertificateName {
    CertificateName::parse("shop.org").expect("a name")
}

fn resting() -> PlanRules {
    PlanRules {
        answers_itself: true,
        ..rules()
    }
}

/// The wishes where a label names these CAs. We answer challenges ourselves, so that no proxy has a part in it.
fn wanting(list: &str, hosts: &str) -> Desired {
    let shop = container("shop", 4).label("host", hosts).label("ca", list);
    let mut desired = desired([proxy(), shop.label("certificate", "shop.org")]);
    desired.consumers.clear();
    for wanted in desired.certificates.values_mut() {
        let wanted = Rc::make_mut(wanted);
        (wanted.served_by, wanted.used_by) = Default::default();
    }
    desired
}

/// A certificate of this CA that has so many days left of 90.
fn of_ca(ca: &str, left: u32) -> HeldCertificate {
    HeldCertificate {
        not_before: START + DAY * left - DAY * 90,
        not_after: START + DAY * left,
        source: Source::Acme(directory(ca)),
        ..held(&["shop.org"])
    }
}

impl World {
    fn new(list: &str) -> Self {
        let desired = wanting(list, "shop.org");
        assert_eq!(desired.complaints, [].into());
        Self {
            observed: fresh(&desired),
            desired,
            now: START,
            asked: Vec::new(),
            told: Vec::new(),
        }
    }

    fn holding(list: &str, ca: &str, left: u32) -> Self {
        let mut world = Self::new(list);
        world.observed.hold(name(), of_ca(ca, left));
        world
    }

    fn plan(&self) -> Plan {
        plan(
            &self.desired,
            &self.observed,
            &templates(),
            &resting(),
            self.now,
        )
    }

    /// The CA that is asked now.
    fn asks(&self) -> Option<String> {
        let mut orders = self.plan().actions.into_iter();
        orders.find_map(|action| match action {
            Action::Obtain(obtain) => Some(obtain.issuance.issuer.to_string()),
            _ => None,
        })
    }

    fn live_until(&mut self, end: Timestamp, answers: impl Fn(&str, Timestamp) -> Answer) {
        while self.now < end {
            let plan = self.plan();
            for name in &plan.finished {
                let subject = Subject::Certificate(name.clone());
                self.observed.attempts.remove(&subject);
            }
            let order = plan.actions.iter().find_map(|action| match action {
                Action::Obtain(obtain) => Some(obtain),
                _ => None,
            });
            let Some(obtain) = order else {
                self.now = plan.wake.expect("there is always one").min(end);
                continue;
            };
            let ca = obtain.issuance.issuer.to_string();
            self.told
                .extend(obtain.other_ca.iter().map(ToString::to_string));
            let answer = answers(&ca, self.now);
            self.asked.push((ca, self.now.since(START).as_secs() / 60));
            match answer {
                Answer::Issues => self.observed = foresee(&self.observed, &plan, self.now),
                failed => self.fail(obtain, failed),
            }
        }
    }

    fn fail(&mut self, obtain: &Obtain, answer: Answer) {
        let (fault, retry) = match answer {
            Answer::Issues | Answer::Down => (Fault::Ca, Retry::Backoff),
            Answer::Invalid => (Fault::Names, Retry::Backoff),
            Answer::Limited(pause) => (Fault::Limit, Retry::NotBefore(self.now + pause)),
        };
        let mut attempt = Attempt {
            problem: Some("no".to_owned()),
            retry,
            ..obtain.attempt.clone()
        };
        attempt.ca.count(fault);
        assert!(attempt.ca.others.len() < 3, "{attempt:?}");
        let subject = Subject::Certificate(obtain.certificate.clone());
        self.observed.attempts.insert(subject, attempt);
    }

    /// Who was asked, in a row.
    fn order(&self) -> Vec<&str> {
        self.asked.iter().map(|(ca, _)| &**ca).collect()
    }

    fn busy(&mut self, ca: &str, pause: Duration) {
        let busy = BusyCa {
            since: self.now,
            until: self.now + pause,
            problem: "later".to_owned(),
            count: 1,
        };
        self.observed.leave_alone(directory(ca), busy);
    }
}

#[test]
fn a_ca_that_is_down_for_a_month_costs_one_order_at_the_next_and_is_first_again_after_that() {
    let mut world = World::new("letsencrypt zerossl");
    let down = (START + DAY * 50, START + DAY * 80);
    world.live_until(START + DAY * 365, |ca, now| {
        match ca == "letsencrypt" && down.0 <= now && now < down.1 {
            true => Answer::Down,
            false => Answer::Issues,
        }
    });
    let [first, second] = ["letsencrypt", "zerossl"];
    // The first, its renewal, and three or four more of about sixty days each.
    let order = world.order();
    assert_eq!(order[..5], [first, first, first, first, second]);
    assert!(order[5..].iter().all(|ca| *ca == first), "{order:?}");
    assert!((4..=5).contains(&order[5..].len()), "{order:?}");
    let [told] = &*world.told else {
        panic!("{:?}", world.told)
    };
    assert!(
        told.starts_with("letsencrypt failed 3 times, the last time at ")
            && told.ends_with("; zerossl is asked"),
        "{told}"
    );
}

#[test]
fn while_nothing_works_two_failures_are_enough_and_while_time_runs_out_one() {
    let down = |ca: &str, _| match ca {
        "letsencrypt" => Answer::Down,
        _ => Answer::Issues,
    };
    let tried = |mut world: World| {
        world.live_until(START + DAY, down);
        world.asked
    };
    let at = |ca: &str, minute| (ca.to_owned(), minute);
    let list = "letsencrypt, zerossl";
    assert_eq!(
        tried(World::new(list)),
        [at("letsencrypt", 0), at("letsencrypt", 1), at("zerossl", 1)]
    );
    // Less than fifteen days are half of the reserve of thirty.
    assert_eq!(
        tried(World::holding(list, "letsencrypt", 14)),
        [at("letsencrypt", 0), at("zerossl", 0)]
    );
    let first = |minute| at("letsencrypt", minute);
    assert_eq!(
        tried(World::holding(list, "letsencrypt", 16)),
        [first(0), first(1), first(11), at("zerossl", 11)]
    );
    // One that has run out does not work, nor does one that lacks a name.
    let ended = tried(World::holding(list, "letsencrypt", 0));
    assert_eq!(ended.len(), 3, "{ended:?}");
    let mut more = World::holding(list, "letsencrypt", 60);
    more.desired = wanting(list, "shop.org www.shop.org");
    assert_eq!(tried(more).len(), 3);
}

#[test]
fn where_all_cas_are_down_each_is_asked_no_more_often_than_if_it_were_alone() {
    let mut world = World::new("letsencrypt zerossl");
    world.live_until(START + DAY * 3, |_, _| Answer::Down);
    let of = |ca: &str| {
        let asked = world.asked.iter().filter(|(asked, _)| asked == ca);
        asked.map(|(_, minute)| *minute).collect::<Vec<_>>()
    };
    let day = 24 * 60;
    let alone = [0, 1, 11, 111, 111 + day, 111 + 2 * day];
    assert_eq!(of("letsencrypt"), alone);
    assert_eq!(of("zerossl"), alone.map(|minute| minute + 1));
    let told = world.told.first().expect("it was told");
    assert!(told.starts_with("letsencrypt failed 2 times"), "{told}");
    let told = world.told.last().expect("it was told");
    assert!(told.contains("zerossl is asked"), "{told}");
    // After the last, the one is asked whose pause ends first, and that is told as well.
    assert!(world.told[1].starts_with("zerossl failed 2 times"));
    assert!(world.told[1].ends_with("; letsencrypt is asked"));
}

#[test]
fn the_ca_that_was_chosen_stays_until_it_fails_itself() {
    let mut world = World::holding("letsencrypt zerossl google", "google", 25);
    let (back, mended) = (START + MINUTE * 12, START + MINUTE * 15);
    world.live_until(START + DAY, |ca, now| match ca {
        "letsencrypt" if now < back => Answer::Down,
        "zerossl" if now < mended => Answer::Down,
        _ => Answer::Issues,
    });
    let [first, second] = ["letsencrypt", "zerossl"];
    assert_eq!(world.order(), [first, first, first, second, second, second]);
    assert_eq!(world.told.len(), 1, "{:?}", world.told);
    assert!(world.observed.attempts.is_empty());
}

#[test]
fn for_a_name_that_a_ca_could_not_validate_no_other_is_asked() {
    let mut world = World::new("letsencrypt zerossl");
    world.live_until(START + DAY * 30, |_, _| Answer::Invalid);
    assert!(world.order().iter().all(|ca| *ca == "letsencrypt"));
    assert!(world.asked.len() > 20 && world.told.is_empty());
    // Nor where it then limits how often it may fail.
    let mut world = World::new("letsencrypt zerossl");
    world.live_until(START + DAY * 3, |_, now| match now < START + HOUR {
        true => Answer::Invalid,
        false => Answer::Limited(HOUR * 12),
    });
    assert!(world.order().iter().all(|ca| *ca == "letsencrypt"));
    // A CA that is down once in between starts to be counted anew.
    let mut world = World::new("letsencrypt zerossl");
    let turns = std::cell::Cell::new(0);
    world.live_until(START + DAY * 9, |_, _| {
        turns.set(turns.get() + 1);
        match turns.get() % 2 {
            0 => Answer::Down,
            _ => Answer::Invalid,
        }
    });
    let others = world.asked.iter().filter(|(ca, _)| ca != "letsencrypt");
    assert_eq!(others.count(), 0, "{:?}", world.asked);
}

#[test]
fn a_ca_whose_limit_lasts_longer_than_the_certificate_can_wait_gives_way_at_once() {
    let limited = |ca: &str, _| match ca {
        "letsencrypt" => Answer::Limited(DAY * 7),
        _ => Answer::Issues,
    };
    let mut missing = World::new("letsencrypt zerossl");
    missing.live_until(START + HOUR, limited);
    assert_eq!(missing.order(), ["letsencrypt", "zerossl"]);
    let mut waits = World::holding("letsencrypt zerossl", "letsencrypt", 25);
    waits.live_until(START + DAY * 6, limited);
    assert_eq!(waits.order(), ["letsencrypt"]);
}

#[test]
fn a_ca_that_asks_all_to_wait_is_waited_for_as_long_as_the_certificate_can() {
    for (left, pause, expected) in [
        (None, MINUTE * 5, None),
        (None, MINUTE * 30, Some("zerossl")),
        (Some(25), DAY * 9, None),
        (Some(25), DAY * 11, Some("zerossl")),
        (Some(14), MINUTE * 5, None),
        (Some(14), MINUTE * 30, Some("zerossl")),
    ] {
        let list = "letsencrypt zerossl";
        let mut world = match left {
            None => World::new(list),
            Some(left) => World::holding(list, "zerossl", left),
        };
        world.busy("letsencrypt", pause);
        assert_eq!(world.asks().as_deref(), expected, "{left:?} {pause:?}");
        let other = world.plan().other_cas.get(&name()).map(ToString::to_string);
        let until = world.now + pause;
        let says = format!("letsencrypt asks for a pause until {until}; zerossl is asked");
        assert_eq!(other, expected.map(|_| says));
        // It is no failure of this certificate's: once the pause is over, the first is asked.
        world.now = until + MINUTE;
        assert_eq!(world.asks().as_deref(), Some("letsencrypt"));
    }
    // What was begun at the other goes on there.
    let mut world = World::new("letsencrypt zerossl");
    world.busy("letsencrypt", HOUR);
    world.live_until(START + MINUTE, |_, _| Answer::Down);
    world.now = START + HOUR * 2;
    assert_eq!(world.asks().as_deref(), Some("zerossl"));
    let other = &world.plan().other_cas[&name()];
    assert_eq!(
        other.to_string(),
        "zerossl was asked last, and is asked until it fails"
    );
}

#[test]
fn a_certificate_of_any_ca_of_the_list_is_in_order_and_one_of_another_is_not() {
    for (ca, expected) in [
        ("letsencrypt", None),
        ("zerossl", None),
        ("google", Some("letsencrypt")),
    ] {
        let world = World::holding("letsencrypt zerossl", ca, 60);
        assert_eq!(world.asks().as_deref(), expected, "{ca}");
    }
}

#[test]
fn one_that_is_trusted_is_not_given_up_for_one_that_is_not() {
    let mut world = World::holding("letsencrypt staging zerossl", "letsencrypt", 25);
    let down = |ca: &str, _| match ca {
        "letsencrypt" => Answer::Down,
        _ => Answer::Issues,
    };
    world.live_until(START + DAY, down);
    assert_eq!(world.order().last(), Some(&"zerossl"));
    assert!(!world.order().contains(&"staging"));
    // Where none is there, one that nobody trusts is what the list says.
    let mut world = World::new("letsencrypt staging zerossl");
    world.live_until(START + DAY, down);
    assert_eq!(world.order().last(), Some(&"staging"));
}

#[test]
fn a_renewal_at_another_ca_says_nothing_of_what_it_replaces() {
    let replaced = |ca: &str| {
        let mut world = World::new("letsencrypt zerossl");
        let id = || CertificateId::of(b"authority", b"serial");
        let one = HeldCertificate {
            renewal_id: Some(id()),
            ..of_ca(ca, 20)
        };
        let window = SuggestedWindow {
            start: START - DAY,
            end: START,
            explanation: None,
        };
        let info = RenewalInfo {
            id: id(),
            suggestion: Some(RenewalSuggestion { window, at: START }),
            read: START,
            next_read: START + DAY,
        };
        let record = RenewalRecord {
            info: Some(info),
            followed: None,
        };
        world.observed.renewals.insert(name(), record);
        world.observed.hold(name(), one);
        let plan = world.plan();
        let [Action::Obtain(obtain)] = &*plan.actions else {
            panic!("{plan:?}")
        };
        assert_eq!(obtain.issuance.issuer.to_string(), "letsencrypt");
        obtain.replaces.is_some()
    };
    assert!(replaced("letsencrypt"));
    assert!(!replaced("zerossl"));
}

#[test]
fn failures_count_for_what_was_asked_for_and_go_when_that_changes() {
    let mut world = World::new("letsencrypt zerossl");
    world.live_until(START + MINUTE * 30, |_, _| Answer::Down);
    let subject = Subject::Certificate(name());
    let others = |world: &World| world.observed.attempts[&subject].ca.others.len();
    assert_eq!(others(&world), 1);
    // With another name, all are asked anew, the first before the others.
    world.desired = wanting("letsencrypt zerossl", "shop.org www.shop.org");
    assert_eq!(world.asks().as_deref(), Some("letsencrypt"));
    world.live_until(world.now + MINUTE, |_, _| Answer::Down);
    assert_eq!(others(&world), 0);
    // The order of the list is no matter of what is asked for.
    let mut world = World::new("letsencrypt zerossl");
    world.live_until(START + Duration::from_secs(1), |_, _| Answer::Down);
    world.desired = wanting("zerossl letsencrypt", "shop.org");
    world.now = START + MINUTE * 2;
    assert_eq!(world.asks().as_deref(), Some("letsencrypt"));
}

#[test]
fn which_ca_is_asked_is_told_by_plans_and_only_where_there_are_several() {
    let step = |world: &World| {
        let plan = world.plan();
        steps(plan.actions.first().expect("an order"))[0].join(" ")
    };
    let alone = step(&World::new("zerossl"));
    assert_eq!(alone, "obtain shop.org --challenge http-01");
    let first = World::new("letsencrypt zerossl");
    assert_eq!(
        step(&first),
        "obtain shop.org --ca letsencrypt --challenge http-01"
    );
    assert_eq!(first.plan().other_cas, [].into());
    let mut other = World::new("letsencrypt zerossl");
    other.busy("letsencrypt", HOUR);
    assert_eq!(
        step(&other),
        "obtain shop.org --ca zerossl --challenge http-01"
    );
    // What is chosen once more is the same.
    let chosen = choose_cas(&other.desired, &other.observed, &resting(), other.now);
    let again = choose_cas(&chosen, &other.observed, &resting(), other.now);
    assert!(matches!(again, std::borrow::Cow::Borrowed(_)));
    assert_eq!(*again, *chosen);
}

#[test]
fn an_order_at_one_ca_is_none_at_another() {
    let asked = |world: &World| {
        let plan = world.plan();
        let [Action::Obtain(obtain)] = &*plan.actions else {
            panic!("{plan:?}")
        };
        // Orders on disk are gone on with by what was asked for.
        (obtain.issuance.issuer.clone(), obtain.attempt.asked)
    };
    let mut world = World::new("letsencrypt zerossl");
    let first = asked(&world);
    world.busy("letsencrypt", HOUR);
    let second = asked(&world);
    assert!(
        first.0 != second.0 && first.1 != second.1,
        "{first:?} {second:?}"
    );
    // That there is a list changes nothing about an order that was begun without one.
    assert_eq!(first, asked(&World::new("letsencrypt")));
}
