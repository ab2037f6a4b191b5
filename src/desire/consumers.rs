//! The servers that we configure: their folders on both sides, and what each serves.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    path::{self, PathBuf},
    rc::Rc,
};

use itertools::Itertools;

use super::{
    Auth, CertificateFolder, Complaint, Consumer, Folder, Guard, Kept, LabelRules, Path, Pin,
    Reload, Route, Site, SiteContent, Wanted, away,
    claims::{Claim, Purpose},
    hosts::{ClaimedContent, HostDecision},
    kinds::Kind,
    labels::{self, words},
    pid1,
    reach::{self, is_on},
    rights, signals,
    spec::{HealthUse, ProxySpec, Spec},
};
use crate::{
    observe::{Container, Joined, Network, Place, SharedPath, Snapshot, find, locate, source},
    values::{CertificateName, ContainerName, Host, Owner, Right},
};

/// Where proxies listen inside their containers, unless a label says otherwise.
const HTTP_PORT: u16 = 80;
const HTTPS_PORT: u16 = 443;

/// The servers with a kind whose config folder we can write to.
pub(super) fn resolve(
    snapshot: &Snapshot,
    specs: &BTreeMap<&ContainerName, Spec>,
    rules: &LabelRules,
    complaints: &mut BTreeSet<Complaint>,
) -> BTreeMap<ContainerName, Consumer> {
    let mut consumers = BTreeMap::new();
    let containers = snapshot.containers.values();
    for container in containers.filter(|container| container.removed().is_none()) {
        let Some(spec) = specs.get(&container.name) else {
            continue;
        };
        // One whose labels can't be followed keeps what it has.
        let Some(kind) = spec.kind.filter(|_| !spec.proxy.spoiled) else {
            continue;
        };
        let own = snapshot.own.as_ref();
        if let Some(refusal) = rights::refusal(container, Right::Proxy, "kind", own, rules) {
            complaints.insert(refusal);
            continue;
        }
        let proxy = granted(container, &spec.proxy, own, rules, complaints);
        match consumer(container, kind, &proxy, own, rules) {
            Ok(consumer) => {
                complaints.extend(unsignalled(&consumer, rules));
                complaints.extend(signals::complaint(&consumer, container, own, rules));
                consumers.insert(container.name.clone(), consumer);
            }
            Err(complaint) => drop(complaints.insert(complaint)),
        }
    }
    consumers
}

/// Without what its labels ask for and it is not allowed.
fn granted(
    container: &Container,
    spec: &ProxySpec,
    own: Option<&Container>,
    rules: &LabelRules,
    complaints: &mut BTreeSet<Complaint>,
) -> ProxySpec {
    let mut refused = |right, key| {
        let refusal = rights::refusal(container, right, key, own, rules).map(|refusal| Complaint {
            remedy: format!(
                "{}; until then it is configured as without this label",
                refusal.remedy
            ),
            ..refusal
        });
        let is_refused = refusal.is_some();
        complaints.extend(refusal);
        is_refused
    };
    let mut spec = spec.clone();
    spec.reload = spec
        .reload
        .filter(|reload| !reload.right().is_some_and(|right| refused(right, "reload")));
    spec.check = spec.check.filter(|_| !refused(Right::Exec, "check"));
    spec
}

fn consumer(
    container: &Container,
    kind: &'static Kind,
    spec: &ProxySpec,
    own: Option<&Container>,
    rules: &LabelRules,
) -> Result<Consumer, Complaint> {
    let theirs = spec
        .config
        .clone()
        .unwrap_or_else(|| PathBuf::from(kind.config));
    let config = ours(container, &theirs, own)
        .map(|ours| Folder {
            ours,
            theirs: theirs.clone(),
        })
        .map_err(|gap| gap.complaint(container, &theirs, own, rules))?;
    let owner = owner(container, spec, rules)?;
    // Keys there are for our user alone: another one reads copies.
    let shared = place_of(&rules.certificates, own)
        .filter(|_| owner.is_none())
        .and_then(|place| find(&container.mounts, &place, false));
    let certificates = match shared {
        Some(theirs) => CertificateFolder::Shared {
            theirs: theirs.join("live"),
        },
        None => CertificateFolder::Delivered(config.within("certificates")),
    };
    let webroot = webroot(container, spec, &config, own, rules)?;
    let (http_port, https_port) = (
        spec.http_port.unwrap_or(HTTP_PORT),
        spec.https_port.unwrap_or(HTTPS_PORT),
    );
    let outside = |port, usual| reach::outside(container, port, usual);
    Ok(Consumer {
        name: container.name.clone(),
        id: container.id.clone(),
        kind,
        running: container.is_running(),
        started_at: container.started_at,
        ended_at: container.ended_at,
        made_of: container.made_of(),
        config,
        certificates,
        webroot,
        reach: reach::reach(container, own, http_port, https_port),
        http_port,
        https_port,
        public_http_port: (spec.public_http_port).unwrap_or_else(|| outside(http_port, HTTP_PORT)),
        public_https_port: (spec.public_https_port)
            .unwrap_or_else(|| outside(https_port, HTTPS_PORT)),
        owner,
        reload: reload(container, kind, spec),
        way: signals::signal_way(container, own),
        check: spec.check.as_ref().map(|words| check(kind, words)),
        trusted_proxies: rules.trusted_proxies.clone(),
        guard: guard(container, own, [http_port, https_port]),
        has_dns: reach::has_dns(container),
        sites: BTreeMap::new(),
        answers: BTreeSet::new(),
    })
}

/// The gate is opened from here, so that it needs a proxy that can be reached when it runs.
fn guard(container: &Container, own: Option<&Container>, ports: [u16; 2]) -> Guard {
    match container.has_own_shm && reach::could_be_reached(container, own, ports) {
        true => Guard::Gate,
        false if reach::has_dns(container) => Guard::Names,
        false => Guard::Nothing,
    }
}

/// Who is to own the keys that a server is given: as its label says, else the user that it runs as; none for root.
fn owner(
    container: &Container,
    spec: &ProxySpec,
    rules: &LabelRules,
) -> Result<Option<Owner>, Complaint> {
    let user = container.user.as_str();
    let owner = spec.owner.or_else(|| Owner::of_container(user));
    let is_known = owner.is_some() || matches!(user.split(':').next(), Some("" | "root"));
    if is_known {
        return Ok(owner.filter(|owner| owner.user != 0));
    }
    let (prefix, name) = (&rules.label_prefix, &container.name);
    let label = format!("{prefix}.kind");
    let value = container.labels.get(&label).cloned().unwrap_or_default();
    Err(Complaint {
        container: name.clone(),
        label,
        value,
        problem: format!(
            "it runs as user {user}, who could not read the keys of its certificates: nobody here knows that user's number"
        ),
        remedy: format!(
            "write the number that `docker exec {name} id -u` prints into its label {prefix}.owner, such as {prefix}.owner=33"
        ),
    })
}

/// Where the proxy reads responses to challenges: where its label says, else where it mounts our folder for them, else
/// within its own.
fn webroot(
    container: &Container,
    spec: &ProxySpec,
    config: &Folder,
    own: Option<&Container>,
    rules: &LabelRules,
) -> Result<Folder, Complaint> {
    if let Some(theirs) = &spec.webroot {
        return ours(container, theirs, own)
            .map(|ours| Folder {
                ours,
                theirs: theirs.clone(),
            })
            .map_err(|gap| gap.complaint(container, theirs, own, rules));
    }
    let shared = rules.webroot.as_ref().and_then(|ours| {
        let place = place_of(ours, own)?;
        Some(Folder {
            ours: own.map_or_else(
                || SharedPath::top(ours),
                |own| SharedPath::seen(&own.mounts, ours),
            ),
            theirs: find(&container.mounts, &place, false)?,
        })
    });
    Ok(shared.unwrap_or_else(|| config.within("challenge")))
}

/// Which place a path of ours is.
fn place_of(path: &path::Path, own: Option<&Container>) -> Option<Place> {
    match own {
        Some(own) => locate(&own.mounts, path),
        None => Some(Place::Host(path.to_owned())),
    }
}

/// The label is followed without a look at the first process: whoever writes it knows that process.
fn reload(container: &Container, kind: &Kind, spec: &ProxySpec) -> Reload {
    match (&spec.reload, pid1::swallows_signals(container)) {
        (Some(reload), _) => reload.clone(),
        (None, Some(reason)) => Reload::Swallowed { reason },
        (None, None) => Reload::Signal(kind.reload),
    }
}

/// The words of the label, else those of the kind.
fn check(kind: &Kind, words: &[String]) -> Vec<String> {
    match words {
        [] => kind.check.iter().map(|word| (*word).to_owned()).collect(),
        _ => words.to_vec(),
    }
}

fn unsignalled(consumer: &Consumer, rules: &LabelRules) -> Option<Complaint> {
    let Reload::Swallowed { reason } = &consumer.reload else {
        return None;
    };
    Some(Complaint {
        container: consumer.name.clone(),
        label: format!("{}.kind", rules.label_prefix),
        value: consumer.kind.name.to_owned(),
        problem: format!("it can't be told to reload: {reason}"),
        remedy: format!(
            "write `exec` before the server in its command; or, if it follows signals, the label {}.reload={}; until \
             then it gets its files and reads them when it starts",
            rules.label_prefix, consumer.kind.reload
        ),
    })
}

impl Folder {
    fn within(&self, name: &str) -> Self {
        Self {
            ours: self.ours.join(name),
            theirs: self.theirs.join(name),
        }
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
fn ours(
    container: &Container,
    theirs: &path::Path,
    own: Option<&Container>,
) -> Result<SharedPath, Gap> {
    let place = locate(&container.mounts, theirs).ok_or(Gap::NotMounted)?;
    match (own, &place) {
        (Some(own), _) => find(&own.mounts, &place, true)
            .map(|path| SharedPath::seen(&own.mounts, path))
            .ok_or_else(|| match find(&own.mounts, &place, false) {
                Some(path) => Gap::ReadOnly(path),
                None => Gap::NotOurs(place),
            }),
        (None, place) => on_host(container, theirs, place).ok_or(Gap::NotMounted),
    }
}

/// On the host itself, what a container mounts is where the engine keeps it.
fn on_host(container: &Container, theirs: &path::Path, place: &Place) -> Option<SharedPath> {
    let (Place::Host(path)
    | Place::Volume {
        on_host: Some(path),
        ..
    }) = place
    else {
        return None;
    };
    Some(match source(&container.mounts, theirs) {
        Some(mount) => SharedPath::beneath(mount, path),
        None => SharedPath::top(path),
    })
}

/// Where a file of the container is for us, if it can be seen from here.
fn seen_here(
    container: &Container,
    theirs: &path::Path,
    own: Option<&Container>,
) -> Option<SharedPath> {
    let place = locate(&container.mounts, theirs)?;
    match own {
        Some(own) => {
            let path = find(&own.mounts, &place, false)?;
            Some(SharedPath::seen(&own.mounts, path))
        }
        None => on_host(container, theirs, &place),
    }
}

impl Gap {
    fn complaint(
        self,
        container: &Container,
        folder: &path::Path,
        own: Option<&Container>,
        rules: &LabelRules,
    ) -> Complaint {
        let (folder, us) = (
            folder.display(),
            own.map_or("quaymaster", Container::service),
        );
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
                format!(
                    "in Compose, add `volumes: [\"{}\"]` to service {us}",
                    mount_line(&place, container)
                ),
            ),
            Self::ReadOnly(path) => (
                format!(
                    "its folder {folder} is mounted here read-only, at {}",
                    path.display()
                ),
                format!(
                    "in Compose, remove `:ro` from the volume at {} of service {us}",
                    path.display()
                ),
            ),
        };
        let label = format!("{}.kind", rules.label_prefix);
        let value = container.labels.get(&label).cloned().unwrap_or_default();
        Complaint {
            container: container.name.clone(),
            label,
            value,
            problem,
            remedy,
        }
    }
}

/// What to write in Compose to mount the place where the consumer has it.
fn mount_line(place: &Place, container: &Container) -> String {
    match place {
        // Compose puts the project before a volume's name; people write it without.
        Place::Volume { name, .. } => {
            let project = container.project().map(|project| format!("{project}_"));
            let short = project
                .and_then(|project| name.strip_prefix(&project))
                .unwrap_or(name);
            format!("{short}:/{short}")
        }
        Place::Host(path) => format!("{}:/edge", path.display()),
    }
}

/// Adds the host to each proxy that may serve it, and says which these are.
pub(super) fn serve(
    consumers: &mut BTreeMap<ContainerName, Consumer>,
    host: &Host,
    held: &HostDecision<'_>,
    certificate: Option<&CertificateName>,
    snapshot: &Snapshot,
    rules: &LabelRules,
    complaints: &mut BTreeSet<Complaint>,
) -> BTreeSet<ContainerName> {
    let mut served_by = BTreeSet::new();
    for consumer in consumers.values_mut() {
        let Some(proxy) = snapshot.containers.get(&consumer.name) else {
            continue;
        };
        let Some(site) = site(host, held, certificate, proxy, rules) else {
            continue;
        };
        consumer.sites.insert(host.clone(), Rc::new(site));
        served_by.insert(consumer.name.clone());
    }
    if served_by.is_empty() {
        // Where nothing is to be served there is no claim, either.
        let claims = held.claims().into_iter();
        complaints.extend(
            claims
                .filter(|claim| !waits_for_a_proxy(claim, consumers, snapshot, rules))
                .map(|claim| unserved(claim, host, consumers, rules)),
        );
    }
    served_by
}

/// Has the proxies of a certificate answer for those of its names that they don't serve.
pub(super) fn answer(consumers: &mut BTreeMap<ContainerName, Consumer>, wanted: &Wanted) {
    for consumer in consumers
        .values_mut()
        .filter(|consumer| wanted.served_by.contains(&consumer.name))
    {
        let further = wanted
            .names
            .iter()
            .filter(|host| !consumer.sites.contains_key(*host) && !host.is_wildcard());
        consumer.answers.extend(further.cloned());
    }
}

/// Tells of addresses that are shown another's certificate: clients send no name when they ask for an address, and a
/// proxy shows one certificate to all of these.
pub(super) fn tell_nameless(
    consumers: &BTreeMap<ContainerName, Consumer>,
    hosts: &BTreeMap<Host, HostDecision<'_>>,
    rules: &LabelRules,
    complaints: &mut BTreeSet<Complaint>,
) {
    for consumer in consumers.values() {
        let addresses = consumer
            .sites
            .iter()
            .filter(|(host, site)| host.address().is_some() && site.certificate.is_some());
        let mut addresses = addresses.map(|(host, site)| (host, &site.certificate));
        let Some((first, shown)) = addresses.next() else {
            continue;
        };
        for (host, _) in addresses.filter(|(_, certificate)| *certificate != shown) {
            let problem = format!(
                "{} shows all who ask for an address the certificate of {first}",
                consumer.name
            );
            let remedy = "put the addresses on one certificate with the label certificate, or on different proxies";
            let claims = hosts
                .get(host)
                .map(HostDecision::claims)
                .unwrap_or_default();
            complaints.extend(claims.iter().map(|claim| {
                claim.complaint(rules, claim.key(), host.as_str(), problem.clone(), remedy)
            }));
        }
    }
}

/// The files of passwords that can be seen from here, with what there is to say as long as they are not there.
pub(super) fn password_files(
    consumers: &BTreeMap<ContainerName, Consumer>,
    hosts: &BTreeMap<Host, HostDecision<'_>>,
    snapshot: &Snapshot,
    rules: &LabelRules,
) -> BTreeMap<SharedPath, BTreeSet<Complaint>> {
    let own = snapshot.own.as_ref();
    let mut files: BTreeMap<SharedPath, BTreeSet<Complaint>> = BTreeMap::new();
    for consumer in consumers.values() {
        let Some(proxy) = snapshot.containers.get(&consumer.name) else {
            continue;
        };
        let asking = consumer
            .sites
            .iter()
            .filter(|(_, site)| site.asks_for_password());
        let claims = asking.filter_map(|(host, _)| Some(hosts.get(host)?.claims()));
        for claim in claims.flatten().filter(|claim| is_for(claim, proxy)) {
            let Some(file) = claim.spec.auth.as_ref() else {
                continue;
            };
            if let Some(ours) = seen_here(proxy, path::Path::new(file), own) {
                let told = no_passwords(claim, file, proxy, &ours, rules);
                files.entry(ours).or_default().insert(told);
            }
        }
    }
    files
}

fn no_passwords(
    claim: &Claim<'_>,
    file: &str,
    proxy: &Container,
    ours: &SharedPath,
    rules: &LabelRules,
) -> Complaint {
    let name = &proxy.name;
    let problem =
        format!("there is no such file in {name}: {ours} here, where it should be, is none");
    let remedy = format!(
        "write it, with a line NAME:HASH for each who may come in (`openssl passwd -apr1` prints a HASH), or name another \
         file of {name}; until then nobody is let in"
    );
    claim.complaint(rules, "auth", file, problem, &remedy)
}

/// The site as this proxy sees it; `None` when it is to serve none of the containers behind it.
fn site(
    host: &Host,
    held: &HostDecision<'_>,
    certificate: Option<&CertificateName>,
    proxy: &Container,
    rules: &LabelRules,
) -> Option<Site> {
    let content = match &held.content {
        ClaimedContent::Nothing => return None,
        ClaimedContent::Redirect { to, said_by } => said_by
            .iter()
            .any(|claim| is_for(claim, proxy))
            .then(|| SiteContent::Redirect(to.clone()))?,
        ClaimedContent::Routes(routes) => {
            let near: Box<[_]> = routes
                .iter()
                .filter_map(|(path, claims)| Some((path.clone(), route(host, claims, proxy)?)))
                .collect();
            (!near.is_empty()).then_some(SiteContent::Routes(near))?
        }
    };
    let claims = held.claims();
    let near = claims.iter().filter(|claim| is_for(claim, proxy));
    Some(Site {
        kept: held.is_kept.then(|| Kept::of(&claims)),
        certificate: certificate.cloned(),
        pin: claims.iter().find_map(|claim| pin(claim, rules)),
        tls: held.tls,
        hsts: held.hsts,
        containers: near
            .map(|claim| claim.container.name.clone())
            .sorted()
            .dedup()
            .collect(),
        content,
    })
}

impl Kept {
    fn of(claims: &[&Claim<'_>]) -> Self {
        let removed: Option<Vec<_>> = claims
            .iter()
            .map(|claim| claim.container.removed())
            .collect();
        let last = removed.and_then(|times| times.into_iter().max());
        Self {
            until: last.map(away::forgotten_at),
        }
    }
}

fn pin(claim: &Claim<'_>, rules: &LabelRules) -> Option<Pin> {
    let certificate = claim.spec.wish.pin.clone()?;
    Some(Pin {
        certificate,
        container: claim.container.name.clone(),
        label: claim.label(rules, "pin"),
    })
}

/// One path of a site as this proxy sees it.
fn route(host: &Host, claims: &[Claim<'_>], proxy: &Container) -> Option<Route> {
    let near: Vec<_> = claims.iter().filter(|claim| is_for(claim, proxy)).collect();
    let spec = near.first()?.spec;
    let there = near.iter().filter(|claim| claim.container.is_there());
    let (traffic, idle): (Vec<&&Claim<'_>>, Vec<_>) = there.partition(|claim| takes_traffic(claim));
    let addresses = |claims: Vec<&&Claim<'_>>| {
        claims
            .into_iter()
            .filter_map(|claim| upstream(claim, proxy))
            .sorted()
            .dedup()
            .collect()
    };
    let realm = || spec.auth_realm.clone().unwrap_or_else(|| host.to_string());
    Some(Route {
        by_id: traffic.iter().find_map(|claim| by_id(claim, proxy)),
        upstreams: addresses(traffic),
        idle: addresses(idle),
        scheme: spec.scheme,
        replaced_by: spec
            .upstream_path
            .clone()
            .or_else(|| spec.strip.then(Path::default)),
        body_size: spec.body_size.clone(),
        timeout: spec.timeout,
        buffers: spec.buffers,
        auth: spec.auth.clone().map(|file| Auth {
            file,
            realm: realm(),
        }),
        allow: spec.allow.clone(),
    })
}

/// Whether requests may be sent to it now, as far as its label has its health checked.
fn takes_traffic(claim: &Claim<'_>) -> bool {
    match claim.spec.health {
        HealthUse::Check => claim.container.takes_traffic(),
        HealthUse::Ignore => claim.container.is_running() && claim.container.waits.is_none(),
    }
}

/// Whether a label of a container says that requests are sent to it whatever its health check says.
pub fn ignores_health(container: &Container, label_prefix: &str) -> bool {
    let spec = labels::read(container, label_prefix, &mut BTreeSet::new());
    let mut sites = spec.sites.values();
    sites.any(|site| site.health == HealthUse::Ignore)
}

fn upstream(claim: &Claim<'_>, proxy: &Container) -> Option<SocketAddr> {
    let Purpose::Serve(port) = claim.purpose else {
        return None;
    };
    Some(SocketAddr::new(address(claim, proxy)?, port))
}

/// How the engine's DNS calls the container behind a claim when this proxy asks it: by the first digits of the id of the
/// one whose network it has.
fn by_id(claim: &Claim<'_>, proxy: &Container) -> Option<Box<str>> {
    let Purpose::Serve(port) = claim.purpose else {
        return None;
    };
    let container = claim.container;
    let id = container
        .joins
        .as_ref()
        .map_or(&container.id, |joins| &joins.id);
    reach::knows_by_id(proxy, container).then(|| format!("{}:{port}", id.short()).into())
}

/// Whether this proxy is to serve the claim: it is named, or none is, and they share the network that is meant.
fn is_for(claim: &Claim<'_>, proxy: &Container) -> bool {
    let via = &claim.spec.via;
    let is_named =
        via.is_empty() || via.contains(proxy.name.as_str()) || via.contains(proxy.service());
    let is_near = match &claim.spec.network {
        Some(name) => {
            let network = network(claim.container, name);
            network.is_some_and(|network| proxy.is_on_host() || is_on(proxy, &network.id))
        }
        None => reach::is_near(claim.container, proxy),
    };
    is_named && is_near
}

/// Where the proxy reaches the container behind a claim.
fn address(claim: &Claim<'_>, proxy: &Container) -> Option<IpAddr> {
    match &claim.spec.network {
        Some(name) if !claim.container.is_on_host() => network(claim.container, name)?.address,
        _ => reach::address(claim.container, proxy),
    }
}

/// The network that a label names: by its whole name, or without the Compose project before it.
fn network<'a>(container: &'a Container, name: &str) -> Option<&'a Network> {
    let within = container
        .project()
        .map(|project| format!("{project}_{name}"));
    container
        .network(name)
        .or_else(|| container.network(&within?))
}

/// Whether a proxy would serve the claim that can't be configured: that is told once, of the proxy, however many wait.
fn waits_for_a_proxy(
    claim: &Claim<'_>,
    consumers: &BTreeMap<ContainerName, Consumer>,
    snapshot: &Snapshot,
    rules: &LabelRules,
) -> bool {
    let label = format!("{}.kind", rules.label_prefix);
    let mut would_be = snapshot.containers.values().filter(|container| {
        container.labels.contains_key(&label) && !consumers.contains_key(&container.name)
    });
    would_be.any(|proxy| is_for(claim, proxy))
}

fn unserved(
    claim: &Claim<'_>,
    host: &Host,
    consumers: &BTreeMap<ContainerName, Consumer>,
    rules: &LabelRules,
) -> Complaint {
    let proxies = || words(consumers.keys().map(ContainerName::to_string));
    let networks = || {
        words(
            claim
                .container
                .networks
                .iter()
                .map(|network| network.name.clone()),
        )
    };
    let wrong = |key, value: &str, problem, remedy: String| {
        claim.complaint(rules, key, value, problem, &remedy)
    };
    if consumers.is_empty() {
        let remedy = format!(
            "start a proxy with the label {}.kind=nginx on one of its networks",
            rules.label_prefix
        );
        return wrong(
            "host",
            host.as_str(),
            "no proxy is there to serve it".to_owned(),
            remedy,
        );
    }
    if let Some(name) = claim
        .spec
        .network
        .as_ref()
        .filter(|name| network(claim.container, name).is_none())
    {
        return wrong(
            "network",
            name,
            "it is on no such network".to_owned(),
            is_on_networks(&networks()),
        );
    }
    if !claim.spec.via.is_empty() {
        let via = words(claim.spec.via.iter().cloned());
        let remedy = format!("name one of {}, on a network of its own", proxies());
        return wrong(
            "via",
            &via,
            "no such proxy shares a network with it".to_owned(),
            remedy,
        );
    }
    let (problem, remedy) = match (&claim.container.joins, claim.container.is_on_host()) {
        (Some(Joined { name: None, id }), _) => (
            format!("it uses the network of the container {id}, which is not there any more"),
            "make it anew: `docker-compose up -d --force-recreate`".to_owned(),
        ),
        (Some(Joined { name: Some(owner), .. }), false) => (
            format!("it uses the network of {owner}, which no proxy shares; there is {}", proxies()),
            format!("put {owner} on a network of a proxy; {}", is_on_networks(&networks())),
        ),
        (_, true) => (
            format!("it has the host's network, where only a proxy that has it, too, can ask it; there is {}", proxies()),
            "in Compose, take `network_mode: host` from it and put it on a network of a proxy, or write it to the proxy, \
             too".to_owned(),
        ),
        (None, false) => (
            format!("no proxy shares a network with it; there is {}", proxies()),
            format!("put both on one network; {}", is_on_networks(&networks())),
        ),
    };
    wrong("host", host.as_str(), problem, remedy)
}

fn is_on_networks(networks: &str) -> String {
    match networks {
        "" => "it is on none".to_owned(),
        _ => format!("it is on {networks}"),
    }
}
