//! News over HTTP: what is sent to a URL of the settings. No redirect is followed, nothing but the status of an answer is
//! looked at, and neither URL nor headers are told to anybody.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, header};
use url::Url;

use super::{
    http::{HttpClient, Limits, RootsError},
    https_proxy::HttpsProxy,
};
use crate::{
    ports::{Message, Notifier, NotifierError},
    values::{NotifyFormat, NotifySettings, Secret},
};

/// For one message: a slow receiver takes a while, and nobody waits for it but what comes after.
const LIMITS: Limits = Limits {
    connect: Duration::from_secs(10),
    whole: Duration::from_secs(30),
    body: 0,
};

/// What the settings say about a receiver, with the secrets that lie in files.
pub struct HttpReceiver<'s> {
    /// The settings.
    pub settings: &'s NotifySettings,
    /// The address.
    pub url: Secret,
    /// Header lines.
    pub headers: Option<Secret>,
    /// What it knows us by.
    pub token: Option<Secret>,
    /// Roots that are trusted besides the usual ones, in PEM.
    pub root: Option<String>,
}

/// A receiver that is asked over HTTP.
pub struct HttpNotifier {
    client: HttpClient,
    format: &'static NotifyFormat,
    method: Method,
    url: Url,
    headers: Vec<(HeaderName, HeaderValue)>,
    /// Lines of the format, of which the placeholders are filled in for each message.
    lines: Vec<(HeaderName, &'static str)>,
    token: Option<Secret>,
    room: Option<String>,
}

impl HttpNotifier {
    /// Nothing is asked yet.
    ///
    /// # Errors
    /// What is wrong with the settings, without a secret.
    pub fn new(receiver: HttpReceiver<'_>, proxy: &HttpsProxy) -> Result<Self, String> {
        Self::within(LIMITS, receiver, proxy)
    }

    /// The same within other limits.
    ///
    /// # Errors
    /// What is wrong with the settings, without a secret.
    pub fn within(
        limits: Limits,
        receiver: HttpReceiver<'_>,
        proxy: &HttpsProxy,
    ) -> Result<Self, String> {
        let settings = receiver.settings;
        let format = settings.format;
        let client = HttpClient::of_url(receiver.root.as_deref(), proxy, limits);
        let client = client.map_err(|error: RootsError| format!("root: {error}"))?;
        let method = settings.method.as_deref().unwrap_or(format.method);
        let method = Method::from_bytes(method.as_bytes());
        let lines = match &receiver.headers {
            Some(lines) => NotifySettings::read_headers(lines.expose())?,
            None => Vec::new(),
        };
        let headers = lines.iter().map(|(name, value)| secret_header(name, value));
        let of_token = receiver.token.iter().flat_map(|_| format.token_headers);
        let lines = format.headers.iter().chain(of_token).map(|line| {
            let (name, value) = line.split_once(": ").ok_or("it is not a valid header")?;
            let name =
                HeaderName::from_bytes(name.as_bytes()).map_err(|error| error.to_string())?;
            Ok::<_, String>((name, value))
        });
        Ok(Self {
            client,
            format,
            method: method.map_err(|_| "method: it is not an HTTP method".to_owned())?,
            url: NotifySettings::read_url(receiver.url.expose())?,
            headers: headers.collect::<Result<_, _>>()?,
            lines: lines.collect::<Result<_, _>>()?,
            token: receiver
                .token
                .map(|token| Secret::new(token.expose().trim())),
            room: settings.room.clone(),
        })
    }

    /// The address for a message: what the format puts behind that of the settings is escaped.
    fn address(&self, id: &str) -> String {
        let mut url = self.url.clone();
        if !self.format.path.is_empty()
            && let Ok(mut steps) = url.path_segments_mut()
        {
            let behind = self.format.path.split('/').skip(1);
            steps
                .pop_if_empty()
                .extend(behind.map(|step| self.filled(step, id)));
        }
        url.set_fragment(None);
        url.into()
    }

    fn filled(&self, text: &str, id: &str) -> String {
        let token = self.token.as_ref().map_or("", Secret::expose);
        text.replace("{token}", token)
            .replace("{room}", self.room.as_deref().unwrap_or_default())
            .replace("{id}", id)
    }

    fn request(&self, message: &Message) -> Result<Request<Bytes>, NotifierError> {
        let unfit = |_| NotifierError::Message("the message can't be sent over HTTP".to_owned());
        let mut request = Request::builder()
            .method(self.method.clone())
            .uri(self.address(&message.id))
            .header(header::CONTENT_TYPE, self.format.media_type)
            .body(Bytes::from(message.body.clone()))
            .map_err(unfit)?;
        let headers = request.headers_mut();
        for (name, line) in &self.lines {
            let priority = if message.news.is_over {
                "low"
            } else {
                priority(&message.news.level)
            };
            let value = self
                .filled(line, &message.id)
                .replace("{priority}", priority);
            let value = value.replace("{title}", &in_ascii(&message.title));
            let mut value = HeaderValue::from_str(&value).map_err(|_| {
                NotifierError::Message("the token has characters that no header takes".to_owned())
            })?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        for (name, value) in &self.headers {
            headers.insert(name, value.clone());
        }
        Ok(request)
    }
}

fn secret_header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), String> {
    let unfit = || format!("the header {name} can't be sent");
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| unfit())?;
    let mut value = HeaderValue::from_str(value).map_err(|_| unfit())?;
    value.set_sensitive(true);
    Ok((name, value))
}

/// The word of ntfy's for a level.
///
/// <https://docs.ntfy.sh/publish/#message-priority>
fn priority(level: &str) -> &'static str {
    match level {
        "error" => "high",
        "warning" => "default",
        _ => "low",
    }
}

/// What a header may hold.
fn in_ascii(text: &str) -> String {
    let plain = |c: char| if matches!(c, ' '..='~') { c } else { '?' };
    text.chars().map(plain).collect()
}

#[async_trait(?Send)]
impl Notifier for HttpNotifier {
    async fn send(&self, message: &Message) -> Result<(), NotifierError> {
        let answer = self.client.send_unseen(self.request(message)?).await;
        let answer = answer.map_err(|error| NotifierError::NoAnswer(error.into()))?;
        if answer.status().is_success() {
            return Ok(());
        }
        let wait = answer.headers().get(header::RETRY_AFTER);
        let wait = wait.and_then(|wait| wait.to_str().ok()?.trim().parse().ok());
        Err(NotifierError::Status {
            status: answer.status().as_u16(),
            wait: wait.map(Duration::from_secs),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{observe::News, values::Timestamp};

    fn message() -> Message {
        let at = Timestamp::from_seconds(1_800_000_000);
        Message {
            id: "7-1".to_owned(),
            title: "quaymaster: b\u{fc}cher.example (failed)".to_owned(),
            body: "body".to_owned(),
            news: News {
                event: "failed".to_owned(),
                matter: "m".to_owned(),
                is_over: false,
                level: "error".to_owned(),
                names: Vec::new(),
                text: String::new(),
                at,
                since: at,
                certificate: None,
            },
        }
    }

    fn request(format: &str, url: &str, headers: Option<&str>) -> Request<Bytes> {
        let settings = NotifySettings {
            format: NotifyFormat::parse(format).unwrap(),
            room: Some("!a/b:home.example".to_owned()),
            ..NotifySettings::default()
        };
        let receiver = HttpReceiver {
            settings: &settings,
            url: Secret::new(url),
            headers: headers.map(Secret::new),
            token: Some(Secret::new("12:s3cret\n")),
            root: None,
        };
        let notifier = HttpNotifier::new(receiver, &HttpsProxy::default()).unwrap();
        notifier.request(&message()).unwrap()
    }

    #[test]
    fn each_format_asks_at_its_place_with_its_token() {
        for (format, url, method, expected, token) in [
            (
                "json",
                "https://a.example/hook?x=1",
                "POST",
                "https://a.example/hook?x=1",
                Some("authorization: Bearer 12:s3cret"),
            ),
            (
                "ntfy",
                "https://ntfy.sh/topic",
                "POST",
                "https://ntfy.sh/topic",
                Some("authorization: Bearer 12:s3cret"),
            ),
            (
                "slack",
                "https://hooks.example/T/B/x",
                "POST",
                "https://hooks.example/T/B/x",
                None,
            ),
            (
                "discord",
                "https://discord.example/api",
                "POST",
                "https://discord.example/api",
                None,
            ),
            (
                "matrix",
                "https://home.example/",
                "PUT",
                "https://home.example/_matrix/client/v3/rooms/!a%2Fb:home.example/send/m.room.message/7-1",
                Some("authorization: Bearer 12:s3cret"),
            ),
            (
                "telegram",
                "https://api.telegram.org",
                "POST",
                "https://api.telegram.org/bot12:s3cret/sendMessage",
                None,
            ),
            (
                "gotify",
                "http://gotify/sub/",
                "POST",
                "http://gotify/sub/message",
                Some("x-gotify-key: 12:s3cret"),
            ),
            (
                "alertmanager",
                "http://alertmanager:9093",
                "POST",
                "http://alertmanager:9093/api/v2/alerts",
                None,
            ),
        ] {
            let request = request(format, url, None);
            assert_eq!(
                (request.method().as_str(), request.uri().to_string()),
                (method, expected.to_owned())
            );
            let has = |line: &str| {
                let (name, value) = line.split_once(": ").unwrap();
                request
                    .headers()
                    .get(name)
                    .is_some_and(|found| found == value)
            };
            assert!(token.is_none_or(has), "{format}: {:?}", request.headers());
            assert!(
                !format!("{:?}", request.headers()).contains("s3cret"),
                "it is shown"
            );
        }
    }

    #[test]
    fn headers_of_the_settings_go_before_those_of_the_format_and_a_title_is_plain() {
        let request = request(
            "ntfy",
            "https://ntfy.sh/topic",
            Some("Priority: urgent\nTags: key"),
        );
        let header = |name: &str| {
            request
                .headers()
                .get(name)
                .map(|value| value.to_str().unwrap())
        };
        assert_eq!(header("priority"), Some("urgent"));
        assert_eq!(header("tags"), Some("key"));
        assert_eq!(header("title"), Some("quaymaster: b?cher.example (failed)"));
        assert_eq!(header("content-type"), Some("text/plain; charset=utf-8"));
    }
}
