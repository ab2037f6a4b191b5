use std::{
    collections::{BTreeSet, btree_map},
    mem,
    panic::resume_unwind,
    path::PathBuf,
    rc::Rc,
    sync::Arc,
};

use tokio::task::spawn_blocking;

use super::{Pair, Rendering, TemplateSource, sources::Fetched};
use crate::{
    observe::SharedPath,
    ports::{NamedFiles, TargetFiles},
    render::{ContainersView, FilesRead, LenientTemplate, LenientlyRendered},
    report::{Event, chain, report},
};

/// The text that one template makes, and its target.
pub(super) enum RenderedFile {
    /// It has no target.
    Printed(String),
    /// Its target holds something else.
    New(New),
    /// Its target holds just that.
    Unchanged,
}

/// Bytes that are not there yet.
pub(super) struct New {
    pub target: SharedPath,
    pub text: String,
    /// The earlier text; none where there is no such file.
    before: Option<String>,
}

/// The result of one template.
pub(super) struct Made {
    /// The file, or what is wrong, in words.
    pub file: Result<RenderedFile, String>,
    /// In words, names that it asked for and that do not exist.
    pub unknown: BTreeSet<String>,
    /// Of Swarm's lists, the one that it asked for.
    pub of_swarm: Option<&'static str>,
}

impl Made {
    fn nothing_yet() -> Self {
        Self {
            file: Ok(RenderedFile::Unchanged),
            unknown: BTreeSet::new(),
            of_swarm: None,
        }
    }
}

/// The most files for which one template may ask.
const MOST_FILES: usize = 200;

/// Renders one template for this target; nothing is written. `fetched` is what is known of one at a URL: until anything is, nothing comes of
/// it. `read` are the files that it asked for last, and then those that it asked for now.
///
/// # Errors
/// What is wrong with a file, in words.
pub(super) async fn make(
    given: &Rendering,
    (pair, target): (&Pair, Option<&SharedPath>),
    fetched: Option<&Fetched>,
    view: &Arc<ContainersView>,
    read: &mut BTreeSet<PathBuf>,
) -> Result<Made, String> {
    let (name, files) = (pair.template.to_string(), &*given.files);
    let text = match (&pair.template, fetched) {
        (TemplateSource::File(path), _) => {
            let text = files.text(path).map_err(|error| chain(&error))?;
            text.ok_or_else(|| format!("template {name}: there is no such file"))?
        }
        (TemplateSource::Inline(text), _) => text.clone(),
        (TemplateSource::Url(_), None) => return Ok(Made::nothing_yet()),
        (TemplateSource::Url(_), Some(Fetched { text, fault })) => {
            let fault = || format!("template {name}: {}", fault.as_deref().unwrap_or_default());
            text.clone().ok_or_else(fault)?
        }
    };
    let template = LenientTemplate::new(&name, &text, pair.template.folder())
        .map_err(|error| error.to_string())?;
    let rendered = rendered(files, &Arc::new(template), view, read).await?;
    let unknown = rendered
        .unknown
        .iter()
        .map(|unknown| format!("template {name}: {unknown}"))
        .collect();
    let text = rendered.text.map_err(|error| error.to_string());
    Ok(Made {
        file: text.and_then(|text| compared(&*given.targets, target, text)),
        unknown,
        of_swarm: rendered.of_swarm,
    })
}

/// Renders it again until it has read each file that it asks for.
async fn rendered(
    files: &dyn NamedFiles,
    template: &Arc<LenientTemplate>,
    view: &Arc<ContainersView>,
    read: &mut BTreeSet<PathBuf>,
) -> Result<LenientlyRendered, String> {
    let mut texts = FilesRead::new();
    loop {
        for path in mem::take(read) {
            if let btree_map::Entry::Vacant(place) = texts.entry(path) {
                let text = files.text(place.key()).map_err(|error| chain(&error))?;
                place.insert(text);
            }
        }
        let rendered = aside(template, view, texts.clone()).await;
        read.clone_from(&rendered.files);
        if rendered.files.iter().all(|path| texts.contains_key(path)) {
            return Ok(rendered);
        }
        if read.len() > MOST_FILES {
            return Err(format!(
                "template {} asks for more than {MOST_FILES} files",
                template.name()
            ));
        }
    }
}

/// Renders it on another thread: one that loops takes seconds until it is ended, and others need not wait for that.
async fn aside(
    template: &Arc<LenientTemplate>,
    view: &Arc<ContainersView>,
    texts: FilesRead,
) -> LenientlyRendered {
    let (template, view) = (Arc::clone(template), Arc::clone(view));
    match spawn_blocking(move || template.render(&view, &texts)).await {
        Ok(rendered) => rendered,
        // A panic is ours; nobody else ends it.
        Err(error) => resume_unwind(error.into_panic()),
    }
}

/// Compares a text with its target.
fn compared(
    targets: &dyn TargetFiles,
    target: Option<&SharedPath>,
    text: String,
) -> Result<RenderedFile, String> {
    let Some(target) = target else {
        return Ok(RenderedFile::Printed(text));
    };
    let before = targets.text_at(target).map_err(|error| {
        let problem = chain(&error);
        format!("{problem}; a target is a file of text, or nothing is there yet")
    })?;
    Ok(match before.as_ref() == Some(&text) {
        true => RenderedFile::Unchanged,
        false => RenderedFile::New(New {
            target: target.clone(),
            text,
            before,
        }),
    })
}

/// New files that are in place. Unless they are kept, what was there before comes back, also when whoever looks at them
/// is stopped in the midst of it; what a crash leaves is kept beside them.
pub(super) struct Placed {
    files: Rc<dyn TargetFiles>,
    /// True if a check looks at the files before they are kept.
    are_checked: bool,
    /// In the order in which they were put there.
    each: Vec<Replaced>,
}

/// A file that was replaced.
struct Replaced {
    target: SharedPath,
    /// The earlier text; none where there was no file.
    before: Option<String>,
    /// True if exactly that text is kept beside it, and not an older one that everybody knew.
    is_kept_aside: bool,
}

impl Placed {
    pub fn new(files: Rc<dyn TargetFiles>, are_checked: bool) -> Self {
        Self {
            files,
            are_checked,
            each: Vec::new(),
        }
    }

    /// Puts one in place.
    ///
    /// # Errors
    /// What is wrong, in words; then what is there stays.
    pub fn put(
        &mut self,
        New {
            target,
            text,
            before,
        }: New,
    ) -> Result<(), String> {
        let is_kept_aside = self
            .files
            .keep_aside(&target)
            .map_err(|error| chain(&error))?;
        if let Err(error) = self.files.replace(&target, &text) {
            if is_kept_aside {
                forget(&*self.files, &target);
            }
            return Err(chain(&error));
        }
        if self.are_checked {
            report(&Event::OnTrial {
                target: target.to_string(),
            });
        }
        self.each.push(Replaced {
            target,
            before,
            is_kept_aside,
        });
        Ok(())
    }

    pub fn is_empty(&self) -> bool {
        self.each.is_empty()
    }

    /// They stay; returns which.
    pub fn keep(mut self) -> Vec<SharedPath> {
        let kept: Vec<_> = mem::take(&mut self.each)
            .into_iter()
            .map(|replaced| replaced.target)
            .collect();
        for target in &kept {
            report(&Event::Rendered {
                target: target.to_string(),
                is_checked: self.are_checked,
            });
        }
        kept
    }
}

impl Drop for Placed {
    fn drop(&mut self) {
        for Replaced {
            target,
            before,
            is_kept_aside,
        } in mem::take(&mut self.each)
        {
            let done = match before {
                Some(text) => self.files.replace(&target, &text),
                None => self.files.remove(&target),
            };
            if let Err(error) = done {
                report(&Event::DiskFault {
                    problem: format!("the previous file could not be restored: {}", chain(&error)),
                });
                continue;
            }
            report(&Event::PutBack {
                target: target.to_string(),
            });
            if is_kept_aside {
                forget(&*self.files, &target);
            }
        }
    }
}

/// Begins again with what was there before a crash; whether there was one.
pub(super) fn put_back(files: &dyn TargetFiles, target: &SharedPath) -> bool {
    match files.put_back(target) {
        Ok(is_back) => {
            if is_back {
                report(&Event::CutOff {
                    target: target.to_string(),
                });
            }
            is_back
        }
        Err(error) => {
            report(&Event::DiskFault {
                problem: format!("the previous file could not be restored: {}", chain(&error)),
            });
            false
        }
    }
}

/// Forgets the earlier text.
pub(super) fn forget(files: &dyn TargetFiles, target: &SharedPath) {
    if let Err(error) = files.forget_aside(target) {
        report(&Event::DiskFault {
            problem: chain(&error),
        });
    }
}
