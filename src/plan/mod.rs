//! Decisions: what has to be done, why, and when to look again. Pure: facts, meaning and a time go in, a [`Plan`] comes
//! out, the same every time.
//!
//! Nobody writes the sequence of a first certificate: the turn that sees differing configuration deploys it, the next
//! sees a missing certificate and obtains it, the next deploys what can now have its TLS server.

mod backoff;
mod command_plan;
mod deploy;
mod foresee;
mod obtain;
mod renewal;
mod selection;
mod views;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::SocketAddr,
    path::PathBuf,
    time::Duration,
};

use serde::Serialize;

pub use backoff::next_try;
pub use command_plan::{CommandPlan, command_plans, steps};
pub use deploy::site_file;
pub use foresee::foresee;
pub use obtain::answer;
pub use renewal::due;
pub use selection::{Candidate, Skipped, candidates};
pub use views::{HTTP_PORT, HTTPS_PORT};

use crate::{
    desire::{Complaint, Consumer, Desired},
    observe::{Attempt, Installed, Observed, Subject},
    render::Templates,
    values::{CertificateName, ContainerName, Digest, DnsName, FileName, Timestamp},
};

/// Orders that run at the same time. Debian's Pebble hangs above eight, Let's Encrypt asks for restraint; four keep
/// both content and a batch of names quick.
pub const ORDERS_AT_ONCE: usize = 4;

/// What the settings say about planning.
#[derive(Debug)]
pub struct Rules {
    /// The CA's directory URL: a certificate that we obtained elsewhere is still served, an order is made here.
    pub authority: String,
    /// The host name under which proxies show their mark; kept in state, so that it stays the same.
    pub mark_host: String,
    /// The longest rest before everything is looked at again.
    pub resync: Duration,
}

/// What to do now, and when to look again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// At most one a subject; they don't depend on each other.
    pub actions: Vec<Action>,
    /// When to look again though nothing happened; at most a resync away.
    pub wake: Option<Timestamp>,
    /// What can't be rendered.
    pub complaints: BTreeSet<Complaint>,
}

/// Something to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Bring a consumer's files up to date and make it take them up.
    Deploy(Box<Deploy>),
    /// Get a certificate from the CA.
    Obtain(Box<Obtain>),
}

/// Bring a consumer's files up to date and make it take them up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deploy {
    /// The consumer.
    pub consumer: Consumer,
    /// Why; at least one.
    pub why: BTreeSet<Why>,
    /// Files to write, by name in its config folder.
    pub write: BTreeMap<FileName, String>,
    /// Files of ours to take away.
    pub remove: BTreeSet<FileName>,
    /// Held certificates to copy into its folder first.
    pub deliver: BTreeMap<CertificateName, Digest>,
    /// What will lie there afterwards.
    pub after: Installed,
    /// What a client must see when it was taken up.
    pub proof: Proof,
    /// The record of this try.
    pub attempt: Attempt,
}

/// What a client must see when a deployment was taken up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The host name under which the mark is shown.
    pub mark_host: String,
    /// The mark.
    pub mark: u64,
    /// The serial number that must be served for each of these names.
    pub serials: BTreeMap<DnsName, String>,
}

/// Get a certificate from the CA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obtain {
    /// What it will be called.
    pub certificate: CertificateName,
    /// The names it must cover.
    pub names: BTreeSet<DnsName>,
    /// Why.
    pub why: Why,
    /// Where responses to challenges are put, as we see it.
    pub webroots: BTreeSet<PathBuf>,
    /// Where the proxies that will be asked for them can be reached from here.
    pub proxies: BTreeSet<SocketAddr>,
    /// The record of this try, written down before it is made.
    pub attempt: Attempt,
}

/// Why something is done. A closed set: log, command plans, status and metrics print these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// There is none yet.
    Missing,
    /// It does not cover the names that are wanted now.
    NamesChanged,
    /// Most of its life is over.
    RenewalDue,
    /// Somebody wishes it, though it is not due.
    Asked,
    /// Files differ from what they should be.
    ContentChanged,
    /// A certificate that it serves is a new one.
    CertificateChanged,
    /// A signal was not sent yet.
    SignalOwed,
    /// It is not known yet whether the signal was followed.
    ProofOwed,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "missing",
            Self::NamesChanged => "names changed",
            Self::RenewalDue => "renewal due",
            Self::Asked => "asked for",
            Self::ContentChanged => "configuration changed",
            Self::CertificateChanged => "certificate changed",
            Self::SignalOwed => "signal owed",
            Self::ProofOwed => "proof owed",
        })
    }
}

impl Action {
    /// What it is about.
    pub fn subject(&self) -> Subject {
        match self {
            Self::Deploy(deploy) => Subject::Consumer(deploy.consumer.name.clone()),
            Self::Obtain(obtain) => Subject::Certificate(obtain.certificate.clone()),
        }
    }
}

/// What has to be done at `now`.
pub fn plan(desired: &Desired, observed: &Observed, templates: &Templates, rules: &Rules, now: Timestamp) -> Plan {
    let mut draft = Draft { plan: Plan::default(), wakes: BTreeSet::new() };
    for consumer in desired.consumers.values() {
        deploy::plan(consumer, observed, templates, rules, now, &mut draft);
    }
    let deploying: BTreeSet<ContainerName> = draft.plan.actions.iter().filter_map(deployed_to).collect();
    obtain::plan(desired, observed, &deploying, rules, now, &mut draft);
    let latest = now + rules.resync;
    draft.plan.wake = Some(draft.wakes.into_iter().find(|wake| *wake > now).map_or(latest, |wake| wake.min(latest)));
    draft.plan
}

/// A plan in the making, with every time at which something becomes due.
struct Draft {
    plan: Plan,
    wakes: BTreeSet<Timestamp>,
}

fn deployed_to(action: &Action) -> Option<ContainerName> {
    match action {
        Action::Deploy(deploy) => Some(deploy.consumer.name.clone()),
        Action::Obtain(_) => None,
    }
}

#[cfg(test)]
mod tests;
