//! Responses to challenges: shown, looked at, looked for by the CA, and taken away again.

use std::cell::Cell;

use futures_util::FutureExt;

use super::{Failure, obtain::tell};
use crate::{
    plan::{Obtain, next_look, stands_from},
    ports::{
        Challenge, Clock, DiskError, Issuing, Order, OrderRecord, Response, ResponseFault,
        ShownResponse,
    },
    report::{Event, OrderStage, chain, report},
    values::Timestamp,
};

/// Shows the responses, looks whether they can be seen, lets the CA look, and takes them away whatever came of it; but not
/// records that are not seen everywhere yet.
pub(super) async fn authorize(
    (issuing, clock): (&Issuing, &dyn Clock),
    obtain: &Obtain,
    order: &mut dyn Order,
    record: &mut OrderRecord,
) -> Result<(), Failure> {
    let challenges = challenges((issuing, clock), obtain, order, record).await?;
    let published = PublishedResponses::new(issuing, obtain, &challenges);
    let ended = validated(&published, clock, order, record).await;
    if !matches!(ended, Err(Failure::NotYet { .. })) {
        withdraw_records(issuing, obtain, record).await?;
    }
    ended
}

/// Shows the responses, looks at them, and lets the CA look.
async fn validated(
    published: &PublishedResponses<'_>,
    clock: &dyn Clock,
    order: &mut dyn Order,
    record: &OrderRecord,
) -> Result<(), Failure> {
    published.publish().await?;
    published.seen(clock, record).await?;
    published.validated(order).await
}

/// The challenges that are left to be met, on record before anything is shown for them. What was shown for others is
/// taken away.
pub(super) async fn challenges(
    (issuing, clock): (&Issuing, &dyn Clock),
    obtain: &Obtain,
    order: &mut dyn Order,
    record: &mut OrderRecord,
) -> Result<Vec<Challenge>, Failure> {
    let kind = obtain.issuance.challenge;
    let offers = order.offers().await?.into_iter();
    let challenges = offers
        .map(|offer| offer.challenge(kind))
        .collect::<Result<Vec<_>, _>>()?;
    let dns = obtain.webroots.dns.as_deref();
    // A record that people set is theirs to remove.
    let is_ours = |it: &&Challenge| dns.is_some() || matches!(it.response, Response::Http { .. });
    let ours = challenges.iter().filter(is_ours);
    let shown: Vec<_> = ours.map(|it| it.response.shown(dns)).collect();
    let left = record.shown.iter();
    let left = left.filter(|left| !shown.contains(left));
    withdraw(issuing, obtain, left).await?;
    if !challenges.is_empty() {
        let first_shown = record.shown_at.filter(|_| record.shown == shown);
        // A crash takes nothing away: what will be visible is written down before it is.
        record.shown = shown;
        record.shown_at = Some(first_shown.unwrap_or_else(|| clock.now()));
        issuing.orders.keep_order(&obtain.certificate, record)?;
        tell(obtain, OrderStage::Look);
    }
    Ok(challenges)
}

/// Takes the TXT records of an order away, whatever came of it.
pub(super) async fn withdraw_records(
    issuing: &Issuing,
    obtain: &Obtain,
    record: &mut OrderRecord,
) -> Result<(), DiskError> {
    if obtain.webroots.dns.is_none() || record.shown.is_empty() {
        return Ok(());
    }
    withdraw(issuing, obtain, record.shown.iter()).await?;
    (record.shown, record.shown_at) = (Vec::new(), None);
    issuing.orders.keep_order(&obtain.certificate, record)
}

/// Takes away what was shown by a process that was cut off, and is not looked for any more. A record that can't be removed
/// does no harm: its provider may be gone for good.
pub(super) async fn withdraw<'t>(
    issuing: &Issuing,
    obtain: &Obtain,
    left: impl Iterator<Item = &'t ShownResponse>,
) -> Result<(), DiskError> {
    let mut first = Ok(());
    for shown in left {
        for fault in issuing.responder.withdraw(&obtain.webroots, shown).await {
            match fault {
                ResponseFault::Disk(error) => first = first.and(Err(error)),
                ResponseFault::Record(fault) => report(&Event::RecordLeft {
                    certificate: obtain.certificate.clone(),
                    problem: chain(&fault),
                }),
            }
        }
    }
    first
}

/// Takes away what is shown over HTTP, where nothing can be waited for.
pub(super) fn withdraw_now(issuing: &Issuing, obtain: &Obtain, left: &[ShownResponse]) {
    let over_http = left
        .iter()
        .filter(|it| matches!(it, ShownResponse::Http { .. }));
    for shown in over_http {
        let withdrawn = issuing.responder.withdraw(&obtain.webroots, shown);
        for fault in withdrawn.now_or_never().into_iter().flatten() {
            report(&Event::DiskFault {
                problem: chain(&fault),
            });
        }
    }
}

/// Responses that are visible. Those over HTTP are taken away when this is dropped, also when the work is cut off; but not
/// while the CA looks for them, since the order goes on at the next start: what it would not find counts as a failure of
/// the name. Records in DNS stay on record until they can be waited for.
pub(super) struct PublishedResponses<'a> {
    issuing: &'a Issuing,
    obtain: &'a Obtain,
    challenges: &'a [Challenge],
    is_looked_at: Cell<bool>,
}

impl<'a> PublishedResponses<'a> {
    /// Nothing is shown yet.
    pub fn new(issuing: &'a Issuing, obtain: &'a Obtain, challenges: &'a [Challenge]) -> Self {
        Self {
            issuing,
            obtain,
            challenges,
            is_looked_at: Cell::new(false),
        }
    }

    /// Makes all visible.
    pub async fn publish(&self) -> Result<(), ResponseFault> {
        let responder = &self.issuing.responder;
        for challenge in self.challenges {
            responder.publish(&self.obtain.webroots, challenge).await?;
        }
        Ok(())
    }

    /// Looks whether all can be seen.
    pub async fn seen(&self, clock: &dyn Clock, record: &OrderRecord) -> Result<(), Failure> {
        let shown_at = record.shown_at.unwrap_or_else(|| clock.now());
        for challenge in self.challenges {
            self.look(challenge, (clock, shown_at)).await?;
        }
        Ok(())
    }

    /// Lets the CA look, and waits for what it says.
    pub async fn validated(&self, order: &mut dyn Order) -> Result<(), Failure> {
        tell(self.obtain, OrderStage::Validate);
        self.is_looked_at.set(true);
        let ended = order.authorize(self.obtain.issuance.challenge).await;
        self.is_looked_at.set(false);
        Ok(ended?)
    }
}

impl PublishedResponses<'_> {
    /// Looks whether one can be seen. A record takes its time to come to each server of its zone.
    async fn look(
        &self,
        challenge: &Challenge,
        (clock, shown_at): (&dyn Clock, Timestamp),
    ) -> Result<(), Failure> {
        let (webroots, responder) = (&self.obtain.webroots, &self.issuing.responder);
        let Response::Txt { name, .. } = &challenge.response else {
            return Ok(responder.look(webroots, challenge).await?);
        };
        if let Some(again) = stands_from(shown_at, self.obtain.record_wait, clock.now()) {
            let wait = self.obtain.record_wait;
            let saw = format!("the TXT record {name} has to stand for {wait:?}");
            return Err(Failure::NotYet { saw, again });
        }
        let Err(unseen) = responder.look(webroots, challenge).await else {
            return Ok(());
        };
        match next_look(shown_at, clock.now()) {
            Some(again) => Err(Failure::NotYet {
                saw: unseen.saw,
                again,
            }),
            None => Err(unseen.into()),
        }
    }
}

impl Drop for PublishedResponses<'_> {
    fn drop(&mut self) {
        if self.is_looked_at.get() {
            return;
        }
        let responses = self.challenges.iter();
        let shown: Vec<_> = responses.map(|it| it.response.shown(None)).collect();
        withdraw_now(self.issuing, self.obtain, &shown);
    }
}
