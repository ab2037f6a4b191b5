//! The labels: what is written on one bearer ends up, as written, in its [`Spec`]. A row of the table is a label's
//! name, syntax, default, doc, example and reader.

mod table;
mod values;

use std::{borrow::Cow, collections::BTreeSet};

use super::{
    Complaint, Dialects, Origin,
    complaint::{bounded, shortened},
    kinds::{GENERIC, kind},
    spec::{CertificateSpec, LabelNames, Scheme, SiteSpec, Spec, Tls},
};
use crate::{
    observe::Bearer,
    values::{Host, nearest},
};
pub use table::LABELS;
pub(super) use values::truth;
use values::{short, words_of};

/// One label: a row of the label table.
pub struct LabelRow {
    /// Its name after the prefix and the dot.
    pub key: &'static str,
    /// The values that may be written.
    pub syntax: &'static str,
    /// The value that counts when nothing is written.
    pub default: &'static str,
    /// The meaning, in words.
    pub doc: &'static str,
    /// A value that works.
    pub example: &'static str,
    read: Reader,
}

/// The subject of a label, and the function that reads it.
enum Reader {
    /// A site: also as `site.WORD.KEY`, for further sites of one bearer.
    Site(fn(&mut SiteSpec, &str) -> Result<(), String>),
    /// Names of a site, of which each may be wrong for itself.
    Names(fn(&mut SiteSpec, Host)),
    /// Names that the bearer needs certificates for, or all of its project.
    Uses,
    /// The bearer as a server.
    Consumer(fn(&mut Spec, &str) -> Result<(), String>),
    /// The same, in what gives it keys or has something done in it, which no image may say.
    Power(fn(&mut Spec, &str) -> Result<(), String>),
}

impl LabelRow {
    /// True if the label counts only on the container itself, and not on its image.
    pub fn is_of_container(&self) -> bool {
        matches!(self.read, Reader::Uses | Reader::Power(_))
    }
}

/// One thing that a bearer says, in whatever label.
pub(super) struct Word<'a> {
    /// The label's whole name.
    pub label: Cow<'a, str>,
    /// Our own label's name after the prefix and the dot.
    pub key: &'a str,
    /// The value that our own label would have.
    pub value: Cow<'a, str>,
    /// True if the word stands in one of our own labels.
    pub is_ours: bool,
}

/// The most complaints about the labels of one bearer: thousands of them hide each other, and the others'.
const MOST_COMPLAINTS: usize = 20;

/// Reads all that one bearer says.
pub(super) fn read<'a>(
    bearer: &'a Bearer,
    said: impl Iterator<Item = Word<'a>>,
    dialects: &Dialects,
    complaints: &mut BTreeSet<Complaint>,
) -> Spec {
    let mut spec = Spec::default();
    let prefix = &*dialects.prefix;
    let complaint = |label: &str, value: &str, (problem, remedy): Trouble| {
        Origin::new(&bearer.name, label, value).complains(problem, remedy)
    };
    let (mut count, mut foreign) = (0, Vec::new());
    for word in said {
        let Word {
            label, key, value, ..
        } = &word;
        let written = bearer.labels.get(&**label).map_or("", String::as_str);
        let troubles = match bearer.of_image.iter().any(|it| it == label) {
            true => vec![said_by_image(label, written)],
            false => read_one(&mut spec, key, value, dialects),
        };
        let told = MOST_COMPLAINTS.saturating_sub(count);
        count += troubles.len();
        complaints.extend(
            troubles
                .into_iter()
                .take(told)
                .map(|trouble| complaint(label, written, trouble)),
        );
        if !word.is_ours {
            foreign.push(((*key).to_owned(), label.to_string()));
        }
    }
    if count > MOST_COMPLAINTS {
        let problem = format!(
            "{} more labels of this container can't be followed",
            count - MOST_COMPLAINTS
        );
        complaints.insert(complaint(
            prefix,
            "",
            (problem, "correct those that are reported first".to_owned()),
        ));
    }
    for (word, site) in &mut spec.sites {
        site.labels = match word.as_str() {
            "" => LabelNames::new(format!("{prefix}."), &foreign),
            word => LabelNames::new(format!("{prefix}.site.{word}."), &[]),
        };
        if let Some((key, trouble)) = contradiction(site) {
            site.spoiled = true;
            complaints.insert(complaint(&site.label(key), "", trouble));
        }
    }
    spec.proxy.labels = LabelNames::new(format!("{prefix}."), &foreign);
    if !spec.is_server && spec.uses_any() {
        (spec.is_server, spec.kind) = (true, kind(GENERIC));
    }
    spec
}

/// Whoever starts an image need not have read its labels, and the engine passes them on as the container's own. One with
/// another value was written by whoever started it; blanks around a value mean nothing else.
fn said_by_image(label: &str, value: &str) -> Trouble {
    let problem = "its image has this label with the same value, so it is ignored: an image must not make a server of its \
                   containers, or have anything run in them";
    let remedy = format!(
        "if you mean it, write it on the container with a blank at the end, \"{label}={} \", or take it out of the image",
        shortened(value.trim_end())
    );
    (problem.to_owned(), remedy)
}

/// The word for all names of the bearer's own project.
const ALL: &str = "*";

/// The problem, and the remedy.
type Trouble = (String, String);

/// Reads one label; says what is wrong and what to write instead.
fn read_one(spec: &mut Spec, key: &str, value: &str, dialects: &Dialects) -> Vec<Trouble> {
    let prefix = &*dialects.prefix;
    let (word, bare) = match split_site(key) {
        Ok(split) => split,
        Err(problem) => {
            return vec![(
                problem,
                format!("write {prefix}.site.WORD.host, such as {prefix}.site.admin.host"),
            )];
        }
    };
    let Some(row) = LABELS.iter().find(|row| row.key == bare) else {
        return vec![unknown(bare, prefix)];
    };
    let value = value.trim();
    match &row.read {
        Reader::Names(take) => {
            let site = spec.sites.entry(word.to_owned()).or_default();
            read_names(site, value, dialects, *take)
        }
        Reader::Uses if word.is_empty() && value == ALL => {
            spec.proxy.uses_all = true;
            Vec::new()
        }
        Reader::Uses if word.is_empty() => {
            let site = spec.sites.entry(String::new()).or_default();
            read_names(site, value, dialects, |site, host| {
                site.uses.insert(host);
            })
        }
        Reader::Site(read) => {
            let site = spec.sites.entry(word.to_owned()).or_default();
            let wrong = |problem: String| {
                let remedy = format!(
                    "write {}, such as {}; until then the site is not served",
                    row.syntax, row.example
                );
                (bounded(&problem), remedy)
            };
            let problem = read(site, value).map_err(wrong).err();
            site.spoiled |= problem.is_some();
            problem.into_iter().collect()
        }
        Reader::Consumer(_) | Reader::Power(_) if !word.is_empty() => vec![about_all(bare, prefix)],
        Reader::Uses => vec![about_all(bare, prefix)],
        Reader::Consumer(read) | Reader::Power(read) => {
            let wrong = |problem: String| {
                let remedy = format!(
                    "write {}, such as {}; until then it is not configured",
                    row.syntax, row.example
                );
                (bounded(&problem), remedy)
            };
            let problem = read(spec, value).map_err(wrong).err();
            spec.proxy.spoiled |= problem.is_some();
            problem.into_iter().collect()
        }
    }
}

fn about_all(key: &str, prefix: &str) -> Trouble {
    (
        "it is about the container, not about one of its sites".to_owned(),
        format!("write {prefix}.{key}"),
    )
}

/// `site.WORD.KEY` as its word and its key; a plain key has no word.
fn split_site(key: &str) -> Result<(&str, &str), String> {
    let Some(rest) = key.strip_prefix("site.") else {
        return Ok(("", key));
    };
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    match rest.split_once('.') {
        Some((word, bare)) if !word.is_empty() && word.chars().all(plain) => Ok((word, bare)),
        _ => Err(
            "the word after `site.` must be of lower-case letters, digits and hyphens".to_owned(),
        ),
    }
}

fn unknown(key: &str, prefix: &str) -> Trouble {
    // To compare costs time and memory by the length of both, and nobody mistypes a name into a long text.
    let key = &shortened(key);
    let remedy = match nearest(key, LABELS.iter().map(|row| row.key)) {
        Some(known) => format!("did you mean {prefix}.{known}?"),
        None => format!(
            "known are {}",
            words(LABELS.iter().map(|row| format!("{prefix}.{}", row.key)))
        ),
    };
    ("there is no such label".to_owned(), remedy)
}

/// Each name for itself: one that can't be followed does not take the others with it.
fn read_names(
    site: &mut SiteSpec,
    value: &str,
    dialects: &Dialects,
    take: fn(&mut SiteSpec, Host),
) -> Vec<Trouble> {
    let remedy = match words_of(value).nth(1) {
        Some(_) => "correct it; the container's other names are served",
        None => "write a name of letters, digits and hyphens between dots, such as shop.example",
    };
    let mut troubles = Vec::new();
    if words_of(value).next().is_none() {
        let remedy = "write a host such as shop.example, or leave the label out".to_owned();
        troubles.push(("it names no host".to_owned(), remedy));
    }
    for word in words_of(value) {
        match Host::parse(&dialects.completed(word)) {
            Ok(host) => take(site, host),
            Err(error) => troubles.push((
                format!("{:?} is not a host: {error}", short(word)),
                remedy.to_owned(),
            )),
        }
    }
    troubles
}

/// A contradiction between labels of one site, which no single label shows.
struct Contradiction {
    is_in: fn(&SiteSpec) -> bool,
    /// The label that is named.
    key: &'static str,
    problem: &'static str,
    remedy: &'static str,
}

/// The label in which a site contradicts itself, and how.
fn contradiction(site: &SiteSpec) -> Option<(&'static str, Trouble)> {
    let row = CONTRADICTIONS.iter().find(|row| (row.is_in)(site))?;
    Some((row.key, (row.problem.to_owned(), row.remedy.to_owned())))
}

/// A complaint is made of the first that is found.
const CONTRADICTIONS: &[Contradiction] = &[
    Contradiction {
        is_in: |site| site.strip && site.upstream_path.is_some(),
        key: "strip",
        problem: "strip and upstream-path exclude each other",
        remedy: "keep one of them",
    },
    Contradiction {
        is_in: |site| is_grpc(site) && (site.strip || site.upstream_path.is_some()),
        key: "scheme",
        problem: "nginx can't change the path of gRPC",
        remedy: "leave out strip and upstream-path",
    },
    Contradiction {
        is_in: |site| is_grpc(site) && site.tls == Tls::Off,
        key: "scheme",
        problem: "gRPC is only passed on from https",
        remedy: "leave out tls=off",
    },
    Contradiction {
        is_in: |site| site.tls == Tls::Off && site.hsts.is_some(),
        key: "hsts",
        problem: "browsers can't insist on https that is off",
        remedy: "leave out hsts, or tls=off",
    },
    Contradiction {
        is_in: |site| site.auth_realm.is_some() && site.auth.is_none(),
        key: "auth-realm",
        problem: "there is no password file",
        remedy: "add auth with the path of an htpasswd file",
    },
    Contradiction {
        is_in: |site| {
            let is_told = site.wish != CertificateSpec::default() || !site.names.is_empty();
            site.tls == Tls::Off && is_told && site.uses.is_empty()
        },
        key: "tls",
        problem: "this label is about a certificate, but with tls=off there is none",
        remedy: "leave out tls=off",
    },
    Contradiction {
        is_in: |site| {
            let is_shared = site.wish.certificate.is_some();
            let hosts = site.hosts.len() + site.redirects.len() + site.uses.len();
            !site.names.is_empty() && !is_shared && hosts > 1
        },
        key: "names",
        problem: "the site has several hosts, each with a certificate of its own",
        remedy: "add certificate, which puts them all on one",
    },
    Contradiction {
        is_in: |site| site.hosts.is_empty() && site.uses.is_empty() && !site.names.is_empty(),
        key: "names",
        problem: "there is no host whose certificate they could be on",
        remedy: "add host, or use",
    },
    Contradiction {
        is_in: |site| site.first.is_none() && !site.redirects.is_empty(),
        key: "redirect",
        problem: "there is no host to send them to",
        remedy: "add host with a name that is not a wildcard",
    },
];

fn is_grpc(site: &SiteSpec) -> bool {
    matches!(site.scheme, Scheme::Grpc | Scheme::Grpcs)
}

/// `a, b, c`.
pub(super) fn words(items: impl IntoIterator<Item = String>) -> String {
    items.into_iter().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::{super::Reload, values::reload, *};

    /// Reads one of our own labels.
    fn read_one(spec: &mut Spec, key: &str, value: &str) -> Vec<Trouble> {
        super::read_one(spec, key, value, &Dialects::native("quaymaster"))
    }

    #[test]
    fn each_row_reads_its_own_example_and_stands_once() {
        for row in LABELS {
            assert!(
                read_one(&mut Spec::default(), row.key, row.example).is_empty(),
                "{}",
                row.key
            );
            assert_eq!(
                LABELS.iter().filter(|other| other.key == row.key).count(),
                1,
                "{}",
                row.key
            );
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
            let troubles = read_one(&mut spec, &format!("site.one.{key}"), value);
            read_one(&mut spec, "site.two.host", "two.example");
            assert_eq!(troubles.len(), 1, "{key}={value:?}");
            let spoiled = |word| spec.sites.get(word).expect("a site").spoiled;
            assert_eq!(
                (spoiled("one"), spoiled("two")),
                (true, false),
                "{key}={value:?}"
            );
        }
    }

    #[test]
    fn a_folder_is_a_whole_path_that_leads_nowhere_else() {
        for key in ["config", "files", "webroot"] {
            for value in [
                "certs",
                "/certs/../etc",
                "/..",
                "../state",
                "/a\nb",
                "/a; }",
                "",
            ] {
                let mut spec = Spec::default();
                let troubles = read_one(&mut spec, key, value);
                assert_eq!(
                    (troubles.len(), spec.proxy.spoiled),
                    (1, true),
                    "{key}={value:?}"
                );
            }
        }
    }

    #[test]
    fn words_are_split_as_a_shell_splits_them_and_nothing_is_expanded() {
        let words = |words: &[&str]| {
            words
                .iter()
                .map(|word| (*word).to_owned())
                .collect::<Vec<_>>()
        };
        let expected = Reload::Exec(words(&["sh", "-c", "kill -HUP $(cat /x)", "*", "$HOME"]));
        assert_eq!(
            reload("exec sh -c 'kill -HUP $(cat /x)' * \"$HOME\""),
            Ok(expected)
        );
        assert_eq!(reload("Restart"), Ok(Reload::Restart));
        for value in [
            "exec",
            "exec  ",
            "exec a 'b",
            "exec a\nb",
            "executable",
            "exec\u{7} a",
        ] {
            assert!(reload(value).is_err(), "{value:?}");
        }
        let mut spec = Spec::default();
        for (value, expected) in [("exec", &[][..]), ("exec nginx -t", &["nginx", "-t"])] {
            assert!(read_one(&mut spec, "check", value).is_empty(), "{value}");
            assert_eq!(spec.proxy.check, Some(words(expected)));
        }
        let troubles = read_one(&mut spec, "check", "nginx -t");
        assert_eq!(troubles[0].0, "it does not begin with exec");
        assert!(spec.proxy.spoiled);
    }
}
