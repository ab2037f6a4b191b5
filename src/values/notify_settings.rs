use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use thiserror::Error;
use url::{Host as UrlHost, Url};

use super::{NewsChoice, Secret, nearest};

/// A form in which news is sent: a row of the table of formats.
#[derive(Debug, PartialEq, Eq)]
pub struct NotifyFormat {
    /// Its word.
    pub name: &'static str,
    /// The HTTP method.
    pub method: &'static str,
    /// What comes behind the URL of the settings; `{token}`, `{room}` and `{id}` stand for these.
    pub path: &'static str,
    /// Header lines; `{token}` stands for that.
    pub headers: &'static [&'static str],
    /// Header lines that are sent where there is a token.
    pub token_headers: &'static [&'static str],
    /// The media type of the body.
    pub media_type: &'static str,
    /// The body's template.
    pub template: &'static str,
    /// The fields that a table must have beside those of all.
    pub needs: &'static [&'static str],
    /// The URL where the table has none.
    pub url: Option<&'static str>,
    /// What it is for, for people.
    pub doc: &'static str,
}

const JSON: &str = "application/json";

/// Every form.
pub const NOTIFY_FORMATS: &[NotifyFormat] = &[
    NotifyFormat {
        name: "json",
        method: "POST",
        path: "",
        headers: &[],
        token_headers: &["Authorization: Bearer {token}"],
        media_type: JSON,
        template: include_str!("../../templates/notify/json.json"),
        needs: &[],
        url: None,
        doc: "a JSON object for a program of your own: event, is_over, level, title, text, names, at, since, id",
    },
    NotifyFormat {
        name: "ntfy",
        method: "POST",
        path: "",
        headers: &["Title: {title}", "Priority: {priority}"],
        token_headers: &["Authorization: Bearer {token}"],
        media_type: "text/plain; charset=utf-8",
        template: include_str!("../../templates/notify/ntfy.txt"),
        needs: &[],
        url: None,
        doc: "ntfy: `url` is that of the topic, such as `https://ntfy.sh/TOPIC`",
    },
    NotifyFormat {
        name: "slack",
        method: "POST",
        path: "",
        headers: &[],
        token_headers: &[],
        media_type: JSON,
        template: include_str!("../../templates/notify/slack.json"),
        needs: &[],
        url: None,
        doc: "an incoming webhook of Slack, Mattermost or Rocket.Chat; its URL is a secret, so `url-file` is better",
    },
    NotifyFormat {
        name: "matrix",
        method: "PUT",
        path: "/_matrix/client/v3/rooms/{room}/send/m.room.message/{id}",
        headers: &[],
        token_headers: &["Authorization: Bearer {token}"],
        media_type: JSON,
        template: include_str!("../../templates/notify/matrix.json"),
        needs: &["room", "token"],
        url: None,
        doc: "a room of Matrix that is not encrypted: `url` is the home server's, `room` the room's internal id \
              `!…:…`, `token` that of an account in the room. Nothing is shown twice there",
    },
    NotifyFormat {
        name: "telegram",
        method: "POST",
        path: "/bot{token}/sendMessage",
        headers: &[],
        token_headers: &[],
        media_type: JSON,
        template: include_str!("../../templates/notify/telegram.json"),
        needs: &["room", "token"],
        url: Some("https://api.telegram.org"),
        doc: "a bot of Telegram: `token` is the bot's, `room` the id of the chat",
    },
    NotifyFormat {
        name: "gotify",
        method: "POST",
        path: "/message",
        headers: &[],
        token_headers: &["X-Gotify-Key: {token}"],
        media_type: JSON,
        template: include_str!("../../templates/notify/gotify.json"),
        needs: &["token"],
        url: None,
        doc: "gotify: `url` is the server's, `token` that of an application",
    },
    NotifyFormat {
        name: "discord",
        method: "POST",
        path: "",
        headers: &[],
        token_headers: &[],
        media_type: JSON,
        template: include_str!("../../templates/notify/discord.json"),
        needs: &[],
        url: None,
        doc: "a webhook of Discord; its URL is a secret, so `url-file` is better",
    },
    NotifyFormat {
        name: "alertmanager",
        method: "POST",
        path: "/api/v2/alerts",
        headers: &[],
        token_headers: &["Authorization: Bearer {token}"],
        media_type: JSON,
        template: include_str!("../../templates/notify/alertmanager.json"),
        needs: &[],
        url: None,
        doc: "Alertmanager of Prometheus: an alert that ends when the trouble does, a year later at the latest",
    },
];

impl NotifyFormat {
    /// The form with this word.
    ///
    /// # Errors
    /// When there is none, naming the nearest.
    pub fn parse(word: &str) -> Result<&'static Self, String> {
        let names = || NOTIFY_FORMATS.iter().map(|row| row.name);
        let found = NOTIFY_FORMATS.iter().find(|row| row.name == word);
        found.ok_or_else(|| {
            let meant = nearest(word, names()).map(|name| format!("; did you mean {name}?"));
            let all = || format!("; write one of {}", names().collect::<Vec<_>>().join(", "));
            format!("there is no such format{}", meant.unwrap_or_else(all))
        })
    }
}

/// What the settings say about one place that news is sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotifySettings {
    /// Where it is sent to. The address of many webhooks is a secret.
    pub url: Option<Secret>,
    /// A file with that address.
    pub url_file: Option<PathBuf>,
    /// Words that are run in place of it.
    pub command: Option<Vec<String>>,
    /// The form.
    pub format: &'static NotifyFormat,
    /// A file with a template for the body.
    pub template: Option<PathBuf>,
    /// The HTTP method, where it is not that of the format.
    pub method: Option<String>,
    /// Header lines.
    pub headers: Option<Secret>,
    /// A file with header lines.
    pub headers_file: Option<PathBuf>,
    /// What the receiver knows us by.
    pub token: Option<Secret>,
    /// A file with that.
    pub token_file: Option<PathBuf>,
    /// A room or chat.
    pub room: Option<String>,
    /// A file with roots that are trusted besides the usual ones.
    pub root: Option<PathBuf>,
    /// What is sent.
    pub events: NewsChoice,
    /// Names that it has to be about; empty where it may be about anything.
    pub names: Vec<String>,
    /// How long trouble has to last before it is sent.
    pub after: Duration,
}

impl Default for NotifySettings {
    fn default() -> Self {
        Self {
            url: None,
            url_file: None,
            command: None,
            format: &NOTIFY_FORMATS[0],
            template: None,
            method: None,
            headers: None,
            headers_file: None,
            token: None,
            token_file: None,
            room: None,
            root: None,
            events: NewsChoice::default(),
            names: Vec::new(),
            after: Self::AFTER,
        }
    }
}

/// The longest name of a table: it becomes the name of a file.
const LONGEST_NAME: usize = 64;

/// The fields that mean something where a command is run.
const OF_COMMAND: &[&str] = &["command", "events", "names", "after"];

impl NotifySettings {
    /// How long trouble lasts at least where nothing is said: a server that is made anew is away for seconds, and many a
    /// failure is over with the second try.
    pub const AFTER: Duration = Duration::from_secs(60);

    /// Whether news about these names is wanted: any where no names are set; else one has to be among them, or below one
    /// that begins with `*.`.
    pub fn is_about(&self, names: &[String]) -> bool {
        let fits = |name: &String| {
            self.names
                .iter()
                .any(|wanted| match wanted.strip_prefix('*') {
                    Some(ending) => name.ends_with(ending),
                    None => name == wanted,
                })
        };
        self.names.is_empty() || names.iter().any(fits)
    }

    /// Reads a URL that news may be sent to: https, or http to what is near: this machine, an address of a private network,
    /// or a name without a dot, as containers have among each other.
    ///
    /// # Errors
    /// When it is none, in words that do not repeat it.
    pub fn read_url(text: &str) -> Result<Url, String> {
        let url = Url::parse(text.trim()).map_err(|_| {
            "the url is not a URL; write the whole URL, such as https://ntfy.example/alerts"
                .to_owned()
        })?;
        match url.scheme() {
            "https" => {}
            "http" if is_near(&url) => {}
            "http" => {
                return Err(
                    "the url begins with http://, and what is sent could be read on its way; write https://, or the address \
                     or the name without a dot of something in your own network"
                        .to_owned(),
                );
            }
            _ => return Err("the url must begin with https://".to_owned()),
        }
        match url.username().is_empty() && url.password().is_none() {
            true => Ok(url),
            false => Err(
                "the url has a name or a password before its host; write them into headers-file as a line \
                 `Authorization: Basic …`"
                    .to_owned(),
            ),
        }
    }

    /// The header lines of a text, one a line, as name and value.
    ///
    /// # Errors
    /// When a line is none, by its number: its text may be a secret.
    pub fn read_headers(text: &str) -> Result<Vec<(String, String)>, String> {
        let lines = text.lines().enumerate();
        let filled = lines.filter(|(_, line)| !line.trim().is_empty());
        let read = filled.map(|(index, line)| {
            let parts = line.split_once(':').map(|(name, value)| (name.trim(), value.trim()));
            let is_name = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
            match parts {
                Some((name, value))
                    if !name.is_empty()
                        && name.chars().all(is_name)
                        && value.chars().all(|c| matches!(c, ' '..='~')) =>
                {
                    Ok((name.to_owned(), value.to_owned()))
                }
                _ => Err(format!(
                    "line {} of the headers is not a header; write one header a line, such as X-Key: value, in ASCII",
                    index + 1
                )),
            }
        });
        read.collect()
    }
}

/// Whether a URL leads to this machine or a private network.
fn is_near(url: &Url) -> bool {
    match url.host() {
        Some(UrlHost::Ipv4(ip)) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        Some(UrlHost::Ipv6(ip)) => {
            ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local()
        }
        Some(UrlHost::Domain(name)) => !name.contains('.') || name.ends_with(".localhost"),
        None => false,
    }
}

/// The tables `[notify.NAME]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NotifyTable(BTreeMap<String, NotifySettings>);

/// A table by which nothing can be sent.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("[notify.{name}]: {problem}")]
pub struct NotifyTableError {
    name: String,
    problem: String,
}

impl NotifyTableError {
    /// What is wrong with the table of this name, and what to write.
    pub fn new(name: &str, problem: impl Into<String>) -> Self {
        Self {
            name: name.to_owned(),
            problem: problem.into(),
        }
    }
}

impl NotifyTable {
    /// Adds a table with these fields.
    ///
    /// # Errors
    /// When its name is none, when a field is missing, or two do not go together.
    pub fn add(
        &mut self,
        name: &str,
        settings: NotifySettings,
        fields: &[&str],
    ) -> Result<(), NotifyTableError> {
        let problem = name_problem(name).or_else(|| problem(&settings, fields));
        match problem {
            Some(problem) => Err(NotifyTableError::new(name, problem)),
            None => {
                self.0.insert(name.to_owned(), settings);
                Ok(())
            }
        }
    }

    /// All tables, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &NotifySettings)> {
        self.0
            .iter()
            .map(|(name, settings)| (name.as_str(), settings))
    }

    /// The table of this name.
    ///
    /// # Errors
    /// When there is none, naming the nearest.
    pub fn named(&self, name: &str) -> Result<&NotifySettings, String> {
        self.0.get(name).ok_or_else(|| {
            let meant = nearest(name, self.0.keys().map(String::as_str));
            let meant = meant.map(|name| format!("; did you mean {name}?"));
            format!(
                "there is no table [notify.{name}]{}",
                meant.unwrap_or_default()
            )
        })
    }
}

fn name_problem(name: &str) -> Option<String> {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let is_name = !name.is_empty() && name.len() <= LONGEST_NAME && name.chars().all(is_plain);
    (!is_name).then(|| {
        format!("its name must have lower-case letters, digits and hyphens alone, and at most {LONGEST_NAME}")
    })
}

/// What is wrong with a table of these fields.
fn problem(settings: &NotifySettings, fields: &[&str]) -> Option<String> {
    let has = |field: &str| fields.contains(&field);
    let twice = ["url", "headers", "token"].into_iter().find(|field| {
        let in_file = format!("{field}-file");
        has(field) && has(&in_file)
    });
    if let Some(field) = twice {
        return Some(format!(
            "it has {field} and {field}-file; keep one of the two"
        ));
    }
    if settings.command.is_some() {
        let strange = fields.iter().find(|field| !OF_COMMAND.contains(field))?;
        return Some(format!(
            "a command has no use for {strange}; remove one of the two"
        ));
    }
    let format = settings.format;
    if !has("url") && !has("url-file") && format.url.is_none() {
        return Some("it does not say where to send to; write url, url-file or command".to_owned());
    }
    let missing = format.needs.iter().find(|field| {
        let in_file = format!("{field}-file");
        !has(field) && !has(&in_file)
    });
    if let Some(field) = missing {
        return Some(format!(
            "format {} needs {field}, and it is missing",
            format.name
        ));
    }
    let uses_token = !format.token_headers.is_empty() || format.path.contains("{token}");
    if !uses_token && (has("token") || has("token-file")) {
        return Some(format!(
            "format {} has no use for a token; remove it",
            format.name
        ));
    }
    if has("room") && !format.needs.contains(&"room") {
        return Some(format!(
            "format {} has no use for room; remove it",
            format.name
        ));
    }
    let url = settings
        .url
        .as_ref()
        .map(|url| NotifySettings::read_url(url.expose()));
    let headers = settings
        .headers
        .as_ref()
        .map(|lines| NotifySettings::read_headers(lines.expose()));
    let url = url.and_then(Result::err);
    url.or_else(|| headers.and_then(Result::err))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_https_or_leads_to_what_is_near() {
        for (url, is_taken) in [
            ("https://ntfy.sh/topic", true),
            ("https://192.0.2.1/", true),
            ("http://127.0.0.1:9093", true),
            ("http://[::1]/", true),
            ("http://10.1.2.3/", true),
            ("http://192.168.0.9/x", true),
            ("http://[fd00::1]/", true),
            ("http://alertmanager:9093", true),
            ("http://a.localhost/", true),
            ("http://ntfy.sh/topic", false),
            ("http://192.0.2.1/", false),
            ("http://8.8.8.8/", false),
            ("http://[2001:db8::1]/", false),
            ("https://me:secret@ntfy.sh/topic", false),
            ("ftp://127.0.0.1/", false),
            ("ntfy.sh/topic", false),
        ] {
            let read = NotifySettings::read_url(url);
            assert_eq!(read.is_ok(), is_taken, "{url}");
            if let Err(problem) = read {
                assert!(
                    !problem.contains("secret") && !problem.contains("topic"),
                    "{problem}"
                );
            }
        }
    }

    #[test]
    fn headers_are_read_line_by_line_and_one_that_is_none_is_told_by_its_number() {
        let read = NotifySettings::read_headers("X-Key: a b:c\n\nAuthorization:Basic x=\n");
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            read,
            Ok(vec![
                pair("X-Key", "a b:c"),
                pair("Authorization", "Basic x=")
            ])
        );
        for wrong in [
            "X: 1\ns3cret",
            "X: 1\nA b: s3cret",
            "X: 1\nA: s3cr\u{e9}t",
            "X: 1\n: s3cret",
        ] {
            let told = NotifySettings::read_headers(wrong).unwrap_err();
            assert!(
                told.starts_with("line 2 of the headers") && !told.contains("s3c"),
                "{told}"
            );
        }
    }

    #[test]
    fn news_is_chosen_by_the_names_that_it_is_about() {
        let of = |names: &[&str]| NotifySettings {
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            ..NotifySettings::default()
        };
        let about = |names: &[&str]| {
            names
                .iter()
                .map(|name| (*name).to_owned())
                .collect::<Vec<_>>()
        };
        assert!(of(&[]).is_about(&[]));
        let chosen = of(&["shop.example", "*.corp.example"]);
        assert!(chosen.is_about(&about(&["x", "shop.example"])));
        assert!(chosen.is_about(&about(&["a.b.corp.example"])));
        assert!(!chosen.is_about(&about(&["corp.example", "myshop.example"])));
        assert!(!chosen.is_about(&[]));
    }
}
