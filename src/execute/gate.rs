//! Opening the gate of a proxy: its requests go by address from then on.

use http::Method;

use super::Failure;
use crate::{
    desire::Consumer,
    plan::Opening,
    ports::{Ports, ProbeError},
    report::{Event, chain, report},
};

/// What nginx says when it has made a file, or replaced it.
///
/// <https://www.rfc-editor.org/rfc/rfc4918#section-9.7>
const MADE: [u16; 2] = [201, 204];

/// Opens it, and looks whether it is open.
pub(super) async fn open(
    ports: &Ports,
    consumer: &Consumer,
    opening: &Opening,
) -> Result<(), Failure> {
    let problem = match put(ports, consumer, opening).await {
        Ok(None) => {
            // One that was started again meanwhile has other files in use, and what was put may be in its new memory.
            if !is_the_same_start(ports, consumer, opening).await {
                drop(ask(ports, consumer, opening, Method::DELETE).await);
                return Err(Failure::Gate {
                    consumer: consumer.name.clone(),
                    problem: "whether it was started again meanwhile is not known".to_owned(),
                });
            }
            report(&Event::GateOpened {
                consumer: consumer.name.clone(),
            });
            return Ok(());
        }
        Ok(Some(problem)) => problem,
        Err(error) => chain(&error),
    };
    Err(Failure::Gate {
        consumer: consumer.name.clone(),
        problem,
    })
}

async fn is_the_same_start(ports: &Ports, consumer: &Consumer, opening: &Opening) -> bool {
    let seen = ports.engine.inspect(consumer.id.as_str()).await;
    matches!(seen, Ok(Some(now)) if now.is_there() && now.started_at == Some(opening.started_at))
}

/// Puts the file there; what is wrong where it is not there then.
async fn put(
    ports: &Ports,
    consumer: &Consumer,
    opening: &Opening,
) -> Result<Option<String>, ProbeError> {
    let made = ask(ports, consumer, opening, Method::PUT).await?;
    if !made.is_some_and(|status| MADE.contains(&status)) {
        return Ok(Some(format!("to PUT it says {}", told(made))));
    }
    let seen = ask(ports, consumer, opening, Method::GET).await?;
    Ok((seen != Some(200)).then(|| format!("to GET it says {} after that", told(seen))))
}

fn told(status: Option<u16>) -> String {
    status.map_or("nothing".to_owned(), |status| status.to_string())
}

/// The status of the answer; none where it can't be reached from here.
async fn ask(
    ports: &Ports,
    consumer: &Consumer,
    opening: &Opening,
    method: Method,
) -> Result<Option<u16>, ProbeError> {
    let Some(reach) = consumer.reach else {
        return Ok(None);
    };
    let (host, path) = (&opening.host, &opening.path);
    let page = ports.probe.ask(method, reach.http, host, path).await?;
    Ok(Some(page.status))
}
