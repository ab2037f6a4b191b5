use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    net::IpAddr,
    rc::Rc,
    time::Duration,
};

use crate::{
    desire::Desired,
    observe::{Bearer, Endpoint, Snapshot},
    values::{ContainerId, ContainerName, EngineName, Timestamp},
};

/// Time that a container that vanished during a gap still counts as it was. An engine that restarts stops and starts
/// every container, which takes ten seconds for processes that ignore SIGTERM: emptying the proxy and filling it again
/// meanwhile would help nobody.
const GRACE: Duration = Duration::from_secs(30);

/// The containers that were there before a gap and are not there after it.
#[derive(Debug, Default)]
pub(crate) struct Grace {
    missed: BTreeMap<ContainerId, Missed>,
    /// Those that are not there any more since this was last asked for.
    gone: Vec<Rc<Bearer>>,
}

/// One of them; how it was is in the snapshot.
#[derive(Debug)]
struct Missed {
    /// When it counts as it is.
    until: Timestamp,
    /// The engine's description of it now; none when the engine knows no such container.
    now: Option<Rc<Bearer>>,
}

impl Grace {
    /// Takes over a full list of one engine. After a gap, those who are missed in it keep counting as they were from `now` on; without
    /// one their going was seen, and only those whose grace runs already go on. A name that somebody else bears has
    /// found its successor.
    pub fn take_list(
        &mut self,
        snapshot: &mut Snapshot,
        (engine, list): (Option<&EngineName>, Vec<Bearer>),
        gap: bool,
        now: Timestamp,
    ) {
        let mut names: BTreeMap<ContainerId, ContainerName> = list
            .iter()
            .map(|bearer| (bearer.id.clone(), bearer.name.clone()))
            .collect();
        let mut listed: BTreeMap<ContainerName, Rc<Bearer>> = list
            .into_iter()
            .map(|bearer| (bearer.name.clone(), Rc::new(bearer)))
            .collect();
        let mut before = mem::take(&mut self.missed);
        for (name, known) in &mem::take(&mut snapshot.bearers) {
            if known.engine() != engine {
                let missed = before.remove_entry(&known.id);
                self.missed.extend(missed);
                listed.insert(name.clone(), Rc::clone(known));
                continue;
            }
            let running = before.get(&known.id).map(|missed| missed.until);
            let seen = names.get(&known.id).and_then(|name| listed.get(name));
            let has_returned = seen.is_some_and(|bearer| bearer.is_there());
            let has_successor = listed.get(name).is_some_and(|other| other.id != known.id);
            let is_missed = known.is_there() && !has_returned && !has_successor;
            let until = running.or(gap.then(|| now + GRACE));
            let Some(until) = until.filter(|_| is_missed) else {
                let is_gone = !names.contains_key(&known.id) && known.removed().is_none();
                self.gone.extend(is_gone.then(|| Rc::clone(known)));
                continue;
            };
            let seen = names
                .remove(&known.id)
                .and_then(|name| listed.remove(&name));
            self.missed
                .insert(known.id.clone(), Missed { until, now: seen });
            listed.insert(name.clone(), Rc::clone(known));
        }
        snapshot.bearers = listed.into();
        self.give_way(snapshot);
    }

    /// Takes over what is true of one container. With `decides` what happened to it was seen, and its grace is over;
    /// without, only its return ends it: a container joins its networks just before it starts. The known state does not
    /// end it: an engine that was killed reports late those that it found ended.
    pub fn take_one(
        &mut self,
        snapshot: &mut Snapshot,
        id: &ContainerId,
        bearer: Option<Bearer>,
        decides: bool,
    ) {
        let bearer = bearer.map(Rc::new);
        let is_there = bearer.as_ref().is_some_and(|bearer| bearer.is_there());
        match self.missed.get_mut(id) {
            Some(missed) if !is_there && (!decides || bearer.is_some() && missed.now == bearer) => {
                missed.now = bearer;
            }
            _ => {
                self.missed.remove(id);
                self.replace(snapshot, id, bearer);
            }
        }
        self.give_way(snapshot);
    }

    /// Lets those count as they are whose grace is over; says whether there are any.
    pub fn end(&mut self, snapshot: &mut Snapshot, now: Timestamp) -> bool {
        for missed in self.missed.values_mut() {
            // Where the clock was set back, it would be as long as that.
            missed.until = missed.until.min(now + GRACE);
        }
        let (over, running) = mem::take(&mut self.missed)
            .into_iter()
            .partition(|(_, missed)| missed.until <= now);
        self.missed = running;
        let over: BTreeMap<_, _> = over;
        let is_any = !over.is_empty();
        for (id, missed) in over {
            self.replace(snapshot, &id, missed.now);
        }
        is_any
    }

    /// When the next one is over.
    pub fn next_end(&self) -> Option<Timestamp> {
        self.missed.values().map(|missed| missed.until).min()
    }

    /// Those it is given to.
    pub fn missed(&self) -> impl Iterator<Item = &ContainerId> {
        self.missed.keys()
    }

    /// Those that are not there any more since this was last asked for.
    pub fn take_gone(&mut self) -> Vec<Rc<Bearer>> {
        mem::take(&mut self.gone)
    }

    /// Takes one container over; a name is not its own for ever, its id is. Who is only remembered stays so until its time
    /// is over, or it is there again.
    fn replace(&mut self, snapshot: &mut Snapshot, id: &ContainerId, bearer: Option<Rc<Bearer>>) {
        let is_back = bearer.is_some();
        let is_over =
            |known: &Rc<Bearer>| known.id == *id && (is_back || known.removed().is_none());
        if !is_back {
            let gone = snapshot.bearers.values().filter(|known| is_over(known));
            self.gone.extend(gone.cloned());
        }
        snapshot.bearers.retain(|_, known| !is_over(known));
        if let Some(bearer) = bearer {
            snapshot.bearers.insert(bearer.name.clone(), bearer);
        }
    }

    /// A consumer that is missed gets its files and no signal: that is owed until it is back.
    pub fn hold_signals_back(&self, desired: &mut Rc<Desired>) {
        if desired
            .consumers
            .values()
            .any(|consumer| self.missed.contains_key(&consumer.id))
        {
            let consumers = Rc::make_mut(desired).consumers.values_mut();
            consumers
                .filter(|consumer| self.missed.contains_key(&consumer.id))
                .for_each(|consumer| Rc::make_mut(consumer).running = false);
        }
    }

    /// An address that another container has now is nobody else's any more: an engine that restarts gives them out
    /// anew, and no request may reach another app than the one it was meant for.
    fn give_way(&self, snapshot: &mut Snapshot) {
        if self.missed.is_empty() {
            return;
        }
        let mut taken = BTreeSet::new();
        for bearer in snapshot.bearers.values() {
            if bearer.is_there() && !self.missed.contains_key(&bearer.id) {
                taken.extend(bearer.endpoints.iter().filter_map(place));
            }
        }
        let mut losers = Vec::new();
        for bearer in snapshot.bearers.values() {
            let loses = |endpoint: &Endpoint| place(endpoint).is_some_and(|at| taken.contains(&at));
            if !self.missed.contains_key(&bearer.id) || !bearer.endpoints.iter().any(loses) {
                continue;
            }
            let mut loser = Bearer::clone(bearer);
            for endpoint in &mut loser.endpoints {
                if loses(endpoint) {
                    endpoint.address = None;
                }
            }
            losers.push(Rc::new(loser));
        }
        for loser in losers {
            snapshot.bearers.insert(loser.name.clone(), loser);
        }
    }
}

/// The network of an endpoint, and its address there.
fn place(endpoint: &Endpoint) -> Option<(&str, IpAddr)> {
    Some((endpoint.network_id.as_str(), endpoint.address?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        desire::tests::{container, proxy},
        observe::BearerState,
    };

    const START: Timestamp = Timestamp::from_seconds(1_800_000_000);

    fn at(seconds: u64) -> Timestamp {
        START + Duration::from_secs(seconds)
    }

    fn exited(mut container: Bearer) -> Bearer {
        container.state = BearerState::Other("exited".into());
        container
            .endpoints
            .iter_mut()
            .for_each(|endpoint| endpoint.address = None);
        container
    }

    fn shop() -> Bearer {
        container("shop", 4)
    }

    /// The facts when proxy, shop and blog were seen before a gap, and `list` after it.
    fn after_gap(list: Vec<Bearer>) -> (Grace, Snapshot) {
        let (mut grace, mut snapshot) = (Grace::default(), Snapshot::default());
        grace.take_list(
            &mut snapshot,
            (None, vec![proxy(), shop(), container("blog", 5)]),
            true,
            START,
        );
        assert_eq!(
            grace.next_end(),
            None,
            "nothing was known before the first list"
        );
        grace.take_list(&mut snapshot, (None, list), true, START);
        (grace, snapshot)
    }

    /// Names, and whether each counts as running.
    fn told(snapshot: &Snapshot) -> Vec<String> {
        let word = |container: &Bearer| if container.is_there() { "" } else { " (ended)" };
        snapshot
            .bearers
            .values()
            .map(|container| format!("{}{}", container.name, word(container)))
            .collect()
    }

    #[test]
    fn what_vanished_in_a_gap_counts_as_it_was_for_thirty_seconds() {
        let (mut grace, mut snapshot) = after_gap(vec![proxy(), exited(shop())]);
        assert_eq!(told(&snapshot), ["blog", "proxy", "shop"]);
        assert_eq!(
            snapshot.bearers.values().next(),
            Some(&container("blog", 5).into()),
            "as it was"
        );
        assert_eq!(grace.next_end(), Some(at(30)));
        grace.end(&mut snapshot, at(29));
        assert_eq!(told(&snapshot), ["blog", "proxy", "shop"]);
        grace.end(&mut snapshot, at(30));
        assert_eq!(told(&snapshot), ["proxy", "shop (ended)"]);
        assert_eq!(grace.next_end(), None);
    }

    #[test]
    fn what_returns_is_taken_as_it_returns() {
        let (mut grace, mut snapshot) = after_gap(vec![proxy(), exited(shop())]);
        let back = || container("shop", 4).label("host", "new.example");
        grace.take_one(&mut snapshot, &back().id, Some(back()), true);
        grace.end(&mut snapshot, at(30));
        assert_eq!(told(&snapshot), ["proxy", "shop"]);
        assert_eq!(snapshot.bearers.values().nth(1), Some(&back().into()));

        let (mut grace, mut snapshot) = after_gap(vec![proxy(), exited(shop())]);
        grace.take_list(
            &mut snapshot,
            (None, vec![proxy(), back(), container("blog", 5)]),
            true,
            at(10),
        );
        assert_eq!((told(&snapshot).len(), grace.next_end()), (3, None));
    }

    #[test]
    fn an_event_that_says_it_is_gone_removes_at_once() {
        let (mut grace, mut snapshot) = after_gap(vec![proxy(), exited(shop())]);
        grace.take_one(&mut snapshot, &container("blog", 5).id, None, true);
        let again = Bearer {
            started_at: Some(at(1)),
            ..exited(shop())
        };
        grace.take_one(&mut snapshot, &shop().id, Some(again), true);
        assert_eq!(
            (told(&snapshot), grace.next_end()),
            (vec!["proxy".into(), "shop (ended)".into()], None)
        );
    }

    #[test]
    fn an_end_that_is_told_late_ends_nothing() {
        let (mut grace, mut snapshot) =
            after_gap(vec![proxy(), exited(shop()), container("blog", 5)]);
        grace.take_one(&mut snapshot, &shop().id, Some(exited(shop())), true);
        assert_eq!((told(&snapshot).len(), grace.next_end()), (3, Some(at(30))));
        grace.end(&mut snapshot, at(30));
        assert_eq!(told(&snapshot), ["blog", "proxy", "shop (ended)"]);
    }

    #[test]
    fn joining_a_network_before_the_start_ends_nothing() {
        let (mut grace, mut snapshot) =
            after_gap(vec![proxy(), shop(), exited(container("blog", 5))]);
        let renamed = Bearer {
            name: ContainerName::parse("log").unwrap(),
            ..exited(container("blog", 5))
        };
        grace.take_one(&mut snapshot, &renamed.id.clone(), Some(renamed), false);
        assert_eq!(told(&snapshot), ["blog", "proxy", "shop"]);
        grace.end(&mut snapshot, at(30));
        assert_eq!(told(&snapshot), ["log (ended)", "proxy", "shop"]);
    }

    #[test]
    fn a_look_without_a_gap_begins_no_grace_and_ends_none() {
        let (mut grace, mut snapshot) = after_gap(vec![proxy(), shop()]);
        grace.take_list(&mut snapshot, (None, vec![proxy()]), false, at(10));
        assert_eq!(
            (told(&snapshot), grace.next_end()),
            (vec!["blog".into(), "proxy".into()], Some(at(30)))
        );
        grace.take_list(&mut snapshot, (None, vec![proxy()]), true, at(20));
        assert_eq!(
            grace.next_end(),
            Some(at(30)),
            "another gap makes it no longer"
        );
        grace.end(&mut snapshot, at(30));
        assert_eq!(told(&snapshot), ["proxy"]);
    }

    #[test]
    fn a_successor_of_the_same_name_takes_over_at_once() {
        let recreated = Bearer {
            id: ContainerId::parse("another").unwrap(),
            ..proxy()
        };
        let (grace, snapshot) = after_gap(vec![recreated.clone(), shop(), container("blog", 5)]);
        assert_eq!(
            (snapshot.bearers.get(&recreated.name), grace.next_end()),
            (Some(&recreated.into()), None)
        );
    }

    #[test]
    fn what_had_ended_before_the_gap_is_not_missed() {
        let (mut grace, mut snapshot) = (Grace::default(), Snapshot::default());
        grace.take_list(&mut snapshot, (None, vec![exited(shop())]), true, START);
        grace.take_list(&mut snapshot, (None, vec![]), true, START);
        assert_eq!((told(&snapshot).len(), grace.next_end()), (0, None));
    }

    #[test]
    fn an_address_given_to_another_is_not_kept() {
        let mut blog = container("blog", 5);
        blog.endpoints.clone_from(&shop().endpoints);
        let (_, snapshot) = after_gap(vec![proxy(), exited(shop()), blog]);
        let address = |name: &str| {
            snapshot.bearers[&ContainerName::parse(name).unwrap()].endpoints[0].address
        };
        assert_eq!(
            (address("shop"), address("blog")),
            (None, Some([10, 0, 0, 4].into()))
        );
    }

    #[test]
    fn a_consumer_that_is_missed_gets_no_signal() {
        use crate::desire::{desire, tests::rules};
        let (grace, snapshot) = after_gap(vec![exited(proxy())]);
        let snapshot = Snapshot {
            own: Some(crate::desire::tests::own()),
            ..snapshot
        };
        let mut desired = Rc::new(desire(&snapshot, &rules()));
        let running = |desired: &Desired| {
            desired
                .consumers
                .values()
                .map(|c| c.running)
                .collect::<Vec<_>>()
        };
        assert_eq!(running(&desired), [true]);
        grace.hold_signals_back(&mut desired);
        assert_eq!(running(&desired), [false]);
    }
}
