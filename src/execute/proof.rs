//! Looks, again and again on new connections, until the new files are seen to be taken up.

use std::{net::SocketAddr, time::Duration};

use super::shown;
use crate::{
    desire::Consumer,
    plan::Proof,
    ports::{Ports, ProbeError},
    report::chain,
    values::{Host, Protocol, Timestamp},
};

/// For how long nothing but the new generation must be seen: nginx lets old workers accept for 100 ms after it has
/// started new ones (seen: up to 185 ms). A challenge that the CA asks of an old one would fail.
const STEADY_FOR: Duration = Duration::from_millis(300);

/// The pause between looks while waiting for proof; a reload takes 40 ms where there is little to load.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(25);

/// Everything was seen.
pub(super) struct Sighting {
    /// When the last of it.
    pub at: Timestamp,
    /// Time until only the new generation answered.
    pub took: Duration,
}

/// Something was not seen.
pub(super) enum Unseen {
    /// Not in time.
    InTime {
        /// The answer that was seen instead.
        reason: String,
        /// True if any server answered at all.
        connected: bool,
    },
    /// It never can be.
    Ever {
        /// The change that would make it possible.
        reason: String,
    },
}

impl Unseen {
    fn out_of_reach(consumer: &Consumer) -> Self {
        let reason = format!(
            "it can't be looked at from here; put quaymaster and {} on one network, or publish its ports on the host",
            consumer.name
        );
        Self::Ever { reason }
    }

    /// True if any server answered at all.
    pub fn connected(&self) -> bool {
        matches!(
            self,
            Self::InTime {
                connected: true,
                ..
            }
        )
    }
}

/// Looks until everything that the proof asks for is seen or the time is over.
pub(super) async fn prove(
    ports: &Ports,
    consumer: &Consumer,
    proof: &Proof,
    within: Duration,
) -> Result<Sighting, Unseen> {
    if consumer.proxy.is_none() {
        return shown::prove(ports, consumer, proof, within).await;
    }
    let Some(reach) = consumer.reach() else {
        return Err(Unseen::out_of_reach(consumer));
    };
    let began = ports.clock.now();
    let (mut connected, mut steady) = (false, Steady::default());
    loop {
        let seen = match mark(ports, proof, reach.http).await {
            Ok(()) => steady
                .see(ports.clock.now(), began)
                .ok_or_else(|| Look::new(STEADY)),
            Err(look) => {
                steady = Steady::default();
                Err(look)
            }
        };
        let seen = match seen {
            Ok(took) => serials(ports, proof, reach.https).await.map(|()| took),
            Err(look) => Err(look),
        };
        let at = ports.clock.now();
        match seen {
            Ok(took) => return Ok(Sighting { at, took }),
            Err(look) => {
                connected |= look.connected;
                // One more look may be all that steadiness needs.
                if at >= began + within + steady.missing(at) {
                    return Err(Unseen::InTime {
                        reason: look.reason,
                        connected,
                    });
                }
            }
        }
        ports.clock.sleep(LOOK_EVERY).await;
    }
}

const STEADY: &str = "the new configuration was seen, but not for long enough";

/// Since when nothing but the new mark was seen. Old workers go on accepting for a moment after the first new one has
/// answered.
#[derive(Default)]
struct Steady(Option<Timestamp>);

impl Steady {
    /// Notes that the mark was seen; returns the time that it took to appear once that is sure.
    fn see(&mut self, now: Timestamp, began: Timestamp) -> Option<Duration> {
        let since = *self.0.get_or_insert(now);
        (now.since(since) >= STEADY_FOR).then(|| since.since(began))
    }

    fn missing(&self, now: Timestamp) -> Duration {
        self.0.map_or(Duration::ZERO, |since| {
            STEADY_FOR.saturating_sub(now.since(since))
        })
    }
}

/// A look that did not show what it should.
pub(super) struct Look {
    pub reason: String,
    pub connected: bool,
    /// True if no server there speaks TLS.
    pub is_nobody: bool,
    /// True if a server took the connection and said nothing.
    pub is_silent: bool,
    /// True if it can show that only once the server has started again.
    pub waits_for_start: bool,
}

impl Look {
    pub fn new(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            connected: true,
            is_nobody: false,
            is_silent: false,
            waits_for_start: false,
        }
    }
}

impl From<ProbeError> for Look {
    fn from(error: ProbeError) -> Self {
        Self {
            connected: !matches!(error, ProbeError::Unreachable { .. }),
            is_nobody: matches!(
                error,
                ProbeError::Unreachable { .. } | ProbeError::NoTls { .. }
            ),
            is_silent: matches!(error, ProbeError::Silent { .. }),
            reason: chain(&error),
            waits_for_start: false,
        }
    }
}

async fn mark(ports: &Ports, proof: &Proof, http: SocketAddr) -> Result<(), Look> {
    let page = ports.probe.page(http, &proof.mark_host, "/").await?;
    match page.status == 200 && page.body.trim() == proof.mark.to_string() {
        true => Ok(()),
        false => Err(Look::new(format!(
            "{http} still serves an older configuration"
        ))),
    }
}

async fn serials(ports: &Ports, proof: &Proof, https: SocketAddr) -> Result<(), Look> {
    for (host, serial) in &proof.serials {
        serial_is(ports, https, Protocol::Tls, (host, serial)).await?;
    }
    Ok(())
}

/// Checks that this serial number is shown for a host.
pub(super) async fn serial_is(
    ports: &Ports,
    at: SocketAddr,
    protocol: Protocol,
    (host, serial): (&Host, &str),
) -> Result<(), Look> {
    let served = ports.probe.certificate(at, protocol, host).await?;
    match served.serial == serial {
        true => Ok(()),
        false => {
            let other = served.serial;
            Err(Look::new(format!(
                "{at} serves the certificate {other} for {host}, not {serial}"
            )))
        }
    }
}
