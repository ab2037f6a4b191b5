//! What a consumer needs next: a deployment, or what it had before back.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use super::{
    Action, Deploy, Draft, PlanRules, Planner, TakeBack, backoff,
    content::{PartInputs, Parts},
    deploy::{Case, deploy},
    gate::{self, Elsewhere, Gate},
    ground::{self, Ground},
    held_back::{complaints, of_refused_templates, unrendered},
    obtain::HeldCertificates,
    part, signals,
    trial::{self, Mode},
};
use crate::{
    desire::{Complaint, Consumer},
    observe::{Installed, Observed, Progress, Subject},
    render::{TemplateError, Templates},
    values::{ContainerName, Digest, FileName, Timestamp},
};

/// The parts of each consumer, by the templates that are on trial.
type OnTrial = BTreeMap<ContainerName, Parts>;

/// Plans the deployment to one consumer, if it needs one.
pub(super) fn plan(
    consumer: &Rc<Consumer>,
    (observed, live): (&Observed, &HeldCertificates),
    templates: &Templates,
    rules: &PlanRules,
    now: Timestamp,
    (memory, draft): (&mut Planner, &mut Draft),
) {
    let subject = Subject::Consumer(consumer.name.clone());
    let Some(installed) = observed.installed.get(&consumer.name) else {
        return;
    };
    let signals = signals::seen(consumer, installed, now);
    let told = signals::complaint(consumer, &signals);
    draft.plan.complaints.extend(told);
    let consumer = &signals::in_force(consumer, &signals);
    let gate = Gate::of(consumer, installed, rules);
    let case = Case {
        consumer,
        gate: &gate,
        installed,
        signals: &signals,
        observed,
        live,
        rules,
        now,
    };
    let ground = Ground::of(consumer, installed, templates);
    let (parts, on_trial) = memory.parts(&case.wanted(ground.templates), ground.is_trial_due);
    draft
        .plan
        .complaints
        .extend(complaints(consumer, installed, parts, ground.templates));
    draft
        .plan
        .complaints
        .extend(of_refused_templates(consumer, installed, templates));
    let is_under_way = observed.under_way.contains(&subject);
    let shut = match is_under_way {
        // What is held back, and what is shut, stays so meanwhile.
        true => installed.shut.clone(),
        false => {
            let has_failed = observed.attempts.contains_key(&subject);
            shut(consumer, parts, installed, has_failed)
        }
    };
    let told = complaint_of_shut(consumer, &shut);
    draft.plan.complaints.extend(told);
    if is_under_way {
        return;
    }
    if shut != installed.shut {
        draft.plan.shut.insert(consumer.name.clone(), shut);
    }
    if signals.ended != installed.signals.ended {
        let seen = (consumer.name.clone(), signals.clone());
        draft.plan.signals.extend([seen]);
    }
    if !installed.open {
        let is_in_place = |file: &&FileName| {
            parts
                .get(file)
                .is_some_and(|part| part.is_in_place(file, installed))
        };
        let cleared = installed.trial.files().filter(is_in_place);
        draft
            .plan
            .cleared
            .extend(cleared.map(|file| (consumer.name.clone(), file.clone())));
    }
    if has_died(consumer, installed) {
        return take_back(consumer, installed, observed, now, draft);
    }
    if !consumer.running && installed.progress == Progress::TakenBack {
        return;
    }
    let action = match case.next(
        &ground,
        templates,
        parts,
        on_trial,
        &mut draft.plan.complaints,
    ) {
        Ok(Some(found)) => found,
        Ok(None) => return,
        Err(error) => {
            return draft.plan.complaints.extend([unrendered(consumer, &error)]);
        }
    };
    match backoff::held_back(
        observed.attempts.get(&subject),
        &subject,
        action.attempt.asked,
    ) {
        Some(time) if time > now => draft.wake_at(time),
        _ if action.is_optional => draft.last.push(action),
        _ => draft.plan.actions.push(Action::Deploy(Box::new(action))),
    }
}

impl Case<'_> {
    /// What the folder should hold, by these templates.
    fn wanted<'a>(&'a self, templates: &'a Templates) -> PartInputs<'a> {
        let Self {
            consumer,
            gate,
            installed,
            observed,
            now,
            ..
        } = *self;
        PartInputs {
            consumer,
            gate,
            installed,
            observed,
            templates,
            now,
        }
    }

    /// The deployment that it needs. `parts` are by the templates that it stands on.
    fn next(
        &self,
        ground: &Ground<'_>,
        templates: &Templates,
        parts: &mut Parts,
        on_trial: &mut OnTrial,
        complaints: &mut BTreeSet<Complaint>,
    ) -> Result<Option<Deploy>, TemplateError> {
        if ground.is_trial_due
            && (ground.is_trial_cut_off || self.may_be_tried_at_once(ground, parts))
        {
            // What a template fails for is told below, or with the parts.
            if let Ok(Some(begun)) = self.trial(ground, templates, parts, on_trial) {
                return Ok(Some(begun));
            }
        }
        let usual = deploy(
            self,
            parts,
            ground.templates,
            &ground.mode,
            ground.templates,
        )?;
        let is_at_rest = match self.installed.progress {
            Progress::Proven { .. } => usual.as_ref().is_none_or(|deploy| deploy.is_optional),
            // It was never seen to take anything: that is waited for no longer.
            Progress::Unproven { .. } => usual.as_ref().is_none_or(|deploy| !deploy.changes()),
            Progress::SignalOwed | Progress::TakenBack => false,
        };
        if !(ground.is_trial_due && self.consumer.running && is_at_rest) {
            return Ok(usual);
        }
        let trial = self
            .trial(ground, templates, parts, on_trial)
            .unwrap_or_else(|error| {
                complaints.insert(unrendered(self.consumer, &error));
                None
            });
        Ok(trial.or(usual))
    }

    /// Whether no other templates are there that sites could be made with, and nothing is to be done before these are.
    fn may_be_tried_at_once(&self, ground: &Ground<'_>, parts: &Parts) -> bool {
        match ground.mode {
            Mode::Usual | Mode::Trial(_) => return false,
            // It could not start with what it refuses.
            Mode::WithoutSites {
                are_held_back: true,
            } if !self.consumer.running => return false,
            Mode::WithoutSites { .. } => {}
        }
        let changes = trial::changes(self, parts, false, &ground.mode);
        self.installed.progress != Progress::TakenBack
            && changes.next.is_empty()
            && changes.stopgaps.is_empty()
    }

    /// The next try of the templates of now.
    ///
    /// # Errors
    /// When they can't be tried, because one fails.
    fn trial(
        &self,
        ground: &Ground<'_>,
        templates: &Templates,
        parts: &mut Parts,
        on_trial: &mut OnTrial,
    ) -> Result<Option<Deploy>, TemplateError> {
        let parts = match ground.mode {
            Mode::Usual => {
                let tried = on_trial
                    .entry(self.consumer.name.clone())
                    .or_insert_with(Parts::none);
                tried.follow(&self.wanted(templates));
                tried
            }
            _ => parts,
        };
        match ground::trial(parts, self.installed, templates) {
            Some(mode) => deploy(self, parts, templates, &mode, ground.templates),
            None => match parts.unrendered().values().next() {
                Some(part) => Err(part.error.clone()),
                None => Ok(None),
            },
        }
    }
}

/// The sites that have to be shut: what is live leads to addresses that are not theirs any more, and may be others' by
/// now, and no reload comes that would mend it. What is shut stays so until what follows is seen.
fn shut(
    consumer: &Consumer,
    parts: &Parts,
    installed: &Installed,
    has_failed: bool,
) -> BTreeSet<FileName> {
    let is_settled = !installed.open
        && matches!(
            installed.progress,
            Progress::Proven { .. } | Progress::Unproven { .. }
        );
    let is_held_back = |file: &FileName| installed.trial.files().any(|known| known == file);
    let files = parts.differing().map(|(file, _)| file);
    let lead_elsewhere = files.filter(|file| {
        consumer.running
            && (has_failed || is_held_back(file))
            && gate::elsewhere(parts, installed, file) != Elsewhere::Nowhere
    });
    let stay = installed.shut.iter().filter(|_| !is_settled).cloned();
    lead_elsewhere
        .filter_map(part::closed_name)
        .chain(stay)
        .collect()
}

fn complaint_of_shut(consumer: &Consumer, shut: &BTreeSet<FileName>) -> Option<Complaint> {
    let names = shut
        .iter()
        .map(FileName::as_str)
        .collect::<Vec<_>>()
        .join(", ");
    let problem = format!(
        "requests for {names} get 503: what {} serves leads to addresses that are not theirs any more and may be others' \
         by now, and it takes nothing new",
        consumer.name
    );
    let remedy = format!(
        "see why it takes nothing new: `docker logs {}`",
        consumer.name
    );
    (!shut.is_empty()).then(|| consumer.said.clone().complains(problem, remedy))
}

fn take_back(
    consumer: &Rc<Consumer>,
    installed: &Installed,
    observed: &Observed,
    now: Timestamp,
    draft: &mut Draft,
) {
    let subject = Subject::Consumer(consumer.name.clone());
    let before = observed.attempts.get(&subject);
    let attempt = backoff::attempt(
        before,
        Digest::of_parts(["take back", &installed.generation.to_string()]),
        now,
    );
    match backoff::held_back(before, &subject, attempt.asked).filter(|time| *time > now) {
        Some(time) => draft.wake_at(time),
        None => {
            let take_back = TakeBack {
                consumer: Rc::clone(consumer),
                before: installed.clone(),
                attempt,
            };
            draft
                .plan
                .actions
                .push(Action::TakeBack(Box::new(take_back)));
        }
    }
}

/// Whether it ended with files that it had not shown to be good: it may be these that it can't start with.
fn has_died(consumer: &Consumer, installed: &Installed) -> bool {
    let before = installed.process;
    // One that can't be told takes up what it was given when it is stopped and started: its stop says nothing.
    let was_told = before.running && installed.progress == Progress::SignalOwed;
    installed.open && !consumer.running && (was_told || before.started_at != consumer.started_at)
}
