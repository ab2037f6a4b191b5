//! Certificates as templates of outputs see them. docker-pygen knew of none.

use std::cmp::Ordering;

use minijinja::value::Value;

use super::{
    lists::{List, ListKind},
    parts::{Attribute, Misses, Noted, ViewPart},
};

/// A certificate as a template of an output sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct CertificateRecord {
    /// Its name where it is held.
    pub name: String,
    /// The names that it covers.
    pub names: Vec<String>,
    /// Who issued it.
    pub issuer: String,
    /// Its serial number, in hexadecimal.
    pub serial: String,
    /// When it begins to be valid.
    pub not_before: String,
    /// When it ends.
    pub not_after: String,
    /// True if only its own key signed it.
    pub is_self_signed: bool,
    /// Paths of certificate with chain, and of key, as the consumer sees them; none where it is not given it.
    pub files: Option<[String; 2]>,
}

/// The list of them.
pub(super) fn list(certificates: &[CertificateRecord], misses: &Misses) -> Value {
    let each = certificates.iter().cloned();
    let each = each.map(|certificate| Noted::of(certificate, misses));
    List::of(ListKind::Plain, each, misses).value()
}

impl CertificateRecord {
    /// One of its two paths.
    fn file(&self, which: usize) -> Value {
        Value::from(self.files.as_ref().map(|files| files[which].clone()))
    }
}

impl ViewPart for CertificateRecord {
    const OF: &'static str = "output: certificate";
    const HAS_NO: &'static str = "a certificate has no";
    const ATTRIBUTES: &'static [Attribute<Self>] = &[
        Attribute {
            name: "name",
            kind: "text",
            doc: "what it is called, as in live/NAME",
            read: |certificate, _| Value::from(certificate.name.as_str()),
        },
        Attribute {
            name: "names",
            kind: "list of text",
            doc: "the names that it covers",
            read: |certificate, misses| {
                let names = certificate.names.iter();
                let names = names.map(|name| Value::from(name.as_str()));
                List::of(ListKind::Plain, names, misses).value()
            },
        },
        Attribute {
            name: "issuer",
            kind: "text",
            doc: "who issued it",
            read: |certificate, _| Value::from(certificate.issuer.as_str()),
        },
        Attribute {
            name: "serial",
            kind: "text",
            doc: "its serial number, in hexadecimal",
            read: |certificate, _| Value::from(certificate.serial.as_str()),
        },
        Attribute {
            name: "not_before",
            kind: "text",
            doc: "when it begins to be valid, such as 2027-01-31T08:00:00Z",
            read: |certificate, _| Value::from(certificate.not_before.as_str()),
        },
        Attribute {
            name: "not_after",
            kind: "text",
            doc: "when it ends",
            read: |certificate, _| Value::from(certificate.not_after.as_str()),
        },
        Attribute {
            name: "self_signed",
            kind: "true or false",
            doc: "whether nobody but its own key signed it",
            read: |certificate, _| Value::from(certificate.is_self_signed),
        },
        Attribute {
            name: "fullchain",
            kind: "text, or none",
            doc: "path of certificate and chain, as the output's consumer sees it; none where that is not given it",
            read: |certificate, _| certificate.file(0),
        },
        Attribute {
            name: "privkey",
            kind: "text, or none",
            doc: "path of the key, in the same way",
            read: |certificate, _| certificate.file(1),
        },
    ];

    fn order(&self, other: &Self) -> Ordering {
        self.cmp(other)
    }
}
