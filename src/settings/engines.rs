//! The tables of further engines, `[engine.NAME]`: their rows, and how they are read from the file and the environment.

use std::collections::BTreeMap;

use super::{
    SettingsError, Written,
    table::{DefaultValue, SettingRow},
    values::{filled, folder, set},
};
use crate::values::{EngineName, EngineSettings, nearest};

/// The beginning of these tables' variables; the table's name and the key follow, with two underscores between them.
const VARIABLES: &str = "QUAYMASTER_ENGINE__";

/// The settings of a further engine.
pub const ENGINE_SETTINGS: &[SettingRow<EngineSettings>] = &[
    SettingRow {
        name: "address",
        value: "ADDRESS",
        default: DefaultValue::Words("none: a must"),
        doc: "where its API is: tcp://HOST:PORT, or unix:///PATH for a second one on this machine",
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

/// The written values of each engine, by its name and the row's.
pub(super) type WrittenEngines = BTreeMap<String, BTreeMap<&'static str, Written>>;

/// The name of the table and the row that a variable is about.
fn variable(name: &str) -> Option<(String, &'static SettingRow<EngineSettings>)> {
    let (engine, key) = name.strip_prefix(VARIABLES)?.split_once("__")?;
    let [engine, key] = [engine, key].map(|word| word.to_ascii_lowercase().replace('_', "-"));
    let row = ENGINE_SETTINGS.iter().find(|row| row.name == key)?;
    Some((engine, row))
}

/// True if a variable is about a table `[engine.NAME]`.
pub(super) fn is_variable(name: &str) -> bool {
    variable(name).is_some()
}

/// Reads one table in the file.
pub(super) fn of_file(
    table: toml::Table,
    origin: &str,
) -> Result<BTreeMap<&'static str, Written>, SettingsError> {
    let mut written = BTreeMap::new();
    for (key, value) in table {
        let origin = format!("{origin}.{key}");
        let Some(row) = ENGINE_SETTINGS.iter().find(|row| row.name == key) else {
            return Err(SettingsError::Unknown {
                origin,
                nearest: nearest(&key, ENGINE_SETTINGS.iter().map(|row| row.name)),
            });
        };
        let value = super::scalar(value, &origin)?;
        written.insert(row.name, Written { origin, value });
    }
    Ok(written)
}

/// All tables, from the file and, before that, the environment.
pub(super) fn read(
    mut written: WrittenEngines,
    environment: &BTreeMap<String, String>,
) -> Result<BTreeMap<EngineName, EngineSettings>, SettingsError> {
    for (name, value) in environment {
        if let Some((engine, row)) = variable(name) {
            let written = written.entry(engine).or_default();
            let (origin, value) = (name.clone(), value.clone());
            written.insert(row.name, Written { origin, value });
        }
    }
    let mut engines = BTreeMap::new();
    for (name, written) in written {
        let mut engine = EngineSettings::default();
        for row in ENGINE_SETTINGS {
            if let Some(written) = written.get(row.name) {
                row.take(&mut engine, written)?;
            }
        }
        let (name, engine) = engine.whole(&name)?;
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
                "[engine.blue]: its address must begin with unix:// or tcp://",
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
