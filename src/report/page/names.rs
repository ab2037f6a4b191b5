//! The table of names: trouble first, in words and with what to do.

use std::{collections::BTreeMap, rc::Rc};

use serde::Serialize;
use url::form_urlencoded;

use super::{
    Frame, Moment, PageTemplates,
    name::{path_of, story},
    state::{Level, NameState, of_site, of_use},
};
use crate::{
    desire::{Claimant, add_claimants, by_age, visible},
    observe::Bearer,
    report::Overview,
    values::{CertificateName, ContainerName, Host},
};

/// Names on a page.
const PAGE: usize = 100;

/// Names in trouble that are shown as a story before the table.
const MOST_STORIES: usize = 10;

/// Complaints that are shown before the table: more are not read at night.
const MOST_COMPLAINTS: usize = 20;

/// The most steps shown for one name.
const MOST_STEPS: usize = 2;

/// Number of names that are looked at in one step.
const AT_ONCE: usize = 200;

/// A name, as a row of the table.
#[derive(Clone, Serialize)]
struct Row {
    level: Level,
    host: String,
    path: String,
    word: &'static str,
    why: String,
    served_by: Vec<String>,
    #[serde(skip)]
    certificate: Option<CertificateName>,
}

/// The columns of a row in addition to the name's state.
#[derive(Serialize)]
struct ShownRow<'r> {
    #[serde(flatten)]
    row: &'r Row,
    issuer: Option<String>,
    until: Option<Moment>,
    renewal: Option<Moment>,
}

/// A name in trouble, in words.
#[derive(Serialize)]
struct Story {
    host: String,
    path: String,
    level: Level,
    word: &'static str,
    says: Vec<String>,
    steps: Vec<String>,
}

#[derive(Serialize)]
struct ComplaintView {
    place: String,
    text: String,
    problem: String,
    remedy: String,
}

#[derive(Serialize)]
struct View<'v> {
    frame: Frame,
    counts: BTreeMap<&'static str, usize>,
    stories: &'v [Story],
    more_stories: usize,
    complaints: Vec<ComplaintView>,
    more_complaints: usize,
    faults: Vec<String>,
    notices: Vec<String>,
    rows: Vec<ShownRow<'v>>,
    found: usize,
    query: &'v str,
    /// The same, as it stands in an address.
    query_word: String,
    page: usize,
    pages: usize,
}

/// The filter of a reader.
struct Wanted {
    text: String,
    page: usize,
}

impl Wanted {
    fn read(query: &str) -> Self {
        let mut wanted = Self {
            text: String::new(),
            page: 1,
        };
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*key {
                "q" => wanted.text = value.trim().to_ascii_lowercase(),
                "page" => wanted.page = value.parse().unwrap_or(1).max(1),
                _ => {}
            }
        }
        wanted
    }
}

/// The next step.
enum Step {
    Collect,
    States(usize),
    Claimants(usize),
    Stories(usize),
    Render,
    End,
}

/// The page, as far as it is made.
struct Making {
    overview: Rc<Overview>,
    templates: PageTemplates,
    wanted: Wanted,
    step: Step,
    pairs: Vec<(Host, ContainerName)>,
    rows: Vec<Row>,
    bearers: Vec<Rc<Bearer>>,
    claimants: BTreeMap<Host, Vec<Claimant>>,
    stories: Vec<Story>,
}

/// The table of names, step by step.
pub(super) fn names(
    overview: Rc<Overview>,
    query: &str,
    templates: PageTemplates,
) -> impl Iterator<Item = Vec<u8>> + use<> {
    let mut making = Making {
        overview,
        templates,
        wanted: Wanted::read(query),
        step: Step::Collect,
        pairs: Vec::new(),
        rows: Vec::new(),
        bearers: Vec::new(),
        claimants: BTreeMap::new(),
        stories: Vec::new(),
    };
    std::iter::from_fn(move || making.go_on())
}

impl Making {
    fn go_on(&mut self) -> Option<Vec<u8>> {
        self.step = match self.step {
            Step::Collect => self.collect(),
            Step::States(from) => self.look_at(from),
            Step::Claimants(from) => self.ask_bearers(from),
            Step::Stories(next) => self.tell(next),
            Step::Render => {
                self.step = Step::End;
                return Some(self.render());
            }
            Step::End => return None,
        };
        Some(Vec::new())
    }

    /// Each name with each server that has it.
    fn collect(&mut self) -> Step {
        for (name, consumer) in &self.overview.desired.consumers {
            let hosts = consumer.sites.keys().chain(consumer.uses.keys());
            let wanted = hosts.filter(|host| host.as_str().contains(&self.wanted.text));
            self.pairs
                .extend(wanted.map(|host| (host.clone(), name.clone())));
        }
        self.pairs.sort();
        self.pairs.dedup();
        Step::States(0)
    }

    /// Looks at the state of some names; the worst of its servers counts for a name.
    fn look_at(&mut self, from: usize) -> Step {
        let to = self.pairs.len().min(from + AT_ONCE);
        for (host, name) in &self.pairs[from..to] {
            let Some((state, certificate)) = standing(&self.overview, host, name) else {
                continue;
            };
            match self.rows.last_mut().filter(|row| row.host == host.as_str()) {
                Some(row) => {
                    row.served_by.push(name.to_string());
                    if state.level < row.level {
                        (row.level, row.word, row.why) = (state.level, state.word, state.why);
                    }
                }
                None => self.rows.push(Row {
                    level: state.level,
                    host: host.to_string(),
                    path: path_of(host),
                    word: state.word,
                    why: state.why,
                    served_by: vec![name.to_string()],
                    certificate,
                }),
            }
        }
        if to < self.pairs.len() {
            return Step::States(to);
        }
        // Those that stand alike keep the order of their names.
        self.rows.sort_by_key(|row| row.level);
        match self.are_stories_wanted() {
            true => {
                self.bearers = by_age(&self.overview.snapshot);
                Step::Claimants(0)
            }
            false => Step::Render,
        }
    }

    fn are_stories_wanted(&self) -> bool {
        self.wanted.page == 1 && self.rows.first().is_some_and(|row| row.level < Level::Wait)
    }

    fn ask_bearers(&mut self, from: usize) -> Step {
        let to = self.bearers.len().min(from + AT_ONCE / 4);
        let rules = &self.overview.label_rules;
        add_claimants(&mut self.claimants, &self.bearers[from..to], rules);
        match to < self.bearers.len() {
            true => Step::Claimants(to),
            false => Step::Stories(0),
        }
    }

    fn tell(&mut self, next: usize) -> Step {
        let row = self.rows.get(next).filter(|row| row.level < Level::Wait);
        let Some(row) = row.filter(|_| next < MOST_STORIES) else {
            return Step::Render;
        };
        if let Ok(host) = Host::parse(&row.host) {
            let found = story(&self.overview, &host, &self.claimants);
            let steps = found.next_steps(MOST_STEPS);
            self.stories.push(Story {
                host: row.host.clone(),
                path: row.path.clone(),
                level: row.level,
                word: row.word,
                says: found
                    .problems()
                    .map(|problem| problem.says.clone())
                    .collect(),
                steps: steps.into_iter().map(str::to_owned).collect(),
            });
        }
        Step::Stories(next + 1)
    }

    fn render(&self) -> Vec<u8> {
        let overview = &self.overview;
        let pages = self.rows.len().div_ceil(PAGE).max(1);
        let page = self.wanted.page.min(pages);
        let rows = self.rows.iter().skip((page - 1) * PAGE).take(PAGE);
        let in_trouble = self
            .rows
            .iter()
            .filter(|row| row.level < Level::Wait)
            .count();
        let complaints = overview.complaints.iter().take(MOST_COMPLAINTS);
        let is_first = page == 1;
        let faults = overview.faults.iter().chain(&overview.templates);
        self.templates.rendered(
            "names.html",
            View {
                frame: Frame::of(overview, "names", "Names"),
                counts: self.counts(),
                stories: &self.stories,
                more_stories: in_trouble.saturating_sub(self.stories.len()),
                complaints: complaints.filter(|_| is_first).map(complaint).collect(),
                more_complaints: overview.complaints.len().saturating_sub(MOST_COMPLAINTS),
                faults: faults.filter(|_| is_first).map(|it| visible(it)).collect(),
                notices: overview
                    .plan
                    .notices
                    .iter()
                    .filter(|_| is_first)
                    .take(MOST_COMPLAINTS)
                    .map(|notice| visible(&notice.to_string()))
                    .collect(),
                rows: rows.map(|row| shown(overview, row)).collect(),
                found: self.rows.len(),
                query: &self.wanted.text,
                query_word: form_urlencoded::byte_serialize(self.wanted.text.as_bytes()).collect(),
                page,
                pages,
            },
        )
    }

    fn counts(&self) -> BTreeMap<&'static str, usize> {
        let mut counts = BTreeMap::from([("bad", 0), ("warn", 0), ("wait", 0), ("ok", 0)]);
        for row in &self.rows {
            let word = match row.level {
                Level::Bad => "bad",
                Level::Warn => "warn",
                Level::Wait => "wait",
                Level::Ok => "ok",
            };
            *counts.entry(word).or_default() += 1;
        }
        counts
    }
}

/// The state of a name at one server, and the certificate that it wants.
fn standing(
    overview: &Overview,
    host: &Host,
    name: &ContainerName,
) -> Option<(NameState, Option<CertificateName>)> {
    let consumer = overview.desired.consumers.get(name)?;
    if let Some(site) = consumer.sites.get(host) {
        let state = of_site(overview, host, consumer, site);
        return Some((state, site.certificate.clone()));
    }
    let used = consumer.uses.get(host)?;
    let state = of_use(overview, host, consumer, used);
    Some((state, Some(used.certificate.clone())))
}

fn shown<'r>(overview: &Overview, row: &'r Row) -> ShownRow<'r> {
    let name = row.certificate.as_ref();
    let held = name.and_then(|name| overview.serving(name));
    let renewal = name.and_then(|name| overview.renewal(name));
    ShownRow {
        row,
        issuer: held.map(|held| held.issuer.clone()),
        until: held.map(|held| Moment::of(held.not_after, overview.now)),
        renewal: renewal.map(|at| Moment::of(at, overview.now)),
    }
}

fn complaint(complaint: &crate::desire::Complaint) -> ComplaintView {
    ComplaintView {
        place: complaint.origin.place(),
        text: visible(&complaint.origin.text),
        problem: visible(&complaint.problem),
        remedy: visible(&complaint.remedy),
    }
}
