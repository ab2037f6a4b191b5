//! The consumer's own tool looks at what was put there, before the consumer is told of it.

use super::{
    Failure,
    deploy::{blame, place, tidied},
};
use crate::{
    observe::Installed,
    plan::{Check, Deploy},
    ports::{Ports, Ran},
    report::{Event, report},
};

/// Looks; what is refused is taken back, and whom that blames is written down and returned. Nothing is returned when it
/// passes. The consumer has not read anything yet, so it needs not be told.
pub(super) async fn check(
    ports: &Ports,
    deploy: &Deploy,
    check: &Check,
) -> Result<Option<Installed>, Failure> {
    let refused = match run(ports, deploy, check).await {
        Ok(ran) if ran.code == 0 => return Ok(None),
        ran => ran,
    };
    let mut installed = put_back(ports, deploy, check)?;
    let ran = refused?;
    installed.is_own_broken = false;
    let (consumer, reason) = (deploy.consumer.name.clone(), check.reason(&ran.output));
    let is_optional = deploy.is_optional;
    report(&Event::TakenBack {
        consumer: consumer.clone(),
        reason: reason.clone(),
        is_optional,
    });
    let blamed = check.blamed(&ran.output);
    if blamed.is_empty() {
        // It may be the user's own files that it refuses: then it does so without ours, too.
        let before = run(ports, deploy, check).await?;
        installed.is_own_broken = before.code != 0;
        if installed.is_own_broken {
            keep(ports, deploy, &installed)?;
            return Err(Failure::Broken(Box::new(Failure::of_run(
                &check.words,
                &before,
            ))));
        }
        // They were broken when it was last asked, and may have been mended between the two looks.
        if !deploy.is_conclusive {
            keep(ports, deploy, &installed)?;
            return Ok(Some(installed));
        }
    }
    let are_stopgaps = deploy.after.trying.is_empty();
    let suspects = check.suspects(&blamed, deploy.after.on_trial());
    if suspects.is_empty() {
        return Err(Failure::of_run(&check.words, &ran));
    }
    let suspects = if deploy.templates.is_some() {
        vec![deploy.after.trying.clone()]
    } else {
        suspects
    };
    for units in suspects {
        blame(
            &mut installed,
            deploy,
            &units,
            are_stopgaps,
            reason.clone(),
            ports.clock.now(),
        );
    }
    keep(ports, deploy, &installed)?;
    Ok(Some(installed))
}

async fn run(ports: &Ports, deploy: &Deploy, check: &Check) -> Result<Ran, Failure> {
    Ok(ports.engine.exec(&deploy.consumer.id, &check.words).await?)
}

/// Brings back what was there before, and what was known then.
fn put_back(ports: &Ports, deploy: &Deploy, check: &Check) -> Result<Installed, Failure> {
    let place = place(&deploy.consumer);
    ports.folders.take_back(&place)?;
    let Installed {
        files,
        foreign,
        certificates,
        shut,
        ..
    } = ports.folders.installed(&place)?;
    let before = check.before.clone();
    let mut installed = Installed {
        files,
        foreign,
        certificates,
        shut,
        ..before
    };
    installed.close();
    keep(ports, deploy, &installed)?;
    Ok(installed)
}

fn keep(ports: &Ports, deploy: &Deploy, installed: &Installed) -> Result<(), Failure> {
    let place = place(&deploy.consumer);
    Ok(ports
        .folders
        .keep_installed(&place, installed, &tidied(deploy))?)
}
