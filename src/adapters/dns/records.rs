//! TXT records that prove names: set, looked for at each server of their zone, and removed again.

use std::{collections::BTreeMap, rc::Rc};

use async_trait::async_trait;
use futures_util::future::join_all;
use hickory_proto::{
    op::ResponseCode,
    rr::{RData, RecordType},
};

use super::{
    DnsResolver,
    place::{RecordPlace, ZoneServer},
    question::{self, Reply},
    shown,
    update::UpdateGate,
};
use crate::{
    observe::Webroots,
    ports::{
        Challenge, Clock, NotServed, RecordFault, Responder, Response, ResponseFault, ShownResponse,
    },
    values::{DnsProvider, DnsSettings, Secret},
};

/// A way to set and remove one record at its place. Others at the same name stay as they are.
#[async_trait(?Send)]
pub(super) trait RecordGate {
    /// Adds a record; one that is there already is fine. What is wrong, and what to do.
    async fn add(&self, place: &RecordPlace, value: &str) -> Result<(), String>;
    /// Removes this record and no other; one that is not there is fine. What is wrong, and what to do.
    async fn remove(&self, place: &RecordPlace, value: &str) -> Result<(), String>;
}

/// A table of the settings, with its secret.
pub struct DnsAccess<'a> {
    /// The table's name.
    pub name: &'a str,
    /// What stands in it.
    pub settings: &'a DnsSettings,
    /// Its key, which may have been in a file.
    pub secret: Secret,
}

/// Sets records by the tables of the settings.
pub struct RecordResponder {
    tables: BTreeMap<String, Table>,
    resolver: Rc<DnsResolver>,
}

struct Table {
    gate: Box<dyn RecordGate>,
    zone: Option<String>,
    nameservers: Vec<String>,
}

impl RecordResponder {
    /// Takes the tables; nothing is asked yet.
    ///
    /// # Errors
    /// When one can't be used: its name, and what is wrong.
    pub fn new<'a>(
        tables: impl IntoIterator<Item = DnsAccess<'a>>,
        resolver: Rc<DnsResolver>,
        clock: &Rc<dyn Clock>,
    ) -> Result<Self, String> {
        let table = |access: DnsAccess<'a>| {
            let DnsAccess { name, settings, .. } = access;
            let gate = gate(settings, &access.secret, clock);
            let gate = gate.map_err(|problem| format!("[dns.{name}]: {problem}"))?;
            let table = Table {
                gate,
                zone: settings.zone.clone(),
                nameservers: settings.nameservers.clone(),
            };
            Ok((name.to_owned(), table))
        };
        Ok(Self {
            tables: tables
                .into_iter()
                .map(table)
                .collect::<Result<_, String>>()?,
            resolver,
        })
    }

    /// The table of this name, and the place that it has to set a record at.
    async fn place(&self, dns: &str, name: &str) -> Result<(&Table, RecordPlace), String> {
        let gone = || format!("the settings have no table [dns.{dns}] any more");
        let table = self.tables.get(dns).ok_or_else(gone)?;
        let place = self.resolver.place(name, table.zone.as_deref()).await?;
        Ok((table, place))
    }

    /// Looks for a record at each server of its zone. One that can't be reached from here says nothing, unless none can.
    async fn seen(&self, dns: &str, name: &str, value: &str) -> Result<(), String> {
        let (table, place) = self.place(dns, name).await?;
        let mut servers = Vec::new();
        for word in &table.nameservers {
            servers.extend(ZoneServer::named(word).await?);
        }
        if servers.is_empty() {
            servers = self.resolver.servers_of(&place.zone).await?;
        }
        let looks = join_all(servers.iter().map(|server| look(server, &place, value))).await;
        let mut silent = None;
        let mut is_seen = false;
        for (server, look) in servers.iter().zip(looks) {
            match look {
                Look::Seen => is_seen = true,
                Look::Unseen(problem) => {
                    let (at, name) = (server.at, &server.name);
                    let record = shown(&place.name);
                    return Err(format!(
                        "the server {name} ({at}) {problem} the TXT record of {record}"
                    ));
                }
                Look::Silent(problem) => silent = Some((server, problem)),
            }
        }
        match silent {
            Some((server, problem)) if !is_seen => Err(format!(
                "no server of the zone {} can be asked from here, the last was {} ({problem}): write `nameservers` into the \
                 table",
                shown(&place.zone),
                server.at
            )),
            _ => Ok(()),
        }
    }
}

/// How records are set by these settings.
fn gate(
    settings: &DnsSettings,
    secret: &Secret,
    clock: &Rc<dyn Clock>,
) -> Result<Box<dyn RecordGate>, String> {
    match settings.provider.map(|provider| provider.name) {
        Some(DnsProvider::RFC_2136) => {
            Ok(Box::new(UpdateGate::new(settings, secret, clock.clone())?))
        }
        _ => Err("it does not say how records are set; write provider".to_owned()),
    }
}

/// What one server of a zone says of a record.
enum Look {
    Seen,
    Unseen(&'static str),
    Silent(String),
}

async fn look(server: &ZoneServer, place: &RecordPlace, value: &str) -> Look {
    // Where a firewall keeps UDP away, TCP is asked, as a CA's resolver does.
    let asked = match question::ask(server.at, &place.name, RecordType::TXT, false).await {
        Err(_) => question::ask_over_tcp(server.at, &place.name, RecordType::TXT).await,
        answered => answered,
    };
    match asked {
        Err(problem) => Look::Silent(problem),
        Ok(reply) if is_there(&reply, place, value) => Look::Seen,
        Ok(reply) => Look::Unseen(match reply.code {
            ResponseCode::NoError | ResponseCode::NXDomain => "does not show",
            _ => "does not answer for",
        }),
    }
}

fn is_there(reply: &Reply, place: &RecordPlace, value: &str) -> bool {
    let mut records = reply.records(&place.name, RecordType::TXT).into_iter();
    records.any(|data| match data {
        RData::TXT(text) => text.txt_data.concat() == value.as_bytes(),
        _ => false,
    })
}

#[async_trait(?Send)]
impl Responder for RecordResponder {
    async fn publish(&self, at: &Webroots, challenge: &Challenge) -> Result<(), ResponseFault> {
        let (Some(dns), Response::Txt { name, value }) = (&at.dns, &challenge.response) else {
            return Ok(());
        };
        let set = async {
            let (table, place) = self.place(dns, name).await?;
            table.gate.add(&place, value).await
        };
        let fault = |problem| RecordFault::new("set", dns, name, problem);
        Ok(set.await.map_err(fault)?)
    }

    async fn look(&self, at: &Webroots, challenge: &Challenge) -> Result<(), NotServed> {
        let (Some(dns), Response::Txt { name, value }) = (&at.dns, &challenge.response) else {
            return Ok(());
        };
        let seen = self.seen(dns, name, value).await;
        seen.map_err(|saw| NotServed {
            name: challenge.name.clone(),
            saw,
        })
    }

    async fn withdraw(&self, _: &Webroots, shown: &ShownResponse) -> Vec<ResponseFault> {
        let ShownResponse::Txt { dns, name, value } = shown else {
            return Vec::new();
        };
        let removed = async {
            let (table, place) = self.place(dns, name).await?;
            table.gate.remove(&place, value).await
        };
        let fault = |problem| RecordFault::new("remove", dns, name, problem).into();
        removed.await.map_err(fault).err().into_iter().collect()
    }
}
