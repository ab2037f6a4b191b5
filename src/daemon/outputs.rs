//! Outputs beside everything else: they see the certificates, and their states are reported with the rest.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use super::{Daemon, Loop, Survey};
use crate::{
    desire::{CertificateFolder, Complaint, Consumer, Desired},
    generate::{Foreseen, KnownCertificates, OutputBoard, Rendering, foresee},
    observe::{HeldCertificate, Observed, Shelf, Subject},
    ports::EngineError,
    render::CertificateRecord,
    report::Status,
    values::{CertificateName, ContainerName},
};

/// The user's outputs, and the board for their states.
#[derive(Default)]
pub struct Outputs {
    /// Each.
    pub each: Vec<Rc<Rendering>>,
    /// The board on which they and the loop exchange their states.
    pub board: Rc<OutputBoard>,
}

impl Daemon {
    /// Forecasts of outputs; nothing is written.
    ///
    /// # Errors
    /// When the engine can't be asked.
    pub async fn foresee_outputs(&self, survey: &Survey) -> Result<Vec<Foreseen>, EngineError> {
        let known = self.known(&survey.desired, &survey.observed);
        self.outputs.board.hold(known);
        foresee(&self.outputs.each).await
    }

    /// The certificates that are held, as outputs see them.
    fn known(&self, desired: &Desired, observed: &Observed) -> KnownCertificates {
        let held = observed.held.iter();
        let ours = |name: &CertificateName, held: &HeldCertificate| {
            let folder = self.label_rules.certificates.join(held.shelf.folder());
            let folder = folder.join(name.as_str());
            let file = |file| folder.join(file).display().to_string();
            held.can_be_read_there()
                .then(|| ["fullchain.pem", "privkey.pem"].map(file))
        };
        let consumers = desired.consumers.iter();
        KnownCertificates {
            plain: held
                .clone()
                .map(|(name, held)| record(name, held, None))
                .collect(),
            ours: held
                .map(|(name, held)| record(name, held, ours(name, held)))
                .collect(),
            given: consumers
                .map(|(name, consumer)| (name.clone(), given(consumer, observed)))
                .collect(),
        }
    }
}

impl Loop {
    /// Lets outputs know of the certificates.
    pub(super) fn show_certificates(&self, desired: &Desired) {
        let outputs = &self.daemon.outputs;
        if !outputs.each.is_empty() {
            let known = self.daemon.known(desired, &self.facts.observed);
            outputs.board.hold(known);
        }
    }

    /// Complaints about outputs.
    pub(super) fn output_complaints(&self) -> BTreeSet<Complaint> {
        let states = self.daemon.outputs.board.states().into_values();
        states.flat_map(|state| state.complaints).collect()
    }

    /// Adds how outputs are.
    pub(super) fn tell_outputs(&self, status: &mut Status) {
        for (name, state) in self.daemon.outputs.board.states() {
            status.at_rest &= !state.status.owed;
            status.complaints.extend(state.complaints);
            status.outputs.insert(name, state.status);
        }
    }

    /// Renders each output once, when everything else is done.
    pub(super) async fn render_outputs(&mut self) -> Result<(), EngineError> {
        for output in self.daemon.outputs.each.clone() {
            output.done_once().await?;
        }
        self.rests_until = None;
        self.turn();
        self.leave_document();
        Ok(())
    }

    /// The consumer that an action is about, where outputs may give files to it, too.
    pub(super) fn shared_consumer(&self, subject: &Subject) -> Option<ContainerName> {
        match subject {
            Subject::Consumer(name) if !self.daemon.outputs.each.is_empty() => Some(name.clone()),
            _ => None,
        }
    }
}

fn record(
    name: &CertificateName,
    held: &HeldCertificate,
    files: Option<[String; 2]>,
) -> CertificateRecord {
    CertificateRecord {
        name: name.to_string(),
        names: held.names.iter().cloned().collect(),
        issuer: held.issuer.clone(),
        serial: held.serial.clone(),
        not_before: held.not_before.to_string(),
        not_after: held.not_after.to_string(),
        is_self_signed: held.source.is_self_signed(),
        files,
    }
}

/// The certificates as this consumer sees them: with paths where it has them.
fn given(consumer: &Consumer, observed: &Observed) -> Vec<CertificateRecord> {
    let files = |name: &CertificateName| {
        let pair = consumer.certificates.pair(name)?;
        Some(pair.map(|path| path.display().to_string()))
    };
    let installed = observed.installed.get(&consumer.name);
    let delivered: BTreeMap<_, _> = installed
        .into_iter()
        .flat_map(|installed| &installed.certificates)
        .map(|(name, digest)| (*digest, name))
        .collect();
    let each = observed.held.iter().map(|(name, held)| {
        let name_there = match consumer.certificates {
            CertificateFolder::Shared { .. } => (held.shelf == Shelf::Live).then_some(name),
            CertificateFolder::Delivered(_) => delivered.get(&held.digest).copied(),
        };
        record(name, held, name_there.and_then(files))
    });
    each.collect()
}
