//! `renew --folder`: certificates in files that `issue` or manuale wrote, from what they say alone.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{
    Call, Exit, Failure,
    by_hand::{HandEnd, HandReport, HandWish, directory, ordered},
    hand_over::{Offered, offered},
    issue::IssuedReport,
    json, print,
    renew::exit_of,
    setup,
};
use crate::{
    adapters::disk::{FoundFiles, LaidOut, found_files},
    execute::HandCall,
    observe::{Blame, HeldCertificate},
    plan,
    ports::CertificateKey,
    report::{chain, explain::rough},
    values::{CertificateName, Host, Timestamp},
};

/// The outcome for one certificate, as printed.
#[derive(Serialize)]
struct FolderRenewal {
    name: CertificateName,
    #[serde(flatten)]
    outcome: FolderOutcome,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case", tag = "outcome")]
enum FolderOutcome {
    NotDue {
        due: Timestamp,
        not_after: Timestamp,
    },
    Renewed {
        certificate: IssuedReport,
    },
    ByHand {
        #[serde(flatten)]
        report: HandReport,
    },
    Failed {
        problem: String,
        #[serde(skip)]
        exit: Exit,
    },
}

/// Renews what is due of a folder, one after the other; with names, only those.
pub(super) async fn run(
    call: &Call,
    folder: &Path,
    names: &[String],
    force: bool,
) -> Result<Exit, Failure> {
    let ca = directory(call)?;
    let mut found = found_files(folder, &ca)?;
    if !names.is_empty() {
        let is_meant = |it: &FoundFiles, word: &String| {
            let host = Host::parse(word).ok();
            let name = host.as_ref().map(CertificateName::from);
            it.files.name().as_str() == word || name.as_ref() == Some(it.files.name())
        };
        if let Some(word) = names
            .iter()
            .find(|word| !found.iter().any(|it| is_meant(it, word)))
        {
            return Err(Failure::Usage(format!(
                "{} has no certificate {word}",
                folder.display()
            )));
        }
        found.retain(|it| names.iter().any(|word| is_meant(it, word)));
    }
    if found.is_empty() {
        return Err(Failure::Usage(format!(
            "there is no certificate in {} under the names of any layout (`quaymaster reference layouts`)",
            folder.display()
        )));
    }
    let mut renewals = Vec::new();
    for FoundFiles { files, read } in found {
        let outcome = match read {
            Err(error) => failed(&Failure::from(error)),
            Ok(held) => match renewed(call, &files, &held, force).await {
                Ok(Some(outcome)) => outcome,
                Ok(None) => return Ok(Exit::Interrupted),
                Err(failure) => failed(&failure),
            },
        };
        let name = files.name().clone();
        renewals.push(FolderRenewal { name, outcome });
    }
    print(&match call.wants_json() {
        true => json(&renewals)?,
        false => renewals.iter().map(|it| it.text(setup::now())).collect(),
    })?;
    Ok(exit(&renewals))
}

fn failed(failure: &Failure) -> FolderOutcome {
    FolderOutcome::Failed {
        problem: chain(failure),
        exit: match failure {
            // Another may be well.
            Failure::Disk(_) => exit_of(Blame::Here),
            failure => failure.exit(),
        },
    }
}

/// The outcome; none where Ctrl-C ended it.
async fn renewed(
    call: &Call,
    files: &LaidOut,
    held: &HeldCertificate,
    force: bool,
) -> Result<Option<FolderOutcome>, Failure> {
    let due = plan::due_renewal(held, None).at;
    if due > setup::now() && !force {
        return Ok(Some(FolderOutcome::NotDue {
            due,
            not_after: held.not_after,
        }));
    }
    let names = held.names.iter().map(|name| {
        Host::parse(name).map_err(|error| {
            Failure::Usage(format!(
                "it is for {name:?}, and no CA is asked for that: {error}"
            ))
        })
    });
    let mut wish = HandWish::of(call, names.collect::<Result<_, _>>()?);
    wish.key_type = held.key_type.unwrap_or(wish.key_type);
    let files = Offered::new(files);
    let work = async |order: &HandCall<'_>| order.issue(&CertificateKey::Own, &files).await;
    Ok(match ordered(call, &wish, work).await? {
        HandEnd::Interrupted => None,
        HandEnd::Hands(report) => Some(FolderOutcome::ByHand { report }),
        HandEnd::Done(put) => {
            let daemon = offered(call, &files, &directory(call)?).await?;
            let certificate = IssuedReport::of(call, put, daemon)?;
            Some(FolderOutcome::Renewed { certificate })
        }
    })
}

impl FolderRenewal {
    fn text(&self, now: Timestamp) -> String {
        let name = &self.name;
        match &self.outcome {
            FolderOutcome::NotDue { due, not_after } => format!(
                "{name}: not due before {due} (in {}), valid until {not_after}\n",
                rough(due.since(now))
            ),
            FolderOutcome::Renewed { certificate } => certificate.text(),
            FolderOutcome::ByHand { report } => format!("{name}: {}", report.text()),
            FolderOutcome::Failed { problem, .. } => format!("{name}: {problem}\n"),
        }
    }
}

/// The exit code: the reason for the failure, where there is just one; that hands are needed, where nothing failed.
fn exit(renewals: &[FolderRenewal]) -> Exit {
    let failures = renewals.iter().filter_map(|it| match &it.outcome {
        FolderOutcome::Failed { exit, .. } => Some(*exit),
        _ => None,
    });
    let failures: Vec<_> = failures.collect();
    let by_hand = |it: &FolderRenewal| matches!(it.outcome, FolderOutcome::ByHand { .. });
    match (failures.as_slice(), renewals) {
        ([exit], [_]) => *exit,
        ([], _) if renewals.iter().any(by_hand) => Exit::ByHand,
        ([], _) => Exit::Done,
        _ => Exit::Partly,
    }
}

/// The folder that a command is about.
pub(super) fn argument() -> clap::Arg {
    let arg = clap::Arg::new("folder").long("folder").value_name("FOLDER");
    let arg = arg.value_parser(clap::value_parser!(PathBuf));
    arg.conflicts_with("dry-run").help(
        "renew the files in FOLDER that `issue` or manuale wrote, with no daemon and no engine; needs hands where `authorize` \
         does",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_alone_is_told_by_the_exit_code_and_hands_where_nothing_failed() {
        let one = |outcome| FolderRenewal {
            name: CertificateName::parse("a.example").expect("a name"),
            outcome,
        };
        let failed = || {
            one(FolderOutcome::Failed {
                problem: String::new(),
                exit: Exit::Refused,
            })
        };
        let at = Timestamp::from_seconds(1);
        let not_due = || {
            one(FolderOutcome::NotDue {
                due: at,
                not_after: at,
            })
        };
        let hands = || {
            one(FolderOutcome::ByHand {
                report: HandReport {
                    ca: String::new(),
                    names: [].into(),
                    tasks: Vec::new(),
                    outcome: crate::cli::by_hand::HandOutcome::ByHand,
                },
            })
        };
        for (renewals, expected) in [
            (vec![], Exit::Done),
            (vec![not_due(), not_due()], Exit::Done),
            (vec![failed()], Exit::Refused),
            (vec![failed(), not_due()], Exit::Partly),
            (vec![failed(), hands()], Exit::Partly),
            (vec![not_due(), hands()], Exit::ByHand),
        ] {
            assert_eq!(exit(&renewals), expected);
        }
    }
}
