//! Which certificate each host gets, what is on each, and who is asked for it.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use super::{
    Complaint, Issuance, LabelRules, Origin, Tls, Wanted,
    claims::Claim,
    complaint::bounded,
    hosts::{ClaimedContent, HostDecision},
    spec::{CertificateSpec, Spec},
};
use crate::{
    observe::Bearer,
    values::{CertificateName, ChallengeType, ContainerName, Host, Issuer, Issuers},
};

/// The most names on one certificate. Let's Encrypt issues for no more, and clients read all of them at each connection.
///
/// <https://letsencrypt.org/docs/rate-limits/>
const MOST_NAMES: usize = 100;

/// The certificate of each host that has TLS: the one that its labels name, else that of a site of its project whose
/// further names it is among, else one of its own.
///
/// A name of a certificate belongs to one Compose project: that of the host which it is by default the name of, else
/// that of the oldest bearer that writes it.
pub(super) fn assign(
    hosts: &BTreeMap<Host, HostDecision<'_>>,
    complaints: &mut BTreeSet<Complaint>,
) -> BTreeMap<Host, CertificateName> {
    let mut owners: BTreeMap<CertificateName, Option<&str>> = hosts
        .iter()
        .map(|(host, held)| (CertificateName::from(host), held.project))
        .collect();
    let mut assigned = BTreeMap::new();
    let mut wishes = Vec::new();
    for (host, held) in hosts.iter().filter(|(_, held)| has_certificate(held)) {
        assigned.insert(host.clone(), CertificateName::from(host));
        let claims = held.certificate_claims();
        let named = opinion(
            &claims,
            "certificate",
            host.as_str(),
            |wish| wish.certificate.as_ref(),
            complaints,
        );
        wishes.extend(named.map(|(claim, name)| (claim.age(), host, claim, name)));
    }
    wishes.sort_by_key(|(age, host, ..)| (*age, *host));
    for (_, host, claim, name) in wishes {
        if *owners.entry(name.clone()).or_insert(claim.bearer.owner()) == claim.bearer.owner() {
            assigned.insert(host.clone(), name.clone());
            continue;
        }
        let problem = format!(
            "the certificate {name} belongs to another project; {host} gets one of its own"
        );
        complaints.insert(claim.complaint(
            "certificate",
            name.as_str(),
            problem,
            "write another name",
        ));
    }
    share(hosts, &mut assigned);
    assigned
}

/// Puts hosts whose labels say nothing of a certificate on that of the site that names them, of several the oldest, with
/// all that are on theirs by the same rule.
fn share(hosts: &BTreeMap<Host, HostDecision<'_>>, assigned: &mut BTreeMap<Host, CertificateName>) {
    let mut named = Vec::new();
    for (host, held) in hosts {
        let is_named = !held.certified_by.is_empty() && assigned.contains_key(host);
        let mut of_own = held.certificate_claims().into_iter();
        if is_named && !of_own.any(wants_its_own) {
            let claims = held.certified_by.iter();
            named.extend(claims.map(|claim| (claim.age(), host, claim)));
        }
    }
    named.sort_by_key(|(age, host, _)| (*age, *host));
    let mut moved: BTreeSet<&Host> = BTreeSet::new();
    for (_, host, claim) in named {
        let own = assigned[host].clone();
        let Some(of_site) = certificate_of_site(claim, hosts, assigned).cloned() else {
            continue;
        };
        if of_site == own || !moved.insert(host) {
            continue;
        }
        for follower in &moved {
            if *follower == host || assigned[*follower] == own {
                assigned.insert((*follower).clone(), of_site.clone());
            }
        }
    }
}

/// True if a claim says how its certificate is called or obtained.
fn wants_its_own(claim: &Claim<'_>) -> bool {
    let silent = CertificateSpec {
        pin: claim.spec.wish.pin.clone(),
        ..CertificateSpec::default()
    };
    claim.spec.wish != silent
}

fn has_certificate(held: &HostDecision<'_>) -> bool {
    let is_shown = held.tls != Tls::Off && !matches!(held.content, ClaimedContent::Nothing);
    is_shown || !held.used_by.is_empty()
}

/// Certificates that are wanted, and complaints about hosts for which nobody is asked.
#[derive(Default)]
pub(super) struct Wants {
    pub certificates: BTreeMap<CertificateName, Rc<Wanted>>,
    pub uncovered: BTreeMap<Host, BTreeSet<Complaint>>,
}

/// The hosts of each certificate, and the way it is obtained. `served_by` has the proxies that serve each host,
/// `helper` the container that obtains certificates where no label names a CA.
pub(super) fn wants(
    hosts: &BTreeMap<Host, HostDecision<'_>>,
    assigned: &BTreeMap<Host, CertificateName>,
    (served_by, helper): (
        &BTreeMap<Host, BTreeSet<ContainerName>>,
        Option<&ContainerName>,
    ),
    rules: &LabelRules,
    complaints: &mut BTreeSet<Complaint>,
) -> Wants {
    let mut wants = Wants::default();
    for (name, claims) in claims_by_certificate(hosts, assigned) {
        let Some((issuers, issuance)) = issuance(&name, &claims, rules, complaints) else {
            for (host, claim) in &claims {
                wants.say(host, nobody_asked(host, claim, rules));
            }
            continue;
        };
        let mut names = BTreeSet::new();
        let (mut claimed_by, mut used_by) = (BTreeSet::new(), BTreeSet::new());
        let mut proxies = BTreeSet::new();
        for (host, claim) in &claims {
            claimed_by.insert(claim.bearer.name.clone());
            if claim.purpose.is_use() {
                used_by.insert(claim.bearer.name.clone());
            }
            proxies.extend(served_by.get(host).into_iter().flatten().cloned());
            if let Some(complaint) = refusal(host, claim, &issuance, rules) {
                wants.say(host, complaint);
            } else if names.len() < MOST_NAMES || names.contains(*host) {
                names.insert((*host).clone());
            } else {
                complaints.insert(one_too_many(host, claim, &name));
            }
        }
        if !names.is_empty() {
            let by_helper = is_helpers(&claims, &names, &issuance);
            let wanted = Wanted {
                helper: helper.filter(|_| by_helper).cloned(),
                names: names.into_iter().collect(),
                issuer_said: issuer_said(&claims, &issuers),
                issuance,
                issuers,
                claimed_by: claimed_by.into_iter().collect(),
                served_by: proxies.into_iter().collect(),
                used_by: used_by.into_iter().collect(),
            };
            wants.certificates.insert(name, Rc::new(wanted));
        }
    }
    wants
}

impl Wants {
    fn say(&mut self, host: &Host, complaint: Complaint) {
        self.uncovered
            .entry(host.clone())
            .or_default()
            .insert(complaint);
    }
}

type Claims<'c, 'a> = Vec<(&'c Host, &'c Claim<'a>)>;

/// All claims to be on a certificate, the oldest first. Nothing is obtained for a site whose bearers are away, but what others
/// need, and what those that run ask to have on theirs.
fn claims_by_certificate<'c, 'a>(
    hosts: &'c BTreeMap<Host, HostDecision<'a>>,
    assigned: &BTreeMap<Host, CertificateName>,
) -> BTreeMap<CertificateName, Claims<'c, 'a>> {
    let mut claims: BTreeMap<CertificateName, Claims<'_, '_>> = BTreeMap::new();
    for (host, held) in hosts {
        let own = match held.is_kept {
            true => held.used_by.iter().collect(),
            false => held.certificate_claims(),
        };
        if let Some(name) = assigned.get(host).filter(|_| !own.is_empty()) {
            let own = own.into_iter().map(|claim| (host, claim));
            claims.entry(name.clone()).or_default().extend(own);
        }
        for claim in &held.certified_by {
            if let Some(name) = certificate_of_site(claim, hosts, assigned) {
                claims.entry(name.clone()).or_default().push((host, claim));
            }
        }
    }
    claims
        .values_mut()
        .for_each(|claims| claims.sort_by_key(|(host, claim)| (claim.age(), *host)));
    claims
}

/// The certificate that further names of a site are on: that of its hosts, if they are its own.
fn certificate_of_site<'n>(
    claim: &Claim<'_>,
    hosts: &BTreeMap<Host, HostDecision<'_>>,
    assigned: &'n BTreeMap<Host, CertificateName>,
) -> Option<&'n CertificateName> {
    let is_ours = |host: &Host| {
        hosts
            .get(host)
            .is_some_and(|held| held.project == claim.bearer.owner())
    };
    let is_meant = |name: &CertificateName| {
        claim
            .spec
            .wish
            .certificate
            .as_ref()
            .is_none_or(|wished| wished == name)
    };
    let of_site = claim
        .spec
        .hosts
        .iter()
        .chain(&claim.spec.uses)
        .filter(|host| is_ours(host))
        .filter_map(|host| assigned.get(host));
    of_site.into_iter().find(|name| is_meant(name))
}

/// Who may be asked for a certificate, and how it is obtained; nothing where nobody is asked for it.
fn issuance(
    name: &CertificateName,
    claims: &Claims<'_, '_>,
    rules: &LabelRules,
    complaints: &mut BTreeSet<Complaint>,
) -> Option<(Issuers, Issuance)> {
    let is_for_local_use = claims.iter().any(|(host, _)| host.is_reserved());
    let claims: Vec<_> = claims.iter().map(|(_, claim)| *claim).collect();
    let subject = format!("the certificate {name}");
    macro_rules! said {
        ($key:literal, $field:ident) => {
            opinion(
                &claims,
                $key,
                &subject,
                |wish| wish.$field.as_ref(),
                complaints,
            )
            .map(|(_, said)| said.clone())
        };
    }
    let issuers = match said!("ca", issuers) {
        // A site whose CA is not known is served nothing, and that was told.
        Some(names) => rules.cas.issuers(&names?).ok()?,
        None => rules.issuers.clone()?,
    };
    // One that would never issue for these names is not asked when another fails.
    let issuers = match is_for_local_use {
        true => issuers.preferring(|issuer| !issuer.is_public()),
        false => issuers,
    };
    let dns = said!("dns", dns);
    // Who says how the record is set means that there is one.
    let implied = dns.as_ref().map(|_| ChallengeType::Dns01);
    let challenge = said!("challenge", challenge).or(implied);
    let challenge = challenge.unwrap_or(rules.challenge);
    let usual = || rules.dns.usual().map(str::to_owned);
    let issuance = Issuance {
        issuer: issuers.first().clone(),
        challenge,
        dns: dns
            .or_else(usual)
            .filter(|_| challenge == ChallengeType::Dns01),
        key_type: said!("key-type", key_type).unwrap_or(rules.key_type),
        profile: said!("profile", profile).or_else(|| rules.profile.clone()),
    };
    Some((issuers, issuance))
}

/// The most unknown CAs of one container that complaints name: more hide each other.
const MOST_UNKNOWN: usize = 20;

/// Spoils the sites whose labels name a CA that neither the presets nor the settings have.
pub(super) fn spoil_unknown_cas(
    bearer: &Bearer,
    spec: &mut Spec,
    rules: &LabelRules,
    complaints: &mut BTreeSet<Complaint>,
) {
    const REMEDY: &str = "write names of CAs, self-signed or none, such as staging; until then the site is not served";
    let mut told = 0;
    for (_, site) in &mut spec.sites {
        let Some(Some(names)) = &site.wish.issuers else {
            continue;
        };
        let Err(error) = rules.cas.issuers(names) else {
            continue;
        };
        site.spoiled = true;
        told += 1;
        if told <= MOST_UNKNOWN {
            let label = site.label("ca");
            let text = bearer.labels.get(&label).map_or("", String::as_str);
            let said = Origin::new(&bearer.name, &label, text);
            complaints.insert(said.complains(bounded(&error.to_string()), REMEDY));
        }
    }
}

/// True if a helper obtains the certificate: never where a label names the CA, nor where certbot can't get it by the
/// webroot.
fn is_helpers(claims: &Claims<'_, '_>, names: &BTreeSet<Host>, issuance: &Issuance) -> bool {
    let is_said = claims
        .iter()
        .any(|(_, claim)| claim.spec.wish.issuers.is_some());
    let is_of_names = names.iter().all(|name| name.address().is_none());
    let is_of_webroot = issuance.challenge == ChallengeType::Http01;
    matches!(issuance.issuer, Issuer::Ca(_)) && !is_said && is_of_names && is_of_webroot
}

/// The label that says who issues a certificate, with those: that of the oldest claim with that label, else the setting.
fn issuer_said(claims: &Claims<'_, '_>, issuers: &Issuers) -> Origin {
    let said = claims
        .iter()
        .map(|(_, claim)| *claim)
        .find(|claim| claim.spec.wish.issuers.is_some());
    let issuers = issuers.to_string();
    match said {
        Some(claim) => claim.origin("ca", &issuers),
        // A certificate that is wanted is wanted by somebody.
        None => Origin::new(&claims[0].1.bearer.name, "setting ca", &issuers),
    }
}

/// The oldest claim's opinion, if any has one; younger claims that say something else are complained about.
fn opinion<'c, 'a, T: PartialEq>(
    claims: &[&'c Claim<'a>],
    key: &str,
    subject: &str,
    of: impl Fn(&'a CertificateSpec) -> Option<&'a T>,
    complaints: &mut BTreeSet<Complaint>,
) -> Option<(&'c Claim<'a>, &'a T)> {
    let mut said = claims
        .iter()
        .filter_map(|claim| Some((*claim, of(&claim.spec.wish)?)));
    let (oldest, meant) = said.next()?;
    for (claim, _) in said.filter(|(_, other)| *other != meant) {
        let (by, written) = (&oldest.bearer.name, oldest.written(key));
        let problem = format!("{by} says {written:?} for {subject}, and it is older");
        let remedy = format!("write the same {key} on both");
        complaints.insert(claim.complaint(key, claim.written(key), problem, &remedy));
    }
    Some((oldest, meant))
}

/// The reason why the issuer would not put this host on a certificate.
fn refusal(
    host: &Host,
    claim: &Claim<'_>,
    issuance: &Issuance,
    rules: &LabelRules,
) -> Option<Complaint> {
    let label = |key: &str| claim.spec.label(key);
    let (problem, remedy) = match &issuance.issuer {
        Issuer::SelfSigned => return None,
        Issuer::Ca(_) if host.is_wildcard() && !issuance.challenge.proves_wildcards() => (
            format!(
                "a CA issues for {host} only by a DNS challenge, and {} is not one",
                issuance.challenge
            ),
            format!(
                "write {}=dns-01, put a certificate for it into provided/, or write {}=self-signed",
                label("challenge"),
                label("ca")
            ),
        ),
        Issuer::Ca(_) if host.address().is_some() && !issuance.challenge.proves_addresses() => (
            format!(
                "{} can't prove that an IP address is ours",
                issuance.challenge
            ),
            format!("write {}=http-01", label("challenge")),
        ),
        Issuer::Ca(_) if unset_record(issuance, rules).is_some() => unset_record(issuance, rules)?,
        issuer if issuer.is_public() && host.is_reserved() => (
            format!("no public CA issues a certificate for {host}, which is for local use"),
            format!(
                "use a public name, a CA of your own (setting ca), a certificate in provided/, or one of the labels \
                 {}=self-signed and {}=off; the CA is not asked",
                label("ca"),
                label("tls")
            ),
        ),
        Issuer::Ca(_) => return None,
    };
    Some(claim.complaint(claim.key(), host.as_str(), problem, &remedy))
}

/// The reason why the TXT record of dns-01 can't be set, and the remedy.
fn unset_record(issuance: &Issuance, rules: &LabelRules) -> Option<(String, String)> {
    match issuance.challenge {
        ChallengeType::Dns01 => rules.dns.problem(issuance.dns.as_deref()),
        ChallengeType::Http01 => None,
    }
}

fn nobody_asked(host: &Host, claim: &Claim<'_>, rules: &LabelRules) -> Complaint {
    let problem = format!("no valid certificate covers {host}, and nobody is asked for one");
    if claim.spec.wish.issuers.is_none() && rules.issuers.is_none() {
        let remedy = format!(
            "put one into provided/, or say who issues it by the label {}",
            claim.spec.label("ca")
        );
        return claim.complaint(claim.key(), host.as_str(), problem, &remedy);
    }
    claim.complaint(
        "ca",
        Issuer::NONE,
        problem,
        "put one into provided/, or take the label away",
    )
}

fn one_too_many(host: &Host, claim: &Claim<'_>, name: &CertificateName) -> Complaint {
    let problem = format!(
        "the certificate {name} has {MOST_NAMES} names without {host}, and can't have more"
    );
    claim.complaint(
        claim.key(),
        host.as_str(),
        problem,
        "put it on another certificate",
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{super::tests::*, *};
    use crate::{
        desire::{Desired, desire},
        observe::{Bearer, BearerState, Holder, Snapshot},
        values::{CaSettings, CaTable, DnsNames},
    };

    fn shop(name: &str, number: u8, host: &str) -> Bearer {
        container(name, number)
            .project_is("shop")
            .label("host", host)
    }

    /// Each certificate that is wanted, as `name: names`.
    fn wanted(desired: &Desired) -> Vec<String> {
        let names = |wanted: &Wanted| {
            wanted
                .names
                .iter()
                .map(Host::as_str)
                .collect::<Vec<_>>()
                .join(" ")
        };
        desired
            .certificates
            .iter()
            .map(|(name, wanted)| format!("{name}: {}", names(wanted)))
            .collect()
    }

    #[test]
    fn containers_of_one_project_add_up_on_a_named_certificate() {
        let one = shop("one", 4, "shop.example")
            .label("redirect", "www.shop.example")
            .label("certificate", "all");
        let two = shop("two", 5, "api.shop.example")
            .label("names", "mail.shop.example")
            .label("certificate", "all");
        let desired = desired([proxy(), one, two, shop("three", 6, "own.example")]);
        assert_eq!(complaints(&desired), [""; 0]);
        assert_eq!(
            wanted(&desired),
            [
                "all: api.shop.example mail.shop.example shop.example www.shop.example",
                "own.example: own.example"
            ]
        );
        assert_eq!(
            hosts(&desired),
            [
                "api.shop.example",
                "own.example",
                "shop.example",
                "www.shop.example"
            ]
        );
        let all = &desired.certificates.values().next().expect("it is wanted");
        assert_eq!(
            all.claimed_by
                .iter()
                .map(ContainerName::as_str)
                .collect::<Vec<_>>(),
            ["one", "two"]
        );
        assert_eq!(all.served_by.len(), 1);
    }

    #[test]
    fn a_certificate_is_not_shared_with_another_project() {
        let older = shop("older", 4, "a.example").label("certificate", "all");
        let younger = shop("younger", 5, "b.example")
            .project_is("other")
            .label("certificate", "all");
        let named_after = shop("thief", 6, "c.example")
            .project_is("other")
            .label("certificate", "late.example");
        let late = shop("late", 7, "late.example").label("certificate", "late.example");
        let desired = desired([proxy(), older, younger, named_after, late]);
        assert_eq!(
            wanted(&desired),
            [
                "all: a.example",
                "b.example: b.example",
                "c.example: c.example",
                "late.example: late.example"
            ]
        );
        let told = "the certificate all belongs to another project; b.example gets one of its own; write another name";
        assert!(
            complaints(&desired)[1].ends_with(told),
            "{:?}",
            complaints(&desired)
        );
        assert_eq!(desired.complaints.len(), 2, "{:?}", complaints(&desired));
    }

    #[test]
    fn further_names_are_on_the_only_certificate_there_is_and_belong_to_somebody_too() {
        let one = shop("one", 4, "a.example").label("names", "b.example, c.example");
        let other = shop("other", 5, "c.example").project_is("other");
        let first = desired([proxy(), one.clone(), other.clone()]);
        assert_eq!(wanted(&first), ["a.example: a.example b.example c.example"]);
        assert_eq!(hosts(&first), ["a.example"]);
        assert!(
            complaints(&first)[0].contains("container other"),
            "{:?}",
            complaints(&first)
        );
        // The older one has the name.
        let mut older = other;
        older.created = Some(crate::values::Timestamp::from_seconds(1));
        let second = desired([proxy(), one, older]);
        assert_eq!(
            wanted(&second),
            ["a.example: a.example b.example", "c.example: c.example"]
        );
        assert!(
            complaints(&second)[0].contains("label quaymaster.names=\"c.example\""),
            "{:?}",
            complaints(&second)
        );
    }

    #[test]
    fn a_site_that_stands_among_anothers_names_is_on_its_certificate() {
        let parent = |names: &str| shop("parent", 4, "example.org").label("names", names);
        let child = |number: u8, host: &str| shop(&format!("child{number}"), number, host);
        let a = || child(5, "a.example.org");
        let b = || child(6, "b.example.org");
        let served_by = |bearers: Vec<Bearer>| {
            let desired = desired(bearers.into_iter().chain([proxy()]));
            assert_eq!(complaints(&desired), [""; 0]);
            let sites = desired.consumers.values().next().expect("the proxy");
            let sites = sites.sites.iter().map(|(host, site)| {
                let certificate = site.certificate.as_ref().expect("it has TLS");
                format!("{host} by {certificate}")
            });
            (wanted(&desired), sites.collect::<Vec<_>>())
        };
        let (wanted, sites) = served_by(vec![parent("a.example.org"), a(), b()]);
        assert_eq!(
            wanted,
            [
                "b.example.org: b.example.org",
                "example.org: a.example.org example.org"
            ]
        );
        assert_eq!(
            sites,
            [
                "a.example.org by example.org",
                "b.example.org by b.example.org",
                "example.org by example.org"
            ]
        );
        let both = || parent("a.example.org b.example.org");
        let of_both = ["example.org: a.example.org b.example.org example.org"];
        assert_eq!(served_by(vec![both(), a(), b()]).0, of_both);
        // Whatever the order, and whoever names whom back.
        let back = a().label("names", "example.org, b.example.org");
        assert_eq!(
            served_by(vec![parent("a.example.org"), back, b()]).0,
            of_both
        );
        let mut older = a().label("names", "b.example.org");
        older.created = Some(crate::values::Timestamp::from_seconds(1));
        assert_eq!(
            served_by(vec![parent("a.example.org"), older, b()]).0,
            of_both
        );
        // With the label certificate it is all the same what the certificate is called.
        let called = both().label("certificate", "tree");
        let (wanted, sites) = served_by(vec![called, a(), b()]);
        assert_eq!(wanted, ["tree: a.example.org b.example.org example.org"]);
        assert!(
            sites.iter().all(|site| site.ends_with(" by tree")),
            "{sites:?}"
        );
    }

    #[test]
    fn a_site_that_shares_a_certificate_is_kept_with_it_while_its_container_is_away() {
        let parent = || shop("parent", 4, "example.org").label("names", "a.example.org");
        let child = |state| Bearer {
            state,
            ..shop("child", 5, "a.example.org")
        };
        let known = |child: Bearer, holder: &str| -> Desired {
            let host = Host::parse("a.example.org").expect("a host");
            let held = Holder::of(&Some(holder.to_owned()));
            let of_parent = (Host::parse("example.org").expect("a host"), held.clone());
            let holders = BTreeMap::from([(host, held), of_parent]).into();
            let bearers = snapshot([proxy(), parent(), child]);
            desire(&Snapshot { holders, ..bearers }, &rules())
        };
        let stopped = || BearerState::Other("exited".to_owned());
        let there = known(child(BearerState::Running), "shop");
        let away = known(child(stopped()), "shop");
        assert_eq!(complaints(&away), [""; 0]);
        let all = ["example.org: a.example.org example.org"];
        for desired in [&there, &away] {
            assert_eq!(wanted(desired), all);
        }
        assert_eq!(away.hosts, there.hosts, "its project has it all the same");
        let site = |desired: &Desired| {
            let proxy = desired.consumers.values().next().expect("the proxy");
            let site = proxy
                .sites
                .iter()
                .find(|(host, _)| host.as_str() == "a.example.org");
            site.map(|(_, site)| {
                (
                    site.certificate.as_ref().map(ToString::to_string),
                    site.kept.is_some(),
                )
            })
        };
        let shared = || Some("example.org".to_owned());
        assert_eq!(site(&there), Some((shared(), false)));
        assert_eq!(site(&away), Some((shared(), true)));
        // One that was never seen to be served is not, nor one that another project has.
        let bearers = snapshot([proxy(), parent(), child(stopped())]);
        assert_eq!(site(&desire(&bearers, &rules())), None);
        assert_eq!(site(&known(child(stopped()), "other")), None);
    }

    #[test]
    fn a_site_among_anothers_names_keeps_a_certificate_that_its_labels_ask_for() {
        let parent = || shop("parent", 4, "example.org").label("names", "a.example.org");
        for (child, expected) in [
            (
                shop("child", 5, "a.example.org").label("ca", "self-signed"),
                "a.example.org: a.example.org",
            ),
            (
                shop("child", 5, "a.example.org").label("certificate", "own"),
                "own: a.example.org",
            ),
        ] {
            let desired = desired([proxy(), parent(), child]);
            assert!(
                wanted(&desired).contains(&expected.to_owned()),
                "{:?}",
                wanted(&desired)
            );
        }
        let plain = parent().label("tls", "off");
        let child = shop("child", 5, "a.example.org");
        let found = wanted(&desired([proxy(), plain, child.clone()]));
        assert_eq!(
            found,
            ["a.example.org: a.example.org"],
            "the other has none"
        );
        // Another project's labels put nothing on a certificate.
        let stranger = parent().project_is("other");
        let found = wanted(&desired([proxy(), stranger, child]));
        assert!(
            !found.contains(&"a.example.org: a.example.org".to_owned()),
            "it had the name first: {found:?}"
        );
    }

    #[test]
    fn labels_of_certificates_that_mean_nothing_are_told() {
        for (shop, problem) in [
            (
                shop("shop", 4, "a.example, b.example").label("names", "c.example"),
                "the site has several hosts",
            ),
            (
                container("shop", 4).label("names", "c.example"),
                "there is no host whose certificate",
            ),
            (
                shop("shop", 4, "a.example")
                    .label("tls", "off")
                    .label("ca", "staging"),
                "there is none",
            ),
            (
                shop("shop", 4, "*.a.example").label("redirect", "a.example"),
                "no host to send them to",
            ),
            (
                shop("shop", 4, "a.example").label("ca", "https://ca.example/dir"),
                "belongs into the setting ca",
            ),
            (
                shop("shop", 4, "a.example").label("challenge", "dns-1"),
                "not a supported challenge; write http-01, dns-01",
            ),
            (
                shop("shop", 4, "a.example").label("certificate", "../a"),
                "it can't be a folder's name",
            ),
            (
                shop("shop", 4, "a.example").label("profile", "a b"),
                "it is not a word",
            ),
        ] {
            let desired = desired([proxy(), shop]);
            assert_eq!(wanted(&desired), [""; 0], "{problem}");
            assert_eq!(desired.complaints.len(), 1, "{:?}", complaints(&desired));
            assert!(
                complaints(&desired)[0].contains(problem),
                "{:?}",
                complaints(&desired)
            );
        }
    }

    fn with_dns(tables: &[&str]) -> LabelRules {
        let known = tables
            .iter()
            .map(|name| ((*name).to_owned(), Duration::ZERO));
        let known = known.collect();
        LabelRules {
            dns: DnsNames::new(known, None),
            ..public()
        }
    }

    #[test]
    fn a_name_that_dns_proves_has_the_table_that_its_label_or_the_settings_name() {
        let both = with_dns(&["home", "work"]);
        let home = with_dns(&["home"]);
        for (rules, label, value, expected) in [
            (&home, "challenge", "dns-01", Some("home")),
            (&both, "dns", "work", Some("work")),
            (&home, "challenge", "http-01", None),
        ] {
            let shop = shop("shop", 4, "shop.org").label(label, value);
            let desired = desire(&snapshot([proxy(), shop]), rules);
            assert_eq!(complaints(&desired), [""; 0]);
            let wanted = desired.certificates.values().next().expect("it is wanted");
            assert_eq!(wanted.issuance.dns.as_deref(), expected, "{label}={value}");
            let is_dns = wanted.issuance.challenge == ChallengeType::Dns01;
            assert_eq!(is_dns, expected.is_some());
        }
        let wildcard = shop("shop", 4, "*.shop.org").label("dns", "home");
        let desired = desire(&snapshot([proxy(), wildcard]), &home);
        assert_eq!(wanted(&desired), ["_.shop.org: *.shop.org"]);
        assert_eq!(uncovered(&desired), [""; 0]);
    }

    #[test]
    fn a_record_that_nobody_can_set_is_complained_about_with_what_to_write() {
        let both = with_dns(&["home", "work"]);
        for (rules, host, dns, problem, remedy) in [
            (
                &public(),
                "shop.org",
                None,
                "the settings do not say how it is set",
                "write a table [dns.NAME]",
            ),
            (
                &both,
                "shop.org",
                None,
                "there are several tables",
                "home, work",
            ),
            (
                &both,
                "shop.org",
                Some("hone"),
                "no table [dns.hone]",
                "did you mean home?",
            ),
            (
                &both,
                "1.2.3.4",
                Some("home"),
                "can't prove that an IP address is ours",
                "quaymaster.challenge=http-01",
            ),
        ] {
            let shop = shop("shop", 4, host).label("challenge", "dns-01");
            let shop = dns
                .into_iter()
                .fold(shop, |shop, dns| shop.label("dns", dns));
            let desired = desire(&snapshot([proxy(), shop]), rules);
            assert_eq!(wanted(&desired), [""; 0], "{problem}");
            let said = uncovered(&desired).join("\n");
            assert!(said.contains(problem) && said.contains(remedy), "{said}");
        }
    }

    #[test]
    fn what_can_not_be_had_is_left_out_and_the_rest_is_ordered() {
        let all = shop(
            "shop",
            4,
            "shop.org, *.shop.org, 10.0.0.1, shop.internal, 1.1.1.1",
        )
        .label("certificate", "all");
        let desired = desire(&snapshot([proxy(), all]), &public());
        assert_eq!(complaints(&desired), [""; 0]);
        assert_eq!(wanted(&desired), ["all: 1.1.1.1 shop.org"]);
        let said = uncovered(&desired);
        assert_eq!(said.len(), 3, "{said:?}");
        assert!(
            said[0].contains(
                "a CA issues for *.shop.org only by a DNS challenge, and http-01 is not one; write \
                 quaymaster.challenge=dns-01, put"
            ),
            "{said:?}"
        );
        assert!(
            said[1]
                .contains("no public CA issues a certificate for 10.0.0.1, which is for local use"),
            "{said:?}"
        );
        assert!(said[2].contains("for shop.internal"), "{said:?}");
        assert_eq!(hosts(&desired).len(), 5);
    }

    #[test]
    fn who_issues_is_said_by_a_label_or_the_setting() {
        let issuer = |word: &str| {
            let desired = desired([proxy(), shop("shop", 4, "*.shop.example").label("ca", word)]);
            assert_eq!(complaints(&desired), [""; 0]);
            let issuer = desired
                .certificates
                .values()
                .next()
                .map(|wanted| wanted.issuance.issuer.to_string());
            (
                issuer,
                uncovered(&desired)
                    .first()
                    .map(|said| said.split_once(": ").expect("it says why").1.to_owned()),
            )
        };
        assert_eq!(
            issuer("self-signed"),
            (Some("self-signed".to_owned()), None)
        );
        assert!(
            issuer("staging")
                .1
                .expect("it is no DNS challenge")
                .contains("a DNS challenge")
        );
        assert_eq!(issuer("staging").0, None);
        let nobody = "no valid certificate covers *.shop.example, and nobody is asked for one; put one into \
                      provided/, or take the label away";
        assert_eq!(issuer("none"), (None, Some(nobody.to_owned())));
        let desired = desired([
            proxy(),
            shop("shop", 4, "shop.example")
                .label("key-type", "ec-384")
                .label("profile", "x"),
        ]);
        let expected = Issuance {
            key_type: crate::values::KeyType::Ec384,
            profile: Some("x".parse().expect("a profile")),
            ..usual_issuance()
        };
        assert_eq!(
            desired
                .certificates
                .values()
                .map(|wanted| &wanted.issuance)
                .collect::<Vec<_>>(),
            [&expected]
        );
    }

    /// The settings name a CA of the user's own.
    fn with_corp() -> LabelRules {
        let corp = CaSettings {
            directory: Some("https://ca.corp.example/dir".to_owned()),
            ..CaSettings::default()
        };
        LabelRules {
            cas: CaTable::new([("corp".to_owned(), corp)].into()).expect("a CA"),
            ..rules()
        }
    }

    #[test]
    fn a_label_names_a_ca_of_the_settings_and_one_that_is_not_known_spoils_its_site() {
        let rules = with_corp();
        let meant = |ca: &str| {
            let app = shop("shop", 4, "a.example")
                .label("ca", ca)
                .label("site.admin.host", "b.example")
                .label("site.admin.ca", "self-signed");
            desire(&snapshot([proxy(), app]), &rules)
        };
        let known = meant("corp");
        assert_eq!(complaints(&known), [""; 0]);
        let issuers = |desired: &Desired| {
            let wanted = desired.certificates.values();
            let issuers = wanted.map(|wanted| wanted.issuance.issuer.to_string());
            issuers.collect::<Vec<_>>()
        };
        assert_eq!(
            issuers(&known),
            ["https://ca.corp.example/dir", "self-signed"]
        );
        let unknown = meant("crop");
        assert_eq!(issuers(&unknown), ["self-signed"]);
        assert_eq!(hosts(&unknown), ["b.example"]);
        assert_eq!(
            complaints(&unknown),
            [
                "container shop, label quaymaster.ca=\"crop\": \"crop\" is not a CA that a label can name; did you \
                 mean corp?; write names of CAs, self-signed or none, such as staging; until then the site is not \
                 served"
            ]
        );
    }

    #[test]
    fn a_label_may_name_several_cas_and_those_that_never_issue_for_its_names_are_left_out() {
        let meant = |ca: &str, hosts: &str| {
            let app = shop("shop", 4, hosts).label("ca", ca);
            let app = app.label("certificate", "shop");
            desire(&snapshot([proxy(), app]), &with_corp())
        };
        let issuers = |desired: &Desired| {
            let wanted = desired.certificates.values().next();
            wanted.map(|wanted| {
                assert_eq!(wanted.issuance.issuer, *wanted.issuers.first());
                wanted.issuers.to_string()
            })
        };
        let corp = "https://ca.corp.example/dir";
        for (list, hosts, expected) in [
            ("letsencrypt zerossl", "a.org", "letsencrypt, zerossl"),
            ("zerossl,letsencrypt", "a.org", "zerossl, letsencrypt"),
            ("letsencrypt corp", "a.org", &format!("letsencrypt, {corp}")),
            ("letsencrypt corp", "a.org a.internal", corp),
        ] {
            let desired = meant(list, hosts);
            assert_eq!(complaints(&desired), [""; 0], "{list}");
            assert_eq!(issuers(&desired).as_deref(), Some(expected), "{list}");
        }
        // Those that all are public are told for the name that none of them issues for.
        let public = meant("letsencrypt zerossl", "a.internal");
        assert_eq!(issuers(&public), None);
        assert!(uncovered(&public)[0].contains("no public CA issues a certificate for a.internal"));
        for (list, problem) in [
            (
                "letsencrypt crop",
                r#""crop" is not a CA that a label can name; did you mean corp?"#,
            ),
            ("letsencrypt, none", "none stands alone, not in a list"),
            ("corp self-signed", "self-signed stands alone"),
            ("corp corp", "corp is in the list of CAs twice"),
            ("corp https://ca.example/dir", "belongs into the setting ca"),
        ] {
            let desired = meant(list, "a.org");
            let told = complaints(&desired);
            assert_eq!(told.len(), 1, "{list}: {told:?}");
            let begin = format!("container shop, label quaymaster.ca={list:?}: ");
            assert!(
                told[0].starts_with(&begin) && told[0].contains(problem),
                "{told:?}"
            );
            assert_eq!(issuers(&desired), None, "{list}");
        }
    }

    #[test]
    fn of_cas_that_are_not_known_a_few_are_told() {
        let mut app = shop("shop", 4, "a.example");
        for number in 0..30 {
            app = app
                .label(
                    &format!("site.n{number}.host"),
                    &format!("n{number}.example"),
                )
                .label(&format!("site.n{number}.ca"), "nobody");
        }
        let desired = desired([proxy(), app]);
        assert_eq!(complaints(&desired).len(), 20);
        assert_eq!(hosts(&desired), ["a.example"]);
    }

    #[test]
    fn a_setting_that_asks_nobody_is_followed_where_no_label_says_otherwise() {
        let containers = || {
            snapshot([
                proxy(),
                shop("shop", 4, "a.example"),
                shop("own", 5, "b.example").label("ca", "self-signed"),
            ])
        };
        let nobody = desire(
            &containers(),
            &LabelRules {
                issuers: None,
                ..rules()
            },
        );
        assert_eq!(wanted(&nobody), ["b.example: b.example"]);
        assert_eq!(
            uncovered(&nobody),
            [
                "container shop, label quaymaster.host=\"a.example\": no valid certificate covers a.example, and \
                 nobody is asked for one; put one into provided/, or say who issues it by the label quaymaster.ca"
            ]
        );
        let ourselves = desire(
            &containers(),
            &LabelRules {
                issuers: Some(Issuer::SelfSigned.into()),
                ..rules()
            },
        );
        assert_eq!(
            wanted(&ourselves),
            ["a.example: a.example", "b.example: b.example"]
        );
        assert!(
            ourselves
                .certificates
                .values()
                .all(|wanted| wanted.issuance.issuer == Issuer::SelfSigned)
        );
    }

    #[test]
    fn of_containers_that_disagree_the_oldest_that_says_anything_is_followed() {
        let on_all = |name, number, host| shop(name, number, host).label("certificate", "all");
        let desired = desired([
            proxy(),
            on_all("silent", 4, "a.example"),
            on_all("older", 5, "b.example").label("ca", "self-signed"),
            on_all("younger", 6, "c.example").label("ca", "staging"),
        ]);
        let wanted = desired.certificates.values().next().expect("it is wanted");
        assert_eq!(
            (wanted.names.len(), &wanted.issuance.issuer),
            (3, &Issuer::SelfSigned)
        );
        assert_eq!(
            complaints(&desired),
            [
                "container younger, label quaymaster.ca=\"staging\": older says \"self-signed\" for the certificate all, and \
              it is older; write the same ca on both"
            ]
        );
    }

    #[test]
    fn a_certificate_has_at_most_a_hundred_names_and_the_oldest_stay() {
        let many: Vec<_> = (0..100)
            .map(|number| format!("n{number:03}.example"))
            .collect();
        let older = shop("older", 4, &many.join(" ")).label("certificate", "all");
        let younger = shop("younger", 5, "a.example").label("certificate", "all");
        let desired = desired([proxy(), older, younger]);
        let names = &desired
            .certificates
            .values()
            .next()
            .expect("it is wanted")
            .names;
        assert_eq!(
            (
                names.len(),
                names.contains(&Host::parse("a.example").expect("a host"))
            ),
            (100, false)
        );
        let told = "the certificate all has 100 names without a.example, and can't have more";
        assert!(
            complaints(&desired)[0].contains(told),
            "{:?}",
            complaints(&desired)
        );
    }

    #[test]
    fn of_several_addresses_that_a_proxy_shows_with_one_certificate_the_others_are_told() {
        let apart = desired([proxy(), shop("shop", 4, "192.0.2.1, 192.0.2.2")]);
        assert!(
            complaints(&apart)[0]
                .contains("proxy shows all who ask for an address the certificate of 192.0.2.1")
        );
        assert!(complaints(&apart)[0].contains("label quaymaster.host=\"192.0.2.2\""));
        let together = desired([
            proxy(),
            shop("shop", 4, "192.0.2.1, 192.0.2.2").label("certificate", "both"),
        ]);
        assert_eq!(complaints(&together), [""; 0]);
    }
}
