//! The tables of further engines, `[engine.NAME]`: their rows, and how they are read from the file and the environment.

use std::collections::BTreeMap;

use super::{
    SettingsError,
    named_tables::{NamedTables, OwnValue, TablePlace, WrittenTables},
    table::{DefaultValue, SettingRow},
    values::{filled, folder, set},
};
use crate::values::{EngineName, EngineSettings};

/// The settings of a further engine.
pub const ENGINE_SETTINGS: &[SettingRow<EngineSettings>] = &[
    SettingRow {
        name: "address",
        value: "ADDRESS",
        default: DefaultValue::Words("none: a must"),
        doc: "where its API is: tcp://HOST:PORT; ssh://USER@HOST, through the program `ssh` of the machine that quaymaster runs on; \
              or unix:///PATH for a second one on this machine",
        example: "tcp://10.0.0.2:2376",
        read: |engine, value| set(&mut engine.address, filled(value)),
    },
    SettingRow {
        name: "tls",
        value: "FOLDER",
        default: DefaultValue::Words(
            "none: tcp without TLS, which gives the whole machine to anybody on the way",
        ),
        doc: "folder with ca.pem, cert.pem and key.pem, as `DOCKER_CERT_PATH` has them: tcp means TLS then",
        example: "/run/secrets/blue",
        read: |engine, value| set(&mut engine.tls, folder(value).map(Some)),
    },
    SettingRow {
        name: "host",
        value: "HOST",
        default: DefaultValue::Words("that of the address; this machine for unix://"),
        doc: "where the ports are reached that its containers publish: an address, or a name that is looked up at each look at \
              the engine",
        example: "10.0.0.2",
        read: |engine, value| set(&mut engine.host, filled(value).map(Some)),
    },
];

/// The tables `[engine.NAME]`.
pub(super) const TABLES: NamedTables<EngineSettings> = NamedTables {
    place: TablePlace {
        setting: "engine",
        own: Some(OwnValue {
            key: "default",
            doc: "the one without a name",
        }),
    },
    rows: ENGINE_SETTINGS,
};

/// All further engines, from the file and, before that, the environment.
pub(super) fn read(
    written: WrittenTables,
    environment: &BTreeMap<String, String>,
) -> Result<BTreeMap<EngineName, EngineSettings>, SettingsError> {
    let mut engines = BTreeMap::new();
    for table in TABLES.read(written, environment)? {
        let (name, engine) = table.settings.whole(&table.name)?;
        engines.insert(name, engine);
    }
    Ok(engines)
}

#[cfg(test)]
mod tests {
    use super::{
        super::{SettingSources, Settings},
        *,
    };

    fn read(file: &str, environment: &[(&str, &str)]) -> Result<Settings, String> {
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
        Ok(settings)
    }

    #[test]
    fn each_row_reads_its_own_example() {
        for row in ENGINE_SETTINGS {
            let read = (row.read)(&mut EngineSettings::default(), row.example);
            assert_eq!(read, Ok(()), "{}", row.name);
        }
    }

    #[test]
    fn further_engines_stand_in_the_file_or_the_environment_beside_the_one_without_a_name() {
        let file = "[engine]
            default = \"unix:///run/docker.sock\"
            [engine.blue]
            address = \"tcp://10.0.0.2:2376\"
            tls = \"/run/secrets/blue\"
            [engine.green-2]
            address = \"tcp://green:2375\"
            host = \"10.0.0.3\"";
        let variables = [
            ("QUAYMASTER_ENGINE", "unix:///run/docker.sock"),
            ("QUAYMASTER_ENGINE__BLUE__ADDRESS", "tcp://10.0.0.2:2376"),
            ("QUAYMASTER_ENGINE__BLUE__TLS", "/run/secrets/blue"),
            ("QUAYMASTER_ENGINE__GREEN_2__ADDRESS", "tcp://green:2375"),
            ("QUAYMASTER_ENGINE__GREEN_2__HOST", "10.0.0.3"),
        ];
        let settings = read(file, &[]).expect("tables");
        assert_eq!(settings.engine.as_deref(), Some("unix:///run/docker.sock"));
        let names = settings.engines.keys().map(EngineName::as_str);
        assert_eq!(names.collect::<Vec<_>>(), ["blue", "green-2"]);
        assert_eq!(read("", &variables), Ok(settings));
    }

    #[test]
    fn what_is_missing_or_does_not_go_together_is_told() {
        for (file, expected) in [
            (
                "[engine.blue]\nhost = \"10.0.0.2\"",
                "[engine.blue]: it has no address; write address = \"tcp://HOST:2376\"",
            ),
            (
                "[engine.blue]\naddress = \"10.0.0.2:2376\"",
                "[engine.blue]: its address must begin with unix://, tcp:// or ssh://",
            ),
            (
                "[engine.blue]\naddress = \"unix:///blue\"\ntls = \"/x\"",
                "[engine.blue]: tls is for an address with tcp://; leave it out",
            ),
            (
                "[engine.Blue]\naddress = \"tcp://10.0.0.2\"",
                "[engine.Blue]: its name may have a-z, 0-9 and - alone",
            ),
            (
                "[engine.blue]\nadress = \"tcp://10.0.0.2\"",
                "q.toml: engine.blue.adress: there is no such setting; did you mean address?",
            ),
            (
                "[engine]\nblue = \"tcp://10.0.0.2\"",
                "q.toml: engine.blue must be a table; write [engine.blue], or default for the one without a name",
            ),
        ] {
            let told = read(file, &[]).expect_err("it is wrong");
            assert!(told.contains(expected), "{told}");
        }
    }
}
