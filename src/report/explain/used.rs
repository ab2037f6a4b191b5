use super::{Inspection, certificate, proxy};
use crate::{
    desire::{CertificateFolder, Consumer, Use},
    observe::{HeldCertificate, Installed},
    report::{Findings, start_it},
    values::Digest,
};

/// Of each server that needs the name's certificate: which one it has, and whether it shows that.
pub(super) fn tell(facts: &Inspection<'_>, told: &mut Findings) {
    for (consumer, used) in facts.users() {
        tell_one(facts, consumer, used, told);
    }
}

fn tell_one(facts: &Inspection<'_>, consumer: &Consumer, used: &Use, told: &mut Findings) {
    let name = &consumer.name;
    let installed = facts.observed.installed.get(name);
    let installed = installed.cloned().unwrap_or_default();
    tell_given(facts, consumer, (used, &installed), told);
    match consumer.running {
        true => proxy::tell_progress(facts, consumer, &installed, told),
        false => told.problem(
            "server",
            format!("{name} does not run"),
            start_it(name, facts.snapshot),
        ),
    }
}

fn tell_given(
    facts: &Inspection<'_>,
    consumer: &Consumer,
    (used, installed): (&Use, &Installed),
    told: &mut Findings,
) {
    let name = &consumer.name;
    let given = installed.certificates.get(&used.certificate);
    let Some(held) = given.and_then(|digest| held(facts, *digest)) else {
        let says = format!("{name} has no certificate for it yet");
        return told.problem("server", says, "");
    };
    let HeldCertificate {
        issuer,
        serial,
        not_after,
        ..
    } = held;
    let place = match &consumer.certificates {
        CertificateFolder::Delivered(delivery) => delivery.folder.theirs.clone(),
        CertificateFolder::Shared { theirs } => theirs.clone(),
    };
    let says = format!(
        "{name} has {} in {}, from {issuer}, serial {serial}, valid until {}",
        used.certificate,
        place.display(),
        facts.at(*not_after)
    );
    match held.is_valid_at(facts.now) && held.covers(facts.host) {
        true => {
            told.ok("server", says);
            // Of one that a site has, too, it is told there.
            if facts.site().is_none() {
                certificate::tell_renewal(facts, held, told);
            }
        }
        false => told.problem(
            "server",
            format!("{says}: it is not valid for this name now, and used for want of a better one"),
            "",
        ),
    }
}

/// The certificate with this content, be it ours or the user's.
fn held<'a>(facts: &Inspection<'a>, digest: Digest) -> Option<&'a HeldCertificate> {
    let all = facts.observed.held.values();
    let mut all = all.chain(facts.observed.provided.values());
    all.find(|held| held.digest == digest).map(|held| &**held)
}
