//! Telling a consumer that its files are new, once it can be told.

use std::time::Duration;

use super::{Failure, proof};
use crate::{
    plan::{Deploy, Tell},
    ports::Ports,
    report::{Event, report},
    values::Timestamp,
};

/// A server that does not answer yet is left alone for this long after its start: a signal to one that is starting, or
/// to its entrypoint, ends the container or is lost.
pub(super) const SETTLED_AFTER: Duration = Duration::from_secs(3);

/// Tells the consumer in this way.
pub(super) async fn tell(ports: &Ports, deploy: &Deploy, how: &Tell) -> Result<(), Failure> {
    let (id, consumer) = (&deploy.consumer.id, deploy.consumer.name.clone());
    match how {
        Tell::Signal(signal) => {
            settle(ports, deploy).await;
            ports.engine.kill(id, *signal, deploy.consumer.way).await?;
            report(&Event::Signalled {
                consumer,
                signal: *signal,
            });
        }
        Tell::Exec(words) => {
            settle(ports, deploy).await;
            let ran = ports.engine.exec(id, words).await?;
            if ran.code != 0 {
                return Err(Failure::of_run(words, &ran));
            }
            report(&Event::Ran {
                consumer,
                words: shell_words::join(words),
            });
        }
        Tell::Restart => {
            ports.engine.restart(id).await?;
            report(&Event::Restarted { consumer });
        }
        Tell::Started | Tell::Nothing { .. } => {}
    }
    Ok(())
}

/// How long proof may take when it was told in this way: one that starts needs longer.
pub(super) fn within(deploy: &Deploy, how: &Tell) -> Duration {
    match how {
        Tell::Started | Tell::Restart => deploy.within + SETTLED_AFTER,
        Tell::Signal(_) | Tell::Exec(_) | Tell::Nothing { .. } => deploy.within,
    }
}

/// Waits until the consumer answers, or has run long enough to be past its start.
pub(super) async fn settle(ports: &Ports, deploy: &Deploy) {
    let settled = deploy
        .consumer
        .started_at
        .map(|started| started + SETTLED_AFTER);
    // A clock of the engine that is ahead of ours must not hold us up for longer than that.
    let until = settled.map_or(ports.clock.now(), |settled| {
        settled.min(ports.clock.now() + SETTLED_AFTER)
    });
    while ports.clock.now() < until {
        if !deploy.consumer.can_be_seen() {
            return wait_until(ports, until).await;
        }
        if answers(ports, deploy).await {
            return;
        }
        ports.clock.sleep(proof::LOOK_EVERY).await;
    }
}

/// Whether the consumer answers: a proxy its plain requests, any other somebody who connects.
async fn answers(ports: &Ports, deploy: &Deploy) -> bool {
    if let Some(reach) = deploy.consumer.reach() {
        let page = ports.probe.page(reach.http, &deploy.proof.mark_host, "/");
        return page.await.is_ok();
    }
    for probe in &deploy.consumer.probes.at {
        if ports.probe.listens(probe.at).await.is_ok() {
            return true;
        }
    }
    false
}

async fn wait_until(ports: &Ports, until: Timestamp) {
    ports.clock.sleep(until.since(ports.clock.now())).await;
}
