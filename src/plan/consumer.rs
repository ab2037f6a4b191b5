//! The next need of a consumer: a deployment, or its earlier files back.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use super::{
    Action, Deploy, Draft, PlanRules, Planner, TakeBack, backoff,
    case::Case,
    content::Parts,
    deploy::deploy,
    edition::{self, Edition, Making},
    gate::{self, Astray, Gate},
    held_back::{complaints, of_refused_templates, unrendered, untried},
    obtain::HeldCertificates,
    part,
    selection::Selection,
    server, signals, used,
};
use crate::{
    desire::{Complaint, Consumer},
    observe::{Installed, Observed, PartName, Progress},
    render::{TemplateError, Templates},
    values::{ContainerName, Digest, FileName, Timestamp},
};

/// The parts of each consumer, by the templates that are on trial.
type OnTrial = BTreeMap<ContainerName, Parts>;

/// Plans the deployment to one consumer, if it needs one.
pub(super) fn plan(
    consumer: &Rc<Consumer>,
    (observed, live, selection): (&Observed, &Rc<HeldCertificates>, &Selection<'_>),
    templates: &Templates,
    rules: &PlanRules,
    now: Timestamp,
    (memory, draft): (&mut Planner, &mut Draft),
) {
    let Some(installed) = observed.installed.get(&consumer.name) else {
        return;
    };
    let signals = signals::seen(consumer, installed, now);
    let of_signals = signals::complaint(consumer, &signals);
    draft.plan.complaints.extend(of_signals);
    let consumer = &signals::in_force(consumer, &signals);
    let gate = Gate::of(consumer, installed, rules);
    let case = Case {
        consumer,
        gate: &gate,
        listens_ipv6: server::listens_ipv6(consumer, installed),
        installed,
        signals: &signals,
        observed,
        live,
        selection,
        rules,
        now,
    };
    let edition = Edition::of(consumer, installed, templates);
    let (parts, on_trial) = memory.parts(&case.wanted(edition.templates), edition.is_trial_due);
    draft.wake_at(parts.until());
    case.complain(parts, &edition, templates, &mut draft.plan.complaints);
    let is_under_way = observed.under_way.contains(&case.subject());
    let shut = case.shut(parts, is_under_way);
    draft
        .plan
        .complaints
        .extend(complaint_of_shut(consumer, &shut));
    if is_under_way {
        return;
    }
    case.note(parts, &shut, draft);
    if has_died(consumer, installed) {
        return case.take_back(draft);
    }
    let is_back = installed.progress == Progress::TakenBack;
    if !consumer.running && is_back && !lacks_certificate(consumer, parts, installed) {
        return;
    }
    let told = &mut draft.plan.complaints;
    match case.next(&edition, templates, parts, on_trial, told) {
        Ok(Some(found)) => case.begin(found, shut, draft),
        Ok(None) => {}
        Err(error) => drop(told.insert(unrendered(consumer, &error))),
    }
}

impl Case<'_> {
    /// Tells what is held back.
    fn complain(
        &self,
        parts: &Parts,
        edition: &Edition<'_>,
        templates: &Templates,
        told: &mut BTreeSet<Complaint>,
    ) {
        let (consumer, installed) = (self.consumer, self.installed);
        told.extend(used::complaints(consumer));
        told.extend(complaints(self, parts, edition.templates));
        told.extend(of_refused_templates(consumer, installed, templates));
    }

    /// Notes what is known better than it is written down.
    fn note(&self, parts: &Parts, shut: &BTreeSet<FileName>, draft: &mut Draft) {
        let (name, installed) = (&self.consumer.name, self.installed);
        if *shut != installed.shut {
            draft.plan.shut.insert(name.clone(), shut.clone());
        }
        if self.signals.ended != installed.signals.ended {
            let seen = self.signals.clone();
            draft.plan.signals.insert(name.clone(), seen);
        }
        if !installed.open {
            let cleared = installed
                .trial
                .parts()
                .filter(|part| self.is_clear(parts, part));
            let cleared = cleared.map(|part| (name.clone(), part.clone()));
            draft.plan.cleared.extend(cleared);
        }
    }

    /// True if a part that was refused or in doubt is as it should be.
    fn is_clear(&self, parts: &Parts, part: &PartName) -> bool {
        let to = (&**self.consumer, &**self.installed);
        match part {
            PartName::File(file) => parts
                .get(file)
                .is_some_and(|part| part.is_in_place(file, to)),
            // One of the user's that is refused is so as long as it is there, though ours takes its place.
            PartName::Certificate(name) => {
                let held = self.observed.held.get(name);
                held.is_some_and(|held| to.1.certificates.get(name) == Some(&held.digest))
            }
            PartName::Removal(file) => !to.1.files.contains_key(file),
        }
    }

    /// Plans a deployment, unless it failed a while ago. These sites are shut before it: what is forgotten here would stay
    /// so.
    fn begin(&self, mut deploy: Deploy, shut: BTreeSet<FileName>, draft: &mut Draft) {
        deploy.after.shut = shut;
        let subject = self.subject();
        let before = self.observed.attempts.get(&subject);
        match backoff::held_back(before, &subject, deploy.attempt.asked, self.now) {
            Some(time) if time > self.now => draft.wake_at(time),
            _ if deploy.is_optional => draft.last.push(deploy),
            _ => draft.plan.actions.push(Action::Deploy(Box::new(deploy))),
        }
    }

    /// The deployment that it needs. `parts` are by the edition that it stands on.
    fn next(
        &self,
        edition: &Edition<'_>,
        templates: &Templates,
        parts: &mut Parts,
        on_trial: &mut OnTrial,
        complaints: &mut BTreeSet<Complaint>,
    ) -> Result<Option<Deploy>, TemplateError> {
        if edition.is_trial_cut_off
            && let Ok(Some(begun)) = self.trial(edition, templates, on_trial)
        {
            return Ok(Some(begun));
        }
        let making = Making {
            templates: edition.templates,
            in_place_of: None,
        };
        let usual = deploy(self, parts, &making)?;
        let is_at_rest = match self.installed.progress {
            Progress::Proven { .. } => usual.as_ref().is_none_or(|deploy| deploy.is_optional),
            // It was never seen to take anything: that is waited for no longer.
            Progress::Unproven { .. } => usual
                .as_ref()
                .is_none_or(|deploy| !deploy.changes_folders()),
            Progress::SignalOwed | Progress::TakenBack => false,
        };
        if !(edition.is_trial_due && self.consumer.running && is_at_rest) {
            return Ok(usual);
        }
        let trial = self
            .trial(edition, templates, on_trial)
            .unwrap_or_else(|error| {
                complaints.insert(untried(self.consumer, &error));
                None
            });
        Ok(trial.or(usual))
    }

    /// The try of the edition of now.
    ///
    /// # Errors
    /// When it can't be tried, because a template fails.
    fn trial(
        &self,
        edition: &Edition<'_>,
        templates: &Templates,
        on_trial: &mut OnTrial,
    ) -> Result<Option<Deploy>, TemplateError> {
        let parts = on_trial
            .entry(self.consumer.name.clone())
            .or_insert_with(Parts::none);
        parts.follow(&self.wanted(templates));
        edition::can_be_tried(parts)?;
        let making = Making {
            templates,
            in_place_of: Some(edition.templates),
        };
        deploy(self, parts, &making)
    }

    /// The sites that have to be shut: what is live leads to addresses that are not theirs any more, and may be others' by
    /// now, and no reload comes that would mend it. What is shut stays so until what follows is seen.
    fn shut(&self, parts: &Parts, is_under_way: bool) -> BTreeSet<FileName> {
        let installed = self.installed;
        if is_under_way {
            // What is held back, and what is shut, stays so meanwhile.
            return installed.shut.clone();
        }
        let has_failed = self.observed.attempts.contains_key(&self.subject());
        let is_settled = !installed.open
            && matches!(
                installed.progress,
                Progress::Proven { .. } | Progress::Unproven { .. }
            );
        let is_held_back = |file: &FileName| {
            let mut known = installed.trial.parts();
            known.any(|part| part.file() == Some(file))
        };
        let files = parts.differing().map(|(file, _)| file);
        let lead_elsewhere = files.filter(|file| {
            self.consumer.running
                && (has_failed || is_held_back(file))
                && gate::elsewhere(parts, installed, file) != Astray::Nowhere
        });
        let stay = installed.shut.iter().filter(|_| !is_settled).cloned();
        lead_elsewhere
            .filter_map(part::closed_name)
            .chain(stay)
            .collect()
    }

    /// Plans to bring back what was there before.
    fn take_back(&self, draft: &mut Draft) {
        let subject = self.subject();
        let before = self.observed.attempts.get(&subject);
        let generation = self.installed.generation.to_string();
        let asked = Digest::of_parts(["take back", &generation]);
        let attempt = backoff::attempt(before, asked, self.now);
        match backoff::held_back(before, &subject, asked, self.now).filter(|time| *time > self.now)
        {
            Some(time) => draft.wake_at(time),
            None => draft.plan.actions.push(Action::TakeBack(Box::new(TakeBack {
                consumer: Rc::clone(self.consumer),
                before: Rc::clone(self.installed),
                attempt,
            }))),
        }
    }
}

fn complaint_of_shut(consumer: &Consumer, shut: &BTreeSet<FileName>) -> Option<Complaint> {
    let names = shut
        .iter()
        .map(FileName::as_str)
        .collect::<Vec<_>>()
        .join(", ");
    let problem = format!(
        "requests for {names} get 503: the files that {} serves lead to old addresses, which other containers may have \
         by now, and it does not accept new files",
        consumer.name
    );
    let remedy = format!(
        "find out why it accepts no new files: `docker logs {}`",
        consumer.name
    );
    (!shut.is_empty()).then(|| consumer.said.clone().complains(problem, remedy))
}

/// True if a server that gets certificates alone has none for a name that it asks for: it may not start without.
fn lacks_certificate(consumer: &Consumer, parts: &Parts, installed: &Installed) -> bool {
    let mut used = parts.used().keys();
    consumer.proxy.is_none() && used.any(|name| !installed.certificates.contains_key(name))
}

/// True if it ended with files that it had not shown to be good: these may be the reason why it can't start.
fn has_died(consumer: &Consumer, installed: &Installed) -> bool {
    let before = installed.process;
    // One that can't be told takes up what it was given when it is stopped and started: its stop says nothing.
    let was_told = before.running && installed.progress == Progress::SignalOwed;
    installed.open && !consumer.running && (was_told || before.started_at != consumer.started_at)
}
