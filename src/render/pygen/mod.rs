//! Containers as docker-pygen's templates see them, and how leniently those are rendered, as Jinja2 does it: an unknown
//! name is empty, a missing label or variable is an empty text, what else a record lacks is None, an attribute of nothing
//! is an error, and nothing is quoted. The template is the user's own.
//!
//! Bytes are those that docker-pygen wrote (`tests/pygen`). What can't be so is an error, never another text.

mod certificates;
mod details;
mod filters;
mod go;
mod json;
mod lists;
mod methods;
mod parts;
mod paths;
mod percent;
mod raw;
mod reading;
mod tables;
mod texts;

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error as _,
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use minijinja::{
    AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior, syntax::SyntaxConfig,
};

use super::{TemplateError, visible};
pub use certificates::CertificateRecord;
use parts::Misses;
pub use parts::UnknownName;
use reading::{FilesAsked, lines};
pub use tables::lenient_fields;
use tables::{Root, root};
pub use texts::Texts;

/// The most that one rendering may compute (minijinja's unit, an instruction): seconds, for thousands of containers.
const FUEL: u64 = 100_000_000;

/// The longest text that is made of one template, in bytes: for thousands of containers, a thousand for each.
const LONGEST: usize = 16 << 20;

/// Number of characters of an id that stand for the whole, as `docker ps` shows it. Fewer could be somebody's name.
const SHORT_ID: usize = 12;

/// A template of the user's for the view here.
#[derive(Debug)]
pub struct LenientTemplate {
    name: String,
    text: String,
    /// The folder that its includes are in; none where it is no file.
    folder: Option<PathBuf>,
}

/// The result of a lenient template.
#[derive(Debug)]
pub struct LenientlyRendered {
    /// The text, or what the template got wrong, with its line.
    pub text: Result<String, TemplateError>,
    /// Names that it asked for and that do not exist. Labels, variables and networks have names of the users' own, and
    /// are not among them.
    pub unknown: BTreeSet<UnknownName>,
    /// Of Swarm's lists, which are not there yet, the one that it asked for.
    pub of_swarm: Option<&'static str>,
    /// The files that it asked for: includes, and those of `read_config`.
    pub files: BTreeSet<PathBuf>,
}

/// Texts of files that a template asks for; nothing where there is no such file.
pub type FilesRead = BTreeMap<PathBuf, Option<String>>;

/// The view of a lenient template.
#[derive(Debug, Default)]
pub struct ContainersView {
    /// All containers, as the engine lists them: the newest first.
    pub containers: Vec<ContainerView>,
    /// The id of the container that we run in.
    pub own_container_id: Option<String>,
    /// Our own environment, of which `read_config` reads.
    pub variables: Arc<BTreeMap<String, String>>,
    /// The certificates that are held; none in `render`, which knows of none.
    pub certificates: Vec<CertificateRecord>,
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
    /// Its state, in Docker's word.
    pub status: String,
    /// True if it counts as running.
    pub is_there: bool,
    /// The result of its health check; `unknown` without one.
    pub health: String,
    /// Its labels.
    pub labels: Texts,
    /// Its environment.
    pub env: Texts,
    /// The networks it is on.
    pub networks: Vec<NetworkView>,
    /// Exposed TCP ports, in the engine's order.
    pub tcp: Vec<u16>,
    /// Exposed UDP ports, in the engine's order.
    pub udp: Vec<u16>,
    /// All that the engine's inspect says, as JSON.
    pub inspected: Arc<str>,
}

/// A container's place on a network.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct NetworkView {
    /// The network's id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its name in the Compose file that the container is from; nothing where it is from elsewhere.
    pub compose_name: Option<String>,
    /// The container's IPv4 address there; empty while it has none.
    pub ip_address: String,
    /// All that the engine's inspect says of the container, as JSON.
    pub inspected: Arc<str>,
}

/// The exactness with which a word means a thing; the most exact comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Meant {
    /// By its name or whole id, or by what it says of itself.
    Named,
    /// By the beginning of its id.
    ShortId,
    /// By the service that it is of.
    Service,
}

impl Meant {
    fn by_id(id: &str, word: &str) -> Option<Self> {
        match id == word {
            true => Some(Self::Named),
            false if word.len() >= SHORT_ID && id.starts_with(word) => Some(Self::ShortId),
            false => None,
        }
    }
}

impl LenientTemplate {
    /// Reads a template; `name` is what errors call it, and what it includes lies in `folder`, if anywhere.
    ///
    /// # Errors
    /// What is wrong with it, with its line.
    pub fn new(name: &str, text: &str, folder: Option<&Path>) -> Result<Self, TemplateError> {
        let template = Self {
            name: name.to_owned(),
            text: percent::replaced(&lines(text)),
            folder: folder.map(Path::to_owned),
        };
        let mut environment = Environment::new();
        environment.set_syntax(syntax());
        let added = environment.add_template_owned(template.name.clone(), template.text.clone());
        match added {
            Ok(()) => Ok(template),
            Err(error) => {
                let mut told = TemplateError::of(name, &error);
                if go::is_go(text) {
                    told.problem = go::REMEDY.to_owned();
                }
                Err(told)
            }
        }
    }

    /// The name for errors.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Renders it. It may ask for files; where it names some that were not read yet, what comes of it means nothing before
    /// they are.
    pub fn render(&self, view: &ContainersView, read: &FilesRead) -> LenientlyRendered {
        let misses = Misses::default();
        let reading = FilesAsked::new(read.clone(), Arc::clone(&view.variables));
        let environment = self.environment(&misses, &reading);
        let text = self.rendered(&environment, view, &misses);
        // What the template names itself is looked for in the view, too, and so are minijinja's own functions.
        let mut strange = match environment.get_template(&self.name) {
            Ok(template) => template.undeclared_variables(false),
            Err(_) => Default::default(),
        };
        for (function, _) in environment.globals() {
            strange.remove(function);
        }
        LenientlyRendered {
            text,
            unknown: misses.among(Root::HAS_NO, &strange),
            of_swarm: misses.of_swarm(),
            files: reading.asked(),
        }
    }

    fn rendered(
        &self,
        environment: &Environment<'static>,
        view: &ContainersView,
        misses: &Misses,
    ) -> Result<String, TemplateError> {
        let mut text = Bounded::default();
        let template = environment.get_template(&self.name);
        let rendered = template.and_then(|template| {
            let root = root(view, misses);
            template.render_captured_to(root, &mut text).map(drop)
        });
        match rendered {
            Ok(()) => Ok(String::from_utf8_lossy(&text.bytes).into_owned()),
            Err(_) if text.is_full => Err(TemplateError {
                template: self.name.clone(),
                line: 0,
                problem: format!(
                    "it makes a text of more than {LONGEST} bytes; does it loop for too long?"
                ),
            }),
            Err(error) => Err(self.told(environment, &error, misses)),
        }
    }

    fn environment(&self, misses: &Misses, reading: &FilesAsked) -> Environment<'static> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Lenient);
        environment.set_syntax(syntax());
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.set_fuel(Some(FUEL));
        // Otherwise errors carry copies of everything that is in the view.
        environment.set_debug(false);
        environment.set_unknown_method_callback(methods::call);
        filters::install(&mut environment, misses);
        reading.install(
            &mut environment,
            &self.name,
            &self.text,
            self.folder.as_deref(),
        );
        environment
    }

    /// An error of rendering, with the template's own words where something is asked of nothing, and with what helps.
    fn told(
        &self,
        environment: &Environment<'static>,
        error: &Error,
        misses: &Misses,
    ) -> TemplateError {
        let error = innermost(error);
        let mut told = TemplateError::of(&self.name, error);
        let template = environment.get_template(&told.template);
        let words = template
            .ok()
            .zip(error.range())
            .and_then(|(template, range)| {
                let until = template.source().get(..range.end)?;
                let tag = until.rfind("{{").max(until.rfind("{%"))? + 2;
                Some(visible(until[tag..].trim_start_matches(['-', '+']).trim()))
            });
        if told
            .problem
            .contains("% operator on unsupported types string")
        {
            told.problem.push_str("; write `text|format(value)`");
        }
        let (ErrorKind::UndefinedError, Some(words)) = (error.kind(), words) else {
            return told;
        };
        let of_list = words
            .split(['.', '[', ' '])
            .find(|name| misses.of_lists(name));
        let remedy = match of_list {
            Some(name) => format!("a list has no {name}: write `.first.{name}`, or go through it with `for`"),
            None => "what stands before its last name is not there now; write `{% if … %}` around it where it need not be"
                .to_owned(),
        };
        told.problem = format!("{words}: {}; {remedy}", told.problem);
        told
    }
}

/// Of an error in what a template includes, the one there: it names the file that is to be mended.
fn innermost(error: &Error) -> &Error {
    let mut inner = error;
    while let (ErrorKind::BadInclude, Some(source)) = (inner.kind(), inner.source())
        && let Some(source) = source.downcast_ref()
    {
        inner = source;
    }
    inner
}

/// A text that does not grow for ever.
#[derive(Default)]
struct Bounded {
    bytes: Vec<u8>,
    /// True if there was more.
    is_full: bool,
}

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.is_full |= self.bytes.len() + bytes.len() > LONGEST;
        if self.is_full {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Tags on lines of their own leave no empty lines behind, and the last line none at all.
fn syntax() -> SyntaxConfig {
    SyntaxConfig::builder()
        .trim_blocks(true)
        .lstrip_blocks(true)
        .keep_trailing_newline(false)
        .build()
        .expect("the delimiters are minijinja's own")
}

impl ContainerView {
    /// True if a user who says `target` means this container.
    pub fn is_meant_by(&self, target: &str) -> bool {
        self.meant_by(target).is_some()
    }

    /// The exactness with which a user who says `target` means this container.
    fn meant_by(&self, target: &str) -> Option<Meant> {
        if target.is_empty() {
            return None;
        }
        let says = |word: Option<&str>| word == Some(target);
        let is_named = self.name == target
            || says(self.labels.exact("pygen.target"))
            || says(self.env.exact("PYGEN_TARGET"));
        if is_named {
            return Some(Meant::Named);
        }
        let swarm_service = self.labels.exact("com.docker.swarm.service.name");
        let is_in_stack = || {
            let stack = self.labels.exact("com.docker.stack.namespace");
            stack.is_some_and(|stack| swarm_service == Some(&format!("{stack}_{target}")))
        };
        let is_of_service = says(self.labels.exact("com.docker.compose.service"))
            || says(swarm_service)
            || is_in_stack();
        Meant::by_id(&self.id, target).or_else(|| is_of_service.then_some(Meant::Service))
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

impl fmt::Debug for NetworkView {
    /// Without what else is known of its container.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NetworkView")
            .field("name", &self.name)
            .field("ip_address", &self.ip_address)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
