//! The state of one name, in a word and a reason. Of several problems the worst is shown.

use serde::Serialize;

use crate::{
    desire::{Consumer, Site, SiteContent, Use},
    observe::{HeldCertificate, Progress, Subject},
    report::{Instead, Overview},
    values::{CertificateName, Host},
};

/// The state of a name, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    /// Clients notice.
    Bad,
    /// They will, unless something is done.
    Warn,
    /// Something is under way, or waits for its time.
    Wait,
    /// As it should be.
    Ok,
}

/// The state of a name at one server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NameState {
    pub level: Level,
    /// In two or three words.
    pub word: &'static str,
    /// The reason; empty where there is nothing to say.
    pub why: String,
}

fn state(level: Level, word: &'static str, why: impl Into<String>) -> NameState {
    let why = why.into();
    NameState { level, word, why }
}

/// The state of a site at its proxy.
pub(super) fn of_site(
    overview: &Overview,
    host: &Host,
    proxy: &Consumer,
    site: &Site,
) -> NameState {
    let of_proxy = of_proxy(overview, host, proxy, site);
    let of_certificate = match &site.certificate {
        Some(wanted) => of_certificate(overview, host, wanted),
        None => state(Level::Ok, "plain HTTP", "its label says tls=off"),
    };
    match of_proxy {
        Some(worse) if worse.level <= of_certificate.level => worse,
        _ => of_certificate,
    }
}

/// The state of a name at a server that uses its certificate.
pub(super) fn of_use(
    overview: &Overview,
    host: &Host,
    consumer: &Consumer,
    used: &Use,
) -> NameState {
    if !consumer.running {
        return state(
            Level::Bad,
            "server down",
            format!("{} does not run", consumer.name),
        );
    }
    of_certificate(overview, host, &used.certificate)
}

/// The problem with the way it is served.
fn of_proxy(overview: &Overview, host: &Host, proxy: &Consumer, site: &Site) -> Option<NameState> {
    let name = &proxy.name;
    if !proxy.running {
        return Some(state(
            Level::Bad,
            "proxy down",
            format!("{name} does not run"),
        ));
    }
    let subject = Subject::Consumer(name.clone());
    let failure = overview.failure(&subject);
    let problem = failure.and_then(|attempt| attempt.problem.as_deref());
    let installed = overview.observed.installed.get(name);
    let word = host.file_word();
    if installed.is_some_and(|it| it.shut.iter().any(|shut| shut.as_str() == &*word)) {
        let why = format!("{name} answers 503: its file leads to old addresses of this name");
        return Some(state(Level::Bad, "shut", why));
    }
    let instead = match installed {
        Some(installed) => Instead::of(host, site, installed),
        None => Some(Instead::Nothing),
    };
    if let Some(instead) = instead {
        let is_under_way = overview.observed.under_way.contains(&subject);
        return Some(match (problem, is_under_way) {
            (Some(problem), _) => state(Level::Bad, "not deployed", problem),
            (None, true) => state(Level::Wait, "being deployed", ""),
            (None, false) => state(Level::Bad, "not deployed", format!("{name}: {instead}")),
        });
    }
    if let Some(kept) = &site.kept {
        return Some(state(
            Level::Bad,
            "no container",
            format!("it {kept}; {name} answers 503"),
        ));
    }
    if takes_nothing(site) {
        let why = format!("no container behind it takes requests; {name} answers 503");
        return Some(state(Level::Bad, "no container", why));
    }
    if let Some(problem) = problem {
        return Some(state(Level::Warn, "older configuration", problem));
    }
    match installed.map(|installed| &installed.progress) {
        Some(Progress::Unproven { reason }) => Some(state(Level::Warn, "not proven", reason)),
        Some(Progress::TakenBack) => {
            let why = format!("{name} ended before it served its new files");
            Some(state(Level::Warn, "older configuration", why))
        }
        _ => None,
    }
}

/// True if no container behind a path of it takes requests.
fn takes_nothing(site: &Site) -> bool {
    match &site.content {
        SiteContent::Redirect(_) => false,
        SiteContent::Routes(routes) => routes.iter().any(|(_, route)| route.upstreams.is_empty()),
    }
}

/// The state of the certificate that is wanted for it.
fn of_certificate(overview: &Overview, host: &Host, wanted: &CertificateName) -> NameState {
    let subject = Subject::Certificate(wanted.clone());
    let failure = overview.failure(&subject);
    let problem = failure.map(|attempt| attempt.problem.as_deref().unwrap_or("it was cut off"));
    let limited = overview.plan.limited.get(wanted);
    let wait = match limited {
        _ if overview.observed.under_way.contains(&subject) => {
            Some(("being obtained", String::new()))
        }
        Some(limited) => Some(("waits for its CA", limited.to_string())),
        None => None,
    };
    let Some(held) = overview.serving(wanted) else {
        return match (problem, wait) {
            (Some(problem), _) => state(Level::Bad, "no certificate", problem),
            (None, Some((word, why))) => state(Level::Wait, word, why),
            (None, None) => state(Level::Wait, "no certificate yet", ""),
        };
    };
    if let Some(wrong) = wrong_with(overview, host, held) {
        let why = match problem {
            Some(problem) => format!("{}; {problem}", wrong.why),
            None => wrong.why,
        };
        return NameState { why, ..wrong };
    }
    match (problem, wait) {
        (Some(problem), _) => state(Level::Warn, "not renewed", problem),
        (None, Some((_, why))) if limited.is_some() => state(Level::Wait, "waits for its CA", why),
        _ => state(Level::Ok, "served", ""),
    }
}

/// The problem that clients have with the certificate that is served.
fn wrong_with(overview: &Overview, host: &Host, held: &HeldCertificate) -> Option<NameState> {
    if held.not_after <= overview.now {
        let why = format!("the certificate expired at {}", held.not_after);
        Some(state(Level::Bad, "expired", why))
    } else if held.not_before > overview.now {
        let why = format!("the certificate begins at {}", held.not_before);
        Some(state(Level::Bad, "not valid yet", why))
    } else if held.is_fallback() {
        let why =
            "a self-signed certificate serves until there is a better one; browsers warn of it";
        Some(state(Level::Bad, "self-signed", why))
    } else if !held.covers(host) {
        let why = "the certificate that serves is for other names; browsers refuse it";
        Some(state(Level::Bad, "wrong names", why))
    } else {
        None
    }
}
