//! Reads certificates and checks that they may be served: that key, names, chain and dates belong together. Where they
//! come from and where they go is not known here.

mod details;
mod fields;
mod request;
mod roots;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use rustls::{
    crypto::aws_lc_rs,
    sign::{CertifiedKey, SigningKey},
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, TrustAnchor, UnixTime, pem::PemObject};
use thiserror::Error;
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};
use x509_parser::{
    certificate::X509Certificate, parse_x509_certificate, public_key::PublicKey, time::ASN1Time,
};

pub use details::{CertificateDetails, ChainLink, details};
pub use fields::{is_linked, serial_of};
use fields::{issuer, issuer_key, key_type, names, names_in_order, own_key, serial};
pub use request::{RequestError, SigningRequest, check_requested, signing_request};

use super::pem::{self, PemError};
use crate::{
    observe::{HeldCertificate, Shelf, Source},
    ports::NewCertificate,
    values::{Digest, Host, Secret, Timestamp},
};

/// Longer chains are a mistake: today's longest has five, and clients refuse much more.
const LONGEST_CHAIN: usize = 10;

/// Servers and clients refuse RSA keys of fewer bits.
const SHORTEST_RSA: usize = 2048;

/// The most by which the beginning of a new certificate may lie ahead. Public CAs set it back by up to an hour, so a
/// beginning in the future means a wrong clock; private CAs may not, and two clocks kept by NTP differ by seconds.
const CLOCK_SKEW: Duration = Duration::from_secs(60);

/// The reason why a certificate must not be served.
#[derive(Debug, Error)]
pub enum CertificateError {
    /// More than a chain has.
    #[error("it has {0} certificates; a chain has at most {LONGEST_CHAIN}")]
    TooLong(usize),
    /// The text of the chain is none.
    #[error("its chain can't be read")]
    Text(#[source] PemError),
    /// The text of the key is none.
    #[error("its key can't be read")]
    KeyText(#[source] PemError),
    /// A certificate in it is none.
    #[error("its certificate number {position} can't be read: {problem}")]
    Unreadable {
        /// Which, the leaf being 1.
        position: usize,
        /// The problem with it.
        problem: String,
    },
    /// The key is none.
    #[error("its key can't be used")]
    Key(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Nobody takes such a key any more.
    #[error(
        "its RSA key of {0} bits is too short; nobody takes less than {SHORTEST_RSA}: make a new key and certificate"
    )]
    TooShort(usize),
    /// Nobody believes such a signature any more.
    #[error(
        "its certificate number {0} is signed with SHA-1 or MD5, which nobody takes any more; have its issuer make a new one"
    )]
    Weak(usize),
    /// The key is another's.
    #[error("its key belongs to another certificate")]
    OtherKey,
    /// Several certificates with a key each lie together.
    #[error(
        "it has several keys with a certificate of its own each ({0}); leave one of them in {1}, and put each other one \
         into a folder of its own"
    )]
    Several(String, String),
    /// The order of the chain is another.
    #[error(
        "the certificate for its key comes as number {0}; put it first, then its issuer, and so on"
    )]
    LeafNotFirst(usize),
    /// The leaf is missing.
    #[error("only certificates of its issuers are in it; put the one for its key before them")]
    NoLeaf,
    /// It has no subject alternative names.
    #[error("it is for no host: it has no subject alternative names")]
    NoNames,
    /// A gap in the chain.
    #[error(
        "its certificate number {0} was not issued by the next one; the leaf comes first, then its issuer, and so on"
    )]
    Order(usize),
    /// Signatures, purposes or dates that don't fit.
    #[error("its chain does not hold")]
    Chain(#[source] webpki::Error),
    /// Not what was asked for.
    #[error("it is for {} instead of {}", listed(.found), listed(.asked))]
    OtherNames {
        /// The hosts that it is for.
        found: BTreeSet<String>,
        /// The hosts that were asked for.
        asked: BTreeSet<String>,
    },
    /// Not valid yet.
    #[error("it is not valid before {0}; is the clock right?")]
    NotYet(Timestamp),
    /// Not valid any more.
    #[error("it was valid until {0}; is the clock right?")]
    Expired(Timestamp),
}

fn listed(names: &BTreeSet<String>) -> String {
    names
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(", ")
}

/// Reads a chain (PEM, leaf first) and its key, and checks that they belong together. Its digest is that of what we write
/// of it.
///
/// Dates are reported, not judged: an expired certificate may still be the best there is. A leaf alone is taken as it
/// is: a CA may issue from its root, which chains leave out, and a self-signed one proves itself by its key.
///
/// <https://www.rfc-editor.org/rfc/rfc8555#section-9.1>
///
/// # Errors
/// Says which of them does not fit.
pub fn check(
    chain: &str,
    key: &Secret,
    source: Source,
) -> Result<HeldCertificate, CertificateError> {
    let chain = pem::certificates(chain.as_bytes()).map_err(CertificateError::Text)?;
    let written = pem::key(key.expose().as_bytes(), None).map_err(CertificateError::KeyText)?;
    let (chain, key) = (chain.text, written.text);
    let ders = certificates(&chain)?;
    let parsed = ders
        .iter()
        .enumerate()
        .map(|(index, der)| parse(index, der))
        .collect::<Result<Vec<_>, _>>()?;
    check_key(&ders, &parsed, &key)?;
    check_signatures(&parsed)?;
    check_chain(&ders, &parsed)?;
    let leaf = &parsed[0];
    let names = names(leaf)?;
    let is_rootless = roots::is_expected(&source) && !roots::is_led_to(&ders, &parsed);
    let seconds = |time: &ASN1Time| Timestamp::from_seconds(time.timestamp());
    Ok(HeldCertificate {
        names,
        not_before: seconds(&leaf.validity().not_before),
        not_after: seconds(&leaf.validity().not_after),
        issuer: issuer(leaf.issuer()),
        serial: serial(leaf),
        key_type: key_type(leaf),
        profile: None,
        digest: digest(&chain, &key),
        source,
        shelf: Shelf::Live,
        gives_way: false,
        irregular: None,
        is_rootless,
        chain_length: parsed.len(),
        lacks_issuer: parsed.len() == 1 && !fields::is_self_issued(leaf),
        renewal_id: fields::renewal_id(leaf),
    })
}

/// Checks a certificate that was just issued: as [`check`], for these names at least, and valid now.
///
/// # Errors
/// Says what does not fit.
pub fn check_new(new: &NewCertificate<'_>) -> Result<HeldCertificate, CertificateError> {
    let NewCertificate {
        names,
        key,
        chain,
        source,
        profile,
        now,
        ..
    } = new;
    let (checked, now) = (check(chain, key, source.clone())?, *now);
    let asked = names.iter().map(Host::to_string).collect::<BTreeSet<_>>();
    // Some CAs add names, such as the one with www.
    if !checked.names.is_superset(&asked) {
        return Err(CertificateError::OtherNames {
            found: checked.names,
            asked,
        });
    }
    check_dates(&checked, now)?;
    Ok(HeldCertificate {
        profile: profile.map(str::to_owned),
        ..checked
    })
}

/// Checks that a certificate is valid now.
///
/// # Errors
/// Says since when or from when on it is not.
pub fn check_dates(certificate: &HeldCertificate, now: Timestamp) -> Result<(), CertificateError> {
    check_times((certificate.not_before, certificate.not_after), now)
}

fn check_dates_of(leaf: &X509Certificate<'_>, now: Timestamp) -> Result<(), CertificateError> {
    let time = |time: &ASN1Time| Timestamp::from_seconds(time.timestamp());
    let validity = leaf.validity();
    check_times((time(&validity.not_before), time(&validity.not_after)), now)
}

fn check_times(
    (not_before, not_after): (Timestamp, Timestamp),
    now: Timestamp,
) -> Result<(), CertificateError> {
    if now + CLOCK_SKEW < not_before {
        return Err(CertificateError::NotYet(not_before));
    }
    if not_after <= now {
        return Err(CertificateError::Expired(not_after));
    }
    Ok(())
}

/// Checks that the certificates of a chain (PEM, leaf first) belong together, with no look at its key.
///
/// # Errors
/// Says what does not fit.
pub fn check_links(chain: &str) -> Result<(), CertificateError> {
    let chain = pem::certificates(chain.as_bytes()).map_err(CertificateError::Text)?;
    let ders = certificates(&chain.text)?;
    let parsed = ders.iter().enumerate();
    let parsed = parsed.map(|(index, der)| parse(index, der));
    let parsed = parsed.collect::<Result<Vec<_>, _>>()?;
    check_signatures(&parsed)?;
    check_chain(&ders, &parsed)
}

/// The first name of a certificate in DER, in its own order.
///
/// # Errors
/// When it has none.
pub fn first_name(leaf: &[u8]) -> Result<String, CertificateError> {
    let names = names_in_order(&parse(0, leaf)?)?;
    names.into_iter().next().ok_or(CertificateError::NoNames)
}

/// The leaf of a chain (PEM, leaf first) in DER, and the name of the root at which the chain ends: the common name of who
/// has issued the last certificate, or the whole name where it has none.
///
/// # Errors
/// When it is no chain.
pub fn leaf_and_root(chain: &str) -> Result<(Vec<u8>, String), CertificateError> {
    let chain = pem::certificates(chain.as_bytes()).map_err(CertificateError::Text)?;
    let ders = certificates(&chain.text)?;
    let last = ders.len() - 1;
    let root = issuer(parse(last, &ders[last])?.issuer());
    Ok((ders[0].to_vec(), root))
}

/// A digest of chain and key, by which one certificate differs from another.
pub fn digest(chain: &str, key: &Secret) -> Digest {
    Digest::of_parts([chain, key.expose()])
}

/// The chain of the certificate for this key, out of certificates in DER that lie together in any order: that certificate,
/// its issuer if it is there, and so on. Of several for the key, the one that is valid longest. None where there is none.
///
/// # Errors
/// When the key can't be used.
pub fn chain_of<'a>(
    certificates: &[&'a [u8]],
    key: &Secret,
) -> Result<Option<Vec<&'a [u8]>>, CertificateError> {
    let mut all = Vec::new();
    for der in certificates {
        if let Ok((_, certificate)) = parse_x509_certificate(der) {
            all.push((*der, certificate));
        }
    }
    let signing_key = signing_key(key).map_err(|error| {
        // A short key can't be used, and its certificate says why.
        let mut short = all.iter().map(|(_, one)| check_length(one));
        short.find_map(Result::err).unwrap_or(error)
    })?;
    let leaves = all.iter().filter(|(der, _)| is_for_key(der, &signing_key));
    let Some(leaf) = leaves.max_by_key(|(_, leaf)| leaf.validity().not_after.timestamp()) else {
        return Ok(None);
    };
    let mut chain = vec![leaf.0];
    let mut last = &leaf.1;
    while !fields::is_self_issued(last) && chain.len() < LONGEST_CHAIN {
        let Some((der, issuer)) = issuer_of(last, &all, &chain) else {
            break;
        };
        chain.push(der);
        last = issuer;
    }
    Ok(Some(chain))
}

/// A certificate in DER, and as it was parsed.
type Parsed<'a> = (&'a [u8], X509Certificate<'a>);

/// True if a certificate is for this key.
fn is_for_key(der: &[u8], key: &Arc<dyn SigningKey>) -> bool {
    let pair = CertifiedKey::new(vec![der.to_vec().into()], Arc::clone(key));
    pair.keys_match().is_ok()
}

/// The certificate of the issuer of another one, among all that are not in the chain yet. Of several, the one that has the
/// key that signed, since a CA that has another key now is called the same; then the one that is valid longest.
fn issuer_of<'all, 'a>(
    issued: &X509Certificate<'_>,
    all: &'all [Parsed<'a>],
    chain: &[&'a [u8]],
) -> Option<&'all Parsed<'a>> {
    let issuers = all.iter().filter(|(der, issuer)| {
        !chain.contains(der) && issuer.subject().as_raw() == issued.issuer().as_raw()
    });
    issuers.max_by_key(|(_, issuer)| {
        let is_its_key = issuer_key(issued).is_some_and(|id| own_key(issuer) == Some(id));
        (is_its_key, issuer.validity().not_after.timestamp())
    })
}

/// True if a certificate in DER is its own issuer.
pub fn is_self_issued(der: &[u8]) -> bool {
    parse_x509_certificate(der).is_ok_and(|(_, certificate)| fields::is_self_issued(&certificate))
}

fn certificates(chain: &str) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let ders = CertificateDer::pem_slice_iter(chain.as_bytes()).collect::<Result<Vec<_>, _>>();
    let ders = ders.expect("it was just written");
    match ders.len() {
        ..=LONGEST_CHAIN => Ok(ders),
        more => Err(CertificateError::TooLong(more)),
    }
}

fn parse(index: usize, der: &[u8]) -> Result<X509Certificate<'_>, CertificateError> {
    let unreadable = |problem: String| CertificateError::Unreadable {
        position: index + 1,
        problem,
    };
    match parse_x509_certificate(der) {
        Ok(([], certificate)) => Ok(certificate),
        Ok(_) => Err(unreadable("something follows it".to_owned())),
        Err(error) => Err(unreadable(error.to_string())),
    }
}

/// Reads a key, for whoever has no certificate for it yet.
///
/// # Errors
/// When it can't be used.
pub fn check_private_key(key: &Secret) -> Result<(), CertificateError> {
    let written = pem::key(key.expose().as_bytes(), None).map_err(CertificateError::KeyText)?;
    signing_key(&written.text).map(drop)
}

fn signing_key(key: &Secret) -> Result<Arc<dyn SigningKey>, CertificateError> {
    let key = PrivateKeyDer::from_pem_slice(key.expose().as_bytes());
    let key = key.map_err(|error| CertificateError::Key(error.into()))?;
    let key = aws_lc_rs::default_provider()
        .key_provider
        .load_private_key(key);
    key.map_err(|error| CertificateError::Key(error.into()))
}

/// That the key of a certificate is as long as clients demand.
fn check_length(certificate: &X509Certificate<'_>) -> Result<(), CertificateError> {
    match certificate.public_key().parsed() {
        Ok(PublicKey::RSA(public)) if public.key_size() < SHORTEST_RSA => {
            Err(CertificateError::TooShort(public.key_size()))
        }
        _ => Ok(()),
    }
}

/// That no certificate but one that is its own issuer is signed by an algorithm that clients refuse.
///
/// <https://www.rfc-editor.org/rfc/rfc9155#section-2>
fn check_signatures(parsed: &[X509Certificate<'_>]) -> Result<(), CertificateError> {
    const REFUSED: [&str; 3] = [
        "1.2.840.113549.1.1.4",
        "1.2.840.113549.1.1.5",
        "1.2.840.10045.4.1",
    ];
    let is_weak = |one: &X509Certificate<'_>| {
        let algorithm = one.signature_algorithm.algorithm.to_id_string();
        !fields::is_self_issued(one) && REFUSED.contains(&&*algorithm)
    };
    match parsed.iter().position(is_weak) {
        Some(index) => Err(CertificateError::Weak(index + 1)),
        None => Ok(()),
    }
}

/// That the first certificate is the one for the key, and that the key is of a kind that is taken.
fn check_key(
    ders: &[CertificateDer<'static>],
    parsed: &[X509Certificate<'_>],
    key: &Secret,
) -> Result<(), CertificateError> {
    check_length(&parsed[0])?;
    let key = signing_key(key)?;
    for (index, der) in ders.iter().enumerate() {
        let pair = CertifiedKey::new(vec![der.clone()], Arc::clone(&key));
        match (pair.keys_match(), index) {
            (Ok(()), 0) => return Ok(()),
            (Ok(()), _) => return Err(CertificateError::LeafNotFirst(index + 1)),
            (Err(rustls::Error::InconsistentKeys(_)), _) => {}
            (Err(error), _) => {
                return Err(CertificateError::Unreadable {
                    position: index + 1,
                    problem: error.to_string(),
                });
            }
        }
    }
    Err(no_leaf(parsed))
}

/// The reason why none of these certificates, in DER, is the one for a key.
pub fn without_key(certificates: &[&[u8]]) -> CertificateError {
    let parsed = certificates
        .iter()
        .filter_map(|der| parse_x509_certificate(der).ok());
    let parsed: Vec<_> = parsed.map(|(_, certificate)| certificate).collect();
    no_leaf(&parsed)
}

fn no_leaf(parsed: &[X509Certificate<'_>]) -> CertificateError {
    // One that is self-signed may be called a CA's, and has names all the same.
    let is_issuer = |one: &X509Certificate<'_>| one.is_ca() && names(one).is_err();
    match parsed.iter().all(is_issuer) {
        true => CertificateError::NoLeaf,
        false => CertificateError::OtherKey,
    }
}

/// That each certificate was issued by the next, with the last as the one believed.
///
/// <https://www.rfc-editor.org/rfc/rfc5280#section-6.1>
fn check_chain(
    ders: &[CertificateDer<'static>],
    parsed: &[X509Certificate<'_>],
) -> Result<(), CertificateError> {
    let [leaf, between @ .., last] = ders else {
        return Ok(());
    };
    let gap = parsed
        .windows(2)
        .position(|pair| pair[0].issuer().as_raw() != pair[1].subject().as_raw());
    if let Some(gap) = gap {
        return Err(CertificateError::Order(gap + 1));
    }
    let anchor = anchor_from_trusted_cert(last).map_err(CertificateError::Chain)?;
    verify((leaf, between), &[anchor], parsed).map_err(CertificateError::Chain)
}

/// That a certificate leads to one of the anchors, at the first moment at which all of them are valid: a chain is not
/// blamed for an end that the leaf has, too.
fn verify(
    (leaf, between): (&CertificateDer<'_>, &[CertificateDer<'_>]),
    anchors: &[TrustAnchor<'_>],
    parsed: &[X509Certificate<'_>],
) -> Result<(), webpki::Error> {
    let begins = parsed
        .iter()
        .map(|certificate| certificate.validity().not_before.timestamp());
    let begins = begins.max().and_then(|begins| begins.try_into().ok());
    let at = Duration::from_secs(begins.unwrap_or_default());
    let leaf = EndEntityCert::try_from(leaf)?;
    let verified = leaf.verify_for_usage(
        webpki::ALL_VERIFICATION_ALGS,
        anchors,
        between,
        UnixTime::since_unix_epoch(at),
        KeyUsage::server_auth(),
        None,
        None,
    );
    verified.map(drop)
}

#[cfg(test)]
mod tests {
    use rcgen::{
        BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SerialNumber,
        date_time_ymd,
    };

    use super::*;
    use crate::values::CertificateName;

    fn check(chain: &str, key: &Secret) -> Result<HeldCertificate, CertificateError> {
        super::check(chain, key, Source::Provided)
    }

    fn check_new(
        chain: &str,
        key: &Secret,
        names: &BTreeSet<Host>,
        now: Timestamp,
    ) -> Result<HeldCertificate, CertificateError> {
        let name = CertificateName::parse("new").unwrap();
        super::check_new(&NewCertificate {
            profile: None,
            name: &name,
            names,
            key,
            chain,
            source: Source::Provided,
            now,
        })
    }

    fn day(year: i32, month: u8, day: u8) -> Timestamp {
        Timestamp::parse(&format!("{year}-{month:02}-{day:02}T00:00:00Z")).unwrap()
    }

    fn params(names: &[&str]) -> CertificateParams {
        let mut params = CertificateParams::new(
            names
                .iter()
                .map(|&name| name.to_owned())
                .collect::<Vec<_>>(),
        )
        .unwrap();
        params.not_before = date_time_ymd(2026, 11, 1);
        params.not_after = date_time_ymd(2027, 1, 30);
        params.serial_number = Some(SerialNumber::from_slice(&[0x9a, 0x0b, 0x0c]));
        params
    }

    fn authority(
        name: &str,
        above: Option<&CertifiedIssuer<'static, KeyPair>>,
    ) -> CertifiedIssuer<'static, KeyPair> {
        let mut params = params(&[]);
        params.not_before = date_time_ymd(2026, 1, 1);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        match above {
            Some(above) => CertifiedIssuer::signed_by(params, key, above).unwrap(),
            None => CertifiedIssuer::self_signed(params, key).unwrap(),
        }
    }

    fn leaf(
        params: CertificateParams,
        issuer: &CertifiedIssuer<'static, KeyPair>,
    ) -> (String, Secret) {
        let key = KeyPair::generate().unwrap();
        (
            params.signed_by(&key, issuer).unwrap().pem(),
            Secret::new(key.serialize_pem()),
        )
    }

    fn asked(names: &[&str]) -> BTreeSet<Host> {
        names
            .iter()
            .map(|name| Host::parse(name).unwrap())
            .collect()
    }

    #[test]
    fn a_chain_is_read() {
        let root = authority("Root", None);
        let middle = authority("Middle", Some(&root));
        let (pem, key) = leaf(
            params(&["Shop.example", "*.shop.example", "10.0.0.1", "fd00::1"]),
            &middle,
        );
        for chain in [
            format!("{pem}{}", middle.pem()),
            format!("{pem}{}{}", middle.pem(), root.pem()),
        ] {
            let checked = check(&chain, &key).unwrap();
            assert_eq!(
                listed(&checked.names),
                "*.shop.example, 10.0.0.1, fd00::1, shop.example"
            );
            assert_eq!(checked.not_before, day(2026, 11, 1));
            assert_eq!(checked.not_after, day(2027, 1, 30));
            assert_eq!(
                (checked.issuer.as_str(), checked.serial.as_str()),
                ("Middle", "9a0b0c")
            );
            let der = CertificateDer::from_pem_slice(chain.as_bytes()).unwrap();
            assert_eq!(serial_of(&der), Some(checked.serial));
        }
    }

    #[test]
    fn a_leaf_may_come_alone() {
        let (pem, key) = leaf(params(&["shop.example"]), &authority("Root", None));
        assert!(check(&pem, &key).is_ok());
        // `openssl req -x509` makes its certificates CAs.
        for is_ca in [IsCa::NoCa, IsCa::Ca(BasicConstraints::Unconstrained)] {
            let key = KeyPair::generate().unwrap();
            let mut own = params(&["shop.example"]);
            own.is_ca = is_ca;
            let own = own.self_signed(&key).unwrap().pem();
            assert!(check(&own, &Secret::new(key.serialize_pem())).is_ok());
        }
    }

    #[test]
    fn a_chain_with_a_gap_is_refused() {
        let (root, other) = (authority("Root", None), authority("Root", None));
        let middle = authority("Middle", Some(&root));
        let (pem, key) = leaf(params(&["shop.example"]), &middle);
        let skipped = check(&format!("{pem}{}", root.pem()), &key).unwrap_err();
        assert!(matches!(skipped, CertificateError::Order(1)), "{skipped}");
        let turned = check(&format!("{pem}{}{}", root.pem(), middle.pem()), &key).unwrap_err();
        assert!(matches!(turned, CertificateError::Order(1)), "{turned}");
        let forged = check(&format!("{pem}{}{}", middle.pem(), other.pem()), &key).unwrap_err();
        assert!(matches!(forged, CertificateError::Chain(_)), "{forged}");
    }

    #[test]
    fn a_key_of_another_is_refused() {
        let root = authority("Root", None);
        let (pem, _) = leaf(params(&["shop.example"]), &root);
        let (_, key) = leaf(params(&["shop.example"]), &root);
        assert!(matches!(check(&pem, &key), Err(CertificateError::OtherKey)));
        for no_key in [String::new(), pem.clone()] {
            assert!(matches!(
                check(&pem, &Secret::new(no_key)),
                Err(CertificateError::KeyText(_))
            ));
        }
    }

    #[test]
    fn what_is_no_certificate_is_refused() {
        let (pem, key) = leaf(params(&["shop.example"]), &authority("Root", None));
        assert!(matches!(
            check("", &key),
            Err(CertificateError::Text(PemError::Empty))
        ));
        assert!(matches!(
            check(&pem[..pem.len() / 2], &key),
            Err(CertificateError::Text(PemError::Endless { .. }))
        ));
        assert!(matches!(
            check(&pem.repeat(11), &key),
            Err(CertificateError::TooLong(11))
        ));
        let (nameless, key) = leaf(params(&[]), &authority("Root", None));
        assert!(matches!(
            check(&nameless, &key),
            Err(CertificateError::NoNames)
        ));
        assert_eq!(serial_of(b"no certificate"), None);
    }

    #[test]
    fn a_new_certificate_is_for_what_was_asked_at_least_and_valid_now() {
        let (pem, key) = leaf(
            params(&["shop.example", "www.shop.example"]),
            &authority("Root", None),
        );
        let check_at = |names: &[&str], now| {
            check_new(&pem, &key, &asked(names), now).map_err(|error| error.to_string())
        };
        let both = ["shop.example", "www.shop.example"];
        assert!(check_at(&both, day(2026, 11, 22)).is_ok());
        assert!(check_at(&both, day(2026, 11, 1) - CLOCK_SKEW).is_ok());
        assert_eq!(
            check_at(&both, day(2026, 10, 31)).unwrap_err(),
            "it is not valid before 2026-11-01T00:00:00Z; is the clock right?"
        );
        assert_eq!(
            check_at(&both, day(2027, 1, 30)).unwrap_err(),
            "it was valid until 2027-01-30T00:00:00Z; is the clock right?"
        );
        assert_eq!(
            check_at(&["a.example", "shop.example"], day(2026, 11, 22)).unwrap_err(),
            "it is for shop.example, www.shop.example instead of a.example, shop.example"
        );
        assert!(check_at(&["shop.example"], day(2026, 11, 22)).is_ok());
    }

    #[test]
    fn an_expired_certificate_is_read_all_the_same() {
        let root = authority("Root", None);
        let mut old = params(&["shop.example"]);
        old.not_before = date_time_ymd(2026, 2, 1);
        old.not_after = date_time_ymd(2026, 3, 1);
        let (pem, key) = leaf(old, &root);
        assert_eq!(
            check(&format!("{pem}{}", root.pem()), &key)
                .unwrap()
                .not_after,
            day(2026, 3, 1)
        );
    }

    #[test]
    fn another_chain_or_key_is_another_certificate() {
        let root = authority("Root", None);
        let (pem, key) = leaf(params(&["shop.example"]), &root);
        let (alone, whole) = (
            check(&pem, &key).unwrap(),
            check(&format!("{pem}{}", root.pem()), &key).unwrap(),
        );
        assert_ne!(alone.digest, whole.digest);
        assert_eq!(alone.digest, check(&pem, &key).unwrap().digest);
    }
}
