//! Which project has which host that was served, remembered longer than its bearers live: whoever restarts a stack
//! finds its names as they were, and nobody takes one over in the minute between, unless somebody says so.

use std::{collections::BTreeSet, mem, time::Duration};

use super::{LabelRules, Said, hosts};
use crate::{
    observe::{Holder, Released, Snapshot},
    values::{ContainerName, Host, KeyedTable, Timestamp},
};

/// For how long a host stays with a project whose last bearer for it is gone.
pub(super) const KEPT_FOR: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// True if another bearer may have the host.
pub fn is_over(holder: &Holder, now: Timestamp) -> bool {
    holder.gone.is_some_and(|gone| gone + KEPT_FOR <= now)
}

/// When that is so; never while somebody of theirs asks for it, and once it is so.
pub fn ends(holder: &Holder) -> Option<Timestamp> {
    let gone = holder.gone.filter(|_| !holder.free)?;
    Some(gone + KEPT_FOR)
}

/// The facts from which the holders were last found out, so that of thousands of hosts only those are looked at again
/// that changed or whose holder is missing. The memory decides nothing: without it the result is the same.
#[derive(Debug, Default)]
pub struct HolderMemory {
    holders: KeyedTable<Host, Holder>,
    claimed: KeyedTable<Host, Option<String>>,
    /// Hosts of which the holder is another than who claims it: time may change that, or what is served.
    open: BTreeSet<Host>,
}

impl HolderMemory {
    /// Who has which host at `now`, after who had them and who claims them now; nothing while that is the same as before.
    /// Who gets a host has it from when it `is_served`: what ran with a name once and was never seen, such as a bearer that
    /// builds an image, holds nothing. Who had a host that `is_kept` for bearers that are away is remembered as long.
    pub fn follow(
        &mut self,
        before: &KeyedTable<Host, Holder>,
        claimed: &KeyedTable<Host, Option<String>>,
        is_served: impl Fn(&Host) -> bool,
        is_kept: impl Fn(&Host) -> bool,
        now: Timestamp,
    ) -> Option<KeyedTable<Host, Holder>> {
        let had = before.changes(&self.holders).map(|change| change.key);
        let claims = claimed.changes(&self.claimed).map(|change| change.key);
        let mut looked_at = mem::take(&mut self.open);
        looked_at.extend(had.chain(claims).cloned());
        let mut holders = before.clone();
        for host in looked_at {
            let (had, claim) = (before.get(&host), claimed.get(&host));
            let has = next(had, claim, &host, (&is_served, &is_kept), now);
            let is_settled = has == claim.map(Holder::of);
            match has {
                Some(holder) if had != Some(&holder) => drop(holders.insert(host.clone(), holder)),
                None => drop(holders.remove(&host)),
                Some(_) => {}
            }
            if !is_settled {
                self.open.insert(host);
            }
        }
        let is_new = !holders.is_copy_of(before);
        (self.holders, self.claimed) = (holders, claimed.clone());
        is_new.then(|| self.holders.clone())
    }
}

/// Who has one host next.
fn next(
    had: Option<&Holder>,
    claimed_by: Option<&Option<String>>,
    host: &Host,
    (is_served, is_kept): (impl Fn(&Host) -> bool, impl Fn(&Host) -> bool),
    now: Timestamp,
) -> Option<Holder> {
    if let Some(project) = claimed_by {
        let is_theirs = had.is_some_and(|had| had.project == *project);
        if is_theirs || is_served(host) {
            return Some(Holder::of(project));
        }
    }
    had.filter(|had| !is_over(had, now) || is_kept(host))
        .map(|had| Holder {
            gone: had.gone.or(Some(now)),
            ..had.clone()
        })
}

/// The new holder of a host that is handed over: the oldest bearer of another project that asks for it.
pub fn released(host: &Host, snapshot: &Snapshot, rules: &LabelRules) -> Released {
    let now = claimed(host, snapshot, rules);
    let holder = snapshot.holders.get(host);
    let Some(from) = holder
        .map(|holder| holder.project.clone())
        .or_else(|| now.as_ref().map(|(project, _)| project.clone()))
    else {
        return Released::NotHeld;
    };
    let mut without = snapshot.clone();
    without.holders.remove(host);
    without
        .bearers
        .retain(|_, bearer| bearer.owner() != from.as_deref());
    match (claimed(host, &without, rules), now) {
        (Some((to, bearer)), _) => Released::HandedOver {
            from,
            to,
            container: bearer,
        },
        (None, Some((by, bearer))) => Released::StillAsked {
            by,
            container: bearer,
        },
        (None, None) => Released::Freed { from },
    }
}

/// The project that gets a host, and its oldest bearer that asks for it.
fn claimed(
    host: &Host,
    snapshot: &Snapshot,
    rules: &LabelRules,
) -> Option<(Option<String>, ContainerName)> {
    let said = Said::read(snapshot, rules);
    let held = hosts::resolve(snapshot, &said.specs, rules, &mut BTreeSet::new()).remove(host)?;
    if held.is_kept {
        return None;
    }
    let bearer = held.claims().first()?.bearer.name.clone();
    Some((held.project.map(str::to_owned), bearer))
}

#[cfg(test)]
mod tests {
    use super::{super::tests::*, *};
    use crate::{
        desire::{Desired, desire},
        observe::Bearer,
        values::Grants,
    };

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    /// A world that remembers.
    #[derive(Default)]
    struct World {
        holders: KeyedTable<Host, Holder>,
        /// Nothing is ever seen to be served.
        is_blind: bool,
    }

    impl World {
        fn snapshot(&self, containers: impl IntoIterator<Item = Bearer>) -> Snapshot {
            Snapshot {
                holders: self.holders.clone(),
                ..snapshot(containers)
            }
        }

        fn sees(
            &mut self,
            containers: impl IntoIterator<Item = Bearer>,
            now: Timestamp,
        ) -> Desired {
            self.sees_by(containers, &rules(), now)
        }

        fn sees_by(
            &mut self,
            containers: impl IntoIterator<Item = Bearer>,
            rules: &LabelRules,
            now: Timestamp,
        ) -> Desired {
            self.holders.retain(|_, holder| !is_over(holder, now));
            let desired = desire(&self.snapshot(containers), rules);
            let next = |before: &KeyedTable<_, _>, now| {
                let is_served = |_: &Host| !self.is_blind;
                HolderMemory::default().follow(before, &desired.hosts, is_served, |_| false, now)
            };
            self.holders = next(&self.holders, now).unwrap_or_else(|| self.holders.clone());
            let later = now + Duration::from_millis(500);
            assert_eq!(
                next(&self.holders, later),
                None,
                "nothing is new while nothing changes"
            );
            desired
        }
    }

    fn shop(name: &str, number: u8, project: &str) -> Bearer {
        container(name, number)
            .label("host", "shop.example")
            .project_is(project)
    }

    #[test]
    fn a_host_stays_with_its_project_for_a_week_after_its_last_container() {
        let mut world = World::default();
        world.sees([proxy(), shop("one", 4, "a")], NOW);
        let refused = world.sees([proxy(), shop("thief", 6, "b")], NOW + DAY);
        assert!(hosts(&refused).is_empty());
        assert_eq!(
            complaints(&refused),
            [
                "container thief, label quaymaster.host=\"shop.example\": shop.example belongs to the project a until 7 \
              days after the last of its containers; use another name, or hand this one over now: `docker exec quaymaster \
              /quaymaster release shop.example`; or write a table [grants] with the line `b = \"shop.example\"`, and all \
              else that is allowed: it counts alone then"
            ]
        );
        // Back within the week, by a container that is younger than the thief.
        let back = world.sees(
            [proxy(), shop("thief", 6, "b"), shop("new", 7, "a")],
            NOW + 7 * DAY,
        );
        assert_eq!(hosts(&back), ["shop.example"]);
        assert!(
            complaints(&back)[0].contains("belongs to new of another project, which had it first")
        );
        world.sees([proxy()], NOW + 8 * DAY);
        assert!(
            hosts(&world.sees(
                [proxy(), shop("thief", 6, "b")],
                NOW + 15 * DAY - Duration::from_secs(1)
            ))
            .is_empty()
        );
        assert_eq!(
            hosts(&world.sees([proxy(), shop("thief", 6, "b")], NOW + 15 * DAY)),
            ["shop.example"]
        );
    }

    #[test]
    fn containers_without_a_project_are_one() {
        let mut world = World::default();
        let run = |name, number| container(name, number).label("host", "shop.example");
        world.sees([proxy(), run("one", 4)], NOW);
        assert_eq!(
            hosts(&world.sees([proxy(), run("two", 5)], NOW + DAY)),
            ["shop.example"]
        );
        let refused = world.sees([proxy(), shop("thief", 6, "b")], NOW + DAY);
        assert!(
            complaints(&refused)[0].contains("belongs to containers of no project"),
            "{:?}",
            complaints(&refused)
        );
    }

    #[test]
    fn what_ran_with_a_name_and_was_never_served_holds_nothing() {
        let mut world = World {
            is_blind: true,
            ..World::default()
        };
        let built = container("build", 4).label("host", "shop.example");
        assert_eq!(
            hosts(&world.sees([proxy(), built], NOW)),
            ["shop.example"],
            "it may be served all the same"
        );
        world.is_blind = false;
        let served = world.sees([proxy(), shop("one", 6, "b")], NOW);
        assert_eq!((hosts(&served).len(), complaints(&served).len()), (1, 0));
        assert_eq!(
            world.holders.values().collect::<Vec<_>>(),
            [&Holder::of(&Some("b".to_owned()))]
        );
        // Who gets it from another has it when it is served, and not before.
        world.is_blind = true;
        let granted = LabelRules {
            grants: Some(Grants::parse("a = \"shop.example proxy\"").expect("a table")),
            ..rules()
        };
        let taken = world.sees_by(
            [proxy().project_is("a"), shop("two", 7, "a")],
            &granted,
            NOW,
        );
        assert_eq!(hosts(&taken), ["shop.example"]);
        let holder = world.holders.values().next().expect("b has it");
        assert_eq!(
            (holder.project.as_deref(), holder.gone),
            (Some("b"), Some(NOW))
        );
    }

    #[test]
    fn a_grant_decides_at_once_also_against_who_had_it() {
        let table = |table: &str| LabelRules {
            grants: Some(Grants::parse(table).expect("a table")),
            ..rules()
        };
        let edge = || proxy().project_is("edge");
        let mut world = World::default();
        world.sees([proxy(), shop("one", 4, "a")], NOW);
        let granted = table("edge = \"proxy\"\nb = \"shop.example\"");
        // Though the other still runs.
        let desired = world.sees_by(
            [edge(), shop("one", 4, "a"), shop("two", 6, "b")],
            &granted,
            NOW,
        );
        assert_eq!(desired.hosts.values().flatten().collect::<Vec<_>>(), ["b"]);
        assert!(
            complaints(&desired)[0].contains("the setting grants does not give it shop.example"),
            "{:?}",
            complaints(&desired)
        );
        // Of two that may have it, who has it keeps it while it is there.
        let both = table("edge = \"proxy\"\na = \"*.example\"\nb = \"shop.example\"");
        let desired = world.sees_by(
            [edge(), shop("one", 4, "a"), shop("two", 6, "b")],
            &both,
            NOW,
        );
        assert_eq!(desired.hosts.values().flatten().collect::<Vec<_>>(), ["b"]);
        let desired = world.sees_by([edge(), shop("one", 4, "a")], &both, NOW);
        assert_eq!(desired.hosts.values().flatten().collect::<Vec<_>>(), ["a"]);
    }

    #[test]
    fn a_host_is_released_to_the_oldest_of_another_project_that_asks_for_it_else_to_the_next() {
        let host = Host::parse("shop.example").expect("a host");
        let some = |project: &str| Some(project.to_owned());
        let name = |word: &str| ContainerName::parse(word).expect("a name");
        let mut world = World::default();
        let nobody = released(&host, &world.snapshot([proxy()]), &rules());
        assert_eq!(nobody, Released::NotHeld);
        world.sees([proxy(), shop("one", 4, "a")], NOW);
        let (one, two, three) = (
            || shop("one", 4, "a"),
            || shop("two", 6, "b"),
            || shop("three", 5, "c"),
        );
        let handed_over = |to: &str, container: &str| Released::HandedOver {
            from: some("a"),
            to: some(to),
            container: name(container),
        };
        for (containers, expected) in [
            (vec![], Released::Freed { from: some("a") }),
            (
                vec![one()],
                Released::StillAsked {
                    by: some("a"),
                    container: name("one"),
                },
            ),
            (vec![two()], handed_over("b", "two")),
            (vec![one(), two()], handed_over("b", "two")),
            (vec![one(), two(), three()], handed_over("c", "three")),
        ] {
            let snapshot = world.snapshot(containers.into_iter().chain([proxy()]));
            assert_eq!(released(&host, &snapshot, &rules()), expected);
        }
        // Who was not seen to be served, and is older than another, stands in its way all the same.
        let unseen = snapshot([proxy(), one(), two()]);
        assert_eq!(released(&host, &unseen, &rules()), handed_over("b", "two"));
    }
}
