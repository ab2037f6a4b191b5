//! The readers of labels' values.

use std::{path::PathBuf, time::Duration};

use super::super::{
    Reload,
    spec::{Hsts, LONGEST_PATH, Path},
};
use crate::values::ReloadWord;

pub(super) fn set<T>(field: &mut T, value: Result<T, String>) -> Result<(), String> {
    *field = value?;
    Ok(())
}

pub(super) fn words_of(value: &str) -> impl Iterator<Item = &str> {
    value
        .split([',', ' ', '\t', '\n', '\r'])
        .filter(|word| !word.is_empty())
}

pub(super) fn short(word: &str) -> String {
    const LONGEST: usize = 80;
    match word.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &word[..end]),
        None => word.to_owned(),
    }
}

pub(super) fn port(value: &str) -> Result<Option<u16>, String> {
    // `parse` would also take `+80`.
    let number = value
        .parse::<u16>()
        .ok()
        .filter(|port| *port > 0 && !value.starts_with('+'));
    number
        .map(Some)
        .ok_or_else(|| "it is not a port".to_owned())
}

/// Where the CA asks for responses to http-01 challenges, on every host.
///
/// <https://www.rfc-editor.org/rfc/rfc8555#section-8.3>
const CHALLENGES: &str = "/.well-known/acme-challenge";

/// A path that bearers may serve: what is around the challenges is theirs, what is within is not.
pub(super) fn served_path(value: &str) -> Result<Path, String> {
    let path = Path::parse(value)?;
    match path.as_str().strip_prefix(CHALLENGES) {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => Err(format!(
            "quaymaster answers the CA's challenges at {CHALLENGES} of every host, so no container can be asked there"
        )),
        _ => Ok(path),
    }
}

pub(in crate::desire) fn truth(value: &str) -> Result<bool, String> {
    match value.to_ascii_lowercase().as_str() {
        "true" | "on" | "yes" => Ok(true),
        "false" | "off" | "no" => Ok(false),
        _ => Err("it is neither true nor false".to_owned()),
    }
}

pub(super) fn one_of<T: Copy>(words: &[(&str, T)], value: &str) -> Result<T, String> {
    let found = words
        .iter()
        .find(|(word, _)| word.eq_ignore_ascii_case(value));
    found
        .map(|(_, meant)| *meant)
        .ok_or_else(|| "there is no such choice".to_owned())
}

/// A length of time with one unit. A month has none: `1m` is a minute.
pub(super) fn length(value: &str) -> Result<Duration, String> {
    let wrong = || "it is not a length of time".to_owned();
    let (number, unit) = value.split_at(
        value
            .find(|c: char| !c.is_ascii_digit())
            .ok_or_else(wrong)?,
    );
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

/// Reads for which time, and for which names, browsers insist on https.
pub(super) fn hsts(value: &str) -> Result<Hsts, String> {
    /// The time that the preload lists of browsers ask for. <https://hstspreload.org/>
    const FOR_PRELOAD: Duration = Duration::from_secs(365 * 24 * 60 * 60);
    let mut words = words_of(value);
    let mut hsts = Hsts {
        length: length(words.next().unwrap_or_default())?,
        ..Hsts::default()
    };
    for word in words {
        match word.to_ascii_lowercase().as_str() {
            "include-subdomains" => hsts.include_subdomains = true,
            "preload" => hsts.preload = true,
            _ => {
                return Err(format!(
                    "{:?} is neither include-subdomains nor preload",
                    short(word)
                ));
            }
        }
    }
    match hsts.preload && !(hsts.include_subdomains && hsts.length >= FOR_PRELOAD) {
        true => Err("preload needs include-subdomains and 1y or more".to_owned()),
        false => Ok(hsts),
    }
}

pub(super) fn timeout(value: &str) -> Result<Duration, String> {
    const LONGEST: Duration = Duration::from_secs(7 * 24 * 60 * 60);
    let length = length(value)?;
    match !length.is_zero() && length <= LONGEST {
        true => Ok(length),
        false => Err("it is not from 1s to 7d".to_owned()),
    }
}

/// Kilobytes. Less than nginx' smallest default would only break answers; more would be memory for each request.
pub(super) fn buffers(value: &str) -> Result<u32, String> {
    let size = size(value)?;
    let kilobytes = match (size.strip_suffix('k'), size.strip_suffix('m')) {
        (Some(number), _) => number.parse::<u32>().ok(),
        (_, Some(number)) => number.parse::<u32>().ok().and_then(|m| m.checked_mul(1024)),
        (None, None) => None,
    };
    kilobytes
        .filter(|size| (4..=1024).contains(size))
        .ok_or_else(|| "it is not from 4k to 1m".to_owned())
}

pub(super) fn size(value: &str) -> Result<String, String> {
    let number = value
        .strip_suffix(['k', 'K', 'm', 'M', 'g', 'G'])
        .unwrap_or(value);
    let plain =
        !number.is_empty() && number.len() <= 9 && number.bytes().all(|byte| byte.is_ascii_digit());
    if plain {
        Ok(value.to_ascii_lowercase())
    } else {
        Err("it is not a size".to_owned())
    }
}

pub(super) fn file(value: &str) -> Result<String, String> {
    let plain = value
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "-._~/".contains(c));
    if value.len() > LONGEST_PATH {
        return Err(format!("it is longer than {LONGEST_PATH} bytes"));
    }
    match value.starts_with('/') && plain && !value.contains("..") {
        true => Ok(value.to_owned()),
        false => Err("it is not an absolute path of plain characters".to_owned()),
    }
}

pub(super) fn folder(value: &str) -> Result<Option<PathBuf>, String> {
    file(value).map(|path| Some(PathBuf::from(path)))
}

pub(super) fn reload(value: &str) -> Result<Reload, String> {
    Ok(match ReloadWord::parse(value)? {
        ReloadWord::Signal(signal) => Reload::Signal(signal),
        ReloadWord::Exec(words) => Reload::Exec(words),
        ReloadWord::Restart => Reload::Restart,
        ReloadWord::None => Reload::None,
    })
}

pub(super) fn text(value: &str) -> Result<String, String> {
    const LONGEST: usize = 200;
    match value.chars().find(|c| c.is_control() || *c == '$') {
        Some(c) => Err(format!("it can't have {c:?}")),
        None if value.is_empty() => Err("it is empty".to_owned()),
        None if value.len() > LONGEST => Err(format!("it is longer than {LONGEST} bytes")),
        None => Ok(value.to_owned()),
    }
}

/// nginx puts it between quotes in a header, as it is.
pub(super) fn realm(value: &str) -> Result<String, String> {
    match value.chars().find(|c| matches!(c, '"' | '\\')) {
        Some(c) => Err(format!("it can't have {c:?}")),
        None => text(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_have_one_unit() {
        assert_eq!(length("1y"), Ok(Duration::from_secs(31_536_000)));
        assert_eq!(length("30m"), Ok(Duration::from_secs(1800)));
        for text in ["", "1", "y", "1M", "1.5h", "-1s", "99999999999s"] {
            assert!(length(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn challenges_are_never_a_container_s() {
        for path in [
            "/.well-known/acme-challenge",
            "/.well-known/acme-challenge/",
            "/.well-known/acme-challenge/mine",
        ] {
            let problem = served_path(path).expect_err(path);
            assert!(problem.contains("challenges"), "{problem}");
        }
        for path in [
            "/",
            "/.well-known",
            "/.well-known/acme-challenges",
            "/.well-known/x",
        ] {
            assert_eq!(served_path(path), Path::parse(path), "{path}");
        }
    }

    #[test]
    fn preload_is_for_those_who_mean_it() {
        let year = Duration::from_secs(31_536_000);
        let read = |include_subdomains, preload| {
            Ok(Hsts {
                length: year,
                include_subdomains,
                preload,
            })
        };
        assert_eq!(hsts("1y"), read(false, false));
        assert_eq!(hsts("365d Include-Subdomains"), read(true, false));
        assert_eq!(hsts("1y preload, include-subdomains"), read(true, true));
        let preload = "preload needs include-subdomains and 1y or more";
        for (text, problem) in [
            ("1y preload", preload),
            ("364d include-subdomains preload", preload),
            ("0s preload", preload),
            (
                "1y includeSubDomains",
                "\"includeSubDomains\" is neither include-subdomains nor preload",
            ),
            ("preload", "it is not a length of time"),
            ("", "it is not a length of time"),
        ] {
            assert_eq!(hsts(text), Err(problem.to_owned()), "{text:?}");
        }
    }

    #[test]
    fn timeouts_and_buffers_have_bounds() {
        for (text, read) in [("1s", 1), ("300s", 300), ("5m", 300), ("7d", 604_800)] {
            assert_eq!(timeout(text), Ok(Duration::from_secs(read)), "{text}");
        }
        for text in ["0s", "8d", "60", "1y", ""] {
            assert!(timeout(text).is_err(), "{text:?}");
        }
        for (text, read) in [("4k", 4), ("32K", 32), ("1m", 1024), ("1024k", 1024)] {
            assert_eq!(buffers(text), Ok(read), "{text}");
        }
        for text in ["3k", "1025k", "2m", "1g", "32", "0", "4095999m", ""] {
            assert!(buffers(text).is_err(), "{text:?}");
        }
    }
}
