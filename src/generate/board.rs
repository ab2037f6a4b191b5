//! The board on which the loop of `watch` and its outputs exchange their states. Neither waits for the other, but for a
//! container that is being given files.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use tokio::sync::{Mutex, Notify, OwnedMutexGuard, watch};

use crate::{
    desire::Complaint, render::CertificateRecord, report::OutputStatus, values::ContainerName,
};

/// The certificates that are held, as each consumer sees them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownCertificates {
    /// As those see them who are given none: without paths.
    pub plain: Vec<CertificateRecord>,
    /// As consumers see them that are given some.
    pub given: BTreeMap<ContainerName, Vec<CertificateRecord>>,
    /// As we see them ourselves.
    pub ours: Vec<CertificateRecord>,
}

/// The state of an output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputState {
    /// The status.
    pub status: OutputStatus,
    /// Complaints about it.
    pub complaints: BTreeSet<Complaint>,
}

/// The board on which the loop of `watch` and its outputs exchange their states.
#[derive(Debug)]
pub struct OutputBoard {
    /// None before they are known.
    certificates: watch::Sender<Option<Rc<KnownCertificates>>>,
    states: RefCell<BTreeMap<String, OutputState>>,
    changed: Notify,
    turns: RefCell<BTreeMap<ContainerName, std::sync::Arc<Mutex<()>>>>,
}

impl Default for OutputBoard {
    fn default() -> Self {
        Self {
            certificates: watch::Sender::new(None),
            states: RefCell::default(),
            changed: Notify::new(),
            turns: RefCell::default(),
        }
    }
}

impl OutputBoard {
    /// The certificates, and word of others.
    pub(super) fn certificates(&self) -> watch::Receiver<Option<Rc<KnownCertificates>>> {
        self.certificates.subscribe()
    }

    /// Those that are held now; none before they are known.
    pub(super) fn held(&self) -> Option<Rc<KnownCertificates>> {
        self.certificates.borrow().clone()
    }

    /// Tells which are held now; nobody is woken by the same ones.
    pub fn hold(&self, now: KnownCertificates) {
        self.certificates.send_if_modified(|known| {
            let is_new = known.as_deref() != Some(&now);
            if is_new {
                *known = Some(Rc::new(now));
            }
            is_new
        });
    }

    /// Tells how an output is now.
    pub(super) fn put(&self, name: &str, state: OutputState) {
        let mut states = self.states.borrow_mut();
        if states.get(name) != Some(&state) {
            states.insert(name.to_owned(), state);
            self.changed.notify_one();
        }
    }

    /// Waits until an output is another than it was.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// The states of the outputs, by their names.
    pub fn states(&self) -> BTreeMap<String, OutputState> {
        self.states.borrow().clone()
    }

    /// Waits until nobody else gives files to this consumer. What is on trial there would else be blamed on the other, as
    /// its own tool looks at all of its configuration.
    pub async fn turn_of(&self, consumer: &ContainerName) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.turns.borrow_mut();
            turns.entry(consumer.clone()).or_default().clone()
        };
        turn.lock_owned().await
    }
}
