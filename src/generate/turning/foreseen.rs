//! The files that outputs would be given, without giving them.

use std::{collections::BTreeSet, rc::Rc};

use super::Turning;
use crate::{
    desire::Complaint,
    generate::{By, Rendering, Telling, files::RenderedFile},
    observe::SharedPath,
    ports::EngineError,
    watching::Watched,
};

/// A forecast for one output.
pub struct Foreseen {
    /// The output's name.
    pub name: String,
    /// The steps, each as its words; empty where all is as it should be.
    pub steps: Vec<Vec<String>>,
    /// Complaints about it.
    pub complaints: BTreeSet<Complaint>,
}

/// Forecasts each output; nothing is written, and no container is notified.
///
/// # Errors
/// When the engine can't be asked.
pub async fn foresee(outputs: &[Rc<Rendering>]) -> Result<Vec<Foreseen>, EngineError> {
    let Some(first) = outputs.first() else {
        return Ok(Vec::new());
    };
    let details = first.look().await?.0;
    let mut all = Vec::new();
    for given in outputs {
        let mut turning = Turning::new(Rc::clone(given));
        turning.replace(details.clone());
        let new = turning.foreseen().await;
        let Some(output) = &given.output else {
            continue;
        };
        let mut steps: Vec<_> = new.iter().map(write_step).collect();
        if !new.is_empty() {
            steps.extend(turning.steps_after());
        }
        all.push(Foreseen {
            name: output.name.clone(),
            steps,
            complaints: turning.output_complaints(output),
        });
    }
    Ok(all)
}

/// As a command plan writes it for other files.
fn write_step(target: &SharedPath) -> Vec<String> {
    let (folder, name) = match target.split() {
        Some((folder, name)) => (folder.to_string(), name.to_owned()),
        None => (String::new(), target.to_string()),
    };
    ["write", &name, "--into", &folder]
        .map(str::to_owned)
        .to_vec()
}

impl Turning {
    /// The files that differ from what their templates make.
    async fn foreseen(&mut self) -> Vec<SharedPath> {
        let made = self.make_all().await;
        let mut new = Vec::new();
        for (number, made) in made.into_iter().enumerate() {
            match made {
                Ok(RenderedFile::New(file)) => new.push(file.target),
                Ok(RenderedFile::Printed(_) | RenderedFile::Unchanged) => {}
                Err(problem) => self.note_fault(number, Some(&problem)),
            }
        }
        new
    }

    /// The steps once new files are in place.
    fn steps_after(&self) -> Vec<Vec<String>> {
        let mut steps = Vec::new();
        for (reader, words) in self.checks() {
            let step = ["check".to_owned(), reader.name.to_string(), "--".to_owned()];
            steps.push(step.into_iter().chain(words).collect());
        }
        for Telling { target, by } in &self.given.tellings {
            for reader in self.meant(target) {
                let name = reader.name.to_string();
                steps.push(match by {
                    By::Signal(signal) => vec!["signal".to_owned(), name, signal.to_string()],
                    By::Restart => vec!["restart".to_owned(), name],
                    By::Exec(words) => {
                        let step = ["exec".to_owned(), name, "--".to_owned()];
                        step.into_iter().chain(words.iter().cloned()).collect()
                    }
                });
            }
        }
        steps
    }
}
