use std::{
    collections::BTreeSet,
    ffi::OsString,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use super::{
    Call, Exit, Failure, arguments, block_on, ca_setup, listening, print, setup,
    watch::{Stop, hangups, reach},
};
use crate::{
    adapters::{clock::SystemClock, disk::AnyFiles, fetch::UrlTexts, page_listener},
    generate::{
        By, Checking, Pair, RenderPages, RenderSummary, Rendering, ShownContainers, Telling,
        TemplateSource,
    },
    observe::Bearer,
    ports::DetailedEngine,
    report::{Event, report},
    values::{Interval, Signal},
};

pub(super) fn arguments(command: Command) -> Command {
    let repeated = |name: &'static str| Arg::new(name).long(name).action(ArgAction::Append);
    let flag = |name: &'static str| Arg::new(name).long(name).action(ArgAction::SetTrue);
    let template = repeated("template")
        .value_name("TEMPLATE")
        .value_parser(value_parser!(OsString));
    let target = repeated("target")
        .value_name("FILE")
        .value_parser(value_parser!(PathBuf));
    let signal = repeated("signal")
        .num_args(2)
        .value_names(["CONTAINER", "SIGNAL"]);
    let check = repeated("check")
        .num_args(2)
        .value_names(["CONTAINER", "WORDS"]);
    let restart = repeated("restart").value_name("CONTAINER");
    command
        .arg(template.required(true).help(
            "a template: a file, `#` and the text itself, or an http or https URL; may be given several times",
        ))
        .arg(target.help("the file for the template before it; without a target, the result is printed to standard \
                          output"))
        .arg(signal.conflicts_with("from").help(
            "when a target has changed, sends a signal to each container of this name, id or service, or with this label \
             (label=NAME or label=NAME=VALUE)",
        ))
        .arg(check.conflicts_with("from").help(
            "before a changed target is signalled, runs WORDS (one argument, split as a shell splits) in each matching \
             container; if they fail, the previous files are restored",
        ))
        .arg(
            restart
                .conflicts_with("from")
                .help("when a target has changed, restarts these containers"),
        )
        .arg(flag("tell-printed").conflicts_with("from").help(
            "a template that is printed, because it has no target, counts as changed, too, and triggers signals and \
             restarts",
        ))
        .args(watching())
        .arg(flag("only-exposed").help("templates see containers that expose a port, and no others"))
        .arg(flag("only-published").help(
            "templates see containers that a port of the host leads to, and no others",
        ))
        .arg(flag("no-ssl-check").help("the server of a template's URL may show any certificate"))
        .arg(arguments::from())
}

/// Those that are about going on.
fn watching() -> [Arg; 4] {
    let watch = Arg::new("watch")
        .long("watch")
        .action(ArgAction::SetTrue)
        .conflicts_with("from");
    let interval = Arg::new("interval")
        .long("interval")
        .num_args(1..=2)
        .value_names(["MIN", "MAX"]);
    let repeat = Arg::new("repeat").long("repeat").value_name("SECONDS");
    let metrics = Arg::new("metrics")
        .long("metrics")
        .value_name("[ADDRESS:]PORT");
    [
        watch.help("go on, and render at every change of containers or templates"),
        interval.requires("watch").help(
            "while watching, how long changes are gathered, in seconds: until nothing has changed for MIN, at most for \
             MAX; MIN 0: the first change counts at once [default: 0 2]",
        ),
        repeat.requires("watch").help(
            "while watching, looks at everything once more so long after something happened, for what changes without a \
             word of the engine",
        ),
        metrics.requires("watch").help(
            "while watching, shows at /metrics what was done, under docker-pygen's names, to whoever reaches this port: \
             without an address that is this machine alone",
        ),
    ]
}

pub(super) fn run(call: &Call) -> Result<Exit, Failure> {
    let pairs = pairs(&call.options)?;
    let checks = checks(&call.options)?;
    let tellings = tellings(&call.options)?;
    let interval = interval(&call.options)?;
    let repeat = repeat(&call.options)?;
    let urls = UrlTexts::new(
        call.options.get_flag("no-ssl-check"),
        &ca_setup::https_proxy(call)?,
    )
    .map_err(|error| Failure::Bug {
        what: "URLs can't be fetched",
        source: error.into(),
    })?;
    let given = |engine: Rc<dyn DetailedEngine>, own: Option<Bearer>| Rendering {
        engine,
        clock: Rc::new(SystemClock),
        files: Rc::new(AnyFiles),
        targets: Rc::new(AnyFiles),
        urls: Rc::new(urls),
        pairs,
        checks,
        tellings,
        interval,
        repeat,
        shown: shown(&call.options),
        tells_of_printed: call.options.get_flag("tell-printed"),
        own: own.map(|own| own.id),
        variables: Arc::new(call.environment.clone()),
        output: None,
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
    show_numbers(&call.options).await?;
    let engine = setup::engine(call)?;
    let own = tokio::select! {
        exit = stop.wait() => return Ok(exit),
        own = reach(call, &engine) => own?,
    };
    let mut exit = Exit::Done;
    given(engine, own.container().cloned())
        .watch(async { exit = stop.wait().await }, hangups, print)
        .await?;
    report(&Event::Ended {});
    Ok(exit)
}

/// Shows what is done in numbers from now on, where that is wanted.
async fn show_numbers(options: &ArgMatches) -> Result<(), Failure> {
    let Some(word) = options.get_one::<String>("metrics") else {
        return Ok(());
    };
    let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let at = word.parse().map(local).ok().or_else(|| word.parse().ok());
    let at: SocketAddr = at.filter(|at| at.port() != 0).ok_or_else(|| {
        Failure::Usage(format!(
            "--metrics {word}: that is not a port; write a port such as 9413, or an address with a port, such as \
             0.0.0.0:9413"
        ))
    })?;
    let shown = page_listener::show_pages(at, Vec::new(), Rc::new(RenderPages::begin())).await;
    shown
        .map(drop)
        .map_err(|error| listening::cannot_listen("--metrics", at, &error))
}

/// Each template, with the target that stands behind it.
fn pairs(options: &ArgMatches) -> Result<Vec<Pair>, Failure> {
    let indices = |name: &str| options.indices_of(name).into_iter().flatten();
    let templates = options
        .get_many::<OsString>("template")
        .into_iter()
        .flatten();
    let targets = options.get_many::<PathBuf>("target").into_iter().flatten();
    let mut words: Vec<_> = indices("template")
        .zip(templates.map(|word| Ok(TemplateSource::read(word))))
        .chain(indices("target").zip(targets.map(Err)))
        .collect();
    words.sort_by_key(|(index, _)| *index);
    let mut pairs: Vec<Pair> = Vec::new();
    for (_, word) in words {
        match (word, pairs.last_mut()) {
            (Ok(template), _) => pairs.push(Pair {
                template: template
                    .map_err(|error| Failure::Usage(format!("--template {error}")))?,
                target: None,
            }),
            (Err(target), Some(pair)) if pair.target.is_none() => {
                pair.target = Some(target.clone());
            }
            (Err(target), _) => {
                let problem = format!(
                    "--target {} must stand behind a --template of its own",
                    target.display()
                );
                return Err(Failure::Usage(problem));
            }
        }
    }
    let mut seen = BTreeSet::new();
    let mut targets = pairs.iter().filter_map(|pair| pair.target.as_ref());
    match targets.find(|target| !seen.insert(*target)) {
        Some(target) => Err(Failure::Usage(format!(
            "--target {} is there twice",
            target.display()
        ))),
        None => Ok(pairs),
    }
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

fn repeat(options: &ArgMatches) -> Result<Option<Duration>, Failure> {
    let Some(word) = options.get_one::<String>("repeat") else {
        return Ok(None);
    };
    match Interval::read(&[word]) {
        Ok(Interval { min, .. }) => Ok(Some(min)),
        Err(_) => Err(Failure::Usage(format!(
            "--repeat {word}: that is not a length of time; write seconds, such as 5"
        ))),
    }
}

fn shown(options: &ArgMatches) -> ShownContainers {
    let is_given = |name| options.get_flag(name);
    match (is_given("only-published"), is_given("only-exposed")) {
        (true, _) => ShownContainers::Published,
        (false, true) => ShownContainers::Exposed,
        (false, false) => ShownContainers::All,
    }
}
