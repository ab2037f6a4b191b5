//! What events are called, how much they matter, and how they read in a log.

use std::fmt;

use itertools::Itertools;
use tracing::Level;

use super::{Event, OrderStage};
use crate::observe::Subject;

impl fmt::Display for OrderStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Order => "the CA is asked for an order",
            Self::Look => "the responses are published and looked at",
            Self::Validate => "the CA validates",
            Self::Finalize => "the CA issues the certificate",
        })
    }
}

impl Event {
    /// Its unchanging name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Started { .. } => "started",
            Self::StandingBy => "standing-by",
            Self::EngineSeen { .. } => "engine-seen",
            Self::EngineLost { .. } => "engine-lost",
            Self::Missed { .. } => "missed",
            Self::ContainerUnreadable { .. } => "container-unreadable",
            Self::SiteSeen { .. } => "site-seen",
            Self::SiteKept { .. } => "site-kept",
            Self::Waits { .. } => "waits",
            Self::SiteGone { .. } => "site-gone",
            Self::ConsumerStopped { .. } => "consumer-stopped",
            Self::ConsumerRuns { .. } => "consumer-runs",
            Self::Complained(_) => "complaint",
            Self::ComplaintOver(_) => "complaint-over",
            Self::Step { .. } => "step",
            Self::StepsOver { .. } => "steps-over",
            Self::Ordering { .. } => "ordering",
            Self::Obtained { .. } => "obtained",
            Self::Signalled { .. } => "signalled",
            Self::Ran { .. } => "ran",
            Self::Restarted { .. } => "restarted",
            Self::GateOpened { .. } => "gate-opened",
            Self::OnTrial { .. } => "on-trial",
            Self::Rendered { .. } => "rendered",
            Self::PutBack { .. } => "put-back",
            Self::CutOff { .. } => "cut-off",
            Self::NotTold { .. } => "not-told",
            Self::CheckFailed { .. } => "check-failed",
            Self::NobodyToCheck { .. } => "nobody-to-check",
            Self::NobodyToTell { .. } => "nobody-to-tell",
            Self::Proven { .. } => "proven",
            Self::Unproven { .. } => "unproven",
            Self::TakenBack { .. } => "taken-back",
            Self::Refused { .. } => "refused",
            Self::TemplatesRefused { .. } => "templates-refused",
            Self::Failed { .. } => "failed",
            Self::DiskFault { .. } => "disk-fault",
            Self::Mended { .. } => "mended",
            Self::Noticed(_) => "notice",
            Self::NoticeOver(_) => "notice-over",
            Self::TemplatesTaken { .. } => "templates-taken",
            Self::TemplateBroken { .. } => "template-broken",
            Self::TemplateMended { .. } => "template-mended",
            Self::NameUnknown { .. } => "name-unknown",
            Self::Ended => "ended",
        }
    }

    /// How much it matters.
    pub fn level(&self) -> Level {
        match self {
            Self::Failed { .. }
            | Self::EngineLost { .. }
            | Self::DiskFault { .. }
            | Self::NotTold { .. } => Level::ERROR,
            Self::ConsumerStopped { .. }
            | Self::Complained(_)
            | Self::Mended { .. }
            | Self::Noticed(_)
            | Self::Unproven { .. }
            | Self::Refused { excuse: None, .. }
            | Self::TemplatesRefused { .. }
            | Self::Missed { .. }
            | Self::Waits { .. }
            | Self::ContainerUnreadable { .. }
            | Self::CheckFailed { .. }
            | Self::CutOff { .. }
            | Self::NobodyToCheck { .. }
            | Self::NobodyToTell { .. }
            | Self::TemplateBroken { .. }
            | Self::NameUnknown { .. } => Level::WARN,
            Self::StepsOver { .. }
            | Self::Ordering { .. }
            | Self::TakenBack {
                is_optional: true, ..
            } => Level::DEBUG,
            _ => Level::INFO,
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started {
                own: Some(own),
                certificates,
            } => {
                write!(
                    f,
                    "quaymaster works in container {own}; certificates are in {certificates}"
                )
            }
            Self::Started {
                own: None,
                certificates,
            } => {
                write!(
                    f,
                    "quaymaster works on the host; certificates are in {certificates}"
                )
            }
            Self::Ordering { certificate, stage } => write!(f, "{certificate}: {stage}"),
            Self::StandingBy => {
                f.write_str("another quaymaster works on this state; standing by until it ends")
            }
            Self::EngineSeen { containers } => write!(
                f,
                "the engine is seen; {containers} containers bear our labels"
            ),
            Self::EngineLost { problem, again_in } => {
                write!(
                    f,
                    "{problem}; everything stays as it is, trying again in {again_in:.1?}"
                )
            }
            Self::Missed { containers, until } => write!(
                f,
                "not there since the engine was last seen: {}; what they asked for stays until {until}",
                listed(containers)
            ),
            Self::ContainerUnreadable { problem } | Self::DiskFault { problem } => {
                f.write_str(problem)
            }
            Self::SiteSeen {
                host,
                containers,
                proxy,
            } => {
                write!(
                    f,
                    "{host} is claimed by {} and served by {proxy}",
                    listed(containers)
                )
            }
            Self::SiteKept {
                host,
                containers,
                proxy,
                kept,
            } => {
                write!(
                    f,
                    "{proxy} answers 503 for {host}, since {} {kept}",
                    listed(containers)
                )
            }
            Self::Waits { container, wait } => {
                write!(f, "{container} {wait}; `docker logs {container}` says why")
            }
            Self::SiteGone { host, proxy } => {
                write!(f, "{host} is claimed no longer; {proxy} stops serving it")
            }
            Self::ConsumerStopped { consumer } => {
                write!(
                    f,
                    "{consumer} does not run any more, so that nothing of it is served; `docker logs {consumer}` says why"
                )
            }
            Self::ConsumerRuns { consumer } => write!(f, "{consumer} runs"),
            Self::Complained(complaint) => complaint.fmt(f),
            Self::ComplaintOver(complaint) => write!(f, "no longer so: {complaint}"),
            Self::Step { subject, why, step } => write!(f, "{}: {why}: {step}", named(subject)),
            Self::StepsOver { subject } => write!(f, "{}: these steps are over", named(subject)),
            Self::Obtained { certificate, held } => write!(
                f,
                "{certificate}: certificate obtained from {} for {}, valid until {}",
                held.issuer,
                listed(&held.names),
                held.not_after
            ),
            Self::Signalled { consumer, signal } => {
                write!(f, "{consumer}: told by SIG{signal} to read its files again")
            }
            Self::Ran { consumer, words } => {
                write!(f, "{consumer}: told by `{words}` to read its files again")
            }
            Self::Restarted { consumer } => {
                write!(f, "{consumer}: restarted, so that it reads its files again")
            }
            Self::GateOpened { consumer } => {
                write!(
                    f,
                    "{consumer}: the addresses in its files are right, and requests go by them"
                )
            }
            Self::OnTrial { target } => {
                write!(f, "{target}: what is new is in place, and is checked now")
            }
            Self::Rendered {
                target,
                is_checked: true,
            } => write!(f, "{target}: what is new is found good, and stays"),
            Self::Rendered {
                target,
                is_checked: false,
            } => write!(f, "{target} is written"),
            Self::PutBack { target } => write!(f, "{target}: what was there before is back"),
            Self::CutOff { target } => write!(
                f,
                "{target}: what was there before is back, because quaymaster was ended before all was checked and told"
            ),
            Self::NotTold { consumer, problem } => {
                write!(f, "{consumer}: not told that its files changed: {problem}")
            }
            Self::CheckFailed { consumer, problem } => {
                write!(
                    f,
                    "{consumer}: {problem}; what is new is taken back, and nobody is told"
                )
            }
            Self::NobodyToCheck { target } => {
                write!(
                    f,
                    "{target}: no container that runs has this name, id or service; what is new goes unchecked"
                )
            }
            Self::NobodyToTell { target } => {
                write!(
                    f,
                    "{target}: no container that runs has this name, id or service; nobody is told"
                )
            }
            Self::Proven {
                consumer,
                generation,
            } => {
                write!(
                    f,
                    "{consumer}: generation {generation} and its certificates seen on a new connection"
                )
            }
            Self::Unproven { consumer, reason } => write!(f, "{consumer}: not proven: {reason}"),
            Self::TakenBack {
                consumer, reason, ..
            } => {
                write!(f, "{consumer}: what was there before is back: {reason}")
            }
            Self::Refused {
                consumer,
                parts,
                excuse: Some(excuse),
                ..
            } => write!(
                f,
                "{consumer}: {excuse}; {} is left out, and nothing is to be done",
                listed(parts)
            ),
            Self::Refused {
                consumer,
                parts,
                reason,
                ..
            } if parts.len() == 1 => {
                write!(
                    f,
                    "{consumer}: refuses {}, which is held back until it changes: {reason}",
                    listed(parts)
                )
            }
            Self::Refused {
                consumer, parts, ..
            } => {
                write!(
                    f,
                    "{consumer}: refuses one or more of {} files, tried by halves now",
                    parts.len()
                )
            }
            Self::TemplatesRefused {
                consumer,
                reason,
                is_all: true,
            } => {
                write!(
                    f,
                    "{consumer}: refuses the new templates, which are held back until they change: {reason}"
                )
            }
            Self::TemplatesRefused {
                consumer,
                reason,
                is_all: false,
            } => write!(
                f,
                "{consumer}: refuses what is made with the new templates; a site alone shows whether it is these: {reason}"
            ),
            Self::Failed {
                subject,
                problem,
                again: Some(again),
            } => {
                write!(
                    f,
                    "{}: {problem}; next try not before {again}",
                    named(subject)
                )
            }
            Self::Failed {
                subject,
                problem,
                again: None,
            } => {
                write!(
                    f,
                    "{}: {problem}; tried again when what is asked for changes",
                    named(subject)
                )
            }
            Self::Mended {
                certificate,
                problem,
            } => {
                write!(
                    f,
                    "{certificate}: mended from its copy in state, with a new version in the archive: {problem}"
                )
            }
            Self::Noticed(notice) => notice.fmt(f),
            Self::NoticeOver(notice) => write!(f, "no longer so: {notice}"),
            Self::TemplatesTaken { names } if names.is_empty() => {
                f.write_str("the built-in templates are in use")
            }
            Self::TemplatesTaken { names } => {
                write!(
                    f,
                    "templates in use besides the built-in ones: {}",
                    listed(names)
                )
            }
            Self::TemplateBroken { problem } | Self::NameUnknown { problem } => {
                f.write_str(problem)
            }
            Self::TemplateMended { problem } => write!(f, "no longer so: {problem}"),
            Self::Ended => f.write_str("quaymaster ends"),
        }
    }
}

fn listed(items: impl IntoIterator<Item: fmt::Display>) -> String {
    items.into_iter().join(", ")
}

pub(crate) fn named(subject: &Subject) -> &str {
    match subject {
        Subject::Certificate(name) => name.as_str(),
        Subject::Consumer(name) => name.as_str(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::{ContainerName, FileName};

    #[test]
    fn a_default_server_of_the_proxys_own_is_no_trouble() {
        let consumer = ContainerName::parse("edge").expect("a name");
        let parts = [FileName::parse("quaymaster--unknown-http.conf").expect("a name")].into();
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
            "edge: has a default server of its own, which stays; quaymaster--unknown-http.conf is left out, and nothing is \
             to be done"
        );
    }
}
