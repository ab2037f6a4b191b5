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
    let kind = obtain.issuance.challenge;
    let offers = order.offers().await?.into_iter();
    let challenges = offers
        .map(|offer| offer.challenge(kind))
        .collect::<Result<Vec<_>, _>>()?;
    let dns = obtain.webroots.dns.as_deref();
    let shown = challenges.iter().map(|it| it.response.shown(dns));
    let shown: Vec<_> = shown.collect();
    let left = record.shown.iter();
    let left = left.filter(|left| !shown.contains(left));
    withdraw(issuing, obtain, left).await?;
    let first_shown = record.shown_at.filter(|_| record.shown == shown);
    let shown_at = first_shown.unwrap_or_else(|| clock.now());
    if !challenges.is_empty() {
        // A crash takes nothing away: what will be visible is written down before it is.
        record.shown = shown;
        record.shown_at = Some(shown_at);
        issuing.orders.keep_order(&obtain.certificate, record)?;
        tell(obtain, OrderStage::Look);
    }
    let published = PublishedResponses::new(issuing, obtain, &challenges);
    let ended = published.validated(order, (clock, shown_at)).await;
    let has_records = obtain.webroots.dns.is_some() && !record.shown.is_empty();
    if has_records && !matches!(ended, Err(Failure::NotYet { .. })) {
        withdraw(issuing, obtain, record.shown.iter()).await?;
        (record.shown, record.shown_at) = (Vec::new(), None);
        issuing.orders.keep_order(&obtain.certificate, record)?;
    }
    ended
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

    /// Shows all, looks whether they can be seen, and lets the CA look. They were shown first at the time that is given.
    async fn validated(
        &self,
        order: &mut dyn Order,
        (clock, shown_at): (&dyn Clock, Timestamp),
    ) -> Result<(), Failure> {
        self.publish().await?;
        for challenge in self.challenges {
            self.look(challenge, (clock, shown_at)).await?;
        }
        tell(self.obtain, OrderStage::Validate);
        self.is_looked_at.set(true);
        let ended = order.authorize(self.obtain.issuance.challenge).await;
        self.is_looked_at.set(false);
        Ok(ended?)
    }
}

impl PublishedResponses<'_> {
    /// Looks whether a response can be seen. A record takes its time to come to each server of its zone.
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
