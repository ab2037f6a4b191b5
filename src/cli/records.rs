//! Records of DNS for people: what to write into a zone, and whether a way to set records works.

use std::{collections::BTreeMap, rc::Rc, time::Duration};

use clap::{Arg, ArgAction, Command};
use url::Url;

use super::{
    Call, Exit, Failure, block_on,
    ca_setup::{ca_root, https_proxy},
    print, setup,
};
use crate::{
    adapters::{
        acme::{Directory, kept_account},
        disk::{self, Folders},
        dns::{DnsResolver, RecordResponder},
    },
    ports::{Orders, ShownResponse, txt_name},
    report::chain,
    settings::Settings,
    values::{ChallengeType, DnsName, DnsProvider, DnsSettings, Host, Issuers, preset_at},
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
                print(&shown(call, &names).await?)?;
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
    let mut exit = Exit::Done;
    for (table, dns) in tables {
        let provider = dns.provider.map_or("", |provider| provider.name);
        for name in names {
            let said = match responder.try_out(table, name, patience()).await {
                Ok(tried) => format!(
                    "set at {} in the zone {}, seen at its servers, removed again",
                    tried.place, tried.zone
                ),
                Err(problem) => {
                    exit = Exit::Partly;
                    format!("PROBLEM: {problem}")
                }
            };
            print(&format!("[dns.{table}] {provider}, {name}: {said}\n"))?;
        }
    }
    Ok(exit)
}

/// Over after a time, and when somebody presses Ctrl-C: the record is removed in both cases.
async fn patience() {
    tokio::select! {
        () = tokio::time::sleep(PATIENCE) => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}

/// Responder that sets records by the tables of the settings, with no engine.
pub(super) fn responder(call: &Call) -> Result<Rc<RecordResponder>, Failure> {
    let settings = &call.settings;
    let resolver = Rc::new(DnsResolver::named(settings.resolver.clone()));
    Ok(setup::records(settings, resolver, &https_proxy(call)?))
}

/// Lines of a zone file: those that are needed, those that are waited for, and those that shut others out.
async fn shown(call: &Call, names: &[Host]) -> Result<String, Failure> {
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
    let waiting = waiting(&setup::folders(call, None))?;
    let mut lines = Vec::new();
    let mut places: Vec<_> = names.iter().map(txt_name).collect();
    places.sort();
    places.dedup();
    lines.push("; where the CA looks for proofs by dns-01, once and for all".to_owned());
    lines.extend(places.iter().map(|at| cname(at, table, alias.as_deref())));
    let texts: Vec<_> = places
        .iter()
        .flat_map(|at| waiting.get(at).into_iter().flatten())
        .collect();
    if !texts.is_empty() {
        lines.push(String::new());
        lines.push(
            "; what orders wait for now; quaymaster sets these itself where it can".to_owned(),
        );
        lines.extend(texts.into_iter().cloned());
    }
    lines.push(String::new());
    lines.extend(caa(call, names).await?);
    Ok(lines.join("\n") + "\n")
}

/// The TXT records that orders on record are waiting for, by their names.
fn waiting(folders: &Folders) -> Result<BTreeMap<String, Vec<String>>, Failure> {
    let mut waiting: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for name in folders.orders()? {
        let order = folders.order(&name)?;
        for shown in order.into_iter().flat_map(|order| order.shown) {
            if let ShownResponse::Txt { name, value, .. } = shown {
                let line = format!("{name}. 60 TXT \"{value}\"");
                waiting.entry(name).or_default().push(line);
            }
        }
    }
    Ok(waiting)
}

/// The line that leads from where the CA looks to where records are set, or why there is none.
fn cname(at: &str, table: Option<(&str, &DnsSettings)>, alias: Option<&str>) -> String {
    let name = at.strip_prefix("_acme-challenge.").unwrap_or(at);
    let line = |to: String| format!("{at}. CNAME {to}.");
    if let Some(zone) = alias {
        return line(format!("{name}.{zone}"));
    }
    let Some((table, dns)) = table else {
        return format!(
            "; {at}.  CNAME to a name in a zone that may be changed from here; --alias ZONE writes the line"
        );
    };
    let is_acme_dns = dns
        .provider
        .is_some_and(|it| it.name == DnsProvider::ACME_DNS);
    match (&dns.zone, &dns.subdomain) {
        (zone, Some(subdomain)) if is_acme_dns => {
            let of_url = || acme_dns_zone(dns);
            let zone = zone.clone().or_else(of_url).unwrap_or_default();
            line(format!("{subdomain}.{zone}"))
        }
        (Some(zone), _) if at != zone && !at.ends_with(&format!(".{zone}")) => {
            line(format!("{name}.{zone}"))
        }
        (Some(zone), _) => {
            format!("; {at}.  needs none: it lies in {zone}, where [dns.{table}] sets records")
        }
        (None, _) => format!(
            "; {at}.  needs none if [dns.{table}] may change its zone; else --alias ZONE writes one to a zone that it may change"
        ),
    }
}

/// The zone of an acme-dns server that is named by its URL alone: most have the same name.
fn acme_dns_zone(dns: &DnsSettings) -> Option<String> {
    let url = dns.url.as_deref().or(dns.provider?.url)?;
    let url = Url::parse(url).ok()?;
    url.domain().map(str::to_owned)
}

/// The lines by which the CAs of the settings alone may issue, to our account, by the method that is used.
///
/// <https://www.rfc-editor.org/rfc/rfc8659#section-4>, <https://www.rfc-editor.org/rfc/rfc8657#section-3>
async fn caa(call: &Call, names: &[Host]) -> Result<Vec<String>, Failure> {
    let settings = &call.settings;
    let accounts: BTreeMap<_, _> = setup::folders(call, None).accounts()?.into_iter().collect();
    let mut lines =
        vec!["; optional: no other CA, and no other account, obtains certificates then".to_owned()];
    for directory in settings.ca.iter().flat_map(Issuers::directories) {
        let ca = settings.cas.called(directory);
        let identity = match identity(call, directory).await? {
            Ok(identity) => identity,
            Err(problem) => {
                lines.push(format!("; {ca}: {problem}"));
                continue;
            }
        };
        let account = accounts.get(&Folders::account_folder(directory));
        let account = account.and_then(kept_account).and_then(|kept| kept.url);
        if account.is_none() {
            lines.push(format!(
                "; {ca}: there is no account yet; once there is one, these lines name it"
            ));
        }
        let caa = CaaLine {
            identity,
            account,
            // A name beside its wildcard on one certificate is proven as that is, and labels choose among the tables.
            by_dns: settings.challenge == ChallengeType::Dns01
                || settings.dns_tables.iter().next().is_some()
                || names.iter().any(Host::is_wildcard),
            by_http: settings.challenge == ChallengeType::Http01,
        };
        lines.extend(names.iter().map(|name| caa.of(name)));
    }
    lines.dedup();
    Ok(lines)
}

/// Parts of the CAA lines for one CA.
struct CaaLine {
    identity: String,
    account: Option<String>,
    by_dns: bool,
    by_http: bool,
}

impl CaaLine {
    fn of(&self, name: &Host) -> String {
        let (tag, methods) = match (name.is_wildcard(), self.by_dns, self.by_http) {
            // No other method proves one.
            (true, ..) => ("issuewild", "dns-01"),
            (false, true, true) => ("issue", "dns-01,http-01"),
            (false, true, false) => ("issue", "dns-01"),
            (false, false, _) => ("issue", "http-01"),
        };
        let at = name.as_str();
        let at = at.strip_prefix("*.").unwrap_or(at);
        let account = self.account.as_ref();
        let account = account.map_or_else(String::new, |url| format!("; accounturi={url}"));
        format!(
            "{at}. CAA 0 {tag} \"{}{account}; validationmethods={methods}\"",
            self.identity
        )
    }
}

/// The domain by which CAA records name a CA, or why it is not known.
async fn identity(call: &Call, directory: &str) -> Result<Result<String, String>, Failure> {
    let of_preset = preset_at(directory).and_then(|preset| preset.caa.first());
    if let Some(identity) = of_preset {
        return Ok(Ok((*identity).to_owned()));
    }
    let root = ca_root(&call.settings, directory).map(disk::text);
    let root = root.transpose()?;
    let seen = Directory::look(directory, root.as_deref(), &https_proxy(call)?).await;
    Ok(match seen {
        Ok(seen) => {
            let none = || "it does not say by which domain CAA records name it".to_owned();
            seen.caa_identities.into_iter().next().ok_or_else(none)
        }
        Err(error) => Err(format!(
            "it can't be asked by which domain CAA records name it: {}",
            chain(&error)
        )),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::DNS_PROVIDERS;

    fn table(provider: &str) -> DnsSettings {
        let row = DNS_PROVIDERS.iter().find(|row| row.name == provider);
        DnsSettings {
            provider: row.copied(),
            ..DnsSettings::default()
        }
    }

    #[test]
    fn the_cname_line_leads_where_the_table_or_the_word_says() {
        let at = "_acme-challenge.shop.example";
        let of_zone = |zone: &str| DnsSettings {
            zone: Some(zone.to_owned()),
            ..table("rfc2136")
        };
        let registered = DnsSettings {
            subdomain: Some("8e57".to_owned()),
            ..table("acme-dns")
        };
        let own = DnsSettings {
            url: Some("https://dns.corp.example:8443/api".to_owned()),
            ..registered.clone()
        };
        for (table, alias, expected) in [
            (
                None,
                Some("acme.example"),
                "_acme-challenge.shop.example. CNAME shop.example.acme.example.",
            ),
            (
                Some(of_zone("acme.corp.example")),
                None,
                "_acme-challenge.shop.example. CNAME shop.example.acme.corp.example.",
            ),
            (
                Some(registered),
                None,
                "_acme-challenge.shop.example. CNAME 8e57.auth.acme-dns.io.",
            ),
            (
                Some(own),
                None,
                "_acme-challenge.shop.example. CNAME 8e57.dns.corp.example.",
            ),
            (
                Some(of_zone("shop.example")),
                None,
                "; _acme-challenge.shop.example.  needs none: it lies in shop.example, where [dns.home] sets records",
            ),
        ] {
            let table = table.as_ref().map(|table| ("home", table));
            assert_eq!(cname(at, table, alias), expected);
        }
        assert!(cname(at, None, None).contains("--alias ZONE writes the line"));
        let unknown = table("cloudflare");
        let told = cname(at, Some(("home", &unknown)), None);
        assert!(
            told.starts_with("; ") && told.contains("may change its zone"),
            "{told}"
        );
    }

    #[test]
    fn caa_lines_name_account_and_method_and_wildcards_are_proven_by_dns_alone() {
        let line = CaaLine {
            identity: "ca.example".to_owned(),
            account: Some("https://ca.example/acct/1".to_owned()),
            by_dns: false,
            by_http: true,
        };
        let of = |line: &CaaLine, name: &str| line.of(&Host::parse(name).expect("a name"));
        assert_eq!(
            of(&line, "shop.example"),
            r#"shop.example. CAA 0 issue "ca.example; accounturi=https://ca.example/acct/1; validationmethods=http-01""#
        );
        let unknown = CaaLine {
            account: None,
            by_dns: true,
            ..line
        };
        assert_eq!(
            of(&unknown, "shop.example"),
            r#"shop.example. CAA 0 issue "ca.example; validationmethods=dns-01,http-01""#
        );
        assert_eq!(
            of(&unknown, "*.shop.example"),
            r#"shop.example. CAA 0 issuewild "ca.example; validationmethods=dns-01""#
        );
    }
}
