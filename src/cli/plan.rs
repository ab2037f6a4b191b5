use std::{collections::BTreeSet, path::PathBuf, rc::Rc};

use serde::Serialize;

use super::{Call, Exit, Failure, block_on, print, setup};
use crate::{
    daemon::ForeseeError, desire::Complaint, observe::Container, plan::CommandPlan, ports::Engine,
    render::TemplateError,
};

/// What stands for the mark's name where none was made yet: this command makes nothing.
const NO_MARK_YET: &str = "quaymaster-0000000000000000";

/// What `--format json` prints.
#[derive(Serialize)]
struct Document {
    command_plans: Vec<CommandPlan>,
    complaints: BTreeSet<Complaint>,
}

pub(super) fn run(call: &Call) -> Result<Exit, Failure> {
    block_on(async {
        let (engine, own) = engine(call).await?;
        let folders = setup::folders(call, own.as_ref());
        let mark_host = folders.known_mark_host().unwrap_or_else(|| NO_MARK_YET.to_owned());
        let daemon = setup::daemon(call, engine, folders, own.as_ref(), mark_host)?;
        let (command_plans, complaints, templates) = daemon.foresee().await?;
        let text = if call.wants_json() {
            let document = Document { command_plans, complaints };
            let text = serde_json::to_string_pretty(&document)
                .map_err(|error| Failure::Bug { what: "the plan can't be written as JSON", source: error.into() })?;
            text + "\n"
        } else {
            complaints.iter().for_each(|complaint| tracing::warn!("{complaint}"));
            let rendered: Result<Vec<_>, TemplateError> =
                command_plans.iter().map(|plan| plan.render(&templates)).collect();
            let rendered = rendered?;
            match rendered.is_empty() {
                true => "# nothing to do\n".to_owned(),
                false => rendered.join("\n"),
            }
        };
        print(&text)?;
        Ok(Exit::Done)
    })
}

/// The engine, or the file that stands for it; and our own container.
async fn engine(call: &Call) -> Result<(Rc<dyn Engine>, Option<Container>), Failure> {
    if let Some(path) = call.options.get_one::<PathBuf>("from") {
        let (engine, own) = setup::recorded(call, path).await?;
        return Ok((engine, own));
    }
    let engine = setup::engine(call)?;
    let own = setup::own(call, &engine).await?;
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
