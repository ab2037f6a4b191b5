//! The proof of an output: notified containers are seen running with it for a while, or the earlier text comes back.

use std::{collections::BTreeSet, mem, time::Duration};

use tokio::time::Instant;

use super::{TakenBack, Turning};
use crate::{
    generate::{By, files::forget},
    observe::SharedPath,
    report::{Event, chain, report},
    values::{ContainerId, ContainerName, Timestamp},
};

/// Time for which a notified container is looked at: a server that can't live with a file ends within a second or two
/// of reading it.
const PROVEN_AFTER: Duration = Duration::from_secs(3);

/// The containers that were notified of new files, and these files.
pub(super) struct OnProof {
    told: Vec<Told>,
    /// The files, beside which what was there before is kept.
    pub targets: BTreeSet<SharedPath>,
    /// Time of the look that they run; none as long as a container is still to be notified.
    until: Option<Instant>,
}

/// A notified container.
struct Told {
    id: ContainerId,
    /// When it had started, as it was seen last.
    started_at: Option<Timestamp>,
    /// True if a start was the notification.
    by_start: bool,
    /// True if it was seen to have started since, so that it is looked at twice: it may end again and again.
    has_started: bool,
}

impl Turning {
    /// Time of the look that notified containers run.
    pub(super) fn proof_at(&self) -> Option<Instant> {
        self.on_proof.as_ref()?.until
    }

    /// Notes a notified container.
    pub(super) fn note_told(&mut self, id: &ContainerId, started_at: Option<Timestamp>, by: &By) {
        if self.given.output.is_none() {
            return;
        }
        let told = Told {
            id: id.clone(),
            started_at: started_at.filter(|_| *by != By::Restart),
            by_start: *by == By::Restart,
            has_started: false,
        };
        let on_proof = self.on_proof.get_or_insert_with(|| OnProof {
            told: Vec::new(),
            targets: BTreeSet::new(),
            until: None,
        });
        on_proof.told.retain(|other| other.id != told.id);
        on_proof.told.push(told);
        on_proof.until = None;
    }

    /// Ends the notifications. The earlier text is forgotten, at once or when the notified containers have been seen.
    pub(super) fn all_told(&mut self) {
        let targets = mem::take(&mut self.untold);
        match &mut self.on_proof {
            Some(on_proof) => {
                on_proof.targets.extend(targets);
                on_proof
                    .until
                    .get_or_insert_with(|| Instant::now() + PROVEN_AFTER);
            }
            None => targets
                .iter()
                .for_each(|target| forget(&*self.given.targets, target)),
        }
    }

    /// Checks that notified containers run.
    pub(super) async fn prove(&mut self) {
        let Some(mut on_proof) = self.on_proof.take() else {
            return;
        };
        self.ended = None;
        let mut is_to_be_seen_again = false;
        for told in &mut on_proof.told {
            // Where the engine does not tell, nothing speaks against the files; one that is gone says nothing.
            let Ok(Some(now)) = self.given.engine.inspect(told.id.as_str()).await else {
                continue;
            };
            let has_started =
                now.started_at != told.started_at || told.by_start && !told.has_started;
            if !now.is_running() || has_started && told.has_started {
                let problem = match now.is_running() {
                    true => "since it was reloaded with the new file it ends again and again",
                    false => "it ended when it was reloaded with the new file, and does not run",
                };
                self.untold.extend(on_proof.targets);
                return self.take_back_untold(&now.name, problem.to_owned());
            }
            if has_started {
                (told.has_started, told.started_at) = (true, now.started_at);
                is_to_be_seen_again = true;
            }
            if told.has_started && !told.by_start {
                self.ended = Some(format!(
                    "{} ended when it was reloaded, and read the new file when it was started again; if every signal \
                     ends it, write reload = \"restart\"",
                    now.name
                ));
            }
        }
        if is_to_be_seen_again {
            on_proof.until = Some(Instant::now() + PROVEN_AFTER);
            self.on_proof = Some(on_proof);
            return;
        }
        let kept = on_proof.targets.difference(&self.untold);
        kept.for_each(|target| forget(&*self.given.targets, target));
    }

    /// The same, waited for.
    pub async fn prove_at_last(&mut self) {
        while let Some(at) = self.proof_at() {
            let rest = at.saturating_duration_since(Instant::now());
            self.given.clock.sleep(rest).await;
            self.prove().await;
        }
    }

    /// Takes back files that a notified container can't live with: the earlier ones return.
    pub(super) fn take_back_untold(&mut self, consumer: &ContainerName, problem: String) {
        let on_proof = self.on_proof.take().into_iter();
        let mut targets = mem::take(&mut self.untold);
        targets.extend(on_proof.flat_map(|it| it.targets));
        for target in &targets {
            match self.given.targets.put_back(target) {
                Ok(_) => forget(&*self.given.targets, target),
                Err(error) => report(&Event::DiskFault {
                    problem: format!("the previous file could not be restored: {}", chain(&error)),
                }),
            }
        }
        self.owed.clear();
        let told = format!("{consumer}: {problem}; `docker logs {consumer}` says more");
        report(&Event::TakenBack {
            consumer: consumer.clone(),
            reason: problem,
            is_optional: false,
        });
        if let Some(files) = self.accepted {
            self.taken_back = Some(TakenBack {
                asked: files,
                is_of_files: true,
                again: None,
                problem: told,
            });
        }
    }
}
