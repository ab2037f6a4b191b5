use std::{collections::BTreeMap, time::Duration};

use crate::{
    observe::Subject,
    values::{EngineName, FileName, Retry},
};

/// The upper bounds of the parts into which turns are counted by how long they took, in seconds: a turn that takes more
/// than some milliseconds makes a signal late.
pub const TURN_BOUNDS: [f64; 10] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0,
];

/// The count of events since the program began. Nothing is decided by it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tally {
    /// Events, by their names.
    pub events: BTreeMap<&'static str, u64>,
    /// Actions that have ended, by what they were about and how they ended.
    pub actions: BTreeMap<(&'static str, &'static str), u64>,
    /// Turns that took no longer than each bound, and not shorter than the one before; the last are those beyond.
    pub turns: [u64; TURN_BOUNDS.len() + 1],
    /// Time of all turns together.
    pub turned: Duration,
    /// Bytes of files that were rendered for consumers, or taken to be written.
    pub rendered_bytes: u64,
    /// True if the engine is followed now.
    pub is_engine_followed: bool,
    /// The reason why it is not, once it is known.
    pub engine_problem: Option<String>,
    /// Engines that have a name: none while one is followed, else the reason why it is not.
    pub other_engines: BTreeMap<EngineName, Option<String>>,
}

impl Tally {
    /// Counts an event by its name.
    pub fn count_event(&mut self, name: &'static str) {
        *self.events.entry(name).or_default() += 1;
    }

    /// Counts an action that has ended, well or in a failure that is tried again in this way.
    pub fn count_action(&mut self, subject: &Subject, failure: Option<Retry>) {
        let about = match subject {
            Subject::Certificate(_) => "certificate",
            Subject::Fallback(_) => "fallback",
            Subject::Consumer(_) => "consumer",
        };
        let end = match failure {
            None => "done",
            Some(Retry::Backoff) => "failed",
            Some(Retry::Daily) => "refused",
            Some(Retry::NotBefore(_)) => "postponed",
            Some(Retry::SelfCheck) => "self-check",
            Some(Retry::Propagation(_)) => "propagation",
        };
        *self.actions.entry((about, end)).or_default() += 1;
    }

    /// Counts files that are written.
    pub fn count_rendered(&mut self, files: &BTreeMap<FileName, String>) {
        let bytes = files.values().map(|text| text.len() as u64);
        self.rendered_bytes += bytes.sum::<u64>();
    }

    /// Notes that an engine is followed, or why it is not.
    pub fn note_engine(&mut self, engine: Option<&EngineName>, problem: Option<String>) {
        match engine {
            Some(engine) => drop(self.other_engines.insert(engine.clone(), problem)),
            None => {
                self.is_engine_followed = problem.is_none();
                self.engine_problem = problem;
            }
        }
    }

    /// Engines that can't be followed now, each with the reason.
    pub fn engines_away(&self) -> Vec<String> {
        let problems = self.other_engines.iter();
        problems
            .filter_map(|(engine, problem)| Some(format!("{engine}: {}", problem.as_ref()?)))
            .collect()
    }

    /// Counts a turn that took so long.
    pub fn count_turn(&mut self, took: Duration) {
        let seconds = took.as_secs_f64();
        self.turns[TURN_BOUNDS.partition_point(|bound| *bound < seconds)] += 1;
        self.turned += took;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::CertificateName;

    #[test]
    fn a_turn_is_counted_where_its_bound_is_and_an_action_by_its_end() {
        let mut tally = Tally::default();
        for micros in [500, 501, 2_000_000] {
            tally.count_turn(Duration::from_micros(micros));
        }
        assert_eq!(tally.turns, [1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(tally.turned, Duration::from_micros(2_001_001));
        let shop = Subject::Certificate(CertificateName::parse("shop.example").expect("a name"));
        for end in [None, Some(Retry::Backoff), Some(Retry::Backoff)] {
            tally.count_action(&shop, end);
        }
        let expected = [(("certificate", "done"), 1), (("certificate", "failed"), 2)];
        assert_eq!(tally.actions, BTreeMap::from(expected));
    }
}
