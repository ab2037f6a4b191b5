//! The certificates that could serve a name, each with the reason why it does or does not.

use super::{
    in_force::InForce,
    selection::{Choice, ChosenBy, Named, Selection, can_use},
};
use crate::{
    desire::{Consumer, Pin, Site, Substitutes, Use},
    observe::{HeldCertificate, Source},
    values::{CertificateName, Host, Timestamp},
};

/// A name that a certificate is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    host: &'a Host,
    certificate: Option<&'a CertificateName>,
    pin: Option<&'a Pin>,
}

impl<'a> Asked<'a> {
    /// By a site.
    pub fn of_site(host: &'a Host, site: &'a Site) -> Self {
        Self {
            host,
            certificate: site.certificate.as_ref(),
            pin: site.pin.as_ref(),
        }
    }

    /// By the label of a server.
    pub fn of_use(host: &'a Host, used: &'a Use) -> Self {
        Self {
            host,
            certificate: Some(&used.certificate),
            pin: used.pin.as_ref(),
        }
    }
}

/// A held certificate that comes into question for a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate<'a> {
    /// Its name.
    pub name: &'a CertificateName,
    /// The certificate itself.
    pub certificate: &'a HeldCertificate,
    /// The reason why it serves the host, or does not.
    pub verdict: Result<ChosenBy, Skipped>,
}

/// The reason why a certificate does not serve a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skipped {
    /// It is for other names.
    DoesNotCover,
    /// It has run out, or is not valid yet.
    NotValid,
    /// The server reads it as it lies there, and can't.
    NotReadThere,
    /// It is self-signed, and serves only as long as there is no other.
    OnlyFallback,
    /// One of the user's own serves.
    YoursGoesBefore,
    /// Another one fits better.
    Other,
}

/// The certificate that serves a host on a consumer, and those that could have been thought to: all that cover it, the
/// one that is called as the wanted one, and what would serve if none covered it.
pub fn candidates<'a>(
    consumer: &Consumer,
    asked: Asked<'_>,
    in_force: &'a InForce,
    now: Timestamp,
) -> Vec<Candidate<'a>> {
    let Asked { host, .. } = asked;
    let chosen = asked.certificate.and_then(|wanted| {
        let selection = Selection::of(&in_force.certificates, now);
        selection.choose(consumer, host, wanted, asked.pin)
    });
    let is_chosen = |name| chosen.as_ref().filter(|chosen| chosen.name == name);
    let mut candidates = Vec::new();
    for (name, certificate) in &*in_force.certificates {
        let verdict = match is_chosen(name) {
            Some(chosen) => Ok(chosen.by.clone()),
            None if is_of_interest((name, certificate), consumer, asked) => {
                Err(skipped(certificate, chosen.as_ref(), (consumer, host), now))
            }
            None => continue,
        };
        candidates.push(Candidate {
            name,
            certificate,
            verdict,
        });
    }
    for (name, overruled) in &in_force.overruled {
        let named = (name, &overruled.certificate);
        if is_chosen(name).is_some() || is_of_interest(named, consumer, asked) {
            candidates.push(Candidate {
                name,
                certificate: &overruled.certificate,
                verdict: Err(overruled.why),
            });
        }
    }
    candidates
}

/// True if a user could think that this certificate serves the host.
fn is_of_interest((name, certificate): Named<'_>, consumer: &Consumer, asked: Asked<'_>) -> bool {
    let Substitutes {
        master,
        defaults,
        strict_parents,
    } = &consumer.substitutes;
    let host = asked.host;
    let is_wanted = asked.certificate == Some(name);
    let is_pinned = asked.pin.is_some_and(|pin| pin.certificate == *name);
    let is_default = defaults.iter().any(|default| default.certificate == *name);
    let covers = |host: &Host| certificate.covers(host);
    let counts_parents = *strict_parents || consumer.substitutes.are_set();
    is_wanted
        || is_pinned
        || is_default
        || covers(host)
        || master.as_ref().is_some_and(covers)
        || counts_parents && host.parents().iter().any(covers)
}

/// The reason why a certificate does not serve a host which another certificate serves, or none.
fn skipped(
    certificate: &HeldCertificate,
    chosen: Option<&Choice<'_>>,
    (consumer, host): (&Consumer, &Host),
    now: Timestamp,
) -> Skipped {
    let is_users = |certificate: &HeldCertificate| certificate.source == Source::Provided;
    // Beside one that is for another name, too, that is no reason.
    let fits = chosen.is_some_and(|chosen| chosen.by.is_substitute());
    if !certificate.covers(host) && !fits {
        Skipped::DoesNotCover
    } else if !certificate.is_valid_at(now) {
        Skipped::NotValid
    } else if !can_use(consumer, certificate) {
        Skipped::NotReadThere
    } else if certificate.is_fallback() {
        Skipped::OnlyFallback
    } else if chosen.is_some_and(|chosen| is_users(chosen.certificate)) && !is_users(certificate) {
        Skipped::YoursGoesBefore
    } else {
        Skipped::Other
    }
}
