//! The label table: a row is a label's name, syntax, default, doc, example and reader. What a container's labels say,
//! as written, ends up in its [`Spec`].

use std::collections::BTreeSet;

use super::{
    Complaint,
    kinds::{KINDS, Kind, kind},
};
use crate::{observe::Container, values::DnsName};

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
    read: fn(&mut Spec, &str) -> Vec<Trouble>,
}

/// Every label there is.
pub const LABELS: &[LabelRow] = &[
    LabelRow {
        key: "host",
        syntax: "host names, separated by commas or blanks",
        default: "none: the container is not served",
        doc: "names this container answers for; each gets a site on the proxies that share a network with it, and a \
              certificate of its own",
        example: "shop.example, www.shop.example",
        read: read_host,
    },
    LabelRow {
        key: "port",
        syntax: "1 to 65535",
        default: "the only exposed TCP port, else 80 if it is exposed",
        doc: "port in the container that the proxy talks to",
        example: "8080",
        read: read_port,
    },
    LabelRow {
        key: "kind",
        syntax: "a row of the kinds table",
        default: "none: the container is not configured",
        doc: "makes the container a server that quaymaster configures and reloads",
        example: "nginx",
        read: read_kind,
    },
];

/// What a container's labels say, as written.
#[derive(Debug, Default)]
pub(super) struct Spec {
    /// Names it answers for.
    pub hosts: BTreeSet<DnsName>,
    /// Its port.
    pub port: Port,
    /// What kind of server it is.
    pub kind: Option<&'static Kind>,
}

/// What the port label says.
#[derive(Debug, Default)]
pub(super) enum Port {
    /// Nothing.
    #[default]
    Unsaid,
    /// A port.
    Said(u16),
    /// Something that is no port, complained about already.
    Nonsense,
}

/// What is wrong with a value, and what to write instead.
struct Trouble {
    problem: String,
    remedy: String,
}

/// Reads all labels of one container that begin with our prefix.
pub(super) fn read(container: &Container, prefix: &str, complaints: &mut BTreeSet<Complaint>) -> Spec {
    let mut spec = Spec::default();
    let start = format!("{prefix}.");
    for (label, value) in &container.labels {
        let Some(key) = label.strip_prefix(&start) else { continue };
        let troubles = match LABELS.iter().find(|row| row.key == key) {
            Some(row) => (row.read)(&mut spec, value),
            None => vec![unknown(key, prefix)],
        };
        complaints.extend(troubles.into_iter().map(|Trouble { problem, remedy }| Complaint {
            container: container.name.clone(),
            label: label.clone(),
            value: value.clone(),
            problem,
            remedy,
        }));
    }
    spec
}

fn unknown(key: &str, prefix: &str) -> Trouble {
    let distance = |row: &&LabelRow| strsim::damerau_levenshtein(row.key, key);
    let nearest = LABELS.iter().min_by_key(distance).filter(|row| distance(row) <= 1 + row.key.len() / 3);
    let remedy = match nearest {
        Some(row) => format!("did you mean {prefix}.{}?", row.key),
        None => format!("known are {}", words(LABELS.iter().map(|row| format!("{prefix}.{}", row.key)))),
    };
    Trouble { problem: "there is no such label".to_owned(), remedy }
}

fn read_host(spec: &mut Spec, value: &str) -> Vec<Trouble> {
    // nginx' default `server_names_hash_bucket_size` of 64 refuses its whole configuration over one longer name.
    const LONGEST_FOR_NGINX: usize = 46;
    let mut troubles = Vec::new();
    let written: Vec<&str> = value.split([',', ' ', '\t', '\n', '\r']).filter(|word| !word.is_empty()).collect();
    if written.is_empty() {
        troubles.push(Trouble {
            problem: "it names no host".to_owned(),
            remedy: "write a host name such as shop.example, or leave the label out".to_owned(),
        });
    }
    for word in written {
        match DnsName::parse(word) {
            Ok(name) if name.as_str().len() > LONGEST_FOR_NGINX => troubles.push(Trouble {
                problem: format!("{word:?} has more than the {LONGEST_FOR_NGINX} characters that nginx takes as it is"),
                remedy: "use a shorter name; the container's other names are served".to_owned(),
            }),
            Ok(name) => drop(spec.hosts.insert(name)),
            Err(error) => troubles.push(Trouble {
                problem: format!("{word:?} is no host name: {error}"),
                remedy: "the container's other names are served".to_owned(),
            }),
        }
    }
    troubles
}

fn read_port(spec: &mut Spec, value: &str) -> Vec<Trouble> {
    // `parse` would also take `+80`.
    let number = value.trim().parse::<u16>().ok().filter(|port| *port > 0 && !value.contains('+'));
    spec.port = number.map_or(Port::Nonsense, Port::Said);
    match number {
        Some(_) => Vec::new(),
        None => vec![Trouble {
            problem: "it is no port".to_owned(),
            remedy: "write one number from 1 to 65535, such as 8080; until then the container is not served".to_owned(),
        }],
    }
}

fn read_kind(spec: &mut Spec, value: &str) -> Vec<Trouble> {
    spec.kind = kind(value.trim());
    match spec.kind {
        Some(_) => Vec::new(),
        None => vec![Trouble {
            problem: "there is no such kind of server".to_owned(),
            remedy: format!("write one of {}", words(KINDS.iter().map(|kind| kind.name.to_owned()))),
        }],
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
            assert!((row.read)(&mut Spec::default(), row.example).is_empty(), "{}", row.key);
            assert_eq!(LABELS.iter().filter(|other| other.key == row.key).count(), 1, "{}", row.key);
        }
    }
}
