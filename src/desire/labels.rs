//! The label table: a row is a label's name, syntax, default, doc, example and reader. What a container's labels say,
//! as written, ends up in its [`Spec`].

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use super::{
    Complaint, Reload,
    complaint::{bounded, shortened},
    kinds::{KINDS, kind},
    spec::{LONGEST_PATH, Path, Scheme, SiteSpec, Spec, Tls, Wish},
};
use crate::{
    observe::Container,
    values::{Block, CaError, CertificateName, ChallengeTypeError, Host, Issuer, KeyTypeError, NameError, SignalError},
};

/// One label: a row of the label table.
pub struct LabelRow {
    /// Its name after the prefix and the dot.
    pub key: &'static str,
    /// What may be written.
    pub syntax: &'static str,
    /// What is meant when nothing is written.
    pub default: &'static str,
    /// What it means.
    pub doc: &'static str,
    /// A value that works.
    pub example: &'static str,
    read: Reader,
}

/// What a label is about, and how it is read.
enum Reader {
    /// A site: also as `site.WORD.KEY`, for further sites of one container.
    Site(fn(&mut SiteSpec, &str) -> Result<(), String>),
    /// Names of a site, of which each may be wrong for itself.
    Names(fn(&mut SiteSpec, Host)),
    /// The container as a server.
    Consumer(fn(&mut Spec, &str) -> Result<(), String>),
}

/// Every label there is.
pub const LABELS: &[LabelRow] = &[
    LabelRow {
        key: "host",
        syntax: "hosts, separated by commas or blanks",
        default: "none: the container is not served",
        doc: "what this container answers for: host names (international ones too), wildcards such as *.shop.example, \
              which get what no other site claims, and IP addresses. Each gets a site on the proxies that share a \
              network with it, and a certificate of its own",
        example: "shop.example, www.shop.example",
        read: Reader::Names(|site, host| {
            if !host.is_wildcard() {
                site.first.get_or_insert_with(|| host.clone());
            }
            site.hosts.insert(host);
        }),
    },
    LabelRow {
        key: "port",
        syntax: "1 to 65535",
        default: "the only exposed TCP port, else 80 if it is exposed",
        doc: "port in the container that the proxy talks to",
        example: "8080",
        read: Reader::Site(|site, value| set(&mut site.port, port(value))),
    },
    LabelRow {
        key: "path",
        syntax: "a path of plain segments",
        default: "/",
        doc: "serves only this part of the host, in whole segments: /api is /api and /api/…, not /apix; the longest \
              wins. Passed on unchanged. Containers with the same host and path share the load",
        example: "/api",
        read: Reader::Site(|site, value| set(&mut site.path, Path::parse(value))),
    },
    LabelRow {
        key: "strip",
        syntax: "true or false",
        default: "false",
        doc: "passes requests on without the path",
        example: "true",
        read: Reader::Site(|site, value| set(&mut site.strip, truth(value))),
    },
    LabelRow {
        key: "upstream-path",
        syntax: "a path of plain segments",
        default: "none",
        doc: "passes requests on with this in place of the path",
        example: "/v2",
        read: Reader::Site(|site, value| set(&mut site.upstream_path, Path::parse(value).map(Some))),
    },
    LabelRow {
        key: "scheme",
        syntax: "http, https, grpc or grpcs",
        default: "http",
        doc: "how the proxy talks to the container; https and grpcs accept any certificate",
        example: "https",
        read: Reader::Site(|site, value| set(&mut site.scheme, one_of(Scheme::WORDS, value))),
    },
    LabelRow {
        key: "tls",
        syntax: "redirect, both, only or off",
        default: "redirect",
        doc: "what plain http gets: sent to https, served too, or refused with 404; off: no https and no certificate. \
              Until the certificate is there, redirect and only answer 503",
        example: "both",
        read: Reader::Site(|site, value| set(&mut site.tls, one_of(Tls::WORDS, value))),
    },
    LabelRow {
        key: "hsts",
        syntax: "a length of time in s, m, h, d, w or y",
        default: "none",
        doc: "how long browsers shall insist on https (Strict-Transport-Security)",
        example: "1y",
        read: Reader::Site(|site, value| set(&mut site.hsts, length(value).map(Some))),
    },
    LabelRow {
        key: "body-size",
        syntax: "a number with k, m or g; 0 for no limit",
        default: "what the proxy has, 1m in nginx",
        doc: "the largest request that is passed on",
        example: "10m",
        read: Reader::Site(|site, value| set(&mut site.body_size, size(value).map(Some))),
    },
    LabelRow {
        key: "auth",
        syntax: "a whole path",
        default: "none",
        doc: "asks for a password of this htpasswd file, as the proxy sees it",
        example: "/etc/nginx/htpasswd",
        read: Reader::Site(|site, value| set(&mut site.auth, file(value).map(Some))),
    },
    LabelRow {
        key: "auth-realm",
        syntax: "a text without $, quotes and backslashes",
        default: "the host name",
        doc: "what the password is asked for",
        example: "Staff",
        read: Reader::Site(|site, value| set(&mut site.auth_realm, realm(value).map(Some))),
    },
    LabelRow {
        key: "allow",
        syntax: "addresses or blocks, separated by commas or blanks",
        default: "everybody",
        doc: "from where it may be asked; everybody else gets 403. Challenges are answered to all",
        example: "10.0.0.0/8",
        // An empty list would let everybody in.
        read: Reader::Site(|site, value| set(&mut site.allow, Block::parse_all(value))),
    },
    LabelRow {
        key: "redirect",
        syntax: "hosts, separated by commas or blanks",
        default: "none",
        doc: "further names that are sent to the first host, each with a certificate of its own",
        example: "www.shop.example",
        read: Reader::Names(|site, host| {
            site.redirects.insert(host);
        }),
    },
    LabelRow {
        key: "certificate",
        syntax: "a name of letters, digits, `.`, `_` and `-`",
        default: "none: each host has a certificate of its own, so that a dead name harms only itself",
        doc: "puts the site's hosts, those of redirect too, on one certificate of this name; containers of one Compose \
              project that name it add up, to at most 100 names",
        example: "shop",
        read: Reader::Site(|site, value| {
            let name = CertificateName::parse(value).map_err(|NameError(_)| "it can't be a folder's name".to_owned());
            set(&mut site.wish.certificate, name.map(Some))
        }),
    },
    LabelRow {
        key: "names",
        syntax: "hosts, separated by commas or blanks",
        default: "none",
        doc: "further names on the site's certificate, which are not served here; the CA's challenges for them are \
              answered. With several hosts, certificate has to say which one is meant",
        example: "mail.shop.example",
        read: Reader::Names(|site, host| {
            site.names.insert(host);
        }),
    },
    LabelRow {
        key: "ca",
        syntax: "a preset's name, self-signed or none",
        default: "the setting ca",
        doc: "who issues the certificate: letsencrypt, staging, self-signed (made here, on purpose: it counts as \
              trusted), or none: one that is provided serves, and nobody is asked. Another one is obtained at once \
              when this changes",
        example: "staging",
        read: Reader::Site(|site, value| {
            set(&mut site.wish.issuer, Issuer::of_label(value).map(Some).map_err(|error: CaError| error.to_string()))
        }),
    },
    LabelRow {
        key: "challenge",
        syntax: "http-01",
        default: "the setting challenge",
        doc: "how the CA is shown that the names are ours",
        example: "http-01",
        read: Reader::Site(|site, value| {
            let read = value.parse().map(Some).map_err(|error: ChallengeTypeError| error.to_string());
            set(&mut site.wish.challenge, read)
        }),
    },
    LabelRow {
        key: "key-type",
        syntax: "ec-256, ec-384, rsa-2048, rsa-3072 or rsa-4096",
        default: "the setting key-type",
        doc: "of the certificate's key; a new certificate is obtained at once when this changes",
        example: "rsa-2048",
        read: Reader::Site(|site, value| {
            let read = value.parse().map(Some).map_err(|error: KeyTypeError| error.to_string());
            set(&mut site.wish.key_type, read)
        }),
    },
    LabelRow {
        key: "profile",
        syntax: "a word of the CA's",
        default: "the setting profile",
        doc: "what kind of certificate the CA is asked for, from the next order on",
        example: "shortlived",
        read: Reader::Site(|site, value| set(&mut site.wish.profile, profile(value).map(Some))),
    },
    LabelRow {
        key: "pin",
        syntax: "the name of a certificate",
        default: "none: the best one that covers the host",
        doc: "serves this certificate of those that are there, even if it has run out or is for another name",
        example: "own",
        read: Reader::Site(|site, value| {
            let name = CertificateName::parse(value).map_err(|NameError(_)| "it can't be a folder's name".to_owned());
            set(&mut site.wish.pin, name.map(Some))
        }),
    },
    LabelRow {
        key: "network",
        syntax: "the name of a network",
        default: "the first that both are on",
        doc: "network over which the proxy reaches the container; Compose's project may be left out",
        example: "web",
        read: Reader::Site(|site, value| set(&mut site.network, text(value).map(Some))),
    },
    LabelRow {
        key: "via",
        syntax: "names of proxies, separated by commas or blanks",
        default: "those that share a network with it",
        doc: "which proxies serve it: container names or Compose services",
        example: "edge",
        read: Reader::Site(|site, value| {
            let names: BTreeSet<_> = words_of(value).map(str::to_owned).collect();
            if names.is_empty() { Err("it names no proxy".to_owned()) } else { set(&mut site.via, Ok(names)) }
        }),
    },
    LabelRow {
        key: "kind",
        syntax: "a row of the kinds table",
        default: "none: the container is not configured",
        doc: "makes the container a server that quaymaster configures and reloads",
        example: "nginx",
        read: Reader::Consumer(|spec, value| {
            spec.kind = kind(value);
            let kinds = words(KINDS.iter().map(|kind| kind.name.to_owned()));
            spec.kind.map(|_| ()).ok_or_else(|| format!("there is no such kind of server, only {kinds}"))
        }),
    },
    LabelRow {
        key: "config",
        syntax: "a whole path",
        default: "as its kind has it, /etc/nginx/conf.d for nginx",
        doc: "the folder in the server where rendered files go; it must be on a volume that quaymaster mounts too",
        example: "/etc/nginx/conf.d",
        read: Reader::Consumer(|spec, value| set(&mut spec.proxy.config, folder(value))),
    },
    LabelRow {
        key: "webroot",
        syntax: "a whole path",
        default: "where it mounts the folder of the setting webroot, else challenge/ in its config folder",
        doc: "the folder in the server from which it serves /.well-known/acme-challenge",
        example: "/var/www/challenge",
        read: Reader::Consumer(|spec, value| set(&mut spec.proxy.webroot, folder(value))),
    },
    LabelRow {
        key: "http-port",
        syntax: "1 to 65535",
        default: "80",
        doc: "where the server listens for plain http, inside",
        example: "8080",
        read: Reader::Consumer(|spec, value| set(&mut spec.proxy.http_port, port(value))),
    },
    LabelRow {
        key: "https-port",
        syntax: "1 to 65535",
        default: "443",
        doc: "where the server listens for https, inside",
        example: "8443",
        read: Reader::Consumer(|spec, value| set(&mut spec.proxy.https_port, port(value))),
    },
    LabelRow {
        key: "reload",
        syntax: "a signal, by name or number, exec WORDS…, restart or none",
        default: "as its kind has it, HUP for nginx",
        doc: "what makes the server read its files again: a signal to its first process, words that are run in it (split \
              as a shell splits them, nothing expanded; needs the right exec), a restart of its container (needs the \
              right restart); none: it is not told, and reads them when it starts",
        example: "HUP",
        read: Reader::Consumer(|spec, value| set(&mut spec.proxy.reload, reload(value).map(Some))),
    },
    LabelRow {
        key: "check",
        syntax: "exec, or exec WORDS…",
        default: "none: what it takes up shows after its reload",
        doc: "has the server's own tool look at new files before the server is told of them: what it refuses is told in \
              its words, and what was there before is back at once. Words are split as a shell splits them, nothing \
              expanded; exec alone is what its kind has, nginx -t for nginx. Needs the right exec",
        example: "exec nginx -t",
        read: Reader::Consumer(|spec, value| {
            let words = exec_words(value).unwrap_or_else(|| Err("it does not begin with exec".to_owned()));
            set(&mut spec.proxy.check, words.map(Some))
        }),
    },
];

/// What is wrong with the labels of one container is told up to here: thousands of complaints hide each other, and the
/// others'.
const MOST_COMPLAINTS: usize = 20;

/// Reads all labels of one container that begin with our prefix.
pub(super) fn read(container: &Container, prefix: &str, complaints: &mut BTreeSet<Complaint>) -> Spec {
    let mut spec = Spec::default();
    let start = format!("{prefix}.");
    let complaint = |label: &str, value: &str, (problem, remedy)| {
        let (label, value) = (shortened(label), shortened(value));
        Complaint { container: container.name.clone(), label, value, problem, remedy }
    };
    let mut count = 0;
    for (label, value) in &container.labels {
        let Some(key) = label.strip_prefix(&start) else { continue };
        let troubles = read_one(&mut spec, key, value, prefix);
        let told = MOST_COMPLAINTS.saturating_sub(count);
        count += troubles.len();
        complaints.extend(troubles.into_iter().take(told).map(|trouble| complaint(label, value, trouble)));
    }
    if count > MOST_COMPLAINTS {
        let problem = format!("{} more can't be followed on this container", count - MOST_COMPLAINTS);
        complaints.insert(complaint(prefix, "", (problem, "mend those that are told first".to_owned())));
    }
    for site in spec.sites.values_mut() {
        if let Err((key, problem, remedy)) = agree(site) {
            site.spoiled = true;
            complaints.insert(complaint(&format!("{start}{key}"), "", (problem, remedy)));
        }
    }
    spec
}

type Trouble = (String, String);

/// Reads one label; says what is wrong and what to write instead.
fn read_one(spec: &mut Spec, key: &str, value: &str, prefix: &str) -> Vec<Trouble> {
    let (word, bare) = match split_site(key) {
        Ok(split) => split,
        Err(problem) => {
            return vec![(problem, format!("write {prefix}.site.WORD.host, such as {prefix}.site.admin.host"))];
        }
    };
    let Some(row) = LABELS.iter().find(|row| row.key == bare) else { return vec![unknown(bare, prefix)] };
    let value = value.trim();
    match &row.read {
        Reader::Names(take) => read_names(spec.sites.entry(word.to_owned()).or_default(), value, *take),
        Reader::Site(read) => {
            let site = spec.sites.entry(word.to_owned()).or_default();
            let wrong = |problem: String| {
                let remedy =
                    format!("write {}, such as {}; until then the site is not served", row.syntax, row.example);
                (bounded(&problem), remedy)
            };
            let problem = read(site, value).map_err(wrong).err();
            site.spoiled |= problem.is_some();
            problem.into_iter().collect()
        }
        Reader::Consumer(_) if !word.is_empty() => {
            vec![("it is about the container, not about one of its sites".to_owned(), format!("write {prefix}.{bare}"))]
        }
        Reader::Consumer(read) => {
            let wrong = |problem: String| {
                let remedy = format!("write {}, such as {}; until then it is not configured", row.syntax, row.example);
                (bounded(&problem), remedy)
            };
            let problem = read(spec, value).map_err(wrong).err();
            spec.proxy.spoiled |= problem.is_some();
            problem.into_iter().collect()
        }
    }
}

/// `site.WORD.KEY` as its word and its key; a plain key has no word.
fn split_site(key: &str) -> Result<(&str, &str), String> {
    let Some(rest) = key.strip_prefix("site.") else { return Ok(("", key)) };
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    match rest.split_once('.') {
        Some((word, bare)) if !word.is_empty() && word.chars().all(plain) => Ok((word, bare)),
        _ => Err("the word after `site.` must be of lower-case letters, digits and hyphens".to_owned()),
    }
}

fn unknown(key: &str, prefix: &str) -> Trouble {
    // To compare costs time and memory by the length of both, and nobody mistypes a name into a long text.
    let key = &shortened(key);
    let distance = |row: &&LabelRow| strsim::damerau_levenshtein(row.key, key);
    let nearest = LABELS.iter().min_by_key(distance).filter(|row| distance(row) <= 1 + row.key.len() / 3);
    let remedy = match nearest {
        Some(row) => format!("did you mean {prefix}.{}?", row.key),
        None => format!("known are {}", words(LABELS.iter().map(|row| format!("{prefix}.{}", row.key)))),
    };
    ("there is no such label".to_owned(), remedy)
}

/// Each name for itself: one that can't be followed does not take the others with it.
fn read_names(site: &mut SiteSpec, value: &str, take: fn(&mut SiteSpec, Host)) -> Vec<Trouble> {
    let others = "the container's other names are served".to_owned();
    let mut troubles = Vec::new();
    if words_of(value).next().is_none() {
        let remedy = "write a host such as shop.example, or leave the label out".to_owned();
        troubles.push(("it names no host".to_owned(), remedy));
    }
    for word in words_of(value) {
        match Host::parse(word) {
            Ok(host) => take(site, host),
            Err(error) => troubles.push((format!("{:?} is no host: {error}", short(word)), others.clone())),
        }
    }
    troubles
}

/// What no single label shows: labels of one site that contradict each other.
fn agree(site: &SiteSpec) -> Result<(), (&'static str, String, String)> {
    let wrong = |key, problem: &str, remedy: &str| Err((key, problem.to_owned(), remedy.to_owned()));
    let rewrites = site.strip || site.upstream_path.is_some();
    let is_grpc = matches!(site.scheme, Scheme::Grpc | Scheme::Grpcs);
    if site.strip && site.upstream_path.is_some() {
        return wrong("strip", "strip and upstream-path exclude each other", "keep one of them");
    }
    if rewrites && is_grpc {
        return wrong("scheme", "nginx can't change the path of gRPC", "leave out strip and upstream-path");
    }
    if is_grpc && site.tls == Tls::Off {
        return wrong("scheme", "gRPC is only passed on from https", "leave out tls=off");
    }
    if site.tls == Tls::Off && site.hsts.is_some() {
        return wrong("hsts", "browsers can't insist on https that is off", "leave out hsts, or tls=off");
    }
    if site.auth_realm.is_some() && site.auth.is_none() {
        return wrong("auth-realm", "there is no password file", "add auth with the path of an htpasswd file");
    }
    if site.tls == Tls::Off && (site.wish != Wish::default() || !site.names.is_empty()) {
        return wrong("tls", "labels say something of a certificate that there is none of", "leave out tls=off");
    }
    if !site.names.is_empty() && site.wish.certificate.is_none() && site.hosts.len() + site.redirects.len() > 1 {
        let problem = "the site has several hosts, each with a certificate of its own";
        return wrong("names", problem, "add certificate, which puts them all on one");
    }
    if site.hosts.is_empty() && !site.names.is_empty() {
        return wrong("names", "there is no host whose certificate they could be on", "add host");
    }
    if site.first.is_none() && !site.redirects.is_empty() {
        return wrong("redirect", "there is no host to send them to", "add host with a name that is no wildcard");
    }
    Ok(())
}

fn set<T>(field: &mut T, value: Result<T, String>) -> Result<(), String> {
    *field = value?;
    Ok(())
}

fn words_of(value: &str) -> impl Iterator<Item = &str> {
    value.split([',', ' ', '\t', '\n', '\r']).filter(|word| !word.is_empty())
}

fn short(word: &str) -> String {
    const LONGEST: usize = 80;
    match word.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &word[..end]),
        None => word.to_owned(),
    }
}

fn port(value: &str) -> Result<Option<u16>, String> {
    // `parse` would also take `+80`.
    let number = value.parse::<u16>().ok().filter(|port| *port > 0 && !value.starts_with('+'));
    number.map(Some).ok_or_else(|| "it is no port".to_owned())
}

fn truth(value: &str) -> Result<bool, String> {
    match value.to_ascii_lowercase().as_str() {
        "true" | "on" | "yes" => Ok(true),
        "false" | "off" | "no" => Ok(false),
        _ => Err("it is neither true nor false".to_owned()),
    }
}

fn one_of<T: Copy>(words: &[(&str, T)], value: &str) -> Result<T, String> {
    let found = words.iter().find(|(word, _)| word.eq_ignore_ascii_case(value));
    found.map(|(_, meant)| *meant).ok_or_else(|| "there is no such choice".to_owned())
}

/// A length of time with one unit. A month has none: `1m` is a minute.
fn length(value: &str) -> Result<Duration, String> {
    let wrong = || "it is no length of time".to_owned();
    let (number, unit) = value.split_at(value.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?);
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        "w" => 7 * 24 * 60 * 60,
        "y" => 365 * 24 * 60 * 60,
        _ => return Err(wrong()),
    };
    let seconds = number.parse::<u32>().map_err(|_| wrong())?;
    Ok(Duration::from_secs(u64::from(seconds) * unit))
}

fn size(value: &str) -> Result<String, String> {
    let number = value.strip_suffix(['k', 'K', 'm', 'M', 'g', 'G']).unwrap_or(value);
    let plain = !number.is_empty() && number.len() <= 9 && number.bytes().all(|byte| byte.is_ascii_digit());
    if plain { Ok(value.to_ascii_lowercase()) } else { Err("it is no size".to_owned()) }
}

fn file(value: &str) -> Result<String, String> {
    let plain = value.chars().all(|c| c.is_ascii_alphanumeric() || "-._~/".contains(c));
    if value.len() > LONGEST_PATH {
        return Err(format!("it is longer than {LONGEST_PATH} bytes"));
    }
    match value.starts_with('/') && plain && !value.contains("..") {
        true => Ok(value.to_owned()),
        false => Err("it is no whole path of plain characters".to_owned()),
    }
}

fn folder(value: &str) -> Result<Option<PathBuf>, String> {
    file(value).map(|path| Some(PathBuf::from(path)))
}

fn reload(value: &str) -> Result<Reload, String> {
    match (value.to_ascii_lowercase().as_str(), exec_words(value)) {
        ("none", _) => Ok(Reload::None),
        ("restart", _) => Ok(Reload::Restart),
        (_, Some(words)) => match words? {
            words if words.is_empty() => Err("there are no words to run".to_owned()),
            words => Ok(Reload::Exec(words)),
        },
        _ => value.parse().map(Reload::Signal).map_err(|error: SignalError| error.to_string()),
    }
}

/// The words behind `exec`; none where it does not begin so.
fn exec_words(value: &str) -> Option<Result<Vec<String>, String>> {
    let (first, rest) = value.split_once(char::is_whitespace).unwrap_or((value, ""));
    if !first.eq_ignore_ascii_case("exec") {
        return None;
    }
    // Steps are told line by line.
    Some(match rest.contains(char::is_control) {
        true => Err("it has line breaks or other control characters".to_owned()),
        false => shell_words::split(rest).map_err(|_| "it has a quote that is not closed".to_owned()),
    })
}

fn text(value: &str) -> Result<String, String> {
    const LONGEST: usize = 200;
    match value.chars().find(|c| c.is_control() || *c == '$') {
        Some(c) => Err(format!("it can't have {c:?}")),
        None if value.is_empty() => Err("it is empty".to_owned()),
        None if value.len() > LONGEST => Err(format!("it is longer than {LONGEST} bytes")),
        None => Ok(value.to_owned()),
    }
}

/// nginx puts it between quotes in a header, as it is.
fn realm(value: &str) -> Result<String, String> {
    match value.chars().find(|c| matches!(c, '"' | '\\')) {
        Some(c) => Err(format!("it can't have {c:?}")),
        None => text(value),
    }
}

/// The CA's word goes into a request to it and nowhere else.
fn profile(value: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    match !value.is_empty() && value.len() <= 64 && value.chars().all(plain) {
        true => Ok(value.to_owned()),
        false => Err("it is no word of at most 64 letters, digits, `-`, `_` and `.`".to_owned()),
    }
}

/// `a, b, c`.
pub(super) fn words(items: impl IntoIterator<Item = String>) -> String {
    items.into_iter().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_reads_its_own_example_and_stands_once() {
        for row in LABELS {
            assert!(read_one(&mut Spec::default(), row.key, row.example, "quaymaster").is_empty(), "{}", row.key);
            assert_eq!(LABELS.iter().filter(|other| other.key == row.key).count(), 1, "{}", row.key);
        }
    }

    #[test]
    fn what_can_not_be_followed_spoils_its_own_site_alone() {
        for (key, value) in [
            ("port", "eighty"),
            ("path", "api"),
            ("strip", "maybe"),
            ("scheme", "ftp"),
            ("tls", "maybe"),
            ("hsts", "1 year"),
            ("hsts", "y"),
            ("body-size", "10 MB"),
            ("body-size", "-1"),
            ("auth", "htpasswd"),
            ("auth", "/etc/../x"),
            ("auth", "/etc/x; }"),
            ("auth-realm", "$host"),
            ("auth-realm", "a\nb"),
            ("auth-realm", "\"a\""),
            ("allow", ""),
            ("allow", "10.0.0.0/8; deny all"),
            ("via", " "),
        ] {
            let mut spec = Spec::default();
            let troubles = read_one(&mut spec, &format!("site.one.{key}"), value, "quaymaster");
            read_one(&mut spec, "site.two.host", "two.example", "quaymaster");
            assert_eq!(troubles.len(), 1, "{key}={value:?}");
            assert_eq!((spec.sites["one"].spoiled, spec.sites["two"].spoiled), (true, false), "{key}={value:?}");
        }
    }

    #[test]
    fn words_are_split_as_a_shell_splits_them_and_nothing_is_expanded() {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let expected = Reload::Exec(words(&["sh", "-c", "kill -HUP $(cat /x)", "*", "$HOME"]));
        assert_eq!(reload("exec sh -c 'kill -HUP $(cat /x)' * \"$HOME\""), Ok(expected));
        assert_eq!(reload("Restart"), Ok(Reload::Restart));
        for value in ["exec", "exec  ", "exec a 'b", "exec a\nb", "executable", "exec\u{7} a"] {
            assert!(reload(value).is_err(), "{value:?}");
        }
        let mut spec = Spec::default();
        for (value, expected) in [("exec", &[][..]), ("exec nginx -t", &["nginx", "-t"])] {
            assert!(read_one(&mut spec, "check", value, "quaymaster").is_empty(), "{value}");
            assert_eq!(spec.proxy.check, Some(words(expected)));
        }
        let troubles = read_one(&mut spec, "check", "nginx -t", "quaymaster");
        assert_eq!(troubles[0].0, "it does not begin with exec");
        assert!(spec.proxy.spoiled);
    }

    #[test]
    fn lengths_of_time_have_one_unit() {
        assert_eq!(length("1y"), Ok(Duration::from_secs(31_536_000)));
        assert_eq!(length("30m"), Ok(Duration::from_secs(1800)));
        for text in ["", "1", "y", "1M", "1.5h", "-1s", "99999999999s"] {
            assert!(length(text).is_err(), "{text:?}");
        }
    }
}
