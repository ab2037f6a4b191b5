//! Records of DNS for people: what to write into a zone, and whether a way to set records works.

use std::{collections::BTreeMap, rc::Rc, time::Duration};

use clap::{Arg, ArgAction, Command};
use futures_util::FutureExt;
use serde::Serialize;
use tokio::signal::unix::{Signal, SignalKind};

use super::{
    Call, Exit, Failure,
    arguments::format,
    block_on,
    ca_setup::{ca_root, https_proxy},
    json, print, setup,
    watch::listen,
    zone_records::{CaaLine, ZonePart, ZoneRecord, cname, standing, zone_text},
};
use crate::{
    adapters::{
        acme::{Directory, kept_account},
        disk::{self, Folders},
        dns::{DnsResolver, RecordResponder, TriedRecord},
    },
    ports::{KeptAccount, Orders, ShownResponse, StandingProof, txt_name},
    report::chain,
    settings::Settings,
    values::{ChallengeType, DnsName, DnsSettings, Host, Issuers, preset_at},
};

/// Time for which a record is looked for that is tried out.
const PATIENCE: Duration = Duration::from_secs(120);

pub(super) fn arguments(command: Command) -> Command {
    let names = Arg::new("name")
        .value_name("NAME")
        .action(ArgAction::Append)
        .required(true);
    let alias = Arg::new("alias").long("alias").value_name("ZONE");
    let is_tried = Arg::new("try").long("try").action(ArgAction::SetTrue);
    command
        .arg(names.help("host names, also wildcards"))
        .arg(
            alias
                .conflicts_with("try")
                .help("the zone that CNAME records are to lead to"),
        )
        .arg(is_tried.help("set, look for and remove a TXT record of each name"))
        .arg(format(&["text", "json"]))
}

pub(super) fn run(call: &Call) -> Result<Exit, Failure> {
    let words = call.options.get_many::<String>("name");
    let read = |word: &String| match Host::parse(word) {
        Ok(host) if host.address().is_none() => Ok(host),
        Ok(host) => Err(Failure::Usage(format!(
            "{host} is an address, and no CA validates one by a record"
        ))),
        Err(error) => Err(Failure::Usage(format!("{word:?}: {error}"))),
    };
    let names: Vec<_> = words
        .into_iter()
        .flatten()
        .map(read)
        .collect::<Result<_, _>>()?;
    block_on(async {
        match call.options.get_flag("try") {
            true => tried(call, &names).await,
            false => {
                let parts = shown(call, &names).await?;
                print(&match call.wants_json() {
                    true => json(&parts)?,
                    false => zone_text(&parts),
                })?;
                Ok(Exit::Done)
            }
        }
    })
}

/// The tables that are meant: the one that the setting `dns` chooses, else all.
fn tables(settings: &Settings) -> Vec<(&str, &DnsSettings)> {
    let chosen = settings.dns.as_deref();
    let all = settings.dns_tables.iter();
    all.filter(|(name, _)| chosen.is_none_or(|chosen| chosen == *name))
        .collect()
}

/// Outcome of a try by one table at one name.
#[derive(Serialize)]
struct TriedTable<'t> {
    table: &'t str,
    provider: &'static str,
    name: &'t Host,
    #[serde(flatten)]
    record: Option<TriedRecord>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

impl TriedTable<'_> {
    fn text(&self) -> String {
        let said = match (&self.record, &self.problem) {
            (Some(tried), None) => format!(
                "set at {} in the zone {}, seen at its servers, removed again",
                tried.place, tried.zone
            ),
            (_, problem) => format!("PROBLEM: {}", problem.as_deref().unwrap_or_default()),
        };
        let Self {
            table,
            provider,
            name,
            ..
        } = self;
        format!("[dns.{table}] {provider}, {name}: {said}\n")
    }
}

async fn tried(call: &Call, names: &[Host]) -> Result<Exit, Failure> {
    let settings = &call.settings;
    let tables = tables(settings);
    if tables.is_empty() {
        return Err(Failure::Usage(
            "the settings have no table [dns.NAME], so there is nothing to try; docs/dns.md has an example for each \
             provider".to_owned(),
        ));
    }
    let responder = responder(call)?;
    let mut interrupts = Interrupts::begin()?;
    let mut all = Vec::new();
    let of_each = tables.iter().flat_map(|(table, dns)| {
        let provider = dns.provider.map_or("", |provider| provider.name);
        names.iter().map(move |name| (*table, provider, name))
    });
    for (table, provider, name) in of_each {
        if interrupts.have_come() {
            break;
        }
        let tried = responder.try_out(table, name, interrupts.patience()).await;
        let tried = TriedTable {
            table,
            provider,
            name,
            problem: tried.as_ref().err().cloned(),
            record: tried.ok(),
        };
        if !call.wants_json() {
            print(&tried.text())?;
        }
        all.push(tried);
    }
    if call.wants_json() {
        print(&json(&all)?)?;
    }
    Ok(match all.iter().any(|tried| tried.problem.is_some()) {
        _ if interrupts.have_come() => Exit::Interrupted,
        true => Exit::Partly,
        false => Exit::Done,
    })
}

/// Ctrl-C and SIGTERM, from before the first record is set: whoever presses it has the record removed all the same.
struct Interrupts {
    signals: [Signal; 2],
    have_come: bool,
}

impl Interrupts {
    fn begin() -> Result<Self, Failure> {
        let signals = [SignalKind::interrupt(), SignalKind::terminate()];
        let [interrupt, terminate] = signals.map(listen);
        Ok(Self {
            signals: [interrupt?, terminate?],
            have_come: false,
        })
    }

    /// Over after a time, and when one of them comes.
    async fn patience(&mut self) {
        tokio::select! {
            () = tokio::time::sleep(PATIENCE) => {}
            () = self.come() => {}
        }
    }

    async fn come(&mut self) {
        let [interrupt, terminate] = &mut self.signals;
        if !self.have_come {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        }
        self.have_come = true;
    }

    /// True once one of them has come.
    fn have_come(&mut self) -> bool {
        self.come().now_or_never().is_some()
    }
}

/// Responder that sets records by the tables of the settings, with no engine.
pub(super) fn responder(call: &Call) -> Result<Rc<RecordResponder>, Failure> {
    let settings = &call.settings;
    let resolver = Rc::new(DnsResolver::named(settings.resolver.clone()));
    Ok(setup::records(settings, resolver, &https_proxy(call)?))
}

/// Lines of a zone file: those that are needed, those that are waited for, and those that shut others out.
async fn shown(call: &Call, names: &[Host]) -> Result<Vec<ZonePart>, Failure> {
    let settings = &call.settings;
    let alias = call.options.get_one::<String>("alias");
    let alias = alias.map(|word| match DnsName::parse(word) {
        Ok(zone) => Ok(zone.as_str().to_owned()),
        Err(error) => Err(Failure::Usage(format!("--alias {word}: {error}"))),
    });
    let alias = alias.transpose()?;
    let usual = settings.dns_tables.names(settings.dns.as_deref());
    let mut tables = settings.dns_tables.iter();
    let table = tables.find(|(name, _)| usual.usual() == Some(*name));
    let mut waiting = waiting(&setup::folders(call, None))?;
    let mut places: Vec<_> = names.iter().map(txt_name).collect();
    places.sort();
    places.dedup();
    let mut ways = ZonePart::new(
        "dns-01",
        "where the CA looks for proofs by dns-01, once and for all",
    );
    let mut awaited = ZonePart::new(
        "orders",
        "what orders wait for now; quaymaster sets these itself where it can",
    );
    for at in &places {
        ways.add(cname(at, table, alias.as_deref()));
        awaited
            .records
            .extend(waiting.remove(at).unwrap_or_default());
    }
    let [caa, standing] = of_cas(call, names).await?;
    Ok(vec![ways, awaited, caa, standing])
}

/// The TXT records that orders on record are waiting for, by their names.
fn waiting(folders: &Folders) -> Result<BTreeMap<String, Vec<ZoneRecord>>, Failure> {
    let mut waiting: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for name in folders.orders()? {
        let order = folders.order(&name)?;
        for shown in order.into_iter().flat_map(|order| order.shown) {
            if let ShownResponse::Txt { name, proof, .. } = shown {
                let record = ZoneRecord {
                    name: name.clone(),
                    ttl: Some(60),
                    kind: "TXT",
                    data: format!("\"{}\"", proof.value),
                };
                waiting.entry(name).or_default().push(record);
            }
        }
    }
    Ok(waiting)
}

/// The records by which the CAs of the settings alone may issue, to our account, by the method that is used; and those by which
/// they may validate names for it without anything else.
async fn of_cas(call: &Call, names: &[Host]) -> Result<[ZonePart; 2], Failure> {
    let settings = &call.settings;
    let accounts: BTreeMap<_, _> = setup::folders(call, None).accounts()?.into_iter().collect();
    let mut caa = ZonePart::new(
        "caa",
        "optional: no other CA, and no other account, obtains certificates then",
    );
    let mut proofs = ZonePart::offered(
        "dns-persist-01",
        "not needed: standing proofs for other programs with this account. quaymaster does not ask for dns-persist-01",
    );
    for directory in settings.ca.iter().flat_map(Issuers::directories) {
        let ca = settings.cas.called(directory);
        let account = accounts.get(&Folders::account_folder(directory));
        let account = account.and_then(kept_account);
        let url = account.as_ref().and_then(|kept| kept.url.as_deref());
        let preset = preset_at(directory).and_then(|preset| preset.caa.first());
        let seen = match (preset, url) {
            // Without an account there is nothing to say but what is known.
            (Some(_), None) => None,
            _ => Some(looked(call, directory).await?),
        };
        match identity(preset.copied(), seen.as_ref()) {
            Ok(identity) => {
                if url.is_none() {
                    caa.notes.push(format!(
                        "{ca}: there is no account yet; once there is one, these lines name it"
                    ));
                }
                let record = CaaLine {
                    identity: &identity,
                    account: url,
                    // A name beside its wildcard on one certificate is proven as that is, and labels choose among the tables.
                    by_dns: settings.challenge == ChallengeType::Dns01
                        || settings.dns_tables.iter().next().is_some()
                        || names.iter().any(Host::is_wildcard),
                    by_http: settings.challenge == ChallengeType::Http01,
                };
                caa.records.extend(names.iter().map(|name| record.of(name)));
            }
            Err(problem) => caa.notes.push(format!("{ca}: {problem}")),
        }
        let (Some(account), Some(Ok(seen))) = (&account, &seen) else {
            continue;
        };
        if let Some(proof) = standing_proof(account, seen) {
            proofs.records.extend(standing(names, &proof));
        }
    }
    caa.records.dedup();
    Ok([caa, proofs])
}

/// The standing proof that a CA takes, by what its directory says; nothing where it says nothing of that.
fn standing_proof<'p>(account: &'p KeptAccount, seen: &'p Directory) -> Option<StandingProof<'p>> {
    Some(StandingProof {
        issuer: seen.issuer_domain_names.first()?,
        hash_prefix: seen.account_hash_prefix.as_deref(),
        account: account.url.as_deref()?,
        thumbprint: &account.thumbprint,
    })
}

/// The content of a CA's directory, or why it is not known.
async fn looked(call: &Call, directory: &str) -> Result<Result<Directory, String>, Failure> {
    let root = ca_root(&call.settings, directory).map(disk::text);
    let root = root.transpose()?;
    let seen = Directory::look(directory, root.as_deref(), &https_proxy(call)?).await;
    Ok(seen.map_err(|error| chain(&error)))
}

/// The domain by which CAA records name a CA, or why it is not known.
fn identity(
    preset: Option<&str>,
    seen: Option<&Result<Directory, String>>,
) -> Result<String, String> {
    match (preset, seen) {
        (Some(identity), _) => Ok(identity.to_owned()),
        (None, Some(Ok(seen))) => {
            let none = || "it does not say by which domain CAA records name it".to_owned();
            seen.caa_identities.first().cloned().ok_or_else(none)
        }
        (None, Some(Err(problem))) => Err(format!(
            "it can't be asked by which domain CAA records name it: {problem}"
        )),
        (None, None) => Err("it was not asked by which domain CAA records name it".to_owned()),
    }
}
