use std::{collections::BTreeSet, fmt::Display};

use super::{Call, Exit, Failure, print, table::table, terminal::width};
use crate::{
    adapters::{clock::SystemClock, disk::Folders},
    observe::{Progress, Subject},
    ports::{Clock, DiskError},
    report::{Status, explain::rough},
    values::{Retry, Timestamp},
};

pub(super) fn run(call: &Call) -> Result<Exit, Failure> {
    let state = call.settings.state.clone();
    let path = state.join("status.json");
    let Some(document) = Folders::new(state.join("certificates"), state).status()? else {
        return Err(Failure::Usage(format!(
            "there is no {} yet; `quaymaster watch` or `quaymaster once` writes it after its first turn",
            path.display()
        )));
    };
    if call.wants_json() {
        print(&(document + "\n"))?;
        return Ok(Exit::Done);
    }
    let status: Status =
        serde_json::from_str(&document).map_err(|error| DiskError::Damaged { path, problem: error.to_string() })?;
    print(&shown(&status, SystemClock.now()))?;
    Ok(Exit::Done)
}

fn shown(status: &Status, now: Timestamp) -> String {
    let mut parts = vec![certificates(status, now), sites(status), consumers(status)];
    parts.push(lines("failed", status.failures.iter().map(failure)));
    parts.push(lines("complaints", &status.complaints));
    parts.push(lines("templates", &status.templates));
    parts.push(lines("under way", &status.under_way));
    parts.push(format!("as of {}, {} ago\n", status.written, rough(now.since(status.written))));
    parts.retain(|part| !part.is_empty());
    parts.join("\n")
}

fn certificates(status: &Status, now: Timestamp) -> String {
    let rows: Vec<_> = status
        .certificates
        .iter()
        .map(|(name, certificate)| {
            let held = certificate.held.as_ref();
            let state = match (certificate.wanted, held) {
                (true, None) => "missing",
                (true, Some(held)) if held.is_valid_at(now) => "valid",
                (_, Some(held)) if !held.is_valid_at(now) => "expired",
                _ => "kept, not wanted",
            };
            let of = |word: fn(&crate::observe::HeldCertificate) -> String| held.map_or("-".to_owned(), word);
            [
                name.to_string(),
                state.to_owned(),
                of(|held| held.not_after.to_string()),
                of(|held| held.issuer.clone()),
                of(|held| held.serial.clone()),
            ]
        })
        .collect();
    table(["CERTIFICATE", "STATE", "UNTIL", "ISSUER", "SERIAL"], &rows, width())
}

fn sites(status: &Status) -> String {
    let rows: Vec<_> = status
        .sites
        .iter()
        .map(|site| {
            let of_path = |(path, addresses): (&String, &BTreeSet<String>)| {
                let addresses =
                    if addresses.is_empty() { "none takes traffic: 503".to_owned() } else { joined(addresses) };
                if path == "/" { addresses } else { format!("{path}: {addresses}") }
            };
            let upstreams = match &site.redirect {
                Some(to) => format!("sent to {to}"),
                None => site.upstreams.iter().map(of_path).collect::<Vec<_>>().join("; "),
            };
            [site.host.to_string(), site.proxy.to_string(), joined(&site.containers), upstreams]
        })
        .collect();
    table(["SITE", "PROXY", "CONTAINERS", "UPSTREAMS"], &rows, width())
}

fn consumers(status: &Status) -> String {
    let rows: Vec<_> = status
        .consumers
        .iter()
        .map(|(name, consumer)| {
            let progress = match &consumer.installed.progress {
                _ if !consumer.running => "not running".to_owned(),
                Progress::SignalOwed => "signal owed".to_owned(),
                Progress::Signalled => "signalled, not proven yet".to_owned(),
                Progress::Proven { at } => format!("proven at {at}"),
                Progress::Unproven { reason } => format!("unproven: {reason}"),
            };
            [name.to_string(), consumer.kind.clone(), consumer.installed.generation.to_string(), progress]
        })
        .collect();
    table(["CONSUMER", "KIND", "GENERATION", "STATE"], &rows, width())
}

fn failure(failure: &crate::report::FailureStatus) -> String {
    let subject = match &failure.subject {
        Subject::Certificate(name) => name.as_str(),
        Subject::Consumer(name) => name.as_str(),
    };
    let again = match failure.retry {
        Retry::WhenInputChanges => "tried again when what is asked for changes".to_owned(),
        Retry::NotBefore(time) => format!("not before {time}"),
        Retry::Backoff => "tried again after a pause that grows".to_owned(),
    };
    let problem = failure.problem.as_deref().unwrap_or("it was cut off");
    format!("{subject}: {problem} ({} in a row, last {}; {again})", failure.count, failure.last)
}

fn lines<T: Display>(heading: &str, items: impl IntoIterator<Item = T>) -> String {
    let lines: String = items.into_iter().map(|item| format!("  {item}\n")).collect();
    if lines.is_empty() { lines } else { format!("{heading}:\n{lines}") }
}

fn joined<T: Display>(items: &BTreeSet<T>) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
