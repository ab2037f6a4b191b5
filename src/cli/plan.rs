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
    render::{TemplateError, Templates},
    values::CertificateName,
};

/// The document of `--format json`.
#[derive(Serialize)]
struct Document<'a> {
    command_plans: Vec<CommandPlan>,
    complaints: &'a BTreeSet<Complaint>,
    faults: &'a [String],
    /// The reasons why certificates that are due are not obtained now, and the ends of these.
    limited: BTreeMap<&'a CertificateName, String>,
    /// Which CA certificates are asked of that is not the first of their list, and why.
    other_cas: BTreeMap<&'a CertificateName, String>,
}

pub(super) fn run(call: &Call) -> Result<Exit, Failure> {
    block_on(async {
        let (engine, own) = engine(call).await?;
        let mut daemon = setup::reader(call, engine, own.as_ref())?.0;
        if call.options.contains_id("from") {
            // The file stands for all that is there.
            daemon.ports.other_engines.clear();
        }
        let survey = daemon.survey().await?;
        let Survey {
            now,
            desired,
            observed,
            templates,
            faults,
            plan,
            ..
        } = &survey;
        faults.iter().for_each(|fault| tracing::error!("{fault}"));
        let notices = plan.notices.iter();
        notices.for_each(|notice| tracing::warn!("{notice}"));
        let mut command_plans =
            plan::command_plans(desired, observed, templates, &daemon.plan_rules, *now);
        let mut complaints = survey.complaints();
        for output in daemon.foresee_outputs(&survey).await? {
            complaints.extend(output.complaints);
            command_plans.extend(CommandPlan::of_output(&output.name, output.steps));
        }
        let limited = plan.limited.iter();
        let others = plan.other_cas.iter();
        let document = Document {
            command_plans,
            complaints: &complaints,
            faults,
            limited: limited
                .map(|(name, reached)| (name, reached.to_string()))
                .collect(),
            other_cas: others
                .map(|(name, other)| (name, other.to_string()))
                .collect(),
        };
        let text = match call.wants_json() {
            true => json(&document)?,
            false => told(&document, templates)?,
        };
        print(&text)?;
        Ok(if document.is_clean() {
            Exit::Done
        } else {
            Exit::Partly
        })
    })
}

impl Document<'_> {
    /// True if there is no problem.
    fn is_clean(&self) -> bool {
        self.complaints.is_empty() && self.faults.is_empty()
    }
}

/// The text for people; problems are in the log.
fn told(document: &Document<'_>, templates: &Templates) -> Result<String, TemplateError> {
    let complaints = document.complaints.iter();
    complaints.for_each(|complaint| tracing::warn!("{complaint}"));
    for (name, reached) in &document.limited {
        tracing::info!("{name} waits: {reached}");
    }
    for (name, why) in &document.other_cas {
        tracing::info!("{name}: {why}");
    }
    let plans = document.command_plans.iter();
    let rendered: Vec<_> = plans
        .map(|plan| plan.render(templates))
        .collect::<Result<_, _>>()?;
    Ok(match (rendered.is_empty(), document.is_clean()) {
        (true, true) => "# nothing to do\n".to_owned(),
        (true, false) => "# nothing to do until what is wrong is fixed\n".to_owned(),
        (false, _) => rendered.join("\n"),
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
