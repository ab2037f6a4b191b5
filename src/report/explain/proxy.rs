use std::{io::ErrorKind, net::SocketAddr};

use super::Inspection;
use crate::{
    desire::{Consumer, Site, SiteContent},
    observe::{Bearer, BearerState, Health, Installed, Progress, Subject, times},
    plan::{self, Action, Asked},
    report::{Findings, Instead, Status, start_it},
    values::ContainerName,
};

/// Proxies at which it is shut, whether anybody still asks for it or not.
pub(super) fn tell_shut(facts: &Inspection<'_>, told: &mut Findings) {
    let word = facts.host.file_word();
    for (name, installed) in &facts.observed.installed {
        if installed.shut.iter().any(|site| site.as_str() == &*word) {
            let problem = format!(
                "requests to {name} get 503: the files that it serves lead to old addresses, which other containers \
                 may have by now, and it does not accept new files"
            );
            told.problem(
                "shut",
                problem,
                format!("find out why it accepts no new files: `docker logs {name}`"),
            );
        }
    }
}

/// From which file a proxy serves the name, and whether it took that up.
pub(super) fn tell_files(facts: &Inspection<'_>, proxy: &Consumer, told: &mut Findings) {
    let name = &proxy.name;
    if !proxy.running {
        let remedy = start_it(name, facts.snapshot);
        return told.problem("proxy", format!("{name} does not run"), remedy);
    }
    let installed = facts
        .observed
        .installed
        .get(name)
        .cloned()
        .unwrap_or_default();
    tell_file(facts, proxy, &installed, told);
    tell_changes(facts, name, told);
    tell_progress(facts, name, &installed, told);
}

fn tell_file(facts: &Inspection<'_>, proxy: &Consumer, installed: &Installed, told: &mut Findings) {
    let name = &proxy.name;
    let file = plan::site_file(facts.host);
    let Some(config) = proxy.config() else {
        return;
    };
    let theirs = config.theirs.join(file.as_str());
    match proxy
        .sites
        .get(facts.host)
        .and_then(|site| Instead::of(facts.host, site, installed))
    {
        None => told.ok(
            "proxy",
            format!("{name} serves it from {}", theirs.display()),
        ),
        Some(Instead::Nothing) => told.problem(
            "proxy",
            format!("{name} has no {} now", theirs.display()),
            "",
        ),
        Some(older) => told.problem(
            "proxy",
            format!("{name} serves it from {}: {older}", theirs.display()),
            "",
        ),
    }
}

/// The last failure to bring a proxy up to date, and what is about to be changed.
pub(super) fn tell_changes(facts: &Inspection<'_>, name: &ContainerName, told: &mut Findings) {
    // The daemon has it from its own tries, others have it from what the daemon left.
    let subject = Subject::Consumer(name.clone());
    let attempt = facts.observed.attempts.get(&subject);
    let told_by = |status: &'_ Status| {
        let mut failures = status.failures.iter();
        failures
            .find(|failure| failure.subject == subject)?
            .problem
            .clone()
    };
    let problem = attempt.and_then(|attempt| attempt.problem.clone());
    if let Some(problem) = problem.or_else(|| facts.status.and_then(told_by)) {
        told.problem(
            "proxy",
            format!("{name} could not be updated: {problem}"),
            format!(
                "fix the cause of the failed update of {name}; quaymaster tries again by itself"
            ),
        );
    }
    let changes = facts.actions().find_map(|action| match action {
        Action::Deploy(deploy) if deploy.consumer.name == *name => Some(deploy),
        _ => None,
    });
    if let Some(deploy) = changes {
        let why = deploy
            .why
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(", ");
        told.note("proxy", format!("{name} is about to be updated: {why}"));
    }
}

pub(super) fn tell_progress(
    facts: &Inspection<'_>,
    name: &ContainerName,
    installed: &Installed,
    told: &mut Findings,
) {
    let generation = installed.generation;
    match &installed.progress {
        Progress::Proven { at } => told.ok(
            "proxy",
            format!(
                "{name} was seen serving generation {generation} at {}",
                facts.at(*at)
            ),
        ),
        Progress::Unproven { reason } => {
            let remedy = format!(
                "`docker logs {name}`, and `docker exec {name} nginx -t` where it is nginx, say why"
            );
            told.problem(
                "proxy",
                format!(
                    "{name} was reloaded, but does not serve generation {generation}: {reason}"
                ),
                remedy,
            );
        }
        Progress::SignalOwed => told.note("proxy", format!("{name} has not been reloaded yet")),
        Progress::TakenBack if facts.deploys_to(name) => {}
        Progress::TakenBack => told.problem(
            "proxy",
            format!(
                "{name} ended before it served its new files; its previous files were restored"
            ),
            format!("`docker logs {name}` says why; fix that, and the new files are tried again"),
        ),
    }
}

/// Reports the present answers of a proxy.
pub(super) fn tell_seen(facts: &Inspection<'_>, proxy: &Consumer, told: &mut Findings) {
    let name = &proxy.name;
    let Some(looked) = facts.looked else { return };
    let Some(seen) = looked.seen.get(name) else {
        if proxy.running {
            told.note(
                "seen now",
                format!("{name} can't be looked at from here: no network is shared with it, and it publishes no port"),
            );
        }
        return;
    };
    tell_mark(facts, proxy, &seen.mark, told);
    if let Ok(status) = &seen.plain {
        told.note(
            "seen now",
            format!("http://{}/ gets status {status}", facts.host.in_url()),
        );
    }
    tell_serial(facts, proxy, seen.serial.as_ref(), told);
}

/// The generation that a proxy shows.
fn tell_mark(
    facts: &Inspection<'_>,
    proxy: &Consumer,
    mark: &Result<String, String>,
    told: &mut Findings,
) {
    let Some(settings) = &proxy.proxy else {
        return;
    };
    let name = &proxy.name;
    let installed = facts.observed.installed.get(name);
    let generation = installed.map_or(0, |installed| installed.generation);
    let logs = format!("`docker logs {name}` says more");
    match mark {
        Ok(mark) if *mark == generation.to_string() => {
            told.ok(
                "seen now",
                format!(
                    "{name} answers on port {} with generation {mark}",
                    settings.http_port
                ),
            );
        }
        Ok(mark) if mark.parse::<u64>().is_ok() && facts.deploys_to(name) => told.note(
            "seen now",
            format!("{name} still serves generation {mark}: {generation} is being deployed"),
        ),
        Ok(mark) if mark.parse::<u64>().is_ok() => {
            let says = format!("{name} serves generation {mark}, not {generation}");
            told.problem(
                "seen now",
                says,
                format!("it refuses the new configuration or does not get the signal; {logs}"),
            );
        }
        Ok(_) => told.problem(
            "seen now",
            format!("{name} does not serve what quaymaster writes"),
            format!(
                "does it include {}/*.conf? {logs}",
                settings.config.theirs.display()
            ),
        ),
        Err(problem) => told.problem(
            "seen now",
            format!("{name}: {problem}"),
            format!(
                "is it a server that listens on port {}? {logs}",
                settings.http_port
            ),
        ),
    }
}

fn tell_serial(
    facts: &Inspection<'_>,
    proxy: &Consumer,
    seen: Option<&Result<String, String>>,
    told: &mut Findings,
) {
    let site = proxy.sites.get(facts.host);
    let site = site.filter(|site| site.certificate.is_some());
    let (Some(seen), Some(site), Some(settings)) = (seen, site, &proxy.proxy) else {
        return;
    };
    let name = &proxy.name;
    let candidates = plan::candidates(
        proxy,
        Asked::of_site(facts.host, site),
        &facts.plan.in_force,
        facts.now,
    );
    let expected = candidates
        .iter()
        .find(|candidate| candidate.verdict.is_ok())
        .map(|found| &found.certificate.serial);
    match (seen, expected) {
        (Ok(serial), Some(expected)) if serial == expected => {
            told.ok(
                "seen now",
                format!(
                    "{name} shows the certificate {serial} on port {}",
                    settings.https_port
                ),
            );
        }
        (Ok(serial), expected) => {
            let instead = expected.map_or_else(String::new, |expected| format!(", not {expected}"));
            let remedy = format!(
                "another server block of {name} may answer for this name: `docker exec {name} nginx -T` where it is nginx"
            );
            told.problem(
                "seen now",
                format!("{name} shows the certificate {serial}{instead}"),
                remedy,
            );
        }
        // Without a certificate a refusal is what was meant.
        (Err(_), None) => {}
        (Err(problem), Some(_)) => {
            told.problem("seen now", format!("{name}: https fails: {problem}"), "")
        }
    }
}

/// Checks that the containers behind the proxy take requests.
pub(super) fn tell_behind(facts: &Inspection<'_>, proxy: &Consumer, told: &mut Findings) {
    let Some(site) = proxy.sites.get(facts.host) else {
        return;
    };
    let routes = match &site.content {
        SiteContent::Redirect(to) => {
            return told.ok("behind it", format!("nobody: it is sent to {to}"));
        }
        SiteContent::Routes(routes) => routes,
    };
    let is_served = routes.iter().all(|(_, route)| !route.upstreams.is_empty());
    for container in containers(facts, site) {
        comes_and_goes(facts, container, is_served, told);
    }
    for (path, route) in routes {
        if route.upstreams.is_empty() {
            idle(facts, site, &path.to_string(), told);
        }
        for at in &route.upstreams {
            upstream(facts, site, *at, told);
        }
    }
}

/// The containers of a site that are known.
fn containers<'a>(facts: &Inspection<'a>, site: &'a Site) -> impl Iterator<Item = &'a Bearer> {
    let snapshot = facts.snapshot;
    site.bearers()
        .filter_map(|name| snapshot.bearers.get(name))
        .map(|container| &**container)
}

/// True if it is a container that comes and goes; no fault of a site that others serve meanwhile.
fn comes_and_goes(
    facts: &Inspection<'_>,
    container: &Bearer,
    is_served: bool,
    told: &mut Findings,
) {
    let name = &container.name;
    let logs = format!("`docker logs {name}`");
    if let Some(wait) = container.waits {
        let why = match container.health {
            Some(_) => format!("{logs} and `docker inspect {name}` (State.Health) say why"),
            None => format!("{logs} says why"),
        };
        let remedy =
            format!("{why}; when that is fixed, `docker restart {name}` has it served at once");
        let says = format!("{name} {wait}");
        return match is_served {
            true => told.advice("behind it", says, remedy),
            false => told.problem("behind it", says, remedy),
        };
    }
    let was_restarted = container.is_running() && container.restarts > 0;
    if let Some(started) = container.started_at.filter(|_| was_restarted) {
        let says = format!(
            "{name} was restarted {}, and runs since {}; {logs} says why",
            times(container.restarts),
            facts.at(started)
        );
        told.note("behind it", says);
    }
}

fn idle(facts: &Inspection<'_>, site: &Site, path: &str, told: &mut Findings) {
    let states: Vec<_> = containers(facts, site)
        .map(|container| format!("{} {}", container.name, state(container)))
        .collect();
    let first = site.bearers().next().map_or("NAME", ContainerName::as_str);
    let says = format!(
        "no container takes requests for {path}, so they get 503: {}",
        states.join(", ")
    );
    let remedy = match site.kept {
        // What to do about that is told where it is asked for.
        Some(_) => String::new(),
        // It is told already.
        None if containers(facts, site).any(|container| container.waits.is_some()) => String::new(),
        None => {
            let instead = match containers(facts, site).any(is_held_off) {
                true => format!(
                    "; with the label {}.health=ignore it takes requests anyway",
                    facts.prefix
                ),
                false => String::new(),
            };
            format!(
                "`docker logs {first}` and `docker inspect {first}` (State.Health) say why{instead}"
            )
        }
    };
    told.problem("behind it", says, remedy);
}

/// True if only its health check keeps requests from it.
fn is_held_off(container: &Bearer) -> bool {
    container.is_running() && !container.takes_traffic()
}

fn state(container: &Bearer) -> &'static str {
    match (&container.state, &container.health) {
        _ if container.waits.is_some() => "waits",
        (BearerState::Paused, _) => "is paused",
        (BearerState::Other(_), _) => "does not run",
        (BearerState::Removed { .. }, _) => "was removed",
        (BearerState::Running, Some(Health::Starting)) => "has not passed its health check yet",
        (BearerState::Running, Some(Health::Unhealthy)) => "fails its health check",
        (BearerState::Running, _) => "has no address on a network of the proxy",
    }
}

fn upstream(facts: &Inspection<'_>, site: &Site, at: SocketAddr, told: &mut Findings) {
    let is_at = |container: &&Bearer| {
        container
            .endpoints
            .iter()
            .any(|endpoint| endpoint.address == Some(at.ip()))
    };
    let name = containers(facts, site).find(is_at).map_or_else(
        || at.ip().to_string(),
        |container| container.name.to_string(),
    );
    let Some(looked) = facts.looked else {
        return told.note("behind it", format!("{name} is asked at {at}"));
    };
    match looked.listening.get(&at) {
        Some(Ok(())) => told.ok("behind it", format!("{name} listens at {at}")),
        Some(Err(ErrorKind::ConnectionRefused)) => {
            let port = at.port();
            let remedy = format!(
                "make {name} listen on port {port} of all its addresses (0.0.0.0, not 127.0.0.1), or say by the label \
                 {}.port which port it is",
                facts.prefix
            );
            told.problem(
                "behind it",
                format!("{name}: nothing listens on port {port}, so requests get 502"),
                remedy,
            );
        }
        Some(Err(_)) | None => told.note(
            "behind it",
            format!("{name} is asked at {at}, which can't be tried from here"),
        ),
    }
}
