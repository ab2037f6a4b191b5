use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use super::{
    Call, Exit, Failure,
    asking::{self, Needs},
    block_on, print, rehearse, renew_folder, setup,
};
use crate::{
    adapters::disk::Folders,
    daemon::Survey,
    desire::nearest_names,
    observe::{Blame, RenewalOutcome, RenewalRequest, Stage},
    plan,
    ports::Wishes,
    report::explain::rough,
    values::{CertificateName, Host, Timestamp},
};

type Answers = BTreeMap<CertificateName, Option<RenewalOutcome>>;

pub(super) fn run(call: &Call) -> Result<Exit, Failure> {
    let names: Vec<_> = call
        .options
        .get_many::<String>("name")
        .unwrap_or_default()
        .cloned()
        .collect();
    let force = call.options.get_flag("force");
    let is_rehearsal = call.options.get_flag("dry-run");
    if force && names.is_empty() {
        let problem =
            "name what to renew: --force without names would order every certificate again";
        return Err(Failure::Usage(problem.to_owned()));
    }
    block_on(async {
        if let Some(folder) = call.options.get_one::<PathBuf>("folder") {
            return renew_folder::run(call, folder, &names, force).await;
        }
        let (engine, own) = setup::reached(call).await?;
        let (daemon, folders) = setup::reader(call, engine, own.as_ref())?;
        let survey = daemon.survey().await?;
        if is_rehearsal {
            return rehearse::run(call, &wanted(&names, &survey)?, daemon, &survey).await;
        }
        let mut answers = Answers::new();
        for name in wanted(&names, &survey)? {
            let answer = foreseen(&name, force, &survey, &daemon.plan_rules);
            answers.insert(name, answer);
        }
        drop(daemon);
        let open: BTreeSet<_> = answers
            .iter()
            .filter(|(_, answer)| answer.is_none())
            .map(|(n, _)| n.clone())
            .collect();
        if !open.is_empty() {
            leave(&open, force, survey.now, &folders)?;
            let is_answered = || are_answered(&open, &folders);
            let collect = || collect(&open, &folders);
            match asking::answers(call, &folders, Needs::Authority, &is_answered, collect).await? {
                Some(collected) => answers.extend(collected),
                None => return Ok(Exit::Interrupted),
            }
        }
        print(
            &answers
                .iter()
                .map(|(name, answer)| told(name, answer.as_ref(), survey.now))
                .collect::<String>(),
        )?;
        Ok(exit(&answers))
    })
}

/// The certificates that are meant: those that serve these names, or all.
fn wanted(names: &[String], survey: &Survey) -> Result<BTreeSet<CertificateName>, Failure> {
    let all = &survey.desired.certificates;
    if names.is_empty() {
        return Ok(all.keys().cloned().collect());
    }
    names.iter().map(|word| find(word, survey)).collect()
}

/// The certificate that is meant by a word: its name, or a host that it is for.
fn find(word: &str, survey: &Survey) -> Result<CertificateName, Failure> {
    let all = &survey.desired.certificates;
    if let Some(name) = all.keys().find(|name| name.as_str() == word) {
        return Ok(name.clone());
    }
    let host = Host::parse(word).ok();
    for (name, wanted) in all {
        if host
            .as_ref()
            .is_some_and(|host| wanted.names.contains(host))
        {
            return Ok(name.clone());
        }
    }
    Err(unknown(word, host.as_ref(), survey))
}

fn unknown(word: &str, host: Option<&Host>, survey: &Survey) -> Failure {
    let names = survey
        .desired
        .certificates
        .values()
        .flat_map(|wanted| &wanted.names);
    let nearest = host.and_then(|host| {
        nearest_names(names, host)
            .first()
            .map(|name| format!("did you mean {name}?"))
    });
    let remedy = nearest.unwrap_or_else(|| format!("`quaymaster explain {word}` says why"));
    Failure::Usage(format!(
        "no label or setting asks for a certificate for {word}; {remedy}"
    ))
}

/// Answers that can be given at once, because there is nothing to do.
fn foreseen(
    name: &CertificateName,
    force: bool,
    survey: &Survey,
    rules: &plan::PlanRules,
) -> Option<RenewalOutcome> {
    let mut observed = survey.observed.clone();
    observed.wishes.insert(
        name.clone(),
        RenewalRequest {
            asked: survey.now,
            force,
            stage: Stage::Open,
        },
    );
    plan::answer(name, &survey.desired, &observed, rules, survey.now)
}

fn leave(
    names: &BTreeSet<CertificateName>,
    force: bool,
    now: Timestamp,
    folders: &Folders,
) -> Result<(), Failure> {
    for name in names {
        folders.keep_wish(
            name,
            &RenewalRequest {
                asked: now,
                force,
                stage: Stage::Open,
            },
        )?;
    }
    Ok(())
}

/// True if all of these were answered, or were removed.
fn are_answered(names: &BTreeSet<CertificateName>, folders: &Folders) -> Result<bool, Failure> {
    let (wishes, _) = folders.wishes()?;
    let is_over = |name| {
        wishes
            .get(name)
            .is_none_or(|wish| matches!(wish.stage, Stage::Answered(_)))
    };
    Ok(names.iter().all(is_over))
}

/// Fetches the answers, and takes back what was not answered.
fn collect(names: &BTreeSet<CertificateName>, folders: &Folders) -> Result<Answers, Failure> {
    let (mut wishes, _) = folders.wishes()?;
    let mut answers = Answers::new();
    for name in names {
        let answer = wishes.remove(name).and_then(|wish| match wish.stage {
            Stage::Answered(answer) => Some(answer),
            Stage::Taken => Some(RenewalOutcome::CutOff),
            Stage::Open => None,
        });
        folders.drop_wish(name)?;
        answers.insert(name.clone(), answer);
    }
    Ok(answers)
}

fn told(name: &CertificateName, answer: Option<&RenewalOutcome>, now: Timestamp) -> String {
    let words = match answer {
        Some(RenewalOutcome::Renewed { until }) => format!("renewed, valid until {until}"),
        Some(RenewalOutcome::NotDue { due }) => {
            format!(
                "not due before {due} (in {}); --force renews it anyway",
                rough(due.since(now))
            )
        }
        Some(RenewalOutcome::Failed {
            problem,
            again: Some(again),
            ..
        }) => format!("{problem}; next try not before {again}"),
        Some(RenewalOutcome::Failed {
            problem,
            again: None,
            ..
        }) => {
            format!("{problem}; tried again when the labels or settings change")
        }
        Some(RenewalOutcome::NotWanted) => "no label or setting asks for it any more".to_owned(),
        Some(RenewalOutcome::CutOff) => {
            "cut off, since the daemon ended meanwhile; ask again".to_owned()
        }
        None => format!("nothing could be done yet; `quaymaster explain {name}` says why"),
    };
    format!("{name}: {words}\n")
}

/// The exit code: the reason for the failure, where there is just one.
fn exit(answers: &Answers) -> Exit {
    let is_well = |answer: &Option<RenewalOutcome>| {
        matches!(
            answer,
            Some(RenewalOutcome::Renewed { .. } | RenewalOutcome::NotDue { .. })
        )
    };
    if answers.values().all(is_well) {
        return Exit::Done;
    }
    let mut each = answers.values();
    match (each.next(), each.next()) {
        (
            Some(Some(RenewalOutcome::Failed {
                blame: Some(blame), ..
            })),
            None,
        ) => exit_of(*blame),
        _ => Exit::Partly,
    }
}

/// The exit code for one failure.
pub(super) fn exit_of(blame: Blame) -> Exit {
    match blame {
        Blame::Here => Exit::Partly,
        Blame::Engine => Exit::Engine,
        Blame::Authority => Exit::Authority,
        Blame::Refused => Exit::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_alone_is_told_by_the_exit_code_and_one_of_several_is_not() {
        let until = Timestamp::from_seconds(1);
        let failed = |blame| {
            Some(RenewalOutcome::Failed {
                problem: "no".into(),
                blame,
                again: None,
            })
        };
        let name = |word| CertificateName::parse(word).expect("a name");
        for (blame, expected) in [
            (Some(Blame::Here), Exit::Partly),
            (Some(Blame::Engine), Exit::Engine),
            (Some(Blame::Authority), Exit::Authority),
            (Some(Blame::Refused), Exit::Refused),
            (None, Exit::Partly),
        ] {
            let alone = Answers::from([(name("a.example"), failed(blame))]);
            assert_eq!(exit(&alone), expected);
            let mut both = alone;
            both.insert(name("b.example"), Some(RenewalOutcome::Renewed { until }));
            assert_eq!(exit(&both), Exit::Partly);
        }
        assert_eq!(
            exit(&Answers::from([(
                name("a.example"),
                Some(RenewalOutcome::NotDue { due: until })
            )])),
            Exit::Done
        );
        assert_eq!(exit(&Answers::new()), Exit::Done);
        assert_eq!(
            exit(&Answers::from([(name("a.example"), None)])),
            Exit::Partly
        );
    }
}
