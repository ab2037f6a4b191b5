//! A signing request that somebody else made: what it asks for, and whether a CA could follow it.

use std::collections::BTreeSet;

use thiserror::Error;
use x509_parser::{
    certification_request::X509CertificationRequest,
    extensions::{GeneralName, ParsedExtension},
    prelude::FromDer,
    public_key::PublicKey,
};

use super::{CertificateError, SHORTEST_RSA, certificates, check_dates_of, check_links, parse};
use crate::{
    adapters::pem::{self, PemError},
    ports::IssuedCertificate,
    values::{Host, HostError},
};

/// The longest RSA key that CAs take.
///
/// <https://letsencrypt.org/docs/integration-guide/#supported-key-algorithms>
const LONGEST_RSA: usize = 4096;

/// The extension by which a certificate demands OCSP (must-staple).
///
/// <https://www.rfc-editor.org/rfc/rfc7633#section-6>
const MUST_STAPLE: &str = "1.3.6.1.5.5.7.1.24";

/// A signing request that a CA could follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningRequest {
    /// It, in DER.
    pub der: Vec<u8>,
    /// The names that it asks for.
    pub names: BTreeSet<Host>,
    /// The first of them, as it has them.
    pub first: Host,
}

/// The reason why no CA would follow a signing request.
#[derive(Debug, Error)]
pub enum RequestError {
    /// The text is none.
    #[error("it can't be read")]
    Text(#[from] PemError),
    /// It is something else.
    #[error("it is not a signing request (PKCS #10), in PEM or DER: {0}")]
    Unreadable(String),
    /// It has no names where CAs look.
    #[error(
        "it has no host in its subject alternative names, and CAs look only there; make a new one with `openssl req \
         -addext subjectAltName=DNS:NAME`"
    )]
    NoNames,
    /// It names something that can't be a host.
    #[error("it asks for {0}, which no CA issues here: ask for host names and addresses alone")]
    Foreign(String),
    /// It names a host that can't be one.
    #[error("it asks for {name:?}")]
    Name {
        /// The name.
        name: String,
        /// The problem with it.
        source: HostError,
    },
    /// Its subject has a name that its list has not.
    #[error(
        "its subject has the common name {0:?}, which its subject alternative names lack: CAs would add it, or refuse \
         the whole request; make a new one without it, or with that name among the others"
    )]
    OtherSubject(String),
    /// Nobody takes such a key.
    #[error(
        "its key is {0}; CAs take RSA of {SHORTEST_RSA} to {LONGEST_RSA} bits, and EC on P-256 or P-384: make a new key"
    )]
    Key(String),
    /// It demands what CAs have ended.
    #[error(
        "it demands OCSP stapling (must-staple), which CAs have ended: browsers would refuse the certificate, since \
         nothing can be stapled; make a new one without tlsfeature"
    )]
    MustStaple,
}

/// Reads a signing request, in PEM or DER.
///
/// # Errors
/// Says why no CA would follow it.
///
/// <https://www.rfc-editor.org/rfc/rfc2986>
pub fn signing_request(bytes: &[u8]) -> Result<SigningRequest, RequestError> {
    let der = pem::request(bytes)?;
    let request = parsed(&der)?;
    check_key(&request)?;
    let mut names = Vec::new();
    for extension in request.requested_extensions().into_iter().flatten() {
        match extension {
            ParsedExtension::SubjectAlternativeName(found) => {
                for name in &found.general_names {
                    names.push(host(name)?);
                }
            }
            ParsedExtension::UnsupportedExtension { oid } if oid.to_id_string() == MUST_STAPLE => {
                return Err(RequestError::MustStaple);
            }
            _ => {}
        }
    }
    let first = names.first().cloned().ok_or(RequestError::NoNames)?;
    let subject = &request.certification_request_info.subject;
    for common in subject.iter_common_name() {
        let common = common.as_str().unwrap_or_default();
        if !Host::parse(common).is_ok_and(|host| names.contains(&host)) {
            return Err(RequestError::OtherSubject(common.to_owned()));
        }
    }
    Ok(SigningRequest {
        names: names.into_iter().collect(),
        first,
        der,
    })
}

fn parsed(der: &[u8]) -> Result<X509CertificationRequest<'_>, RequestError> {
    match X509CertificationRequest::from_der(der) {
        Ok(([], request)) => Ok(request),
        Ok(_) => Err(RequestError::Unreadable("something follows it".to_owned())),
        Err(error) => Err(RequestError::Unreadable(error.to_string())),
    }
}

fn check_key(request: &X509CertificationRequest<'_>) -> Result<(), RequestError> {
    let key = &request.certification_request_info.subject_pki;
    match key.parsed() {
        Ok(PublicKey::RSA(rsa)) if (SHORTEST_RSA..=LONGEST_RSA).contains(&rsa.key_size()) => Ok(()),
        Ok(PublicKey::RSA(rsa)) => {
            Err(RequestError::Key(format!("RSA of {} bits", rsa.key_size())))
        }
        Ok(PublicKey::EC(point)) if matches!(point.key_size(), 256 | 384) => Ok(()),
        Ok(PublicKey::EC(point)) => Err(RequestError::Key(format!(
            "EC of {} bits",
            point.key_size()
        ))),
        _ => {
            let algorithm = &key.algorithm.algorithm;
            Err(RequestError::Key(format!("of the algorithm {algorithm}")))
        }
    }
}

fn host(name: &GeneralName<'_>) -> Result<Host, RequestError> {
    let Some(text) = super::fields::name(name) else {
        return Err(RequestError::Foreign(name.to_string()));
    };
    Host::parse(&text).map_err(|source| RequestError::Name { name: text, source })
}

/// Checks a certificate that was just issued for a signing request of somebody else's: that it is for that key and at least
/// these names, that its chain holds, and that it is valid now.
///
/// # Errors
/// Says what does not fit.
pub fn check_requested(
    issued: &IssuedCertificate<'_>,
    request: &[u8],
) -> Result<(), CertificateError> {
    check_links(issued.chain)?;
    let chain = pem::certificates(issued.chain.as_bytes()).map_err(CertificateError::Text)?;
    let ders = certificates(&chain.text)?;
    let leaf = parse(0, &ders[0])?;
    let is_its_key = parsed(request)
        .is_ok_and(|it| it.certification_request_info.subject_pki.raw == leaf.public_key().raw);
    if !is_its_key {
        return Err(CertificateError::OtherKey);
    }
    let found = super::names(&leaf)?;
    let asked: BTreeSet<_> = issued.names.iter().map(Host::to_string).collect();
    if !found.is_superset(&asked) {
        return Err(CertificateError::OtherNames { found, asked });
    }
    check_dates_of(&leaf, issued.now)
}

#[cfg(test)]
mod tests {
    use base64::{Engine, engine::general_purpose::STANDARD};
    use rcgen::{
        CertificateParams, CustomExtension, DistinguishedName, DnType, KeyPair, PKCS_ED25519,
        SanType,
    };

    use super::*;

    fn made(key: &KeyPair, change: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
        let names = ["www.shop.example".to_owned(), "Shop.example".to_owned()];
        let mut params = CertificateParams::new(names).expect("names");
        params.distinguished_name = DistinguishedName::new();
        change(&mut params);
        let request = params.serialize_request(key).expect("a request");
        request.der().to_vec()
    }

    fn refused(change: impl FnOnce(&mut CertificateParams)) -> String {
        let key = KeyPair::generate().expect("a key");
        let refused = signing_request(&made(&key, change)).expect_err("it can't be followed");
        crate::report::chain(&refused)
    }

    #[test]
    fn a_request_is_read_from_der_and_from_pem_with_any_line_breaks() {
        let key = KeyPair::generate().expect("a key");
        let der = made(&key, |params| {
            params
                .distinguished_name
                .push(DnType::CommonName, "shop.example");
        });
        let lines = STANDARD.encode(&der);
        let pem = format!(
            "some words\n-----BEGIN NEW CERTIFICATE REQUEST-----\n{lines}\n-----END NEW CERTIFICATE REQUEST-----\n"
        );
        let windows = pem.replace('\n', "\r\n").replace("NEW ", "");
        for bytes in [der.clone(), pem.into_bytes(), windows.into_bytes()] {
            let read = signing_request(&bytes).expect("a request");
            assert_eq!(read.der, der);
            assert_eq!(read.first.to_string(), "www.shop.example");
            let names: Vec<_> = read.names.iter().map(Host::to_string).collect();
            assert_eq!(names, ["shop.example", "www.shop.example"]);
        }
    }

    #[test]
    fn what_no_ca_would_follow_is_refused_with_what_to_do() {
        for (told, words) in [
            (
                refused(|params| params.subject_alt_names.clear()),
                "subjectAltName=DNS:NAME",
            ),
            (
                refused(|params| {
                    params
                        .distinguished_name
                        .push(DnType::CommonName, "other.example");
                }),
                "\"other.example\", which its subject alternative names lack",
            ),
            (
                refused(|params| {
                    let mail = "me@shop.example".try_into().expect("a text");
                    params.subject_alt_names.push(SanType::Rfc822Name(mail));
                }),
                "no CA issues here",
            ),
            (
                refused(|params| {
                    let wrong = "a b.example".try_into().expect("a text");
                    params.subject_alt_names.push(SanType::DnsName(wrong));
                }),
                "it asks for \"a b.example\"",
            ),
            (
                refused(|params| {
                    let feature = CustomExtension::from_oid_content(
                        &[1, 3, 6, 1, 5, 5, 7, 1, 24],
                        vec![48, 3, 2, 1, 5],
                    );
                    params.custom_extensions.push(feature);
                }),
                "must-staple",
            ),
        ] {
            assert!(told.contains(words), "{words}: {told}");
        }
        let key = KeyPair::generate_for(&PKCS_ED25519).expect("a key");
        let told = signing_request(&made(&key, |_| ())).expect_err("no CA takes it");
        assert!(told.to_string().contains("make a new key"), "{told}");
        let whole = made(&KeyPair::generate().expect("a key"), |_| ());
        let longer = [&whole[..], b"x"].concat();
        for bytes in [&b"words"[..], b"", &whole[..whole.len() - 1], &longer] {
            signing_request(bytes).expect_err("it is none");
        }
    }
}
