use std::{collections::BTreeSet, path::PathBuf, rc::Rc, sync::Arc};

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use super::{
    Call, Exit, Failure, block_on, commands, print, setup,
    watch::{Stop, hangups, reach},
};
use crate::{
    adapters::{clock::SystemClock, disk::AnyFiles},
    generate::{By, Checking, Pair, RenderSummary, Rendering, Telling},
    observe::Bearer,
    ports::DetailedEngine,
    report::{Event, report},
    values::{Interval, Signal},
};

pub(super) fn arguments(command: Command) -> Command {
    let path = |name: &'static str, value: &'static str| {
        let arg = Arg::new(name)
            .long(name)
            .value_name(value)
            .action(ArgAction::Append);
        arg.value_parser(value_parser!(PathBuf))
    };
    let signal = Arg::new("signal")
        .long("signal")
        .action(ArgAction::Append)
        .num_args(2);
    let check = Arg::new("check")
        .long("check")
        .action(ArgAction::Append)
        .num_args(2);
    let restart = Arg::new("restart")
        .long("restart")
        .action(ArgAction::Append)
        .value_name("CONTAINER");
    let interval = Arg::new("interval")
        .long("interval")
        .num_args(1..=2)
        .value_names(["MIN", "MAX"]);
    let watch = Arg::new("watch")
        .long("watch")
        .action(ArgAction::SetTrue)
        .conflicts_with("from");
    command
        .arg(path("template", "TEMPLATE").required(true).help("a template; may be given several times"))
        .arg(path("target", "FILE").help("where the template before it goes; without one, to standard output"))
        .arg(
            signal
                .value_names(["CONTAINER", "SIGNAL"])
                .conflicts_with("from")
                .help("when a target has changed, sends a signal to each container of this name, id or service"),
        )
        .arg(check.value_names(["CONTAINER", "WORDS"]).conflicts_with("from").help(
            "before anybody is told that a target has changed, runs WORDS (one argument, split as a shell \
                     splits) in each container of this name, id or service; where they fail, what was there before \
                     comes back",
        ))
        .arg(restart.conflicts_with("from").help("when a target has changed, restarts these containers"))
        .arg(interval.requires("watch").help(
            "while watching, how long changes are gathered, in seconds: until nothing has changed for MIN, at most for \
             MAX; MIN 0: the first change counts at once [default: 0 2]",
        ))
        .arg(watch.help("go on, and render at every change of containers or templates"))
        .arg(commands::from())
}

pub(super) fn run(call: &Call) -> Result<Exit, Failure> {
    let pairs = pairs(&call.options)?;
    let checks = checks(&call.options)?;
    let tellings = tellings(&call.options)?;
    let interval = interval(&call.options)?;
    let given = |engine: Rc<dyn DetailedEngine>, own: Option<Bearer>| Rendering {
        engine,
        clock: Rc::new(SystemClock),
        files: Rc::new(AnyFiles),
        pairs,
        checks,
        tellings,
        interval,
        own: own.map(|own| own.id),
        variables: Arc::new(call.environment.clone()),
    };
    block_on(async {
        if call.options.get_flag("watch") {
            return watch(call, given).await;
        }
        let rendering = match call.options.get_one::<PathBuf>("from") {
            Some(path) => {
                let (engine, own) = setup::recorded(call, path).await?;
                given(engine, own)
            }
            None => {
                let (engine, own) = setup::reached(call).await?;
                given(engine, own)
            }
        };
        let RenderSummary { printed, is_whole } = rendering.once().await?;
        print(&printed)?;
        Ok(if is_whole { Exit::Done } else { Exit::Partly })
    })
}

async fn watch(
    call: &Call,
    given: impl FnOnce(Rc<dyn DetailedEngine>, Option<Bearer>) -> Rendering,
) -> Result<Exit, Failure> {
    let mut stop = Stop::new()?;
    let hangups = hangups()?;
    let engine = setup::engine(call)?;
    let own = tokio::select! {
        exit = stop.wait() => return Ok(exit),
        own = reach(call, &engine) => own?,
    };
    let mut exit = Exit::Done;
    given(engine, own.container().cloned())
        .watch(async { exit = stop.wait().await }, hangups)
        .await;
    report(&Event::Ended {});
    Ok(exit)
}

/// Each template, with the target that stands behind it.
fn pairs(options: &ArgMatches) -> Result<Vec<Pair>, Failure> {
    let placed = |name: &'static str| {
        let values = options
            .get_many::<PathBuf>(name)
            .into_iter()
            .flatten()
            .cloned();
        options
            .indices_of(name)
            .into_iter()
            .flatten()
            .zip(values)
            .map(move |(index, path)| (index, name, path))
    };
    let mut words: Vec<_> = placed("template").chain(placed("target")).collect();
    words.sort();
    let mut pairs: Vec<Pair> = Vec::new();
    for (_, name, path) in words {
        match pairs.last_mut() {
            _ if name == "template" => pairs.push(Pair {
                template: path,
                target: None,
            }),
            Some(pair) if pair.target.is_none() => pair.target = Some(path),
            _ => {
                let problem = format!(
                    "--target {} must stand behind a --template of its own",
                    path.display()
                );
                return Err(Failure::Usage(problem));
            }
        }
    }
    let mut seen = BTreeSet::new();
    if let Some(target) = pairs
        .iter()
        .filter_map(|pair| pair.target.as_ref())
        .find(|target| !seen.insert(*target))
    {
        return Err(Failure::Usage(format!(
            "--target {} is there twice",
            target.display()
        )));
    }
    if options.get_flag("watch") && pairs.iter().any(|pair| pair.target.is_none()) {
        return Err(Failure::Usage(
            "--watch needs a --target behind each --template".to_owned(),
        ));
    }
    Ok(pairs)
}

fn checks(options: &ArgMatches) -> Result<Vec<Checking>, Failure> {
    let mut checks = Vec::new();
    for mut values in options
        .get_occurrences::<String>("check")
        .into_iter()
        .flatten()
    {
        let (Some(target), Some(words)) = (values.next(), values.next()) else {
            continue;
        };
        let wrong =
            |problem: &str| Failure::Usage(format!("--check {target} {words:?}: {problem}"));
        let words = shell_words::split(words).map_err(|error| wrong(&error.to_string()))?;
        if target.is_empty() || words.is_empty() {
            return Err(wrong(
                "it needs a container's name, id or service, and the words to run there",
            ));
        }
        checks.push(Checking {
            target: target.clone(),
            words,
        });
    }
    Ok(checks)
}

fn tellings(options: &ArgMatches) -> Result<Vec<Telling>, Failure> {
    let mut tellings = Vec::new();
    for words in options
        .get_occurrences::<String>("signal")
        .into_iter()
        .flatten()
    {
        if let [target, signal] = &words.collect::<Vec<_>>()[..] {
            let signal = signal
                .parse::<Signal>()
                .map_err(|error| Failure::Usage(format!("--signal: {error}")))?;
            tellings.push(Telling {
                target: (*target).clone(),
                by: By::Signal(signal),
            });
        }
    }
    let restarts = options.get_many::<String>("restart").into_iter().flatten();
    tellings.extend(restarts.map(|target| Telling {
        target: target.clone(),
        by: By::Restart,
    }));
    match tellings.iter().find(|telling| telling.target.is_empty()) {
        Some(_) => Err(Failure::Usage(
            "--signal and --restart need a container's name, id or service".to_owned(),
        )),
        None => Ok(tellings),
    }
}

fn interval(options: &ArgMatches) -> Result<Interval, Failure> {
    let Some(words) = options.get_many::<String>("interval") else {
        return Ok(Interval::default());
    };
    let words: Vec<_> = words.map(String::as_str).collect();
    Interval::read(&words).map_err(|error| Failure::Usage(format!("--interval: {error}")))
}
