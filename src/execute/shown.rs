//! Looks at servers that show nothing but their certificates.

use std::time::Duration;

use super::proof::{Look, Sighting, Unseen, serial_is};
use crate::{
    desire::{Consumer, ProbeAt},
    plan::Proof,
    ports::Ports,
};

/// The first pause between looks, and the longest. Each doubles: a server writes down who connects and says nothing.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(4);

/// Looks until each port shows the new certificates, or the time is over.
pub(super) async fn prove(
    ports: &Ports,
    consumer: &Consumer,
    proof: &Proof,
    within: Duration,
) -> Result<Sighting, Unseen> {
    look(ports, consumer, within, async || {
        is_shown(ports, consumer, proof).await
    })
    .await
}

/// Looks until each port shows others than the new certificates, as it does once those before are back.
pub(super) async fn prove_others(
    ports: &Ports,
    consumer: &Consumer,
    proof: &Proof,
    within: Duration,
) -> Result<Sighting, Unseen> {
    look(ports, consumer, within, async || {
        match is_shown(ports, consumer, proof).await {
            Ok(()) => Err(Look::new(STILL)),
            Err(look) if look.waits_for_start => Err(Look::new(STILL)),
            Err(look) if look.is_silent => Err(look),
            Err(look) if look.connected => Ok(()),
            Err(look) => Err(look),
        }
    })
    .await
}

const STILL: &str = "it still shows the new certificate";

async fn look(
    ports: &Ports,
    consumer: &Consumer,
    within: Duration,
    mut is_seen: impl AsyncFnMut() -> Result<(), Look>,
) -> Result<Sighting, Unseen> {
    if consumer.probes.at.is_empty() {
        return Err(nowhere(consumer));
    }
    let began = ports.clock.now();
    let (mut pause, mut connected) = (FIRST_PAUSE, false);
    loop {
        let seen = is_seen().await;
        let at = ports.clock.now();
        let took = at.since(began);
        match seen {
            Ok(()) => return Ok(Sighting { at, took }),
            Err(look) => {
                connected |= look.connected;
                if took >= within {
                    return Err(unseen(consumer, look, connected));
                }
            }
        }
        ports.clock.sleep(pause.min(within - took)).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// The words about a look that showed nothing until the time was over.
fn unseen(consumer: &Consumer, look: Look, connected: bool) -> Unseen {
    let reason = look.reason;
    // Nothing that was seen speaks against what is new.
    if look.waits_for_start {
        let (name, label) = (&consumer.name, consumer.said.beside("reload"));
        return Unseen::Ever {
            reason: format!(
                "{reason}; the server reads the certificate of this port only when it starts: `docker restart {name}`, or \
                 have it restarted after each renewal by the label {label}=restart"
            ),
        };
    }
    if look.is_silent {
        return Unseen::Ever {
            reason: format!("{reason}; `docker logs {}` may say why", consumer.name),
        };
    }
    match connected {
        true => Unseen::InTime { reason, connected },
        false => Unseen::Ever {
            reason: format!("{reason}; {}", remedy(consumer)),
        },
    }
}

/// Checks that each port shows the new certificates. Ports that no label names count where a server listens and speaks
/// TLS, and one must. An answer of one port counts for more than the silence of another.
async fn is_shown(ports: &Ports, consumer: &Consumer, proof: &Proof) -> Result<(), Look> {
    let (mut nobody, mut silent) = (None, None);
    let mut is_any = false;
    for probe in &consumer.probes.at {
        match shows(ports, probe, proof).await {
            Ok(()) => is_any = true,
            Err(look) if look.is_nobody && !consumer.probes.are_said => {
                nobody = Some(Look {
                    connected: false,
                    ..look
                });
            }
            Err(look) if look.is_silent => silent = Some(look),
            Err(look) => return Err(look),
        }
    }
    if let Some(look) = silent {
        return Err(look);
    }
    match nobody {
        Some(look) if !is_any => Err(look),
        _ => Ok(()),
    }
}

/// Checks that one port shows them. No connection is made without a look at something: a server logs such connections.
async fn shows(ports: &Ports, probe: &ProbeAt, proof: &Proof) -> Result<(), Look> {
    if proof.serials.is_empty() {
        return Ok(ports.probe.listens(probe.at).await?);
    }
    for (host, serial) in &proof.serials {
        let seen = serial_is(ports, probe.at, probe.port.protocol, (host, serial)).await;
        seen.map_err(|look| Look {
            waits_for_start: probe.is_read_at_start && look.connected && !look.is_silent,
            ..look
        })?;
    }
    Ok(())
}

fn nowhere(consumer: &Consumer) -> Unseen {
    Unseen::Ever {
        reason: format!(
            "it is not known where it shows its certificate; {}",
            remedy(consumer)
        ),
    }
}

fn remedy(consumer: &Consumer) -> String {
    let (name, label) = (&consumer.name, consumer.said.beside("probe"));
    format!(
        "put quaymaster and {name} on one network, and write the port into its label {label}, such as {label}=8883, where \
         it is not the usual one of its kind"
    )
}
