//! The readers of settings' values.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use crate::values::{DnsName, FallbackRule, FallbackRuleError, Host, Limit};

pub(super) fn set<T>(field: &mut T, value: Result<T, String>) -> Result<(), String> {
    *field = value?;
    Ok(())
}

pub(super) fn is_json(value: &str) -> Result<bool, String> {
    match value {
        "text" => Ok(false),
        "json" => Ok(true),
        _ => Err("there is no such format".to_owned()),
    }
}

pub(super) fn filled(value: &str) -> Result<String, String> {
    if value.is_empty() {
        Err("it is empty".to_owned())
    } else {
        Ok(value.to_owned())
    }
}

/// The name of a root certificate, as a chain of certificates has it.
pub(super) fn root_name(value: &str) -> Result<String, String> {
    let name = value.trim();
    match name {
        "" => Err("it is empty".to_owned()),
        _ if name.starts_with('/') || name.starts_with("-----BEGIN") => {
            Err("it is a file or a certificate, and not the name of a root".to_owned())
        }
        _ if name.contains(char::is_control) => {
            Err("it has characters that no name has".to_owned())
        }
        _ => Ok(name.to_owned()),
    }
}

pub(super) fn folder(value: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(value);
    if path.is_absolute() {
        Ok(path)
    } else {
        Err("it must be an absolute path, beginning with /".to_owned())
    }
}

/// Where to listen: a port has to be said, since each that we might mean is somebody's.
pub(super) fn listening(value: &str) -> Result<SocketAddr, String> {
    let at: SocketAddr = value
        .parse()
        .map_err(|_| "it is not an IP address with a port".to_owned())?;
    match at.port() {
        0 => Err("the port is 0".to_owned()),
        _ => Ok(at),
    }
}

/// A DNS server, by its name or address, with a port or at the usual one.
pub(super) fn server(value: &str) -> Result<String, String> {
    let (host, port) = value.rsplit_once(':').unwrap_or((value, "53"));
    let is_name = port.parse::<u16>().is_ok_and(|port| port > 0);
    match DnsName::parse(host) {
        Ok(host) if is_name => Ok(format!("{}:{port}", host.as_str())),
        _ => at_address(value).map(|at| at.to_string()),
    }
}

fn at_address(value: &str) -> Result<SocketAddr, String> {
    const DNS: u16 = 53;
    let bare = value
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let address = bare.unwrap_or(value).parse::<IpAddr>();
    let at = address.map(|address| SocketAddr::new(address, DNS));
    let at = at.or_else(|_| value.parse());
    let at = at.map_err(|_| {
        "it is neither a host name nor an IP address, with or without a port".to_owned()
    })?;
    match at.port() {
        0 => Err("the port is 0".to_owned()),
        _ => Ok(at),
    }
}

/// Names, separated as in labels.
pub(super) fn names(value: &str) -> Result<BTreeSet<Host>, String> {
    let words = value.split(|c: char| c == ',' || c.is_ascii_whitespace());
    let words = words.filter(|word| !word.is_empty());
    let read = |word: &str| Host::parse(word).map_err(|error| error.to_string());
    let names: BTreeSet<_> = words.map(read).collect::<Result<_, _>>()?;
    match names.is_empty() {
        true => Err("it is empty".to_owned()),
        false => Ok(names),
    }
}

/// Words between commas or blanks, at least one.
pub(super) fn some_words(value: &str) -> Result<Vec<String>, String> {
    let words = value.split([',', ' ', '\t', '\n']);
    let words: Vec<_> = words
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect();
    match words.is_empty() {
        true => Err("there is no word in it".to_owned()),
        false => Ok(words),
    }
}

/// Reads the domain that completes names.
pub(super) fn domain(value: &str) -> Result<DnsName, String> {
    DnsName::parse(value).map_err(|error| error.to_string())
}

pub(super) fn label_prefix(value: &str) -> Result<String, String> {
    let plain =
        |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.' | '_');
    match value.starts_with(|c: char| c.is_ascii_lowercase()) && value.chars().all(plain) && !value.ends_with('.') {
        true => Ok(value.to_owned()),
        false => Err("it must be lower-case letters, digits, `-`, `_` and inner dots, beginning with a letter".into()),
    }
}

pub(super) fn truth(value: &str) -> Result<bool, String> {
    match value.to_ascii_lowercase().as_str() {
        "true" | "on" | "yes" | "1" => Ok(true),
        "false" | "off" | "no" | "0" => Ok(false),
        _ => Err("write true or false".to_owned()),
    }
}

pub(super) fn resync(value: &str) -> Result<Duration, String> {
    const SHORTEST: Duration = Duration::from_secs(1);
    const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
    let length = duration(value)?;
    match (SHORTEST..=LONGEST).contains(&length) {
        true => Ok(length),
        false => Err("it must be from 1s to 1day".to_owned()),
    }
}

/// The time until something is deleted: a name that only flickers must not cost its certificate.
pub(super) fn deletion(value: &str) -> Result<Duration, String> {
    const SHORTEST: Duration = Duration::from_secs(24 * 60 * 60);
    let length = duration(value)?;
    match length >= SHORTEST {
        true => Ok(length),
        false => Err("it must be at least 1day".to_owned()),
    }
}

/// The rule of this word, or of what YAML makes of `on` and `off`.
pub(super) fn fallback(value: &str) -> Result<FallbackRule, String> {
    match truth(value) {
        Ok(true) => Ok(FallbackRule::On),
        Ok(false) => Ok(FallbackRule::Off),
        Err(_) => value
            .to_ascii_lowercase()
            .parse()
            .map_err(|error: FallbackRuleError| error.to_string()),
    }
}

/// Reads the number of days that a certificate of our own lives.
pub(super) fn fallback_days(value: &str) -> Result<Duration, String> {
    const MOST: u64 = 3650;
    match value.parse() {
        Ok(days @ 1..=MOST) => Ok(Duration::from_secs(days * 24 * 60 * 60)),
        _ => Err(format!("it must be a number of days from 1 to {MOST}")),
    }
}

/// At most so many within a length of time, such as `300/3h`; nothing where there is no limit.
pub(super) fn limit(value: &str) -> Result<Option<Limit>, String> {
    if is_unlimited(value) {
        return Ok(None);
    }
    let wrong = || "write a number and a length of time, such as 300/3h, or none".to_owned();
    let (most, within) = value.split_once('/').ok_or_else(wrong)?;
    let most = most.trim().parse().map_err(|_| wrong())?;
    let within = duration(within.trim())?;
    match most > 0 && !within.is_zero() && within <= LONGEST_WINDOW {
        true => Ok(Some(Limit { most, within })),
        false => Err("it must be at least 1, within a length of time up to 365days".to_owned()),
    }
}

/// The longest time that entries for a limit are kept.
const LONGEST_WINDOW: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// So many in a second; nothing where there is no limit.
pub(super) fn per_second(value: &str) -> Result<Option<u32>, String> {
    match value.parse() {
        _ if is_unlimited(value) => Ok(None),
        Ok(most @ 1..=1000) => Ok(Some(most)),
        _ => Err("it must be a number from 1 to 1000, or none".to_owned()),
    }
}

fn is_unlimited(value: &str) -> bool {
    value.eq_ignore_ascii_case("none")
}

/// A length of time with its unit. Months and years are refused: `1M` is easily meant as a minute.
pub(super) fn duration(value: &str) -> Result<Duration, String> {
    let long = ["M", "month", "months", "y", "year", "years"];
    let has_long_unit = value
        .split(|c: char| c.is_ascii_digit() || c.is_whitespace())
        .any(|unit| long.contains(&unit));
    if has_long_unit {
        return Err("months and years have no fixed length; write days".to_owned());
    }
    humantime::parse_duration(value).map_err(|error| format!("it is not a length of time: {error}"))
}
