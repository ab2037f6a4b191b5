use std::{collections::BTreeSet, rc::Rc};

use super::{Loop, faults::Concern, wishes::KEPT};
use crate::{
    desire::Desired,
    observe::{HandOver, HeldCertificate, TakenOver},
    plan,
    ports::{NewCertificate, ObtainedPair},
    report::{Event, chain, report},
    values::{CertificateName, Timestamp},
};

impl Loop {
    /// Takes in whether commands have left certificates.
    pub(super) fn look_at_hand_overs(&mut self, now: Timestamp) {
        let wishes = Rc::clone(&self.daemon.ports.wishes);
        let (found, faults) = wishes
            .hand_overs()
            .unwrap_or_else(|error| (Default::default(), vec![error]));
        self.facts.take_faults(Concern::HandOvers, faults);
        for (word, about) in found {
            if about.outcome.is_none() {
                self.rests_until = None;
            } else if now.since(about.left) > KEPT
                && let Err(error) = wishes.drop_hand_over(&word)
            {
                report(&Event::DiskFault {
                    problem: chain(&error),
                });
            }
        }
    }

    /// Uses the certificates that commands have left where labels want them, and answers. What is being obtained is waited
    /// for.
    pub(super) fn take_over(&mut self, desired: &Desired, now: Timestamp) {
        let wishes = Rc::clone(&self.daemon.ports.wishes);
        // What could not be listed was told just before.
        let (found, _) = wishes.hand_overs().unwrap_or_default();
        let open = found.into_iter().filter(|(_, it)| it.outcome.is_none());
        for (word, about) in open {
            let answered = match wishes.handed_over(&word, &about, now) {
                // Whoever left it has taken it back.
                Ok(None) => continue,
                Ok(Some((certificate, pair))) => {
                    let observed = &self.facts.observed;
                    let over = plan::taken_over(&certificate, desired, observed, now);
                    let Some(over) = over else { continue };
                    let outcome = self.stored(&about, (&certificate, &pair), over, desired, now);
                    let outcome = Some(outcome);
                    wishes.answer_hand_over(&word, &HandOver { outcome, ..about })
                }
                Err(error) => {
                    report(&Event::DiskFault {
                        problem: chain(&error),
                    });
                    wishes.drop_hand_over(&word)
                }
            };
            if let Err(error) = answered {
                report(&Event::DiskFault {
                    problem: chain(&error),
                });
            }
        }
    }

    /// Stores what was decided on, and says what was: what the disk does not take is refused.
    fn stored(
        &mut self,
        about: &HandOver,
        (certificate, pair): (&HeldCertificate, &ObtainedPair),
        mut over: TakenOver,
        desired: &Desired,
        now: Timestamp,
    ) -> TakenOver {
        let daemon = Rc::clone(&self.daemon);
        for name in std::mem::take(&mut over.taken) {
            let Some(wanted) = desired.certificates.get(&name) else {
                continue;
            };
            let stored = daemon.ports.issuing.certificates.store(&NewCertificate {
                name: &name,
                names: &wanted.names.iter().cloned().collect(),
                key: &pair.key,
                chain: &pair.chain,
                source: certificate.source.clone(),
                profile: Some(&about.profile),
                now,
            });
            match stored {
                Ok(held) => {
                    self.hold_over(&name, held);
                    over.taken.insert(name);
                }
                Err(error) => drop(over.refused.insert(name, chain(&error))),
            }
        }
        over
    }

    /// Takes over what was stored: an order that was begun for it has no use any more.
    fn hold_over(&mut self, name: &CertificateName, held: HeldCertificate) {
        report(&Event::TakenOver {
            certificate: name.clone(),
            held: held.clone(),
        });
        self.facts.hold(name.clone(), held);
        let daemon = Rc::clone(&self.daemon);
        self.facts
            .finish(&daemon.ports, &BTreeSet::from([name.clone()]));
        self.rests_until = None;
    }
}
