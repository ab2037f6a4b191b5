//! What instant-acme's errors leave out: status, Retry-After and kind of the answer that just came. Its requests pass
//! through here and leave that behind for the call they belong to.

use std::{cell::RefCell, future::Future, pin::Pin};

use bytes::Bytes;
use http::{Method, Request, Response, header::RETRY_AFTER};
use http_body_util::BodyExt;
use instant_acme::{BodyWrapper, BytesResponse, Error};
use serde::de::IgnoredAny;

use crate::adapters::http::HttpClient;

/// How much of an answer that is not understood is shown.
const EXCERPT: usize = 80;

/// The last request of a call and what came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Record {
    /// Whether it carried a signed message, so that the CA may have acted on it.
    pub(super) signed: bool,
    /// Its answer; `None` when none came.
    pub(super) answer: Option<Answer>,
}

/// What is told about an answer besides its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// The status code.
    pub(super) status: u16,
    /// Its Retry-After, as sent.
    pub(super) retry_after: Option<String>,
    /// Whether its body is JSON.
    pub(super) json: bool,
    /// How its body begins, without what can't be printed.
    pub(super) excerpt: String,
}

impl Answer {
    /// What is remembered of an answer.
    pub(super) fn of(answer: &Response<Bytes>) -> Self {
        let retry_after = answer
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok());
        Self {
            status: answer.status().as_u16(),
            retry_after: retry_after.map(str::to_owned),
            json: serde_json::from_slice::<IgnoredAny>(answer.body()).is_ok(),
            excerpt: excerpt(answer.body()),
        }
    }
}

fn excerpt(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(EXCERPT * 4)]).into_owned();
    let words = text
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty());
    words
        .collect::<Vec<_>>()
        .join(" ")
        .chars()
        .take(EXCERPT)
        .collect()
}

tokio::task_local! {
    static RECORD: RefCell<Record>;
}

/// Runs one call and tells what its last request got.
pub(super) async fn recorded<T>(call: impl Future<Output = T>) -> (T, Record) {
    RECORD
        .scope(RefCell::default(), async {
            let result = call.await;
            (result, RECORD.with(RefCell::take))
        })
        .await
}

/// Our client, as instant-acme wants it.
pub(super) struct Recorder(pub(super) HttpClient);

impl instant_acme::HttpClient for Recorder {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let client = self.0.clone();
        Box::pin(async move {
            let signed = request.method() == Method::POST;
            let (head, body) = request.into_parts();
            let body = body
                .collect()
                .await
                .unwrap_or_else(|never| match never {})
                .to_bytes();
            let result = client.send(Request::from_parts(head, body)).await;
            let answer = result.as_ref().ok().map(Answer::of);
            // Every call goes through `recorded`; one that did not would only lose its details.
            let _ = RECORD.try_with(|record| record.replace(Record { signed, answer }));
            let (head, body) = result
                .map_err(|error| Error::Other(Box::new(error)))?
                .into_parts();
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
    fn an_answer_is_remembered() {
        let answer = Response::builder()
            .status(503)
            .header("Retry-After", "120")
            .body(Bytes::from("<p>busy"))
            .unwrap();
        let expected = Answer {
            status: 503,
            retry_after: Some("120".into()),
            json: false,
            excerpt: "<p>busy".into(),
        };
        assert_eq!(Answer::of(&answer), expected);
    }
}
