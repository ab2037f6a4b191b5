use std::{collections::BTreeMap, fmt::Write, io::ErrorKind, net::SocketAddr};

use serde::Serialize;

use super::{
    Call, Exit, Failure, block_on, history, json, print, setup, table,
    terminal::{Paint, width},
};
use crate::{
    adapters::disk::Folders,
    daemon::{Daemon, Survey},
    desire::{Consumer, Reach, SiteContent, claimants},
    ports::{Probe, ProbeError, Vitals},
    report::{
        Finding, Findings, Status, chain,
        explain::{Inspection, LookedAt, ProxyAnswers, explain},
    },
    values::{Host, Protocol},
};

/// The most steps shown at the end: more are not read at night.
const MOST_STEPS: usize = 2;

/// The document of `--format json`.
#[derive(Serialize)]
struct Document<'a> {
    name: &'a Host,
    well: bool,
    findings: &'a [Finding],
    next: Vec<&'a str>,
}

pub(super) fn run(call: &Call) -> Result<Exit, Failure> {
    let word = call
        .options
        .get_one::<String>("name")
        .map(String::as_str)
        .unwrap_or_default();
    if call.options.get_flag("history") {
        return history::run(call, word);
    }
    let host = Host::parse(word)
        .map_err(|error| Failure::Usage(format!("{word:?} is not a host name: {error}")))?;
    block_on(async {
        let (engine, own) = setup::reached(call).await?;
        let (daemon, folders) = setup::reader(call, engine, own.as_ref())?;
        let survey = daemon.survey().await?;
        let told = tell(call, &host, &daemon, &folders, &survey).await?;
        let next = told.next_steps(MOST_STEPS);
        print(&match call.wants_json() {
            true => json(&Document {
                name: &host,
                well: told.is_well(),
                findings: &told.0,
                next,
            })?,
            false => shown(&host, &told, call.paint()),
        })?;
        Ok(if told.is_well() {
            Exit::Done
        } else {
            Exit::Partly
        })
    })
}

async fn tell(
    call: &Call,
    host: &Host,
    daemon: &Daemon,
    folders: &Folders,
    survey: &Survey,
) -> Result<Findings, Failure> {
    let status = folders
        .status()?
        .and_then(|text| serde_json::from_str::<Status>(&text).ok());
    let (mut seen, mut listening) = (BTreeMap::new(), BTreeMap::new());
    for consumer in survey.desired.consumers.values() {
        let Some(site) = consumer.sites.get(host) else {
            continue;
        };
        if let Some(looked) = look(host, daemon, consumer, site.certificate.is_some()).await {
            seen.insert(consumer.name.clone(), looked);
        }
        if let SiteContent::Routes(routes) = &site.content {
            for at in routes.iter().flat_map(|(_, route)| &route.upstreams) {
                listening.insert(*at, listens(&*daemon.ports.probe, *at).await);
            }
        }
    }
    Ok(explain(&Inspection {
        host,
        now: survey.now,
        prefix: &daemon.label_rules.dialects.prefix,
        snapshot: &survey.snapshot,
        desired: &survey.desired,
        claimants: &claimants(&survey.snapshot, &daemon.label_rules),
        observed: &survey.observed,
        plan: &survey.plan,
        faults: &survey.faults,
        status: status.as_ref(),
        daemon: (
            setup::works(call, folders, survey.now)?,
            folders.last_breath()?,
        ),
        looked: Some(LookedAt {
            seen: &seen,
            listening: &listening,
        }),
    }))
}

/// The answers of a proxy to new connections; none where it does not run or is on no network of ours.
async fn look(
    host: &Host,
    daemon: &Daemon,
    proxy: &Consumer,
    has_tls: bool,
) -> Option<ProxyAnswers> {
    let Reach { http, https } = proxy.reach().filter(|_| proxy.running)?;
    let probe = &daemon.ports.probe;
    let told = |error: ProbeError| chain(&error);
    let serial = match has_tls {
        true => Some(
            probe
                .certificate(https, Protocol::Tls, host)
                .await
                .map(|served| served.serial)
                .map_err(told),
        ),
        false => None,
    };
    let mark = probe.page(http, &daemon.plan_rules.mark_host, "/").await;
    let plain = probe.page(http, &host.in_url(), "/").await;
    Some(ProxyAnswers {
        mark: mark.map(|page| page.body.trim().to_owned()).map_err(told),
        plain: plain.map(|page| page.status).map_err(told),
        serial,
    })
}

async fn listens(probe: &dyn Probe, at: SocketAddr) -> Result<(), ErrorKind> {
    probe.listens(at).await.map_err(|error| match error {
        ProbeError::Unreachable { source, .. } => source.kind(),
        ProbeError::Silent { .. } | ProbeError::Strange { .. } | ProbeError::NoTls { .. } => {
            ErrorKind::TimedOut
        }
    })
}

fn shown(host: &Host, told: &Findings, paint: Paint) -> String {
    let verdict = if told.is_well() {
        "is served well"
    } else {
        "is not as it should be"
    };
    let mut text = format!("{host} {verdict}\n");
    text.push_str(&table::findings(told, paint, width()));
    text.push_str("\nwhat to do next\n");
    let next = told.next_steps(MOST_STEPS);
    for step in &next {
        let _ = writeln!(text, "  {}", table::hanging(step, 2, width()));
    }
    match (next.is_empty(), told.is_well()) {
        (true, true) => text.push_str("  nothing\n"),
        (true, false) => text.push_str(
            "  wait a moment and look again; `quaymaster check` looks at everything else\n",
        ),
        _ => {}
    }
    text
}
