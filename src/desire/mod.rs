//! Meaning: what the labels ask for. Pure: a [`Snapshot`] and the [`LabelRules`] go in, [`Desired`] and its complaints come
//! out, the same every time.
//!
//! One bearer that can't be followed spoils only itself: it leaves a [`Complaint`] and the rest goes on. Past this
//! room nothing checks a label again.

mod away;
mod certificates;
mod claims;
mod complaint;
mod consumers;
mod dialect;
mod folders;
mod holders;
mod hosts;
mod kinds;
mod labels;
mod pid1;
mod reach;
mod reading;
mod rights;
mod signals;
mod sites;
mod spec;
mod substitutes;
mod uses;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::PathBuf,
    rc::Rc,
    time::Duration,
};

pub use away::{forgotten_at, is_forgotten};
pub use claims::{Claimant, asked_in_vain, claimants, nearest_names};
pub use complaint::{Complaint, Origin, visible};
pub use dialect::interest;
pub use holders::{holders, is_over, released};
pub use kinds::{Comes, KINDS, Kind, KindReload, Needed, OwnFile, ProxyKind};
pub use labels::{LABELS, LabelRow};
pub use reading::Reading;
pub use signals::{lost_policy, signal_way};
pub use sites::ignores_health;
use spec::Spec;
pub use spec::{Hsts, Path, Scheme, Tls};
pub use substitutes::{DefaultCertificate, Substitutes};

use itertools::Itertools;
use serde::{Deserialize, Serialize};

use crate::{
    observe::{SharedPath, Snapshot, Way},
    values::{
        Block, CaTable, CertificateName, ChallengeType, ContainerId, ContainerName, Digest, Grants,
        Host, Issuer, KeyType, Layout, Owner, ProbePort, Right, Signal, Timestamp,
    },
};

/// What the settings say about reading labels and finding folders.
#[derive(Clone, Debug)]
pub struct LabelRules {
    /// What our labels begin with, without the dot.
    pub label_prefix: String,
    /// The folder with `live/` and `archive/`, as we see it.
    pub certificates: PathBuf,
    /// The shared folder for challenges, as we see it, where there is one.
    pub webroot: Option<PathBuf>,
    /// Proxies before ours that are believed when they say on whose behalf they ask.
    pub trusted_proxies: Vec<Block>,
    /// Who may ask for what, where the settings say.
    pub grants: Option<Grants>,
    /// The CAs that labels can name.
    pub cas: CaTable,
    /// Who issues certificates whose labels do not say; none where nobody is asked.
    pub issuer: Option<Issuer>,
    /// How CAs are shown that names are ours, where no label says.
    pub challenge: ChallengeType,
    /// What kind of key certificates have, where no label says.
    pub key_type: KeyType,
    /// The CA's word for what kind of certificate it is asked for, where no label says.
    pub profile: Option<String>,
    /// The name whose certificate serves names that none covers.
    pub master: Option<Host>,
    /// The certificate that serves where no other can.
    pub default_certificate: Option<CertificateName>,
    /// Whether the certificate of the nearest name above goes before a wildcard's.
    pub strict_parents: bool,
}

/// How a certificate is obtained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuance {
    /// Who issues it.
    pub issuer: Issuer,
    /// How a CA is shown that its names are ours.
    pub challenge: ChallengeType,
    /// What kind of key it has.
    pub key_type: KeyType,
    /// The CA's word for what kind of certificate it is.
    ///
    /// <https://datatracker.ietf.org/doc/html/draft-ietf-acme-profiles-01#section-3>
    pub profile: Option<String>,
}

/// What the labels ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Desired {
    /// Certificates that somebody wants.
    pub certificates: BTreeMap<CertificateName, Rc<Wanted>>,
    /// Servers that we configure.
    pub consumers: BTreeMap<ContainerName, Rc<Consumer>>,
    /// Which Compose project has which host now.
    pub hosts: BTreeMap<Host, Option<String>>,
    /// Hosts for which nobody is asked, with what there is to say as long as no held certificate covers them.
    pub uncovered: BTreeMap<Host, BTreeSet<Complaint>>,
    /// Files that labels name and that can be seen from here, with what there is to say as long as they are not there.
    pub files: BTreeMap<SharedPath, BTreeSet<Complaint>>,
    /// What can't be followed.
    pub complaints: BTreeSet<Complaint>,
}

impl Desired {
    /// Whether a proxy keeps this site for bearers that are away.
    pub fn keeps(&self, host: &Host) -> bool {
        self.consumers
            .values()
            .filter_map(|consumer| consumer.sites.get(host))
            .any(|site| site.kept.is_some())
    }
}

/// A certificate that somebody wants. Its lists are in order, each entry once; there may be thousands of one entry each,
/// and a tree would make room for eleven at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The names it is to cover.
    pub names: Box<[Host]>,
    /// How it is obtained.
    pub issuance: Issuance,
    /// Who says who issues it.
    pub issuer_said: Origin,
    /// The bearers whose labels ask for it.
    pub claimed_by: Box<[ContainerName]>,
    /// The proxies that serve its names, and so answer its challenges.
    pub served_by: Box<[ContainerName]>,
    /// The servers whose labels ask for it.
    pub used_by: Box<[ContainerName]>,
}

/// A server that we configure, or give certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consumer {
    /// Its container.
    pub name: ContainerName,
    /// The engine's word for it.
    pub id: ContainerId,
    /// The label that makes it one.
    pub said: Origin,
    /// What kind of server it is.
    pub kind: &'static Kind,
    /// Whether it runs now.
    pub running: bool,
    /// When it last started.
    pub started_at: Option<Timestamp>,
    /// When it last ended.
    pub ended_at: Option<Timestamp>,
    /// What it is made of: image, command and labels.
    pub made_of: Digest,
    /// What is configured of it; none where it takes certificates alone.
    pub proxy: Option<Proxy>,
    /// Where it reads certificates.
    pub certificates: CertificateFolder,
    /// Where it is looked at, besides the sites of a proxy.
    pub probes: Probes,
    /// Who is to own the keys that it is given; none where it begins as root.
    pub owner: Option<Owner>,
    /// How it is made to read its files again.
    pub reload: Reload,
    /// The way that a signal takes to it.
    pub way: Way,
    /// The words of its own tool that look at new files before it is told of them; none where nothing is run.
    pub check: Option<Vec<String>>,
    /// What it shows where no certificate covers a name.
    pub substitutes: Substitutes,
    /// What it serves.
    pub sites: BTreeMap<Host, Rc<Site>>,
    /// Hosts that it does not serve and that are on certificates of those that it serves: it answers their challenges.
    pub answers: BTreeSet<Host>,
    /// Names that its labels ask certificates for.
    pub uses: BTreeMap<Host, Use>,
}

/// What is configured of a proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    /// What its configuration is like.
    pub kind: &'static ProxyKind,
    /// Where its rendered files go.
    pub config: Folder,
    /// Where it reads responses to challenges.
    pub webroot: Folder,
    /// Where it can be reached from here; `None` when it can't.
    pub reach: Option<Reach>,
    /// Port on which it takes plain HTTP, inside.
    pub http_port: u16,
    /// Port on which it takes TLS, inside.
    pub https_port: u16,
    /// Port at which browsers find its plain HTTP.
    pub public_http_port: u16,
    /// Port at which browsers find its TLS.
    pub public_https_port: u16,
    /// Proxies before it that are believed when they say on whose behalf they ask.
    pub trusted_proxies: Vec<Block>,
    /// How its requests are kept from containers that have others' addresses after a start.
    pub guard: Guard,
    /// Whether the engine tells it, by its DNS, where the containers of its networks are.
    pub has_dns: bool,
}

/// A name that a server needs a certificate for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use {
    /// The certificate that is wanted for it; the server's files are called after this one.
    pub certificate: CertificateName,
    /// The held certificate that it gets whatever is wrong with it.
    pub pin: Option<Pin>,
    /// The label that asks for it.
    pub said: Origin,
}

/// Where a server shows its certificates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Probes {
    /// Its ports, as we reach them.
    pub at: Vec<ProbeAt>,
    /// Whether a label names them: each must show the certificate then. Else they are what its kind usually has, and those
    /// count that somebody listens on.
    pub are_said: bool,
}

/// A port of a server, as we reach it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProbeAt {
    /// Where.
    pub at: SocketAddr,
    /// Which it is in the container, and what is said there.
    pub port: ProbePort,
    /// Whether its certificate is the one that the server read when it started, whatever reloads it since.
    pub is_read_at_start: bool,
}

impl Consumer {
    /// Where a proxy can be reached from here; none where it can't, or it is none.
    pub fn reach(&self) -> Option<Reach> {
        self.proxy.as_ref()?.reach
    }

    /// Whether it can be seen from here what it does with what it is given.
    pub fn can_be_seen(&self) -> bool {
        self.reach().is_some() || !self.probes.at.is_empty()
    }

    /// The folder where its rendered files go.
    pub fn config(&self) -> Option<&Folder> {
        self.proxy.as_ref().map(|proxy| &proxy.config)
    }

    /// What is there once in a proxy, whatever its sites are.
    pub fn own_files(&self) -> &'static [OwnFile] {
        self.proxy
            .as_ref()
            .map_or(&[], |proxy| proxy.kind.own_files)
    }
}

/// How a proxy's requests are kept from containers that have others' addresses after a start: engines give addresses anew
/// then, and files name those from before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Guard {
    /// By a file in its /dev/shm, which is gone after each start: as long as it is missing, no request goes by address.
    Gate,
    /// By the engine's DNS alone, where a path has one container: no such file can be made.
    Names,
    /// Not at all: neither can be had.
    Nothing,
}

/// Where a proxy can be reached from here: on a network that both are on, or where its ports are published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// For plain HTTP.
    pub http: SocketAddr,
    /// For TLS.
    pub https: SocketAddr,
}

/// How a consumer is made to read its files again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reload {
    /// By a signal to its first process.
    Signal(Signal),
    /// By words that are run in it.
    Exec(Vec<String>),
    /// By a restart of its container.
    Restart,
    /// Not at all, as its label says: it reads its files when it starts.
    None,
    /// Not at all: its first process would not follow a signal, or end of it.
    Swallowed {
        /// Why.
        reason: String,
    },
}

impl Reload {
    /// What a container must be allowed for this besides being a proxy.
    fn right(&self) -> Option<Right> {
        match self {
            Self::Exec(_) => Some(Right::Exec),
            Self::Restart => Some(Right::Restart),
            Self::Signal(_) | Self::None | Self::Swallowed { .. } => None,
        }
    }
}

/// One folder, as each side sees it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Folder {
    /// Its path for us.
    pub ours: SharedPath,
    /// Its path for the consumer.
    pub theirs: PathBuf,
}

/// Where a consumer reads certificates.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CertificateFolder {
    /// It mounts our `certificates` folder and reads `live/` there, as `NAME/fullchain.pem` and so on.
    Shared {
        /// Its path of `live/`.
        theirs: PathBuf,
    },
    /// It gets copies of just its own.
    Delivered(Delivery),
}

/// How copies of certificates lie in a consumer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Delivery {
    /// Where.
    pub folder: Folder,
    /// In which files.
    pub layout: Layout,
    /// The mode of those that hold a key.
    pub key_mode: u32,
    /// Whether they belong to whoever owns the folder, where that is not root and no label says more.
    pub is_owner_of_folder: bool,
}

impl CertificateFolder {
    /// The folder as the consumer sees it.
    pub fn theirs(&self) -> &PathBuf {
        match self {
            Self::Shared { theirs } => theirs,
            Self::Delivered(delivery) => &delivery.folder.theirs,
        }
    }

    /// The files of one of our certificates as the consumer sees them.
    pub fn files(&self, name: &CertificateName) -> Vec<PathBuf> {
        match self {
            Self::Shared { theirs } => {
                let folder = theirs.join(name.as_str());
                vec![folder.join("fullchain.pem"), folder.join("privkey.pem")]
            }
            Self::Delivered(delivery) => {
                let paths = delivery.layout.paths(name);
                paths
                    .map(|path| delivery.folder.theirs.join(path))
                    .collect()
            }
        }
    }
}

/// A host name that a proxy serves. Its lists are as those of [`Wanted`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Site {
    /// That no bearer of it runs, and it is kept for those that did; none where one does.
    pub kept: Option<Kept>,
    /// The certificate that is wanted for it; none where TLS is off.
    pub certificate: Option<CertificateName>,
    /// The held certificate that is served whatever is wrong with it.
    pub pin: Option<Pin>,
    /// What is served in plain text and what over TLS.
    pub tls: Tls,
    /// How long browsers shall insist on TLS.
    pub hsts: Option<Hsts>,
    /// The labels that ask for it, one of each bearer.
    pub asked_by: Box<[Origin]>,
    /// What it leads to.
    pub content: SiteContent,
}

impl Site {
    /// The bearers that ask for it.
    pub fn bearers(&self) -> impl Iterator<Item = &ContainerName> {
        self.asked_by.iter().map(|origin| &origin.bearer)
    }

    /// Where requests for it are passed on to, in order.
    pub fn leads_to(&self) -> Vec<SocketAddr> {
        self.routes()
            .flat_map(|route| &route.upstreams)
            .copied()
            .sorted()
            .dedup()
            .collect()
    }

    /// Whether it is a bearer of its own that answers there, whether that takes traffic now or not.
    pub fn may_lead_to(&self, address: &SocketAddr) -> bool {
        self.routes()
            .any(|route| route.upstreams.contains(address) || route.idle.contains(address))
    }

    /// Whether a password is asked for anywhere in it.
    fn asks_for_password(&self) -> bool {
        self.routes().any(|route| route.auth.is_some())
    }

    fn routes(&self) -> impl Iterator<Item = &Route> {
        let routes = match &self.content {
            SiteContent::Redirect(_) => None,
            SiteContent::Routes(routes) => Some(routes),
        };
        routes.into_iter().flatten().map(|(_, route)| route)
    }
}

/// A site whose bearers are away: requests get 503 meanwhile, with the certificate that is held, and none is obtained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Kept {
    /// Until when, where all of them were removed; none as long as one that was stopped is there.
    pub until: Option<Timestamp>,
}

/// A held certificate that is served whatever is wrong with it, and who says so.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pin {
    /// The certificate.
    pub certificate: CertificateName,
    /// The label that says so.
    pub said: Origin,
}

/// What a site leads to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SiteContent {
    /// Another name.
    Redirect(Host),
    /// Containers, by path, each path once and in order.
    Routes(Box<[(Path, Route)]>),
}

/// A part of a site, and what is behind it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Route {
    /// Where the bearers answer that take traffic now; empty means that nobody does.
    pub upstreams: Box<[SocketAddr]>,
    /// Where those answer that are there and take no traffic now.
    pub idle: Box<[SocketAddr]>,
    /// The first of those that take traffic, as `ID:port` by the id that the engine's DNS has for it and for no other;
    /// none where the proxy can't ask that.
    pub by_id: Option<Box<str>>,
    /// How the proxy talks to them.
    pub scheme: Scheme,
    /// What its path is replaced by; none where it is passed on unchanged.
    pub replaced_by: Option<Path>,
    /// The largest request, as nginx writes sizes.
    pub body_size: Option<String>,
    /// How long the proxy waits for a bearer.
    pub timeout: Option<Duration>,
    /// How many kilobytes of headers an answer may have.
    pub buffers: Option<u32>,
    /// A file of passwords, and what they are asked for.
    pub auth: Option<Auth>,
    /// From where it may be asked; empty for everywhere.
    pub allow: Vec<Block>,
}

/// A password that is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Auth {
    /// The htpasswd file, as the proxy sees it.
    pub file: String,
    /// What it is asked for.
    pub realm: String,
}

/// What the bearers of `snapshot` ask for.
pub fn desire(snapshot: &Snapshot, rules: &LabelRules) -> Desired {
    meant(snapshot, Said::read(snapshot, rules), rules)
}

/// What labels say, and which of them can't be read.
struct Said<'a> {
    specs: BTreeMap<&'a ContainerName, Spec>,
    complaints: BTreeSet<Complaint>,
}

impl<'a> Said<'a> {
    fn read(snapshot: &'a Snapshot, rules: &LabelRules) -> Self {
        let mut complaints = BTreeSet::new();
        let bearers = snapshot.bearers.values();
        let specs = bearers
            .map(|bearer| {
                let mut spec = dialect::read(bearer, &rules.label_prefix, &mut complaints);
                certificates::spoil_unknown_cas(bearer, &mut spec, rules, &mut complaints);
                (&bearer.name, spec)
            })
            .collect();
        Self { specs, complaints }
    }
}

/// What they mean together.
fn meant(snapshot: &Snapshot, said: Said<'_>, rules: &LabelRules) -> Desired {
    let Said {
        specs,
        mut complaints,
    } = said;
    let mut consumers = consumers::resolve(snapshot, &specs, rules, &mut complaints);
    let unconfigured = consumers::unconfigured(snapshot, &specs, &consumers);
    let mut of_sites = BTreeSet::new();
    let hosts = hosts::resolve(snapshot, &specs, rules, &mut of_sites);
    let assigned = certificates::assign(&hosts, &mut of_sites);
    let mut served_by = BTreeMap::new();
    for (host, held) in &hosts {
        let certificate = assigned.get(host).filter(|_| held.tls != Tls::Off);
        let mut proxies = sites::serve(&mut consumers, host, held, certificate, snapshot);
        if proxies.is_empty() && !held.used_by.is_empty() {
            proxies = uses::answering(&consumers, held, snapshot);
            if proxies.is_empty() {
                uses::tell_unanswered(host, held, rules, &mut of_sites);
            }
        } else if proxies.is_empty() {
            sites::tell_unserved(&consumers, host, held, &unconfigured, rules, &mut of_sites);
        }
        served_by.insert(host.clone(), proxies);
    }
    uses::give(&mut consumers, &hosts, &assigned, snapshot, &specs);
    sites::tell_nameless(&consumers, &hosts, &mut of_sites);
    let mut files = sites::password_files(&consumers, &hosts, snapshot);
    let wants = certificates::wants(&hosts, &assigned, &served_by, rules, &mut of_sites);
    // What can't be followed now of those that are away is looked at when they are back.
    let counts = |name: &ContainerName| {
        let bearer = snapshot.bearers.get(name);
        bearer.is_some_and(|bearer| bearer.counts())
    };
    of_sites.retain(|complaint| counts(&complaint.origin.bearer));
    for complaints in files.values_mut() {
        complaints.retain(|complaint| counts(&complaint.origin.bearer));
    }
    complaints.append(&mut of_sites);
    for wanted in wants.certificates.values() {
        sites::answer(&mut consumers, wanted);
    }
    let hosts = hosts
        .iter()
        .filter(|(_, held)| !held.is_kept)
        .map(|(host, held)| (host.clone(), held.project.map(str::to_owned)))
        .collect();
    let consumers = consumers
        .into_iter()
        .map(|(name, consumer)| (name, Rc::new(consumer)))
        .collect();
    Desired {
        certificates: wants.certificates,
        uncovered: wants.uncovered,
        consumers,
        hosts,
        files,
        complaints,
    }
}

#[cfg(test)]
pub(crate) mod tests;
