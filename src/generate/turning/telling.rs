use std::{mem, rc::Rc, time::Duration};

use super::Turning;
use crate::{
    desire::{Origin, lost_policy, signal_way},
    generate::{
        By, Telling,
        files::forget,
        known::Known,
        shown::{bears, shown},
    },
    observe::{Bearer, Detail, Way},
    ports::{DetailedEngine, EngineError},
    report::{Event, chain, report},
};

/// How long a container must have run before it is told: a signal that comes before a server listens to it ends it.
const SETTLED_AFTER: Duration = Duration::from_secs(3);

/// What a target begins with that means containers by a label; no container's name has a `=`.
const BY_LABEL: &str = "label=";

impl Turning {
    /// The containers that run and that the user means by a word.
    pub(super) fn meant(&self, target: &str) -> Vec<&Bearer> {
        let running = self
            .details
            .iter()
            .flat_map(Known::all)
            .filter(|detail| detail.container.is_running());
        let is_meant = |detail: &&Detail| match target.strip_prefix(BY_LABEL) {
            Some(label) => bears(&detail.container, label),
            None => shown(detail).is_meant_by(target),
        };
        let meant = running.filter(is_meant);
        meant.map(|detail| &detail.container).collect()
    }

    /// Everybody is to be told who runs now.
    pub(super) fn owe(&mut self) {
        let given = Rc::clone(&self.given);
        for Telling { target, by } in &given.tellings {
            let meant: Vec<_> = self
                .meant(target)
                .into_iter()
                .map(|container| (container.id.clone(), *by))
                .collect();
            if meant.is_empty() {
                report(&Event::NobodyToTell {
                    target: target.clone(),
                });
            }
            self.complain(target, *by);
            self.owed.extend(meant);
        }
    }

    /// Reports once what a signal costs those who get it.
    fn complain(&mut self, target: &str, by: By) {
        let By::Signal(signal) = by else {
            return;
        };
        let mut complaints = Vec::new();
        for container in self.meant(target) {
            let lost = lost_policy(container, self.own(), signal);
            complaints.extend(lost.map(|(problem, remedy)| {
                let text = format!("{target} {signal}");
                let said = Origin::new(&container.name, "option --signal", &text);
                said.complains(problem, remedy)
            }));
        }
        for complaint in complaints {
            if self.complaints.insert(complaint.clone()) {
                report(&Event::Complained { complaint });
            }
        }
    }

    /// Tells who is owed, as far as they can be told now; whether the engine did what it was asked.
    pub async fn tell(&mut self) -> bool {
        let mut is_well = true;
        for (id, by) in self.owed.clone() {
            let known = self.details.as_ref().and_then(|details| details.get(&id));
            // What does not run reads its files when it starts.
            let Some(container) = known
                .map(|detail| &detail.container)
                .filter(|container| container.is_running())
            else {
                self.owed.remove(&(id, by));
                continue;
            };
            let now = self.given.clock.now();
            if container
                .started_at
                .is_some_and(|at| at <= now && now.since(at) < SETTLED_AFTER)
            {
                continue;
            }
            let way = signal_way(container, self.own());
            match tell(&*self.given.engine, container, by, way).await {
                Ok(told) => {
                    report(&told);
                    self.owed.remove(&(id, by));
                }
                Err(error) => {
                    is_well = false;
                    report(&Event::NotTold {
                        consumer: container.name.clone(),
                        problem: chain(&error),
                    });
                }
            }
        }
        if self.owed.is_empty() {
            mem::take(&mut self.untold)
                .iter()
                .for_each(|target| forget(&*self.given.files, target));
        }
        is_well
    }
}

/// Tells one container.
async fn tell(
    engine: &dyn DetailedEngine,
    container: &Bearer,
    by: By,
    way: Way,
) -> Result<Event, EngineError> {
    let consumer = container.name.clone();
    match by {
        By::Signal(signal) => engine
            .kill(&container.id, signal, way)
            .await
            .map(|_| Event::Signalled { consumer, signal }),
        By::Restart => engine
            .restart(&container.id)
            .await
            .map(|()| Event::Restarted { consumer }),
    }
}
