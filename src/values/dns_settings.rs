use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use thiserror::Error;

use super::{DnsNames, Secret, nearest};

/// The protocol that sets TXT records, or the interface of one company.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DnsProvider {
    /// Its word.
    pub name: &'static str,
    /// The fields that a table must have. A secret may stand in the file that the field of the same name with `-file` names.
    pub needs: &'static [&'static str],
    /// The fields that a table may have, beside those of all providers.
    pub takes: &'static [&'static str],
    /// Its documentation, for people.
    pub doc: &'static str,
}

/// The fields that make sense whoever sets the record.
const OF_ALL: &[&str] = &["provider", "zone", "nameservers", "wait"];

/// Every way to set a record.
pub const DNS_PROVIDERS: &[DnsProvider] = &[DnsProvider {
    name: DnsProvider::RFC_2136,
    needs: &["server", "key-name", "key"],
    takes: &["key-algorithm"],
    doc: "a DNS server that takes updates signed by a key (RFC 2136 and 8945): BIND, Knot DNS, PowerDNS, Windows' with \
          such keys, and hosters that offer it",
}];

impl DnsProvider {
    /// A server that takes signed updates.
    pub const RFC_2136: &str = "rfc2136";

    /// The provider with this word.
    ///
    /// # Errors
    /// When there is none, naming the nearest.
    pub fn parse(word: &str) -> Result<Self, String> {
        let mut rows = DNS_PROVIDERS.iter();
        if let Some(row) = rows.find(|row| row.name == word) {
            return Ok(*row);
        }
        let names = || DNS_PROVIDERS.iter().map(|row| row.name);
        let meant = nearest(word, names()).map(|name| format!("; did you mean {name}?"));
        Err(format!(
            "there is no such provider{}",
            meant.unwrap_or_else(|| format!("; write {}", names().collect::<Vec<_>>().join(", ")))
        ))
    }
}

/// The algorithm with which the TSIG key of an update signs.
///
/// <https://www.rfc-editor.org/rfc/rfc8945#section-6>
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TsigAlgorithm {
    /// HMAC with SHA-256.
    #[default]
    Sha256,
    /// HMAC with SHA-384.
    Sha384,
    /// HMAC with SHA-512.
    Sha512,
}

impl TsigAlgorithm {
    /// Each with its word.
    pub const WORDS: &[(&str, Self)] = &[
        ("hmac-sha256", Self::Sha256),
        ("hmac-sha384", Self::Sha384),
        ("hmac-sha512", Self::Sha512),
    ];

    /// The algorithm with this word.
    ///
    /// # Errors
    /// When there is none, or none that is safe.
    pub fn parse(word: &str) -> Result<Self, String> {
        let word = word.to_ascii_lowercase();
        let mut words = Self::WORDS.iter();
        let found = words.find(|(known, _)| *known == word);
        found.map(|(_, algorithm)| *algorithm).ok_or_else(|| {
            "there is no such algorithm; write hmac-sha256, hmac-sha384 or hmac-sha512, as the server's key has it"
                .to_owned()
        })
    }
}

/// The settings of one way to set records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DnsSettings {
    /// The protocol or interface that sets records.
    pub provider: Option<DnsProvider>,
    /// The server that takes updates: a host name or an address, with or without a port.
    pub server: Option<String>,
    /// The server's name for the key.
    pub key_name: Option<String>,
    /// The key, in base64.
    pub key: Option<Secret>,
    /// A file with the key.
    pub key_file: Option<PathBuf>,
    /// The algorithm with which the key signs.
    pub key_algorithm: TsigAlgorithm,
    /// The zone that records are set in, where it can't be found out.
    pub zone: Option<String>,
    /// The servers at which a record has to be seen, where these are not those of the zone.
    pub nameservers: Vec<String>,
    /// Time that a record stands before the CA is asked to look, at least.
    pub wait: Duration,
}

impl DnsSettings {
    /// The bytes of a TSIG key.
    ///
    /// # Errors
    /// When it is no base64, without the key.
    pub fn key_bytes(key: &Secret) -> Result<Vec<u8>, String> {
        let text = key.expose().trim();
        let bytes = STANDARD.decode(text).ok();
        bytes.filter(|bytes| !bytes.is_empty()).ok_or_else(|| {
            "the key is no base64: copy what stands in quotes after `secret` in the server's configuration, whole"
                .to_owned()
        })
    }
}

/// The tables `[dns.NAME]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DnsTable(BTreeMap<String, DnsSettings>);

/// The reason why the tables `[dns.NAME]` can't be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DnsTableError {
    /// A table by which no record can be set.
    #[error("[dns.{name}]: {problem}")]
    Table {
        /// Its name.
        name: String,
        /// The problem, and the remedy.
        problem: String,
    },
    /// A table that is chosen and is not there.
    #[error("the setting dns: there is no table [dns.{name}]{}", nearest.as_ref().map_or_else(String::new, |name| format!("; did you mean {name}?")))]
    Unknown {
        /// Its name.
        name: String,
        /// The name that was probably meant.
        nearest: Option<String>,
    },
}

impl DnsTable {
    /// Adds a table with these fields.
    ///
    /// # Errors
    /// When its name or its provider is missing or wrong, when a field is missing that the provider needs, or one is there
    /// that it has no use for.
    pub fn add(
        &mut self,
        name: &str,
        settings: DnsSettings,
        fields: &[&str],
    ) -> Result<(), DnsTableError> {
        let bad = |problem: String| DnsTableError::Table {
            name: name.to_owned(),
            problem,
        };
        DnsNames::read_name(name).map_err(bad)?;
        let Some(provider) = settings.provider else {
            let words = DNS_PROVIDERS.iter().map(|row| row.name);
            let words = words.collect::<Vec<_>>().join(", ");
            return Err(bad(format!(
                "it does not say how records are set; write provider, one of {words}"
            )));
        };
        let of_file = |field: &str| format!("{field}-file");
        for field in provider.needs {
            let (is_said, in_file) = (
                fields.contains(field),
                fields.contains(&of_file(field).as_str()),
            );
            match (is_said, in_file) {
                (true, true) => {
                    return Err(bad(format!(
                        "it has {field} and {field}-file; keep one of the two"
                    )));
                }
                (false, false) => {
                    return Err(bad(format!(
                        "provider {} needs {field}, and it is missing",
                        provider.name
                    )));
                }
                _ => {}
            }
        }
        let is_known = |field: &str| {
            let mut known = provider.needs.iter().chain(provider.takes).chain(OF_ALL);
            known.any(|known| *known == field || of_file(known) == field)
        };
        if let Some(strange) = fields.iter().find(|field| !is_known(field)) {
            return Err(bad(format!(
                "provider {} has no use for {strange}; take it away",
                provider.name
            )));
        }
        if let Some(key) = &settings.key {
            DnsSettings::key_bytes(key).map_err(bad)?;
        }
        self.0.insert(name.to_owned(), settings);
        Ok(())
    }

    /// All tables, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &DnsSettings)> {
        self.0.iter().map(|(name, dns)| (name.as_str(), dns))
    }

    /// Looks whether there is a table of the name that the setting `dns` has.
    ///
    /// # Errors
    /// When there is none.
    pub fn check(&self, name: &str) -> Result<(), DnsTableError> {
        match self.0.contains_key(name) {
            true => Ok(()),
            false => Err(DnsTableError::Unknown {
                name: name.to_owned(),
                nearest: nearest(name, self.0.keys().map(String::as_str)).map(str::to_owned),
            }),
        }
    }

    /// Their names, with the one that the setting `dns` chooses and how long records of each have to stand.
    pub fn names(&self, setting: Option<&str>) -> DnsNames {
        let waits = self.iter().map(|(name, dns)| (name.to_owned(), dns.wait));
        DnsNames::new(waits.collect(), setting.map(str::to_owned))
    }
}
