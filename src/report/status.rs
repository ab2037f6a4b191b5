use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    rc::Rc,
};

use itertools::Itertools;

use serde::{Deserialize, Serialize};

use super::OutputStatus;
use crate::{
    desire::{Complaint, Desired, Kept, LabelRules, Route, Site, SiteContent, asked_in_vain},
    observe::{HeldCertificate, Installed, Observed, Snapshot, Subject, Wait},
    plan::{self, InForce, Notice, Plan},
    values::{CertificateName, ContainerName, EngineName, Host, Retry, Timestamp},
};

/// The state of everything after a turn: `state/status.json` holds it and `quaymaster status` prints it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// When this was written.
    pub written: Timestamp,
    /// When the next look is due though nothing happens.
    pub next_look: Option<Timestamp>,
    /// Number of full looks since the daemon started: at its start, after a gap in the engine's events, at SIGHUP and
    /// after each `resync`.
    #[serde(default)]
    pub looks: u64,
    /// True if no action runs and none is left to begin now.
    #[serde(default)]
    pub at_rest: bool,
    /// Certificates that are wanted or held.
    pub certificates: BTreeMap<CertificateName, CertificateStatus>,
    /// Certificates that are archived, and when each is deleted unless a label asks for it again.
    #[serde(default)]
    pub archived: BTreeMap<CertificateName, Timestamp>,
    /// Names that are served.
    pub sites: Vec<SiteStatus>,
    /// Servers that are configured.
    pub consumers: BTreeMap<ContainerName, ConsumerStatus>,
    /// Files of the user's own.
    #[serde(default)]
    pub outputs: BTreeMap<String, OutputStatus>,
    /// Engines that have a name and are out of reach, and why: what they said last counts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub engines_away: BTreeMap<EngineName, String>,
    /// The actions that run now.
    pub under_way: Vec<String>,
    /// Failures after which an action will be tried again.
    pub failures: Vec<FailureStatus>,
    /// Certificates that are due and wait, since a limit of their CA is reached.
    #[serde(default)]
    pub limited: BTreeMap<CertificateName, LimitedStatus>,
    /// Certificates that are due and asked of another CA than the first of their list, with which, and why.
    #[serde(default)]
    pub other_cas: BTreeMap<CertificateName, String>,
    /// Complaints about labels that can't be followed.
    pub complaints: BTreeSet<Complaint>,
    /// Problems with the user's templates.
    #[serde(default)]
    pub templates: BTreeSet<String>,
    /// Problems on disk.
    #[serde(default)]
    pub faults: BTreeSet<String>,
    /// Notices about certificates for the user.
    #[serde(default)]
    pub notices: BTreeSet<Notice>,
}

/// A certificate that is wanted, held, or both.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateStatus {
    /// True if a label asks for it now.
    pub wanted: bool,
    /// The certificate on disk.
    pub held: Option<Rc<HeldCertificate>>,
    /// When it is to be renewed where that is not by the usual rule, but since its CA suggests a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suggested_renewal: Option<Timestamp>,
    /// True if it is served now, for whichever name.
    #[serde(default)]
    pub serves: bool,
    /// The one that is served in its place to all that it is wanted for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instead: Option<CertificateName>,
    /// The containers that ask for it and have a complaint, which may be why it does not count as wanted.
    #[serde(default)]
    pub held_up_by: BTreeSet<ContainerName>,
    /// When it is archived, where nobody asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archived_at: Option<Timestamp>,
}

impl CertificateStatus {
    /// The time at which it is renewed, if it is.
    fn due(&self) -> Option<Timestamp> {
        let held = self.held.as_ref()?;
        let is_renewed = self.wanted && self.instead.is_none() && held.is_renewed();
        let usual = || plan::due_renewal(held, None).at;
        is_renewed.then(|| self.suggested_renewal.unwrap_or_else(usual))
    }
}

/// A name that a proxy serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteStatus {
    /// The name.
    pub host: Host,
    /// The proxy.
    pub proxy: ContainerName,
    /// The containers behind it.
    pub containers: Vec<ContainerName>,
    /// The name that it is sent to, if it is not served.
    pub redirect: Option<Host>,
    /// `address:port` of the containers that take traffic, by path.
    pub upstreams: BTreeMap<String, BTreeSet<String>>,
    /// That no container of it runs, and until when it is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<Kept>,
    /// Those of its containers that come and go, and when each takes traffic again.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub waits: BTreeMap<ContainerName, Wait>,
    /// The content that is served instead, where it differs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instead: Option<Instead>,
}

/// The content that is served in place of the wanted one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Instead {
    /// The proxy has no file for the name.
    Nothing,
    /// The file that it has leads to these.
    Older {
        /// `address:port`; empty where it passes nothing on.
        leads_to: BTreeSet<String>,
    },
}

impl Instead {
    /// The content that a proxy with this folder serves for the host instead of the site.
    pub fn of(host: &Host, site: &Site, installed: &Installed) -> Option<Self> {
        match installed.files.get(&plan::site_file(host)) {
            None => Some(Self::Nothing),
            Some(file) if *file.leads_to == *site.leads_to() => None,
            Some(file) => Some(Self::Older {
                leads_to: file.leads_to.iter().map(ToString::to_string).collect(),
            }),
        }
    }
}

impl fmt::Display for Instead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("not served now"),
            Self::Older { leads_to } if leads_to.is_empty() => {
                f.write_str("an older file is served now, without traffic")
            }
            Self::Older { leads_to } => write!(
                f,
                "an older file leads to {} now",
                leads_to.iter().join(", ")
            ),
        }
    }
}

/// A server that is configured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsumerStatus {
    /// The row of the kinds table.
    pub kind: String,
    /// True if it runs.
    pub running: bool,
    /// When it last started.
    #[serde(default)]
    pub started_at: Option<Timestamp>,
    /// True if it obtains certificates in our place, and is given nothing to take up.
    #[serde(default)]
    pub is_helper: bool,
    /// The contents of its folder, and the progress in taking them up.
    pub installed: Rc<Installed>,
}

/// Something that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureStatus {
    /// The subject.
    pub subject: Subject,
    /// Number of failures in a row.
    pub count: u32,
    /// When last.
    pub last: Timestamp,
    /// The rule for when it may be tried again.
    pub retry: Retry,
    /// When that is; nothing when something else must change first.
    #[serde(default)]
    pub again: Option<Timestamp>,
    /// The problem, in words.
    pub problem: Option<String>,
}

/// A certificate that waits, since a limit of its CA is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitedStatus {
    /// Which, in words.
    pub problem: String,
    /// When it may be ordered.
    pub until: Timestamp,
}

impl ConsumerStatus {
    /// When it started, if it was not looked at since: what was seen before was another process.
    pub fn unseen_since(&self) -> Option<Timestamp> {
        self.installed.unseen_since(self.started_at)
    }
}

impl Status {
    /// The next events without anybody's doing, and their times, the earliest first: orders that failed and are made
    /// again, renewals, and the next look at everything.
    pub fn next(&self) -> Vec<(Timestamp, String)> {
        let mut next = Vec::new();
        for failure in &self.failures {
            let Some(again) = failure.again else {
                continue;
            };
            let words = match &failure.subject {
                Subject::Certificate(name) => format!("{name} is ordered again"),
                Subject::Fallback(name) => format!("{name} is self-signed"),
                Subject::Consumer(name) => format!("{name} is deployed to again"),
            };
            next.push((again, words));
        }
        for (name, limited) in &self.limited {
            next.push((limited.until, format!("{name} is ordered")));
        }
        for (name, certificate) in &self.certificates {
            // One that waits for a limit is not renewed before.
            if let Some(due) = certificate.due()
                && !self.limited.contains_key(name)
            {
                next.push((due, format!("{name} is renewed")));
            }
        }
        if let Some(time) = self.next_look {
            next.push((time, "everything is looked at again".to_owned()));
        }
        next.sort();
        next
    }

    /// For certificates that are wanted, another one that does what they are wanted for.
    pub fn instead(&self) -> BTreeMap<CertificateName, CertificateName> {
        let all = self.certificates.iter();
        let other = |(name, it): (&CertificateName, &CertificateStatus)| {
            Some((name.clone(), it.instead.clone()?))
        };
        all.filter_map(other).collect()
    }

    /// Adds to certificates that are kept the containers whose requests for them have no effect.
    pub fn tell_held_up(&mut self, snapshot: &Snapshot, rules: &LabelRules) {
        if self
            .certificates
            .values()
            .all(|certificate| certificate.wanted)
        {
            return;
        }
        for (name, containers) in asked_in_vain(&self.complaints, snapshot, rules) {
            if let Some(kept) = self
                .certificates
                .get_mut(&name)
                .filter(|certificate| !certificate.wanted)
            {
                kept.held_up_by = containers;
            }
        }
    }

    /// Adds when certificates that nobody asks for are archived, and when those that are archived are deleted.
    pub fn tell_life_steps(&mut self, due: &BTreeMap<CertificateName, Timestamp>) {
        for (name, time) in due {
            match self.certificates.get_mut(name) {
                Some(certificate) => certificate.archived_at = Some(*time),
                None => drop(self.archived.insert(name.clone(), *time)),
            }
        }
    }

    /// Adds to sites which of their containers wait.
    pub fn tell_waits(&mut self, waiting: &BTreeMap<ContainerName, Wait>) {
        if waiting.is_empty() {
            return;
        }
        for site in &mut self.sites {
            let names = site.containers.iter();
            let waits = names.filter_map(|name| Some((name.clone(), *waiting.get(name)?)));
            site.waits = waits.collect();
        }
    }

    /// True while the daemon brings this consumer up to date.
    pub fn deploys_to(&self, name: &ContainerName) -> bool {
        let deploying = subject(&Subject::Consumer(name.clone()));
        self.under_way.contains(&deploying)
    }

    /// The state of everything at `now`.
    pub fn of(desired: &Desired, observed: &Observed, plan: &Plan, now: Timestamp) -> Self {
        Self {
            written: now,
            next_look: plan.wake,
            looks: 0,
            at_rest: plan.actions.is_empty() && observed.under_way.is_empty(),
            certificates: certificates(desired, observed, &plan.in_force, now),
            archived: BTreeMap::new(),
            sites: sites(desired, observed),
            consumers: consumers(desired, observed),
            outputs: BTreeMap::new(),
            engines_away: BTreeMap::new(),
            under_way: observed.under_way.iter().map(subject).collect(),
            failures: failures(desired, observed),
            limited: limited(plan),
            other_cas: other_cas(plan),
            complaints: desired
                .complaints
                .union(&plan.complaints)
                .cloned()
                .collect(),
            templates: BTreeSet::new(),
            faults: BTreeSet::new(),
            notices: plan.notices.clone(),
        }
    }
}

/// When a certificate is to be renewed since its CA suggests a time.
fn suggested_renewal(
    name: &CertificateName,
    held: &HeldCertificate,
    observed: &Observed,
) -> Option<Timestamp> {
    let due = plan::due_renewal(held, observed.renewal(name)).at;
    (due != plan::due_renewal(held, None).at).then_some(due)
}

fn certificates(
    desired: &Desired,
    observed: &Observed,
    in_force: &InForce,
    now: Timestamp,
) -> BTreeMap<CertificateName, CertificateStatus> {
    let held = &in_force.certificates;
    let names = desired.certificates.keys().chain(held.keys());
    let status = |name: &CertificateName| CertificateStatus {
        wanted: desired.certificates.contains_key(name),
        held: held.get(name).cloned(),
        suggested_renewal: held
            .get(name)
            .and_then(|held| suggested_renewal(name, held, observed)),
        serves: false,
        instead: None,
        held_up_by: BTreeSet::new(),
        archived_at: None,
    };
    let mut certificates: BTreeMap<_, _> = names.map(|name| (name.clone(), status(name))).collect();
    let served = plan::served(desired, in_force, now);
    for (name, certificate) in &mut certificates {
        certificate.serves = served.in_use.contains(name);
        certificate.instead = served.instead.get(name).map(|instead| (*instead).clone());
    }
    certificates
}

fn sites(desired: &Desired, observed: &Observed) -> Vec<SiteStatus> {
    let of_each = desired.consumers.values().flat_map(|consumer| {
        let installed = observed.installed.get(&consumer.name);
        consumer.sites.iter().map(move |(host, site)| SiteStatus {
            host: host.clone(),
            proxy: consumer.name.clone(),
            containers: site.bearers().cloned().collect(),
            redirect: match &site.content {
                SiteContent::Redirect(to) => Some(to.clone()),
                SiteContent::Routes(_) => None,
            },
            upstreams: upstreams(&site.content),
            kept: site.kept,
            waits: BTreeMap::new(),
            instead: installed.and_then(|installed| Instead::of(host, site, installed)),
        })
    });
    of_each.collect()
}

fn upstreams(content: &SiteContent) -> BTreeMap<String, BTreeSet<String>> {
    let SiteContent::Routes(routes) = content else {
        return BTreeMap::new();
    };
    let addresses = |route: &Route| route.upstreams.iter().map(ToString::to_string).collect();
    routes
        .iter()
        .map(|(path, route)| (path.to_string(), addresses(route)))
        .collect()
}

fn consumers(desired: &Desired, observed: &Observed) -> BTreeMap<ContainerName, ConsumerStatus> {
    let status = |name: &ContainerName| {
        let consumer = desired.consumers.get(name)?;
        Some(ConsumerStatus {
            kind: consumer.kind.name.to_owned(),
            running: consumer.running,
            started_at: consumer.started_at,
            is_helper: consumer.helper.is_some(),
            installed: observed.installed.get(name).cloned().unwrap_or_default(),
        })
    };
    desired
        .consumers
        .keys()
        .filter_map(|name| Some((name.clone(), status(name)?)))
        .collect()
}

fn failures(desired: &Desired, observed: &Observed) -> Vec<FailureStatus> {
    let failed = observed
        .attempts
        .iter()
        .filter(|(subject, attempt)| plan::is_failure(subject, attempt, desired))
        .filter(|(subject, _)| !observed.under_way.contains(*subject));
    failed
        .map(|(subject, attempt)| FailureStatus {
            subject: subject.clone(),
            count: attempt.in_a_row(),
            last: attempt.last,
            retry: attempt.retry,
            again: Some(plan::again(subject, attempt, desired, observed)),
            problem: attempt.problem.clone(),
        })
        .collect()
}

fn limited(plan: &Plan) -> BTreeMap<CertificateName, LimitedStatus> {
    let each = plan.limited.iter().map(|(name, reached)| {
        let limited = LimitedStatus {
            problem: reached.to_string(),
            until: reached.until,
        };
        (name.clone(), limited)
    });
    each.collect()
}

fn other_cas(plan: &Plan) -> BTreeMap<CertificateName, String> {
    let each = plan.other_cas.iter();
    each.map(|(name, other)| (name.clone(), other.to_string()))
        .collect()
}

fn subject(subject: &Subject) -> String {
    match subject {
        Subject::Certificate(name) => format!("obtaining {name}"),
        Subject::Fallback(name) => format!("self-signing {name}"),
        Subject::Consumer(name) => format!("deploying to {name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        desire::{
            desire,
            tests::{container, proxy, rules, snapshot},
        },
        fixtures::{held, usual_issuance},
        observe::{Shelf, Source},
    };

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

    /// A certificate that has just begun.
    fn lasting(names: &[&str]) -> HeldCertificate {
        HeldCertificate {
            not_before: NOW,
            not_after: NOW + std::time::Duration::from_secs(1000),
            ..held(names)
        }
    }

    /// A plan that has nothing to do.
    fn plan(desired: &Desired, observed: &Observed) -> Plan {
        Plan {
            in_force: InForce::of(desired, observed, NOW),
            ..Plan::default()
        }
    }

    #[test]
    fn what_is_served_is_told_whatever_it_is_called() {
        let name = |word| CertificateName::parse(word).expect("a name");
        let desired = desire(
            &snapshot([proxy(), container("shop", 4).label("host", "shop.example")]),
            &rules(),
        );
        let theirs = HeldCertificate {
            shelf: Shelf::Provided,
            ..lasting(&["*.example"])
        };
        let ours = HeldCertificate {
            source: Source::from(&usual_issuance().issuer),
            ..lasting(&["shop.example"])
        };
        for held in [None, Some(ours)] {
            let mut observed = Observed::default();
            observed.provide(name("corp"), theirs.clone());
            held.into_iter()
                .for_each(|held| observed.hold(name("shop.example"), held));
            let status = Status::of(&desired, &observed, &plan(&desired, &observed), NOW);
            let [corp, shop] =
                ["corp", "shop.example"].map(|word| &status.certificates[&name(word)]);
            assert_eq!((corp.serves, shop.serves), (true, false));
            assert_eq!(shop.instead, Some(name("corp")));
            assert_eq!(status.next(), [], "ours is not renewed");
        }
    }

    #[test]
    fn a_certificate_that_another_is_shown_for_want_of_is_missing() {
        let name = |word| CertificateName::parse(word).expect("a name");
        let default = proxy().label("default-certificate", "spare");
        let shop = container("shop", 4).label("host", "shop.example");
        for (bearers, serves) in [
            (vec![default.clone(), shop], true),
            (vec![default], true),
            (vec![proxy()], false),
        ] {
            let desired = desire(&snapshot(bearers), &rules());
            let mut observed = Observed::default();
            observed.hold(name("spare"), lasting(&["spare.example"]));
            let status = Status::of(&desired, &observed, &plan(&desired, &observed), NOW);
            assert_eq!(status.certificates[&name("spare")].serves, serves);
            if let Some(shop) = status.certificates.get(&name("shop.example")) {
                assert_eq!((&shop.held, &shop.instead), (&None, &None));
            }
        }
    }

    #[test]
    fn a_certificate_is_held_up_by_a_container_that_asks_for_it_and_can_not_be_followed() {
        let mut observed = Observed::default();
        for name in [
            "ambiguous.example",
            "plain.example",
            "nobody.example",
            "served.example",
        ] {
            observed.hold(
                CertificateName::parse(name).expect("a name"),
                lasting(&[name]),
            );
        }
        let mut ambiguous = container("shop", 4).label("host", "ambiguous.example");
        ambiguous.exposed = BTreeSet::from([8080, 9090]);
        // Asks for none, and has a complaint.
        let plain = container("plain", 5)
            .label("host", "plain.example")
            .label("tls", "off")
            .label("pth", "/");
        let snapshot = snapshot([
            proxy(),
            ambiguous,
            plain,
            container("served", 6).label("host", "served.example"),
        ]);
        let desired = desire(&snapshot, &rules());
        let mut status = Status::of(&desired, &observed, &plan(&desired, &observed), NOW);
        status.tell_held_up(&snapshot, &rules());
        let told: Vec<_> = status
            .certificates
            .iter()
            .map(|(name, it)| (name.as_str(), it.wanted, &it.held_up_by))
            .collect();
        let shop = BTreeSet::from([ContainerName::parse("shop").expect("a name")]);
        let nobody = BTreeSet::new();
        assert_eq!(
            told,
            [
                ("ambiguous.example", false, &shop),
                ("nobody.example", false, &nobody),
                ("plain.example", false, &nobody),
                ("served.example", true, &nobody),
            ]
        );
        assert_eq!(status.complaints.len(), 2, "{:?}", status.complaints);
    }
}
