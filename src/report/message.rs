use std::rc::Rc;

use minijinja::{
    AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior,
    value::{Serde, Value},
};
use serde::Serialize;

use super::chain;
use crate::{
    observe::{News, OwedNews},
    ports::Message,
    values::Timestamp,
};

/// Steps of a template: a message is a page at most.
const FUEL: u64 = 100_000;

/// How long an alert lasts of which nobody tells the end.
const LONGEST: std::time::Duration = std::time::Duration::from_secs(365 * 24 * 60 * 60);

/// How long news of a moment is shown where things are shown as long as they last.
const MOMENT: std::time::Duration = std::time::Duration::from_secs(60 * 60);

/// The name of the one template.
const BODY: &str = "body";

/// What makes messages of news.
#[derive(Clone, Debug)]
pub struct MessageTemplate {
    environment: Rc<Environment<'static>>,
    room: Option<String>,
}

/// What a template of a body sees.
#[derive(Serialize)]
struct MessageView<'n> {
    event: &'n str,
    is_over: bool,
    level: &'n str,
    title: &'n str,
    text: &'n str,
    names: &'n [String],
    at: String,
    since: String,
    ends: String,
    id: &'n str,
    matter: &'n str,
    room: &'n str,
}

impl MessageTemplate {
    /// Reads a template, and tries it. `origin` is what it is called in errors, `room` one of the receiver's.
    ///
    /// # Errors
    /// What is wrong with it, and in which line.
    pub fn new(origin: &str, text: String, room: Option<String>) -> Result<Self, String> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.set_fuel(Some(FUEL));
        environment.add_filter("json", json);
        environment.add_filter("start", start);
        let problem = |error: Error| {
            let line = error
                .line()
                .map_or_else(String::new, |line| format!(", line {line}"));
            format!("{origin}{line}: {}", chain(&error))
        };
        environment
            .add_template_owned(BODY, text)
            .map_err(problem)?;
        let template = Self {
            environment: Rc::new(environment),
            room,
        };
        for is_over in [false, true] {
            let owed = sample(Timestamp::from_seconds(0), is_over);
            template.rendered(&owed, "title", "text").map_err(problem)?;
        }
        Ok(template)
    }

    /// The message of news. `dropped` says how many were left out before it.
    ///
    /// # Errors
    /// What the template can't do with it, in words.
    pub fn message(&self, owed: &OwedNews, dropped: u64) -> Result<Message, String> {
        let title = title(&owed.news);
        let mut text = owed.news.text.clone();
        if dropped > 0 {
            text.push_str(&format!(
                " ({dropped} earlier messages were left out, because too many waited; the log has them)"
            ));
        }
        let body = self.rendered(owed, &title, &text);
        let body = body.map_err(|error| format!("its template fails: {}", chain(&error)))?;
        Ok(Message {
            id: owed.id.clone(),
            title,
            body,
            news: News {
                text,
                ..owed.news.clone()
            },
        })
    }

    fn rendered(&self, owed: &OwedNews, title: &str, text: &str) -> Result<String, Error> {
        let news = &owed.news;
        let ends = match (news.is_over, news.level.as_str()) {
            (true, _) => news.at,
            (false, "info") => news.at + MOMENT,
            (false, _) => news.at + LONGEST,
        };
        let view = MessageView {
            event: &news.event,
            is_over: news.is_over,
            level: &news.level,
            title,
            text,
            names: &news.names,
            at: news.at.to_string(),
            since: news.since.to_string(),
            ends: ends.to_string(),
            id: &owed.id,
            matter: &news.matter,
            room: self.room.as_deref().unwrap_or_default(),
        };
        let body = self.environment.get_template(BODY)?;
        Ok(body.render(Value::from(Serde(view)))?.trim().to_owned())
    }
}

/// News to try things with.
pub fn sample(now: Timestamp, is_over: bool) -> OwedNews {
    let text = "this is a test, sent by `quaymaster notify --test`; nothing is wrong";
    OwedNews {
        id: format!("{}-test", now.millis()),
        news: News {
            event: "test".to_owned(),
            matter: "test".to_owned(),
            is_over,
            level: "info".to_owned(),
            names: vec!["test.example".to_owned()],
            text: text.to_owned(),
            at: now,
            since: now,
            certificate: None,
        },
    }
}

/// A line for what has happened.
fn title(news: &News) -> String {
    const MOST_NAMES: usize = 3;
    let more = news.names.len().saturating_sub(MOST_NAMES);
    let mut names = news
        .names
        .iter()
        .take(MOST_NAMES)
        .cloned()
        .collect::<Vec<_>>()
        .join(", ");
    if more > 0 {
        names.push_str(&format!(" and {more} more"));
    }
    let about = match names.is_empty() {
        true => news.event.clone(),
        false => format!("{names} ({})", news.event),
    };
    match (news.is_over, news.level.as_str()) {
        (true, _) => format!("quaymaster: over: {about}"),
        (false, "info") => format!("quaymaster: {about}"),
        (false, _) => format!("quaymaster: problem: {about}"),
    }
}

/// A value as JSON.
fn json(value: &Value) -> Result<String, Error> {
    serde_json::to_string(value)
        .map_err(|error| Error::new(ErrorKind::BadSerialization, error.to_string()))
}

/// The first characters of a text.
fn start(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::Value as Json;

    use super::*;
    use crate::values::NOTIFY_FORMATS;

    fn owed(is_over: bool) -> OwedNews {
        let mut owed = sample(Timestamp::from_seconds(1_800_000_000), is_over);
        owed.news = News {
            event: "failed".to_owned(),
            level: "error".to_owned(),
            names: vec!["a.example".to_owned()],
            text: "a \"quoted\" <text> & \u{1b}[2J more \\ {{ 7 }} @everyone".to_owned(),
            ..owed.news
        };
        owed
    }

    #[test]
    fn each_ready_template_holds_any_text_as_its_format_wants_it() {
        for format in NOTIFY_FORMATS {
            let room = Some("room".to_owned());
            let template = MessageTemplate::new(format.name, format.template.to_owned(), room);
            let template = template.unwrap();
            for is_over in [false, true] {
                let owed = owed(is_over);
                let body = template.message(&owed, 0).unwrap().body;
                if format.media_type != "application/json" {
                    assert_eq!(body, owed.news.text, "{}", format.name);
                    continue;
                }
                let read: Json =
                    serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}"));
                let texts = read.to_string();
                let is_said = |text: &str| {
                    texts.contains(serde_json::to_string(text).unwrap().trim_matches('"'))
                };
                let escaped = "a \"quoted\" &lt;text&gt; &amp; \u{1b}[2J more \\ {{ 7 }} @everyone";
                let expected = if format.name == "slack" {
                    escaped
                } else {
                    &owed.news.text
                };
                assert!(is_said(expected), "{}: {texts}", format.name);
            }
        }
    }

    #[test]
    fn a_long_text_is_cut_where_a_receiver_would_refuse_it() {
        let mut owed = owed(false);
        owed.news.text = "\u{e4}".repeat(10_000);
        for (name, key, most) in [("discord", "content", 2000), ("telegram", "text", 4096)] {
            let format = NOTIFY_FORMATS
                .iter()
                .find(|format| format.name == name)
                .unwrap();
            let template = MessageTemplate::new(name, format.template.to_owned(), None).unwrap();
            let read: Json =
                serde_json::from_str(&template.message(&owed, 0).unwrap().body).unwrap();
            let length = read[key].as_str().unwrap().chars().count();
            assert!(length <= most && length > most / 2, "{name}: {length}");
        }
    }

    #[test]
    fn an_alert_lasts_until_its_end_is_told() {
        let format = NOTIFY_FORMATS
            .iter()
            .find(|format| format.name == "alertmanager")
            .unwrap();
        let template = MessageTemplate::new("x", format.template.to_owned(), None).unwrap();
        let alert = |is_over| {
            let body = template.message(&owed(is_over), 0).unwrap().body;
            serde_json::from_str::<Json>(&body).unwrap()[0].clone()
        };
        let (begun, over) = (alert(false), alert(true));
        assert_eq!(begun["labels"], over["labels"]);
        assert_eq!(begun["labels"]["severity"], "critical");
        assert!(begun["endsAt"].as_str() > over["endsAt"].as_str());
    }

    #[test]
    fn a_title_says_whose_and_whether_and_what_was_left_out_is_told() {
        let template =
            MessageTemplate::new("x", "{{ title }}|{{ text }}".to_owned(), None).unwrap();
        let said = |owed: &OwedNews, dropped| template.message(owed, dropped).unwrap().body;
        assert!(said(&owed(false), 0).starts_with("quaymaster: problem: a.example (failed)|"));
        assert!(said(&owed(true), 2).starts_with("quaymaster: over: a.example (failed)|"));
        assert!(said(&owed(true), 2).contains("(2 earlier messages were left out"));
        let mut many = owed(false);
        many.news.names = ["a", "b", "c", "d", "e"].map(str::to_owned).into();
        assert!(said(&many, 0).starts_with("quaymaster: problem: a, b, c and 2 more (failed)|"));
    }

    #[test]
    fn a_template_that_can_t_be_used_is_told_with_its_line_before_anything_is_sent() {
        for (text, expected) in [
            ("ok\n{{ text", "/t.json, line 2: syntax error"),
            ("ok\n\n{{ txet }}", "/t.json, line 3: undefined value"),
            ("{{ text|jsn }}", "/t.json, line 1: unknown filter"),
            (
                "{% for i in range(9999) %}{% for j in range(9999) %}{% endfor %}{% endfor %}",
                "/t.json, line 1",
            ),
        ] {
            let told = MessageTemplate::new("/t.json", text.to_owned(), None).unwrap_err();
            assert!(told.starts_with(expected), "{told}");
        }
    }
}
