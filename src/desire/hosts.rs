//! Who gets a host, and what it leads to.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use litemap::LiteMap;

use super::{
    Complaint, LabelRules, Path, Tls,
    claims::{Claim, Purpose, claims},
    holders, rights, sites,
    spec::{Hsts, SiteSpec, Spec},
};
use crate::{
    observe::{Bearer, Holder, Snapshot},
    values::{ContainerName, Host},
};

/// The decision about one host.
pub(super) struct HostDecision<'a> {
    pub tls: Tls,
    pub hsts: Option<Hsts>,
    pub content: ClaimedContent<'a>,
    /// Claims that only want it on a certificate.
    pub certified_by: Vec<Claim<'a>>,
    /// Claims of bearers that need a certificate for it.
    pub used_by: Vec<Claim<'a>>,
    /// The Compose project that has it.
    pub project: Option<&'a str>,
    /// True if no bearer that serves the host runs, and it is kept for bearers that did.
    pub is_kept: bool,
}

/// The content that a host leads to.
pub(super) enum ClaimedContent<'a> {
    /// Nothing: it is only on a certificate.
    Nothing,
    /// Another host, said by these bearers.
    Redirect { to: Host, said_by: Vec<Claim<'a>> },
    /// Containers by path; all of one path have the same labels about it, at least one each.
    Routes(LiteMap<Path, Vec<Claim<'a>>>),
}

impl<'a> HostDecision<'a> {
    /// All claims to its content that are followed, the oldest first; without those of bearers that are away, beside
    /// others.
    pub fn claims(&self) -> Vec<&Claim<'a>> {
        let mut claims: Vec<_> = match &self.content {
            ClaimedContent::Nothing => Vec::new(),
            ClaimedContent::Redirect { said_by, .. } => said_by.iter().collect(),
            ClaimedContent::Routes(routes) => routes.values().flatten().collect(),
        };
        claims.retain(|claim| self.is_kept || claim.bearer.counts());
        claims.sort_by_key(|claim| claim.age());
        claims
    }

    /// All claims that a certificate of its own is wanted by, the oldest first.
    pub fn certificate_claims(&self) -> Vec<&Claim<'a>> {
        let mut claims = match self.tls {
            Tls::Off => Vec::new(),
            Tls::Redirect | Tls::Both | Tls::Only => self.claims(),
        };
        claims.extend(&self.used_by);
        claims.sort_by_key(|claim| claim.age());
        claims
    }

    /// True if nothing but the settings asks for the host: nobody holds it by that.
    pub fn is_named_alone(&self) -> bool {
        let is_named = |claim: &Claim<'_>| claim.purpose == Purpose::Name;
        matches!(self.content, ClaimedContent::Nothing)
            && self.certified_by.is_empty()
            && self.used_by.iter().all(is_named)
    }

    /// Keeps the paths whose bearers are away: nobody else is asked for what is below them.
    fn keep_paths(&mut self, away: Vec<Claim<'a>>) {
        let ClaimedContent::Routes(routes) = &mut self.content else {
            return;
        };
        for claim in away {
            let is_meant = matches!(claim.purpose, Purpose::Serve(_)) && claim.spec.tls == self.tls;
            if is_meant && !routes.contains_key(&claim.spec.path) {
                routes.insert(claim.spec.path.clone(), vec![claim]);
            }
        }
    }
}

/// Gives each host to the bearers of one Compose project: that which had it before, else that of the oldest bearer
/// that claims it. The others are complained about, so that nobody takes a name over by starting later.
pub(super) fn resolve<'a>(
    snapshot: &'a Snapshot,
    specs: &'a BTreeMap<&ContainerName, Spec>,
    rules: &LabelRules,
    complaints: &mut BTreeSet<Complaint>,
) -> BTreeMap<Host, HostDecision<'a>> {
    let mut by_host: BTreeMap<&Host, Vec<Claim<'_>>> = BTreeMap::new();
    let proxies = proxies_elsewhere(snapshot, specs);
    let mut bearers: Vec<_> = snapshot
        .bearers
        .values()
        .filter(|bearer| bearer.counts() || bearer.is_away())
        .collect();
    bearers.sort_by_key(|bearer| (bearer.created, &bearer.name));
    for bearer in bearers {
        let Some(spec) = specs.get(&bearer.name) else {
            continue;
        };
        let may_use = may_use(bearer, spec, snapshot, rules);
        let beside = proxies.iter().filter(|proxy| proxy.is_beside(bearer));
        let beside: Vec<_> = beside.copied().collect();
        let sites = spec.sites.values().filter(|site| !site.spoiled);
        for site in sites.filter(|site| !site.hosts.is_empty() || !site.uses.is_empty()) {
            for (host, claim) in claims(bearer, site, complaints) {
                let has_proxy_beside = sites::are_any_for(&beside, &claim);
                let claim = Claim {
                    has_proxy_beside,
                    ..claim
                };
                if claim.purpose == Purpose::Use && !may_use {
                    continue;
                }
                match rights::host_refusal(&claim, host, rules) {
                    Some(complaint) => drop(complaints.insert(complaint)),
                    None => by_host.entry(host).or_default().push(claim),
                }
            }
        }
    }
    by_host
        .into_iter()
        .filter_map(|(host, claims)| {
            Some((
                host.clone(),
                decide_or_keep(host, snapshot, claims, rules, complaints)?,
            ))
        })
        .collect()
}

/// The proxies on other engines.
fn proxies_elsewhere<'a>(
    snapshot: &'a Snapshot,
    specs: &BTreeMap<&ContainerName, Spec>,
) -> Vec<&'a Bearer> {
    let is_proxy = |spec: &Spec| spec.kind.is_some_and(|kind| kind.proxy.is_some());
    let proxies = specs.iter().filter(|(_, spec)| is_proxy(spec));
    proxies
        .filter_map(|(name, _)| snapshot.bearers.get(*name))
        .map(Rc::as_ref)
        .filter(|bearer| bearer.elsewhere.is_some() && bearer.removed().is_none())
        .collect()
}

/// True if a server may have the keys that its labels ask for; where it may not, nothing is obtained for it. The
/// complaint about it is made where servers are read.
fn may_use(bearer: &Bearer, spec: &Spec, snapshot: &Snapshot, rules: &LabelRules) -> bool {
    let Some(kind) = spec.kind else {
        return true;
    };
    let said = spec.proxy.origin(bearer, "use");
    rights::refusal(bearer, kind.right(), said, snapshot.own.as_ref(), rules).is_none()
}

/// Decides about one host by the bearers that are there. What those that are away had of it is kept for them, as far
/// as nobody else has it now: a path beside others of their project, and a site of its own where it was seen to be served.
fn decide_or_keep<'a>(
    host: &Host,
    snapshot: &'a Snapshot,
    claims: Vec<Claim<'a>>,
    rules: &LabelRules,
    complaints: &mut BTreeSet<Complaint>,
) -> Option<HostDecision<'a>> {
    // A server that is stopped keeps its files, and starts with them.
    let is_there = |claim: &Claim<'_>| match claim.purpose {
        Purpose::Use => claim.bearer.removed().is_none(),
        Purpose::Serve(_) | Purpose::Redirect(_) | Purpose::Certify | Purpose::Name => {
            claim.bearer.counts()
        }
    };
    let (there, mut away): (Vec<_>, Vec<_>) = claims.into_iter().partition(is_there);
    away.retain(|claim| claim.purpose != Purpose::Certify && !claim.purpose.is_use());
    let holder = snapshot.holders.get(host);
    let is_holder =
        |project: Option<&str>| holder.is_some_and(|had| had.project.as_deref() == project);
    if let Some(mut held) = decide(host, snapshot, there, rules, complaints) {
        away.retain(|claim| claim.bearer.owner() == held.project);
        if !matches!(held.content, ClaimedContent::Nothing) || !is_holder(held.project) {
            held.keep_paths(away);
            return Some(held);
        }
        // Others name it for their certificates, and serve nothing of it.
        return Some(match decide(host, snapshot, away, rules, complaints) {
            Some(kept) => HostDecision {
                is_kept: true,
                certified_by: held.certified_by,
                used_by: held.used_by,
                ..kept
            },
            None => held,
        });
    }
    away.retain(|claim| is_holder(claim.bearer.owner()));
    let held = decide(host, snapshot, away, rules, complaints)?;
    Some(HostDecision {
        is_kept: true,
        ..held
    })
}

/// Decides about one host. Claims come oldest first; whatever contradicts an older one is refused.
fn decide<'a>(
    host: &Host,
    snapshot: &'a Snapshot,
    claims: Vec<Claim<'a>>,
    rules: &LabelRules,
    complaints: &mut BTreeSet<Complaint>,
) -> Option<HostDecision<'a>> {
    let mut refusals = Refusals {
        host,
        rules,
        complaints,
    };
    let own = snapshot.own.as_ref();
    let is_granted = |claim: &Claim<'_>| is_granted(claim, rules);
    let mut claims = claims;
    // Who serves it has it, and those get its certificate all the same; the settings never take a name from anybody.
    claims.sort_by_key(|claim| (claim.purpose == Purpose::Name, is_granted(claim)));
    let oldest = refusals.oldest(&claims, snapshot)?;
    let project = match oldest.purpose {
        Purpose::Name => holder_of(host, snapshot),
        _ => oldest.bearer.owner(),
    };
    let (ours, others): (Vec<_>, Vec<_>) = claims
        .into_iter()
        .partition(|claim| claim.bearer.owner() == project || is_granted(claim));
    if oldest.purpose != Purpose::Name {
        refusals.refuse_other_projects(&others, &oldest, own);
    }
    let (mut certified_by, mut used_by, mut content) = (Vec::new(), Vec::new(), Vec::new());
    for claim in ours {
        match claim.purpose {
            Purpose::Certify => certified_by.push(claim),
            Purpose::Use | Purpose::Name => used_by.push(claim),
            Purpose::Serve(_) | Purpose::Redirect(_) => content.push(claim),
        }
    }
    let mut ours = content;
    let decision = HostDecision {
        tls: Tls::default(),
        hsts: None,
        content: ClaimedContent::Nothing,
        certified_by,
        used_by,
        project,
        is_kept: false,
    };
    let Some(oldest) = ours.first().cloned() else {
        return Some(decision);
    };
    refusals.refuse_other_tls(&ours, &oldest);
    ours.retain(|claim| !is_shown_in_plain_text(claim, &oldest));
    Some(HostDecision {
        tls: oldest.spec.tls,
        hsts: oldest.spec.hsts,
        content: refusals.content(ours, &oldest),
        ..decision
    })
}

/// True if a claim needs no further right to the name: where there are grants, its user has one; the settings need
/// none.
fn is_granted(claim: &Claim<'_>, rules: &LabelRules) -> bool {
    match claim.purpose {
        Purpose::Use => rules.grants.is_some(),
        Purpose::Name => true,
        Purpose::Serve(_) | Purpose::Redirect(_) | Purpose::Certify => false,
    }
}

/// The project that a host is kept for.
fn holder_of<'a>(host: &Host, snapshot: &'a Snapshot) -> Option<&'a str> {
    let holder = snapshot.holders.get(host).filter(|had| !had.free);
    holder?.project.as_deref()
}

/// Claims to a host that are not followed: each becomes a complaint.
struct Refusals<'r> {
    host: &'r Host,
    rules: &'r LabelRules,
    complaints: &'r mut BTreeSet<Complaint>,
}

impl Refusals<'_> {
    fn refuse(&mut self, claim: &Claim<'_>, key: &str, problem: String, remedy: &str) {
        let complaint = claim.complaint(key, self.host.as_str(), problem, remedy);
        self.complaints.insert(complaint);
    }

    /// The oldest claim of whoever may have the host; none when another project holds it. Where there are grants, all
    /// claims that come here were granted, so that nobody waits for who had the host before.
    fn oldest<'a>(&mut self, claims: &[Claim<'a>], snapshot: &Snapshot) -> Option<Claim<'a>> {
        let holder = snapshot.holders.get(self.host);
        let is_of_settings = |claim: &&Claim<'_>| claim.purpose == Purpose::Name;
        let may_have_it = |claim: &&Claim<'_>| {
            let is_theirs =
                |had: &Holder| had.free || had.project.as_deref() == claim.bearer.owner();
            !is_of_settings(claim) && holder.is_none_or(is_theirs)
        };
        let granted = claims.first().filter(|_| self.rules.grants.is_some());
        let oldest = claims.iter().find(may_have_it).or(granted);
        let oldest = oldest.or_else(|| claims.iter().find(is_of_settings));
        // Where the settings alone may have it, it is kept for somebody all the same.
        if oldest.as_ref().is_none_or(is_of_settings) {
            let own = snapshot.own.as_ref();
            let refused = claims
                .iter()
                .filter(|claim| !is_of_settings(claim))
                .map(|claim| kept(self.host, holder, claim, own, self.rules));
            self.complaints.extend(refused);
        }
        oldest.cloned()
    }

    fn refuse_other_projects(
        &mut self,
        others: &[Claim<'_>],
        oldest: &Claim<'_>,
        own: Option<&Bearer>,
    ) {
        let (host, by) = (self.host, &oldest.bearer.name);
        for claim in others {
            let problem = format!("{host} belongs to {by} of another project, which had it first");
            let remedy = format!(
                "use another name, or stop that container; {} hands the name over",
                release_line(host, own)
            );
            self.refuse(claim, claim.key(), problem, &remedy);
        }
    }

    /// Refuses what claims say of TLS otherwise than the oldest.
    fn refuse_other_tls(&mut self, claims: &[Claim<'_>], oldest: &Claim<'_>) {
        let (host, by) = (self.host, &oldest.bearer.name);
        for claim in claims {
            let otherwise = || format!("{by} says something else for {host}, and it is older");
            let (key, value, problem) = if is_shown_in_plain_text(claim, oldest) {
                let problem = format!(
                    "{by} has {host} served in plain text, and it is older; so this one is left out"
                );
                ("tls", claim.spec.tls.as_str(), problem)
            } else if claim.spec.tls != oldest.spec.tls {
                ("tls", claim.spec.tls.as_str(), otherwise())
            } else if claim.spec.hsts != oldest.spec.hsts {
                ("hsts", claim.written("hsts"), otherwise())
            } else {
                continue;
            };
            let remedy = "write the same tls and hsts on both";
            let complaint = claim.complaint(key, value, problem, remedy);
            self.complaints.insert(complaint);
        }
    }

    /// The content of the oldest claim, with all others that lead to the same.
    fn content<'a>(&mut self, claims: Vec<Claim<'a>>, oldest: &Claim<'a>) -> ClaimedContent<'a> {
        let leads_alike = |claim: &Claim<'_>| match (claim.purpose, oldest.purpose) {
            (Purpose::Redirect(to), Purpose::Redirect(other)) => to == other,
            (Purpose::Serve(_), Purpose::Serve(_)) => true,
            _ => false,
        };
        let (same, different): (Vec<_>, Vec<_>) = claims.into_iter().partition(leads_alike);
        for claim in &different {
            let problem = format!(
                "{} is served by one container and redirected by another; {} is older",
                self.host, oldest.bearer.name
            );
            let remedy = "take the name from one of them";
            self.refuse(claim, "redirect", problem, remedy);
        }
        match oldest.purpose {
            Purpose::Redirect(to) => ClaimedContent::Redirect {
                to: to.clone(),
                said_by: same,
            },
            Purpose::Serve(_) | Purpose::Certify | Purpose::Use | Purpose::Name => {
                ClaimedContent::Routes(self.routes(same))
            }
        }
    }

    /// Containers by path. Those that share one must be asked in the same way: the load may go to any of them, and none
    /// may be a way round the password of another.
    fn routes<'a>(&mut self, claims: Vec<Claim<'a>>) -> LiteMap<Path, Vec<Claim<'a>>> {
        let mut routes: LiteMap<Path, Vec<Claim<'a>>> = LiteMap::new();
        for claim in claims {
            let behind = routes.entry(claim.spec.path.clone()).or_default();
            match behind.first() {
                Some(first) if !is_asked_alike(first.spec, claim.spec) => {
                    let problem = format!(
                        "{} serves {} at {} with other labels, and it is older",
                        first.bearer.name, self.host, claim.spec.path
                    );
                    let remedy = "write the same labels on both, or another path";
                    self.refuse(&claim, "path", problem, remedy);
                }
                _ => behind.push(claim),
            }
        }
        routes
    }
}

/// True if a bearer that must stay off plain text would be served so, because an older bearer is.
fn is_shown_in_plain_text(claim: &Claim<'_>, oldest: &Claim<'_>) -> bool {
    matches!(claim.spec.tls, Tls::Redirect | Tls::Only)
        && matches!(oldest.spec.tls, Tls::Both | Tls::Off)
}

/// That a host is kept for a project whose bearers are gone.
fn kept(
    host: &Host,
    holder: Option<&Holder>,
    claim: &Claim<'_>,
    own: Option<&Bearer>,
    rules: &LabelRules,
) -> Complaint {
    let project = holder.and_then(|had| had.project.as_deref());
    let by = project.map_or_else(
        || "containers of no project".to_owned(),
        |project| format!("the project {project}"),
    );
    let days = holders::KEPT_FOR.as_secs() / (24 * 60 * 60);
    let problem =
        format!("{host} belongs to {by} until {days} days after the last of its containers");
    let mut remedy = format!(
        "use another name, or hand this one over now: {}",
        release_line(host, own)
    );
    if claim.bearer.owner().is_some() {
        let table = rights::first_line(claim.bearer, host.as_str(), rules);
        remedy.push_str(&format!("; or {table}"));
    }
    claim.complaint(claim.key(), host.as_str(), problem, &remedy)
}

/// The command line that hands a host over.
fn release_line(host: &Host, own: Option<&Bearer>) -> String {
    match own {
        Some(own) => format!("`docker exec {} /quaymaster release {host}`", own.name),
        None => format!("`quaymaster release {host}`"),
    }
}

/// True if both sites ask for the same on one path; the rest may differ.
fn is_asked_alike(one: &SiteSpec, other: &SiteSpec) -> bool {
    of_path(one) == of_path(other)
}

/// The values on which containers of one path must agree. Each field of a site stands on one side or the other, so that
/// none that is new can be left out.
fn of_path(spec: &SiteSpec) -> impl PartialEq {
    let SiteSpec {
        scheme,
        strip,
        upstream_path,
        body_size,
        timeout,
        buffers,
        auth,
        auth_realm,
        allow,
        labels: _,
        hosts: _,
        first: _,
        redirects: _,
        port: _,
        path: _,
        tls: _,
        hsts: _,
        health: _,
        network: _,
        via: _,
        names: _,
        uses: _,
        wish: _,
        spoiled: _,
    } = spec;
    (
        (scheme, strip, upstream_path, body_size, timeout, buffers),
        (auth, auth_realm, allow),
    )
}
