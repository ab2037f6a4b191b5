//! The numbers of those metrics that take more than a line.

use super::text::Samples;
use crate::{
    observe::{HeldCertificate, Installed, Progress},
    report::{Overview, tally::TURN_BOUNDS},
    values::{CertificateName, Timestamp},
};

pub(super) fn number(holds: bool) -> f64 {
    f64::from(u8::from(holds))
}

/// Since 1970, as metrics have times.
pub(super) fn seconds(time: Timestamp) -> f64 {
    time.millis() as f64 / 1000.0
}

pub(super) fn count_of(count: u64) -> f64 {
    count as f64
}

pub(super) fn size(size: usize) -> f64 {
    size as f64
}

/// Turns by how long they took, each bound with all that took no longer.
pub(super) fn turns(overview: &Overview, samples: &mut Samples) {
    let tally = &overview.tally;
    let mut sum = 0;
    let bounds = TURN_BOUNDS.iter().map(f64::to_string);
    for (bound, count) in bounds.chain(["+Inf".to_owned()]).zip(&tally.turns) {
        sum += count;
        samples.add_ending_with("_bucket", &[("le", &bound)], count_of(sum));
    }
    samples.add_ending_with("_count", &[], count_of(sum));
    samples.add_ending_with("_sum", &[], tally.turned.as_secs_f64());
}

/// One number of each server that was given something.
pub(super) fn for_consumers(
    overview: &Overview,
    samples: &mut Samples,
    number: impl Fn(&Installed) -> f64,
) {
    for name in overview.desired.consumers.keys() {
        if let Some(installed) = overview.observed.installed.get(name) {
            samples.add(&[("consumer", name.as_str())], number(installed));
        }
    }
}

/// Of each CA that is asked and limits new orders.
pub(super) fn orders_left(overview: &Overview, samples: &mut Samples) {
    let cas = &overview.label_rules.cas;
    for directory in &overview.cas {
        if let Some(limit) = cas.limits(directory).orders {
            let ledger = &overview.observed.ledger;
            let used = ledger.orders(directory, limit.within, overview.now).count();
            let left = limit.most().saturating_sub(used);
            samples.add(&[("ca", cas.called(directory))], size(left));
        }
    }
}

/// True if a valid certificate is there for what is wanted under this name, and not only a fallback.
pub(super) fn is_ready(overview: &Overview, name: &CertificateName) -> bool {
    let serving = overview.serving(name);
    serving.is_some_and(|held| held.is_valid_at(overview.now) && !held.is_fallback())
}

/// The time in which the CA wants it to be renewed.
pub(super) fn window(overview: &Overview, name: &CertificateName, samples: &mut Samples) {
    let held = overview.held(name);
    let info = held.and_then(|held| overview.observed.renewal(name)?.of(held));
    if let Some(suggestion) = info.and_then(|info| info.suggestion.as_ref()) {
        let window = &suggestion.window;
        for (edge, time) in [("start", window.start), ("end", window.end)] {
            let labels = [("name", name.as_str()), ("edge", edge)];
            samples.add(&labels, seconds(time));
        }
    }
}

/// Adds a sample for each server that was given it: was the server seen with the version that is held now?
pub(super) fn served(overview: &Overview, name: &CertificateName, samples: &mut Samples) {
    let Some(held) = overview.serving(name) else {
        return;
    };
    for consumer in overview.desired.consumers.keys() {
        let installed = overview.observed.installed.get(consumer);
        let given =
            installed.and_then(|installed| Some((installed, installed.certificates.get(name)?)));
        if let Some((installed, digest)) = given {
            let is_seen = matches!(installed.progress, Progress::Proven { .. });
            let labels = [("name", name.as_str()), ("consumer", consumer.as_str())];
            samples.add(&labels, number(is_seen && *digest == held.digest));
        }
    }
}

/// A number with the labels of cert-manager: the namespace is the Compose project of whoever asks first.
pub(super) fn of_cert_manager(
    overview: &Overview,
    name: &CertificateName,
    condition: Option<&str>,
    value: f64,
    samples: &mut Samples,
) {
    let wanted = overview.desired.certificates.get(name);
    let first = wanted.and_then(|wanted| wanted.claimed_by.first());
    let bearer = first.and_then(|first| overview.snapshot.bearers.get(first));
    let namespace = bearer.and_then(|bearer| bearer.project());
    let issuer = wanted.map(|wanted| wanted.issuance.issuer.to_string());
    let mut labels = vec![
        ("name", name.as_str()),
        ("namespace", namespace.unwrap_or("default")),
        ("issuer_name", issuer.as_deref().unwrap_or_default()),
        ("issuer_kind", "ACME"),
        ("issuer_group", ""),
    ];
    labels.extend(condition.map(|condition| ("condition", condition)));
    samples.add(&labels, value);
}

/// A number with the labels of x509-certificate-exporter.
pub(super) fn of_x509(
    overview: &Overview,
    name: &CertificateName,
    samples: &mut Samples,
    value: impl Fn(&HeldCertificate, Timestamp) -> f64,
) {
    if let Some(held) = overview.held(name) {
        let folder = overview.label_rules.certificates.join(held.shelf.folder());
        let file = folder.join(name.as_str()).join("fullchain.pem");
        let file = file.to_string_lossy();
        let labels = [
            ("filepath", &*file),
            ("issuer_CN", held.issuer.as_str()),
            ("serial_number", held.serial.as_str()),
            ("subject_CN", name.as_str()),
        ];
        samples.add(&labels, value(held, overview.now));
    }
}
