//! docker-pygen's command line, so that a `command:` of a Compose file stays as it is: each of its flags is a row that says
//! what becomes of it. All that it does is done by `render`.

use std::ffi::OsString;

use clap::{Arg, ArgAction, ArgMatches, Command};

/// A flag of docker-pygen's.
struct PygenFlag {
    name: &'static str,
    /// The number of values behind it.
    values: Values,
    does: Does,
}

/// The number of values behind a flag.
#[derive(Clone, Copy)]
enum Values {
    /// Nothing.
    None,
    /// One value, of which the last counts.
    One,
    /// So many values each time, and it may be there several times.
    Each(usize),
    /// One value or more.
    Some,
}

/// The effect of a flag.
#[derive(Clone, Copy)]
enum Does {
    /// It is given to `render` as these words; there is no need to say so. The second argument says whether the program
    /// goes on watching.
    Becomes(fn(&[&str], bool) -> Vec<String>),
    /// The program does not go on watching.
    Once,
    /// There is nothing left to do for it, in words.
    NotNeeded(&'static str),
    /// It does nothing yet, in words.
    Later(&'static str),
    /// Without it the program would be another one, in words.
    Refused(&'static str),
}

/// Every flag of docker-pygen's and of its worker's.
const FLAGS: &[PygenFlag] = &[
    PygenFlag {
        name: "template",
        values: Values::One,
        does: Does::Becomes(|values, _| same("template", values)),
    },
    PygenFlag {
        name: "target",
        values: Values::One,
        does: Does::Becomes(|values, _| match values {
            // As its help has it; a file is replaced, and this can't be.
            ["/dev/stdout"] => Vec::new(),
            _ => same("target", values),
        }),
    },
    PygenFlag {
        name: "restart",
        values: Values::Each(1),
        does: Does::Becomes(|values, _| same("restart", values)),
    },
    PygenFlag {
        name: "signal",
        values: Values::Each(2),
        does: Does::Becomes(|values, _| same("signal", values)),
    },
    PygenFlag {
        name: "interval",
        values: Values::Some,
        does: Does::Becomes(|values, watches| match watches {
            true => interval(values),
            // What is done once is done at once.
            false => Vec::new(),
        }),
    },
    PygenFlag {
        name: "repeat",
        values: Values::One,
        does: Does::Becomes(|values, watches| match watches && values != ["0"] {
            true => same("repeat", values),
            false => Vec::new(),
        }),
    },
    PygenFlag {
        name: "events",
        values: Values::Some,
        does: Does::NotNeeded(
            "--events is not needed: every event that changes what templates see of a container that runs is followed, \
             whatever stands here",
        ),
    },
    PygenFlag {
        name: "one-shot",
        values: Values::None,
        does: Does::Once,
    },
    PygenFlag {
        name: "docker-address",
        values: Values::One,
        does: Does::Becomes(|values, _| {
            let each = values
                .iter()
                .map(|value| format!("--engine={}", address(value)));
            each.collect()
        }),
    },
    PygenFlag {
        name: "no-ssl-check",
        values: Values::None,
        does: Does::Becomes(|_, _| same("no-ssl-check", &[])),
    },
    PygenFlag {
        name: "debug",
        values: Values::None,
        does: Does::Becomes(|_, _| vec!["--log=debug".to_owned()]),
    },
    PygenFlag {
        name: "metrics",
        values: Values::One,
        // There it listened at all addresses: what collects them is another container.
        does: Does::Becomes(|values, watches| match watches {
            true => {
                let at = |port: &&str| format!("--metrics=0.0.0.0:{port}");
                values.iter().map(at).collect()
            }
            false => Vec::new(),
        }),
    },
    PygenFlag {
        name: "swarm-manager",
        values: Values::None,
        does: Does::Later(
            "--swarm-manager: services, tasks and nodes of a Swarm are not read yet, and nothing listens for its \
             workers; only containers of this engine are rendered and signalled",
        ),
    },
    PygenFlag {
        name: "workers",
        values: Values::Some,
        does: Does::Later(
            "--workers: containers of other nodes are not signalled yet; containers of this engine are",
        ),
    },
    PygenFlag {
        name: "retries",
        values: Values::One,
        does: Does::NotNeeded(
            "--retries is not needed: it is about workers; a signal that fails is sent again until it succeeds",
        ),
    },
    PygenFlag {
        name: "manager",
        values: Values::Some,
        does: Does::Refused(
            "--manager: this is the command line of docker-pygen's worker, which is not there yet; leave it to docker-pygen, \
             or run quaymaster on each node for the containers there",
        ),
    },
];

/// The flag that there must be.
const TEMPLATE: &str = "template";

/// Time for which docker-pygen gathered changes, where nothing is said.
const INTERVAL: [&str; 2] = ["0.5", "2"];

/// The result of reading a command line of docker-pygen's.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PygenLine {
    /// The words of the command line that does it, with the program's name.
    pub words: Vec<OsString>,
    /// Remarks about flags that do nothing, each with true if something is missing.
    pub said: Vec<(&'static str, bool)>,
}

/// True if these words, behind the program's name, begin as docker-pygen's command line does.
pub(super) fn is_pygen<'w>(words: impl IntoIterator<Item = &'w str>) -> bool {
    let first = words.into_iter().next().unwrap_or_default();
    let name = first.split('=').next().unwrap_or_default();
    let name = name.strip_prefix("--");
    FLAGS.iter().any(|flag| name == Some(flag.name))
}

/// The command line that does what one of docker-pygen's says; nothing for any other.
///
/// # Errors
/// What is wrong with it.
pub(super) fn read(arguments: &[OsString]) -> Result<Option<PygenLine>, clap::Error> {
    let behind = arguments.iter().skip(1);
    if !is_pygen(behind.filter_map(|word| word.to_str())) {
        return Ok(None);
    }
    let matches = command().try_get_matches_from(arguments)?;
    let watches = !FLAGS
        .iter()
        .any(|flag| matches!(flag.does, Does::Once) && flag.is_in(&matches));
    let mut words: Vec<OsString> = arguments.iter().take(1).cloned().collect();
    words.extend(["render", "--tell-printed"].map(Into::into));
    let mut said = Vec::new();
    for flag in FLAGS.iter().filter(|flag| flag.is_in(&matches)) {
        match flag.does {
            Does::Becomes(becomes) => {
                let each = flag.values(&matches).into_iter();
                words.extend(
                    each.flat_map(|values| becomes(&values, watches))
                        .map(Into::into),
                );
            }
            Does::Once => {}
            Does::NotNeeded(line) => said.push((line, false)),
            Does::Later(line) => said.push((line, true)),
            Does::Refused(line) => {
                let words = format!("{line}\n");
                let error = clap::Error::raw(clap::error::ErrorKind::InvalidValue, words);
                return Err(error.with_cmd(&command()));
            }
        }
    }
    if watches {
        words.push("--watch".into());
        if matches.get_raw("interval").is_none() {
            words.extend(interval(&INTERVAL).into_iter().map(Into::into));
        }
    }
    Ok(Some(PygenLine { words, said }))
}

impl PygenFlag {
    fn is_in(&self, matches: &ArgMatches) -> bool {
        match self.values {
            Values::None => matches.get_flag(self.name),
            _ => matches.contains_id(self.name),
        }
    }

    /// The values behind it, each time that it is there.
    fn values<'m>(&self, matches: &'m ArgMatches) -> Vec<Vec<&'m str>> {
        if let Values::None = self.values {
            return vec![Vec::new()];
        }
        let each = matches.get_occurrences::<String>(self.name);
        let each = each.into_iter().flatten();
        each.map(|values| values.map(String::as_str).collect())
            .collect()
    }

    fn arg(&self) -> Arg {
        let arg = Arg::new(self.name).long(self.name).help(match self.does {
            Does::Becomes(_) | Does::Once => "as docker-pygen has it",
            Does::NotNeeded(line) | Does::Later(line) | Does::Refused(line) => line,
        });
        let arg = match self.values {
            Values::None => return arg.action(ArgAction::SetTrue),
            Values::One => arg.action(ArgAction::Set).num_args(1),
            Values::Each(values) => arg.action(ArgAction::Append).num_args(values),
            Values::Some => arg.action(ArgAction::Append).num_args(1..),
        };
        arg.allow_negative_numbers(true)
    }
}

/// As Python's argparse reads it: the beginning of a flag's name will do, and of two values the last counts.
fn command() -> Command {
    let others = FLAGS
        .iter()
        .filter(|flag| matches!(flag.does, Does::Refused(_)));
    let others: Vec<_> = others.map(|flag| flag.name).collect();
    let arg = |flag: &PygenFlag| match flag.name == TEMPLATE {
        true => flag.arg().required_unless_present_any(&others),
        false => flag.arg(),
    };
    Command::new("quaymaster")
        .about("The command line of docker-pygen, done by `quaymaster render`")
        .infer_long_args(true)
        .args_override_self(true)
        .args(FLAGS.iter().map(arg))
}

/// The flag of `render` that has the same name and takes the same values.
fn same(name: &str, values: &[&str]) -> Vec<String> {
    let flag = format!("--{name}");
    let values = values.iter().map(|value| (*value).to_owned());
    std::iter::once(flag).chain(values).collect()
}

/// There, no least length means that nothing is gathered, whatever the longest is.
fn interval(values: &[&str]) -> Vec<String> {
    let is_none = |value: &str| value.parse::<f64>().is_ok_and(|seconds| seconds <= 0.0);
    match values {
        [least] | [least, _] if is_none(least) => same("interval", &["0", "0"]),
        _ => same("interval", values),
    }
}

/// An address as Docker's library for Python takes it: `unix://var/run/docker.sock`, `host:2375`.
fn address(value: &str) -> String {
    let value = value.strip_prefix("http+").unwrap_or(value);
    match value.split_once("://") {
        Some(("unix", path)) => format!("unix:///{}", path.trim_start_matches('/')),
        None if !value.starts_with('/') => format!("tcp://{value}"),
        _ => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(words: &str) -> Result<Option<PygenLine>, clap::Error> {
        let words = shell_words::split(words).expect("it is written as for a shell");
        let words: Vec<OsString> = ["quaymaster".to_owned()]
            .into_iter()
            .chain(words)
            .map(Into::into)
            .collect();
        read(&words)
    }

    /// The words for `render`, without those that every line has.
    fn becomes(words: &str) -> String {
        let line = line(words).expect(words).expect(words);
        let taken = super::super::command_line::command().try_get_matches_from(&line.words);
        assert!(taken.is_ok(), "{words}: {taken:?}");
        let words: Vec<_> = line.words.iter().filter_map(|word| word.to_str()).collect();
        let (head, rest) = words.split_at(3);
        assert_eq!(head, ["quaymaster", "render", "--tell-printed"]);
        rest.join(" ")
    }

    #[test]
    fn each_flag_of_docker_pygen_becomes_one_of_render() {
        const ONCE: &str = "--template t --one-shot";
        for (flag, expected) in [
            ("", "--template t"),
            ("--target /a", "--template t --target /a"),
            ("--target=/a", "--template t --target /a"),
            ("--targ /a", "--template t --target /a"),
            ("--target /dev/stdout", "--template t"),
            ("--template u", "--template u"),
            (
                "--restart a --restart b",
                "--template t --restart a --restart b",
            ),
            (
                "--signal a HUP --signal b 1",
                "--template t --signal a HUP --signal b 1",
            ),
            ("--interval 1 2", "--template t"),
            ("--repeat 3", "--template t"),
            (
                "--docker-address tcp://a:1",
                "--template t --engine=tcp://a:1",
            ),
            ("--no-ssl-check", "--template t --no-ssl-check"),
            ("--debug", "--template t --log=debug"),
            ("--events start die --one-shot", "--template t"),
            ("--metrics 9413", "--template t"),
            ("--swarm-manager", "--template t"),
            ("--workers a b", "--template t"),
            ("--retries 2", "--template t"),
        ] {
            assert_eq!(becomes(&format!("{ONCE} {flag}")), expected, "{flag}");
        }
        for (flag, expected) in [
            ("", "--watch --interval 0.5 2"),
            ("--interval 1", "--interval 1 --watch"),
            ("--interval 1 3", "--interval 1 3 --watch"),
            ("--interval 0 3", "--interval 0 0 --watch"),
            ("--interval -1", "--interval 0 0 --watch"),
            (
                "--metrics 9413",
                "--metrics=0.0.0.0:9413 --watch --interval 0.5 2",
            ),
            ("--repeat 0", "--watch --interval 0.5 2"),
            ("--repeat 2.5", "--repeat 2.5 --watch --interval 0.5 2"),
        ] {
            let words = becomes(&format!("--template t {flag}"));
            assert_eq!(words, format!("--template t {expected}"), "{flag}");
        }
        assert_eq!(
            becomes("--template '#{{ x }}' --one-shot"),
            "--template #{{ x }}"
        );
    }

    #[test]
    fn what_does_nothing_is_said_in_a_line() {
        for flag in FLAGS {
            let (line, is_missing) = match flag.does {
                Does::Becomes(_) | Does::Once | Does::Refused(_) => continue,
                Does::NotNeeded(line) => (line, false),
                Does::Later(line) => (line, true),
            };
            let value = if matches!(flag.values, Values::None) {
                ""
            } else {
                "1"
            };
            let read = self::line(&format!("--template t --{} {value}", flag.name));
            let read = read.expect(flag.name).expect(flag.name);
            assert_eq!(read.said, [(line, is_missing)]);
            assert!(
                line.starts_with(&format!("--{}", flag.name)) && !line.contains('\n'),
                "{line}"
            );
        }
    }

    #[test]
    fn another_command_line_is_left_alone_and_a_wrong_one_is_told() {
        for other in [
            "",
            "watch",
            "--help",
            "--templates /t watch",
            "-h",
            "--log=debug watch",
        ] {
            assert_eq!(line(other).expect(other), None, "{other}");
        }
        for (wrong, problem) in [
            ("--one-shot", "--template"),
            ("--template t --watch", "--watch"),
            ("--template t watch", "watch"),
            ("--signal a", "2 values required"),
            ("--manager a", "docker-pygen's worker"),
        ] {
            let told = line(wrong).expect_err(wrong).to_string();
            assert!(told.contains(problem), "{wrong}: {told}");
        }
    }

    #[test]
    fn an_address_is_read_as_docker_s_library_for_python_reads_it() {
        for (written, expected) in [
            ("unix://var/run/docker.sock", "unix:///var/run/docker.sock"),
            ("unix:///var/run/docker.sock", "unix:///var/run/docker.sock"),
            ("http+unix:///run/d.sock", "unix:///run/d.sock"),
            ("/run/d.sock", "/run/d.sock"),
            ("tcp://proxy:2375", "tcp://proxy:2375"),
            ("https://proxy:2376", "https://proxy:2376"),
            ("proxy:2375", "tcp://proxy:2375"),
        ] {
            assert_eq!(address(written), expected, "{written}");
        }
    }

    #[test]
    fn each_flag_stands_in_the_page_for_those_who_come_from_docker_pygen() {
        let page = include_str!("../../docs/coming-from.md");
        for flag in FLAGS {
            assert!(page.contains(&format!("`--{}", flag.name)), "{}", flag.name);
        }
    }
}
