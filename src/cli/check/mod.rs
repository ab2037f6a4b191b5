//! The set-up, finding by finding. Rights are tried, not guessed; what is tried changes nothing.

mod authority;
mod engine;
mod folders;
mod gates;
mod named;
mod names;
mod outputs;
mod readers;
mod records;
mod thumbprints;
mod upstreams;
mod writers;

use serde::Serialize;

use super::{
    Call, Exit, Failure, block_on, json, print, setup, table,
    terminal::{Paint, width},
    watch::Stop,
};
use crate::{
    adapters::clock::SystemClock,
    daemon::{Daemon, Survey},
    ports::Clock,
    report::{Finding, Findings, chain, explain::Works, start_it, tell_default_config},
    values::Timestamp,
};

/// The document of `--format json`.
#[derive(Serialize)]
struct Document<'a> {
    well: bool,
    findings: &'a [Finding],
}

/// The parties that could not be asked.
#[derive(Default)]
struct Outcome {
    /// The engine can't be asked.
    engine: bool,
    /// A CA can't be asked that somebody asks.
    authority: bool,
}

pub(super) fn run(call: &Call) -> Result<Exit, Failure> {
    block_on(async {
        let (mut told, mut outcome) = (Findings::default(), Outcome::default());
        // What was shown for a look goes also where nobody waits for the rest.
        let mut stop = Stop::new()?;
        tokio::select! {
            looked = look(call, &mut told, &mut outcome) => looked?,
            _ = stop.wait() => return Ok(Exit::Interrupted),
        }
        print(&match call.wants_json() {
            true => json(&Document {
                well: told.is_well(),
                findings: &told.0,
            })?,
            false => shown(&told, call.paint()),
        })?;
        Ok(exit(&told, &outcome))
    })
}

fn exit(told: &Findings, outcome: &Outcome) -> Exit {
    let only_authority = outcome.authority
        && told
            .problems()
            .all(|problem| problem.about == authority::ABOUT);
    match (told.is_well(), outcome.engine, only_authority) {
        (true, ..) => Exit::Done,
        (false, true, _) => Exit::Engine,
        (false, false, true) => Exit::Authority,
        (false, false, false) => Exit::Partly,
    }
}

async fn look(call: &Call, told: &mut Findings, outcome: &mut Outcome) -> Result<(), Failure> {
    let docker = setup::engine(call)?;
    let now = SystemClock.now();
    outcome.engine = !engine::look(call, &docker, now, told).await;
    let own = match outcome.engine {
        false => engine::own(call, &docker, told).await,
        true => None,
    };
    engine::elsewhere(call, told).await?;
    let (daemon, disk) = setup::reader(call, docker.clone(), own.as_ref())?;
    folders::ours(call, &daemon, own.as_ref(), told);
    running(setup::works(call, &disk, now)?, told);
    let survey = match outcome.engine {
        false => Some(daemon.survey().await),
        true => None,
    };
    let desired = survey.iter().flatten().map(|survey| &survey.desired).next();
    records::look(&call.settings, &*super::records::responder(call)?, told).await;
    outcome.authority = !authority::look(call, &daemon, desired, now, told).await;
    thumbprints::look(call, &daemon, desired, told);
    match survey {
        None => {}
        Some(Err(error)) => told.problem("labels", chain(&error), ""),
        Some(Ok(survey)) => {
            folders::theirs(&survey, told);
            readers::look(&survey, told);
            default_configs(&survey, told);
            named::look(&survey, &daemon.label_rules, told);
            proxies(&daemon, &survey, told).await;
            gates::look(&survey, told);
            upstreams::look(&daemon, &survey, told).await;
            outputs::look(&daemon, &survey, told).await;
            names::look(&daemon, &survey, told).await;
            let rules = &daemon.label_rules;
            match docker.everybody().await {
                Ok(all) => {
                    writers::mounts(&all, own.as_ref(), (rules, &survey.desired), told);
                    readers::mounts(&all, (&disk, rules), &survey, told);
                }
                Err(error) => told.problem(writers::ABOUT, chain(&error), ""),
            }
            writers::responses(&disk, &survey, told)?;
            folders::left_overs(&disk, &survey, told)?;
            complaints(&survey, told);
        }
    }
    Ok(())
}

fn running(works: Works, told: &mut Findings) {
    match works {
        Works::Well => told.ok("daemon", "it works on this state"),
        Works::Stuck => told.problem(
            "daemon",
            "it holds this state, but its loop does not turn",
            "look at its log, then restart it",
        ),
        Works::No => told.note("daemon", "no daemon works on this state"),
    }
}

/// Checks that proxies can be looked at, which is how deployments are proven.
async fn proxies(daemon: &Daemon, survey: &Survey, told: &mut Findings) {
    let consumers = survey.desired.consumers.values();
    for proxy in consumers.filter(|it| it.proxy.is_some()) {
        let name = &proxy.name;
        let (true, Some(reach)) = (proxy.running, proxy.reach()) else {
            let remedy = match proxy.running {
                true => format!(
                    "put quaymaster and {name} on one network, or publish its ports, so that quaymaster can look"
                ),
                false => start_it(name, &survey.snapshot),
            };
            let says = if proxy.running {
                "can't be reached from here"
            } else {
                "does not run"
            };
            told.problem("proxies", format!("{name} {says}"), remedy);
            continue;
        };
        let at = reach.http;
        match daemon
            .ports
            .probe
            .page(at, &daemon.plan_rules.mark_host, "/")
            .await
        {
            Ok(page) => match page.body.trim().parse::<u64>() {
                Ok(mark) if page.status == 200 => {
                    told.ok(
                        "proxies",
                        format!("{name} answers at {at}, generation {mark}"),
                    );
                }
                _ => {
                    let says = format!("{name} answers at {at} with status {}", page.status);
                    told.note(
                        "proxies",
                        format!("{says} and without quaymaster's mark: it serves nothing of quaymaster's yet"),
                    );
                }
            },
            // Without any file of ours a bare nginx listens on nothing.
            Err(error) => {
                let remedy = format!(
                    "`docker logs {name}` says more; before its first deployment this may be so"
                );
                told.problem("proxies", format!("{name}: {}", chain(&error)), remedy);
            }
        }
    }
    if survey.desired.consumers.is_empty() {
        told.note("proxies", "there is none");
    }
}

/// Whose the configurations are that servers were given to start with.
fn default_configs(survey: &Survey, told: &mut Findings) {
    for consumer in survey.desired.consumers.values() {
        if let Some(installed) = survey.observed.installed.get(&consumer.name) {
            tell_default_config("configuration", consumer, installed, told);
        }
    }
}

fn complaints(survey: &Survey, told: &mut Findings) {
    // A template that is broken is a fault on disk, however many proxies need it.
    let (of_faults, complaints): (Vec<_>, Vec<_>) = survey
        .complaints()
        .into_iter()
        .partition(|complaint| survey.faults.contains(&complaint.problem));
    for complaint in &complaints {
        let says = format!("{}: {}", complaint.origin.place(), complaint.problem);
        told.problem("labels", says, complaint.remedy.as_str());
    }
    for fault in &survey.faults {
        let remedy = of_faults
            .iter()
            .find(|complaint| complaint.problem == *fault)
            .map(|found| found.remedy.as_str());
        let of_templates = fault
            .starts_with("template ")
            .then_some("fix it; until then the last good templates stay in use");
        told.problem(
            "on disk",
            fault,
            remedy.or(of_templates).unwrap_or_default(),
        );
    }
    if complaints.is_empty() {
        let bearers = survey.snapshot.bearers.keys();
        let containers = bearers.filter(|name| !name.is_settings()).count();
        told.ok(
            "labels",
            format!("all of those on {containers} containers can be followed"),
        );
    }
}

/// The difference between two clocks.
fn apart(one: Timestamp, other: Timestamp) -> std::time::Duration {
    one.since(other).max(other.since(one))
}

fn shown(told: &Findings, paint: Paint) -> String {
    let problems = told.problems().count();
    let verdict = match problems {
        0 => "everything that is needed is there".to_owned(),
        1 => "1 problem".to_owned(),
        _ => format!("{problems} problems"),
    };
    format!(
        "{}\n{verdict}\n",
        table::findings(told, paint, width()).trim_start()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        desire::{
            desire,
            tests::{proxy, rules, snapshot},
        },
        fixtures::plan_rules,
        observe::{Installed, Observed},
        plan::plan,
        render::Templates,
    };

    #[test]
    fn a_broken_template_is_told_once_with_what_to_do() {
        let snapshot = snapshot([proxy()]);
        let desired = desire(&snapshot, &rules());
        let installed = desired
            .consumers
            .keys()
            .map(|name| (name.clone(), Installed::default().into()))
            .collect();
        let observed = Observed {
            installed,
            ..Observed::default()
        };
        let broken = [("nginx/base.conf".to_owned(), Ok("{% if %}".to_owned()))].into();
        let (templates, now) = (Templates::with(&broken), Timestamp::from_seconds(0));
        let plan = plan(&desired, &observed, &templates, &plan_rules(), now);
        let faults = templates.faults().map(ToString::to_string).collect();
        let mut told = Findings::default();
        complaints(
            &Survey {
                now,
                snapshot,
                desired,
                observed,
                templates,
                plan,
                faults,
            },
            &mut told,
        );
        let [problem] = told.problems().collect::<Vec<_>>()[..] else {
            panic!("{told:?}")
        };
        assert!(
            problem
                .says
                .starts_with("template nginx/base.conf, line 1: "),
            "{problem:?}"
        );
        assert_eq!(
            problem.remedy.as_deref(),
            Some(
                "fix the template; until then the live files stay as long as they lead to nobody else"
            )
        );
    }

    #[test]
    fn the_exit_code_tells_what_is_wrong() {
        let problem = |about| {
            let mut told = Findings::default();
            told.problem(about, "wrong", "");
            told
        };
        for (told, outcome, expected) in [
            (Findings::default(), Outcome::default(), Exit::Done),
            (
                problem("engine"),
                Outcome {
                    engine: true,
                    authority: true,
                },
                Exit::Engine,
            ),
            (
                problem(authority::ABOUT),
                Outcome {
                    engine: false,
                    authority: true,
                },
                Exit::Authority,
            ),
            (
                problem("labels"),
                Outcome {
                    engine: false,
                    authority: true,
                },
                Exit::Partly,
            ),
            (problem(authority::ABOUT), Outcome::default(), Exit::Partly),
        ] {
            assert_eq!(exit(&told, &outcome), expected, "{told:?}");
        }
    }
}
