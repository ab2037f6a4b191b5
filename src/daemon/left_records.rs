//! TXT records of orders that are given up: they are removed before the order's record is, so that a crash in between loses
//! none.

use std::collections::BTreeSet;

use tokio::task::{JoinError, JoinSet};

use super::Loop;
use crate::{
    execute::withdraw_left,
    ports::{Orders, ShownResponse},
    values::{CertificateName, Retry, Timestamp},
};

/// The removals that are under way, and those that are done.
#[derive(Default)]
pub(super) struct LeftRecords {
    pub(super) work: JoinSet<CertificateName>,
    begun: BTreeSet<CertificateName>,
    /// Certificates of which the records were removed or can't be, and the order is still on record.
    done: BTreeSet<CertificateName>,
}

/// The TXT records that an order on record has set.
fn of_order(orders: &dyn Orders, name: &CertificateName) -> Vec<ShownResponse> {
    // One that can't be read is told when it can't be dropped.
    let order = orders.order(name).ok().flatten();
    let shown = order.into_iter().flat_map(|order| order.shown);
    shown
        .filter(|it| matches!(it, ShownResponse::Txt { .. }))
        .collect()
}

impl Loop {
    /// Finds the certificates whose orders may be forgotten now. Of the others, records are removed first.
    pub(super) fn without_records(
        &mut self,
        mut finished: BTreeSet<CertificateName>,
    ) -> BTreeSet<CertificateName> {
        // What is wanted again may set others.
        self.left_records
            .done
            .retain(|name| finished.contains(name));
        finished.retain(|name| {
            if self.left_records.begun.contains(name) {
                return false;
            }
            let left = of_order(&*self.daemon.ports.issuing.orders, name);
            if left.is_empty() || self.left_records.done.remove(name) {
                return true;
            }
            self.left_records.begun.insert(name.clone());
            let (ports, name) = (self.daemon.ports.clone(), name.clone());
            self.left_records.work.spawn_local(async move {
                withdraw_left(&ports.issuing, &name, &left).await;
                name
            });
            false
        });
        finished
    }

    /// Takes over that the records of an order are gone, or can't be removed, which was told.
    pub(super) fn take_removed(&mut self, done: Result<CertificateName, JoinError>) {
        match done {
            Ok(name) => {
                self.left_records.begun.remove(&name);
                self.left_records.done.insert(name);
                self.rests_until = None;
            }
            // As with any other work: a panic is ours.
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => {}
        }
    }

    /// Waits until something that is under way ends, and takes it over; says whether there was anything.
    pub(super) async fn conclude_next(&mut self) -> bool {
        tokio::select! {
            Some(done) = self.work.join_next() => self.conclude(done),
            Some(done) = self.left_records.work.join_next() => self.take_removed(done),
            else => return false,
        }
        true
    }

    /// Time of the next look for a TXT record that was set, if one is waited for.
    pub(super) fn record_look(&self) -> Option<Timestamp> {
        let now = self.daemon.ports.clock.now();
        let attempts = self.facts.observed.attempts.values();
        let attempts = attempts.filter(|attempt| !attempt.is_from_the_future(now));
        let looks = attempts.filter_map(|attempt| match attempt.retry {
            Retry::Propagation(at) if at > now => Some(at),
            _ => None,
        });
        looks.min()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        cell::{Cell, RefCell},
        rc::Rc,
    };

    use async_trait::async_trait;
    use tokio::task::LocalSet;

    use crate::{
        adapters::{acme::new_key, disk::Folders},
        daemon::tests::{attempt, daemon_in},
        observe::Webroots,
        ports::{
            Challenge, NotServed, OrderRecord, RecordFault, Responder, ResponseFault,
            ShownResponse, TxtProof,
        },
        report::listen,
        values::{CertificateName, Digest, KeyType, Timestamp},
        watching::tests::Scripted,
    };

    /// Notes what is removed, or can't remove it.
    #[derive(Default)]
    struct Noting {
        removed: RefCell<Vec<ShownResponse>>,
        is_gone: bool,
        /// True where the order was on record when it was asked.
        was_on_record: Cell<bool>,
        orders: Option<Folders>,
    }

    #[async_trait(?Send)]
    impl Responder for Noting {
        async fn publish(&self, _: &Webroots, _: &Challenge) -> Result<(), ResponseFault> {
            panic!("nothing is shown")
        }

        async fn look(&self, _: &Webroots, _: &Challenge) -> Result<(), NotServed> {
            panic!("nothing is looked for")
        }

        async fn withdraw(&self, _: &Webroots, shown: &ShownResponse) -> Vec<ResponseFault> {
            let orders = self.orders.as_ref().expect("they are there");
            self.was_on_record
                .set(!orders.orders().expect("a list").is_empty());
            self.removed.borrow_mut().push(shown.clone());
            let fault = RecordFault::new(
                "remove",
                "home",
                "_acme-challenge.gone.example",
                "no".into(),
            );
            self.is_gone.then(|| fault.into()).into_iter().collect()
        }
    }

    #[tokio::test]
    async fn the_record_of_an_order_that_nobody_wants_is_removed_before_the_order_is_forgotten() {
        let local = LocalSet::new();
        local
            .run_until(async {
                for is_gone in [false, true] {
                    let folder = tempfile::tempdir().expect("a folder");
                    let state = folder.path().join("state");
                    let folders = Folders::new(folder.path().join("certificates"), state, |_| ());
                    let mut daemon = daemon_in(Rc::new(Scripted::default()), folders.clone());
                    let responder = Rc::new(Noting {
                        is_gone,
                        orders: Some(folders.clone()),
                        ..Noting::default()
                    });
                    daemon.ports.issuing.responder = responder.clone();
                    let name = CertificateName::parse("gone.example").expect("a name");
                    let shown = ShownResponse::Txt {
                        dns: "home".to_owned(),
                        name: "_acme-challenge.gone.example".to_owned(),
                        proof: TxtProof::of_value("proof"),
                    };
                    let order = OrderRecord {
                        key: new_key(KeyType::Ec256).expect("a key"),
                        asked: Digest::of("x"),
                        url: None,
                        shown: vec![shown.clone()],
                        shown_at: None,
                    };
                    let issuing = &daemon.ports.issuing;
                    let long_ago = attempt(4, Timestamp::from_seconds(1_700_000_000));
                    issuing
                        .attempts
                        .note_attempt(&name, &long_ago)
                        .expect("it is kept");
                    issuing
                        .orders
                        .keep_order(&name, &order)
                        .expect("it is kept");
                    let left = Rc::new(Cell::new(0));
                    let counted = left.clone();
                    let listening = listen(move |event| {
                        counted.set(counted.get() + u32::from(event.name() == "record-left"));
                    });
                    daemon.once().await.expect("the engine answers");
                    drop(listening);
                    assert_eq!(*responder.removed.borrow(), [shown], "once");
                    assert!(responder.was_on_record.get(), "a crash would have lost it");
                    assert_eq!(folders.orders().expect("a list").len(), 0);
                    assert_eq!(left.get(), u32::from(is_gone), "{is_gone}");
                }
            })
            .await;
    }
}
