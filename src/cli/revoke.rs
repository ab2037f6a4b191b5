use std::collections::BTreeSet;

use clap::{Arg, Command, value_parser};
use itertools::Itertools;
use serde::Serialize;

use super::{Call, Exit, Failure, arguments, block_on, consent, found, json, print, setup};
use crate::{
    adapters::{
        disk::{Folders, FoundCertificate, Lock},
        x509::{self, CertificateDetails},
    },
    observe::{RenewalRequest, Source, Stage},
    ports::{CertificateStore, DiskError, Revocation, Revoked, Wishes},
    report::explain::Works,
    values::{CertificateName, Issuers, RevocationReason},
};

pub(super) fn arguments(command: Command) -> Command {
    let words: Vec<_> = RevocationReason::ROWS
        .iter()
        .map(|(word, number, _)| format!("{number} ({word})"))
        .collect();
    let reason = Arg::new("reason")
        .long("reason")
        .value_name("REASON")
        .default_value("unspecified")
        .value_parser(value_parser!(RevocationReason));
    command
        .arg(found::argument())
        .arg(reason.help(format!("why, by number or word: {}", words.join(", "))))
        .arg(consent::yes())
        .arg(arguments::format(&["text", "json"]))
}

/// The outcome, as printed.
#[derive(Serialize)]
struct CertificateRevocation {
    ca: String,
    names: Vec<String>,
    serial: String,
    reason: RevocationReason,
    outcome: Revoked,
    /// True if a daemon was asked to order it anew, with a new key.
    is_ordered_anew: bool,
    /// The next step; none where there is none.
    next: Option<String>,
}

pub(super) fn run(call: &Call) -> Result<Exit, Failure> {
    let reason = call.options.get_one::<RevocationReason>("reason");
    let reason = reason.copied().unwrap_or_default();
    block_on(async {
        let folders = found::folders(call).await;
        let found = found::find(call, &folders)?;
        let details = details(&found)?;
        let live = live(&folders, &details)?;
        let directory = issued_by(call, live.as_ref())?;
        let ca = call.settings.cas.called(&directory).to_owned();
        let what = format!(
            "The certificate for {}, issued by {}, with the serial number {}, valid until {}, is revoked by the CA {ca}, and \
             nothing brings it back. Clients that look refuse it from then on.",
            details.names.iter().join(", "),
            details.issuer,
            details.serial,
            details.not_after
        );
        if !consent::is_given(call, &what, "Revoke it?")? {
            return Ok(Exit::Interrupted);
        }
        let desk = setup::desk(call, folders.clone(), &directory, false)?;
        let outcome = desk
            .revoke(&Revocation {
                leaf: found.leaf(),
                key: found.key.fitting(),
                reason,
            })
            .await?;
        let is_compromised = reason == RevocationReason::KeyCompromise;
        let is_ordered_anew = match &live {
            Some((live, _)) if is_compromised => has_ordered(call, &folders, live)?,
            _ => false,
        };
        let revocation = CertificateRevocation {
            ca,
            names: details.names,
            serial: details.serial,
            reason,
            outcome,
            is_ordered_anew,
            next: live.map(|(live, _)| next(&live, is_ordered_anew)),
        };
        print(&match call.wants_json() {
            true => json(&revocation)?,
            false => text(&revocation),
        })?;
        Ok(Exit::Done)
    })
}

/// The details of the certificate.
pub(super) fn details(found: &FoundCertificate) -> Result<CertificateDetails, Failure> {
    let read = x509::details(&found.chain);
    Ok(read.map_err(|error| DiskError::Damaged {
        path: found.path.clone(),
        problem: error.to_string(),
    })?)
}

/// The name of the same certificate in `live/`, and its source; none where it is not there.
pub(super) fn live(
    folders: &Folders,
    details: &CertificateDetails,
) -> Result<Option<(CertificateName, Source)>, Failure> {
    let names: BTreeSet<_> = details.names.iter().cloned().collect();
    let there = folders.certificates(setup::now())?;
    let mut held = there.held.into_iter();
    let found = held.find(|(_, held)| {
        (&held.serial, &held.names, held.not_after) == (&details.serial, &names, details.not_after)
    });
    Ok(found.map(|(name, held)| (name, held.source.clone())))
}

/// The directory of the CA that issued it: as it was written down, else the one of the setting `ca`.
fn issued_by(call: &Call, live: Option<&(CertificateName, Source)>) -> Result<String, Failure> {
    if let Some((_, Source::Acme(directory))) = live
        && !directory.is_empty()
    {
        return Ok(directory.clone());
    }
    if let Some((name, Source::SelfSigned | Source::Fallback)) = live {
        return Err(Failure::Usage(format!(
            "the certificate {name} is signed by its own key, and no CA can revoke it; `quaymaster renew --force {name}` makes \
             another"
        )));
    }
    let mut directories = call.settings.ca.iter().flat_map(Issuers::directories);
    let names = match (directories.next(), directories.next()) {
        (Some(directory), None) => return Ok(directory.to_owned()),
        (Some(_), Some(_)) => "several",
        (None, _) => "none",
    };
    Err(Failure::Usage(format!(
        "say by --ca which CA has issued it; the setting ca names {names}"
    )))
}

/// True if a daemon that works on this state was asked for a new certificate, which always has a new key.
fn has_ordered(call: &Call, folders: &Folders, name: &CertificateName) -> Result<bool, Failure> {
    let now = setup::now();
    if setup::works(call, folders, now)? != Works::Well {
        return Ok(false);
    }
    let wish = RenewalRequest {
        asked: now,
        force: true,
        stage: Stage::Open,
    };
    folders.keep_wish(name, &wish)?;
    Lock::nudge(&call.settings.state)?;
    Ok(true)
}

fn next(name: &CertificateName, is_ordered_anew: bool) -> String {
    match is_ordered_anew {
        true => format!(
            "the daemon orders {name} again with a new key, if a label or setting asks for it; `quaymaster status` \
             shows the progress"
        ),
        false => format!(
            "{name} is live, and is served until another takes its place: run `quaymaster renew --force {name}`, which makes a \
             new key, too"
        ),
    }
}

fn text(revocation: &CertificateRevocation) -> String {
    let CertificateRevocation {
        ca,
        names,
        serial,
        reason,
        outcome,
        next,
        ..
    } = revocation;
    let outcome = match outcome {
        Revoked::ByAccount => format!("revoked by the account at {ca}, reason {reason}"),
        Revoked::ByKey => format!("revoked by its own key at {ca}, reason {reason}"),
        Revoked::Already => format!("revoked already at {ca}"),
    };
    let names = names.iter().join(", ");
    let mut text = format!("{names} ({serial}): {outcome}\n");
    if let Some(next) = next {
        text += &format!("  next: {next}\n");
    }
    text
}
