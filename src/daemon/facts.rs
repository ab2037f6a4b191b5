use std::collections::{BTreeMap, BTreeSet};

use super::grace::Grace;
use crate::{
    desire::{self, CertificateFolder, Desired},
    observe::{Action, Container, Holder, Observed, Snapshot, Subject},
    ports::{DiskError, Ports},
    report::chain,
    values::{ContainerId, ContainerName, Host, Timestamp},
};

/// What is known between two turns.
pub(super) struct Facts {
    /// What the engine says.
    pub snapshot: Snapshot,
    /// Who vanished while nobody could see, and still counts.
    pub grace: Grace,
    /// What we have and tried.
    pub observed: Observed,
    /// Whether the engine was ever listed: before that, nothing is decided.
    pub seen: bool,
    /// When everything was last looked at.
    pub looked: Timestamp,
    /// Which project has which host, as it lies on disk.
    kept: BTreeMap<Host, Holder>,
    /// What is wrong on disk.
    pub faults: BTreeSet<String>,
    /// The container and its start for which a consumer's folder was looked at: another container has another folder.
    looked_at: BTreeMap<ContainerName, (ContainerId, Option<Timestamp>)>,
}

impl Facts {
    /// What is on disk.
    pub fn read(ports: &Ports) -> Result<Self, DiskError> {
        let attempts = ports.disk.attempts()?;
        let attempts = attempts.into_iter().map(|(name, attempt)| (Subject::Certificate(name), attempt)).collect();
        let mut faults = BTreeSet::new();
        // Without it, the oldest container has a name, as when quaymaster was started for the first time.
        let kept = ports.disk.holders().unwrap_or_else(|error| {
            faults.insert(chain(&error));
            BTreeMap::new()
        });
        let mut facts = Self {
            snapshot: Snapshot { holders: kept.clone(), ..Snapshot::default() },
            kept,
            grace: Grace::default(),
            observed: Observed { attempts, ..Observed::default() },
            seen: false,
            looked: ports.clock.now(),
            faults,
            looked_at: BTreeMap::new(),
        };
        facts.look_at_certificates(ports)?;
        Ok(facts)
    }

    /// Takes over a full list, the first after a `gap` or not.
    pub fn replace(&mut self, containers: Vec<Container>, own: Option<Container>, gap: bool, now: Timestamp) {
        self.grace.take_list(&mut self.snapshot, containers, gap, now);
        // We run in it: an engine that does not know it yet has not taken it up again.
        self.snapshot.own = own.or_else(|| self.snapshot.own.take());
        self.seen = true;
    }

    /// Takes over what is true of one container after something happened to it; says whether that is anything new. Most
    /// events change nothing that we read.
    pub fn refresh(&mut self, id: &ContainerId, container: Option<Container>, action: Action) -> bool {
        let is_known = |new: &Container| self.snapshot.containers.get(&new.name) == Some(new);
        let is_own = self.snapshot.own.as_ref().is_some_and(|own| own.id == *id);
        if !is_own && self.grace.next_end().is_none() && container.as_ref().is_some_and(is_known) {
            return false;
        }
        if is_own {
            self.snapshot.own = container.clone().or_else(|| self.snapshot.own.take());
        }
        self.grace.take_one(&mut self.snapshot, id, container, action != Action::Network);
        true
    }

    /// Forgets who had hosts that are free again; says whether there were any.
    pub fn free_hosts(&mut self, now: Timestamp) -> bool {
        let before = self.snapshot.holders.len();
        self.snapshot.holders.retain(|_, holder| !desire::is_over(holder, now));
        self.snapshot.holders.len() < before
    }

    /// Remembers who has which host; writes it down when that has changed.
    pub fn keep_hosts(&mut self, ports: &Ports, desired: &Desired, now: Timestamp) {
        self.snapshot.holders = desire::holders(&self.snapshot.holders, &desired.hosts, now);
        if self.kept == self.snapshot.holders {
            return;
        }
        match ports.disk.keep_holders(&self.snapshot.holders) {
            Ok(()) => self.kept = self.snapshot.holders.clone(),
            Err(error) => drop(self.faults.insert(chain(&error))),
        }
    }

    /// Looks at everything on disk again, except where work is under way.
    pub fn look_at_disk(&mut self, ports: &Ports) {
        self.faults.clear();
        if let Err(error) = self.look_at_certificates(ports) {
            self.faults.insert(chain(&error));
        }
        self.looked_at.clear();
    }

    fn look_at_certificates(&mut self, ports: &Ports) -> Result<(), DiskError> {
        let (held, faults) = ports.disk.held()?;
        self.observed.held = held;
        self.faults.extend(faults.iter().map(|fault| chain(fault)));
        Ok(())
    }

    /// Looks at the folders of consumers that are new, were started anew, or failed.
    pub fn look_at_new_consumers(&mut self, ports: &Ports, desired: &Desired) {
        for (name, consumer) in &desired.consumers {
            let this = (consumer.id.clone(), consumer.started_at);
            let busy = self.observed.under_way.contains(&Subject::Consumer(name.clone()));
            if busy || self.looked_at.get(name) == Some(&this) {
                continue;
            }
            let delivered = match &consumer.certificates {
                CertificateFolder::Delivered(folder) => Some(folder.ours.as_path()),
                CertificateFolder::Shared { .. } => None,
            };
            match ports.disk.installed(name, &consumer.config.ours, delivered) {
                Ok(installed) => {
                    self.observed.installed.insert(name.clone(), installed);
                    self.looked_at.insert(name.clone(), this);
                }
                Err(error) => drop(self.faults.insert(chain(&error))),
            }
        }
        self.looked_at.retain(|name, _| desired.consumers.contains_key(name));
    }

    /// Makes sure that a consumer's folder is looked at before it is planned for again.
    pub fn forget_consumer(&mut self, name: &ContainerName) {
        self.looked_at.remove(name);
    }
}
