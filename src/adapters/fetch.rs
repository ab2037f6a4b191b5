//! Templates that lie at URLs: fetched as a whole within limits, or not at all.

use std::{borrow::Cow, time::Duration};

use async_trait::async_trait;
use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use tokio::time::timeout;
use url::{Url, form_urlencoded};

use super::{
    http::{HttpClient, HttpError, Limits, RootsError},
    https_proxy::HttpsProxy,
};
use crate::ports::{FetchError, TemplateUrls};

/// Number of times that an answer may redirect to another URL.
const MOST_REDIRECTS: usize = 5;

/// docker-pygen waited for a minute, too. The longest template that is known has 40,000 bytes.
const LIMITS: Limits = Limits {
    connect: Duration::from_secs(10),
    whole: Duration::from_secs(60),
    body: 1 << 20,
};

/// Texts at http and https URLs.
pub struct UrlTexts {
    client: HttpClient,
    /// For all answers together.
    whole: Duration,
}

impl UrlTexts {
    /// Nothing is asked yet. Where `takes_any`, a server may show any certificate.
    ///
    /// # Errors
    /// When TLS can't be set up.
    pub fn new(takes_any: bool, proxy: &HttpsProxy) -> Result<Self, RootsError> {
        Self::within(LIMITS, takes_any, proxy)
    }

    /// The same within other limits.
    ///
    /// # Errors
    /// When TLS can't be set up.
    pub fn within(limits: Limits, takes_any: bool, proxy: &HttpsProxy) -> Result<Self, RootsError> {
        let client = HttpClient::of_urls(takes_any, proxy, limits)?;
        let whole = limits.whole;
        Ok(Self { client, whole })
    }

    async fn fetched(&self, url: &str) -> Result<String, FetchError> {
        let mut at = Url::parse(url).map_err(|error| unusable(error.to_string()))?;
        // Who is asked for by name and password is not the one that another server leads to.
        let mut authorization = authorization(&at);
        for _ in 0..=MOST_REDIRECTS {
            let answer = self.client.send(request(&at, authorization.take())?).await;
            let answer = answer.map_err(|error| FetchError::NoAnswer(error.into()))?;
            match answer.status() {
                StatusCode::OK => return text(answer),
                status if status.is_redirection() => at = leads_to(&at, &answer)?,
                status => {
                    let host = at.host_str().unwrap_or_default();
                    return Err(unusable(format!("{host} answers {status}")));
                }
            }
        }
        Err(unusable(format!(
            "it leads to another URL more than {MOST_REDIRECTS} times"
        )))
    }
}

#[async_trait(?Send)]
impl TemplateUrls for UrlTexts {
    async fn text(&self, url: &str) -> Result<String, FetchError> {
        let silent = |_| FetchError::NoAnswer(HttpError::Silent(self.whole).into());
        timeout(self.whole, self.fetched(url))
            .await
            .map_err(silent)
            .flatten()
    }
}

fn unusable(problem: impl Into<String>) -> FetchError {
    FetchError::Unusable(problem.into())
}

fn request(at: &Url, authorization: Option<String>) -> Result<Request<Bytes>, FetchError> {
    let mut bare = at.clone();
    bare.set_fragment(None);
    // These can't fail for http and https, which are all that are asked.
    let _ = bare.set_username("");
    let _ = bare.set_password(None);
    let mut request = Request::get(bare.as_str());
    if let Some(value) = authorization {
        request = request.header(header::AUTHORIZATION, value);
    }
    request
        .body(Bytes::new())
        .map_err(|error| unusable(error.to_string()))
}

/// Name and password that a URL carries, as a server wants them.
fn authorization(url: &Url) -> Option<String> {
    let password = url.password();
    if url.username().is_empty() && password.is_none() {
        return None;
    }
    let words = format!(
        "{}:{}",
        decoded(url.username()),
        decoded(password.unwrap_or_default())
    );
    Some(format!("Basic {}", BASE64_STANDARD.encode(words)))
}

/// A part of a URL without its `%20`; what means something in forms alone stays.
fn decoded(part: &str) -> String {
    let part = part.replace('+', "%2B").replace('&', "%26");
    let mut read = form_urlencoded::parse(part.as_bytes());
    read.next()
        .map_or_else(String::new, |(name, _)| Cow::into_owned(name))
}

/// Where an answer leads: never from https to http.
fn leads_to(at: &Url, answer: &Response<Bytes>) -> Result<Url, FetchError> {
    let status = answer.status();
    let to = answer.headers().get(header::LOCATION);
    let to = to.and_then(|to| at.join(to.to_str().ok()?).ok());
    let to = to.ok_or_else(|| unusable(format!("it answers {status} without another URL")))?;
    match (at.scheme(), to.scheme()) {
        (_, "https") | ("http", "http") => Ok(to),
        (from, to) => Err(unusable(format!("it leads from {from} to {to}"))),
    }
}

fn text(answer: Response<Bytes>) -> Result<String, FetchError> {
    String::from_utf8(answer.into_body().into()).map_err(|_| unusable("what is there is not UTF-8"))
}
