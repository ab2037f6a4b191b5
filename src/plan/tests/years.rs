//! Years of a certificate's life, simulated: the CA is away, busy or refuses, the clock is set, quaymaster is started again.
//! Whatever happens, as long as each trouble is shorter than a quarter of a life: no certificate runs out, and nothing that
//! CAs count is exceeded.

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{
    desire::LabelRules,
    fixtures::{held, usual_issuance},
    observe::{
        BusyCa, ClockGap, Counted, FollowedSuggestion, HeldCertificate, Ledger, LedgerEntry,
        RenewalInfo, Shelf, Source, SuggestedWindow,
    },
    values::{CA_PRESETS, CertificateId, Issuer},
};

const DAY: Duration = Duration::from_secs(24 * 3600);
const MINUTE: Duration = Duration::from_secs(60);

/// A trouble that lasts for a while.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Ill {
    /// The CA can't be reached.
    Away,
    /// It answers 503, and asks to wait for this share of the trouble.
    Busy(f64),
    /// It can't validate the name.
    Invalid,
    /// It refuses the name, and is not to be asked again soon.
    Rejected,
    /// Our clock is off by so many days.
    Clock(i32),
}

#[derive(Clone, Debug)]
struct Trouble {
    /// When it begins after the one before, and how long it lasts, in lives.
    after: f64,
    lasts: f64,
    ill: Ill,
    /// When quaymaster is started again, as shares of it.
    restarts: Vec<f64>,
}

fn trouble() -> impl Strategy<Value = Trouble> {
    let ill = prop_oneof![
        Just(Ill::Away),
        (0.01..1.0).prop_map(Ill::Busy),
        Just(Ill::Invalid),
        Just(Ill::Rejected),
        (-3650..3650).prop_map(Ill::Clock),
    ];
    let restarts = vec(-1.0..2.0, 0..4);
    (0.25..1.2, 0.0..0.249, ill, restarts).prop_map(|(after, lasts, ill, restarts)| Trouble {
        after,
        lasts,
        ill,
        restarts,
    })
}

/// Lives from an hour to a year, each length as likely as its double.
fn life() -> impl Strategy<Value = Duration> {
    (3600f64.ln()..(365.0 * 86400f64).ln())
        .prop_map(|seconds| Duration::from_secs_f64(seconds.exp()))
}

/// A thing that happens next, in true time.
#[derive(Clone, Copy, Debug)]
enum Happening {
    Begins(Ill, Timestamp),
    Ends,
    Restart,
}

struct World {
    life: Duration,
    directory: String,
    desired: Desired,
    observed: Observed,
    planner: Planner,
    /// The true time, and how many milliseconds our clock is ahead.
    now: Timestamp,
    off: i64,
    ill: Option<(Ill, Timestamp)>,
    /// True if a restart left an order open.
    is_open: bool,
    happenings: Vec<(Timestamp, Happening)>,
    /// Nothing rests longer than to this.
    until: Option<Timestamp>,
    orders: Vec<Timestamp>,
    failures: Vec<Timestamp>,
    issued: Vec<Timestamp>,
    /// Number of times that a complaint was new.
    complained: usize,
    complaints: BTreeSet<Complaint>,
}

fn rested() -> PlanRules {
    PlanRules {
        resync: 400 * DAY,
        answers_itself: true,
        ..rules()
    }
}

impl World {
    fn new(life: Duration, troubles: &[Trouble]) -> Self {
        // No public CA has shorter ones.
        let is_public = life >= 6 * DAY;
        let own = label_rules();
        let public = Issuer::Ca(CA_PRESETS[0].directory.to_owned());
        let asking = LabelRules {
            issuers: match is_public {
                true => Some(public.into()),
                false => own.issuers,
            },
            ..label_rules()
        };
        let shop = container("shop", 4).label("host", "shop.org");
        let mut desired = desire(&snapshot([proxy(), shop]), &asking);
        // We answer challenges ourselves: to configure a proxy would take nearly all of the time.
        desired.consumers.clear();
        for wanted in desired.certificates.values_mut() {
            let wanted = Rc::make_mut(wanted);
            (wanted.served_by, wanted.used_by) = Default::default();
        }
        let wanted = desired.certificates.values().next().expect("one is wanted");
        let directory = wanted.issuance.issuer.directory().expect("a CA").to_owned();
        assert_eq!(
            is_public,
            CA_PRESETS
                .iter()
                .any(|preset| preset.directory == directory)
        );
        let mut happenings = Vec::new();
        let mut time = START;
        for trouble in troubles {
            let lasts = life.mul_f64(trouble.lasts);
            time = time + life.mul_f64(trouble.after);
            let end = time + lasts;
            happenings.push((time, Happening::Begins(trouble.ill, end)));
            happenings.push((end, Happening::Ends));
            for share in &trouble.restarts {
                let at = match *share < 0.0 {
                    true => time - lasts.mul_f64(-share),
                    false => time + lasts.mul_f64(*share),
                };
                happenings.push((at, Happening::Restart));
            }
            time = end;
        }
        // One that ends when another begins ends first.
        happenings.sort_by_key(|(at, _)| *at);
        happenings.reverse();
        Self {
            life,
            directory,
            observed: fresh(&desired),
            desired,
            planner: Planner::default(),
            now: START,
            off: 0,
            ill: None,
            is_open: false,
            happenings,
            until: None,
            orders: Vec::new(),
            failures: Vec::new(),
            issued: Vec::new(),
            complained: 0,
            complaints: BTreeSet::new(),
        }
    }

    fn ours(&self) -> Timestamp {
        Timestamp::from_millis(self.now.millis() + self.off)
    }

    fn held(&self) -> Option<&HeldCertificate> {
        self.observed.held.values().next().map(|held| &**held)
    }

    fn live_through(&mut self) {
        while !self.happenings.is_empty() || self.ill.is_some() {
            self.live();
        }
        self.check_limits();
    }

    /// The same, up to a time at which something happens that is no part of the troubles.
    fn live_until(&mut self, end: Timestamp) {
        self.until = Some(end);
        while self.now < end {
            self.live();
        }
        self.until = None;
    }

    fn live(&mut self) {
        if let Some(held) = self.held() {
            let what = format!("it expired at {}: {:?}", self.now, self.ill);
            assert!(self.now < held.not_after, "{what}");
        }
        self.turn();
    }

    /// One turn, and what comes of it, or the time until something happens.
    fn turn(&mut self) {
        let ours = self.ours();
        let mut plan = self
            .planner
            .plan(&self.desired, &self.observed, &shared(), &rested(), ours);
        let new = plan.complaints.difference(&self.complaints).count();
        self.complained += new;
        self.complaints = plan.complaints.clone();
        for name in &plan.finished {
            self.observed
                .attempts
                .remove(&Subject::Certificate(name.clone()));
        }
        let is_order = |action: &Action| matches!(action, Action::Obtain(_));
        let order = plan
            .actions
            .iter()
            .position(is_order)
            .map(|index| plan.actions.remove(index));
        let rests = plan.actions.is_empty();
        self.observed = foresee(&self.observed, &plan, ours);
        if let Some(Action::Obtain(obtain)) = order {
            return self.order(&obtain);
        }
        if rests {
            let rest = plan.wake.expect("there is always one").since(ours);
            self.rest(rest.max(Duration::from_secs(1)));
        }
    }

    /// Lets time go by, up to what happens next.
    fn rest(&mut self, rest: Duration) {
        let wake = self.now + rest;
        let wake = self.until.map_or(wake, |until| wake.min(until));
        match self.happenings.last() {
            Some((at, happening)) if *at <= wake => {
                let (at, happening) = (*at, *happening);
                self.happenings.pop();
                self.now = self.now.max(at);
                self.happen(happening);
            }
            _ => self.now = wake,
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Begins(ill, until) => {
                self.ill = Some((ill, until));
                if let Ill::Clock(days) = ill {
                    self.off = i64::from(days) * 86_400_000;
                }
            }
            Happening::Ends => (self.ill, self.off) = (None, 0),
            Happening::Restart => {
                self.observed.clock_gaps.clear();
                // What was written down is read again.
                let written = self.observed.ledger.to_entries();
                self.observed.ledger = Rc::new(Ledger::of(written));
            }
        }
        // As the loop does when the clock was set.
        self.planner = Planner::default();
    }

    /// Carries out an order, as the CA and the executing room have it.
    fn order(&mut self, obtain: &Obtain) {
        let subject = Subject::Certificate(obtain.certificate.clone());
        let planned_by = self.off;
        let is_cut_off = self.passes(Duration::from_secs(20));
        // What counts is when the CA is asked, at the end of it.
        let was_clock_set = (self.off - planned_by).abs() > 60_000 && !self.is_open;
        if is_cut_off {
            if self.ill.is_none() && !was_clock_set {
                self.make_order(obtain);
                self.is_open = true;
            }
            self.observed
                .attempts
                .insert(subject, obtain.attempt.clone());
            return;
        }
        let gap = ClockGap::between(self.ours(), self.now);
        let ill = self.ill;
        let retry = match ill {
            _ if was_clock_set => Retry::NotBefore(self.ours()),
            Some((Ill::Clock(_), _)) if gap.is_some() => {
                let gap = gap.expect("it was looked at");
                self.observed.clock_gaps.insert(self.directory.clone(), gap);
                Retry::NotBefore(gap.until())
            }
            None | Some((Ill::Clock(_), _)) => return self.issue(obtain, &subject),
            Some((Ill::Away, _)) => Retry::Backoff,
            Some((Ill::Busy(share), until)) => {
                let asked = until
                    .since(self.now)
                    .mul_f64(share)
                    .max(Duration::from_secs(1));
                let busy = BusyCa {
                    since: self.ours(),
                    until: self.ours() + asked,
                    problem: "later".to_owned(),
                    count: 1,
                };
                self.observed.leave_alone(self.directory.clone(), busy);
                Retry::NotBefore(self.ours() + asked)
            }
            Some((Ill::Invalid, _)) => {
                self.make_order(obtain);
                self.is_open = false;
                self.failures.push(self.now);
                self.fail(obtain);
                self.observed.busy_cas.remove(&self.directory);
                Retry::Backoff
            }
            Some((Ill::Rejected, _)) => Retry::Daily,
        };
        let count = match gap.is_some() || was_clock_set {
            true => obtain.attempt.count.saturating_sub(1).max(1),
            false => obtain.attempt.count,
        };
        let attempt = Attempt {
            count,
            last: self.ours(),
            retry,
            problem: Some("no".to_owned()),
            ..obtain.attempt.clone()
        };
        self.observed.attempts.insert(subject, attempt);
    }

    /// Lets a try take its time; says whether a restart came into it.
    fn passes(&mut self, length: Duration) -> bool {
        let end = self.now + length;
        let mut is_cut_off = false;
        while let Some((at, happening)) =
            self.happenings.last().copied().filter(|(at, _)| *at <= end)
        {
            self.happenings.pop();
            self.now = self.now.max(at);
            self.happen(happening);
            is_cut_off |= matches!(happening, Happening::Restart);
        }
        self.now = self.now.max(end);
        is_cut_off
    }

    fn make_order(&mut self, obtain: &Obtain) {
        assert!(self.off.abs() <= 3_600_000, "an order by a wrong clock");
        if !self.is_open {
            self.orders.push(self.now);
            if obtain.counts.order {
                let project = obtain.counts.project.clone();
                self.enter(Counted::Order { project });
            }
        }
    }

    /// As the executing room writes it down.
    fn enter(&mut self, counted: Counted) {
        let entry = LedgerEntry {
            at: self.ours(),
            ca: self.directory.clone(),
            counted,
        };
        Rc::make_mut(&mut self.observed.ledger).take(entry);
    }

    fn fail(&mut self, obtain: &Obtain) {
        if obtain.counts.failures {
            let each = obtain.names.iter().cloned();
            each.for_each(|name| self.enter(Counted::Failure { name }));
        }
    }

    fn issue(&mut self, obtain: &Obtain, subject: &Subject) {
        self.make_order(obtain);
        self.is_open = false;
        if obtain.counts.certificate {
            let (names, order) = (names_digest(&obtain.names), self.orders.len().to_string());
            let order = Digest::of(order);
            self.enter(Counted::Certificate { names, order });
        }
        self.issued.push(self.now);
        if obtain.why == Why::CaSuggests {
            self.follow(&obtain.certificate);
        }
        self.observed.attempts.remove(subject);
        self.observed.busy_cas.remove(&self.directory);
        self.observed.clock_gaps.remove(&self.directory);
        let serial = Digest::of(self.now.millis().to_string());
        let held = HeldCertificate {
            not_before: self.now,
            not_after: self.now + self.life,
            serial: serial.short(),
            digest: serial,
            renewal_id: Some(CertificateId::of(
                b"the key",
                self.now.to_string().as_bytes(),
            )),
            source: Source::from(&obtain.issuance.issuer),
            shelf: Shelf::Live,
            ..held(&["shop.org"])
        };
        self.observed.hold(obtain.certificate.clone(), held);
    }

    /// The CA says of the one that is held when it is to be renewed, and is heard.
    fn suggest(&mut self, window: SuggestedWindow) {
        let (name, held) = self.observed.held.first_key_value().expect("one is held");
        let mut record = self.observed.renewal(name).cloned().unwrap_or_default();
        record.info = Some(RenewalInfo {
            id: held.renewal_id.clone().expect("it has one"),
            suggestion: suggestion(held, &window),
            read: self.now,
            next_read: self.now + HOUR * 6,
        });
        let name = name.clone();
        self.observed.renewals.insert(name, record);
    }

    /// As the loop writes down that an order is made because its CA suggests it.
    fn follow(&mut self, name: &CertificateName) {
        let id = self.observed.held[name].renewal_id.clone();
        let mut record = self.observed.renewal(name).cloned().unwrap_or_default();
        record.followed = id.map(|id| FollowedSuggestion { id, at: self.now });
        self.observed.renewals.insert(name.clone(), record);
    }

    /// Checks what the CA counts, by the limits of its row; and at any CA no more than one certificate in a quarter of
    /// a life.
    fn check_limits(&self) {
        let most = |times: &[Timestamp], window: Duration| {
            let within = |first: &Timestamp| {
                let near = times
                    .iter()
                    .filter(|time| *time >= first && time.since(*first) < window);
                near.count()
            };
            times.iter().map(within).max().unwrap_or(0)
        };
        let limits = rested().cas.limits(&self.directory);
        assert_eq!(limits.orders.is_some(), self.life >= 6 * DAY);
        for (limit, times) in [
            (limits.failures, &self.failures),
            (limits.orders, &self.orders),
            (limits.same_names, &self.issued),
        ] {
            let Some(limit) = limit else { continue };
            assert!(
                most(times, limit.within) <= limit.most(),
                "{limit} {times:?}"
            );
        }
        assert!(most(&self.issued, self.life / 4) <= 1, "{:?}", self.issued);
    }
}

fn shared() -> Rc<Templates> {
    thread_local! { static MADE: Rc<Templates> = Rc::new(templates()); }
    MADE.with(Rc::clone)
}

proptest! {
    #![proptest_config(crate::values::chance::fixed(128))]

    #[test]
    fn no_certificate_runs_out_in_years_of_outages_restarts_and_clocks_that_are_set(life in life(), troubles in vec(trouble(), 1..10)) {
        World::new(life, &troubles).live_through();
    }
}

/// As Let's Encrypt had to on 2026-05-08: intermediate certificates lacked a purpose, and what had been issued by them was to be
/// renewed at once.
#[test]
fn a_ca_that_stops_for_hours_and_then_wants_all_of_its_certificates_renewed_gets_one_order_each() {
    let away = HOUR * 5 / 2;
    for life in [DAY, 6 * DAY + 16 * HOUR, 45 * DAY, 90 * DAY] {
        for heard in [HOUR, 2 * HOUR, 3 * HOUR] {
            let trouble = Trouble {
                after: 0.3,
                lasts: away.as_secs_f64() / life.as_secs_f64(),
                ill: Ill::Away,
                restarts: vec![0.5],
            };
            let mut world = World::new(life, std::slice::from_ref(&trouble));
            let begins = START + life.mul_f64(trouble.after);
            let (back, heard) = (begins + away, begins + heard);
            world.live_until(heard);
            let window = |end| SuggestedWindow {
                start: end - HOUR / 2,
                end,
                explanation: None,
            };
            world.suggest(window(begins - HOUR));
            world.live_until(begins + life / 3);
            let what = format!("{life:?} {heard:?} {:?}", world.issued);
            assert_eq!((world.issued.len(), world.orders.len()), (2, 2), "{what}");
            // The pauses of the tries that failed are 1, 10 and 100 minutes.
            let late = world.issued[1].since(back.max(heard));
            assert!(late <= 101 * MINUTE, "{what}");
            // What it says of the successor is no different, and not heard again for a while.
            world.suggest(window(world.now - HOUR));
            world.live_until(world.issued[1] + life / 7);
            assert_eq!(world.issued.len(), 2, "{what}");
            world.live_through();
        }
    }
}

#[test]
fn a_clock_that_is_a_year_ahead_makes_no_order_and_one_complaint() {
    let trouble = Trouble {
        after: 0.3,
        lasts: 0.24,
        ill: Ill::Clock(365),
        restarts: Vec::new(),
    };
    for life in [HOUR, DAY, 6 * DAY, 90 * DAY] {
        let mut world = World::new(life, std::slice::from_ref(&trouble));
        world.live_through();
        assert_eq!(world.complained, 1, "{life:?}");
        assert_eq!(world.orders.len(), 1, "{life:?}: the first one");
    }
}

#[test]
fn a_pause_is_never_longer_than_a_share_of_the_life_that_is_left() {
    let desired = desired([proxy(), shop()]);
    let empty = foresee(
        &fresh(&desired),
        &planned(&desired, &fresh(&desired), START),
        START,
    );
    let public = CA_PRESETS[0].directory.to_owned();
    let [public, own] = [public, "https://ca.example/dir".to_owned()].map(Issuer::Ca);
    let minutes = |length: Duration| length.as_secs() / 60;
    for (life, left, expected) in [
        (HOUR, HOUR / 2, [20, 3]),
        (HOUR, MINUTE, [20, 1]),
        (HOUR, Duration::ZERO, [20, 1]),
        (DAY, DAY / 2, [90, 90]),
        (DAY, Duration::ZERO, [30, 30]),
        (6 * DAY, 3 * DAY, [9 * 60, 9 * 60]),
        (90 * DAY, 30 * DAY, [90 * 60, 90 * 60]),
    ] {
        let held = HeldCertificate {
            not_before: START + left - life,
            not_after: START + left,
            ..held(&["shop.example"])
        };
        let pauses =
            [&public, &own].map(|issuer| minutes(backoff::longest_pause(&held, issuer, START)));
        assert_eq!(pauses, expected, "{life:?} {left:?}");
    }
    // It is on the record of the try, and counts there.
    let source = Source::from(&usual_issuance().issuer);
    let held = HeldCertificate {
        not_before: START - DAY / 2,
        not_after: START + DAY / 2,
        source,
        ..held(&["shop.example"])
    };
    let mut observed = empty;
    observed.hold(
        CertificateName::parse("shop.example").expect("a name"),
        held,
    );
    let orders = ordered(&desired, &observed, START);
    let [obtain] = orders.as_slice() else {
        panic!("{orders:?}")
    };
    let subject = Subject::Certificate(obtain.certificate.clone());
    for (retry, count, pause) in [
        (Retry::Backoff, 1, MINUTE),
        (Retry::Backoff, 2, 10 * MINUTE),
        (Retry::Backoff, 3, 90 * MINUTE),
        (Retry::Backoff, 9, 90 * MINUTE),
        (Retry::Daily, 1, 90 * MINUTE),
    ] {
        let attempt = Attempt {
            count,
            retry,
            ..failed(&obtain.attempt)
        };
        assert_eq!(
            next_try(&subject, &attempt),
            START + pause,
            "{retry:?} {count}"
        );
    }
}

#[test]
fn a_try_from_the_future_holds_nothing_back_and_still_counts() {
    let desired = desired([proxy(), shop()]);
    let mut observed = fresh(&desired);
    observed = foresee(&observed, &planned(&desired, &observed, START), START);
    let plan = planned(&desired, &observed, START);
    let [Action::Obtain(obtain)] = plan.actions.as_slice() else {
        panic!("{plan:?}")
    };
    let subject = Subject::Certificate(obtain.certificate.clone());
    let year = 365 * DAY;
    for retry in [
        Retry::Backoff,
        Retry::Daily,
        Retry::NotBefore(START + year + HOUR),
    ] {
        for (ahead, is_tried) in [(year, true), (Duration::from_secs(30), false)] {
            let attempt = Attempt {
                count: 3,
                last: START + ahead,
                retry,
                ..failed(&obtain.attempt)
            };
            observed.attempts.insert(subject.clone(), attempt);
            let orders = ordered(&desired, &observed, START);
            assert_eq!(orders.len(), usize::from(is_tried), "{retry:?} {ahead:?}");
            if let Some(obtain) = orders.first() {
                assert_eq!((obtain.attempt.count, obtain.attempt.last), (4, START));
            }
        }
    }
}

#[test]
fn while_clocks_are_apart_one_order_an_hour_finds_out_whether_they_still_are() {
    let apps = (10..20)
        .map(|n| container(&format!("app{n}"), n).label("host", &format!("app{n}.example")));
    let desired = desired(apps.chain([proxy()]));
    let mut observed = foresee(
        &fresh(&desired),
        &planned(&desired, &fresh(&desired), START),
        START,
    );
    let directory = "https://ca.example/directory".to_owned();
    let gap = ClockGap::between(START, START - 365 * DAY).expect("they are apart");
    observed.clock_gaps = [(directory, gap)].into();
    let count = |observed: &Observed, now| ordered(&desired, observed, now).len();
    assert_eq!(count(&observed, START), 0);
    assert_eq!(count(&observed, START + HOUR), 1);
    assert_eq!(count(&observed, START - 365 * DAY), 1, "it was set");
    assert!(is_held_up(&desired, &observed, START));
    let told: Vec<_> = planned(&desired, &observed, START)
        .complaints
        .into_iter()
        .collect();
    let [complaint] = told.as_slice() else {
        panic!("{told:?}")
    };
    assert_eq!(
        complaint.to_string(),
        "the clock of this machine: it is 365 days ahead of the clock of the CA https://ca.example/directory, so \
         nothing is ordered there; set it, best by NTP: quaymaster notices that at once and goes on; until then it \
         compares the clocks each hour"
    );
    let name = CertificateName::parse("app10.example").expect("a name");
    let answered = answer(&name, &desired, &observed, &rules(), START);
    let Some(RenewalOutcome::Failed { problem, again, .. }) = answered else {
        panic!("{answered:?}")
    };
    assert!(problem.contains("365 days ahead of"), "{problem}");
    assert_eq!(again, Some(START + HOUR));
    observed.clock_gaps.clear();
    assert_eq!(count(&observed, START), ORDERS_AT_ONCE);
}

#[test]
fn a_certificate_that_is_not_valid_yet_is_kept() {
    let desired = desired([proxy(), shop()]);
    let observed = settled(&desired, fresh(&desired), START);
    for back in [HOUR, 10 * 365 * DAY] {
        let plan = planned(&desired, &observed, START - back);
        let is_order = |action: &Action| !matches!(action, Action::Deploy(_));
        assert!(!plan.actions.iter().any(is_order), "{:?}", plan.actions);
    }
}

/// The orders that are planned.
fn ordered(desired: &Desired, observed: &Observed, now: Timestamp) -> Vec<Obtain> {
    let actions = planned(desired, observed, now).actions.into_iter();
    let orders = actions.filter_map(|action| match action {
        Action::Obtain(obtain) => Some(*obtain),
        Action::Deploy(_) | Action::TakeBack(_) | Action::FallBack(_) => None,
    });
    orders.collect()
}

fn failed(attempt: &Attempt) -> Attempt {
    Attempt {
        problem: Some("no".to_owned()),
        ..attempt.clone()
    }
}
