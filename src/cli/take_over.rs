use std::{collections::BTreeSet, path::PathBuf};

use itertools::Itertools;
use serde::Serialize;

use super::{
    Call, Exit, Failure,
    import::{Put, called_after, put},
    json, print, setup,
    table::table,
    terminal,
};
use crate::{
    adapters::disk::{Folders, Lock},
    observe::HeldCertificate,
    plan,
    ports::{ClientCertificate, ClientFolder, Imports, LeftThere},
    report::{chain, explain::Works},
    values::{CertificateName, Timestamp},
};

/// The outcomes for the certificates in the folder of another ACME client, as printed.
#[derive(Serialize)]
struct TakeOver<'a> {
    client: &'static str,
    /// The client's folder.
    from: PathBuf,
    certificates: Vec<Taken>,
    /// The things that stay there.
    left: &'a [LeftThere],
    /// True if a daemon works that takes them up.
    watched: bool,
    /// True if each outcome is a forecast: nothing was written.
    dry_run: bool,
}

/// One of these certificates.
#[derive(Serialize)]
struct Taken {
    /// The client's name for it.
    name: String,
    /// `imported`, `replaced`, `unchanged` or `refused`.
    outcome: &'static str,
    /// The folder that it lies in; none where it was refused.
    folder: Option<PathBuf>,
    /// Where what had its place is kept.
    kept: Option<PathBuf>,
    /// None where it can't be read.
    certificate: Option<HeldCertificate>,
    /// The reason why it was refused.
    problem: Option<String>,
}

/// Takes over what another ACME client keeps; a bad certificate spoils only itself.
pub(super) fn run(
    call: &Call,
    folders: &Folders,
    kept: &ClientFolder,
    now: Timestamp,
) -> Result<Exit, Failure> {
    if kept.certificates.is_empty() {
        return Err(Failure::InTheWay(format!(
            "nothing was imported: {} is the folder of {}, and there is no certificate in it",
            kept.path.display(),
            kept.client
        )));
    }
    let mut given = BTreeSet::new();
    let mut certificates = Vec::new();
    for certificate in &kept.certificates {
        certificates.push(taken(call, folders, kept, certificate, &mut given, now)?);
    }
    let take_over = TakeOver {
        client: kept.client,
        from: kept.path.clone(),
        certificates,
        left: &kept.left,
        watched: setup::works(call, folders, now)? == Works::Well,
        dry_run: call.options.get_flag("dry-run"),
    };
    if take_over.watched && !take_over.dry_run {
        // It would find them by itself, a moment later.
        Lock::nudge(&call.settings.state)?;
    }
    print(&match call.wants_json() {
        true => json(&take_over)?,
        false => shown(&take_over, terminal::width()),
    })?;
    let is_refused = |taken: &Taken| taken.problem.is_some();
    Ok(match take_over.certificates.iter().any(is_refused) {
        true => Exit::Partly,
        false => Exit::Done,
    })
}

/// Takes over one certificate. `given` are the names that others of this folder have.
fn taken(
    call: &Call,
    folders: &Folders,
    kept: &ClientFolder,
    certificate: &ClientCertificate,
    given: &mut BTreeSet<CertificateName>,
    now: Timestamp,
) -> Result<Taken, Failure> {
    let refused = |certificate_read: Option<HeldCertificate>, problem: String| Taken {
        name: certificate.name.clone(),
        outcome: "refused",
        folder: None,
        kept: None,
        certificate: certificate_read,
        problem: Some(problem),
    };
    let new = match folders.gather_kept(kept, certificate, now) {
        Ok(new) => new,
        Err(error) => return Ok(refused(None, chain(&error))),
    };
    let name = match called_after(&certificate.name) {
        Ok(name) => name,
        Err(error) => return Ok(refused(Some(new.certificate), error.to_string())),
    };
    if !given.insert(name.clone()) {
        let problem = format!(
            "another certificate of this folder is called {name}, too; import the files of this one with another --name"
        );
        return Ok(refused(Some(new.certificate), problem));
    }
    Ok(match put(call, folders, &name, &new)? {
        Put::Done { outcome, kept } => Taken {
            name: certificate.name.clone(),
            outcome,
            folder: Some(folders.provided(&name)),
            kept,
            certificate: Some(new.certificate),
            problem: None,
        },
        Put::Taken { by } => {
            let problem = format!(
                "{} has {by}; --replace puts this one in its place",
                folders.provided(&name).display()
            );
            refused(Some(new.certificate), problem)
        }
    })
}

/// A word of the client's folder, without what would move a terminal's cursor.
fn plain(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
}

fn shown(take_over: &TakeOver<'_>, width: Option<usize>) -> String {
    let TakeOver {
        client,
        from,
        certificates,
        dry_run,
        ..
    } = take_over;
    let rows = certificates.iter().map(|taken| {
        let outcome = match (taken.outcome, dry_run) {
            (outcome @ ("imported" | "replaced"), true) => format!("would be {outcome}"),
            (outcome, _) => outcome.to_owned(),
        };
        let told = |tell: fn(&HeldCertificate) -> String| {
            let none = || "-".to_owned();
            taken.certificate.as_ref().map_or_else(none, tell)
        };
        [
            plain(&taken.name),
            outcome,
            told(|it| it.names.iter().join(", ")),
            told(|it| it.not_after.to_string()),
            told(|it| it.issuer.clone()),
            told(|it| plan::due_by(it, false, None).at.to_string()),
        ]
    });
    let heading = [
        "CERTIFICATE",
        "OUTCOME",
        "NAMES",
        "VALID UNTIL",
        "ISSUER",
        "RENEWED FROM",
    ];
    let mut text = format!("{client} keeps these in {}:\n\n", from.display());
    text += &table(heading, &rows.collect_vec(), width);
    let lines = notes(take_over);
    if !lines.is_empty() {
        text += &format!("\n{}\n", lines.join("\n"));
    }
    text
}

/// The notes below the table, a line each.
fn notes(take_over: &TakeOver<'_>) -> Vec<String> {
    let TakeOver {
        from,
        certificates,
        left,
        watched,
        dry_run,
        ..
    } = take_over;
    let mut lines = Vec::new();
    for taken in certificates {
        if let Some(problem) = &taken.problem {
            lines.push(plain(&format!("{}: {problem}", taken.name)));
        }
        if let Some(kept) = &taken.kept {
            let kept = kept.display();
            let line = format!("{}: the previous certificate is kept in {kept}", taken.name);
            lines.push(plain(&line));
        }
    }
    for LeftThere { path, why } in *left {
        lines.push(format!("{} stays: {why}", from.join(path).display()));
    }
    let is_taken = |taken: &Taken| matches!(taken.outcome, "imported" | "replaced");
    if certificates.iter().any(is_taken) {
        lines.push(
            "next: nothing is ordered for names that these cover until they are to be renewed; then quaymaster obtains its \
             own, where a label wants the name, and that takes the place of the old one"
                .to_owned(),
        );
        if !dry_run {
            lines.push(match watched {
                true => "the daemon takes them up within a second".to_owned(),
                false => "`quaymaster watch` or `quaymaster once` takes them up when it is started"
                    .to_owned(),
            });
        }
    }
    lines
}
