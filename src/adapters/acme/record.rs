//! The parts of an answer that instant-acme's errors leave out: status, Retry-After and kind. Its requests pass through
//! here and leave these parts for the call to which they belong.

use std::{
    cell::RefCell,
    collections::BTreeSet,
    future::Future,
    net::IpAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{
    HeaderMap, Method, Request, Response, Uri,
    header::{AGE, DATE, RETRY_AFTER},
};
use http_body_util::BodyExt;
use instant_acme::{BodyWrapper, BytesResponse, Error};
use serde::de::IgnoredAny;
use time::{PrimitiveDateTime, macros::format_description};

use super::{jws::SigningKey, library_key::signed_anew};
use crate::{adapters::http::HttpClient, values::Timestamp};

/// Number of characters that are shown of an answer that is not understood.
const EXCERPT: usize = 80;

/// The last request of a call and what came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Exchange {
    /// True if it carried a signed message, so that the CA may have acted on it.
    pub(super) signed: bool,
    /// Its answer; `None` when none came.
    pub(super) answer: Option<ResponseHead>,
    /// True if it was not made, since the CA asked to be left alone.
    pub(super) was_stopped: bool,
}

/// The recorded part of an answer, without its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ResponseHead {
    /// The status code.
    pub(super) status: u16,
    /// The CA's clock.
    pub(super) date: Option<Timestamp>,
    /// Its Retry-After.
    pub(super) retry_after: Option<RetryAfter>,
    /// True if its body is JSON.
    pub(super) json: bool,
    /// The names of the order in the answer, where there are any.
    pub(super) names: Option<BTreeSet<String>>,
    /// The beginning of its body, without what can't be printed.
    pub(super) excerpt: String,
}

impl ResponseHead {
    /// Reads the parts of an answer that are recorded.
    pub(super) fn of(answer: &Response<Bytes>) -> Self {
        Self {
            status: answer.status().as_u16(),
            date: date(answer.headers()),
            retry_after: RetryAfter::of(answer.headers()),
            json: serde_json::from_slice::<IgnoredAny>(answer.body()).is_ok(),
            names: names(answer.body()),
            excerpt: excerpt(answer.body()),
        }
    }
}

/// The names of an order, each in the spelling of ours.
///
/// <https://www.rfc-editor.org/rfc/rfc8555#section-7.1.3>
fn names(body: &[u8]) -> Option<BTreeSet<String>> {
    #[derive(serde::Deserialize)]
    struct OrderNames {
        identifiers: Vec<Named>,
    }
    #[derive(serde::Deserialize)]
    struct Named {
        value: String,
    }
    let read: OrderNames = serde_json::from_slice(body).ok()?;
    let names = read.identifiers.into_iter().map(|Named { value }| {
        let address = value.parse::<IpAddr>().map(|address| address.to_string());
        address.unwrap_or_else(|_| value.to_ascii_lowercase())
    });
    Some(names.collect())
}

/// The time at which an answer was sent: its Date, and its age where a cache had it meanwhile.
///
/// <https://www.rfc-editor.org/rfc/rfc9110#section-6.6.1>
pub(super) fn date(headers: &HeaderMap) -> Option<Timestamp> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let date = text(DATE).and_then(http_date)?;
    let age = text(AGE).and_then(|age| age.trim().parse().ok());
    Some(date + Duration::from_secs(age.unwrap_or(0)))
}

/// <https://www.rfc-editor.org/rfc/rfc9110#section-5.6.7>
fn http_date(text: &str) -> Option<Timestamp> {
    let form = format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    let date = PrimitiveDateTime::parse(text.trim(), form).ok()?;
    Some(Timestamp::from_seconds(date.assume_utc().unix_timestamp()))
}

fn excerpt(body: &[u8]) -> String {
    let begin = &body[..body.len().min(EXCERPT * 4)];
    printable(&String::from_utf8_lossy(begin), EXCERPT)
}

/// A text from outside for people: in one line, at most so many characters, without what a terminal acts upon.
pub(super) fn printable(text: &str, most: usize) -> String {
    let words = text
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty());
    let words: Vec<_> = words.take(most).collect();
    words.join(" ").chars().take(most).collect()
}

/// The time that the CA asks to wait.
///
/// <https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3>
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::adapters) enum RetryAfter {
    /// As long as this.
    For(Duration),
    /// Until then.
    Until(Timestamp),
}

impl RetryAfter {
    /// The first Retry-After that says anything.
    pub(in crate::adapters) fn of(headers: &HeaderMap) -> Option<Self> {
        let texts = headers.get_all(RETRY_AFTER).into_iter();
        texts
            .filter_map(|value| value.to_str().ok())
            .find_map(Self::read)
    }

    /// Reads either form. More seconds than can be counted are as many as can.
    pub(super) fn read(text: &str) -> Option<Self> {
        let text = text.trim();
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            let seconds = text.parse().unwrap_or(u64::MAX);
            return Some(Self::For(Duration::from_secs(seconds)));
        }
        http_date(text).map(Self::Until)
    }

    /// What is left of it; nothing of a date in the past.
    pub(in crate::adapters) fn since(self, now: Timestamp) -> Duration {
        match self {
            Self::For(length) => length,
            Self::Until(time) => time.since(now),
        }
    }
}

/// Removes parts of an answer that would end the program in the library: a Retry-After, which it adds to the time
/// without a check (ours is in the record), and a directory in which the URL for nonces is none.
fn made_safe(method: &Method, mut answer: Response<Bytes>) -> Result<Response<Bytes>, Error> {
    answer.headers_mut().remove(RETRY_AFTER);
    if *method == Method::GET && !has_usable_nonce_url(answer.body()) {
        return Err(Error::Str("newNonce is not a URL that can be used"));
    }
    Ok(answer)
}

/// True if the URL for nonces can be used. An answer that is no directory fails by itself when it is read.
fn has_usable_nonce_url(directory: &[u8]) -> bool {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Nonces {
        new_nonce: String,
    }
    let read = serde_json::from_slice::<Nonces>(directory);
    read.map_or(true, |read| read.new_nonce.parse::<Uri>().is_ok())
}

tokio::task_local! {
    static RECORD: RefCell<Exchange>;
}

/// Runs one call and returns the exchange of its last request.
pub(super) async fn recorded<T>(call: impl Future<Output = T>) -> (T, Exchange) {
    RECORD
        .scope(RefCell::default(), async {
            let result = call.await;
            (result, RECORD.with(RefCell::take))
        })
        .await
}

/// Our client, as instant-acme wants it.
#[derive(Clone)]
pub(super) struct Recorder {
    pub(super) http: HttpClient,
    /// True if the CA asked to be left alone.
    pub(super) is_closed: Arc<AtomicBool>,
    /// The account's key, where the library signs by another.
    pub(super) own_key: Option<Arc<SigningKey>>,
}

impl Recorder {
    /// Sends a request, unless the CA asked to be left alone, and leaves behind what came.
    pub(super) async fn exchange(&self, request: Request<Bytes>) -> Result<Response<Bytes>, Error> {
        let method = request.method().clone();
        let signed = method == Method::POST;
        if self.is_closed.load(Ordering::SeqCst) {
            let was_stopped = true;
            let stopped = Exchange {
                was_stopped,
                ..Exchange::default()
            };
            let _ = RECORD.try_with(|record| record.replace(stopped));
            return Err(Error::Str("the CA asked for a pause"));
        }
        let result = self.http.send(request).await;
        let answer = result.as_ref().ok().map(ResponseHead::of);
        // Every call goes through `recorded`; one that did not would only lose its details.
        let _ = RECORD.try_with(|record| {
            record.replace(Exchange {
                signed,
                answer,
                was_stopped: false,
            })
        });
        made_safe(
            &method,
            result.map_err(|error| Error::Other(Box::new(error)))?,
        )
    }
}

impl instant_acme::HttpClient for Recorder {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let recorder = self.clone();
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let body = body
                .collect()
                .await
                .unwrap_or_else(|never| match never {})
                .to_bytes();
            let body = match recorder
                .own_key
                .as_ref()
                .filter(|_| head.method == Method::POST)
            {
                None => body,
                Some(key) => signed_anew(&body, key).ok_or(Error::Crypto)?.into(),
            };
            let answer = recorder.exchange(Request::from_parts(head, body)).await?;
            let (head, body) = answer.into_parts();
            Ok(BytesResponse {
                parts: head,
                body: Box::new(body),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_is_short_and_printable() {
        assert_eq!(
            excerpt(b"<html>\r\n\t<h1>No \x1b[31mway</h1>"),
            "<html> <h1>No [31mway</h1>"
        );
        assert_eq!(excerpt("é".repeat(500).as_bytes()).chars().count(), EXCERPT);
        assert_eq!(excerpt(b""), "");
    }

    #[test]
    fn of_several_times_to_wait_the_first_that_says_anything_counts() {
        let of = |texts: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for text in texts {
                headers.append(RETRY_AFTER, text.parse().unwrap());
            }
            RetryAfter::of(&headers)
        };
        let seconds = |seconds| Some(RetryAfter::For(Duration::from_secs(seconds)));
        assert_eq!(of(&["soon", "7", "9"]), seconds(7));
        assert_eq!(of(&["-1", "", "1.5", "Mon, 32 Foo 2026"]), None);
        assert_eq!(of(&["18446744073709551616000"]), seconds(u64::MAX));
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn an_answer_is_remembered() {
        let answer = Response::builder()
            .status(503)
            .header("Retry-After", "120")
            .header("Date", "Sun, 22 Nov 2026 18:17:00 GMT")
            .header("Age", "30")
            .body(Bytes::from("<p>busy"))
            .unwrap();
        let expected = ResponseHead {
            status: 503,
            date: Some(Timestamp::from_seconds(1_795_371_450)),
            retry_after: Some(RetryAfter::For(Duration::from_secs(120))),
            json: false,
            names: None,
            excerpt: "<p>busy".into(),
        };
        assert_eq!(ResponseHead::of(&answer), expected);
    }
}
