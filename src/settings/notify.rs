//! The tables of receivers of news, `[notify.NAME]`: their rows, and how they are read from the file and the environment.

use std::collections::BTreeMap;

use super::{
    SettingsError,
    named_tables::{NamedTable, NamedTables, TablePlace, WrittenTables},
    table::{DefaultValue, SettingRow},
    values::{duration, filled, folder, set, some_words},
};
use crate::values::{NewsChoice, NotifyFormat, NotifySettings, NotifyTable, Secret, exec_words};

/// What can be said about one receiver.
pub const NOTIFY_SETTINGS: &[SettingRow<NotifySettings>] = &[
    SettingRow {
        name: "url",
        value: "URL",
        default: DefaultValue::Words(
            "that of the format, where it has one; else url, url-file or command is a must",
        ),
        doc: "where messages are sent: https, or http to this machine, to an address of a private network, or to a \
              name without a dot. No redirect is followed",
        example: "https://ntfy.sh/TOPIC",
        // What is wrong about it is told elsewhere, without the address.
        read: |notify, value| set(&mut notify.url, Ok(Some(Secret::new(value)))),
    },
    SettingRow {
        name: "url-file",
        value: "FILE",
        default: DefaultValue::Words("none"),
        doc: "a file with that address, where it is a secret",
        example: "/run/secrets/webhook",
        read: |notify, value| set(&mut notify.url_file, folder(value).map(Some)),
    },
    SettingRow {
        name: "format",
        value: "NAME",
        default: DefaultValue::Value("json"),
        doc: "the form that the receiver wants: one of the table below",
        example: "slack",
        read: |notify, value| set(&mut notify.format, NotifyFormat::parse(value)),
    },
    SettingRow {
        name: "token",
        value: "TEXT",
        default: DefaultValue::Words("that in token-file"),
        doc: "the secret that the receiver knows quaymaster by, where the format has a place for it",
        example: "tk_AgQdq7mVBoFD37zQVN29RhuMzNIz2",
        read: |notify, value| set(&mut notify.token, Ok(Some(Secret::new(value)))),
    },
    SettingRow {
        name: "token-file",
        value: "FILE",
        default: DefaultValue::Words("none"),
        doc: "a file with that secret",
        example: "/run/secrets/ntfy-token",
        read: |notify, value| set(&mut notify.token_file, folder(value).map(Some)),
    },
    SettingRow {
        name: "room",
        value: "ID",
        default: DefaultValue::Words("none; matrix and telegram need it"),
        doc: "the room or the chat",
        example: "!636q39766251:example.com",
        read: |notify, value| set(&mut notify.room, filled(value).map(Some)),
    },
    SettingRow {
        name: "command",
        value: "WORDS",
        default: DefaultValue::Words("none"),
        doc: "in place of url: a program that is run each time, without a shell, and again until it ends with 0. Outside of \
              containers alone",
        example: "/usr/local/bin/deploy-hook --quiet",
        read: |notify, value| set(&mut notify.command, command(value).map(Some)),
    },
    SettingRow {
        name: "events",
        value: "WORDS",
        default: DefaultValue::Value("trouble"),
        doc: "what is sent: names of events and of groups of events, from the table below, separated by commas or blanks",
        example: "trouble, obtained",
        read: |notify, value| set(&mut notify.events, NewsChoice::parse(value)),
    },
    SettingRow {
        name: "names",
        value: "NAMES",
        default: DefaultValue::Words("whatever it is about"),
        doc: "the certificates, hosts and containers whose events are sent, separated by commas or blanks; \
              `*.corp.example` is all names below it. Events about none of them, such as that the engine can't be \
              reached, are not sent then",
        example: "shop.example, *.corp.example",
        read: |notify, value| set(&mut notify.names, some_words(value)),
    },
    SettingRow {
        name: "after",
        value: "TIME",
        default: DefaultValue::Value("1m"),
        doc: "how long trouble has to last before it is sent: a server that is recreated is away for seconds, and many \
              failures are over with the second try. 0s: at once",
        example: "10m",
        read: |notify, value| set(&mut notify.after, duration(value)),
    },
    SettingRow {
        name: "template",
        value: "FILE",
        default: DefaultValue::Words("that of the format"),
        doc: "a template of yours for the body. It sees event, is_over, level, title, text, names, at, since, ends, id, matter \
              and room; the filter `json` writes a value as JSON, `start(100)` keeps the first characters. Read at the start",
        example: "/templates/message.json",
        read: |notify, value| set(&mut notify.template, folder(value).map(Some)),
    },
    SettingRow {
        name: "method",
        value: "WORD",
        default: DefaultValue::Words("that of the format"),
        doc: "the HTTP method",
        example: "PUT",
        read: |notify, value| set(&mut notify.method, method(value).map(Some)),
    },
    SettingRow {
        name: "headers",
        value: "LINES",
        default: DefaultValue::Words("those in headers-file"),
        doc: "header lines, one per line; they take precedence over those of the format",
        example: "Tags: lock",
        read: |notify, value| set(&mut notify.headers, Ok(Some(Secret::new(value)))),
    },
    SettingRow {
        name: "headers-file",
        value: "FILE",
        default: DefaultValue::Words("none"),
        doc: "a file with header lines, where there is a secret in them",
        example: "/run/secrets/headers",
        read: |notify, value| set(&mut notify.headers_file, folder(value).map(Some)),
    },
    SettingRow {
        name: "root",
        value: "FILE",
        default: DefaultValue::Words("the usual roots"),
        doc: "a PEM file with roots that are trusted there in addition to the usual ones",
        example: "/etc/ssl/corp-root.pem",
        read: |notify, value| set(&mut notify.root, folder(value).map(Some)),
    },
];

/// Words as a shell would split them.
fn command(value: &str) -> Result<Vec<String>, String> {
    // The reader of such words wants another one before them.
    let words = exec_words(&format!("exec {value}")).unwrap_or_else(|| Ok(Vec::new()))?;
    match words.first() {
        None => Err("there are no words to run".to_owned()),
        Some(program) if program.starts_with('/') => Ok(words),
        Some(_) => Err("write the absolute path of the program, beginning with /".to_owned()),
    }
}

fn method(value: &str) -> Result<String, String> {
    match value {
        "POST" | "PUT" | "PATCH" => Ok(value.to_owned()),
        _ => Err("write POST, PUT or PATCH".to_owned()),
    }
}

/// The tables `[notify.NAME]`.
pub(super) const TABLES: NamedTables<NotifySettings> = NamedTables {
    place: TablePlace {
        setting: "notify",
        own: None,
    },
    rows: NOTIFY_SETTINGS,
};

/// All receivers, from lines of TOML.
pub(super) fn of_text(text: &str) -> Result<NotifyTable, String> {
    let read = TABLES.of_text(text).and_then(receivers);
    read.map_err(|error| error.to_string())
}

/// All receivers, from the file and, before that, the environment.
pub(super) fn read(
    written: WrittenTables,
    environment: &BTreeMap<String, String>,
) -> Result<NotifyTable, SettingsError> {
    receivers(TABLES.read(written, environment)?)
}

fn receivers(tables: Vec<NamedTable<NotifySettings>>) -> Result<NotifyTable, SettingsError> {
    let mut receivers = NotifyTable::default();
    for table in tables {
        receivers.add(&table.name, table.settings, &table.fields)?;
    }
    Ok(receivers)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{
        super::{SettingSources, Settings},
        *,
    };

    fn read(file: &str, environment: &[(&str, &str)]) -> Result<NotifyTable, String> {
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
        Ok(settings.notify)
    }

    #[test]
    fn each_row_reads_its_own_example_and_its_default() {
        for row in NOTIFY_SETTINGS {
            let read = (row.read)(&mut NotifySettings::default(), row.example);
            assert_eq!(read, Ok(()), "{}", row.name);
            if let DefaultValue::Value(value) = row.default {
                let mut settings = NotifySettings::default();
                assert_eq!((row.read)(&mut settings, value), Ok(()), "{}", row.name);
                assert_eq!(settings, NotifySettings::default(), "{}", row.name);
            }
        }
    }

    #[test]
    fn a_receiver_is_read_from_the_file_or_the_environment_and_its_secrets_are_not_shown() {
        let file = "[notify.phone]
            url = \"https://ntfy.sh/s3cret\"
            format = \"ntfy\"
            token = \"s3cret\"
            headers = \"X-A: s3cret\\nX-B: 2\"
            events = \"trouble obtained\"
            names = \"a.example, *.b.example\"
            after = \"0s\"
            [notify.hook]
            command = \"/bin/hook 'a b' c\"
            events = \"obtained\"";
        let table = read(file, &[]).expect("two receivers");
        let phone = table.named("phone").expect("it is there");
        assert_eq!((phone.format.name, phone.after), ("ntfy", Duration::ZERO));
        assert_eq!(phone.names, ["a.example", "*.b.example"]);
        let hook = table.named("hook").expect("it is there");
        let words = ["/bin/hook", "a b", "c"].map(str::to_owned);
        assert_eq!(hook.command.as_deref(), Some(&words[..]));
        assert!(!format!("{table:?}").contains("s3cret"), "it is shown");
        let variables = [
            ("QUAYMASTER_NOTIFY__PHONE__URL", "https://ntfy.sh/s3cret"),
            ("QUAYMASTER_NOTIFY__PHONE__FORMAT", "ntfy"),
            ("QUAYMASTER_NOTIFY__PHONE__TOKEN", "s3cret"),
            ("QUAYMASTER_NOTIFY__PHONE__HEADERS", "X-A: s3cret\nX-B: 2"),
            ("QUAYMASTER_NOTIFY__PHONE__EVENTS", "obtained,trouble"),
            ("QUAYMASTER_NOTIFY__PHONE__NAMES", "a.example *.b.example"),
            ("QUAYMASTER_NOTIFY__PHONE__AFTER", "0s"),
            ("QUAYMASTER_NOTIFY__HOOK__COMMAND", "/bin/hook 'a b' c"),
            ("QUAYMASTER_NOTIFY__HOOK__EVENTS", "obtained"),
        ];
        assert_eq!(read("", &variables), Ok(table));
    }

    #[test]
    fn what_is_missing_wrong_or_of_no_use_is_told_without_a_secret() {
        for (lines, expected) in [
            (
                "",
                "it does not say where to send to; write url, url-file or command",
            ),
            (
                "url = \"https://s3cret/\"\nurl-file = \"/x\"",
                "it has url and url-file; keep one",
            ),
            ("url = \"http://ntfy.sh/s3cret\"", "begins with http://"),
            ("url = \"s3cret\"", "[notify.a]: the url is not a URL"),
            (
                "url = \"https://u:s3cret@a/\"",
                "a name or a password before its host",
            ),
            (
                "url = \"https://a/\"\nformat = \"slak\"",
                "there is no such format; did you mean slack?",
            ),
            (
                "url = \"https://a/\"\nformat = \"matrix\"\nroom = \"!a\"",
                "format matrix needs token",
            ),
            (
                "format = \"telegram\"\ntoken = \"s3cret\"",
                "format telegram needs room",
            ),
            (
                "url = \"https://a/\"\nformat = \"slack\"\ntoken = \"s3cret\"",
                "format slack has no use for a token",
            ),
            (
                "url = \"https://a/\"\nroom = \"x\"",
                "format json has no use for room",
            ),
            (
                "url = \"https://a/\"\nheaders = \"s3cret\"",
                "line 1 of the headers is not a header",
            ),
            (
                "url = \"https://a/\"\nevents = \"obtaind\"",
                "did you mean obtained?",
            ),
            (
                "url = \"https://a/\"\nmethod = \"GET\"",
                "write POST, PUT or PATCH",
            ),
            (
                "url = \"https://a/\"\nafter = \"1 month\"",
                "months and years have no fixed length",
            ),
            (
                "command = \"hook\"",
                "write the absolute path of the program",
            ),
            (
                "command = \"/hook\"\nurl = \"https://a/\"",
                "a command has no use for url",
            ),
            (
                "ulr = \"https://a/\"",
                "q.toml: notify.a.ulr: there is no such setting; did you mean url?",
            ),
        ] {
            let told = read(&format!("[notify.a]\n{lines}"), &[]).expect_err("it is wrong");
            assert!(told.contains(expected), "{told}");
            assert!(!told.contains("s3cret"), "{told}");
        }
        let told = read("[notify]\na = \"https://s3cret/\"", &[]).expect_err("no table");
        assert!(
            told.contains("must be a table") && !told.contains("s3cret"),
            "{told}"
        );
        let told = read("notify = \"a = 's3cret'\"", &[]).expect_err("no table");
        assert!(
            told.contains("must be a table") && !told.contains("s3cret"),
            "{told}"
        );
        let told = read("[notify.\"A b\"]\nurl = \"https://a/\"", &[]).expect_err("no name");
        assert!(
            told.contains("lower-case letters, digits and hyphens"),
            "{told}"
        );
    }
}
