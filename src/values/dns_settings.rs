use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use thiserror::Error;
use url::Url;

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
    /// The URL of its interface, where there is one for everybody.
    pub url: Option<&'static str>,
    /// Its documentation, for people.
    pub doc: &'static str,
}

/// The fields that make sense whoever sets the record.
const OF_ALL: &[&str] = &["provider", "zone", "nameservers", "wait"];

/// The fields that make sense where the interface is asked over HTTP, and has a URL that is known.
const OF_URLS: &[&str] = &["url", "root"];

/// Every way to set a record.
pub const DNS_PROVIDERS: &[DnsProvider] = &[
    DnsProvider {
        name: DnsProvider::RFC_2136,
        needs: &["server", "key-name", "key"],
        takes: &["key-algorithm"],
        url: None,
        doc: "a DNS server that takes updates signed by a key (RFC 2136 and 8945): BIND, Knot DNS, PowerDNS, Windows' with \
              such keys, and hosters that offer it",
    },
    DnsProvider {
        name: DnsProvider::ACME_DNS,
        needs: &["username", "password", "subdomain"],
        takes: OF_URLS,
        url: Some("https://auth.acme-dns.io"),
        doc: "an acme-dns server: a small DNS server for such records alone, to which a CNAME record leads",
    },
    DnsProvider {
        name: DnsProvider::HTTPREQ,
        needs: &["url"],
        takes: &["username", "password", "mode", "root"],
        url: None,
        doc: "a program that sets records when it is asked over HTTP, as lego's provider httpreq asks it",
    },
    DnsProvider {
        name: DnsProvider::CLOUDFLARE,
        needs: &["token"],
        takes: OF_URLS,
        url: Some("https://api.cloudflare.com/client/v4"),
        doc: "Cloudflare, with an API token that has Zone:Read and DNS:Edit",
    },
    DnsProvider {
        name: DnsProvider::HETZNER,
        needs: &["token"],
        takes: OF_URLS,
        url: Some("https://api.hetzner.cloud/v1"),
        doc: "Hetzner, with a token of the Cloud console that may read and write; not the older DNS console",
    },
    DnsProvider {
        name: DnsProvider::DIGITAL_OCEAN,
        needs: &["token"],
        takes: OF_URLS,
        url: Some("https://api.digitalocean.com/v2"),
        doc: "DigitalOcean, with a token that may read, create and delete domain records",
    },
    DnsProvider {
        name: DnsProvider::DESEC,
        needs: &["token"],
        takes: OF_URLS,
        url: Some("https://desec.io/api/v1"),
        doc: "deSEC, with a token that may write TXT records of the zone",
    },
    DnsProvider {
        name: DnsProvider::POWERDNS,
        needs: &["url", "token"],
        takes: &["root"],
        url: None,
        doc: "a PowerDNS server with its HTTP API; the token is its api-key",
    },
    DnsProvider {
        name: DnsProvider::EXEC,
        needs: &["command"],
        takes: &["remove-command"],
        url: None,
        doc: "a program of yours, called as lego and certbot call theirs; not in a container",
    },
];

impl DnsProvider {
    /// A server that takes signed updates.
    pub const RFC_2136: &str = "rfc2136";
    /// A server for challenges alone.
    pub const ACME_DNS: &str = "acme-dns";
    /// A bridge that speaks lego's protocol.
    pub const HTTPREQ: &str = "httpreq";
    /// Cloudflare's API.
    pub const CLOUDFLARE: &str = "cloudflare";
    /// Hetzner's Cloud API.
    pub const HETZNER: &str = "hetzner";
    /// DigitalOcean's API.
    pub const DIGITAL_OCEAN: &str = "digitalocean";
    /// The API of desec.io.
    pub const DESEC: &str = "desec";
    /// The API of PowerDNS Authoritative Server.
    pub const POWERDNS: &str = "powerdns";
    /// Programs of the user's.
    pub const EXEC: &str = "exec";

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
    /// The URL of the interface, without a slash at its end.
    pub url: Option<String>,
    /// A file with roots that are trusted beside the usual ones when that URL is asked.
    pub root: Option<PathBuf>,
    /// The token that the interface takes.
    pub token: Option<Secret>,
    /// A file with the token.
    pub token_file: Option<PathBuf>,
    /// The name that the interface takes.
    pub username: Option<String>,
    /// The password of that name.
    pub password: Option<Secret>,
    /// A file with the password.
    pub password_file: Option<PathBuf>,
    /// True where a bridge is given the challenge itself and makes the record of it.
    pub is_raw: bool,
    /// The name below the zone of an acme-dns server that is ours.
    pub subdomain: Option<String>,
    /// A program that sets records, with its words.
    pub command: Vec<String>,
    /// Another one that removes them.
    pub remove_command: Vec<String>,
    /// The zone that records are set in, where it can't be found out.
    pub zone: Option<String>,
    /// The servers at which a record has to be seen, where these are not those of the zone.
    pub nameservers: Vec<String>,
    /// Time that a record stands before the CA is asked to look, at least.
    pub wait: Duration,
}

/// The secret of a table, which may lie in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DnsSecret<'s> {
    /// The field that it stands in.
    pub field: &'static str,
    /// Itself, where it stands in the settings.
    pub text: Option<&'s Secret>,
    /// The file that it lies in otherwise.
    pub file: Option<&'s Path>,
}

impl DnsSettings {
    /// The secret that this table has. A provider needs one at most.
    pub fn secret(&self) -> Option<DnsSecret<'_>> {
        let fields = [
            ("key", &self.key, &self.key_file),
            ("token", &self.token, &self.token_file),
            ("password", &self.password, &self.password_file),
        ];
        let mut said = fields.into_iter().map(|(field, text, file)| DnsSecret {
            field,
            text: text.as_ref(),
            file: file.as_deref(),
        });
        said.find(|it| it.text.is_some() || it.file.is_some())
    }

    /// Looks at what its row can't refuse without showing it.
    fn check_values(&self) -> Result<(), String> {
        if let Some(DnsSecret {
            field,
            text: Some(text),
            ..
        }) = self.secret()
        {
            Self::check_secret(field, text)?;
        }
        self.url.as_deref().map_or(Ok(()), check_url)
    }

    /// Looks whether a secret has the form that its field has.
    ///
    /// # Errors
    /// When it has not, without the secret.
    pub fn check_secret(field: &str, text: &Secret) -> Result<(), String> {
        let text_is_plain = |c: char| c.is_ascii_graphic() || c == ' ';
        match (field, text.expose().trim()) {
            ("key", _) => Self::key_bytes(text).map(|_| ()),
            (_, "") => Err(format!("the {field} is empty")),
            (_, trimmed) if trimmed.chars().all(text_is_plain) => Ok(()),
            _ => Err(format!(
                "the {field} has characters that none has, such as a line break in the middle: copy it again, whole, and \
                 nothing else"
            )),
        }
    }

    /// The bytes of a TSIG key.
    ///
    /// # Errors
    /// When it is no base64, without the key.
    pub fn key_bytes(key: &Secret) -> Result<Vec<u8>, String> {
        let text = key.expose().trim();
        let bytes = STANDARD.decode(text).ok();
        bytes.filter(|bytes| !bytes.is_empty()).ok_or_else(|| {
            "the key is not base64: copy what stands in quotes after `secret` in the server's configuration, whole"
                .to_owned()
        })
    }
}

/// Looks at the URL of an interface, which has other things put behind it.
fn check_url(text: &str) -> Result<(), String> {
    const FORM: &str = "write it as in https://dns.example/api";
    let url = Url::parse(text).map_err(|error| format!("url is not a URL ({error}); {FORM}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("url is not a URL of http or https; {FORM}"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(format!(
            "url has a name or a password in it; {FORM}, and username and password-file beside it where the provider takes \
             them"
        ));
    }
    match (url.query(), url.fragment()) {
        (None, None) => Ok(()),
        _ => Err(format!("url has a `?` or a `#`; {FORM}")),
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

/// Checks that a provider has what it needs, each once, and nothing that it has no use for.
fn check_fields(provider: &DnsProvider, fields: &[&str]) -> Result<(), String> {
    for field in provider.needs.iter().chain(provider.takes) {
        if fields.contains(field) && fields.contains(&&*of_file(field)) {
            return Err(format!(
                "it has {field} and {field}-file; keep one of the two"
            ));
        }
    }
    for field in provider.needs {
        if !fields.contains(field) && !fields.contains(&&*of_file(field)) {
            return Err(format!(
                "provider {} needs {field}, and it is missing",
                provider.name
            ));
        }
    }
    for field in fields {
        let mut known = provider.needs.iter().chain(provider.takes).chain(OF_ALL);
        if !known.any(|known| known == field || of_file(known) == *field) {
            return Err(format!(
                "provider {} has no use for {field}; remove it",
                provider.name
            ));
        }
    }
    Ok(())
}

/// The field that names a file with the value of this one.
fn of_file(field: &str) -> String {
    format!("{field}-file")
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
        check_fields(&provider, fields).map_err(bad)?;
        settings.check_values().map_err(bad)?;
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
