//! The answers to a CA's challenges for a certificate, foreseen.

use std::collections::BTreeSet;

use super::part::{own_file, site_file};
use crate::{
    desire::{Comes, Consumer, Desired, Reload, Wanted},
    observe::{Installed, Observed, Progress, Subject},
    values::{CertificateName, ChallengeType, ContainerName, Host, Issuer},
};

/// True if a challenge for each of these names would be answered: a proxy that serves the name runs, has its site
/// installed, and was reloaded. False without names. A deployment to the proxy at this moment is no matter, unless it
/// is started again for that: the earlier files answer as the new ones do, and a reload leaves no gap. Names that no
/// site has are answered by every proxy that serves one of the others, and by ourselves where no proxy does and the
/// settings say so.
pub(super) fn is_answered(
    name: &CertificateName,
    wanted: &Wanted,
    desired: &Desired,
    observed: &Observed,
    deploying: &BTreeSet<ContainerName>,
    answers_itself: bool,
) -> bool {
    if wanted.issuance.issuer == Issuer::SelfSigned {
        // Nobody looks before it is made. Where no server has it, nobody would show it, either.
        return !(wanted.served_by.is_empty() && wanted.used_by.is_empty());
    }
    if wanted.issuance.challenge == ChallengeType::Dns01 {
        // The CA asks the servers of the zone.
        return true;
    }
    let proxies: Vec<_> = wanted
        .served_by
        .iter()
        .filter_map(|name| desired.consumers.get(name))
        .collect();
    if proxies.is_empty() && answers_itself {
        return true;
    }
    let lasts = observed.lasting(name).is_some();
    let can_answer: Vec<_> = proxies
        .iter()
        .map(|proxy| proxy.running && !is_restarted(proxy, observed, deploying))
        .collect();
    for host in &wanted.names {
        let is_site = proxies.iter().any(|proxy| proxy.sites.contains_key(host));
        let mut answers = proxies.iter().zip(&can_answer);
        let is_answered = answers.any(|(proxy, can_answer)| {
            *can_answer
                && is_site == proxy.sites.contains_key(host)
                && has_answer(proxy, host, lasts, observed)
        });
        if !is_answered {
            return false;
        }
    }
    true
}

/// True if a proxy is started again at this moment, to read its files.
fn is_restarted(
    proxy: &Consumer,
    observed: &Observed,
    deploying: &BTreeSet<ContainerName>,
) -> bool {
    let subject = Subject::Consumer(proxy.name.clone());
    proxy.reload == Reload::Restart
        && (deploying.contains(&proxy.name) || observed.under_way.contains(&subject))
}

/// True if the files that a proxy has read answer challenges for a name. `lasts`: a certificate for it is there.
fn has_answer(proxy: &Consumer, host: &Host, lasts: bool, observed: &Observed) -> bool {
    let Some(installed) = observed.installed.get(&proxy.name) else {
        return false;
    };
    // Of a site that was served, and is held back, what serves names that no site has answers.
    let is_left = lasts && has_ground(proxy, installed);
    let has_site = is_left
        || !proxy.sites.contains_key(host)
        || installed.files.contains_key(&site_file(host));
    installed.progress != Progress::SignalOwed && has_site
}

/// True if the files that all sites of a proxy need lie there.
fn has_ground(proxy: &Consumer, installed: &Installed) -> bool {
    let mut grounds = proxy
        .own_files()
        .iter()
        .filter(|own| own.comes == Comes::WithSites);
    grounds.all(|own| installed.files.contains_key(&own_file(own.file)))
}
