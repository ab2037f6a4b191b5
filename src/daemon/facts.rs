use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use super::{
    engines::Engines,
    faults::{Concern, Faults},
    hosts::Hosts,
    ledger::LedgerKept,
    templates::InUse,
};
use crate::{
    desire::{Desired, Dialects, Wanted},
    observe::{
        Attempt, Bearer, BusyCa, EventKind, HeldCertificate, Ledger, Observed, RenewalRecord,
        Shelf, Snapshot, Subject, Unwanted, Wait,
    },
    ports::{DiskError, Ports, Repair},
    report::{Event, chain, report},
    values::{CertificateName, ContainerId, ContainerName, EngineName, KeyedTable, Timestamp},
    watching::{Damping, Grace, RemovedContainers},
};

/// The facts that are known between two turns.
pub(super) struct Facts {
    /// The engine's description of its containers.
    pub snapshot: Snapshot,
    /// Who vanished while nobody could see, and still counts.
    pub grace: Grace,
    /// Who was removed, and still counts for the sites that it leaves behind.
    removed: RemovedContainers,
    /// Who comes and goes, and when each takes requests again.
    pub damping: Damping,
    /// The certificates, records and attempts.
    pub observed: Observed,
    /// True if the engine without a name was ever listed: before that, nothing is decided.
    pub seen: bool,
    /// The engines that have a name.
    pub elsewhere: Engines,
    /// True if the certificates could ever be looked at: before that, nothing is decided, since sites without a
    /// certificate are taken off TLS.
    pub certified: bool,
    /// When everything was last looked at.
    pub looked: Timestamp,
    /// Problems on disk.
    pub(super) faults: Faults,
    /// Certificates that can neither be served nor mended, and why.
    wrecks: BTreeMap<CertificateName, String>,
    /// Certificates that are to be mended.
    repairs: BTreeMap<CertificateName, Repair>,
    /// The CAs that certificates are asked of, by their directory URLs, and the certificates.
    asked_cas: (KeyedTable<CertificateName, Rc<Wanted>>, Vec<String>),
    /// Which project has which host.
    pub(super) hosts: Hosts,
    /// The CAs that ask to be left alone, as that lies on disk.
    pub(super) busy_kept: BTreeMap<String, BusyCa>,
    /// Number of entries in the ledger's file, and of those that can't be read.
    pub(super) ledger_kept: LedgerKept,
    /// The CAs' answers about renewals, as they lie on disk.
    pub(super) renewals_kept: KeyedTable<CertificateName, RenewalRecord>,
    /// For how long nobody has wanted certificates, as that lies on disk.
    pub(super) unwanted_kept: BTreeMap<CertificateName, Unwanted>,
    /// The container and its start for which a consumer's folder was looked at: another container has another folder.
    pub(super) looked_at: BTreeMap<ContainerName, (ContainerId, Option<Timestamp>)>,
}

/// The value that was read; the default, with a report, where it could not be.
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
    /// Reads the attempts and other records. Nothing is known about certificates yet.
    pub fn read(ports: &Ports, dialects: &Dialects) -> Self {
        let now = ports.clock.now();
        // Where attempts can't be read, none can be written down, so that none is made.
        let records = or_none(ports.issuing.attempts.attempts()).into_iter();
        let attempts = records.map(|(name, read)| {
            let attempt = read.unwrap_or_else(|error| lost(&error, now));
            (Subject::Certificate(name), attempt)
        });
        let attempts = attempts.collect();
        // Without it, the oldest container has a name, as when quaymaster was started for the first time.
        let kept = or_none(ports.records.holders());
        let busy_kept = or_none(ports.records.busy_cas());
        // Without it, the CA says itself when one of its limits is reached.
        let written = or_none(ports.issuing.ledger.ledger());
        let ledger_kept = LedgerKept::of(&written);
        // Without it, the time begins anew.
        let unwanted_kept = or_none(ports.records.unwanted());
        // Without it, the CAs are asked again.
        let renewals_kept = or_none(ports.records.renewals());
        // Without it, what is there is as after the first start.
        let known = or_none(ports.records.elsewhere());
        let (elsewhere, bearers) = Engines::of(ports.other_engines.keys(), known);
        Self {
            snapshot: Snapshot {
                bearers,
                holders: kept.clone(),
                ..Snapshot::default()
            },
            hosts: Hosts::of(kept),
            asked_cas: Default::default(),
            busy_kept: busy_kept.clone(),
            grace: Grace::default(),
            removed: RemovedContainers::of(or_none(ports.records.removed())),
            damping: Damping::new(dialects),
            observed: Observed {
                attempts,
                busy_cas: busy_kept,
                ledger: Rc::new(Ledger::of(written.entries)),
                unwanted: unwanted_kept.clone(),
                renewals: renewals_kept.clone(),
                ..Observed::default()
            },
            seen: false,
            elsewhere,
            certified: false,
            looked: now,
            faults: Faults::default(),
            wrecks: BTreeMap::new(),
            repairs: BTreeMap::new(),
            ledger_kept,
            renewals_kept,
            unwanted_kept,
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

    /// Takes over a full list of one engine, the first after a `gap` or not.
    pub fn replace(
        &mut self,
        (engine, mut bearers): (Option<&EngineName>, Vec<Bearer>),
        own: Option<Bearer>,
        gap: bool,
        now: Timestamp,
    ) {
        bearers.retain(|bearer| !bearer.is_replaced() || self.knows(bearer));
        for bearer in &bearers {
            self.removed.is_back(&bearer.id);
        }
        let list = (engine, bearers);
        self.grace.take_list(&mut self.snapshot, list, gap, now);
        self.settle(now);
        if let Some(engine) = engine {
            self.elsewhere.is_seen(engine);
            return;
        }
        // We run in it: an engine that does not know it yet has not taken it up again.
        self.snapshot.own = own.or_else(|| self.snapshot.own.take());
        self.seen = true;
    }

    /// Takes over what is true of one container after something happened to it; says whether that is anything new. Most
    /// events change nothing that we read.
    pub fn refresh(
        &mut self,
        id: &ContainerId,
        bearer: Option<Bearer>,
        action: EventKind,
        now: Timestamp,
    ) -> bool {
        let bearer = bearer.filter(|bearer| !bearer.is_replaced() || self.knows(bearer));
        // What the engine says knows nothing of waiting.
        let is_known = |new: &Bearer| {
            self.snapshot.bearers.get(&new.name).is_some_and(|known| {
                let waits = None;
                Bearer {
                    waits,
                    ..Bearer::clone(known)
                } == *new
            })
        };
        let is_own = self.snapshot.own.as_ref().is_some_and(|own| own.id == *id);
        if !is_own && self.grace.next_end().is_none() && bearer.as_ref().is_some_and(is_known) {
            return false;
        }
        if is_own {
            self.snapshot.own = bearer.clone().or_else(|| self.snapshot.own.take());
        }
        if bearer.is_some() {
            self.removed.is_back(id);
        }
        let before = self.snapshot.bearers.values().find(|known| known.id == *id);
        if let Some(before) = before {
            self.damping.take(before, bearer.as_ref(), now);
        }
        self.grace
            .take_one(&mut self.snapshot, id, bearer, action != EventKind::Network);
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
        let wait = |name: &ContainerName| self.snapshot.bearers.get(name)?.waits;
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
        self.faults.settle(Concern::Removed, kept);
    }

    /// Writes down what engines that have a name say, when that has changed.
    pub fn keep_elsewhere(&mut self, ports: &Ports) {
        if let Some(kept) = self.elsewhere.keep(&self.snapshot, &*ports.records) {
            self.faults.settle(Concern::Elsewhere, kept);
        }
    }

    /// True if it was seen under this name before: a container that ran under a name that Compose left behind is seen
    /// to end.
    fn knows(&self, bearer: &Bearer) -> bool {
        self.snapshot
            .bearers
            .get(&bearer.name)
            .is_some_and(|known| known.id == bearer.id)
    }

    /// Keeps the templates that consumers use, also when other ones lie in their folder.
    pub fn keep_templates(&mut self, ports: &Ports, templates: &mut InUse) {
        let installed = self.observed.installed.values();
        let used: BTreeSet<_> = installed
            .flat_map(|it| [it.templates.used, it.templates.trying])
            .flatten()
            .collect();
        // Whoever could not be looked at may use any of them.
        let is_any_used = self.faults.has(Concern::Consumers);
        let kept = templates.keep(&*ports.records, |digest| {
            is_any_used || used.contains(&digest)
        });
        self.faults.settle(Concern::Templates, kept);
    }

    /// Looks at everything on disk again, except where work is under way.
    pub fn look_at_disk(&mut self, ports: &Ports) {
        self.look_at_certificates_again(ports);
        self.looked_at.clear();
    }

    /// Looks at the certificates again, and at nothing else.
    pub fn look_at_certificates_again(&mut self, ports: &Ports) {
        if let Err(error) = self.look_at_certificates(ports) {
            self.faults.add(Concern::Certificates, &error);
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
                    (Rc::make_mut(&mut self.observed.provided), &mut provided)
                }
            };
            now.extend(known.remove_entry(&name));
        }
        replace(&mut self.observed.held, held);
        replace(&mut self.observed.provided, provided);
        self.observed.archived = found.archived;
        self.repairs = found.repairs;
        self.wrecks = found
            .wrecks
            .into_iter()
            .map(|(name, fault)| (name, chain(&fault)))
            .collect();
        self.faults.replace(Concern::Certificates, found.faults);
        self.certified = true;
        Ok(())
    }

    /// Takes over a certificate that was stored.
    pub fn hold(&mut self, name: CertificateName, held: HeldCertificate) {
        self.wrecks.remove(&name);
        self.observed.archived.remove(&name);
        self.observed.hold(name, held);
    }

    /// Takes over what is wrong with what people ask for.
    pub fn take_faults(&mut self, concern: Concern, faults: Vec<DiskError>) {
        self.faults.replace(concern, faults);
    }

    /// Problems on disk, as far as it was looked at.
    pub fn faults(&self) -> BTreeSet<String> {
        let faults = self.faults.all().chain(self.wrecks.values());
        faults.cloned().collect()
    }

    /// Mends what the last look found. What can't be mended now is tried again each time.
    pub fn mend_certificates(&mut self, ports: &Ports) {
        self.faults.clear(Concern::Mending);
        self.repairs.retain(|name, repair| {
            match (ports.issuing.certificates.mend(name, repair), repair) {
                (Ok(()), Repair::Live { problem }) => {
                    report(&Event::Mended {
                        certificate: name.clone(),
                        problem: chain(problem),
                    });
                    false
                }
                (Ok(()), Repair::TakeUp) => {
                    report(&Event::TakenUp {
                        certificate: name.clone(),
                    });
                    false
                }
                (Ok(()), Repair::Copy) => false,
                (Err(error), _) => {
                    self.faults.add(Concern::Mending, &error);
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
                Err(error) => self.faults.add(Concern::Mending, &error),
            }
        }
    }

    /// Writes the records of tries that were broken off as they were before. Of a first one there was none: what is
    /// written then says that nothing failed, and keeps what is on record of its order from being forgotten.
    pub fn write_attempts_back(&mut self, ports: &Ports, desired: &Desired) {
        let now = ports.clock.now();
        for subject in std::mem::take(&mut self.observed.under_way) {
            let Subject::Certificate(name) = &subject else {
                continue;
            };
            let wanted = desired.certificates.get(name);
            if wanted.is_some_and(|wanted| wanted.helper.is_some()) {
                // What a helper has begun, nobody ends: the next may be a second order, and waits as after a crash.
                continue;
            }
            let before = self.observed.attempts.get(&subject).cloned();
            let attempt = before.unwrap_or_else(|| Attempt::broken_off(now));
            if let Err(error) = ports.issuing.attempts.note_attempt(name, &attempt) {
                report(&Event::DiskFault {
                    problem: chain(&error),
                });
            }
        }
    }

    /// Looks whether the CAs that are asked take the e-mail address of the settings, and whether our clock is right.
    pub fn look_at_accounts(&mut self, ports: &Ports, desired: &Desired) {
        let (of, asked) = &mut self.asked_cas;
        if !of.is_copy_of(&desired.certificates) {
            let wanted = desired.certificates.values();
            let directories = wanted.flat_map(|wanted| wanted.issuers.directories());
            let mut directories: Vec<_> = directories.collect();
            directories.sort_unstable();
            directories.dedup();
            *asked = directories.into_iter().map(str::to_owned).collect();
            *of = desired.certificates.clone();
        }
        self.observed.refused_emails.clear();
        self.observed.clock_gaps.clear();
        for directory in &*asked {
            // One that can't be set up is told by the order that needs it.
            let Ok(authority) = ports.issuing.authorities.at(directory) else {
                continue;
            };
            let of_ca = |it| (directory.to_owned(), it);
            let (emails, gaps) = (
                &mut self.observed.refused_emails,
                &mut self.observed.clock_gaps,
            );
            emails.extend(authority.refused_email().map(of_ca));
            gaps.extend(authority.clock_gap().map(|gap| (directory.to_owned(), gap)));
        }
    }
}

impl Facts {
    /// The directory URLs of the CAs that certificates are asked of.
    pub fn known_cas(&self) -> &[String] {
        &self.asked_cas.1
    }
}

/// Takes over what was found; what is the same stays the same `Rc`, so that nobody looks at each certificate again.
fn replace<T: PartialEq>(known: &mut Rc<T>, found: T) {
    if **known != found {
        *known = Rc::new(found);
    }
}
