//! When a CA wants a certificate to be renewed. Asked by plain requests of our own: nothing is signed, no account is needed,
//! and what fails here is of no concern to orders.
//!
//! <https://www.rfc-editor.org/rfc/rfc9773>

use std::{cell::RefCell, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use serde::Deserialize;
use serde_json::Value;

use super::{
    caller::Caller,
    pace::Pace,
    record::{ResponseHead, printable},
};
use crate::{
    adapters::http::HttpClient,
    observe::SuggestedWindow,
    ports::{Clock, RenewalAnswer, RenewalSaid},
    values::{CertificateId, Timestamp},
};

/// Time between two looks at the directory for the place of renewal information.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The longest URL of an explanation.
const LONGEST_URL: usize = 200;

/// Requests a second at one CA.
const PER_SECOND: u32 = 1;

/// The reader of a CA's renewal information.
pub(super) struct RenewalReader {
    pace: Pace,
    place: RefCell<Option<Place>>,
}

/// Where it says so.
struct Place {
    /// Without what it has to end with; none where the CA says nothing.
    url: Option<String>,
    /// When that was read, by the clock that nobody sets.
    read: Duration,
}

/// The required content of a body.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Said {
    suggested_window: SaidWindow,
    #[serde(rename = "explanationURL", default)]
    explanation: Value,
}

#[derive(Deserialize)]
struct SaidWindow {
    start: Timestamp,
    end: Timestamp,
}

impl RenewalReader {
    pub(super) fn new() -> Self {
        Self {
            pace: Pace::new(Some(PER_SECOND)),
            place: RefCell::default(),
        }
    }

    /// Asks about one certificate.
    pub(super) async fn read(
        &self,
        caller: &Caller,
        http: &HttpClient,
        id: &CertificateId,
    ) -> RenewalAnswer {
        let url = match self.url(caller, http).await {
            Ok(Some(url)) => url,
            Ok(None) => {
                return RenewalAnswer {
                    said: RenewalSaid::NotOffered,
                    retry_after: None,
                };
            }
            Err(failed) => return failed,
        };
        match self.get(caller, http, &format!("{url}/{id}")).await {
            Ok(answer) => understood(&answer, &*caller.clock),
            Err(failed) => failed,
        }
    }

    /// Where it is asked; looked up once a day.
    async fn url(
        &self,
        caller: &Caller,
        http: &HttpClient,
    ) -> Result<Option<String>, RenewalAnswer> {
        let now = caller.clock.elapsed();
        if let Some(place) = &*self.place.borrow()
            && now.saturating_sub(place.read) < DAY
        {
            return Ok(place.url.clone());
        }
        let answer = self.get(caller, http, &caller.directory).await?;
        let directory: Value = serde_json::from_slice(answer.body()).unwrap_or_default();
        if !directory["newOrder"].is_string() {
            let status = answer.status();
            let problem = format!(
                "{} is not a directory now (status {status})",
                caller.directory
            );
            return Err(unavailable(problem));
        }
        let url = directory["renewalInfo"].as_str();
        let url = url.map(|url| url.trim_end_matches('/').to_owned());
        *self.place.borrow_mut() = Some(Place {
            url: url.clone(),
            read: now,
        });
        Ok(url)
    }

    /// A request, when it is its turn, and unless the CA asks to be left alone.
    async fn get(
        &self,
        caller: &Caller,
        http: &HttpClient,
        url: &str,
    ) -> Result<Response<Bytes>, RenewalAnswer> {
        let request = Request::get(url).body(Bytes::new());
        let request = request.map_err(|error| unavailable(format!("{url}: {error}")))?;
        self.pace.wait(&*caller.clock).await;
        if let Err(closed) = caller.check_gate() {
            return Err(unavailable(closed.error.to_string()));
        }
        let answer = http.send(request).await;
        answer.map_err(|error| unavailable(format!("{url}: {error}")))
    }
}

fn unavailable(problem: String) -> RenewalAnswer {
    RenewalAnswer {
        said: RenewalSaid::Unavailable(problem),
        retry_after: None,
    }
}

/// Reads an answer. A request to be left alone here is about another door than that of orders, so that these go on.
fn understood(answer: &Response<Bytes>, clock: &dyn Clock) -> RenewalAnswer {
    let head = ResponseHead::of(answer);
    let status = answer.status();
    let problem = || format!("status {}: {}", head.status, head.excerpt);
    let said = match serde_json::from_slice::<Said>(answer.body()) {
        Ok(said) if status == StatusCode::OK => RenewalSaid::Window(SuggestedWindow {
            start: said.suggested_window.start,
            end: said.suggested_window.end,
            explanation: said.explanation.as_str().and_then(shown),
        }),
        _ if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
            RenewalSaid::Unavailable(problem())
        }
        _ => RenewalSaid::Nothing(problem()),
    };
    RenewalAnswer {
        said,
        retry_after: head.retry_after.map(|after| after.since(clock.now())),
    }
}

/// An explanation that may be shown to people.
fn shown(url: &str) -> Option<String> {
    let is_url = url.starts_with("https://") || url.starts_with("http://");
    let is_plain = printable(url, LONGEST_URL) == url && !url.contains(' ');
    (is_url && is_plain).then(|| url.to_owned())
}
