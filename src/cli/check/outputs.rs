//! Files of the user's own: whether each can be made, and put where its consumer reads it.

use crate::{
    daemon::{Daemon, Survey},
    report::{Findings, chain},
};

const ABOUT: &str = "outputs";

pub(super) async fn look(daemon: &Daemon, survey: &Survey, told: &mut Findings) {
    let outputs = match daemon.foresee_outputs(survey).await {
        Ok(outputs) => outputs,
        Err(error) => return told.problem(ABOUT, chain(&error), ""),
    };
    for output in outputs {
        let name = &output.name;
        for complaint in &output.complaints {
            let says = format!("{name}: {}", complaint.problem);
            told.problem(ABOUT, says, complaint.remedy.as_str());
        }
        match (output.complaints.is_empty(), output.steps.is_empty()) {
            (false, _) => {}
            (true, true) => told.ok(ABOUT, format!("{name} is as its template makes it")),
            (true, false) => told.note(
                ABOUT,
                format!(
                    "{name} can be made; what lies there differs, and `quaymaster watch` writes it"
                ),
            ),
        }
    }
}
