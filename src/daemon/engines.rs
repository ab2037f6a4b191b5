//! The engines: how each is followed, and what is known of those that have a name while they are away, and over a restart.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    time::Duration,
};

use async_trait::async_trait;
use futures_util::future;
use tokio::sync::mpsc::UnboundedSender;

use super::{Daemon, Loop};
use crate::{
    observe::{Bearer, EngineEvent, Snapshot},
    ports::{Clock, DiskError, Engine, EngineError, Records, Remark},
    report::{EngineReport, Event, chain, report},
    values::{ContainerId, ContainerName, EngineName, KeyedTable},
    watching::{self, EngineUpdate, Watched},
};

/// The engines that have a name. What one of them said counts until it says something else: its containers run on while it
/// is out of reach, and quaymaster may have been started anew meanwhile.
#[derive(Debug, Default)]
pub(super) struct Engines {
    /// Those that were not listed since the start.
    unseen: BTreeSet<EngineName>,
    /// Those that are out of reach, and why.
    lost: BTreeMap<EngineName, String>,
    /// All bearers as they were when those elsewhere were written down last.
    kept: KeyedTable<ContainerName, Rc<Bearer>>,
}

impl Engines {
    /// The engines of the settings, and the bearers among `known` that are on any of these.
    pub fn of<'n>(
        names: impl Iterator<Item = &'n EngineName>,
        known: Vec<Bearer>,
    ) -> (Self, KeyedTable<ContainerName, Rc<Bearer>>) {
        let unseen: BTreeSet<_> = names.cloned().collect();
        let is_followed =
            |bearer: &Bearer| bearer.engine().is_some_and(|name| unseen.contains(name));
        let known = known.into_iter().filter(is_followed);
        let bearers: KeyedTable<_, _> = known
            .map(|bearer| (bearer.name.clone(), Rc::new(bearer)))
            .collect();
        let engines = Self {
            unseen,
            lost: BTreeMap::new(),
            kept: bearers.clone(),
        };
        (engines, bearers)
    }

    /// Takes over that one was listed.
    pub fn is_seen(&mut self, engine: &EngineName) {
        self.unseen.remove(engine);
        self.lost.remove(engine);
    }

    /// Takes over that one can't be asked.
    pub fn is_lost(&mut self, engine: EngineName, problem: String) {
        self.lost.insert(engine, problem);
    }

    /// Those that are out of reach, and why.
    pub fn lost(&self) -> &BTreeMap<EngineName, String> {
        &self.lost
    }

    /// True if what any of them asks for may have changed without our knowledge.
    pub fn are_any_unknown(&self) -> bool {
        !self.unseen.is_empty() || !self.lost.is_empty()
    }

    /// Writes down the bearers on these engines, when they have changed.
    pub fn keep(
        &mut self,
        snapshot: &Snapshot,
        records: &dyn Records,
    ) -> Option<Result<(), DiskError>> {
        if self.kept.is_copy_of(&snapshot.bearers) {
            return None;
        }
        let is_elsewhere =
            |bearer: Option<&Rc<Bearer>>| bearer.is_some_and(|bearer| bearer.elsewhere.is_some());
        let mut changes = snapshot.bearers.changes(&self.kept);
        if !changes.any(|change| is_elsewhere(change.before) || is_elsewhere(change.now)) {
            drop(changes);
            self.kept = snapshot.bearers.clone();
            return None;
        }
        drop(changes);
        let bearers = snapshot.bearers.values().map(|bearer| &**bearer);
        let bearers: Vec<_> = bearers
            .filter(|bearer| bearer.elsewhere.is_some() && bearer.removed().is_none())
            .collect();
        let kept = records.keep_elsewhere(&bearers);
        if kept.is_ok() {
            self.kept = snapshot.bearers.clone();
        }
        Some(kept)
    }
}

/// One of the engines of a daemon, as it is followed.
pub(crate) struct FollowedEngine {
    pub daemon: Rc<Daemon>,
    /// Its name, where it has one.
    pub engine: Option<EngineName>,
}

#[async_trait(?Send)]
impl Watched for FollowedEngine {
    type Fact = Bearer;

    fn engine(&self) -> &dyn Engine {
        let ports = &self.daemon.ports;
        let other = self
            .engine
            .as_ref()
            .and_then(|name| ports.other_engines.get(name));
        &**other.unwrap_or(&ports.engine)
    }

    fn name(&self) -> Option<&EngineName> {
        self.engine.as_ref()
    }

    fn clock(&self) -> &dyn Clock {
        &*self.daemon.ports.clock
    }

    fn id(fact: &Bearer) -> &ContainerId {
        &fact.id
    }

    fn joins(fact: &Bearer) -> Option<&ContainerId> {
        fact.joins.as_ref().map(|joins| &joins.id)
    }

    fn concerns_us(&self, event: &EngineEvent, known: &BTreeSet<ContainerId>) -> bool {
        let interest = self.daemon.interest();
        known.contains(&event.container) || interest.may_be_in(event.labels.keys())
    }

    async fn look(&self) -> Result<(Vec<Bearer>, Option<Bearer>), EngineError> {
        match self.engine {
            None => self.daemon.look().await,
            Some(_) => Ok((self.engine().bearers(&self.daemon.interest()).await?, None)),
        }
    }

    async fn inspect(&self, container: &ContainerId) -> Result<Option<Bearer>, EngineError> {
        let interest = self.daemon.interest();
        self.engine().bearer(container.as_str(), &interest).await
    }
}

impl Loop {
    /// Follows all engines, each by itself, for ever.
    pub(super) fn follow_engines(
        &self,
        seen: &UnboundedSender<EngineUpdate>,
    ) -> impl Future<Output = Vec<()>> + use<> {
        let mut each = Vec::new();
        for (engine, look_again) in &self.look_again {
            let watched = FollowedEngine {
                daemon: Rc::clone(&self.daemon),
                engine: engine.clone(),
            };
            let look_again = Rc::clone(look_again);
            each.push(watching::watch(Rc::new(watched), look_again, seen.clone()));
        }
        future::join_all(each)
    }

    /// Looks once at the engines that have a name.
    pub(super) async fn look_elsewhere(&mut self) {
        for (engine, looked) in self.daemon.look_elsewhere().await {
            self.take(match looked {
                Ok(containers) => EngineUpdate::All {
                    engine: Some(engine),
                    containers,
                    own: None,
                    gap: false,
                },
                Err(error) => EngineUpdate::Lost {
                    engine: Some(engine),
                    error,
                    again_in: Duration::ZERO,
                },
            });
        }
    }

    /// Has everything looked at again.
    pub(super) fn look_at_all_again(&self) {
        self.look_again.values().for_each(|each| each.notify_one());
    }

    /// Takes over what the engine says.
    pub(super) fn take(&mut self, seen: EngineUpdate) {
        match seen {
            EngineUpdate::All {
                engine,
                containers,
                own,
                gap,
            } => {
                report(&Event::Engine(EngineReport::Seen {
                    engine: engine.clone(),
                    containers: containers.len(),
                }));
                let now = self.daemon.ports.clock.now();
                self.tally.borrow_mut().note_engine(engine.as_ref(), None);
                let list = (engine.as_ref(), containers);
                self.facts.replace(list, own, gap, now);
                self.facts.look_at_disk(&self.daemon.ports);
                self.templates.look();
                self.facts.looked = now;
                self.looks += 1;
                self.tell_exposed();
                self.forget_plan();
            }
            EngineUpdate::One {
                id,
                container,
                action,
            } => {
                let now = self.daemon.ports.clock.now();
                if self.facts.refresh(&id, container, action, now) {
                    self.forget_plan();
                }
            }
            EngineUpdate::Unreadable(error) => report(&Event::Met(Remark::ContainerLeftOut {
                problem: chain(&error),
            })),
            EngineUpdate::Lost {
                engine,
                error,
                again_in,
            } => {
                let problem = chain(&error);
                let noted = Some(problem.clone());
                self.tally.borrow_mut().note_engine(engine.as_ref(), noted);
                if let Some(engine) = engine.clone() {
                    self.facts.elsewhere.is_lost(engine, problem.clone());
                    self.rests_until = None;
                }
                report(&Event::Engine(EngineReport::Lost {
                    engine,
                    problem,
                    again_in,
                }));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{adapters::disk::Folders, fixtures::container};

    fn named(word: &str) -> EngineName {
        EngineName::parse(word).expect("a name")
    }

    fn with(snapshot: &mut Snapshot, bearer: Bearer) {
        snapshot
            .bearers
            .insert(bearer.name.clone(), Rc::new(bearer));
    }

    #[test]
    fn what_an_engine_said_last_is_known_after_a_restart_as_long_as_it_has_a_table() {
        let place = tempfile::tempdir().expect("a folder");
        let records = Folders::new(place.path().join("c"), place.path().join("s"), |_| ());
        let names = [named("blue"), named("green")];
        let mut snapshot = Snapshot::default();
        let (mut engines, none) = Engines::of(names.iter(), Vec::new());
        assert!(none.is_empty() && engines.are_any_unknown());
        // What is here alone is found anew after each start.
        with(&mut snapshot, container("here", 3));
        assert!(engines.keep(&snapshot, &records).is_none());
        let web = container("web", 4).on(&names[0], Some([10, 0, 0, 9].into()));
        let mut waits = web.clone();
        waits.waits = Some(crate::observe::Wait {
            until: None,
            restarts: 1,
            returns: 1,
        });
        with(&mut snapshot, waits);
        with(&mut snapshot, container("web", 5).on(&names[1], None));
        assert!(
            engines
                .keep(&snapshot, &records)
                .is_some_and(|kept| kept.is_ok())
        );
        assert!(engines.keep(&snapshot, &records).is_none(), "it is kept");

        let known = records.elsewhere().expect("it is read");
        let (mut engines, found) = Engines::of(names[..1].iter(), known);
        let found: Vec<_> = found.values().map(|bearer| Bearer::clone(bearer)).collect();
        assert_eq!(found, [web], "green has no table any more");
        engines.is_lost(named("blue"), "it is silent".to_owned());
        engines.is_seen(&names[0]);
        assert!(!engines.are_any_unknown() && engines.lost().is_empty());
        engines.is_lost(named("blue"), "it is silent".to_owned());
        assert!(engines.are_any_unknown());
    }
}
