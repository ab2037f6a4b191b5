use std::{net::SocketAddr, time::Duration};

use super::Failure;
use crate::{
    desire::CertificateFolder,
    observe::{Installed, Progress},
    plan::{Deploy, HTTP_PORT, HTTPS_PORT},
    ports::{Ports, ProbeError},
    report::{Event, chain, report},
    values::Timestamp,
};

/// A server that does not answer yet is left alone for this long after its start: a signal to one that is starting, or
/// to its entrypoint, ends the container or is lost.
const SETTLED_AFTER: Duration = Duration::from_secs(3);

/// How long a reload may take before it counts as not followed. nginx takes some 2.5 s for 1,000 TLS sites on two
/// cores; meanwhile this consumer gets nothing newer.
const PROOF_WITHIN: Duration = Duration::from_secs(10);

/// For how long nothing but the new generation must be seen: nginx lets old workers accept for 100 ms after it has
/// started new ones (seen: up to 185 ms). A challenge that the CA asks of an old one would fail.
const STEADY_FOR: Duration = Duration::from_millis(300);

/// The pause between looks while waiting for proof; a reload takes 40 ms where there is little to load.
const LOOK_EVERY: Duration = Duration::from_millis(25);

/// Brings a consumer's files up to date, tells it, and looks whether it took them up. The record says that a signal is
/// owed before anything changes, so that a crash at any step leaves the truth.
pub(super) async fn deploy(ports: &Ports, deploy: &Deploy) -> Result<Installed, Failure> {
    let mut installed = deploy.after.clone();
    ports.disk.keep_installed(&deploy.consumer.name, &installed)?;
    install(ports, deploy)?;
    if !deploy.consumer.running {
        return Ok(installed);
    }
    if installed.progress == Progress::SignalOwed {
        settle(ports, deploy).await;
        ports.engine.kill(&deploy.consumer.id, deploy.consumer.kind.reload).await?;
        installed.progress = Progress::Signalled;
        ports.disk.keep_installed(&deploy.consumer.name, &installed)?;
        let (consumer, signal) = (deploy.consumer.name.clone(), deploy.consumer.kind.reload);
        report(&Event::Signalled { consumer, signal });
    }
    installed.progress = prove(ports, deploy).await;
    ports.disk.keep_installed(&deploy.consumer.name, &installed)?;
    Ok(installed)
}

/// Certificates before the files that name them.
fn install(ports: &Ports, deploy: &Deploy) -> Result<(), Failure> {
    if let CertificateFolder::Delivered(folder) = &deploy.consumer.certificates {
        for (name, digest) in &deploy.deliver {
            ports.disk.deliver(&folder.ours, name, *digest)?;
        }
    }
    Ok(ports.disk.install(&deploy.consumer.config.ours, &deploy.write, &deploy.remove)?)
}

/// Waits until the consumer answers, or has run long enough to be past its start.
async fn settle(ports: &Ports, deploy: &Deploy) {
    let settled = deploy.consumer.started_at.map(|started| started + SETTLED_AFTER);
    // A clock of the engine that is ahead of ours must not hold us up for longer than that.
    let until = settled.map_or(ports.clock.now(), |settled| settled.min(ports.clock.now() + SETTLED_AFTER));
    while ports.clock.now() < until {
        let Some(address) = deploy.consumer.address else { return wait_until(ports, until).await };
        let http = SocketAddr::new(address, HTTP_PORT);
        if ports.probe.page(http, &deploy.proof.mark_host, "/").await.is_ok() {
            return;
        }
        ports.clock.sleep(LOOK_EVERY).await;
    }
}

async fn wait_until(ports: &Ports, until: Timestamp) {
    ports.clock.sleep(until.since(ports.clock.now())).await;
}

/// Looks, again and again on new connections, until everything new is seen or the time is over. Old workers go on
/// accepting for a moment after the first new one has answered: the new mark has to be all that is seen for a while.
async fn prove(ports: &Ports, deploy: &Deploy) -> Progress {
    let consumer = deploy.consumer.name.clone();
    let until = ports.clock.now() + PROOF_WITHIN;
    let mut steady_since = None;
    loop {
        let seen = look(ports, deploy, &mut steady_since).await;
        let at = ports.clock.now();
        match seen {
            Ok(()) => {
                report(&Event::Proven { consumer, generation: deploy.after.generation });
                return Progress::Proven { at };
            }
            Err(Unseen::For(_)) if at < until => ports.clock.sleep(LOOK_EVERY).await,
            Err(Unseen::For(reason) | Unseen::Ever(reason)) => {
                report(&Event::Unproven { consumer, reason: reason.clone() });
                return Progress::Unproven { reason };
            }
        }
    }
}

/// What was not seen, and whether another look may see it.
enum Unseen {
    For(String),
    Ever(String),
}

async fn look(ports: &Ports, deploy: &Deploy, steady_since: &mut Option<Timestamp>) -> Result<(), Unseen> {
    let Some(address) = deploy.consumer.address else {
        let consumer = &deploy.consumer.name;
        return Err(Unseen::Ever(format!("put quaymaster and {consumer} on one network, so that it can look")));
    };
    let mark = look_for_mark(ports, deploy, SocketAddr::new(address, HTTP_PORT)).await;
    let now = ports.clock.now();
    match (mark, *steady_since) {
        (Err(unseen), _) => {
            *steady_since = None;
            return Err(unseen);
        }
        (Ok(()), Some(since)) if now.since(since) >= STEADY_FOR => {}
        (Ok(()), since) => {
            *steady_since = since.or(Some(now));
            return Err(Unseen::For("the new configuration was seen, but not for long enough".to_owned()));
        }
    }
    let https = SocketAddr::new(address, HTTPS_PORT);
    for (host, serial) in &deploy.proof.serials {
        let served = ports.probe.certificate(https, host).await.map_err(unseen)?;
        if served.serial != *serial {
            let other = served.serial;
            return Err(Unseen::For(format!("{https} serves the certificate {other} for {host}, not {serial}")));
        }
    }
    Ok(())
}

async fn look_for_mark(ports: &Ports, deploy: &Deploy, http: SocketAddr) -> Result<(), Unseen> {
    let page = ports.probe.page(http, &deploy.proof.mark_host, "/").await.map_err(unseen)?;
    match page.status == 200 && page.body.trim() == deploy.proof.mark.to_string() {
        true => Ok(()),
        false => Err(Unseen::For(format!(
            "{http} still serves an older configuration; the server refuses the new one or does not get the signal. \
             Its own log says which"
        ))),
    }
}

fn unseen(error: ProbeError) -> Unseen {
    Unseen::For(chain(&error))
}
