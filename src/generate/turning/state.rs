//! The state of an output, for the loop of `watch`.

use std::collections::BTreeSet;

use super::Turning;
use crate::{
    desire::{Complaint, Origin},
    generate::{OutputState, PartOfWatch},
    report::OutputStatus,
    values::ContainerName,
};

/// The consequence of a problem with an output.
const STAYS: &str = "until that is fixed, the previous file stays";

impl Turning {
    /// Tells how the output is, once anything is known.
    pub fn tell_state(&self) {
        if let (Some(output), Some(_)) = (&self.given.output, &self.details) {
            output.board.put(&output.name, self.state(output));
        }
    }

    /// The complaints about the output.
    pub(in crate::generate) fn output_complaints(
        &self,
        output: &PartOfWatch,
    ) -> BTreeSet<Complaint> {
        let label = format!("outputs.{}", output.name);
        let said = Origin::new(&ContainerName::of_settings(), &label, "");
        let complains = |problem: &String| said.clone().complains(problem, STAYS);
        let refused = self.taken_back.iter().map(|refused| &refused.problem);
        let problems = self.faults.values().chain(refused).map(complains);
        let ended = self.ended.iter().map(|ended| {
            let remedy = "the new file stays";
            said.clone().complains(ended, remedy)
        });
        problems
            .chain(ended)
            .chain(self.complaints.iter().cloned())
            .collect()
    }

    fn state(&self, output: &PartOfWatch) -> OutputState {
        let pair = self.given.pairs.first();
        let target = pair.and_then(|pair| pair.target.clone());
        let consumer = output.consumer.iter();
        let readers = consumer.flat_map(|consumer| self.readers(consumer));
        OutputState {
            status: OutputStatus {
                template: pair
                    .map(|pair| pair.template.to_string())
                    .unwrap_or_default(),
                target: target.unwrap_or_default(),
                consumer: output.consumer.clone(),
                readers: readers.map(|reader| reader.name.clone()).collect(),
                current: self.is_well(),
                owed: self.owes() || self.on_proof.is_some(),
            },
            complaints: self.output_complaints(output),
        }
    }
}
