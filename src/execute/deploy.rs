use std::{collections::BTreeSet, rc::Rc, time::Duration};

use super::{
    Failure, gate, proof,
    tell::{tell, within},
};
use crate::{
    desire::{CertificateFolder, Consumer},
    observe::{Installed, Progress, RefusedTemplates, Sent, Units},
    plan::{Deploy, TakeBack, Tell},
    ports::{Change, ConsumerPlace, Ports},
    report::{Event, chain, report},
    values::{CertificateName, Timestamp},
};

/// A take-back that took more than this share of the time that the deployment had may only have been slow: it blames
/// nobody.
const CONCLUSIVE_SHARE: u32 = 2;

/// A reload that takes longer than this may not come at all.
const LATE: Duration = Duration::from_millis(500);

/// Stages what is new, puts it in place, has it checked where that is asked for, tells the consumer, and looks whether it took it up; if not, brings back what
/// was there before. The record and the journal are on the disk before anything changes, so that a crash at any step
/// leaves the truth.
pub(super) async fn deploy(ports: &Ports, deploy: &mut Deploy) -> Result<Installed, Failure> {
    put(ports, deploy).await?;
    let deploy = &*deploy;
    if !deploy.consumer.running {
        return Ok(deploy.after.clone());
    }
    if let Some(check) = &deploy.check
        && let Some(refused) = super::check::check(ports, deploy, check).await?
    {
        return Ok(refused);
    }
    match &deploy.tell {
        Tell::Nothing { reason } => {
            let unproven = Progress::Unproven {
                reason: reason.clone(),
            };
            return keep(
                ports,
                deploy,
                Installed {
                    progress: unproven,
                    ..deploy.after.clone()
                },
            );
        }
        how => match tell(ports, deploy, how).await {
            Err(Failure::Run { problem }) if deploy.after.open => {
                return take_back(ports, deploy, problem, true).await;
            }
            told => told?,
        },
    }
    let proven = proof::prove(
        ports,
        &deploy.consumer,
        &deploy.proof,
        within(deploy, &deploy.tell),
    );
    let (proven, are_shut) = shut_if_late(ports, deploy, proven).await;
    match proven {
        Ok(seen) => accepted(ports, deploy, seen, are_shut).await,
        Err(proof::Unseen::Ever { reason }) => keep(ports, deploy, unproven(deploy, reason)),
        Err(proof::Unseen::InTime { reason, .. }) if !deploy.after.open => Err(Failure::NotSeen {
            consumer: deploy.consumer.name.clone(),
            reason,
        }),
        Err(proof::Unseen::InTime { reason, connected }) => {
            take_back(ports, deploy, reason, connected).await
        }
    }
}

/// Puts what is new in place, and writes down that a signal is about to be sent.
async fn put(ports: &Ports, deploy: &mut Deploy) -> Result<(), Failure> {
    let consumer = Rc::clone(&deploy.consumer);
    let place = place(&consumer);
    let is_signalled = consumer.running && matches!(deploy.tell, Tell::Signal(_));
    if deploy.changes() {
        ports.folders.stage(&place, &change(deploy))?;
    }
    if consumer.running && (deploy.changes() || is_signalled) {
        // One that starts reads what lies there now, which was seen to be good.
        super::tell::settle(ports, deploy).await;
    }
    if is_signalled {
        deploy.after.signals.last = Some(sent(ports, consumer.started_at));
    }
    if deploy.changes() {
        ports
            .folders
            .switch(&place, &change(deploy), &deploy.after)?;
    } else if is_signalled
        && let Err(error) = ports
            .folders
            .keep_installed(&place, &deploy.after, &BTreeSet::new())
    {
        // What is owed is not kept back by a disk that is full.
        report(&Event::DiskFault {
            problem: chain(&error),
        });
    }
    Ok(())
}

fn change(deploy: &Deploy) -> Change<'_> {
    Change {
        write: &deploy.write,
        remove: &deploy.remove,
        deliver: &deploy.deliver,
    }
}

/// A signal to the process that started then, sent now.
fn sent(ports: &Ports, started_at: Option<Timestamp>) -> Sent {
    Sent {
        at: ports.clock.now(),
        started_at,
    }
}

/// Whether the process that was told has ended since, as far as the engine can be asked.
async fn has_ended(ports: &Ports, consumer: &Consumer) -> bool {
    match ports.engine.inspect(consumer.id.as_str()).await {
        Ok(Some(now)) => !now.is_there() || now.started_at != consumer.started_at,
        Ok(None) => true,
        Err(_) => false,
    }
}

/// Waits for proof. Unless that comes soon, sites are shut of which what is live leads to none of their containers; says
/// whether they are.
async fn shut_if_late<T>(
    ports: &Ports,
    deploy: &Deploy,
    proven: impl Future<Output = T>,
) -> (T, bool) {
    tokio::pin!(proven);
    tokio::select! {
        seen = &mut proven => return (seen, false),
        () = ports.clock.sleep(LATE), if !deploy.shut_if_late.is_empty() => {}
    }
    let sites = deploy.after.shut.union(&deploy.shut_if_late);
    let shut = ports
        .folders
        .shut(&place(&deploy.consumer), &sites.cloned().collect());
    if let Err(error) = &shut {
        report(&Event::DiskFault {
            problem: chain(error),
        });
    }
    (proven.await, shut.is_ok())
}

async fn accepted(
    ports: &Ports,
    deploy: &Deploy,
    seen: proof::Sighting,
    are_shut: bool,
) -> Result<Installed, Failure> {
    let mut installed = deploy.after.clone();
    installed.prove(&deploy.forget, seen.at);
    if are_shut {
        installed.shut.extend(deploy.shut_if_late.iter().cloned());
    }
    // A start is no reload: it says nothing about how long one takes.
    if matches!(deploy.tell, Tell::Signal(_) | Tell::Exec(_)) {
        installed.reload = Some(seen.took);
    }
    let (consumer, generation) = (deploy.consumer.name.clone(), installed.generation);
    report(&Event::Proven {
        consumer,
        generation,
    });
    let mut installed = keep(ports, deploy, installed)?;
    let Some(opening) = &deploy.opening else {
        return Ok(installed);
    };
    gate::open(ports, &deploy.consumer, opening).await?;
    installed.opened_for = Some(opening.started_at);
    keep(ports, deploy, installed)
}

/// Brings back what was there before, under a mark of its own: when that is seen, the consumer reads its files and
/// refused the new ones.
async fn take_back(
    ports: &Ports,
    deploy: &Deploy,
    reason: String,
    connected: bool,
) -> Result<Installed, Failure> {
    let place = place(&deploy.consumer);
    ports.folders.take_back(&place)?;
    show_mark(ports, deploy, &place)?;
    // Until it is known that it runs well with what it had, nothing new is put there while it does not run.
    let mut installed = ports.folders.installed(&place)?;
    installed.progress = Progress::TakenBack;
    let (units, are_stopgaps) = (installed.on_trial().clone(), installed.trying.is_empty());
    installed.close();
    installed.generation = deploy.back.mark;
    ports
        .folders
        .keep_installed(&place, &installed, &tidied(deploy))?;
    let is_optional = deploy.is_optional;
    report(&Event::TakenBack {
        consumer: deploy.consumer.name.clone(),
        reason: reason.clone(),
        is_optional,
    });
    let consumer = deploy.consumer.name.clone();
    if let Tell::Nothing { .. } = deploy.back.tell {
        return Err(Failure::Unseen { consumer, reason });
    }
    if let Tell::Signal(_) = deploy.back.tell {
        // It may have ended of the signal: another one would only end it again.
        if has_ended(ports, &deploy.consumer).await {
            return Err(Failure::Ended { consumer, reason });
        }
        installed.signals.last = Some(sent(ports, deploy.consumer.started_at));
        ports
            .folders
            .keep_installed(&place, &installed, &BTreeSet::new())?;
    }
    tell(ports, deploy, &deploy.back.tell).await?;
    let (proof, within) = (
        deploy.back.proof(&deploy.proof),
        within(deploy, &deploy.back.tell),
    );
    match proof::prove(ports, &deploy.consumer, &proof, within).await {
        Ok(seen) => {
            installed.reload = Some(seen.took);
            installed.progress = Progress::Proven { at: seen.at };
            if seen.took * CONCLUSIVE_SHARE > within {
                keep(ports, deploy, installed)?;
                return Err(Failure::Slow {
                    took: seen.took,
                    reason,
                });
            }
            if !deploy.is_conclusive {
                return keep(ports, deploy, installed);
            }
            let reason = format!("{reason}; `docker logs {consumer}` has its own words");
            blame(
                &mut installed,
                deploy,
                &units,
                are_stopgaps,
                reason,
                seen.at,
            );
            keep(ports, deploy, installed)
        }
        Err(unseen) if !connected && !unseen.connected() => out_of_reach(ports, deploy, reason),
        Err(_) => Err(Failure::Unseen { consumer, reason }),
    }
}

/// Writes down and tells what is held to be refused: the new templates, where it was a try of these.
pub(super) fn blame(
    installed: &mut Installed,
    deploy: &Deploy,
    units: &Units,
    are_stopgaps: bool,
    reason: String,
    at: Timestamp,
) {
    let consumer = deploy.consumer.name.clone();
    if let Some(templates) = &deploy.templates {
        installed.templates.refused = Some(RefusedTemplates {
            reason: reason.clone(),
            ..templates.clone()
        });
        return report(&Event::TemplatesRefused {
            consumer,
            reason,
            is_all: templates.is_all,
        });
    }
    installed.blame(units, are_stopgaps, &reason, at);
    let own = deploy.consumer.kind.own_files.iter();
    let excuse = own
        .filter(|own| units.keys().any(|file| file.as_str() == own.file))
        .find_map(|own| own.excuse)
        .filter(|_| deploy.is_optional);
    let parts = units.keys().cloned().collect();
    report(&Event::Refused {
        consumer,
        parts,
        reason,
        excuse,
    });
}

/// It was never reached at all, so nothing that was seen speaks against what is new: it stays, unproven.
fn out_of_reach(ports: &Ports, deploy: &Deploy, reason: String) -> Result<Installed, Failure> {
    let (place, change) = (place(&deploy.consumer), change(deploy));
    ports.folders.stage(&place, &change)?;
    ports.folders.switch(&place, &change, &deploy.after)?;
    keep(ports, deploy, unproven(deploy, reason.clone()))?;
    Err(Failure::OutOfReach { reason })
}

/// What is known of what stays, though it was not seen.
fn unproven(deploy: &Deploy, reason: String) -> Installed {
    let mut installed = deploy.after.clone();
    installed.settle(reason);
    installed
}

/// Puts the mark of what was there before into its place.
fn show_mark(ports: &Ports, deploy: &Deploy, place: &ConsumerPlace<'_>) -> Result<(), Failure> {
    let write = [(deploy.back.file.clone(), deploy.back.text.clone())].into();
    let (remove, deliver) = Default::default();
    let mark = Change {
        write: &write,
        remove: &remove,
        deliver: &deliver,
    };
    ports.folders.stage(place, &mark)?;
    Ok(ports.folders.switch(place, &mark, &deploy.after)?)
}

fn keep(ports: &Ports, deploy: &Deploy, installed: Installed) -> Result<Installed, Failure> {
    // While the journal is open, what is there now may have to make room for what was there before.
    let tidy = if installed.open {
        BTreeSet::new()
    } else {
        tidied(deploy)
    };
    ports
        .folders
        .keep_installed(&place(&deploy.consumer), &installed, &tidy)?;
    if let Progress::Unproven { reason } = &installed.progress {
        report(&Event::Unproven {
            consumer: deploy.consumer.name.clone(),
            reason: reason.clone(),
        });
    }
    Ok(installed)
}

/// The certificates of which this deployment leaves copies behind that nothing names.
pub(super) fn tidied(deploy: &Deploy) -> BTreeSet<CertificateName> {
    deploy
        .deliver
        .keys()
        .chain(&deploy.forget)
        .cloned()
        .collect()
}

/// Brings back what was there before a deployment that the consumer did not live to show. Nobody is told: it does not
/// run, and reads everything when it starts.
pub(super) fn bring_back(ports: &Ports, back: &TakeBack) -> Result<Installed, Failure> {
    let place = place(&back.consumer);
    ports.folders.take_back(&place)?;
    let mut installed = ports.folders.installed(&place)?;
    installed.close();
    installed.progress = Progress::TakenBack;
    ports
        .folders
        .keep_installed(&place, &installed, &BTreeSet::new())?;
    let reason = "it ended before it showed what it was given".to_owned();
    report(&Event::TakenBack {
        consumer: back.consumer.name.clone(),
        reason,
        is_optional: false,
    });
    Ok(installed)
}

/// The folders of a consumer.
pub fn place(consumer: &Consumer) -> ConsumerPlace<'_> {
    let certificates = match &consumer.certificates {
        CertificateFolder::Delivered(folder) => Some(&folder.ours),
        CertificateFolder::Shared { .. } => None,
    };
    ConsumerPlace {
        consumer: &consumer.name,
        config: &consumer.config.ours,
        certificates,
        owner: consumer.owner,
    }
}
