//! The check that a chain leads to a root that clients know.

use rustls_pki_types::CertificateDer;
use webpki::anchor_from_trusted_cert;
use webpki_root_certs::TLS_SERVER_ROOT_CERTS;
use x509_parser::{certificate::X509Certificate, parse_x509_certificate};

use super::verify;
use crate::{observe::Source, values::preset_at};

/// True if certificates of this source should lead to such a root: the source is a CA that browsers trust by itself,
/// and not one of the user's own.
pub(super) fn is_expected(source: &Source) -> bool {
    let Source::Acme(directory) = source else {
        return false;
    };
    preset_at(directory).is_some_and(|preset| preset.trusted)
}

/// True if the first certificate of a chain leads to a root that browsers know. The root may be a part of the chain or
/// not, and another CA may have signed it, too.
///
/// <https://wiki.mozilla.org/CA/Included_Certificates>
pub(super) fn is_led_to(chain: &[CertificateDer<'_>], parsed: &[X509Certificate<'_>]) -> bool {
    is_led_to_one_of(TLS_SERVER_ROOT_CERTS, chain, parsed)
}

fn is_led_to_one_of(
    roots: &[CertificateDer<'_>],
    chain: &[CertificateDer<'_>],
    parsed: &[X509Certificate<'_>],
) -> bool {
    let Some((leaf, between)) = chain.split_first() else {
        return false;
    };
    // Of more than a hundred roots, only those that it names are read further.
    let is_named = |root: &&CertificateDer<'_>| {
        let Ok((_, root)) = parse_x509_certificate(root) else {
            return false;
        };
        let name = root.subject().as_raw();
        parsed.iter().any(|one| one.issuer().as_raw() == name)
    };
    let anchors = roots.iter().filter(is_named);
    let anchors: Vec<_> = anchors
        .filter_map(|root| anchor_from_trusted_cert(root).ok())
        .collect();
    verify((leaf, between), &anchors, parsed).is_ok()
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

    use super::*;
    use crate::values::CA_PRESETS;

    type Authority = CertifiedIssuer<'static, KeyPair>;

    fn authority_params(name: &str) -> CertificateParams {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        params
    }

    fn root(name: &str) -> Authority {
        CertifiedIssuer::self_signed(authority_params(name), KeyPair::generate().unwrap()).unwrap()
    }

    fn between(name: &str, issuer: &Authority) -> Authority {
        let key = KeyPair::generate().unwrap();
        CertifiedIssuer::signed_by(authority_params(name), key, issuer).unwrap()
    }

    fn is_led(roots: &[&Authority], chain: &[CertificateDer<'static>]) -> bool {
        let roots: Vec<_> = roots.iter().map(|root| root.der().clone()).collect();
        let parsed = chain
            .iter()
            .map(|der| parse_x509_certificate(der).unwrap().1);
        is_led_to_one_of(&roots, chain, &parsed.collect::<Vec<_>>())
    }

    #[test]
    fn a_chain_leads_to_a_root_whether_it_has_it_or_not_and_by_another_that_signed_it_too() {
        let [known, unknown] = ["known", "unknown"].map(root);
        let issuing = between("issuing", &known);
        let leaf = CertificateParams::new(["shop.example".to_owned()]).unwrap();
        let leaf = leaf
            .signed_by(&KeyPair::generate().unwrap(), &issuing)
            .unwrap();
        let leaf = || leaf.der().clone();
        let known_too = {
            // The same key and name, signed by one that nobody knows yet.
            let params = authority_params("known");
            params.signed_by(known.key(), &unknown).unwrap()
        };
        let middle = || issuing.der().clone();
        for (chain, expected) in [
            (vec![leaf(), middle()], true),
            (vec![leaf(), middle(), known.der().clone()], true),
            (vec![leaf(), middle(), known_too.der().clone()], true),
            (vec![leaf()], false),
            (vec![], false),
        ] {
            assert_eq!(is_led(&[&known], &chain), expected, "{}", chain.len());
            assert!(!is_led(&[&root("known")], &chain), "another of that name");
        }
        assert!(!is_led(&[&unknown], &[leaf(), middle()]));
        assert!(is_led(
            &[&unknown],
            &[leaf(), middle(), known_too.der().clone()]
        ));
        assert!(!is_led(&[], &[leaf(), middle(), known.der().clone()]));
    }

    #[test]
    fn what_a_ca_of_ones_own_issues_leads_to_no_root_that_all_know() {
        for preset in CA_PRESETS {
            let source = Source::Acme(preset.directory.to_owned());
            assert_eq!(is_expected(&source), preset.trusted, "{}", preset.name);
        }
        assert!(!is_expected(&Source::Acme(
            "https://ca.example/dir".to_owned()
        )));
        assert!(!is_expected(&Source::Provided));
    }

    #[test]
    fn the_roots_of_the_usual_ca_are_known() {
        for name in ["ISRG Root X1", "ISRG Root X2"] {
            let is_it = |root: &&CertificateDer<'_>| {
                let (_, root) = parse_x509_certificate(root).unwrap();
                let mut names = root.subject().iter_common_name();
                names.any(|found| found.as_str() == Ok(name))
            };
            assert!(
                TLS_SERVER_ROOT_CERTS.iter().any(|root| is_it(&root)),
                "{name}"
            );
        }
    }
}
