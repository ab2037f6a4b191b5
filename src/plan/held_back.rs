//! What is held back, told to whoever asked for it.

use std::collections::BTreeSet;

use super::{
    content::Parts,
    ground::are_condemned,
    part::{Part, Serving},
};
use crate::{
    desire::{Comes, Complaint, Consumer, Origin},
    observe::{Installed, Refused},
    render::{TemplateError, Templates},
    values::{FileName, Host},
};

/// What is held back or can't be written.
pub(super) fn complaints(
    consumer: &Consumer,
    installed: &Installed,
    parts: &Parts,
    templates: &Templates,
) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    let of_all = of_all_with_certificates(consumer, installed, parts);
    let is_told = |part: &Part| of_all.is_some() && part.certificate.is_some();
    let in_question = installed
        .foreign
        .iter()
        .chain(installed.trial.refused.keys());
    for (file, part) in in_question.filter_map(|file| Some((file, parts.get(file)?))) {
        let (problem, remedy) = if installed.foreign.contains(file) {
            let path = consumer.config.ours.as_path().join(file.as_str());
            (
                format!(
                    "{} of {} was not written by quaymaster",
                    path.display(),
                    consumer.name
                ),
                "move it away; it is not overwritten".to_owned(),
            )
        } else if let Some(refused) = installed
            .trial
            .holds_back(file, || part.unit())
            .filter(|_| part.comes != Comes::Last && !is_told(part))
        {
            let (name, reason) = (&consumer.name, &refused.reason);
            let meanwhile = meanwhile(file, part.host(), installed);
            let change = change(templates.users_in(part.template(consumer)));
            let (problem, change) = match users_in_doubt(part, installed) {
                None => (format!("{name} refuses {file}: {reason}"), change),
                Some(users) => {
                    let problem = format!(
                        "{name} refuses {file} with your certificate, {}: {reason}",
                        users.files()
                    );
                    let put = put_another(users);
                    match part.has_file(file, installed) {
                        // It has all but the certificate already.
                        true => (problem, put),
                        false => (problem, format!("{put}; or {change}")),
                    }
                }
            };
            (
                problem,
                format!("{change}; until then {meanwhile}, and everything else goes on"),
            )
        } else {
            continue;
        };
        let asking = about(consumer, part.host()).into_iter();
        complaints.extend(asking.map(|origin| origin.complains(problem.clone(), remedy.clone())));
    }
    complaints.extend(of_all);
    complaints.extend(of_templates(consumer, installed, parts));
    complaints
}

/// What is told when a server refuses each site that has a certificate, or says that it may not read a key: that is not
/// the sites' doing, and is told once, of the server.
fn of_all_with_certificates(
    consumer: &Consumer,
    installed: &Installed,
    parts: &Parts,
) -> Option<Complaint> {
    let with_certificates = parts
        .iter()
        .filter(|(_, part)| part.host().is_some() && part.certificate.is_some());
    let (mut refusals, mut users, mut count) = (Vec::new(), BTreeSet::new(), 0);
    for (file, part) in with_certificates {
        count += 1;
        let Some(refused) = installed.trial.holds_back(file, || part.unit()) else {
            continue;
        };
        refusals.push(refused);
        let in_doubt = users_in_doubt(part, installed);
        users.extend(in_doubt.map(put_another));
    }
    let is_unread = |refused: &&&Refused| {
        refused.reason.contains("certificate") && refused.reason.contains("Permission denied")
    };
    let unread = refusals.iter().find(is_unread);
    let told = unread.or(refusals
        .first()
        .filter(|_| count > 1 && refusals.len() == count))?;
    let (name, owner) = (&consumer.name, consumer.said.beside("owner"));
    let problem = match unread {
        Some(_) => format!(
            "{name} can't read the keys of its certificates: {}",
            told.reason
        ),
        None => format!(
            "{name} refuses each site that has a certificate: {}",
            told.reason
        ),
    };
    let change: String = users.iter().map(|put| format!("{put}; or ")).collect();
    let remedy = format!(
        "{change}look into its log; where it may not read keys, write the number of the user that it runs as into its \
         label {owner}. Until then sites without a certificate go on, and no other is new"
    );
    Some(consumer.said.clone().complains(problem, remedy))
}

/// The certificate of the user's that a refused part would have brought: that may be what is refused.
fn users_in_doubt<'a>(part: &'a Part, installed: &Installed) -> Option<&'a Serving> {
    let certificate = part.certificate.as_ref();
    certificate.filter(|serving| serving.is_the_users() && !serving.is_given(installed))
}

/// What to do about it.
fn put_another(users: &Serving) -> String {
    format!(
        "put a certificate and a key that it takes in place of {}, or take them away, so that one of ours is served",
        users.files()
    )
}

/// What templates fail for. A template that fails for everything is told once.
fn of_templates(consumer: &Consumer, installed: &Installed, parts: &Parts) -> Vec<Complaint> {
    let failed = parts.unrendered();
    let of_all = failed.values().find(|part| part.host.is_none());
    if let Some(one) = of_all.or_else(|| failed.values().next().filter(|_| !parts.has_site())) {
        return vec![unrendered(consumer, &one.error)];
    }
    let of_each = failed.iter().flat_map(|(file, part)| {
        let meanwhile = meanwhile(file, part.host.as_ref(), installed);
        let remedy =
            format!("mend the template, or change the site's labels; until then {meanwhile}");
        let asking = about(consumer, part.host.as_ref()).into_iter();
        asking.map(move |origin| origin.complains(part.error.to_string(), remedy.clone()))
    });
    of_each.collect()
}

/// What is told of templates that are held back as one.
pub(super) fn of_refused_templates(
    consumer: &Consumer,
    installed: &Installed,
    templates: &Templates,
) -> Option<Complaint> {
    let earlier = installed
        .templates
        .used
        .and_then(|used| templates.earlier(used));
    let refused = installed.templates.refused(templates.version())?;
    if !are_condemned(refused, consumer, installed, earlier.is_some()) {
        return None;
    }
    let own = consumer.kind.own_files.iter().map(|own| own.template);
    let all = own.chain([consumer.kind.site_template, consumer.kind.mark_template]);
    let users: BTreeSet<_> = all
        .flat_map(|template| templates.users_in(template))
        .collect();
    let users = users.into_iter().collect::<Vec<_>>().join(", ");
    let problem = format!(
        "{} refuses what is made with templates of yours ({users}): {}",
        consumer.name, refused.reason
    );
    let meanwhile = match earlier {
        Some(_) => "those before them stay in use",
        None => "what was there before stays where it leads to nobody else, and no site is new",
    };
    let remedy = format!(
        "mend the templates; they are tried again when they change, and until then {meanwhile}"
    );
    Some(consumer.said.clone().complains(problem, remedy))
}

/// What is told when nothing of a consumer's can be brought up to date, because a template fails.
pub(super) fn unrendered(consumer: &Consumer, error: &TemplateError) -> Complaint {
    let remedy = "mend the template; until then what is live stays where it leads to nobody else";
    consumer.said.clone().complains(error.to_string(), remedy)
}

/// What becomes of a site whose own file is held back.
fn meanwhile(file: &FileName, host: Option<&Host>, installed: &Installed) -> &'static str {
    match (installed.files.contains_key(file), host) {
        (true, _) => "what was there before stays",
        (false, Some(_)) => "the name is not served",
        (false, None) => "it is left out",
    }
}

/// What to do about a file that is refused, given the user's templates that took part in it.
fn change<'t>(users: impl Iterator<Item = &'t str>) -> String {
    let templates = users.collect::<Vec<_>>().join(", ");
    match templates.as_str() {
        "" => "change labels or the proxy's own configuration".to_owned(),
        _ => format!(
            "it is made with templates of yours, which may be wrong: {templates}; change these, labels or the proxy's \
             own configuration"
        ),
    }
}

/// The labels that a part comes from: those that ask for its host, else the one of the consumer.
fn about(consumer: &Consumer, host: Option<&Host>) -> Vec<Origin> {
    match host.and_then(|host| consumer.sites.get(host)) {
        Some(site) => site.asked_by.to_vec(),
        None => vec![consumer.said.clone()],
    }
}
