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
            Ok(()) => Err(Look::new("it still shows the new certificate")),
            Err(look) if look.connected => Ok(()),
            Err(look) => Err(look),
        }
    })
    .await
}

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
                    return Err(match connected {
                        true => Unseen::InTime {
                            reason: look.reason,
                            connected,
                        },
                        // Nothing that was seen speaks against what is new.
                        false => Unseen::Ever {
                            reason: format!("{}; {}", look.reason, remedy(consumer)),
                        },
                    });
                }
            }
        }
        ports.clock.sleep(pause.min(within - took)).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Whether each port shows the new certificates. Those that no label names count where somebody listens, and one must.
async fn is_shown(ports: &Ports, consumer: &Consumer, proof: &Proof) -> Result<(), Look> {
    let mut nobody = None;
    let mut is_any = false;
    for probe in &consumer.probes.at {
        match shows(ports, probe, proof).await {
            Err(look) if !look.connected && !consumer.probes.are_said => nobody = Some(look),
            seen => {
                seen?;
                is_any = true;
            }
        }
    }
    match nobody {
        Some(look) if !is_any => Err(look),
        _ => Ok(()),
    }
}

/// Whether a port shows them. Each connection is one in which something is looked at: a server writes down the others.
async fn shows(ports: &Ports, probe: &ProbeAt, proof: &Proof) -> Result<(), Look> {
    if proof.serials.is_empty() {
        return Ok(ports.probe.listens(probe.at).await?);
    }
    for (host, serial) in &proof.serials {
        serial_is(ports, probe.at, probe.port.protocol, (host, serial)).await?;
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
