//! The CAs that are asked: what their limits leave, and what keeps them from being asked.

use std::rc::Rc;

use serde::Serialize;

use super::{Frame, Moment, PageTemplates, at_once, state::Level};
use crate::{
    desire::visible,
    report::{Overview, explain::rough},
};

#[derive(Serialize)]
struct View {
    frame: Frame,
    cas: Vec<CaView>,
    /// Certificates that wait for a limit of their CA.
    limited: usize,
}

#[derive(Serialize)]
struct CaView {
    name: String,
    directory: String,
    level: Level,
    word: &'static str,
    why: String,
    until: Option<Moment>,
    /// In words; nothing where it is known to have no limit.
    budget: Option<String>,
}

/// The page.
pub(super) fn cas(
    overview: Rc<Overview>,
    templates: PageTemplates,
) -> impl Iterator<Item = Vec<u8>> {
    at_once(move || {
        let directories = overview.cas.iter();
        let view = View {
            frame: Frame::of(&overview, "cas", "CAs"),
            cas: directories
                .map(|directory| ca(&overview, directory))
                .collect(),
            limited: overview.plan.limited.len(),
        };
        templates.rendered("cas.html", view)
    })
}

fn ca(overview: &Overview, directory: &str) -> CaView {
    let (cas, now) = (&overview.label_rules.cas, overview.now);
    let busy = overview.observed.busy_cas.get(directory);
    let busy = busy.filter(|busy| busy.until > now);
    let gap = overview.observed.clock_gaps.get(directory);
    let (level, word, why) = match (busy, gap) {
        (_, Some(gap)) => {
            let why = format!("the clock of this machine is {gap} the clock of the CA; set it");
            (Level::Bad, "clocks differ", why)
        }
        (Some(busy), None) => (Level::Warn, "asks for a pause", visible(&busy.problem)),
        (None, None) => (Level::Ok, "may be asked", String::new()),
    };
    let budget = cas.limits(directory).orders.map(|limit| {
        let used = overview
            .observed
            .ledger
            .orders(directory, limit.within, now)
            .count();
        let left = limit.most().saturating_sub(used);
        format!(
            "{left} of {} new orders within {}",
            limit.most,
            rough(limit.within)
        )
    });
    CaView {
        name: cas.called(directory).to_owned(),
        directory: directory.to_owned(),
        level,
        word,
        why,
        until: busy.map(|busy| Moment::of(busy.until, now)),
        budget,
    }
}
