//! Opening the gate of a proxy: its requests go by address from then on.

use http::Method;

use super::{Failure, deploy::inspect};
use crate::{
    desire::Consumer,
    plan::Opening,
    ports::{Ports, ProbeError},
    report::{Event, chain, report},
};

/// The answers of nginx when it has made a file, or replaced it.
///
/// <https://www.rfc-editor.org/rfc/rfc4918#section-9.7>
const MADE: [u16; 2] = [201, 204];

/// The answers of nginx when a file is not there any more, removed by it or before.
const CLOSED: [u16; 2] = [204, 404];

/// Opens it, and looks whether it is open.
pub(super) async fn open(
    ports: &Ports,
    consumer: &Consumer,
    opening: &Opening,
) -> Result<(), Failure> {
    let is_open = match put(ports, consumer, opening).await {
        Ok(None) => keep(ports, consumer, opening).await,
        Ok(Some(problem)) => Err(problem),
        Err(error) => Err(chain(&error)),
    };
    is_open.map_err(|problem| Failure::Gate {
        consumer: consumer.name.clone(),
        problem,
    })?;
    report(&Event::GateOpened {
        consumer: consumer.name.clone(),
    });
    Ok(())
}

/// Closes it again where the proxy was started meanwhile: that one has other files in use, and what was put may be in
/// its new memory.
async fn keep(ports: &Ports, consumer: &Consumer, opening: &Opening) -> Result<(), String> {
    if is_the_same_start(ports, consumer, opening).await {
        return Ok(());
    }
    let unknown = "the engine does not say whether it was started again meanwhile";
    Err(match ask(ports, consumer, opening, Method::DELETE).await {
        Ok(status) if status.is_some_and(|status| CLOSED.contains(&status)) => unknown.to_owned(),
        Ok(status) => format!("{unknown}, and to DELETE it says {}", told(status)),
        Err(error) => format!("{unknown}, and it can't be closed: {}", chain(&error)),
    })
}

async fn is_the_same_start(ports: &Ports, consumer: &Consumer, opening: &Opening) -> bool {
    let seen = inspect(ports, consumer).await;
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
    let Some(reach) = consumer.reach() else {
        return Ok(None);
    };
    let (host, path) = (&opening.host, &opening.path);
    let page = ports.probe.ask(method, reach.http, host, path).await?;
    Ok(Some(page.status))
}
