//! The details of a certificate, for people; whether it can be served is no question here.

use aws_lc_rs::digest::{SHA256, digest};
use rustls_pki_types::CertificateDer;
use serde::Serialize;
use x509_parser::{certificate::X509Certificate, public_key::PublicKey, time::ASN1Time};

use super::{CertificateError, fields, parse, roots};
use crate::values::{CertificateId, Timestamp};

/// The details of a certificate.
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
    /// The kind of its key.
    pub key_type: String,
    /// SHA-256 of the certificate, as OpenSSL writes it.
    pub sha256: String,
    /// SHA-256 of its public key, as OpenSSL writes digests.
    pub key_sha256: String,
    /// By what its CA can be asked about its renewal.
    pub renewal_id: Option<CertificateId>,
    /// Those that follow it, its issuer first.
    pub chain: Vec<ChainLink>,
    /// True if the chain leads to a root that browsers know.
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
        issuer: fields::distinguished(leaf.issuer()),
        not_before: time(&leaf.validity().not_before),
        not_after: time(&leaf.validity().not_after),
        serial: fields::serial(leaf),
        key_type: key_type(leaf),
        sha256: fingerprint(der),
        key_sha256: fingerprint(leaf.public_key().raw),
        renewal_id: fields::renewal_id(leaf),
        chain: followers
            .map(|(link, der)| ChainLink {
                subject: fields::distinguished(link.subject()),
                issuer: fields::distinguished(link.issuer()),
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

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair};

    use super::{super::check, *};
    use crate::{observe::Source, values::Secret};

    #[test]
    fn what_a_terminal_acts_upon_is_left_out_of_what_a_certificate_says() {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(["a\u{7}.example".to_owned()]).unwrap();
        let name = &mut params.distinguished_name;
        name.push(DnType::CommonName, "\u{1b}[2Jevil\ncorp");
        let certificate = params.self_signed(&key).unwrap();
        let said = details(&[certificate.der().to_vec()]).unwrap();
        assert_eq!(said.names, ["a\u{fffd}.example"]);
        let key = Secret::new(key.serialize_pem());
        let held = check(&certificate.pem(), &key, Source::Provided).unwrap();
        for issuer in [said.issuer, held.issuer] {
            assert!(
                issuer.ends_with("\u{fffd}[2Jevil\u{fffd}corp"),
                "{issuer:?}"
            );
        }
    }
}
