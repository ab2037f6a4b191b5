use super::{apart, engine::APART};
use crate::{
    adapters::{acme::Directory, disk},
    cli::Call,
    daemon::Daemon,
    ports::AuthorityError,
    report::{Findings, chain, explain::rough},
    values::{Issuer, Timestamp},
};

pub(super) const ABOUT: &str = "CA";

/// Whether the CA can be used; says whether it can be asked at all.
pub(super) async fn look(call: &Call, daemon: &Daemon, now: Timestamp, told: &mut Findings) -> bool {
    let settings = &call.settings;
    let Some(url) = settings.ca.as_ref().and_then(Issuer::directory) else {
        told.note(ABOUT, "the setting ca names none");
        return true;
    };
    let roots = match settings.ca_root.as_deref().map(disk::text).transpose() {
        Ok(roots) => roots,
        Err(error) => {
            told.problem(ABOUT, chain(&error), "correct the setting ca-root");
            return false;
        }
    };
    let directory = match Directory::look(url, roots.as_deref()).await {
        Ok(directory) => directory,
        Err(error) => {
            let remedy = match &error {
                AuthorityError::NotAcme { .. } => "correct the setting ca: a preset's name, or the URL of a directory",
                _ => "is the way to it open (DNS, firewall), and its certificate trusted (setting ca-root)?",
            };
            told.problem(ABOUT, chain(&error), remedy);
            return false;
        }
    };
    told.ok(ABOUT, format!("{url} answers and speaks ACME"));
    let terms = match daemon.ports.authorities.at(url) {
        Ok(authority) => authority.terms_to_agree().await,
        Err(error) => {
            told.problem(ABOUT, chain(&error), "correct the setting ca");
            return false;
        }
    };
    match terms {
        Some(terms) => told.problem(
            ABOUT,
            "its terms have not been agreed to",
            format!("read {terms}, then set agree-tos to true"),
        ),
        None => told.ok(ABOUT, "its terms are agreed to"),
    }
    match directory.date {
        None => told.note("clocks", "the CA does not tell its time"),
        Some(date) if apart(date, now) <= APART => told.ok("clocks", "ours and the CA's agree"),
        Some(date) => {
            let says = format!("ours says {now}, the CA's {date}: {} apart", rough(apart(date, now)));
            told.problem("clocks", says, "set ours by NTP");
        }
    }
    true
}
