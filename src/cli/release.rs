use super::{
    Call, Exit, Failure,
    asking::{self, Needs},
    block_on, print, setup,
};
use crate::{
    adapters::disk::Folders,
    daemon::Survey,
    desire::{self, nearest_names},
    observe::{Release, Released},
    ports::Wishes,
    values::Host,
};

pub(super) fn run(call: &Call) -> Result<Exit, Failure> {
    let word = call
        .options
        .get_one::<String>("name")
        .map(String::as_str)
        .unwrap_or_default();
    let host = Host::parse(word)
        .map_err(|error| Failure::Usage(format!("{word:?} is not a host name: {error}")))?;
    block_on(async {
        let (engine, own) = setup::reached(call).await?;
        let (daemon, folders) = setup::reader(call, engine, own.as_ref())?;
        let survey = daemon.survey().await?;
        let foreseen = desire::released(&host, &survey.snapshot, &daemon.label_rules);
        drop(daemon);
        let outcome = match foreseen {
            Released::NotHeld => return Err(not_held(&host, &survey)),
            Released::StillAsked { .. } | Released::Changed => Some(foreseen),
            Released::HandedOver { from, .. } | Released::Freed { from } => {
                folders.keep_release(&Release {
                    host: host.clone(),
                    asked: survey.now,
                    from,
                    outcome: None,
                })?;
                let is_answered =
                    || Ok(left(&host, &folders)?.is_none_or(|it| it.outcome.is_some()));
                let collect = || {
                    let outcome = left(&host, &folders)?.and_then(|release| release.outcome);
                    folders.drop_release(&host)?;
                    Ok(outcome)
                };
                match asking::answers(call, &folders, Needs::State, &is_answered, collect).await? {
                    Some(outcome) => outcome,
                    None => return Ok(Exit::Interrupted),
                }
            }
        };
        print(&format!("{host}: {}\n", told(&host, outcome.as_ref())))?;
        Ok(exit(outcome.as_ref()))
    })
}

/// The request as it lies in state now.
fn left(host: &Host, folders: &Folders) -> Result<Option<Release>, Failure> {
    let (releases, _) = folders.releases()?;
    Ok(releases.into_iter().find(|release| release.host == *host))
}

fn not_held(host: &Host, survey: &Survey) -> Failure {
    let held = survey
        .snapshot
        .holders
        .keys()
        .chain(survey.desired.hosts.keys());
    let nearest = nearest_names(held, host)
        .first()
        .map(|name| format!("did you mean {name}?"));
    let remedy =
        nearest.unwrap_or_else(|| "the first container that asks for it gets it".to_owned());
    Failure::Usage(format!("no project holds {host}; {remedy}"))
}

fn told(host: &Host, outcome: Option<&Released>) -> String {
    match outcome {
        Some(Released::HandedOver {
            from,
            to,
            container,
        }) => format!(
            "released by {}; {} has it now, for its container {container}",
            project(from.as_deref()),
            project(to.as_deref())
        ),
        Some(Released::Freed { from }) => format!(
            "released by {}; the next container that asks for it gets it",
            project(from.as_deref())
        ),
        Some(Released::StillAsked { by, container }) => format!(
            "not released: container {container} of {} serves it, and no other project asks for it; start a container \
             of the other project with this host first, or stop {container}",
            project(by.as_deref())
        ),
        Some(Released::NotHeld) => "no project holds it any more".to_owned(),
        Some(Released::Changed) => {
            "not released: another project got it meanwhile; ask again".to_owned()
        }
        None => format!("could not be released; `quaymaster explain {host}` says why"),
    }
}

fn project(name: Option<&str>) -> String {
    name.map_or_else(
        || "containers of no project".to_owned(),
        |name| format!("the project {name}"),
    )
}

fn exit(outcome: Option<&Released>) -> Exit {
    match outcome {
        Some(Released::HandedOver { .. } | Released::Freed { .. } | Released::NotHeld) => {
            Exit::Done
        }
        Some(Released::StillAsked { .. } | Released::Changed) | None => Exit::Partly,
    }
}
