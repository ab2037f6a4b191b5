//! The reading of labels, kept from one look to the next: of thousands of bearers only those are read again that
//! changed, and those that have to do with them.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    rc::Rc,
};

use super::{Consumer, Desired, LabelRules, Said, desire, meant, spec::Spec};
use crate::{
    observe::{Bearer, Holder, Snapshot},
    values::{CertificateName, ContainerName, Host, KeyedTable, TableChange},
};

/// Remembers what was asked for. It decides nothing: what it says is what [`desire()`] says of the same snapshot.
#[derive(Debug, Default)]
pub struct Reading(Option<Known>);

/// The last snapshot, and what came of it.
#[derive(Debug)]
struct Known {
    snapshot: Snapshot,
    desired: Rc<Desired>,
    /// The bearers that say something about each subject.
    mentions: BTreeMap<Subject, Vec<ContainerName>>,
}

/// A subject on which bearers may have to agree. Bearers that share none have nothing to do with each other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Subject {
    /// A certificate, be it named by a label or called after a host: it stands for that host, too.
    Certificate(CertificateName),
    /// The one certificate that a proxy shows to all who ask for an address.
    Addresses,
    /// All sites: servers serve them, and others wait for those that can't be configured.
    Servers,
}

impl Reading {
    /// Reads what the bearers of `snapshot` ask for, under the same `rules` each time.
    pub fn desire(&mut self, snapshot: &Snapshot, rules: &LabelRules) -> Rc<Desired> {
        let known = match self.0.take() {
            Some(known) => known.follow(snapshot, rules),
            None => Known::first(snapshot, rules),
        };
        Rc::clone(&self.0.insert(known).desired)
    }
}

impl Known {
    fn first(snapshot: &Snapshot, rules: &LabelRules) -> Self {
        let said = Said::read(snapshot, rules);
        let mut mentions = BTreeMap::new();
        for (name, spec) in &said.specs {
            mention(&mut mentions, name, &subjects(spec));
        }
        Self {
            snapshot: snapshot.clone(),
            desired: Rc::new(meant(snapshot, said, rules)),
            mentions,
        }
    }

    fn follow(mut self, snapshot: &Snapshot, rules: &LabelRules) -> Self {
        let before = mem::replace(&mut self.snapshot, snapshot.clone());
        let changed: Vec<_> = changes(&before, snapshot).collect();
        let mut hosts = changed_holders(&before.holders, &snapshot.holders, &self.desired);
        let mut pairs = changed.iter();
        if before.own != snapshot.own || pairs.any(|pair| is_of_consequence(pair, rules)) {
            return Self::first(snapshot, rules);
        }
        if changed.is_empty() && hosts.is_empty() {
            return self;
        }
        let mut open = self.mention_anew(&changed, rules);
        open.extend(hosts.iter().map(Subject::of));
        let names = changed.iter().filter_map(|(old, new)| old.or(*new));
        let touched = names.map(|bearer| bearer.name.clone()).collect();
        let affected = self.affected(touched, open, rules);
        // With nearly all of them it is quicker to begin anew.
        if affected.len() > snapshot.bearers.len() / 2 {
            return Self::first(snapshot, rules);
        }
        let (old, new) = (part(&before, &affected), part(snapshot, &affected));
        let mut certificates = BTreeSet::new();
        for bearer in old.bearers.values().chain(new.bearers.values()) {
            let spec = read(bearer, rules);
            let sites = spec.sites.values();
            hosts.extend(sites.flat_map(|site| site.all_names()).cloned());
            certificates.extend(subjects(&spec).into_iter().filter_map(Subject::certificate));
        }
        let part = desire(&new, rules);
        // Another one is configured than before of those that have one folder: all sites are to be given to it.
        if !part.consumers.keys().eq(self.desired.consumers.keys()) {
            return Self::first(snapshot, rules);
        }
        let desired = Rc::make_mut(&mut self.desired);
        replace(desired, part, &affected, &hosts, &certificates);
        self
    }

    /// Has the changed ones mentioned by what they say now; says what they say something about, and did before.
    fn mention_anew(&mut self, changed: &[Change<'_>], rules: &LabelRules) -> BTreeSet<Subject> {
        let mut subjects_of_all = BTreeSet::new();
        for (old, new) in changed {
            if let Some(old) = old {
                let said = subjects(&read(old, rules));
                self.forget_mentions(&old.name, &said);
                subjects_of_all.extend(said);
            }
            if let Some(new) = new {
                let said = subjects(&read(new, rules));
                mention(&mut self.mentions, &new.name, &said);
                subjects_of_all.extend(said);
            }
        }
        subjects_of_all
    }

    /// All that these have to do with, in as many steps as it takes; servers always, since they serve all.
    fn affected(
        &self,
        touched: Vec<ContainerName>,
        mut open: BTreeSet<Subject>,
        rules: &LabelRules,
    ) -> BTreeSet<ContainerName> {
        let mut affected = BTreeSet::new();
        let mut seen = BTreeSet::new();
        let mut next = touched;
        open.insert(Subject::Servers);
        loop {
            for name in next.drain(..) {
                if let Some(bearer) = self.snapshot.bearers.get(&name) {
                    open.extend(subjects(&read(bearer, rules)));
                }
                affected.insert(name);
            }
            let Some(subject) = open.pop_first() else {
                return affected;
            };
            if seen.insert(subject.clone()) {
                let mentioned_by = self.mentions.get(&subject).into_iter().flatten();
                next.extend(
                    mentioned_by
                        .filter(|name| !affected.contains(*name))
                        .cloned(),
                );
            }
        }
    }

    fn forget_mentions(&mut self, name: &ContainerName, said: &BTreeSet<Subject>) {
        for subject in said {
            if let Some(names) = self.mentions.get_mut(subject) {
                names.retain(|known| known != name);
                if names.is_empty() {
                    self.mentions.remove(subject);
                }
            }
        }
    }
}

/// True if a change concerns what everything is served by: another server, or a server in another place.
fn is_of_consequence((old, new): &Change<'_>, rules: &LabelRules) -> bool {
    let is_server = |bearer: &Rc<Bearer>| read(bearer, rules).is_server;
    if !old.iter().chain(new).any(|bearer| is_server(bearer)) {
        return false;
    }
    let place = |bearer: &Bearer| {
        let networks = bearer
            .endpoints
            .iter()
            .map(|endpoint| (endpoint.network.clone(), endpoint.network_id.clone()));
        (
            bearer.id.clone(),
            bearer.labels.clone(),
            bearer.of_image.clone(),
            bearer.mounts.clone(),
            bearer.elsewhere.clone(),
            networks.collect::<Vec<_>>(),
        )
    };
    match (old, new) {
        (Some(old), Some(new)) => place(old) != place(new),
        _ => true,
    }
}

/// The snapshot of these alone.
fn part(of: &Snapshot, names: &BTreeSet<ContainerName>) -> Snapshot {
    let known = names
        .iter()
        .filter_map(|name| of.bearers.get_key_value(name));
    Snapshot {
        bearers: known
            .map(|(name, bearer)| (name.clone(), Rc::clone(bearer)))
            .collect(),
        own: of.own.clone(),
        holders: of.holders.clone(),
    }
}

/// Puts what part of the bearers asks for in place of what they asked for before.
fn replace(
    desired: &mut Desired,
    part: Desired,
    affected: &BTreeSet<ContainerName>,
    hosts: &BTreeSet<Host>,
    certificates: &BTreeSet<CertificateName>,
) {
    for host in hosts {
        desired.uncovered.remove(host);
    }
    desired
        .complaints
        .retain(|complaint| !affected.contains(&complaint.origin.bearer));
    desired.hosts.take_over(&part.hosts, hosts);
    desired.uncovered.extend(part.uncovered);
    desired
        .certificates
        .take_over(&part.certificates, certificates);
    desired.complaints.extend(part.complaints);
    for (name, consumer) in part.consumers {
        let before = desired.consumers.remove(&name);
        desired
            .consumers
            .insert(name, Rc::new(with_other_sites(consumer, before, hosts)));
    }
}

/// The consumer with those sites that it had before and that are not among `hosts`.
fn with_other_sites(
    consumer: Rc<Consumer>,
    before: Option<Rc<Consumer>>,
    hosts: &BTreeSet<Host>,
) -> Consumer {
    let mut consumer = Rc::unwrap_or_clone(consumer);
    let Some(before) = before.map(Rc::unwrap_or_clone) else {
        return consumer;
    };
    let (mut sites, mut answers, mut uses) = (before.sites, before.answers, before.uses);
    sites.take_over(&consumer.sites, hosts);
    uses.take_over(&consumer.uses, hosts);
    for host in hosts {
        answers.remove(host);
    }
    answers.append(&mut consumer.answers);
    Consumer {
        sites,
        answers,
        uses,
        ..consumer
    }
}

/// A bearer as it was, and as it is.
type Change<'a> = (Option<&'a Rc<Bearer>>, Option<&'a Rc<Bearer>>);

/// The bearers that are not as they were.
fn changes<'a>(before: &'a Snapshot, now: &'a Snapshot) -> impl Iterator<Item = Change<'a>> {
    let changes = now.bearers.changes(&before.bearers);
    changes.map(|change| (change.before, change.now))
}

/// Hosts that are kept for somebody else than before. A host that is now kept for the bearer that got it, because
/// nobody had it, is where it was: that is so with all of them after the first look.
fn changed_holders(
    before: &KeyedTable<Host, Holder>,
    now: &KeyedTable<Host, Holder>,
    given: &Desired,
) -> BTreeSet<Host> {
    let is_elsewhere = |change: &TableChange<'_, Host, Holder>| match (change.before, change.now) {
        (Some(before), Some(now)) => (&before.project, before.free) != (&now.project, now.free),
        (None, Some(now)) => given.hosts.get(change.key) != Some(&now.project),
        (_, None) => true,
    };
    let changes = now.changes(before).filter(is_elsewhere);
    changes.map(|change| change.key.clone()).collect()
}

fn mention(
    mentions: &mut BTreeMap<Subject, Vec<ContainerName>>,
    name: &ContainerName,
    said: &BTreeSet<Subject>,
) {
    for subject in said {
        mentions
            .entry(subject.clone())
            .or_insert_with(|| Vec::with_capacity(1))
            .push(name.clone());
    }
}

/// Reads the labels of one bearer; [`desire()`] complains about what is wrong with them.
fn read(bearer: &Bearer, rules: &LabelRules) -> Spec {
    rules.dialects.read(bearer, &mut BTreeSet::new())
}

/// The subjects about which a bearer says something.
fn subjects(spec: &Spec) -> BTreeSet<Subject> {
    let mut subjects = BTreeSet::new();
    for site in spec.sites.values() {
        for host in site.all_names() {
            subjects.insert(Subject::of(host));
            subjects.extend(host.address().map(|_| Subject::Addresses));
        }
        subjects.extend(site.wish.certificate.clone().map(Subject::Certificate));
    }
    subjects.extend(spec.is_server.then_some(Subject::Servers));
    subjects
}

impl Subject {
    fn of(host: &Host) -> Self {
        Self::Certificate(CertificateName::from(host))
    }

    fn certificate(self) -> Option<CertificateName> {
        match self {
            Self::Certificate(name) => Some(name),
            Self::Addresses | Self::Servers => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::{collection::vec, prelude::*, sample::select};

    use super::{
        super::{Dialects, tests::*},
        *,
    };
    use crate::{
        desire::{HolderMemory, is_over, named},
        observe::{BearerState, Removed},
        values::{Grants, Timestamp},
    };

    /// Something that happens.
    #[derive(Clone, Debug)]
    enum Step {
        /// A container comes, or another takes its place.
        Set {
            number: u8,
            labels: Vec<(&'static str, &'static str)>,
            project: &'static str,
        },
        Stop(u8),
        Remove(u8),
        /// It was removed, and is remembered.
        Forget(u8),
        ProxyRestarts,
        ProxyMoves,
        /// The proxy ends, or runs again.
        ProxyRuns(bool),
        /// One that has the same folder comes.
        Twin,
        /// So many days pass.
        Days(u64),
        /// Its image can be seen, which has all its labels; or it can't be any more.
        ImageSeen(Option<u8>, bool),
    }

    const LABELS: &[(&str, &[&str])] = &[
        (
            "host",
            &[
                "a.example",
                "a.example, b.example",
                "*.a.example",
                "c.a.example d.example",
                "10.0.0.7",
                "10.0.0.8 ::1",
            ],
        ),
        ("redirect", &["www.a.example", "b.example"]),
        (
            "names",
            &["n.example", "a.example", "b.example x.example", "10.0.0.7"],
        ),
        ("certificate", &["one", "a.example", "b.example"]),
        ("path", &["/api"]),
        ("ca", &["none", "self-signed", "nonsense"]),
        ("tls", &["off", "both"]),
        ("site.x.host", &["x.example", "b.example"]),
        ("site.x.certificate", &["one"]),
        ("network", &["nowhere"]),
        ("kind", &["nginx", "mosquitto", "nonsense"]),
        ("use", &["a.example", "u.example b.example", "*"]),
        ("files", &["/etc/nginx/conf.d/certs"]),
    ];

    fn step() -> impl Strategy<Value = Step> {
        let label = select(LABELS)
            .prop_flat_map(|(key, values)| select(values).prop_map(move |value| (key, value)));
        // Most have a host, so that they meet.
        let host = select(LABELS[0].1).prop_map(|value| ("host", value));
        let labels =
            (host, vec(label, 0..4)).prop_map(|(host, others)| [vec![host], others].concat());
        let set = (0u8..6, labels, select(vec!["", "p", "q"]));
        prop_oneof![
            6 => set.prop_map(|(number, labels, project)| Step::Set { number, labels, project }),
            1 => (0u8..6).prop_map(Step::Stop),
            2 => (0u8..6).prop_map(Step::Remove),
            1 => (0u8..6).prop_map(Step::Forget),
            1 => Just(Step::ProxyRestarts),
            1 => Just(Step::ProxyMoves),
            1 => any::<bool>().prop_map(Step::ProxyRuns),
            1 => Just(Step::Twin),
            1 => (1u64..9).prop_map(Step::Days),
            1 => (proptest::option::of(0u8..6), any::<bool>()).prop_map(|(number, is_seen)| Step::ImageSeen(number, is_seen)),
        ]
    }

    /// Many that have nothing to do with the others.
    fn crowd() -> Snapshot {
        let other = |n: u8| {
            container(&format!("other{n}"), 100 + n).label("host", &format!("other{n}.example"))
        };
        snapshot((0..40).map(other).chain([proxy()]))
    }

    fn name(number: u8) -> ContainerName {
        ContainerName::parse(format!("c{number}")).expect("a name")
    }

    fn happen(snapshot: &mut Snapshot, step: &Step, now: &mut Timestamp) {
        let change = |snapshot: &mut Snapshot, name: &str, change: &dyn Fn(&mut Bearer)| {
            let known = snapshot
                .bearers
                .get_mut(&ContainerName::parse(name).expect("a name"));
            known
                .into_iter()
                .for_each(|container| change(Rc::make_mut(container)));
        };
        match step {
            Step::Set {
                number,
                labels,
                project,
            } => {
                let made = labels.iter().fold(
                    container(&format!("c{number}"), *number),
                    |made, (key, value)| made.label(key, value),
                );
                let made = if project.is_empty() {
                    made
                } else {
                    made.project_is(project)
                };
                snapshot.bearers.insert(name(*number), made.into());
            }
            Step::Stop(number) => {
                change(snapshot, name(*number).as_str(), &|c| {
                    c.state = BearerState::Other("exited".into())
                });
            }
            Step::Remove(number) => drop(snapshot.bearers.remove(&name(*number))),
            Step::Forget(number) => {
                let (name, at) = (name(*number), *now);
                change(snapshot, name.as_str(), &|c| {
                    *c = Removed::of(c, at).bearer();
                });
            }
            Step::ProxyRestarts => change(snapshot, "proxy", &|proxy| {
                proxy.started_at = proxy.started_at.map(|time| time + Duration::from_secs(1));
            }),
            Step::ProxyRuns(runs) => change(snapshot, "proxy", &|proxy| {
                proxy.state = match runs {
                    true => BearerState::Running,
                    false => BearerState::Other("exited".into()),
                };
            }),
            Step::Twin => {
                let twin = Bearer {
                    name: name(5),
                    ..proxy()
                };
                snapshot.bearers.insert(name(5), twin.into());
            }
            Step::ProxyMoves => change(snapshot, "proxy", &|proxy| {
                let endpoint = proxy.endpoints.iter_mut().next().expect("it is on one");
                endpoint.network_id = if endpoint.network_id == "net-1" {
                    "net-2"
                } else {
                    "net-1"
                }
                .into();
            }),
            Step::ImageSeen(number, is_seen) => {
                let name = number.map_or("proxy".to_owned(), |number| format!("c{number}"));
                change(snapshot, &name, &|bearer| {
                    let asked = Dialects::native("quaymaster")
                        .interest()
                        .of_image
                        .into_iter();
                    let has = |label: &String| *is_seen && bearer.labels.contains_key(label);
                    bearer.of_image = asked.filter(has).collect();
                });
            }
            Step::Days(days) => *now = *now + Duration::from_secs(days * 24 * 3600),
        }
    }

    proptest! {
        #![proptest_config(crate::values::chance::fixed(200))]
        #[test]
        fn what_is_remembered_changes_nothing(steps in vec(step(), 1..20), granted in any::<bool>(), named_too in any::<bool>()) {
            let grants = granted.then(|| Grants::parse("p = \"*.example proxy\"\nq = \"a.example\"").expect("a table"));
            let rules = LabelRules { grants, ..rules() };
            let (mut reading, mut holders) = (Reading::default(), HolderMemory::default());
            let mut snapshot = crowd();
            let named_hosts = ["a.example", "u.example", "other3.example"];
            let named_hosts = named_hosts.map(|host| Host::parse(host).expect("a host")).into();
            let of_settings = named(&named_hosts).filter(|_| named_too);
            snapshot.bearers.extend(of_settings.map(|it| (it.name.clone(), it.into())));
            let mut now = Timestamp::from_seconds(1_800_000_000);
            for step in &steps {
                happen(&mut snapshot, step, &mut now);
                let is_over = |holder: &Holder| is_over(holder, now) && !holder.free;
                if snapshot.holders.values().any(is_over) {
                    let holders = snapshot.holders.values_mut();
                    holders.filter(|holder| is_over(holder)).for_each(|holder| holder.free = true);
                }
                let remembered = reading.desire(&snapshot, &rules);
                prop_assert_eq!(&*remembered, &desire(&snapshot, &rules), "after {:?}", step);
                let is_kept = |host: &Host| remembered.keeps(host);
                let (before, hosts) = (&snapshot.holders, &remembered.hosts);
                let next = holders.follow(before, hosts, |_| true, is_kept, now);
                prop_assert_eq!(&next, &HolderMemory::default().follow(before, hosts, |_| true, is_kept, now));
                if let Some(next) = next {
                    snapshot.holders = next;
                }
            }
        }
    }

    #[test]
    fn what_has_nothing_to_do_with_a_change_is_not_read_again() {
        let (mut reading, mut snapshot) = (Reading::default(), crowd());
        let sites = |desired: &Desired| {
            desired
                .consumers
                .values()
                .next()
                .expect("the proxy")
                .sites
                .clone()
        };
        let before = sites(&reading.desire(&snapshot, &rules()));
        snapshot.bearers.insert(
            name(1),
            container("c1", 1)
                .label("host", "other7.example, a.example")
                .into(),
        );
        let after = sites(&reading.desire(&snapshot, &rules()));
        let same = before.iter().filter(|(host, site)| {
            after
                .get(*host)
                .is_some_and(|after| Rc::ptr_eq(site, after))
        });
        assert_eq!((before.len(), same.count(), after.len()), (40, 39, 41));
    }
}
