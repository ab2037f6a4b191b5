use std::rc::Rc;

use super::{Loop, faults::Concern, wishes::KEPT};
use crate::{
    desire,
    observe::{Holder, Release, Released},
    report::{Event, chain, report},
    values::Timestamp,
};

impl Loop {
    /// Hands over the hosts that people ask to.
    pub(super) fn look_at_releases(&mut self, now: Timestamp) {
        let ports = &self.daemon.ports;
        let (found, faults) = ports
            .wishes
            .releases()
            .unwrap_or_else(|error| (Vec::new(), vec![error]));
        self.facts.take_faults(Concern::Releases, faults);
        for release in found {
            match release.outcome {
                None => self.hand_over(release),
                Some(_) if now.since(release.asked) > KEPT => {
                    if let Err(error) = self.daemon.ports.wishes.drop_release(&release.host) {
                        report(&Event::DiskFault {
                            problem: chain(&error),
                        });
                    }
                }
                Some(_) => {}
            }
        }
    }

    /// Hands one host over. It is on record who has it before anybody hears of it.
    fn hand_over(&mut self, release: Release) {
        let daemon = Rc::clone(&self.daemon);
        let (host, snapshot) = (&release.host, &mut self.facts.snapshot);
        let mut outcome = desire::released(host, snapshot, &daemon.label_rules);
        let had = match &outcome {
            Released::HandedOver { from, .. } | Released::Freed { from } => from,
            Released::StillAsked { by, .. } => by,
            Released::NotHeld | Released::Changed => &None,
        };
        if *had != release.from {
            outcome = Released::Changed;
        }
        match &outcome {
            Released::HandedOver { to, .. } => {
                snapshot.holders.insert(host.clone(), Holder::of(to));
            }
            Released::Freed { .. } => drop(snapshot.holders.remove(host)),
            Released::NotHeld | Released::StillAsked { .. } | Released::Changed => {}
        }
        self.forget_plan();
        // What can't be written down is told, and asked for again in the next turn.
        if !self.facts.keep_hosts(&daemon.ports) {
            return;
        }
        let done = Release {
            outcome: Some(outcome),
            ..release
        };
        if let Err(error) = daemon.ports.wishes.keep_release(&done) {
            report(&Event::DiskFault {
                problem: chain(&error),
            });
        }
    }
}
