//! What a consumer's folder should hold, and whether that needs a deployment.

use std::collections::{BTreeMap, BTreeSet};

use super::{Action, Deploy, Draft, Proof, Rules, Why, backoff, selection, views};
use crate::{
    desire::{CertificateFolder, Complaint, Consumer},
    observe::{Installed, Observed, Progress, Subject},
    render::{TemplateError, Templates},
    values::{CertificateName, Digest, DnsName, FileName, Timestamp},
};

/// What a consumer's folder should hold.
struct Content {
    files: BTreeMap<FileName, String>,
    certificates: BTreeMap<CertificateName, Digest>,
    served: BTreeMap<DnsName, (CertificateName, String)>,
}

/// The file of a site in a proxy's config folder.
pub fn site_file(host: &DnsName) -> FileName {
    FileName::parse(format!("quaymaster-{host}.conf")).expect("a host name has at most 46 plain characters here")
}

/// The file of the proxy itself. No host name begins with a hyphen, so no site is in its way, and it sorts before all
/// of them: nginx takes the first server of a port for names that none has.
fn proxy_file() -> FileName {
    FileName::parse("quaymaster--proxy.conf").expect("it is a plain file name")
}

/// Plans the deployment to one consumer, if it needs one.
pub(super) fn plan(
    consumer: &Consumer,
    observed: &Observed,
    templates: &Templates,
    rules: &Rules,
    now: Timestamp,
    draft: &mut Draft,
) {
    let subject = Subject::Consumer(consumer.name.clone());
    let Some(installed) = observed.installed.get(&consumer.name) else { return };
    if observed.under_way.contains(&subject) {
        return;
    }
    let action = match deploy(consumer, installed, observed, templates, rules, now) {
        Ok(Some(action)) => action,
        Ok(None) => return,
        Err(error) => return draft.plan.complaints.extend([unrendered(consumer, &error)]),
    };
    match backoff::held_back(observed.attempts.get(&subject), &subject, action.attempt.asked) {
        Some(time) if time > now => drop(draft.wakes.insert(time)),
        _ => draft.plan.actions.push(Action::Deploy(Box::new(action))),
    }
}

fn deploy(
    consumer: &Consumer,
    installed: &Installed,
    observed: &Observed,
    templates: &Templates,
    rules: &Rules,
    now: Timestamp,
) -> Result<Option<Deploy>, TemplateError> {
    let mut content = content(consumer, observed, templates, now)?;
    let mark_is = |mark| proxy(consumer, templates, rules, mark);
    content.files.insert(proxy_file(), mark_is(installed.generation)?);
    let why = reasons(consumer, installed, &content);
    if why.is_empty() {
        return Ok(None);
    }
    let changed = why.contains(&Why::ContentChanged) || why.contains(&Why::CertificateChanged);
    let generation = installed.generation + u64::from(changed);
    content.files.insert(proxy_file(), mark_is(generation)?);
    let files: BTreeMap<_, _> = content.files.iter().map(|(name, text)| (name.clone(), Digest::of(text))).collect();
    let progress = if why == BTreeSet::from([Why::ProofOwed]) { Progress::Signalled } else { Progress::SignalOwed };
    let asked = Digest::of_parts(
        files.values().chain(content.certificates.values()).map(Digest::to_string).chain([generation.to_string()]),
    );
    let before = observed.attempts.get(&Subject::Consumer(consumer.name.clone()));
    let is_new = |host: &DnsName, name: &CertificateName| {
        let file = site_file(host);
        installed.files.get(&file) != files.get(&file)
            || installed.certificates.get(name) != content.certificates.get(name)
    };
    // What did not change was seen before: looking at all of thousands of names would take minutes.
    let serials = content.served.iter().filter(|(host, (name, _))| !changed || is_new(host, name));
    Ok(Some(Deploy {
        proof: Proof {
            mark_host: rules.mark_host.clone(),
            mark: generation,
            serials: serials.map(|(host, (_, serial))| (host.clone(), serial.clone())).collect(),
        },
        deliver: undelivered(consumer, installed, &content),
        remove: installed.files.keys().filter(|name| !files.contains_key(*name)).cloned().collect(),
        write: content.files.into_iter().filter(|(name, _)| installed.files.get(name) != files.get(name)).collect(),
        after: Installed { generation, files, certificates: content.certificates, progress },
        attempt: backoff::attempt(before, asked, now),
        consumer: consumer.clone(),
        why,
    }))
}

/// Why this consumer needs a deployment; empty when it does not.
fn reasons(consumer: &Consumer, installed: &Installed, content: &Content) -> BTreeSet<Why> {
    let same = installed.files.len() == content.files.len()
        && content.files.iter().all(|(name, text)| installed.files.get(name) == Some(&Digest::of(text)));
    let changed: BTreeSet<Why> = [
        (!same).then_some(Why::ContentChanged),
        (installed.certificates != content.certificates).then_some(Why::CertificateChanged),
    ]
    .into_iter()
    .flatten()
    .collect();
    if !changed.is_empty() {
        return changed;
    }
    let owed = match &installed.progress {
        // One that does not run reads everything when it starts; what is owed is sent then.
        _ if !consumer.running => None,
        Progress::SignalOwed => Some(Why::SignalOwed),
        Progress::Signalled => Some(Why::ProofOwed),
        Progress::Proven { .. } | Progress::Unproven { .. } => None,
    };
    owed.into_iter().collect()
}

/// The certificates that must be copied first; none where the consumer reads our own folder.
fn undelivered(consumer: &Consumer, installed: &Installed, content: &Content) -> BTreeMap<CertificateName, Digest> {
    if matches!(consumer.certificates, CertificateFolder::Shared { .. }) {
        return BTreeMap::new();
    }
    let is_new = |name: &CertificateName, digest: &Digest| installed.certificates.get(name) != Some(digest);
    content.certificates.iter().filter(|(name, digest)| is_new(name, digest)).map(|(n, d)| (n.clone(), *d)).collect()
}

/// All sites, rendered; the proxy's own file is added by the caller, who knows the mark.
fn content(
    consumer: &Consumer,
    observed: &Observed,
    templates: &Templates,
    now: Timestamp,
) -> Result<Content, TemplateError> {
    let mut content = Content { files: BTreeMap::new(), certificates: BTreeMap::new(), served: BTreeMap::new() };
    for (host, site) in &consumer.sites {
        let serving = site.certificate.as_ref().and_then(|wanted| selection::serving(host, wanted, observed, now));
        if let Some((name, certificate)) = serving {
            content.certificates.insert(name.clone(), certificate.digest);
            content.served.insert(host.clone(), (name.clone(), certificate.serial.clone()));
        }
        let view = views::site(consumer, host, site, serving.map(|(name, _)| name));
        content.files.insert(site_file(host), templates.render(consumer.kind.site_template, &view)?);
    }
    Ok(content)
}

fn proxy(consumer: &Consumer, templates: &Templates, rules: &Rules, mark: u64) -> Result<String, TemplateError> {
    templates.render(consumer.kind.proxy_template, &views::proxy(consumer, &rules.mark_host, mark))
}

fn unrendered(consumer: &Consumer, error: &TemplateError) -> Complaint {
    Complaint {
        container: consumer.name.clone(),
        label: "kind".to_owned(),
        value: consumer.kind.name.to_owned(),
        problem: error.to_string(),
        remedy: "mend the template; what is live stays until then".to_owned(),
    }
}
