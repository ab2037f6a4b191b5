//! Who claims which host.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use super::{Complaint, LabelRules, Origin, Tls, labels::words, spec::SiteSpec};
use crate::{
    observe::{Bearer, Snapshot},
    values::{CertificateName, ContainerName, Host, Timestamp},
};

/// A bearer that says something about a host.
#[derive(Clone)]
pub(super) struct Claim<'a> {
    pub bearer: &'a Bearer,
    pub spec: &'a SiteSpec,
    pub purpose: Purpose<'a>,
    /// True if the bearer is on another engine, and a proxy there is to serve it.
    pub has_proxy_beside: bool,
}

/// The purpose for which a claim asks for its host.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose<'a> {
    /// Requests go to this port of the bearer.
    Serve(u16),
    /// Requests are sent to another host.
    Redirect(&'a Host),
    /// It is on the site's certificate, and nothing is served.
    Certify,
    /// The bearer needs a certificate for it, and nothing is served.
    Use,
    /// The settings ask for a certificate for it: whoever has the name, and whoever may.
    Name,
}

impl Purpose<'_> {
    /// True if a certificate is needed, whether the name is served or not.
    pub fn is_use(self) -> bool {
        matches!(self, Self::Use | Self::Name)
    }
}

impl<'a> Claim<'a> {
    /// A complaint about one of the labels of this site.
    pub fn complaint(&self, key: &str, text: &str, problem: String, remedy: &str) -> Complaint {
        self.origin(key, text).complains(problem, remedy)
    }

    /// The place of one of the labels of this site, of which `text` is meant.
    pub fn origin(&self, key: &str, text: &str) -> Origin {
        self.spec.labels.origin(self.bearer, key, text)
    }

    /// The value of one of this site's labels, as it is written.
    pub fn written(&self, key: &str) -> &'a str {
        let written = self.bearer.labels.get(&self.spec.label(key));
        written.map_or("", String::as_str)
    }

    /// The label that makes the claim.
    pub fn key(&self) -> &'static str {
        match self.purpose {
            Purpose::Serve(_) => "host",
            Purpose::Redirect(_) => "redirect",
            Purpose::Certify | Purpose::Name => "names",
            Purpose::Use => "use",
        }
    }

    /// Older claims come first, and where two are as old, the order is the same every time.
    pub fn age(&self) -> (Option<Timestamp>, &'a ContainerName) {
        (self.bearer.created, &self.bearer.name)
    }
}

/// A bearer with a label that names a host, whether that is followed or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimant {
    /// The bearer.
    pub bearer: ContainerName,
    /// The whole label.
    pub label: String,
    /// False once the bearer has ended: then it asks for nothing.
    pub counts: bool,
}

/// All host names in labels, and whose labels these are, the oldest bearer first.
pub fn claimants(snapshot: &Snapshot, rules: &LabelRules) -> BTreeMap<Host, Vec<Claimant>> {
    let mut found = BTreeMap::new();
    add_claimants(&mut found, &by_age(snapshot), rules);
    found
}

/// All bearers, the oldest first.
pub fn by_age(snapshot: &Snapshot) -> Vec<Rc<Bearer>> {
    let mut bearers: Vec<_> = snapshot.bearers.values().cloned().collect();
    bearers.sort_by(|one, other| (one.created, &one.name).cmp(&(other.created, &other.name)));
    bearers
}

/// Adds the host names in the labels of these bearers to those of older ones.
pub fn add_claimants(
    found: &mut BTreeMap<Host, Vec<Claimant>>,
    bearers: &[Rc<Bearer>],
    rules: &LabelRules,
) {
    for bearer in bearers {
        let spec = rules.dialects.read(bearer, &mut BTreeSet::new());
        for site in spec.sites.values() {
            let labels = [
                ("host", &site.hosts),
                ("redirect", &site.redirects),
                (
                    if bearer.name.is_settings() {
                        "names"
                    } else {
                        "use"
                    },
                    &site.uses,
                ),
            ];
            let each = labels.into_iter();
            for (host, key) in each.flat_map(|(key, hosts)| hosts.iter().map(move |it| (it, key))) {
                let label = site.label(key);
                let counts = bearer.counts();
                found.entry(host.clone()).or_default().push(Claimant {
                    bearer: bearer.name.clone(),
                    label,
                    counts,
                });
            }
        }
    }
}

/// The certificates that bearers ask for which there are complaints about, and who these are: they may be wanted as
/// soon as the labels can be followed.
pub fn asked_in_vain(
    complaints: &BTreeSet<Complaint>,
    snapshot: &Snapshot,
    rules: &LabelRules,
) -> BTreeMap<CertificateName, BTreeSet<ContainerName>> {
    let mut asked: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    let names: BTreeSet<_> = complaints
        .iter()
        .map(|complaint| &complaint.origin.bearer)
        .collect();
    let bearers = names
        .into_iter()
        .filter_map(|name| snapshot.bearers.get(name));
    for bearer in bearers.filter(|bearer| bearer.counts()) {
        let spec = rules.dialects.read(bearer, &mut BTreeSet::new());
        for site in spec
            .sites
            .values()
            .filter(|site| site.tls != Tls::Off && site.wish.issuers != Some(None))
        {
            let of_hosts = site
                .hosts
                .iter()
                .chain(&site.redirects)
                .chain(&site.uses)
                .map(CertificateName::from);
            for certificate in of_hosts.chain(site.wish.certificate.clone()) {
                asked
                    .entry(certificate)
                    .or_default()
                    .insert(bearer.name.clone());
            }
        }
    }
    asked
}

/// The names that are spelled most like one, or are above or below it, the nearest first.
pub fn nearest_names<'a>(names: impl Iterator<Item = &'a Host>, wanted: &Host) -> Vec<&'a Host> {
    /// So many slips of the finger are taken for one.
    const SLIPS: usize = 2;
    let under = |one: &Host, other: &Host| {
        one.as_str()
            .strip_suffix(other.as_str())
            .is_some_and(|rest| rest.ends_with('.'))
    };
    let distance = |name: &Host| match under(name, wanted) || under(wanted, name) {
        true => SLIPS,
        false => strsim::damerau_levenshtein(name.as_str(), wanted.as_str()),
    };
    let mut near: Vec<_> = names
        .map(|name| (distance(name), name))
        .filter(|(distance, _)| *distance <= SLIPS)
        .collect();
    near.sort();
    near.into_iter().map(|(_, name)| name).collect()
}

/// The claims of one site; none, with a complaint, when it is not known where the site is to be asked.
pub(super) fn claims<'a>(
    bearer: &'a Bearer,
    spec: &'a SiteSpec,
    complaints: &mut BTreeSet<Complaint>,
) -> Vec<(&'a Host, Claim<'a>)> {
    let mut purposes = Vec::new();
    if spec.hosts.is_empty() {
        add_uses(&mut purposes, bearer, spec);
        for host in &spec.names {
            if !spec.uses.contains(host) {
                purposes.push((host, Purpose::Certify));
            }
        }
    } else {
        let claim = Claim {
            bearer,
            spec,
            purpose: Purpose::Certify,
            has_proxy_beside: false,
        };
        let Some(port) = port(&claim, complaints) else {
            return Vec::new();
        };
        for host in &spec.hosts {
            purposes.push((host, Purpose::Serve(port)));
        }
        for host in &spec.redirects {
            if let Some(to) = &spec.first
                && !spec.hosts.contains(host)
            {
                purposes.push((host, Purpose::Redirect(to)));
            }
        }
        for host in &spec.names {
            if !spec.hosts.contains(host) && !spec.redirects.contains(host) {
                purposes.push((host, Purpose::Certify));
            }
        }
        add_uses(&mut purposes, bearer, spec);
    }
    let mut claims = Vec::new();
    for (host, purpose) in purposes {
        let claim = Claim {
            bearer,
            spec,
            purpose,
            has_proxy_beside: false,
        };
        claims.push((host, claim));
    }
    claims
}

/// Adds the names that a site uses without serving them.
fn add_uses<'a>(purposes: &mut Vec<(&'a Host, Purpose<'a>)>, bearer: &Bearer, spec: &'a SiteSpec) {
    let purpose = match bearer.name.is_settings() {
        true => Purpose::Name,
        false => Purpose::Use,
    };
    for host in &spec.uses {
        purposes.push((host, purpose));
    }
}

/// The port that a bearer is asked on; `None`, with a complaint, when that can't be known.
fn port(claim: &Claim<'_>, complaints: &mut BTreeSet<Complaint>) -> Option<u16> {
    let exposed = &claim.bearer.exposed;
    match (claim.spec.port, exposed.len()) {
        (Some(port), _) => return Some(port),
        (None, 1) => return exposed.first().copied(),
        (None, _) if exposed.contains(&80) => return Some(80),
        (None, _) => {}
    }
    let problem = match exposed.is_empty() {
        true => "it exposes no TCP port, so quaymaster does not know which port to use".to_owned(),
        false => format!(
            "it exposes the ports {}, none of them 80",
            words(exposed.iter().map(u16::to_string))
        ),
    };
    complaints.insert(claim.complaint(
        "port",
        "",
        problem,
        "add this label with the number of the port",
    ));
    None
}
