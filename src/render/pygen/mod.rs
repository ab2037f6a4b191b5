//! Containers as docker-pygen's templates see them, and how leniently those are rendered: an unknown name is empty,
//! a missing label or variable is an empty text, and nothing is quoted. The template is the user's own.

mod lists;
mod parts;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use minijinja::{AutoEscape, Environment, Error, UndefinedBehavior};

use super::{TemplateError, docker_pygen_whitespace};
use parts::{Misses, root};
pub use parts::{UnknownName, lenient_fields};

/// How much one rendering may compute (minijinja's unit, an instruction): seconds, for thousands of containers.
const FUEL: u64 = 100_000_000;

/// How many characters of an id stand for the whole, as `docker ps` shows it. Fewer could be somebody's name.
const SHORT_ID: usize = 12;

/// A template of the user's for the view here.
#[derive(Debug)]
pub struct LenientTemplate {
    environment: Environment<'static>,
    name: String,
}

/// What came of a lenient template.
#[derive(Debug)]
pub struct LenientlyRendered {
    /// The text.
    pub text: String,
    /// What it asked for in vain. Labels, variables and networks have names of the users' own, and are not in it.
    pub unknown: BTreeSet<UnknownName>,
}

/// What a lenient template sees.
#[derive(Debug, Default)]
pub struct ContainersView {
    /// All containers, in whatever order.
    pub containers: Vec<ContainerView>,
    /// The id of the container that we run in.
    pub own_container_id: Option<String>,
}

/// A container as a lenient template sees it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ContainerView {
    /// The engine's unchanging word for it.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The name of its image.
    pub image: String,
    /// What it does, in Docker's word.
    pub status: String,
    /// Whether it counts as one that runs.
    pub is_there: bool,
    /// What its health check says; `unknown` without one.
    pub health: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its environment.
    pub env: BTreeMap<String, String>,
    /// The networks it is on.
    pub networks: Vec<NetworkView>,
    /// Exposed TCP ports.
    pub tcp: BTreeSet<u16>,
    /// Exposed UDP ports.
    pub udp: BTreeSet<u16>,
}

/// A container's place on a network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkView {
    /// The network's id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its name in the Compose file that the container is from; nothing where it is from elsewhere.
    pub compose_name: Option<String>,
    /// The container's address there; empty while it has none.
    pub ip_address: String,
}

impl LenientTemplate {
    /// Reads a template; `name` is what errors call it.
    ///
    /// # Errors
    /// What is wrong with it, with its line.
    pub fn new(name: &str, text: &str) -> Result<Self, TemplateError> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Chainable);
        environment.set_syntax(docker_pygen_whitespace());
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.set_fuel(Some(FUEL));
        // Otherwise errors carry copies of everything that is in the view.
        environment.set_debug(false);
        let added = environment.add_template_owned(name.to_owned(), text.to_owned());
        added.map_err(|error| TemplateError::of(name, &error))?;
        Ok(Self {
            environment,
            name: name.to_owned(),
        })
    }

    /// Renders it.
    ///
    /// # Errors
    /// What it got wrong, with its line.
    pub fn render(&self, view: &ContainersView) -> Result<LenientlyRendered, TemplateError> {
        let told = |error: Error| TemplateError::of(&self.name, &error);
        let (template, misses) = (
            self.environment.get_template(&self.name).map_err(told)?,
            Misses::default(),
        );
        let text = template.render(root(view, &misses)).map_err(told)?;
        // What the template names itself is looked for in the view, too, and so are minijinja's own functions.
        let mut strange = template.undeclared_variables(false);
        for (function, _) in self.environment.globals() {
            strange.remove(function);
        }
        Ok(LenientlyRendered {
            text,
            unknown: misses.among(&strange),
        })
    }
}

impl ContainerView {
    /// Whether a user who says `target` means this container.
    pub fn is_meant_by(&self, target: &str) -> bool {
        let label = |name: &str| self.labels.get(name).map(String::as_str);
        let swarm_service = label("com.docker.swarm.service.name");
        let in_stack = label("com.docker.stack.namespace").map(|stack| format!("{stack}_{target}"));
        let words = [
            Some(self.id.as_str()),
            Some(self.name.as_str()),
            label("pygen.target"),
            self.env.get("PYGEN_TARGET").map(String::as_str),
            label("com.docker.compose.service"),
            swarm_service,
        ];
        !target.is_empty() && words.contains(&Some(target))
            || in_stack.is_some() && in_stack.as_deref() == swarm_service
            || target.len() >= SHORT_ID && self.id.starts_with(target)
    }
}

impl fmt::Debug for ContainerView {
    /// Without its environment.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContainerView")
            .field("id", &self.id)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
