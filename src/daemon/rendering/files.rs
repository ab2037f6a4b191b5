use std::{mem, path::PathBuf, rc::Rc};

use super::Pair;
use crate::{
    ports::NamedFiles,
    render::{ContainersView, LenientTemplate},
    report::{Event, chain, report},
};

/// What one template makes.
pub(super) enum Made {
    /// It has no target.
    Printed(String),
    /// Its target holds something else.
    New(New),
    /// Its target holds just that.
    Unchanged,
}

/// Bytes that are not there yet.
pub(super) struct New {
    pub target: PathBuf,
    pub text: String,
    /// What is there; nothing where there is no such file.
    before: Option<String>,
}

/// Renders one template; nothing is written.
///
/// # Errors
/// What is wrong, in words.
pub(super) fn make(files: &dyn NamedFiles, pair: &Pair, view: &ContainersView) -> Result<Made, String> {
    let name = pair.template.display().to_string();
    let text = files.text(&pair.template).map_err(|error| chain(&error))?;
    let text = text.ok_or_else(|| format!("template {name}: there is no such file"))?;
    let rendered = LenientTemplate::new(&name, &text).and_then(|template| template.render(view));
    let text = rendered.map_err(|error| error.to_string())?;
    let Some(target) = &pair.target else { return Ok(Made::Printed(text)) };
    let before = files.text(target).map_err(|error| chain(&error))?;
    Ok(match before.as_ref() == Some(&text) {
        true => Made::Unchanged,
        false => Made::New(New { target: target.clone(), text, before }),
    })
}

/// New files that are in place. Unless they are kept, what was there before comes back, also when whoever looks at them
/// is stopped in the midst of it.
pub(super) struct Placed {
    files: Rc<dyn NamedFiles>,
    /// Whether something looks at them before they are kept.
    are_checked: bool,
    /// In the order in which they were put there, with what was there before.
    before: Vec<(PathBuf, Option<String>)>,
}

impl Placed {
    pub fn new(files: Rc<dyn NamedFiles>, are_checked: bool) -> Self {
        Self { files, are_checked, before: Vec::new() }
    }

    /// Puts one in place.
    ///
    /// # Errors
    /// What is wrong, in words; then what is there stays.
    pub fn put(&mut self, new: New) -> Result<(), String> {
        self.files.replace(&new.target, &new.text).map_err(|error| chain(&error))?;
        if self.are_checked {
            report(&Event::OnTrial { target: new.target.display().to_string() });
        }
        self.before.push((new.target, new.before));
        Ok(())
    }

    pub fn is_empty(&self) -> bool {
        self.before.is_empty()
    }

    /// They stay.
    pub fn keep(mut self) {
        for (target, _) in mem::take(&mut self.before) {
            report(&Event::Rendered { target: target.display().to_string(), is_checked: self.are_checked });
        }
    }
}

impl Drop for Placed {
    fn drop(&mut self) {
        for (target, before) in mem::take(&mut self.before) {
            let done = match before {
                Some(text) => self.files.replace(&target, &text),
                None => self.files.remove(&target),
            };
            report(&match done {
                Ok(()) => Event::PutBack { target: target.display().to_string() },
                Err(error) => {
                    Event::DiskFault { problem: format!("what was there before is not back: {}", chain(&error)) }
                }
            });
        }
    }
}
