use std::{rc::Rc, time::Duration};

use super::Turning;
use crate::{
    desire::{Origin, lost_policy, signal_way},
    generate::{
        By, Telling,
        known::Known,
        shown::{bears, shown},
    },
    observe::{Bearer, Detail, Way},
    plan::run_failed,
    ports::{DetailedEngine, EngineError},
    report::{Event, chain, report},
    values::ContainerName,
};

/// Time that a container must have run before it is signalled: a signal that comes before a server listens to it ends
/// it.
const SETTLED_AFTER: Duration = Duration::from_secs(3);

/// The beginning of a target that means containers by a label; no container's name has a `=`.
const BY_LABEL: &str = "label=";

impl Turning {
    /// The containers that run and that the user means by a word.
    pub(super) fn meant(&self, target: &str) -> Vec<&Bearer> {
        let all = self.meant_at_all(target).into_iter();
        all.filter(|container| container.is_running()).collect()
    }

    /// The same, running or not.
    pub(super) fn meant_at_all(&self, target: &str) -> Vec<&Bearer> {
        if self.given.output.is_some() {
            return self.consumers(target);
        }
        let is_meant = |detail: &&Detail| match target.strip_prefix(BY_LABEL) {
            Some(label) => bears(&detail.container, label),
            None => shown(detail).is_meant_by(target),
        };
        let meant = self.details.iter().flat_map(Known::all).filter(is_meant);
        meant.map(|detail| &detail.container).collect()
    }

    /// Notes that all containers that run now have to be notified.
    pub(super) fn owe(&mut self) {
        let given = Rc::clone(&self.given);
        if given.output.is_some() {
            self.complaints.clear();
        }
        for Telling { target, by } in &given.tellings {
            let meant: Vec<_> = self
                .meant(target)
                .into_iter()
                .map(|container| (container.id.clone(), by.clone()))
                .collect();
            if meant.is_empty() {
                report(&Event::NobodyToTell {
                    target: target.clone(),
                });
            }
            self.complain(target, by);
            self.owed.extend(meant);
        }
    }

    /// Reports once what a signal costs those who get it.
    fn complain(&mut self, target: &str, by: &By) {
        let By::Signal(signal) = *by else {
            return;
        };
        let mut complaints = Vec::new();
        for container in self.meant(target) {
            let lost = lost_policy(container, self.own(), signal);
            complaints.extend(lost.map(|(problem, remedy)| {
                let said = match &self.given.output {
                    Some(output) => {
                        let label = format!("outputs.{}.reload", output.name);
                        let settings = ContainerName::of_settings();
                        Origin::new(&settings, &label, &signal.to_string())
                    }
                    None => {
                        let text = format!("{target} {signal}");
                        Origin::new(&container.name, "option --signal", &text)
                    }
                };
                said.complains(problem, remedy)
            }));
        }
        for complaint in complaints {
            if self.complaints.insert(complaint.clone()) && self.given.output.is_none() {
                report(&Event::Complained { complaint });
            }
        }
    }

    /// Notifies the containers, as far as that is possible now; returns true if the engine did what it was asked.
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
            let (name, started_at) = (container.name.clone(), container.started_at);
            match tell(&*self.given.engine, container, &by, way).await {
                Ok(told) => {
                    report(&told);
                    self.note_told(&id, started_at, &by);
                    self.owed.remove(&(id, by));
                }
                Err(NotTold::ByEngine(error)) => {
                    is_well = false;
                    report(&Event::NotTold {
                        consumer: name,
                        problem: chain(&error),
                    });
                }
                Err(NotTold::ByWords(problem)) => {
                    self.take_back_untold(&name, problem);
                    return false;
                }
            }
        }
        if self.owed.is_empty() {
            self.all_told();
        }
        is_well
    }
}

/// The reason why a container could not be notified.
enum NotTold {
    /// The engine did not do it.
    ByEngine(EngineError),
    /// The words that were run in it failed, in words.
    ByWords(String),
}

impl From<EngineError> for NotTold {
    fn from(error: EngineError) -> Self {
        Self::ByEngine(error)
    }
}

/// Tells one container.
async fn tell(
    engine: &dyn DetailedEngine,
    container: &Bearer,
    by: &By,
    way: Way,
) -> Result<Event, NotTold> {
    let consumer = container.name.clone();
    match by {
        By::Signal(signal) => {
            engine.kill(&container.id, *signal, way).await?;
            Ok(Event::Signalled {
                consumer,
                signal: *signal,
            })
        }
        By::Exec(words) => {
            let ran = engine.exec(&container.id, words).await?;
            match ran.code {
                0 => Ok(Event::Ran {
                    consumer,
                    words: shell_words::join(words),
                }),
                code => Err(NotTold::ByWords(run_failed(words, code, &ran.output))),
            }
        }
        By::Restart => {
            engine.restart(&container.id).await?;
            Ok(Event::Restarted { consumer })
        }
    }
}
