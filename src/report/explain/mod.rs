//! The story of one host name, for somebody who wants to know at once why it is as it is. Pure: what was looked at goes
//! in, findings come out, from what causes to what is caused, so that the first problem is the one to begin with.

mod certificate;
mod claim;
mod outputs;
mod proxy;
mod uses;

use std::{collections::BTreeMap, io::ErrorKind, net::SocketAddr, time::Duration};

use super::{Findings, Status};
use crate::{
    desire::{Claimant, Complaint, Desired, Site},
    observe::{Observed, Snapshot, Subject},
    plan::{Action, Plan},
    values::{ContainerName, Host, Timestamp},
};

/// Everything that was looked at.
pub struct Inspection<'a> {
    /// The name.
    pub host: &'a Host,
    /// When it was looked at.
    pub now: Timestamp,
    /// The prefix of labels.
    pub prefix: &'a str,
    /// The engine's description of its containers.
    pub snapshot: &'a Snapshot,
    /// The meaning of the labels.
    pub desired: &'a Desired,
    /// All names in labels, and who names them.
    pub claimants: &'a BTreeMap<Host, Vec<Claimant>>,
    /// The certificates and records on disk.
    pub observed: &'a Observed,
    /// The plan for now.
    pub plan: &'a Plan,
    /// Problems on disk and with templates.
    pub faults: &'a [String],
    /// The status that the daemon left after its last turn.
    pub status: Option<&'a Status>,
    /// The state of the daemon that works on this state folder, and the time of its last sign of life there.
    pub daemon: (Works, Option<Timestamp>),
    /// The findings of a look just now; none where nobody looked.
    pub looked: Option<LookedAt<'a>>,
}

/// The findings of a look.
#[derive(Clone, Copy)]
pub struct LookedAt<'a> {
    /// The answers of each proxy; none where it can't be reached from here.
    pub seen: &'a BTreeMap<ContainerName, ProxyAnswers>,
    /// The result of a connection to each address where containers are to be asked.
    pub listening: &'a BTreeMap<SocketAddr, Result<(), ErrorKind>>,
}

/// The answers of a proxy to new connections; errors in words.
#[derive(Clone, Debug)]
pub struct ProxyAnswers {
    /// The body of the page that shows its generation, or what came instead.
    pub mark: Result<String, String>,
    /// The status of a plain request for the name.
    pub plain: Result<u16, String>,
    /// The serial number of the certificate for the name; none where TLS is off.
    pub serial: Option<Result<String, String>>,
}

/// Tells the story.
pub fn explain(facts: &Inspection<'_>) -> Findings {
    let mut told = Findings::default();
    claim::tell(facts, &mut told);
    daemon(facts, &mut told);
    proxy::tell_shut(facts, &mut told);
    for consumer in facts.proxies() {
        proxy::tell_files(facts, consumer, &mut told);
    }
    uses::tell(facts, &mut told);
    certificate::tell(facts, &mut told);
    for consumer in facts.proxies() {
        proxy::tell_seen(facts, consumer, &mut told);
        proxy::tell_behind(facts, consumer, &mut told);
    }
    outputs::tell(facts, &mut told);
    claim::tell_complaints(facts, &mut told);
    told
}

impl<'a> Inspection<'a> {
    /// The proxies that are to serve the name.
    fn proxies(&self) -> impl Iterator<Item = &'a crate::desire::Consumer> {
        let host = self.host;
        self.desired
            .consumers
            .values()
            .map(|consumer| &**consumer)
            .filter(move |consumer| consumer.sites.contains_key(host))
    }

    /// The name as the first proxy serves it.
    fn site(&self) -> Option<&'a Site> {
        self.proxies()
            .find_map(|consumer| consumer.sites.get(self.host))
            .map(|site| &**site)
    }

    /// True while the daemon brings this consumer up to date: until that ends, what is old there is no fault.
    fn deploys_to(&self, name: &ContainerName) -> bool {
        let subject = Subject::Consumer(name.clone());
        let says_so = |status: &Status| status.deploys_to(name);
        self.observed.under_way.contains(&subject)
            || self.daemon.0 == Works::Well && self.status.is_some_and(says_so)
    }

    /// The actions planned for now that are about the name.
    fn actions(&self) -> impl Iterator<Item = &'a Action> {
        let host = self.host;
        self.plan.actions.iter().filter(move |action| match action {
            Action::Obtain(obtain) => obtain.names.contains(host),
            Action::FallBack(fallback) => fallback.names.contains(host),
            Action::Deploy(deploy) => {
                let consumer = &deploy.consumer;
                consumer.sites.contains_key(host) || consumer.uses.contains_key(host)
            }
            Action::TakeBack(back) => back.consumer.sites.contains_key(host),
        })
    }

    /// Complaints of all kinds.
    fn complaints(&self) -> impl Iterator<Item = &'a Complaint> {
        self.desired.complaints.iter().chain(&self.plan.complaints)
    }

    /// A time, and how far it is away.
    fn at(&self, time: Timestamp) -> String {
        match time > self.now {
            true => format!("{time} (in {})", rough(time.since(self.now))),
            false => format!("{time} ({} ago)", rough(self.now.since(time))),
        }
    }
}

/// The state of a daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Works {
    /// There is one, and it turns.
    Well,
    /// There is one, and it has left no sign of life for too long.
    Stuck,
    /// There is none.
    No,
}

/// A daemon that does not work is the reason for everything that is still to be done.
fn daemon(facts: &Inspection<'_>, told: &mut Findings) {
    let work = facts.actions().next().is_some();
    let (works, last) = facts.daemon;
    let last = last.map_or_else(
        || "never seen here".to_owned(),
        |last| format!("last seen at {}", facts.at(last)),
    );
    let none = format!("no daemon works on this state ({last})");
    let start = "start it: `docker start` its container, or run `quaymaster watch`";
    match works {
        Works::Well if work => told.note(
            "daemon",
            "it works, and has something to do for this name now",
        ),
        Works::Well => told.ok("daemon", "it works"),
        Works::Stuck => told.problem(
            "daemon",
            format!("it does not turn ({last})"),
            "look at its log, then restart it",
        ),
        Works::No if work => told.problem("daemon", none, start),
        Works::No => told.note(
            "daemon",
            format!("{none}; what changes is not followed, and nothing is renewed"),
        ),
    }
}

/// A length of time as people say it, no finer than they need.
pub fn rough(length: Duration) -> String {
    let seconds = length.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match () {
        () if days >= 2 => format!("{days} days"),
        () if hours >= 1 => format!("{hours} h {} min", minutes % 60),
        () if minutes >= 1 => format!("{minutes} min {} s", seconds % 60),
        () => format!("{seconds} s"),
    }
}

#[cfg(test)]
mod tests;
