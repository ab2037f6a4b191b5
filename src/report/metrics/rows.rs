//! The rows of the metrics table.

use super::{
    MetricKind, MetricRow, Of,
    numbers::{
        count_of, for_consumers, is_ready, number, of_cert_manager, of_x509, orders_left, seconds,
        served, size, turns, window,
    },
};
use crate::{
    observe::{Progress, Subject},
    plan,
    values::MetricSet,
};

/// Every metric there is.
pub const METRICS: &[MetricRow] = &[
    MetricRow {
        name: "quaymaster_build",
        kind: MetricKind::Info,
        labels: &["version"],
        doc: "The version that runs",
        set: None,
        of: Of::All(|_, samples| samples.add(&[("version", env!("CARGO_PKG_VERSION"))], 1.0)),
    },
    MetricRow {
        name: "quaymaster_start_timestamp_seconds",
        kind: MetricKind::Gauge,
        labels: &[],
        doc: "When the program began",
        set: None,
        of: Of::All(|overview, samples| samples.add(&[], seconds(overview.began))),
    },
    MetricRow {
        name: "quaymaster_engine_up",
        kind: MetricKind::Gauge,
        labels: &["engine"],
        doc: "1 while a Docker engine is followed, 0 while it can't be reached; the label is the name of its table, and empty for \
              the one without a name",
        set: None,
        of: Of::All(|overview, samples| {
            let tally = &overview.tally;
            samples.add(&[("engine", "")], number(tally.is_engine_followed));
            for (engine, problem) in &tally.other_engines {
                samples.add(&[("engine", engine.as_str())], number(problem.is_none()));
            }
        }),
    },
    MetricRow {
        name: "quaymaster_turn_duration_seconds",
        kind: MetricKind::Histogram,
        labels: &["le"],
        doc: "How long the turns of the loop took",
        set: None,
        of: Of::All(turns),
    },
    MetricRow {
        name: "quaymaster_events",
        kind: MetricKind::Counter,
        labels: &["event"],
        doc: "Events, as in the log: proven, unproven, refused and taken-back are results of deployments, failed and \
              not-told are failures",
        set: None,
        of: Of::All(|overview, samples| {
            for (event, count) in &overview.tally.events {
                samples.add(&[("event", event)], count_of(*count));
            }
        }),
    },
    MetricRow {
        name: "quaymaster_actions",
        kind: MetricKind::Counter,
        labels: &["about", "end"],
        doc: "What was done for a certificate, a fallback or a consumer, by how it ended: done, failed (tried again with \
              growing pauses), refused (tried again daily), postponed (the CA names a time), self-check (no CA was asked), propagation (a TXT record is not seen everywhere yet)",
        set: None,
        of: Of::All(|overview, samples| {
            for ((about, end), count) in &overview.tally.actions {
                samples.add(&[("about", about), ("end", end)], count_of(*count));
            }
        }),
    },
    MetricRow {
        name: "quaymaster_rendered_bytes",
        kind: MetricKind::Counter,
        labels: &[],
        doc: "Bytes of configuration files that were to be deployed",
        set: None,
        of: Of::All(|overview, samples| {
            samples.add(&[], count_of(overview.tally.rendered_bytes));
        }),
    },
    MetricRow {
        name: "quaymaster_containers",
        kind: MetricKind::Gauge,
        labels: &[],
        doc: "Containers with labels that are read",
        set: None,
        of: Of::All(|overview, samples| {
            samples.add(&[], size(overview.snapshot.bearers.len()));
        }),
    },
    MetricRow {
        name: "quaymaster_warnings",
        kind: MetricKind::Gauge,
        labels: &["about"],
        doc: "Warnings that stand now: complaint (a label that can't be followed), certificate, template, disk",
        set: None,
        of: Of::All(|overview, samples| {
            for (about, count) in [
                ("complaint", overview.complaints.len()),
                ("certificate", overview.plan.notices.len()),
                ("template", overview.templates.len()),
                ("disk", overview.faults.len()),
            ] {
                samples.add(&[("about", about)], size(count));
            }
        }),
    },
    MetricRow {
        name: "quaymaster_consumer_up",
        kind: MetricKind::Gauge,
        labels: &["consumer", "kind"],
        doc: "1 while the server that is configured runs, else 0",
        set: None,
        of: Of::All(|overview, samples| {
            for (name, consumer) in &overview.desired.consumers {
                let labels = [("consumer", name.as_str()), ("kind", consumer.kind.name)];
                samples.add(&labels, number(consumer.running));
            }
        }),
    },
    MetricRow {
        name: "quaymaster_consumer_proven",
        kind: MetricKind::Gauge,
        labels: &["consumer"],
        doc: "1 if the server's last deployment was seen on a new connection, else 0",
        set: None,
        of: Of::All(|overview, samples| {
            for_consumers(overview, samples, |installed| {
                number(matches!(installed.progress, Progress::Proven { .. }))
            });
        }),
    },
    MetricRow {
        name: "quaymaster_consumer_sites",
        kind: MetricKind::Gauge,
        labels: &["consumer"],
        doc: "Names that the proxy is to serve",
        set: None,
        of: Of::All(|overview, samples| {
            for (name, consumer) in &overview.desired.consumers {
                samples.add(&[("consumer", name.as_str())], size(consumer.sites.len()));
            }
        }),
    },
    MetricRow {
        name: "quaymaster_consumer_quarantined_parts",
        kind: MetricKind::Gauge,
        labels: &["consumer"],
        doc: "Files and certificates that the server refused, and that are held back until they change",
        set: None,
        of: Of::All(|overview, samples| {
            for (name, consumer) in &overview.desired.consumers {
                let parts = overview.held_back(consumer).count();
                samples.add(&[("consumer", name.as_str())], size(parts));
            }
        }),
    },
    MetricRow {
        name: "quaymaster_consumer_fatal_signals",
        kind: MetricKind::Gauge,
        labels: &["consumer"],
        doc: "Signals in a row that ended the server instead of making it read its files",
        set: None,
        of: Of::All(|overview, samples| {
            for_consumers(overview, samples, |installed| {
                f64::from(installed.signals.ended)
            });
        }),
    },
    MetricRow {
        name: "quaymaster_consumer_failures",
        kind: MetricKind::Gauge,
        labels: &["consumer"],
        doc: "Deployments in a row that failed; none where the last did not",
        set: None,
        of: Of::All(|overview, samples| {
            for (subject, attempt) in &overview.observed.attempts {
                if let Subject::Consumer(name) = subject
                    && plan::is_failure(subject, attempt, &overview.desired)
                {
                    let failures = f64::from(attempt.in_a_row());
                    samples.add(&[("consumer", name.as_str())], failures);
                }
            }
        }),
    },
    MetricRow {
        name: "quaymaster_ca_orders_left",
        kind: MetricKind::Gauge,
        labels: &["ca"],
        doc: "New orders that a limit of the CA leaves now, by what is written down of those before",
        set: None,
        of: Of::All(orders_left),
    },
    MetricRow {
        name: "quaymaster_ca_held_back_until_timestamp_seconds",
        kind: MetricKind::Gauge,
        labels: &["ca"],
        doc: "Until when the CA asks not to be asked; none where it does not",
        set: None,
        of: Of::All(|overview, samples| {
            for (directory, busy) in &overview.observed.busy_cas {
                if busy.until > overview.now {
                    let ca = overview.label_rules.cas.called(directory);
                    samples.add(&[("ca", ca)], seconds(busy.until));
                }
            }
        }),
    },
    MetricRow {
        name: "quaymaster_certificate_ready",
        kind: MetricKind::Gauge,
        labels: &["name"],
        doc: "1 if there is a valid certificate under this name and it is not only a self-signed fallback, else 0",
        set: None,
        of: Of::Certificate(|overview, name, samples| {
            if overview.desired.certificates.contains_key(name) {
                samples.add(&[("name", name.as_str())], number(is_ready(overview, name)));
            }
        }),
    },
    MetricRow {
        name: "quaymaster_certificate_expiry_timestamp_seconds",
        kind: MetricKind::Gauge,
        labels: &["name"],
        doc: "When the certificate ends",
        set: None,
        of: Of::Certificate(|overview, name, samples| {
            if let Some(held) = overview.held(name) {
                samples.add(&[("name", name.as_str())], seconds(held.not_after));
            }
        }),
    },
    MetricRow {
        name: "quaymaster_certificate_renewal_timestamp_seconds",
        kind: MetricKind::Gauge,
        labels: &["name"],
        doc: "When the certificate is to be renewed; none where quaymaster does not renew it",
        set: None,
        of: Of::Certificate(|overview, name, samples| {
            if let Some(at) = overview.renewal(name) {
                samples.add(&[("name", name.as_str())], seconds(at));
            }
        }),
    },
    MetricRow {
        name: "quaymaster_certificate_renewal_window_timestamp_seconds",
        kind: MetricKind::Gauge,
        labels: &["name", "edge"],
        doc: "Start and end of the time in which the CA wants the certificate to be renewed; none where it says nothing",
        set: None,
        of: Of::Certificate(window),
    },
    MetricRow {
        name: "quaymaster_certificate_served",
        kind: MetricKind::Gauge,
        labels: &["name", "consumer"],
        doc: "1 if the server was seen with the certificate that is held under this name, 0 if it has another one or was not \
              seen with it; none where it was given none",
        set: None,
        of: Of::Certificate(served),
    },
    MetricRow {
        name: "quaymaster_certificate_failures",
        kind: MetricKind::Gauge,
        labels: &["name"],
        doc: "Tries in a row to obtain the certificate that failed; none where the last did not",
        set: None,
        of: Of::Certificate(|overview, name, samples| {
            let subject = Subject::Certificate(name.clone());
            if let Some(attempt) = overview.failure(&subject) {
                samples.add(&[("name", name.as_str())], f64::from(attempt.in_a_row()));
            }
        }),
    },
    MetricRow {
        name: "quaymaster_certificate_next_try_timestamp_seconds",
        kind: MetricKind::Gauge,
        labels: &["name"],
        doc: "When a certificate that could not be obtained is tried again",
        set: None,
        of: Of::Certificate(|overview, name, samples| {
            let subject = Subject::Certificate(name.clone());
            if let Some(attempt) = overview.failure(&subject) {
                let (desired, observed) = (&overview.desired, &overview.observed);
                let again = plan::again(&subject, attempt, desired, observed);
                samples.add(&[("name", name.as_str())], seconds(again));
            }
        }),
    },
    MetricRow {
        name: "certmanager_certificate_ready_status",
        kind: MetricKind::Gauge,
        labels: &[
            "name",
            "namespace",
            "condition",
            "issuer_name",
            "issuer_kind",
            "issuer_group",
        ],
        doc: "1 for the condition that the certificate is in (True, False, Unknown), 0 for the others",
        set: Some(MetricSet::CertManager),
        of: Of::Certificate(|overview, name, samples| {
            if !overview.desired.certificates.contains_key(name) {
                return;
            }
            let ready = is_ready(overview, name);
            for (condition, holds) in [("True", ready), ("False", !ready), ("Unknown", false)] {
                of_cert_manager(overview, name, Some(condition), number(holds), samples);
            }
        }),
    },
    MetricRow {
        name: "certmanager_certificate_expiration_timestamp_seconds",
        kind: MetricKind::Gauge,
        labels: &[
            "name",
            "namespace",
            "issuer_name",
            "issuer_kind",
            "issuer_group",
        ],
        doc: "When the certificate ends",
        set: Some(MetricSet::CertManager),
        of: Of::Certificate(|overview, name, samples| {
            if let Some(held) = overview.held(name) {
                of_cert_manager(overview, name, None, seconds(held.not_after), samples);
            }
        }),
    },
    MetricRow {
        name: "certmanager_certificate_not_after_timestamp_seconds",
        kind: MetricKind::Gauge,
        labels: &[
            "name",
            "namespace",
            "issuer_name",
            "issuer_kind",
            "issuer_group",
        ],
        doc: "When the certificate ends",
        set: Some(MetricSet::CertManager),
        of: Of::Certificate(|overview, name, samples| {
            if let Some(held) = overview.held(name) {
                of_cert_manager(overview, name, None, seconds(held.not_after), samples);
            }
        }),
    },
    MetricRow {
        name: "certmanager_certificate_not_before_timestamp_seconds",
        kind: MetricKind::Gauge,
        labels: &[
            "name",
            "namespace",
            "issuer_name",
            "issuer_kind",
            "issuer_group",
        ],
        doc: "When the certificate begins",
        set: Some(MetricSet::CertManager),
        of: Of::Certificate(|overview, name, samples| {
            if let Some(held) = overview.held(name) {
                of_cert_manager(overview, name, None, seconds(held.not_before), samples);
            }
        }),
    },
    MetricRow {
        name: "certmanager_certificate_renewal_timestamp_seconds",
        kind: MetricKind::Gauge,
        labels: &[
            "name",
            "namespace",
            "issuer_name",
            "issuer_kind",
            "issuer_group",
        ],
        doc: "When the certificate is to be renewed",
        set: Some(MetricSet::CertManager),
        of: Of::Certificate(|overview, name, samples| {
            if let Some(at) = overview.renewal(name) {
                of_cert_manager(overview, name, None, seconds(at), samples);
            }
        }),
    },
    MetricRow {
        name: "x509_cert_not_after",
        kind: MetricKind::Gauge,
        labels: &["filepath", "issuer_CN", "serial_number", "subject_CN"],
        doc: "When the certificate ends, in seconds since 1970; subject_CN is its name here",
        set: Some(MetricSet::X509),
        of: Of::Certificate(|overview, name, samples| {
            of_x509(overview, name, samples, |held, _| seconds(held.not_after));
        }),
    },
    MetricRow {
        name: "x509_cert_not_before",
        kind: MetricKind::Gauge,
        labels: &["filepath", "issuer_CN", "serial_number", "subject_CN"],
        doc: "When the certificate begins, in seconds since 1970; subject_CN is its name here",
        set: Some(MetricSet::X509),
        of: Of::Certificate(|overview, name, samples| {
            of_x509(overview, name, samples, |held, _| seconds(held.not_before));
        }),
    },
    MetricRow {
        name: "x509_cert_expired",
        kind: MetricKind::Gauge,
        labels: &["filepath", "issuer_CN", "serial_number", "subject_CN"],
        doc: "1 if the certificate has ended, else 0; subject_CN is its name here",
        set: Some(MetricSet::X509),
        of: Of::Certificate(|overview, name, samples| {
            of_x509(overview, name, samples, |held, now| {
                number(held.not_after <= now)
            });
        }),
    },
];
