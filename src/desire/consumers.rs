//! The servers that we configure, or give certificates.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    rc::Rc,
};

use super::{
    CertificateFolder, Complaint, Consumer, Delivery, Destination, Folder, Guard, LabelRules,
    Origin, ProbeAt, Probes, Proxy, Reload, Substitutes,
    default_config::default_config,
    folders::{Gap, Holding, destination, ours, place_of},
    helper,
    kinds::{Kind, KindReload, ProxyKind},
    pid1, reach, rights, signals,
    spec::{ProxySpec, Spec},
};
use crate::{
    observe::{Bearer, SharedPath, Snapshot, find, locate},
    values::{ContainerName, KeyedTable, Layout, Owner, ProbePort, Right},
};

/// Where proxies listen inside their containers, unless a label says otherwise.
const HTTP_PORT: u16 = 80;
const HTTPS_PORT: u16 = 443;

/// The servers with a kind whose config folder we can write to. Of those that have the same one, it is that which runs, of
/// several the oldest: two can't be proven by one set of files.
pub(super) fn resolve(
    snapshot: &Snapshot,
    specs: &BTreeMap<&ContainerName, Spec>,
    helper: Option<&ContainerName>,
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
        let said = spec.proxy.origin(bearer, said_by(kind));
        if let Some(refusal) = rights::refusal(bearer, kind.right(), said, own, rules) {
            complaints.insert(refusal);
            continue;
        }
        if kind.helper.is_some() {
            if let Some(complaint) = helper::refused(bearer, spec, (helper, specs)) {
                complaints.insert(complaint);
                continue;
            }
        } else if kind.proxy.is_none() && !spec.uses_any() {
            complaints.insert(uses_nothing(bearer, spec));
            continue;
        }
        let proxy = granted(bearer, (kind, &spec.proxy), own, rules, complaints);
        let made = consumer(bearer, kind, &proxy, own, rules)
            .and_then(|consumer| alone_in_its_folder(consumer, bearer, own, &mut taken));
        match made {
            Ok(mut consumer) => {
                match default_config(bearer, kind, &proxy, own, &mut taken) {
                    Ok(default) => consumer.default_config = default,
                    Err(complaint) => drop(complaints.insert(complaint)),
                }
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
    let theirs = match (&consumer.proxy, &consumer.helper, &consumer.certificates) {
        (Some(proxy), ..) => &proxy.config.theirs,
        (None, Some(helper), _) => &helper.folder.theirs,
        (None, None, CertificateFolder::Delivered(delivery)) => delivery.to.theirs(),
        // It writes nothing there, and others may read the same.
        (None, None, CertificateFolder::Shared { .. }) => return Ok(consumer),
    };
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

/// The label that makes a container a server of this kind.
fn said_by(kind: &Kind) -> &'static str {
    match kind.proxy.is_some() || kind.helper.is_some() {
        true => "kind",
        false => "use",
    }
}

/// That a server is to get certificates, and no label says which.
fn uses_nothing(bearer: &Bearer, spec: &Spec) -> Complaint {
    let label = spec.proxy.origin(bearer, "use").label;
    let problem = "it says for no name that it needs a certificate".to_owned();
    let remedy = format!("write the names into its label {label}, such as {label}=mqtt.example");
    spec.proxy.origin(bearer, "kind").complains(problem, remedy)
}

/// That a server's certificates need no way of their own.
fn copies_nothing(bearer: &Bearer, kind: &Kind, spec: &ProxySpec) -> Complaint {
    let problem = format!(
        "the configuration of {} needs a folder that both mount, and its certificates go there, too",
        kind.name
    );
    let remedy = "leave the label out: it is for what gets certificates alone".to_owned();
    spec.origin(bearer, "copy").complains(problem, remedy)
}

/// Without what its labels, or its kind, ask for and it is not allowed.
fn granted(
    bearer: &Bearer,
    (kind, spec): (&Kind, &ProxySpec),
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
    let of_kind = || (kind.reload == KindReload::Restart).then_some(Reload::Restart);
    spec.reload = spec
        .reload
        .or_else(of_kind)
        .filter(|reload| !reload.right().is_some_and(|right| refused(right, "reload")));
    spec.check = spec.check.filter(|_| !refused(Right::Exec, "check"));
    let is_vain = spec.copy && kind.proxy.is_some();
    spec.copy = spec.copy && !is_vain && !refused(Right::Copy, "copy");
    complaints.extend(is_vain.then(|| copies_nothing(bearer, kind, &spec)));
    spec
}

fn consumer(
    bearer: &Bearer,
    kind: &'static Kind,
    spec: &ProxySpec,
    own: Option<&Bearer>,
    rules: &LabelRules,
) -> Result<Consumer, Complaint> {
    let said = spec.origin(bearer, said_by(kind));
    let owner = owner(bearer, kind, spec, &said)?;
    let proxy = kind
        .proxy
        .as_ref()
        .map(|kind| proxy(bearer, kind, spec, own, rules))
        .transpose()?;
    let (helper, certificates) = match helper::helper(bearer, (kind, spec), own, rules)? {
        Some((helper, certificates)) => (Some(helper), certificates),
        None => {
            let readers = (proxy.as_ref(), owner);
            let certificates = certificate_folder(bearer, (kind, spec), readers, own, rules)?;
            (None, certificates)
        }
    };
    Ok(Consumer {
        name: bearer.name.clone(),
        id: bearer.id.clone(),
        said,
        kind,
        running: bearer.is_running(),
        started_at: bearer.started_at,
        ended_at: bearer.ended_at,
        made_of: bearer.made_of(),
        proxy,
        default_config: None,
        helper,
        certificates,
        may_copy: spec.copy,
        probes: probes(bearer, kind, spec, own),
        owner: owner.filter(|owner| owner.user != 0),
        reload: reload(bearer, kind, spec),
        way: signals::signal_way(bearer, own),
        check: spec.check.as_ref().map(|words| check(kind, words)),
        substitutes: Substitutes::of(bearer, spec, rules),
        sites: KeyedTable::default(),
        answers: BTreeSet::new(),
        uses: KeyedTable::default(),
    })
}

/// The configuration of a proxy.
fn proxy(
    bearer: &Bearer,
    kind: &'static ProxyKind,
    spec: &ProxySpec,
    own: Option<&Bearer>,
    rules: &LabelRules,
) -> Result<Proxy, Complaint> {
    let theirs = spec.config.clone();
    let theirs = theirs.unwrap_or_else(|| PathBuf::from(kind.config));
    let config = folder(bearer, theirs, own, spec.origin(bearer, "kind"))?;
    let webroot = webroot(bearer, spec, &config, own, rules)?;
    let (http_port, https_port) = (
        spec.http_port.unwrap_or(HTTP_PORT),
        spec.https_port.unwrap_or(HTTPS_PORT),
    );
    let outside = |port, usual| reach::outside(bearer, port, usual);
    Ok(Proxy {
        kind,
        config,
        webroot,
        reach: reach::reach(bearer, own, http_port, https_port),
        has_ipv6: bearer.has_ipv6(),
        http_port,
        https_port,
        public_http_port: (spec.public_http_port).unwrap_or_else(|| outside(http_port, HTTP_PORT)),
        public_https_port: (spec.public_https_port)
            .unwrap_or_else(|| outside(https_port, HTTPS_PORT)),
        trusted_proxies: rules.trusted_proxies.clone(),
        guard: guard(bearer, own, [http_port, https_port]),
        has_dns: reach::has_dns(bearer),
    })
}

/// A folder of the container, as both sides see it.
///
/// # Errors
/// What is to be mounted where, when it can't be written from here.
pub fn folder(
    bearer: &Bearer,
    theirs: PathBuf,
    own: Option<&Bearer>,
    said: Origin,
) -> Result<Folder, Complaint> {
    match ours(bearer, &theirs, own) {
        Ok(ours) => Ok(Folder { ours, theirs }),
        Err(gap) => Err(gap.complaint(bearer, &theirs, own, said)),
    }
}

/// Where a server reads certificates: in the folder that its label says, else in ours where it mounts that, else in the
/// usual one of its kind.
fn certificate_folder(
    bearer: &Bearer,
    (kind, spec): (&Kind, &ProxySpec),
    (proxy, owner): (Option<&Proxy>, Option<Owner>),
    own: Option<&Bearer>,
    rules: &LabelRules,
) -> Result<CertificateFolder, Complaint> {
    let said = || spec.origin(bearer, "files");
    let layout = || spec.layout.clone().unwrap_or_else(|| layout_of(kind));
    let delivered = |to: Destination| {
        CertificateFolder::Delivered(Delivery {
            to,
            layout: layout(),
            key_mode: spec.mode.unwrap_or(KEY_MODE),
            is_owner_of_folder: proxy.is_none() && spec.owner.is_none(),
        })
    };
    let into = |theirs: &Path| match destination(bearer, theirs, (&layout(), spec.copy), own) {
        Ok(to) => Ok(delivered(to)),
        Err(gap) => Err(gap.complaint(bearer, theirs, own, said())),
    };
    if let (Some(layout), Some(_)) = (&spec.layout, proxy)
        && *layout != layout_of(kind)
    {
        let problem = format!("the configuration of {} names certbot's files", kind.name);
        let remedy = "leave the label layout out".to_owned();
        return Err(spec.origin(bearer, "layout").complains(problem, remedy));
    }
    if let Some(theirs) = &spec.files {
        return into(theirs);
    }
    // Keys in ours are for our user alone, as certbot has them: others read copies.
    let is_as_ours = owner.is_none_or(|owner| owner.user == 0) && spec.layout.is_none();
    let shared = place_of(&rules.certificates, own)
        .filter(|_| is_as_ours)
        .and_then(|place| find(&bearer.mounts, &place, false));
    match (shared, proxy, kind.files) {
        (Some(theirs), _, _) => Ok(CertificateFolder::Shared {
            theirs: theirs.join("live"),
        }),
        (None, Some(proxy), _) => {
            let folder = proxy.config.within("certificates");
            Ok(delivered(Destination::Folder(folder)))
        }
        (None, None, Some(theirs)) => into(Path::new(theirs)),
        (None, None, None) => {
            let problem = "it is not known where it reads certificates".to_owned();
            let label = said().label;
            let remedy = format!(
                "write the folder into the label {label}, such as {label}=/certs, and mount a volume there that {} mounts \
                 too",
                own.map_or("quaymaster", Bearer::service)
            );
            Err(said().complains(problem, remedy))
        }
    }
}

/// The mode of files with keys, unless a label says another.
const KEY_MODE: u32 = 0o600;

fn layout_of(kind: &Kind) -> Layout {
    Layout::parse(kind.layout).expect("the kinds table has rows of the layouts table")
}

/// Where a server shows its certificates, as we reach it: at the ports of its label, else at the usual ones of its kind.
/// Those come last that say nothing about a reload.
fn probes(bearer: &Bearer, kind: &Kind, spec: &ProxySpec, own: Option<&Bearer>) -> Probes {
    // Whoever is restarted reads all of them again.
    let is_restarted = reload(bearer, kind, spec) == Reload::Restart;
    let reached = |port: &ProbePort| {
        Some(ProbeAt {
            at: reach::port_from_here(bearer, own, port.port)?,
            port: *port,
            is_read_at_start: kind.probes_at_start.contains(port) && !is_restarted,
        })
    };
    let of_kind = || [kind.probes, kind.probes_at_start].concat();
    let ports = spec.probes.clone().unwrap_or_else(of_kind);
    let mut at: Vec<_> = ports.iter().filter_map(reached).collect();
    at.sort_by_key(|probe| probe.is_read_at_start);
    Probes {
        at,
        are_said: spec.probes.is_some(),
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

/// Who is to own the keys that a server is given: as its label says, else the user that it runs as, else that of its
/// kind; none for root.
fn owner(
    bearer: &Bearer,
    kind: &Kind,
    spec: &ProxySpec,
    said: &Origin,
) -> Result<Option<Owner>, Complaint> {
    let user = bearer.user.as_str();
    let owner = spec.owner.or_else(|| Owner::of_container(user));
    let is_root = matches!(user.split(':').next(), Some("" | "root"));
    if owner.is_some() || is_root || kind.owner.is_some() {
        return Ok(owner.or(kind.owner));
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
        return folder(bearer, theirs.clone(), own, spec.origin(bearer, "kind"));
    }
    let shared = shared_webroot(bearer, own, rules, false);
    Ok(shared.unwrap_or_else(|| config.within("challenge")))
}

/// Our folder for responses to challenges, where a container mounts it, too; with `writable`, so that it may write there.
pub(super) fn shared_webroot(
    bearer: &Bearer,
    own: Option<&Bearer>,
    rules: &LabelRules,
    writable: bool,
) -> Option<Folder> {
    let ours = rules.webroot.as_ref()?;
    let place = place_of(ours, own)?;
    Some(Folder {
        ours: own.map_or_else(
            || SharedPath::top(ours),
            |own| SharedPath::seen(&own.mounts, ours),
        ),
        theirs: find(&bearer.mounts, &place, writable)?,
    })
}

/// The label is followed without a look at the first process: whoever writes it knows that process.
fn reload(bearer: &Bearer, kind: &Kind, spec: &ProxySpec) -> Reload {
    if let Some(reload) = &spec.reload {
        return reload.clone();
    }
    match (kind.reload, pid1::swallows_signals(bearer)) {
        (KindReload::Signal(_), Some(reason)) => Reload::Swallowed { reason },
        (KindReload::Signal(signal), None) => Reload::Signal(signal),
        (KindReload::Restart, _) => Reload::Swallowed {
            reason: "it has to be restarted, and is not given the right restart".to_owned(),
        },
        (KindReload::Nothing, _) => Reload::Swallowed {
            reason: "no label reload says how".to_owned(),
        },
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
    let KindReload::Signal(signal) = consumer.kind.reload else {
        return None;
    };
    let said = &consumer.said;
    let problem = format!("it can't be reloaded: {reason}");
    let remedy = format!(
        "write `exec` before the server in its command; or, if it follows signals, the label {}={}; until then it gets \
         its files and reads them when it starts",
        said.beside("reload"),
        signal
    );
    Some(said.clone().complains(problem, remedy))
}
