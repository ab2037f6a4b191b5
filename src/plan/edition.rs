//! By which edition of templates a consumer is planned for: all templates of the user's together are one. A new edition
//! comes alone, with everything at once, when everything else is at rest. Where it is refused it is held back as one until
//! a text in it changes, and the last that the consumer was seen to take stays in use, also for sites that come.

use super::content::Parts;
use crate::{
    desire::{Consumer, Reload},
    observe::Installed,
    render::{TemplateError, Templates},
};

/// The edition that a consumer is planned for, and whether another is waiting.
pub(super) struct Edition<'t> {
    /// The templates that are used.
    pub templates: &'t Templates,
    /// True if the edition of now is still to be tried.
    pub is_trial_due: bool,
    /// True if that trial was begun, and its result is unknown.
    pub is_trial_cut_off: bool,
}

/// The templates that a deployment is made with.
pub(super) struct Making<'t> {
    pub templates: &'t Templates,
    /// Those that are in use, where this tries others.
    pub in_place_of: Option<&'t Templates>,
}

impl<'t> Making<'t> {
    pub fn is_trial(&self) -> bool {
        self.in_place_of.is_some()
    }

    /// The templates that are in use before.
    pub fn earlier(&self) -> &'t Templates {
        self.in_place_of.unwrap_or(self.templates)
    }
}

impl<'t> Edition<'t> {
    /// Given the templates of now.
    pub fn of(consumer: &Consumer, installed: &Installed, templates: &'t Templates) -> Self {
        let new = templates.version();
        let known = &installed.templates;
        let usual = |templates| Edition {
            templates,
            is_trial_due: false,
            is_trial_cut_off: false,
        };
        if known.used == Some(new) || !is_made_by_user(consumer, templates) {
            return usual(templates);
        }
        // Where none is known that was taken, there is nothing to fall back on: files go as all files go.
        let Some(earlier) = earlier(installed, templates) else {
            return usual(templates);
        };
        if known.refused(new).is_some() {
            return usual(earlier);
        }
        if !can_be_proven(consumer) {
            // Who can't be seen to take them gets them as it gets everything.
            return usual(templates);
        }
        Edition {
            templates: earlier,
            is_trial_due: true,
            is_trial_cut_off: installed.open && known.trying == Some(new),
        }
    }
}

/// The last edition that the consumer was seen to take, where its texts are known.
pub(super) fn earlier<'t>(
    installed: &Installed,
    templates: &'t Templates,
) -> Option<&'t Templates> {
    templates.earlier(installed.templates.used?)
}

/// Checks that an edition can be tried with these parts, which are made with it.
///
/// # Errors
/// When a template fails for any of them.
pub(super) fn can_be_tried(parts: &Parts) -> Result<(), TemplateError> {
    let mut failing = parts.failing();
    failing
        .next()
        .map_or(Ok(()), |(.., error)| Err(error.clone()))
}

/// True if templates of the user's take part in any file of this consumer's.
fn is_made_by_user(consumer: &Consumer, templates: &Templates) -> bool {
    let proxies = consumer.proxy.iter();
    let mut all = proxies.flat_map(|proxy| proxy.kind.templates());
    all.any(|template| templates.users_in(template).next().is_some())
}

/// True if the result of a trial can be seen. The addresses of a consumer that does not run are known when it does.
fn can_be_proven(consumer: &Consumer) -> bool {
    (consumer.reach().is_some() || !consumer.running)
        && matches!(
            consumer.reload,
            Reload::Signal(_) | Reload::Exec(_) | Reload::Restart
        )
}
