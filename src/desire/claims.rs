//! Who claims which host name, and who gets it.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Complaint, Rules,
    labels::{Port, Spec, words},
};
use crate::{
    observe::{Container, Snapshot},
    values::{ContainerName, DnsName},
};

/// The containers behind one host name, with the port each is asked on.
pub(super) struct Claim<'a> {
    /// At least one.
    pub behind: Vec<(&'a Container, u16)>,
}

impl Claim<'_> {
    /// Their names.
    pub fn containers(&self) -> BTreeSet<ContainerName> {
        self.behind.iter().map(|(container, _)| container.name.clone()).collect()
    }
}

/// Gives each host name to the containers of one Compose project: that of the oldest container that claims it. The
/// others are complained about, so that nobody takes a name over by starting later.
pub(super) fn resolve<'a>(
    snapshot: &'a Snapshot,
    specs: &BTreeMap<&ContainerName, Spec>,
    rules: &Rules,
    complaints: &mut BTreeSet<Complaint>,
) -> BTreeMap<DnsName, Claim<'a>> {
    let mut by_host: BTreeMap<&DnsName, Vec<(&Container, u16)>> = BTreeMap::new();
    for container in snapshot.containers.values().filter(|container| container.is_there()) {
        let Some(spec) = specs.get(&container.name).filter(|spec| !spec.hosts.is_empty()) else { continue };
        let Some(port) = port(container, spec, rules, complaints) else { continue };
        for host in &spec.hosts {
            by_host.entry(host).or_default().push((container, port));
        }
    }
    by_host.into_iter().map(|(host, claims)| (host.clone(), decide(host, claims, rules, complaints))).collect()
}

fn decide<'a>(
    host: &DnsName,
    claims: Vec<(&'a Container, u16)>,
    rules: &Rules,
    complaints: &mut BTreeSet<Complaint>,
) -> Claim<'a> {
    let oldest = claims.iter().map(|(container, _)| *container).min_by_key(|c| (c.created, &c.name));
    let project = oldest.and_then(Container::project);
    let (behind, refused): (Vec<_>, Vec<_>) = claims.into_iter().partition(|(c, _)| c.project() == project);
    for (container, _) in refused {
        let holder = oldest.map_or("another container", |oldest| oldest.name.as_str());
        complaints.insert(Complaint {
            container: container.name.clone(),
            label: format!("{}.host", rules.label_prefix),
            value: host.to_string(),
            problem: format!("{host} belongs to {holder}, an older container of another project"),
            remedy: "use another name, or stop that container".to_owned(),
        });
    }
    Claim { behind }
}

/// The port that a container is asked on; `None`, with a complaint, when that can't be known.
fn port(container: &Container, spec: &Spec, rules: &Rules, complaints: &mut BTreeSet<Complaint>) -> Option<u16> {
    let exposed = &container.exposed;
    match (&spec.port, exposed.len()) {
        (Port::Said(port), _) => return Some(*port),
        (Port::Nonsense, _) => return None,
        (Port::Unsaid, 1) => return exposed.first().copied(),
        (Port::Unsaid, _) if exposed.contains(&80) => return Some(80),
        (Port::Unsaid, _) => {}
    }
    let problem = match exposed.is_empty() {
        true => "it exposes no TCP port, so it is not known where to ask it".to_owned(),
        false => format!("it exposes the ports {}, none of them 80", words(exposed.iter().map(u16::to_string))),
    };
    complaints.insert(Complaint {
        container: container.name.clone(),
        label: format!("{}.port", rules.label_prefix),
        value: String::new(),
        problem,
        remedy: format!("add the label {}.port=NUMBER to it", rules.label_prefix),
    });
    None
}
