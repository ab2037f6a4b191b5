//! CAs that ask to be left alone: what is known of them, and the file that outlives us.

use super::{facts::Facts, faults::Concern};
use crate::{observe::BusyCa, ports::Ports};

impl Facts {
    /// Takes over that a CA answered as ever, or asked to be left alone.
    pub fn take_answers(
        &mut self,
        ports: &Ports,
        answered: Option<String>,
        busy: Option<(String, BusyCa)>,
    ) {
        if let Some(directory) = answered {
            self.observed.busy_cas.remove(&directory);
        }
        if let Some((directory, busy)) = busy {
            self.observed.leave_alone(directory, busy);
            self.keep_busy_cas(ports);
        }
    }

    /// Keeps which CAs ask to be left alone, and forgets those that did.
    pub fn keep_busy_cas(&mut self, ports: &Ports) {
        let now = ports.clock.now();
        let busy = &mut self.observed.busy_cas;
        busy.retain(|_, busy| busy.is_remembered(now));
        if *busy == self.busy_kept {
            return;
        }
        let kept = ports.records.keep_busy_cas(busy);
        if kept.is_ok() {
            self.busy_kept = busy.clone();
        }
        self.faults.settle(Concern::BusyCas, kept);
    }
}
