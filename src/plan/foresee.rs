use std::rc::Rc;

use super::{Action, Plan};
use crate::{
    observe::{HeldCertificate, Installed, Observed, Progress, Shelf, Source},
    values::{Digest, Timestamp},
};

/// What will be observed when everything in the plan has succeeded: how `quaymaster plan` sees past the first turn, and
/// how the laws of planning are tested.
pub fn foresee(observed: &Observed, plan: &Plan, now: Timestamp) -> Observed {
    /// A life of three months, as most public CAs give today.
    const LIFE: std::time::Duration = std::time::Duration::from_secs(90 * 24 * 60 * 60);
    let mut after = observed.clone();
    after.clear(&plan.cleared);
    for action in &plan.actions {
        after.attempts.remove(&action.subject());
        match action {
            Action::Deploy(deploy) => {
                let mut installed = deploy.after.clone();
                if deploy.consumer.running {
                    installed.prove(&deploy.forget, now);
                    let opened = deploy.opening.as_ref().map(|opening| opening.started_at);
                    installed.opened_for = opened.or(installed.opened_for);
                }
                after
                    .installed
                    .insert(deploy.consumer.name.clone(), Rc::new(installed));
            }
            Action::TakeBack(back) => {
                let mut installed = Installed {
                    progress: Progress::TakenBack,
                    ..back.before.clone()
                };
                installed.close();
                after
                    .installed
                    .insert(back.consumer.name.clone(), Rc::new(installed));
            }
            Action::Obtain(obtain) => {
                let serial =
                    Digest::of_parts([obtain.certificate.as_str(), &now.millis().to_string()]);
                let certificate = HeldCertificate {
                    names: obtain.names.iter().map(ToString::to_string).collect(),
                    not_before: now,
                    not_after: now + LIFE,
                    issuer: "the CA".to_owned(),
                    serial: serial.short(),
                    key_type: Some(obtain.issuance.key_type),
                    digest: serial,
                    source: Source::from(&obtain.issuance.issuer),
                    shelf: Shelf::Live,
                    irregular: None,
                };
                after.hold(obtain.certificate.clone(), certificate);
                after.wishes.remove(&obtain.certificate);
            }
        }
    }
    after
}
