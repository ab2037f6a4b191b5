use std::{collections::BTreeMap, rc::Rc};

use crate::{
    desire,
    observe::{Bearer, Removed, Snapshot},
    values::{ContainerId, Timestamp},
};

/// The containers that were removed, and still count for the sites that they leave behind.
#[derive(Debug, Default)]
pub(crate) struct RemovedContainers {
    all: BTreeMap<ContainerId, Removed>,
    /// True if the file on disk differs from these.
    pub is_new: bool,
}

impl RemovedContainers {
    /// Takes up those that are on record.
    pub fn of(records: Vec<Removed>) -> Self {
        Self {
            all: records
                .into_iter()
                .map(|removed| (removed.id.clone(), removed))
                .collect(),
            is_new: false,
        }
    }

    /// All of them, to be written down.
    pub fn records(&self) -> Vec<Removed> {
        self.all.values().cloned().collect()
    }

    /// A container was removed. One that never ran, or that Compose made for one command, leaves nothing behind.
    pub fn take(&mut self, gone: &Bearer, now: Timestamp) {
        if gone.started_at.is_some() && !gone.is_one_off() {
            self.all.insert(gone.id.clone(), Removed::of(gone, now));
            self.is_new = true;
        }
    }

    /// A container is there after all.
    pub fn is_back(&mut self, id: &ContainerId) {
        self.is_new |= self.all.remove(id).is_some();
    }

    /// Puts them among the others. One whose name another container bears that has run has found its successor; one
    /// that was made and has not started yet waits for its start, as Compose makes it.
    pub fn settle(&mut self, snapshot: &mut Snapshot) {
        let before = self.all.len();
        self.all.retain(|id, removed| {
            let bearer = snapshot.bearers.get(&removed.name);
            match bearer {
                Some(bearer) if bearer.id == *id && bearer.removed().is_some() => true,
                Some(bearer) if bearer.started_at.is_some() && bearer.removed().is_none() => false,
                Some(bearer) if bearer.removed().is_some_and(|at| at > removed.at) => false,
                _ => {
                    let bearer = Rc::new(removed.bearer());
                    snapshot.bearers.insert(removed.name.clone(), bearer);
                    true
                }
            }
        });
        self.is_new |= self.all.len() != before;
    }

    /// Forgets those whose time is over; says whether there are any.
    pub fn end(&mut self, snapshot: &mut Snapshot, now: Timestamp) -> bool {
        let before = self.all.len();
        self.all.retain(|id, removed| {
            let is_over = desire::is_forgotten(removed.at, now);
            let bearer = snapshot.bearers.get(&removed.name);
            if is_over && bearer.is_some_and(|bearer| bearer.id == *id) {
                snapshot.bearers.remove(&removed.name);
            }
            !is_over
        });
        let is_any = self.all.len() != before;
        self.is_new |= is_any;
        is_any
    }

    /// When the next one's time is over.
    pub fn next_end(&self) -> Option<Timestamp> {
        let ends = self
            .all
            .values()
            .map(|removed| desire::forgotten_at(removed.at));
        ends.min()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        desire::{
            Desired, SiteContent, desire,
            tests::{container, proxy, rules, snapshot},
        },
        observe::{BearerState, Holder},
        values::Host,
    };

    const START: Timestamp = Timestamp::from_seconds(1_800_000_000);

    fn at(seconds: u64) -> Timestamp {
        START + Duration::from_secs(seconds)
    }

    fn shop(name: &str, number: u8) -> Bearer {
        container(name, number).label("host", "shop.example")
    }

    /// The name was served for containers of no project.
    fn world(containers: impl IntoIterator<Item = Bearer>) -> Snapshot {
        let host = Host::parse("shop.example").expect("a host");
        Snapshot {
            holders: [(host, Holder::of(&None))].into(),
            ..snapshot(containers)
        }
    }

    fn seen(snapshot: &Snapshot) -> Desired {
        desire(snapshot, &rules())
    }

    /// Until when the site is kept, where it is; and where it leads.
    fn site(desired: &Desired) -> Option<(Option<Option<Timestamp>>, usize)> {
        let site = desired.consumers.values().next()?.sites.values().next()?;
        let SiteContent::Routes(routes) = &site.content else {
            panic!("it is no redirect");
        };
        let upstreams = routes.iter().map(|(_, route)| route.upstreams.len());
        Some((site.kept.map(|kept| kept.until), upstreams.sum()))
    }

    fn stopped(mut container: Bearer) -> Bearer {
        container.state = BearerState::Other("exited".to_owned());
        container.endpoints[0].address = None;
        container
    }

    #[test]
    fn a_site_is_kept_while_a_container_of_it_is_stopped_and_for_ten_minutes_after_it_was_removed()
    {
        let up = seen(&world([proxy(), shop("shop", 4)]));
        assert_eq!(site(&up), Some((None, 1)));
        let away = seen(&world([proxy(), stopped(shop("shop", 4))]));
        assert_eq!(site(&away), Some((Some(None), 0)));
        assert!(
            away.certificates.is_empty() && away.hosts.is_empty() && away.complaints.is_empty(),
            "nothing is obtained for it, and its project does not claim it now: {away:?}"
        );

        let (mut removed, mut snapshot) = (RemovedContainers::default(), world([proxy()]));
        removed.take(&shop("shop", 4), START);
        removed.settle(&mut snapshot);
        assert_eq!(site(&seen(&snapshot)), Some((Some(Some(at(600))), 0)));
        assert_eq!(removed.next_end(), Some(at(600)));
        // As after a restart of quaymaster.
        let mut removed = RemovedContainers::of(removed.records());
        let mut snapshot = world([proxy()]);
        removed.settle(&mut snapshot);
        assert!(!removed.end(&mut snapshot, at(599)));
        assert_eq!(site(&seen(&snapshot)), Some((Some(Some(at(600))), 0)));
        assert!(removed.end(&mut snapshot, at(600)));
        assert_eq!((site(&seen(&snapshot)), removed.next_end()), (None, None));
    }

    #[test]
    fn only_a_site_that_was_served_is_kept_and_only_for_what_ran() {
        let never = snapshot([proxy(), stopped(shop("shop", 4))]);
        assert_eq!(site(&seen(&never)), None);
        let mut made = stopped(shop("shop", 4));
        made.state = BearerState::Other("created".to_owned());
        made.started_at = None;
        assert_eq!(site(&seen(&world([proxy(), made.clone()]))), None);
        let (mut removed, mut snapshot) = (RemovedContainers::default(), world([proxy()]));
        removed.take(&made, START);
        removed.settle(&mut snapshot);
        assert_eq!((site(&seen(&snapshot)), removed.next_end()), (None, None));
    }

    #[test]
    fn a_successor_takes_the_place_of_what_was_removed_when_it_has_started() {
        let (mut removed, mut snapshot) = (RemovedContainers::default(), world([proxy()]));
        removed.take(&shop("shop", 4), START);
        removed.settle(&mut snapshot);
        // Compose gives the name to the new one before it starts it.
        let mut made = stopped(shop("shop", 5));
        made.started_at = None;
        let put = |snapshot: &mut Snapshot, container: Bearer| {
            snapshot
                .bearers
                .insert(container.name.clone(), container.into());
        };
        put(&mut snapshot, made);
        removed.settle(&mut snapshot);
        assert_eq!(site(&seen(&snapshot)), Some((Some(Some(at(600))), 0)));
        put(&mut snapshot, shop("shop", 5));
        removed.settle(&mut snapshot);
        assert_eq!(
            (site(&seen(&snapshot)), removed.next_end()),
            (Some((None, 1)), None)
        );
        assert!(!removed.end(&mut snapshot, at(600)));
        assert_eq!(site(&seen(&snapshot)), Some((None, 1)));
    }

    #[test]
    fn whoever_runs_serves_though_another_of_its_project_is_away_and_other_projects_wait() {
        let both = seen(&world([proxy(), stopped(shop("shop", 4)), shop("new", 5)]));
        assert_eq!(site(&both), Some((None, 1)));
        let stranger = || shop("thief", 6).project_is("b");
        let kept = seen(&world([proxy(), stopped(shop("shop", 4)), stranger()]));
        assert_eq!(site(&kept), Some((Some(None), 0)));
        assert!(
            kept.complaints
                .iter()
                .any(|complaint| complaint.to_string().contains("release shop.example")),
            "{:?}",
            kept.complaints
        );
        // After a week, who runs has it.
        let mut free = world([proxy(), stopped(shop("shop", 4)), stranger()]);
        let holders = free.holders.values_mut();
        holders.for_each(|holder| holder.free = true);
        assert_eq!(site(&seen(&free)), Some((None, 1)));
        assert_eq!(
            seen(&free).hosts.values().flatten().collect::<Vec<_>>(),
            ["b"]
        );
    }

    #[test]
    fn a_path_whose_container_is_away_is_nobody_elses() {
        let api = || shop("api", 5).label("path", "/api");
        let routes = |snapshot: &Snapshot| {
            let desired = seen(snapshot);
            let site = desired
                .consumers
                .values()
                .next()
                .expect("the proxy")
                .sites
                .values()
                .next();
            let SiteContent::Routes(routes) = &site.expect("the site").content else {
                panic!("it is no redirect");
            };
            let routes = routes.iter();
            routes
                .map(|(path, route)| (path.to_string(), route.upstreams.len()))
                .collect::<Vec<_>>()
        };
        let [root, below] = ["/", "/api"].map(str::to_owned);
        let away = world([proxy(), shop("shop", 4), stopped(api())]);
        assert_eq!(routes(&away), [(root, 1), (below, 0)]);
    }
}
