//! Where the TXT record of a challenge has to be set, and who is asked for it: aliases (CNAME) are followed, the zone is
//! found by its SOA record, and its servers by its NS records.

use std::{collections::BTreeSet, net::SocketAddr};

use hickory_proto::rr::{Name, RData, RecordType};
use tokio::net::lookup_host;

use super::{DnsResolver, MOST_ALIASES, MOST_LABELS, refusal, resolv_conf::PORT, shown};
use crate::observe::LookupFault;

/// Number of servers of a zone that are looked at: no zone has more than 13.
const MOST_SERVERS: usize = 13;

/// Where a record has to be set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RecordPlace {
    /// The name that is proven, or the wildcard below it.
    pub asked: String,
    /// Its name: the one that the CA asks for, or that its aliases lead to.
    pub name: Name,
    /// The zone that this name lies in.
    pub zone: Name,
}

impl DnsResolver {
    /// Where the record of this name has to be set; the zone may be known already.
    ///
    /// # Errors
    /// When that can't be found out: what is wrong, and what to do.
    pub(super) async fn place(
        &self,
        name: &str,
        zone: Option<&str>,
    ) -> Result<RecordPlace, String> {
        let asked = name.strip_prefix("_acme-challenge.").unwrap_or(name);
        let name = fully(name)?;
        let name = self.end_of_aliases(&name).await?;
        let zone = match zone {
            Some(zone) => fully(zone)?,
            None => self.zone_of(&name).await?,
        };
        // The library that writes updates ends the program over a name that is not in the zone.
        match zone.zone_of(&name) {
            true => Ok(RecordPlace {
                asked: asked.to_owned(),
                name,
                zone,
            }),
            false => Err(format!(
                "its place is {}, which is not in the zone {} that the table names: change `zone`, or the CNAME record that \
                 leads there",
                shown(&name),
                shown(&zone)
            )),
        }
    }

    /// The name that aliases lead to from this one, whether there is anything at its end or not.
    async fn end_of_aliases(&self, name: &Name) -> Result<Name, String> {
        let mut way = vec![name.clone()];
        let mut at = name.clone();
        while let Some(next) = self.alias_of(&at).await? {
            let is_loop = way.contains(&next);
            way.push(next.clone());
            if is_loop || way.len() > MOST_ALIASES {
                let way: Vec<_> = way.iter().map(shown).collect();
                let way = way.join(" to ");
                return Err(match is_loop {
                    true => format!(
                        "its CNAME records lead in a circle, from {way}: let them end at a name without one"
                    ),
                    false => format!(
                        "more than {} CNAME records follow each other, from {way}: let the first lead to the last",
                        MOST_ALIASES - 1
                    ),
                });
            }
            at = next;
        }
        Ok(at)
    }

    async fn alias_of(&self, name: &Name) -> Result<Option<Name>, String> {
        let asked = self.ask(name, RecordType::CNAME).await;
        let reply = asked.map_err(|fault| unknown(&fault, name))?;
        refusal(reply.code).map_err(|fault| unknown(&fault, name))?;
        let records = reply.records(name, RecordType::CNAME);
        Ok(records.into_iter().find_map(|data| match data {
            RData::CNAME(alias) => Some(alias.0),
            _ => None,
        }))
    }

    /// The nearest name, from this one up, that has a SOA record.
    ///
    /// <https://www.rfc-editor.org/rfc/rfc1034#section-4.2>
    async fn zone_of(&self, name: &Name) -> Result<Name, String> {
        let mut at = name.clone();
        for _ in 0..MOST_LABELS {
            let asked = self.ask(&at, RecordType::SOA).await;
            let reply = asked.map_err(|fault| unknown(&fault, &at))?;
            refusal(reply.code).map_err(|fault| unknown(&fault, &at))?;
            if !reply.records(&at, RecordType::SOA).is_empty() {
                return Ok(at);
            }
            if at.is_root() {
                break;
            }
            at = at.base_name();
        }
        Err(format!(
            "{} lies in no zone that the DNS server knows: write `zone` into the table, or set `resolver` to a server that \
             knows it",
            shown(name)
        ))
    }

    /// The servers of a zone, each with its name.
    ///
    /// # Errors
    /// When they can't be found out: what is wrong, and what to do.
    pub(super) async fn servers_of(&self, zone: &Name) -> Result<Vec<ZoneServer>, String> {
        let asked = self.ask(zone, RecordType::NS).await;
        let reply = asked.map_err(|fault| unknown(&fault, zone))?;
        let mut servers = Vec::new();
        for data in reply
            .records(zone, RecordType::NS)
            .into_iter()
            .take(MOST_SERVERS)
        {
            let RData::NS(server) = data else { continue };
            for kind in [RecordType::A, RecordType::AAAA] {
                // One without addresses is not asked by anybody else, either.
                let Ok(reply) = self.ask(&server.0, kind).await else {
                    continue;
                };
                let end = reply.end_of(&server.0).unwrap_or_else(|| server.0.clone());
                let addresses = reply.records(&end, kind).into_iter();
                servers.extend(addresses.filter_map(|data| {
                    let address = match data {
                        RData::A(address) => address.0.into(),
                        RData::AAAA(address) => address.0.into(),
                        _ => return None,
                    };
                    Some(ZoneServer {
                        name: shown(&server.0),
                        at: SocketAddr::new(address, PORT),
                    })
                }));
            }
        }
        match servers.is_empty() {
            false => Ok(servers),
            true => Err(format!(
                "the servers of the zone {} are not known here: write `nameservers` into the table",
                shown(zone)
            )),
        }
    }
}

/// A server of a zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ZoneServer {
    /// The server's name in the zone, or in the settings.
    pub name: String,
    /// Where it is asked.
    pub at: SocketAddr,
}

impl ZoneServer {
    /// The addresses of a server that the settings name, at the usual port where they name none.
    ///
    /// # Errors
    /// When it has none: what is wrong, and what to do.
    pub(super) async fn named(word: &str) -> Result<Vec<Self>, String> {
        let with_port = match word.parse::<std::net::IpAddr>() {
            Ok(address) => SocketAddr::new(address, PORT).to_string(),
            Err(_) if word.rsplit_once(':').is_some() => word.to_owned(),
            Err(_) => format!("{word}:{PORT}"),
        };
        let found = lookup_host(&with_port).await;
        let found: BTreeSet<_> = found.into_iter().flatten().collect();
        match found.is_empty() {
            true => Err(format!(
                "the server {word} has no address here: write it as in ns1.corp.example, 10.0.0.1 or 10.0.0.1:5353"
            )),
            false => Ok(found
                .into_iter()
                .map(|at| Self {
                    name: word.to_owned(),
                    at,
                })
                .collect()),
        }
    }
}

/// A name as questions have it.
pub(super) fn fully(name: &str) -> Result<Name, String> {
    Name::from_ascii(format!("{}.", name.trim_end_matches('.')))
        .map_err(|_| format!("{name} is longer than a name in DNS can be"))
}

/// The reason why nothing is known about a name.
fn unknown(fault: &LookupFault, name: &Name) -> String {
    let name = shown(name);
    match fault {
        LookupFault::NoName => format!("there is no name {name}"),
        LookupFault::Failure => {
            format!("the DNS servers of {name} fail (SERVFAIL): ask whoever runs them")
        }
        LookupFault::Signatures => format!(
            "the DNSSEC signatures of {name} are wrong, so no CA believes what its zone says: renew them"
        ),
        LookupFault::AliasLoop => format!("the CNAME records of {name} lead in a circle"),
        LookupFault::Refused(word) => format!(
            "the DNS server does not answer about {name} ({word}): set `resolver` to another one"
        ),
        LookupFault::NoAnswer(problem) => format!(
            "no DNS server answers about {name} ({problem}): is the setting `resolver`, or /etc/resolv.conf, right?"
        ),
    }
}
