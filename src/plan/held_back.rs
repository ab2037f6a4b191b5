//! Complaints about parts that are held back, for the containers that asked for them.

use std::{collections::BTreeSet, path::Path, rc::Rc};

use super::{
    case::Case,
    content::Parts,
    edition::earlier,
    part::{Of, Part, Serving},
};
use crate::{
    desire::{Complaint, Consumer, Origin},
    observe::{Installed, PartName, Refused},
    render::{TemplateError, Templates},
    values::{CertificateName, FileName, Host},
};

/// Complaints about parts that are held back or can't be written, made with these templates.
pub(super) fn complaints(case: &Case<'_>, parts: &Parts, templates: &Templates) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for file in &case.installed.foreign {
        complaints.extend(
            parts
                .get(file)
                .iter()
                // One that is meant to become the user's is told elsewhere.
                .filter(|part| !matches!(part.of, Of::Default(_)))
                .flat_map(|part| of_foreign(case, file, part)),
        );
    }
    let of_all = of_each_site(case, parts, templates).or_else(|| of_each_certificate(case, parts));
    for (name, refused) in &case.installed.trial.refused {
        match name {
            PartName::File(file) if !case.installed.foreign.contains(file) => {
                let part = parts.get(file).filter(|part| {
                    case.refusal(file, part).is_some()
                        && part.own().is_none_or(|own| own.excuse.is_none())
                        && !of_all.as_ref().is_some_and(|it| it.concerns(part))
                });
                let told = part.map(|part| of_file(case, file, part, refused, templates));
                complaints.extend(told.into_iter().flatten());
            }
            PartName::Certificate(name) if of_all.is_none() => {
                complaints.extend(of_certificate(case, parts, name, refused));
            }
            PartName::File(_) | PartName::Certificate(_) | PartName::Removal(_) => {}
        }
    }
    complaints.extend(of_all.map(|it| it.complaint));
    complaints.extend(of_templates(case, parts));
    complaints
}

/// That a file lies there that is called as ours.
fn of_foreign(case: &Case<'_>, file: &FileName, part: &Part) -> Vec<Complaint> {
    let folder = case.consumer.config().map(|config| config.ours.as_path());
    let problem = format!(
        "{} of {} was not written by quaymaster",
        folder
            .unwrap_or(Path::new(""))
            .join(file.as_str())
            .display(),
        case.consumer.name
    );
    let remedy = "move it away; it is not overwritten".to_owned();
    to_each(about(case.consumer, part.host()), &problem, &remedy)
}

/// That a file is refused.
fn of_file(
    case: &Case<'_>,
    file: &FileName,
    part: &Part,
    refused: &Refused,
    templates: &Templates,
) -> Vec<Complaint> {
    let (name, reason) = (&case.consumer.name, &refused.reason);
    let meanwhile = meanwhile(file, part.host(), case.installed);
    let change = change(users_in(part, case, templates));
    let (problem, change) = match users_in_doubt(case, part) {
        None => (format!("{name} refuses {file}: {reason}"), change),
        Some(users) => {
            let with = format!("with your certificate, {}", users.files());
            let put = put_another(users);
            let change = match part.has_text(file, case.installed) {
                // It has all but the certificate already.
                true => put,
                false => format!("{put}; or {change}"),
            };
            (format!("{name} refuses {file} {with}: {reason}"), change)
        }
    };
    let remedy = match part.own().and_then(|own| own.remedy) {
        Some(remedy) => remedy.to_owned(),
        None => format!("{change}; until then {meanwhile}; everything else is not affected"),
    };
    to_each(about(case.consumer, part.host()), &problem, &remedy)
}

/// That a newer version of a certificate is refused.
fn of_certificate(
    case: &Case<'_>,
    parts: &Parts,
    name: &CertificateName,
    refused: &Refused,
) -> Vec<Complaint> {
    let held = case.observed.held.get(name);
    let Some(held) = held.filter(|held| held.digest == refused.unit) else {
        return Vec::new();
    };
    let serving = Serving::new(name.clone(), Rc::clone(held));
    let (consumer, reason, files) = (&case.consumer.name, &refused.reason, serving.files());
    let (problem, change) = match serving.is_the_users() {
        true => (
            format!("{consumer} refuses your certificate, {files}: {reason}"),
            put_another(&serving),
        ),
        false => (
            format!("{consumer} refuses the new certificate {name}, {files}: {reason}"),
            format!(
                "look into its log, and change its own configuration; where it reads its files at its start alone, write its label \
                 {}=restart",
                case.consumer.said.beside("reload")
            ),
        ),
    };
    let remedy = format!(
        "{change}; until then the previous certificate is served; everything else is not affected"
    );
    let mut hosts = parts.iter().filter_map(|(_, part)| {
        let named = part.certificate.as_ref().map(|serving| &serving.name);
        part.host().filter(|_| named == Some(name))
    });
    // What many sites share is told once.
    let only = hosts.next().filter(|_| hosts.next().is_none());
    to_each(about(case.consumer, only), &problem, &remedy)
}

/// A complaint about the server, made once for many sites.
struct OfAll {
    complaint: Complaint,
    /// True if it is for sites with certificates alone.
    with_certificates: bool,
}

impl OfAll {
    /// True if it says all that there is to say about this part.
    fn concerns(&self, part: &Part) -> bool {
        match self.with_certificates {
            true => part.certificate.is_some(),
            false => part.host().is_some(),
        }
    }
}

/// The complaint when a server refuses each of several sites, whatever is in them.
fn of_each_site(case: &Case<'_>, parts: &Parts, templates: &Templates) -> Option<OfAll> {
    let mut sites = parts.iter().filter(|(_, part)| part.host().is_some());
    let (file, first) = sites.next()?;
    let refused = case.refusal(file, first)?;
    let (mut are_several, mut has_plain) = (false, first.certificate.is_none());
    for (file, part) in sites {
        case.refusal(file, part)?;
        are_several = true;
        has_plain |= part.certificate.is_none();
    }
    if !(are_several && has_plain) {
        return None;
    }
    let problem = format!(
        "{} refuses each site: {}",
        case.consumer.name, refused.reason
    );
    let change = change(users_in(first, case, templates));
    let remedy = format!("{change}; until then the previous files stay, and no new site is served");
    Some(OfAll {
        complaint: case.consumer.said.clone().complains(problem, remedy),
        with_certificates: false,
    })
}

/// The complaint when a server refuses each site that has a certificate, or may not read a key: no site is the reason
/// for that.
fn of_each_certificate(case: &Case<'_>, parts: &Parts) -> Option<OfAll> {
    // Of thousands of files none has to be looked up where nothing was refused.
    if case.installed.trial.refused.is_empty() {
        return None;
    }
    let (mut refusals, mut users, mut count) = (Vec::new(), BTreeSet::new(), 0);
    for (file, part) in parts.iter() {
        if part.host().is_none() || part.certificate.is_none() {
            continue;
        }
        count += 1;
        if let Some(refused) = case.refusal(file, part) {
            refusals.push(refused);
            users.extend(users_in_doubt(case, part).map(put_another));
        }
    }
    let are_all_refused = count > 1 && refusals.len() == count;
    let first = refusals.first().map(|refused| &refused.reason);
    for (part, refused) in &case.installed.trial.refused {
        if part.certificate().is_some() {
            refusals.push(refused);
        }
    }
    let name = &case.consumer.name;
    let problem = match (refusals.iter().find(|refused| is_unread(refused)), first) {
        (Some(unread), _) => {
            let reason = &unread.reason;
            format!("{name} can't read the keys of its certificates: {reason}")
        }
        (None, Some(reason)) if are_all_refused => {
            format!("{name} refuses each site that has a certificate: {reason}")
        }
        (None, _) => return None,
    };
    let change: String = users.iter().map(|put| format!("{put}; or ")).collect();
    let remedy = format!(
        "{change}look into its log; if it may not read the keys, write the number of its user into its label {}. Until \
         then sites without a certificate are served, but no other new site",
        case.consumer.said.beside("owner")
    );
    Some(OfAll {
        complaint: case.consumer.said.clone().complains(problem, remedy),
        with_certificates: true,
    })
}

/// True if a server could not read a key.
fn is_unread(refused: &Refused) -> bool {
    refused.reason.contains("certificate") && refused.reason.contains("Permission denied")
}

/// The certificate of the user's that comes with a refused part: that may be what is refused.
fn users_in_doubt<'a>(case: &Case<'_>, part: &'a Part) -> Option<&'a Serving> {
    let brings = part.brings((case.consumer, case.installed));
    brings.filter(|serving| serving.is_the_users())
}

/// The remedy.
fn put_another(users: &Serving) -> String {
    format!(
        "replace {} by a certificate and a key that it accepts, or remove them, so that quaymaster's own is served",
        users.files()
    )
}

/// Complaints about templates that fail. There is one complaint about a template that fails for everything.
fn of_templates(case: &Case<'_>, parts: &Parts) -> Vec<Complaint> {
    let of_all = parts.failing().find(|(_, part, _)| part.host().is_none());
    let of_all = of_all.or_else(|| parts.failing().next().filter(|_| !parts.has_site()));
    if let Some((.., error)) = of_all {
        return vec![unrendered(case.consumer, error)];
    }
    let of_each = parts.failing().flat_map(|(file, part, error)| {
        let meanwhile = meanwhile(file, part.host(), case.installed);
        let remedy =
            format!("fix the template, or change the site's labels; until then {meanwhile}");
        to_each(
            about(case.consumer, part.host()),
            &error.to_string(),
            &remedy,
        )
    });
    of_each.collect()
}

/// The complaint about templates that are held back as one.
pub(super) fn of_refused_templates(
    consumer: &Consumer,
    installed: &Installed,
    templates: &Templates,
) -> Option<Complaint> {
    let refused = installed.templates.refused(templates.version())?;
    earlier(installed, templates)?;
    let proxies = consumer.proxy.iter();
    let users: BTreeSet<_> = proxies
        .flat_map(|proxy| proxy.kind.templates())
        .flat_map(|template| templates.users_in(template))
        .collect();
    let users = users.into_iter().collect::<Vec<_>>().join(", ");
    let problem = format!(
        "{} refuses what your templates make ({users}): {}",
        consumer.name, refused.reason
    );
    let remedy = "fix the templates; they are tried again when they change, and until then the previous templates stay \
                  in use";
    Some(consumer.said.clone().complains(problem, remedy.to_owned()))
}

/// The complaint about a new edition that is not tried, because a template fails.
pub(super) fn untried(consumer: &Consumer, error: &TemplateError) -> Complaint {
    let remedy = "fix the template; until then the previous templates stay in use";
    consumer
        .said
        .clone()
        .complains(error.to_string(), remedy.to_owned())
}

/// The complaint when nothing of a consumer's can be brought up to date, because a template fails.
pub(super) fn unrendered(consumer: &Consumer, error: &TemplateError) -> Complaint {
    let remedy =
        "fix the template; until then the live files stay as long as they lead to nobody else";
    consumer.said.clone().complains(error.to_string(), remedy)
}

/// The present state of a site whose own file is held back.
fn meanwhile(file: &FileName, host: Option<&Host>, installed: &Installed) -> &'static str {
    match (installed.files.contains_key(file), host) {
        (true, _) => "the previous file stays",
        (false, Some(_)) => "the name is not served",
        (false, None) => "it is left out",
    }
}

/// The user's templates that take part in a file.
fn users_in<'t>(
    part: &Part,
    case: &Case<'_>,
    templates: &'t Templates,
) -> impl Iterator<Item = &'t str> {
    let template = part.template(case.consumer).into_iter();
    template.flat_map(|template| templates.users_in(template))
}

/// The remedy for a file that is refused, given the user's templates that took part in it.
fn change<'t>(users: impl Iterator<Item = &'t str>) -> String {
    let templates = users.collect::<Vec<_>>().join(", ");
    match templates.as_str() {
        "" => "change labels or the proxy's own configuration".to_owned(),
        _ => format!(
            "it is made with your templates {templates}, which may be wrong; change these, the labels or the proxy's \
             own configuration"
        ),
    }
}

/// The same complaint about each of these labels.
fn to_each(origins: Vec<Origin>, problem: &str, remedy: &str) -> Vec<Complaint> {
    let told = |origin: Origin| origin.complains(problem.to_owned(), remedy.to_owned());
    origins.into_iter().map(told).collect()
}

/// The labels that a part comes from: those that ask for its host, else the one of the consumer.
fn about(consumer: &Consumer, host: Option<&Host>) -> Vec<Origin> {
    match host.and_then(|host| consumer.sites.get(host)) {
        Some(site) => site.asked_by.to_vec(),
        None => vec![consumer.said.clone()],
    }
}
