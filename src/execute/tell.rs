//! The reload of a consumer whose files are new, once it can be reloaded.

use std::time::Duration;

use super::{Failure, proof};
use crate::{
    desire::Consumer,
    plan::{Deploy, Tell},
    ports::Ports,
    report::{Event, report},
    values::Timestamp,
};

/// A server that does not answer yet is left alone for this long after its start: a signal to one that is starting, or
/// to its entrypoint, ends the container or is lost.
pub(super) const SETTLED_AFTER: Duration = Duration::from_secs(3);

/// The consumer to reload.
#[derive(Clone, Copy)]
pub(super) struct Addressee<'a> {
    consumer: &'a Consumer,
    /// The host name under which it shows its mark; empty where it shows none.
    mark_host: &'a str,
}

impl<'a> Addressee<'a> {
    /// The consumer of a deployment.
    pub fn of(deploy: &'a Deploy) -> Self {
        Self {
            consumer: &deploy.consumer,
            mark_host: &deploy.proof.mark_host,
        }
    }

    /// One that is no proxy.
    pub fn helper(consumer: &'a Consumer) -> Self {
        Self {
            consumer,
            mark_host: "",
        }
    }
}

/// Tells the consumer in this way.
pub(super) async fn tell(ports: &Ports, whom: Addressee<'_>, how: &Tell) -> Result<(), Failure> {
    let (id, consumer) = (&whom.consumer.id, whom.consumer.name.clone());
    let engine = ports.engine_of(&consumer)?;
    match how {
        Tell::Signal(signal) => {
            settle(ports, whom).await;
            engine.kill(id, *signal, whom.consumer.way).await?;
            report(&Event::Signalled {
                consumer,
                signal: *signal,
            });
        }
        Tell::Exec(words) => {
            settle(ports, whom).await;
            let ran = engine.exec(id, words).await?;
            if ran.code != 0 {
                return Err(Failure::of_run(words, &ran));
            }
            report(&Event::Ran {
                consumer,
                words: shell_words::join(words),
            });
        }
        Tell::Restart => {
            engine.restart(id).await?;
            report(&Event::Restarted { consumer });
        }
        Tell::Started | Tell::Nothing { .. } => {}
    }
    Ok(())
}

/// Time that the proof may take after this way of reloading: a server that starts needs longer.
pub(super) fn within(deploy: &Deploy, how: &Tell) -> Duration {
    match how {
        Tell::Started | Tell::Restart => deploy.within + SETTLED_AFTER,
        Tell::Signal(_) | Tell::Exec(_) | Tell::Nothing { .. } => deploy.within,
    }
}

/// Waits until the consumer answers, or has run long enough to be past its start.
pub(super) async fn settle(ports: &Ports, whom: Addressee<'_>) {
    let settled = whom
        .consumer
        .started_at
        .map(|started| started + SETTLED_AFTER);
    // A clock of the engine that is ahead of ours must not hold us up for longer than that.
    let until = settled.map_or(ports.clock.now(), |settled| {
        settled.min(ports.clock.now() + SETTLED_AFTER)
    });
    while ports.clock.now() < until {
        if !whom.consumer.can_be_seen() {
            return wait_until(ports, until).await;
        }
        if answers(ports, whom).await {
            return;
        }
        ports.clock.sleep(proof::LOOK_EVERY).await;
    }
}

/// True if the consumer answers: a proxy its plain requests, any other a connection.
async fn answers(ports: &Ports, whom: Addressee<'_>) -> bool {
    if let Some(reach) = whom.consumer.reach() {
        let page = ports.probe.page(reach.http, whom.mark_host, "/");
        return page.await.is_ok();
    }
    for probe in &whom.consumer.probes.at {
        if ports.probe.listens(probe.at).await.is_ok() {
            return true;
        }
    }
    false
}

async fn wait_until(ports: &Ports, until: Timestamp) {
    ports.clock.sleep(until.since(ports.clock.now())).await;
}
