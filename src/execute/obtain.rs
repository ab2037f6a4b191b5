use std::time::Duration;

use super::Failure;
use crate::{
    observe::{HeldCertificate, SharedPath, Source},
    plan::Obtain,
    ports::{
        Authority, Challenge, DiskError, NewCertificate, Order, OrderRecord, Ports, ProbeError,
    },
    report::{Event, OrderStage, chain, report},
    values::{Issuer, Secret},
};

/// How long a proxy may take to show a response that lies in its folder: a reload by somebody else may be under way,
/// and shared folders on some systems are not seen at once.
const SERVED_WITHIN: Duration = Duration::from_secs(2);

/// The pause between looks.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Gets a certificate from its issuer and stores it.
pub(super) async fn obtain(ports: &Ports, obtain: &Obtain) -> Result<HeldCertificate, Failure> {
    ports
        .attempts
        .note_attempt(&obtain.certificate, &obtain.attempt)?;
    let held = match &obtain.issuance.issuer {
        Issuer::Ca(directory) => ask(ports, obtain, directory).await?,
        Issuer::SelfSigned => sign(ports, obtain)?,
    };
    ports.attempts.forget_attempts(&obtain.certificate)?;
    report(&Event::Obtained {
        certificate: obtain.certificate.clone(),
        held: held.clone(),
    });
    Ok(held)
}

/// One that its own key signs: nobody is asked.
fn sign(ports: &Ports, obtain: &Obtain) -> Result<HeldCertificate, Failure> {
    let key = ports.authorities.new_key(obtain.issuance.key_type)?;
    let chain = ports
        .authorities
        .self_signed(&key, &obtain.names, ports.clock.now())?;
    Ok(store(ports, obtain, &key, &chain)?)
}

/// One from a CA. Everything that a crash must not lose is on disk before the step that needs it: the attempt before the
/// first request, the key before the order, the order before the challenge.
async fn ask(ports: &Ports, obtain: &Obtain, directory: &str) -> Result<HeldCertificate, Failure> {
    let authority = ports.authorities.at(directory)?;
    tell(obtain, OrderStage::Order);
    let mut record = record(ports, obtain)?;
    let mut order = open(ports, authority.as_ref(), obtain, &mut record).await?;
    authorize(ports, obtain, order.as_mut(), &mut record).await?;
    tell(obtain, OrderStage::Finalize);
    let chain = order.finalize(&record.key, &obtain.names).await?;
    let stored = store(ports, obtain, &record.key, &chain);
    if matches!(stored, Err(DiskError::Certificate { .. })) {
        // This order will give the same certificate for ever, one that has run out since a crash, say: the next try
        // begins a new one.
        ports.orders.drop_order(&obtain.certificate)?;
    }
    let held = stored?;
    ports.orders.drop_order(&obtain.certificate)?;
    Ok(held)
}

fn tell(obtain: &Obtain, stage: OrderStage) {
    report(&Event::Ordering {
        certificate: obtain.certificate.clone(),
        stage,
    });
}

fn store(
    ports: &Ports,
    obtain: &Obtain,
    key: &Secret,
    chain: &str,
) -> Result<HeldCertificate, DiskError> {
    ports.certificates.store(&NewCertificate {
        name: &obtain.certificate,
        names: &obtain.names,
        key,
        chain,
        source: Source::from(&obtain.issuance.issuer),
        now: ports.clock.now(),
    })
}

/// The order that was begun for the same names, or a new key for a new one. One that is damaged can't be finished.
fn record(ports: &Ports, obtain: &Obtain) -> Result<OrderRecord, Failure> {
    let asked = obtain.attempt.asked;
    match ports.orders.order(&obtain.certificate) {
        Ok(Some(record)) => {
            withdraw(ports, obtain, &record.tokens)?;
            if record.asked == asked {
                return Ok(record);
            }
        }
        Ok(None) => {}
        Err(error) => {
            report(&Event::DiskFault {
                problem: format!("{}; a new order is begun", chain(&error)),
            });
            ports.orders.drop_order(&obtain.certificate)?;
        }
    }
    let record = OrderRecord {
        key: ports.authorities.new_key(obtain.issuance.key_type)?,
        asked,
        url: None,
        tokens: Vec::new(),
    };
    ports.orders.keep_order(&obtain.certificate, &record)?;
    Ok(record)
}

/// Goes on with the order on record where that can be, else makes one and writes it down.
async fn open(
    ports: &Ports,
    authority: &dyn Authority,
    obtain: &Obtain,
    record: &mut OrderRecord,
) -> Result<Box<dyn Order>, Failure> {
    if let Some(url) = &record.url
        && let Some(order) = authority.resume(url).await?
    {
        return Ok(order);
    }
    let order = authority
        .order(&obtain.names, obtain.issuance.profile.as_deref())
        .await?;
    record.url = Some(order.url().to_owned());
    ports.orders.keep_order(&obtain.certificate, record)?;
    Ok(order)
}

/// Shows the responses, looks whether they can be seen, lets the CA look, and takes them away whatever came of it.
async fn authorize(
    ports: &Ports,
    obtain: &Obtain,
    order: &mut dyn Order,
    record: &mut OrderRecord,
) -> Result<(), Failure> {
    let challenges = order.challenges().await?;
    if !challenges.is_empty() {
        // A crash takes nothing away: what will be visible is written down before it is.
        record.tokens = challenges
            .iter()
            .map(|challenge| challenge.token.clone())
            .collect();
        ports.orders.keep_order(&obtain.certificate, record)?;
        tell(obtain, OrderStage::Look);
    }
    let published = Published {
        ports,
        obtain,
        challenges: &challenges,
    };
    published.publish()?;
    for challenge in &challenges {
        look(ports, obtain, challenge).await?;
    }
    tell(obtain, OrderStage::Validate);
    Ok(order.authorize().await?)
}

/// Takes away what was shown by a process that was cut off.
fn withdraw(ports: &Ports, obtain: &Obtain, tokens: &[String]) -> Result<(), DiskError> {
    let each = obtain
        .webroots
        .iter()
        .flat_map(|webroot| tokens.iter().map(move |token| (webroot, token)));
    each.into_iter()
        .try_for_each(|(webroot, token)| ports.responder.withdraw(webroot, token))
}

/// Asks each proxy that can be reached for the response, as the CA will: a failed look here costs nothing.
async fn look(ports: &Ports, obtain: &Obtain, challenge: &Challenge) -> Result<(), Failure> {
    let path = format!("/.well-known/acme-challenge/{}", challenge.token);
    let until = ports.clock.now() + SERVED_WITHIN;
    for proxy in &obtain.proxies {
        loop {
            let saw = match ports
                .probe
                .page(*proxy, &challenge.name.in_url(), &path)
                .await
            {
                Ok(page) if page.status == 200 && page.body.trim_end() == challenge.response => {
                    break;
                }
                // Not ours to reach: the CA takes another way.
                Err(ProbeError::Unreachable { .. }) => break,
                Ok(page) => format!(
                    "{proxy} answers with status {} and something else",
                    page.status
                ),
                Err(error) => chain(&error),
            };
            if ports.clock.now() >= until {
                return Err(Failure::NotServed {
                    name: challenge.name.clone(),
                    saw,
                });
            }
            ports.clock.sleep(LOOK_EVERY).await;
        }
    }
    Ok(())
}

/// Responses that are visible. They go when this does, also when the work is cut off.
struct Published<'a> {
    ports: &'a Ports,
    obtain: &'a Obtain,
    challenges: &'a [Challenge],
}

impl Published<'_> {
    fn publish(&self) -> Result<(), Failure> {
        for (webroot, challenge) in self.each() {
            self.ports.responder.publish(webroot, challenge)?;
        }
        Ok(())
    }

    fn each(&self) -> impl Iterator<Item = (&SharedPath, &Challenge)> {
        let webroots = self.obtain.webroots.iter();
        webroots.flat_map(|webroot| {
            self.challenges
                .iter()
                .map(move |challenge| (webroot, challenge))
        })
    }
}

impl Drop for Published<'_> {
    fn drop(&mut self) {
        for (webroot, challenge) in self.each() {
            if let Err(error) = self.ports.responder.withdraw(webroot, &challenge.token) {
                report(&Event::DiskFault {
                    problem: chain(&error),
                });
            }
        }
    }
}
