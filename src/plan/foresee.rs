use std::{collections::BTreeSet, rc::Rc, time::Duration};

use super::{Action, Counts, Fallback, Obtain, Plan, names_digest};
use crate::{
    observe::{Counted, HeldCertificate, Installed, LedgerEntry, Observed, Shelf, Source},
    values::{CertificateName, Digest, Host, KeyType, Timestamp},
};

/// The facts when everything in the plan has succeeded: with these `quaymaster plan` sees past the first turn, and the
/// laws of planning are tested.
pub fn foresee(observed: &Observed, plan: &Plan, now: Timestamp) -> Observed {
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
                let source = match &obtain.helper {
                    Some(_) => Source::Provided,
                    None => Source::from(&obtain.issuance.issuer),
                };
                let key_type = obtain.issuance.key_type;
                let is_of_ca = matches!(source, Source::Acme(_));
                let profile = is_of_ca.then(|| obtain.issuance.profile_name().to_owned());
                let certificate = HeldCertificate {
                    profile,
                    ..certificate(&obtain.certificate, &obtain.names, key_type, source, now)
                };
                after.hold(obtain.certificate.clone(), certificate);
                after.count(obtain, now);
                after.wishes.remove(&obtain.certificate);
            }
            Action::FallBack(fallback) => {
                let Fallback {
                    certificate: name,
                    names,
                    key_type,
                    ..
                } = &**fallback;
                let certificate = certificate(name, names, *key_type, Source::Fallback, now);
                after.hold(name.clone(), certificate);
            }
        }
    }
    after
}

impl Observed {
    /// Takes over what is written into the ledger of an order that comes to its certificate.
    pub(super) fn count(&mut self, obtain: &Obtain, now: Timestamp) {
        let Some(ca) = obtain.issuance.issuer.directory() else {
            return;
        };
        let Counts {
            order,
            certificate,
            project,
            ..
        } = obtain.counts.clone();
        let url = Digest::of_parts([obtain.certificate.as_str(), &now.millis().to_string()]);
        let names = names_digest(&obtain.names);
        let certificate = certificate.then_some(Counted::Certificate { names, order: url });
        let order = order.then_some(Counted::Order { project });
        let ledger = Rc::make_mut(&mut self.ledger);
        for counted in order.into_iter().chain(certificate) {
            let ca = ca.to_owned();
            ledger.take(LedgerEntry {
                at: now,
                ca,
                counted,
            });
        }
    }
}

/// A certificate that is made now.
fn certificate(
    name: &CertificateName,
    names: &BTreeSet<Host>,
    key_type: KeyType,
    source: Source,
    now: Timestamp,
) -> HeldCertificate {
    /// A life of three months, as most public CAs give today.
    const LIFE: Duration = Duration::from_secs(90 * 24 * 60 * 60);
    let serial = Digest::of_parts([name.as_str(), &now.millis().to_string()]);
    let (issuer, digest) = match source {
        Source::Fallback => ("nobody", Digest::of_parts([&serial.short(), "self-signed"])),
        _ => ("the CA", serial),
    };
    HeldCertificate {
        names: names.iter().map(ToString::to_string).collect(),
        not_before: now,
        not_after: now + LIFE,
        issuer: issuer.to_owned(),
        serial: serial.short(),
        key_type: Some(key_type),
        profile: None,
        digest,
        source,
        shelf: Shelf::Live,
        gives_way: false,
        irregular: None,
        lacks_issuer: false,
        is_rootless: false,
        chain_length: 2,
        renewal_id: None,
    }
}
