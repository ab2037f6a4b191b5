//! What a certificate says, for people; whether it can be served is no question here.

use aws_lc_rs::digest::{SHA256, digest};
use rustls_pki_types::CertificateDer;
use serde::Serialize;
use x509_parser::{certificate::X509Certificate, public_key::PublicKey, time::ASN1Time};

use super::{CertificateError, fields, parse, roots};
use crate::values::{CertificateId, Timestamp};

/// What a certificate says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CertificateDetails {
    /// The names that it is for, in its order.
    pub names: Vec<String>,
    /// Its issuer's distinguished name.
    pub issuer: String,
    /// Beginning of its validity.
    pub not_before: Timestamp,
    /// End of its validity.
    pub not_after: Timestamp,
    /// Its serial number in hexadecimal.
    pub serial: String,
    /// What kind of key it is for.
    pub key_type: String,
    /// SHA-256 of the certificate, as OpenSSL writes it.
    pub sha256: String,
    /// SHA-256 of its public key, as OpenSSL writes digests.
    pub key_sha256: String,
    /// By what its CA can be asked about its renewal.
    pub renewal_id: Option<CertificateId>,
    /// Those that follow it, its issuer first.
    pub chain: Vec<ChainLink>,
    /// Whether the chain leads to a root that browsers know.
    pub is_root_known: bool,
}

/// A certificate that follows another in a chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ChainLink {
    /// Its distinguished name.
    pub subject: String,
    /// Its issuer's.
    pub issuer: String,
    /// End of its validity.
    pub not_after: Timestamp,
    /// SHA-256 of it, as OpenSSL writes it.
    pub sha256: String,
}

/// Reads what a chain in DER says, leaf first.
///
/// # Errors
/// When one of them is no certificate.
pub fn details(chain: &[Vec<u8>]) -> Result<CertificateDetails, CertificateError> {
    let ders: Vec<_> = chain.iter().cloned().map(CertificateDer::from).collect();
    let parsed = ders.iter().enumerate();
    let parsed = parsed.map(|(index, der)| parse(index, der));
    let parsed: Vec<_> = parsed.collect::<Result<_, _>>()?;
    let (leaf, der) = parsed
        .first()
        .zip(ders.first())
        .ok_or(CertificateError::NoLeaf)?;
    let names = match fields::names_in_order(leaf) {
        Err(CertificateError::NoNames) => Vec::new(),
        names => names?,
    };
    let followers = parsed.iter().zip(&ders).skip(1);
    Ok(CertificateDetails {
        names,
        issuer: leaf.issuer().to_string(),
        not_before: time(&leaf.validity().not_before),
        not_after: time(&leaf.validity().not_after),
        serial: fields::serial(leaf),
        key_type: key_type(leaf),
        sha256: fingerprint(der),
        key_sha256: fingerprint(leaf.public_key().raw),
        renewal_id: fields::renewal_id(leaf),
        chain: followers
            .map(|(link, der)| ChainLink {
                subject: link.subject().to_string(),
                issuer: link.issuer().to_string(),
                not_after: time(&link.validity().not_after),
                sha256: fingerprint(der),
            })
            .collect(),
        is_root_known: roots::is_led_to(&ders, &parsed),
    })
}

fn time(time: &ASN1Time) -> Timestamp {
    Timestamp::from_seconds(time.timestamp())
}

fn key_type(leaf: &X509Certificate<'_>) -> String {
    match leaf.public_key().parsed() {
        Ok(PublicKey::EC(point)) => format!("ec-{}", point.key_size()),
        Ok(PublicKey::RSA(key)) => format!("rsa-{}", key.key_size()),
        _ => format!("of the algorithm {}", leaf.public_key().algorithm.algorithm),
    }
}

/// <https://docs.openssl.org/3.0/man1/openssl-x509/>
fn fingerprint(bytes: &[u8]) -> String {
    let digest = digest(&SHA256, bytes);
    let pairs = digest.as_ref().iter().map(|byte| format!("{byte:02X}"));
    pairs.collect::<Vec<_>>().join(":")
}
