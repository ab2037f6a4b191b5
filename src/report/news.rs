//! Events as news: what each is about, so that its end is known as such, and whose names it concerns.

use std::collections::BTreeSet;

use tracing::Level;

use super::{EngineReport, Event, TemplateEvent};
use crate::{
    desire::Complaint,
    observe::{Happening, HeldCertificate, HistoryEntry, News, Subject},
    plan::Notice,
    ports::Remark,
    values::{CertificateName, ContainerName, Digest, EngineName, NewsEvent, Timestamp},
};

/// What a complaint is about.
pub fn of_complaint(complaint: &Complaint) -> String {
    matter("complaint", &complaint.to_string())
}

/// What a notice is about.
pub fn of_notice(notice: &Notice) -> String {
    matter("notice", &notice.to_string())
}

/// What a failure is about.
pub fn of_failure(subject: &Subject) -> String {
    let kind = match subject {
        Subject::Certificate(_) => "certificate",
        Subject::Fallback(_) => "fallback",
        Subject::Consumer(_) => "consumer",
    };
    matter("failed", &format!("{kind} {}", super::named(subject)))
}

/// What a fault on disk is about.
pub fn of_fault(problem: &str) -> String {
    matter("disk-fault", problem)
}

/// What a template that can't be used is about.
pub fn of_template(problem: &str) -> String {
    matter("template-broken", problem)
}

/// What a consumer that does not run is about.
pub fn of_stopped(consumer: &ContainerName) -> String {
    matter("consumer-stopped", consumer.as_str())
}

/// What a container that comes and goes is about.
pub fn of_waiting(container: &ContainerName) -> String {
    matter("waits", container.as_str())
}

/// What it is about that the engine can't be reached.
pub fn of_engine(engine: Option<&EngineName>) -> String {
    matter("engine-lost", engine.map_or("", EngineName::as_str))
}

/// A word for what an event is about. It is short, and the same in the next process.
fn matter(event: &str, about: &str) -> String {
    format!("{event}-{}", Digest::of(about).short())
}

/// What an event says to those who hear of some; nothing where nobody may want to.
///
/// `own` is the container that we run in, for commands that are to be copied.
pub fn happening(event: &Event, own: Option<&ContainerName>, now: Timestamp) -> Option<Happening> {
    let ended = match event {
        Event::ComplaintOver { complaint } => Some(of_complaint(complaint)),
        Event::NoticeOver { notice } => Some(of_notice(notice)),
        Event::FailureOver { subject } => Some(of_failure(subject)),
        Event::Met(Remark::DiskFaultOver { problem }) => Some(of_fault(problem)),
        Event::Template(TemplateEvent::Mended { problem }) => Some(of_template(problem)),
        Event::ConsumerRuns { consumer } => Some(of_stopped(consumer)),
        Event::WaitsOver { container } => Some(of_waiting(container)),
        Event::Engine(EngineReport::Seen { engine, .. }) => Some(of_engine(engine.as_ref())),
        _ => None,
    };
    if let Some(matter) = ended {
        return Some(Happening::Ends { matter });
    }
    let row = NewsEvent::named(event.name())?;
    let begun = match event {
        Event::Complained { complaint } => of_complaint(complaint),
        Event::Noticed { notice } => of_notice(notice),
        Event::Failed { subject, .. } => of_failure(subject),
        Event::DiskFault { problem } => of_fault(problem),
        Event::Template(TemplateEvent::Broken { problem }) => of_template(problem),
        Event::ConsumerStopped { consumer } => of_stopped(consumer),
        Event::Waits { container, .. } => of_waiting(container),
        Event::Engine(EngineReport::Lost { engine, .. }) => of_engine(engine.as_ref()),
        _ => matter(row.name, &event.to_string()),
    };
    let news = news(event, begun, own, now);
    Some(match row.over {
        Some(_) => Happening::Begins(news),
        None => Happening::Moment(news),
    })
}

fn news(event: &Event, matter: String, own: Option<&ContainerName>, now: Timestamp) -> News {
    let certificate = certificate(event);
    let mut text = shortened(&event.to_string());
    if let (Some(name), true) = (certificate, event.level() <= Level::WARN) {
        let command = match own {
            Some(own) => format!("docker exec {own} /quaymaster explain {name}"),
            None => format!("quaymaster explain {name}"),
        };
        text.push_str(&format!("; `{command}` says more"));
    }
    News {
        event: event.name().to_owned(),
        matter,
        is_over: false,
        level: level(event).to_owned(),
        names: names(event),
        text,
        at: now,
        since: now,
        certificate: certificate.cloned(),
    }
}

/// Characters of a text: what is longer is read by nobody, and refused by many receivers.
const LONGEST_TEXT: usize = 3000;

fn shortened(text: &str) -> String {
    match text.char_indices().nth(LONGEST_TEXT) {
        Some((end, _)) => format!("{}\u{2026}", &text[..end]),
        None => text.to_owned(),
    }
}

fn level(event: &Event) -> &'static str {
    match event.level() {
        Level::ERROR => "error",
        Level::WARN => "warning",
        _ => "info",
    }
}

/// The certificate that an event is about.
fn certificate(event: &Event) -> Option<&CertificateName> {
    match event {
        Event::Obtained { certificate, .. }
        | Event::FellBack { certificate, .. }
        | Event::OtherCa { certificate, .. }
        | Event::Mended { certificate, .. }
        | Event::TakenUp { certificate }
        | Event::Archived { certificate }
        | Event::Restored { certificate }
        | Event::Deleted { certificate } => Some(certificate),
        Event::Noticed { notice } => Some(&notice.certificate),
        Event::Failed { subject, .. } => match subject {
            Subject::Certificate(name) | Subject::Fallback(name) => Some(name),
            Subject::Consumer(_) => None,
        },
        _ => None,
    }
}

/// An event as it is kept to be looked up; nothing where it has no name, or is only for those who look for a mistake.
pub fn kept(event: &Event, now: Timestamp) -> Option<HistoryEntry> {
    let names = names(event);
    (!names.is_empty() && event.level() <= Level::INFO).then(|| HistoryEntry {
        at: now,
        event: event.name().to_owned(),
        level: level(event).to_owned(),
        names,
        text: shortened(&event.to_string()),
    })
}

/// The names of certificates, hosts and containers that an event is about.
fn names(event: &Event) -> Vec<String> {
    let mut names: Vec<_> = certificate(event)
        .map(ToString::to_string)
        .into_iter()
        .collect();
    match event {
        Event::Obtained { held, .. } | Event::FellBack { held, .. } => names.extend(hosts(held)),
        Event::Complained { complaint } => names.push(complaint.origin.bearer.to_string()),
        Event::Failed {
            subject: Subject::Consumer(consumer),
            ..
        }
        | Event::ConsumerStopped { consumer }
        | Event::Refused { consumer, .. }
        | Event::TemplatesRefused { consumer, .. }
        | Event::Unproven { consumer, .. }
        | Event::TakenBack { consumer, .. }
        | Event::Proven { consumer, .. }
        | Event::ConsumerRuns { consumer } => names.push(consumer.to_string()),
        Event::ComplaintOver { complaint } => names.push(complaint.origin.bearer.to_string()),
        Event::NoticeOver { notice } => names.push(notice.certificate.to_string()),
        Event::Step { subject, .. }
        | Event::FailureOver { subject }
        | Event::RecordAwaited { subject, .. } => names.push(super::named(subject).to_owned()),
        Event::RecordLeft { certificate, .. }
        | Event::SelfCheckUnsure { certificate, .. }
        | Event::RenewalSuggested { certificate, .. }
        | Event::ShorterChain { certificate, .. }
        | Event::MoreNames { certificate, .. } => names.push(certificate.to_string()),
        Event::SiteSeen { host, .. }
        | Event::SiteKept { host, .. }
        | Event::SiteGone { host, .. } => names.push(host.to_string()),
        Event::Waits { container, .. } | Event::WaitsOver { container } => {
            names.push(container.to_string());
        }
        _ => {}
    }
    let mut seen = BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
    names
}

fn hosts(held: &HeldCertificate) -> impl Iterator<Item = String> {
    held.names.iter().map(ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{fixtures, observe::Wait, values::NEWS_EVENTS};

    const T: Timestamp = Timestamp::from_seconds(1_800_000_000);

    #[test]
    fn each_event_that_can_be_sent_is_one_that_there_is_and_so_is_its_end() {
        let known: Vec<_> = Event::NAMES
            .iter()
            .chain(Remark::NAMES)
            .chain(EngineReport::NAMES)
            .chain(TemplateEvent::NAMES)
            .collect();
        for row in NEWS_EVENTS {
            assert!(known.contains(&&row.name), "{}", row.name);
            assert!(
                row.over.is_none_or(|over| known.contains(&&over)),
                "{}",
                row.name
            );
        }
    }

    #[test]
    fn what_begins_and_what_ends_it_have_one_word() {
        let certificate = CertificateName::parse("shop.example").unwrap();
        let [edge, shop] = ["edge", "shop"].map(|name| ContainerName::parse(name).unwrap());
        let subject = Subject::Certificate(certificate);
        let pairs = [
            (
                Event::Failed {
                    subject: subject.clone(),
                    problem: "no".to_owned(),
                    again: None,
                    held_until: None,
                },
                Event::FailureOver { subject },
            ),
            (
                Event::ConsumerStopped {
                    consumer: edge.clone(),
                },
                Event::ConsumerRuns { consumer: edge },
            ),
            (
                Event::Waits {
                    container: shop.clone(),
                    wait: Wait {
                        until: None,
                        restarts: 8,
                        returns: 0,
                    },
                },
                Event::WaitsOver { container: shop },
            ),
            (
                Event::DiskFault {
                    problem: "full".to_owned(),
                },
                Event::Met(Remark::DiskFaultOver {
                    problem: "full".to_owned(),
                }),
            ),
            (
                Event::Template(TemplateEvent::Broken {
                    problem: "x".to_owned(),
                }),
                Event::Template(TemplateEvent::Mended {
                    problem: "x".to_owned(),
                }),
            ),
            (
                Event::Engine(EngineReport::Lost {
                    engine: None,
                    problem: "x".to_owned(),
                    again_in: std::time::Duration::ZERO,
                }),
                Event::Engine(EngineReport::Seen {
                    engine: None,
                    containers: 1,
                }),
            ),
        ];
        for (begin, end) in pairs {
            let row = NewsEvent::named(begin.name()).unwrap();
            assert_eq!(row.over, Some(end.name()));
            let Some(Happening::Begins(news)) = happening(&begin, None, T) else {
                panic!("{begin} begins nothing");
            };
            assert_eq!(
                happening(&end, None, T),
                Some(Happening::Ends {
                    matter: news.matter
                })
            );
        }
        assert_eq!(happening(&Event::Ended {}, None, T), None);
    }

    #[test]
    fn news_of_a_certificate_names_its_hosts_and_where_to_read_on() {
        let held = fixtures::held(&["shop.example", "www.shop.example"]);
        let certificate = CertificateName::parse("shop.example").unwrap();
        let Some(Happening::Moment(news)) = happening(
            &Event::Obtained {
                certificate: certificate.clone(),
                held,
            },
            None,
            T,
        ) else {
            panic!("it is news");
        };
        assert_eq!(news.names, ["shop.example", "www.shop.example"]);
        assert_eq!(
            (news.certificate, news.level.as_str()),
            (Some(certificate.clone()), "info")
        );
        let failed = Event::Failed {
            subject: Subject::Certificate(certificate),
            problem: "x".repeat(10_000),
            again: None,
            held_until: None,
        };
        let Some(Happening::Begins(news)) = happening(&failed, None, T) else {
            panic!("it is trouble");
        };
        assert!(
            news.text
                .ends_with("\u{2026}; `quaymaster explain shop.example` says more"),
            "{}",
            news.text
        );
        let own = ContainerName::parse("stack-quaymaster-1").unwrap();
        let Some(Happening::Begins(copied)) = happening(&failed, Some(&own), T) else {
            panic!("it is trouble");
        };
        let command =
            "; `docker exec stack-quaymaster-1 /quaymaster explain shop.example` says more";
        assert!(copied.text.ends_with(command), "{}", copied.text);
        assert_eq!(news.level, "error");
    }
}
