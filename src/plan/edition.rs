//! By which templates a consumer is planned for. New templates of the user's are tried with all sites at once, and before
//! that everything is brought to rest with those that it was seen to take. If they are refused, a few sites tell whether
//! it is the templates; if so, these are held back as one, and the earlier ones stay in use, also for sites that come.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{Ipv4Addr, SocketAddr},
    rc::Rc,
};

use itertools::Itertools;

use super::{content::Parts, part::site_file, trial::Mode};
use crate::{
    desire::{Consumer, Reload, Site, SiteContent},
    observe::{Installed, RefusedTemplates, Units},
    render::Templates,
    values::{Digest, FileName, Host},
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
        let new = templates.version();
        let known = &installed.templates;
        let usual = |templates| Ground {
            templates,
            mode: Mode::Usual,
            is_trial_due: false,
            is_trial_cut_off: false,
        };
        if known.used == Some(new) || !is_made_by_user(consumer, templates) {
            return usual(templates);
        }
        let earlier = known.used.and_then(|version| templates.earlier(version));
        let refused = known.refused(new);
        let is_trial_due = !refused
            .is_some_and(|refused| are_condemned(refused, consumer, installed, earlier.is_some()));
        if is_trial_due && !can_be_proven(consumer) {
            // Who can't be seen to take them gets them as it gets everything.
            return usual(templates);
        }
        let is_trial_cut_off = is_trial_due && installed.open && known.trying == Some(new);
        match earlier {
            Some(earlier) => Ground {
                is_trial_due,
                is_trial_cut_off,
                ..usual(earlier)
            },
            None => Ground {
                mode: Mode::WithoutSites {
                    are_held_back: refused.is_some(),
                },
                is_trial_due,
                is_trial_cut_off,
                ..usual(templates)
            },
        }
    }
}

/// Whether templates that were refused are held back: sites that were refused alone and are as they were tell that it is
/// these. Where no earlier ones are known, a site that was not tried yet may tell otherwise.
pub(super) fn are_condemned(
    refused: &RefusedTemplates,
    consumer: &Consumer,
    installed: &Installed,
    is_any_earlier: bool,
) -> bool {
    let is_as_it_was =
        |host: &Host, was: &Digest| consumer.sites.get(host).map(|site| digest(site) == *was);
    let mut alone = refused
        .alone
        .iter()
        .map(|(host, was)| is_as_it_was(host, was));
    let was_tried = |(host, site): (&Host, &Rc<Site>)| {
        refused
            .alone
            .get(host)
            .is_some_and(|was| *was == digest(site))
            || installed.trial.refused.contains_key(&site_file(host))
    };
    match (refused.alone.is_empty(), is_any_earlier) {
        (true, _) => refused.is_all,
        // One that is gone says nothing; one that is another now may be taken.
        (false, true) => {
            refused.is_all
                && alone.clone().flatten().count() > 0
                && alone.all(|same| same != Some(false))
        }
        (false, false) => {
            alone.filter(|same| *same == Some(true)).count() >= SITES_ALONE
                || consumer.sites.iter().all(was_tried)
        }
    }
}

/// What a site is, whoever of its containers runs or takes traffic just now. Another program may tell it otherwise: then it is
/// tried once more.
fn digest(site: &Site) -> Digest {
    let mut site = site.clone();
    if let SiteContent::Routes(routes) = &mut site.content {
        for (_, route) in routes {
            // An address changes with each start, an id with each container, and neither says anything about what is refused.
            let ports = route
                .upstreams
                .iter()
                .chain(&route.idle)
                .map(SocketAddr::port)
                .sorted()
                .dedup();
            let all = ports
                .map(|port| SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)))
                .collect();
            (route.upstreams, route.idle, route.by_id) = (all, Box::default(), None);
        }
    }
    Digest::of_value(&site)
}

/// Whether templates of the user's take part in any file of this consumer's.
fn is_made_by_user(consumer: &Consumer, templates: &Templates) -> bool {
    let kind = consumer.kind;
    let own = kind.own_files.iter().map(|own| own.template);
    let mut all = own.chain([kind.site_template, kind.mark_template]);
    all.any(|template| templates.users_in(template).next().is_some())
}

/// Whether it can be seen what becomes of a trial. Where one that does not run can be reached is known when it does.
fn can_be_proven(consumer: &Consumer) -> bool {
    (consumer.reach.is_some() || !consumer.running)
        && matches!(
            consumer.reload,
            Reload::Signal(_) | Reload::Exec(_) | Reload::Restart
        )
}

/// What goes in the next try of the templates of now: all sites, or one alone where all were refused. None where nothing
/// can be tried, because a template fails for everything.
pub(super) fn trial(parts: &Parts, installed: &Installed, templates: &Templates) -> Option<Mode> {
    let is_any_rendered = parts.unrendered().is_empty() || parts.has_site();
    if !is_any_rendered || parts.unrendered().values().any(|part| part.host.is_none()) {
        return None;
    }
    let Some(refused) = installed.templates.refused(templates.version()) else {
        return Some(Mode::Trial(None));
    };
    let next = samples(parts, installed, &installed.trying)
        .into_iter()
        .find(|file| !is_alone(parts, file, refused))?;
    Some(Mode::Trial(Some(next.clone())))
}

/// What is known if the templates of now are refused in this try.
pub(super) fn refusal(
    parts: &Parts,
    installed: &Installed,
    templates: &Templates,
    after: &Installed,
) -> RefusedTemplates {
    let version = templates.version();
    let mut refused = RefusedTemplates {
        digest: version,
        alone: BTreeMap::new(),
        is_all: false,
        reason: String::new(),
    };
    if let Some(before) = installed.templates.refused(version) {
        let is_as_it_was = |host: &Host, was: Digest| {
            parts
                .site(&site_file(host))
                .is_some_and(|site| digest(site) == was)
        };
        refused.alone = before.alone.clone();
        refused.alone.retain(|host, was| is_as_it_was(host, *was));
    }
    let sites: Vec<_> = after
        .trying
        .keys()
        .filter_map(|file| Some((parts.host(file)?, parts.site(file)?)))
        .collect();
    if let [(host, site)] = sites[..] {
        refused.alone.insert(host.clone(), digest(site));
    }
    let is_over = samples(parts, installed, &after.trying)
        .into_iter()
        .all(|file| is_alone(parts, file, &refused));
    refused.is_all = sites.is_empty() || is_over || refused.alone.len() >= SITES_ALONE;
    refused
}

/// Whether the site of this file was refused alone, as it is now.
fn is_alone(parts: &Parts, file: &FileName, refused: &RefusedTemplates) -> bool {
    let site = parts
        .host(file)
        .and_then(|host| refused.alone.get(host))
        .zip(parts.site(file));
    site.is_some_and(|(was, site)| digest(site) == *was)
}

/// The sites that may be tried alone: the first of those that are made anew or being tried, one in the middle, the last.
fn samples<'a>(
    parts: &'a Parts,
    installed: &Installed,
    tried: &'a Units,
) -> BTreeSet<&'a FileName> {
    let is_free = |file: &&FileName| {
        !installed.foreign.contains(*file) && !installed.trial.refused.contains_key(*file)
    };
    let is_site = |file: &&FileName| parts.get(file).is_some_and(|part| part.host().is_some());
    let new = parts.differing().map(|(file, _)| file).chain(tried.keys());
    let sites: Vec<_> = new
        .filter(is_site)
        .filter(is_free)
        .sorted()
        .dedup()
        .collect();
    let last = sites.len().saturating_sub(1);
    [0, sites.len() / 2, last]
        .into_iter()
        .filter_map(|place| sites.get(place).copied())
        .collect()
}
