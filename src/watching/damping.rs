use std::{collections::BTreeMap, rc::Rc, time::Duration};

use crate::{
    desire::{Dialects, ignores_health},
    observe::{Bearer, Health, Snapshot, Wait},
    values::{ContainerId, ContainerName, Digest, Timestamp},
};

/// Seconds that a container stays away after it ended, by the number of times that it was let in again since it was
/// last steady. The first two are zero: one start that failed, or something that was mended, is no loop. The last one
/// is used from then on.
const PAUSES: &[u64] = &[0, 0, 5, 10, 20, 40, 80, 160, 300];

/// Whoever has stayed, or has stayed away, for as long begins anew.
const STEADY: Duration = Duration::from_secs(300);

/// Time that it has to be up before it is let in, where its pause is not shorter: a container that ends within seconds
/// costs nothing then, however often it does. Docker, too, takes a container for one that has started when it has run
/// for so long.
///
/// <https://docs.docker.com/engine/containers/start-containers-automatically/#restart-policy-details>
const UP_FOR: Duration = Duration::from_secs(10);

/// Who takes requests for as long before it ends is worth more than the reloads that it costs: it stays away for no longer
/// than a share of that, so that its site is mostly there.
const SERVES_FOR: Duration = Duration::from_secs(60);
const SHARE: u32 = 4;

/// So many starts by hand are at once, whatever was before: nobody waits for what he has just started. Where even more
/// follow each other, it is a script that starts again what ends, as others have the engine do it.
const BY_HAND: u32 = 30;

/// The containers that come and go, and when each takes requests again. Going is at once; only coming back waits.
#[derive(Debug)]
pub(crate) struct Damping {
    dialects: Dialects,
    flapping: BTreeMap<ContainerName, Flapping>,
}

/// One of them.
#[derive(Debug)]
struct Flapping {
    id: ContainerId,
    started_at: Option<Timestamp>,
    made_of: Digest,
    is_up: bool,
    /// When it last came, went, or was let in.
    since: Timestamp,
    /// When it went that took requests until then; none while it takes them.
    left: Option<Timestamp>,
    /// For how long it took requests before that.
    served_for: Duration,
    /// Number of times that it was let in again.
    let_in: usize,
    /// Number of times that it came back, let in or not.
    returns: u32,
    /// Number of times that somebody started it.
    by_hand: u32,
}

impl Damping {
    /// Health checks are ignored where labels of these say so.
    pub fn new(dialects: &Dialects) -> Self {
        Self {
            dialects: dialects.clone(),
            flapping: BTreeMap::new(),
        }
    }

    /// Takes over what an event has made of a container. What went while nobody could see is not counted: an engine that
    /// restarts is no fault of theirs.
    pub fn take(&mut self, before: &Bearer, after: Option<&Bearer>, now: Timestamp) {
        let stays =
            |after: &Bearer| is_up(after, &self.dialects) && after.started_at == before.started_at;
        if is_up(before, &self.dialects) && !after.is_some_and(stays) {
            self.flapping
                .entry(before.name.clone())
                .or_insert_with(|| Flapping::of(before, now));
        }
    }

    /// Has those wait that have to; says whether that has changed for any.
    pub fn settle(&mut self, snapshot: &mut Snapshot, now: Timestamp) -> bool {
        let (dialects, mut is_any) = (&self.dialects, false);
        self.flapping.retain(|name, flapping| {
            let bearer = snapshot.bearers.get(name);
            let bearer = bearer.filter(|bearer| bearer.removed().is_none());
            let goes_on = flapping.follow(bearer.map(Rc::as_ref), dialects, now);
            let waits = bearer.map(|bearer| goes_on.then(|| flapping.wait(bearer)).flatten());
            if let (Some(before), Some(waits)) = (bearer, waits)
                && before.waits != waits
                && let Some(bearer) = snapshot.bearers.get_mut(name)
            {
                Rc::make_mut(bearer).waits = waits;
                is_any = true;
            }
            goes_on
        });
        is_any
    }

    /// When there is something to settle though nothing happens.
    pub fn next_end(&self) -> Option<Timestamp> {
        self.flapping.values().map(Flapping::next_end).min()
    }

    /// Those that come and go.
    pub fn names(&self) -> impl Iterator<Item = &ContainerName> {
        self.flapping.keys()
    }

    /// True if it does not take requests at once when it is back, whether it is up or down.
    pub fn holds(&self, name: &ContainerName) -> bool {
        self.flapping.get(name).is_some_and(Flapping::is_held)
    }
}

/// True if nothing is known that keeps requests from it. A container whose first check has not passed yet counts:
/// whether it ends before or after that, it comes and goes. A container that uses another's network is away with that
/// one.
fn is_up(bearer: &Bearer, dialects: &Dialects) -> bool {
    let is_well = bearer.health != Some(Health::Unhealthy);
    let mut endpoints = bearer.endpoints.iter();
    let is_on_one = bearer.joins.is_none() || endpoints.any(|endpoint| endpoint.address.is_some());
    bearer.is_running() && is_on_one && (is_well || ignores_health(bearer, dialects))
}

impl Flapping {
    /// One that was up until now.
    fn of(bearer: &Bearer, now: Timestamp) -> Self {
        Self {
            id: bearer.id.clone(),
            started_at: bearer.started_at,
            made_of: bearer.made_of(),
            is_up: true,
            since: bearer.started_at.unwrap_or(now),
            left: None,
            served_for: Duration::ZERO,
            let_in: 0,
            returns: 0,
            by_hand: 0,
        }
    }

    /// Takes over how it is now; says whether that still has to do with how it was.
    fn follow(&mut self, bearer: Option<&Bearer>, dialects: &Dialects, now: Timestamp) -> bool {
        // A clock that is set back must not make a pause of seconds one of hours.
        self.since = self.since.min(now);
        self.left = self.left.map(|left| left.min(now));
        let is_new = |it: &&Bearer| it.id != self.id || it.started_at != self.started_at;
        if let Some(started) = bearer.filter(|it| it.is_running()).filter(is_new) {
            if started.id != self.id && started.made_of() != self.made_of {
                return false;
            }
            if self.is_up {
                self.goes(now);
            }
            // The engine counts what it starts by itself, and begins anew when somebody does.
            if started.restarts == 0 && self.by_hand < BY_HAND {
                (self.let_in, self.returns) = (0, 0);
                self.by_hand += 1;
            }
            (self.id, self.started_at) = (started.id.clone(), started.started_at);
        }
        match (self.is_up, bearer.is_some_and(|it| is_up(it, dialects))) {
            (true, false) => self.goes(now),
            (false, true) => self.comes(now),
            _ => {}
        }
        if self.let_in_at().is_some_and(|time| time <= now) {
            (self.left, self.since) = (None, now);
            self.let_in += 1;
        }
        now < self.next_end()
    }

    fn goes(&mut self, now: Timestamp) {
        if self.left.is_none() {
            if now.since(self.since) >= STEADY {
                (self.let_in, self.returns, self.by_hand) = (0, 0, 0);
            }
            (self.left, self.served_for) = (Some(now), now.since(self.since));
        }
        (self.is_up, self.since) = (false, now);
    }

    fn comes(&mut self, now: Timestamp) {
        (self.is_up, self.since) = (true, now);
        self.returns = self.returns.saturating_add(1);
    }

    fn pause(&self) -> Duration {
        let seconds = PAUSES.get(self.let_in).or(PAUSES.last());
        let pause = Duration::from_secs(seconds.copied().unwrap_or_default());
        match self.served_for >= SERVES_FOR {
            true => pause.min(self.served_for / SHARE),
            false => pause,
        }
    }

    /// When it takes requests again if it stays; none while it does, or is not up.
    fn let_in_at(&self) -> Option<Timestamp> {
        let left = self.left.filter(|_| self.is_up)?;
        let pause = self.pause();
        Some((left + pause).max(self.since + pause.min(UP_FOR)))
    }

    fn next_end(&self) -> Timestamp {
        self.let_in_at().unwrap_or(self.since + STEADY)
    }

    fn is_held(&self) -> bool {
        self.left.is_some() && !self.pause().is_zero()
    }

    /// The wait that it is in, in this state. A container that nobody is about to start again is simply away.
    fn wait(&self, bearer: &Bearer) -> Option<Wait> {
        (self.is_held() && bearer.is_kept_going()).then(|| Wait {
            until: self.let_in_at(),
            restarts: bearer.restarts,
            returns: self.returns,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        desire::tests::{container, snapshot},
        observe::{BearerState, Joined},
    };

    const START: Timestamp = Timestamp::from_seconds(1_800_000_000);

    fn at(seconds: u64) -> Timestamp {
        START + Duration::from_secs(seconds)
    }

    /// A container that events are about.
    struct World {
        damping: Damping,
        snapshot: Snapshot,
        /// As the engine has it.
        app: Bearer,
    }

    impl World {
        /// It runs and was never seen to go.
        fn of(app: Bearer) -> Self {
            Self {
                damping: Damping::new(&Dialects::native("quaymaster")),
                snapshot: snapshot([app.clone()]),
                app,
            }
        }

        fn new() -> Self {
            Self::of(container("app", 4).label("host", "app.example"))
        }

        fn tell(&mut self, seconds: u64, change: impl FnOnce(&mut Bearer)) {
            change(&mut self.app);
            let app = Rc::new(self.app.clone());
            let containers = &mut self.snapshot.bearers;
            let before = containers.insert(app.name.clone(), Rc::clone(&app));
            let before = before.expect("it was there");
            self.damping.take(&before, Some(&app), at(seconds));
            self.damping.settle(&mut self.snapshot, at(seconds));
        }

        /// It ends, and its restart policy is about to start it again.
        fn ends(&mut self, seconds: u64) {
            self.tell(seconds, |app| {
                app.state = BearerState::Other("restarting".to_owned());
                app.restarts += 1;
            });
        }

        fn starts(&mut self, seconds: u64) {
            self.tell(seconds, |app| {
                app.state = BearerState::Running;
                app.started_at = Some(at(seconds));
            });
        }

        /// Somebody starts it.
        fn starts_by_hand(&mut self, seconds: u64) {
            self.app.restarts = 0;
            self.starts(seconds);
        }

        fn is_healthy(&mut self, seconds: u64, is_healthy: bool) {
            let health = match is_healthy {
                true => Health::Healthy,
                false => Health::Unhealthy,
            };
            self.tell(seconds, |app| app.health = Some(health));
        }

        fn wakes(&mut self, seconds: u64) -> bool {
            self.damping.settle(&mut self.snapshot, at(seconds))
        }

        fn seen(&self) -> &Bearer {
            &self.snapshot.bearers[&self.app.name]
        }

        /// When it is let in, in seconds.
        fn until(&self) -> Option<u64> {
            let until = self.seen().waits?.until?;
            Some(until.since(START).as_secs())
        }
    }

    #[test]
    fn the_first_two_returns_are_at_once_and_each_after_them_waits_longer() {
        let (mut world, mut waited) = (World::new(), Vec::new());
        // Up for 50 s each time, and away for one.
        for round in 1..=5 {
            let left = round * 51;
            world.ends(left);
            assert!(!world.seen().takes_traffic(), "going never waits");
            world.starts(left + 1);
            waited.push(world.until().map(|until| until - left));
            if let Some(until) = world.until() {
                assert_eq!(world.damping.next_end(), Some(at(until)));
                assert!(!world.wakes(until - 1) && !world.seen().takes_traffic());
                assert!(world.wakes(until), "without any event");
            }
            assert!(world.seen().takes_traffic());
        }
        assert_eq!(waited, [None, None, Some(6), Some(11), Some(20)]);
        // The pause goes on over further ends, which cost nothing.
        world.ends(306);
        world.starts(307);
        world.ends(310);
        world.starts(311);
        assert_eq!(world.until(), Some(306 + 40));
        let wait = world.seen().waits.expect("it waits");
        assert_eq!((wait.restarts, wait.returns), (7, 7));
        assert_eq!(
            wait.to_string(),
            "comes and goes: it was restarted 7 times, and takes requests again at 2027-01-15T08:05:46Z if it stays"
        );
    }

    #[test]
    fn what_ends_within_seconds_is_let_in_twice_and_then_counts_as_there_without_traffic() {
        let (mut world, mut changes) = (World::new(), 0);
        for round in 1..=1200 {
            for seconds in [round * 3, round * 3 + 1] {
                let before = (world.seen().counts(), world.seen().takes_traffic());
                match seconds % 3 {
                    0 => world.ends(seconds),
                    _ => world.starts(seconds),
                }
                let now = (world.seen().counts(), world.seen().takes_traffic());
                changes += u32::from(before != now);
            }
        }
        assert_eq!(changes, 5, "in an hour");
        let last = 3601;
        assert_eq!(
            world.until(),
            Some(last + 5),
            "it is up in time when it is mended"
        );
        world.wakes(last + 5);
        assert!(world.seen().takes_traffic());
    }

    #[test]
    fn pauses_end_at_five_minutes_and_who_stays_as_long_begins_anew() {
        let mut world = World::new();
        let mut time = 0;
        let mut longest = 0;
        for _ in 0..20 {
            time += 50;
            world.ends(time);
            world.starts(time + 1);
            if let Some(until) = world.until() {
                longest = longest.max(until - time);
                time = until;
                world.wakes(time);
            }
        }
        assert_eq!(longest, 300);
        assert!(world.seen().takes_traffic());
        assert_eq!(world.damping.next_end(), Some(at(time + 300)));
        assert!(!world.wakes(time + 300));
        assert_eq!(world.damping.next_end(), None, "it is forgotten");
        world.ends(time + 301);
        world.starts(time + 302);
        assert!(world.seen().takes_traffic());
    }

    #[test]
    fn one_that_serves_for_minutes_before_it_ends_stays_away_for_a_quarter_of_that() {
        let (mut world, mut time, mut waited) = (World::new(), 0, Vec::new());
        for _ in 0..12 {
            time += 240;
            world.ends(time);
            world.starts(time + 1);
            let until = world.until().unwrap_or(time);
            waited.push(until - time);
            time = until;
            world.wakes(time);
            assert!(world.seen().takes_traffic());
        }
        assert_eq!(waited, [0, 0, 6, 11, 20, 40, 60, 60, 60, 60, 60, 60]);
    }

    /// It has come and gone until it waits.
    fn damped() -> World {
        let mut world = World::new();
        for round in 1..=3 {
            world.ends(round * 3);
            world.starts(round * 3 + 1);
        }
        assert_eq!(world.until(), Some(15));
        world
    }

    #[test]
    fn a_start_by_hand_is_at_once_unless_it_is_a_scripts() {
        let mut world = damped();
        world.ends(11);
        world.starts_by_hand(12);
        assert!(world.seen().takes_traffic());
        // One after the other, with nothing in between.
        let mut at_once = 0;
        for round in 0..50 {
            world.tell(13 + 2 * round, |app| {
                app.state = BearerState::Other("exited".to_owned());
            });
            world.starts_by_hand(14 + 2 * round);
            at_once += u32::from(world.seen().takes_traffic());
        }
        assert_eq!(at_once, 30);
    }

    #[test]
    fn another_container_of_that_name_is_served_at_once() {
        for (label, is_fresh) in [("another.example", true), ("app.example", false)] {
            let mut world = damped();
            let app = container("app", 9).label("host", label);
            world.tell(11, |old| *old = app.clone());
            assert!(world.seen().takes_traffic(), "somebody made it");
            assert_eq!(world.damping.next_end().is_none(), is_fresh, "{label}");
        }
    }

    #[test]
    fn one_that_nobody_starts_again_is_away_at_once() {
        let mut world = damped();
        world.tell(11, |app| {
            app.state = BearerState::Other("exited".to_owned())
        });
        assert!(!world.seen().counts());
        assert_eq!(world.damping.next_end(), Some(at(311)));
        world.wakes(311);
        assert_eq!(world.damping.next_end(), None);

        // Nor does one count that was removed.
        let mut world = damped();
        world.tell(11, |app| app.state = BearerState::Removed { at: at(11) });
        assert!(!world.seen().counts());
    }

    #[test]
    fn a_health_check_that_fails_again_and_again_is_a_loop_too() {
        let mut world = World::new();
        for round in 1..=3 {
            world.is_healthy(round * 8, false);
            assert!(!world.seen().takes_traffic());
            world.is_healthy(round * 8 + 4, true);
        }
        assert_eq!(world.until(), Some(33));
        let wait = world.seen().waits.expect("it waits");
        assert!(wait.to_string().contains("it came back 3 times"), "{wait}");
        world.is_healthy(32, false);
        let wait = world.seen().waits.expect("it waits");
        assert!(wait.to_string().ends_with("again once it stays"), "{wait}");

        let mut ignored = World::of(container("app", 4).label("health", "ignore"));
        for round in 1..=9 {
            ignored.is_healthy(round, round % 2 == 0);
            assert_eq!(ignored.seen().waits, None);
        }
    }

    #[test]
    fn one_that_ends_before_its_first_check_has_passed_is_a_loop_too() {
        let mut world = World::new();
        world.app.health = Some(Health::Starting);
        let mut world = World::of(world.app);
        for round in 1..=3 {
            world.ends(round * 3);
            world.starts(round * 3 + 1);
        }
        assert!(world.seen().waits.is_some());
        world.ends(12);
        assert!(world.seen().counts(), "its site stays");
    }

    #[test]
    fn a_clock_that_is_set_back_makes_no_pause_longer() {
        let mut world = damped();
        world
            .damping
            .settle(&mut world.snapshot, START - Duration::from_secs(3600));
        let until = world.seen().waits.and_then(|wait| wait.until);
        assert_eq!(until, Some(START - Duration::from_secs(3595)));
    }

    #[test]
    fn one_whose_networks_owner_comes_and_goes_is_in_that_loop() {
        let mut app = container("app", 4);
        app.joins = Some(Joined {
            id: ContainerId::parse("vpn").expect("an id"),
            name: None,
        });
        let (mut world, address) = (World::of(app.clone()), app.endpoints[0].address);
        for round in 1..=3 {
            world.tell(round * 3, |app| app.endpoints[0].address = None);
            world.tell(round * 3 + 1, |app| app.endpoints[0].address = address);
        }
        assert_eq!(world.until(), Some(15));
    }

    #[test]
    fn who_is_held_stays_so_though_the_engine_says_that_it_has_ended() {
        let mut world = damped();
        let name = world.app.name.clone();
        world.tell(11, |app| {
            app.state = BearerState::Other("exited".to_owned())
        });
        assert!(world.damping.holds(&name), "it is not told anew each time");
        world.starts(12);
        assert!(world.damping.holds(&name));
        world.wakes(17);
        assert!(!world.damping.holds(&name));
    }

    #[test]
    fn a_restart_between_two_looks_counts() {
        let mut world = World::new();
        for round in 1..=3 {
            world.app.restarts += 1;
            world.starts(round * 3);
        }
        assert_eq!(world.until(), Some(14));
    }
}
