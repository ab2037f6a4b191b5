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

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

pub use complaint::Complaint;
pub use kinds::{KINDS, Kind};
pub use labels::{LABELS, LabelRow};

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
    /// The certificate that is wanted for it.
    pub certificate: CertificateName,
    /// The containers behind it.
    pub containers: BTreeSet<ContainerName>,
    /// Where those of them answer that take traffic now; empty means that nobody does.
    pub upstreams: BTreeSet<SocketAddr>,
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
    let certificates = claims
        .iter()
        .map(|(host, claim)| {
            let served_by = consumers::serve(&mut consumers, host, claim, snapshot, rules, &mut complaints);
            let names = BTreeSet::from([host.clone()]);
            (CertificateName::from(host), Wanted { names, claimed_by: claim.containers(), served_by })
        })
        .collect();
    Desired { certificates, consumers, complaints }
}

#[cfg(test)]
pub(crate) mod tests;
