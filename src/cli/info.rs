use std::{path::PathBuf, time::Duration};

use clap::Command;
use itertools::Itertools;
use serde::Serialize;

use super::{
    Call, Exit, Failure, arguments, block_on, found, json, print,
    revoke::{details, live},
    setup,
};
use crate::{
    adapters::{
        disk::FoundKey,
        x509::{CertificateDetails, ChainLink},
    },
    observe::{Installed, Source},
    ports::Vitals,
    report::{Status, explain::rough},
    values::{CertificateName, ContainerName, Host, Issuer, Timestamp},
};

pub(super) fn arguments(command: Command) -> Command {
    command
        .arg(found::argument())
        .arg(arguments::format(&["text", "json"]))
}

/// A certificate, and what is known of it here.
#[derive(Serialize)]
struct Info {
    /// Where it lies.
    path: PathBuf,
    #[serde(flatten)]
    details: CertificateDetails,
    key: KeyInfo,
    /// Its name in `live/`; none where it is not there.
    live: Option<CertificateName>,
    /// Where the one in `live/` came from.
    source: Option<Source>,
    /// The consumers that were given it, as the daemon last said; none where no daemon has said anything yet.
    given_to: Vec<ContainerName>,
    /// The hosts that it covers and a proxy serves, by the daemon's last status.
    hosts: Vec<Host>,
}

/// The findings about its key.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
enum KeyInfo {
    Fits { file: String },
    OfAnother { file: String },
    Missing { problem: Option<String> },
}

pub(super) fn run(call: &Call) -> Result<Exit, Failure> {
    block_on(async {
        let folders = found::folders(call).await;
        let found = found::find(call, &folders)?;
        let details = details(&found)?;
        let (live, source) = live(&folders, &details)?.unzip();
        let status = folders.status()?;
        let status = status.and_then(|text| serde_json::from_str::<Status>(&text).ok());
        let info = Info {
            given_to: match (&live, &status) {
                (Some(name), Some(status)) => given_to(name, status),
                _ => Vec::new(),
            },
            hosts: status
                .map(|status| served(&status, &details))
                .unwrap_or_default(),
            path: found.path,
            details,
            key: match found.key {
                FoundKey::Fits { file, .. } => KeyInfo::Fits { file },
                FoundKey::OfAnother { file } => KeyInfo::OfAnother { file },
                FoundKey::Missing { problem } => KeyInfo::Missing { problem },
            },
            live,
            source,
        };
        print(&match call.wants_json() {
            true => json(&info)?,
            false => text(&info, setup::now()),
        })?;
        Ok(Exit::Done)
    })
}

/// The consumers in which a certificate lies.
fn given_to(name: &CertificateName, status: &Status) -> Vec<ContainerName> {
    let has_it = |installed: &Installed| installed.certificates.get(name).is_some();
    let consumers = status.consumers.iter();
    let given = consumers.filter(|(_, consumer)| has_it(&consumer.installed));
    given.map(|(consumer, _)| consumer.clone()).collect()
}

/// The hosts of proxies that it covers.
fn served(status: &Status, details: &CertificateDetails) -> Vec<Host> {
    let is_covered = |host: &&Host| {
        let text = host.to_string();
        let above = text.split_once('.').map(|(_, above)| format!("*.{above}"));
        let mut names = details.names.iter();
        names.any(|name| *name == text || Some(name) == above.as_ref())
    };
    let hosts = status.sites.iter().map(|site| &site.host);
    hosts.filter(is_covered).sorted().dedup().cloned().collect()
}

fn text(info: &Info, now: Timestamp) -> String {
    let mut rows = said(&info.details, &info.key, now);
    let Info {
        path,
        live,
        source,
        given_to,
        hosts,
        ..
    } = info;
    rows.push((
        "live",
        match (live, source) {
            (Some(name), Some(source)) => format!("as {name}, {}", origin(source)),
            _ => "no".to_owned(),
        },
    ));
    if live.is_some() {
        rows.push(("given to", or(&given_to.iter().join(", "), "no consumer")));
    }
    let covered = hosts.iter().join(", ");
    rows.push(("covers", or(&covered, "no host that a proxy serves here")));
    let lines = rows
        .iter()
        .map(|(word, value)| format!("  {word:<10}  {value}\n"));
    format!("{}\n{}", path.display(), lines.collect::<String>())
}

/// The details of the certificate, and the findings about its key: each with its title.
fn said(
    details: &CertificateDetails,
    key: &KeyInfo,
    now: Timestamp,
) -> Vec<(&'static str, String)> {
    let key = match key {
        KeyInfo::Fits { file } => format!("there, in {file}, and fits"),
        KeyInfo::OfAnother { file } => format!("the one in {file} belongs to another certificate"),
        KeyInfo::Missing { problem: None } => "not there".to_owned(),
        KeyInfo::Missing {
            problem: Some(problem),
        } => format!("can't be read: {problem}"),
    };
    let mut rows = vec![
        ("names", or(&details.names.iter().join(", "), "none")),
        ("issuer", details.issuer.clone()),
        ("valid", validity(details, now)),
        ("serial", details.serial.clone()),
        ("key", format!("{}; {key}", details.key_type)),
        ("sha256", details.sha256.clone()),
        ("key sha256", details.key_sha256.clone()),
    ];
    let link = |link: &ChainLink| format!("{}, valid until {}", link.subject, link.not_after);
    rows.extend(details.chain.iter().map(|it| ("chain", link(it))));
    if details.chain.is_empty() {
        rows.push(("chain", "it stands alone here".to_owned()));
    }
    let root = match details.is_root_known {
        true => "the chain leads to one that browsers know",
        false => "the chain leads to none that browsers know",
    };
    rows.push(("root", root.to_owned()));
    let id = details.renewal_id.as_ref().map(ToString::to_string);
    let none = || "none: it does not say whose key signed it".to_owned();
    rows.push(("ARI id", id.unwrap_or_else(none)));
    rows
}

fn or(text: &str, none: &str) -> String {
    match text.is_empty() {
        true => none.to_owned(),
        false => text.to_owned(),
    }
}

fn origin(source: &Source) -> String {
    match source {
        Source::Acme(directory) if !directory.is_empty() => {
            format!("obtained from {}", Issuer::Ca(directory.clone()))
        }
        Source::Acme(_) => "obtained from a CA that is no longer known".to_owned(),
        Source::SelfSigned => "signed by its own key".to_owned(),
        Source::Fallback => "signed by its own key, until a better one is there".to_owned(),
        Source::Provided => "provided by you".to_owned(),
    }
}

fn validity(details: &CertificateDetails, now: Timestamp) -> String {
    let CertificateDetails {
        not_before,
        not_after,
        ..
    } = details;
    let whole = rough(not_after.since(*not_before));
    let left = match (now < *not_before, now.since(*not_after)) {
        (true, _) => format!("not before {} from now", rough(not_before.since(now))),
        (false, Duration::ZERO) => format!("{} left", rough(not_after.since(now))),
        (false, over) => format!("expired {} ago", rough(over)),
    };
    format!("from {not_before} until {not_after} ({whole}, {left})")
}
