//! One call and its answer: what is sent, what is read within limits, and the error that comes of it.

use std::{convert::Infallible, future::Future, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::{Body, Incoming};
use serde::Deserialize;

use super::{ANSWER_LIMIT, DockerEngine, transport::TransportError};
use crate::ports::EngineError;

/// Bytes of one answer. Ten thousand containers make a list of some 30 MB.
pub(super) const BODY_LIMIT: usize = 128 << 20;
/// The end of engines' words about a file system that takes no files: with 403, as is documented, or 500, as it is
/// done.
const READ_ONLY: &str = "is marked read-only";
/// Characters of an error that is no JSON, such as a proxy's HTML page, that are shown to people.
const MESSAGE_LIMIT: usize = 200;

impl DockerEngine {
    /// The headers of a successful answer; the body is still to come.
    pub(super) async fn open(
        &self,
        call: &'static str,
        path: &str,
    ) -> Result<Response<Incoming>, EngineError> {
        let request = Request::get(path)
            .body(Empty::<Bytes>::new())
            .map_err(|error| self.unreachable(error))?;
        self.send(call, request).await
    }

    pub(super) async fn send<B>(
        &self,
        call: &'static str,
        request: Request<B>,
    ) -> Result<Response<Incoming>, EngineError>
    where
        B: Body<Data = Bytes, Error = Infallible> + Send + 'static,
    {
        let response = self
            .transport
            .send(request)
            .await
            .map_err(|failure| self.failed(call, failure))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        // A refusal is one, even if its words are lost on the way.
        let words = self.body(call, response).await.unwrap_or_default();
        Err(self.refused(call, status.as_u16(), &words))
    }

    pub(super) async fn body(
        &self,
        call: &'static str,
        response: Response<Incoming>,
    ) -> Result<Bytes, EngineError> {
        let body = Limited::new(response.into_body(), BODY_LIMIT)
            .collect()
            .await;
        match body
            .map(|body| body.to_bytes())
            .map_err(|error| error.downcast::<hyper::Error>())
        {
            Ok(bytes) => Ok(bytes),
            Err(Ok(error)) => Err(self.failed(call, TransportError::Exchange(*error))),
            Err(Err(_)) => Err(not_understood(
                call,
                format!("it is longer than {BODY_LIMIT} bytes"),
            )),
        }
    }

    /// A whole answer, in time.
    pub(super) async fn read(
        &self,
        call: &'static str,
        path: &str,
        limit: Duration,
    ) -> Result<Bytes, EngineError> {
        self.within(call, limit, async {
            self.body(call, self.open(call, path).await?).await
        })
        .await
    }

    pub(super) async fn within<T>(
        &self,
        call: &'static str,
        limit: Duration,
        answer: impl Future<Output = Result<T, EngineError>>,
    ) -> Result<T, EngineError> {
        tokio::time::timeout(limit, answer)
            .await
            .unwrap_or_else(|_| Err(self.silent(call, limit)))
    }

    pub(super) fn failed(&self, call: &'static str, failure: TransportError) -> EngineError {
        match failure {
            TransportError::Exchange(error) if error.is_parse() => {
                not_understood(call, format!("it is not HTTP: {error}"))
            }
            failure => self.unreachable(failure),
        }
    }

    /// The result of a call of bollard's, with the errors of any other call.
    pub(super) async fn by_bollard<T>(
        &self,
        call: &'static str,
        answer: impl Future<Output = Result<T, bollard::errors::Error>>,
    ) -> Result<T, EngineError> {
        answer
            .await
            .map_err(|error| self.bollard_failed(call, error))
    }

    fn bollard_failed(&self, call: &'static str, error: bollard::errors::Error) -> EngineError {
        use bollard::errors::Error;
        match error {
            Error::DockerResponseServerError {
                status_code,
                message,
            } => self.refused(call, status_code, message.as_bytes()),
            Error::RequestTimeoutError => self.silent(call, ANSWER_LIMIT),
            Error::IOError { err } => self.failed(call, TransportError::Connect(err)),
            Error::HyperResponseError { err } => self.failed(call, TransportError::Exchange(err)),
            other => not_understood(call, other.to_string()),
        }
    }

    /// The error of an answer that is no success.
    ///
    /// <https://docs.docker.com/reference/api/engine/version/v1.51/#section/Errors>
    pub(super) fn refused(&self, call: &'static str, status: u16, body: &[u8]) -> EngineError {
        let message = message(body);
        if message.ends_with(READ_ONLY) {
            return EngineError::ReadOnly {
                call: call.to_owned(),
                message,
            };
        }
        if status == StatusCode::FORBIDDEN {
            return EngineError::Denied {
                engine: self.address.clone(),
                call: call.to_owned(),
            };
        }
        EngineError::Refused {
            call: call.to_owned(),
            status,
            message,
        }
    }

    pub(super) fn unreachable(
        &self,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> EngineError {
        EngineError::Unreachable {
            engine: self.address.clone(),
            source: Box::new(source),
        }
    }

    pub(super) fn silent(&self, call: &'static str, limit: Duration) -> EngineError {
        EngineError::Silent {
            engine: self.address.clone(),
            call: call.to_owned(),
            limit,
        }
    }
}

pub(super) fn not_understood(call: &str, problem: String) -> EngineError {
    EngineError::NotUnderstood {
        call: call.to_owned(),
        problem,
    }
}

/// The engine's words, or the beginning of what a proxy says in its place, on one line.
fn message(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Refusal {
        message: String,
    }
    let text = match serde_json::from_slice::<Refusal>(body) {
        Ok(refusal) => refusal.message,
        Err(_) => String::from_utf8_lossy(body)
            .chars()
            .take(MESSAGE_LIMIT)
            .collect(),
    };
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engines_own_words_are_told() {
        for (body, told) in [
            (
                "{\"message\":\"No such container: x\"}\n",
                "No such container: x",
            ),
            (
                "<html>\n  <h1>Gone</h1></html>",
                "<html> <h1>Gone</h1></html>",
            ),
            ("", ""),
        ] {
            assert_eq!(message(body.as_bytes()), told);
        }
        assert_eq!(
            message("ä".repeat(500).as_bytes()).chars().count(),
            MESSAGE_LIMIT
        );
    }
}
