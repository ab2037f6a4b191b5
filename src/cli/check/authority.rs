use std::collections::BTreeSet;

use super::{apart, engine::APART};
use crate::{
    adapters::{acme::Directory, disk},
    cli::{
        Call,
        ca_setup::{ca_root, https_proxy},
    },
    daemon::Daemon,
    desire::Desired,
    ports::AuthorityError,
    report::{Findings, chain, explain::rough},
    values::{Issuers, Timestamp},
};

pub(super) const ABOUT: &str = "CA";

/// Checks that the CAs can be used that labels ask or may have to ask, or those of the settings where no label asks
/// any: a missing CA does no harm yet then. Returns true if those that are needed can be asked at all.
pub(super) async fn look(
    call: &Call,
    daemon: &Daemon,
    desired: Option<&Desired>,
    now: Timestamp,
    told: &mut Findings,
) -> bool {
    let default = call.settings.ca.iter().flat_map(Issuers::directories);
    let asked = desired.map(asked).unwrap_or_default();
    // Where labels can't be read somebody may well ask it.
    let is_needed = desired.is_none() || !asked.is_empty();
    let directories = if asked.is_empty() {
        default.collect()
    } else {
        asked
    };
    if directories.is_empty() {
        told.note(
            ABOUT,
            "no certificate needs a CA, and the setting ca names none",
        );
    }
    let proxy = match https_proxy(call) {
        Ok(proxy) => proxy,
        Err(error) => {
            told.problem(ABOUT, chain(&error), "correct that variable");
            return false;
        }
    };
    let mut all_answer = true;
    for url in directories {
        let root = ca_root(&call.settings, url).map(disk::text).transpose();
        let root = match root {
            Ok(root) => root,
            Err(error) => {
                told.problem(
                    ABOUT,
                    chain(&error),
                    "correct the setting ca-root, or the CA's root",
                );
                all_answer = false;
                continue;
            }
        };
        match Directory::look(url, root.as_deref(), &proxy).await {
            Ok(directory) => answers(daemon, url, &directory, now, told).await,
            Err(error) if is_needed => {
                told.problem(ABOUT, chain(&error), remedy(&error));
                all_answer = false;
            }
            Err(error) => told.note(
                ABOUT,
                format!("{}; no certificate needs it now", chain(&error)),
            ),
        }
    }
    all_answer
}

/// The directories of the CAs that are asked for certificates.
fn asked(desired: &Desired) -> BTreeSet<&str> {
    let mut asked = BTreeSet::new();
    for wanted in desired.certificates.values() {
        // Nothing is asked for names that no proxy serves.
        if !wanted.served_by.is_empty() {
            asked.extend(wanted.issuers.directories());
        }
    }
    asked
}

fn remedy(error: &AuthorityError) -> &'static str {
    match error {
        AuthorityError::NotAcme { .. } => {
            "correct the setting ca: a preset's name, or the URL of a directory"
        }
        _ => {
            "is the way to it open (DNS, firewall), and its certificate trusted (setting ca-root)? Where the world can't \
             be reached, write the setting ca=self-signed"
        }
    }
}

async fn answers(
    daemon: &Daemon,
    url: &str,
    directory: &Directory,
    now: Timestamp,
    told: &mut Findings,
) {
    told.ok(ABOUT, format!("{url} answers and speaks ACME"));
    let terms = match daemon.ports.issuing.authorities.at(url) {
        Ok(authority) => authority.terms_to_agree().await,
        Err(error) => return told.problem(ABOUT, chain(&error), "correct the setting ca"),
    };
    match terms {
        Some(terms) => told.problem(
            ABOUT,
            "its terms have not been agreed to",
            format!(
                "read {terms}, then set agree-tos to true, or where a label chose this CA, agree-tos = true in its table \
                 [ca.NAME]"
            ),
        ),
        None => told.ok(ABOUT, "its terms are agreed to"),
    }
    clocks(directory, now, told);
}

/// Compares the clock of this machine with the CA's.
fn clocks(directory: &Directory, now: Timestamp, told: &mut Findings) {
    match directory.date {
        None => told.note("clocks", "the CA does not send its time"),
        Some(date) if apart(date, now) <= APART => {
            told.ok("clocks", "the clocks of this machine and the CA agree")
        }
        Some(date) => {
            let says = format!(
                "the clock of this machine says {now}, the CA's {date}: {} apart",
                rough(apart(date, now))
            );
            told.problem("clocks", says, "set the clock of this machine by NTP");
        }
    }
}
