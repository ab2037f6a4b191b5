//! Meaning: what the labels ask for. Pure: a [`Snapshot`] and the [`LabelRules`] go in, [`Desired`] and its complaints come
//! out, the same every time.
//!
//! One bearer that can't be followed spoils only itself: it leaves a [`Complaint`] and the rest goes on. Past this
//! room nothing checks a label again.

mod away;
mod certificates;
mod claims;
mod complaint;
mod consumer;
mod consumers;
mod default_config;
mod dialect;
mod folders;
mod helper;
mod holders;
mod hosts;
mod kinds;
mod labels;
mod named;
mod pid1;
mod reach;
mod reading;
mod rights;
mod signals;
mod sites;
mod spec;
mod substitutes;
mod uses;
mod writers;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::PathBuf,
    rc::Rc,
    time::Duration,
};

pub use away::{forgotten_at, is_forgotten};
pub use claims::{Claimant, add_claimants, asked_in_vain, by_age, claimants, nearest_names};
pub use complaint::{Complaint, Origin, visible};
pub use consumer::{
    CertificateFolder, Consumer, DefaultConfig, Delivery, Destination, Folder, Guard, ProbeAt,
    Probes, Proxy, Reach, Reload, Use,
};
pub use consumers::folder as shared_folder;
pub use dialect::{DIALECTS, DialectError, DialectLabel, DialectRow, Dialects, NATIVE};
pub use helper::{Helper, HelperKind};
pub use holders::{HolderMemory, ends, is_over, released};
use hosts::HostDecision;
pub use kinds::{Comes, DefaultFile, KINDS, Kind, KindReload, Needed, OwnFile, ProxyKind};
pub use labels::{LABELS, LabelRow};
pub use named::named;
pub use reading::Reading;
pub use signals::{lost_policy, signal_way};
pub use sites::ignores_health;
use spec::Spec;
pub use spec::{Hsts, Path, Scheme, Tls};
pub use substitutes::{DefaultCertificate, Substitutes};
pub use writers::{Reader, Writer, readers, writers};

use itertools::Itertools;
use serde::{Deserialize, Serialize};

use crate::{
    observe::{Bearer, SharedPath, Snapshot},
    values::{
        Block, CaTable, CertificateName, ChallengeType, ContainerName, DnsNames, Grants, Host,
        Issuer, Issuers, KeyType, KeyedTable, Profile, Timestamp,
    },
};

/// The settings for reading labels and finding folders.
#[derive(Clone, Debug)]
pub struct LabelRules {
    /// Whose labels are read, and what ours begin with.
    pub dialects: Dialects,
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
    pub issuers: Option<Issuers>,
    /// The challenge by which CAs are shown that names are ours, where no label says.
    pub challenge: ChallengeType,
    /// The tables by which TXT records are set, for dns-01.
    pub dns: DnsNames,
    /// The kind of key of certificates, where no label says.
    pub key_type: KeyType,
    /// The CA's word for what kind of certificate it is asked for, where no label says.
    pub profile: Option<Profile>,
    /// The name whose certificate serves names that none covers.
    pub master: Option<Host>,
    /// The certificate that serves where no other can.
    pub default_certificate: Option<CertificateName>,
    /// True if the certificate of the nearest name above is preferred to a wildcard's.
    pub strict_parents: bool,
    /// Names that a certificate is wanted for though no container asks.
    pub names: BTreeSet<Host>,
    /// True if quaymaster, or a server by the thumbprint, answers challenges where no proxy does.
    pub answers_itself: bool,
    /// The address that CAs are given, where no label says.
    pub email: Option<String>,
}

/// The way to obtain a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuance {
    /// Who is asked for it.
    pub issuer: Issuer,
    /// The challenge by which a CA is shown that its names are ours.
    pub challenge: ChallengeType,
    /// The table `[dns.NAME]` that sets the records of dns-01; none for other challenges.
    pub dns: Option<String>,
    /// The kind of its key.
    pub key_type: KeyType,
    /// The CA's word for what kind of certificate it is.
    ///
    /// <https://datatracker.ietf.org/doc/html/draft-ietf-acme-profiles-01#section-3>
    pub profile: Option<Profile>,
}

impl Issuance {
    /// The CA's word for what kind of certificate it is asked for; empty for its usual one.
    pub fn profile_name(&self) -> &str {
        self.profile.as_ref().map_or("", |it| &it.name)
    }
}

/// All that the labels ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Desired {
    /// Certificates that somebody wants.
    pub certificates: KeyedTable<CertificateName, Rc<Wanted>>,
    /// Servers that we configure.
    pub consumers: BTreeMap<ContainerName, Rc<Consumer>>,
    /// Which Compose project has which host now.
    pub hosts: KeyedTable<Host, Option<String>>,
    /// Hosts for which nobody is asked, with what there is to say as long as no held certificate covers them.
    pub uncovered: BTreeMap<Host, BTreeSet<Complaint>>,
    /// Files that labels name and that can be seen from here, with what there is to say as long as they are not there.
    pub files: BTreeMap<SharedPath, BTreeSet<Complaint>>,
    /// Complaints about labels that can't be followed.
    pub complaints: BTreeSet<Complaint>,
}

impl Desired {
    /// True if a proxy keeps this site for bearers that are away.
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
    /// The way to obtain it: from the first of its issuers, as long as no plan says otherwise.
    pub issuance: Issuance,
    /// Those who may issue it, in the order in which they are asked.
    pub issuers: Issuers,
    /// Who says who issues it.
    pub issuer_said: Origin,
    /// The bearers whose labels ask for it.
    pub claimed_by: Box<[ContainerName]>,
    /// The proxies that serve its names, and so answer its challenges.
    pub served_by: Box<[ContainerName]>,
    /// The servers whose labels ask for it.
    pub used_by: Box<[ContainerName]>,
    /// The helper that obtains it in our place, as long as none of ours has its name; none where we do.
    pub helper: Option<ContainerName>,
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
    /// The use of plain text and of TLS.
    pub tls: Tls,
    /// The time for which browsers insist on TLS.
    pub hsts: Option<Hsts>,
    /// The labels that ask for it, one of each bearer.
    pub asked_by: Box<[Origin]>,
    /// The content that it leads to.
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

    /// True if a bearer of this site answers at the address, whether or not that takes traffic now.
    pub fn may_lead_to(&self, address: &SocketAddr) -> bool {
        self.routes()
            .any(|route| route.upstreams.contains(address) || route.idle.contains(address))
    }

    /// True if a password is asked for anywhere in the site.
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

/// The content that a site leads to.
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
    /// The first of those that take traffic, as `ID:port` by the id that the engine's DNS has for it and for no other, or
    /// at the fixed port that another engine publishes; none where the proxy can't ask either.
    pub by_id: Option<Box<str>>,
    /// The scheme in which the proxy talks to the bearers.
    pub scheme: Scheme,
    /// The path that replaces its own; none where that is passed on unchanged.
    pub replaced_by: Option<Path>,
    /// The largest request, as nginx writes sizes.
    pub body_size: Option<String>,
    /// The time that the proxy waits for a bearer.
    pub timeout: Option<Duration>,
    /// The kilobytes of headers that an answer may have.
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
    /// The text with which the password is asked for.
    pub realm: String,
}

/// Reads what the bearers of `snapshot` ask for.
pub fn desire(snapshot: &Snapshot, rules: &LabelRules) -> Desired {
    meant(snapshot, Said::read(snapshot, rules), rules)
}

/// The specifications in labels, and the labels that can't be read.
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
                let mut spec = rules.dialects.read(bearer, &mut complaints);
                certificates::spoil_unknown_cas(bearer, &mut spec, rules, &mut complaints);
                (&bearer.name, spec)
            })
            .collect();
        Self { specs, complaints }
    }
}

/// Joins the specifications to what they mean together.
fn meant(snapshot: &Snapshot, said: Said<'_>, rules: &LabelRules) -> Desired {
    let (specs, mut complaints) = (said.specs, said.complaints);
    let helper = helper::chosen(snapshot, &specs, rules);
    let mut consumers = consumers::resolve(snapshot, &specs, helper, rules, &mut complaints);
    complaints.extend(helper::away(snapshot, &specs, helper));
    complaints.extend(helper::unseen(&consumers));
    let unconfigured = consumers::unconfigured(snapshot, &specs, &consumers);
    let mut of_sites = BTreeSet::new();
    let hosts = hosts::resolve(snapshot, &specs, rules, &mut of_sites);
    let assigned = certificates::assign(&hosts, &mut of_sites);
    let served_by = served_by(
        &mut consumers,
        (&hosts, &assigned),
        (snapshot, &unconfigured),
        rules,
        &mut of_sites,
    );
    uses::give(&mut consumers, &hosts, &assigned, snapshot, &specs);
    sites::tell_nameless(&consumers, &hosts, &mut of_sites);
    let mut files = sites::password_files(&consumers, &hosts, snapshot);
    let wants = certificates::wants(
        &hosts,
        &assigned,
        (&served_by, helper),
        rules,
        &mut of_sites,
    );
    tell_unanswered(
        (&hosts, &assigned),
        &served_by,
        &wants,
        rules,
        &mut of_sites,
    );
    // What can't be followed now of those that are away is looked at when they are back.
    for complaints in files.values_mut().chain([&mut of_sites]) {
        complaints.retain(|complaint| {
            let bearer = snapshot.bearers.get(&complaint.origin.bearer);
            bearer.is_some_and(|bearer| bearer.counts())
        });
    }
    complaints.append(&mut of_sites);
    for wanted in wants.certificates.values() {
        sites::answer(&mut consumers, wanted);
    }
    let consumers = consumers
        .into_iter()
        .map(|(name, consumer)| (name, Rc::new(consumer)))
        .collect();
    Desired {
        certificates: wants.certificates.into(),
        uncovered: wants.uncovered,
        consumers,
        hosts: projects(&hosts),
        files,
        complaints,
    }
}

/// Tells of names that nobody answers challenges for, and that DNS does not prove.
fn tell_unanswered(
    (hosts, assigned): (
        &BTreeMap<Host, HostDecision<'_>>,
        &BTreeMap<Host, CertificateName>,
    ),
    served_by: &BTreeMap<Host, BTreeSet<ContainerName>>,
    wants: &certificates::Wants,
    rules: &LabelRules,
    complaints: &mut BTreeSet<Complaint>,
) {
    for (host, held) in hosts.iter().filter(|_| !rules.answers_itself) {
        let wanted = assigned.get(host).map(|name| wants.certificates.get(name));
        let is_by_dns = wanted.flatten().is_some_and(|it| it.issuance.dns.is_some());
        if served_by[host].is_empty() && !is_by_dns {
            uses::tell_unanswered(host, held, rules, complaints);
        }
    }
}

/// Which project has which host, of those that count for longer than this look.
fn projects(hosts: &BTreeMap<Host, HostDecision<'_>>) -> KeyedTable<Host, Option<String>> {
    hosts
        .iter()
        .filter(|(_, held)| !held.is_kept || !held.certified_by.is_empty())
        .filter(|(_, held)| !held.is_named_alone())
        .map(|(host, held)| (host.clone(), held.project.map(str::to_owned)))
        .collect()
}

/// Has the proxies serve each host, or answer for it; which they are.
fn served_by(
    consumers: &mut BTreeMap<ContainerName, Consumer>,
    (hosts, assigned): (
        &BTreeMap<Host, HostDecision<'_>>,
        &BTreeMap<Host, CertificateName>,
    ),
    (snapshot, unconfigured): (&Snapshot, &[&Bearer]),
    rules: &LabelRules,
    complaints: &mut BTreeSet<Complaint>,
) -> BTreeMap<Host, BTreeSet<ContainerName>> {
    let mut served_by = BTreeMap::new();
    for (host, held) in hosts {
        let certificate = assigned.get(host).filter(|_| held.tls != Tls::Off);
        let mut proxies = sites::serve(consumers, host, held, certificate, snapshot);
        if proxies.is_empty() && !held.used_by.is_empty() {
            proxies = uses::answering(consumers, held, snapshot);
        } else if proxies.is_empty() {
            sites::tell_unserved(consumers, host, held, unconfigured, rules, complaints);
        }
        served_by.insert(host.clone(), proxies);
    }
    served_by
}

#[cfg(test)]
mod elsewhere_tests;
#[cfg(test)]
pub(crate) mod tests;
