//! The signing request with which a CA is asked for a certificate.

use std::collections::BTreeSet;

use rcgen::{CertificateParams, DistinguishedName, KeyPair};

use super::caller::Caller;
use crate::{
    ports::AuthorityError,
    values::{Host, Secret},
};

/// The request that is signed with the certificate's key and sent to the CA.
///
/// <https://www.rfc-editor.org/rfc/rfc2986#section-4>
pub(super) fn signing_request(
    key: &Secret,
    names: &BTreeSet<Host>,
) -> Result<Vec<u8>, AuthorityError> {
    let unusable = |error| Caller::ours("the certificate's key can't be used", error);
    let key = KeyPair::from_pem(key.expose()).map_err(unusable)?;
    let mut params = CertificateParams::new(names.iter().map(Host::to_string).collect::<Vec<_>>())
        .map_err(unusable)?;
    // rcgen would put a common name of its own there, which CAs read as one more host name.
    params.distinguished_name = DistinguishedName::new();
    Ok(params
        .serialize_request(&key)
        .map_err(unusable)?
        .der()
        .to_vec())
}

#[cfg(test)]
mod tests {
    use x509_parser::prelude::{FromDer, ParsedExtension, X509CertificationRequest};

    use super::*;

    #[test]
    fn a_signing_request_has_the_names_and_nothing_else() {
        let key = Secret::new(KeyPair::generate().unwrap().serialize_pem());
        let names = ["b.example", "a.example"]
            .map(|name| Host::parse(name).unwrap())
            .into();
        let der = signing_request(&key, &names).unwrap();
        let (_, request) = X509CertificationRequest::from_der(&der).unwrap();
        assert_eq!(request.certification_request_info.subject.iter().count(), 0);
        let extensions = request.requested_extensions().unwrap().collect::<Vec<_>>();
        let [ParsedExtension::SubjectAlternativeName(found)] = extensions.as_slice() else {
            panic!("{extensions:?}");
        };
        let found = found
            .general_names
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>();
        assert_eq!(found, ["DNSName(a.example)", "DNSName(b.example)"]);
    }
}
