use std::{collections::BTreeMap, io::ErrorKind, net::SocketAddr};

use futures_util::{StreamExt, stream};

use crate::{
    daemon::{Daemon, Survey},
    observe::Bearer,
    ports::ProbeError,
    report::Findings,
    values::Host,
};

/// Where more than this is to be asked, the rest is left to `explain`.
const MOST: usize = 500;

/// So many are asked at the same time.
const AT_ONCE: usize = 250;

/// Checks that a server listens where proxies pass requests on to.
pub(super) async fn look(daemon: &Daemon, survey: &Survey, told: &mut Findings) {
    let consumers = survey.desired.consumers.values();
    let sites = consumers.flat_map(|consumer| &consumer.sites);
    let all: BTreeMap<SocketAddr, &Host> = sites
        .flat_map(|(host, site)| site.leads_to().into_iter().map(move |at| (at, host)))
        .collect();
    let probe = &daemon.ports.probe;
    let asked = stream::iter(all.iter().take(MOST))
        .map(async |(at, host)| (*at, *host, probe.listens(*at).await));
    let (mut listening, mut untried) = (0, all.len().saturating_sub(MOST));
    let mut answers: Vec<_> = asked.buffer_unordered(AT_ONCE).collect().await;
    answers.sort_by_key(|(at, ..)| *at);
    for (at, host, answer) in answers {
        match answer {
            Ok(()) => listening += 1,
            Err(ProbeError::Unreachable { source, .. })
                if source.kind() == ErrorKind::ConnectionRefused =>
            {
                let name = name(survey, at);
                let remedy = format!(
                    "make {name} listen on port {} of all its addresses, or say by the label {}.port which port it is",
                    at.port(),
                    daemon.label_rules.dialects.prefix
                );
                told.problem(
                    "apps",
                    format!("{name}: nothing listens at {at}, so {host} answers 502"),
                    remedy,
                );
            }
            // Networks of containers are kept apart: what a proxy reaches, we need not.
            Err(_) => untried += 1,
        }
    }
    match (listening, untried) {
        (0, 0) => {}
        (listening, 0) => told.ok("apps", format!("those that listen: {listening}")),
        (listening, untried) => told.note(
            "apps",
            format!("those that listen: {listening}; that can't be tried from here: {untried}"),
        ),
    }
}

/// The container that has this address.
fn name(survey: &Survey, at: SocketAddr) -> String {
    let is_at = |container: &&Bearer| {
        container
            .endpoints
            .iter()
            .any(|endpoint| endpoint.address == Some(at.ip()))
    };
    let found = survey
        .snapshot
        .bearers
        .values()
        .map(|container| &**container)
        .find(is_at);
    found.map_or_else(
        || at.ip().to_string(),
        |container| container.name.to_string(),
    )
}
