use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    time::Duration,
};

use super::{
    Failure, gate, proof, shown,
    tell::{Addressee, tell, within},
};
use crate::{
    desire::{CertificateFolder, Consumer, Destination},
    observe::{Bearer, Installed, Progress, Sent},
    plan::{Deploy, Refusal, SeenAgain, TakeBack, Tell, Verdict},
    ports::{
        CertificatePlace, Change, ConsumerPlace, DefaultPlace, EngineError, Parcel, Ports, Spot,
    },
    report::{Event, chain, report},
    values::{CertificateName, Timestamp},
};

/// A reload that takes longer than this may not come at all.
const LATE: Duration = Duration::from_millis(500);

/// Stages the new files, puts them in place, has them checked where that is asked for, reloads the consumer, and looks
/// if it took them up; if not, brings back the earlier files. The record and the journal are on the disk before
/// anything changes, so that a crash at any step leaves the truth.
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
            return keep(ports, deploy, deploy.not_told(reason.clone()));
        }
        how => match tell(ports, Addressee::of(deploy), how).await {
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
        Err(unseen) => not_seen(ports, deploy, unseen).await,
    }
}

/// Handles files that were not seen: they stay where nothing speaks against them, or where there is nothing to return
/// to.
async fn not_seen(
    ports: &Ports,
    deploy: &Deploy,
    unseen: proof::Unseen,
) -> Result<Installed, Failure> {
    // Nothing is new since it was looked for the last time, so that the next look may wait.
    let is_known =
        deploy.tell == Tell::Started && matches!(deploy.before.progress, Progress::Unproven { .. });
    let can_go_back = deploy.returns_to_something();
    match unseen {
        proof::Unseen::Ever { reason } if is_known => Err(Failure::StillUnseen { reason }),
        proof::Unseen::InTime { reason, .. } if is_known && !can_go_back => {
            Err(Failure::StillUnseen { reason })
        }
        proof::Unseen::Ever { reason } => keep(ports, deploy, deploy.unproven(reason)),
        proof::Unseen::InTime { reason, .. } if !can_go_back => {
            keep(ports, deploy, deploy.unproven(reason))
        }
        proof::Unseen::InTime { reason, .. } if !deploy.after.open => Err(Failure::NotSeen {
            consumer: deploy.consumer.name.clone(),
            reason,
        }),
        proof::Unseen::InTime { reason, connected } => {
            take_back(ports, deploy, reason, connected).await
        }
    }
}

/// Puts what is new in place, and writes down that a signal is about to be sent.
async fn put(ports: &Ports, deploy: &mut Deploy) -> Result<(), Failure> {
    let consumer = Rc::clone(&deploy.consumer);
    let place = place(&consumer);
    let is_signalled = consumer.running && matches!(deploy.tell, Tell::Signal(_));
    if deploy.changes_folders() {
        let staged = ports.folders.stage(&place, &change(deploy))?;
        send(ports, &place, staged).await?;
    }
    if consumer.running && (deploy.changes_folders() || is_signalled) {
        // One that starts reads what lies there now, which was seen to be good.
        super::tell::settle(ports, Addressee::of(deploy)).await;
    }
    if is_signalled {
        deploy.after.signals.last = Some(sent(ports, consumer.started_at));
    }
    if deploy.changes_folders() {
        switch(ports, &place, &change(deploy), &deploy.after).await?;
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

/// Has the engine put what is for the inside of a container there, if anything is.
async fn send(
    ports: &Ports,
    place: &ConsumerPlace<'_>,
    parcel: Option<Parcel>,
) -> Result<(), Failure> {
    let Some(parcel) = parcel else {
        return Ok(());
    };
    let engine = ports.engine_of(place.consumer)?;
    Ok(engine.put(&parcel, ports.clock.now()).await?)
}

/// Stages what is new and puts it in place, wherever that is.
async fn bring(
    ports: &Ports,
    place: &ConsumerPlace<'_>,
    change: &Change<'_>,
    record: &Installed,
) -> Result<(), Failure> {
    send(ports, place, ports.folders.stage(place, change)?).await?;
    switch(ports, place, change, record).await
}

/// Puts what was staged into its place. What the engine has put there is written down: nobody can look.
async fn switch(
    ports: &Ports,
    place: &ConsumerPlace<'_>,
    change: &Change<'_>,
    record: &Installed,
) -> Result<(), Failure> {
    let Some(links) = ports.folders.switch(place, change, record)? else {
        return Ok(());
    };
    send(ports, place, Some(links)).await?;
    Ok(ports
        .folders
        .keep_installed(place, record, &BTreeSet::new())?)
}

/// Brings back what was there before, wherever that is.
pub(super) async fn restore(ports: &Ports, place: &ConsumerPlace<'_>) -> Result<(), Failure> {
    send(ports, place, ports.folders.take_back(place)?).await
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

/// The engine's description of a consumer now.
pub(super) async fn inspect(
    ports: &Ports,
    consumer: &Consumer,
) -> Result<Option<Bearer>, EngineError> {
    let engine = ports.engine_of(&consumer.name)?;
    engine.inspect(consumer.id.as_str()).await
}

/// True if the process that was reloaded has ended since, as far as the engine can be asked.
async fn has_ended(ports: &Ports, consumer: &Consumer) -> bool {
    match inspect(ports, consumer).await {
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
    // A start is no reload: it says nothing about how long one takes.
    let is_reload = matches!(deploy.tell, Tell::Signal(_) | Tell::Exec(_));
    let mut installed = deploy.proven(seen.at, is_reload.then_some(seen.took));
    if are_shut {
        installed.shut.extend(deploy.shut_if_late.iter().cloned());
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
    let mut installed = put_back(ports, deploy).await?;
    let consumer = deploy.consumer.name.clone();
    report(&Event::TakenBack {
        consumer: consumer.clone(),
        reason: reason.clone(),
        is_optional: deploy.is_optional,
    });
    if let Tell::Nothing { .. } = deploy.back.tell {
        return Err(Failure::Unseen { consumer, reason });
    }
    if let Tell::Signal(_) = deploy.back.tell {
        // It may have ended of the signal: another one would only end it again.
        if has_ended(ports, &deploy.consumer).await {
            return Err(Failure::Ended { consumer, reason });
        }
        installed.signals.last = Some(sent(ports, deploy.consumer.started_at));
        let place = place(&deploy.consumer);
        ports
            .folders
            .keep_installed(&place, &installed, &BTreeSet::new())?;
    }
    tell(ports, Addressee::of(deploy), &deploy.back.tell).await?;
    let within = within(deploy, &deploy.back.tell);
    let proof = deploy.back.proof(&deploy.proof);
    let again = match deploy.consumer.proxy {
        Some(_) => proof::prove(ports, &deploy.consumer, &proof, within).await,
        None => shown::prove_others(ports, &deploy.consumer, &deploy.proof, within).await,
    };
    let again = match again {
        Ok(proof::Sighting { at, took }) => SeenAgain { at, took, within },
        Err(unseen) if !connected && !unseen.connected() => {
            return out_of_reach(ports, deploy, reason).await;
        }
        Err(_) => return Err(Failure::Unseen { consumer, reason }),
    };
    let words = format!("{reason}; `docker logs {consumer}` says more");
    let (installed, verdict) = deploy.refused(installed, again, &words);
    let is_slow = matches!(verdict, Verdict::Slow { .. });
    let installed = conclude(ports, deploy, installed, verdict)?;
    match is_slow {
        true => Err(Failure::Slow {
            took: again.took,
            reason,
        }),
        false => Ok(installed),
    }
}

/// Puts back what was there before, and writes down that it is not known yet whether that is seen.
async fn put_back(ports: &Ports, deploy: &Deploy) -> Result<Installed, Failure> {
    let place = place(&deploy.consumer);
    restore(ports, &place).await?;
    show_mark(ports, deploy, &place).await?;
    let installed = deploy.taken_back(ports.folders.installed(&place)?);
    write_down(ports, deploy, &installed)?;
    Ok(installed)
}

/// Writes down and reports the parts that are held to be refused.
pub(super) fn conclude(
    ports: &Ports,
    deploy: &Deploy,
    installed: Installed,
    verdict: Verdict,
) -> Result<Installed, Failure> {
    let consumer = &deploy.consumer.name;
    let refusals = match verdict {
        Verdict::Refused(refusals) => refusals,
        Verdict::EditionRefused { reason } => {
            report(&Event::TemplatesRefused {
                consumer: consumer.clone(),
                reason,
            });
            Vec::new()
        }
        Verdict::Open | Verdict::Slow { .. } | Verdict::OwnIsBroken | Verdict::Unexplained => {
            Vec::new()
        }
    };
    for Refusal {
        parts,
        reason,
        excuse,
    } in refusals
    {
        report(&Event::Refused {
            consumer: consumer.clone(),
            parts,
            reason,
            excuse,
        });
    }
    write_down(ports, deploy, &installed)?;
    Ok(installed)
}

/// It was never reached at all, so nothing that was seen speaks against what is new: it stays, unproven.
async fn out_of_reach(
    ports: &Ports,
    deploy: &Deploy,
    reason: String,
) -> Result<Installed, Failure> {
    let place = place(&deploy.consumer);
    bring(ports, &place, &change(deploy), &deploy.after).await?;
    keep(ports, deploy, deploy.unproven(reason.clone()))?;
    Err(Failure::OutOfReach { reason })
}

/// Puts the mark of what was there before into its place.
async fn show_mark(
    ports: &Ports,
    deploy: &Deploy,
    place: &ConsumerPlace<'_>,
) -> Result<(), Failure> {
    let write = BTreeMap::from_iter(deploy.back.shown_by.clone());
    if write.is_empty() {
        return Ok(());
    }
    let (remove, deliver) = Default::default();
    let mark = Change {
        write: &write,
        remove: &remove,
        deliver: &deliver,
    };
    bring(ports, place, &mark, &deploy.after).await
}

/// Writes down the record, and reports what is not proven.
fn keep(ports: &Ports, deploy: &Deploy, installed: Installed) -> Result<Installed, Failure> {
    write_down(ports, deploy, &installed)?;
    if let Progress::Unproven { reason } = &installed.progress {
        report(&Event::Unproven {
            consumer: deploy.consumer.name.clone(),
            reason: reason.clone(),
        });
    }
    Ok(installed)
}

/// Writes down what is known.
pub(super) fn write_down(
    ports: &Ports,
    deploy: &Deploy,
    installed: &Installed,
) -> Result<(), Failure> {
    // While the journal is open, what is there now may have to make room for what was there before.
    let tidy = match installed.open {
        true => BTreeSet::new(),
        false => tidied(deploy),
    };
    let place = place(&deploy.consumer);
    Ok(ports.folders.keep_installed(&place, installed, &tidy)?)
}

/// The certificates of which this deployment leaves copies behind that nothing names.
fn tidied(deploy: &Deploy) -> BTreeSet<CertificateName> {
    deploy
        .deliver
        .keys()
        .chain(&deploy.forget)
        .cloned()
        .collect()
}

/// Brings back what was there before a deployment that the consumer did not live to show. There is no reload: the
/// consumer does not run, and reads everything when it starts.
pub(super) async fn bring_back(ports: &Ports, back: &TakeBack) -> Result<Installed, Failure> {
    let place = place(&back.consumer);
    restore(ports, &place).await?;
    let installed = back.taken_back(ports.folders.installed(&place)?);
    ports
        .folders
        .keep_installed(&place, &installed, &BTreeSet::new())?;
    let reason = "it ended before it served the new configuration".to_owned();
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
        CertificateFolder::Delivered(delivery) => Some(CertificatePlace {
            at: match &delivery.to {
                Destination::Folder(folder) => Spot::Folder(&folder.ours),
                Destination::Inside(folder) => Spot::Inside {
                    container: &consumer.id,
                    folder,
                },
            },
            layout: &delivery.layout,
            key_mode: delivery.key_mode,
            is_owner_of_folder: delivery.is_owner_of_folder,
        }),
        CertificateFolder::Shared { .. } => None,
    };
    ConsumerPlace {
        consumer: &consumer.name,
        config: consumer.config().map(|config| &config.ours),
        default: consumer.default_config.as_ref().map(|it| DefaultPlace {
            file: &it.file,
            beside: &it.names,
        }),
        certificates,
        owner: consumer.owner,
    }
}
