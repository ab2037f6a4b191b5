//! The fields of a certificate.

use std::{collections::BTreeSet, net::IpAddr};

use x509_parser::{
    certificate::X509Certificate,
    extensions::{GeneralName, ParsedExtension},
    parse_x509_certificate,
    public_key::PublicKey,
    x509::X509Name,
};

use super::CertificateError;
use crate::values::{CertificateId, KeyType};

/// A certificate's serial number in hexadecimal, lower case, no separators, without the zero that marks it positive;
/// `None` when it is no certificate.
///
/// <https://www.rfc-editor.org/rfc/rfc5280#section-4.1.2.2>
pub fn serial_of(leaf: &[u8]) -> Option<String> {
    parse_x509_certificate(leaf)
        .ok()
        .map(|(_, leaf)| serial(&leaf))
}

pub(super) fn serial(certificate: &X509Certificate<'_>) -> String {
    let bytes = match certificate.raw_serial() {
        [0, rest @ ..] if !rest.is_empty() => rest,
        bytes => bytes,
    };
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// By what a CA is asked about it; none where it does not say whose key signed it.
///
/// <https://www.rfc-editor.org/rfc/rfc9773#section-4.1>
pub(super) fn renewal_id(leaf: &X509Certificate<'_>) -> Option<CertificateId> {
    let key = leaf
        .extensions()
        .iter()
        .find_map(|it| match it.parsed_extension() {
            ParsedExtension::AuthorityKeyIdentifier(key) => key.key_identifier.as_ref(),
            _ => None,
        })?;
    Some(CertificateId::of(key.0, leaf.raw_serial()))
}

pub(super) fn names(leaf: &X509Certificate<'_>) -> Result<BTreeSet<String>, CertificateError> {
    names_in_order(leaf).map(BTreeSet::from_iter)
}

/// The names of a leaf as they stand in it, at least one.
pub(super) fn names_in_order(leaf: &X509Certificate<'_>) -> Result<Vec<String>, CertificateError> {
    let unreadable = |error: x509_parser::error::X509Error| CertificateError::Unreadable {
        position: 1,
        problem: error.to_string(),
    };
    let extension = leaf
        .subject_alternative_name()
        .map_err(unreadable)?
        .ok_or(CertificateError::NoNames)?;
    let names = extension
        .value
        .general_names
        .iter()
        .filter_map(name)
        .collect::<Vec<_>>();
    match names.is_empty() {
        true => Err(CertificateError::NoNames),
        false => Ok(names),
    }
}

/// <https://www.rfc-editor.org/rfc/rfc5280#section-4.2.1.6>
pub(super) fn name(name: &GeneralName<'_>) -> Option<String> {
    match *name {
        GeneralName::DNSName(name) => Some(harmless(&name.to_ascii_lowercase())),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
            let address = v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from));
            address.ok().map(|address| address.to_string())
        }
        _ => None,
    }
}

/// The kind of its key; none for kinds that quaymaster does not make.
pub(super) fn key_type(leaf: &X509Certificate<'_>) -> Option<KeyType> {
    match leaf.public_key().parsed().ok()? {
        PublicKey::EC(point) => match point.key_size() {
            256 => Some(KeyType::Ec256),
            384 => Some(KeyType::Ec384),
            _ => None,
        },
        PublicKey::RSA(key) => match key.key_size() {
            2048 => Some(KeyType::Rsa2048),
            3072 => Some(KeyType::Rsa3072),
            4096 => Some(KeyType::Rsa4096),
            _ => None,
        },
        _ => None,
    }
}

/// The common name, else the whole distinguished name.
pub(super) fn issuer(name: &X509Name<'_>) -> String {
    let common = name
        .iter_common_name()
        .next()
        .and_then(|common| common.as_str().ok());
    common.map_or_else(|| distinguished(name), harmless)
}

/// The whole distinguished name.
pub(super) fn distinguished(name: &X509Name<'_>) -> String {
    harmless(&name.to_string())
}

/// A text from a certificate, without what a terminal acts upon.
fn harmless(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
}

/// True if it is its own issuer, as roots and certificates without a CA are.
pub(super) fn is_self_issued(certificate: &X509Certificate<'_>) -> bool {
    certificate.issuer().as_raw() == certificate.subject().as_raw()
}

/// The identifier of the key that it was signed by.
///
/// <https://www.rfc-editor.org/rfc/rfc5280#section-4.2.1.1>
pub(super) fn issuer_key<'a>(certificate: &X509Certificate<'a>) -> Option<&'a [u8]> {
    let extensions = certificate.extensions().iter();
    let mut parsed = extensions.map(|extension| extension.parsed_extension());
    parsed.find_map(|extension| match extension {
        ParsedExtension::AuthorityKeyIdentifier(id) => id.key_identifier.as_ref().map(|id| id.0),
        _ => None,
    })
}

/// True where each certificate of a chain names the key of the next one as its issuer's; one alone, where it is its own issuer.
pub fn is_linked(chain: &str) -> bool {
    let Ok(ders) = super::certificates(chain) else {
        return false;
    };
    let parsed = ders.iter().map(|der| parse_x509_certificate(der));
    let Ok(parsed) = parsed.collect::<Result<Vec<_>, _>>() else {
        return false;
    };
    match parsed.as_slice() {
        [] => false,
        [(_, alone)] => is_self_issued(alone),
        several => several
            .windows(2)
            .all(|pair| is_issued_by(&pair[0].1, &pair[1].1)),
    }
}

/// True where it names the other one, and the key of that, as its issuer.
pub(super) fn is_issued_by(
    certificate: &X509Certificate<'_>,
    issuer: &X509Certificate<'_>,
) -> bool {
    let key = issuer_key(certificate);
    certificate.issuer().as_raw() == issuer.subject().as_raw()
        && key.is_some()
        && key == own_key(issuer)
}

/// The identifier of its own key.
///
/// <https://www.rfc-editor.org/rfc/rfc5280#section-4.2.1.2>
pub(super) fn own_key<'a>(certificate: &X509Certificate<'a>) -> Option<&'a [u8]> {
    let extensions = certificate.extensions().iter();
    let mut parsed = extensions.map(|extension| extension.parsed_extension());
    parsed.find_map(|extension| match extension {
        ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0),
        _ => None,
    })
}
