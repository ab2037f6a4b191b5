//! The look at names before a CA is asked for anything: how it is made, and what it means. Looking itself is done
//! elsewhere.
//!
//! What our DNS server says counts as what the CA's says where that must be so: at public CAs, which see what everybody
//! sees, and where the settings name the server (`resolver`). At any other CA nobody knows which names it knows, so that
//! no name is looked up. The system's server may be one of a network that has names of its own: that it knows no public
//! address of a name for which a CA has issued already holds nothing up.

use std::{collections::BTreeSet, fmt, net::IpAddr, time::Duration};

use itertools::Itertools;

use thiserror::Error;
use url::Url;

use super::{
    caa::{CaaAsker, forbidden},
    pages::{cut, other},
    renewal,
};
use crate::{
    desire::Wanted,
    observe::{Addresses, HeldCertificate, LookupFault, NameLook, Source, Visit, VisitEnd},
    values::{ChallengeType, Host, Issuer, Timestamp, preset_at},
};

/// The settings for looks before orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SelfCheckRule {
    /// True if there are any.
    pub is_on: bool,
    /// True if the settings name the DNS server.
    pub is_resolver_named: bool,
    /// True if a server of the user's answers by the thumbprint of our account's key.
    pub is_by_thumbprint: bool,
    /// True if the daemon has a listener of its own for challenges.
    pub is_by_listener: bool,
}

/// The way to look at the names of one order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelfCheck {
    /// Challenge by which the CA is shown that the names are ours. Of names that are proven by DNS, nothing but CAA records is looked at: the
    /// TXT record itself is waited for once it is set.
    pub method: ChallengeType,
    /// Whether the CA issues for what is reached from everywhere alone.
    pub is_public: bool,
    /// True if the settings name the DNS server.
    pub is_resolver_named: bool,
    /// True if a server of the user's answers by the thumbprint of our account's key, which has to be known for a look.
    pub is_by_thumbprint: bool,
    /// True if a CA has issued for these names already.
    pub was_validated: bool,
    /// True if that certificate is near its end: the look holds nothing up any more, since it may be wrong.
    pub is_urgent: bool,
    /// The domains by which CAA records name the CA; none where these are not known.
    pub identities: &'static [&'static str],
    /// Where CAs ask.
    pub ports: WebPorts,
}

/// Ports of web servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WebPorts {
    /// For http.
    pub http: u16,
    /// For https.
    pub https: u16,
}

impl WebPorts {
    /// Those at which CAs ask.
    ///
    /// <https://www.rfc-editor.org/rfc/rfc8555#section-8.3>
    pub const USUAL: Self = Self {
        http: 80,
        https: 443,
    };

    /// The port that a URL is asked at; nothing where no CA would.
    pub fn of(self, url: &Url) -> Option<u16> {
        let is_http = url.scheme() == "http";
        match url.port_or_known_default()? {
            80 if is_http => Some(self.http),
            443 if !is_http => Some(self.https),
            _ => None,
        }
    }
}

/// The look at a certificate's names before a CA is asked; none where they are not looked at.
pub fn self_check(
    rule: SelfCheckRule,
    wanted: &Wanted,
    held: Option<&HeldCertificate>,
    now: Timestamp,
) -> Option<SelfCheck> {
    let check = first_check(rule, &wanted.issuance.issuer, wanted.issuance.challenge)?;
    let validated = held.filter(|held| {
        let is_of_ca = matches!(held.source, Source::Acme(_));
        is_of_ca && wanted.names.iter().all(|name| held.covers(name))
    });
    Some(SelfCheck {
        was_validated: validated.is_some(),
        is_urgent: validated.is_some_and(|held| renewal::urgent_from(held) <= now),
        ..check
    })
}

/// How the names of a certificate are looked at for which nothing is known to have been issued.
pub(super) fn first_check(
    rule: SelfCheckRule,
    issuer: &Issuer,
    method: ChallengeType,
) -> Option<SelfCheck> {
    let directory = issuer.directory()?;
    let is_public = issuer.is_public();
    let is_seen = is_public || rule.is_resolver_named;
    (rule.is_on && is_seen).then(|| SelfCheck {
        method,
        is_public,
        is_resolver_named: rule.is_resolver_named,
        is_by_thumbprint: rule.is_by_thumbprint && method == ChallengeType::Http01,
        was_validated: false,
        is_urgent: false,
        identities: preset_at(directory).map_or(&[], |preset| preset.caa),
        ports: WebPorts::USUAL,
    })
}

/// Number of addresses of each kind that are looked at: a CA takes one of them.
const MOST_VISITS: usize = 4;

impl SelfCheck {
    /// The addresses that are looked at: those that the CA could reach, and never one that is of this machine's link
    /// alone, whoever chose the name.
    pub fn to_visit(&self, addresses: &Addresses) -> Vec<IpAddr> {
        let all = || {
            addresses
                .all
                .iter()
                .filter(|address| self.may_visit(address))
        };
        let v4 = all().filter(|address| address.is_ipv4()).take(MOST_VISITS);
        let v6 = all().filter(|address| address.is_ipv6()).take(MOST_VISITS);
        v4.chain(v6).copied().collect()
    }

    fn may_visit(&self, address: &IpAddr) -> bool {
        let address = address.to_canonical();
        let is_of_link = match address {
            IpAddr::V4(address) => address.is_link_local() || address.is_broadcast(),
            IpAddr::V6(address) => address.is_unicast_link_local(),
        };
        let is_nobody = is_of_link || address.is_unspecified() || address.is_multicast();
        match self.is_public {
            true => !is_nobody && !Host::from(address).is_reserved(),
            false => !is_nobody,
        }
    }

    /// Where an answer leads that is not ours, after it has led to these already; what it is in the end where it leads
    /// nowhere.
    ///
    /// <https://letsencrypt.org/docs/challenge-types/#http-01-challenge>
    pub fn follow(
        &self,
        (from, led): (&Url, &[String]),
        status: u16,
        location: Option<&str>,
    ) -> Option<Result<Url, VisitEnd>> {
        if !matches!(status, 301 | 302 | 303 | 307 | 308) {
            return None;
        }
        let to = location.filter(|to| to.len() <= LONGEST_URL);
        let to = to.and_then(|to| from.join(to).ok());
        let Some(mut to) = to else {
            let what = format!("it answers {status} and does not say where to go");
            return Some(Err(VisitEnd::BadRedirect(what)));
        };
        to.set_fragment(None);
        let is_known = to == *from || led.iter().any(|before| *before == to.as_str());
        let bad = |problem: String| Some(Err(VisitEnd::BadRedirect(problem)));
        match () {
            () if is_known => bad(format!("it leads back to {}", short(to.as_str()))),
            () if led.len() >= MOST_REDIRECTS => {
                bad(format!("it leads on more than {MOST_REDIRECTS} times"))
            }
            () if !matches!(to.scheme(), "http" | "https") => bad(format!(
                "it leads to {}, which is neither http nor https",
                short(to.as_str())
            )),
            () if self.ports.of(&to).is_none() => bad(format!(
                "it leads to {}, and CAs follow to port 80 of http and 443 of https alone",
                short(to.as_str())
            )),
            () => Some(Ok(to)),
        }
    }
}

/// The longest time for the looks at all names of one order, which holds its place at the CA meanwhile: a healthy
/// server answers within a second, and an address that is silent is known after some. Names that are not known by then
/// hold nothing up.
pub const LOOK_LIMIT: Duration = Duration::from_secs(20);

/// Number of times that an answer may redirect, and the length of such a URL, at Let's Encrypt.
const MOST_REDIRECTS: usize = 10;
const LONGEST_URL: usize = 2000;

/// The meaning of a look at one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NameVerdict {
    /// A CA would see what we show.
    Seen,
    /// The look from here does not show it; why. What the proxies answer at their own addresses counts.
    Unsure(String),
    /// A CA would not; why, and what to do.
    Unseen(String),
}

/// Names that a CA would not validate. It was not asked.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{}; the CA was not asked for anything. If that is so inside your own network alone, set self-check=off", .0.iter().map(|(name, problem)| format!("{name}: {problem}")).collect::<Vec<_>>().join("; "))]
pub struct SelfCheckFailed(pub Vec<(Host, String)>);

/// Judges a look at one name.
pub fn judge(look: &NameLook, check: &SelfCheck, account: Option<&str>) -> NameVerdict {
    match strictly(look, check, account) {
        // A name may look otherwise from inside a network: what a CA could validate before must not run out for that.
        NameVerdict::Unseen(problem) if check.is_urgent => NameVerdict::Unsure(problem),
        verdict => verdict,
    }
}

/// Number of characters of a TXT record that are shown: a proof has 43.
const LONGEST_TEXT: usize = 60;

/// Judges the TXT records that are where a CA looks for the proof of a name, which has to be this one.
pub fn judge_proofs(found: &Result<BTreeSet<String>, LookupFault>, proof: &str) -> NameVerdict {
    match found {
        Ok(found) if found.contains(proof) => NameVerdict::Seen,
        Ok(found) if found.is_empty() => NameVerdict::Unseen("there is no TXT record".to_owned()),
        Ok(found) => {
            let found = found.iter().map(|text| cut(text, LONGEST_TEXT)).join(", ");
            NameVerdict::Unseen(format!("its TXT record is another: {found}"))
        }
        Err(LookupFault::NoName) => NameVerdict::Unseen("there is no TXT record".to_owned()),
        Err(fault) => NameVerdict::Unsure(Fault(fault).to_string()),
    }
}

fn strictly(look: &NameLook, check: &SelfCheck, account: Option<&str>) -> NameVerdict {
    let verdicts = match check.method {
        ChallengeType::Http01 => vec![
            of_caa(look, check, account),
            of_addresses(look, check),
            of_visits(look, check),
        ],
        ChallengeType::Dns01 => vec![of_caa(look, check, account)],
    };
    let mut unsure = None;
    for verdict in verdicts {
        match verdict {
            NameVerdict::Unseen(_) => return verdict,
            NameVerdict::Unsure(_) if unsure.is_none() => unsure = Some(verdict),
            NameVerdict::Unsure(_) | NameVerdict::Seen => {}
        }
    }
    unsure.unwrap_or(NameVerdict::Seen)
}

fn of_caa(look: &NameLook, check: &SelfCheck, account: Option<&str>) -> NameVerdict {
    let asker = CaaAsker {
        identities: check.identities,
        account,
        method: check.method,
        is_wildcard: look.name.is_wildcard(),
    };
    match &look.caa {
        _ if check.identities.is_empty() => NameVerdict::Seen,
        Ok(records) => {
            let forbidden = records
                .as_ref()
                .and_then(|records| forbidden(records, asker));
            forbidden.map_or(NameVerdict::Seen, NameVerdict::Unseen)
        }
        Err(fault) => {
            let problem = format!(
                "its CAA records can't be looked up, and a CA issues nothing until they can: {}",
                Fault(fault)
            );
            // Small resolvers of home networks don't know the type.
            match check.is_resolver_named && is_of_zone(fault) {
                true => NameVerdict::Unseen(problem),
                false => NameVerdict::Unsure(problem),
            }
        }
    }
}

/// True if the CA would meet the same, whichever server it asks.
fn is_of_zone(fault: &LookupFault) -> bool {
    match fault {
        LookupFault::NoName
        | LookupFault::Failure
        | LookupFault::Signatures
        | LookupFault::AliasLoop => true,
        LookupFault::Refused(_) | LookupFault::NoAnswer(_) => false,
    }
}

fn of_addresses(look: &NameLook, check: &SelfCheck) -> NameVerdict {
    let doubted = |problem: String| match check.is_resolver_named || !check.was_validated {
        true => NameVerdict::Unseen(problem),
        false => NameVerdict::Unsure(problem),
    };
    let addresses = match &look.addresses {
        Ok(addresses) => addresses,
        Err(fault) if is_of_zone(fault) => return doubted(Fault(fault).to_string()),
        Err(fault) => return NameVerdict::Unsure(Fault(fault).to_string()),
    };
    if addresses.all.is_empty() {
        let at = addresses.alias.as_ref();
        let at = at.map_or_else(String::new, |alias| {
            format!(" (its alias leads to {alias})")
        });
        return doubted(format!(
            "it has neither an A nor an AAAA record{at}: add one that leads to this machine"
        ));
    }
    if !check.to_visit(addresses).is_empty() {
        return NameVerdict::Seen;
    }
    let [first, ..] = addresses.all.as_slice() else {
        return NameVerdict::Seen;
    };
    let problem = format!("it leads to {first} alone, which no CA can reach");
    match check.is_resolver_named {
        true => NameVerdict::Unseen(format!("{problem}: give it a public address")),
        // A network that has names of its own says this of a name that is well for everybody else.
        false => NameVerdict::Unsure(format!(
            "{problem}; where your network has names of its own, set `resolver` to a public DNS server"
        )),
    }
}

fn of_visits(look: &NameLook, check: &SelfCheck) -> NameVerdict {
    let is_seen = |visit: &&Visit| visit.end == VisitEnd::Ours;
    let seen: Vec<_> = look.visits.iter().filter(is_seen).collect();
    let wrong = look.visits.iter().find(|visit| is_wrong(visit));
    if let Some(wrong) = wrong {
        let problem = instead(look, wrong, seen.first().map(|visit| visit.at));
        // CAs take the address of version 6 first, and those of version 4 where that takes no connections.
        let is_old = wrong.at.is_ipv4() && seen.iter().any(|visit| visit.at.is_ipv6());
        return match is_old && check.was_validated {
            true => NameVerdict::Unsure(problem),
            false => NameVerdict::Unseen(problem),
        };
    }
    let is_late = |visit: &&Visit| visit.end == VisitEnd::Late;
    if let (Some(late), true) = (look.visits.iter().find(is_late), seen.is_empty()) {
        return NameVerdict::Unsure(format!(
            "what answers at {} was not known within {LOOK_LIMIT:?}",
            late.at
        ));
    }
    match (look.visits.first(), seen.is_empty()) {
        (Some(visit), true) => NameVerdict::Unsure(format!(
            "nothing takes connections at {} from inside this network ({}), as where a router does not let it reach itself",
            visit.at,
            match &visit.end {
                VisitEnd::NoConnection(problem) => problem.as_str(),
                _ => "no answer",
            }
        )),
        _ => NameVerdict::Seen,
    }
}

/// True if another server answers in our place. A server that takes no connections from here may well take a CA's; once
/// one was answered with a redirect, that holds no more.
fn is_wrong(visit: &Visit) -> bool {
    match &visit.end {
        VisitEnd::Ours | VisitEnd::Late => false,
        VisitEnd::NoConnection(_) => !visit.led.is_empty(),
        VisitEnd::LostRedirect(fault) => is_of_zone(fault),
        VisitEnd::NoHttp(_)
        | VisitEnd::OtherAccount { .. }
        | VisitEnd::Other { .. }
        | VisitEnd::BadRedirect(_) => true,
    }
}

/// The server that answers in our place, by the record that leads there, and the remedy.
fn instead(look: &NameLook, wrong: &Visit, ours: Option<IpAddr>) -> String {
    let (is_name, at) = (look.name.address().is_none(), wrong.at);
    let record = match (is_name, at) {
        (false, _) => format!("at {at}"),
        (true, IpAddr::V4(_)) => format!("its A record leads to {at}, where"),
        (true, IpAddr::V6(_)) => format!("its AAAA record leads to {at}, where"),
    };
    let remedy = match (is_name, ours) {
        (false, _) => String::new(),
        (true, Some(ours)) => {
            format!(": remove that record, since {ours} shows what is looked for")
        }
        (true, None) => ": let it lead to this machine, and port 80 to the proxy".to_owned(),
    };
    let by_way = match wrong.led.last() {
        Some(url) => format!(" (after a redirect to {})", short(url)),
        None => String::new(),
    };
    match &wrong.end {
        VisitEnd::Other {
            status,
            server,
            is_parked,
            quote,
        } => format!(
            "{record} {}{by_way}{remedy}",
            other(*status, server.as_deref(), *is_parked, quote)
        ),
        VisitEnd::OtherAccount { answered, own } => format!(
            "{record} challenges are answered{by_way} by the thumbprint {answered} of another account, and the one of our \
             account's key is {own}: write that into the line of the server there"
        ),
        VisitEnd::NoHttp(problem) if wrong.led.is_empty() => {
            format!("{record} something other than a web server answers ({problem}){remedy}")
        }
        VisitEnd::BadRedirect(problem) => format!(
            "{record} a redirect leads nowhere: {problem}{by_way}; let /.well-known/acme-challenge/ through without one"
        ),
        end => format!(
            "{record} a redirect leads to {}",
            broken(end, wrong.led.last())
        ),
    }
}

/// The end of a redirect to this URL that leads to no answer.
fn broken(end: &VisitEnd, url: Option<&String>) -> String {
    const REMEDY: &str =
        "fix that server, or let /.well-known/acme-challenge/ through without a redirect";
    let url = url.map_or("", |url| short(url));
    match end {
        VisitEnd::NoConnection(problem) => {
            format!("{url}, where nothing takes connections ({problem}): {REMEDY}")
        }
        VisitEnd::NoHttp(problem) => format!("{url}, which is broken: {problem}; {REMEDY}"),
        VisitEnd::LostRedirect(fault) => format!("{url}, and {}", Fault(fault)),
        VisitEnd::Ours
        | VisitEnd::OtherAccount { .. }
        | VisitEnd::Other { .. }
        | VisitEnd::BadRedirect(_)
        | VisitEnd::Late => url.to_owned(),
    }
}

/// A URL that others chose, for people.
fn short(url: &str) -> &str {
    const MOST: usize = 120;
    // The parser of URLs leaves ASCII alone.
    url.get(..MOST).unwrap_or(url)
}

/// A fault in words.
struct Fault<'a>(&'a LookupFault);

impl fmt::Display for Fault<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            LookupFault::NoName => f.write_str(
                "there is no such name in DNS: add an A record that leads to this machine",
            ),
            LookupFault::Failure => f.write_str(
                "the DNS servers of its zone fail (SERVFAIL): ask whoever runs them",
            ),
            LookupFault::Signatures => f.write_str(
                "the DNSSEC signatures of its zone are wrong, so no CA believes what it says: renew them, or remove \
                 the DS record at the registrar",
            ),
            LookupFault::AliasLoop => {
                f.write_str("its alias (CNAME) leads back to itself: let it lead to a name with an address")
            }
            LookupFault::Refused(word) => write!(
                f,
                "the DNS server does not answer ({word}): set `resolver` to another one"
            ),
            LookupFault::NoAnswer(problem) => write!(
                f,
                "no DNS server answers ({problem}): is the setting `resolver`, or /etc/resolv.conf, right?"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{
        super::{pages::stranger, tests::*},
        *,
    };
    use crate::{
        desire::tests::{container, proxy},
        fixtures::held,
        observe::{CaaIssuer, CaaRecord, CaaRecords},
        values::{CA_PRESETS, Issuer},
    };

    fn public(is_resolver_named: bool, was_validated: bool) -> SelfCheck {
        SelfCheck {
            method: ChallengeType::Http01,
            is_public: true,
            is_resolver_named,
            is_by_thumbprint: false,
            was_validated,
            is_urgent: false,
            identities: &["ca.example"],
            ports: WebPorts::USUAL,
        }
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn visit(at: &str, led: &[&str], end: VisitEnd) -> Visit {
        Visit {
            at: ip(at),
            led: led.iter().map(|url| (*url).to_owned()).collect(),
            end,
        }
    }

    fn look(visits: Vec<Visit>) -> NameLook {
        NameLook {
            name: Host::parse("shop.org").expect("a name"),
            addresses: Ok(Addresses {
                all: visits.iter().map(|visit| visit.at).collect(),
                alias: None,
            }),
            caa: Ok(None),
            visits,
        }
    }

    fn faulty(fault: LookupFault) -> NameLook {
        NameLook {
            addresses: Err(fault),
            ..look(Vec::new())
        }
    }

    fn answer(status: u16, server: Option<&str>, text: &str) -> VisitEnd {
        stranger(ip(V4), status, server, text)
    }

    const V4: &str = "1.2.3.4";
    const V6: &str = "2606:4700::1";

    #[test]
    fn a_proof_in_dns_is_seen_among_others_and_what_is_there_instead_is_told() {
        let there = |texts: &[&str]| Ok(texts.iter().map(|&text| text.to_owned()).collect());
        for (found, expected) in [
            (there(&["other", "proof"]), ""),
            (there(&["other"]), "its TXT record is another: other"),
            (there(&[]), "there is no TXT record"),
            (Err(LookupFault::NoName), "there is no TXT record"),
        ] {
            let verdict = match expected {
                "" => NameVerdict::Seen,
                words => NameVerdict::Unseen(words.to_owned()),
            };
            assert_eq!(judge_proofs(&found, "proof"), verdict);
        }
        let verdict = judge_proofs(&Err(LookupFault::Failure), "proof");
        assert!(matches!(verdict, NameVerdict::Unsure(_)), "{verdict:?}");
    }

    #[test]
    fn a_look_holds_nothing_up_near_the_end_of_what_a_ca_has_issued() {
        let desired = desired([proxy(), container("shop", 4).label("host", "shop.org")]);
        let wanted = desired.certificates.values().next().expect("it is wanted");
        let mut wanted = Wanted::clone(wanted);
        wanted.issuance.issuer = Issuer::Ca(CA_PRESETS[0].directory.to_owned());
        let rule = SelfCheckRule {
            is_on: true,
            is_resolver_named: false,
            is_by_thumbprint: false,
            is_by_listener: false,
        };
        let day = Duration::from_secs(24 * 60 * 60);
        let lasting = |days: u32, source| HeldCertificate {
            not_before: START,
            not_after: START + day * days,
            source,
            ..held(&["shop.org"])
        };
        let of_ca = |days| lasting(days, Source::from(&wanted.issuance.issuer));
        let wrong = look(vec![visit(V4, &[], answer(200, None, "a router"))]);
        let is_held_up = |held: Option<&HeldCertificate>, days: u32| {
            let check = self_check(rule, &wanted, held, START + day * days).expect("there is one");
            matches!(judge(&wrong, &check, None), NameVerdict::Unseen(_))
        };
        for (life, late) in [(90, 75), (8, 6)] {
            let held = of_ca(life);
            assert!(is_held_up(Some(&held), late - 1), "{life}");
            assert!(!is_held_up(Some(&held), late), "{life}");
        }
        assert!(is_held_up(None, 100), "a first one");
        let others = lasting(90, Source::Fallback);
        assert!(is_held_up(Some(&others), 89), "no CA has issued it");
        let off = SelfCheckRule {
            is_on: false,
            ..rule
        };
        assert_eq!(self_check(off, &wanted, None, START), None);
    }

    #[test]
    fn what_answers_instead_is_told_in_one_sentence_with_what_to_do() {
        let silent = || VisitEnd::NoConnection("connection refused".to_owned());
        let other_account = || VisitEnd::OtherAccount {
            answered: "THEIRS".to_owned(),
            own: "OURS".to_owned(),
        };
        for (seen, sentence) in [
            (
                look(vec![visit(V4, &[], other_account())]),
                "its A record leads to 1.2.3.4, where challenges are answered by the thumbprint THEIRS of another account, \
                 and the one of our account's key is OURS: write that into the line of the server there",
            ),
            (
                look(vec![visit(
                    V4,
                    &[],
                    answer(404, Some("Apache"), "Not Found"),
                )]),
                "its A record leads to 1.2.3.4, where another server (Apache) answers with status 404: \"Not Found\": let it \
                 lead to this machine, and port 80 to the proxy",
            ),
            (
                look(vec![
                    visit(V4, &[], VisitEnd::Ours),
                    visit(V6, &[], answer(200, None, "hello")),
                ]),
                "its AAAA record leads to 2606:4700::1, where another server answers with status 200: \"hello\": remove that \
                 record, since 1.2.3.4 shows what is looked for",
            ),
            (
                look(vec![visit(
                    V4,
                    &[],
                    answer(200, None, "shop.org This Domain Is For Sale!"),
                )]),
                "its A record leads to 1.2.3.4, where a parking page answers: \"shop.org This Domain Is For Sale!\": let it \
                 lead to this machine, and port 80 to the proxy",
            ),
            (
                look(vec![visit(
                    V4,
                    &["https://shop.org/x"],
                    VisitEnd::NoHttp("TLS fails: eof".to_owned()),
                )]),
                "its A record leads to 1.2.3.4, where a redirect leads to https://shop.org/x, which is broken: TLS \
                 fails: eof; fix that server, or let /.well-known/acme-challenge/ through without a redirect",
            ),
            (
                look(vec![visit(V4, &["https://shop.org/x"], silent())]),
                "its A record leads to 1.2.3.4, where a redirect leads to https://shop.org/x, where nothing takes \
                 connections (connection refused): fix that server, or let /.well-known/acme-challenge/ through \
                 without a redirect",
            ),
            (
                faulty(LookupFault::NoName),
                "there is no such name in DNS: add an A record that leads to this machine",
            ),
            (
                faulty(LookupFault::Failure),
                "the DNS servers of its zone fail (SERVFAIL): ask whoever runs them",
            ),
            (
                faulty(LookupFault::Signatures),
                "the DNSSEC signatures of its zone are wrong, so no CA believes what it says: renew them, or remove \
                 the DS record at the registrar",
            ),
            (
                look(Vec::new()),
                "it has neither an A nor an AAAA record: add one that leads to this machine",
            ),
        ] {
            let verdict = judge(&seen, &public(false, false), None);
            assert_eq!(verdict, NameVerdict::Unseen(sentence.to_owned()));
        }
    }

    #[test]
    fn what_is_not_known_in_time_holds_nothing_up_and_what_is_known_counts() {
        let late = |at| visit(at, &["https://shop.org/x"], VisitEnd::Late);
        let verdict = |visits| judge(&look(visits), &public(true, false), None);
        let unsure = format!("what answers at {V6} was not known within 20s");
        for visits in [
            vec![late(V6)],
            vec![
                visit(V4, &[], VisitEnd::NoConnection("no".to_owned())),
                late(V6),
            ],
        ] {
            assert_eq!(verdict(visits), NameVerdict::Unsure(unsure.clone()));
        }
        let seen = visit(V4, &[], VisitEnd::Ours);
        assert_eq!(verdict(vec![seen, late(V6)]), NameVerdict::Seen);
        let wrong = visit(V4, &[], answer(404, None, ""));
        assert!(matches!(
            verdict(vec![wrong, late(V6)]),
            NameVerdict::Unseen(_)
        ));
    }

    #[test]
    fn a_network_that_can_t_reach_itself_and_a_dns_server_that_is_gone_hold_nothing_up() {
        let silent = || VisitEnd::NoConnection("timed out".to_owned());
        let seen = look(vec![visit(V4, &[], silent()), visit(V6, &[], silent())]);
        let verdict = judge(&seen, &public(true, false), None);
        assert!(
            matches!(&verdict, NameVerdict::Unsure(why) if why.contains("from inside this network (timed out)")),
            "{verdict:?}"
        );
        let one = look(vec![
            visit(V4, &[], VisitEnd::Ours),
            visit(V6, &[], silent()),
        ]);
        assert_eq!(judge(&one, &public(true, false), None), NameVerdict::Seen);
        for named in [true, false] {
            let gone = faulty(LookupFault::NoAnswer("9.9.9.9:53: timed out".to_owned()));
            let verdict = judge(&gone, &public(named, false), None);
            assert!(
                matches!(&verdict, NameVerdict::Unsure(why) if why.contains("`resolver`")),
                "{verdict:?}"
            );
        }
    }

    #[test]
    fn what_only_the_system_s_server_says_holds_up_no_name_that_a_ca_has_issued_for() {
        let inside = look(vec![]);
        let inside = NameLook {
            addresses: Ok(Addresses {
                all: vec![ip("10.0.0.5")],
                alias: None,
            }),
            ..inside
        };
        for (named, validated, unknown, private) in [
            (false, false, false, true),
            (false, true, true, true),
            (true, false, false, false),
            (true, true, false, false),
        ] {
            let check = public(named, validated);
            let goes_on =
                |look: &NameLook| matches!(judge(look, &check, None), NameVerdict::Unsure(_));
            let no_name = faulty(LookupFault::NoName);
            assert_eq!(goes_on(&no_name), unknown, "{named} {validated}");
            assert_eq!(goes_on(&inside), private, "{named} {validated}");
        }
    }

    #[test]
    fn caa_records_count_where_the_ca_is_known_and_their_failures_where_the_server_is_named() {
        let issuer = CaaIssuer {
            domain: "other.example".to_owned(),
            parameters: Vec::new(),
        };
        let record = CaaRecord {
            is_critical: false,
            tag: "issue".to_owned(),
            value: "other.example".to_owned(),
            issuer: Some(issuer),
        };
        let forbidding = NameLook {
            caa: Ok(Some(CaaRecords {
                at: Host::parse("org").expect("a name"),
                all: vec![record],
            })),
            ..look(vec![visit(V4, &[], VisitEnd::Ours)])
        };
        let verdict = judge(&forbidding, &public(false, true), None);
        assert!(
            matches!(&verdict, NameVerdict::Unseen(why) if why.contains("CAA 0 issue \"ca.example\"")),
            "{verdict:?}"
        );
        let unknown = SelfCheck {
            identities: &[],
            ..public(true, false)
        };
        assert_eq!(judge(&forbidding, &unknown, None), NameVerdict::Seen);
        let failing = NameLook {
            caa: Err(LookupFault::Failure),
            ..forbidding
        };
        let is_told = |named| {
            matches!(
                judge(&failing, &public(named, false), None),
                NameVerdict::Unseen(_)
            )
        };
        assert!(is_told(true) && !is_told(false));
    }

    #[test]
    fn of_names_that_are_proven_by_dns_the_caa_records_alone_count() {
        let by_dns = SelfCheck {
            method: ChallengeType::Dns01,
            ..public(true, false)
        };
        let record = |methods: &str| CaaRecord {
            is_critical: false,
            tag: "issue".to_owned(),
            value: format!("ca.example; validationmethods={methods}"),
            issuer: Some(CaaIssuer {
                domain: "ca.example".to_owned(),
                parameters: vec![("validationmethods".to_owned(), methods.to_owned())],
            }),
        };
        // A name inside a network, which no CA reaches.
        let inside = |methods| NameLook {
            addresses: Err(LookupFault::NoName),
            caa: Ok(Some(CaaRecords {
                at: Host::parse("org").expect("a name"),
                all: vec![record(methods)],
            })),
            ..look(Vec::new())
        };
        assert_eq!(judge(&inside("dns-01"), &by_dns, None), NameVerdict::Seen);
        let verdict = judge(&inside("http-01"), &by_dns, None);
        assert!(
            matches!(&verdict, NameVerdict::Unseen(why) if why.contains("add dns-01 to its validationmethods")),
            "{verdict:?}"
        );
    }

    #[test]
    fn addresses_of_this_machine_s_link_are_never_asked_and_private_ones_for_private_cas_alone() {
        let all = [
            "1.2.3.4",
            "10.0.0.5",
            "127.0.0.1",
            "169.254.169.254",
            "0.0.0.0",
            "fe80::1",
            "::ffff:169.254.169.254",
            V6,
        ];
        let addresses = Addresses {
            all: all.map(ip).to_vec(),
            alias: None,
        };
        assert_eq!(public(true, false).to_visit(&addresses), [ip(V4), ip(V6)]);
        let private = SelfCheck {
            is_public: false,
            ..public(true, false)
        };
        assert_eq!(
            private.to_visit(&addresses),
            ["1.2.3.4", "10.0.0.5", "127.0.0.1", V6].map(ip)
        );
        let many = Addresses {
            all: (1..100).map(|last| IpAddr::from([1, 2, 3, last])).collect(),
            alias: None,
        };
        assert_eq!(private.to_visit(&many).len(), MOST_VISITS);
    }

    #[test]
    fn redirects_are_followed_as_a_ca_does_and_no_further() {
        let from = Url::parse("http://shop.org/.well-known/acme-challenge/t").expect("a URL");
        let check = public(true, false);
        let step = |led: &[String], status, location: &str| {
            check.follow((&from, led), status, Some(location))
        };
        assert_eq!(step(&[], 200, "/x"), None);
        assert_eq!(step(&[], 304, "/x"), None);
        let led_to = |led: &[String], location: &str| match step(led, 301, location) {
            Some(Ok(url)) => url.to_string(),
            Some(Err(VisitEnd::BadRedirect(problem))) => problem,
            other => panic!("{other:?}"),
        };
        let before = vec!["https://shop.org/b".to_owned()];
        let many: Vec<_> = (0..10).map(|n| format!("http://shop.org/{n}")).collect();
        let long = format!("/{}", "x".repeat(3000));
        for (led, location, expected) in [
            (
                &[][..],
                "https://www.shop.org/t#part",
                "https://www.shop.org/t",
            ),
            (&[], "/other", "http://shop.org/other"),
            (
                &before,
                "https://shop.org/b",
                "it leads back to https://shop.org/b",
            ),
            (&many, "/x", "it leads on more than 10 times"),
            (
                &[],
                "ftp://shop.org/",
                "it leads to ftp://shop.org/, which is neither http nor https",
            ),
            (
                &[],
                "http://shop.org:8080/",
                "it leads to http://shop.org:8080/, and CAs follow to port 80 of http and 443 of https alone",
            ),
            (&[], &long, "it answers 301 and does not say where to go"),
        ] {
            assert_eq!(led_to(led, location), expected);
        }
    }
}
