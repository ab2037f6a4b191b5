//! The servers that we configure.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    rc::Rc,
};

use super::{
    CertificateFolder, Complaint, Consumer, Folder, Guard, LabelRules, Origin, Reload, Substitutes,
    folders::{Gap, Holding, ours, place_of},
    kinds::Kind,
    pid1, reach, rights, signals,
    spec::{ProxySpec, Spec},
};
use crate::{
    observe::{Bearer, SharedPath, Snapshot, find, locate},
    values::{ContainerName, Owner, Right},
};

/// Where proxies listen inside their containers, unless a label says otherwise.
const HTTP_PORT: u16 = 80;
const HTTPS_PORT: u16 = 443;

/// The servers with a kind whose config folder we can write to. Of those that have the same one, it is that which runs, of
/// several the oldest: two can't be proven by one set of files.
pub(super) fn resolve(
    snapshot: &Snapshot,
    specs: &BTreeMap<&ContainerName, Spec>,
    rules: &LabelRules,
    complaints: &mut BTreeSet<Complaint>,
) -> BTreeMap<ContainerName, Consumer> {
    let (mut consumers, mut taken) = (BTreeMap::new(), Vec::new());
    for (bearer, spec) in by_seniority(snapshot, specs) {
        // One whose labels can't be followed keeps what it has.
        let Some(kind) = spec.kind.filter(|_| !spec.proxy.spoiled) else {
            continue;
        };
        let own = snapshot.own.as_ref();
        if let Some(refusal) = rights::refusal(
            bearer,
            Right::Proxy,
            spec.proxy.origin(bearer, "kind"),
            own,
            rules,
        ) {
            complaints.insert(refusal);
            continue;
        }
        let proxy = granted(bearer, &spec.proxy, own, rules, complaints);
        let made = consumer(bearer, kind, &proxy, own, rules)
            .and_then(|consumer| alone_in_its_folder(consumer, bearer, own, &mut taken));
        match made {
            Ok(consumer) => {
                complaints.extend(unsignalled(&consumer));
                complaints.extend(signals::complaint(&consumer, bearer, &spec.proxy, own));
                consumers.insert(bearer.name.clone(), consumer);
            }
            Err(complaint) => drop(complaints.insert(complaint)),
        }
    }
    consumers
}

/// Those that are to be servers, with what they say: who runs, or is about to, before who does not, and the older before
/// the younger.
fn by_seniority<'s>(
    snapshot: &'s Snapshot,
    specs: &'s BTreeMap<&ContainerName, Spec>,
) -> Vec<(&'s Bearer, &'s Spec)> {
    let said = specs.iter().filter(|(_, spec)| spec.is_server);
    let mut servers: Vec<_> = said
        .filter_map(|(name, spec)| Some((&**snapshot.bearers.get(*name)?, spec)))
        .filter(|(bearer, _)| bearer.removed().is_none())
        .collect();
    servers.sort_by_key(|(bearer, _)| (!bearer.is_kept_going(), bearer.created, &bearer.name));
    servers
}

/// The consumer, and its folder among those that are taken; a complaint where another has that already.
fn alone_in_its_folder(
    consumer: Consumer,
    bearer: &Bearer,
    own: Option<&Bearer>,
    taken: &mut Vec<Holding>,
) -> Result<Consumer, Complaint> {
    let theirs = &consumer.config.theirs;
    let Some(place) = locate(&bearer.mounts, theirs) else {
        return Ok(consumer);
    };
    if let Some(at) = taken.iter().position(|holding| holding.place.is(&place)) {
        let gap = Gap::Taken(taken[at].clone());
        return Err(gap.complaint(bearer, theirs, own, consumer.said));
    }
    taken.push(Holding {
        place,
        server: bearer.name.clone(),
        is_kept_going: bearer.is_kept_going(),
    });
    Ok(consumer)
}

/// Those that are to be servers and can't be configured.
pub(super) fn unconfigured<'s>(
    snapshot: &'s Snapshot,
    specs: &BTreeMap<&ContainerName, Spec>,
    consumers: &BTreeMap<ContainerName, Consumer>,
) -> Vec<&'s Bearer> {
    let said = specs.iter().filter(|(_, spec)| spec.is_server);
    said.filter(|(name, _)| !consumers.contains_key(**name))
        .filter_map(|(name, _)| snapshot.bearers.get(*name))
        .map(Rc::as_ref)
        .collect()
}

/// Without what its labels ask for and it is not allowed.
fn granted(
    bearer: &Bearer,
    spec: &ProxySpec,
    own: Option<&Bearer>,
    rules: &LabelRules,
    complaints: &mut BTreeSet<Complaint>,
) -> ProxySpec {
    let mut refused = |right, key| {
        let refusal =
            rights::refusal(bearer, right, spec.origin(bearer, key), own, rules).map(|refusal| {
                Complaint {
                    remedy: format!(
                        "{}; until then it is configured as without this label",
                        refusal.remedy
                    ),
                    ..refusal
                }
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
    bearer: &Bearer,
    kind: &'static Kind,
    spec: &ProxySpec,
    own: Option<&Bearer>,
    rules: &LabelRules,
) -> Result<Consumer, Complaint> {
    let said = spec.origin(bearer, "kind");
    let theirs = spec
        .config
        .clone()
        .unwrap_or_else(|| PathBuf::from(kind.config));
    let config = ours(bearer, &theirs, own)
        .map(|ours| Folder {
            ours,
            theirs: theirs.clone(),
        })
        .map_err(|gap| gap.complaint(bearer, &theirs, own, said.clone()))?;
    let owner = owner(bearer, spec, &said)?;
    let certificates = certificate_folder(bearer, &config, owner, own, rules);
    let webroot = webroot(bearer, spec, &config, own, rules)?;
    let (http_port, https_port) = (
        spec.http_port.unwrap_or(HTTP_PORT),
        spec.https_port.unwrap_or(HTTPS_PORT),
    );
    let outside = |port, usual| reach::outside(bearer, port, usual);
    Ok(Consumer {
        name: bearer.name.clone(),
        id: bearer.id.clone(),
        said,
        kind,
        running: bearer.is_running(),
        started_at: bearer.started_at,
        ended_at: bearer.ended_at,
        made_of: bearer.made_of(),
        config,
        certificates,
        webroot,
        reach: reach::reach(bearer, own, http_port, https_port),
        has_ipv6: bearer.has_ipv6(),
        http_port,
        https_port,
        public_http_port: (spec.public_http_port).unwrap_or_else(|| outside(http_port, HTTP_PORT)),
        public_https_port: (spec.public_https_port)
            .unwrap_or_else(|| outside(https_port, HTTPS_PORT)),
        owner,
        reload: reload(bearer, kind, spec),
        way: signals::signal_way(bearer, own),
        check: spec.check.as_ref().map(|words| check(kind, words)),
        trusted_proxies: rules.trusted_proxies.clone(),
        substitutes: Substitutes::of(bearer, spec, rules),
        guard: guard(bearer, own, [http_port, https_port]),
        has_dns: reach::has_dns(bearer),
        sites: BTreeMap::new(),
        answers: BTreeSet::new(),
    })
}

/// Where a server reads certificates.
fn certificate_folder(
    bearer: &Bearer,
    config: &Folder,
    owner: Option<Owner>,
    own: Option<&Bearer>,
    rules: &LabelRules,
) -> CertificateFolder {
    // Keys in ours are for our user alone: another one reads copies.
    let shared = place_of(&rules.certificates, own)
        .filter(|_| owner.is_none())
        .and_then(|place| find(&bearer.mounts, &place, false));
    match shared {
        Some(theirs) => CertificateFolder::Shared {
            theirs: theirs.join("live"),
        },
        None => CertificateFolder::Delivered(config.within("certificates")),
    }
}

/// The gate is opened from here, so that it needs a proxy that can be reached when it runs.
fn guard(bearer: &Bearer, own: Option<&Bearer>, ports: [u16; 2]) -> Guard {
    match bearer.has_own_shm && reach::could_be_reached(bearer, own, ports) {
        true => Guard::Gate,
        false if reach::has_dns(bearer) => Guard::Names,
        false => Guard::Nothing,
    }
}

/// Who is to own the keys that a server is given: as its label says, else the user that it runs as; none for root.
fn owner(bearer: &Bearer, spec: &ProxySpec, said: &Origin) -> Result<Option<Owner>, Complaint> {
    let user = bearer.user.as_str();
    let owner = spec.owner.or_else(|| Owner::of_container(user));
    let is_known = owner.is_some() || matches!(user.split(':').next(), Some("" | "root"));
    if is_known {
        return Ok(owner.filter(|owner| owner.user != 0));
    }
    let (name, label) = (&bearer.name, said.beside("owner"));
    let problem = format!(
        "it runs as user {user}, who could not read the keys of its certificates: nobody here knows that user's number"
    );
    let remedy = format!(
        "write the number that `docker exec {name} id -u` prints into its label {label}, such as {label}=33"
    );
    Err(said.clone().complains(problem, remedy))
}

/// Where the proxy reads responses to challenges: where its label says, else where it mounts our folder for them, else
/// within its own.
fn webroot(
    bearer: &Bearer,
    spec: &ProxySpec,
    config: &Folder,
    own: Option<&Bearer>,
    rules: &LabelRules,
) -> Result<Folder, Complaint> {
    if let Some(theirs) = &spec.webroot {
        return ours(bearer, theirs, own)
            .map(|ours| Folder {
                ours,
                theirs: theirs.clone(),
            })
            .map_err(|gap| gap.complaint(bearer, theirs, own, spec.origin(bearer, "kind")));
    }
    let shared = rules.webroot.as_ref().and_then(|ours| {
        let place = place_of(ours, own)?;
        Some(Folder {
            ours: own.map_or_else(
                || SharedPath::top(ours),
                |own| SharedPath::seen(&own.mounts, ours),
            ),
            theirs: find(&bearer.mounts, &place, false)?,
        })
    });
    Ok(shared.unwrap_or_else(|| config.within("challenge")))
}

/// The label is followed without a look at the first process: whoever writes it knows that process.
fn reload(bearer: &Bearer, kind: &Kind, spec: &ProxySpec) -> Reload {
    match (&spec.reload, pid1::swallows_signals(bearer)) {
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

fn unsignalled(consumer: &Consumer) -> Option<Complaint> {
    let Reload::Swallowed { reason } = &consumer.reload else {
        return None;
    };
    let said = &consumer.said;
    let problem = format!("it can't be told to reload: {reason}");
    let remedy = format!(
        "write `exec` before the server in its command; or, if it follows signals, the label {}={}; until then it gets \
         its files and reads them when it starts",
        said.beside("reload"),
        consumer.kind.reload
    );
    Some(said.clone().complains(problem, remedy))
}
