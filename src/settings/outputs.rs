//! The tables of files of one's own, `[outputs.NAME]`: their rows, and how they are read from the file and the environment.

use std::collections::BTreeMap;

use super::{
    SettingsError,
    named_tables::{NamedTable, NamedTables, TablePlace, WrittenTables},
    table::{DefaultValue, SettingRow},
    values::{filled, folder, set},
};
use crate::values::{Output, OutputSettings, ReloadWord, exec_words};

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

/// The tables `[outputs.NAME]`.
pub(super) const TABLES: NamedTables<OutputSettings> = NamedTables {
    place: TablePlace {
        setting: "outputs",
        own: None,
    },
    rows: OUTPUT_SETTINGS,
};

/// All outputs, from lines of TOML.
pub(super) fn of_text(text: &str) -> Result<Vec<Output>, String> {
    let read = TABLES.of_text(text).and_then(outputs);
    read.map_err(|error| error.to_string())
}

/// All outputs, from the file and, before that, the environment.
pub(super) fn read(
    written: WrittenTables,
    environment: &BTreeMap<String, String>,
) -> Result<Vec<Output>, SettingsError> {
    outputs(TABLES.read(written, environment)?)
}

fn outputs(tables: Vec<NamedTable<OutputSettings>>) -> Result<Vec<Output>, SettingsError> {
    let mut outputs = Vec::new();
    for table in tables {
        outputs.push(table.settings.whole(&table.name)?);
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
                "q.toml: outputs.x must be a table; write [outputs.NAME]",
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
