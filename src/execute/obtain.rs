use std::{collections::BTreeSet, time::Duration};

use super::{
    Failure,
    ledger_pen::LedgerPen,
    published::{PublishedResponses, authorize, withdraw},
    self_check::{Looking, own_response, unknown},
};
use crate::{
    observe::{Counted, HeldCertificate, LedgerEntry, Source},
    plan::{Fallback, NameVerdict, Obtain, SelfCheck, SelfCheckFailed},
    ports::{
        AskedOrder, Authority, Challenge, Clock, DiskError, Issuing, NewCertificate, Order,
        OrderRecord, Response,
    },
    report::{Event, OrderStage, chain, report},
    values::{CertificateName, Host, Issuer, KeyType, Secret, Timestamp},
};

/// Time that a certificate may still have to wait for its beginning: the clocks of a CA that is asked are no further
/// apart.
const LONGEST_WAIT: Duration = Duration::from_secs(60 * 60);

/// The most by which the time of day may move away from the time that passes while a try runs: clocks are kept right by
/// small steps.
const STEP: Duration = Duration::from_secs(60);

/// When a try began, by both clocks.
#[derive(Clone, Copy)]
struct Begun {
    /// The time of day that it was planned by.
    planned: Timestamp,
    elapsed: Duration,
}

impl Begun {
    /// True if the time of day was set since: by another clock the certificate may not be due at all.
    fn was_clock_set(self, clock: &dyn Clock) -> bool {
        let expected = self.planned + clock.elapsed().saturating_sub(self.elapsed);
        let now = clock.now();
        now.since(expected) > STEP || expected.since(now) > STEP
    }
}

/// Gets a certificate from its issuer and stores it.
pub(super) async fn obtain(
    issuing: &Issuing,
    clock: &dyn Clock,
    obtain: &Obtain,
    entered: &mut Vec<LedgerEntry>,
) -> Result<HeldCertificate, Failure> {
    let begun = Begun {
        planned: obtain.attempt.last,
        elapsed: clock.elapsed(),
    };
    issuing
        .attempts
        .note_attempt(&obtain.certificate, &obtain.attempt)?;
    if let Some(other) = &obtain.other_ca {
        report(&Event::OtherCa {
            certificate: obtain.certificate.clone(),
            why: other.to_string(),
        });
    }
    let held = match &obtain.issuance.issuer {
        Issuer::Ca(directory) => {
            let mut ledger = LedgerPen {
                issuing,
                clock,
                directory,
                entered,
            };
            let asked = ask(issuing, (clock, begun), obtain, &mut ledger).await;
            ledger.enter_failures(&asked, obtain)?;
            asked?
        }
        Issuer::SelfSigned => {
            let named = (&obtain.certificate, &obtain.names);
            let key_type = obtain.issuance.key_type;
            sign(issuing, clock, named, key_type, Source::SelfSigned).await?
        }
    };
    issuing.attempts.forget_attempts(&obtain.certificate)?;
    report(&Event::Obtained {
        certificate: obtain.certificate.clone(),
        held: held.clone(),
    });
    Ok(held)
}

/// Goes through an order of which nothing is to be kept but where `issuing` says.
pub(super) async fn rehearsed(
    issuing: &Issuing,
    clock: &dyn Clock,
    obtain: &Obtain,
) -> Result<HeldCertificate, Failure> {
    let begun = Begun {
        planned: clock.now(),
        elapsed: clock.elapsed(),
    };
    let directory = obtain.issuance.issuer.directory().unwrap_or_default();
    let mut ledger = LedgerPen {
        issuing,
        clock,
        directory,
        entered: &mut Vec::new(),
    };
    loop {
        match ask(issuing, (clock, begun), obtain, &mut ledger).await {
            // Nobody else waits for this one's place.
            Err(Failure::NotYet { again, .. }) => {
                clock.sleep(again.since(clock.now())).await;
            }
            ended => return ended,
        }
    }
}

/// Makes a certificate that serves until there is a better one, and gives that where it has come meanwhile. No attempt is
/// written down: it costs no CA anything, and the record is that of orders.
pub(super) async fn fall_back(
    issuing: &Issuing,
    clock: &dyn Clock,
    fallback: &Fallback,
) -> Result<HeldCertificate, Failure> {
    let named = (&fallback.certificate, &fallback.names);
    let held = sign(issuing, clock, named, fallback.key_type, Source::Fallback).await?;
    if held.is_fallback() {
        report(&Event::FellBack {
            certificate: fallback.certificate.clone(),
            held: held.clone(),
        });
    }
    Ok(held)
}

/// One that its own key signs: nobody is asked.
async fn sign(
    issuing: &Issuing,
    clock: &dyn Clock,
    (name, names): (&CertificateName, &BTreeSet<Host>),
    key_type: KeyType,
    source: Source,
) -> Result<HeldCertificate, Failure> {
    let key = issuing.authorities.new_key(key_type).await?;
    let now = clock.now();
    let chain = issuing.authorities.self_signed(&key, names, now)?;
    Ok(issuing.certificates.store(&NewCertificate {
        profile: None,
        name,
        names,
        key: &key,
        chain: &chain,
        source,
        now,
    })?)
}

/// One from a CA. Everything that a crash must not lose is on disk before the step that needs it: the attempt before the
/// first request, the key before the order, the order before the challenge.
async fn ask(
    issuing: &Issuing,
    (clock, begun): (&dyn Clock, Begun),
    obtain: &Obtain,
    ledger: &mut LedgerPen<'_>,
) -> Result<HeldCertificate, Failure> {
    let authority = issuing.authorities.at(ledger.directory)?;
    tell(obtain, OrderStage::Order);
    let mut record = record(issuing, obtain).await?;
    let resumed = resume(authority.as_ref(), obtain, &record).await?;
    let mut order = match resumed {
        Some(order) => order,
        None => {
            look_before(issuing, clock, obtain, authority.as_ref(), &mut record).await?;
            authority.prepare().await?;
            if begun.was_clock_set(clock) {
                return Err(Failure::ClockSet);
            }
            open(issuing, authority.as_ref(), obtain, &mut record, ledger).await?
        }
    };
    authorize((issuing, clock), obtain, order.as_mut(), &mut record).await?;
    ledger.enter_certificate(obtain, order.url())?;
    tell(obtain, OrderStage::Finalize);
    let chain = order.finalize(&record.key, &obtain.names).await?;
    let now = clock.now();
    let stored = store(issuing, now, obtain, &record.key, &chain);
    let is_of_no_use = match &stored {
        Err(DiskError::Certificate { .. }) => true,
        // Some CAs date what they issue by their own clock to the second: it is fetched again when it begins.
        Err(DiskError::NotYetValid { from, .. }) => from.since(now) > LONGEST_WAIT,
        _ => false,
    };
    if is_of_no_use {
        // This order will give the same certificate for ever, one that has run out since a crash, say: the next try
        // begins a new one.
        issuing.orders.drop_order(&obtain.certificate)?;
    }
    let held = stored?;
    issuing.orders.drop_order(&obtain.certificate)?;
    let asked: BTreeSet<_> = obtain.names.iter().map(Host::to_string).collect();
    if held.names != asked {
        report(&Event::MoreNames {
            certificate: obtain.certificate.clone(),
            more: held.names.difference(&asked).cloned().collect(),
        });
    }
    if held.chain_length < obtain.held_chain {
        report(&Event::ShorterChain {
            certificate: obtain.certificate.clone(),
            before: obtain.held_chain,
            now: held.chain_length,
        });
    }
    Ok(held)
}

/// Tells how far an order is.
pub(super) fn tell(obtain: &Obtain, stage: OrderStage) {
    report(&Event::Ordering {
        certificate: obtain.certificate.clone(),
        stage,
    });
}

fn store(
    issuing: &Issuing,
    now: Timestamp,
    obtain: &Obtain,
    key: &Secret,
    chain: &str,
) -> Result<HeldCertificate, DiskError> {
    issuing.certificates.store(&NewCertificate {
        profile: Some(obtain.issuance.profile_name()),
        name: &obtain.certificate,
        names: &obtain.names,
        key,
        chain,
        source: Source::from(&obtain.issuance.issuer),
        now,
    })
}

/// The order that was begun for the same names, or a new key for a new one. One that is damaged can't be finished.
pub(super) async fn record(issuing: &Issuing, obtain: &Obtain) -> Result<OrderRecord, Failure> {
    let asked = obtain.attempt.asked;
    match issuing.orders.order(&obtain.certificate) {
        // What is shown stays: the CA may be looking at it.
        Ok(Some(record)) if record.asked == asked => return Ok(record),
        Ok(Some(record)) => withdraw(issuing, obtain, record.shown.iter()).await?,
        Ok(None) => {}
        Err(error) => {
            report(&Event::DiskFault {
                problem: format!("{}; a new order is begun", chain(&error)),
            });
            issuing.orders.drop_order(&obtain.certificate)?;
        }
    }
    let record = OrderRecord {
        key: issuing
            .authorities
            .new_key(obtain.issuance.key_type)
            .await?,
        asked,
        url: None,
        shown: Vec::new(),
        shown_at: None,
    };
    issuing.orders.keep_order(&obtain.certificate, &record)?;
    Ok(record)
}

/// Goes on with the order on record where that can be.
pub(super) async fn resume(
    authority: &dyn Authority,
    obtain: &Obtain,
    record: &OrderRecord,
) -> Result<Option<Box<dyn Order>>, Failure> {
    match &record.url {
        Some(url) => Ok(authority.resume(url, &obtain.names).await?),
        None => Ok(None),
    }
}

/// Makes an order and writes it down; that one is made is written into the ledger before.
pub(super) async fn open(
    issuing: &Issuing,
    authority: &dyn Authority,
    obtain: &Obtain,
    record: &mut OrderRecord,
    ledger: &mut LedgerPen<'_>,
) -> Result<Box<dyn Order>, Failure> {
    if obtain.counts.order {
        let project = obtain.counts.project.clone();
        ledger.enter(Counted::Order { project })?;
    }
    let asked = AskedOrder {
        names: &obtain.names,
        profile: obtain.issuance.profile.as_ref(),
        replaces: obtain.replaces.as_ref(),
    };
    let order = authority.order(&asked).await?;
    record.url = Some(order.url().to_owned());
    issuing.orders.keep_order(&obtain.certificate, record)?;
    Ok(order)
}

/// Looks at the names before the CA is asked for anything, where that is wanted.
async fn look_before(
    issuing: &Issuing,
    clock: &dyn Clock,
    obtain: &Obtain,
    authority: &dyn Authority,
    record: &mut OrderRecord,
) -> Result<(), Failure> {
    let Some(check) = &obtain.self_check else {
        return Ok(());
    };
    tell(obtain, OrderStage::Look);
    if check.is_by_thumbprint && authority.thumbprint().is_none() {
        // Its server can be told what to answer once there is an account; the order would make one, too.
        authority.prepare().await?;
    }
    let verdicts = match authority.thumbprint() {
        None if check.is_by_thumbprint => unknown(obtain),
        thumbprint => {
            let response = own_response(&obtain.certificate, clock.now(), thumbprint.as_deref());
            look_at(
                issuing,
                (clock, authority),
                (obtain, check),
                record,
                response,
            )
            .await?
        }
    };
    let mut failed = Vec::new();
    for (name, verdict) in verdicts {
        match verdict {
            NameVerdict::Seen => {}
            NameVerdict::Unseen(problem) => failed.push((name, problem)),
            NameVerdict::Unsure(problem) => report(&Event::SelfCheckUnsure {
                certificate: obtain.certificate.clone(),
                name,
                problem,
            }),
        }
    }
    match failed.is_empty() {
        true => Ok(()),
        false => Err(SelfCheckFailed(failed).into()),
    }
}

/// Looks whether this response is seen at each name while it is visible.
async fn look_at(
    issuing: &Issuing,
    (clock, authority): (&dyn Clock, &dyn Authority),
    (obtain, check): (&Obtain, &SelfCheck),
    record: &mut OrderRecord,
    response: Response,
) -> Result<Vec<(Host, NameVerdict)>, Failure> {
    let Some(name) = obtain.names.first().cloned() else {
        return Ok(Vec::new());
    };
    // What a look showed that was cut off.
    withdraw(issuing, obtain, record.shown.iter()).await?;
    record.shown = vec![response.shown(None)];
    record.shown_at = Some(clock.now());
    issuing.orders.keep_order(&obtain.certificate, record)?;
    let challenge = [Challenge {
        name,
        response: response.clone(),
    }];
    let published = PublishedResponses::new(issuing, obtain, &challenge);
    published.publish().await?;
    let account = authority.account_url();
    let looking = Looking::begun(issuing, &obtain.webroots, check, account);
    Ok(looking.verdicts(&obtain.names, &response).await)
}
