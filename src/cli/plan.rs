use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    rc::Rc,
};

use serde::Serialize;

use super::{Call, Exit, Failure, block_on, json, print, setup};
use crate::{
    daemon::{ForeseeError, Survey},
    desire::Complaint,
    observe::Bearer,
    plan::{self, CommandPlan},
    ports::DetailedEngine,
    render::TemplateError,
    values::CertificateName,
};

/// What `--format json` prints.
#[derive(Serialize)]
struct Document<'a> {
    command_plans: Vec<CommandPlan>,
    complaints: &'a BTreeSet<Complaint>,
    faults: &'a [String],
    /// Why certificates that are due are not obtained now, and until when.
    limited: BTreeMap<&'a CertificateName, String>,
}

pub(super) fn run(call: &Call) -> Result<Exit, Failure> {
    block_on(async {
        let (engine, own) = engine(call).await?;
        let daemon = setup::reader(call, engine, own.as_ref())?.0;
        let survey = daemon.survey().await?;
        let Survey {
            now,
            desired,
            observed,
            templates,
            faults,
            ..
        } = &survey;
        faults.iter().for_each(|fault| tracing::error!("{fault}"));
        survey
            .plan
            .notices
            .iter()
            .for_each(|notice| tracing::warn!("{notice}"));
        let mut command_plans =
            plan::command_plans(desired, observed, templates, &daemon.plan_rules, *now);
        let mut complaints = survey.complaints();
        for output in daemon.foresee_outputs(&survey).await? {
            complaints.extend(output.complaints);
            command_plans.extend(CommandPlan::of_output(&output.name, output.steps));
        }
        let limited = &survey.plan.limited;
        let limited: BTreeMap<_, _> = limited
            .iter()
            .map(|(name, reached)| (name, reached.to_string()))
            .collect();
        let is_clean = complaints.is_empty() && faults.is_empty();
        let text = if call.wants_json() {
            json(&Document {
                command_plans,
                complaints: &complaints,
                faults,
                limited,
            })?
        } else {
            complaints
                .iter()
                .for_each(|complaint| tracing::warn!("{complaint}"));
            limited
                .iter()
                .for_each(|(name, reached)| tracing::info!("{name} waits: {reached}"));
            let rendered: Result<Vec<_>, TemplateError> = command_plans
                .iter()
                .map(|plan| plan.render(templates))
                .collect();
            let rendered = rendered?;
            match (rendered.is_empty(), is_clean) {
                (true, true) => "# nothing to do\n".to_owned(),
                (true, false) => "# nothing to do until what is wrong is mended\n".to_owned(),
                (false, _) => rendered.join("\n"),
            }
        };
        print(&text)?;
        Ok(if is_clean { Exit::Done } else { Exit::Partly })
    })
}

/// The engine, or the file that stands for it; and our own container.
async fn engine(call: &Call) -> Result<(Rc<dyn DetailedEngine>, Option<Bearer>), Failure> {
    if let Some(path) = call.options.get_one::<PathBuf>("from") {
        let (engine, own) = setup::recorded(call, path).await?;
        return Ok((engine, own));
    }
    let (engine, own) = setup::reached(call).await?;
    Ok((engine, own))
}

impl From<ForeseeError> for Failure {
    fn from(error: ForeseeError) -> Self {
        match error {
            ForeseeError::Engine(error) => Self::Engine(error),
            ForeseeError::Disk(error) => Self::Disk(error),
        }
    }
}
