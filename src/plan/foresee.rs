use std::rc::Rc;

use super::{Action, Plan};
use crate::{
    observe::{HeldCertificate, Installed, Observed, Shelf, Source},
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
                let installed = match deploy.consumer.running {
                    true => {
                        let proven = deploy.proven(now, None);
                        let opened = deploy.opening.as_ref().map(|opening| opening.started_at);
                        Installed {
                            opened_for: opened.or(proven.opened_for),
                            ..proven
                        }
                    }
                    false => deploy.after.clone(),
                };
                after
                    .installed
                    .insert(deploy.consumer.name.clone(), Rc::new(installed));
            }
            Action::TakeBack(back) => {
                let installed = back.taken_back(Installed::clone(&back.before));
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
                    lacks_issuer: false,
                };
                after.hold(obtain.certificate.clone(), certificate);
                after.wishes.remove(&obtain.certificate);
            }
        }
    }
    after
}
