//! From a template and a view to text, strictly: an unknown name, nothing, a list or a truth value printed by accident
//! is an error with its line, and whatever means something to the target's format must go through `quote`.
//!
//! Nothing here reads files; templates are handed in.

mod built_in;
mod check;
mod filters;
mod inclusion;
mod pygen;
mod samples;
mod view;

use std::collections::{BTreeMap, BTreeSet};

use minijinja::{
    Environment, ErrorKind, UndefinedBehavior,
    syntax::SyntaxConfig,
    value::{Serde, Value},
};
use serde::Serialize;
use thiserror::Error;

use crate::values::Digest;
use built_in::probably_meant;
pub use built_in::{BUILT_IN, BuiltIn};
pub use filters::{FILTERS, FilterRow};
pub use pygen::{
    CertificateRecord, ContainerView, ContainersView, FilesRead, LenientTemplate,
    LenientlyRendered, NetworkView, Texts, UnknownName, lenient_fields,
};
pub use view::{
    AuthView, CertificateView, CommandPlanView, DefaultConfigView, FieldRow, GateView,
    HelperLineView, MarkView, ProxyView, RouteView, SiteView, fields,
};

/// The most that one rendering may compute: a template that loops for ever ends here (minijinja's unit, an
/// instruction).
const FUEL: u64 = 1_000_000;

/// The beginning of the names of nginx's templates; their output is read as nginx reads it.
const NGINX: &str = "nginx/";

/// Templates, ready to render.
#[derive(Debug)]
pub struct Templates {
    environment: Environment<'static>,
    /// Those that can't be used, by name; rendering one of them gives its error.
    broken: BTreeMap<String, TemplateError>,
    /// The user's templates that take part in what each built-in name renders.
    users: BTreeMap<&'static str, BTreeSet<String>>,
    /// The user's templates that take part in nothing, each with the built-in one that was probably meant.
    unused: BTreeMap<String, Option<&'static str>>,
    digest: Digest,
    version: Digest,
    /// Others, which were in use before.
    earlier: BTreeMap<Digest, Templates>,
}

/// A template that can't be read or rendered. Says which and where; never what was in the view.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("template {template}{}: {problem}", if *line == 0 { String::new() } else { format!(", line {line}") })]
pub struct TemplateError {
    /// Its name.
    pub template: String,
    /// The line, counted from 1; 0 when unknown.
    pub line: usize,
    /// The problem, in words.
    pub problem: String,
}

impl Templates {
    /// Reads the templates given by name and text.
    ///
    /// # Errors
    /// The first template that can't be read, with its line.
    pub fn new<'t>(
        templates: impl IntoIterator<Item = (&'t str, &'t str)>,
    ) -> Result<Self, TemplateError> {
        let mut read = Self::none();
        templates
            .into_iter()
            .try_for_each(|(name, text)| read.add(name, text))?;
        Ok(read)
    }

    /// The templates that come with the program.
    ///
    /// # Errors
    /// None, as long as the tests pass.
    pub fn built_in() -> Result<Self, TemplateError> {
        Self::new(BUILT_IN.iter().map(|row| (row.name, row.text)))
    }

    /// The user's templates, by name as text or why there is none, and the built-in ones whose names they don't take.
    /// Each is read and tried. One that is broken is not replaced by the built-in one, which may show what the user's
    /// hides: what needs it is not rendered until it is mended.
    pub fn with(users: &BTreeMap<String, Result<String, String>>) -> Self {
        let mut read = Self::none();
        let words = users
            .iter()
            .flat_map(|(name, text)| [name, text.as_ref().unwrap_or_else(|problem| problem)]);
        read.version = Digest::of_parts(words);
        read.users = taking_part(users);
        let is_used = |name: &&String| read.users.values().any(|used| used.contains(*name));
        let unused = users.keys().filter(|name| !is_used(name));
        read.unused = unused
            .map(|name| (name.clone(), probably_meant(name, users)))
            .collect();
        let built_in = BUILT_IN.iter().filter(|row| !users.contains_key(row.name));
        let built_in = built_in.map(|row| (row.name, Ok(row.text)));
        let users = users
            .iter()
            .map(|(name, text)| (name.as_str(), text.as_deref()));
        for (name, text) in built_in.chain(users) {
            let unread = |problem: &str| TemplateError {
                template: name.to_owned(),
                line: 0,
                problem: visible(problem),
            };
            if let Err(error) = text
                .map_err(|problem| unread(problem))
                .and_then(|text| read.add(name, text))
            {
                read.digest = Digest::of_parts([&read.digest.to_string(), &error.to_string()]);
                read.broken.insert(name.to_owned(), error);
            }
        }
        let mut misfits = BTreeMap::new();
        for (name, view) in samples::samples() {
            match read.tried(name, view) {
                Err(error) => drop(read.broken.insert(name.to_owned(), error)),
                Ok(misfit) => misfits.entry(name).or_insert_with(Vec::new).push(misfit),
            }
        }
        for (name, misfits) in misfits {
            // What fits for some sites may be meant for these.
            if let Some(all) = misfits.into_iter().collect::<Option<Vec<_>>>()
                && let Some(first) = all.into_iter().next()
            {
                read.broken.entry(name.to_owned()).or_insert(first);
            }
        }
        read
    }

    /// The problems with templates that can't be used.
    pub fn faults(&self) -> impl Iterator<Item = &TemplateError> {
        self.broken.values()
    }

    /// The user's templates that do nothing, each with the built-in one that was probably meant.
    pub fn unused(&self) -> &BTreeMap<String, Option<&'static str>> {
        &self.unused
    }

    /// The user's templates that take part in what this one renders.
    pub fn users_in(&self, template: &str) -> impl Iterator<Item = &str> {
        self.users
            .get(template)
            .into_iter()
            .flatten()
            .map(String::as_str)
    }

    /// True if sites that are made with these pass requests on as their gates say. There is another complaint about
    /// files that can't be rendered.
    pub fn heed_gates(&self) -> bool {
        self.rendered(samples::SITE, samples::gated())
            .is_ok_and(|text| text.contains(samples::TO_VARIABLE))
    }

    /// Renders a template over a view.
    ///
    /// # Errors
    /// What the template got wrong, with its line.
    pub fn render(&self, template: &str, view: &impl Serialize) -> Result<String, TemplateError> {
        self.rendered(template, Value::from(Serde(view)))
    }

    /// The same, beside others that were in use before.
    pub fn after(mut self, earlier: impl IntoIterator<Item = Templates>) -> Self {
        self.earlier = earlier
            .into_iter()
            .map(|templates| (templates.version, templates))
            .collect();
        self
    }

    /// Templates of this version that were in use before.
    pub fn earlier(&self, version: Digest) -> Option<&Templates> {
        self.earlier.get(&version)
    }

    /// Which of the user's templates these are, whatever the built-in ones are.
    pub fn version(&self) -> Digest {
        self.version
    }

    /// A digest of these templates: others have another digest, and may render another text.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    fn none() -> Self {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_syntax(docker_pygen_whitespace());
        environment.set_fuel(Some(FUEL));
        // Otherwise errors carry copies of everything that is in the view.
        environment.set_debug(false);
        filters::install(&mut environment);
        Self {
            environment,
            broken: BTreeMap::new(),
            users: BTreeMap::new(),
            unused: BTreeMap::new(),
            digest: Digest::of(""),
            version: Digest::of_parts([""; 0]),
            earlier: BTreeMap::new(),
        }
    }

    fn add(&mut self, name: &str, text: &str) -> Result<(), TemplateError> {
        self.digest = Digest::of_parts([&self.digest.to_string(), name, text]);
        self.environment
            .add_template_owned(name.to_owned(), text.to_owned())
            .map_err(|error| TemplateError::of(name, &error))
    }

    /// An error of rendering, with the template's own words where minijinja leaves out which name is unknown.
    fn told(&self, name: &str, error: &minijinja::Error) -> TemplateError {
        let mut told = TemplateError::of(name, error);
        if let (ErrorKind::UndefinedError, Some(range)) = (error.kind(), error.range())
            && let Ok(template) = self.environment.get_template(&told.template)
            && let Some(words) = template.source().get(range)
        {
            told.problem = format!("{}: {}", told.problem, visible(words));
        }
        told
    }

    /// Renders a sample; where directives or blocks do not end in what comes of it, that is returned.
    ///
    /// # Errors
    /// When it can't be rendered.
    fn tried(&self, name: &str, view: Value) -> Result<Option<TemplateError>, TemplateError> {
        self.rendered(name, view.clone())?;
        if !name.starts_with(NGINX) {
            return Ok(None);
        }
        let told = |error: minijinja::Error| self.told(name, &error);
        let template = self.environment.get_template(name).map_err(told)?;
        let (output, spans) = template.render_with_spans(view).map_err(told)?;
        let misfit = check::misfit(&output, &spans).map(|(span, line, problem)| TemplateError {
            template: span.name().to_owned(),
            line,
            problem: problem.to_owned(),
        });
        Ok(misfit)
    }

    fn rendered(&self, name: &str, view: Value) -> Result<String, TemplateError> {
        if let Some(error) = self.broken.get(name) {
            return Err(error.clone());
        }
        let told = |error: minijinja::Error| self.told(name, &error);
        let template = self.environment.get_template(name).map_err(told)?;
        if !name.starts_with(NGINX) {
            return template.render(view).map_err(told);
        }
        let (output, spans) = template.render_with_spans(view).map_err(told)?;
        match check::stray(&output, &spans) {
            None => Ok(output),
            Some((span, problem)) => Err(TemplateError {
                template: span.name().to_owned(),
                line: span.line(),
                problem: format!("this value {problem}"),
            }),
        }
    }
}

/// The user's templates that take part in what each built-in name renders.
fn taking_part(
    users: &BTreeMap<String, Result<String, String>>,
) -> BTreeMap<&'static str, BTreeSet<String>> {
    let mut texts: BTreeMap<&str, &str> = BUILT_IN.iter().map(|row| (row.name, row.text)).collect();
    texts.extend(
        users
            .iter()
            .map(|(name, text)| (name.as_str(), text.as_deref().unwrap_or_default())),
    );
    let of_user = |root| {
        let all = inclusion::taking_part(root, &texts).into_iter();
        all.filter(|name| users.contains_key(*name))
            .map(str::to_owned)
            .collect()
    };
    BUILT_IN
        .iter()
        .map(|row| (row.name, of_user(row.name)))
        .collect()
}

/// Tags on lines of their own leave no empty lines behind, as docker-pygen's users are used to.
fn docker_pygen_whitespace() -> SyntaxConfig {
    SyntaxConfig::builder()
        .trim_blocks(true)
        .lstrip_blocks(true)
        .keep_trailing_newline(true)
        .build()
        .expect("the delimiters are minijinja's own")
}

impl TemplateError {
    fn of(template: &str, error: &minijinja::Error) -> Self {
        // Not minijinja's own long form: that one lists the values of all variables.
        let problem = match error.detail() {
            Some(detail) => visible(&format!("{}: {detail}", error.kind())),
            None => error.kind().to_string(),
        };
        let template = error.name().unwrap_or(template).to_owned();
        Self {
            template,
            line: error.line().unwrap_or(0),
            problem,
        }
    }
}

/// The text with its control characters escaped: what a template's file holds must not write into a terminal.
fn visible(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_control() {
                c.escape_debug().to_string()
            } else {
                c.to_string()
            }
        })
        .collect()
}

#[cfg(test)]
mod tests;
