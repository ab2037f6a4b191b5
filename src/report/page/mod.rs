//! Pages for people, rendered from an overview: a table of names, a page a name, servers, CAs. Each is made in steps, of
//! which none takes long, however much there is.

mod cas;
mod name;
mod names;
mod servers;
mod state;

use std::rc::Rc;

use minijinja::{
    AutoEscape, Environment, UndefinedBehavior,
    syntax::SyntaxConfig,
    value::{Serde, Value},
};
use serde::Serialize;

use super::{Overview, explain::rough};
use crate::{
    desire::visible,
    ports::{Histories, Pieces, ShownPage},
    values::Timestamp,
};

/// The media type of pages.
const HTML: &str = "text/html; charset=utf-8";

/// The templates of pages, by the names under which they name each other.
const TEMPLATES: &[(&str, &str)] = &[
    (
        "frame.html",
        include_str!("../../../templates/page/frame.html"),
    ),
    (
        "names.html",
        include_str!("../../../templates/page/names.html"),
    ),
    (
        "name.html",
        include_str!("../../../templates/page/name.html"),
    ),
    (
        "servers.html",
        include_str!("../../../templates/page/servers.html"),
    ),
    ("cas.html", include_str!("../../../templates/page/cas.html")),
];

/// The templates that make pages of views.
#[derive(Clone)]
pub struct PageTemplates(Rc<Environment<'static>>);

/// A page could not be rendered, which no input can cause.
#[derive(Debug, thiserror::Error)]
#[error("the page can't be rendered: {0}")]
pub struct PageError(#[from] minijinja::Error);

impl PageTemplates {
    /// Reads the templates.
    ///
    /// # Errors
    /// None, as long as the tests pass.
    pub fn new() -> Result<Self, PageError> {
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .build();
        environment.set_syntax(syntax.expect("the delimiters are minijinja's own"));
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(|_| AutoEscape::Html);
        for (name, text) in TEMPLATES {
            environment.add_template(name, text)?;
        }
        Ok(Self(Rc::new(environment)))
    }

    fn render(&self, template: &str, view: impl Serialize) -> Result<String, PageError> {
        let view = Value::from(Serde(view));
        Ok(self.0.get_template(template)?.render(view)?)
    }

    /// The last step of a page; an error becomes a line on it, and its words go to whoever reads the page.
    fn rendered(&self, template: &str, view: impl Serialize) -> Vec<u8> {
        let text = self.render(template, view);
        text.unwrap_or_else(|error| visible(&super::chain(&error)))
            .into_bytes()
    }
}

/// The frame that each page has.
#[derive(Serialize)]
struct Frame {
    /// Which of the pages that all others lead to.
    here: &'static str,
    title: String,
    now: String,
    version: &'static str,
    is_engine_followed: bool,
    engine_problem: Option<String>,
    /// Engines that have a name and are out of reach.
    engines_away: Vec<String>,
    is_ready: bool,
    names: usize,
    complaints: usize,
}

impl Frame {
    fn of(overview: &Overview, here: &'static str, title: impl Into<String>) -> Self {
        let consumers = overview.desired.consumers.values();
        Self {
            here,
            title: title.into(),
            now: overview.now.to_string(),
            version: env!("CARGO_PKG_VERSION"),
            is_engine_followed: overview.tally.is_engine_followed,
            engine_problem: overview.tally.engine_problem.as_deref().map(visible),
            engines_away: overview
                .tally
                .engines_away()
                .iter()
                .map(|problem| visible(problem))
                .collect(),
            is_ready: overview.is_ready,
            names: consumers.map(|consumer| consumer.sites.len()).sum(),
            complaints: overview.complaints.len(),
        }
    }
}

/// A time, and how far it is away.
#[derive(Serialize)]
struct Moment {
    at: String,
    away: String,
}

impl Moment {
    fn of(time: Timestamp, now: Timestamp) -> Self {
        let away = match time > now {
            true => format!("in {}", rough(time.since(now))),
            false => format!("{} ago", rough(now.since(time))),
        };
        Self {
            at: time.to_string(),
            away,
        }
    }
}

/// The page at a path with a query, made of how everything is; nothing where there is no such page.
pub fn page(
    path: &str,
    query: &str,
    overview: Rc<Overview>,
    templates: &PageTemplates,
    histories: &dyn Histories,
) -> Option<ShownPage> {
    let templates = templates.clone();
    let (status, body): (u16, Pieces) = match path {
        "/" => (200, Box::new(names::names(overview, query, templates))),
        "/servers" => (200, Box::new(servers::servers(overview, templates))),
        "/cas" => (200, Box::new(cas::cas(overview, templates))),
        _ => {
            let host = name::asked(path)?;
            name::name(host, overview, templates, histories)
        }
    };
    Some(ShownPage {
        status,
        media_type: HTML,
        body,
    })
}

/// A body that is made at once, since it is small.
fn at_once(make: impl FnOnce() -> Vec<u8>) -> impl Iterator<Item = Vec<u8>> {
    let mut make = Some(make);
    std::iter::from_fn(move || Some(make.take()?()))
}

#[cfg(test)]
mod tests;
