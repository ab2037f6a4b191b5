//! By which templates a consumer is planned for. New templates of the user's are tried with all sites at once, and before
//! that everything is brought to rest with those that it was seen to take. If they are refused, a few sites tell whether
//! it is the templates; if so, these are held back as one, and the earlier ones stay in use, also for sites that come.

use super::{content::Parts, trial::Mode};
use crate::{
    desire::{Consumer, Reload},
    observe::{Installed, RefusedTemplates},
    render::Templates,
    values::FileName,
};

/// Sites that are tried alone before templates are held to be what is refused.
const SITES_ALONE: usize = 3;

/// By which templates a consumer is planned for.
pub(super) struct Ground<'t> {
    /// Those that are used.
    pub templates: &'t Templates,
    /// What of that may go.
    pub mode: Mode,
    /// Whether the templates of now are still to be tried.
    pub is_trial_due: bool,
    /// Whether that trial was begun, and nobody knows how it went.
    pub is_trial_cut_off: bool,
}

impl<'t> Ground<'t> {
    /// Given the templates of now.
    pub fn of(consumer: &Consumer, installed: &Installed, templates: &'t Templates) -> Self {
        let new = templates.digest();
        let known = &installed.templates;
        let usual = |templates| Ground { templates, mode: Mode::Usual, is_trial_due: false, is_trial_cut_off: false };
        if known.used == Some(new) || !is_made_by_user(consumer, templates) || !can_be_proven(consumer) {
            return usual(templates);
        }
        let refused = known.refused(new);
        let is_trial_due = !refused.is_some_and(|refused| refused.are_condemned);
        let is_trial_cut_off = is_trial_due && installed.open && known.trying == Some(new);
        match known.used.and_then(|digest| templates.earlier(digest)) {
            Some(earlier) => Ground { is_trial_due, is_trial_cut_off, ..usual(earlier) },
            None => Ground {
                mode: Mode::WithoutSites { are_held_back: refused.is_some() },
                is_trial_due,
                is_trial_cut_off,
                ..usual(templates)
            },
        }
    }
}

/// Whether templates of the user's take part in any file of this consumer's.
fn is_made_by_user(consumer: &Consumer, templates: &Templates) -> bool {
    let kind = consumer.kind;
    let own = kind.own_files.iter().map(|own| own.template);
    let mut all = own.chain([kind.site_template, kind.mark_template]);
    all.any(|template| templates.users_in(template).next().is_some())
}

/// Whether it can be seen what becomes of a trial.
fn can_be_proven(consumer: &Consumer) -> bool {
    consumer.reach.is_some() && matches!(consumer.reload, Reload::Signal(_) | Reload::Exec(_) | Reload::Restart)
}

/// What goes in the next try of the templates of now: all sites, or one alone where all were refused. None where nothing
/// can be tried, because a template fails for everything.
pub(super) fn trial(parts: &Parts, installed: &Installed, templates: &Templates) -> Option<Mode> {
    let is_any_rendered = parts.unrendered().is_empty() || parts.has_site();
    if !is_any_rendered || parts.unrendered().values().any(|part| part.host.is_none()) {
        return None;
    }
    let Some(refused) = installed.templates.refused(templates.digest()) else { return Some(Mode::Trial(None)) };
    let next = samples(parts, installed).find(|file| !refused.alone.contains(*file))?;
    Some(Mode::Trial(Some(next.clone())))
}

/// What is known if the templates of now are refused in this try.
pub(super) fn refusal(
    parts: &Parts,
    installed: &Installed,
    templates: &Templates,
    after: &Installed,
) -> RefusedTemplates {
    let digest = templates.digest();
    let mut alone = installed.templates.refused(digest).map(|refused| refused.alone.clone()).unwrap_or_default();
    let sites: Vec<&FileName> = after.trying.keys().filter(|file| parts.host(file).is_some()).collect();
    if let [site] = sites[..] {
        alone.insert(site.clone());
    }
    let is_over = samples(parts, installed).all(|file| alone.contains(file));
    let are_condemned = is_over || alone.len() >= SITES_ALONE;
    RefusedTemplates { digest, alone, are_condemned, reason: String::new() }
}

/// The sites that may be tried alone: the first that is made anew, one in the middle, the last.
fn samples<'a>(parts: &'a Parts, installed: &Installed) -> impl Iterator<Item = &'a FileName> {
    let is_free = |file: &FileName| !installed.foreign.contains(file) && !installed.trial.refused.contains_key(file);
    let sites = parts.differing().filter(|(_, part)| part.is_some_and(|part| part.host().is_some()));
    let sites: Vec<_> = sites.map(|(file, _)| file).filter(|file| is_free(file)).collect();
    let last = sites.len().saturating_sub(1);
    [0, sites.len() / 2, last].map(|place| sites.get(place).copied()).into_iter().flatten()
}
