//! From a template and a view to text, strictly: an unknown name, nothing, a list or a truth value printed by accident
//! is an error with its line, and whatever means something to the target's format must go through `quote`.
//!
//! Nothing here reads files; templates are handed in.

mod filters;
mod view;

use minijinja::{
    Environment, UndefinedBehavior,
    syntax::SyntaxConfig,
    value::{Serde, Value},
};
use serde::Serialize;
use thiserror::Error;

pub use view::{AuthView, CertificateView, CommandPlanView, ProxyView, RouteView, SiteView};

/// The templates that are built in, by name.
pub const BUILT_IN: &[(&str, &str)] = &[
    ("nginx/proxy.conf", include_str!("../../templates/nginx/proxy.conf")),
    ("nginx/site.conf", include_str!("../../templates/nginx/site.conf")),
    ("command-plan.txt", include_str!("../../templates/command-plan.txt")),
];

/// How much one rendering may compute: a template that loops for ever ends here (minijinja's unit, an instruction).
const FUEL: u64 = 1_000_000;

/// Templates, ready to render.
#[derive(Debug)]
pub struct Templates(Environment<'static>);

/// A template that can't be read or rendered. Says which and where; never what was in the view.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("template {template}, line {line}: {problem}")]
pub struct TemplateError {
    /// Its name.
    pub template: String,
    /// The line, counted from 1; 0 when unknown.
    pub line: usize,
    /// What is wrong.
    pub problem: String,
}

impl Templates {
    /// Reads the templates given by name and text.
    ///
    /// # Errors
    /// The first template that can't be read, with its line.
    pub fn new<'t>(templates: impl IntoIterator<Item = (&'t str, &'t str)>) -> Result<Self, TemplateError> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_syntax(docker_pygen_whitespace());
        environment.set_fuel(Some(FUEL));
        filters::install(&mut environment);
        for (name, text) in templates {
            environment
                .add_template_owned(name.to_owned(), text.to_owned())
                .map_err(|error| TemplateError::of(name, &error))?;
        }
        Ok(Self(environment))
    }

    /// The templates that come with the program.
    ///
    /// # Errors
    /// None, as long as the tests pass.
    pub fn built_in() -> Result<Self, TemplateError> {
        Self::new(BUILT_IN.iter().copied())
    }

    /// Renders a template over a view.
    ///
    /// # Errors
    /// What the template got wrong, with its line.
    pub fn render(&self, template: &str, view: &impl Serialize) -> Result<String, TemplateError> {
        self.0
            .get_template(template)
            .and_then(|found| found.render(Value::from(Serde(view))))
            .map_err(|error| TemplateError::of(template, &error))
    }
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
            Some(detail) => format!("{}: {detail}", error.kind()),
            None => error.kind().to_string(),
        };
        let template = error.name().unwrap_or(template).to_owned();
        Self { template, line: error.line().unwrap_or(0), problem }
    }
}

#[cfg(test)]
mod tests;
