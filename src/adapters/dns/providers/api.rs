//! Asking an interface over HTTP: each answer that is of no use becomes a sentence that says what to do. Secrets are in none.

use std::rc::Rc;

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http::{
    HeaderName, HeaderValue, Method, Request, StatusCode,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, LOCATION},
};
use serde_json::Value;

use super::{GateFault, GateParts};
use crate::{
    adapters::{
        acme::RetryAfter,
        disk,
        http::{HttpClient, HttpError, Limits},
    },
    ports::Clock,
    values::Secret,
};

/// Most characters that are shown of the other side's own words.
const MOST_WORDS: usize = 300;

/// Form in which a request carries name and secret.
pub(super) enum Credentials {
    /// A header whose text is the secret behind these words.
    Header(HeaderName, &'static str),
    /// The name of the settings and the secret, as browsers send them; nothing without a name.
    Basic,
    /// Headers of the gate's own.
    Named(HeaderName, HeaderName),
}

/// An interface, with what it is asked with.
pub(super) struct Api {
    client: HttpClient,
    provider: &'static str,
    url: String,
    headers: Vec<(HeaderName, HeaderValue)>,
    secret: Secret,
    /// The right that is missing where the secret is refused.
    right: &'static str,
    clock: Rc<dyn Clock>,
}

/// An answer that may be of use.
pub(super) struct ApiAnswer {
    pub status: StatusCode,
    body: Bytes,
}

impl Api {
    /// The interface of these settings, and what is to be done where it does not take the secret. Nothing is asked yet.
    ///
    /// # Errors
    /// When the settings can't be used, without the secret.
    pub fn new(
        (settings, secret, outside): GateParts<'_>,
        credentials: &Credentials,
        right: &'static str,
    ) -> Result<Self, String> {
        let provider = settings.provider.ok_or("it names no provider")?;
        let url = settings.url.as_deref().or(provider.url);
        let root = settings.root.as_deref().map(disk::text).transpose();
        let root = root.map_err(|error| format!("{error}; correct `root`"))?;
        let client = HttpClient::of_url(root.as_deref(), &outside.proxy, Limits::default());
        let username = settings.username.as_deref();
        Ok(Self {
            client: client.map_err(|error| format!("{error}; correct `root`"))?,
            provider: provider.name,
            url: url.unwrap_or_default().trim_end_matches('/').to_owned(),
            headers: headers(credentials, username, secret.expose().trim())?,
            secret: secret.clone(),
            right,
            clock: outside.clock.clone(),
        })
    }

    /// The interface, for sentences.
    pub fn who(&self) -> String {
        format!("{} ({})", self.provider, self.url)
    }

    /// The time.
    pub fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    /// Asks for something that is below the interface's URL.
    ///
    /// # Errors
    /// When there is no answer, or one that refuses us or puts us off: what is wrong, and what to do. A refusal of just this
    /// (404, 409, 422 and the like) is an answer.
    pub async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<ApiAnswer, GateFault> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .header(ACCEPT, "application/json");
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let text = match body {
            Some(body) => {
                request = request.header(CONTENT_TYPE, "application/json");
                Bytes::from(body.to_string())
            }
            None => Bytes::new(),
        };
        let request = request
            .body(text)
            .map_err(|error| format!("{} can't be asked for {path}: {error}", self.who()))?;
        let answer = self.client.send(request).await;
        let answer = answer.map_err(|error| self.unreachable(&error))?;
        let (head, body) = answer.into_parts();
        let answer = ApiAnswer {
            status: head.status,
            body,
        };
        match head.status.as_u16() {
            300..=399 => {
                let to = head.headers.get(LOCATION).and_then(|to| to.to_str().ok());
                let to = to.map_or_else(String::new, |to| format!(" to {to}"));
                Err(format!(
                    "{} leads on{to} ({}): write the URL at which it is asked itself into `url`",
                    self.who(),
                    head.status
                )
                .into())
            }
            429 => Err(self.busy(RetryAfter::of(&head.headers), &answer)),
            401 | 403 => Err(self.refused(&answer)),
            500.. => Err(self.failed(RetryAfter::of(&head.headers), &answer)),
            _ => Ok(answer),
        }
    }

    /// Asks in the same way, where nothing but success is of use.
    ///
    /// # Errors
    /// Those of `ask`, and any refusal.
    pub async fn done(
        &self,
        (doing, method): (&str, Method),
        path: &str,
        body: Option<&Value>,
    ) -> Result<ApiAnswer, GateFault> {
        let answer = self.ask(method, path, body).await?;
        match answer.status.is_success() {
            true => Ok(answer),
            false => Err(self.unfit(doing, &answer)),
        }
    }

    /// Content of an answer, as JSON.
    ///
    /// # Errors
    /// When it is none.
    pub fn json(&self, answer: &ApiAnswer) -> Result<Value, GateFault> {
        serde_json::from_slice(&answer.body).map_err(|_| {
            let what = match answer.is_page() {
                true => "a web page",
                false => "something else",
            };
            let (who, status) = (self.who(), answer.status);
            GateFault::from(format!(
                "{who} answers {what} in place of JSON ({status}): is `url` the address of its interface?"
            ))
        })
    }

    /// A refusal that is not known more closely.
    pub fn unfit(&self, doing: &str, answer: &ApiAnswer) -> GateFault {
        let (who, status, words) = (self.who(), answer.status, self.words(answer));
        format!("{who} does not {doing} ({status}{words})").into()
    }

    /// A zone that is not there.
    pub fn no_zone(&self, zone: &str) -> GateFault {
        format!(
            "{} has no zone {zone} that this secret may see: let the secret be one of the account that has the zone, or write \
             the `zone` that it has into the table",
            self.who()
        )
        .into()
    }

    fn unreachable(&self, error: &HttpError) -> GateFault {
        let mut words = error.to_string();
        let mut cause = std::error::Error::source(error);
        while let Some(next) = cause {
            words = format!("{words}: {next}");
            cause = next.source();
        }
        format!(
            "{} can't be asked ({words}): is `url` right, and the way to it open?",
            self.who()
        )
        .into()
    }

    fn refused(&self, answer: &ApiAnswer) -> GateFault {
        let (who, status, words) = (self.who(), answer.status, self.words(answer));
        format!(
            "{who} does not take who asks ({status}{words}): {}",
            self.right
        )
        .into()
    }

    fn busy(&self, pause: Option<RetryAfter>, answer: &ApiAnswer) -> GateFault {
        let (who, words) = (self.who(), self.words(answer));
        let pause = pause.map(|pause| pause.since(self.clock.now()));
        let asked = pause.map_or_else(String::new, |pause| format!(" of {pause:?}"));
        GateFault {
            problem: format!("{who} was asked too often, and wants a pause{asked} (429{words})"),
            not_before: pause.map(|pause| self.clock.now() + pause),
        }
    }

    fn failed(&self, pause: Option<RetryAfter>, answer: &ApiAnswer) -> GateFault {
        let (who, status, words) = (self.who(), answer.status, self.words(answer));
        let pause = pause.map(|pause| pause.since(self.clock.now()));
        GateFault {
            problem: format!("{who} fails ({status}{words}); it is asked again later"),
            not_before: pause.map(|pause| self.clock.now() + pause),
        }
    }

    /// The other side's own words behind a status, as far as they are meant for people, and without the secret.
    fn words(&self, answer: &ApiAnswer) -> String {
        let Some(words) = answer.words() else {
            return String::new();
        };
        let secret = self.secret.expose().trim();
        let words = match secret.is_empty() {
            true => words,
            false => words.replace(secret, "…"),
        };
        let plain = words.split(|c: char| c.is_control() || c.is_whitespace());
        let plain: Vec<_> = plain.filter(|word| !word.is_empty()).collect();
        let plain: String = plain.join(" ").chars().take(MOST_WORDS).collect();
        match plain.is_empty() {
            true => plain,
            false => format!(": {plain}"),
        }
    }
}

impl ApiAnswer {
    fn is_page(&self) -> bool {
        let start = self
            .body
            .iter()
            .skip_while(|byte| byte.is_ascii_whitespace());
        start.take(1).any(|byte| *byte == b'<')
    }

    /// Its words for people: those under the usual names in JSON, else plain text.
    fn words(&self) -> Option<String> {
        if self.is_page() {
            return None;
        }
        let Ok(said) = serde_json::from_slice::<Value>(&self.body) else {
            return Some(String::from_utf8_lossy(&self.body).into_owned());
        };
        let places = [
            "/errors/0/message",
            "/error/message",
            "/message",
            "/error",
            "/detail",
            "/errors/0",
            "/non_field_errors/0",
            "/0",
        ];
        let found = places.into_iter().find_map(|at| said.pointer(at)?.as_str());
        found.map(str::to_owned)
    }
}

/// Headers by which each request says who asks.
fn headers(
    credentials: &Credentials,
    username: Option<&str>,
    secret: &str,
) -> Result<Vec<(HeaderName, HeaderValue)>, String> {
    let value = |text: String| {
        let mut value = HeaderValue::from_str(&text).map_err(|_| {
            "username, token or password have characters that can't be sent".to_owned()
        })?;
        value.set_sensitive(true);
        Ok::<_, String>(value)
    };
    Ok(match (credentials, username) {
        (Credentials::Header(name, before), _) => {
            vec![(name.clone(), value(format!("{before}{secret}"))?)]
        }
        (Credentials::Basic, None) => Vec::new(),
        (Credentials::Basic, Some(username)) => {
            let words = BASE64_STANDARD.encode(format!("{username}:{secret}"));
            vec![(AUTHORIZATION, value(format!("Basic {words}"))?)]
        }
        (Credentials::Named(user, password), username) => vec![
            (
                user.clone(),
                value(username.unwrap_or_default().to_owned())?,
            ),
            (password.clone(), value(secret.to_owned())?),
        ],
    })
}
