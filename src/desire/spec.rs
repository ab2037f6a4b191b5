//! The specifications in labels, as written and read; nothing here is resolved against other bearers yet.

use std::{collections::BTreeSet, fmt, path::PathBuf, time::Duration};

use litemap::LiteMap;

use super::{Origin, Reload, kinds::Kind};
use crate::observe::Bearer;
use crate::values::{
    Block, CertificateName, ChallengeType, Host, IssuerNames, KeyType, Layout, Owner, ProbePort,
    Profile,
};

/// A specification, from the labels of one bearer.
#[derive(Debug, Default)]
pub(super) struct Spec {
    /// The sites that it serves: one without a word, more with words of their own.
    pub sites: LiteMap<String, Box<SiteSpec>>,
    /// Set where it is to be a server, of whatever kind.
    pub is_server: bool,
    /// The kind of server; none where there is no such kind.
    pub kind: Option<&'static Kind>,
    /// Its particulars as a server.
    pub proxy: ProxySpec,
}

/// The names of the labels that say something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct LabelNames {
    /// The beginning of our own.
    start: String,
    /// Those of other tools, by ours without its beginning.
    foreign: Box<[(String, String)]>,
}

impl LabelNames {
    /// Our own begin with `start`; `foreign` has those of other tools by ours.
    pub fn new(start: String, foreign: &[(String, String)]) -> Self {
        Self {
            start,
            foreign: foreign.into(),
        }
    }

    /// The whole name of one of them.
    pub fn of(&self, key: &str) -> String {
        match self.foreign(key) {
            Some(label) => label.to_owned(),
            None => format!("{}{key}", self.start),
        }
    }

    /// One of them, for complaints about it.
    pub fn origin(&self, bearer: &Bearer, key: &str, text: &str) -> Origin {
        let origin = Origin::new(&bearer.name, &self.of(key), text);
        match self.foreign(key) {
            Some(_) => origin.beside_ours(&self.start),
            None => origin,
        }
    }

    fn foreign(&self, key: &str) -> Option<&str> {
        let mut foreign = self.foreign.iter();
        let found = foreign.find(|(ours, _)| ours == key);
        found.map(|(_, label)| label.as_str())
    }
}

/// The labels of a bearer about it as a server; what they leave out is as its kind has it.
#[derive(Clone, Debug, Default)]
pub(super) struct ProxySpec {
    /// The names of the labels about it.
    pub labels: LabelNames,
    /// The folder in it where rendered files go.
    pub config: Option<PathBuf>,
    /// The folder from which it serves responses to challenges.
    pub webroot: Option<PathBuf>,
    /// Where it takes plain HTTP, inside.
    pub http_port: Option<u16>,
    /// Where it takes TLS, inside.
    pub https_port: Option<u16>,
    /// Where browsers find its plain HTTP.
    pub public_http_port: Option<u16>,
    /// Where browsers find its TLS.
    pub public_https_port: Option<u16>,
    /// True if the server uses the certificates of all names of its own project.
    pub uses_all: bool,
    /// The folder in it where certificates go.
    pub files: Option<PathBuf>,
    /// True if they may be put there through the engine, where no mount is shared.
    pub copy: bool,
    /// In which files they lie there.
    pub layout: Option<Layout>,
    /// Who is to own what it is given of certificates.
    pub owner: Option<Owner>,
    /// The mode of what it is given that holds a key.
    pub mode: Option<u32>,
    /// Where it shows its certificates.
    pub probes: Option<Vec<ProbePort>>,
    /// The certificate that it shows where no other can serve.
    pub default_certificate: Option<CertificateName>,
    /// The address that a CA is given for what it obtains.
    pub email: Option<String>,
    /// The way to make it read its files again.
    pub reload: Option<Reload>,
    /// The words of its own tool that look at new files; empty for those of its kind.
    pub check: Option<Vec<String>>,
    /// True if a label about the server can't be followed: its folders may be others than those that would be written
    /// then.
    pub spoiled: bool,
}

impl Spec {
    /// True if it needs certificates, whether the names are served or not.
    pub fn uses_any(&self) -> bool {
        let mut sites = self.sites.values();
        self.proxy.uses_all || sites.any(|site| !site.uses.is_empty())
    }
}

impl ProxySpec {
    /// One of the labels about it, with its text where it is written.
    pub fn origin(&self, bearer: &Bearer, key: &str) -> Origin {
        let written = bearer.labels.get(&self.labels.of(key));
        let text = written.map_or("", String::as_str);
        self.labels.origin(bearer, key, text)
    }
}

/// The labels of a bearer about one site.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SiteSpec {
    /// The names of the labels about it.
    pub labels: LabelNames,
    /// The hosts for which it answers.
    pub hosts: BTreeSet<Host>,
    /// The first of them as written that is no wildcard: where further names are sent.
    pub first: Option<Host>,
    /// Further names that are sent to the first host.
    pub redirects: BTreeSet<Host>,
    /// Port in the container.
    pub port: Option<u16>,
    /// Which part of the site it is.
    pub path: Path,
    /// True if the path is taken off before the request is passed on.
    pub strip: bool,
    /// The path that replaces it.
    pub upstream_path: Option<Path>,
    /// The scheme in which the proxy talks to it.
    pub scheme: Scheme,
    /// The use of plain text and of TLS.
    pub tls: Tls,
    /// The time for which browsers insist on TLS.
    pub hsts: Option<Hsts>,
    /// The largest request, as nginx writes sizes.
    pub body_size: Option<String>,
    /// The time that the proxy waits for it.
    pub timeout: Option<Duration>,
    /// The kilobytes of headers that an answer may have.
    pub buffers: Option<u32>,
    /// The use of its health check.
    pub health: HealthUse,
    /// A file of passwords in the proxy.
    pub auth: Option<String>,
    /// The text with which the password is asked for.
    pub auth_realm: Option<String>,
    /// From where it may be asked.
    pub allow: Vec<Block>,
    /// The network over which the proxy reaches it.
    pub network: Option<String>,
    /// The proxies that serve it.
    pub via: BTreeSet<String>,
    /// Further names on its certificate.
    pub names: BTreeSet<Host>,
    /// Names that the bearer needs a certificate for, be they served or not.
    pub uses: BTreeSet<Host>,
    /// The wishes about its certificate.
    pub wish: CertificateSpec,
    /// True if a label of the site can't be followed: a site without its password or its address list must not be
    /// served.
    pub spoiled: bool,
}

impl SiteSpec {
    /// The whole name of one of the labels about it.
    pub fn label(&self, key: &str) -> String {
        self.labels.of(key)
    }

    /// All names that stand in its labels.
    pub fn all_names(&self) -> impl Iterator<Item = &Host> {
        self.hosts
            .iter()
            .chain(&self.redirects)
            .chain(&self.names)
            .chain(&self.uses)
    }
}

/// The labels of a bearer about a certificate; they leave the rest to others and to the settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct CertificateSpec {
    /// The certificate's name: all hosts of the site are on it.
    pub certificate: Option<CertificateName>,
    /// Who issues it; `Some(None)` for nobody, because it is provided.
    pub issuers: Option<Option<IssuerNames>>,
    /// The challenge by which the CA is shown that its names are ours.
    pub challenge: Option<ChallengeType>,
    /// The table of the settings that sets the records of dns-01.
    pub dns: Option<String>,
    /// The kind of its key.
    pub key_type: Option<KeyType>,
    /// The CA's word for what kind of certificate it is.
    pub profile: Option<Profile>,
    /// The held certificate that is served whatever is wrong with it.
    pub pin: Option<CertificateName>,
}
/// Bytes of a path. nginx refuses its whole configuration over one parameter of more than 4,095.
pub(super) const LONGEST_PATH: usize = 1000;

/// A path in whole segments, without a slash at its end; empty for everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path(String);

impl Path {
    /// Reads `/`, `/api` or `/api/`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let path = text.strip_suffix('/').unwrap_or(text);
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
        let is_segment =
            |segment: &str| !matches!(segment, "" | "." | "..") && segment.chars().all(plain);
        match path.strip_prefix('/') {
            None if path.is_empty() && text == "/" => Ok(Self(String::new())),
            _ if path.len() > LONGEST_PATH => {
                Err(format!("it is longer than {LONGEST_PATH} bytes"))
            }
            Some(rest) if rest.split('/').all(is_segment) => Ok(Self(path.to_owned())),
            _ => Err(
                "it is not a path of plain segments (letters, digits and `-._~`), such as /api"
                    .to_owned(),
            ),
        }
    }

    /// The path; empty for everything.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "/" } else { &self.0 })
    }
}

/// The time for which browsers insist on TLS, and the names (HTTP Strict Transport Security).
///
/// <https://www.rfc-editor.org/rfc/rfc6797#section-6.1>
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Hsts {
    /// The time.
    pub length: Duration,
    /// For all names below it, too.
    pub include_subdomains: bool,
    /// Browsers may know it beforehand.
    pub preload: bool,
}

/// The use of a bearer's health check.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum HealthUse {
    /// The bearer takes requests while it passes.
    #[default]
    Check,
    /// Nothing: the bearer takes requests whatever it says.
    Ignore,
}

impl HealthUse {
    /// Each with its word.
    pub const WORDS: &[(&str, Self)] = &[("check", Self::Check), ("ignore", Self::Ignore)];
}

/// The scheme in which a proxy talks to the bearers behind it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    /// Plain HTTP.
    #[default]
    Http,
    /// HTTP over TLS, with any certificate.
    Https,
    /// gRPC in plain text.
    Grpc,
    /// gRPC over TLS, with any certificate.
    Grpcs,
}

impl Scheme {
    /// Each with its word.
    pub const WORDS: &[(&str, Self)] = &[
        ("http", Self::Http),
        ("https", Self::Https),
        ("grpc", Self::Grpc),
        ("grpcs", Self::Grpcs),
    ];

    /// Its word.
    pub fn as_str(self) -> &'static str {
        Self::WORDS
            .iter()
            .find(|(_, scheme)| *scheme == self)
            .map_or("http", |(word, _)| word)
    }
}

/// The use of plain text and of TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tls {
    /// Plain requests are sent to https.
    #[default]
    Redirect,
    /// Both are served.
    Both,
    /// Plain requests are refused.
    Only,
    /// There is no https, and no certificate is obtained.
    Off,
}

impl Tls {
    /// Each with its word.
    pub const WORDS: &[(&str, Self)] = &[
        ("redirect", Self::Redirect),
        ("both", Self::Both),
        ("only", Self::Only),
        ("off", Self::Off),
    ];

    /// Its word.
    pub fn as_str(self) -> &'static str {
        Self::WORDS
            .iter()
            .find(|(_, tls)| *tls == self)
            .map_or("redirect", |(word, _)| word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_plain_segments() {
        for (text, path) in [
            ("/", ""),
            ("/api", "/api"),
            ("/api/", "/api"),
            ("/a/b-c.d~e_f", "/a/b-c.d~e_f"),
        ] {
            assert_eq!(
                Path::parse(text).map(|path| path.0),
                Ok(path.to_owned()),
                "{text}"
            );
        }
        for text in [
            "", "api", "//", "/a//b", "/a/../b", "/.", "/a b", "/a;b", "/{x}", "/$x", "/a%2f",
            "/ä", "/a\n",
        ] {
            assert!(Path::parse(text).is_err(), "{text:?}");
        }
        assert!(Path::parse(&format!("/{}", "a".repeat(LONGEST_PATH - 1))).is_ok());
        assert!(Path::parse(&format!("/{}", "a".repeat(LONGEST_PATH))).is_err());
    }
}
