//! Which project has which host, remembered longer than its containers live: whoever restarts a stack finds its names
//! as they were, and nobody takes one over in the minute between.

use std::{collections::BTreeMap, time::Duration};

use itertools::{EitherOrBoth, Itertools};

use crate::{
    observe::Holder,
    values::{Host, Timestamp},
};

/// For how long a host stays with a project whose last container for it is gone.
pub(super) const KEPT_FOR: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Whether somebody else may have the host.
pub fn is_over(holder: &Holder, now: Timestamp) -> bool {
    holder.gone.is_some_and(|gone| gone + KEPT_FOR <= now)
}

/// Who has which host at `now`, after who had them and who is served now; nothing while that is the same as before.
pub fn holders(
    before: &BTreeMap<Host, Holder>,
    served: &BTreeMap<Host, Option<String>>,
    now: Timestamp,
) -> Option<BTreeMap<Host, Holder>> {
    let pairs = before
        .iter()
        .merge_join_by(served, |(before, _), (served, _)| before.cmp(served));
    let is_new = |pair: EitherOrBoth<(&Host, &Holder), (&Host, &Option<String>)>| match pair {
        EitherOrBoth::Both((_, holder), (_, project)) => *holder != Holder::of(project),
        EitherOrBoth::Left((_, holder)) => holder.gone.is_none() || is_over(holder, now),
        EitherOrBoth::Right(_) => true,
    };
    if !pairs.into_iter().any(is_new) {
        return None;
    }
    let gone = before
        .iter()
        .filter(|(host, holder)| !served.contains_key(*host) && !is_over(holder, now));
    let gone = gone.map(|(host, holder)| {
        (
            host,
            Holder {
                gone: holder.gone.or(Some(now)),
                ..holder.clone()
            },
        )
    });
    let there = served
        .iter()
        .map(|(host, project)| (host, Holder::of(project)));
    Some(
        gone.chain(there)
            .map(|(host, holder)| (host.clone(), holder))
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use std::mem;

    use super::{super::tests::*, *};
    use crate::{
        desire::{Desired, desire},
        observe::{Container, Snapshot},
    };

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    /// A world that remembers.
    #[derive(Default)]
    struct World {
        holders: BTreeMap<Host, Holder>,
    }

    impl World {
        fn sees(
            &mut self,
            containers: impl IntoIterator<Item = Container>,
            now: Timestamp,
        ) -> Desired {
            self.holders.retain(|_, holder| !is_over(holder, now));
            let snapshot = Snapshot {
                holders: self.holders.clone().into(),
                ..snapshot(containers)
            };
            let desired = desire(&snapshot, &rules());
            self.holders =
                holders(&self.holders, &desired.hosts, now).unwrap_or(mem::take(&mut self.holders));
            let later = now + Duration::from_millis(500);
            assert_eq!(
                holders(&self.holders, &desired.hosts, later),
                None,
                "nothing is new while nothing changes"
            );
            desired
        }
    }

    fn shop(name: &str, number: u8, project: &str) -> Container {
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
              days after the last of its containers; use another name, or wait"
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
}
