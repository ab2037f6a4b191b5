//! The servers that we configure: their folders on both sides, and what each serves.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
};

use super::{
    CertificateFolder, Complaint, Consumer, Folder, Rules, Site,
    claims::Claim,
    kinds::Kind,
    labels::{Spec, words},
};
use crate::{
    observe::{Container, Place, Snapshot, find, locate},
    values::{CertificateName, ContainerName, DnsName},
};

/// The servers with a kind whose config folder we can write to.
pub(super) fn resolve(
    snapshot: &Snapshot,
    specs: &BTreeMap<&ContainerName, Spec>,
    rules: &Rules,
    complaints: &mut BTreeSet<Complaint>,
) -> BTreeMap<ContainerName, Consumer> {
    let mut consumers = BTreeMap::new();
    for container in snapshot.containers.values() {
        let Some(kind) = specs.get(&container.name).and_then(|spec| spec.kind) else { continue };
        match consumer(container, kind, snapshot.own.as_ref(), rules) {
            Ok(consumer) => drop(consumers.insert(container.name.clone(), consumer)),
            Err(complaint) => drop(complaints.insert(complaint)),
        }
    }
    consumers
}

fn consumer(
    container: &Container,
    kind: &'static Kind,
    own: Option<&Container>,
    rules: &Rules,
) -> Result<Consumer, Complaint> {
    let theirs = PathBuf::from(kind.config);
    let ours = ours(container, &theirs, own).map_err(|gap| gap.complaint(container, kind, own, rules))?;
    let config = Folder { ours, theirs };
    let shared = |path: &Path| {
        let place = match own {
            Some(own) => locate(&own.mounts, path)?,
            None => Place::Host(path.to_owned()),
        };
        find(&container.mounts, &place, false)
    };
    let certificates = match shared(&rules.certificates) {
        Some(theirs) => CertificateFolder::Shared { theirs: theirs.join("live") },
        None => CertificateFolder::Delivered(config.within("certificates")),
    };
    let webroot = rules
        .webroot
        .as_ref()
        .and_then(|ours| Some(Folder { ours: ours.clone(), theirs: shared(ours)? }))
        .unwrap_or_else(|| config.within("challenge"));
    Ok(Consumer {
        name: container.name.clone(),
        id: container.id.clone(),
        kind,
        running: container.is_running(),
        started_at: container.started_at,
        config,
        certificates,
        webroot,
        address: address_for_us(container, own),
        sites: BTreeMap::new(),
    })
}

impl Folder {
    fn within(&self, name: &str) -> Self {
        Self { ours: self.ours.join(name), theirs: self.theirs.join(name) }
    }
}

/// Why a consumer's folder can't be written.
enum Gap {
    /// Nothing that could be shared is mounted there.
    NotMounted,
    /// We don't mount what it mounts there.
    NotOurs(Place),
    /// We mount it, but read-only.
    ReadOnly(PathBuf),
}

/// Where a folder of the container is for us.
fn ours(container: &Container, theirs: &Path, own: Option<&Container>) -> Result<PathBuf, Gap> {
    let place = locate(&container.mounts, theirs).ok_or(Gap::NotMounted)?;
    match (own, &place) {
        (Some(own), _) => find(&own.mounts, &place, true).ok_or_else(|| match find(&own.mounts, &place, false) {
            Some(path) => Gap::ReadOnly(path),
            None => Gap::NotOurs(place),
        }),
        // On the host itself, what it mounts is where the engine keeps it.
        (None, Place::Host(path) | Place::Volume { on_host: Some(path), .. }) => Ok(path.clone()),
        (None, _) => Err(Gap::NotMounted),
    }
}

impl Gap {
    fn complaint(self, container: &Container, kind: &Kind, own: Option<&Container>, rules: &Rules) -> Complaint {
        let (folder, us) = (kind.config, own.map_or("quaymaster", Container::service));
        let them = container.service();
        let (problem, remedy) = match self {
            Self::NotMounted => (
                format!("its folder {folder} is on no volume, so nothing can be written there"),
                format!(
                    "in Compose, add `volumes: [\"edge:{folder}:ro\"]` to service {them}, `volumes: [\"edge:/edge\"]` to \
                     service {us}, and `edge:` under the top-level volumes"
                ),
            ),
            Self::NotOurs(place) => (
                format!("its folder {folder} is not mounted here"),
                format!("in Compose, add `volumes: [\"{}\"]` to service {us}", mount_line(&place, container)),
            ),
            Self::ReadOnly(path) => (
                format!("its folder {folder} is mounted here read-only, at {}", path.display()),
                format!("in Compose, remove `:ro` from the volume at {} of service {us}", path.display()),
            ),
        };
        let label = format!("{}.kind", rules.label_prefix);
        Complaint { container: container.name.clone(), label, value: kind.name.to_owned(), problem, remedy }
    }
}

/// What to write in Compose to mount the place where the consumer has it.
fn mount_line(place: &Place, container: &Container) -> String {
    match place {
        // Compose puts the project before a volume's name; people write it without.
        Place::Volume { name, .. } => {
            let project = container.project().map(|project| format!("{project}_"));
            let short = project.and_then(|project| name.strip_prefix(&project)).unwrap_or(name);
            format!("{short}:/{short}")
        }
        Place::Host(path) => format!("{}:/edge", path.display()),
    }
}

/// Where we reach a container: on a network that we share, or on any when we are on the host itself.
fn address_for_us(container: &Container, own: Option<&Container>) -> Option<IpAddr> {
    match own {
        Some(own) => shared_address(container, own),
        None => container.networks.values().find_map(|network| network.address),
    }
}

/// Where `from` reaches `container`: its address on the first network that both are on.
fn shared_address(container: &Container, from: &Container) -> Option<IpAddr> {
    let both = |id: &str| from.networks.values().any(|network| network.id == id);
    container.networks.values().find(|network| both(&network.id) && network.address.is_some())?.address
}

/// Adds the host to each proxy that shares a network with a container behind it, and says which these are.
pub(super) fn serve(
    consumers: &mut BTreeMap<ContainerName, Consumer>,
    host: &DnsName,
    claim: &Claim<'_>,
    snapshot: &Snapshot,
    rules: &Rules,
    complaints: &mut BTreeSet<Complaint>,
) -> BTreeSet<ContainerName> {
    let mut served_by = BTreeSet::new();
    for consumer in consumers.values_mut() {
        let Some(proxy) = snapshot.containers.get(&consumer.name) else { continue };
        let Some(site) = site(host, claim, proxy) else { continue };
        consumer.sites.insert(host.clone(), site);
        served_by.insert(consumer.name.clone());
    }
    if served_by.is_empty() {
        complaints.extend(claim.behind.iter().map(|(container, _)| unserved(container, host, consumers, rules)));
    }
    served_by
}

/// The site as this proxy sees it; `None` when it shares no network with any container behind it.
fn site(host: &DnsName, claim: &Claim<'_>, proxy: &Container) -> Option<Site> {
    let near: Vec<_> = claim.behind.iter().filter(|(container, _)| share_a_network(container, proxy)).collect();
    let upstreams = near
        .iter()
        .filter(|(container, _)| container.takes_traffic())
        .filter_map(|(container, port)| Some(SocketAddr::new(shared_address(container, proxy)?, *port)))
        .collect();
    let containers = near.iter().map(|(container, _)| container.name.clone()).collect();
    (!near.is_empty()).then(|| Site { certificate: CertificateName::from(host), containers, upstreams })
}

fn share_a_network(one: &Container, other: &Container) -> bool {
    one.networks.values().any(|network| other.networks.values().any(|theirs| theirs.id == network.id))
}

fn unserved(
    container: &Container,
    host: &DnsName,
    consumers: &BTreeMap<ContainerName, Consumer>,
    rules: &Rules,
) -> Complaint {
    let prefix = &rules.label_prefix;
    let (problem, remedy) = match consumers.is_empty() {
        true => (
            "no proxy is there to serve it".to_owned(),
            format!("start a proxy with the label {prefix}.kind=nginx on one of its networks"),
        ),
        false => (
            format!(
                "no proxy shares a network with it; there is {}",
                words(consumers.keys().map(ContainerName::to_string))
            ),
            format!(
                "put both on one network; it is on {}",
                words(container.networks.keys().cloned().chain(container.networks.is_empty().then(|| "none".into())))
            ),
        ),
    };
    let label = format!("{prefix}.host");
    Complaint { container: container.name.clone(), label, value: host.to_string(), problem, remedy }
}
