//! The one configuration: flags, environment and file, read once. A row of the table is a setting's name, value syntax,
//! default, doc, example and reader; `--help`, the environment and the file come from the same rows.
//!
//! Nothing here reads the environment or a file: both are handed in.

mod cas;
mod dialects;
mod dns;
mod engines;
mod named_tables;
mod notify;
mod outputs;
mod table;
mod values;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::PathBuf,
    time::Duration,
};

use thiserror::Error;

use crate::values::{
    Block, CaTable, CaTableError, CertificateName, ChallengeType, DnsName, DnsTable, DnsTableError,
    EngineName, EngineSettings, EngineTableError, FallbackRule, Grants, Host, Issuers, KeyAccess,
    KeyType, MetricSet, NotifyTable, NotifyTableError, Output, OutputError, Profile, VariableNames,
    nearest,
};
pub use cas::CA_SETTINGS;
pub use dialects::DialectTables;
pub use dns::DNS_SETTINGS;
pub use engines::ENGINE_SETTINGS;
use named_tables::{WrittenTables, WrittenValues};
pub use notify::NOTIFY_SETTINGS;
pub use outputs::OUTPUT_SETTINGS;
pub use table::{DefaultValue, SETTINGS, SettingRow};
use table::{SECRET_TABLES, TABLE, VARIABLES};

/// All settings, as meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where the Docker API is.
    pub engine: Option<String>,
    /// The tables `[engine.NAME]`: further engines.
    pub engines: BTreeMap<EngineName, EngineSettings>,
    /// The folder of certificates, if it was named.
    pub certificates: Option<PathBuf>,
    /// The private folder.
    pub state: PathBuf,
    /// The shared folder for challenges, if it was named.
    pub webroot: Option<PathBuf>,
    /// The folder of the user's templates.
    pub templates: Option<PathBuf>,
    /// Files of the user's own that are kept up to date.
    pub outputs: Vec<Output>,
    /// The variables that their templates see.
    pub template_env: VariableNames,
    /// The prefix of our labels.
    pub label_prefix: String,
    /// Whose labels are read, if that was said, the strongest first.
    pub dialects: Option<Vec<String>>,
    /// Labels of one's own.
    pub dialect_tables: DialectTables,
    /// The domain that completes names without a dot.
    pub default_domain: Option<DnsName>,
    /// Our own container, if it was named.
    pub own: Option<String>,
    /// Who issues certificates whose labels do not say; none where they are provided.
    pub ca: Option<Issuers>,
    /// The CAs that have a name.
    pub cas: CaTable,
    /// Where we listen for challenges ourselves.
    pub listen_http: Option<SocketAddr>,
    /// True if a server of the user's answers challenges by the thumbprint of the account's key.
    pub thumbprint: bool,
    /// Where pages and metrics are shown.
    pub listen: Option<SocketAddr>,
    /// Names under which they are asked for.
    pub listen_names: BTreeSet<Host>,
    /// Metrics under the names of other tools.
    pub metrics_also: BTreeSet<MetricSet>,
    /// Names that get a certificate though no container asks.
    pub names: BTreeSet<Host>,
    /// Whom the keys of live certificates belong to, and their mode.
    pub keys: KeyAccess,
    /// A file with further roots.
    pub ca_root: Option<PathBuf>,
    /// True if the CA's terms are agreed to.
    pub agree_tos: bool,
    /// The contact.
    pub email: Option<String>,
    /// The challenge by which CAs are shown that names are ours.
    pub challenge: ChallengeType,
    /// The table that sets TXT records where no label says, if that was said.
    pub dns: Option<String>,
    /// The tables `[dns.NAME]`: ways to set TXT records.
    pub dns_tables: DnsTable,
    /// The tables `[notify.NAME]`: who is told what happens.
    pub notify: NotifyTable,
    /// Whether names are looked at before a CA is asked.
    pub self_check: bool,
    /// The DNS server of look-ups, if it was named.
    pub resolver: Option<String>,
    /// The type of certificates' keys.
    pub key_type: KeyType,
    /// The CA's word for the kind of certificate.
    pub profile: Option<Profile>,
    /// The name whose certificate serves names that none covers.
    pub master: Option<Host>,
    /// The certificate that serves where no other can.
    pub default_certificate: Option<CertificateName>,
    /// True if the certificate of the nearest name above is preferred to a wildcard's.
    pub strict_parents: bool,
    /// A file with the password of the user's keys that have none of their own.
    pub provided_password_file: Option<PathBuf>,
    /// Which certificates get a self-signed one as long as nothing can be served for them.
    pub fallback: FallbackRule,
    /// The life of self-signed certificates.
    pub self_signed_life: Duration,
    /// Proxies that are believed.
    pub trusted_proxies: Vec<Block>,
    /// Who may ask for what, if that was said.
    pub grants: Option<Grants>,
    /// The longest rest.
    pub resync: Duration,
    /// Time before its end at which a certificate without a successor brings a warning, if that is set.
    pub warn_before: Option<Duration>,
    /// Time that a certificate that quaymaster obtained stays live after it was last wanted.
    pub archive_after: Duration,
    /// Time that it is kept after it was last wanted.
    pub delete_after: Duration,
    /// The log's filter.
    pub log: String,
    /// True if the log is JSON.
    pub log_json: bool,
}

/// The reason why the settings can't be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SettingsError {
    /// A value that its row can't read.
    #[error("{origin}: {problem}; it takes {syntax}, such as {example}")]
    Value {
        /// Where it was written.
        origin: String,
        /// The problem.
        problem: String,
        /// The row's syntax.
        syntax: &'static str,
        /// The row's example.
        example: &'static str,
    },
    /// A key in the file that is no setting.
    #[error("{origin}: there is no such setting{}", nearest.as_ref().map(|n| format!("; did you mean {n}?")).unwrap_or_default())]
    Unknown {
        /// Where it was written.
        origin: String,
        /// The setting that was probably meant.
        nearest: Option<&'static str>,
    },
    /// A file that is no TOML.
    #[error("{0}")]
    File(String),
    /// A table of a CA that is none.
    #[error(transparent)]
    Ca(#[from] CaTableError),
    /// A table of a way to set records that is none.
    #[error(transparent)]
    Dns(#[from] DnsTableError),
    /// A table of a further engine that is none.
    #[error(transparent)]
    Engine(#[from] EngineTableError),
    /// A table of a receiver that is none.
    #[error(transparent)]
    Notify(#[from] NotifyTableError),
    /// A table of an output that is none.
    #[error(transparent)]
    Output(#[from] OutputError),
}

/// The three places where settings are written, the strongest first.
#[derive(Clone, Debug, Default)]
pub struct SettingSources {
    /// Flags, by the row's name.
    pub flags: BTreeMap<&'static str, String>,
    /// The whole environment.
    pub environment: BTreeMap<String, String>,
    /// The file's path and text.
    pub file: Option<(PathBuf, String)>,
}

impl Settings {
    /// Reads what was written. Also returns variables that look like settings and are none: links and clusters inject
    /// such, so these are no errors.
    ///
    /// # Errors
    /// The first value that can't be used, with its place and what to write.
    pub fn read(written: &SettingSources) -> Result<(Self, Vec<String>), SettingsError> {
        let file = written
            .file
            .as_ref()
            .map(|(path, text)| read_file(path, text))
            .transpose()?
            .unwrap_or_default();
        let mut settings = Self::unread();
        // Before the setting that names one of them.
        settings.cas = cas::read(file.cas, &written.environment)?;
        settings.dns_tables = dns::read(file.dns, &written.environment)?;
        settings.engines = engines::read(file.engines, &written.environment)?;
        settings.notify = notify::read(file.notify, &written.environment)?;
        settings.dialect_tables = dialects::read(file.dialects, &written.environment);
        settings.outputs = outputs::read(file.outputs, &written.environment)?;
        for row in SETTINGS {
            if let Some(value) = row.written(written, &file.values) {
                row.take(&mut settings, &value)?;
            }
        }
        if let Some(name) = &settings.dns {
            settings.dns_tables.check(name)?;
        }
        Ok((settings, strangers(&written.environment)))
    }

    /// True if challenges over HTTP are answered though no proxy of ours does: by ourselves, or by the thumbprint.
    pub fn answers_itself(&self) -> bool {
        self.listen_http.is_some() || self.thumbprint
    }

    /// Before any row was read; every field that is not optional has a row with a default.
    fn unread() -> Self {
        Self {
            engine: None,
            engines: BTreeMap::new(),
            certificates: None,
            state: PathBuf::new(),
            webroot: None,
            templates: None,
            outputs: Vec::new(),
            template_env: VariableNames::default(),
            label_prefix: String::new(),
            dialects: None,
            dialect_tables: DialectTables::new(),
            default_domain: None,
            own: None,
            ca: None,
            cas: CaTable::default(),
            listen_http: None,
            thumbprint: false,
            listen: None,
            listen_names: BTreeSet::new(),
            metrics_also: BTreeSet::new(),
            names: BTreeSet::new(),
            keys: KeyAccess::default(),
            ca_root: None,
            agree_tos: false,
            email: None,
            challenge: ChallengeType::default(),
            dns: None,
            dns_tables: DnsTable::default(),
            notify: NotifyTable::default(),
            self_check: true,
            resolver: None,
            key_type: KeyType::Ec256,
            profile: None,
            master: None,
            default_certificate: None,
            strict_parents: false,
            provided_password_file: None,
            fallback: FallbackRule::default(),
            self_signed_life: Duration::ZERO,
            trusted_proxies: Vec::new(),
            grants: None,
            resync: Duration::ZERO,
            warn_before: None,
            archive_after: Duration::ZERO,
            delete_after: Duration::ZERO,
            log: String::new(),
            log_json: false,
        }
    }
}

impl SettingRow {
    /// Its value: of the flag, else of the variable, else of the file, else the default.
    fn written(&self, written: &SettingSources, in_file: &WrittenValues) -> Option<Written> {
        if let Some(value) = written.flags.get(self.name) {
            return Some(Written::at(format!("--{}", self.name), value));
        }
        let variable = self.variable();
        if let Some(value) = written.environment.get(&variable) {
            return Some(Written::at(variable, value));
        }
        if let Some(value) = in_file.get(self.name) {
            return Some(value.clone());
        }
        match self.default {
            DefaultValue::Value(value) => Some(Written::at("the default".to_owned(), value)),
            DefaultValue::Words(_) => None,
        }
    }
}

impl<T> SettingRow<T> {
    fn take(&self, into: &mut T, written: &Written) -> Result<(), SettingsError> {
        let Written { origin, value } = written;
        (self.read)(into, value.trim()).map_err(|problem| SettingsError::Value {
            origin: match self.value {
                SECRET_TABLES => origin.clone(),
                _ => format!("{origin}={value:?}"),
            },
            problem,
            syntax: self.value,
            example: self.example,
        })
    }
}

/// A value, and where it was written.
#[derive(Clone, Debug)]
struct Written {
    origin: String,
    value: String,
}

impl Written {
    fn at(origin: String, value: &str) -> Self {
        let value = value.to_owned();
        Self { origin, value }
    }
}

/// The values in the file.
#[derive(Default)]
struct FileValues {
    values: WrittenValues,
    cas: WrittenTables,
    dns: WrittenTables,
    engines: WrittenTables,
    notify: WrittenTables,
    dialects: DialectTables,
    outputs: WrittenTables,
}

/// Settings that are tables with names of the user's in the file, or have such tables beside them.
const CA: &str = cas::TABLES.place.setting;
const DNS: &str = dns::TABLES.place.setting;
const ENGINE: &str = engines::TABLES.place.setting;
const NOTIFY: &str = notify::TABLES.place.setting;
const DIALECTS: &str = dialects::PLACE.setting;
const OUTPUTS: &str = outputs::TABLES.place.setting;

/// The file's keys with their places and values.
fn read_file(path: &std::path::Path, text: &str) -> Result<FileValues, SettingsError> {
    let path = path.display();
    let table: toml::Table = text
        .parse()
        .map_err(|error: toml::de::Error| SettingsError::File(format!("{path}: {error}")))?;
    let mut read = FileValues::default();
    for (key, value) in table {
        let origin = format!("{path}: {key}");
        let Some(row) = SETTINGS.iter().find(|row| row.name == key) else {
            return Err(SettingsError::Unknown {
                origin,
                nearest: nearest(&key, SETTINGS.iter().map(|row| row.name)),
            });
        };
        let FileValues {
            values,
            cas,
            dns,
            engines,
            notify,
            dialects,
            outputs,
        } = &mut read;
        match (row.name, value) {
            (CA, toml::Value::Table(all)) => *cas = cas::TABLES.of_file(all, &origin, values)?,
            (DNS, toml::Value::Table(all)) => *dns = dns::TABLES.of_file(all, &origin, values)?,
            (ENGINE, toml::Value::Table(all)) => {
                *engines = engines::TABLES.of_file(all, &origin, values)?;
            }
            (NOTIFY, toml::Value::Table(all)) => {
                *notify = notify::TABLES.of_file(all, &origin, values)?;
            }
            (DIALECTS, toml::Value::Table(all)) => {
                *dialects = dialects::of_file(all, &origin, values)?;
            }
            (OUTPUTS, toml::Value::Table(all)) => {
                *outputs = outputs::TABLES.of_file(all, &origin, values)?;
            }
            (_, value) => {
                let value = match value {
                    toml::Value::Table(table) if row.value == TABLE => lines(table, &origin)?,
                    value => scalar(value, &origin)?,
                };
                values.insert(key, Written { origin, value });
            }
        }
    }
    Ok(read)
}

/// A value as it may stand in a variable, too.
fn scalar(value: toml::Value, origin: &str) -> Result<String, SettingsError> {
    match value {
        toml::Value::String(text) => Ok(text),
        toml::Value::Boolean(truth) => Ok(truth.to_string()),
        toml::Value::Integer(number) => Ok(number.to_string()),
        _ => Err(SettingsError::File(format!(
            "{origin} must be a text in quotes, a number, true or false"
        ))),
    }
}

/// A table as the lines that its row reads, as they may stand in a variable, too.
fn lines(table: toml::Table, origin: &str) -> Result<String, SettingsError> {
    let line = |(key, value)| match value {
        toml::Value::String(text) => Ok(format!("{key:?} = {text:?}\n")),
        _ => Err(SettingsError::File(format!(
            "{origin}.{key} must be a text in quotes"
        ))),
    };
    table.into_iter().map(line).collect()
}

/// Variables with our prefix that are no settings.
fn strangers(environment: &BTreeMap<String, String>) -> Vec<String> {
    let is_stranger = |name: &&String| {
        name.starts_with(VARIABLES)
            && name.as_str() != "QUAYMASTER_CONFIG"
            && !cas::TABLES.is_variable(name)
            && !dns::TABLES.is_variable(name)
            && !engines::TABLES.is_variable(name)
            && !notify::TABLES.is_variable(name)
            && dialects::PLACE.variable(name).is_none()
            && !outputs::TABLES.is_variable(name)
            && SETTINGS.iter().all(|row| row.variable() != **name)
    };
    environment.keys().filter(is_stranger).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(pairs: &[(&str, &str)]) -> SettingSources {
        let environment = pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        SettingSources {
            environment,
            ..SettingSources::default()
        }
    }

    fn problem(written: &SettingSources) -> String {
        Settings::read(written)
            .expect_err("it must be refused")
            .to_string()
    }

    #[test]
    fn defaults_and_examples_go_through_their_own_readers() {
        let (settings, _) =
            Settings::read(&SettingSources::default()).expect("the defaults are read");
        assert_eq!(settings.resync, Duration::from_secs(3600));
        assert_eq!(
            settings.ca,
            settings.cas.of_setting("letsencrypt").expect("a preset")
        );
        for row in SETTINGS {
            assert_eq!(
                (row.read)(&mut Settings::unread(), row.example),
                Ok(()),
                "{}",
                row.name
            );
            assert_eq!(
                SETTINGS
                    .iter()
                    .filter(|other| other.name == row.name)
                    .count(),
                1,
                "{}",
                row.name
            );
        }
    }

    #[test]
    fn a_flag_beats_the_environment_and_that_the_file() {
        let mut all = written(&[("QUAYMASTER_LOG", "warn"), ("QUAYMASTER_STATE", "/env")]);
        all.file = Some((
            "q.toml".into(),
            "log = \"trace\"\nstate = \"/file\"\nresync = \"5m\"".to_owned(),
        ));
        all.flags.insert("log", "debug".to_owned());
        let (settings, _) = Settings::read(&all).expect("all are good");
        assert_eq!(
            (settings.log.as_str(), settings.state.as_path()),
            ("debug", std::path::Path::new("/env"))
        );
        assert_eq!(settings.resync, Duration::from_secs(300));
    }

    #[test]
    fn a_bad_value_is_told_with_its_place_and_what_to_write() {
        for (name, value, expected) in [
            (
                "QUAYMASTER_RESYNC",
                "1M",
                "QUAYMASTER_RESYNC=\"1M\": months and years have no fixed length",
            ),
            ("QUAYMASTER_RESYNC", "soon", "it is not a length of time"),
            ("QUAYMASTER_STATE", "state", "it must be an absolute path"),
            ("QUAYMASTER_AGREE_TOS", "maybe", "write true or false"),
            ("QUAYMASTER_EMAIL", "me", "it is not an e-mail address"),
            ("QUAYMASTER_CA", "letsencrpyt", "did you mean letsencrypt?"),
            (
                "QUAYMASTER_KEY_TYPE",
                "dsa",
                "it takes TYPE, such as rsa-2048",
            ),
            (
                "QUAYMASTER_LABEL_PREFIX",
                "a;b",
                "it must be lower-case letters",
            ),
        ] {
            let problem = problem(&written(&[(name, value)]));
            assert!(problem.contains(expected), "{problem}");
        }
    }

    #[test]
    fn self_signed_certificates_live_a_number_of_days_and_yaml_s_words_are_understood() {
        let told = problem(&written(&[("QUAYMASTER_FALLBACK_DAYS", "0")]));
        assert_eq!(
            told,
            "QUAYMASTER_FALLBACK_DAYS=\"0\": it must be a number of days from 1 to 3650; it takes DAYS, such as 90"
        );
        for bad in ["3651", "-1", "90d", "1.5", ""] {
            let told = problem(&written(&[("QUAYMASTER_FALLBACK_DAYS", bad)]));
            assert!(told.contains("from 1 to 3650"), "{told}");
        }
        for (word, rule) in [
            ("on", FallbackRule::On),
            ("true", FallbackRule::On),
            ("False", FallbackRule::Off),
            ("By-Kind", FallbackRule::ByKind),
        ] {
            let environment = [
                ("QUAYMASTER_FALLBACK", word),
                ("QUAYMASTER_FALLBACK_DAYS", "3650"),
            ];
            let (settings, _) = Settings::read(&written(&environment)).expect("they are right");
            assert_eq!(settings.fallback, rule);
            let days = settings.self_signed_life.as_secs() / (24 * 60 * 60);
            assert_eq!(days, 3650);
        }
        let told = problem(&written(&[("QUAYMASTER_FALLBACK", "always")]));
        assert!(told.contains("write one of by-kind, on, off"), "{told}");
    }

    #[test]
    fn a_table_in_the_file_is_lines_elsewhere() {
        let file = |text: &str| SettingSources {
            file: Some(("q.toml".into(), text.to_owned())),
            ..SettingSources::default()
        };
        let lines = "edge = \"proxy\"\n\"shop/web\" = \"*.shop.example\"";
        let (in_file, _) = Settings::read(&file(&format!("[grants]\n{lines}"))).expect("a table");
        let (elsewhere, _) =
            Settings::read(&written(&[("QUAYMASTER_GRANTS", lines)])).expect("lines");
        assert_eq!(in_file.grants, Grants::parse(lines).ok());
        assert_eq!(in_file, elsewhere);
        assert!(
            problem(&file("[grants]\nedge = \"prox\""))
                .contains("\"prox\" is not a right; write proxy, keys")
        );
        assert!(
            problem(&file("[grants]\nedge = 1"))
                .contains("q.toml: grants.edge must be a text in quotes")
        );
        assert!(
            problem(&file("[log]\nedge = \"1\""))
                .contains("must be a text in quotes, a number, true or false")
        );
    }

    #[test]
    fn a_key_that_is_none_is_an_error_and_a_variable_a_warning() {
        let file = |text: &str| SettingSources {
            file: Some(("q.toml".into(), text.to_owned())),
            ..SettingSources::default()
        };
        assert_eq!(
            problem(&file("emial = \"a@b.c\"")),
            "q.toml: emial: there is no such setting; did you mean email?"
        );
        assert!(problem(&file("log = [1]")).contains("must be a text in quotes"));
        assert!(problem(&file("log = ")).starts_with("q.toml: TOML parse error at line 1"));
        let (_, strangers) =
            Settings::read(&written(&[("QUAYMASTER_PORT_80_TCP", "x")])).expect("a warning only");
        assert_eq!(strangers, ["QUAYMASTER_PORT_80_TCP"]);
    }
}
