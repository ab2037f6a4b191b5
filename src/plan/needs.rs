//! The needs of wanted certificates: which are due, the reasons, and the times when the others become so.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use super::{
    Why,
    helper::helper_of,
    newer::next_change,
    obtain::HeldCertificates,
    part::site_file,
    pauses::is_forced,
    renewal,
    selection::{can_use, is_covered},
};
use crate::{
    desire::{CertificateFolder, Consumer, Desired, Wanted},
    observe::{HeldCertificate, Observed, PartName, RenewalRecord, Shelf, Source},
    values::{CertificateName, ContainerName, Issuer, KeyedTable, Timestamp},
};

/// The need of each wanted certificate, kept from one plan to the next, so that of thousands only those are looked at
/// again that changed. The memory decides nothing: found out anew, each need is the same.
#[derive(Debug, Default)]
pub(super) struct NeedMemory {
    from: Option<NeedInputs>,
    of_each: KeyedTable<CertificateName, Need>,
    /// Those that are due, by who is asked for them.
    due: BTreeMap<AskedOf, BTreeMap<CertificateName, Why>>,
    /// When the next becomes due.
    next: Option<Timestamp>,
}

/// Who is asked for a certificate.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct AskedOf {
    pub issuer: Issuer,
    /// True if perhaps a helper is asked.
    pub is_helped: bool,
}

/// The need of one certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// It is due.
    Now(Why),
    /// It is due then.
    At(Timestamp),
}

/// The facts from which needs were found out.
#[derive(Debug)]
struct NeedInputs {
    wanted: KeyedTable<CertificateName, Rc<Wanted>>,
    held: Rc<HeldCertificates>,
    ours: Rc<HeldCertificates>,
    /// Those of the user's among what is held.
    provided: Vec<Rc<HeldCertificate>>,
    /// The suggestions of CAs about renewals.
    renewals: KeyedTable<CertificateName, RenewalRecord>,
    /// Certificates that somebody insists on.
    forced: BTreeSet<CertificateName>,
    servers: Vec<ServerInputs>,
    at: Timestamp,
    /// Until when the same ones are valid.
    until: Timestamp,
}

/// The facts about a server on which a need depends, where the user provides anything.
type ServerInputs = (ContainerName, CertificateFolder, BTreeSet<PartName>);

impl NeedInputs {
    fn of(
        desired: &Desired,
        (observed, ours): (&Observed, &Rc<HeldCertificates>),
        now: Timestamp,
        before: Option<&Self>,
    ) -> Self {
        let before = before.filter(|before| Rc::ptr_eq(&before.held, &observed.held));
        let provided = before.map(|before| before.provided.clone());
        let provided = provided.unwrap_or_else(|| provided_in(observed));
        let wishes = observed.wishes.keys();
        let forced = wishes.filter(|name| is_forced(name, observed));
        Self {
            wanted: desired.certificates.clone(),
            held: Rc::clone(&observed.held),
            ours: Rc::clone(ours),
            renewals: observed.renewals.clone(),
            forced: forced.cloned().collect(),
            servers: match provided.is_empty() {
                true => Vec::new(),
                false => servers(desired, observed),
            },
            provided,
            at: now,
            until: before.map_or(now, |before| before.until),
        }
    }

    /// True if all inputs are as before, except what is wanted, insisted on and suggested by CAs.
    fn are_like(&self, before: &Self) -> bool {
        Rc::ptr_eq(&self.held, &before.held)
            && Rc::ptr_eq(&self.ours, &before.ours)
            && self.servers == before.servers
            && before.at <= self.at
            && self.at < before.until
    }
}

fn servers(desired: &Desired, observed: &Observed) -> Vec<ServerInputs> {
    let refused = |name: &ContainerName| {
        let installed = observed.installed.get(name);
        installed.map(|installed| installed.trial.refused.keys().cloned().collect())
    };
    let consumers = desired.consumers.values();
    let inputs = consumers.map(|consumer| {
        (
            consumer.name.clone(),
            consumer.certificates.clone(),
            refused(&consumer.name).unwrap_or_default(),
        )
    });
    inputs.collect()
}

/// The certificates that the user provides.
pub(super) fn provided_in(observed: &Observed) -> Vec<Rc<HeldCertificate>> {
    let held = observed.held.values();
    let provided = held.filter(|held| held.source == Source::Provided);
    provided.cloned().collect()
}

impl NeedMemory {
    /// Brings them up to date.
    pub fn follow(
        &mut self,
        desired: &Desired,
        seen: (&Observed, &Rc<HeldCertificates>),
        now: Timestamp,
    ) {
        let before = self.from.take();
        let mut from = NeedInputs::of(desired, seen, now, before.as_ref());
        let is_past = self.next.is_some_and(|next| next <= now);
        let known = before.filter(|before| from.are_like(before) && !is_past);
        let names: Vec<_> = match known {
            Some(before) => {
                let changed = from.wanted.changes(&before.wanted);
                let changed = changed.map(|change| change.key.clone());
                let forced = from.forced.symmetric_difference(&before.forced);
                let suggested = from.renewals.changes(&before.renewals);
                let suggested = suggested.map(|change| change.key.clone());
                changed.chain(forced.cloned()).chain(suggested).collect()
            }
            None => {
                from.until = next_change(seen.0, now);
                *self = Self::default();
                from.wanted.keys().cloned().collect()
            }
        };
        let world = World {
            desired,
            observed: seen.0,
            ours: seen.1,
            provided: &from.provided,
            now,
        };
        let mut is_next_gone = self.next.is_none();
        for name in &names {
            let before = self.take(name, &world);
            is_next_gone |= before.is_some() && before.and_then(Need::at) == self.next;
        }
        if is_next_gone && !names.is_empty() {
            self.next = self.of_each.values().filter_map(|need| need.at()).min();
        }
        self.from = Some(from);
    }

    /// Takes over what a certificate needs now; returns what it needed before.
    fn take(&mut self, name: &CertificateName, world: &World<'_>) -> Option<Need> {
        for names in self.due.values_mut() {
            names.remove(name);
        }
        let Some(wanted) = world.desired.certificates.get(name) else {
            return self.of_each.remove(name);
        };
        let need = need(name, wanted, world.observed.lasting(name), world);
        match need {
            Need::Now(why) => {
                let asked_of = AskedOf {
                    issuer: wanted.issuance.issuer.clone(),
                    is_helped: wanted.helper.is_some(),
                };
                let due = self.due.entry(asked_of).or_default();
                due.insert(name.clone(), why);
            }
            Need::At(time) => self.next = self.next.map(|next| next.min(time)),
        }
        self.of_each.insert(name.clone(), need)
    }

    /// Those that are due, by who is asked for them.
    pub fn due(&self) -> impl Iterator<Item = (&AskedOf, &BTreeMap<CertificateName, Why>)> {
        self.due.iter()
    }

    /// True if this certificate is due.
    pub fn is_due(&self, name: &CertificateName) -> bool {
        matches!(self.of_each.get(name), Some(Need::Now(_)))
    }

    /// When something becomes due, or what the user provides begins or ends.
    pub fn times(&self) -> impl Iterator<Item = Timestamp> {
        let provided = self.from.iter().flat_map(|from| &from.provided);
        let times = provided.flat_map(|it| [it.not_before, it.not_after]);
        times.chain(self.next)
    }
}

impl Need {
    /// When it is due, where it is not yet.
    fn at(self) -> Option<Timestamp> {
        match self {
            Self::Now(_) => None,
            Self::At(time) => Some(time),
        }
    }
}

/// The facts from which a need is found out.
pub(super) struct World<'a> {
    pub desired: &'a Desired,
    /// With the user's own in place of ours of the same names.
    pub observed: &'a Observed,
    /// With ours under these names.
    pub ours: &'a HeldCertificates,
    /// Those of the user's among what is observed.
    pub provided: &'a [Rc<HeldCertificate>],
    pub now: Timestamp,
}

impl World<'_> {
    /// The servers of a certificate.
    fn servers(&self, wanted: &Wanted) -> impl Iterator<Item = &Rc<Consumer>> {
        let names = wanted.served_by.iter().chain(&wanted.used_by);
        names.filter_map(|name| self.desired.consumers.get(name))
    }

    /// True if a server holds this certificate back, or a site of it: a certificate that the user provides may be the
    /// reason.
    fn is_held_back(&self, name: &CertificateName, wanted: &Wanted) -> bool {
        let files = wanted.names.iter().map(site_file).map(PartName::File);
        let parts: Vec<_> = files.chain([PartName::Certificate(name.clone())]).collect();
        self.servers(wanted).any(|server| {
            let installed = self.observed.installed.get(&server.name);
            let refused = installed.map(|installed| &installed.trial.refused);
            refused.is_some_and(|refused| parts.iter().any(|part| refused.contains_key(part)))
        })
    }
}

/// Decides the need of a wanted certificate. A certificate that the user provides is neither renewed nor replaced as
/// long as it is valid, whatever its name: before its end there is a notice, at its end one of ours replaces it; in
/// good time before its end where it gives way. One of ours that is there goes on where a server refuses a site: it is
/// what the older file serves.
pub(super) fn need(
    name: &CertificateName,
    wanted: &Wanted,
    held: Option<&HeldCertificate>,
    world: &World<'_>,
) -> Need {
    let World { observed, now, .. } = *world;
    let is_placed =
        |held: &&HeldCertificate| held.source == Source::Provided && held.shelf == Shelf::Live;
    // What lies there in certbot's way is the helper's, where there is one: it goes on as ours does.
    let by_helper = helper_of(wanted, world.ours.get(name).map(Rc::as_ref)).is_some();
    let helpers = held.filter(|held| by_helper && is_placed(held));
    let is_helpers = |other: &HeldCertificate| helpers.is_some_and(|it| it.digest == other.digest);
    let covering = world.provided.iter().map(Rc::as_ref).filter(|held| {
        !is_helpers(held)
            && is_covered(&wanted.names, held)
            && world.servers(wanted).all(|server| can_use(server, held))
    });
    let in_our_way = held.filter(|held| is_placed(held) && !is_helpers(held));
    let mut held = held;
    let valid = covering
        .chain(in_our_way)
        .filter(|held| held.is_valid_at(now));
    // One that stays goes before one that gives way; of those, the one that lasts longest.
    let provided = valid.max_by_key(|held| (!held.gives_way, held.not_after));
    if let Some(provided) = provided {
        let ours = world.ours.get(name).and_then(|ours| ours.lasting());
        match ours.filter(|ours| ours.source != Source::Provided) {
            Some(ours) if world.is_held_back(name, wanted) => held = Some(ours),
            Some(ours) if ours.succeeds(provided) => held = Some(ours),
            _ if provided.gives_way => return in_its_place(name, provided, world),
            _ => return Need::At(provided.not_after),
        }
    }
    let Some(held) = held else {
        return Need::Now(Why::Missing);
    };
    if let Some(until) = renewal::kept_until(held, &wanted.issuance.issuer, now) {
        return Need::At(until);
    }
    // What the user provides has the key and the issuer that the user chose.
    let is_ours = held.source != Source::Provided;
    let due = renewal::due_by(held, helpers.is_some(), observed.renewal(name));
    let changed = is_ours.then(|| renewal::changed(held, wanted));
    match changed.flatten() {
        _ if !is_covered(&wanted.names, held) => Need::Now(Why::NamesChanged),
        Some(why) => Need::Now(why),
        None if due.at <= now => Need::Now(due.why),
        None if is_forced(name, observed) => Need::Now(Why::Asked),
        None => Need::At(due.at),
    }
}

/// When one of ours is to take the place of one of the user's that gives way.
fn in_its_place(
    name: &CertificateName,
    provided: &HeldCertificate,
    World { observed, now, .. }: &World<'_>,
) -> Need {
    let due = renewal::due(provided);
    match due <= *now {
        true => Need::Now(Why::RenewalDue),
        false if is_forced(name, observed) => Need::Now(Why::Asked),
        false => Need::At(due),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::{collection::vec, prelude::*};

    use super::{
        super::{in_force::InForceMemory, tests::*},
        *,
    };
    use crate::{
        desire::tests::{container, proxy},
        fixtures::{held, usual_issuance},
        observe::{Installed, Refused, RenewalRequest, Stage},
        values::Digest,
    };

    const NAMES: [&str; 3] = ["a.example", "b.example", "c.example"];
    const HOUR: Duration = Duration::from_secs(3600);

    /// Something that happens; hours are counted from the begin.
    #[derive(Clone, Debug)]
    enum Step {
        /// A site wants a certificate, of a CA or self-signed, or does not any more.
        Wanted(usize, Option<bool>),
        /// One of ours, or of the user's, is there from one hour to another; or none is.
        Held(usize, bool, Option<(u64, u64)>),
        /// Somebody insists, or does not any more.
        Forced(usize, bool),
        /// The proxy has refused the site's file, or has not any more.
        Refused(usize, bool),
        /// It is that hour.
        Hour(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        let name = || 0..NAMES.len();
        let life = proptest::option::weighted(0.8, (0u64..30, 1u64..60));
        prop_oneof![
            3 => (name(), proptest::option::weighted(0.7, any::<bool>()))
                .prop_map(|(name, by_ca)| Step::Wanted(name, by_ca)),
            4 => (name(), any::<bool>(), life)
                .prop_map(|(name, is_ours, life)| Step::Held(name, is_ours, life)),
            2 => (name(), any::<bool>()).prop_map(|(name, is)| Step::Forced(name, is)),
            2 => (name(), any::<bool>()).prop_map(|(name, is)| Step::Refused(name, is)),
            3 => (0u64..90).prop_map(Step::Hour),
        ]
    }

    /// The world in which it happens.
    #[derive(Default)]
    struct World {
        wanted: BTreeMap<usize, bool>,
        observed: Observed,
        hour: u64,
    }

    impl World {
        fn happen(&mut self, step: Step) {
            let called = |name: usize| CertificateName::parse(NAMES[name]).expect("a name");
            match step {
                Step::Wanted(name, Some(by_ca)) => drop(self.wanted.insert(name, by_ca)),
                Step::Wanted(name, None) => drop(self.wanted.remove(&name)),
                Step::Held(name, is_ours, life) => {
                    let shelf = match is_ours {
                        true => &mut self.observed.held,
                        false => &mut self.observed.provided,
                    };
                    let shelf = Rc::make_mut(shelf);
                    match life.map(|life| Rc::new(one(name, is_ours, life))) {
                        Some(one) => drop(shelf.insert(called(name), one)),
                        None => drop(shelf.remove(&called(name))),
                    }
                }
                Step::Forced(name, true) => {
                    let wish = RenewalRequest {
                        asked: START,
                        force: true,
                        stage: Stage::Open,
                    };
                    self.observed.wishes.insert(called(name), wish);
                }
                Step::Forced(name, false) => drop(self.observed.wishes.remove(&called(name))),
                Step::Refused(name, is_refused) => {
                    let proxy = ContainerName::parse("proxy").expect("a name");
                    let installed = self.observed.installed.entry(proxy).or_default();
                    let refused = &mut Rc::make_mut(installed).trial.refused;
                    let host = crate::values::Host::parse(NAMES[name]).expect("a host");
                    let part = PartName::File(site_file(&host));
                    match is_refused {
                        true => drop(refused.insert(part, refusal())),
                        false => drop(refused.remove(&part)),
                    }
                }
                Step::Hour(hour) => self.hour = hour,
            }
        }

        fn desired(&self) -> Desired {
            let site = |(name, by_ca): (&usize, &bool)| {
                let site = container(&format!("c{name}"), 10).label("host", NAMES[*name]);
                match by_ca {
                    true => site,
                    false => site.label("ca", "self-signed"),
                }
            };
            desired([proxy()].into_iter().chain(self.wanted.iter().map(site)))
        }

        fn now(&self) -> Timestamp {
            START + HOUR * u32::try_from(self.hour).expect("it is small")
        }
    }

    fn one(name: usize, is_ours: bool, (from, hours): (u64, u64)) -> HeldCertificate {
        let at = |hour: u64| START + HOUR * u32::try_from(hour).expect("it is small");
        HeldCertificate {
            not_before: at(from),
            not_after: at(from + hours),
            source: match is_ours {
                true => Source::from(&usual_issuance().issuer),
                false => Source::Provided,
            },
            shelf: match is_ours {
                true => Shelf::Live,
                false => Shelf::Provided,
            },
            gives_way: !is_ours && hours % 2 == 0,
            digest: Digest::of(format!("{name} {is_ours} {from} {hours}")),
            ..held(&[NAMES[name]])
        }
    }

    fn refusal() -> Refused {
        Refused {
            unit: Digest::of("it"),
            reason: "no".to_owned(),
            at: START,
        }
    }

    proptest! {
        #![proptest_config(crate::values::chance::fixed(400))]
        #[test]
        fn what_is_remembered_changes_nothing(steps in vec(vec(step(), 1..3), 1..25)) {
            let (mut world, mut needs) = (World::default(), NeedMemory::default());
            let mut memory = InForceMemory::default();
            let installed = Rc::<Installed>::default();
            let proxy = ContainerName::parse("proxy").expect("a name");
            world.observed.installed.insert(proxy, installed);
            for happenings in steps {
                for step in happenings.clone() {
                    world.happen(step);
                }
                let (desired, now) = (world.desired(), world.now());
                let in_force = memory.follow(&desired, &world.observed, now);
                let observed = in_force.within(&world.observed);
                needs.follow(&desired, (&observed, &memory.live()), now);
                let mut anew = NeedMemory::default();
                anew.follow(&desired, (&observed, &memory.live()), now);
                prop_assert_eq!(&needs.of_each, &anew.of_each, "after {:?}", happenings);
                prop_assert_eq!(needs.next, anew.next, "after {:?}", happenings);
                let due = |needs: &NeedMemory| {
                    let some = needs.due.iter().filter(|(_, names)| !names.is_empty());
                    some.map(|(by, names)| (by.clone(), names.clone())).collect::<Vec<_>>()
                };
                prop_assert_eq!(due(&needs), due(&anew), "after {:?}", happenings);
            }
        }
    }
}
