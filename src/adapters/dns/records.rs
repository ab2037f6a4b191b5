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
    gate::{DnsOutside, GateFault, RecordGate, gate},
    place::{RecordPlace, ZoneServer},
    question::{self, Reply},
    shown,
};
use crate::{
    observe::Webroots,
    ports::{Challenge, NotServed, RecordFault, Responder, Response, ResponseFault, ShownResponse},
    values::DnsSettings,
};

/// Sets records by the tables of the settings.
pub struct RecordResponder {
    tables: BTreeMap<String, ReadyTable>,
    resolver: Rc<DnsResolver>,
}

/// A table, ready to be asked.
pub(super) struct ReadyTable {
    /// Gate of the table, or its problem: a table that can't be used is no harm to others.
    gate: Result<Box<dyn RecordGate>, String>,
    zone: Option<String>,
    nameservers: Vec<String>,
}

impl ReadyTable {
    /// The gate of the table, or its problem.
    pub(super) fn gate(&self) -> Result<&dyn RecordGate, String> {
        self.gate.as_deref().map_err(Clone::clone)
    }
}

impl RecordResponder {
    /// Takes the tables; nothing is asked yet, and secrets that lie in files are read.
    pub fn new<'t>(
        tables: impl IntoIterator<Item = (&'t str, &'t DnsSettings)>,
        outside: &DnsOutside,
    ) -> Self {
        let table = |(name, settings): (&str, &DnsSettings)| {
            let table = ReadyTable {
                gate: gate(settings, outside),
                zone: settings.zone.clone(),
                nameservers: settings.nameservers.clone(),
            };
            (name.to_owned(), table)
        };
        Self {
            tables: tables.into_iter().map(table).collect(),
            resolver: outside.resolver.clone(),
        }
    }

    /// The tables that can't be used, each with what is wrong.
    pub fn faults(&self) -> impl Iterator<Item = (&str, &str)> {
        let tables = self.tables.iter();
        tables
            .filter_map(|(name, table)| Some((name.as_str(), table.gate.as_ref().err()?.as_str())))
    }

    /// Looks whether the way of a table can be asked, without a change, and says what was found.
    ///
    /// # Errors
    /// When it can't: what is wrong, and what to do.
    pub async fn look_at_table(&self, dns: &str) -> Result<String, String> {
        let looked = async { self.table(dns)?.gate()?.look().await };
        looked.await.map_err(|fault: GateFault| fault.problem)
    }

    fn table(&self, dns: &str) -> Result<&ReadyTable, String> {
        let gone = || format!("the settings have no table [dns.{dns}] any more");
        self.tables.get(dns).ok_or_else(gone)
    }

    /// The table of this name, and the place that it has to set a record at.
    pub(super) async fn place(
        &self,
        dns: &str,
        name: &str,
    ) -> Result<(&ReadyTable, RecordPlace), String> {
        let table = self.table(dns)?;
        let place = self.resolver.place(name, table.zone.as_deref()).await?;
        Ok((table, place))
    }

    /// Looks for a record at each server of its zone. One that can't be reached from here says nothing, unless none can.
    pub(super) async fn seen(&self, dns: &str, name: &str, value: &str) -> Result<(), String> {
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
        let (Some(dns), Response::Txt { name, proof }) = (&at.dns, &challenge.response) else {
            return Ok(());
        };
        let set = async {
            let (table, place) = self.place(dns, name).await?;
            table.gate()?.add(&place, proof).await
        };
        let fault = |fault| record_fault("set", (dns, name), fault);
        Ok(set.await.map_err(fault)?)
    }

    async fn look(&self, at: &Webroots, challenge: &Challenge) -> Result<(), NotServed> {
        let (Some(dns), Response::Txt { name, proof }) = (&at.dns, &challenge.response) else {
            return Ok(());
        };
        let seen = self.seen(dns, name, &proof.value).await;
        seen.map_err(|saw| NotServed {
            name: challenge.name.clone(),
            saw,
        })
    }

    async fn withdraw(&self, _: &Webroots, shown: &ShownResponse) -> Vec<ResponseFault> {
        let ShownResponse::Txt { dns, name, proof } = shown else {
            return Vec::new();
        };
        let removed = async {
            let (table, place) = self.place(dns, name).await?;
            table.gate()?.remove(&place, proof).await
        };
        let fault = |fault| record_fault("remove", (dns, name), fault).into();
        removed.await.map_err(fault).err().into_iter().collect()
    }
}

fn record_fault(doing: &'static str, (dns, name): (&str, &str), fault: GateFault) -> RecordFault {
    RecordFault {
        not_before: fault.not_before,
        ..RecordFault::new(doing, dns, name, fault.problem)
    }
}
