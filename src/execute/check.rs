//! The check of new files by the consumer's own tool, before the consumer reloads.

use super::{
    Failure,
    deploy::{conclude, place, restore, write_down},
};
use crate::{
    observe::Installed,
    plan::{Check, Deploy, Verdict},
    ports::{Ports, Ran},
    report::{Event, report},
};

/// Runs the check; refused files are taken back, and the blame is written down and returned. Nothing is returned when
/// it passes. The consumer has not read anything yet, so it needs no reload.
pub(super) async fn check(
    ports: &Ports,
    deploy: &Deploy,
    check: &Check,
) -> Result<Option<Installed>, Failure> {
    let refused = match run(ports, deploy, check).await {
        Ok(ran) if ran.code == 0 => return Ok(None),
        ran => ran,
    };
    let place = place(&deploy.consumer);
    restore(ports, &place).await?;
    let withdrawn = deploy.withdrawn(ports.folders.installed(&place)?);
    write_down(ports, deploy, &withdrawn)?;
    let ran = refused?;
    let reason = check.reason(&ran.output);
    report(&Event::TakenBack {
        consumer: deploy.consumer.name.clone(),
        reason: reason.clone(),
        is_optional: deploy.is_optional,
    });
    let named = check.blamed(&ran.output);
    // It may be the user's own files that it refuses: then it does so without ours, too.
    let before = match named.is_empty() {
        true => Some(run(ports, deploy, check).await?).filter(|before| before.code != 0),
        false => None,
    };
    let now = ports.clock.now();
    let (installed, verdict) = deploy.rejected(withdrawn, &named, before.is_some(), &reason, now);
    let told = before.as_ref().unwrap_or(&ran);
    let failure = || Failure::of_run(&check.words, told);
    let failed = match &verdict {
        Verdict::OwnIsBroken => Err(Failure::Broken(Box::new(failure()))),
        Verdict::Unexplained => Err(failure()),
        Verdict::Refused(_)
        | Verdict::EditionRefused { .. }
        | Verdict::Open
        | Verdict::Slow { .. } => Ok(()),
    };
    let installed = conclude(ports, deploy, installed, verdict)?;
    failed.map(|()| Some(installed))
}

async fn run(ports: &Ports, deploy: &Deploy, check: &Check) -> Result<Ran, Failure> {
    let engine = ports.engine_of(&deploy.consumer.name)?;
    Ok(engine.exec(&deploy.consumer.id, &check.words).await?)
}
