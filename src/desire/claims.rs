//! Who claims which host name, and who gets it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{
    Complaint, Path, Rules, Tls,
    labels::{self, words},
    spec::{SiteSpec, Spec},
};
use crate::{
    observe::{Container, Snapshot},
    values::{ContainerName, DnsName},
};

/// A container that answers for a host name, or sends it elsewhere.
#[derive(Clone)]
pub(super) struct Claim<'a> {
    pub container: &'a Container,
    pub spec: &'a SiteSpec,
    /// The word of its site; empty for the one without.
    word: &'a str,
    /// Where it is asked; nothing for one that only redirects.
    pub port: u16,
    /// Where the host is sent, if it is not served.
    to: Option<&'a DnsName>,
}

/// What was decided about one host name.
pub(super) struct Held<'a> {
    pub tls: Tls,
    pub hsts: Option<Duration>,
    pub content: Content<'a>,
}

/// What a host name leads to.
pub(super) enum Content<'a> {
    /// Another name, said by these containers.
    Redirect { to: DnsName, said_by: Vec<Claim<'a>> },
    /// Containers by path; all of one path were told the same, at least one each.
    Routes(BTreeMap<Path, Vec<Claim<'a>>>),
}

impl<'a> Held<'a> {
    /// All claims that are followed.
    pub fn claims(&self) -> Vec<&Claim<'a>> {
        match &self.content {
            Content::Redirect { said_by, .. } => said_by.iter().collect(),
            Content::Routes(routes) => routes.values().flatten().collect(),
        }
    }

    /// The containers whose claims are followed.
    pub fn containers(&self) -> BTreeSet<ContainerName> {
        self.claims().iter().map(|claim| claim.container.name.clone()).collect()
    }
}

impl Claim<'_> {
    /// A complaint about one of the labels of this site.
    pub fn complaint(&self, rules: &Rules, key: &str, value: &str, problem: String, remedy: &str) -> Complaint {
        let site = if self.word.is_empty() { String::new() } else { format!("site.{}.", self.word) };
        Complaint {
            container: self.container.name.clone(),
            label: format!("{}.{site}{key}", rules.label_prefix),
            value: value.to_owned(),
            problem,
            remedy: remedy.to_owned(),
        }
    }
}

/// A container with a label that names a host, whether that is followed or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimant {
    /// The container.
    pub container: ContainerName,
    /// The whole label.
    pub label: String,
    /// Whether it counts now: one that has ended asks for nothing.
    pub is_there: bool,
}

/// All host names in labels, and whose labels these are, the oldest container first.
pub fn claimants(snapshot: &Snapshot, rules: &Rules) -> BTreeMap<DnsName, Vec<Claimant>> {
    let mut found: BTreeMap<DnsName, Vec<Claimant>> = BTreeMap::new();
    let mut containers: Vec<_> = snapshot.containers.values().collect();
    containers.sort_by_key(|container| (container.created, &container.name));
    for container in containers {
        let spec = labels::read(container, &rules.label_prefix, &mut BTreeSet::new());
        for (word, site) in &spec.sites {
            let names = site.hosts.iter().map(|host| (host, "host"));
            for (host, key) in names.chain(site.redirects.iter().map(|host| (host, "redirect"))) {
                let site = if word.is_empty() { String::new() } else { format!("site.{word}.") };
                let label = format!("{}.{site}{key}", rules.label_prefix);
                let is_there = container.is_there();
                found.entry(host.clone()).or_default().push(Claimant {
                    container: container.name.clone(),
                    label,
                    is_there,
                });
            }
        }
    }
    found
}

/// The names that are spelled most like one, or are above or below it, the nearest first.
pub fn nearest_names<'a>(names: impl Iterator<Item = &'a DnsName>, wanted: &DnsName) -> Vec<&'a DnsName> {
    /// So many slips of the finger are taken for one.
    const SLIPS: usize = 2;
    let under = |one: &DnsName, other: &DnsName| {
        one.as_str().strip_suffix(other.as_str()).is_some_and(|rest| rest.ends_with('.'))
    };
    let distance = |name: &DnsName| match under(name, wanted) || under(wanted, name) {
        true => SLIPS,
        false => strsim::damerau_levenshtein(name.as_str(), wanted.as_str()),
    };
    let mut near: Vec<_> =
        names.map(|name| (distance(name), name)).filter(|(distance, _)| *distance <= SLIPS).collect();
    near.sort();
    near.into_iter().map(|(_, name)| name).collect()
}

/// Gives each host name to the containers of one Compose project: that of the oldest container that claims it. The
/// others are complained about, so that nobody takes a name over by starting later.
pub(super) fn resolve<'a>(
    snapshot: &'a Snapshot,
    specs: &'a BTreeMap<&ContainerName, Spec>,
    rules: &Rules,
    complaints: &mut BTreeSet<Complaint>,
) -> BTreeMap<DnsName, Held<'a>> {
    let mut by_host: BTreeMap<&DnsName, Vec<Claim<'_>>> = BTreeMap::new();
    let mut containers: Vec<_> = snapshot.containers.values().filter(|container| container.is_there()).collect();
    containers.sort_by_key(|container| (container.created, &container.name));
    for container in containers {
        let Some(spec) = specs.get(&container.name) else { continue };
        for (word, site) in spec.sites.iter().filter(|(_, site)| !site.spoiled && !site.hosts.is_empty()) {
            let claim = Claim { container, spec: site, word, port: 0, to: None };
            let Some(port) = port(&claim, rules, complaints) else { continue };
            for host in &site.hosts {
                by_host.entry(host).or_default().push(Claim { port, ..claim.clone() });
            }
            for host in site.redirects.difference(&site.hosts) {
                by_host.entry(host).or_default().push(Claim { to: site.first.as_ref(), ..claim.clone() });
            }
        }
    }
    by_host
        .into_iter()
        .filter_map(|(host, claims)| Some((host.clone(), decide(host, claims, rules, complaints)?)))
        .collect()
}

/// Decides about one name. Claims come oldest first; whatever contradicts an older one is refused.
fn decide<'a>(
    host: &DnsName,
    claims: Vec<Claim<'a>>,
    rules: &Rules,
    complaints: &mut BTreeSet<Complaint>,
) -> Option<Held<'a>> {
    let oldest = claims.first()?.clone();
    let by = oldest.container.name.to_string();
    let mut refuse = |claim: &Claim<'_>, key: &str, problem: String, remedy: &str| {
        complaints.insert(claim.complaint(rules, key, host.as_str(), problem, remedy));
    };
    let (ours, others): (Vec<_>, Vec<_>) =
        claims.into_iter().partition(|claim| claim.container.project() == oldest.container.project());
    for claim in &others {
        let problem = format!("{host} belongs to {by}, an older container of another project");
        refuse(claim, "host", problem, "use another name, or stop that container");
    }
    for claim in &ours {
        if (claim.spec.tls, claim.spec.hsts) != (oldest.spec.tls, oldest.spec.hsts) {
            let problem = format!("{by} says something else for {host}, and it is older");
            refuse(claim, "tls", problem, "write the same tls and hsts on both");
        }
    }
    let (same, different): (Vec<_>, Vec<_>) = ours.into_iter().partition(|claim| claim.to == oldest.to);
    for claim in &different {
        let problem = format!("{host} is served by one container and redirected by another; {by} is older");
        refuse(claim, "redirect", problem, "take the name from one of them");
    }
    let content = match oldest.to {
        Some(to) => Content::Redirect { to: to.clone(), said_by: same },
        None => Content::Routes(routes(host, same, &mut refuse)),
    };
    Some(Held { tls: oldest.spec.tls, hsts: oldest.spec.hsts, content })
}

/// Containers by path. Those that share one must be asked in the same way: the load may go to any of them, and none
/// may be a way round the password of another.
fn routes<'a>(
    host: &DnsName,
    claims: Vec<Claim<'a>>,
    refuse: &mut impl FnMut(&Claim<'_>, &str, String, &str),
) -> BTreeMap<Path, Vec<Claim<'a>>> {
    let mut routes: BTreeMap<Path, Vec<Claim<'a>>> = BTreeMap::new();
    for claim in claims {
        let behind = routes.entry(claim.spec.path.clone()).or_default();
        match behind.first() {
            Some(first) if !is_asked_alike(first.spec, claim.spec) => {
                let path = &claim.spec.path;
                let problem =
                    format!("{} serves {host} at {path} with other labels, and it is older", first.container.name);
                refuse(&claim, "path", problem, "write the same labels on both, or another path");
            }
            _ => behind.push(claim),
        }
    }
    routes
}

/// Whether the CA can be asked for a certificate of this name; complains where it would refuse. The site is there all
/// the same.
pub(super) fn may_be_ordered(
    host: &DnsName,
    held: &Held<'_>,
    rules: &Rules,
    complaints: &mut BTreeSet<Complaint>,
) -> bool {
    let refused = rules.public_authority && host.is_reserved();
    if refused {
        let problem = format!("no public CA issues a certificate for {host}, a name for local use");
        let remedy = "use a public name, a CA of your own (setting ca), or the label tls=off; the CA is not asked";
        complaints.extend(
            held.claims().iter().map(|claim| claim.complaint(rules, "host", host.as_str(), problem.clone(), remedy)),
        );
    }
    !refused
}

fn is_asked_alike(one: &SiteSpec, other: &SiteSpec) -> bool {
    let of = |spec: &SiteSpec| {
        let SiteSpec { scheme, strip, upstream_path, body_size, auth, auth_realm, allow, .. } = spec.clone();
        (scheme, strip, upstream_path, body_size, auth, auth_realm, allow)
    };
    of(one) == of(other)
}

/// The port that a container is asked on; `None`, with a complaint, when that can't be known.
fn port(claim: &Claim<'_>, rules: &Rules, complaints: &mut BTreeSet<Complaint>) -> Option<u16> {
    let exposed = &claim.container.exposed;
    match (claim.spec.port, exposed.len()) {
        (Some(port), _) => return Some(port),
        (None, 1) => return exposed.first().copied(),
        (None, _) if exposed.contains(&80) => return Some(80),
        (None, _) => {}
    }
    let problem = match exposed.is_empty() {
        true => "it exposes no TCP port, so it is not known where to ask it".to_owned(),
        false => format!("it exposes the ports {}, none of them 80", words(exposed.iter().map(u16::to_string))),
    };
    complaints.insert(claim.complaint(rules, "port", "", problem, "add this label with the number of the port"));
    None
}
