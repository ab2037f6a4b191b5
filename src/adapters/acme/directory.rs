//! A look at a CA's directory, with no account: for people who want to know whether it can be used at all.

use std::time::Duration;

use http::Request;
use serde_json::Value;

use super::{caller::Caller, record};
use crate::{
    adapters::{
        http::{HttpClient, Limits},
        https_proxy::HttpsProxy,
    },
    ports::AuthorityError,
    values::{DnsName, Timestamp},
};

/// Number of names by which standing proofs may name a CA.
///
/// <https://datatracker.ietf.org/doc/html/draft-ietf-acme-dns-persist-02#section-3.1>
const MOST_ISSUER_NAMES: usize = 10;

/// People wait for this.
const LIMIT: Duration = Duration::from_secs(10);

/// The content of a CA's directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directory {
    /// The CA's clock, to the second, where its answer has one.
    pub date: Option<Timestamp>,
    /// Where its terms are.
    pub terms: Option<String>,
    /// The domains by which CAA records name it.
    pub caa_identities: Vec<String>,
    /// The domains by which standing proofs name it; none where it takes none, or does not say so here.
    ///
    /// <https://datatracker.ietf.org/doc/html/draft-ietf-acme-dns-persist-02#section-3.2>
    pub issuer_domain_names: Vec<String>,
    /// The beginning of the URIs by which standing proofs name accounts; none where they are named by their own URLs.
    ///
    /// <https://datatracker.ietf.org/doc/html/draft-ietf-acme-dns-persist-02#section-4.1>
    pub account_hash_prefix: Option<String>,
}

impl Directory {
    /// Asks for it.
    ///
    /// <https://www.rfc-editor.org/rfc/rfc8555#section-7.1.1>
    ///
    /// # Errors
    /// When nobody answers there, or something that is no directory.
    pub async fn look(
        url: &str,
        ca_root_pem: Option<&str>,
        proxy: &HttpsProxy,
    ) -> Result<Self, AuthorityError> {
        let limits = Limits {
            connect: LIMIT,
            whole: LIMIT,
            ..Limits::default()
        };
        let http = HttpClient::new(ca_root_pem, proxy, limits);
        let http =
            http.map_err(|error| Caller::ours("connections to the CA can't be set up", error))?;
        let request = Request::get(url).body(bytes::Bytes::new());
        let request =
            request.map_err(|error| Caller::ours("the CA's URL can't be asked for", error))?;
        let answer = http
            .send(request)
            .await
            .map_err(|error| AuthorityError::Unreachable {
                directory: url.to_owned(),
                source: error.into(),
            })?;
        let read: Value = serde_json::from_slice(answer.body()).unwrap_or_default();
        if !read["newOrder"].is_string() {
            let problem = format!("status {} and no newOrder in it", answer.status().as_u16());
            return Err(AuthorityError::NotAcme {
                directory: url.to_owned(),
                problem,
            });
        }
        Ok(Self {
            date: record::date(answer.headers()),
            terms: read["meta"]["termsOfService"].as_str().map(str::to_owned),
            caa_identities: caa_identities(&read),
            issuer_domain_names: issuer_domain_names(&read),
            account_hash_prefix: account_hash_prefix(&read),
        })
    }
}

/// The domains by which standing proofs name the CA, by the words of the draft now and before; none where one of them could not
/// stand in a zone.
fn issuer_domain_names(directory: &Value) -> Vec<String> {
    let meta = &directory["meta"];
    let words = ["issuerDomainNames", "issuer-domain-names"];
    let all = words.into_iter().find_map(|word| meta[word].as_array());
    let names: Vec<_> = all.into_iter().flatten().map(Value::as_str).collect();
    let is_name = |name: &Option<&str>| name.is_some_and(|name| DnsName::parse(name).is_ok());
    match names.iter().all(is_name) && names.len() <= MOST_ISSUER_NAMES {
        true => names.into_iter().flatten().map(str::to_owned).collect(),
        false => Vec::new(),
    }
}

/// The beginning of hashed URIs of accounts.
fn account_hash_prefix(directory: &Value) -> Option<String> {
    let prefix = directory["meta"]["accountHashPrefix"].as_str()?;
    let fits = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | ';' | '\\');
    prefix.chars().all(fits).then(|| prefix.to_owned())
}

/// The domains by which CAA records name the CA that has this directory.
pub(super) fn caa_identities(directory: &Value) -> Vec<String> {
    let all = directory["meta"]["caaIdentities"].as_array();
    let texts = all.into_iter().flatten().filter_map(Value::as_str);
    texts.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_directory_says_of_standing_proofs_is_taken_where_it_can_stand_in_a_zone() {
        let names = |meta: Value| issuer_domain_names(&json!({ "meta": meta }));
        let both = ["ca.example", "other.example"];
        assert_eq!(names(json!({ "issuerDomainNames": both })), both);
        assert_eq!(names(json!({ "issuer-domain-names": both })), both);
        for wrong in [
            json!({}),
            json!({ "issuerDomainNames": [] }),
            json!({ "issuerDomainNames": ["ca.example", 7] }),
            json!({ "issuerDomainNames": ["ca.example; policy=wildcard"] }),
            json!({ "issuerDomainNames": vec!["ca.example"; 11] }),
        ] {
            assert_eq!(names(wrong), [""; 0]);
        }
        let prefix =
            |text: &str| account_hash_prefix(&json!({ "meta": { "accountHashPrefix": text } }));
        let right = "https://ca.example/account-hash/";
        assert_eq!(prefix(right).as_deref(), Some(right));
        assert_eq!(prefix("https://ca.example/\"; policy=wildcard"), None);
    }
}
