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
    values::Timestamp,
};

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
        })
    }
}

/// The domains by which CAA records name the CA that has this directory.
pub(super) fn caa_identities(directory: &Value) -> Vec<String> {
    let all = directory["meta"]["caaIdentities"].as_array();
    let texts = all.into_iter().flatten().filter_map(Value::as_str);
    texts.map(str::to_owned).collect()
}
