//! One name: its story, as in `explain`, and the details of its certificate.

use std::{collections::BTreeMap, rc::Rc};

use itertools::Itertools;
use serde::Serialize;

use super::{Frame, Moment, PageTemplates, at_once};
use crate::{
    desire::{Claimant, add_claimants, by_age},
    observe::Bearer,
    ports::Pieces,
    report::{
        Finding, FindingState, Findings, Overview,
        explain::{Inspection, Works, explain},
    },
    values::{CertificateName, Host},
};

/// Where the pages of names are.
const NAMES: &str = "/name/";

/// Bearers whose labels are read in one step.
const AT_ONCE: usize = 50;

#[derive(Serialize)]
struct View {
    frame: Frame,
    host: String,
    is_known: bool,
    is_well: bool,
    steps: Vec<String>,
    findings: Vec<FindingView>,
    certificate: Option<CertificateView>,
}

#[derive(Serialize)]
struct FindingView {
    about: &'static str,
    level: &'static str,
    word: &'static str,
    says: String,
    remedy: Option<String>,
}

#[derive(Serialize)]
struct CertificateView {
    name: String,
    names: String,
    issuer: String,
    serial: String,
    key: String,
    from: Moment,
    until: Moment,
    renewal: Option<Moment>,
    /// The part of its life that is over, from 0 to 100.
    spent: u64,
}

/// The page of a name.
pub(super) fn path_of(host: &Host) -> String {
    format!("{NAMES}{}", host.as_str())
}

/// The name of a page; nothing where the path is that of no name's page.
pub(super) fn asked(path: &str) -> Option<Host> {
    Host::parse(path.strip_prefix(NAMES)?).ok()
}

/// Its status and body.
pub(super) fn name(host: Host, overview: Rc<Overview>, templates: PageTemplates) -> (u16, Pieces) {
    let is_known = is_known(&overview, &host);
    if !is_known {
        let body = move || templates.rendered("name.html", unknown(&overview, &host));
        return (404, Box::new(at_once(body)));
    }
    let bearers = by_age(&overview.snapshot);
    let mut claimants = BTreeMap::new();
    let mut read = Some(0);
    let body = std::iter::from_fn(move || {
        let from = read?;
        if from < bearers.len() {
            read = Some(ask(&bearers, from, &overview, &mut claimants));
            return Some(Vec::new());
        }
        read = None;
        let view = view(&overview, &host, &claimants);
        Some(templates.rendered("name.html", view))
    });
    (200, Box::new(body))
}

/// Reads the labels of some bearers; says where to go on.
fn ask(
    bearers: &[Rc<Bearer>],
    from: usize,
    overview: &Overview,
    claimants: &mut BTreeMap<Host, Vec<Claimant>>,
) -> usize {
    let to = bearers.len().min(from + AT_ONCE);
    add_claimants(claimants, &bearers[from..to], &overview.label_rules);
    to
}

/// True if any server serves or uses it, or a certificate is held under its name.
fn is_known(overview: &Overview, host: &Host) -> bool {
    let mut consumers = overview.desired.consumers.values();
    let name = CertificateName::from(host);
    consumers.any(|consumer| consumer.sites.contains_key(host) || consumer.uses.contains_key(host))
        || overview.desired.hosts.contains_key(host)
        || overview.desired.certificates.contains_key(&name)
        || overview.held(&name).is_some()
}

/// The story of a name, from what the loop knows: nobody is asked for it.
pub(super) fn story(
    overview: &Overview,
    host: &Host,
    claimants: &BTreeMap<Host, Vec<Claimant>>,
) -> Findings {
    let faults = overview.faults.iter().chain(&overview.templates);
    let faults: Vec<_> = faults.cloned().collect();
    explain(&Inspection {
        host,
        now: overview.now,
        prefix: &overview.label_rules.dialects.prefix,
        snapshot: &overview.snapshot,
        desired: &overview.desired,
        claimants,
        observed: &overview.observed,
        plan: &overview.plan,
        faults: &faults,
        status: None,
        daemon: (Works::Well, overview.breathed),
        looked: None,
    })
}

fn view(overview: &Overview, host: &Host, claimants: &BTreeMap<Host, Vec<Claimant>>) -> View {
    let found = story(overview, host, claimants);
    let steps = found.next_steps(usize::MAX);
    View {
        frame: Frame::of(overview, "name", host.as_str()),
        host: host.to_string(),
        is_known: true,
        is_well: found.is_well(),
        steps: steps.into_iter().map(str::to_owned).collect(),
        findings: found.0.iter().map(finding).collect(),
        certificate: certificate(overview, host),
    }
}

fn unknown(overview: &Overview, host: &Host) -> View {
    View {
        frame: Frame::of(overview, "name", host.as_str()),
        host: host.to_string(),
        is_known: false,
        is_well: false,
        steps: Vec::new(),
        findings: Vec::new(),
        certificate: None,
    }
}

fn finding(finding: &Finding) -> FindingView {
    let (level, word) = match finding.state {
        FindingState::Ok => ("ok", "ok"),
        FindingState::Note => ("wait", "note"),
        FindingState::Problem => ("bad", "problem"),
    };
    FindingView {
        about: finding.about,
        level,
        word,
        says: finding.says.clone(),
        remedy: finding.remedy.clone(),
    }
}

/// The certificate that is served for it.
fn certificate(overview: &Overview, host: &Host) -> Option<CertificateView> {
    let consumers = || overview.desired.consumers.values();
    let of_site = || consumers().find_map(|it| it.sites.get(host)?.certificate.clone());
    let of_use = || consumers().find_map(|it| Some(it.uses.get(host)?.certificate.clone()));
    let wanted = of_site().or_else(of_use)?;
    let held = overview.serving(&wanted)?;
    let name = overview.instead.get(&wanted).unwrap_or(&wanted);
    let life = held.not_after.since(held.not_before).as_secs().max(1);
    let over = overview.now.since(held.not_before).as_secs().min(life);
    let now = overview.now;
    Some(CertificateView {
        name: format!("{}/{name}", held.shelf.folder()),
        names: held.names.iter().join(", "),
        issuer: held.issuer.clone(),
        serial: held.serial.clone(),
        key: held
            .key_type
            .map_or_else(|| "other".to_owned(), |it| it.to_string()),
        from: Moment::of(held.not_before, now),
        until: Moment::of(held.not_after, now),
        renewal: overview.renewal(&wanted).map(|at| Moment::of(at, now)),
        spent: over * 100 / life,
    })
}
