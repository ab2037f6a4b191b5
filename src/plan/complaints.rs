//! Complaints about certificates and files that are there, or are missing: labels alone don't show these.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    LimitReached, Limited, kept_until,
    selection::{Selection, can_use},
};
use crate::{
    desire::{Complaint, Consumer, Desired, Origin, Pin, Wanted},
    observe::{ClockGap, Observed, RefusedEmail},
    values::{CertificateName, ContainerName, Host, Issuer, Limit, Timestamp},
};

/// The complaints at `now`.
pub(super) fn of(desired: &Desired, observed: &Observed, now: Timestamp) -> BTreeSet<Complaint> {
    let mut all = BTreeSet::new();
    for (host, complaints) in &desired.uncovered {
        if !is_covered(host, observed, now) {
            all.extend(complaints.iter().cloned());
        }
    }
    for consumer in desired.consumers.values() {
        for (host, site) in &consumer.sites {
            if let Some(pin) = &site.pin {
                all.extend(pinned(host, pin, observed, now));
            }
        }
        all.extend(defaults(consumer, desired, observed, now));
    }
    for (name, wanted) in &desired.certificates {
        all.extend(kept(name, wanted, observed, now));
    }
    for (ca, refused) in &observed.refused_emails {
        all.extend(unreached(ca, refused, desired));
    }
    for (ca, gap) in &observed.clock_gaps {
        all.extend(wrong_clock(ca, gap, desired));
    }
    for file in &observed.missing {
        if let Some(complaints) = desired.files.get(file) {
            all.extend(complaints.iter().cloned());
        }
    }
    all
}

/// True if a valid certificate that is more than a fallback covers the name.
fn is_covered(host: &Host, observed: &Observed, now: Timestamp) -> bool {
    let mut held = observed.held.values();
    held.any(|held| held.covers(host) && held.is_valid_at(now) && !held.is_fallback())
}

/// That a certificate is kept which the CA that is asked for now would replace by one that nobody trusts.
fn kept(
    name: &CertificateName,
    wanted: &Wanted,
    observed: &Observed,
    now: Timestamp,
) -> Option<Complaint> {
    let (held, issuer) = (observed.held.get(name)?, &wanted.issuance.issuer);
    let until = kept_until(held, issuer, now)?;
    let problem = format!(
        "the certificate {name} that is there is trusted, and certificates from {issuer} are not; it stays until {until}"
    );
    let remedy = format!("name the CA that issued it; to try {issuer} out, use another host");
    Some(wanted.issuer_said.clone().complains(problem, remedy))
}

/// That a CA does not take the e-mail address of the settings: whoever asks it first says so.
fn unreached(ca: &str, refused: &RefusedEmail, desired: &Desired) -> Option<Complaint> {
    let mut wanted = desired.certificates.values();
    let asking = wanted.find(|wanted| wanted.issuance.issuer.directory() == Some(ca))?;
    let RefusedEmail { email, problem } = refused;
    let said = Origin::new(&asking.issuer_said.bearer, "setting email", email);
    Some(said.complains(
        format!("{ca} does not accept it, and sends no mail: {problem}"),
        "write another address, or leave the setting out; certificates are obtained anyway",
    ))
}

/// That limits of CAs are reached. One complaint is made of all new names that wait, in words that stay the same as one
/// after the other of them is obtained.
pub(super) fn limited(
    desired: &Desired,
    limited: &BTreeMap<CertificateName, LimitReached>,
) -> BTreeSet<Complaint> {
    let each = limited
        .values()
        .filter(|reached| reached.limited.is_shared());
    // Of thousands that wait, most wait for the same.
    let shared: BTreeMap<_, _> = each
        .map(|reached| ((&reached.issuer, &reached.limited), reached.limit))
        .collect();
    let shared = shared
        .into_iter()
        .map(|((issuer, limited), limit)| shared_limit(issuer, limited, limit));
    let own = limited.iter().filter_map(|(name, reached)| {
        let remedy = match &reached.limited {
            Limited::Orders | Limited::OrdersOf(_) => return None,
            Limited::SameNames => format!(
                "wait, and find out why it is ordered so often; `quaymaster renew {name} --force` orders it anyway"
            ),
            Limited::Failures(_) => "fix what the CA said about it; then quaymaster asks again".to_owned(),
        };
        let said = &desired.certificates.get(name)?.issuer_said;
        Some(said.clone().complains(reached.to_string(), remedy))
    });
    shared.chain(own).collect()
}

/// That new names wait for a limit of new orders.
fn shared_limit(issuer: &Issuer, limited: &Limited, limit: Limit) -> Complaint {
    let whose = match limited {
        Limited::OrdersOf(Some(project)) => format!("of the project {project} at {issuer}"),
        Limited::OrdersOf(None) => format!("of containers outside of a project at {issuer}"),
        _ => format!("at {issuer}"),
    };
    let problem = match limited {
        Limited::OrdersOf(_) => {
            format!(
                "the CA accepts {limit}, and one project has used up its share: its other new names wait"
            )
        }
        _ => format!("the CA accepts {limit}, and no more are left: other new names wait"),
    };
    Origin::new(&ContainerName::of_settings(), &format!("new orders {whose}"), "").complains(
        problem,
        "wait: each is ordered as soon as possible, and `quaymaster status` says when; renewals go on",
    )
}

/// That our clock and a CA's are too far apart. It is about the machine, and no label's fault.
fn wrong_clock(ca: &str, gap: &ClockGap, desired: &Desired) -> Option<Complaint> {
    let mut wanted = desired.certificates.values();
    wanted.find(|wanted| wanted.issuance.issuer.directory() == Some(ca))?;
    let clock = Origin::new(
        &ContainerName::of_settings(),
        "the clock of this machine",
        "",
    );
    Some(clock.complains(
        format!("it is {gap} the clock of the CA {ca}, so nothing is ordered there"),
        "set it, best by NTP: quaymaster notices that at once and goes on; until then it compares the clocks each hour",
    ))
}

/// The default certificates of a server that can't serve. There is no complaint about one that is about to be obtained,
/// but one where that fails.
fn defaults(
    consumer: &Consumer,
    desired: &Desired,
    observed: &Observed,
    now: Timestamp,
) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for default in &consumer.substitutes.defaults {
        let name = &default.certificate;
        let problem = match observed.held.get(name) {
            None if desired.certificates.contains_key(name) => continue,
            None => "there is no certificate of this name".to_owned(),
            Some(held) if !held.is_valid_at(now) => format!(
                "it is valid only from {} to {}",
                held.not_before, held.not_after
            ),
            Some(held) if !can_use(consumer, held) => {
                format!("{} reads it as it lies there, and can't", consumer.name)
            }
            Some(_) => continue,
        };
        let remedy = format!(
            "put a valid one into provided/{name}, or write another name; until then {}",
            shown_instead(consumer, observed, now)
        );
        complaints.push(default.said.clone().complains(problem, remedy));
    }
    complaints
}

/// The certificate that clients get in place of a default that can't serve.
fn shown_instead(consumer: &Consumer, observed: &Observed, now: Timestamp) -> String {
    match Selection::of(&observed.held, now).of_unknown(consumer) {
        Some(shown) if shown.certificate.is_fallback() => "clients get a self-signed one".into(),
        Some(shown) => format!("clients get {}", shown.name),
        None => "clients are served as without it".into(),
    }
}

/// The complaint about a pinned certificate, if there is one.
fn pinned(host: &Host, pin: &Pin, observed: &Observed, now: Timestamp) -> Option<Complaint> {
    const SERVED: &str = "it is served anyway, as long as this label is there";
    let (problem, remedy) = match observed.held.get(&pin.certificate) {
        None => (
            "there is no certificate of this name".to_owned(),
            "put it into provided/, or write another name; the site is served as without this label",
        ),
        Some(held) if !held.covers(host) => {
            let names = held
                .names
                .iter()
                .map(String::as_str)
                .collect::<Vec<_>>()
                .join(", ");
            (format!("it is for {names} and not for {host}"), SERVED)
        }
        Some(held) if !held.is_valid_at(now) => (
            format!(
                "it is valid only from {} to {}",
                held.not_before, held.not_after
            ),
            SERVED,
        ),
        Some(_) => return None,
    };
    Some(pin.said.clone().complains(problem, remedy))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{super::tests::*, *};
    use crate::{
        desire::tests::{container, proxy},
        values::CertificateName,
    };

    fn said(desired: &Desired, observed: &Observed, now: Timestamp) -> Vec<String> {
        of(desired, observed, now)
            .iter()
            .map(Complaint::to_string)
            .collect()
    }

    #[test]
    fn what_nobody_is_asked_for_is_told_until_something_covers_it() {
        let any = container("any", 4).label("host", "*.shop.example");
        let desired = desired([
            proxy(),
            any,
            container("one", 5)
                .label("host", "a.shop.example")
                .label("ca", "none"),
        ]);
        let mut observed = fresh(&desired);
        assert_eq!(said(&desired, &observed, START).len(), 2);
        assert_eq!(planned(&desired, &observed, START).complaints.len(), 2);
        let (_, mut provided) = held("self-signed");
        provided.names = ["*.shop.example".to_owned()].into();
        observed.hold(CertificateName::parse("own").expect("a name"), provided);
        assert_eq!(said(&desired, &observed, START), [""; 0]);
        assert_eq!(
            said(
                &desired,
                &observed,
                START + Duration::from_secs(400 * 24 * 3600)
            )
            .len(),
            2
        );
    }

    #[test]
    fn an_e_mail_address_that_a_ca_does_not_take_is_told_of_who_asks_that_ca() {
        let desired = desired([proxy(), shop()]);
        let mut observed = fresh(&desired);
        let mut wanted = desired.certificates.values();
        let ca = wanted.find_map(|wanted| wanted.issuance.issuer.directory());
        let refused = RefusedEmail {
            email: "ops@corp.example".to_owned(),
            problem: "the CA refuses (invalidContact): no".to_owned(),
        };
        for (directory, is_told) in [(ca.expect("it is asked"), true), ("another", false)] {
            observed.refused_emails = [(directory.to_owned(), refused.clone())].into();
            let expected = format!(
                "container shop, label setting email=\"ops@corp.example\": {directory} does not accept it, and sends \
                 no mail: the CA refuses (invalidContact): no; write another address, or leave the setting out; \
                 certificates are obtained anyway"
            );
            let told = said(&desired, &observed, START);
            assert_eq!(
                told,
                is_told.then_some(expected).into_iter().collect::<Vec<_>>()
            );
        }
    }

    #[test]
    fn a_file_of_passwords_is_told_where_it_is_looked_for_and_not_there() {
        let file = "/etc/nginx/conf.d/htpasswd";
        let desired = desired([proxy(), shop().label("auth", file)]);
        let mut observed = fresh(&desired);
        assert_eq!(said(&desired, &observed, START), [""; 0]);
        observed.missing = desired.files.keys().cloned().collect();
        assert_eq!(
            said(&desired, &observed, START),
            [
                "container shop, label quaymaster.auth=\"/etc/nginx/conf.d/htpasswd\": there is no such file in proxy: \
                 quaymaster sees none at /edge/htpasswd; write it, with a line NAME:HASH for each who may come in \
                 (`openssl passwd -apr1` prints a HASH), or name another file of proxy; until then nobody is let in"
            ]
        );
    }

    /// A certificate for shop.example, and everything else that was seen.
    fn held(ca: &str) -> (Observed, crate::observe::HeldCertificate) {
        let desired = desired([proxy(), shop().label("ca", ca)]);
        let observed = settled(&desired, fresh(&desired), START);
        let held = observed
            .held
            .values()
            .next()
            .expect("it was obtained")
            .clone();
        (observed, (*held).clone())
    }

    #[test]
    fn a_pinned_certificate_is_served_whatever_is_wrong_with_it_and_that_is_told() {
        let (mut observed, mut own) = held("self-signed");
        let pinned = desired([proxy(), shop().label("pin", "own").label("hsts", "1y")]);
        assert_eq!(
            said(&pinned, &observed, START),
            [
                "container shop, label quaymaster.pin=\"own\": there is no certificate of this name; put it into provided/, \
              or write another name; the site is served as without this label"
            ]
        );
        own.names = ["other.example".to_owned()].into();
        let name = CertificateName::parse("own").expect("a name");
        observed.hold(name.clone(), own.clone());
        let told = &said(&pinned, &observed, START)[0];
        assert!(
            told.contains("it is for other.example and not for shop.example; it is served anyway"),
            "{told}"
        );
        let texts: Vec<_> = planned(&pinned, &observed, START)
            .actions
            .into_iter()
            .filter_map(|action| {
                if let super::super::Action::Deploy(deploy) = action {
                    Some(deploy.write)
                } else {
                    None
                }
            })
            .flat_map(|write| write.into_values())
            .collect();
        let text = texts
            .iter()
            .find(|text| text.contains("certificates/own/fullchain.pem"))
            .expect("it is pinned");
        assert!(
            text.contains("return 503;") && !text.contains("Strict-Transport-Security"),
            "{text}"
        );
        own.names = ["shop.example".to_owned()].into();
        let end = own.not_after;
        observed.hold(name, own);
        assert_eq!(said(&pinned, &observed, START), [""; 0]);
        assert!(said(&pinned, &observed, end)[0].contains("it is valid only from "));
    }
}
