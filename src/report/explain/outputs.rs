//! Files of the user's own in the proxies that serve the name, as the daemon left them after its last turn.

use super::{Findings, Inspection};

/// The subject.
const ABOUT: &str = "outputs";

pub(super) fn tell(facts: &Inspection<'_>, told: &mut Findings) {
    let Some(status) = facts.status else { return };
    for (name, output) in &status.outputs {
        let mut proxies = facts.proxies();
        let Some(proxy) = proxies.find(|proxy| output.readers.contains(&proxy.name)) else {
            continue;
        };
        let (reader, label) = (&proxy.name, format!("outputs.{name}"));
        let all = status.complaints.iter();
        let mut complaints = all
            .filter(|complaint| *complaint.origin.label == *label)
            .peekable();
        if complaints.peek().is_none() && output.current {
            told.ok(
                ABOUT,
                format!("{name}, a file of yours in {reader}, is as its template makes it"),
            );
        }
        for complaint in complaints {
            let says = format!("{name}, a file of yours in {reader}: {}", complaint.problem);
            told.problem(ABOUT, says, complaint.remedy.as_str());
        }
    }
}
