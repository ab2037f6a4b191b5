//! The tables of files of one's own, `[outputs.NAME]`: their rows, and how they are read from the file and the environment.

use std::collections::BTreeMap;

use super::{
    SettingsError, Written,
    table::{DefaultValue, SettingRow},
    values::{filled, folder, set},
};
use crate::values::{Output, OutputSettings, ReloadWord, exec_words, nearest};

/// The beginning of outputs' variables; the output's name and the key follow, with two underscores between them.
const VARIABLES: &str = "QUAYMASTER_OUTPUTS__";

/// The settings of one output.
pub const OUTPUT_SETTINGS: &[SettingRow<OutputSettings>] = &[
    SettingRow {
        name: "template",
        value: "FILE",
        default: DefaultValue::Words("a must"),
        doc: "the template, as quaymaster sees it; what it includes lies in its folder. It is read again when \
              something there changes",
        example: "/templates/targets.json.tmpl",
        read: |output, value| set(&mut output.template, folder(value).map(Some)),
    },
    SettingRow {
        name: "target",
        value: "FILE",
        default: DefaultValue::Words("a must"),
        doc: "the file that it makes: as the consumer sees it, on a volume that quaymaster mounts too; without a consumer, \
              as quaymaster sees it",
        example: "/etc/prometheus/targets/containers.json",
        read: |output, value| {
            set(
                &mut output.target,
                OutputSettings::read_target(value).map(Some),
            )
        },
    },
    SettingRow {
        name: "consumer",
        value: "CONTAINER",
        default: DefaultValue::Words("none: nothing is reloaded"),
        doc: "who reads the file: a container's name or id, a service of quaymaster's own Compose project (of any, where \
              quaymaster runs outside Compose), or PROJECT/SERVICE",
        example: "prometheus",
        read: |output, value| set(&mut output.consumer, filled(value).map(Some)),
    },
    SettingRow {
        name: "reload",
        value: "SIGNAL|exec WORDS…|restart|none",
        default: DefaultValue::Words("none: the consumer looks for itself"),
        doc: "how the consumer is reloaded when the file has changed, with the words of the label `reload`. This needs \
              no grant, because the settings are yours",
        example: "HUP",
        read: |output, value| set(&mut output.reload, ReloadWord::parse(value).map(Some)),
    },
    SettingRow {
        name: "check",
        value: "exec WORDS…",
        default: DefaultValue::Words("none"),
        doc: "words that are run in the consumer when the file is in place, before the consumer is reloaded; if they \
              end with a code other than 0, the previous file is restored and nothing is reloaded",
        example: "exec promtool check config /etc/prometheus/prometheus.yml",
        read: |output, value| set(&mut output.check, check(value).map(Some)),
    },
];

/// The words of a check.
fn check(value: &str) -> Result<Vec<String>, String> {
    match exec_words(value) {
        None => Err("it does not begin with exec".to_owned()),
        Some(words) => words.and_then(|words| match words.is_empty() {
            true => Err("there are no words to run".to_owned()),
            false => Ok(words),
        }),
    }
}

/// The written values of each output, by its name and the row's.
pub(super) type WrittenOutputs = BTreeMap<String, BTreeMap<&'static str, Written>>;

fn row(key: &str) -> Option<&'static SettingRow<OutputSettings>> {
    OUTPUT_SETTINGS.iter().find(|row| row.name == key)
}

/// The name of the output and the row that a variable is about.
fn variable(name: &str) -> Option<(String, &'static SettingRow<OutputSettings>)> {
    let (output, key) = name.strip_prefix(VARIABLES)?.split_once("__")?;
    let [output, key] = [output, key].map(|word| word.to_ascii_lowercase().replace('_', "-"));
    Some((output, row(&key)?))
}

/// True if a variable is about an output.
pub(super) fn is_variable(name: &str) -> bool {
    variable(name).is_some()
}

/// Reads the tables of all outputs in the file.
pub(super) fn of_file(table: toml::Table, origin: &str) -> Result<WrittenOutputs, SettingsError> {
    let mut outputs = WrittenOutputs::new();
    for (name, value) in table {
        let origin = format!("{origin}.{name}");
        let toml::Value::Table(table) = value else {
            return Err(SettingsError::File(format!(
                "{origin} must be a table; write [outputs.{name}]"
            )));
        };
        outputs.insert(name, of_table(table, &origin)?);
    }
    Ok(outputs)
}

/// Reads the table of one output.
fn of_table(
    table: toml::Table,
    origin: &str,
) -> Result<BTreeMap<&'static str, Written>, SettingsError> {
    let mut written = BTreeMap::new();
    for (key, value) in table {
        let origin = format!("{origin}.{key}");
        let Some(row) = row(&key) else {
            return Err(SettingsError::Unknown {
                origin,
                nearest: nearest(&key, OUTPUT_SETTINGS.iter().map(|row| row.name)),
            });
        };
        let value = super::scalar(value, &origin)?;
        written.insert(row.name, Written { origin, value });
    }
    Ok(written)
}

/// All outputs, from lines of TOML.
pub(super) fn of_text(text: &str) -> Result<Vec<Output>, String> {
    let table: toml::Table = text
        .parse()
        .map_err(|error: toml::de::Error| error.message().to_owned())?;
    let outputs = of_file(table, "outputs").and_then(|written| read(written, &BTreeMap::new()));
    outputs.map_err(|error| error.to_string())
}

/// All outputs, from the file and, before that, the environment.
pub(super) fn read(
    mut written: WrittenOutputs,
    environment: &BTreeMap<String, String>,
) -> Result<Vec<Output>, SettingsError> {
    for (name, value) in environment {
        if let Some((output, row)) = variable(name) {
            let written = written.entry(output).or_default();
            let (origin, value) = (name.clone(), value.clone());
            written.insert(row.name, Written { origin, value });
        }
    }
    let mut outputs = Vec::new();
    for (name, written) in written {
        let mut output = OutputSettings::default();
        for row in OUTPUT_SETTINGS {
            if let Some(written) = written.get(row.name) {
                row.take(&mut output, written)?;
            }
        }
        outputs.push(output.whole(&name)?);
    }
    Ok(Output::apart(outputs)?)
}

#[cfg(test)]
mod tests {
    use super::{
        super::{SettingSources, Settings},
        *,
    };
    use crate::values::Signal;

    fn read(file: &str, environment: &[(&str, &str)]) -> Result<Vec<Output>, String> {
        let each = environment.iter();
        let written = SettingSources {
            file: Some(("q.toml".into(), file.to_owned())),
            environment: each
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            ..SettingSources::default()
        };
        let (settings, strangers) = Settings::read(&written).map_err(|error| error.to_string())?;
        assert_eq!(strangers, [""; 0]);
        Ok(settings.outputs)
    }

    #[test]
    fn each_row_reads_its_own_example() {
        for row in OUTPUT_SETTINGS {
            let read = (row.read)(&mut OutputSettings::default(), row.example);
            assert_eq!(read, Ok(()), "{}", row.name);
        }
    }

    #[test]
    fn an_output_is_read_from_the_file_or_the_environment_key_by_key() {
        let file = "[outputs.targets]
            template = \"/t/targets.tmpl\"
            target = \"/etc/prometheus/targets.json\"
            consumer = \"prometheus\"
            reload = \"HUP\"
            check = \"exec promtool check 'a b'\"
            [outputs.own]
            template = \"/t/own\"
            target = \"/out/own\"";
        let outputs = read(file, &[("QUAYMASTER_OUTPUTS__TARGETS__RELOAD", "restart")]);
        let outputs = outputs.expect("they are outputs");
        let words = ["promtool", "check", "a b"].map(str::to_owned).to_vec();
        let targets = Output {
            name: "targets".to_owned(),
            template: "/t/targets.tmpl".into(),
            target: "/etc/prometheus/targets.json".into(),
            consumer: Some("prometheus".to_owned()),
            reload: ReloadWord::Restart,
            check: Some(words),
        };
        assert_eq!(outputs[1], targets);
        assert_eq!(
            (outputs[0].consumer.as_ref(), &outputs[0].reload),
            (None, &ReloadWord::None)
        );
        let by_file_alone = read(file, &[]).expect("they are outputs");
        let signal = ReloadWord::Signal(Signal::HUP);
        assert_eq!(by_file_alone[1].reload, signal);
    }

    #[test]
    fn what_is_wrong_in_a_table_is_told_with_its_place_and_what_to_write() {
        let with = |line: &str| {
            format!("[outputs.x]\ntemplate = \"/t\"\ntarget = \"/a/b\"\nconsumer = \"c\"\n{line}")
        };
        for (file, expected) in [
            (
                with("cosumer = \"c\""),
                "q.toml: outputs.x.cosumer: there is no such setting; did you mean consumer?",
            ),
            (
                with("reload = \"HUPP\""),
                "q.toml: outputs.x.reload=\"HUPP\": \"HUPP\" is not a signal",
            ),
            (
                with("check = \"nginx -t\""),
                "it does not begin with exec; it takes exec WORDS…",
            ),
            (with("check = \"exec\""), "there are no words to run"),
            (with("reload = [1]"), "must be a text in quotes"),
            (
                "[outputs.x]\ntarget = \"/a\"".to_owned(),
                "[outputs.x]: it has no template; write template = ",
            ),
            (
                "[outputs.x]\ntemplate = \"/t\"".to_owned(),
                "[outputs.x]: it has no target; write the absolute path",
            ),
            (
                "[outputs.x]\ntemplate = \"/t\"\ntarget = \"/a\"\nreload = \"HUP\"".to_owned(),
                "write consumer = \"SERVICE\"",
            ),
            (
                "[outputs.X]\ntemplate = \"/t\"\ntarget = \"/a\"".to_owned(),
                "[outputs.X]: its name may have a-z, 0-9 and - alone",
            ),
            (
                format!(
                    "{}\n[outputs.y]\ntemplate = \"/t\"\ntarget = \"/a/b\"\nconsumer = \"c\"",
                    with("")
                ),
                "[outputs.y]: it makes the same file as [outputs.x]",
            ),
            (
                "[outputs]\nx = \"/t\"".to_owned(),
                "q.toml: outputs.x must be a table; write [outputs.x]",
            ),
            ("outputs = \"x\"".to_owned(), "q.toml: outputs=\"x\": "),
        ] {
            let told = read(&file, &[]).expect_err("it is refused");
            assert!(told.contains(expected), "{told}");
        }
    }

    #[test]
    fn a_target_is_the_whole_path_of_a_file_that_is_not_ours() {
        for (target, problem) in [
            ("out", "an absolute path"),
            ("/a/../b", "an absolute path"),
            ("/", "no file's name"),
            ("/a/", "it is a folder"),
            ("/a/quaymaster-shop.conf", "are quaymaster's own"),
            ("/a/.quaymaster", "are quaymaster's own"),
        ] {
            let told = OutputSettings::read_target(target).expect_err("it is refused");
            assert!(told.contains(problem), "{target}: {told}");
        }
        assert_eq!(OutputSettings::read_target("/a/b"), Ok("/a/b".into()));
    }
}
