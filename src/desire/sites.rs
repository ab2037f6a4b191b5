//! The sites of each server, and the bearers behind them.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    path,
    rc::Rc,
};

use itertools::Itertools;

use super::{
    Auth, Complaint, Consumer, Dialects, Kept, LabelRules, Path, Pin, Route, Site, SiteContent,
    Wanted, away,
    claims::{Claim, Purpose},
    folders::seen_here,
    hosts::{ClaimedContent, HostDecision},
    labels::words,
    reach::{self, is_on},
    spec::HealthUse,
};
use crate::{
    observe::{Bearer, Endpoint, Joined, SharedPath, Snapshot},
    values::{CertificateName, ContainerName, EngineName, Host},
};

/// Adds the host to each proxy that may serve it, and says which these are.
pub(super) fn serve(
    consumers: &mut BTreeMap<ContainerName, Consumer>,
    host: &Host,
    held: &HostDecision<'_>,
    certificate: Option<&CertificateName>,
    snapshot: &Snapshot,
) -> BTreeSet<ContainerName> {
    let mut served_by = BTreeSet::new();
    for consumer in consumers.values_mut().filter(|it| it.proxy.is_some()) {
        let Some(proxy) = snapshot.bearers.get(&consumer.name) else {
            continue;
        };
        let Some(site) = site(host, held, certificate, proxy) else {
            continue;
        };
        consumer.sites.insert(host.clone(), Rc::new(site));
        served_by.insert(consumer.name.clone());
    }
    served_by
}

/// Tells of a host that no proxy serves. Where a proxy would that can't be configured, there is one complaint, about
/// the proxy, however many wait for it.
pub(super) fn tell_unserved(
    consumers: &BTreeMap<ContainerName, Consumer>,
    host: &Host,
    held: &HostDecision<'_>,
    unconfigured: &[&Bearer],
    rules: &LabelRules,
    complaints: &mut BTreeSet<Complaint>,
) {
    let waits = |claim: &Claim<'_>| unconfigured.iter().any(|proxy| is_for(claim, proxy));
    // Where nothing is to be served there is no claim, either.
    for claim in held.claims().into_iter().filter(|claim| !waits(claim)) {
        complaints.insert(unserved(claim, host, consumers, rules));
    }
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
            complaints.extend(
                claims.iter().map(|claim| {
                    claim.complaint(claim.key(), host.as_str(), problem.clone(), remedy)
                }),
            );
        }
    }
}

/// The files of passwords that can be seen from here, with what there is to say as long as they are not there.
pub(super) fn password_files(
    consumers: &BTreeMap<ContainerName, Consumer>,
    hosts: &BTreeMap<Host, HostDecision<'_>>,
    snapshot: &Snapshot,
) -> BTreeMap<SharedPath, BTreeSet<Complaint>> {
    let own = snapshot.own.as_ref();
    let mut files: BTreeMap<SharedPath, BTreeSet<Complaint>> = BTreeMap::new();
    for consumer in consumers.values() {
        let Some(proxy) = snapshot.bearers.get(&consumer.name) else {
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
                let told = no_passwords(claim, file, proxy, &ours);
                files.entry(ours).or_default().insert(told);
            }
        }
    }
    files
}

fn no_passwords(claim: &Claim<'_>, file: &str, proxy: &Bearer, ours: &SharedPath) -> Complaint {
    let name = &proxy.name;
    let problem = format!("there is no such file in {name}: quaymaster sees none at {ours}");
    let remedy = format!(
        "write it, with a line NAME:HASH for each who may come in (`openssl passwd -apr1` prints a HASH), or name another \
         file of {name}; until then nobody is let in"
    );
    claim.complaint("auth", file, problem, &remedy)
}

/// The site as this proxy sees it; `None` when it is to serve none of the bearers behind it.
fn site(
    host: &Host,
    held: &HostDecision<'_>,
    certificate: Option<&CertificateName>,
    proxy: &Bearer,
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
        pin: claims.iter().find_map(|claim| pin(claim)),
        tls: held.tls,
        hsts: held.hsts,
        asked_by: near
            .map(|claim| claim.origin(claim.key(), host.as_str()))
            .sorted()
            .dedup_by(|one, other| one.bearer == other.bearer)
            .collect(),
        content,
    })
}

impl Kept {
    fn of(claims: &[&Claim<'_>]) -> Self {
        let removed: Option<Vec<_>> = claims.iter().map(|claim| claim.bearer.removed()).collect();
        let last = removed.and_then(|times| times.into_iter().max());
        Self {
            until: last.map(away::forgotten_at),
        }
    }
}

fn pin(claim: &Claim<'_>) -> Option<Pin> {
    let certificate = claim.spec.wish.pin.clone()?;
    Some(Pin {
        said: claim.origin("pin", certificate.as_str()),
        certificate,
    })
}

/// The addresses at which a proxy asks these bearers, each once.
fn addresses(claims: Vec<&&Claim<'_>>, proxy: &Bearer) -> Box<[SocketAddr]> {
    let addresses = claims
        .into_iter()
        .filter_map(|claim| upstream(claim, proxy));
    addresses.sorted().dedup().collect()
}

/// One path of a site as this proxy sees it.
fn route(host: &Host, claims: &[Claim<'_>], proxy: &Bearer) -> Option<Route> {
    let near: Vec<_> = claims.iter().filter(|claim| is_for(claim, proxy)).collect();
    let spec = near.first()?.spec;
    let there = near.iter().filter(|claim| claim.bearer.is_there());
    let (traffic, idle): (Vec<&&Claim<'_>>, Vec<_>) = there.partition(|claim| takes_traffic(claim));
    let realm = || spec.auth_realm.clone().unwrap_or_else(|| host.to_string());
    Some(Route {
        by_id: traffic.iter().find_map(|claim| by_id(claim, proxy)),
        upstreams: addresses(traffic, proxy),
        idle: addresses(idle, proxy),
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

/// True if requests may be sent to the bearer now, as far as its label has its health checked.
fn takes_traffic(claim: &Claim<'_>) -> bool {
    match claim.spec.health {
        HealthUse::Check => claim.bearer.takes_traffic(),
        HealthUse::Ignore => claim.bearer.is_running() && claim.bearer.waits.is_none(),
    }
}

/// True if a label of a bearer says that requests are sent to it whatever its health check says.
pub fn ignores_health(bearer: &Bearer, dialects: &Dialects) -> bool {
    let spec = dialects.read(bearer, &mut BTreeSet::new());
    let mut sites = spec.sites.values();
    sites.any(|site| site.health == HealthUse::Ignore)
}

fn upstream(claim: &Claim<'_>, proxy: &Bearer) -> Option<SocketAddr> {
    let Purpose::Serve(port) = claim.purpose else {
        return None;
    };
    let inside = address(claim, proxy).map(|address| SocketAddr::new(address, port));
    inside.or_else(|| reach::published(claim.bearer, proxy, port))
}

/// Where this proxy finds the bearer behind a claim, and certainly no other, before quaymaster has looked: by the first digits of the
/// id of the container whose network it has, in the engine's DNS; on another engine, at the fixed port that it publishes, which is
/// right after a start of the proxy as it was before.
fn by_id(claim: &Claim<'_>, proxy: &Bearer) -> Option<Box<str>> {
    let Purpose::Serve(port) = claim.purpose else {
        return None;
    };
    let bearer = claim.bearer;
    if reach::knows_by_id(proxy, bearer) {
        let id = bearer.joins.as_ref().map_or(&bearer.id, |joins| &joins.id);
        return Some(format!("{}:{port}", id.short()).into());
    }
    let published = reach::published(bearer, proxy, port)?;
    Some(published.to_string().into())
}

/// True if this proxy is to serve the claim: it is named, or none is named and they share the network that is meant. One on
/// the engine without a name does where none beside the bearer does, as far as it reaches a port that is published; so does
/// one on any other engine that is named.
fn is_for(claim: &Claim<'_>, proxy: &Bearer) -> bool {
    let via = &claim.spec.via;
    let is_named =
        via.is_empty() || via.contains(proxy.name.as_str()) || via.contains(proxy.service());
    if !is_named || is_beside(claim, proxy) {
        return is_named;
    }
    // Keys go to no further machine unless a label names the proxy.
    let may_be_elsewhere = proxy.elsewhere.is_none() || !via.is_empty();
    may_be_elsewhere && !claim.has_proxy_beside && is_published(claim, proxy)
}

/// True if a proxy is where it reaches the bearer itself: on the network that is meant.
fn is_beside(claim: &Claim<'_>, proxy: &Bearer) -> bool {
    match &claim.spec.network {
        Some(name) => {
            let network = network(claim.bearer, name);
            let is_on_host = proxy.is_on_host() && proxy.is_beside(claim.bearer);
            network.is_some_and(|endpoint| is_on_host || is_on(proxy, &endpoint.network_id))
        }
        None => reach::is_near(claim.bearer, proxy),
    }
}

/// True if a proxy on another engine reaches what the bearer publishes, whether that runs or not.
fn is_published(claim: &Claim<'_>, proxy: &Bearer) -> bool {
    match claim.purpose {
        Purpose::Serve(port) => reach::published(claim.bearer, proxy, port).is_some(),
        _ => claim.bearer.elsewhere.is_some() && !proxy.is_beside(claim.bearer),
    }
}

/// True if any of these proxies is to serve the claim.
pub(super) fn are_any_for(proxies: &[&Bearer], claim: &Claim<'_>) -> bool {
    proxies.iter().any(|proxy| is_for(claim, proxy))
}

/// Where the proxy reaches the bearer behind a claim itself.
fn address(claim: &Claim<'_>, proxy: &Bearer) -> Option<IpAddr> {
    match &claim.spec.network {
        Some(name) if !claim.bearer.is_on_host() && is_beside(claim, proxy) => {
            network(claim.bearer, name)?.address
        }
        _ => reach::address(claim.bearer, proxy),
    }
}

/// The network that a label names: by its whole name, or without the Compose project before it.
fn network<'a>(bearer: &'a Bearer, name: &str) -> Option<&'a Endpoint> {
    let within = bearer.project().map(|project| format!("{project}_{name}"));
    bearer.endpoint(name).or_else(|| bearer.endpoint(&within?))
}

/// That none of the proxies serves a claim, and what would help.
fn unserved(
    claim: &Claim<'_>,
    host: &Host,
    consumers: &BTreeMap<ContainerName, Consumer>,
    rules: &LabelRules,
) -> Complaint {
    let wrong = |key, value: &str, problem: String, remedy: String| {
        claim.complaint(key, value, problem, &remedy)
    };
    let proxies = || consumers.values().filter(|it| it.proxy.is_some());
    if proxies().next().is_none() {
        let remedy = format!(
            "start a proxy with the label {}.kind=nginx on one of its networks",
            rules.dialects.prefix
        );
        let problem = "no proxy is there to serve it".to_owned();
        return wrong("host", host.as_str(), problem, remedy);
    }
    let named = claim.spec.network.as_ref();
    if let Some(name) = named.filter(|name| network(claim.bearer, name).is_none()) {
        let problem = "it is on no such network".to_owned();
        return wrong("network", name, problem, its_networks(claim.bearer));
    }
    let proxies = words(proxies().map(|proxy| proxy.name.to_string()));
    if !claim.spec.via.is_empty() {
        let via = words(claim.spec.via.iter().cloned());
        let problem = "no such proxy shares a network with it".to_owned();
        let remedy = format!("name one of {proxies}, on a network of its own");
        return wrong("via", &via, problem, remedy);
    }
    let (problem, remedy) = match (claim.bearer.engine(), claim.purpose) {
        (Some(engine), Purpose::Serve(port)) => unpublished(engine, port, &proxies),
        _ => unshared(claim.bearer, &proxies),
    };
    wrong("host", host.as_str(), problem, remedy)
}

/// The reason why no proxy reaches a bearer on another engine, and the remedy.
fn unpublished(engine: &EngineName, port: u16, proxies: &str) -> (String, String) {
    (
        format!(
            "it is on the engine {engine}, and publishes its port {port} nowhere that a proxy could ask; there is {proxies}"
        ),
        format!(
            "in Compose, write `ports: [\"8080:{port}\"]` to its service, with a port of that host that is free: a fixed one, \
             and not on 127.0.0.1"
        ),
    )
}

/// The reason why a bearer shares no network with any of these proxies, and the remedy.
fn unshared(bearer: &Bearer, proxies: &str) -> (String, String) {
    match (&bearer.joins, bearer.is_on_host()) {
        (Some(Joined { name: None, id }), _) => (
            format!("it uses the network of the container {id}, which is not there any more"),
            "recreate it: `docker-compose up -d --force-recreate`".to_owned(),
        ),
        (Some(Joined { name: Some(owner), .. }), false) => (
            format!("it uses the network of {owner}, which no proxy shares; there is {proxies}"),
            format!("put {owner} on a network of a proxy; {}", its_networks(bearer)),
        ),
        (_, true) => (
            format!("it has the host's network, where only a proxy that has it, too, can ask it; there is {proxies}"),
            "in Compose, take `network_mode: host` from it and put it on a network of a proxy, or write it to the proxy, \
             too".to_owned(),
        ),
        (None, false) => (
            format!("no proxy shares a network with it; there is {proxies}"),
            format!("put both on one network; {}", its_networks(bearer)),
        ),
    }
}

fn its_networks(bearer: &Bearer) -> String {
    match bearer.endpoints.is_empty() {
        true => "it is on none".to_owned(),
        false => {
            let names = bearer
                .endpoints
                .iter()
                .map(|endpoint| endpoint.network.clone());
            format!("it is on {}", words(names))
        }
    }
}
