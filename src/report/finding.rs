use std::fmt;

use serde::Serialize;

use crate::{
    desire::visible,
    observe::{Snapshot, times},
    values::ContainerName,
};

/// Something that was looked at, and what was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The subject, in a word or two; findings about the same follow each other.
    pub about: &'static str,
    /// The state of the subject.
    pub state: FindingState,
    /// The finding, in words.
    pub says: String,
    /// The remedy.
    pub remedy: Option<String>,
}

/// The state of a finding's subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FindingState {
    /// As it should be.
    Ok,
    /// Worth knowing, and no fault.
    Note,
    /// Wrong.
    Problem,
}

impl fmt::Display for FindingState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Problem => "PROBLEM",
        })
    }
}

/// The remedy for a container that does not run. A container that its restart policy is about to start again needs
/// none.
pub fn start_it(name: &ContainerName, snapshot: &Snapshot) -> String {
    let container = snapshot.bearers.get(name);
    if let Some(container) = container.filter(|container| container.is_restarting()) {
        let before = match container.restarts {
            0 => String::new(),
            restarts => format!(", as it did {} already", times(restarts)),
        };
        return format!(
            "its restart policy starts it again by itself{before}; `docker logs {name}` says why it ends"
        );
    }
    format!(
        "start it: `docker start {name}`, which says what keeps it from starting; `docker logs {name}` says why it ended"
    )
}

/// Findings in the order in which they were made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings(pub Vec<Finding>);

impl Findings {
    /// Something is as it should be.
    pub fn ok(&mut self, about: &'static str, says: impl AsRef<str>) {
        self.add(about, FindingState::Ok, says.as_ref(), "");
    }

    /// Something is worth knowing.
    pub fn note(&mut self, about: &'static str, says: impl AsRef<str>) {
        self.add(about, FindingState::Note, says.as_ref(), "");
    }

    /// Something is no fault, and can be better.
    pub fn advice(&mut self, about: &'static str, says: impl AsRef<str>, remedy: impl AsRef<str>) {
        self.add(about, FindingState::Note, says.as_ref(), remedy.as_ref());
    }

    /// Something is wrong; an empty remedy where another finding has it.
    pub fn problem(&mut self, about: &'static str, says: impl AsRef<str>, remedy: impl AsRef<str>) {
        self.add(about, FindingState::Problem, says.as_ref(), remedy.as_ref());
    }

    fn add(&mut self, about: &'static str, state: FindingState, says: &str, remedy: &str) {
        let remedy = (!remedy.is_empty()).then(|| visible(remedy));
        self.0.push(Finding {
            about,
            state,
            says: visible(says),
            remedy,
        });
    }

    /// True if there is no problem.
    pub fn is_well(&self) -> bool {
        self.problems().next().is_none()
    }

    /// The problems.
    pub fn problems(&self) -> impl Iterator<Item = &Finding> {
        self.0
            .iter()
            .filter(|finding| finding.state == FindingState::Problem)
    }

    /// The first steps: the remedies of the first problems, each once, at most so many.
    pub fn next_steps(&self, most: usize) -> Vec<&str> {
        let mut steps: Vec<&str> = Vec::new();
        for remedy in self
            .problems()
            .filter_map(|problem| problem.remedy.as_deref())
        {
            if !steps.contains(&remedy) {
                steps.push(remedy);
            }
        }
        steps.truncate(most);
        steps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_a_label_reaches_a_terminal_as_it_is() {
        let mut findings = Findings::default();
        findings.problem("labels", "it says \u{1b}[2J", "write\nanother");
        assert_eq!(findings.0[0].says, r"it says \u{1b}[2J");
        assert_eq!(findings.next_steps(1), [r"write\nanother"]);
    }

    #[test]
    fn what_to_do_comes_from_the_first_problems_and_is_said_once() {
        let mut findings = Findings::default();
        findings.ok("engine", "it answers");
        assert!(findings.is_well());
        findings.problem("proxy", "it does not run", "start it");
        findings.problem("file", "it is not there", "");
        findings.problem("mark", "it is not seen", "start it");
        findings.problem("daemon", "it is gone", "start the daemon");
        findings.problem("app", "it is gone", "start the app");
        assert_eq!(findings.next_steps(2), ["start it", "start the daemon"]);
        assert!(!findings.is_well());
    }
}
