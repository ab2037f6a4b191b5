use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use super::templates::InUse;
use crate::{
    desire::{self, Consumer, Desired},
    execute::place,
    observe::{
        Attempt, Container, EventKind, HeldCertificate, Holder, Observed, Progress, Shelf, Signals,
        Snapshot, Subject, Wait,
    },
    ports::{DiskError, Ports, Repair},
    report::{Event, Instead, chain, report},
    values::{CertificateName, ContainerId, ContainerName, FileName, Host, Timestamp},
    watching::{Damping, Grace, RemovedContainers},
};

/// What is known between two turns.
pub(super) struct Facts {
    /// What the engine says.
    pub snapshot: Snapshot,
    /// Who vanished while nobody could see, and still counts.
    pub grace: Grace,
    /// Who was removed, and still counts for the sites that it leaves behind.
    removed: RemovedContainers,
    /// Why that could not be written down.
    unkept_removed: Option<String>,
    /// Who comes and goes, and when each takes requests again.
    pub damping: Damping,
    /// What we have and tried.
    pub observed: Observed,
    /// Whether the engine was ever listed: before that, nothing is decided.
    pub seen: bool,
    /// Whether the certificates could ever be looked at: before that, nothing is decided, since sites without a
    /// certificate are taken off TLS.
    pub certified: bool,
    /// When everything was last looked at.
    pub looked: Timestamp,
    /// Why folders of consumers could not be looked at.
    unseen: BTreeSet<String>,
    /// What is wrong with certificates.
    faults: BTreeSet<String>,
    /// Certificates that can neither be served nor mended, and why.
    wrecks: BTreeMap<CertificateName, String>,
    /// Certificates that are to be mended.
    repairs: BTreeMap<CertificateName, Repair>,
    /// Why the last of those could not be.
    unmended: BTreeSet<String>,
    /// Why sites could not be shut or opened.
    unshut: BTreeSet<String>,
    /// Why what a crash left could not be taken away.
    untidy: BTreeSet<String>,
    /// Which project has which host, as it lies on disk.
    kept: Rc<BTreeMap<Host, Holder>>,
    /// Why that could not be written.
    unkept: Option<String>,
    /// Why the templates in use could not be written.
    unkept_templates: Option<String>,
    /// What is wrong with what people wish for.
    unread_wishes: BTreeSet<String>,
    /// What is wrong with requests to hand hosts over.
    unread_releases: BTreeSet<String>,
    /// The container and its start for which a consumer's folder was looked at: another container has another folder.
    looked_at: BTreeMap<ContainerName, (ContainerId, Option<Timestamp>)>,
}

/// What was read; nothing, which is told, where that could not be.
fn or_none<T: Default>(read: Result<T, DiskError>) -> T {
    read.unwrap_or_else(|error| {
        report(&Event::DiskFault {
            problem: chain(&error),
        });
        T::default()
    })
}

/// In place of a record that can't be read: as if a try had just failed.
fn lost(error: &DiskError, now: Timestamp) -> Attempt {
    let problem = format!(
        "{}; as if a try had just failed, the next is in a minute",
        chain(error)
    );
    report(&Event::DiskFault {
        problem: problem.clone(),
    });
    Attempt::lost(now, problem)
}

impl Facts {
    /// What was tried. Nothing is known about certificates yet.
    pub fn read(ports: &Ports, label_prefix: &str) -> Self {
        let now = ports.clock.now();
        // Where attempts can't be read, none can be written down, so that none is made.
        let records = or_none(ports.issuing.attempts.attempts()).into_iter();
        let attempts = records.map(|(name, read)| {
            let attempt = read.unwrap_or_else(|error| lost(&error, now));
            (Subject::Certificate(name), attempt)
        });
        let attempts = attempts.collect();
        // Without it, the oldest container has a name, as when quaymaster was started for the first time.
        let kept = Rc::new(or_none(ports.records.holders()));
        Self {
            snapshot: Snapshot {
                holders: Rc::clone(&kept),
                ..Snapshot::default()
            },
            kept,
            unkept: None,
            unkept_templates: None,
            unread_wishes: BTreeSet::new(),
            unread_releases: BTreeSet::new(),
            grace: Grace::default(),
            removed: RemovedContainers::of(or_none(ports.records.removed())),
            unkept_removed: None,
            damping: Damping::new(label_prefix),
            observed: Observed {
                attempts,
                ..Observed::default()
            },
            seen: false,
            certified: false,
            looked: now,
            unseen: BTreeSet::new(),
            faults: BTreeSet::new(),
            wrecks: BTreeMap::new(),
            repairs: BTreeMap::new(),
            unmended: BTreeSet::new(),
            unshut: BTreeSet::new(),
            untidy: BTreeSet::new(),
            looked_at: BTreeMap::new(),
        }
    }

    /// Writes records anew that were lost, so that the next start finds when they were.
    pub fn keep_lost_attempts(&self, ports: &Ports) {
        for (subject, attempt) in &self.observed.attempts {
            if let Subject::Certificate(name) = subject
                && attempt.is_lost()
                && let Err(error) = ports.issuing.attempts.note_attempt(name, attempt)
            {
                report(&Event::DiskFault {
                    problem: chain(&error),
                });
            }
        }
    }

    /// Takes over a full list, the first after a `gap` or not.
    pub fn replace(
        &mut self,
        mut containers: Vec<Container>,
        own: Option<Container>,
        gap: bool,
        now: Timestamp,
    ) {
        containers.retain(|container| !container.is_replaced() || self.knows(container));
        for container in &containers {
            self.removed.is_back(&container.id);
        }
        self.grace
            .take_list(&mut self.snapshot, containers, gap, now);
        self.settle(now);
        // We run in it: an engine that does not know it yet has not taken it up again.
        self.snapshot.own = own.or_else(|| self.snapshot.own.take());
        self.seen = true;
    }

    /// Takes over what is true of one container after something happened to it; says whether that is anything new. Most
    /// events change nothing that we read.
    pub fn refresh(
        &mut self,
        id: &ContainerId,
        container: Option<Container>,
        action: EventKind,
        now: Timestamp,
    ) -> bool {
        let container =
            container.filter(|container| !container.is_replaced() || self.knows(container));
        // What the engine says knows nothing of waiting.
        let is_known = |new: &Container| {
            self.snapshot
                .containers
                .get(&new.name)
                .is_some_and(|known| {
                    let waits = None;
                    Container {
                        waits,
                        ..Container::clone(known)
                    } == *new
                })
        };
        let is_own = self.snapshot.own.as_ref().is_some_and(|own| own.id == *id);
        if !is_own && self.grace.next_end().is_none() && container.as_ref().is_some_and(is_known) {
            return false;
        }
        if is_own {
            self.snapshot.own = container.clone().or_else(|| self.snapshot.own.take());
        }
        if container.is_some() {
            self.removed.is_back(id);
        }
        let mut all = self.snapshot.containers.values();
        if let Some(before) = all.find(|known| known.id == *id) {
            self.damping.take(before, container.as_ref(), now);
        }
        self.grace.take_one(
            &mut self.snapshot,
            id,
            container,
            action != EventKind::Network,
        );
        self.settle(now);
        true
    }

    /// Lets those count as they are whose time is over; says whether there are any.
    pub fn end(&mut self, now: Timestamp) -> bool {
        let are_missed = self.grace.end(&mut self.snapshot, now);
        let do_wait = self.settle(now);
        are_missed | do_wait | self.removed.end(&mut self.snapshot, now)
    }

    /// When the next time is over.
    pub fn next_end(&self) -> Option<Timestamp> {
        let ends = self.grace.next_end().into_iter();
        ends.chain(self.removed.next_end())
            .chain(self.damping.next_end())
            .min()
    }

    /// Remembers who was removed just now, and has those wait that have to; says whether others wait, or for something
    /// else.
    fn settle(&mut self, now: Timestamp) -> bool {
        for gone in self.grace.take_gone() {
            self.removed.take(&gone, now);
        }
        self.removed.settle(&mut self.snapshot);
        self.damping.settle(&mut self.snapshot, now)
    }

    /// Those that wait, and for what.
    pub fn waiting(&self) -> BTreeMap<ContainerName, Wait> {
        let wait = |name: &ContainerName| self.snapshot.containers.get(name)?.waits;
        let names = self.damping.names();
        names
            .filter_map(|name| Some((name.clone(), wait(name)?)))
            .collect()
    }

    /// Writes down who was removed, when that has changed.
    pub fn keep_removed(&mut self, ports: &Ports) {
        if !self.removed.is_new {
            return;
        }
        let kept = ports.records.keep_removed(&self.removed.records());
        self.removed.is_new = kept.is_err();
        self.unkept_removed = kept.err().map(|error| chain(&error));
    }

    /// Whether it was seen under this name before: who ran under one that Compose left behind is seen to end.
    fn knows(&self, container: &Container) -> bool {
        self.snapshot
            .containers
            .get(&container.name)
            .is_some_and(|known| known.id == container.id)
    }

    /// Lets others have the hosts that were kept for so long; says whether there are any.
    pub fn free_hosts(&mut self, now: Timestamp) -> bool {
        let is_over = |holder: &Holder| !holder.free && desire::is_over(holder, now);
        let is_any = self.snapshot.holders.values().any(is_over);
        if is_any {
            let holders = Rc::make_mut(&mut self.snapshot.holders).values_mut();
            holders
                .filter(|holder| is_over(holder))
                .for_each(|holder| holder.free = true);
        }
        is_any
    }

    /// Remembers who has which host that is served; writes it down when that has changed.
    pub fn remember_hosts(&mut self, ports: &Ports, desired: &Desired, now: Timestamp) {
        let is_served = |host: &Host| is_served(host, desired, &self.observed);
        let is_kept = |host: &Host| desired.keeps(host);
        let before = &self.snapshot.holders;
        if let Some(holders) = desire::holders(before, &desired.hosts, is_served, is_kept, now) {
            self.snapshot.holders = Rc::new(holders);
        }
        self.keep_hosts(ports);
    }

    /// Writes down who has which host, when that has changed; says whether it is on disk.
    pub fn keep_hosts(&mut self, ports: &Ports) -> bool {
        if Rc::ptr_eq(&self.kept, &self.snapshot.holders) {
            return true;
        }
        match ports.records.keep_holders(&self.snapshot.holders) {
            Ok(()) => (self.kept, self.unkept) = (Rc::clone(&self.snapshot.holders), None),
            Err(error) => self.unkept = Some(chain(&error)),
        }
        self.unkept.is_none()
    }

    /// Keeps the templates that consumers use, also when other ones lie in their folder.
    pub fn keep_templates(&mut self, ports: &Ports, templates: &mut InUse) {
        let installed = self.observed.installed.values();
        let used: BTreeSet<_> = installed
            .flat_map(|it| [it.templates.used, it.templates.trying])
            .flatten()
            .collect();
        // Whoever could not be looked at may use any of them.
        let kept = templates.keep(&*ports.records, |digest| {
            !self.unseen.is_empty() || used.contains(&digest)
        });
        self.unkept_templates = kept.err().map(|error| chain(&error));
    }

    /// Looks at everything on disk again, except where work is under way.
    pub fn look_at_disk(&mut self, ports: &Ports) {
        self.look_at_certificates_again(ports);
        self.looked_at.clear();
    }

    /// Looks at the certificates again, and at nothing else.
    pub fn look_at_certificates_again(&mut self, ports: &Ports) {
        if let Err(error) = self.look_at_certificates(ports) {
            self.faults.insert(chain(&error));
        }
    }

    /// Looks at the certificates. Of one that the system does not let us read, what was known stays.
    ///
    /// # Errors
    /// When they can't be listed: what was known stays.
    pub fn look_at_certificates(&mut self, ports: &Ports) -> Result<(), DiskError> {
        let found = ports.issuing.certificates.certificates(ports.clock.now())?;
        let (mut held, mut provided) = (found.held, found.provided);
        for (shelf, name) in found.unread {
            let (known, now) = match shelf {
                Shelf::Live => (Rc::make_mut(&mut self.observed.held), &mut held),
                Shelf::Provided | Shelf::ProvidedInParts => {
                    (&mut self.observed.provided, &mut provided)
                }
            };
            now.extend(known.remove_entry(&name));
        }
        (self.observed.held, self.observed.provided) = (Rc::new(held), provided);
        self.repairs = found.repairs;
        self.wrecks = found
            .wrecks
            .into_iter()
            .map(|(name, fault)| (name, chain(&fault)))
            .collect();
        self.faults = found.faults.iter().map(|fault| chain(fault)).collect();
        self.certified = true;
        Ok(())
    }

    /// Takes over a certificate that was stored.
    pub fn hold(&mut self, name: CertificateName, held: HeldCertificate) {
        self.wrecks.remove(&name);
        self.observed.hold(name, held);
    }

    /// Takes over what is wrong with what people wish for.
    pub fn take_wish_faults(&mut self, faults: BTreeSet<String>) {
        self.unread_wishes = faults;
    }

    /// Takes over what is wrong with requests to hand hosts over.
    pub fn take_release_faults(&mut self, faults: BTreeSet<String>) {
        self.unread_releases = faults;
    }

    /// What is wrong on disk, as far as it was looked at.
    pub fn faults(&self) -> BTreeSet<String> {
        let of_certificates = self
            .faults
            .iter()
            .chain(&self.unmended)
            .chain(self.wrecks.values());
        let on_disk = of_certificates
            .chain(&self.untidy)
            .chain(&self.unseen)
            .chain(&self.unshut)
            .chain(&self.unkept)
            .chain(&self.unkept_removed)
            .chain(&self.unkept_templates);
        let of_requests = self.unread_wishes.iter().chain(&self.unread_releases);
        on_disk.chain(of_requests).cloned().collect()
    }

    /// Mends what the last look found. What can't be mended now is tried again each time.
    pub fn mend_certificates(&mut self, ports: &Ports) {
        self.unmended.clear();
        self.repairs.retain(|name, repair| {
            match (ports.issuing.certificates.mend(name, repair), repair) {
                (Ok(()), Repair::Live { problem }) => {
                    report(&Event::Mended {
                        certificate: name.clone(),
                        problem: chain(problem),
                    });
                    false
                }
                (Ok(()), Repair::Copy) => false,
                (Err(error), _) => {
                    self.unmended.insert(chain(&error));
                    true
                }
            }
        });
    }

    /// Forgets tries that were cut off when the certificate was there already, and their orders. What can't be removed
    /// now is tried again each time.
    pub fn finish(&mut self, ports: &Ports, finished: &BTreeSet<CertificateName>) {
        for name in finished {
            match ports
                .issuing
                .orders
                .drop_order(name)
                .and_then(|()| ports.issuing.attempts.forget_attempts(name))
            {
                Ok(()) => drop(
                    self.observed
                        .attempts
                        .remove(&Subject::Certificate(name.clone())),
                ),
                Err(error) => drop(self.unmended.insert(chain(&error))),
            }
        }
    }

    /// Writes the records of tries that were broken off as they were before. Of a first one there was none: what is
    /// written then says that nothing failed, and keeps what is on record of its order from being forgotten.
    pub fn write_attempts_back(&mut self, ports: &Ports) {
        let now = ports.clock.now();
        for subject in std::mem::take(&mut self.observed.under_way) {
            let Subject::Certificate(name) = &subject else {
                continue;
            };
            let before = self.observed.attempts.get(&subject).cloned();
            let attempt = before.unwrap_or_else(|| Attempt::broken_off(now));
            if let Err(error) = ports.issuing.attempts.note_attempt(name, &attempt) {
                report(&Event::DiskFault {
                    problem: chain(&error),
                });
            }
        }
    }

    /// Writes down what came of signals: whoever starts next must not send them again.
    pub fn keep_signals(
        &mut self,
        ports: &Ports,
        desired: &Desired,
        seen: &BTreeMap<ContainerName, Signals>,
    ) {
        for (name, signals) in seen {
            let installed = self.observed.installed.get_mut(name);
            let Some((consumer, installed)) = desired.consumers.get(name).zip(installed) else {
                continue;
            };
            Rc::make_mut(installed).signals = signals.clone();
            let kept = ports
                .folders
                .keep_installed(&place(consumer), installed, &BTreeSet::new());
            if let Err(error) = kept {
                // It follows with the next deployment.
                report(&Event::DiskFault {
                    problem: chain(&error),
                });
            }
        }
    }

    /// Shuts the sites of consumers that are to be shut, and opens the others. What can't be done now is tried again each
    /// time.
    pub fn shut(
        &mut self,
        ports: &Ports,
        desired: &Desired,
        shut: &BTreeMap<ContainerName, BTreeSet<FileName>>,
    ) {
        self.unshut.clear();
        for (name, sites) in shut {
            let installed = self.observed.installed.get_mut(name);
            let Some((consumer, installed)) = desired.consumers.get(name).zip(installed) else {
                continue;
            };
            match ports.folders.shut(&place(consumer), sites) {
                Ok(()) => Rc::make_mut(installed).shut.clone_from(sites),
                Err(error) => drop(self.unshut.insert(chain(&error))),
            }
        }
    }

    /// Takes away what a crash left in folders that are about to be looked at.
    pub fn tidy_new_consumers(&mut self, ports: &Ports, desired: &Desired) {
        let looked_at = desired
            .consumers
            .values()
            .filter(|consumer| self.is_to_be_looked_at(consumer));
        let tidied = looked_at.map(|consumer| ports.folders.tidy(&place(consumer)));
        self.untidy = tidied
            .filter_map(Result::err)
            .map(|error| chain(&error))
            .collect();
    }

    fn is_to_be_looked_at(&self, consumer: &Consumer) -> bool {
        let this = (consumer.id.clone(), consumer.started_at);
        let busy = self
            .observed
            .under_way
            .contains(&Subject::Consumer(consumer.name.clone()));
        !busy && self.looked_at.get(&consumer.name) != Some(&this)
    }

    /// Looks at the folders of consumers that are new, were started anew, or failed.
    pub fn look_at_new_consumers(&mut self, ports: &Ports, desired: &Desired) {
        // Who could not be looked at is looked at now.
        self.unseen.clear();
        for (name, consumer) in &desired.consumers {
            if !self.is_to_be_looked_at(consumer) {
                continue;
            }
            match ports.folders.installed(&place(consumer)) {
                Ok(installed) => {
                    self.observed
                        .installed
                        .insert(name.clone(), Rc::new(installed));
                    self.looked_at
                        .insert(name.clone(), (consumer.id.clone(), consumer.started_at));
                }
                Err(error) => drop(self.unseen.insert(chain(&error))),
            }
        }
        self.looked_at
            .retain(|name, _| desired.consumers.contains_key(name));
    }

    /// Looks whether the CAs that are asked take the e-mail address of the settings.
    pub fn look_at_accounts(&mut self, ports: &Ports, desired: &Desired) {
        let wanted = desired.certificates.values();
        let asked: BTreeSet<_> = wanted
            .filter_map(|wanted| wanted.issuance.issuer.directory())
            .collect();
        let refused = asked.into_iter().filter_map(|directory| {
            // One that can't be set up is told by the order that needs it.
            let authority = ports.issuing.authorities.at(directory).ok()?;
            Some((directory.to_owned(), authority.refused_email()?))
        });
        self.observed.refused_emails = refused.collect();
    }

    /// Looks whether files are there that labels name.
    pub fn look_for_files(&mut self, ports: &Ports, desired: &Desired) {
        let missing = desired
            .files
            .keys()
            .filter(|file| ports.folders.is_missing(file));
        self.observed.missing = missing.cloned().collect();
    }

    /// Makes sure that a consumer's folder is looked at before it is planned for again.
    pub fn forget_consumer(&mut self, name: &ContainerName) {
        self.looked_at.remove(name);
    }
}

/// Whether a proxy was seen to serve a host as it is meant, or was told to where it can't be looked at.
fn is_served(host: &Host, desired: &Desired, observed: &Observed) -> bool {
    desired.consumers.values().any(|consumer| {
        let site = consumer.sites.get(host);
        let installed = observed.installed.get(&consumer.name);
        site.zip(installed).is_some_and(|(site, installed)| {
            let was_told = match installed.progress {
                Progress::Proven { .. } => true,
                Progress::Unproven { .. } => consumer.reach.is_none(),
                Progress::SignalOwed | Progress::TakenBack => false,
            };
            was_told && Instead::of(host, site, installed).is_none()
        })
    })
}
