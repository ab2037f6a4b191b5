//! Meaning: what the labels ask for. Pure: a [`Snapshot`] and the [`Rules`] go in, [`Desired`] and its complaints come
//! out, the same every time.
//!
//! One container that can't be followed spoils only itself: it leaves a [`Complaint`] and the rest goes on. Past this
//! room nothing checks a label again.

mod claims;
mod complaint;
mod consumers;
mod kinds;
mod labels;
mod spec;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

pub use claims::{Claimant, claimants, nearest_names};
pub use complaint::{Complaint, visible};
pub use kinds::{KINDS, Kind};
pub use labels::{LABELS, LabelRow};
pub use spec::{Block, Path, Scheme, Tls};

use crate::{
    observe::Snapshot,
    values::{CertificateName, ContainerId, ContainerName, DnsName, Timestamp},
};

/// What the settings say about reading labels and finding folders.
#[derive(Clone, Debug)]
pub struct Rules {
    /// What our labels begin with, without the dot.
    pub label_prefix: String,
    /// The folder with `live/` and `archive/`, as we see it.
    pub certificates: PathBuf,
    /// The shared folder for challenges, as we see it, where there is one.
    pub webroot: Option<PathBuf>,
    /// Whether the CA is a public one, which issues for public names alone.
    pub public_authority: bool,
}

/// What the labels ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Desired {
    /// Certificates that somebody wants.
    pub certificates: BTreeMap<CertificateName, Wanted>,
    /// Servers that we configure.
    pub consumers: BTreeMap<ContainerName, Consumer>,
    /// What can't be followed.
    pub complaints: BTreeSet<Complaint>,
}

/// A certificate that somebody wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The names it is to cover.
    pub names: BTreeSet<DnsName>,
    /// The containers whose labels ask for it.
    pub claimed_by: BTreeSet<ContainerName>,
    /// The proxies that serve its names, and so answer its challenges.
    pub served_by: BTreeSet<ContainerName>,
}

/// A server that we configure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consumer {
    /// Its container.
    pub name: ContainerName,
    /// The engine's word for it.
    pub id: ContainerId,
    /// What kind of server it is.
    pub kind: &'static Kind,
    /// Whether it runs now.
    pub running: bool,
    /// When it last started.
    pub started_at: Option<Timestamp>,
    /// Where its rendered files go.
    pub config: Folder,
    /// Where it reads certificates.
    pub certificates: CertificateFolder,
    /// Where it reads responses to challenges.
    pub webroot: Folder,
    /// Its address on a network that we share; `None` when it can't be reached from here.
    pub address: Option<IpAddr>,
    /// What it serves.
    pub sites: BTreeMap<DnsName, Site>,
}

/// One folder, as each side sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    /// Its path for us.
    pub ours: PathBuf,
    /// Its path for the consumer.
    pub theirs: PathBuf,
}

/// Where a consumer reads certificates, as `NAME/fullchain.pem` and `NAME/privkey.pem`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateFolder {
    /// It mounts our `certificates` folder and reads `live/` there, at this path of its own.
    Shared {
        /// Its path of `live/`.
        theirs: PathBuf,
    },
    /// It gets copies of just its own.
    Delivered(Folder),
}

impl CertificateFolder {
    /// The folder as the consumer sees it.
    pub fn theirs(&self) -> &PathBuf {
        match self {
            Self::Shared { theirs } | Self::Delivered(Folder { theirs, .. }) => theirs,
        }
    }
}

/// A host name that a proxy serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// The certificate that is wanted for it; none where TLS is off.
    pub certificate: Option<CertificateName>,
    /// What is served in plain text and what over TLS.
    pub tls: Tls,
    /// How long browsers shall insist on TLS.
    pub hsts: Option<Duration>,
    /// The containers that ask for it.
    pub containers: BTreeSet<ContainerName>,
    /// What it leads to.
    pub content: Content,
}

/// What a site leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Another name.
    Redirect(DnsName),
    /// Containers, by path.
    Routes(BTreeMap<Path, Route>),
}

/// A part of a site, and what is behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Where the containers answer that take traffic now; empty means that nobody does.
    pub upstreams: BTreeSet<SocketAddr>,
    /// How the proxy talks to them.
    pub scheme: Scheme,
    /// What its path is replaced by; none where it is passed on unchanged.
    pub replaced_by: Option<Path>,
    /// The largest request, as nginx writes sizes.
    pub body_size: Option<String>,
    /// A file of passwords, and what they are asked for.
    pub auth: Option<Auth>,
    /// From where it may be asked; empty for everywhere.
    pub allow: Vec<Block>,
}

/// A password that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Auth {
    /// The htpasswd file, as the proxy sees it.
    pub file: String,
    /// What it is asked for.
    pub realm: String,
}

/// What the containers of `snapshot` ask for.
pub fn desire(snapshot: &Snapshot, rules: &Rules) -> Desired {
    let mut complaints = BTreeSet::new();
    let specs: BTreeMap<_, _> = snapshot
        .containers
        .values()
        .map(|container| (&container.name, labels::read(container, &rules.label_prefix, &mut complaints)))
        .collect();
    let mut consumers = consumers::resolve(snapshot, &specs, rules, &mut complaints);
    let claims = claims::resolve(snapshot, &specs, rules, &mut complaints);
    let mut certificates = BTreeMap::new();
    for (host, held) in &claims {
        let served_by = consumers::serve(&mut consumers, host, held, snapshot, rules, &mut complaints);
        if held.tls != Tls::Off && claims::may_be_ordered(host, held, rules, &mut complaints) {
            let names = BTreeSet::from([host.clone()]);
            let wanted = Wanted { names, claimed_by: held.containers(), served_by };
            certificates.insert(CertificateName::from(host), wanted);
        }
    }
    Desired { certificates, consumers, complaints }
}

#[cfg(test)]
pub(crate) mod tests;
