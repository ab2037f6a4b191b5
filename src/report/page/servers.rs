//! Proxies and other servers, and how far each has taken up what it was given.

use std::rc::Rc;

use serde::Serialize;

use super::{Frame, Moment, PageTemplates, at_once, state::Level};
use crate::{
    desire::{Consumer, visible},
    observe::{Installed, Progress, Subject},
    report::{Overview, start_it},
};

/// Parts that are held back and shown for one server.
const MOST_PARTS: usize = 10;

#[derive(Serialize)]
struct View {
    frame: Frame,
    servers: Vec<ServerView>,
}

#[derive(Serialize)]
struct ServerView {
    name: String,
    kind: &'static str,
    level: Level,
    word: &'static str,
    why: String,
    seen: Option<Moment>,
    generation: u64,
    sites: usize,
    uses: usize,
    certificates: usize,
    held_back: Vec<PartView>,
}

#[derive(Serialize)]
struct PartView {
    name: String,
    reason: String,
}

/// The page.
pub(super) fn servers(
    overview: Rc<Overview>,
    templates: PageTemplates,
) -> impl Iterator<Item = Vec<u8>> {
    at_once(move || {
        let consumers = overview.desired.consumers.values();
        let mut servers: Vec<_> = consumers.map(|it| server(&overview, it)).collect();
        servers.sort_by_key(|server| server.level);
        let frame = Frame::of(&overview, "servers", "Servers");
        templates.rendered("servers.html", View { frame, servers })
    })
}

fn server(overview: &Overview, consumer: &Consumer) -> ServerView {
    let installed = overview.observed.installed.get(&consumer.name);
    let installed = installed.cloned().unwrap_or_default();
    let (level, word, why) = state(overview, consumer, &installed);
    let refused = overview.held_back(consumer).take(MOST_PARTS);
    let seen = match installed.progress {
        Progress::Proven { at } => Some(Moment::of(at, overview.now)),
        _ => None,
    };
    ServerView {
        name: consumer.name.to_string(),
        kind: consumer.kind.name,
        level,
        word,
        why: visible(&why),
        seen,
        generation: installed.generation,
        sites: consumer.sites.len(),
        uses: consumer.uses.len(),
        certificates: installed.certificates.len(),
        held_back: refused
            .map(|(name, refused)| PartView {
                name: name.to_string(),
                reason: visible(&refused.reason),
            })
            .collect(),
    }
}

/// The state, in a word and a reason.
fn state(
    overview: &Overview,
    consumer: &Consumer,
    installed: &Installed,
) -> (Level, &'static str, String) {
    let name = &consumer.name;
    if !consumer.running {
        let why = start_it(name, &overview.snapshot);
        return (Level::Bad, "does not run", why);
    }
    if consumer.helper.is_some() {
        return (Level::Ok, "obtains certificates", String::new());
    }
    let subject = Subject::Consumer(name.clone());
    if overview.observed.under_way.contains(&subject) {
        return (Level::Wait, "being updated", String::new());
    }
    let failure = overview.failure(&subject);
    if let Some(problem) = failure.and_then(|attempt| attempt.problem.clone()) {
        return (Level::Bad, "not up to date", problem);
    }
    match &installed.progress {
        _ if overview.held_back(consumer).next().is_some() => {
            let why = "it refused what is listed below, which is held back until it changes";
            (Level::Warn, "parts held back", why.to_owned())
        }
        Progress::Proven { .. } => (Level::Ok, "proven", String::new()),
        Progress::Unproven { reason } => (Level::Warn, "not proven", reason.clone()),
        Progress::SignalOwed if installed.generation == 0 => {
            (Level::Wait, "given nothing yet", String::new())
        }
        Progress::SignalOwed => (Level::Wait, "signal owed", String::new()),
        Progress::TakenBack => {
            let why = format!(
                "it ended before it served its new files, and its previous files were restored; docker logs {name} \
                 says why"
            );
            (Level::Warn, "older configuration", why)
        }
    }
}
