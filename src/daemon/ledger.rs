//! The ledger: what is known of it, and the file that outlives us.

use std::rc::Rc;

use super::{facts::Facts, faults::Concern};
use crate::{
    observe::LedgerEntry,
    ports::{DiskError, Ports, WrittenLedger},
    report::{Event, report},
    values::{CaTable, Timestamp},
};

/// The file is written anew when it has twice as many entries as counted when that was done last, and so many more.
const SOME: usize = 1000;

/// The content of the file.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LedgerKept {
    entries: usize,
    /// Number of further lines, which can't be read.
    damaged: usize,
    /// With how many entries it is looked for those that count no more.
    tidied_at: usize,
}

impl LedgerKept {
    pub(super) fn of(written: &WrittenLedger) -> Self {
        Self {
            entries: written.entries.len(),
            damaged: written.damaged,
            tidied_at: 0,
        }
    }
}

impl Facts {
    /// Takes over what was written down of an order.
    pub(super) fn enter(&mut self, entered: Vec<LedgerEntry>) {
        if entered.is_empty() {
            return;
        }
        self.ledger_kept.entries += entered.len();
        let ledger = Rc::make_mut(&mut self.observed.ledger);
        entered.into_iter().for_each(|entry| ledger.take(entry));
    }

    /// Forgets what counts against no limit any more, when there may be a lot of it; what can't be read is kept under
    /// another name.
    pub(super) fn tidy_ledger(&mut self, ports: &Ports, cas: &CaTable, now: Timestamp) {
        let LedgerKept {
            entries,
            damaged,
            tidied_at,
        } = self.ledger_kept;
        if entries < tidied_at && damaged == 0 {
            return;
        }
        let ledger = Rc::make_mut(&mut self.observed.ledger);
        ledger.prune(|directory| cas.limits(directory), now);
        let known = ledger.entries();
        let kept = match entries == known && damaged == 0 {
            true => Ok(()),
            false => self.write_ledger(ports),
        };
        if kept.is_ok() {
            self.ledger_kept = LedgerKept {
                entries: known,
                damaged: 0,
                tidied_at: known * 2 + SOME,
            };
        }
        self.faults.settle(Concern::Ledger, kept);
    }

    fn write_ledger(&self, ports: &Ports) -> Result<(), DiskError> {
        let ledger = &ports.issuing.ledger;
        let damaged = self.ledger_kept.damaged;
        if damaged > 0 {
            let kept = ledger.set_ledger_aside()?;
            report(&Event::DiskFault {
                problem: format!(
                    "lines of the ledger that can't be read: {damaged}. It is kept as {}; the other lines still count, and \
                     the CA says itself when one of its limits is reached",
                    kept.display()
                ),
            });
        }
        ledger.keep_ledger(&self.observed.ledger.to_entries())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        adapters::disk::Folders,
        daemon::{Loop, tests::daemon_in},
        desire::Dialects,
        execute::Outcome,
        observe::{Attempt, BusyCa, Counted, Subject},
        values::{CA_PRESETS, CertificateName},
    };

    #[test]
    fn a_ledger_that_is_damaged_is_kept_aside_and_one_that_is_long_is_written_anew() {
        let folder = tempfile::tempdir().expect("a folder");
        let state = folder.path().to_owned();
        let folders = Folders::new(state.join("certificates"), state.clone(), |_| ());
        let ports = daemon_in(Rc::default(), folders).ports;
        let now = ports.clock.now();
        let entry = |at| LedgerEntry {
            at,
            ca: CA_PRESETS[0].directory.to_owned(),
            counted: Counted::Order { project: None },
        };
        let path = state.join("ledger.jsonl");
        ports
            .issuing
            .ledger
            .enter(&entry(now))
            .expect("it is written");
        let text = std::fs::read_to_string(&path).expect("it is there");
        std::fs::write(&path, format!("what?\n{text}")).expect("it is damaged");
        let read = || Facts::read(&ports, &Dialects::native("quaymaster"));
        let mut facts = read();
        facts.tidy_ledger(&ports, &CaTable::default(), now);
        assert!(state.join("ledger.jsonl.damaged").exists());
        let kept = std::fs::read_to_string(&path).expect("it is there");
        assert_eq!((kept, facts.observed.ledger.entries()), (text, 1));
        assert!(facts.faults().is_empty(), "{:?}", facts.faults());
        // Of two times as many and more, those that count stay.
        let hour = Duration::from_secs(60 * 60);
        for number in 0..1100_u32 {
            let entered = entry(now + hour * 4 + Duration::from_millis(number.into()));
            ports.issuing.ledger.enter(&entered).expect("it is written");
            facts.enter(vec![entered]);
            facts.tidy_ledger(&ports, &CaTable::default(), now + hour * 5);
        }
        assert_eq!(facts.observed.ledger.entries(), 1100);
        let mut again = read();
        assert_eq!(again.observed.ledger, facts.observed.ledger);
        again.tidy_ledger(&ports, &CaTable::default(), now + hour * 5);
        assert_eq!(again.observed.ledger, facts.observed.ledger);
    }

    #[tokio::test]
    async fn what_was_asked_of_a_ca_and_whether_it_is_busy_is_known_once_an_order_has_ended() {
        let folder = tempfile::tempdir().expect("a folder");
        let state = folder.path().to_owned();
        let folders = Folders::new(state.join("certificates"), state.clone(), |_| ());
        let mut turning = Loop::new(daemon_in(Rc::default(), folders));
        let (now, ca) = (turning.daemon.ports.clock.now(), CA_PRESETS[0].directory);
        let entry = LedgerEntry {
            at: now,
            ca: ca.to_owned(),
            counted: Counted::Order { project: None },
        };
        let busy = BusyCa {
            since: now,
            until: now,
            problem: "later".to_owned(),
            count: 1,
        };
        let name = CertificateName::parse("shop.example").expect("a name");
        let ended = |busy: Option<BusyCa>, answered: bool, entered| Outcome {
            subject: Subject::Certificate(name.clone()),
            result: Err(Attempt {
                count: 1,
                problem: Some("no".to_owned()),
                ..Attempt::broken_off(now)
            }),
            blame: None,
            busy: busy.map(|busy| (ca.to_owned(), busy)),
            answered: answered.then(|| ca.to_owned()),
            entered,
        };
        turning.conclude(Ok(ended(Some(busy), false, vec![entry])));
        let known = |turning: &Loop| {
            let observed = &turning.facts.observed;
            (observed.ledger.entries(), observed.busy_cas.len())
        };
        assert_eq!(known(&turning), (1, 1));
        turning.conclude(Ok(ended(None, false, Vec::new())));
        assert_eq!(known(&turning), (1, 1), "one that was out of reach");
        turning.conclude(Ok(ended(None, true, Vec::new())));
        assert_eq!(known(&turning), (1, 0), "one that refused");
    }
}
