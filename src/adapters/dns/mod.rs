//! DNS, asked at one server: the one of the settings, or the system's. Nothing is kept from one question to the next,
//! so that what was changed is seen at once. Beside it the TXT records that prove names: the places where they have to
//! be set, the ways to do it, and the look that the servers of their zone show them.

mod gate;
mod hook;
mod place;
mod providers;
mod question;
mod records;
mod resolv_conf;
#[cfg(test)]
mod tests;
mod tried;
mod update;

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
};

use async_trait::async_trait;
use futures_util::future::join_all;
use hickory_proto::{
    op::ResponseCode,
    rr::{Name, RData, RecordType, rdata::CAA},
};

pub use self::{gate::DnsOutside, records::RecordResponder, tried::TriedRecord};
use self::{place::ZoneServer, question::Reply, resolv_conf::system_servers};
use crate::{
    observe::{Addresses, CaaIssuer, CaaRecord, CaaRecords, LookupFault},
    ports::{Resolver, txt_name},
    values::Host,
};

/// Number of aliases that are followed where the server does not do it.
const MOST_ALIASES: usize = 8;

/// Number of addresses of a name that count, of each kind, and of CAA records.
const MOST_RECORDS: usize = 32;

/// Number of labels up to which CAA records are looked for: no name of a user's is deeper, and each step is a question.
const MOST_LABELS: usize = 16;

/// Asks one server, or those of the system.
pub struct DnsResolver {
    server: Option<String>,
}

impl DnsResolver {
    /// Asks this server, or those that the system names at that moment; nothing is asked yet.
    pub fn new(server: Option<SocketAddr>) -> Self {
        Self::named(server.map(|at| at.to_string()))
    }

    /// The same of a server that may be written with a name; its address is asked for each time.
    pub fn named(server: Option<String>) -> Self {
        Self { server }
    }

    /// Where questions are asked now.
    async fn servers(&self) -> Result<Vec<SocketAddr>, LookupFault> {
        let Some(word) = &self.server else {
            return Ok(system_servers());
        };
        let found = ZoneServer::named(word).await;
        let found = found.map_err(LookupFault::NoAnswer)?;
        Ok(found.into_iter().map(|server| server.at).collect())
    }

    /// Asks one server after the other until one answers.
    async fn ask(&self, name: &Name, kind: RecordType) -> Result<Reply, LookupFault> {
        let servers = self.servers().await?;
        let mut silent = LookupFault::NoAnswer("there is none".to_owned());
        for server in servers {
            match question::ask(server, name, kind, false).await {
                Ok(reply) if reply.code == ResponseCode::ServFail => {
                    return Err(why_failed(server, name, kind).await);
                }
                Ok(reply) => return Ok(reply),
                Err(problem) => silent = LookupFault::NoAnswer(format!("{server}: {problem}")),
            }
        }
        Err(silent)
    }

    /// The records of one type, and the alias that they were found at, if any.
    async fn records(
        &self,
        name: &Host,
        kind: RecordType,
    ) -> Result<(Vec<RData>, Option<Name>), LookupFault> {
        self.records_at(plain(name)?, kind).await
    }

    async fn records_at(
        &self,
        mut at: Name,
        kind: RecordType,
    ) -> Result<(Vec<RData>, Option<Name>), LookupFault> {
        let mut seen = BTreeSet::from([at.clone()]);
        let mut alias = None;
        for _ in 0..MOST_ALIASES {
            let reply = self.ask(&at, kind).await?;
            refusal(reply.code)?;
            let Some(end) = reply.end_of(&at) else {
                return Err(LookupFault::AliasLoop);
            };
            if end != at {
                alias = Some(end.clone());
            }
            let found = reply.records(&end, kind);
            let is_over = end == at || reply.code == ResponseCode::NXDomain;
            match (found.is_empty(), is_over) {
                (false, _) => return Ok((found, alias)),
                (true, true) if reply.code == ResponseCode::NXDomain => {
                    return Err(LookupFault::NoName);
                }
                (true, true) => return Ok((found, alias)),
                // The server knows the alias and does not follow it.
                (true, false) if seen.insert(end.clone()) => at = end,
                (true, false) => return Err(LookupFault::AliasLoop),
            }
        }
        Err(LookupFault::AliasLoop)
    }
}

/// The reason why the servers of a zone fail: an answer that comes without a check of signatures says that these are
/// wrong.
///
/// <https://www.rfc-editor.org/rfc/rfc4035#section-3.2.2>
async fn why_failed(server: SocketAddr, name: &Name, kind: RecordType) -> LookupFault {
    match question::ask(server, name, kind, true).await {
        Ok(reply) if reply.code != ResponseCode::ServFail && refusal(reply.code).is_ok() => {
            LookupFault::Signatures
        }
        _ => LookupFault::Failure,
    }
}

/// The meaning of a code that is no answer.
fn refusal(code: ResponseCode) -> Result<(), LookupFault> {
    match code {
        ResponseCode::NoError | ResponseCode::NXDomain => Ok(()),
        other => Err(LookupFault::Refused(other.to_str().to_owned())),
    }
}

/// The name as questions have it; hosts are checked, and nothing else is asked about.
fn plain(name: &Host) -> Result<Name, LookupFault> {
    let text = name.as_str();
    let read = match name.is_wildcard() || name.address().is_some() {
        true => None,
        false => Name::from_ascii(format!("{text}.")).ok(),
    };
    read.ok_or_else(|| LookupFault::Refused(format!("{text} is not a name in DNS")))
}

#[async_trait(?Send)]
impl Resolver for DnsResolver {
    async fn addresses(&self, name: &Host) -> Result<Addresses, LookupFault> {
        let (v4, v6) = tokio::join!(
            self.records(name, RecordType::A),
            self.records(name, RecordType::AAAA)
        );
        // Some servers say of a name without AAAA records that there is no such name.
        let (v4, v6) = match (v4, v6) {
            (Err(fault), Err(_)) => return Err(fault),
            (found @ Ok(_), Err(LookupFault::NoName)) => (found?, Default::default()),
            (Err(LookupFault::NoName), found @ Ok(_)) => (Default::default(), found?),
            (v4, v6) => (v4?, v6?),
        };
        let alias = v4.1.or(v6.1).map(|name| shown(&name));
        let mut all = Vec::new();
        for data in v4.0.iter().chain(&v6.0) {
            let address: IpAddr = match data {
                RData::A(address) => address.0.into(),
                RData::AAAA(address) => address.0.into(),
                _ => continue,
            };
            if !all.contains(&address) {
                all.push(address);
            }
        }
        Ok(Addresses { all, alias })
    }

    async fn proofs(&self, name: &Host) -> Result<BTreeSet<String>, LookupFault> {
        let at = txt_name(name);
        let at = Name::from_ascii(format!("{at}."))
            .map_err(|_| LookupFault::Refused(format!("{at} is not a name in DNS")))?;
        let (records, _) = self.records_at(at, RecordType::TXT).await?;
        let text = |data: &RData| match data {
            RData::TXT(text) => String::from_utf8(text.txt_data.concat()).ok(),
            _ => None,
        };
        Ok(records.iter().filter_map(text).take(MOST_RECORDS).collect())
    }

    async fn caa(&self, name: &Host) -> Result<Option<CaaRecords>, LookupFault> {
        let mut names = vec![name.clone()];
        names.extend(name.parents());
        names.truncate(MOST_LABELS);
        let looks = names.iter().map(|name| self.records(name, RecordType::CAA));
        for (at, found) in names.iter().zip(join_all(looks).await) {
            let records = match found {
                Ok((records, _)) => records,
                Err(LookupFault::NoName) => continue,
                Err(fault) => return Err(fault),
            };
            let caa = |data: &RData| match data {
                RData::CAA(record) => Some(read(record)),
                _ => None,
            };
            let all: Vec<_> = records.iter().filter_map(caa).collect();
            if !all.is_empty() {
                let at = at.clone();
                return Ok(Some(CaaRecords { at, all }));
            }
        }
        Ok(None)
    }
}

fn shown(name: &Name) -> String {
    name.to_ascii().trim_end_matches('.').to_ascii_lowercase()
}

/// Reads a record.
fn read(record: &CAA) -> CaaRecord {
    let tag = record.tag.to_ascii_lowercase();
    let issuer = || {
        let (domain, parameters) = record.value_as_issue().ok()?;
        let parameters = parameters.iter();
        let parameters = parameters.map(|it| (it.key().to_owned(), it.value().to_owned()));
        Some(CaaIssuer {
            domain: domain.map_or_else(String::new, |domain| shown(&domain)),
            parameters: parameters.collect(),
        })
    };
    CaaRecord {
        is_critical: record.issuer_critical,
        issuer: issuer().filter(|_| tag == "issue" || tag == "issuewild"),
        value: String::from_utf8_lossy(&record.value).into_owned(),
        tag,
    }
}
