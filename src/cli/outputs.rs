//! From the settings of outputs to what renders them.

use std::{rc::Rc, sync::Arc};

use super::{Call, Failure, ca_setup};
use crate::{
    adapters::{
        clock::SystemClock,
        disk::{AnyFiles, SharedFiles},
        fetch::UrlTexts,
    },
    daemon::Outputs,
    generate::{
        By, Checking, OutputBoard, Pair, PartOfWatch, Rendering, ShownContainers, Telling,
        TemplateSource,
    },
    observe::Bearer,
    ports::DetailedEngine,
    values::{Interval, Output, ReloadWord},
};

/// All outputs of the settings.
pub(super) fn outputs(
    call: &Call,
    engine: &Rc<dyn DetailedEngine>,
    own: Option<&Bearer>,
) -> Result<Outputs, Failure> {
    let settings = &call.settings;
    let mut outputs = Outputs::default();
    if settings.outputs.is_empty() {
        return Ok(outputs);
    }
    let urls =
        UrlTexts::new(false, &ca_setup::https_proxy(call)?).map_err(|error| Failure::Bug {
            what: "URLs can't be fetched",
            source: error.into(),
        })?;
    let urls = Rc::new(urls);
    let variables = call.environment.iter();
    let variables = variables.filter(|(name, _)| settings.template_env.have(name));
    let variables = Arc::new(
        variables
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect(),
    );
    for output in &settings.outputs {
        outputs.each.push(Rc::new(Rendering {
            engine: Rc::clone(engine),
            clock: Rc::new(SystemClock),
            files: Rc::new(AnyFiles),
            targets: Rc::new(SharedFiles),
            urls: urls.clone(),
            pairs: vec![Pair {
                template: TemplateSource::File(output.template.clone()),
                target: Some(output.target.clone()),
            }],
            checks: checks(output),
            tellings: tellings(output),
            interval: Interval::default(),
            repeat: None,
            shown: ShownContainers::All,
            tells_of_printed: false,
            own: own.map(|own| own.id.clone()),
            variables: Arc::clone(&variables),
            output: Some(PartOfWatch {
                name: output.name.clone(),
                consumer: output.consumer.clone(),
                variables: settings.template_env.clone(),
                resync: settings.resync,
                board: Rc::<OutputBoard>::clone(&outputs.board),
            }),
        }));
    }
    Ok(outputs)
}

fn checks(output: &Output) -> Vec<Checking> {
    let each = output.consumer.iter().zip(&output.check);
    let check = |(target, words): (&String, &Vec<String>)| Checking {
        target: target.clone(),
        words: words.clone(),
    };
    each.map(check).collect()
}

fn tellings(output: &Output) -> Vec<Telling> {
    let by = match &output.reload {
        ReloadWord::Signal(signal) => Some(By::Signal(*signal)),
        ReloadWord::Exec(words) => Some(By::Exec(words.clone())),
        ReloadWord::Restart => Some(By::Restart),
        ReloadWord::None => None,
    };
    let telling = |(target, by): (&String, By)| Telling {
        target: target.clone(),
        by,
    };
    output.consumer.iter().zip(by).map(telling).collect()
}
