//! Has a helper obtain a certificate: its line is put into the helper's list, the helper is reloaded, and the
//! certificate is waited for. Whatever comes of it, the line goes.

use std::time::Duration;

use super::{
    Failure,
    ledger_pen::LedgerPen,
    tell::{self, Addressee},
};
use crate::{
    desire::{Consumer, Helper, Reload},
    observe::{Counted, HeldCertificate, LedgerEntry},
    plan::{HelperOrder, Obtain, Tell, names_digest},
    ports::{ListPlace, Ports},
    report::{Event, chain, report},
};

/// Lines that come within this are one signal.
const TOGETHER: Duration = Duration::from_millis(100);

/// The pause between looks at what the helper has brought.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Has the helper obtain a certificate. The attempt is on the disk before its line is in the list, and what that counts for
/// at the CA, too: its limits are about names, whoever asks.
pub(super) async fn obtain(
    ports: &Ports,
    obtain: &Obtain,
    order: &HelperOrder,
    entered: &mut Vec<LedgerEntry>,
) -> Result<HeldCertificate, Failure> {
    let Some(helper) = &order.consumer.helper else {
        return Err(not_told(&order.consumer, "it is not a helper"));
    };
    let how = how(&order.consumer)?;
    let certificates = &ports.issuing.certificates;
    if let Some(path) = certificates.in_certbots_way(&obtain.certificate) {
        return Err(Failure::InCertbotsWay { path });
    }
    let attempts = &ports.issuing.attempts;
    attempts.note_attempt(&obtain.certificate, &obtain.attempt)?;
    let mut ledger = obtain
        .issuance
        .issuer
        .directory()
        .map(|directory| LedgerPen {
            issuing: &ports.issuing,
            clock: &*ports.clock,
            directory,
            entered,
        });
    if let Some(ledger) = ledger.as_mut().filter(|_| obtain.counts.order) {
        let project = obtain.counts.project.clone();
        ledger.enter(Counted::Order { project })?;
    }
    let listed = Listed::put(ports, obtain, order, helper)?;
    let until = ports.clock.elapsed() + order.within;
    ports.clock.sleep(TOGETHER).await;
    let held = loop {
        listed.tell(&order.consumer, &how).await?;
        let saw = match listed.brought() {
            Ok(held) => break held,
            Err(saw) => saw,
        };
        if ports.clock.elapsed() >= until {
            let (helper, within) = (order.consumer.name.clone(), order.within);
            return Err(Failure::NothingBrought {
                helper,
                within,
                saw,
            });
        }
        ports.clock.sleep(LOOK_EVERY).await;
    };
    if let Some(ledger) = ledger.as_mut().filter(|_| obtain.counts.certificate) {
        let (names, order) = (names_digest(&obtain.names), held.digest);
        ledger.enter(Counted::Certificate { names, order })?;
    }
    attempts.forget_attempts(&obtain.certificate)?;
    report(&Event::Obtained {
        certificate: obtain.certificate.clone(),
        held: held.clone(),
    });
    Ok(held)
}

/// Where a helper's list lies.
pub fn list_place(helper: &Helper) -> ListPlace<'_> {
    ListPlace {
        folder: &helper.folder.ours,
        file: &helper.list,
    }
}

/// The way to make a helper read its list.
fn how(consumer: &Consumer) -> Result<Tell, Failure> {
    match &consumer.reload {
        Reload::Signal(signal) => Ok(Tell::Signal(*signal)),
        Reload::Exec(words) => Ok(Tell::Exec(words.clone())),
        Reload::Restart => Ok(Tell::Restart),
        Reload::None => Err(not_told(consumer, "its label reload=none says so")),
        Reload::Swallowed { reason } => Err(not_told(consumer, reason)),
    }
}

fn not_told(consumer: &Consumer, reason: &str) -> Failure {
    Failure::HelperNotTold {
        helper: consumer.name.clone(),
        reason: reason.to_owned(),
    }
}

/// A line that is in a list. It goes when this does, also when the work is cut off.
struct Listed<'a> {
    ports: &'a Ports,
    obtain: &'a Obtain,
    order: &'a HelperOrder,
    place: ListPlace<'a>,
}

impl<'a> Listed<'a> {
    fn put(
        ports: &'a Ports,
        obtain: &'a Obtain,
        order: &'a HelperOrder,
        helper: &'a Helper,
    ) -> Result<Self, Failure> {
        let place = list_place(helper);
        ports.lists.put(place, &obtain.certificate, &order.line)?;
        Ok(Self {
            ports,
            obtain,
            order,
            place,
        })
    }

    /// Reloads the helper, unless that was done since the last line came.
    async fn tell(&self, consumer: &Consumer, how: &Tell) -> Result<(), Failure> {
        let lists = &self.ports.lists;
        if !lists.is_to_be_told(self.place) {
            return Ok(());
        }
        let told = tell::tell(self.ports, Addressee::helper(consumer), how).await;
        if told.is_err() {
            // Whoever waits for another line tries it next.
            lists.is_untold(self.place);
        }
        told
    }

    /// The certificate that the helper has brought, or the finding in its place. A certificate that can't be used yet
    /// may be half-written.
    fn brought(&self) -> Result<HeldCertificate, String> {
        let name = &self.obtain.certificate;
        let held = match self.ports.issuing.certificates.held_now(name) {
            Ok(held) => held.ok_or_else(|| format!("nothing is in live/{name}"))?,
            Err(error) => return Err(chain(&error)),
        };
        match () {
            () if Some(held.digest) == self.order.before => {
                Err(format!("live/{name} is as it was before"))
            }
            () if !held.is_valid_at(self.ports.clock.now()) => {
                Err(format!("what is in live/{name} is not valid now"))
            }
            () if !self.obtain.names.iter().all(|host| held.covers(host)) => Err(format!(
                "what is in live/{name} does not cover all that is wanted"
            )),
            () => Ok(held),
        }
    }
}

impl Drop for Listed<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.ports.lists.take(self.place, &self.obtain.certificate) {
            report(&Event::DiskFault {
                problem: chain(&error),
            });
        }
    }
}
