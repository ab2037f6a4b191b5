use super::{Inspection, rough, uses};
use crate::{
    desire::Wanted,
    observe::{Attempt, HeldCertificate, Shelf, Source, Subject},
    plan::{self, Asked, Candidate, ChosenBy, Skipped, Why},
    report::Findings,
    values::{CertificateName, Host, Retry},
};

/// Which certificate is served and why, which are not and why not, and what came of getting one.
pub(super) fn tell(facts: &Inspection<'_>, told: &mut Findings) {
    let (candidates, wanted) = match (facts.site(), facts.proxies().next()) {
        (Some(site), Some(proxy)) => {
            let Some(wanted) = &site.certificate else {
                return told.note("certificate", "none is wanted: its label says tls=off");
            };
            let asked = Asked::of_site(facts.host, site);
            let found = plan::candidates(proxy, asked, &facts.plan.in_force, facts.now);
            (found, wanted)
        }
        _ => match uses::candidates(facts) {
            Some((found, used)) => (found, &used.certificate),
            None => return tell_unknown(facts, told),
        },
    };
    let chosen = candidates.iter().find_map(|candidate| {
        let by = candidate.verdict.as_ref().ok()?;
        Some((candidate, by))
    });
    match chosen {
        Some((candidate, by)) => tell_held(facts, (candidate, by), wanted, told),
        None => told.problem(
            "certificate",
            "there is none yet; https is refused until it is there",
            "",
        ),
    }
    for Candidate {
        name,
        certificate,
        verdict,
    } in &candidates
    {
        let Err(skipped) = verdict else { continue };
        let why = match skipped {
            // Another one is called so, and is the one for that name.
            Skipped::DoesNotCover if certificate.covers(facts.host) => format!(
                "{name} is served by another one that is called so; call the folder of this one otherwise"
            ),
            Skipped::DoesNotCover => format!("it is for {}", listed(certificate)),
            Skipped::NotValid => {
                format!(
                    "it is not valid: from {} to {}",
                    certificate.not_before, certificate.not_after
                )
            }
            Skipped::NotReadThere => "a proxy reads it as it lies there, and can't".to_owned(),
            Skipped::OnlyFallback => {
                "it is self-signed, and serves only where there is no other".to_owned()
            }
            Skipped::YoursGoesBefore => "one of your own takes precedence".to_owned(),
            Skipped::Other => "the one above fits better".to_owned(),
        };
        let folder = certificate.shelf.folder();
        told.note("certificate", format!("not {folder}/{name}: {why}"));
    }
    tries(facts, wanted, told);
}

fn tell_held(
    facts: &Inspection<'_>,
    (candidate, by): (&Candidate<'_>, &ChosenBy),
    wanted: &CertificateName,
    told: &mut Findings,
) {
    let (name, held) = (candidate.name, candidate.certificate);
    let how = how(facts.host, candidate, by, wanted);
    let HeldCertificate {
        issuer,
        serial,
        not_after,
        ..
    } = held;
    let says = format!(
        "{name}, from {issuer}, serial {serial}: {how}; valid until {}",
        facts.at(*not_after)
    );
    if held.is_fallback() {
        let why = "it is self-signed, and serves until a better one is there; browsers warn of it";
        told.problem("certificate", format!("{says}; {why}"), "");
    } else if !held.covers(facts.host) {
        let refused = format!(
            "{says}: browsers refuse it, since it is for {}",
            listed(held)
        );
        told.problem("certificate", refused, "");
    } else if held.is_valid_at(facts.now) {
        told.ok("certificate", says);
        tell_renewal(facts, name, held, told);
    } else {
        told.problem(
            "certificate",
            format!("{says}: it is not valid now, and is served because there is no better one"),
            "",
        );
    }
    if let Some(wanted) = facts.desired.certificates.get(wanted) {
        tell_other_issuer(facts, held, wanted, told);
    }
}

/// The reason for the choice of this certificate.
fn how(host: &Host, candidate: &Candidate<'_>, by: &ChosenBy, wanted: &CertificateName) -> String {
    let is_exact = candidate.certificate.names.contains(host.as_str());
    let how = match by {
        ChosenBy::Pin => "a label pins it",
        ChosenBy::Cover | ChosenBy::Need | ChosenBy::Fallback => {
            match (is_exact, candidate.name == wanted) {
                (true, true) => "the one that is wanted for it",
                (true, false) => "it is for this very name",
                (false, _) => "it covers the name by a wildcard",
            }
        }
        ChosenBy::Parent(parent) => {
            return format!("it is that of {parent}, the nearest name above that has one");
        }
        ChosenBy::Master => "it is that of the setting master, since none covers the name",
        ChosenBy::Default => "it is the default-certificate, since none covers the name",
    };
    how.to_owned()
}

/// The certificates that are shown to clients that ask for a name which no site has.
fn tell_unknown(facts: &Inspection<'_>, told: &mut Findings) {
    for consumer in facts.desired.consumers.values() {
        let shown = plan::of_unknown(consumer, &facts.plan.in_force, facts.now);
        if let Some((name, held)) = shown {
            let why = match held.is_fallback() {
                true => ", which is self-signed, since the default-certificate can't be used",
                false => "",
            };
            let says = format!(
                "no site has this name; {} answers it with 404 under {name}{why}",
                consumer.name
            );
            told.note("certificate", says);
        }
    }
}

fn tell_renewal(
    facts: &Inspection<'_>,
    name: &CertificateName,
    held: &HeldCertificate,
    told: &mut Findings,
) {
    let wanted = facts.desired.certificates.get(name);
    let is_placed = held.source == Source::Provided && held.shelf == Shelf::Live;
    let helper = wanted.and_then(|wanted| plan::helper_of(wanted, Some(held)));
    if let Some(helper) = helper.filter(|_| is_placed) {
        let due = facts.at(plan::due_by(held, true, None).at);
        return told.ok(
            "certificate",
            format!("the helper {helper} is asked to renew it at {due}"),
        );
    }
    let record = facts.observed.renewal(name);
    let plan::DueRenewal { at: due, why } = plan::due_renewal(held, record);
    let is_kept = facts.site().is_some_and(|site| site.kept.is_some());
    match (&held.source, due > facts.now) {
        (Source::Provided, _) if held.gives_way => told.note(
            "certificate",
            format!(
                "it was put there by hand, with a file called renew: quaymaster obtains its successor from {} on",
                facts.at(plan::due_by(held, false, None).at)
            ),
        ),
        (Source::Provided, _) => told.note(
            "certificate",
            "it was put there by hand; quaymaster does not renew it",
        ),
        _ if is_kept => told.note(
            "certificate",
            "it is not renewed as long as no container of the site runs",
        ),
        (_, true) => told.ok(
            "certificate",
            format!("it will be renewed at {}{}", facts.at(due), by_ca(why)),
        ),
        (_, false) => told.note(
            "certificate",
            format!("its renewal is due since {}{}", facts.at(due), by_ca(why)),
        ),
    }
    let info = record.and_then(|record| record.of(held));
    let suggested = info.and_then(|info| info.suggestion.as_ref());
    if let Some(explanation) = suggested.and_then(|it| it.window.explanation.as_ref()) {
        told.note(
            "certificate",
            format!("its CA says why it is to be renewed then: {explanation}"),
        );
    }
}

/// The words for a time that the CA suggests, if it does.
fn by_ca(why: Why) -> &'static str {
    match why {
        Why::CaSuggests => ", as its CA suggests",
        _ => "",
    }
}

/// That it is from another CA than the one that is asked now.
fn tell_other_issuer(
    facts: &Inspection<'_>,
    held: &HeldCertificate,
    wanted: &Wanted,
    told: &mut Findings,
) {
    let issuer = &wanted.issuance.issuer;
    let is_other = || !held.source.is_any(&wanted.issuers);
    if let Some(until) = plan::kept_until(held, issuer, facts.now) {
        let stays = format!(
            "it is trusted, and certificates from {issuer}, the CA that is set now, are not; it stays until {}",
            facts.at(until)
        );
        told.note("certificate", stays);
    } else if held.source != Source::Provided && !held.is_fallback() && is_other() {
        told.note(
            "certificate",
            "it is from another CA than the one that is set now; a certificate from that CA will replace it",
        );
    }
}

/// That a limit of its CA keeps it from being ordered now, if one does.
fn tell_limit(facts: &Inspection<'_>, name: &CertificateName, told: &mut Findings) -> bool {
    let Some(reached) = facts.plan.limited.get(name) else {
        return false;
    };
    let remedy = format!(
        "wait: it is ordered at {}, or at once by `quaymaster renew --force {}`",
        facts.at(reached.until),
        facts.host
    );
    match facts.observed.lasting(name) {
        Some(_) => told.advice("tries", reached.to_string(), remedy),
        None => told.problem("tries", reached.to_string(), remedy),
    }
    true
}

fn tries(facts: &Inspection<'_>, wanted: &CertificateName, told: &mut Findings) {
    let subject = Subject::Certificate(wanted.clone());
    let attempt = facts.observed.attempts.get(&subject);
    if let Some(other) = facts.plan.other_cas.get(wanted) {
        told.note("tries", other.to_string());
    }
    let is_limited = tell_limit(facts, wanted, told);
    let Some(attempt) = attempt.filter(|attempt| attempt.is_failure()) else {
        let is_missing = !is_limited && facts.observed.lasting(wanted).is_none();
        let words = untried(facts, wanted).filter(|_| is_missing);
        words
            .into_iter()
            .for_each(|words| told.note("tries", words));
        return;
    };
    let again = plan::again(&subject, attempt, facts.desired, facts.observed);
    let when = match attempt.retry {
        _ if again <= facts.now => "it may be tried again now".to_owned(),
        Retry::Daily => format!(
            "it is tried again at {}, and at once when the labels or settings change",
            facts.at(again)
        ),
        Retry::NotBefore(_) => format!("the CA lets it be tried again at {}", facts.at(again)),
        Retry::SelfCheck => format!(
            "it is looked at again at {}, and ordered as soon as that shows nothing wrong",
            facts.at(again)
        ),
        Retry::Propagation(_) => format!(
            "the record is looked for again at {}, and the CA asked once it is seen",
            facts.at(again)
        ),
        Retry::Backoff => format!("it is tried again at {}", facts.at(again)),
    };
    let tries = in_a_row(attempt);
    let ago = rough(facts.now.since(attempt.last));
    let Some(problem) = &attempt.problem else {
        return told.note(
            "tries",
            format!("one is under way since {ago}, or was cut off; {when}"),
        );
    };
    let remedy = match attempt.retry {
        Retry::NotBefore(_) => {
            format!("fix the cause of the last failed try if you can, and wait: {when}")
        }
        _ => format!(
            "fix the cause of the last failed try; {when}, or at once by `quaymaster renew --force {}`",
            facts.host
        ),
    };
    told.problem(
        "tries",
        format!("{tries} failed, the last {ago} ago: {problem}"),
        remedy,
    );
}

/// Number of tries, or looks, that failed in a row.
fn in_a_row(attempt: &Attempt) -> String {
    match (attempt.retry, attempt.in_a_row()) {
        (Retry::SelfCheck, 1) => "1 check before an order".to_owned(),
        (Retry::SelfCheck, looks) => format!("{looks} checks before an order in a row"),
        (Retry::Propagation(_), 1) => "1 check of its TXT record".to_owned(),
        (Retry::Propagation(_), looks) => format!("{looks} checks of its TXT record"),
        (_, 1) => "1 try".to_owned(),
        (_, tries) => format!("{tries} tries in a row"),
    }
}

/// The words about a certificate for which no CA was asked yet.
fn untried(facts: &Inspection<'_>, name: &CertificateName) -> Option<String> {
    let wanted = facts.desired.certificates.get(name)?;
    let asked = match &wanted.helper {
        Some(helper) => format!("the helper {helper}"),
        None => "the CA".to_owned(),
    };
    let closed = plan::closed(name, &wanted.issuance.issuer, facts.observed, facts.now);
    Some(closed.map_or_else(
        || format!("{asked} has not been asked yet"),
        |closed| {
            format!(
                "the CA is asked for nothing until {}: {}",
                facts.at(closed.until),
                closed.problem
            )
        },
    ))
}

fn listed(certificate: &HeldCertificate) -> String {
    certificate
        .names
        .iter()
        .cloned()
        .collect::<Vec<_>>()
        .join(", ")
}
