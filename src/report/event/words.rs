//! Words that need more than a format string.

use std::{collections::BTreeSet, fmt, time::Duration};

use itertools::Itertools;
use serde::Serializer;

use crate::{
    observe::{PartName, Subject},
    values::{ContainerName, EngineName, Timestamp},
};

/// Where the program works.
pub(super) fn place(own: Option<&ContainerName>) -> String {
    own.map_or_else(
        || "on the host".to_owned(),
        |own| format!("in container {own}"),
    )
}

/// An engine, at the beginning of a sentence.
pub(super) fn the_engine(name: Option<&EngineName>) -> String {
    name.map_or_else(
        || "the Docker engine".to_owned(),
        |name| format!("the Docker engine {name}"),
    )
}

/// The words before a problem of an engine, where there are several.
pub(super) fn of_engine(name: Option<&EngineName>) -> String {
    name.map_or_else(String::new, |name| format!("engine {name}: "))
}

/// Where a CA says why it wants a renewal.
pub(super) fn said_why(explanation: Option<&str>) -> String {
    explanation.map_or_else(String::new, |url| format!("; it says why at {url}"))
}

/// The words after the place where `render` wrote a file that stays.
pub(super) fn rendered(is_checked: bool) -> &'static str {
    match is_checked {
        true => ": the new file passed its check and stays",
        false => " is written",
    }
}

/// The fate of files that a consumer refuses.
pub(super) fn refused(parts: &BTreeSet<PartName>, reason: &str, excuse: Option<&str>) -> String {
    let all = listed(parts);
    match (excuse, parts.len()) {
        (Some(excuse), _) => format!("{excuse}; {all} is left out, and you need not do anything"),
        (None, 1) => format!("refuses {all}, which is held back until it changes: {reason}"),
        (None, count) => {
            format!("refuses at least one of {count} changes; trying halves of them to find which")
        }
    }
}

/// When what failed is tried again.
pub(super) fn next_try(again: Option<Timestamp>) -> String {
    again.map_or_else(
        || "tried again when the labels or settings change".to_owned(),
        |again| format!("next try not before {again}"),
    )
}

/// Until when there is a certificate all the same.
pub(super) fn still_held(until: Option<Timestamp>) -> String {
    until.map_or_else(String::new, |until| {
        format!("the certificate before it is valid until {until}; ")
    })
}

/// The words about a change of the time of day.
pub(super) fn clock_set(by: Duration, ahead: bool) -> String {
    let by = humantime::format_duration(Duration::from_secs(by.as_secs()));
    match ahead {
        true => format!("the clock of this machine was set ahead by {by}, or the machine slept"),
        false => format!("the clock of this machine was set back by {by}"),
    }
}

/// Which templates are in use.
pub(super) fn templates_taken(names: &BTreeSet<String>) -> String {
    match names.is_empty() {
        true => "the built-in templates are in use".to_owned(),
        false => format!(
            "templates in use in addition to the built-in ones: {}",
            listed(names)
        ),
    }
}

pub(super) fn listed(items: impl IntoIterator<Item: fmt::Display>) -> String {
    items.into_iter().join(", ")
}

pub(crate) fn named(subject: &Subject) -> &str {
    match subject {
        Subject::Certificate(name) | Subject::Fallback(name) => name.as_str(),
        Subject::Consumer(name) => name.as_str(),
    }
}

/// Writes a length of time as seconds.
pub(super) fn seconds<S: Serializer>(length: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(length.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;
    use crate::{
        ports::Remark,
        report::{EngineReport, Event, TemplateEvent},
        values::FileName,
    };

    #[test]
    fn each_event_has_a_name_of_its_own() {
        let mut seen = BTreeSet::new();
        for name in Event::NAMES
            .iter()
            .chain(Remark::NAMES)
            .chain(EngineReport::NAMES)
            .chain(TemplateEvent::NAMES)
        {
            let is_word =
                |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase());
            assert!(name.split('-').all(is_word), "{name}");
            assert!(seen.insert(name), "{name} is the name of two events");
        }
    }

    #[test]
    fn an_event_is_serialized_as_its_fields() {
        let fields = |event: &Event| serde_json::to_string(event).expect("it is plain data");
        let lost = Event::Engine(EngineReport::Lost {
            engine: None,
            problem: "it is gone".to_owned(),
            again_in: Duration::from_millis(800),
        });
        assert_eq!(fields(&lost), r#"{"problem":"it is gone","again_in":0.8}"#);
        let elsewhere = Event::Engine(EngineReport::Seen {
            engine: EngineName::parse("blue").ok(),
            containers: 2,
        });
        let words = "the Docker engine blue answers; 2 containers have labels for quaymaster";
        assert_eq!(elsewhere.to_string(), words);
        assert_eq!(fields(&elsewhere), r#"{"engine":"blue","containers":2}"#);
        assert_eq!(fields(&Event::Ended {}), "{}");
    }

    #[test]
    fn what_an_adapter_met_is_an_event_like_any_other() {
        let event = Event::Met(Remark::AccountDamaged {
            directory: "https://ca.example".to_owned(),
            problem: "it is empty".to_owned(),
            kept: "/state/account.json.damaged".into(),
        });
        let name_and_level = (event.name(), event.level());
        assert_eq!(name_and_level, ("account-damaged", Level::WARN));
        let words = event.to_string();
        assert!(
            words.contains("(it is empty) and was renamed to /state/account.json.damaged"),
            "{words}"
        );
        assert_eq!(
            serde_json::to_value(&event).expect("it is plain data"),
            serde_json::json!({
                "directory": "https://ca.example",
                "problem": "it is empty",
                "kept": "/state/account.json.damaged",
            })
        );
    }

    #[test]
    fn a_renewal_that_fails_says_until_when_there_is_a_certificate_all_the_same() {
        use crate::values::CertificateName;

        let told = |held_until| {
            let shop = CertificateName::parse("shop.example").expect("a name");
            let failed = Event::Failed {
                subject: Subject::Certificate(shop),
                problem: "no".to_owned(),
                again: None,
                held_until,
            };
            failed.to_string()
        };
        let rest = "tried again when the labels or settings change";
        assert_eq!(told(None), format!("shop.example: no; {rest}"));
        let end = Timestamp::from_seconds(1_800_000_000);
        assert_eq!(
            told(Some(end)),
            format!(
                "shop.example: no; the certificate before it is valid until 2027-01-15T08:00:00Z; {rest}"
            )
        );
    }

    #[test]
    fn a_server_that_does_not_run_is_told_with_the_command_that_says_why() {
        let consumer = ContainerName::parse("edge").expect("a name");
        let told = Event::ConsumerStopped { consumer }.to_string();
        for command in ["`docker start edge`", "`docker logs edge`"] {
            assert!(told.contains(command), "{told}");
        }
    }

    #[test]
    fn a_default_server_of_the_proxys_own_is_no_trouble() {
        let consumer = ContainerName::parse("edge").expect("a name");
        let file = FileName::parse("quaymaster--unknown-http.conf").expect("a name");
        let parts = [PartName::File(file)].into();
        let reason = "no".to_owned();
        let taken_back = Event::TakenBack {
            consumer: consumer.clone(),
            reason: reason.clone(),
            is_optional: true,
        };
        assert_eq!(taken_back.level(), Level::DEBUG);
        let refused = Event::Refused {
            consumer,
            parts,
            reason,
            excuse: Some("has a default server of its own, which stays"),
        };
        assert_eq!(refused.level(), Level::INFO);
        assert_eq!(
            refused.to_string(),
            "edge: has a default server of its own, which stays; quaymaster--unknown-http.conf is left out, and you \
             need not do anything"
        );
    }
}
